//! Shows which stored events the rules would send elsewhere than they went.

use crate::admin::Events;
use crate::app;
use crate::cli::context::{Context, Failure, block_on};
use crate::cli::events::event_config;
use crate::cli::text;
use crate::cli::values::Since;
use crate::cli::words::counted;
use crate::config::Config;
use crate::view::{ComparisonView, RouteChangeView, RouteView};

/// Compares the rules with the events since this time. A relay may use the store meanwhile.
pub(super) fn compare(
    context: &Context,
    config: &Config,
    since: Since,
) -> Result<ComparisonView, Failure> {
    let store = context.store(config)?;
    let names = app::names(config);
    let events = Events {
        store: &store,
        config: event_config(config, &names),
    };
    let since = since.from(context.now());
    let destinations = app::compared_destinations(config);
    block_on(async { Ok(events.compare(since, &destinations).await?) })
}

/// Returns the result for people.
pub(super) fn to_text(comparison: &ComparisonView) -> String {
    let changed = match comparison.changed {
        0 => "none would go elsewhere".to_owned(),
        1 => "1 would go elsewhere".to_owned(),
        count => format!("{count} would go elsewhere"),
    };
    let mut out = format!(
        "{} since {} compared with these rules: {changed}\n",
        counted(comparison.compared, "event"),
        comparison.since
    );
    if comparison.not_comparable > 0 {
        let events = counted(comparison.not_comparable, "event");
        out.push_str(&format!(
            "{events} cannot be compared, because the stored body was removed or cannot be read\n"
        ));
    }
    for change in &comparison.changes {
        out.push_str(&change_text(change));
    }
    out
}

fn change_text(change: &RouteChangeView) -> String {
    let (from, to) = (routes(&change.from), routes(&change.to));
    let head = format!("{}: {from} -> {to}", counted(change.events, "event"));
    let mut out = format!("\n{}\n", text::escape(&head));
    for example in &change.examples {
        let line = format!("{}  {}", example.received_at, example.id);
        out.push_str(&format!("  {}\n", text::escape(&line)));
    }
    let shown = u64::try_from(change.examples.len()).unwrap_or(u64::MAX);
    if change.events > shown {
        out.push_str(&format!("  and {} older\n", change.events - shown));
    }
    out
}

fn routes(routes: &[RouteView]) -> String {
    let one = |route: &RouteView| match &route.rule {
        Some(rule) => format!("{} by {:?}", route.destination, rule.as_str()),
        None => format!("{} in a late summary", route.destination),
    };
    let all: Vec<String> = routes.iter().map(one).collect();
    match all.is_empty() {
        true => "nobody".into(),
        false => all.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventId, Timestamp};
    use crate::view::ExampleView;

    const AT: Timestamp = Timestamp::from_millis(1_711_111_222_000);

    fn route(destination: &str, rule: Option<&str>) -> RouteView {
        RouteView {
            destination: destination.into(),
            rule: rule.map(Into::into),
        }
    }

    #[test]
    fn changes_name_both_routes_and_their_newest_events() {
        let comparison = ComparisonView {
            since: AT,
            compared: 340,
            not_comparable: 1,
            changed: 8,
            changes: vec![
                RouteChangeView {
                    events: 7,
                    from: vec![route("oncall-chat", Some("faults"))],
                    to: Vec::new(),
                    examples: vec![ExampleView {
                        id: EventId::new("5e37\u{1b}"),
                        received_at: AT,
                    }],
                },
                RouteChangeView {
                    events: 1,
                    from: vec![route("product", None)],
                    to: vec![route("oncall-chat", Some("all")), route("ops", Some("all"))],
                    examples: Vec::new(),
                },
            ],
        };
        insta::assert_snapshot!(to_text(&comparison));
        insta::assert_json_snapshot!(comparison);
    }

    #[test]
    fn equal_routes_are_said_in_one_line() {
        let comparison = ComparisonView {
            since: AT,
            compared: 2,
            not_comparable: 0,
            changed: 0,
            changes: Vec::new(),
        };
        assert_eq!(
            to_text(&comparison),
            "2 events since 2024-03-22T12:40:22.000Z compared with these rules: none would go elsewhere\n"
        );
    }
}
