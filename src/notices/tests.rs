//! Tests of which notices are sent, which are counted, and what the store keeps.

use super::*;
use crate::model::{EventSeq, EventState, ManualClock, Recorded, Verdict};
use crate::store::{self, CompletedAttempt, EventFilter};

fn notice(kind: NoticeKind) -> Notice {
    Notice {
        kind,
        subject: "ops".into(),
        text: "it is \"gone\"".into(),
    }
}

#[test]
fn stored_notice_round_trips() {
    for kind in NoticeKind::ALL {
        let arrival = arrival(&notice(*kind), "ops", None, Timestamp::from_millis(0));
        let body = arrival.body.unwrap();
        assert_eq!(read_notice(body.expose()), Some(notice(*kind)));
    }
    assert_eq!(
        read_notice("{\"kind\":\"new\",\"subject\":\"\",\"text\":\"\"}"),
        None
    );
    assert_eq!(read_notice("{}"), None);
}

#[test]
fn notice_id_is_stable_within_the_hour() {
    let id = |kind, millis| arrival(&notice(kind), "ops", None, Timestamp::from_millis(millis)).id;
    let kind = NoticeKind::ImageLost;
    assert_eq!(id(kind, 3_600_000), id(kind, 7_199_999));
    assert_ne!(id(kind, 3_600_000), id(kind, 7_200_000));
    assert_ne!(
        id(kind, 3_600_000),
        id(NoticeKind::ReloadRefused, 3_600_000)
    );
}

#[test]
fn notice_is_not_sent_to_the_destination_it_is_about() {
    let ops = DestinationName::from("ops");
    for kind in NoticeKind::ALL {
        let arrival = arrival(&notice(*kind), "ops", Some(&ops), Timestamp::from_millis(5));
        let itself = matches!(
            kind,
            NoticeKind::DestinationStopped
                | NoticeKind::DeliveryDead
                | NoticeKind::DeliveryUnconfirmed
        );
        assert_eq!(arrival.deliveries.is_empty(), itself, "{kind}");
        assert_eq!(arrival.state, EventState::Noted);
    }
}

/// A store whose clock stands still.
struct Bench {
    _dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(7_200_000)));
        let settings = store::Settings {
            location: store::StoreLocation::Sqlite(dir.path().join("relay.db")),
            retain: Duration::from_secs(86_400),
        };
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let store = Store::open(&settings, as_clock).unwrap();
        Self {
            _dir: dir,
            clock,
            store,
        }
    }

    /// Returns a sender as in a process that has just started.
    fn operator(&self) -> Notifier {
        self.operator_by(&Current::new(Some(DestinationName::from("ops"))))
    }

    fn operator_by(&self, notify: &Current<Option<DestinationName>>) -> Notifier {
        Notifier::new(
            self.store.clone(),
            Arc::new(Metrics::new()),
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            notify.clone(),
        )
    }

    /// Returns the deliveries of notices.
    async fn deliveries(&self) -> Vec<Delivery> {
        let all = DeliveryFilter {
            limit: 999,
            ..DeliveryFilter::default()
        };
        self.store.deliveries(all).await.unwrap()
    }

    /// Ends the waiting delivery as refused for good.
    async fn refuse_one(&self) {
        let dead = Verdict::Dead {
            reason: "refused".into(),
        };
        self.end_one("ops", dead, None).await;
    }

    /// Ends the waiting delivery to `destination`; `fallback` then gets the message.
    async fn end_one(&self, destination: &str, verdict: Verdict, fallback: Option<&str>) {
        let lease_for = Duration::from_secs(60);
        let destination = DestinationName::from(destination);
        let leases = self.store.lease_due(&destination, 1, lease_for).await;
        let leases = leases.unwrap();
        let fallback = fallback.map(|name| NewDelivery {
            destination: DestinationName::from(name),
            spec: spec(),
            trigger: Trigger::Fallback,
            due_at: self.clock.now(),
            held: None,
        });
        let completed = CompletedAttempt {
            id: leases[0].item.delivery.id,
            attempt: None,
            uncounted: Duration::ZERO,
            paced: false,
            verdict,
            payload: None,
            shown: 0,
            fallback,
            handle: None,
            is_final: false,
        };
        let ended = self
            .store
            .finish_attempt(leases[0].token, Arc::new(completed))
            .await;
        assert_eq!(ended.unwrap(), Recorded::Recorded);
    }

    /// Returns the notices of the store, oldest first.
    async fn given(&self) -> Vec<Notice> {
        let all = EventFilter {
            limit: 999,
            ..EventFilter::default()
        };
        let mut notices = Vec::new();
        for row in self.store.events(all).await.unwrap().into_iter().rev() {
            let event = self.store.event(row.id.as_str()).await.unwrap().unwrap();
            notices.push(read_notice(event.body.unwrap().expose()).unwrap());
        }
        notices
    }
}

