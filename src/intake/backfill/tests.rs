//! Tests of passes against a platform on a loopback socket.

use jiff::tz::{Offset, TimeZone};

use super::*;
use crate::feishu::client::fake::{self, Fake, Reply};
use crate::feishu::{ApiError, Days};
use crate::model::{Clock, ManualClock, Secret};
use crate::notices::Notifier;
use crate::rules::RuleSet;
use crate::store::{self, EventFilter, Store};
use crate::telemetry::Metrics;

/// 2026-03-01 02:10 in Beijing.
const NOW: Timestamp = Timestamp::from_millis(1_772_302_200_500);
const HOUR: Duration = Duration::from_secs(3600);
const APP_ID: &str = "cli_9f5343c580712544";

struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
    intake: Intake,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
        let settings = store::Settings {
            location: store::StoreLocation::Sqlite(dir.path().join("relay.db")),
            retain: REACH,
        };
        let store = Store::open(&settings, Arc::clone(&clock)).unwrap();
        let metrics = Arc::new(Metrics::new());
        let operator = Notifier::new(
            store.clone(),
            Arc::clone(&metrics),
            Arc::clone(&clock),
            Current::new(None),
        );
        let settings = crate::intake::Settings {
            apps: BTreeMap::new(),
            rules: RuleSet::default(),
            known: crate::rules::Known::default(),
            ids_retain: Duration::from_secs(181 * 86_400),
            singly: BTreeSet::new(),
            wait: Duration::ZERO,
            wait_critical: Duration::ZERO,
            body_bytes_max: 0,
        };
        let intake = Intake::new(
            store.clone(),
            metrics,
            clock,
            operator,
            Current::new(settings),
        );
        Self {
            _dir: dir,
            store,
            intake,
        }
    }

    async fn ask(&self, fake: &Fake, dry_run: bool) -> (Report, Option<Failure>) {
        let window = Window::new(NOW - HOUR * 24, NOW);
        self.intake
            .backfill(&source(fake), window, dry_run, &mut |_| {})
            .await
    }

    async fn events(&self) -> usize {
        let all = EventFilter {
            limit: 99,
            ..EventFilter::default()
        };
        self.store.events(all).await.unwrap().len()
    }
}

fn beijing() -> TimeZone {
    TimeZone::fixed(Offset::constant(8))
}

fn source(fake: &Fake) -> Source {
    let app = App {
        name: "shop".into(),
        app_id: APP_ID.into(),
        receive: crate::feishu::Receive::Webhook,
        encrypt_keys: Vec::new(),
        verification_tokens: Vec::new(),
        app_secret: Some(Secret::new("app-secret-of-shop")),
        base_url: fake.url(""),
        feedback_timezone: beijing(),
    };
    Source {
        client: FeishuClient::new(&app, fake::http()),
        app,
        every: Some(HOUR),
    }
}

fn token() -> Reply {
    Reply::of(
        200,
        r#"{"code":0,"tenant_access_token":"t-1","expire":7200}"#,
    )
}

