//! Rules are built from TOML, as the configuration builds them.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{
    Content, EventId, EventState, FaultKind, Feedback, FeedbackKind, FeedbackStatus, Finding,
    Notice, NoticeKind, OddCodes, Private, Severity, SourceKind, StatusChange,
};

mod digests;
mod filter;
mod grouping;
mod hours;
mod lints;
mod lists;
mod merging;
mod sets;
mod updated;

/// Sunday, 2026-03-01 02:10 in Shanghai, when the events are received.
const AT: Timestamp = Timestamp::from_millis(1_772_302_200_000);

fn known() -> Known {
    let names = |all: &[&str]| all.iter().map(|&name| name.to_owned()).collect();
    Known {
        app_ids: vec![
            ("shop".into(), "cli_shop".into()),
            ("order".into(), "cli_order1".into()),
            ("order".into(), "cli_order2".into()),
            ("cli_tool".into(), "cli_order2".into()),
        ],
        apps: vec!["shop".into(), "desk".into()],
        destinations: ["oncall-chat", "product", "archive"]
            .map(DestinationName::from)
            .into(),
        programs: vec!["archive".into()],
        mentions: names(&["sre"]),
        templates: names(&["alert", "suggestion", "plain", "status"]),
        lists: [
            ("vip", vec![text("*acme*"), text("*globex*")]),
            ("screens", vec![text("white_screen"), Word::Whole(1)]),
            ("bad", vec![text("balck_screen")]),
            ("at", vec![text("@ops*")]),
        ]
        .map(|(name, words)| (name.to_owned(), words))
        .into(),
        timezone: TimeZone::get("Asia/Shanghai").ok(),
    }
}

fn text(word: &str) -> Word {
    Word::Text(word.to_owned())
}

fn build(text: &str) -> (RuleSet, Vec<Diagnostic>) {
    let rules = RawRule::all_of(text).unwrap();
    let built = RuleSet::build(&rules, &known());
    (built.set, built.diagnostics)
}

/// Returns rules without errors; warnings are ignored.
fn rules(text: &str) -> RuleSet {
    let (rules, diagnostics) = build(text);
    let errors = diagnostics.iter().filter(|one| one.level == Level::Error);
    assert_eq!(errors.count(), 0, "{diagnostics:#?}");
    rules
}

/// Returns each diagnostic as `code path ‹spanned text›: message (help)`.
fn complaints(text: &str) -> Vec<String> {
    let line = |one: Diagnostic| {
        let at = one
            .place
            .span
            .map_or("", |span| text.get(span).unwrap())
            .replace('\n', "⏎");
        let help = one
            .help
            .map(|help| format!(" ({help})"))
            .unwrap_or_default();
        format!(
            "{} {} ‹{at}›: {}{help}",
            one.code, one.place.path, one.message
        )
    };
    let mut found = build(text).1;
    found.sort_by_key(|one| one.place.span.as_ref().map(|span| span.start));
    found.into_iter().map(line).collect()
}

/// Returns the errors of one rule that contains this line.
fn errors_of(line: &str) -> Vec<String> {
    let text = format!("[[rules]]\nname = \"one\"\nsend_to = []\n{line}\n");
    let complaints = complaints(&text);
    complaints
        .into_iter()
        .filter(|one| one.starts_with('E'))
        .collect()
}

fn feedback() -> Feedback {
    Feedback {
        id: Some("7057888018203574291".into()),
        app_id: Some("cli_order2".into()),
        kind: Some(FeedbackKind::FAULT),
        faults: vec![FaultKind::WHITE_SCREEN, FaultKind(42)],
        source: Some(SourceKind::MINI_PROGRAM),
        description: Some(Private::new("支付 page is blank since v2.1")),
        contact: Some(Private::new("li@example.com")),
        path: Some(Private::new("pages/pay/Index?id=42&from=list")),
        tenant_name: Some(Private::new("Acme Internal 测试")),
        user: crate::model::UserIds {
            open_id: Some(Private::new("ou_1")),
            union_id: Some(Private::new("on_1")),
            user_id: Some(Private::new("e33ggbyz")),
        },
        images: vec![Private::new("https://example.com/1")],
        ..Feedback::default()
    }
}

fn event_of(content: Content) -> Event {
    Event {
        id: EventId::from("evt"),
        via: "shop".into(),
        created_at: None,
        tenant_key: Some("tk_1".into()),
        content,
    }
}

fn event(feedback: Feedback) -> Event {
    event_of(Content::Created(Box::new(feedback)))
}

