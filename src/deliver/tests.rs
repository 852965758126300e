//! Tests of a dispatcher with a store and a fake chat, whose answers the tests give.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::lane::limits::SharedLimits;
use super::lane::prefetch::{Prefetcher, READY_FOR_EACH, Wanted};
use super::*;
use crate::archive::ArchiveLocation;
use crate::destination::{
    Common, KeyOwner, Message, PaceKey, RateLimit, Sent, SharedPace, ShowsImages, tests,
};
use crate::feishu::ApiError;
use crate::model::{
    Current, Delivery, DeliveryState, DestinationName, EventState, Form, ImageFormat, ImageId,
    KeptImage, ManualClock, MessageSpec, Notice, Outcome, Recorded, Severity, Timestamp, Trigger,
};
use crate::render::{Family, Visibility};
use crate::store::{
    Arrival, DeliveryFilter, EventFilter, GateRecord, ImageHosts, ImageVerdict, NewDelivery,
    Silenceable,
};
use crate::telemetry::{Format, Names};

const NOW: Timestamp = Timestamp::from_millis(1_711_111_111_000);
const CHAT: &str = "chat";
/// The fallback of the chat. It has no lane, so its deliveries stay pending.
const SPARE: &str = "spare";
/// The longest time that a test waits for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message that the chat has received and not answered yet.
struct Heard {
    text: String,
    /// Answers the send. If it is dropped, the send panics.
    answer: oneshot::Sender<Outcome>,
}

struct Chat {
    kind: &'static str,
    common: Common,
    paces: Vec<SharedPace>,
    shows: ShowsImages,
    hears: mpsc::UnboundedSender<Heard>,
}

#[async_trait]
impl Destination for Chat {
    fn common(&self) -> &Common {
        &self.common
    }

    fn kind(&self) -> &'static str {
        self.kind
    }

    fn forms(&self) -> &'static [Form] {
        &[Form::Full]
    }

    fn paces(&self) -> Vec<SharedPace> {
        self.paces.clone()
    }

    fn shows_images(&self) -> ShowsImages {
        self.shows.clone()
    }

    async fn upload(&self, _format: ImageFormat, _bytes: Bytes) -> Result<String, ApiError> {
        let reason = "the upload failed".to_owned();
        Err(ApiError::Retry { reason })
    }

    async fn send(&self, message: Message<'_>) -> Sent {
        let (answer, answered) = oneshot::channel();
        let text = message.payload.as_stored().to_owned();
        self.hears.send(Heard { text, answer }).unwrap();
        tests::unsent(answered.await.expect("the test answers, or wants a panic"))
    }
}

impl Chat {
    /// Builds a destination, and the receiver of its messages.
    fn open(
        kind: &'static str,
        common: Common,
    ) -> (Arc<dyn Destination>, mpsc::UnboundedReceiver<Heard>) {
        let (hears, heard) = mpsc::unbounded_channel();
        let chat = Self {
            kind,
            common,
            paces: Vec::new(),
            shows: ShowsImages::No,
            hears,
        };
        (Arc::new(chat), heard)
    }
}

struct Bench {
    clock: Arc<ManualClock>,
    metrics: Arc<Metrics>,
    store: Store,
    chat: Arc<dyn Destination>,
    heard: mpsc::UnboundedReceiver<Heard>,
    stopping: CancellationToken,
    run: JoinSet<()>,
    dir: TempDir,
}

impl Bench {
    /// Starts a dispatcher.
    fn new(concurrency: usize) -> Self {
        Self::of(common(concurrency))
    }

    fn paced(pace: RateLimit) -> Self {
        Self::of(Common {
            rate: Some(pace),
            ..common(1)
        })
    }

    fn of(common: Common) -> Self {
        let mut bench = Self::idle(common);
        let dispatcher = bench.dispatcher();
        bench.run.spawn(dispatcher.run(bench.stopping.clone()));
        bench
    }

