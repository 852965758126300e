//! The `demo` command: the real binary, its page over HTTP and in a real browser.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::harness::browser::Browser;
use crate::harness::http::{Answer, get, post};

/// How long anything may take before a test gives up. Generous: machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `holds`, looking a few times a second: each look has the demo draw up everything.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(100)); // looks again; what it waits for is another process
    }
}

/// A demo that runs, with a place of its own for temporary files.
struct Demo {
    child: Child,
    /// Where the page is: `127.0.0.1:PORT`.
    page: String,
    /// What it printed after the page's address.
    said: BufReader<ChildStdout>,
    temporary: TempDir,
    begun: Instant,
}

fn command(temporary: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feedback-relay"));
    command
        .arg("demo")
        .args(arguments)
        .env_clear()
        .env("TMPDIR", temporary.path())
        // What is meant for another relay must not reach this one.
        .env("RELAY__SERVER__LISTEN", "no address");
    command
}

impl Demo {
    fn started() -> Self {
        let temporary = TempDir::new().expect("a temporary folder");
        let begun = Instant::now();
        let mut child = command(&temporary, &["--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("readable");
        let page = line
            .strip_prefix("open http://")
            .and_then(|rest| rest.split_once(' '));
        let (page, _) = page.unwrap_or_else(|| panic!("the page's address comes first: {line:?}"));
        Self {
            page: page.to_owned(),
            child,
            said,
            temporary,
            begun,
        }
    }

    /// Its folder, which is the only thing there.
    fn folder(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.temporary.path()).expect("it is there");
        let mut paths = entries.map(|entry| entry.expect("readable").path());
        let folder = paths.next().expect("a folder");
        assert_eq!(paths.next(), None);
        folder
    }

    fn state(&self) -> Value {
        get(&self.page, "/api/state").json()
    }

    fn messages(&self, chat: &str) -> Vec<Value> {
        let state = self.state();
        let chats = state["chats"].as_array().expect("chats");
        let chat = chats
            .iter()
            .find(|one| one["key"] == chat)
            .expect("the chat");
        chat["messages"].as_array().expect("messages").clone()
    }

    fn event(&self, id: &Value) -> Option<Value> {
        let events = self.state()["events"].clone();
        events
            .as_array()?
            .iter()
            .find(|one| one["id"] == *id)
            .cloned()
    }

    fn tell(&self, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        post(&self.page, path, &json, body.to_string().as_bytes())
    }

    fn done(&self, path: &str, body: &Value) -> Value {
        let answer = self.tell(path, body);
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        answer.json()
    }

    /// Somebody reports, of this kind and in these words; the event's id.
    fn report(&self, kind: &str, text: &str) -> Value {
        let new =
            json!({"kind": kind, "text": text, "contact": "", "picture": null, "sample": true});
        self.done("/api/report", &new)["event"].clone()
    }

    /// Waits until a delivery of this event stands so.
    fn wait_for_delivery(&self, event: &Value, to: &str, state: &str, attempts: usize) -> Value {
        let mut found = Value::Null;
        wait_until(&format!("{event} {state} to {to}"), || {
            let shown = self.event(event).unwrap_or_default();
            let all = shown["deliveries"].as_array().cloned().unwrap_or_default();
            let delivery = all
                .into_iter()
                .find(|one| one["to"] == to)
                .unwrap_or_default();
            let tried = delivery["attempts"].as_array().map_or(0, Vec::len);
            let holds = delivery["state"] == state && tried >= attempts;
            found = delivery;
            holds
        });
        found
    }

    fn interrupt(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), Signal::INT).expect("it runs");
        self.child.wait().expect("it ends")
    }
}

impl Drop for Demo {
    #[expect(
        clippy::print_stderr,
        reason = "what a demo whose test failed has on its board is what helps"
    )]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- events on the board ---\n{:#}", self.state()["events"]);
        }
        self.child.kill().ok(); // it may have ended by itself
        self.child.wait().ok();
    }
}

/// Whether some part of a value is this text, or has it.
fn says(value: &Value, text: &str) -> bool {
    value.to_string().contains(text)
}

