//! The bench of the tests: a store, and what relays do with it.

use std::sync::Arc;
use std::time::Duration;

use super::kept;
use crate::model::*;
use crate::store::*;

pub(in crate::store) const LEASE: Duration = Duration::from_secs(60);

/// An empty database of one kind, which exists until it is dropped.
pub(in crate::store) trait TestDatabase {
    /// Returns the settings that open it.
    fn settings(&self) -> Settings;

    /// Returns the places, like files, that contain `marker`. Erased text must not be in any.
    fn traces_of(&self, marker: &str) -> Vec<String>;
}

/// A store on a database of its own, with a manual clock.
pub(in crate::store) struct Bench {
    pub(in crate::store) clock: Arc<ManualClock>,
    database: Box<dyn TestDatabase>,
    store: Option<Store>,
}

impl Bench {
    /// Opens a new store on the kind of database that is tested.
    pub(in crate::store) fn new() -> Self {
        Self::on(Box::new(sqlite::tests::Folder::new()))
    }

    /// Opens the store on this database.
    pub(in crate::store) fn on(database: Box<dyn TestDatabase>) -> Self {
        let mut bench = Self {
            clock: Arc::new(ManualClock::new(Timestamp::from_millis(1_711_111_111_000))),
            database,
            store: None,
        };
        bench.reopen();
        bench
    }

    pub(in crate::store) fn settings(&self) -> Settings {
        self.database.settings()
    }

    pub(in crate::store) fn traces_of(&self, marker: &str) -> Vec<String> {
        self.database.traces_of(marker)
    }

    pub(in crate::store) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    pub(in crate::store) fn close(&mut self) {
        self.store = None;
    }

    /// Reopens the store as after a crash: only what is stored is left.
    pub(in crate::store) fn reopen(&mut self) {
        self.close();
        self.store = Some(Store::open(&self.settings(), self.clock()).unwrap());
    }

    pub(in crate::store) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(in crate::store) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass while the relay runs, so that it counts as uptime.
    pub(in crate::store) fn run_for(&self, span: Duration) {
        let step = Duration::from_secs(5);
        let mut left = span;
        while !left.is_zero() {
            self.clock.advance(left.min(step));
            self.store().uptime();
            left = left.saturating_sub(step);
        }
    }

    /// Builds an event. If it has images, its deliveries wait three seconds for them.
    pub(in crate::store) fn arrival(&self, id: &str, deliveries: &[(&str, Severity)]) -> Arrival {
        Arrival {
            id: id.into(),
            via: "shop".into(),
            event_type: "application.application.feedback.created_v6".into(),
            feedback: Some(("cli_9f5343c580712544".into(), format!("fb-{id}"))),
            users: vec![Private::new(format!("ou_{id}"))],
            tenant: None,
            incidents: Vec::new(),
            late_incidents: Vec::new(),
            silenceable: Silenceable::default(),
            received_at: self.now(),
            state: EventState::Routed,
            body: Some(Private::new(format!("{{\"id\":\"{id}\"}}"))),
            deliveries: deliveries
                .iter()
                .map(|(destination, severity)| self.delivery(destination, *severity))
                .collect(),
            images: Vec::new(),
            images_deadline_at: self.now() + Duration::from_secs(72 * 3600),
            change: None,
        }
    }

    pub(in crate::store) fn with_images(&self, arrival: Arrival, count: usize) -> Arrival {
        let url = |n| Private::new(format!("https://p1.example.com/{n}?sign=marker"));
        Arrival {
            images: (0..count).map(url).collect(),
            ..arrival
        }
    }

    pub(in crate::store) fn delivery(&self, destination: &str, severity: Severity) -> NewDelivery {
        NewDelivery {
            destination: destination.into(),
            spec: MessageSpec {
                rule: "blank screen".into(),
                severity,
                template: "alert".into(),
                mentions: vec!["sre".into()],
                labels: [("team".to_owned(), "checkout".to_owned())].into(),
                wait: Some(Duration::from_millis(500)),
                fell_from: Vec::new(),
                news: None,
            },
            trigger: Trigger::Event,
            due_at: self.now() + Duration::from_secs(3),
            held: None,
        }
    }

    pub(in crate::store) async fn accept(&self, arrival: Arrival) -> EventSeq {
        match self.store().accept(arrival).await.unwrap() {
            Accepted::New(seq) => seq,
            Accepted::Repeat(seq) => panic!("a repeat of {seq:?}"),
        }
    }

    /// Accepts an event that notifies the destination `oncall` at severity `info`.
    pub(in crate::store) async fn accept_info(&self, id: &str) -> EventSeq {
        let arrival = self.arrival(id, &[("oncall", Severity::Info)]);
        self.accept(arrival).await
    }

    pub(in crate::store) async fn lease(
        &self,
        destination: &str,
        count: usize,
    ) -> Vec<Lease<Work>> {
        self.store()
            .lease_due(&destination.into(), count, LEASE)
            .await
            .unwrap()
    }

    pub(in crate::store) async fn lease_one(&self, destination: &str) -> Lease<Work> {
        let mut leases = self.lease(destination, 2).await;
        assert_eq!(leases.len(), 1, "exactly one delivery is due");
        leases.remove(0)
    }