fn page(items: &[String], next: Option<u32>) -> Reply {
    let more = next.map_or_else(String::new, |next| {
        format!(r#","has_more":true,"page_token":{next}"#)
    });
    let items = items.join(",");
    Reply::of(
        200,
        format!(r#"{{"code":0,"data":{{"feedback_list":[{items}]{more}}}}}"#),
    )
}

fn expired() -> Reply {
    Reply::of(400, r#"{"code":210500,"msg":"page_token expired"}"#)
}

fn item(id: u32, time: &str, status: u32) -> String {
    format!(r#"{{"feedback_id":{id},"feedback_time":"{time}","status":{status}}}"#)
}

fn found(report: &Report) -> Vec<(&str, Notified)> {
    let taken = report.taken.iter();
    taken.map(|one| (one.id.as_str(), one.telling)).collect()
}

#[test]
fn window_is_one_day_wider_and_within_the_list() {
    let whole = Window::new(Timestamp::from_millis(0), NOW);
    assert_eq!(NOW.since(whole.since).as_secs(), REACH.as_secs());
    let window = Window::new(NOW, NOW);
    assert_eq!(window.since.as_millis(), 1_772_302_200_000, "whole seconds");
    let days = Days {
        from: jiff::civil::date(2026, 2, 28),
        to: jiff::civil::date(2026, 3, 2),
    };
    assert_eq!(window.days(&beijing()), Some(days));
}

#[tokio::test]
async fn missing_report_is_taken_in_once_by_age_and_status() {
    let bench = Bench::new();
    let list = vec![
        token(),
        page(
            &[
                item(1, "2026-03-01 02:09:59", 0),
                item(2, "2026-03-01 01:09:59", 0),
                item(3, "2026-03-01 02:00:00", 1),
                item(4, "2026-02-28 12:00:00", 3),
            ],
            Some(7),
        ),
        page(
            &[
                item(5, "2026-02-28 02:10:00", 2),
                item(6, "2026-02-28 02:09:59", 0),
                r#"{"feedback_id":7}"#.to_owned(),
                r#"{"feedback_time":"2026-03-01 02:00:00"}"#.to_owned(),
            ],
            None,
        ),
    ];
    let told = [
        ("1", Notified::AtOnce),
        ("2", Notified::Quietly),
        ("3", Notified::Not),
        ("4", Notified::Not),
        ("5", Notified::Quietly),
    ];
    let (dry, failure) = bench.ask(&Fake::start(list.clone()), true).await;
    assert_eq!((failure, bench.events().await), (None, 0));
    assert_eq!(found(&dry), told);
    let (report, failure) = bench.ask(&Fake::start(list.clone()), false).await;
    assert_eq!(failure, None);
    assert_eq!(report, dry);
    assert_eq!((report.pages, report.unreadable), (2, 2));
    assert_eq!(bench.events().await, 5);

    let (again, failure) = bench.ask(&Fake::start(list), false).await;
    assert_eq!(failure, None);
    assert_eq!(
        (again.taken.len(), again.by_list, again.by_event),
        (0, 5, 0)
    );
    assert_eq!(bench.events().await, 5);
}

#[tokio::test]
async fn restarted_list_counts_nothing_twice() {
    let bench = Bench::new();
    let first = page(&[item(1, "2026-03-01 02:00:00", 0)], Some(1));
    let last = page(&[item(2, "2026-03-01 02:00:00", 0)], None);
    let fake = Fake::start(vec![token(), first.clone(), expired(), first.clone(), last]);
    let (report, failure) = bench.ask(&fake, false).await;
    assert_eq!(failure, None);
    assert_eq!((found(&report).len(), report.listed()), (2, 2));

    let fake = Fake::start(vec![token(), first.clone(), expired()]);
    let (_, failure) = bench.ask(&fake, false).await;
    assert_eq!(failure, Some(Failure::Endless));
    let fake = Fake::start(vec![token(), first]);
    let (_, failure) = bench.ask(&fake, false).await;
    assert_eq!(failure, Some(Failure::Endless), "the same page for ever");
}

#[test]
fn unpushed_reports_are_counted_until_a_push() {
    let mut state = State {
        asked_at: Some(NOW),
        ..State::default()
    };
    let begun = State::default();
    assert_eq!(
        begun.unpushed_after(5, None),
        0,
        "the relay was down before"
    );
    for (taken, last_push, wanted) in [
        (1, None, 1),
        (0, None, 1),
        (2, Some(NOW - HOUR), 2),
        (1, None, 3),
    ] {
        assert!(!state.nothing_is_pushed());
        state.unpushed = state.unpushed_after(taken, last_push);
        assert_eq!(state.unpushed, wanted);
    }
    assert!(state.nothing_is_pushed());
    assert_eq!(state.unpushed_after(3, Some(NOW + HOUR)), 0);
}

#[tokio::test]
async fn third_comparison_without_a_push_notifies_the_operator() {
    let bench = Bench::new();
    let operator_heard = async || {
        let all = EventFilter {
            limit: 99,
            ..EventFilter::default()
        };
        let events = bench.store.events(all).await.unwrap();
        let notices = events
            .iter()
            .filter(|event| event.id.as_str().contains("nothing_pushed"));
        notices.count()
    };
    let backfill = Backfill::new(bench.intake.clone(), Current::new(Settings::default()), 1);
    for round in 0..4 {
        let minute = format!("2026-03-01 02:0{round}:00");
        let list = page(&[item(round + 1, &minute, 0)], None);
        let fake = Fake::start(vec![token(), list]);
        assert_eq!(operator_heard().await, 0, "{round}");
        let known_since = source(&fake).known_since();
        bench
            .store
            .put_mark(&known_since, NOW - HOUR * 24)
            .await
            .unwrap();
        let (report, failure) = backfill.round(&source(&fake)).await;
        assert_eq!((report.taken.len(), failure), (1, None), "{round}");
    }
    assert_eq!(operator_heard().await, 1);
    let states = backfill.states();
    let state = states.lock().unwrap().values().next().cloned().unwrap();
    assert!(state.nothing_is_pushed());
}

#[tokio::test]
async fn last_push_survives_a_restart() {
    let bench = Bench::new();
    let (app, store) = (AppName::from("shop"), &bench.store);
    let pushes = bench.intake.pushes();
    assert_eq!(pushes.last(&app), None);
    pushes.note(store, &app, NOW).await;
    pushes
        .note(store, &app, NOW + Duration::from_secs(59))
        .await;
    let after = crate::intake::pushes::Pushes::default();
    after.read(store, std::slice::from_ref(&app)).await.unwrap();
    assert_eq!(after.last(&app), Some(NOW), "kept once a minute");
    assert_eq!(pushes.last(&app), Some(NOW + Duration::from_secs(59)));
}

#[test]
fn page_in_front_of_the_list_is_not_for_good() {
    let reason = || "HTTP 200, a page in front of the receiver".to_owned();
    let of = |error| Failure::Api(error).is_for_good();
    assert!(!of(ApiError::InFront { reason: reason() }));
    assert!(of(ApiError::Stop { reason: reason() }));
}

#[tokio::test]
async fn reports_taken_in_before_a_failure_stay() {
    let bench = Bench::new();
    let first = page(&[item(1, "2026-03-01 02:00:00", 0)], Some(1));
    let refused = Reply::of(400, r#"{"code":99991672,"msg":"no scope"}"#);
    let fake = Fake::start(vec![token(), first, refused]);
    let (report, failure) = bench.ask(&fake, false).await;
    assert_eq!((report.taken.len(), bench.events().await), (1, 1));
    let failure = failure.unwrap();
    assert!(failure.is_for_good());
    assert!(failure.to_string().contains("feedback_info"), "{failure}");
}

#[tokio::test]
async fn image_deadline_counts_from_the_list_request() {
    let bench = Bench::new();
    let item =
        r#"{"feedback_id":1,"feedback_time":"2026-02-28 12:00:00","images":["https://x/1"]}"#;
    let fake = Fake::start(vec![token(), page(&[item.to_owned()], None)]);
    assert_eq!(bench.ask(&fake, false).await.1, None);
    let hosts = store::ImageHosts::default();
    let jobs = bench.store.lease_images(9, HOUR, &hosts).await.unwrap();
    assert_eq!(
        jobs.leases[0].item.deadline_at,
        NOW + super::super::IMAGES_LAST
    );
}