#[test]
fn a_card_with_pictures_is_there_at_once_and_nothing_is_left_at_the_end() {
    let mut demo = Demo::started();
    wait_until("a card with a picture", || {
        demo.messages("oncall")
            .iter()
            .any(|card| says(card, "img_v3_"))
    });
    let took = demo.begun.elapsed();
    assert!(
        took < Duration::from_secs(10),
        "the first card took {took:?}"
    );
    let card = demo.messages("oncall").remove(0);
    assert!(
        says(&card, "白屏 · shop") && says(&card, "<at id=ou_li></at>"),
        "{card}"
    );
    let elements = card["content"]["body"]["elements"]
        .as_array()
        .expect("elements")
        .clone();
    let keys = elements
        .iter()
        .filter_map(|element| element["img_key"].as_str());
    for key in keys {
        let picture = get(&demo.page, &format!("/api/pictures/feishu/{key}"));
        assert_eq!(
            (picture.status, picture.header("content-type")),
            (200, Some("image/png"))
        );
    }

    let folder = demo.folder();
    assert!(folder.join("data/relay.db").exists(), "a real journal");
    let check = Command::new(env!("CARGO_BIN_EXE_feedback-relay"))
        .args([
            "--config",
            &folder.join("relay.toml").display().to_string(),
            "check",
            "--deny-warnings",
        ])
        .env_clear()
        .output()
        .expect("the binary runs");
    assert!(
        check.status.success(),
        "its tests pass, and there is nothing to warn of: {check:?}"
    );

    let begun = Instant::now();
    assert_eq!(demo.interrupt().code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "Ctrl-C ended it late"
    );
    assert_eq!(
        std::fs::read_dir(demo.temporary.path())
            .expect("it is there")
            .count(),
        0
    );
    let mut said = String::new();
    demo.said.read_to_string(&mut said).expect("readable");
    assert!(
        said.contains("relay.toml") && said.contains("Ctrl-C"),
        "{said}"
    );
}

#[test]
fn a_repeat_is_told_once_and_a_report_of_the_visitor_s_own_goes_its_way() {
    let demo = Demo::started();
    let id = demo.report("crash", "mine <b>&amp;</b> *x*");
    let event = || demo.event(&id).unwrap_or_default();
    for place in ["oncall", "slack", "warehouse"] {
        demo.wait_for_delivery(&id, place, "delivered", 1);
    }
    let shown = event();
    assert_eq!(shown["said"]["fault"], "crash");
    assert_eq!(shown["pushes"][0]["status"], 200);
    assert_eq!(shown["pictures"][0]["state"], "kept");
    let rules = shown["rules"].as_array().expect("rules");
    let findings: Vec<_> = rules
        .iter()
        .filter_map(|rule| rule["finding"].as_str())
        .collect();
    assert_eq!(
        findings,
        ["continued", "matched", "not_reached", "not_reached"]
    );
    let of_mine = |card: &Value| says(card, "mine <b>&amp;</b> *x*");
    assert!(demo.messages("oncall").iter().any(of_mine));

    wait_until("the first event was pushed again", || {
        let state = demo.state();
        let events = state["events"].as_array().expect("events");
        events
            .iter()
            .any(|event| event["pushes"].as_array().is_some_and(|all| all.len() == 2))
    });
    let first = demo.messages("oncall");
    let first = first.iter().filter(|card| says(card, "白屏 · shop"));
    assert_eq!(first.count(), 1);
}

#[test]
fn a_broken_chat_holds_nobody_else_up_and_gets_what_it_missed() {
    let demo = Demo::started();
    for (chat, condition, said) in [
        ("oncall", "fails", "503"),
        ("warehouse", "limits", "429"),
        ("product", "limits", "11232"),
    ] {
        demo.done(
            "/api/condition",
            &json!({"chat": chat, "condition": condition}),
        );
        let kind = if chat == "product" {
            "suggestion"
        } else {
            "crash"
        };
        let id = demo.report(kind, "while it is down");
        let delivery = demo.wait_for_delivery(&id, chat, "pending", 1);
        assert!(says(&delivery["attempts"][0], said), "{delivery}");
        demo.wait_for_delivery(&id, "slack", "delivered", 1);
        demo.done(
            "/api/condition",
            &json!({"chat": chat, "condition": "works"}),
        );
        let delivery = demo.wait_for_delivery(&id, chat, "delivered", 2);
        assert_eq!(
            delivery["attempts"]
                .as_array()
                .and_then(|all| all.last())
                .expect("one")["outcome"],
            "delivered"
        );
    }
}

