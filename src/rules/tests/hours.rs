//! `when`: the times of the week at which a rule counts.

use super::super::hours::{EXAMPLES, PATTERN, condition, parse};
use super::*;
use crate::model::Hours;

fn at(time: &str) -> Timestamp {
    let time: jiff::Timestamp = time.parse().unwrap();
    Timestamp::from_millis(time.as_millisecond())
}

fn hours(windows: &[&str]) -> Hours {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let windows = windows.iter().map(|text| parse(text, &zone));
    Hours(windows.collect::<Result<_, _>>().unwrap())
}

/// A rule with this line, and one after it.
fn two_rules(line: &str) -> String {
    format!(
        "[[rules]]\nname = \"one\"\nsend_to = \"oncall-chat\"\n{line}\n\
         [[rules]]\nname = \"rest\"\nsend_to = \"product\"\n"
    )
}

#[test]
fn window_includes_its_days_and_times() {
    // 2026-03-06 is a Friday. Its end is outside.
    for (window, time, includes) in [
        ("mon-fri 09:00-18:00", "2026-03-06T09:00:00+08:00", true),
        ("mon-fri 09:00-18:00", "2026-03-06T08:59:59+08:00", false),
        ("mon-fri 09:00-18:00", "2026-03-06T17:59:59+08:00", true),
        ("mon-fri 09:00-18:00", "2026-03-06T18:00:00+08:00", false),
        ("mon-fri 09:00-18:00", "2026-03-07T10:12:00+08:00", false),
        ("mon-fri 09:00-18:00", "2026-03-06T09:30:00Z", true),
        ("Mon-FRI", "2026-03-06T23:59:59+08:00", true),
        ("mon-fri", "2026-03-07T00:00:00+08:00", false),
        ("sat,sun", "2026-03-08T12:00:00+08:00", true),
        ("mon,wed-fri", "2026-03-03T12:00:00+08:00", false),
        ("mon,wed-fri", "2026-03-04T12:00:00+08:00", true),
        ("fri-mon", "2026-03-08T12:00:00+08:00", true),
        ("fri-mon", "2026-03-10T12:00:00+08:00", false),
        ("09:00-24:00", "2026-03-06T23:59:00+08:00", true),
        ("00:00-24:00", "2026-03-06T00:00:00+08:00", true),
        ("22:00-00:00", "2026-03-06T00:00:00+08:00", false),
        ("22:00-00:00", "2026-03-06T23:59:00+08:00", true),
        ("fri 09:00-18:00 +00:00", "2026-03-06T18:00:00+08:00", true),
        ("fri 09:00-18:00 UTC", "2026-03-06T10:00:00+08:00", false),
        ("fri Europe/Berlin", "2026-03-07T06:59:00+08:00", true),
    ] {
        assert_eq!(
            hours(&[window]).include(at(time)),
            includes,
            "{window} {time}"
        );
    }
}

#[test]
fn window_over_midnight_belongs_to_the_day_it_starts_on() {
    for (window, time, includes) in [
        ("22:00-08:00", "2026-03-06T21:59:00+08:00", false),
        ("22:00-08:00", "2026-03-06T22:00:00+08:00", true),
        ("22:00-08:00", "2026-03-06T07:59:00+08:00", true),
        ("22:00-08:00", "2026-03-06T08:00:00+08:00", false),
        ("fri 22:00-08:00", "2026-03-06T07:00:00+08:00", false),
        ("fri 22:00-08:00", "2026-03-06T23:00:00+08:00", true),
        ("fri 22:00-08:00", "2026-03-07T07:00:00+08:00", true),
        ("fri 22:00-08:00", "2026-03-07T23:00:00+08:00", false),
        ("sun 22:00-08:00", "2026-03-09T07:00:00+08:00", true),
    ] {
        assert_eq!(
            hours(&[window]).include(at(time)),
            includes,
            "{window} {time}"
        );
    }
}

