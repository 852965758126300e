//! Tests of a full disk, a read-only folder and a locked store. Events are refused at once with
//! 503, the log and `readyz` report it, and the relay recovers by itself.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::time::Instant;

use crate::harness::http::Answer;
use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};
use crate::parts::{alone, assert_whole, count, journal, say, to_hook, unavailable};

/// The limit for a 503, which takes less than a second; the rest allows for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Pushes an event and checks that it is refused with 503.
fn assert_refused(relay: &Relay, feedback: &Feedback) -> Duration {
    let asked = Instant::now();
    let answer = relay.push(feedback);
    let took = asked.elapsed();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("15"));
    assert!(took < AT_ONCE, "{took:?}");
    took
}

fn readiness(relay: &Relay) -> Answer {
    relay.get("/readyz")
}

fn events(relay: &Relay) -> i64 {
    let conn = journal(&relay.path("data/relay.db"));
    count(&conn, "SELECT count(*) FROM events WHERE id LIKE 'ev-%'")
}

/// Sets the largest file that a running relay may write.
fn limit_files(relay: &Relay, bytes: Option<u64>) {
    let pid = i32::try_from(relay.pid()).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, limit).expect("our own process");
}

/// Tests any disk that is full and then is not. `fill` uses all free space each time.
fn fill_and_free(relay: &mut Relay, fill: impl Fn(&Relay), free: impl Fn(&Relay)) {
    let mut taken = 0;
    let mut push = |relay: &Relay| {
        let answer = relay.push(&Feedback::fault(taken));
        taken += u64::from(answer.status == 200);
        answer.status
    };
    for _ in 0..10 {
        assert_eq!(push(relay), 200);
    }
    assert_eq!(readiness(relay).status, 200);
    // Until the last reserve is used, some events are still accepted and stored.
    wait_until("it is full", || {
        fill(relay);
        push(relay) == 503
    });
    let took = assert_refused(relay, &Feedback::fault(20_000));
    relay.wait_for_log("failed to commit to the store");
    wait_until("readyz says so", || {
        fill(relay);
        readiness(relay).status == 503
    });
    let said = readiness(relay).text();
    assert!(said.contains("disk"), "{said}");
    assert_eq!(relay.get("/healthz").status, 200);

    free(relay);
    let freed = Instant::now();
    wait_until("it takes events again by itself", || push(relay) == 200);
    let back = freed.elapsed();
    wait_until("readyz says so", || readiness(relay).status == 200);
    relay.wait_for_log("the store works again");
    assert_eq!(relay.stop().code(), Some(0));
    assert_whole(&relay.path("data/relay.db"));
    let expected = i64::try_from(taken).expect("few");
    assert_eq!(
        events(relay),
        expected,
        "each that was taken, once, and no other"
    );
    say(&format!(
        "full disk: {taken} taken; while full refused within {took:?}; taken again {back:?} after there was room"
    ));
}

#[test]
fn store_at_file_size_limit_refuses_and_recovers() {
    let hook = Receiver::answering("{}");
    hook.always(Reply::status(500));
    let mut relay = Relay::prepared(&to_hook(&hook, ""));
    // Otherwise the kernel would end the process instead of failing the write.
    relay.launch_through(&["/bin/sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    relay.start();
    let full = |relay: &Relay| limit_files(relay, Some(4096));
    fill_and_free(&mut relay, full, |relay| limit_files(relay, None));
}

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a file system. Returns `None` if mounting is not permitted.
    fn mounted(at: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a folder");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at)
            .status();
        status
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }

    fn remount(&self, options: &str) {
        let mounted = Command::new("mount")
            .args(["-o", options])
            .arg(&self.0)
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "{options}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok(); // it may be busy
    }
}

#[test]
fn full_disk_is_refused_at_once_and_recovers() {
    let hook = Receiver::answering("{}");
    hook.always(Reply::status(500));
    let mut relay = Relay::prepared(&to_hook(&hook, ""));
    let Some(disk) = SmallDisk::mounted(&relay.path("data"), "size=3m") else {
        unavailable("mounting a small disk is not permitted; a limit on the file's size stands in");
        return;
    };
    relay.start();
    let fill = |relay: &Relay| {
        let mut ballast = std::fs::OpenOptions::new();
        let ballast = ballast.append(true).create(true);
        let file = ballast.open(relay.path("data/ballast"));
        // Writes until the disk is full; the last write fails, as intended.
        let mut file = file.expect("it is there");
        while file.write_all(&[7; 4096]).is_ok() {}
    };
    let free = |relay: &Relay| {
        std::fs::remove_file(relay.path("data/ballast")).expect("it is there");
    };
    fill_and_free(&mut relay, fill, free);
    drop(disk);
}

#[test]
fn read_only_folder_is_refused_with_plain_error() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::prepared(&to_hook(&hook, ""));
    let Some(disk) = SmallDisk::mounted(&relay.path("data"), "size=8m") else {
        unavailable("mounting a read-only disk is not permitted");
        return;
    };
    relay.start();
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    assert_eq!(relay.stop().code(), Some(0));
    disk.remount("remount,ro");
    let output = relay.run(&["serve"]);
    assert_eq!(output.code(), 1, "{output:?}");
    let plain = output.stderr.contains("relay.db") && output.stderr.contains("Read-only");
    assert!(plain && !output.stderr.contains("panicked"), "{output:?}");
    disk.remount("remount,rw");
    relay.start();
    assert_eq!(events(&relay), 1);
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    assert_eq!(relay.stop().code(), Some(0));
}

#[test]
fn locked_store_is_refused_in_time_and_recovers() {
    let _alone = alone();
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&to_hook(&hook, ""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    let holder = journal(&relay.path("data/relay.db"));
    holder
        .execute_batch("BEGIN EXCLUSIVE")
        .expect("free between two commits");
    let took = assert_refused(&relay, &Feedback::fault(2));
    let ready = readiness(&relay);
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert_eq!(relay.get("/healthz").status, 200);
    assert_refused(&relay, &Feedback::fault(3));
    holder.execute_batch("ROLLBACK").expect("it held");
    let freed = Instant::now();
    wait_until("it takes events again by itself", || {
        relay.push(&Feedback::fault(2)).status == 200
    });
    let back = freed.elapsed();
    wait_until("readyz says so", || readiness(&relay).status == 200);
    relay.wait_until_idle();
    say(&format!(
        "locked store: refused within {took:?}, back {back:?} after"
    ));
}