#[test]
fn a_press_goes_through_the_relay_and_every_copy_shows_it() {
    let demo = Demo::started();
    let id = demo.report("crash", "press me");
    demo.wait_for_delivery(&id, "oncall", "delivered", 1);
    demo.wait_for_delivery(&id, "slack", "delivered", 1);
    let of = |chat: &str| {
        let mut all = demo.messages(chat).into_iter();
        all.rfind(|message| says(message, "press me"))
            .expect("it is told")
    };
    let press = |chat: &str, button: &str| {
        demo.done(
            "/api/press",
            &json!({"chat": chat, "message": of(chat)["id"], "button": button}),
        )
    };
    assert_eq!(press("oncall", "claim")["toast"]["en_us"], "It is yours");
    wait_until("both copies say who", || {
        says(&of("oncall"), "<at id=ou_you></at>") && says(&of("slack"), "*Processing*")
    });
    assert_eq!(press("slack", "done")["status"], 200);
    wait_until("both copies say that it is done", || {
        says(&of("oncall"), "已处理") && says(&of("slack"), "*Processed*")
    });
    let forged = json!({"chat": "oncall", "message": "om_none", "button": "claim"});
    assert_eq!(demo.tell("/api/press", &forged).status, 400);
}

#[test]
fn relay_toml_is_changed_on_the_page_or_beside_it_and_what_is_wrong_is_refused() {
    let demo = Demo::started();
    let config = get(&demo.page, "/api/config").json();
    let text = config["text"].as_str().expect("a text");
    let path = PathBuf::from(config["path"].as_str().expect("a path"));
    let wrong = text.replace("[\"product\", \"slack\"]", "[\"produkt\", \"slack\"]");
    let saved = demo.done("/api/config", &json!({ "text": wrong }));
    assert_eq!(saved["in_force"], false);
    assert!(
        says(&saved["report"], "did you mean \\\"product\\\"?"),
        "{saved}"
    );
    wait_until("the operator is told", || {
        demo.messages("oncall")
            .iter()
            .any(|card| says(card, "relay.toml"))
    });
    let id = demo.report("suggestion", "by the old rules");
    demo.wait_for_delivery(&id, "product", "delivered", 1);

    // As somebody's editor does.
    let right = text.replace("send_to = [\"product\", \"slack\"]", "send_to = \"oncall\"");
    std::fs::write(path, right).expect("it can be written");
    wait_until("the new rules are in force", || {
        demo.state()["config"] == json!({"version": 3, "in_force": true})
    });
    wait_until("suggestions go to on-call", || {
        let id = demo.report("suggestion", "by the new rules");
        demo.wait_for_delivery(&id, "warehouse", "delivered", 1);
        let event = demo.event(&id).expect("it is there");
        let mut deliveries = event["deliveries"].as_array().expect("deliveries").iter();
        deliveries.any(|one| one["to"] == "oncall")
    });
}

#[test]
fn only_its_own_page_is_served() {
    let demo = Demo::started();
    let page = get(&demo.page, "/");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    // What a browser asks for where somebody points a name of theirs at this machine.
    let mut stream = TcpStream::connect(&demo.page).expect("it listens");
    let asked = "GET /api/state HTTP/1.1\r\nHost: demo.example\r\nConnection: close\r\n\r\n";
    stream.write_all(asked.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    let body = json!({"paused": true}).to_string();
    let form = [("content-type", "text/plain")];
    assert_eq!(
        post(&demo.page, "/api/pause", &form, body.as_bytes()).status,
        415
    );
    assert_eq!(demo.state()["paused"], false);
    demo.done("/api/pause", &json!({"paused": true}));
    assert_eq!(demo.state()["paused"], true);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let temporary = TempDir::new().expect("a temporary folder");
    let output = command(&temporary, &["--port", &port])
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains(&format!("port {port}")) && said.contains("--port"),
        "{said}"
    );
    assert_eq!(
        std::fs::read_dir(temporary.path())
            .expect("it is there")
            .count(),
        0
    );
}

/// Pictures of a chat that are drawn.
const DRAWN: &str = "[...document.querySelectorAll('[data-chat=oncall] .card img')].filter((one) => one.naturalWidth > 0).length";

