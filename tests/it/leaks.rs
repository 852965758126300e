//! Tests that secrets and people's words reach no place where they must not appear.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use feedback_relay::demo::Fault;
use feedback_relay::demo::slack::Api;
use serde_json::json;

use crate::harness::{
    Feedback, Feishu, Output, Receiver, Relay, Reply, Slack, TOKEN, post, sealed, slack, wait_until,
};
use crate::main_path::png;

const KEY: &str = "test-encrypt-key";
const HOOK_SECRET: &str = "whsec_TUFSS0hPT0tTRUNSRVQtTUFSS0hPT0tTRUNSRVQ=";

/// Secrets, which must never appear.
const SECRETS: &[&str] = &[
    KEY,
    TOKEN,
    "app-secret",
    "t-fake-",
    "MARKBOTURL",
    "MARKBOTSECRET",
    "MARKSLACKURL",
    slack::TOKEN,
    slack::SIGNING_SECRET,
    "MARKHOOKURL",
    "TUFSS0hPT0tTRUNSRVQ",
    "MARKHOOKSECRET",
    "MARKHEADER",
    "MARKPROXY",
    "MARKDEADURL",
    // The signature in an image link.
    "&sig=",
    "v1,",
    "v0=",
];

/// The report's words and its reporter. Only the operator may request them.
const WORDS: &[&str] = &[
    "MARKCONTACT",
    "MARKWORDS",
    "MARKPATH",
    "MARKTENANT",
    "MARKOPENID",
    "MARKUNIONID",
    "MARKUSERID",
    "MARKIMAGEURL",
    "MARKCLICKER",
];

fn holds_none(place: &str, text: &str, markers: &[&str]) {
    for marker in markers {
        let found = text.lines().find(|line| line.contains(marker));
        assert_eq!(found, None, "{marker} in {place}");
    }
}

fn quiet(place: &str, text: &str) {
    holds_none(place, text, SECRETS);
    holds_none(place, text, WORDS);
}

/// Returns a report whose every word is a marker.
fn report(number: u64, images: &[String]) -> Feedback {
    Feedback::fault(number)
        .with("contact", json!("MARKCONTACT@example.com"))
        .with("description", json!("MARKWORDS, and more"))
        .with("feedback_path", json!("pages/MARKPATH?x=1"))
        .with("tenant_name", json!("MARKTENANT"))
        .with(
            "user_id",
            json!({"open_id": "ou_MARKOPENID", "union_id": "on_MARKUNIONID", "user_id": "MARKUSERID"}),
        )
        .with("images", json!(images))
}

/// Every peer of the relay.
struct World {
    feishu: Feishu,
    slack: Slack,
    bot: Receiver,
    webhook: Receiver,
    hook: Receiver,
    proxy: Receiver,
    pictures: Receiver,
}

