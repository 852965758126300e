//! Tests that events are on the disk before a 200. A kill cannot show this, because the kernel
//! keeps the writes of a dead process. So the system calls are traced: the store's log is synced
//! before each 200. Other tests make the syncs fail.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};
use crate::parts::{assert_whole, count, journal, to_hook, unavailable};

/// `strace` on a running relay, with its output in a file.
struct Watch {
    child: Child,
}

impl Watch {
    /// Starts `strace` with these options. Returns `None` if it is not installed or not permitted.
    fn begin(relay: &Relay, what: &[&str]) -> Option<Self> {
        let mut child = Command::new("strace")
            .args(["-f", "-y", "-s", "64"])
            .args(what)
            .args(["-o", "trace.txt", "-p"])
            .arg(relay.pid().to_string())
            .current_dir(relay.folder())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // It creates the file before it attaches, and exits at once without permission.
        for _ in 0..400 {
            if child.try_wait().ok()?.is_some() {
                return None;
            }
            if all_threads_are_traced(relay.pid()) {
                return Some(Self { child });
            }
            std::thread::sleep(Duration::from_millis(10)); // waits for another process
        }
        child.kill().ok();
        child.wait().ok();
        None
    }

    fn end(mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), Signal::INT).expect("it runs");
        self.child.wait().expect("it ends");
    }
}

/// Returns whether `strace` has attached to every thread of the process. It does so one by one.
fn all_threads_are_traced(pid: u32) -> bool {
    let is_traced = |thread: std::fs::DirEntry| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.contains("TracerPid:\t") && !status.contains("TracerPid:\t0\n")
    };
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    threads.is_ok_and(|mut threads| threads.all(|thread| thread.is_ok_and(is_traced)))
}

/// Parses the trace. Returns the number of responses, and those without a sync of their own.
fn answers(trace: &str) -> (usize, Vec<usize>) {
    let (mut answers, mut bare) = (0, Vec::new());
    // State since the last response: the log was written, its sync started, its sync succeeded.
    let (mut written, mut syncing, mut synced) = (false, false, false);
    for line in trace.lines() {
        let on_log = line.contains("relay.db-wal>");
        let ended = line.ends_with("= 0");
        if line.contains("pwrite64(") && on_log {
            (written, synced) = (true, false);
        } else if line.contains("sync(") && on_log {
            syncing = !ended;
            synced = ended && written;
        } else if line.contains("sync resumed>") && syncing {
            syncing = false;
            synced = ended && written;
        } else if line.contains("HTTP/1.1 200") {
            if !synced {
                bare.push(answers);
            }
            answers += 1;
            (written, synced) = (false, false);
        }
    }
    (answers, bare)
}

const NO_STRACE: &str = "strace is missing or may not trace here (tests/run installs it)";

#[test]
fn every_200_follows_a_sync_of_the_log() {
    const EVENTS: usize = 25;
    let hook = Receiver::answering("{}");
    // Delivered later, so that only events are committed between two responses.
    let silent = to_hook(&hook, "").replace("send_to = \"hook\"", "send_to = []");
    let relay = Relay::started(&silent);
    assert_eq!(relay.push(&Feedback::fault(1000)).status, 200);
    let calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg,pwrite64";
    let Some(watch) = Watch::begin(&relay, &["-e", calls]) else {
        unavailable(NO_STRACE);
        return;
    };
    for number in 0..EVENTS as u64 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    watch.end();
    let trace = || relay.read("trace.txt");
    wait_until("the trace is written", || {
        trace().matches("HTTP/1.1 200").count() >= EVENTS
    });
    let (answers, bare) = answers(&trace());
    assert_eq!(answers, EVENTS, "{}", trace());
    assert!(
        bare.is_empty(),
        "answered before the sync: {bare:?}\n{}",
        trace()
    );
    crate::parts::say(&format!(
        "fsync: {answers} answers of 200, each after a successful sync of the log it was written to"
    ));
}

/// After the failure no send could be recorded, so the relay does not wait for sends.
#[test]
fn failed_sync_ends_relay_despite_sends_in_flight() {
    let hook = Receiver::answering("{}");
    hook.always(Reply::After(Duration::from_secs(600)));
    let config = to_hook(&hook, "timeout = \"60s\"");
    let mut relay = Relay::started(&format!("server.shutdown_grace = \"10m\"\n{config}"));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    let fail = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"];
    let Some(watch) = Watch::begin(&relay, &fail) else {
        unavailable(NO_STRACE);
        return;
    };
    relay.try_push(&Feedback::fault(2)).ok(); // the relay may have ended
    assert_eq!(relay.wait().code(), Some(1));
    watch.end();
}

/// The kernel reports the failure once. A later sync would succeed without the lost data.
#[test]
fn failed_sync_stops_acknowledgement_and_restart_loses_nothing() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::started(&to_hook(&hook, ""));
    for number in 0..5 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    hook.wait_for(5);
    let fail = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"];
    let Some(watch) = Watch::begin(&relay, &fail) else {
        unavailable(NO_STRACE);
        return;
    };
    let refused: Vec<Feedback> = (5..15).map(Feedback::fault).collect();
    for feedback in &refused {
        // The event is refused, or the relay has ended.
        let answer = relay.try_push(feedback);
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 503));
    }
    assert_eq!(relay.wait().code(), Some(1));
    let log = relay.log();
    assert!(
        log.contains("failed to sync committed data to disk"),
        "{log}"
    );
    watch.end();

    relay.start();
    assert_eq!(relay.get("/readyz").status, 200);
    for feedback in &refused {
        assert_eq!(relay.push(feedback).status, 200);
    }
    // A refused event may have been written; then it is a repeat, and sent once.
    hook.wait_for(5 + refused.len());
    assert_eq!(relay.stop().code(), Some(0));
    let path = relay.path("data/relay.db");
    assert_whole(&path);
    let told = "SELECT count(*) FROM deliveries WHERE state = 'delivered'";
    assert_eq!(count(&journal(&path), told), 15);
    assert_eq!(hook.count(), 15);
}
