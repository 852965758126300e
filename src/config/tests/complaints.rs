//! Tests of broken files and their diagnostics.

use std::collections::BTreeSet;

use super::Folder;
use crate::toml_reader::codes;

/// Appended to files that are about something else, so that missing rules are not reported.
const RULES: &str = "[[rules]]\nname = \"all\"\nsend_to = []\n";
const APP: &str = "[apps.shop]\napp_id = \"cli_1\"\nencrypt_key = \"${KEY:-k}\"\n";

/// Returns the name and the file of each case.
fn cases() -> Vec<(&'static str, String)> {
    let with_app = |text: &str| format!("{APP}{text}\n{RULES}");
    let with_rules = |text: &str| format!("{text}\n{RULES}");
    vec![
        ("empty", String::new()),
        ("syntax", "[server\nlisten = \n[log]\nlevel = \"info\nformat = 'text'\nurl = \"hunter2".into()),
        ("syntax_in_a_secret", "[apps.shop]\nencrypt_key = \"hunter2\nverification_token = 'x'".into()),
        ("duplicate_key", "[log]\nlevel = \"info\"\nlevel = \"warn\"".into()),
        ("unknown_keys", with_rules(UNKNOWN)),
        ("unknown_section", with_rules("[sevrer]\nlisten = \"127.0.0.1:1\"\n[zebra]\nx = 1")),
        ("wrong_types", with_rules(TYPES)),
        ("section_is_no_table", with_rules("server = 5\ndestinations = []\n[apps]\nshop = \"x\"")),
        ("wrong_values", with_rules(VALUES)),
        ("out_of_range", with_rules(RANGES)),
        ("not_built", with_rules(NOT_BUILT)),
        ("not_built_stores", with_rules("[store]\nurl = \"postgres://u:hunter2@h/d\"\n[images]\nstore = \"s3://b/p\"")),
        ("bad_store", with_rules("[store]\nurl = \"sqlite::memory:\"")),
        ("store_without_scheme", with_rules("[store]\nurl = \"data/relay.db\"")),
        ("app_without_key", with_rules("[apps.shop]\napp_id = \"cli_1\"\n[apps.b]\napp_id = \"cli_2\"\nencrypt_key = []")),
        ("app_ids", with_rules(APP_IDS)),
        ("bad_names", with_rules("[destinations.\"On Call\"]\nkind = \"file\"\npath = \"x\"\n[destinations.值班]\nkind = \"file\"\npath = \"x\"".replace("值班", "\"值班\"").as_str())),
        ("missing_keys", with_rules("[apps.a]\n[destinations.a]\n[destinations.b]\nkind = \"webhook\"\n[destinations.c]\nkind = \"file\"\n[destinations.d]\nkind = \"feishu-bot\"")),
        ("kind_is_a_slip_and_what_stands_beside_it", with_rules("[destinations.a]\nknd = \"file\"\npath = \"x\"\ntimeout = \"0s\"\n[destinations.b]\nkind = \"webhook\"\nconcurrency = 0\nfallback = \"c\"")),
        ("old_names", with_rules("[destinations.a]\nkind = \"file\"\npath = \"x\"\nwas = [\"b\", \"old\"]\n[destinations.b]\nkind = \"file\"\npath = \"y\"\nwas = \"old\"")),
        ("unset_variables", with_app("app_secret = \"${NONE}\"\nfeedback_timezone = \"${a-b}\"\n[destinations.ops]\nkind = \"feishu-bot\"\nurl = \"https://x/${NONE}\"\nsecret = \"${NONE\"")),
        ("flaws", with_rules("[apps.shop]\napp_id = \"cli_1\"\nencrypt_key = [\"'hunter2'\", \"hunter2\\u200B\", \"hun\\u00A0ter2\"]\nverification_token = \"hunter2 \"\napp_secret = \"$APP_SECRET\"")),
        ("bare_variables", with_app(BARE_VARIABLES)),
        ("env_lines", with_rules(ENV_LINES)),
        ("other_kinds", with_app(OTHER_KINDS)),
        ("server_below_a_table", format!("{APP}server.admin_listen = \"127.0.0.1:1\"\n{RULES}server.public_url = \"https://x.example.com\"\nlog.level = \"info\"\n[log]\nlisten = \"127.0.0.1:2\"\n")),
        ("top_level_below_a_table", format!("{APP}include = \"rules.d/*.toml\"\n{RULES}lists.vip = [\"a\"]\nmentions.sre = {{ slack = \"U1\" }}\n[log]\napp_names.cli_2 = \"x\"\ndestinations.a.kind = \"file\"\n")),
        ("server_twice", format!("server.listen = \"127.0.0.1:1\"\n{APP}[server]\nmax_body = \"1MiB\"\n{RULES}")),
        ("section_twice", format!("{APP}[log]\nlevel = \"info\"\n[log]\nformat = \"json\"\n{RULES}")),
        ("escape", with_app("[[rules]]\nname = \"x\"\nmatch = { description = \"\\d+\" }\nsend_to = []")),
        ("chinese_words", with_app("[[rules]]\nname = \"x\"\nmatch = { fault = [\"白屏\", \"小程序闪退\"], type = \"故障\", source = \"小程序\" }\nsend_to = []")),
        ("backfill", with_app("backfill = \"30s\"\n[apps.mall]\napp_id = \"cli_2\"\nverification_token = \"${KEY:-k}\"\napp_secret = \"${KEY:-k}\"\nbackfill = \"never\"")),
        ("empty_secrets", with_rules("[apps.shop]\napp_id = \"cli_1\"\nencrypt_key = [\"${KEY:-k}\", \"\"]\nverification_token = \"${NONE:-}\"\napp_secret = { file = \"empty\" }")),
        ("secret_files", with_app("app_secret = { file = \"none\" }\nverification_token = { file = \"empty\", mode = 1 }")),
        ("secrets_in_the_file", with_rules("[apps.shop]\napp_id = \"cli_1\"\nencrypt_key = 'hunter2'\n[destinations.a]\nkind = \"feishu-bot\"\nurl = \"https://example.com/hunter2\"")),
        ("unknown_names", with_app(NAMES)),
        ("feishu_app", with_app(FEISHU_APP)),
        ("tests", with_app(TESTS)),
        ("tests_over_time", with_app(OVER_TIME)),
        ("tests_is_a_table", with_app("[tests]\nname = \"x\"")),
        ("tests_without_an_app", with_rules("[[tests]]\nname = \"x\"\nevent = \"event.json\"\nexpect = { rule = \"all\" }")),
        ("tests_of_an_app_that_is_wrong", with_rules("[apps.shop]\napp_id = \"cli_1\"\n[[tests]]\nname = \"x\"\nevent = \"event.json\"\nexpect = { rule = \"all\" }")),
        ("fallback_cycle", with_rules(CYCLE)),
        ("no_templates", with_rules("[templates]\ndir = \"templtes\"\n[destinations.a]\nkind = \"webhook\"\nurl = \"https://a.example.com\"\nbody = \"warehouse.hbs\"")),
        ("urls", with_rules(URLS)),
        ("private_hosts", with_rules(PRIVATE)),
        ("webhook", with_rules(WEBHOOK)),
        ("success", with_rules(SUCCESS)),
        ("same_address", with_rules("[server]\nlisten = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:1\"")),
        ("public_status", with_rules("server.listen = \"[::]:8787\"")),
        ("hosts", with_rules("[images]\nallow_hosts = [\"*\", \"https://x.com\", \"a..b\", \"*.ok.com\", \"x.com:1\"]")),
        ("mentions", with_rules("[mentions]\nall = { feishu = \"ou_1\" }\nsre = { feishu = [\"ou_1\", \"on call\"], slack = \"@li\" }\nnone = {}\nx = 5")),
        ("app_names", with_app("[app_names]\n\"cli_1\" = \"商店\"\n\"cli_2\" = \"order\"\n\"cli_3\" = \"order\"\n\"clii_4\" = \"x\"\n\"cli_5\" = 5\n\"cli_6\" = \"\"")),
        ("slack_without_links", with_rules("[destinations.ops]\nkind = \"slack-webhook\"\nurl = \"${URL:-https://hooks.slack.com/services/T0/B0/x}\"")),
        ("slack_app", with_rules(SLACK_APP)),
        ("fallback_after_alone", with_rules("[destinations.a]\nkind = \"file\"\npath = \"x\"\nfallback_after = \"5m\"")),
        ("wide_characters", with_rules("[destinations.a]\nkind = \"file\"\n\"名字\" = \"值班\"\npath = \"反馈\"\n[templates]\ndir = '反馈/模板' # 中文")),
        ("lists", with_app("[lists]\nvip = \"x\"\n\"a b\" = [true]")),
        ("wider_fallback", with_rules("[destinations.a]\nkind = \"file\"\npath = \"x\"\nfallback = \"b\"\nfields = { contact = \"mask\", user = \"drop\" }\n[destinations.b]\nkind = \"file\"\npath = \"y\"\nfields = { user = \"mask\", path = \"drop\" }")),
        ("unused_list", with_app("[lists]\nvip = \"x\"")),
        ("rules_is_a_table", "[rules]\nname = \"x\"".into()),
        ("rule_is_no_table", "rules = [5]".into()),
        ("include", "include = [\"rules.d/*.toml\", \"none-*.toml\", \"*/x.toml\", \"none.d/*\", \"latin1.toml\"]".into()),
    ]
}

