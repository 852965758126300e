use super::*;
use crate::model::{EventId, EventSeq, Private};
use crate::net::NetError;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn job(attempts: u32, deadline_at: Timestamp) -> ImageJob {
    ImageJob {
        event: EventSeq(1),
        event_id: EventId::from("e-1"),
        ordinal: 0,
        host: "p3.byteimg.com".into(),
        url: Private::new("https://p3.byteimg.com/x?sig=SECRET"),
        attempts,
        deadline_at,
    }
}

fn transient() -> Failure {
    Failure::of_status(503)
}

fn all() -> Vec<Failure> {
    vec![
        transient(),
        Failure::Absent(403),
        Failure::NotAnImage("text/html".into()),
        Failure::RedirectRefused(GuardError::UrlRefused("not https")),
        Failure::HostRefused("p3.example.com".into()),
        Failure::AddressRefused("intranet".into()),
        Failure::Disk("full".into()),
        Failure::Unchecked("it panicked"),
        Failure::Hopeless("a PDF".into()),
    ]
}

fn wait(verdict: &ImageVerdict) -> Duration {
    match verdict {
        ImageVerdict::RetryAt { due_at, .. } => due_at.since(NOW),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pause_doubles_to_ten_minutes_and_jitter_lengthens() {
    let waits = |jitter| {
        let wait_after = |n| {
            wait(&after_failure(
                &job(n, NOW + HOUR * 72),
                &transient(),
                NOW,
                jitter,
            ))
        };
        (0..10).map(wait_after).collect::<Vec<_>>()
    };
    let seconds: Vec<u64> = waits(0.0).iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
    assert!(
        waits(1.0)
            .iter()
            .zip(waits(0.0))
            .all(|(long, short)| *long == short.mul_f64(1.25))
    );
    let forever = job(u32::MAX, NOW + HOUR * 72);
    assert_eq!(
        wait(&after_failure(&forever, &transient(), NOW, 0.0)),
        WAIT_MAX
    );
}

#[test]
fn last_attempt_is_made_at_the_deadline() {
    let near = job(50, NOW + Duration::from_secs(90));
    assert_eq!(
        wait(&after_failure(&near, &transient(), NOW, 1.0)),
        Duration::from_secs(90)
    );
    let at_end = after_failure(&job(50, NOW), &transient(), NOW, 0.0);
    assert!(matches!(at_end, ImageVerdict::Lost { reason } if reason.contains("503")));
}

#[test]
fn clock_jump_leaves_three_attempts() {
    for failure in all() {
        let verdicts: Vec<_> = (0..3)
            .map(|n| after_failure(&job(n, NOW - HOUR * 1000), &failure, NOW, 0.0))
            .collect();
        let lost = |verdict: &ImageVerdict| matches!(verdict, ImageVerdict::Lost { .. });
        let hopeless = matches!(failure, Failure::Hopeless(_));
        assert_eq!(
            verdicts.iter().map(lost).collect::<Vec<_>>(),
            [hopeless, hopeless, true],
            "{failure:?}"
        );
    }
}

/// Such an answer may come from a firewall, a login page or a network that lags.
#[test]
fn non_image_answer_is_retried_until_the_deadline() {
    for failure in [
        Failure::of_status(404),
        Failure::of_status(451),
        Failure::from(GuardError::RedirectRefused(Box::new(
            GuardError::UrlRefused("not https"),
        ))),
        Failure::NotAnImage("its bytes are text/html".into()),
    ] {
        let deadline = NOW + HOUR * 72;
        let (mut now, mut attempts) = (NOW, 0);
        while let ImageVerdict::RetryAt { due_at, .. } =
            after_failure(&job(attempts, deadline), &failure, now, 0.0)
        {
            assert!(due_at.since(now) <= HOUR && due_at <= deadline);
            (now, attempts) = (due_at, attempts + 1);
        }
        assert_eq!(
            now, deadline,
            "the last attempt is made when the address ends"
        );
        assert!((70..100).contains(&attempts), "{attempts}");
    }
}

#[test]
fn http_status_decides_whether_to_retry() {
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        assert!(
            matches!(Failure::of_status(status), Failure::Transient(_)),
            "{status}"
        );
    }
    for status in [401, 403, 404, 410, 204, 206, 304, 400, 405, 451] {
        assert_eq!(Failure::of_status(status), Failure::Absent(status));
    }
}

#[test]
fn refused_host_waits_and_the_notice_names_the_line() {
    let failure = Failure::from(GuardError::HostRefused {
        host: "p3.example.com".into(),
    });
    let fresh = job(0, NOW + HOUR * 72);
    let verdict = after_failure(&fresh, &failure, NOW, 0.0);
    assert_eq!(wait(&verdict), WAIT_MAX);
    let told = notices(&fresh, &failure, &verdict, NOW);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].kind, &*told[0].subject),
        (NoticeKind::ImageHostRefused, "p3.example.com")
    );
    assert!(
        told[0]
            .text
            .contains("add \"p3.example.com\" to allow_hosts under [images]")
    );
}

#[test]
fn notice_of_risk_precedes_notice_of_loss() {
    let kinds = |attempts, deadline_at, failure: &Failure| {
        let job = job(attempts, deadline_at);
        let verdict = after_failure(&job, failure, NOW, 0.0);
        let told = notices(&job, failure, &verdict, NOW);
        assert!(told.iter().all(|notice| !notice.text.contains("SECRET")));
        told.iter().map(|notice| notice.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(9, NOW + HOUR * 13, &transient()), []);
    assert_eq!(
        kinds(9, NOW + HOUR * 11, &transient()),
        [NoticeKind::ImageInDanger]
    );
    assert_eq!(kinds(0, NOW + HOUR * 11, &transient()), []);
    assert_eq!(kinds(9, NOW, &transient()), [NoticeKind::ImageLost]);
    assert_eq!(
        kinds(0, NOW + HOUR * 72, &Failure::Hopeless("a PDF".into())),
        [NoticeKind::ImageLost]
    );
}

#[test]
fn network_failure_is_retried_and_refusal_is_not() {
    let lost = Failure::from(GuardError::Net(NetError::Lost("reset".into())));
    assert!(matches!(lost, Failure::Transient(_)));
    let large = |is_image| {
        let bytes_max = 10;
        Failure::from(GuardError::TooLarge {
            bytes_max,
            is_image,
        })
    };
    let reason = || "larger than 10 bytes".to_owned();
    assert_eq!(large(true), Failure::Hopeless(reason()));
    assert_eq!(large(false), Failure::NotAnImage(reason()));
    assert!(matches!(
        Failure::from(GuardError::UrlRefused("not https")),
        Failure::Hopeless(_)
    ));
}

/// An image may have moved to another host, so the operator learns its name. Logs do not show it.
#[test]
fn redirect_to_disallowed_host_is_retried_with_notice() {
    let host = "login.example.com".to_owned();
    let refusal = Box::new(GuardError::HostRefused { host });
    let failure = Failure::from(GuardError::RedirectRefused(refusal));
    let fresh = job(0, NOW + HOUR * 72);
    let verdict = after_failure(&fresh, &failure, NOW, 0.0);
    assert!(matches!(
        verdict,
        ImageVerdict::RetryAt { refused: false, .. }
    ));
    let sent = notices(&fresh, &failure, &verdict, NOW);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].subject, "login.example.com");
    assert!(!failure.log_reason().unwrap().contains("login"));
}
