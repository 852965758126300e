use std::collections::BTreeMap;

use super::*;
use crate::model::{FaultKind, Feedback, FeedbackKind, IncidentNews, IncidentState};
use crate::rules::{Known, RawRule, RuleSet};

const AT: Timestamp = Timestamp::from_millis(1_772_302_200_000);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Faults go to a bot and to an app whose messages can be edited; everything goes to a program.
const RULES: &str = r#"
[[rules]]
name = "everything"
send_to = "warehouse"
continue = true
[[rules]]
name = "faults"
match = { type = "fault" }
send_to = ["bot", "app"]
[[rules]]
name = "suggestions"
match = { type = "suggestion" }
send_to = "product"
"#;

fn settings(rules: &str) -> Settings {
    let known = Known {
        destinations: ["bot", "app", "warehouse", "product", "phone"]
            .map(DestinationName::from)
            .into(),
        programs: vec!["warehouse".into()],
        mentions: vec!["sre".into()],
        ..Known::default()
    };
    let rules = RawRule::all_of(rules).unwrap();
    Settings {
        intake: intake::Settings {
            apps: BTreeMap::new(),
            rules: RuleSet::build(&rules, &known).set,
            known,
            singly: ["warehouse".into()].into(),
            wait: 3 * SECOND,
            wait_critical: SECOND,
            body_bytes_max: 1 << 20,
            ids_retain: 181 * 24 * HOUR,
        },
        editable: ["app".into()].into(),
    }
}

fn event(kind: FeedbackKind, faults: &[FaultKind]) -> Event {
    let feedback = Feedback {
        id: Some("1".into()),
        app_id: Some("cli_1".into()),
        kind: Some(kind),
        faults: faults.to_vec(),
        images: vec![Private::new("https://x/1")],
        ..Feedback::default()
    };
    Event {
        id: "e1".into(),
        via: "shop".into(),
        created_at: None,
        tenant_key: None,
        content: Content::Created(Box::new(feedback)),
    }
}

fn crash() -> Event {
    event(FeedbackKind::FAULT, &[FaultKind::CRASH])
}

fn crashes(times: u64, every: Duration) -> Repeated {
    Repeated {
        times,
        every,
        ..Repeated::once(crash())
    }
}

fn storm() -> Repeated {
    crashes(300, Duration::from_millis(200))
}

fn simulate(rules: &str, events: &[Repeated], lasts: Option<Duration>) -> Timeline {
    let scenario = Scenario {
        events,
        lasts,
        ..Scenario::default()
    };
    run(&settings(rules), AT, scenario).unwrap()
}

/// Returns a silence of the rule that sends faults.
fn silence(after: Duration, lasts: Duration) -> Muting {
    let target = SilenceTarget {
        rule: Some("faults".into()),
        ..SilenceTarget::default()
    };
    Muting {
        target,
        conditions: None,
        after,
        lasts,
    }
}

fn muted(events: &[Repeated], silences: &[Muting], lasts: Option<Duration>) -> Timeline {
    let scenario = Scenario {
        events,
        silences,
        lasts,
    };
    run(&settings(RULES), AT, scenario).unwrap()
}

fn counts(counts: &BTreeMap<&DestinationName, u64>) -> Vec<(String, u64)> {
    let counts = counts.iter();
    counts
        .map(|(name, count)| (name.to_string(), *count))
        .collect()
}

fn messages_to(timeline: &Timeline, destination: &str) -> u64 {
    let name = DestinationName::from(destination);
    timeline.messages().get(&name).copied().unwrap_or(0)
}

/// Returns each message of an incident to one destination: its time in seconds, its news and its count.
fn news(timeline: &Timeline, destination: &str) -> Vec<(u64, IncidentNews, u64)> {
    let sent = timeline.sent.iter();
    let sent = sent.filter(|one| one.destination.as_str() == destination && !one.is_edit);
    let news = sent.filter_map(|one| match one.about {
        About::Incident { news, reports, .. } => Some((one.after.as_secs(), news, reports)),
        About::Report(_) | About::Summary { .. } => None,
    });
    news.collect()
}