impl World {
    fn new() -> Self {
        let pictures = Receiver::answering("");
        pictures.on("/MARKIMAGEURL-gone", Reply::status(404));
        pictures.on(
            "/MARKIMAGEURL-wrong",
            Reply::bytes("image/png", b"<svg>MARKWORDS</svg>"),
        );
        let away = vec![("Location".into(), "http://MARKIMAGEURL.example/x".into())];
        pictures.on("/MARKIMAGEURL-away", Reply::Answer(302, away, Vec::new()));
        pictures.always(Reply::bytes("image/png", &png()));
        Self {
            feishu: Feishu::with_chats(&["oc_room"]),
            slack: Slack::started(),
            bot: Receiver::answering(r#"{"code":0,"msg":"success"}"#),
            webhook: Receiver::answering("ok"),
            hook: Receiver::answering("{}"),
            proxy: Receiver::answering("{}"),
            pictures,
        }
    }

    /// Makes the platforms refuse every call and echo the request as the reason.
    fn echoing(&self) {
        let words = WORDS.join(" ");
        let refusal = json!({"code": 19024, "msg": words, "error": words}).to_string();
        self.bot.always(Reply::ok(&refusal));
        self.webhook
            .always(Reply::Answer(413, Vec::new(), words.clone().into_bytes()));
        self.hook
            .always(Reply::Answer(422, Vec::new(), refusal.clone().into_bytes()));
        self.proxy
            .always(Reply::Answer(500, Vec::new(), refusal.into_bytes()));
        for _ in 0..4 {
            let refused = json!({"ok": false, "error": words, "errors": [words]});
            self.slack
                .faults()
                .add(Api::PostMessage, Fault::json(200, &refused));
        }
    }

    fn images(&self) -> Vec<String> {
        let here = ["", "-gone", "-wrong", "-away"];
        let mut urls: Vec<_> = here
            .iter()
            .map(|end| {
                self.pictures
                    .url(&format!("/MARKIMAGEURL{end}?x-sig=MARKIMAGEURL"))
            })
            .collect();
        urls.extend([
            "https://10.0.0.1/MARKIMAGEURL".into(),
            "https://u:MARKIMAGEURL@x/".into(),
            "MARKIMAGEURL".into(),
        ]);
        urls
    }

    fn config(&self, log: &str) -> String {
        let rest = format!(
            r#"{app}
[destinations.room]
kind = "feishu-app"
app = "shop"
chat_id = "oc_room"
{product}
[destinations.bot]
kind = "feishu-bot"
url = "{bot}"
secret = "MARKBOTSECRET"
upload_images_as = "shop"
[destinations.channel]
kind = "slack-webhook"
url = "{channel}"
[destinations.hook]
kind = "webhook"
url = "{hook}"
secret = "{HOOK_SECRET}"
headers = {{ "X-Key" = "MARKHEADER" }}
[destinations.proxied]
kind = "webhook"
url = "http://warehouse.invalid/MARKHOOKURL"
proxy = "{proxy}"
[destinations.dead]
kind = "webhook"
url = "http://127.0.0.1:9/MARKDEADURL"
retry_for = "1s"
[destinations.archive]
kind = "file"
path = "data/feedback.jsonl"
[[rules]]
name = "all"
send_to = ["room", "product", "bot", "channel", "hook", "proxied", "dead", "archive"]
wait = "200ms"
"#,
            app = self.feishu.app_keys(),
            product = self.slack.destination(),
            bot = self.bot.url("/open-apis/bot/v2/hook/MARKBOTURL"),
            channel = self.webhook.url("/services/T/B/MARKSLACKURL"),
            hook = self.hook.url("/MARKHOOKURL"),
            proxy = self
                .proxy
                .url("")
                .replace("http://", "http://relay:MARKPROXY@"),
        );
        format!(
            "server.public_url = \"https://relay.example.com\"\n{log}\n{}",
            Relay::config(&rest)
        )
    }
}

/// Sends all kinds of unauthorized requests to the relay and returns the responses.
fn strangers(relay: &Relay) -> Vec<String> {
    let words = WORDS.join(" ");
    let event = report(90, &[]).envelope.to_string();
    let (headers, body) = sealed("another-key", &event);
    let forged: Vec<_> = headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let (right, garbled) = sealed(KEY, &format!("{words} is no JSON"));
    let right: Vec<_> = right
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let path = "/apps/shop/events";
    let actions = "/destinations/product/actions";
    let signed = [
        ("x-slack-request-timestamp", "1"),
        ("x-slack-signature", "v0=00"),
    ];
    let mut answers = vec![
        post(relay.address(), path, &forged, &body),
        post(relay.address(), path, &[], event.as_bytes()),
        post(relay.address(), path, &[], words.as_bytes()),
        post(relay.address(), path, &right, &garbled),
        post(relay.address(), path, &[], &vec![b'x'; 2 << 20]),
        post(relay.address(), "/apps/MARKWORDS/events", &[], b"{}"),
        post(relay.address(), actions, &signed, words.as_bytes()),
        post(relay.address(), actions, &[], words.as_bytes()),
        relay.push_text("[]"),
        relay.push_text(&format!("{{\"event\":\"{words}\"}}")),
        relay.push_text(&json!({"schema": "2.0", "header": {"token": "MARKWORDS"}}).to_string()),
    ];
    for path in [
        "/status",
        "/metrics",
        "/readyz",
        "/healthz",
        "/images/x?until=1&sig=MARKWORDS",
        "/MARKWORDS",
    ] {
        answers.push(relay.get(path));
    }
    answers.iter().map(|answer| answer.text()).collect()
}

/// Delivers one report with a click; after that, everything fails.
fn eventful(log: &str) -> (World, Relay) {
    let world = World::new();
    let relay = Relay::started(&world.config(log));
    assert_eq!(relay.push(&report(1, &world.images())).status, 200);
    wait_until("Slack is told", || !world.slack.messages().is_empty());
    relay.wait_until_idle();
    // Only messages of the newest format have buttons. Slack names the actor in a click.
    let message = world.slack.messages().remove(0);
    let clicker = ("U0MARKCLICKER", "MARKCLICKER");
    assert_eq!(
        world
            .slack
            .press(relay.address(), &message, "claim", clicker),
        200
    );
    // The image link sent to Slack works; a forged one does not.
    let told = world.webhook.wait_for(1)[0].text().replace("&amp;", "&");
    let (_, link) = told
        .split_once("https://relay.example.com")
        .expect("a link");
    let link = link.split(['"', '|', '>']).next().expect("a part");
    assert_eq!(relay.get(link).status, 200, "{link}");
    assert_eq!(relay.get(&format!("{link}x")).status, 404);

    world.echoing();
    assert_eq!(relay.push(&report(2, &world.images())).status, 200);
    let update = json!({
        "schema": "2.0",
        "header": {"event_id": "up-1", "token": TOKEN, "create_time": sealed::now_ms().to_string(),
            "event_type": "application.application.feedback.updated_v6", "tenant_key": "tk1",
            "app_id": "cli_9f5343c580712544"},
        "event": {"feedback_ids": ["7057888018200000001"], "status": 2,
            "operator_id": {"open_id": "ou_MARKOPENID"}, "app_id": "cli_9f5343c580712544"},
    });
    assert_eq!(relay.push_text(&update.to_string()).status, 200);
    for answer in strangers(&relay) {
        quiet("an answer to a stranger", &answer);
    }
    wait_until("what is dead is dead", || {
        let all = relay.deliveries();
        let dead = |name: &str| {
            all.iter()
                .any(|one| one["destination"] == name && one["state"] == "dead")
        };
        dead("dead") && dead("hook") && dead("channel")
    });
    for path in ["/status", "/metrics", "/readyz"] {
        quiet(path, &relay.get(path).text());
    }
    (world, relay)
}

/// Returns the text of both output streams.
fn said(output: &Output) -> String {
    format!("{}\n{}", output.stdout, output.stderr)
}

/// Checks that only the owner can open the relay's files.
fn private_files(path: &Path, seen: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(path).expect("a folder") {
        let entry = entry.expect("readable");
        let meta = entry.metadata().expect("readable");
        let wanted = if meta.is_dir() { 0o700 } else { 0o600 };
        let mode = meta.permissions().mode() & 0o777;
        assert_eq!(mode, wanted, "{:?}: {mode:o}", entry.path());
        seen.insert(entry.file_name().to_string_lossy().into_owned());
        if meta.is_dir() {
            private_files(&entry.path(), seen);
        }
    }
}

#[test]
fn no_secret_or_report_text_in_logs_metrics_or_responses() {
    let trace = "log.level = \"trace\"";
    let (_world, relay) = eventful(trace);
    assert_commands_show_no_secret(&relay);
    let mut seen = BTreeSet::new();
    private_files(&relay.path("data"), &mut seen);
    private_files(&relay.path("copy"), &mut seen);
    for name in [
        "relay.db",
        "relay.db-wal",
        "relay.db-shm",
        "feedback.jsonl",
        "images",
    ] {
        assert!(seen.contains(name), "{name} in {seen:?}");
    }
    let log = relay.log();
    assert!(
        log.contains("TRACE") || log.contains("DEBUG") || log.contains("INFO"),
        "{log}"
    );
    quiet("the log", &log);
}

#[test]
fn no_secret_or_report_text_in_json_logs() {
    let (_world, relay) = eventful("log.level = \"trace\"\nlog.format = \"json\"");
    let log = relay.log();
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
    quiet("the log", &log);
}

/// Checks the commands: their output may contain people's words if requested, but never a secret.
fn assert_commands_show_no_secret(relay: &Relay) {
    relay.write(
        "event.json",
        &report(7, &["https://x/MARKIMAGEURL".to_owned()])
            .envelope
            .to_string(),
    );
    for arguments in [
        &["deliveries", "list", "--limit", "1000"][..],
        &["deliveries", "list", "--json"],
        &["destinations", "list"],
        &["destinations", "list", "--json"],
        &["check"],
        &["check", "--json"],
        &["backfill", "shop", "--dry-run"],
        &["backup", "copy"],
    ] {
        let output = relay.run(arguments);
        quiet(&arguments.join(" "), &said(&output));
    }
    for arguments in [
        &["events", "list"][..],
        &["events", "list", "--json"],
        &["events", "show", "ev-1"],
        &["events", "show", "ev-2"],
        &["events", "show", "ev-1", "--json"],
        &["events", "show", "ev-2", "--json"],
        &["events", "show", "up-1", "--json"],
        &["try", "event.json"],
        &["try", "event.json", "--json"],
        &["try", "event.json", "--send"],
        &["events", "replay", "ev-1"],
    ] {
        let output = relay.run(arguments);
        holds_none(&arguments.join(" "), &said(&output), SECRETS);
    }
}

/// Tests a file in which every value is a secret in a wrong place, or beside an error.
#[test]
fn diagnostics_show_no_secret() {
    let world = World::new();
    let good = world.config("");
    let relay = Relay::prepared(&good);
    let mistakes = [
        good.replace(
            "secret = \"MARKBOTSECRET\"",
            "secret = \"MARKBOTSECRET\", \"\"",
        ),
        good.replace("secret = \"MARKBOTSECRET\"", "secert = \"MARKBOTSECRET\""),
        good.replace(
            "secret = \"MARKBOTSECRET\"",
            "secret = [\"MARKBOTSECRET\", 7]",
        ),
        good.replace("http://warehouse.invalid/", "ftp://warehouse.invalid/"),
        good.replace(
            "http://warehouse.invalid/",
            "http://u:MARKPROXY@ warehouse/",
        ),
        good.replace("proxy = \"http://", "proxy = \"socks9://"),
        good.replace("\"X-Key\" = ", "\"X Key\" = "),
        good.replace("\"MARKHEADER\"", "\"MARKHEADER\\nMARKHEADER\""),
        good.replace("whsec_", "whsec_!"),
        good.replace("url = ", "uri = "),
        good.replace("encrypt_key = \"", "encrypt_key = \"${MARKUNSET}"),
        good.replace("encrypt_key", "encryptkey"),
        good.replace("verification_token = \"", "verification_token = \"\\q"),
        good.replace("signing_secret = \"", "signing_secret = 5 # \""),
        good.replace("app_secret = \"", "app_secret = \"\n"),
    ];
    for (index, config) in mistakes.iter().enumerate() {
        assert_ne!(*config, good, "mistake {index}");
        relay.write("relay.toml", config);
        assert_eq!(relay.run(&["check"]).code(), 2, "mistake {index}");
        for arguments in [
            &["check"][..],
            &["check", "--json"],
            &["serve"],
            &["try", "event.json"],
        ] {
            let output = relay.run(arguments);
            assert_ne!(output.code(), 0, "mistake {index}: {output:?}");
            holds_none(
                &format!("{arguments:?} of mistake {index}"),
                &said(&output),
                SECRETS,
            );
        }
    }
}