/// Returns an event that has only the app that received it.
fn bare() -> Event {
    Event {
        tenant_key: None,
        ..event(Feedback::default())
    }
}

fn told(plan: &Plan) -> Vec<(&str, &str)> {
    plan.deliveries
        .iter()
        .map(|one| (one.destination.as_str(), one.spec.rule.as_str()))
        .collect()
}

/// Returns a change of status of two feedbacks.
fn updated() -> Event {
    event_of(Content::Updated(StatusChange {
        feedback_ids: vec!["7057888018203574291".into(), "7057888018203574292".into()],
        app_id: Some("cli_order2".into()),
        status: Some(FeedbackStatus::CLOSED),
        operator: crate::model::UserIds {
            open_id: Some(Private::new("ou_1")),
            ..Default::default()
        },
        ..StatusChange::default()
    }))
}

/// For each key: a value that matches `feedback()`, and one that does not.
const CONDITIONS: &[(&str, &str, &str)] = &[
    ("event", "\"created\"", "\"updated\""),
    ("event", "[\"updated\", \"created\"]", "[\"updated\"]"),
    ("app", "\"order\"", "\"shop\""),
    ("app", "[\"shop\", \"cli_order2\"]", "\"cli_other\""),
    // A name may look like an id.
    ("app", "\"cli_tool\"", "\"cli_shop\""),
    ("via", "\"shop\"", "\"desk\""),
    ("type", "\"fault\"", "\"suggestion\""),
    ("type", "1", "[2, 3]"),
    ("fault", "[\"crash\", \"white_screen\"]", "\"crash\""),
    ("fault", "42", "[43, \"other\"]"),
    ("source", "\"mini_program\"", "[\"bot\", 9]"),
    ("tenant", "\"*internal*\"", "\"internal*\""),
    ("path", "\"pages/*\"", "\"pages\""),
    ("path", "\"*/INDEX\"", "\"pages/?\""),
    // `path` does not include the query.
    ("path", "\"pages/pay/index\"", "\"*id=42*\""),
    ("query", "\"ID=4?&*\"", "\"id=42\""),
    ("tenant_key", "\"tk_1\"", "\"TK_1\""),
    ("description", "\"支付|付款\"", "\"^page\""),
    ("description", "'v\\d+\\.\\d+$'", "'(?i)LATER'"),
    ("contact", "true", "false"),
    (
        "contact",
        "\"*@Example.com\"",
        "[\"*@big.example\", \"li\"]",
    ),
    ("images", "true", "false"),
    ("user", "[\"ou_0\", \"ou_1\"]", "\"ou_2\""),
    ("user", "\"on_1\"", "\"on_2\""),
    ("user", "\"e33ggbyz\"", "\"E33GGBYZ\""),
    ("tenant", "\"@vip\"", "\"@at\""),
    (
        "any",
        "[{ type = 2 }, { fault = 2, path = \"pages/*\" }]",
        "[{ type = 2 }, { fault = 2, path = \"tabs/*\" }]",
    ),
    ("any", "{ type = 1 }", "{ type = 1, any = { fault = 7 } }"),
];

#[test]
fn every_key_of_match_and_except_works_both_ways() {
    let event = event(feedback());
    for (key, holds, fails) in CONDITIONS {
        for (wanted, expected) in [(holds, true), (fails, false)] {
            let rule = |place: &str| {
                format!(
                    "[[rules]]\nname = \"one\"\nsend_to = \"product\"\n{place}.{key} = {wanted}\n"
                )
            };
            let (matched, trace) = rules(&rule("match")).explain(&event, AT);
            assert_eq!(
                !matched.deliveries.is_empty(),
                expected,
                "match.{key} = {wanted}: {trace:?}"
            );
            let (excepted, trace) = rules(&rule("except")).explain(&event, AT);
            assert_eq!(
                excepted.deliveries.is_empty(),
                expected,
                "except.{key} = {wanted}: {trace:?}"
            );
        }
    }
    let all = CONDITIONS.iter().chain(updated::OF_UPDATED);
    let covered: Vec<&str> = all.map(|(key, ..)| *key).collect();
    assert!(
        conditions::names().iter().all(|key| covered.contains(key)),
        "a key is not tried"
    );
}