const UNKNOWN: &str = r#"
[server]
lisen = "127.0.0.1:1"
public_ulr = "https://hunter2"
[apps.shop]
app_id = "cli_1"
verify_token = "hunter2"
encrypt_key = "${KEY:-k}"
[destinations.a]
kind = "feishu-bot"
url = "${URL:-https://example.com}"
secrt = "hunter2"
retry_fo = "5m"
headers = { a = "hunter2" }
fields = { contakt = "mask", feedback_path = "drop" }
[mentions]
sre = { feishu = "ou_1", slak = "U12345" }
"#;

const TYPES: &str = r#"
[server]
listen = 8787
max_connections = "many"
max_body = -1
[images]
allow_private_addresses = "yes"
allow_hosts = ["a.com", 5]
wait = 3
[apps.shop]
app_id = ["cli_1"]
encrypt_key = [["hunter2"]]
app_secret = 1979-05-27
[destinations.a]
kind = 5
"#;

const VALUES: &str = r#"
[server]
listen = "localhost:8787"
max_body = "1MB"
shutdown_grace = "20 seconds"
[log]
level = "warning"
format = "yaml"
[templates]
timezone = "Asia/Bejing"
locale = "fr"
[destinations.a]
kind = "feishu_bot"
[destinations.b]
kind = "file"
path = "x"
rate = "50 per second"
fields = { contact = "hide" }
"#;

