//! Tests with a service manager: notifications to systemd, health checks of containers, and the
//! setup files.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Feedback, Receiver, Relay, Reply};
use crate::main_path::to_hook;

const UNIT: &str = include_str!("../../contrib/systemd/feedback-relay.service");
const CONTAINERFILE: &str = include_str!("../../contrib/container/Containerfile");

/// The socket of the service manager.
struct Manager(UnixDatagram);

impl Manager {
    /// Receives notifications from the process that `relay` starts.
    fn of(relay: &mut Relay) -> Self {
        let path = relay.path("notify");
        let ear = UnixDatagram::bind(&path).expect("a socket");
        let patience = Duration::from_secs(40);
        ear.set_read_timeout(Some(patience)).expect("a time limit");
        relay.set("NOTIFY_SOCKET", path.to_str().expect("UTF-8"));
        Self(ear)
    }

    /// Returns the next message by its names.
    fn hear(&self) -> BTreeMap<String, String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("the relay says something");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Returns the next message that is not a watchdog signal.
    fn hear_news(&self) -> BTreeMap<String, String> {
        for _ in 0..10_000 {
            let heard = self.hear();
            if !heard.contains_key("WATCHDOG") {
                return heard;
            }
        }
        panic!("nothing but signs of life")
    }
}

#[test]
fn systemd_is_notified_of_ready_reload_and_stop() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::prepared(&to_hook(&hook, ""));
    let manager = Manager::of(&mut relay);
    relay.start();
    let heard = manager.hear();
    assert_eq!(heard["READY"], "1");
    let listening = format!("listening on http://{}", relay.address());
    assert_eq!(heard["STATUS"], listening);
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200, "it is ready");

    let clock = || rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec;
    for (config, status) in [
        (to_hook(&hook, "concurrency = 2"), listening.clone()),
        (
            "[nonsense]\n".to_owned(),
            format!("{listening}; the new configuration was refused, the old one stays active"),
        ),
    ] {
        relay.write("relay.toml", &config);
        let before = clock();
        relay.signal(Signal::HUP);
        let heard = manager.hear();
        assert_eq!(heard["RELOADING"], "1");
        let micros: i64 = heard["MONOTONIC_USEC"].parse().expect("a number");
        assert!((before..=clock()).contains(&(micros / 1_000_000)));
        let heard = manager.hear();
        assert_eq!((heard["READY"].as_str(), &heard["STATUS"]), ("1", &status));
    }

    hook.always(Reply::After(Duration::from_millis(300)));
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    relay.signal(Signal::TERM);
    assert_eq!(manager.hear()["STOPPING"], "1");
    assert_eq!(relay.wait().code(), Some(0));
}

#[test]
fn watchdog_is_notified_at_half_its_interval() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::prepared(&to_hook(&hook, ""));
    let manager = Manager::of(&mut relay);
    relay.set("WATCHDOG_USEC", "100000");
    relay.start();
    assert_eq!(manager.hear()["READY"], "1");
    for _ in 0..3 {
        assert_eq!(manager.hear()["WATCHDOG"], "1");
    }
    relay.signal(Signal::TERM);
    assert_eq!(manager.hear_news()["STOPPING"], "1");
    assert_eq!(relay.wait().code(), Some(0));
}

/// Prepares a relay that listens at the address given by the environment.
fn listening(address: &str) -> Relay {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::prepared(&to_hook(&hook, ""));
    relay.set("RELAY__SERVER__LISTEN", address);
    relay.start();
    let (_, port) = relay.address().rsplit_once(':').expect("a port");
    let (ip, _) = address.rsplit_once(':').expect("a port");
    let here = format!("{ip}:{port}");
    relay.set("RELAY__SERVER__LISTEN", &here);
    relay
}

#[test]
fn healthcheck_finds_listen_address() {
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        let mut relay = listening(address);
        for (arguments, said) in [
            (&["healthcheck"] as &[&str], "ready\n"),
            (&["healthcheck", "--alive"], "ok\n"),
        ] {
            let output = relay.run(arguments);
            assert_eq!(
                (output.code(), output.stdout.as_str()),
                (0, said),
                "{address}"
            );
        }
        // The health check works while somebody edits the file.
        relay.write("relay.toml", "[server]\n[rules]\nwhat = \"${NOT_THERE}\"\n");
        assert_eq!(relay.run(&["healthcheck"]).code(), 0, "{address}");

        relay.stop();
        let output = relay.run(&["healthcheck"]);
        assert_eq!((output.code(), output.stdout.as_str()), (1, ""));
        assert!(output.stderr.contains("/readyz: not sent"), "{output:?}");
    }
}