fn must_be_quiet_and_at_home(browser: &mut Browser, demo: &Demo) {
    let own = format!("http://{}/", demo.page);
    let requests = browser.requests();
    assert!(requests.len() > 6, "{requests:?}");
    let foreign: Vec<_> = requests
        .iter()
        .filter(|url| !url.starts_with(&own))
        .collect();
    assert!(foreign.is_empty(), "the page asked elsewhere: {foreign:?}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_browser_draws_the_cards_and_hands_on_what_its_visitor_does() {
    let demo = Demo::started();
    let mut browser = Browser::start(1440, 900);
    browser.open(&format!("http://{}/", demo.page));
    browser.wait_for(&format!("{DRAWN} >= 2"));
    browser.wait_for("document.querySelectorAll('#strip .stage.done').length === 4");
    browser.wait_for("document.querySelector('[data-chat=slack] .blocks img')?.naturalWidth > 0");
    let head =
        browser.eval("getComputedStyle(document.querySelector('.card .head.red')).backgroundColor");
    assert_ne!(head, "rgba(0, 0, 0, 0)", "the style is in force");

    // The form. What is typed stays text.
    browser.eval(
        "const form = document.getElementById('report'); form.kind.value = 'crash'; \
         form.text.value = 'own words <img src=x onerror=alert(1)> &lt;'; \
         form.requestSubmit(); undefined",
    );
    let card = "[...document.querySelectorAll('[data-chat=oncall] .card')].find((one) => one.innerText.includes('own words <img src=x onerror=alert(1)> &lt;'))";
    browser.wait_for(&format!(
        "!!{card}?.querySelector('img.shot')?.naturalWidth"
    ));
    browser.wait_for("document.getElementById('followed').textContent.includes('own words')");

    // A button of the card.
    browser.eval(&format!("{card}.querySelector('[data-act=claim]').click()"));
    browser.wait_for(&format!(
        "{card}.innerText.includes('处理中') && {card}.innerText.includes('@You')"
    ));
    browser.wait_for("document.getElementById('toast').textContent === 'It is yours'");

    // The editor: a mistake, and back.
    browser.eval("document.getElementById('edit').click(); document.querySelectorAll('.hint')[2].click(); document.getElementById('save').click()");
    browser.wait_for(
        "document.getElementById('complaints').textContent.includes('did you mean \"oncall\"?')",
    );
    browser.eval(
        "document.querySelectorAll('.hint')[3].click(); document.getElementById('save').click()",
    );
    browser.wait_for("document.getElementById('in-force').textContent === 'in force'");
    browser.eval("document.getElementById('editor').close()");

    // A switch.
    browser.eval("const select = document.querySelector('[data-chat=product] select'); select.value = 'fails'; select.onchange({ target: select }); undefined");
    browser.wait_for("document.querySelector('[data-chat=product]').classList.contains('broken')");

    browser.eval("document.getElementById('language').click()");
    browser.wait_for("document.documentElement.lang === 'zh-CN' && document.getElementById('try-title').textContent === '接下来试试'");
    assert_eq!(
        browser.eval("document.documentElement.scrollWidth <= innerWidth"),
        true
    );
    must_be_quiet_and_at_home(&mut browser, &demo);
}

#[test]
fn a_phone_shows_one_chat_at_a_time_and_scrolls_down_only() {
    let demo = Demo::started();
    let mut browser = Browser::start(390, 844);
    browser.open(&format!("http://{}/", demo.page));
    browser.wait_for(&format!("{DRAWN} >= 2"));
    for chat in ["shop-feedback", "Data warehouse"] {
        browser.eval(&format!("[...document.querySelectorAll('.tab')].find((one) => one.textContent.includes('{chat}')).click()"));
        browser.wait_for(&format!("[...document.querySelectorAll('.panel')].filter((one) => one.offsetHeight > 0).map((one) => one.innerText.includes('{chat}')).join() === 'true'"));
        // Nothing sticks out: neither the page, nor what is in the chat.
        assert_eq!(browser.eval("document.documentElement.scrollWidth"), 390);
        let inside = "[...document.querySelectorAll('.panel.current .message')].every((one) => one.getBoundingClientRect().right <= 390)";
        assert_eq!(browser.eval(inside), true, "{chat}");
    }
    let small = "[...document.querySelectorAll('button, select')].filter((one) => one.offsetHeight > 0 && one.offsetHeight < 32).map((one) => one.textContent)";
    assert_eq!(browser.eval(small), json!([]), "too small for a thumb");
    must_be_quiet_and_at_home(&mut browser, &demo);
}