#[test]
fn changes_of_summer_time_compare_local_time() {
    for (window, time, includes) in [
        // 02:00 becomes 03:00, so 02:30 never comes.
        ("02:00-03:00", "2026-03-29T00:59:59Z", false),
        ("02:00-03:00", "2026-03-29T01:00:00Z", false),
        ("03:00-04:00", "2026-03-29T01:00:00Z", true),
        ("sat 22:00-08:00", "2026-03-29T05:59:00Z", true),
        ("sat 22:00-08:00", "2026-03-29T06:00:00Z", false),
        ("sat 22:00-08:00", "2026-03-28T20:59:00Z", false),
        ("sat 22:00-08:00", "2026-03-28T21:00:00Z", true),
        // 03:00 becomes 02:00, so 02:30 comes twice.
        ("02:00-03:00", "2026-10-25T00:30:00Z", true),
        ("02:00-03:00", "2026-10-25T01:30:00Z", true),
        ("02:00-03:00", "2026-10-25T02:00:00Z", false),
        ("sat 22:00-08:00", "2026-10-24T20:00:00Z", true),
        ("sat 22:00-08:00", "2026-10-25T06:59:00Z", true),
        ("sat 22:00-08:00", "2026-10-25T07:00:00Z", false),
    ] {
        let in_berlin = format!("{window} Europe/Berlin");
        assert_eq!(
            hours(&[&in_berlin]).include(at(time)),
            includes,
            "{window} {time}"
        );
    }
}

#[test]
fn one_of_several_windows_is_enough() {
    let hours = hours(&["mon-fri 18:00-09:00", "sat,sun"]);
    for (time, includes) in [
        ("2026-03-06T12:00:00+08:00", false),
        ("2026-03-06T20:00:00+08:00", true),
        ("2026-03-07T12:00:00+08:00", true),
    ] {
        assert_eq!(hours.include(at(time)), includes, "{time}");
    }
}

#[test]
fn time_outside_all_years_is_in_no_window() {
    let hours = hours(&["mon-sun"]);
    assert!(!hours.include(Timestamp::from_millis(i64::MAX)));
    let found = condition(&hours, Timestamp::from_millis(i64::MAX)).found;
    assert_eq!(found.expose(), format!("{}ms in Asia/Shanghai", i64::MAX));
}

#[test]
fn rule_counts_only_at_its_times_and_the_trace_says_so() {
    let set = rules(&two_rules("when = \"mon-fri 09:00-18:00\""));
    let (friday, saturday) = (
        at("2026-03-06T10:12:00+08:00"),
        at("2026-03-07T10:12:00+08:00"),
    );
    assert_eq!(told(&set.plan(&bare(), friday)), [("oncall-chat", "one")]);
    let (plan, trace) = set.explain(&bare(), saturday);
    assert_eq!(told(&plan), [("product", "rest")]);
    let Finding::NotNow(condition) = &trace.rules[0].finding else {
        panic!("{trace:?}");
    };
    assert_eq!(
        (
            condition.key,
            condition.wanted.as_str(),
            condition.found.expose()
        ),
        ("when", "mon-fri 09:00-18:00", "Sat 10:12 in Asia/Shanghai")
    );
}

#[test]
fn trace_of_several_zones_names_each_once() {
    let when = "when = [\"sun 09:00-18:00\", \"sat\", \"02:00-02:10 Europe/Berlin\", \"02:11-02:12 +08:00\"]";
    let (_, trace) = rules(&two_rules(when)).explain(&bare(), AT);
    let Finding::NotNow(condition) = &trace.rules[0].finding else {
        panic!("{trace:?}");
    };
    assert_eq!(
        condition.wanted,
        "sun 09:00-18:00 or sat or 02:00-02:10 Europe/Berlin or 02:11-02:12 +08:00"
    );
    assert_eq!(
        condition.found.expose(),
        "Sun 02:10 in Asia/Shanghai, Sat 19:10 in Europe/Berlin, Sun 02:10 in +08"
    );
}

#[test]
fn failed_condition_is_named_before_the_time() {
    let set = rules(&two_rules("when = \"mon\"\nmatch = { app = \"shop\" }"));
    let (_, trace) = set.explain(&event(feedback()), AT);
    assert!(
        matches!(trace.rules[0].finding, Finding::Failed(_)),
        "{trace:?}"
    );
}

#[test]
fn time_counts_for_changes_of_status_too() {
    let change = event_of(Content::Updated(StatusChange::default()));
    for (when, rules_matched) in [("sun", 1), ("mon", 0)] {
        let set = rules(&two_rules(&format!(
            "when = \"{when}\"\nmatch = {{ event = \"updated\" }}"
        )));
        assert_eq!(set.plan(&change, AT).rules.len(), rules_matched, "{when}");
    }
}