fn about(kind: NoticeKind, subject: &str) -> Notice {
    Notice {
        kind,
        subject: subject.to_owned(),
        text: format!("It is about {subject}."),
    }
}

#[tokio::test]
async fn hundred_hosts_cause_one_notice() {
    let bench = Bench::new();
    let operator = bench.operator();
    for host in 0..100 {
        let host = format!("h{host}.example");
        let notice = about(NoticeKind::ImageHostRefused, &host);
        operator.notify(notice).await;
    }
    assert_eq!(bench.given().await, []);
    operator.finish().await;
    let given = bench.given().await;
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].subject, "100 hosts");
    let names = "h0.example, h1.example, h2.example and 97 more";
    assert!(given[0].text.contains(names), "{}", given[0].text);
    let stopping = CancellationToken::new();
    stopping.cancel();
    for host in ["x.example", "y.example"] {
        let notice = about(NoticeKind::ImageHostRefused, host);
        operator.notify(notice).await;
    }
    operator.run(stopping).await;
    assert_eq!(bench.given().await.len(), 1, "one in an hour");
}

#[tokio::test]
async fn refused_host_notice_names_the_line_to_add() {
    let bench = Bench::new();
    let operator = bench.operator();
    let notice = about(NoticeKind::ImageHostRefused, "p3.example.com");
    operator.notify(notice.clone()).await;
    operator.finish().await;
    assert_eq!(bench.given().await, [notice]);
}

#[tokio::test]
async fn notice_flood_is_five_and_a_summary_across_restarts() {
    let bench = Bench::new();
    for event in 0..40 {
        // Each iteration is a new process.
        let operator = bench.operator();
        let event = format!("event {event}");
        operator.notify(about(NoticeKind::ImageLost, &event)).await;
    }
    assert_eq!(bench.given().await.len(), budget::SINGLE_MAX);
    let operator = bench.operator();
    for event in 0..40 {
        let event = format!("other {event}");
        operator.notify(about(NoticeKind::ImageLost, &event)).await;
    }
    operator.finish().await;
    let given = bench.given().await;
    assert_eq!(given.len(), budget::SINGLE_MAX + 1);
    let last = &given[budget::SINGLE_MAX];
    assert_eq!(last.subject, "40 more");
    assert!(last.text.contains("other 0, other 1, other 2 and 37 more"));
}

#[tokio::test]
async fn notice_without_a_destination_is_sent_when_there_is_one() {
    let bench = Bench::new();
    let notify = Current::new(None);
    let operator = bench.operator_by(&notify);
    let lost = about(NoticeKind::ImageLost, "event 1");
    for _ in 0..2 {
        operator.notify(lost.clone()).await;
    }
    assert_eq!(bench.given().await.len(), 1);
    assert_eq!(bench.deliveries().await, []);
    notify.set(Some(DestinationName::from("ops")));
    for _ in 0..2 {
        operator.notify(lost.clone()).await;
    }
    assert_eq!(bench.deliveries().await.len(), 1, "once in an hour");
}

