//! Tests of receivers, files, the relay's own address, the clock, and the time limit.

use super::*;

#[tokio::test]
async fn a_receiver_is_asked_for_nothing() {
    let fake = Fake::start(vec![json(500, "")]);
    let mut report = report();
    let url = Secret::new(fake.url("/receiver/secret"));
    let receiver = reachability::Receiver::new(fake::http(), url, CALL_TIMEOUT);
    receiver.run(&mut report).await;
    assert_is(&report, "reach", Good, "HTTP 500");
    let [got] = <[Got; 1]>::try_from(fake.got()).unwrap();
    assert!(got.line.starts_with("HEAD /receiver/secret"), "{got:?}");
    assert!(got.body.is_empty());
}

#[tokio::test]
async fn a_page_or_a_redirect_before_a_receiver_is_a_warning() {
    for (answer, says) in [
        (
            Reply::with(200, "content-type", "text/html", ""),
            "a page for people",
        ),
        (
            Reply::with(302, "location", "https://login.example.com/x", ""),
            "to login.example.com",
        ),
    ] {
        let fake = Fake::start(vec![answer]);
        let mut report = report();
        let url = Secret::new(fake.url("/receiver/secret"));
        let receiver = reachability::Receiver::new(fake::http(), url, CALL_TIMEOUT);
        receiver.run(&mut report).await;
        assert_is(&report, "reach", Warning, says);
    }
}

#[tokio::test]
async fn our_own_address_leads_to_a_relay_or_is_a_warning() {
    for (answer, standing) in [
        (json(200, "ok\n"), Good),
        (json(200, "<html>ok"), Warning),
        (json(404, "ok"), Warning),
        (Reply::CloseAtOnce, Warning),
    ] {
        let fake = Fake::start(vec![answer]);
        let mut report = report();
        let (http, url) = (fake::http(), fake.url(""));
        reachability::PublicUrl { http, url }.run(&mut report).await;
        assert_is(&report, "public_url", standing, "");
    }
}

#[test]
fn a_file_is_looked_at_and_not_touched() {
    let folder = tempfile::TempDir::new().unwrap();
    let examined = |path: &str| {
        let path = folder.path().join(path);
        let before = path.exists();
        let mut report = report();
        reachability::File { path: path.clone() }.run(&mut report);
        assert_eq!(path.exists(), before);
        report
    };
    std::fs::write(folder.path().join("there"), "line\n").unwrap();
    assert_is(&examined("there"), "file", Good, "written");
    assert_is(
        &examined("new/deep/out.jsonl"),
        "file",
        Good,
        "can be created",
    );
    assert_is(&examined(""), "file", Failed, "a regular file");
    assert_is(&examined("/dev/null"), "file", Good, "written");
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert_is(&examined("pipe"), "file", Failed, "a character device");
    assert_is(
        &examined("there/out.jsonl"),
        "file",
        Failed,
        "cannot be created",
    );
}

#[tokio::test(start_paused = true)]
async fn unresponsive_receivers_end_at_the_time_limit() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let destination = |number: u32| {
        format!("[destinations.d{number}]\nkind = \"webhook\"\nurl = \"http://{address}/\"\n")
    };
    let destinations: String = (10..90).map(destination).collect();
    let config = config(&destinations);
    let began = Instant::now();
    let clock = Arc::new(ManualClock::new(NOW));
    let findings = run(&config, clock).await.unwrap();
    assert!(began.elapsed() <= WHOLE_TIMEOUT + Duration::from_secs(1));
    let of = |name: &str| {
        let found = findings.iter().find(|one| one.subject.name() == name);
        let found = found.unwrap();
        (found.check, found.standing)
    };
    assert_eq!(of("d10"), ("reach", Failed));
    assert_eq!(of("d89"), ("rest", NotChecked));
    assert_eq!(findings.len(), 81, "each is told, and the clock");
}

#[test]
fn a_clock_is_judged_by_most_of_the_others() {
    for (ahead, signs, standing) in [
        (vec![0, 1, -90_000], true, Good),
        (vec![60], true, Good),
        (vec![-61], true, Warning),
        (vec![4000, 4001], false, Warning),
        (vec![3600], true, Failed),
        (vec![-3600], true, Failed),
        (vec![], true, NotChecked),
    ] {
        let mut report = report();
        judge_clock(ahead, signs, &mut report);
        assert_is(&report, "clock", standing, "");
    }
}

#[test]
fn an_answer_s_date_is_compared() {
    let mut report = report();
    for date in [DATE, AN_HOUR_AGO, "yesterday"] {
        report.compare_clocks(&crate::net::Answer {
            status: 200,
            headers: vec![("date".into(), date.into())],
            body: bytes::Bytes::new(),
            truncated: false,
        });
    }
    assert_eq!(report.ahead_secs, [0, 3600]);
}