#[test]
fn failing_healthcheck_reports_reason() {
    let mut relay = Relay::prepared("[server]\nlisten = \"nowhere\"\n");
    let output = relay.run(&["healthcheck"]);
    assert_eq!(output.code(), 1);
    assert!(output.stderr.contains("feedback-relay check"), "{output:?}");
    let output = relay.run(&["--config", "nowhere.toml", "healthcheck"]);
    assert_eq!(output.code(), 1);
    assert!(
        output.stderr.contains("there is no nowhere.toml"),
        "{output:?}"
    );

    let draining = Receiver::answering("draining\n");
    draining.always(Reply::status(503));
    let url = draining.url("");
    let address = url.strip_prefix("http://").expect("a URL");
    relay.set("RELAY__SERVER__LISTEN", address.trim_end_matches('/'));
    let output = relay.run(&["healthcheck"]);
    assert_eq!(output.code(), 1);
    assert!(output.stderr.contains("/readyz: 503"), "{output:?}");

    // Accepts the connection and never answers.
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = deaf.local_addr().expect("bound").to_string();
    relay.set("RELAY__SERVER__LISTEN", &address);
    let output = relay.run(&["healthcheck", "--alive"]);
    assert_eq!(output.code(), 1);
    assert!(output.stderr.contains("no answer in time"), "{output:?}");
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let relay = Relay::prepared("this is no TOML");
    let page = relay.run(&["man"]);
    assert_eq!(page.code(), 0, "{page:?}");
    assert!(page.stdout.contains(".TH feedback-relay 1"), "{page:?}");
    for said in ["SYNOPSIS", "relay.toml", "events", "Exit status"] {
        assert!(page.stdout.contains(said), "{said}");
    }
    std::fs::create_dir(relay.path("man1")).expect("a folder");
    assert_eq!(relay.run(&["man", "man1"]).code(), 0);
    assert_eq!(relay.read("man1/feedback-relay.1"), page.stdout);
    let retry = relay.read("man1/feedback-relay-deliveries-retry.1");
    assert!(retry.contains("with their old idempotency keys"), "{retry}");
    assert_eq!(relay.run(&["man", "no-such-folder"]).code(), 1);
}

/// Returns the values of a key in the unit file.
fn unit(key: &str) -> Vec<&'static str> {
    let pairs = UNIT.lines().filter_map(|line| line.split_once('='));
    pairs
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .collect()
}

/// Returns the arguments after the program in one of the relay's commands.
fn arguments(command: &str) -> Vec<&str> {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a program");
    assert!(program.ends_with("/feedback-relay"), "{command}");
    words.collect()
}

#[test]
fn unit_commands_exist() {
    assert_eq!(unit("Type"), ["notify"]);
    let start = unit("ExecStart");
    let reload = unit("ExecReload");
    let ours = start.iter().chain(&reload[..1]);
    let relay = Relay::prepared(include_str!("../../relay.toml"));
    for command in ours {
        let mut words = arguments(command);
        words.push("--help");
        assert_eq!(relay.run(&words).code(), 0, "{command}");
    }
    assert!(reload[0].contains(" check"), "a wrong file reloads nothing");
    assert!(reload[1].ends_with("kill -HUP $MAINPID"));
    // An invalid configuration exits with 2, and a restart does not repair it.
    assert_eq!(unit("RestartPreventExitStatus"), ["2"]);
    // Other users can neither read its files nor find its memory on the disk.
    assert_eq!(
        (unit("UMask"), unit("LimitCORE")),
        (vec!["0077"], vec!["0"])
    );
    assert_eq!(unit("MemoryMax").len(), 1);
    let grace: u64 = unit("TimeoutStopSec")[0].parse().expect("seconds");
    assert!(grace > 20, "longer than server.shutdown_grace");
}

#[test]
fn container_runs_unprivileged_and_checks_health() {
    let line = |start: &str| {
        let mut lines = CONTAINERFILE.lines();
        lines
            .rfind(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("no {start}"))
    };
    let words = |line: &str| -> Vec<String> {
        let (_, list) = line.split_once('[').expect("a list");
        serde_json::from_str(&format!("[{list}")).expect("JSON")
    };
    let user = line("USER ").trim_start_matches("USER ");
    let (user, _group) = user.split_once(':').expect("a group too");
    let user: u32 = user.parse().expect("a number, which needs no /etc/passwd");
    assert_ne!(user, 0);
    let relay = Relay::prepared(include_str!("../../relay.toml"));
    let program = words(line("ENTRYPOINT "));
    let (check, serve) = (words(line("    CMD ")), words(line("CMD ")));
    assert_eq!(check[0], program[0]);
    for words in [&check[1..], &serve] {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.push("--help");
        assert_eq!(relay.run(&words).code(), 0, "{words:?}");
    }
}
