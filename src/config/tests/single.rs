//! Tests of files with one mistake, which must give exactly one diagnostic.

use super::Folder;

const APP: &str = "[apps.shop]\napp_id = \"cli_1\"\nencrypt_key = \"${KEY:-k}\"\n";
const RULE: &str = "[[rules]]\nname = \"all\"\nsend_to = []\n";
const ARCHIVE: &str = "[destinations.archive]\nkind = \"file\"\npath = \"x\"\n";

/// The name of each case and its mistake. An app, a `file` destination and a rule are added.
const CASES: &[(&str, &str)] = &[
    (
        "a_quote_that_is_not_closed",
        "[server]\nlisten = \"127.0.0.1:1\n",
    ),
    (
        "a_table_twice",
        "[log]\nlevel = \"info\"\n[log]\nformat = \"json\"\n",
    ),
    ("a_bracket_too_few", "[[rules]\nname = \"x\"\n"),
    (
        "two_values_in_one_line",
        "[log]\nlevel = \"info\" format = \"json\"\n",
    ),
    (
        "feishu_type_in_match",
        "[[rules]]\nname = \"x\"\nmatch = { feedback_type = 1 }\nsend_to = []\n",
    ),
    (
        "a_fault_as_type",
        "[[rules]]\nname = \"x\"\nmatch = { type = \"crash\" }\nsend_to = []\n",
    ),
    (
        "a_condition_beside_match",
        "[[rules]]\nname = \"x\"\nfault = \"crash\"\nsend_to = []\n",
    ),
    (
        "a_fault_misspelt",
        "[[rules]]\nname = \"x\"\nmatch = { fault = \"white_scren\" }\nsend_to = []\n",
    ),
    (
        "nobody_by_that_name",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = \"archiv\"\n",
    ),
    (
        "a_rule_without_name",
        "[[rules]]\nmatch = { source = \"bot\" }\nsend_to = []\n",
    ),
    (
        "a_rule_without_send_to",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\n",
    ),
    (
        "two_rules_of_one_name",
        "[[rules]]\nname = \"all\"\nmatch = { source = \"bot\" }\nsend_to = []\n",
    ),
    (
        "a_regular_expression_that_is_none",
        "[[rules]]\nname = \"x\"\nmatch = { description = \"(\" }\nsend_to = []\n",
    ),
    (
        "a_mention_of_nobody",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = []\nmention = \"sre\"\n",
    ),
    (
        "a_template_of_nowhere",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = []\ntemplate = \"alrt\"\n",
    ),
    (
        "an_app_of_nowhere",
        "[[rules]]\nname = \"x\"\nmatch = { app = \"shpo\" }\nsend_to = []\n",
    ),
    (
        "a_severity_of_its_own",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = []\nseverity = \"fatal\"\n",
    ),
    (
        "a_rule_that_is_not_reached",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = []\n[[rules]]\nname = \"y\"\nmatch = { source = \"bot\", type = \"fault\" }\nsend_to = []\n",
    ),
    (
        "a_rule_that_contradicts_itself",
        "[[rules]]\nname = \"x\"\nmatch = { type = \"suggestion\", fault = \"crash\" }\nsend_to = []\n",
    ),
    (
        "hours_without_a_day",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = []\nhold = \"nights\"\n",
    ),
    (
        "an_unknown_key_to_group_by",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = []\ngroup_by = [\"app\", \"falt\"]\n",
    ),
    (
        "a_key_of_incidents_in_a_rule_without_them",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = []\ngroup_by = []\nresolve_after = \"1h\"\n",
    ),
    (
        "an_incident_that_stays_open_too_long",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = []\nresolve_after = \"2d\"\n",
    ),
    (
        "an_escalation_to_nobody",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = []\nescalate = [\n  { count = 20, send_to = \"archive\" },\n  { after = \"15m\", unless = \"claimed\" },\n]\n",
    ),
    (
        "an_escalation_to_nowhere",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = []\nescalate = { count = 20, send_to = \"phone\" }\n",
    ),
    (
        "a_wait_without_unit",
        "[[rules]]\nname = \"x\"\nmatch = { source = \"bot\" }\nsend_to = []\nwait = \"5\"\n",
    ),
    (
        "a_secret_that_is_not_set",
        "[destinations.x]\nkind = \"feishu-bot\"\nurl = \"${BOT_URL}\"\n",
    ),
    (
        "a_bot_without_url",
        "[destinations.x]\nkind = \"feishu-bot\"\n",
    ),
    (
        "a_kind_misspelt",
        "[destinations.x]\nkind = \"slack_webhook\"\nurl = \"${URL:-https://hooks.slack.com/services/T0/B0/x}\"\n",
    ),
    (
        "a_key_of_another_kind",
        "[destinations.x]\nkind = \"file\"\npath = \"y\"\nurl = \"https://example.com\"\n",
    ),
    (
        "a_fallback_to_itself",
        "[destinations.x]\nkind = \"file\"\npath = \"y\"\nfallback = \"x\"\n",
    ),
    (
        "a_rate_without_time",
        "[destinations.x]\nkind = \"file\"\npath = \"y\"\nrate = 50\n",
    ),
    (
        "a_url_on_the_wire_in_clear",
        "[destinations.x]\nkind = \"webhook\"\nurl = \"http://example.com/in\"\n",
    ),
    (
        "a_url_on_a_private_network",
        "[destinations.x]\nkind = \"webhook\"\nurl = \"http://10.0.0.1/in\"\n",
    ),
    (
        "a_secret_of_the_webhook_in_the_file",
        "[destinations.x]\nkind = \"webhook\"\nurl = \"https://example.com/in\"\nsecret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n",
    ),
    (
        "a_number_for_a_switch",
        "[images]\nallow_private_addresses = 1\n",
    ),
    (
        "a_private_folder_of_templates",
        "[templates]\ndir = \"none\"\n",
    ),
    (
        "a_test_of_no_rule",
        "[[tests]]\nname = \"x\"\nevent = \"event.json\"\nexpect = { rule = \"al\" }\n",
    ),
    (
        "a_test_of_no_field",
        "[[tests]]\nname = \"x\"\nevent = \"event.json\"\nwith = { path = \"x\" }\nexpect = { rule = \"all\" }\n",
    ),
];

#[test]
fn one_mistake_is_one_complaint() {
    for (name, text) in CASES {
        let file = format!("{APP}{ARCHIVE}{text}{RULE}");
        let folder = Folder::new(file).with("event.json", r#"{ "feedback_type": 1 }"#);
        let said = folder.load(&[]).diagnostics;
        let report = folder.report(&[]);
        assert_eq!(said.len(), 1, "{name}: {report}");
        insta::assert_snapshot!(*name, report);
    }
}