#[test]
fn what_is_absent_never_matches() {
    for (key, holds, _) in CONDITIONS {
        if matches!(*key, "via" | "event") {
            continue; // every event has these
        }
        let text = format!("[[rules]]\nname = \"one\"\nsend_to = []\nmatch.{key} = {holds}\n");
        assert_eq!(
            rules(&text).plan(&bare(), AT).state,
            EventState::Unrouted,
            "{key}"
        );
        let text = text.replace("match", "except");
        assert_eq!(
            rules(&text).plan(&bare(), AT).state,
            EventState::Routed,
            "{key}"
        );
    }
    for key in ["contact", "images"] {
        let text = format!("[[rules]]\nname = \"one\"\nsend_to = []\nmatch.{key} = false\n");
        assert_eq!(
            rules(&text).plan(&bare(), AT).state,
            EventState::Routed,
            "{key}"
        );
    }
    let mut empty = feedback();
    empty.contact = Some(Private::new(""));
    let set = rules("[[rules]]\nname = \"one\"\nsend_to = []\nmatch.contact = false\n");
    assert_eq!(set.plan(&event(empty), AT).state, EventState::Routed);
}

#[test]
fn the_first_match_ends_unless_it_continues() {
    let set = rules(
        r#"
        [[rules]]
        name = "all"
        send_to = "archive"
        continue = true
        [[rules]]
        name = "suggestions"
        match = { type = "suggestion" }
        send_to = "product"
        [[rules]]
        name = "pay"
        match = { path = "pages/pay/*", type = "fault" }
        except = { tenant = "Acme*", user = "ou_9" }
        send_to = "product"
        [[rules]]
        name = "faults"
        match.type = "fault"
        send_to = ["oncall-chat", "archive"]
        [[rules]]
        name = "rest"
        send_to = "product"
        "#,
    );
    let (plan, trace) = set.explain(&event(feedback()), AT);
    assert_eq!(plan.state, EventState::Routed);
    assert_eq!(
        told(&plan),
        [("archive", "faults"), ("oncall-chat", "faults")]
    );
    let findings: Vec<_> = trace.rules.iter().map(|one| &one.finding).collect();
    let [all, suggestions, pay, faults, rest] = findings[..] else {
        panic!("five rules, five findings: {trace:?}");
    };
    assert_eq!(*all, Finding::Matched { last: false });
    let Finding::Failed(failed) = suggestions else {
        panic!("{suggestions:?}");
    };
    assert_eq!(
        (failed.key, failed.wanted.as_str()),
        ("type", "\"suggestion\"")
    );
    assert_eq!(failed.found.expose(), "fault");
    let Finding::Excepted(excepted) = pay else {
        panic!("{pay:?}");
    };
    assert_eq!(
        (excepted.key, excepted.wanted.as_str()),
        ("tenant", "\"Acme*\"")
    );
    assert_eq!(excepted.found.expose(), "Acme Internal 测试");
    assert_eq!(*faults, Finding::Matched { last: true });
    assert_eq!(*rest, Finding::NotReached);
}

#[test]
fn finding_shows_codes_that_have_no_name() {
    let huge = "18446744073709551615".to_owned();
    let unnamed = Feedback {
        kind: Some(FeedbackKind(7)),
        faults: vec![FaultKind(42)],
        source: Some(SourceKind(9)),
        ..feedback()
    };
    let odd = Feedback {
        kind: None,
        source: None,
        odd: OddCodes {
            kind: Some(huge.clone()),
            faults: vec![huge.clone()],
            source: Some(huge.clone()),
        },
        ..unnamed.clone()
    };
    let both = format!("42, {huge}");
    for (condition, of_unnamed, of_odd) in [
        ("type = \"fault\"", "7", &huge),
        ("fault = \"crash\"", "42", &both),
        ("source = \"bot\"", "9", &huge),
    ] {
        let set = rules(&format!(
            "[[rules]]\nname = \"one\"\nsend_to = \"archive\"\nmatch.{condition}\n"
        ));
        for (report, shown) in [(&unnamed, of_unnamed), (&odd, of_odd)] {
            let (_, trace) = set.explain(&event(report.clone()), AT);
            let Finding::Failed(failed) = &trace.rules[0].finding else {
                panic!("{trace:?}");
            };
            assert_eq!(failed.found.expose(), shown, "{condition}");
        }
    }
}

#[test]
fn event_without_final_match_is_unrouted() {
    assert_eq!(
        RuleSet::default().plan(&bare(), AT).state,
        EventState::Unrouted
    );
    let set = rules("[[rules]]\nname = \"all\"\nsend_to = \"archive\"\ncontinue = true\n");
    let plan = set.plan(&bare(), AT);
    assert_eq!(
        (plan.state, told(&plan)),
        (EventState::Unrouted, vec![("archive", "all")])
    );
}