const RANGES: &str = r#"
[server]
max_body = "1GiB"
max_connections = 0
shutdown_grace = "1d"
[store]
retain = "1h"
[images]
max_bytes = "10MiB"
max_total = "1MiB"
wait = "2h"
[destinations.b]
kind = "file"
path = "x"
concurrency = 0
timeout = "1ms"
retry_for = "31d"
"#;

const NOT_BUILT: &str = r#"
[apps.shop]
app_id = "cli_1"
encrypt_key = "${KEY:-k}"
[console]
name = "y"
[server]
public_url = "https://example.com"
"#;

const SLACK_APP: &str = r##"
[destinations.a]
kind = "slack-app"
channel = "#product"
buttons = true
[destinations.b]
kind = "slack-app"
token = "${TOKEN:-xoxp-hunter2}"
channel = "U0123ABCD"
base_url = "https://slack.com/?hunter2"
[destinations.c]
kind = "slack-app"
token = "${TOKEN:-xoxb-1}"
signing_secret = "hunter2"
chanel = "C0123ABCD"
buttons = "yes"
[destinations.d]
kind = "slack-app"
token = "${TOKEN:-xoxb-1}"
signing_secret = "${SECRET:-s}"
channel = "C0123ABCD"
[destinations.e]
kind = "slack-app"
token = "${TOKEN:-xoxb-1}"
channel = "G0123ABCD"
"##;

const APP_IDS: &str = r#"
[apps.a]
app_id = "cli_1"
encrypt_key = "${KEY:-k}"
[apps.b]
app_id = "cli_1"
encrypt_key = "${KEY:-k}"
[apps.c]
app_id = "9f5343c580712544"
encrypt_key = "${KEY:-k}"
"#;

