//! The store's guarantees as tests of its public interface. Any other store would have to pass them too.

mod admin;
mod failover;
mod feedback_status;
mod images;
mod intake;
mod late_summaries;
mod leasing;
mod messages;
mod retention;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::*;

pub(super) const LEASE: Duration = Duration::from_secs(60);

/// A store in its own folder, with a manual clock.
pub(super) struct Bench {
    pub(super) dir: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
    store: Option<Store>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let mut bench = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::new(Timestamp::from_millis(1_711_111_111_000))),
            store: None,
        };
        bench.reopen();
        bench
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("data/relay.db")
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            path: self.path(),
            retain: Duration::from_secs(180 * 86_400),
        }
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    pub(super) fn close(&mut self) {
        self.store = None;
    }

    /// Reopens the store as after a crash: only the file is left.
    pub(super) fn reopen(&mut self) {
        self.close();
        self.store = Some(Store::open(&self.settings(), self.clock()).unwrap());
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass while the relay runs, so that it counts as uptime.
    pub(super) fn run_for(&self, span: Duration) {
        let step = Duration::from_secs(5);
        let mut left = span;
        while !left.is_zero() {
            self.clock.advance(left.min(step));
            self.store().uptime();
            left = left.saturating_sub(step);
        }
    }

    /// Builds an event. If it has images, its deliveries wait three seconds for them.
    pub(super) fn arrival(&self, id: &str, deliveries: &[(&str, Severity)]) -> Arrival {
        Arrival {
            id: id.into(),
            via: "shop".into(),
            event_type: "application.application.feedback.created_v6".into(),
            feedback: Some(("cli_9f5343c580712544".into(), format!("fb-{id}"))),
            users: vec![Private::new(format!("ou_{id}"))],
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

    pub(super) fn with_images(&self, arrival: Arrival, count: usize) -> Arrival {
        let url = |n| Private::new(format!("https://p1.example.com/{n}?sign=marker"));
        Arrival {
            images: (0..count).map(url).collect(),
            ..arrival
        }
    }

    pub(super) fn delivery(&self, destination: &str, severity: Severity) -> NewDelivery {
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
            },
            trigger: Trigger::Event,
            due_at: self.now() + Duration::from_secs(3),
        }
    }

    pub(super) async fn accept(&self, arrival: Arrival) -> EventSeq {
        match self.store().accept(arrival).await.unwrap() {
            Accepted::New(seq) => seq,
            Accepted::Repeat(seq) => panic!("a repeat of {seq:?}"),
        }
    }

    pub(super) async fn lease(&self, destination: &str, count: usize) -> Vec<Lease<Work>> {
        self.store()
            .lease_due(&destination.into(), count, LEASE)
            .await
            .unwrap()
    }

    pub(super) async fn lease_one(&self, destination: &str) -> Lease<Work> {
        let mut leases = self.lease(destination, 2).await;
        assert_eq!(leases.len(), 1, "exactly one delivery is due");
        leases.remove(0)
    }

    pub(super) async fn finish(&self, lease: &Lease<Work>, verdict: Verdict) -> Recorded {
        let finished = self.finished(lease, verdict);
        self.store()
            .finish_attempt(lease.token, finished)
            .await
            .unwrap()
    }

    pub(super) async fn release_lease(&self, lease: &Lease<Work>, due_at: Timestamp) {
        let back = vec![LeaseRelease::of(lease, due_at)];
        self.store().release_lease(back).await.unwrap();
    }

    /// Completes a leased delivery in time.
    pub(super) async fn end(&self, lease: &Lease<Work>, verdict: Verdict) {
        assert_eq!(self.finish(lease, verdict).await, Recorded::Recorded);
    }

    pub(super) fn finished(&self, lease: &Lease<Work>, verdict: Verdict) -> CompletedAttempt {
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
        }
    }

    /// Delivers a leased delivery, showing these images.
    pub(super) async fn deliver(&self, lease: &Lease<Work>, shown: u32) {
        let finished = CompletedAttempt {
            shown,
            ..self.finished(lease, Verdict::Done)
        };
        let recorded = self
            .store()
            .finish_attempt(lease.token, finished)
            .await
            .unwrap();
        assert_eq!(recorded, Recorded::Recorded);
    }

    pub(super) fn retry_at(&self, after_s: u64, form: Form) -> Verdict {
        Verdict::RetryAt {
            due_at: self.now() + Duration::from_secs(after_s),
            form,
        }
    }

    pub(super) async fn lease_image(&self) -> Lease<ImageJob> {
        self.lease_images(1).await.remove(0)
    }

    /// Leases `count` image jobs of any host.
    pub(super) async fn lease_images(&self, count: usize) -> Vec<Lease<ImageJob>> {
        let hosts = ImageHosts::default();
        let leased = self.store().lease_images(count, LEASE, &hosts).await;
        leased.unwrap().leases
    }

    /// Completes the image job with an image whose bytes are `bytes`.
    pub(super) async fn keep(&self, lease: &Lease<ImageJob>, bytes: &str) -> ImageId {
        let kept = kept(bytes);
        let id = kept.id.clone();
        let verdict = ImageVerdict::Kept(kept);
        assert_eq!(self.finish_image(lease, verdict).await, Recorded::Recorded);
        id
    }

    pub(super) async fn finish_image(
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

    /// Returns the store's files that contain `marker`.
    pub(super) fn files_with(&self, marker: &str) -> Vec<String> {
        let files = std::fs::read_dir(self.path().parent().unwrap()).unwrap();
        files
            .map(|file| file.unwrap().path())
            .filter(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).contains(marker))
            .map(|file| file.display().to_string())
            .collect()
    }

    /// Ends deliveries to unknown destinations at once.
    pub(super) async fn end_orphans(
        &self,
        known: &[DestinationName],
        reason: &str,
    ) -> Vec<(DeliveryId, DestinationName)> {
        let settle = || self.store().settle_orphans(known, Duration::ZERO, reason);
        settle().await.unwrap();
        settle().await.unwrap().ended
    }

    /// Reroutes everything that waits for `from` to the fallback `to`.
    pub(super) async fn fall_back(&self, from: &str, to: &str, which: FallBack) -> u64 {
        let (from, to) = (from.into(), to.into());
        let mut sent = 0;
        for severity in Severity::ALL.iter().copied() {
            for tried in [false, true] {
                let start = Position::START;
                let until = Timestamp::from_millis(i64::MAX);
                let range = (severity, tried);
                let page = self.store().failover_page(&from, range, start, until);
                let ids = page.await.unwrap().ids;
                sent += self.store().fall_back(ids, &to, which).await.unwrap();
            }
        }
        sent
    }

    pub(super) async fn one_delivery(&self, id: DeliveryId) -> Delivery {
        let filter = DeliveryFilter {
            id: Some(id),
            limit: 1,
            ..DeliveryFilter::default()
        };
        self.store().deliveries(filter).await.unwrap().remove(0)
    }
}

pub(super) fn kept(bytes: &str) -> KeptImage {
    KeptImage {
        id: ImageId::of(bytes.as_bytes()),
        format: ImageFormat::Png,
        bytes: 1000,
        width: 1170,
        height: 2532,
    }
}

pub(super) fn lost() -> ImageVerdict {
    ImageVerdict::Lost {
        reason: "404".into(),
    }
}