#[test]
fn severity_and_template_follow_the_type() {
    let set = rules("[[rules]]\nname = \"all\"\nsend_to = \"product\"\n");
    for (kind, faults, severity, template) in [
        (
            Some(FeedbackKind::FAULT),
            vec![],
            Severity::Warning,
            "alert",
        ),
        (None, vec![FaultKind::CRASH], Severity::Warning, "alert"),
        (
            Some(FeedbackKind::SUGGESTION),
            vec![FaultKind::CRASH],
            Severity::Info,
            "suggestion",
        ),
        (Some(FeedbackKind(7)), vec![], Severity::Info, "plain"),
        (None, vec![], Severity::Info, "plain"),
    ] {
        let feedback = Feedback {
            kind,
            faults,
            ..Feedback::default()
        };
        let plan = set.plan(&event(feedback), AT);
        let spec = &plan.deliveries[0].spec;
        assert_eq!(
            (spec.severity, spec.template.as_str()),
            (severity, template),
            "{kind:?}"
        );
    }
}

#[test]
fn notices_are_noted_and_told_to_nobody() {
    let set = rules(
        "[[rules]]\nname = \"all\"\nsend_to = \"product\"\nmatch.event = [\"created\", \"updated\"]\n",
    );
    let notice = Notice {
        kind: NoticeKind::DeliveryDead,
        subject: String::new(),
        text: String::new(),
    };
    let (plan, trace) = set.explain(&event_of(Content::Notice(notice)), AT);
    assert_eq!((plan.state, plan.deliveries), (EventState::Noted, vec![]));
    assert_eq!(trace.rules[0].finding, Finding::NotReached);
}

#[test]
fn every_mistake_of_a_rule_is_named_at_once() {
    let found = complaints(
        r#"
[[rules]]
name = "blank screen"
fault_type = 2
match = { type = "crash", feedback_path = "pages/*", fault = ["balck_screen", "3", true], app = "shp", via = "shop2", event = ["updatd", 2, "closed"], status = ["close", "2", "fault", -1, "updated"] }
except = { event_type = "x", description = "(", path = "[a", user = "li@example.com", contact = 1, source = -1, tenant = [], severity = "info" }
send_to = ["oncal-chat", "product", 3]
continue = "yes"
severity = "urgent"
template = "alrt"
mention = ["sre", "sree"]
labels = { team = 3 }
wait = "5"
group_by = "aap"
hold = "nights"
sendto = "x"
"#,
    );
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn a_rule_needs_a_name_of_its_own_and_a_destination() {
    let found = complaints(
        "[[rules]]\n[[rules]]\nname = \"a\"\nsend_to = []\ncontinue = true\n[[rules]]\nname = \"a\"\nsend_to = []\n",
    );
    assert_eq!(
        found,
        [
            "E009 rules[0] ‹[[rules]]›: the rule has no `name`",
            "E009 rules[0] ‹[[rules]]›: the rule has no `send_to` (with `send_to = []` matched events go nowhere)",
            "E104 rules[2].name ‹\"a\"›: rules[1] is called \"a\" too (names identify rules in the store and in templates)",
        ]
    );
}

#[test]
fn limits_are_kept() {
    let many = format!("match.fault = {:?}", vec![1; 1001]);
    let long_pattern = format!("match.path = {:?}", "x".repeat(1001));
    let long_name = format!("mention = {:?}", "x".repeat(201));
    let labels = (0..51)
        .map(|n| format!("labels.l{n} = \"x\"\n"))
        .collect::<String>();
    for (line, code) in [
        (many.as_str(), "E113"),
        (long_pattern.as_str(), "E113"),
        (long_name.as_str(), "E113"),
        (labels.as_str(), "E113"),
        ("match.fault = 2147483648", "E113"),
        ("match.fault = 99999999999999999999", "E007"),
        ("match.fault = 1.5", "E007"),
        ("wait = \"61m\"", "E113"),
        ("wait = \"99999999999999999999s\"", "E008"),
        ("match.description = '(\\w{100}){100}'", "E111"),
    ] {
        let found = errors_of(line);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with(code), "{line}: {found:?}");
    }
    for line in [
        "wait = \"60m\"",
        "wait = \"0s\"",
        "match.fault = 2147483647",
    ] {
        assert_eq!(errors_of(line), [""; 0], "{line}");
    }
}