#[test]
fn mistakes_are_reported_at_the_value() {
    const EXAMPLE: &str = "write days, times or both, like \"mon-fri 09:00-18:00\", \"sat,sun\" or \"22:00-08:00 Europe/Berlin\"";
    for (value, wanted) in [
        (
            "monday-fri",
            "there is no day \"monday\" (did you mean \"mon\"? EXAMPLE)",
        ),
        ("mon-", "there is no day \"\" (EXAMPLE)"),
        ("mon, tue", "there is no day \"\" (EXAMPLE)"),
        ("xyz 09:00-18:00", "there is no day \"xyz\" (EXAMPLE)"),
        ("周一", "there is no day \"周一\" (EXAMPLE)"),
        ("", "\"\" has neither days nor times (EXAMPLE)"),
        (
            "Europe/Berlin",
            "\"Europe/Berlin\" has neither days nor times (EXAMPLE)",
        ),
        ("UTC", "\"UTC\" has neither days nor times (EXAMPLE)"),
        (
            "mon 09:00-09:00",
            "\"09:00-09:00\" is empty: it ends when it starts (for the whole day, write only the days, or \"00:00-24:00\")",
        ),
        (
            "mon Europe/Berln",
            "there is no time zone \"Europe/Berln\" (did you mean \"Europe/Berlin\"? EXAMPLE)",
        ),
        (
            "mon 09:00-18:00 berlin",
            "there is no time zone \"berlin\" (did you mean \"Europe/Berlin\"? EXAMPLE)",
        ),
        (
            "mon 09:00-18:00 +8",
            "there is no time zone \"+8\" (EXAMPLE)",
        ),
        (
            "09:00-18:00 mon-fri",
            "\"mon-fri\" must be before the times (EXAMPLE)",
        ),
        (
            "mon UTC 09:00-18:00",
            "\"09:00-18:00\" is one word too many: the zone comes last (EXAMPLE)",
        ),
    ] {
        let wanted = wanted.replace("EXAMPLE", EXAMPLE);
        assert_eq!(
            errors_of(&format!("when = \"{value}\"")),
            [format!("E110 rules[0].when ‹\"{value}\"›: {wanted}")],
        );
    }
}

#[test]
fn wrong_times_are_refused() {
    for value in [
        "9:00-18:00",
        "09:00",
        "09:00-18:00-20:00",
        "09:60-10:00",
        "24:00-08:00",
        "00:00-24:01",
        "00:00-25:00",
        "09:00-0九:00",
    ] {
        let errors = errors_of(&format!("when = \"{value}\""));
        let wanted = format!(
            "E110 rules[0].when ‹\"{value}\"›: \"{value}\" is no window of two times from 00:00 to 24:00 (write days"
        );
        assert!(
            errors.len() == 1 && errors[0].starts_with(&wanted),
            "{errors:#?}"
        );
    }
}

#[test]
fn mistake_in_a_list_is_reported_at_its_element() {
    let errors = errors_of("when = [\"mon\", \"tus\"]");
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(
        errors[0].starts_with("E110 rules[0].when[1] ‹\"tus\"›: there is no day"),
        "{errors:#?}"
    );
    assert_eq!(
        errors_of("when = []"),
        [
            "E112 rules[0].when ‹[]›: an empty list never counts (remove `when`, and the rule always counts)"
        ]
    );
}

#[test]
fn pattern_of_the_schema_accepts_what_is_read() {
    let pattern = regex::Regex::new(PATTERN).unwrap();
    for accepted in EXAMPLES {
        assert!(pattern.is_match(accepted), "{accepted}");
        assert!(parse(accepted, &TimeZone::UTC).is_ok(), "{accepted}");
    }
    for accepted in [
        "fri Europe/Berlin",
        "MON,wed-fri",
        "22:00-24:00 +08:00",
        "sun 22:00-08:00 Etc/GMT+1",
    ] {
        assert!(pattern.is_match(accepted), "{accepted}");
        assert!(parse(accepted, &TimeZone::UTC).is_ok(), "{accepted}");
    }
    for refused in ["", "9:00-18:00", "mo", "mon 09:00", "09:00-18:00 18:00"] {
        assert!(!pattern.is_match(refused), "{refused}");
    }
}

/// Returns the end of the windows after a time, as it is in UTC.
fn end(windows: &[&str], time: &str) -> Option<String> {
    Some(hours(windows).end(at(time))?.to_string())
}