#[test]
fn storm_up_to_its_last_event_is_five_messages_and_one() {
    let suggestion = Repeated {
        after: 10 * SECOND,
        ..Repeated::once(event(FeedbackKind::SUGGESTION, &[]))
    };
    let events = [storm(), suggestion];
    let timeline = simulate(RULES, &events, Some(storm().last()));
    let messages = counts(&timeline.messages());
    let expected = [("app", 6), ("bot", 6), ("product", 1), ("warehouse", 301)];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(messages, expected);
    assert_eq!((timeline.events, timeline.incidents.len()), (301, 1));
    let incident = &timeline.incidents[0];
    assert_eq!(incident.progress.count, 300);
    assert_eq!(news(&timeline, "bot"), [(1, IncidentNews::Opened, 6)]);
    // 5 s apart in a young incident.
    assert_eq!(counts(&timeline.edits()), [("app".to_owned(), 11)]);
    let rules: Vec<&str> = timeline.rules.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(rules, ["everything", "faults", "suggestions"]);
}

#[test]
fn simulation_without_end_runs_until_the_last_word() {
    let timeline = simulate(RULES, &[storm()], None);
    let expected = [
        (1, IncidentNews::Opened, 6),
        (301, IncidentNews::Digest, 300),
        (59 + 1800, IncidentNews::Quiet, 300),
    ];
    assert_eq!(news(&timeline, "bot"), expected);
    assert_eq!(timeline.incidents[0].progress.state, IncidentState::Quiet);
    let last = timeline.sent.last().unwrap();
    assert_eq!(last.after, storm().last() + 30 * MINUTE);
    let app = news(&timeline, "app");
    assert_eq!(app, [expected[0], expected[2]], "edits replace the digest");
}

#[test]
fn escalation_and_repeat_ping_at_their_times() {
    let rules = r#"
[[rules]]
name = "faults"
send_to = "bot"
group_by = "app"
repeat_after = "1h"
resolve_after = "2h"
escalate = [{ count = 20, mention = "all" }, { after = "15m", send_to = "phone", mention = "sre" }]
"#;
    let timeline = simulate(rules, &[crashes(100, MINUTE)], None);
    let found = news(&timeline, "bot");
    let pings: Vec<_> = found
        .iter()
        .filter(|(_, news, _)| !matches!(news, IncidentNews::Digest | IncidentNews::Opened))
        .map(|(at, news, _)| (*at, *news))
        .collect();
    let expected = [
        (15 * 60, IncidentNews::Overdue),
        (19 * 60, IncidentNews::Threshold),
        (79 * 60, IncidentNews::Repeat),
        (99 * 60 + 7200, IncidentNews::Quiet),
    ];
    let without_later_repeat: Vec<_> = pings
        .into_iter()
        .filter(|(at, news)| *news != IncidentNews::Repeat || *at < 100 * 60)
        .collect();
    assert_eq!(without_later_repeat, expected);
    assert_eq!(news(&timeline, "phone"), [(900, IncidentNews::Overdue, 15)]);
    let threshold = timeline.sent.iter().find(
        |one| matches!(one.about, About::Incident { news, .. } if news == IncidentNews::Threshold),
    );
    assert_eq!(threshold.unwrap().mentions, ["all"]);
}

#[test]
fn rule_with_hours_is_judged_at_the_time_of_each_event() {
    let rules = r#"
[[rules]]
name = "by day"
when = "09:00-18:00"
send_to = "bot"
group_by = []
[[rules]]
name = "by night"
send_to = "app"
group_by = []
"#;
    // The start is 18:10 in UTC, so the night has 14 h 50 min and the day begins then.
    let timeline = simulate(rules, &[crashes(24, HOUR)], Some(24 * HOUR));
    let expected = [("app".to_owned(), 15), ("bot".to_owned(), 9)];
    assert_eq!(counts(&timeline.messages()), expected);
}