#[test]
fn globs_know_characters_not_bytes_and_cross_slashes() {
    for (glob, path, holds) in [
        ("??科技", "北京科技", true),
        ("?科技", "北京科技", false),
        ("[北南]京*", "南京科技", true),
        ("[!北]京*", "北京科技", false),
        ("ÉCOLE*", "école 1", true),
        ("pages/*", "pages/a/b", true),
        ("pages/**/b", "pages/a/x/b", true),
        ("{pages,tabs}/*", "tabs/a", true),
        ("https://*/pay", "https://a.example/pay?id=1", true),
        ("one*two", "one\nand\ntwo", true),
        ("*.md", "a/.md", true),
        ("a.", "a.", true),
        ("a.", "ab", false),
        ("pages/**/b", "pages/b", true),
        ("**/b", "b", true),
        ("**/b", "ab", false),
        ("a**b", "a/b", true),
        ("[a-c]x", "Bx", true),
        ("[]-]x", "-x", true),
        ("[a&&b~~]", "~", true),
        ("[\\d]", "1", false),
        ("\\*", "*", true),
        ("\\*", "x", false),
        ("{a,{b,c}d}e", "CDe", true),
        ("a,b", "a,b", true),
        ("", "", false),
    ] {
        let text = format!("[[rules]]\nname = \"one\"\nsend_to = []\nmatch.path = {glob:?}\n");
        let feedback = Feedback {
            path: Some(Private::new(path)),
            ..Feedback::default()
        };
        let state = build(&text).0.plan(&event(feedback), AT).state;
        assert_eq!(state == EventState::Routed, holds, "{glob} {path:?}");
    }
}

#[test]
fn a_rule_is_read_from_the_spanned_tree_as_well() {
    let text = "[[rules]]\nname = \"one\"\nsend_to = \"prodct\"\n";
    let rules = RawRule::all_of(text).unwrap();
    let diagnostics = RuleSet::build(&rules, &known()).diagnostics;
    assert_eq!(diagnostics[0].place.path, "rules[0].send_to");
    let span = diagnostics[0].place.span.clone().unwrap();
    assert_eq!(text.get(span), Some("\"prodct\""));
}

#[test]
fn date_is_one_mistake_among_others() {
    let text = "[[rules]]\nname = 2026-03-01\nwait = 2024-01-01\nsevrity = 1\nsend_to = [\"prodct\", 07:32:00]\nmatch.fault = 2024-01-01\n";
    assert_eq!(
        complaints(text),
        [
            "E007 rules[0].name ‹2026-03-01›: expected a string, found a date",
            "E007 rules[0].wait ‹2024-01-01›: expected a duration like \"90s\", found a date",
            "E005 rules[0].sevrity ‹sevrity›: unknown key `sevrity` (did you mean `severity`?)",
            "E105 rules[0].send_to[0] ‹\"prodct\"›: there is no destination \"prodct\" (did you mean \"product\"?)",
            "E007 rules[0].send_to[1] ‹07:32:00›: expected a string, found a date",
            "E007 rules[0].match.fault ‹2024-01-01›: expected a name or a number, found a date",
        ]
    );
}

#[test]
fn a_rule_with_an_error_is_left_out_and_the_others_stay() {
    let (set, _) = build(
        "[[rules]]\nname = \"a\"\nsend_to = \"nowhere\"\n[[rules]]\nname = \"b\"\nsend_to = \"product\"\n",
    );
    assert_eq!(told(&set.plan(&bare(), AT)), [("product", "b")]);
}

#[test]
fn single_value_is_a_list_and_design_example_is_valid() {
    let set = rules(
        r#"
        [[rules]]
        name = "blank screen"
        match = { type = "fault", source = "mini_program", fault = ["black_screen", "white_screen", "crash"] }
        except = { path = "pages/debug/*" }
        send_to = ["oncall-chat", "product"]
        severity = "critical"
        template = "alert"
        mention = "sre"
        labels = { team = "checkout" }
        wait = "500ms"
        "#,
    );
    let plan = set.plan(&event(feedback()), AT);
    assert_eq!(plan.deliveries.len(), 2);
    assert_eq!(plan.deliveries[1].spec.mentions, ["sre"]);
}