#[test]
fn hold_ends_with_its_window_or_the_windows_that_follow() {
    for (windows, time, ends) in [
        (
            &["22:00-08:00"][..],
            "2026-03-06T22:00:00+08:00",
            "2026-03-07T08:00:00+08:00",
        ),
        (
            &["22:00-08:00"],
            "2026-03-07T07:59:59+08:00",
            "2026-03-07T08:00:00+08:00",
        ),
        (
            &["fri 22:00-08:00"],
            "2026-03-07T01:00:00+08:00",
            "2026-03-07T08:00:00+08:00",
        ),
        (
            &["09:00-24:00"],
            "2026-03-06T12:00:00+08:00",
            "2026-03-07T00:00:00+08:00",
        ),
        // The weekend continues the Friday night, until Monday morning.
        (
            &["22:00-08:00", "sat,sun"],
            "2026-03-06T23:00:00+08:00",
            "2026-03-09T08:00:00+08:00",
        ),
        // Summer time begins: 02:30 does not exist, so the window ends an hour later by the clock.
        (
            &["22:00-02:30 Europe/Berlin"],
            "2026-03-29T01:00:00+01:00",
            "2026-03-29T03:30:00+02:00",
        ),
        (
            &["22:00-08:00 Europe/Berlin"],
            "2026-03-28T23:00:00+01:00",
            "2026-03-29T08:00:00+02:00",
        ),
        // Summer time ends: the first 02:30 ends the window, and the second one that of the second hour.
        (
            &["22:00-02:30 Europe/Berlin"],
            "2026-10-25T01:00:00+02:00",
            "2026-10-25T02:30:00+02:00",
        ),
        (
            &["22:00-02:30 Europe/Berlin"],
            "2026-10-25T02:10:00+01:00",
            "2026-10-25T02:30:00+01:00",
        ),
        (
            &["22:00-08:00 Europe/Berlin"],
            "2026-10-24T23:00:00+02:00",
            "2026-10-25T08:00:00+01:00",
        ),
    ] {
        assert_eq!(
            end(windows, time),
            Some(at(ends).to_string()),
            "{windows:?} {time}"
        );
    }
    assert_eq!(end(&["22:00-08:00"], "2026-03-06T08:00:00+08:00"), None);
    assert_eq!(end(&["mon-sun"], "2026-03-06T08:00:00+08:00"), None);
}

#[test]
fn hold_keeps_messages_to_chats_only_and_ends_with_the_first_rule() {
    let rules = "[[rules]]\nname = \"night\"\nsend_to = [\"product\", \"archive\"]\ncontinue = true\nhold = \"22:00-08:00\"\n\
                 [[rules]]\nname = \"evening\"\nsend_to = \"product\"\ncontinue = true\nhold = \"20:00-06:00\"\n\
                 [[rules]]\nname = \"now\"\nmatch = { type = \"fault\" }\nsend_to = \"product\"\n";
    let set = self::rules(rules);
    let held = |event: &Event, time| {
        let plan = set.plan(event, at(time));
        let held = plan.deliveries.iter().map(|one| {
            let until = one.held.as_ref().map(|held| held.until.to_string());
            (one.destination.to_string(), until)
        });
        held.collect::<Vec<_>>()
    };
    let wanted = |until: Option<&str>| {
        let until = until.map(|until| at(until).to_string());
        vec![("product".to_owned(), until), ("archive".to_owned(), None)]
    };
    let fault = event(feedback());
    let suggestion = event(Feedback {
        kind: Some(FeedbackKind::SUGGESTION),
        faults: Vec::new(),
        ..feedback()
    });
    let night = "2026-03-06T23:00:00+08:00";
    assert_eq!(
        held(&suggestion, night),
        wanted(Some("2026-03-07T06:00:00+08:00"))
    );
    assert_eq!(held(&fault, night), wanted(None), "one rule sends it now");
    assert_eq!(held(&suggestion, "2026-03-06T21:00:00+08:00"), wanted(None));
}

#[test]
fn hold_that_never_ends_or_holds_nothing_is_refused() {
    assert_eq!(
        errors_of("hold = \"mon-sun\""),
        [
            "E113 rules[0].hold ‹\"mon-sun\"›: the windows include the whole week, so held messages would never be sent (leave out some time of the week, or use `send_to = []`)"
        ]
    );
    assert_eq!(
        errors_of("hold = []"),
        ["E112 rules[0].hold ‹[]›: an empty list holds nothing (remove `hold`)"]
    );
}