const NAMES: &str = r#"
[operator]
notify = "opps"
[destinations.ops]
kind = "feishu-bot"
url = "${URL:-https://example.com}"
upload_images_as = "shop"
fallback = "zebra"
[destinations.b]
kind = "feishu-bot"
url = "${URL:-https://example.com}"
upload_images_as = "shp"
"#;

const FEISHU_APP: &str = r#"
[apps.mute]
app_id = "cli_2"
encrypt_key = "${KEY:-k}"
app_secret = "${SECRET:-s}"
[destinations.a]
kind = "feishu-app"
[destinations.b]
kind = "feishu-app"
app = "shop"
chat_id = "war room"
urgent = "telephone"
[destinations.c]
kind = "feishu-app"
app = "mut"
user = "li@example.com"
chatid = "oc_1"
[destinations.d]
kind = "feishu-app"
app = "mute"
chat_id = "oc_1"
user = "ou_1"
buttons = "no"
"#;

const TESTS: &str = r#"
[[tests]]
[[tests]]
name = "slips"
at = "2026-03-01 02:10"
event = "event.json"
with = { path = "pages/pay", feedback_tpye = 1, fault_type = ["white_scren", 5], source = true, user_id = { openid = "ou_1" } }
expect = { rules = "all", severity = "urgent", sent_to = ["nowhere"], template = "alrt", contains = 5, unrouted = "no" }
[[tests]]
name = "slips of fields"
at = 2026-03-01T02:10:00
event = "event.json"
with = { path = "pages/pay", feedback_tpye = 1, status = 1, user_id = { openid = "ou_1" } }
expect = { rule = "al" }
[[tests]]
name = "no file"
event = "evnt.json"
expect = {}
[[tests]]
name = "no file"
event = "empty"
with = 5
expect = []
[[tests]]
name = "no event"
at = 5
event = "empty"
expect = { rule = "all" }
[[tests]]
name = "twice"
event = "event.json"
expect = { rule = "all" }
[[tests]]
name = "twice"
event = "event.json"
expect = { rule = "${NONE}" }
[[tests]]
name = "twice"
at = 2026-03-01T02:10:00Z
event = "event.json"
expect = { rule = ["all"], sent_to = [] }
"#;

const OVER_TIME: &str = r#"
[[tests]]
name = "empty"
events = []
expect = { incidents = 0 }
[[tests]]
name = "beside"
event = "event.json"
events = { event = "event.json" }
with = { source = 1 }
expect = { rule = "all", sent_to = [] }
[[tests]]
name = "slips"
events = [{ event = "event.json", time = 3, after = "5 min" }, { event = "evnt.json" }]
expect = { mesages = { a = 1 }, incidents = "1" }
[[tests]]
name = "numbers"
events = [
  { event = "event.json", times = 0, every = "1s" },
  { event = "event.json", times = 10001, every = "1s" },
  { event = "event.json", times = "3", every = "1s" },
  { event = "event.json", times = 3 },
  { event = "event.json", every = "1s" },
  { event = "event.json", with = { path = "x" } },
  { times = 2, every = "1s" },
]
expect = { messages = { nowhere = 1 }, edits = { "nowhere" = -1 } }
[[tests]]
name = "too many"
events = [{ event = "event.json", times = 6000, every = "1s" }, { event = "event.json", times = 6000, every = "1s" }]
expect = { incidents = 1 }
[[tests]]
name = "too late"
events = [{ event = "event.json", after = "32d" }]
for = "40d"
expect = { incidents = 1 }
[[tests]]
name = "too short"
events = [{ event = "event.json", times = 3, every = "1h" }]
for = "1h"
expect = {}
[[tests]]
name = "for one"
event = "event.json"
for = "1h"
silences = { rule = "all", for = "1h" }
expect = { messages = {} }
[[tests]]
name = "silences"
events = { event = "event.json", times = 3, every = "1h" }
silences = [
  { rule = "al", for = "1h" },
  { path = "x", afer = "1m", for = "0s" },
  { pth = "x", for = "1h" },
  { for = "31d" },
  { rule = "all", reason = "x", after = "3h" },
  { fault = "crsh", any = [], for = "1 h" },
  "all",
]
expect = { suppresed = 1, suppressed = -1 }
"#;