#[test]
fn trickle_ends_after_a_day_and_continues_in_a_linked_incident() {
    let timeline = simulate(RULES, &[crashes(100, 20 * MINUTE)], None);
    let states: Vec<_> = timeline
        .incidents
        .iter()
        .map(|one| one.progress.state)
        .collect();
    assert_eq!(states, [IncidentState::Continued, IncidentState::Quiet]);
    assert_eq!(
        timeline.incidents[1].previous,
        Some(timeline.incidents[0].id)
    );
}

#[test]
fn timeline_has_one_line_for_equal_messages_in_a_row() {
    let timeline = simulate(RULES, &[storm()], Some(10 * SECOND));
    let bot = "bot".into();
    let stretches = timeline.stretches(Some(&bot));
    let found: Vec<_> = stretches
        .iter()
        .map(|one| (one.count, one.first.about.clone(), one.last.after))
        .collect();
    let opened = About::Incident {
        id: timeline.incidents[0].id,
        news: IncidentNews::Opened,
        reports: 6,
    };
    let millis = Duration::from_millis;
    assert_eq!(
        found,
        [
            (5, About::Report(1), millis(800)),
            (1, opened, millis(1000))
        ]
    );
    let all = timeline.stretches(None);
    let edits = all.iter().filter(|one| one.first.is_edit);
    assert_eq!(edits.map(|one| one.count).collect::<Vec<_>>(), [1]);
    assert!(all.is_sorted_by_key(|one| one.first.after));
}

#[test]
fn events_after_the_end_do_not_happen_and_order_follows_time() {
    let late = Repeated {
        after: HOUR,
        ..Repeated::once(crash())
    };
    let first = Repeated::once(event(FeedbackKind::SUGGESTION, &[]));
    let timeline = simulate(RULES, &[late.clone(), first], Some(MINUTE));
    assert_eq!(timeline.events, 1);
    let sent: Vec<_> = timeline
        .sent
        .iter()
        .map(|one| one.destination.as_str())
        .collect();
    assert_eq!(sent, ["product", "warehouse"]);
    assert_eq!(late.last(), HOUR);
}

#[test]
fn simulation_gives_the_same_result_each_time() {
    let run = || simulate(RULES, &[storm()], None);
    let (one, other) = (run(), run());
    assert_eq!(one.sent, other.sent);
    assert_eq!(one.incidents, other.incidents);
}

/// Suggestions are held at night, in UTC. The start is 18:10.
const NIGHT: &str = r#"
[[rules]]
name = "everything"
send_to = "warehouse"
continue = true
[[rules]]
name = "suggestions"
match = { type = "suggestion" }
hold = "18:00-06:00"
send_to = "product"
[[rules]]
name = "faults"
match = { type = "fault" }
hold = "18:00-06:00"
send_to = "bot"
"#;

/// From the start until the window ends.
const UNTIL_MORNING: Duration = Duration::from_secs(11 * 3600 + 50 * 60);

fn suggestions(times: u64) -> Repeated {
    Repeated {
        times,
        every: MINUTE,
        ..Repeated::once(event(FeedbackKind::SUGGESTION, &[]))
    }
}

#[test]
fn held_reports_are_one_summary_at_the_window_end() {
    let timeline = simulate(NIGHT, &[suggestions(37)], None);
    let product = "product".into();
    let [summary] = timeline.stretches(Some(&product)).try_into().unwrap();
    assert_eq!(summary.first.after, UNTIL_MORNING);
    let about = About::Summary {
        reports: 37,
        hours: Some("18:00-06:00".into()),
    };
    assert_eq!((summary.count, summary.first.about), (1, about));
    let warehouse = messages_to(&timeline, "warehouse");
    assert_eq!(warehouse, 37, "programs get every event at once");
    assert!(timeline.held.is_empty());
}

#[test]
fn single_held_report_is_sent_alone() {
    let timeline = simulate(NIGHT, &[suggestions(1)], None);
    let sent = timeline.sent.last().unwrap();
    assert_eq!((sent.after, sent.was_held), (UNTIL_MORNING, true));
    assert_eq!(sent.about, About::Report(1));
    assert!(!timeline.sent[0].was_held);
}

