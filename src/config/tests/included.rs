//! Tests of `include` and `[lists]`.

use super::{Folder, environment};
use crate::config::load;
use crate::model::DestinationName;
use crate::rules::Word;

const MAIN: &str = r#"include = "rules.d/*.toml"

[apps.shop]
app_id = "cli_9f5343c580712544"
encrypt_key = "${KEY:-k}"

[destinations.main]
kind = "file"
path = "main.jsonl"
fallback = "team"
"#;

const TEAM: &str = r#"[lists]
vip = ["*acme*", 7, "@@x"]

[mentions]
sre = { feishu = "ou_1" }

[destinations.team]
kind = "webhook"
url = "${URL:-https://team.example.com/hook}"
secret = "${SECRET:-whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}"

[[rules]]
name = "vips"
match = { tenant = "@vip" }
send_to = "team"
mention = "sre"
continue = true

[[tests]]
name = "it goes to the team"
event = "events/one.json"
with = { tenant_name = "Acme" }
expect = { rule = "vips", sent_to = "team" }
"#;

const REST: &str = "[[rules]]\nname = \"rest\"\nsend_to = \"main\"\n";

const EVENT: &str = include_str!("../../../tests/events/white-screen.json");

fn folder(team: &str) -> Folder {
    Folder::new(MAIN)
        .with("rules.d/10-team.toml", team)
        .with("rules.d/20-rest.toml", REST)
        .with("events/one.json", EVENT)
}

#[test]
fn included_file_may_have_rules_tests_lists_and_destinations() {
    let team = TEAM.replace(", 7, \"@@x\"", "");
    let folder = folder(&team);
    let loaded = folder.load(&[]);
    assert_eq!(loaded.report(), "");
    assert_eq!(loaded.tests.len(), 1);
    let place = &loaded.tests[0].expect.rules[0].place;
    assert_eq!(
        place.file.as_deref(),
        Some(&*folder.path("rules.d/10-team.toml"))
    );
    let config = loaded.config.unwrap();
    let names: Vec<_> = config
        .destinations
        .keys()
        .map(DestinationName::as_str)
        .collect();
    assert_eq!(names, ["main", "team"]);
    assert_eq!(config.lists["vip"], [Word::Text("*acme*".to_owned())]);
    assert!(config.mentions.contains_key("sre"));
    assert_eq!(config.rules.count(), 2);
    // The relay does not read the tests of included files either.
    let without = load(&folder.path("relay.toml"), &environment(&[]));
    assert!(without.config.is_some() && without.tests.is_empty());
}

#[test]
fn mistakes_in_an_included_file_stand_at_their_places() {
    let team = TEAM
        .replace(
            "url = \"${URL:-https://team.example.com/hook}\"",
            "url = \"${NONE}\"\nfallback = \"main\"",
        )
        .replace("ou_1", "li")
        .replace("[lists]", "[lists]\nunused = \"x\"\nnested = \"@vip\"\n")
        .replace("\"@vip\" }", "\"@vpi\" }")
        + "expct = 1\n[server]\nlisten = \"127.0.0.1:1\"\n";
    insta::assert_snapshot!(folder(&team).report(&[]));
}

#[test]
fn file_that_several_paths_lead_to_is_read_once() {
    let include = r#"include = ["rules.d/a.toml", "./rules.d/a.toml", "rules.d/../rules.d/*.toml", "link.d/*", "relay.toml"]"#;
    let main = format!(
        "{include}\n[apps.shop]\napp_id = \"cli_1\"\nencrypt_key = \"${{KEY:-k}}\"\n[lists]\nvip = [\"x\"]\n"
    );
    let rule = "[[rules]]\nname = \"all\"\nmatch = { tenant = \"@vip\" }\nsend_to = []\n";
    let folder = Folder::new(main).with("rules.d/a.toml", rule).with(
        "rules.d/b.toml",
        "[mentions]\nsre = { slack = \"U12345\" }\n",
    );
    std::os::unix::fs::symlink(folder.path("rules.d"), folder.path("link.d")).unwrap();
    std::os::unix::fs::symlink(folder.path("rules.d/a.toml"), folder.path("rules.d/c.toml"))
        .unwrap();
    let loaded = folder.load(&[]);
    let report = loaded.report();
    let config = loaded.config.unwrap_or_else(|| panic!("{report}"));
    assert_eq!(config.rules.count(), 1);
    assert_eq!(config.included.files.len(), 2);
}

#[test]
fn a_name_of_two_files_is_an_error_that_names_both() {
    let team = format!("{TEAM}\n[destinations.main]\nkind = \"file\"\npath = \"other.jsonl\"\n");
    let report = folder(&team)
        .with("rules.d/15-more.toml", "[lists]\nvip = \"x\"\n")
        .report(&[]);
    for wanted in [
        "rules.d/10-team.toml:25:15",
        "`destinations.main` is also in relay.toml:7",
        "rules.d/15-more.toml:2:1",
        "`lists.vip` is also in rules.d/10-team.toml:2",
    ] {
        assert!(report.contains(wanted), "{wanted}: {report}");
    }
}

#[test]
fn a_variable_reaches_a_destination_of_an_included_file() {
    let team = TEAM.replace(", 7, \"@@x\"", "");
    let variables = [("RELAY__DESTINATIONS__TEAM__TIMEOUT", "3s")];
    let loaded = folder(&team).load(&variables);
    assert_eq!(loaded.report(), "");
    let team = &loaded.config.unwrap().destinations["team"];
    assert_eq!(team.common.timeout.as_secs(), 3);
}