const CYCLE: &str = r#"
[destinations.a]
kind = "file"
path = "x"
fallback = "b"
[destinations.b]
kind = "file"
path = "x"
fallback = "c"
[destinations.c]
kind = "file"
path = "x"
fallback = "b"
[destinations.d]
kind = "file"
path = "x"
fallback = "d"
"#;

const URLS: &str = r#"
[server]
public_url = "http://relay.example.com/"
[destinations.a]
kind = "webhook"
url = "example.com/hunter2"
proxy = "socks5://hunter2"
[destinations.b]
kind = "webhook"
url = "http://example.com/hunter2"
[destinations.c]
kind = "webhook"
url = "http://127.0.0.1:5/fine"
[destinations.d]
kind = "webhook"
url = "ftp://example.com/hunter2"
[apps.shop]
app_id = "cli_1"
encrypt_key = "${KEY:-k}"
base_url = "https://example.com/?hunter2"
"#;

const PRIVATE: &str = r#"
[server]
public_url = "http://relay.internal"
[destinations.a]
kind = "webhook"
url = "https://10.1.2.3/hunter2"
[destinations.b]
kind = "webhook"
url = "https://[fd00::1]/hunter2"
[destinations.c]
kind = "webhook"
url = "https://alerts/hunter2"
[destinations.in_the_clear]
kind = "webhook"
url = "http://192.168.1.1/hunter2"
[destinations.here]
kind = "webhook"
url = "https://localhost/hunter2"
[destinations.public]
kind = "webhook"
url = "https://internal.example.com/hunter2"
"#;

const BARE_VARIABLES: &str = r#"
[destinations.a]
kind = "webhook"
url = "${URL:-https://example.com}/$TOKEN/hunter2"
headers = { Authorization = "Bearer $KEY", X-Price = "$100" }
[[rules]]
name = "costs $PRICE"
match = { path = "pages/$PAGE" }
send_to = "a"
"#;

const ENV_LINES: &str = r#"
[apps.shop]
app_id = "cli_1"
encrypt_key = ["${A:-hunter2 # of shop}", "${B:-export KEY=hunter2}", { file = "line.env" }]
[destinations.a]
kind = "webhook"
url = "${C:-https://example.com/hunter2 # of a}"
headers = { X-Channel = "${D:-alerts #oncall}" }
"#;

const OTHER_KINDS: &str = r#"
[destinations.flow]
kind = "feishu-bot"
url = "${F:-https://www.feishu.cn/flow/api/trigger-webhook/hunter2}"
[destinations.old]
kind = "feishu-bot"
url = "${F:-https://open.feishu.cn/open-apis/bot/hook/hunter2}"
[destinations.empty]
kind = "feishu-bot"
url = "${F:-https://open.feishu.cn/open-apis/bot/v2/hook/xxxxxxxx}"
[destinations.ding]
kind = "webhook"
url = "${F:-https://oapi.dingtalk.com/robot/send?access_token=hunter2}"
[destinations.room]
kind = "feishu-app"
app = "shop"
chat_id = "oc_xxxxxxxx"
"#;