    /// Builds a bench that runs nothing.
    fn idle(common: Common) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let manual = Arc::new(ManualClock::new(NOW));
        let clock: Arc<dyn Clock> = Arc::clone(&manual) as Arc<dyn Clock>;
        let settings = store::Settings {
            location: store::StoreLocation::Sqlite(dir.path().join("relay.db")),
            retain: Duration::from_secs(3600),
        };
        let store = Store::open(&settings, clock).unwrap();
        let (chat, heard) = Chat::open("webhook", common);
        Self {
            clock: manual,
            metrics: Arc::new(Metrics::new()),
            store,
            chat,
            heard,
            stopping: CancellationToken::new(),
            run: JoinSet::new(),
            dir,
        }
    }

    fn archive(&self) -> Archive {
        Archive::open(&ArchiveLocation::Folder(self.dir.path().join("images"))).unwrap()
    }

    fn dispatcher(&self) -> Dispatcher {
        self.dispatcher_of(BTreeMap::from([(CHAT.into(), Arc::clone(&self.chat))]))
    }

    fn dispatcher_of(&self, destinations: Destinations) -> Dispatcher {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let (store, metrics) = (self.store.clone(), Arc::clone(&self.metrics));
        let deps = Deps {
            operator: Notifier::new(
                store.clone(),
                Arc::clone(&metrics),
                Arc::clone(&clock),
                Current::new(None),
            ),
            archive: self.archive(),
            store,
            metrics,
            clock,
            tasks: Tasks::new(),
            buttons: ButtonSigner::new([0; 32]),
        };
        let settings = Current::new(Settings {
            destinations,
            templates: Arc::default(),
            names: Directory::default(),
            links: None,
        });
        Dispatcher::new(deps, settings, 1)
    }

    /// Replaces the chat, as a reload that changes its settings does.
    async fn replace_chat(&mut self, kind: &'static str, common: Common) {
        self.stopping.cancel();
        let ended = timeout(PATIENCE, self.run.join_next()).await;
        ended.expect("it ends").unwrap().unwrap();
        (self.chat, self.heard) = Chat::open(kind, common);
        self.stopping = CancellationToken::new();
        let dispatcher = self.dispatcher();
        self.run.spawn(dispatcher.run(self.stopping.clone()));
    }

    async fn accept(&self, id: &str) {
        let accepted = self.store.accept(arrival(id)).await;
        accepted.unwrap();
    }

    async fn accept_critical(&self, id: &str) {
        let mut arrival = arrival(id);
        arrival.deliveries[0].spec.severity = Severity::Critical;
        self.store.accept(arrival).await.unwrap();
    }

    async fn hear(&mut self) -> Heard {
        let heard = timeout(PATIENCE, self.heard.recv()).await;
        heard.expect("it is sent").unwrap()
    }

    /// Lets a send fail, waits until that is recorded, and then for its backoff.
    async fn fail(&self, heard: Heard) {
        heard.answer.send(failed()).unwrap();
        wait_for_attempt(self).await;
        self.clock.advance(Duration::from_secs(600));
    }

    /// Lets time pass while the relay runs, so that it counts as uptime.
    fn run_for(&self, span: Duration) {
        let mut left = span;
        while !left.is_zero() {
            let step = left.min(Duration::from_secs(5));
            self.clock.advance(step);
            self.store.uptime();
            left -= step;
        }
    }

    /// Waits until the store holds what `holds` asks for. All sends fail meanwhile.
    async fn wait_until(&mut self, holds: impl AsyncFn(&Store) -> bool) {
        let waits = async {
            while !holds(&self.store).await {
                while let Ok(heard) = self.heard.try_recv() {
                    heard.answer.send(failed()).unwrap();
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, waits).await.expect("it holds in time");
    }

    /// Waits until the stored gate of the chat is in this state.
    async fn wait_for_gate(&mut self, is: impl Fn(&GateRecord) -> bool) {
        let gate = async |store: &Store| store.gates().await.unwrap().iter().any(&is);
        self.wait_until(gate).await;
    }

    /// Stops the dispatcher, and waits until everything is recorded.
    async fn stop(mut self) -> Store {
        self.stopping.cancel();
        let ended = timeout(PATIENCE, self.run.join_next()).await;
        ended.expect("it ends").unwrap().unwrap();
        self.store
    }
}

fn common(concurrency: usize) -> Common {
    Common {
        name: CHAT.into(),
        concurrency,
        ..tests::settings(tests::webhook("https://chat.example")).common
    }
}

fn failed() -> Outcome {
    let reason = "it is away".to_owned();
    Outcome::Retry { reason }
}

/// Returns an answer that asks for the longest pause.
fn slow_down() -> Outcome {
    Outcome::SlowDown {
        pause: Some(Duration::from_secs(3600)),
        reason: "429".into(),
    }
}

fn arrival(id: &str) -> Arrival {
    let body = format!(
        r#"{{"header":{{"event_id":"{id}","event_type":"{}"}},"event":{{"feedback_id":"{id}"}}}}"#,
        feishu::CREATED
    );
    Arrival {
        id: id.into(),
        via: "shop".into(),
        event_type: feishu::CREATED.into(),
        feedback: Some(("cli_1".into(), id.into())),
        users: Vec::new(),
        tenant: None,
        incidents: Vec::new(),
        late_incidents: Vec::new(),
        silenceable: Silenceable::default(),
        received_at: NOW,
        state: EventState::Routed,
        body: Some(Private::new(body)),
        deliveries: vec![NewDelivery {
            destination: CHAT.into(),
            spec: MessageSpec {
                rule: "all".into(),
                severity: Severity::Info,
                template: "alert".into(),
                mentions: Vec::new(),
                labels: BTreeMap::new(),
                wait: None,
                fell_from: Vec::new(),
                news: None,
            },
            trigger: Trigger::Event,
            due_at: NOW,
            held: None,
        }],
        images: Vec::new(),
        images_deadline_at: NOW,
        change: None,
    }
}

/// Returns states and numbers of attempts, in the order of the events.
async fn states(store: &Store) -> Vec<(DeliveryState, u32)> {
    let filter = DeliveryFilter {
        limit: 1000,
        ..DeliveryFilter::default()
    };
    let mut deliveries = store.deliveries(filter).await.unwrap();
    deliveries.sort_by_key(|delivery| delivery.event);
    let state = deliveries.iter().map(|one| (one.state, one.attempts));
    state.collect()
}

#[tokio::test]
async fn panicking_send_counts_as_attempt_and_lane_continues() {
    let mut bench = Bench::new(1);
    bench.accept("e1").await;
    bench.accept("e2").await;
    let first = bench.hear().await;
    assert!(first.text.contains(r#""id":"e1""#), "{}", first.text);
    drop(first.answer);
    bench.hear().await.answer.send(Outcome::Delivered).unwrap();
    let store = bench.stop().await;
    assert_eq!(
        states(&store).await,
        [(DeliveryState::Pending, 1), (DeliveryState::Delivered, 1)]
    );
}

#[tokio::test]
async fn kept_payload_is_rendered_anew_for_another_audience() {
    let mut bench = Bench::new(1);
    let body = format!(
        r#"{{"header":{{"event_id":"e1","event_type":"{}"}},"event":{{"feedback_id":"e1","description":"their words"}}}}"#,
        feishu::CREATED
    );
    let arrival = Arrival {
        body: Some(Private::new(body)),
        ..arrival("e1")
    };
    bench.store.accept(arrival).await.unwrap();
    for (fields, shows) in [(None, true), (None, true), (Some(Visibility::Drop), false)] {
        if let Some(description) = fields {
            // A reload narrows what this destination may show.
            let mut common = common(1);
            common.audience.fields.description = description;
            bench.replace_chat("webhook", common).await;
        }
        let heard = bench.hear().await;
        assert_eq!(heard.text.contains("their words"), shows, "{}", heard.text);
        bench.fail(heard).await;
    }
    bench.hear().await.answer.send(Outcome::Delivered).unwrap();
    bench.stop().await;
}

#[tokio::test]
async fn kept_payload_is_rendered_anew_for_another_kind() {
    let mut bench = Bench::new(1);
    bench.accept("e1").await;
    let heard = bench.hear().await;
    assert!(heard.text.contains("feedback.created"), "{}", heard.text);
    bench.fail(heard).await;
    let mut common = common(1);
    common.audience.family = Family::Feishu;
    bench.replace_chat("feishu-bot", common).await;
    let heard = bench.hear().await;
    assert!(heard.text.contains("interactive"), "{}", heard.text);
    assert!(!heard.text.contains("feedback.created"), "{}", heard.text);
    heard.answer.send(Outcome::Delivered).unwrap();
    bench.stop().await;
}

/// Waits until no send is in flight.
async fn wait_for_attempt(bench: &Bench) {
    let waits = async {
        while states(&bench.store).await[0].0 != DeliveryState::Pending {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waits).await.expect("it is recorded");
}

#[tokio::test]
async fn stop_releases_prefetched_deliveries() {
    let mut bench = Bench::new(2);
    for n in 0..200 {
        bench.accept(&format!("e{n}")).await;
    }
    for _ in 0..100 {
        bench.hear().await.answer.send(Outcome::Delivered).unwrap();
    }
    let in_flight = [bench.hear().await, bench.hear().await];
    bench.stopping.cancel();
    for heard in in_flight {
        heard.answer.send(Outcome::Delivered).unwrap();
    }
    let store = bench.stop().await;
    let states = states(&store).await;
    let count = |wanted| states.iter().filter(|state| **state == wanted).count();
    assert_eq!(count((DeliveryState::Delivered, 1)), 102);
    assert_eq!(count((DeliveryState::Pending, 0)), 98);
}

#[tokio::test]
async fn prefetched_delivery_is_released_before_its_lease_ends() {
    let bench = Bench::idle(common(1));
    for n in 0..9 {
        bench.accept(&format!("e{n}")).await;
    }
    let chat = Arc::clone(&bench.chat);
    let clock: Arc<dyn Clock> = Arc::clone(&bench.clock) as Arc<dyn Clock>;
    let shared = SharedLimits::default();
    let mut prefetcher = Prefetcher::new(CHAT.into(), bench.store.clone(), shared);
    let poll = |prefetcher: &mut Prefetcher, may_start| {
        let wanted = Wanted {
            may_start,
            may_follow: usize::MAX,
            probe: false,
            after_pause: false,
        };
        prefetcher.poll(wanted, chat.as_ref(), &clock);
    };

    poll(&mut prefetcher, 1);
    prefetcher.sends_ended(1);
    prefetcher.answered().await;
    assert!(prefetcher.take_next().is_some() && prefetcher.take_next().is_none());
    poll(&mut prefetcher, 0);
    prefetcher.answered().await;
    assert_eq!(prefetcher.take_stale(NOW).len(), 0);
    let ready = prefetcher.take_stale(NOW + Duration::from_secs(60));
    assert_eq!(ready.len(), READY_FOR_EACH, "for the one that ended");

    // After `take_stale` the lane counts as slow, so it leases no more than may start.
    poll(&mut prefetcher, 1);
    prefetcher.answered().await;
    assert_eq!(prefetcher.take_all().len(), 1);
}

#[tokio::test]
async fn send_that_ends_during_a_stop_updates_the_gate() {
    let mut bench = Bench::new(1);
    bench.accept("e1").await;
    let heard = bench.hear().await;
    bench.stopping.cancel();
    let reason = "the token is refused".to_owned();
    heard.answer.send(Outcome::Stop { reason }).unwrap();
    let store = bench.stop().await;
    let gates = store.gates().await.unwrap();
    assert!(gates.iter().any(|gate| gate.stopped.is_some()), "{gates:?}");
    assert_eq!(states(&store).await, [(DeliveryState::Pending, 1)]);
}

#[tokio::test]
async fn unsendable_message_uses_no_rate_limit() {
    let mut bench = Bench::paced(RateLimit {
        count: 1,
        per: Duration::from_secs(3600),
    });
    let wordless = Arrival {
        body: None,
        ..arrival("e1")
    };
    bench.store.accept(wordless).await.unwrap();
    bench.accept("e2").await;
    let heard = bench.hear().await;
    assert!(heard.text.contains(r#""id":"e2""#), "{}", heard.text);
    heard.answer.send(Outcome::Delivered).unwrap();
    let store = bench.stop().await;
    assert_eq!(
        states(&store).await,
        [(DeliveryState::Dead, 0), (DeliveryState::Delivered, 1)]
    );
}

/// Three messages each to two destinations, which the platform limits together to three.
#[tokio::test]
async fn destinations_that_the_platform_limits_together_share_one_rate() {
    let mut bench = Bench::idle(common(4));
    let (hears, heard) = mpsc::unbounded_channel();
    bench.heard = heard;
    let hour = RateLimit {
        count: 3,
        per: Duration::from_secs(3600),
    };
    let chat = |name: &str| -> Arc<dyn Destination> {
        let common = Common {
            name: name.into(),
            ..common(4)
        };
        Arc::new(Chat {
            kind: "webhook",
            common,
            paces: vec![SharedPace {
                key: PaceKey::of(&["one bot"]),
                pace: hour,
            }],
            shows: ShowsImages::No,
            hears: hears.clone(),
        })
    };
    let both = [CHAT, "other"].map(|name| (name.into(), chat(name)));
    for n in 0..3 {
        let mut arrival = arrival(&format!("e{n}"));
        let mut second = arrival.deliveries[0].clone();
        second.destination = "other".into();
        arrival.deliveries.push(second);
        bench.store.accept(arrival).await.unwrap();
    }
    let dispatcher = bench.dispatcher_of(both.into());
    bench.run.spawn(dispatcher.run(bench.stopping.clone()));
    for _ in 0..3 {
        bench.hear().await.answer.send(Outcome::Delivered).unwrap();
    }
    let store = bench.stop().await;
    let sent = states(&store).await.iter().filter(|one| one.1 > 0).count();
    assert_eq!(sent, 3);
    // A restart does not forget them.
    assert_eq!(store.paced_sends(NOW - hour.per).await.unwrap().len(), 3);
}

#[tokio::test]
async fn restart_recalls_the_sends_that_a_rate_limit_counts() {
    let mut bench = Bench::paced(RateLimit {
        count: 9,
        per: Duration::from_secs(60),
    });
    for n in 0..2 {
        bench.accept(&format!("e{n}")).await;
        bench.hear().await.answer.send(Outcome::Delivered).unwrap();
        while states(&bench.store).await[n].0 != DeliveryState::Delivered {
            tokio::task::yield_now().await;
        }
        bench.clock.advance(Duration::from_secs(40));
    }
    let ages = bench.dispatcher().recall().await;
    let ages: Vec<_> = ages[CHAT].iter().map(Duration::as_secs).collect();
    assert!(matches!(ages[..], [40] | [39]), "{ages:?}");
    bench.stop().await;
}

#[tokio::test]
async fn first_failure_after_a_long_wait_is_retried() {
    let mut bench = Bench::idle(common(1));
    bench.accept("e1").await;
    let retry_for = bench.chat.common().retry_for;
    for _ in 0..retry_for.as_secs() / 5 + 1 {
        bench.clock.advance(Duration::from_secs(5));
        bench.store.uptime();
    }
    let dispatcher = bench.dispatcher();
    bench.run.spawn(dispatcher.run(bench.stopping.clone()));
    let reason = "502".to_owned();
    let answer = bench.hear().await.answer;
    answer.send(Outcome::Retry { reason }).unwrap();
    let store = bench.stop().await;
    assert_eq!(states(&store).await, [(DeliveryState::Pending, 1)]);
}

#[tokio::test]
async fn good_message_is_sent_while_bad_ones_fail() {
    let mut bench = Bench::new(1);
    for n in 0..6 {
        bench.accept(&format!("poison{n}")).await;
    }
    let answer = |heard: Heard| {
        let good = heard.text.contains(r#""id":"good"#);
        let reason = "500".to_owned();
        let outcome = match good {
            true => Outcome::Delivered,
            false => Outcome::Retry { reason },
        };
        heard.answer.send(outcome).unwrap();
        good
    };
    // The breaker opens at the fifth failure.
    for _ in 0..5 {
        answer(bench.hear().await);
    }
    bench.accept("good1").await;
    let mut others = 0;
    while !answer(bench.hear().await) {
        others += 1;
    }
    assert!(others <= 1, "{others} bad ones were probed before it");
    bench.accept("good2").await;
    let mut others = 0;
    while !answer(bench.hear().await) {
        others += 1;
    }
    assert!(others <= 6, "{others}");
    bench.stop().await;
}

/// A receiver may answer one message with 429 for ever: the others are tried after each pause.
#[tokio::test]
async fn good_message_is_sent_while_another_is_always_slowed_down() {
    let mut bench = Bench::new(1);
    bench.accept("poison").await;
    let answer = |heard: Heard| {
        let good = heard.text.contains(r#""id":"good"#);
        let slow = Outcome::SlowDown {
            pause: Some(Duration::from_millis(10)),
            reason: "429".into(),
        };
        let outcome = if good { Outcome::Delivered } else { slow };
        heard.answer.send(outcome).unwrap();
        good
    };
    assert!(!answer(bench.hear().await));
    for n in 0..5 {
        bench.accept(&format!("good{n}")).await;
    }
    let mut sent = Vec::new();
    while sent.iter().filter(|good| **good).count() < 5 {
        sent.push(answer(bench.hear().await));
        assert!(sent.len() < 12, "{sent:?}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn resume_ends_a_pause_in_the_running_relay() {
    let mut bench = Bench::new(1);
    bench.accept("e1").await;
    bench.hear().await.answer.send(slow_down()).unwrap();
    bench.accept("e2").await;
    bench
        .wait_for_gate(|gate| gate.blocked_until.is_some())
        .await;
    bench.store.resume(&CHAT.into()).await.unwrap();
    bench.hear().await.answer.send(Outcome::Delivered).unwrap();
    bench.hear().await.answer.send(Outcome::Delivered).unwrap();
    let store = bench.stop().await;
    assert_eq!(
        states(&store).await,
        [(DeliveryState::Delivered, 2), (DeliveryState::Delivered, 1)]
    );
}

#[tokio::test]
async fn answers_that_are_lost_leave_a_message_unconfirmed() {
    let mut bench = Bench::new(1);
    bench.accept("e1").await;
    let lost = || Outcome::Ambiguous {
        reason: "the answer was lost".into(),
    };
    for n in 1..=2 {
        bench.hear().await.answer.send(lost()).unwrap();
        while states(&bench.store).await != [(DeliveryState::Pending, n)] {
            tokio::task::yield_now().await;
        }
        bench.clock.advance(Duration::from_secs(60));
    }
    bench.hear().await.answer.send(lost()).unwrap();
    let store = bench.stop().await;
    assert_eq!(states(&store).await, [(DeliveryState::Unconfirmed, 3)]);
}

/// Returns the deliveries to `destination` in the order of their events.
async fn deliveries_to(store: &Store, destination: &str) -> Vec<Delivery> {
    let filter = DeliveryFilter {
        destination: Some(DestinationName::from(destination)),
        limit: 1000,
        ..DeliveryFilter::default()
    };
    let mut deliveries = store.deliveries(filter).await.unwrap();
    deliveries.sort_by_key(|delivery| delivery.event);
    deliveries
}

/// Checks that exactly these events were rerouted to the fallback, none before `since`.
async fn assert_rerouted(store: &Store, ids: &[&str], since: Timestamp) {
    let rerouted = deliveries_to(store, SPARE).await;
    let events: Vec<_> = rerouted.iter().map(|one| one.event_id.as_str()).collect();
    assert_eq!(events, ids);
    for one in rerouted {
        assert_eq!(one.trigger, Trigger::Fallback);
        assert!(one.created_at >= since, "{one:?}");
    }
}

/// Returns the notices that were sent to the operator.
async fn notices(store: &Store) -> Vec<Notice> {
    let all = EventFilter {
        limit: 1000,
        ..EventFilter::default()
    };
    let mut notices = Vec::new();
    for row in store.events(all).await.unwrap() {
        if row.event_type == store::NOTICE {
            let event = store.event_by_seq(row.seq).await.unwrap().unwrap();
            let body = event.body.unwrap();
            notices.push(notices::read_notice(body.expose()).unwrap());
        }
    }
    notices
}

const FALLBACK_AFTER: Duration = Duration::from_secs(60);

fn with_fallback_after() -> Common {
    Common {
        fallback: Some(SPARE.into()),
        fallback_after: Some(FALLBACK_AFTER),
        ..common(1)
    }
}

#[tokio::test]
async fn paused_destination_reroutes_critical_messages_in_time() {
    let mut bench = Bench::of(with_fallback_after());
    bench.accept_critical("e1").await;
    bench.hear().await.answer.send(slow_down()).unwrap();
    bench
        .wait_for_gate(|gate| gate.blocked_until.is_some())
        .await;
    let soon = FALLBACK_AFTER - Duration::from_millis(1);
    bench.run_for(soon);
    bench.accept_critical("e2").await;
    bench.accept("info").await;
    bench.run_for(FALLBACK_AFTER - soon);
    bench.accept_critical("e3").await;
    let three = async |store: &Store| deliveries_to(store, SPARE).await.len() >= 3;
    bench.wait_until(three).await;
    let store = bench.stop().await;
    assert_rerouted(&store, &["e1", "e2", "e3"], NOW + FALLBACK_AFTER).await;
    // The destination itself gets them after the pause.
    let waiting = deliveries_to(&store, CHAT).await;
    assert!(
        waiting
            .iter()
            .all(|one| one.state == DeliveryState::Pending)
    );
}

#[tokio::test]
async fn broken_destination_reroutes_critical_messages_in_time() {
    let mut bench = Bench::of(with_fallback_after());
    let ids = ["e0", "e1", "e2", "e3", "e4", "e5"];
    for id in ids {
        bench.accept_critical(id).await;
    }
    bench.accept("info").await;
    bench.wait_for_gate(|gate| gate.open_since.is_some()).await;
    bench.run_for(FALLBACK_AFTER);
    let all = async |store: &Store| deliveries_to(store, SPARE).await.len() >= ids.len();
    bench.wait_until(all).await;
    assert_rerouted(&bench.store, &ids, NOW + FALLBACK_AFTER).await;
}

#[tokio::test]
async fn waiting_messages_expire_while_the_destination_is_paused() {
    let retry_for = Duration::from_secs(20);
    for fallback in [None, Some(DestinationName::from(SPARE))] {
        let mut bench = Bench::of(Common {
            retry_for,
            fallback: fallback.clone(),
            ..common(1)
        });
        bench.metrics.name(Names {
            destinations: [CHAT.into()].into(),
            ..Names::default()
        });
        bench.accept("e1").await;
        bench.hear().await.answer.send(slow_down()).unwrap();
        bench
            .wait_for_gate(|gate| gate.blocked_until.is_some())
            .await;
        bench.accept("e2").await;
        bench.clock.advance(retry_for / 2);
        bench.accept("young").await;
        bench.clock.advance(retry_for / 2);
        let two_dead = async |store: &Store| {
            let states = states_of(store, CHAT).await;
            states[..2] == [DeliveryState::Dead; 2]
        };
        bench.wait_until(two_dead).await;
        let metrics = Arc::clone(&bench.metrics);
        let store = bench.stop().await;
        let text = metrics.encode(Format::Prometheus);
        let dead = r#"deliveries_total{destination="chat",outcome="dead"} 2"#;
        assert!(text.contains(dead), "{text}");
        assert_eq!(states_of(&store, CHAT).await[2], DeliveryState::Pending);
        let notices = notices(&store).await;
        if fallback.is_some() {
            assert_rerouted(&store, &["e1", "e2"], NOW + retry_for).await;
            assert_eq!(notices, []);
        } else {
            assert_eq!(notices.len(), 1, "{notices:?}");
            let text = &notices[0].text;
            assert!(text.starts_with("2 deliveries to chat are dead"), "{text}");
        }
    }
}

async fn states_of(store: &Store, destination: &str) -> Vec<DeliveryState> {
    let deliveries = deliveries_to(store, destination).await;
    deliveries.iter().map(|one| one.state).collect()
}

/// Accepts a message of one late image, which is then stored.
async fn accept_late_image(bench: &Bench) {
    let (store, bytes) = (&bench.store, Bytes::from_static(b"an image"));
    let id = ImageId::of(&bytes);
    bench.archive().put(&id, bytes).await.unwrap();
    let mut late = arrival("e1");
    late.images = vec![Private::new("https://p1.example.com/1.png")];
    late.deliveries[0].trigger = Trigger::LateImages;
    late.deliveries[0].due_at = NOW + Duration::from_secs(3600);
    store.accept(late).await.unwrap();
    let minute = Duration::from_secs(60);
    let hosts = ImageHosts::default();
    let leased = store.lease_images(1, minute, &hosts).await.unwrap();
    let (job, token) = (&leased.leases[0].item, leased.leases[0].token);
    let kept = ImageVerdict::Kept(KeptImage {
        id,
        format: ImageFormat::Png,
        bytes: 8,
        width: 1,
        height: 1,
    });
    let finished = store.finish_image(token, job.event, job.ordinal, kept);
    assert_eq!(finished.await, Ok(Recorded::Recorded));
}

/// Setting the clock forward does not count as time spent trying, so the images still wait for
/// their upload.
#[tokio::test]
async fn wall_clock_jump_gives_up_no_late_images() {
    let mut bench = Bench::idle(common(1));
    let (hears, heard) = mpsc::unbounded_channel();
    bench.heard = heard;
    bench.chat = Arc::new(Chat {
        kind: "slack-app",
        common: common(1),
        paces: Vec::new(),
        shows: ShowsImages::ByKey(KeyOwner::Bot("bot".into())),
        hears,
    });
    accept_late_image(&bench).await;
    let jump = bench.chat.common().retry_for + Duration::from_secs(7200);
    bench.clock.set(NOW + jump);
    let dispatcher = bench.dispatcher();
    bench.run.spawn(dispatcher.run(bench.stopping.clone()));
    let tried = async |store: &Store| {
        let one = deliveries_to(store, CHAT).await.remove(0);
        one.attempts > 0 || one.due_at > NOW + jump
    };
    bench.wait_until(tried).await;
    let store = bench.stop().await;
    assert_eq!(states(&store).await, [(DeliveryState::Pending, 0)]);
}

#[tokio::test]
async fn late_images_are_not_rerouted() {
    let mut bench = Bench::of(Common {
        fallback: Some(SPARE.into()),
        ..common(1)
    });
    accept_late_image(&bench).await;
    let reason = "too large".to_owned();
    let heard = bench.hear().await;
    heard.answer.send(Outcome::Rejected { reason }).unwrap();
    let store = bench.stop().await;
    assert_eq!(states(&store).await, [(DeliveryState::Dead, 1)]);
}

/// The cost of news must not grow with the number of destinations. Every poll that finds nothing reads once.
#[tokio::test]
async fn event_wakes_only_the_lane_that_it_concerns() {
    const EVENTS: usize = 20;
    for quiet in [0, 40, 500, 2000] {
        let mut bench = Bench::idle(common(1));
        let mut destinations = Destinations::from([(CHAT.into(), Arc::clone(&bench.chat))]);
        for number in 0..quiet {
            let name = DestinationName::new(format!("quiet-{number}"));
            let common = Common {
                name: name.clone(),
                ..common(1)
            };
            destinations.insert(name, Chat::open("webhook", common).0);
        }
        let dispatcher = bench.dispatcher_of(destinations);
        bench.run.spawn(dispatcher.run(bench.stopping.clone()));
        for number in 0..EVENTS {
            bench.accept(&format!("e{number}")).await;
            bench.hear().await.answer.send(Outcome::Delivered).unwrap();
        }
        // Each lane reads once when it starts.
        let reads = bench.store.reads();
        let of_events = reads.saturating_sub(quiet);
        assert!(of_events < EVENTS * 10, "{reads} reads with {quiet} others");
        bench.stop().await;
    }
}

/// Lets timers run for 70 seconds, without waiting for them. Returns how often the lane reads the store meanwhile.
async fn reads_in_70_seconds(bench: &Bench) -> usize {
    let before = bench.store.reads();
    tokio::time::pause();
    // While a blocking thread runs, time does not advance by itself.
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let mut held = JoinSet::new();
    held.spawn_blocking(move || ended.recv().ok());
    let mut own = 0;
    for _ in 0..70 {
        tokio::time::advance(Duration::from_secs(1)).await;
        // The lane's writes and reads for this second go before the last of these.
        for _ in 0..4 {
            bench.store.probe().await.unwrap();
            bench.store.gates().await.unwrap();
            own += 1;
        }
    }
    drop(end);
    held.join_all().await;
    bench.store.reads() - before - own
}

/// A failing lane steps every second. It searches for messages to reroute less often.
#[tokio::test]
async fn failing_lane_searches_every_ten_seconds() {
    let mut bench = Bench::of(with_fallback_after());
    bench.accept_critical("e1").await;
    bench.hear().await.answer.send(slow_down()).unwrap();
    bench
        .wait_for_gate(|gate| gate.blocked_until.is_some())
        .await;
    bench.run_for(FALLBACK_AFTER);
    let rerouted = async |store: &Store| !deliveries_to(store, SPARE).await.is_empty();
    bench.wait_until(rerouted).await;
    let reads = reads_in_70_seconds(&bench).await;
    assert!((7..=24).contains(&reads), "{reads} reads");
}

/// An idle lane is woken by news, and polls by itself only once a minute.
#[tokio::test]
async fn idle_lane_polls_once_a_minute() {
    let mut bench = Bench::new(1);
    bench.accept("e1").await;
    bench.hear().await.answer.send(Outcome::Delivered).unwrap();
    let done = async |store: &Store| states(store).await == [(DeliveryState::Delivered, 1)];
    bench.wait_until(done).await;
    let reads = reads_in_70_seconds(&bench).await;
    assert!((1..=4).contains(&reads), "{reads} reads");
}
