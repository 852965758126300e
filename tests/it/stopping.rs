//! Tests that nothing blocks the relay or its stop: an unread log, a foreign lock, an unresponsive
//! name server, an early signal.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::http::{Answer, get, request};
use crate::harness::sealed::KEY;
use crate::harness::{Feedback, Receiver, Relay, sealed, unavailable, wait_until};
use crate::main_path::to_hook;

/// The capacity of a pipe in bytes (`pipe(7)`).
const PIPE_BYTES: usize = 65_536;

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process id"), signal).expect("it runs");
}

/// Waits until a process catches SIGHUP, by its mask in `/proc`.
fn wait_until_it_listens(child: &Child) {
    let file = format!("/proc/{}/status", child.id());
    wait_until("signals are caught", || {
        let status = std::fs::read_to_string(&file).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask & 1 == 1)
    });
}

/// Pushes to the server at `address`.
fn push_to(address: &str, feedback: &Feedback) -> std::io::Result<Answer> {
    let (headers, body) = sealed(KEY, &feedback.envelope.to_string());
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    request(address, "POST", "/apps/shop/events", &headers, &body)
}

/// Returns a port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

#[test]
fn unread_log_blocks_nothing() {
    let hook = Receiver::answering("{}");
    let port = free_port();
    let config = to_hook(&hook, "").replace("127.0.0.1:0\"", &format!("127.0.0.1:{port}\""));
    let relay = Relay::prepared(&config);
    // The pipe is full from the start, like the pipe that a supervisor passes to a restarted relay.
    let (unread, mut pipe) = std::io::pipe().expect("a pipe");
    pipe.write_all(&[b'\n'; PIPE_BYTES]).expect("it has room");
    let mut child = relay
        .command(&["serve"])
        .stdout(pipe.try_clone().expect("a descriptor"))
        .stderr(pipe)
        .spawn()
        .expect("the binary");
    let address = format!("127.0.0.1:{port}");
    let is_up = || TcpStream::connect(&address).is_ok();
    wait_until("it listens", is_up);
    assert_eq!(get(&address, "/healthz").status, 200);
    for number in 0..100 {
        let answer = push_to(&address, &Feedback::fault(number));
        assert_eq!(answer.expect("an answer").status, 200);
    }
    hook.wait_for(100);
    signal(&child, Signal::TERM);
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0));
    drop(unread);
}