const SUCCESS: &str = "[destinations.a]
kind = \"webhook\"
url = \"${URL:-https://a.example.com}\"
success = { pointer = \"errcode\", equals = 0 }
[destinations.b]
kind = \"webhook\"
url = \"${URL:-https://b.example.com}\"
success = { pointr = \"/errcode\", equals = [0] }
[destinations.c]
kind = \"webhook\"
url = \"${URL:-https://c.example.com}\"
success = 0
[destinations.d]
kind = \"webhook\"
url = \"${URL:-https://d.example.com}\"
success = { pointer = \"/errcode\", equals = [0] }
";
const WEBHOOK: &str = r#"
[destinations.a]
kind = "webhook"
url = "https://example.com"
secret = ["${S:-whsec_!}", "${S:-whsec_c2hvcnQ=}", "${S:-MDEyMzQ1Njc4OWFiY2RlZg==}"]
headers = { "Content-Type" = "x", "X Y" = "x", "X-A" = "值", "X-B" = "" }
"#;

fn folder(text: &str) -> Folder {
    Folder::new(text)
        .with("empty", "\n")
        .with("line.env", "APP_KEY=hunter2\n")
        .with("event.json", r#"{ "feedback_type": 1, "source": 1 }"#)
        .with("latin1.toml", b"# ok\nname = \"caf\xe9\"")
        .with(
            "rules.d/10.toml",
            "[[rules]]\nname = \"${NONE}\"\n[server]\nlisten = \"x\"",
        )
        .with("rules.d/20.toml", "rules = 5\n")
}

#[test]
fn every_mistake_at_its_place() {
    for (name, text) in cases() {
        let report = folder(&text).report(&[]);
        assert!(!report.contains("hunter2"), "{name}: {report}");
        insta::assert_snapshot!(name, report);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let no_file = Folder::new("");
    std::fs::remove_file(no_file.path("relay.toml")).unwrap();
    insta::assert_snapshot!("no_file", no_file.report(&[]));
    let latin1 = Folder::new(b"[log]\nlevel = \"\xe9\"");
    insta::assert_snapshot!("latin1", latin1.report(&[]));
}

#[test]
fn image_folder_that_cannot_be_one_is_an_error() {
    let config = format!("{APP}[images]\nstore = \"images\"\n{RULES}");
    let folder = || Folder::new(&config);
    assert_eq!(
        folder().report(&[]),
        folder().with("images/x", "").report(&[])
    );
    let file = folder().with("images", "").report(&[]);
    assert!(file.contains("images is not a folder"), "{file}");
    let link = folder();
    std::os::unix::fs::symlink("nowhere", link.path("images")).unwrap();
    let report = link.report(&[]);
    assert!(
        report.contains("images is a link to nowhere, which does not exist"),
        "{report}"
    );
    std::fs::create_dir(link.path("nowhere")).unwrap();
    assert!(!link.report(&[]).contains("is a link"));
}

#[test]
fn json_says_the_same_at_the_same_place() {
    let loaded = folder("[log]\n  \"日\" = 1\nlevel = 5\n").load(&[("RELAY__LOG__FORMAT", "x")]);
    let json = loaded.to_json();
    let all = json.as_array().unwrap();
    assert_eq!(all.len(), loaded.diagnostics.len());
    let of = |path: &str| all.iter().find(|one| one["path"] == path).unwrap();
    let level = of("log.level");
    assert_eq!(level["level"], "error");
    assert_eq!(level["code"], "E007");
    assert_eq!((&level["line"], &level["column"]), (&3.into(), &9.into()));
    assert!(level["file"].as_str().unwrap().ends_with("relay.toml"));
    assert_eq!(of("log.\"日\"")["column"], 3);
    assert_eq!(of("log.format")["variable"], "RELAY__LOG__FORMAT");
    assert!(of("log.format")["line"].is_null());
}

#[test]
fn a_file_larger_than_the_limit_is_refused() {
    let report = Folder::new("#".repeat(8 * 1024 * 1024 + 1)).report(&[]);
    assert!(report.contains("is larger than 8MiB"), "{report}");
}

/// Every code is unique, explained in the page, and produced by a file above.
#[test]
fn codes_are_documented_and_reached() {
    let page = std::fs::read_to_string("docs/diagnostics.md").unwrap();
    let in_page: Vec<(&str, &str)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### ")?.split_once(": "))
        .collect();
    let tables = [codes::ALL, crate::render::CODES];
    assert_eq!(
        in_page,
        tables.concat(),
        "docs/diagnostics.md and the tables of codes differ"
    );
    let unique: BTreeSet<&str> = codes::ALL.iter().map(|(code, _)| *code).collect();
    assert_eq!(unique.len(), codes::ALL.len());

    let mut reached: BTreeSet<&str> = ["E002"].into(); // by files_that_cannot_be_read
    reached.insert("E014"); // by the environment's tests
    reached.insert("W012"); // by the environment's tests
    reached.insert("E063"); // by `check`, which runs `[[tests]]`
    for (_, text) in cases() {
        reached.extend(
            folder(&text)
                .load(&[])
                .diagnostics
                .iter()
                .map(|one| one.code),
        );
    }
    // The tests of rules reach theirs.
    let is_of_rules = |code: &&&str| code.get(1..).is_some_and(|number| number.starts_with('1'));
    let never: Vec<_> = unique
        .difference(&reached)
        .filter(|code| !is_of_rules(code))
        .collect();
    assert!(never.is_empty(), "no file leads to {never:?}");
}
