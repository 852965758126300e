//! Implements `incidents list`.

use super::super::context::{Context, Exit, Failure};
use super::super::text::{self, Table};
use super::super::{values, words};
use super::key_text;
use crate::admin::incidents;
use crate::config::Needs;
use crate::model::{IncidentId, RuleName};
use crate::store::IncidentFilter;
use crate::view::IncidentSummary;

const EXAMPLES: &str = "\
Examples:
  feedback-relay incidents list
  feedback-relay incidents list --all --rule 'blank screen'
  feedback-relay incidents list --json | jq -r 'select(.count > 100) | .id'
  feedback-relay incidents list --all --before inc_12   the next page";

/// The width limit of the key, in columns.
const KEY_COLUMNS: usize = 60;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Also incidents that have ended
    #[arg(long)]
    all: bool,
    /// Only incidents of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// The maximum number of incidents; default: 50, with --json all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only incidents before this one: the next page
    #[arg(long, value_name = "ID", value_parser = values::incident)]
    before: Option<IncidentId>,
    /// Print JSON, one incident per line, as they are found
    #[arg(long)]
    json: bool,
}

/// Lists incidents, newest first.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let limit = values::limit(args.limit, args.json);
    let filter = IncidentFilter {
        open: !args.all,
        rule: args.rule.as_deref().map(RuleName::new),
        before: args.before,
        limit,
    };
    let mut found = incidents::list(&store, filter);
    let mut listed = Vec::new();
    while let Some(incident) = found.next().await? {
        if args.json {
            context.out.json_line(&incident);
        } else {
            listed.push(incident);
        }
    }
    if args.json {
        return Ok(Exit::Done);
    }
    context.out.text(&table(&listed, args.all));
    if let Some(last) = listed.last().filter(|_| listed.len() == limit) {
        context
            .out
            .note(&format!("there may be more: --before {}", last.id));
    }
    Ok(Exit::Done)
}

fn table(incidents: &[IncidentSummary], all: bool) -> String {
    if incidents.is_empty() {
        return match all {
            true => "no incidents\n".into(),
            false => "no open incidents\n".into(),
        };
    }
    let head = [
        "ID",
        "STATE",
        "SEVERITY",
        "REPORTS",
        "PEOPLE",
        "TENANTS",
        "SINCE",
        "LAST",
        "RULE",
        "GROUPED BY",
    ];
    let mut table = Table::new(head);
    for incident in incidents {
        table.push([
            incident.id.to_string(),
            incident.state.to_string(),
            words::severity(incident.severity),
            incident.count.to_string(),
            incident.people.to_string(),
            incident.tenants.to_string(),
            incident.since.to_string(),
            incident.last_at.to_string(),
            incident.rule.to_string(),
            text::cut(&key_text(incident), KEY_COLUMNS),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::incidents::an_incident;
    use crate::model::{IncidentState, Severity};

    #[test]
    fn an_incident_is_one_line() {
        let quiet = IncidentSummary {
            id: IncidentId(2),
            state: IncidentState::Quiet,
            severity: Severity::Warning,
            kind: None,
            key: Vec::new(),
            ..an_incident()
        };
        insta::assert_snapshot!(table(&[an_incident(), quiet], true));
        assert_eq!(table(&[], true), "no incidents\n");
        assert_eq!(table(&[], false), "no open incidents\n");
    }

    #[test]
    fn collective_incident_says_how_many_keys_it_counts() {
        let collective = IncidentSummary {
            key: Vec::new(),
            keys: 180,
            ..an_incident()
        };
        assert_eq!(key_text(&collective), "type fault, 180 further keys");
    }

    #[test]
    fn programs_see_the_same_with_whole_texts() {
        insta::assert_json_snapshot!(an_incident());
    }
}
