//! Arbitrary rules, applied to arbitrary events.

use feedback_relay::feishu::read_sample;
use feedback_relay::model::{AppName, DestinationName, Timestamp};
use feedback_relay::render::Templates;
use feedback_relay::rules::{Known, RawRule, RuleSet, Word};
use jiff::tz::TimeZone;

// The input: the rules, a NUL, the event.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (rules, event) = text.split_once('\0').unwrap_or((text, "{}"));
    let Some(rules) = RawRule::all_of(rules) else {
        return;
    };
    let known = Known {
        app_ids: vec![("order".to_owned(), "cli_1".to_owned())],
        apps: vec![AppName::from("shop")],
        destinations: vec![DestinationName::from("a"), DestinationName::from("b")],
        programs: vec![DestinationName::from("b")],
        mentions: vec!["sre".to_owned()],
        templates: Templates::names(),
        lists: [(
            "vip".to_owned(),
            vec![Word::Text("*acme*".to_owned()), Word::Whole(1)],
        )]
        .into(),
        timezone: None,
    };
    let set = RuleSet::build(&rules, &known).set;
    if let Ok(event) = read_sample(event, &AppName::from("shop"), &TimeZone::UTC) {
        let at = Timestamp::from_millis(1_772_302_200_000);
        let plan = set.plan(&event, at);
        assert_eq!(set.explain(&event, at).0, plan);
    }
}