#[test]
fn relay_without_stdout_and_stderr_serves() {
    let hook = Receiver::answering("{}");
    let port = free_port();
    let config = to_hook(&hook, "").replace("127.0.0.1:0\"", &format!("127.0.0.1:{port}\""));
    let relay = Relay::prepared(&config);
    let mut child = Command::new("/bin/sh")
        .args(["-c", "exec \"$0\" serve >&- 2>&-"])
        .arg(env!("CARGO_BIN_EXE_feedback-relay"))
        .current_dir(relay.folder())
        .spawn()
        .expect("a shell");
    let address = format!("127.0.0.1:{port}");
    wait_until("it listens", || TcpStream::connect(&address).is_ok());
    let answer = push_to(&address, &Feedback::fault(1));
    assert_eq!(answer.expect("an answer").status, 200);
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

/// Starts a relay whose configuration is a pipe, which delays reading like a slow disk or many
/// rules.
fn waiting_for_its_configuration(relay: &Relay) -> Child {
    std::fs::remove_file(relay.path("relay.toml")).expect("it was written");
    let made = Command::new("mkfifo")
        .arg(relay.path("relay.toml"))
        .status();
    assert!(made.expect("mkfifo").success());
    let child = relay
        .command(&["serve"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    wait_until_it_listens(&child);
    child
}

#[test]
fn early_reload_signal_is_applied_later() {
    let hook = Receiver::answering("{}");
    let port = free_port();
    let config = to_hook(&hook, "").replace("127.0.0.1:0\"", &format!("127.0.0.1:{port}\""));
    let relay = Relay::prepared("");
    let mut child = waiting_for_its_configuration(&relay);
    signal(&child, Signal::HUP);
    let hand_over = || {
        // Opening blocks until the relay reads.
        let file = File::options().write(true).open(relay.path("relay.toml"));
        let written = file.and_then(|mut file| file.write_all(config.as_bytes()));
        written.expect("the relay reads it");
    };
    hand_over();
    let address = format!("127.0.0.1:{port}");
    let reloads = "feedback_relay_reloads_total{result=\"ok\"} 1";
    wait_until("it is up", || TcpStream::connect(&address).is_ok());
    hand_over();
    wait_until("it reloads", || {
        get(&address, "/metrics").text().contains(reloads)
    });
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn stop_before_configuration_is_read_ends_relay_at_once() {
    let relay = Relay::prepared("");
    let mut child = waiting_for_its_configuration(&relay);
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

/// Returns a configuration whose rules take seconds to compare in a test build.
fn with_many_rules(hook: &Receiver) -> String {
    let mut config = to_hook(hook, "");
    for number in 0..4_000 {
        config.push_str(&format!(
            "[[rules]]\nname = \"rule-{number}\"\nmatch = {{ contact = \"{number}@x.example\" }}\nsend_to = \"hook\"\n"
        ));
    }
    config
}

/// The configuration is a pipe, which shows when the relay has read the rules. While it is open, the relay waits
/// for more; once it is closed, the relay compares the rules.
#[test]
fn stop_does_not_wait_for_large_reload() {
    for stays_open in [true, false] {
        let hook = Receiver::answering("{}");
        let mut relay = Relay::started(&to_hook(&hook, ""));
        let path = relay.path("relay.toml");
        std::fs::remove_file(&path).expect("it was written");
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo").success());
        relay.signal(Signal::HUP);
        // Opening blocks until the relay reads.
        let mut pipe = File::options().write(true).open(&path).expect("a pipe");
        let rules = with_many_rules(&hook);
        pipe.write_all(rules.as_bytes()).expect("the relay reads");
        let pipe = stays_open.then_some(pipe);
        assert_eq!(relay.stop().code(), Some(0));
        assert!(relay.log().contains("in_time=true"), "{}", relay.log());
        drop(pipe);
    }
}

/// Starts a relay that is writing a line to a file whose lock the test holds.
fn behind_a_lock(grace: &str) -> (Relay, File) {
    let mut relay = Relay::prepared(&Relay::config(
        "[destinations.lines]\nkind = \"file\"\npath = \"lines\"\ntimeout = \"60s\"\n\
         [[rules]]\nname = \"all\"\nsend_to = \"lines\"\n",
    ));
    let config = relay.read("relay.toml");
    relay.write(
        "relay.toml",
        &format!("server.shutdown_grace = \"{grace}\"\n{config}"),
    );
    let held = File::create(relay.path("lines")).expect("a file");
    held.lock().expect("nobody has it");
    relay.start();
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    wait_until("it is being sent", || {
        relay.deliveries()[0]["state"] == "sending"
    });
    (relay, held)
}

#[test]
fn foreign_lock_does_not_delay_stop() {
    let (mut relay, held) = behind_a_lock("1s");
    assert_eq!(relay.stop().code(), Some(0));
    assert!(relay.log().contains("in_time=false"), "{}", relay.log());
    drop(held);
}

#[test]
fn incomplete_body_does_not_delay_stop() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::started(&to_hook(&hook, ""));
    let mut stream = TcpStream::connect(relay.address()).expect("it listens");
    let part = "POST /apps/shop/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
    stream.write_all(part.as_bytes()).expect("it is read");
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    assert_eq!(relay.stop().code(), Some(0));
    assert!(!relay.log().contains("in_time=false"), "{}", relay.log());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn second_signal_ends_relay_waiting_for_lock() {
    let (mut relay, held) = behind_a_lock("10m");
    relay.signal(Signal::TERM);
    relay.wait_for_log("stopping");
    assert_eq!(relay.stop().code(), Some(0));
    drop(held);
}

#[test]
fn unresponsive_name_server_blocks_nothing() {
    let hook = Receiver::answering("{}");
    let mut config = Relay::config("");
    let mut names = vec!["\"hook\"".to_owned()];
    for number in 0..40 {
        names.push(format!("\"dead-{number}\""));
        config.push_str(&format!(
            "[destinations.dead-{number}]\nkind = \"webhook\"\nurl = \"http://dead-{number}.example.test/\"\n"
        ));
    }
    config.push_str(&format!(
        "[destinations.hook]\nkind = \"webhook\"\nurl = \"{}\"\n[[rules]]\nname = \"all\"\nsend_to = [{}]\n",
        hook.url("/"),
        names.join(", "),
    ));
    let mut relay = Relay::prepared(&format!("server.shutdown_grace = \"1s\"\n{config}"));
    // Accepts queries and answers none; used where it is the configured name server.
    let Ok(_silent) = UdpSocket::bind("127.0.0.77:53") else {
        return unavailable("only root may be a name server at 127.0.0.77:53");
    };
    relay.write("resolv.conf", "nameserver 127.0.0.77\noptions timeout:20\n");
    let hosts = relay.path("resolv.conf").display().to_string();
    let mounted = format!("mount --bind {hosts} /etc/resolv.conf && exec \"$0\" \"$@\"");
    let may = Command::new("unshare")
        .args(["--mount", "/bin/true"])
        .status();
    if !may.is_ok_and(|status| status.success()) {
        return unavailable("unshare may not make a mount namespace");
    }
    relay.launch_through(&["unshare", "--mount", "/bin/sh", "-c", &mounted]);
    relay.start();
    for number in 0..20 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    hook.wait_for(20);
    assert_eq!(relay.get("/status").status, 200);
    let threads = std::fs::read_dir(format!("/proc/{}/task", relay.pid()));
    let threads = threads.expect("it runs").count();
    assert!(threads < 80, "{threads} threads");
    assert_eq!(relay.stop().code(), Some(0));
}