#[test]
fn messages_after_the_end_are_still_held() {
    let before = UNTIL_MORNING - SECOND;
    let timeline = simulate(NIGHT, &[suggestions(2)], Some(before));
    assert_eq!(
        timeline.held["product"],
        Held {
            messages: 2,
            until: AT + UNTIL_MORNING
        }
    );
    let at_the_end = simulate(NIGHT, &[suggestions(2)], Some(UNTIL_MORNING));
    assert!(at_the_end.held.is_empty());
    assert_eq!(messages_to(&at_the_end, "product"), 1);
}

#[test]
fn held_storm_is_one_message_of_its_incident() {
    let timeline = simulate(NIGHT, &[storm()], None);
    let bot = "bot".into();
    let stretches = timeline.stretches(Some(&bot));
    let [one] = stretches.as_slice() else {
        panic!("{stretches:?}")
    };
    assert_eq!((one.count, one.first.after), (1, UNTIL_MORNING));
    assert!(one.first.was_held);
    let About::Incident { reports, .. } = one.first.about else {
        panic!("{one:?}")
    };
    assert_eq!(reports, 300);
}

#[test]
fn silence_mutes_reports_until_it_ends() {
    let minute = crashes(60, SECOND);
    let silences = [silence(Duration::ZERO, 30 * SECOND)];
    let timeline = muted(&[minute], &silences, Some(MINUTE));
    let first = timeline
        .sent
        .iter()
        .find(|one| one.destination.as_str() == "bot");
    assert_eq!(first.unwrap().after, 30 * SECOND);
    assert_eq!(timeline.suppressed, 30);
    let silence = &timeline.silences[0];
    assert_eq!((silence.reports, silence.messages), (30, 60));
    let warehouse = messages_to(&timeline, "warehouse");
    assert_eq!(warehouse, 60, "another rule's messages are not muted");
}

#[test]
fn incident_says_after_the_silence_what_was_muted() {
    let minute = crashes(300, SECOND);
    let silences = [silence(20 * SECOND, MINUTE)];
    let timeline = muted(&[minute], &silences, Some(5 * MINUTE));
    let bot = news(&timeline, "bot");
    let unmuted: Vec<_> = bot
        .iter()
        .filter(|(_, news, _)| *news == IncidentNews::Unmuted)
        .collect();
    assert_eq!(unmuted, [&(80, IncidentNews::Unmuted, 80)]);
    assert_eq!(timeline.suppressed, 60);
}

#[test]
fn silence_with_conditions_mutes_only_matching_reports() {
    let known = settings(RULES).intake.known;
    let conditional = Muting {
        target: SilenceTarget {
            rule: None,
            conditions: vec!["type = \"suggestion\"".into()],
            incident: None,
        },
        conditions: Filter::read(&["type = \"suggestion\""], &known).ok(),
        ..silence(Duration::ZERO, MINUTE)
    };
    let events = [crashes(3, SECOND), suggestions(2)];
    let timeline = muted(&events, &[conditional], Some(2 * MINUTE));
    let messages = counts(&timeline.messages());
    let expected = [("app", 3), ("bot", 3), ("product", 1), ("warehouse", 5)];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(messages, expected);
    assert_eq!(timeline.suppressed, 1);
}

#[test]
fn silence_mutes_messages_that_are_held() {
    let silences = [silence(HOUR, HOUR)];
    let scenario = Scenario {
        events: &[crashes(2, SECOND), suggestions(2)],
        silences: &silences,
        lasts: None,
    };
    let timeline = run(&settings(NIGHT), AT, scenario).unwrap();
    assert_eq!(messages_to(&timeline, "bot"), 0, "{:?}", timeline.sent);
    assert_eq!(messages_to(&timeline, "product"), 1);
    assert_eq!(timeline.suppressed, 2);
}

#[test]
fn rules_see_the_images_of_reports() {
    let rules = r#"
[[rules]]
name = "with images"
match = { images = true }
send_to = "product"
[[rules]]
name = "rest"
send_to = "bot"
"#;
    let timeline = simulate(rules, &[Repeated::once(crash())], None);
    let expected = [("product".to_owned(), 1)];
    assert_eq!(counts(&timeline.messages()), expected);
}