#[test]
fn fallbacks_across_files_are_looked_at_for_circles() {
    let team = TEAM.replace(
        "kind = \"webhook\"",
        "kind = \"webhook\"\nfallback = \"main\"",
    );
    let report = folder(&team).report(&[]);
    assert!(
        report.contains("fallbacks form a cycle: main → team → main"),
        "{report}"
    );
}

#[test]
fn unused_list_is_a_warning_and_its_words_are_checked() {
    let report = Folder::new(format!(
        "{APP}[lists]\nnone = []\nodd = [1.5, \"\", \"@x\"]\n{REST_ALONE}"
    ))
    .report(&[]);
    for wanted in [
        "a list has from 1 to 1000 words",
        "expected a text or a number, found a decimal number",
        "an empty word matches nothing",
        "a list cannot hold another list",
    ] {
        assert!(report.contains(wanted), "{wanted}: {report}");
    }
    let unused = Folder::new(format!("{APP}[lists]\nvip = \"x\"\n{REST_ALONE}")).report(&[]);
    assert!(
        unused.contains("warning[W013]: no rule uses the list `vip`"),
        "{unused}"
    );
}

const APP: &str = "[apps.shop]\napp_id = \"cli_1\"\nencrypt_key = \"${KEY:-k}\"\n";
const REST_ALONE: &str = "[[rules]]\nname = \"rest\"\nsend_to = []\n";

#[test]
fn a_change_of_status_is_tested_with_the_report_it_is_of() {
    let test = |feedback: &str| {
        format!(
            "{APP}[[rules]]\nname = \"done\"\nmatch = {{ event = \"updated\", fault = \"white_screen\" }}\nsend_to = []\n\
             [[rules]]\nname = \"rest\"\nsend_to = []\n\
             [[tests]]\nname = \"x\"\nevent = \"change.json\"\n{feedback}\nexpect = {{ rule = \"done\" }}\n"
        )
    };
    let change = r#"{ "feedback_ids": ["1"], "status": 3 }"#;
    let folder = |feedback| {
        Folder::new(test(feedback))
            .with("change.json", change)
            .with("one.json", EVENT)
    };
    let loaded = folder("feedback = \"one.json\"").load(&[]);
    assert_eq!(loaded.report(), "");
    let plan = loaded
        .config
        .unwrap()
        .rules
        .plan(&loaded.tests[0].given.events()[0].event, loaded.tests[0].at);
    assert_eq!(plan.rules.len(), 1);
    let wrong = folder("feedback = \"change.json\"").report(&[]);
    assert!(wrong.contains("change.json is not a report"), "{wrong}");
    let wrong = Folder::new(
        test("feedback = \"one.json\"").replace("event = \"change.json\"", "event = \"one.json\""),
    )
    .with("one.json", EVENT)
    .report(&[]);
    assert!(
        wrong.contains("this event is not a change of status"),
        "{wrong}"
    );
}

#[test]
fn path_that_is_prefix_of_tested_pages_is_a_warning() {
    let text = |path: &str| {
        format!(
            "{APP}[[rules]]\nname = \"pay\"\nmatch.path = \"{path}\"\nsend_to = []\n{REST_ALONE}\
             [[tests]]\nname = \"x\"\nevent = \"one.json\"\nwith = {{ feedback_path = \"pages/shop/cart?id=1\" }}\nexpect = {{ rule = \"pay\" }}\n"
        )
    };
    let report = |path| Folder::new(text(path)).with("one.json", EVENT).report(&[]);
    let warned = report("pages/shop");
    assert!(
        warned.contains("W105") && warned.contains("pages/shop/cart"),
        "{warned}"
    );
    // Pages of samples count, even without tests.
    assert!(report("pages/pay").contains("W105"));
    assert_eq!(report("pages/shop/*"), "");
}

#[test]
fn template_missing_for_a_family_is_a_warning() {
    let text = |rule: &str| {
        format!(
            "[templates]\ndir = \"templates\"\n[server]\npublic_url = \"https://r.example.com\"\n\
             [destinations.chat]\nkind = \"feishu-bot\"\nurl = \"${{A:-https://open.feishu.cn/open-apis/bot/v2/hook/6d5b3b5a-32b5-4e1f-9a77-000000000000}}\"\n\
             [destinations.slack]\nkind = \"slack-webhook\"\nurl = \"${{B:-https://hooks.slack.com/services/T0/B0/x}}\"\n\
             [destinations.mine]\nkind = \"feishu-bot\"\nfallback = \"slack\"\nurl = \"${{A:-https://open.feishu.cn/open-apis/bot/v2/hook/6d5b3b5a-32b5-4e1f-9a77-000000000001}}\"\n\
             [destinations.log]\nkind = \"file\"\npath = \"x\"\n{APP}\
             [[rules]]\nname = \"all\"\n{rule}\n"
        )
    };
    let card = r#"{"schema": "2.0", "body": {"elements": [{"tag": "markdown", "content": "{{feedback.id}}"}]}}"#;
    let report = |rule: &str| {
        Folder::new(text(rule))
            .with("templates/feishu/short.hbs", card)
            .report(&[])
    };
    assert_eq!(
        report("template = \"short\"\nsend_to = [\"chat\", \"log\"]"),
        ""
    );
    for rule in [
        "template = \"short\"\nsend_to = [\"chat\", \"slack\"]",
        "template = \"short\"\nsend_to = \"mine\"",
    ] {
        let said = report(rule);
        assert!(
            said.contains("W107") && said.contains("slack/short.hbs"),
            "{said}"
        );
    }
    // A template with a mistake is reported once.
    let wrong = Folder::new(text("template = \"short\"\nsend_to = \"chat\""))
        .with("templates/feishu/short.hbs", "{{#if feedback.id}}")
        .load(&[]);
    assert_eq!(wrong.diagnostics.len(), 1, "{}", wrong.report());
}