#[test]
fn the_documented_file_shows_every_key() {
    let text = include_str!("../../docs/relay.full.toml");
    let file: toml::Table = toml::from_str(text).unwrap();
    let rules = file["rules"].as_array().unwrap();
    let written = |table: &toml::Value| -> Vec<String> {
        let table = table.as_table().unwrap();
        table.keys().cloned().collect()
    };
    let keys: Vec<String> = rules.iter().flat_map(written).collect();
    let places = ["match", "except"];
    let inside = rules
        .iter()
        .flat_map(|rule| places.iter().filter_map(|place| rule.get(place)));
    let conditions: Vec<String> = inside.flat_map(written).collect();
    for key in crate::toml_reader::names::<read::RawKeys>() {
        assert!(keys.iter().any(|one| one == key), "{key}");
    }
    for key in conditions::names() {
        assert!(
            conditions.iter().any(|one| one == key),
            "{key} in conditions"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_glob_without_signs_is_itself_and_no_glob_panics(glob in "[a中/*?\\[\\]{},!\\\\^&~.-]{0,12}", text in "[aA中/.]{0,6}") {
        let compiled = matcher::Glob::new(&glob);
        if !glob.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            prop_assert_eq!(compiled.as_ref().unwrap().is_match(&text), glob.eq_ignore_ascii_case(&text));
        }
        let matches = compiled.map(|one| one.is_match(&text));
        prop_assert_eq!(matches, glob::compile(&glob).map(|regex| regex.is_match(&text)));
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![any_created(), any_updated()]
}

prop_compose! {
    fn any_updated()(
        app in prop::option::of("cli_(shop|order1|x)"),
        status in prop::option::of(0..5_i64),
        ids in prop::collection::vec("[0-9]{1,4}", 0..3),
    ) -> Event {
        event_of(Content::Updated(StatusChange {
            feedback_ids: ids,
            app_id: app,
            status: status.map(FeedbackStatus),
            ..StatusChange::default()
        }))
    }
}

prop_compose! {
    fn any_created()(
        app in prop::option::of("cli_(shop|order1|x)"),
        kind in prop::option::of(0..4_i64),
        faults in prop::collection::vec(0..10_i64, 0..3),
        path in prop::option::of("pages/.{0,6}"),
        tenant in prop::option::of(".{0,8}"),
    ) -> Event {
        event(Feedback {
            app_id: app,
            kind: kind.map(FeedbackKind),
            faults: faults.into_iter().map(FaultKind).collect(),
            path: path.map(Private::new),
            tenant_name: tenant.map(Private::new),
            ..Feedback::default()
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn plan_is_deterministic_and_has_each_destination_once(event in any_event()) {
        let set = rules(
            r#"
            [[rules]]
            name = "all"
            send_to = ["archive", "product"]
            continue = true
            [[rules]]
            name = "shop"
            match = { app = "shop", path = "pages/*" }
            send_to = ["product", "oncall-chat"]
            severity = "critical"
            group_by = ["path", "fault"]
            [[rules]]
            name = "faults"
            match.type = "fault"
            send_to = ["oncall-chat", "archive"]
            [[rules]]
            name = "changes"
            match = { event = ["created", "updated"], app = ["shop", "order"] }
            except.status = "closed"
            send_to = ["product", "archive"]
            "#,
        );
        let (plan, trace) = set.explain(&event, AT);
        prop_assert_eq!(&plan, &set.plan(&event, AT));
        prop_assert_eq!((&plan, &trace), (&set.explain(&event, AT).0, &set.explain(&event, AT).1));
        prop_assert_eq!(trace.rules.len(), 4);
        let of_updated = matches!(event.content, Content::Updated(_));
        let not_its_own = if of_updated { EventState::Unrouted } else { EventState::Noted };
        prop_assert_ne!(plan.state, not_its_own);
        if of_updated {
            prop_assert!(plan.deliveries.iter().all(|one| one.spec.rule.as_str() == "changes"));
        }
        let last = trace.rules.iter().filter(|one| one.finding == Finding::Matched { last: true });
        prop_assert_eq!(last.count() == 1, plan.state == EventState::Routed);
        let merged: Vec<_> = plan.incidents.iter().flat_map(|one| &one.destinations).collect();
        prop_assert_eq!(merged.iter().collect::<BTreeSet<_>>().len(), merged.len());
        prop_assert!(plan.incidents.iter().all(|one| plan.rules.contains(&one.rule)));
        for (index, one) in plan.deliveries.iter().enumerate() {
            let mut rest = plan.deliveries.iter().skip(index + 1);
            prop_assert!(rest.all(|other| other.destination != one.destination));
        }
    }
}