#[tokio::test]
async fn refused_notice_is_sent_again_once_when_it_repeats() {
    let bench = Bench::new();
    let operator = bench.operator();
    let lost = about(NoticeKind::ImageLost, "event 1");
    let body = write_notice(&lost);
    operator.notify(lost.clone()).await;
    for wanted in [DeliveryState::Pending, DeliveryState::Dead] {
        bench.refuse_one().await;
        operator.not_taken(&body).await;
        operator.notify(lost.clone()).await;
        let deliveries = bench.deliveries().await;
        let states: Vec<_> = deliveries.iter().map(|one| one.state).collect();
        assert_eq!(states, [wanted]);
    }
}

/// Returns where a notice's deliveries stand, in the order of their destinations.
fn standings(deliveries: &[Delivery]) -> Vec<(&str, DeliveryState)> {
    let mut all: Vec<_> = deliveries
        .iter()
        .map(|one| (one.destination.as_str(), one.state))
        .collect();
    all.sort_unstable_by_key(|(destination, _)| *destination);
    all
}

#[tokio::test]
async fn notice_that_a_fallback_has_is_not_sent_again() {
    let bench = Bench::new();
    let operator = bench.operator();
    let lost = about(NoticeKind::ImageLost, "event 1");
    operator.notify(lost.clone()).await;
    let dead = Verdict::Dead {
        reason: "refused".into(),
    };
    bench.end_one("ops", dead, Some("spare")).await;
    for of_spare in [DeliveryState::Pending, DeliveryState::Delivered] {
        // Each iteration is a new process.
        bench.operator().notify(lost.clone()).await;
        assert_eq!(
            standings(&bench.deliveries().await),
            [("ops", DeliveryState::Dead), ("spare", of_spare)]
        );
        if of_spare == DeliveryState::Pending {
            bench.end_one("spare", Verdict::Done, None).await;
        }
    }
}

#[tokio::test]
async fn refused_notice_is_sent_again_to_the_receiver_of_now() {
    let bench = Bench::new();
    let notify = Current::new(Some(DestinationName::from("ops")));
    let operator = bench.operator_by(&notify);
    let lost = about(NoticeKind::ImageLost, "event 1");
    operator.notify(lost.clone()).await;
    bench.refuse_one().await;
    operator.not_taken(&write_notice(&lost)).await;
    notify.set(Some(DestinationName::from("other")));
    operator.notify(lost).await;
    assert_eq!(
        standings(&bench.deliveries().await),
        [("other", DeliveryState::Pending)]
    );
}

#[tokio::test]
async fn waiting_report_is_sent_before_a_notice() {
    let bench = Bench::new();
    let ops = DestinationName::from("ops");
    let mut report = arrival(
        &about(NoticeKind::ImageLost, "x"),
        "x",
        None,
        bench.clock.now(),
    );
    report.id = EventId::new("report");
    report.deliveries = vec![NewDelivery {
        destination: ops.clone(),
        spec: MessageSpec {
            severity: Severity::Info,
            ..spec()
        },
        trigger: Trigger::Event,
        due_at: bench.clock.now(),
        held: None,
    }];
    let Accepted::New(report) = bench.store.accept(report).await.unwrap() else {
        panic!("it is new");
    };
    bench.clock.advance(Duration::from_secs(1));
    let operator = bench.operator();
    operator
        .notify(about(NoticeKind::DeliveryDead, "other"))
        .await;
    let leases = bench
        .store
        .lease_due(&ops, 1, Duration::from_secs(60))
        .await
        .unwrap();
    let due: Vec<EventSeq> = leases
        .iter()
        .map(|lease| lease.item.delivery.event)
        .collect();
    assert_eq!(due, [report]);
}

#[test]
fn log_text_contains_no_reporter_chosen_host() {
    let text = "Pictures are on evil.example";
    let logged = log_text(NoticeKind::ImageHostRefused, text);
    assert!(!logged.contains("evil"), "{logged}");
    assert_eq!(log_text(NoticeKind::ReloadRefused, text), text);
}