    pub(in crate::store) async fn finish(&self, lease: &Lease<Work>, verdict: Verdict) -> Recorded {
        let finished = self.finished(lease, verdict);
        self.store()
            .finish_attempt(lease.token, finished)
            .await
            .unwrap()
    }

    pub(in crate::store) async fn release_lease(&self, lease: &Lease<Work>, due_at: Timestamp) {
        let back = vec![LeaseRelease::of(lease, due_at)];
        self.store().release_lease(back).await.unwrap();
    }

    /// Completes a leased delivery in time.
    pub(in crate::store) async fn end(&self, lease: &Lease<Work>, verdict: Verdict) {
        assert_eq!(self.finish(lease, verdict).await, Recorded::Recorded);
    }

    pub(in crate::store) fn finished(
        &self,
        lease: &Lease<Work>,
        verdict: Verdict,
    ) -> CompletedAttempt {
        let failed = !matches!(verdict, Verdict::Done);
        CompletedAttempt {
            id: lease.item.delivery.id,
            attempt: Some(Attempt {
                number: lease.item.delivery.attempts + 1,
                started_at: self.now(),
                duration_ms: 12,
                form: lease.item.delivery.form,
                outcome: if failed {
                    OutcomeKind::Retry
                } else {
                    OutcomeKind::Delivered
                },
                status: Some(200),
                code: Some("9499".into()),
                reason: failed.then(|| "too many requests".into()),
                excerpt: Some("{\"code\":9499}".into()),
            }),
            uncounted: Duration::ZERO,
            paced: false,
            verdict,
            payload: None,
            shown: 0,
            fallback: None,
            handle: None,
            is_final: false,
        }
    }

    /// Delivers a leased delivery, showing these images.
    pub(in crate::store) async fn deliver(&self, lease: &Lease<Work>, shown: u32) {
        let finished = CompletedAttempt {
            shown,
            ..self.finished(lease, Verdict::Done)
        };
        self.record(lease, finished).await;
    }

    /// Records an attempt in time.
    pub(in crate::store) async fn record(&self, lease: &Lease<Work>, finished: CompletedAttempt) {
        let recorded = self.store().finish_attempt(lease.token, finished).await;
        assert_eq!(recorded, Ok(Recorded::Recorded));
    }

    pub(in crate::store) fn retry_at(&self, after_s: u64, form: Form) -> Verdict {
        Verdict::RetryAt {
            due_at: self.now() + Duration::from_secs(after_s),
            form,
        }
    }

    pub(in crate::store) async fn lease_image(&self) -> Lease<ImageJob> {
        self.lease_images(1).await.remove(0)
    }

    /// Leases `count` image jobs of any host.
    pub(in crate::store) async fn lease_images(&self, count: usize) -> Vec<Lease<ImageJob>> {
        let hosts = ImageHosts::default();
        let leased = self.store().lease_images(count, LEASE, &hosts).await;
        leased.unwrap().leases
    }

    /// Completes the image job with an image whose bytes are `bytes`.
    pub(in crate::store) async fn keep(&self, lease: &Lease<ImageJob>, bytes: &str) -> ImageId {
        let kept = kept(bytes);
        let id = kept.id.clone();
        let verdict = ImageVerdict::Kept(kept);
        assert_eq!(self.finish_image(lease, verdict).await, Recorded::Recorded);
        id
    }

    /// Retries the image job at once.
    pub(in crate::store) async fn retry_image(&self, lease: &Lease<ImageJob>) {
        let verdict = ImageVerdict::RetryAt {
            due_at: self.now(),
            reason: "busy".into(),
            refused: false,
        };
        assert_eq!(self.finish_image(lease, verdict).await, Recorded::Recorded);
    }

    pub(in crate::store) async fn finish_image(
        &self,
        lease: &Lease<ImageJob>,
        verdict: ImageVerdict,
    ) -> Recorded {
        let job = &lease.item;
        self.store()
            .finish_image(lease.token, job.event, job.ordinal, verdict)
            .await
            .unwrap()
    }

    /// Ends deliveries to unknown destinations at once.
    pub(in crate::store) async fn end_orphans(
        &self,
        known: &[DestinationName],
        reason: &str,
    ) -> Vec<(DeliveryId, DestinationName)> {
        let settle = || self.store().settle_orphans(known, Duration::ZERO, reason);
        settle().await.unwrap();
        settle().await.unwrap().ended
    }

    /// Reroutes everything that waits for `from` to the fallback `to`.
    pub(in crate::store) async fn fall_back(&self, from: &str, to: &str, which: FallBack) -> u64 {
        let (from, to) = (from.into(), to.into());
        let mut sent = 0;
        for rank in Rank::ALL.iter().copied() {
            for tried in [false, true] {
                let start = Position::START;
                let until = Timestamp::from_millis(i64::MAX);
                let range = (rank, tried);
                let page = self.store().failover_page(&from, range, start, until);
                let ids = page.await.unwrap().ids;
                sent += self.store().fall_back(ids, &to, which).await.unwrap();
            }
        }
        sent
    }

    pub(in crate::store) async fn one_delivery(&self, id: DeliveryId) -> Delivery {
        let filter = DeliveryFilter {
            id: Some(id),
            limit: 1,
            ..DeliveryFilter::default()
        };
        self.store().deliveries(filter).await.unwrap().remove(0)
    }
}
