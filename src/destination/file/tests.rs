//! Tests on a real disk.

use std::os::unix::fs::PermissionsExt;

use super::super::KindSettings;
use super::super::tests::{KEY, build, send, settings};
use super::*;
use crate::model::OutcomeKind;

fn at(path: &Path) -> Arc<dyn Destination> {
    build(&settings(KindSettings::File { path: path.into() }), None).unwrap()
}

async fn kind_of_send(path: &Path, body: &str) -> OutcomeKind {
    send(at(path).as_ref(), Form::Full, body)
        .await
        .outcome
        .kind()
}

#[tokio::test]
async fn line_starts_with_delivery_id_in_an_owner_only_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/feedback.jsonl");
    for body in [
        r#"{"type":"a","data":{"x":"\n"}}"#,
        "{\n \"type\": \"b\"\r\n}\n",
    ] {
        assert_eq!(kind_of_send(&path, body).await, OutcomeKind::Delivered);
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'));
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["id"], KEY.to_string());
    assert_eq!(lines[0]["data"]["x"], "\n");
    assert_eq!(lines[1]["type"], "b");
    assert!(text.starts_with(&format!(r#"{{"id":"{KEY}","type":"a""#)));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn line_cut_by_a_crash_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feedback.jsonl");
    std::fs::write(&path, "{\"id\":\"dlv_1\"}\n{\"id\":\"dlv_2\",\"da").unwrap();
    assert_eq!(kind_of_send(&path, "{}").await, OutcomeKind::Delivered);
    let text = std::fs::read_to_string(&path).unwrap();
    let wanted = format!("{{\"id\":\"dlv_1\"}}\n{{\"id\":\"dlv_2\",\"da\n{{\"id\":\"{KEY}\"}}\n");
    assert_eq!(text, wanted);
}

#[tokio::test]
async fn concurrent_writers_do_not_mix_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feedback.jsonl");
    // Two destinations on one file, as an old and a new configuration are for a while.
    let (one, two) = (at(&path), at(&path));
    let body = format!(r#"{{"data":"{}"}}"#, "x".repeat(20_000));
    for _ in 0..10 {
        let send = |to: &Arc<dyn Destination>| {
            let (to, body) = (Arc::clone(to), body.clone());
            async move { send(to.as_ref(), Form::Full, &body).await.outcome }
        };
        let done = tokio::join!(send(&one), send(&two), send(&one), send(&two));
        let ok = Outcome::Delivered;
        assert_eq!(done, (ok.clone(), ok.clone(), ok.clone(), ok));
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 40);
    assert!(
        text.lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
}

#[tokio::test]
async fn moved_file_is_created_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feedback.jsonl");
    let destination = at(&path);
    for _ in 0..2 {
        let sent = send(destination.as_ref(), Form::Full, "{}").await;
        assert_eq!(sent.outcome, Outcome::Delivered);
        std::fs::rename(&path, folder.path().join("old.jsonl")).unwrap();
    }
    assert!(folder.path().join("old.jsonl").exists() && !path.exists());
}

#[tokio::test]
async fn disk_error_is_retried() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        kind_of_send(Path::new("/dev/full"), "{}").await,
        OutcomeKind::Retry
    );
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(
        kind_of_send(&file.join("below"), "{}").await,
        OutcomeKind::Retry
    );
    // The file is not at fault.
    assert_eq!(kind_of_send(&file, "[]").await, OutcomeKind::Rejected);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
}

#[test]
fn partial_write_is_an_error() {
    let mut room = [0; 4];
    let error = write(&mut room.as_mut_slice(), b"12345").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(write(&mut room.as_mut_slice(), b"1234").is_ok());
}

#[tokio::test]
async fn a_lock_that_another_program_holds_is_retried() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feedback.jsonl");
    let held = File::create(&path).unwrap();
    held.lock().unwrap();
    let mut settings = settings(KindSettings::File { path: path.clone() });
    settings.common.timeout = Duration::from_millis(50);
    let destination = build(&settings, None).unwrap();
    let sent = send(destination.as_ref(), Form::Full, "{}").await;
    assert_eq!(sent.outcome.kind(), OutcomeKind::Retry);
    held.unlock().unwrap();
    let sent = send(destination.as_ref(), Form::Full, "{}").await;
    assert_eq!(sent.outcome, Outcome::Delivered);
}

#[tokio::test]
async fn unwritable_kind_of_file_stops_the_destination() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let fifo = folder.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    for path in [folder.path(), &socket, &fifo] {
        assert_eq!(
            kind_of_send(path, "{}").await,
            OutcomeKind::Stop,
            "{path:?}"
        );
    }
    let device = kind_of_send(Path::new("/dev/null"), "{}").await;
    assert_eq!(device, OutcomeKind::Delivered);
}
