//! Fetches, checks and stores due images.

mod caution;
mod checking;
mod hosts;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use self::caution::Caution;
use self::checking::Checker;
use self::hosts::{HostBook, HostSign};
use super::Settings;
use super::check::Picture;
use super::policy::{Failure, after_failure, notices};
use crate::archive::Archive;
use crate::model::{
    Clock, Current, ImageJob, Lease, Notice, NoticeKind, Private, Recorded, Timestamp,
};
use crate::net::{Fetched, GuardPolicy, GuardedClient, Room};
use crate::notices::Operator;
use crate::store::{ImageVerdict, LostImageLease, Store, StoreError, Topic};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::telemetry::events::{ImageAttempted, ImageLeaseLost, PanicCaught};

/// The number of concurrent fetches. The client limits the memory for large images, and the checker that for
/// checks.
const CONCURRENCY: usize = 16;
/// The number of concurrent fetches from one host, so that slow hosts do not delay the others.
const PER_HOST: usize = CONCURRENCY / 4;
/// The length of a lease. It is longer than fetching (30 s), checking (40 s with the wait for a turn) and
/// storing take.
const LEASE: Duration = Duration::from_secs(120);
/// The longest pause between two polls. A wall clock that jumps makes images early or late by no more than
/// this.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The shortest pause between two polls, so that two clocks that disagree do not cause a busy loop.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The number of attempts that refuse a JPEG without an end marker. Some programs write such files, so later
/// attempts keep it.
const ENDLESS_ATTEMPTS: u32 = 2;
/// The number of sent notices that the worker remembers; the operator's own memory has the rest.
const NOTIFIED_MAX: usize = 1024;

/// Dependencies of an [`ImageWorker`].
pub struct Parts {
    pub store: Store,
    /// Stores the bytes of images.
    pub archive: Archive,
    /// Fetches images.
    pub client: Current<GuardedClient>,
    /// The checked `[images]`.
    pub settings: Current<Settings>,
    /// Receives notices of images that are lost or at risk.
    pub operator: Operator,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// The random generator for jitter.
    pub chance: fastrand::Rng,
}

/// Fetches, checks and stores due images. Clones share their work.
#[derive(Clone)]
pub struct ImageWorker(Arc<Inner>);

struct Inner {
    store: Store,
    archive: Archive,
    client: Current<GuardedClient>,
    settings: Current<Settings>,
    operator: Operator,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    chance: Mutex<fastrand::Rng>,
    notified: Mutex<HashSet<(NoticeKind, String)>>,
    hosts: Mutex<HostBook>,
    checker: Checker,
    caution: Caution,
}

impl ImageWorker {
    /// Builds a worker that does not run yet.
    pub fn new(parts: Parts) -> Self {
        let caution = Caution::after(parts.store.interrupted_images());
        Self(Arc::new(Inner {
            store: parts.store,
            archive: parts.archive,
            client: parts.client,
            settings: parts.settings,
            operator: parts.operator,
            metrics: parts.metrics,
            clock: parts.clock,
            chance: Mutex::new(parts.chance),
            notified: Mutex::default(),
            hosts: Mutex::new(HostBook::new(PER_HOST)),
            checker: Checker::default(),
            caution,
        }))
    }

    /// Runs until the soft stop, then finishes the images in progress.
    pub async fn run(self, tasks: Tasks) {
        let stopping = tasks.stopping();
        let mut changes = self.0.store.wakeups(Topic::Images);
        let mut at_work = JoinSet::new();
        while !stopping.is_cancelled() {
            // A change from here on wakes the worker, even during the poll.
            changes.borrow_and_update();
            let look = self.start_due(&mut at_work).await;
            let pause = look.map_or(PAUSE_MAX, |look| look.pause);
            tokio::select! {
                () = stopping.cancelled() => {}
                Some(ended) = at_work.join_next() => self.note_panic(ended.is_err()),
                changed = changes.changed(), if at_work.len() < CONCURRENCY => {
                    if changed.is_err() {
                        break; // the store has ended, and so does the relay
                    }
                }
                () = tokio::time::sleep(pause), if at_work.len() < CONCURRENCY => {}
            }
            if pause > Duration::ZERO {
                // Limits the rate of polls that find nothing, however many events arrive.
                tokio::time::sleep(PAUSE_MIN).await;
            }
        }
        while let Some(ended) = at_work.join_next().await {
            self.note_panic(ended.is_err());
        }
    }

    /// Works on due images, at most `CONCURRENCY` at once. Returns their number.
    pub async fn step(&self) -> Result<usize, StoreError> {
        let mut at_work = JoinSet::new();
        let look = self.start_due(&mut at_work).await?;
        while let Some(ended) = at_work.join_next().await {
            self.note_panic(ended.is_err());
        }
        Ok(look.started)
    }

    /// Leases as many images as can start at once, and starts them. The set is dropped with its owner, so a
    /// hard stop ends its tasks.
    async fn start_due(&self, at_work: &mut JoinSet<()>) -> Result<Look, StoreError> {
        let free = CONCURRENCY.saturating_sub(at_work.len());
        if free == 0 {
            return Ok(Look::default());
        }
        let hosts = self.0.hosts().ask(Instant::now());
        let leased = self
            .0
            .store
            .lease_images(free, LEASE, &hosts)
            .await
            .inspect_err(|error| tracing::warn!(%error, "failed to poll for images to fetch"))?;
        for lost in leased.lost {
            self.0.note_lost_lease(&lost).await;
        }
        let more = self.0.hosts().looked(leased.after);
        let started = leased.leases.len();
        for lease in leased.leases {
            self.0.hosts().began(&lease.item.host);
            let inner = Arc::clone(&self.0);
            at_work.spawn(async move { inner.work(lease).await });
        }
        let pause = match (started, more) {
            (0, false) => self.pause(leased.next_due_at),
            (0, true) => PAUSE_MIN,
            _ => Duration::ZERO,
        };
        Ok(Look { started, pause })
    }

    /// Returns how long nothing will be due unless something changes.
    fn pause(&self, next_due_at: Option<Timestamp>) -> Duration {
        let now = self.0.clock.now();
        let due = next_due_at.map(|due_at| due_at.since(now));
        let host = self.0.hosts().next_pause_end(Instant::now());
        let first = due.into_iter().chain(host).min();
        first.unwrap_or(PAUSE_MAX).clamp(PAUSE_MIN, PAUSE_MAX)
    }

    /// Records a panic outside the checks. The image is still leased, and is retried after the lease.
    fn note_panic(&self, panicked: bool) {
        if panicked {
            self.0.metrics.emit(PanicCaught { task: "images" });
        }
    }
}

/// The result of a poll.
#[derive(Default)]
struct Look {
    /// The number of images that it started to work on.
    started: usize,
    /// How long nothing will be due.
    pause: Duration,
}

/// Counts an image as in progress for its host until this value is dropped.
struct InHand<'a> {
    inner: &'a Inner,
    host: &'a str,
    sign: HostSign,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        let ended = self
            .inner
            .hosts()
            .ended(self.host, self.sign, Instant::now());
        if let Some(pause) = ended {
            // The host's name is not logged, because a reporter may have chosen it.
            let seconds = pause.as_secs();
            tracing::warn!(
                seconds,
                "an image host does not answer; all its images wait"
            );
        }
    }
}

impl Inner {
    fn hosts(&self) -> MutexGuard<'_, HostBook> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn note_lost_lease(&self, lost: &LostImageLease) {
        self.metrics.emit(ImageLeaseLost {
            event_id: &lost.event_id,
            ordinal: lost.ordinal,
            given_up: lost.given_up,
        });
        if lost.given_up {
            self.caution.tried(lost.event, lost.ordinal);
            let text = format!(
                "An image of event {} is lost: fetching or checking it was interrupted three times.",
                lost.event_id
            );
            let (kind, subject) = (NoticeKind::ImageLost, lost.event_id.to_string());
            self.send_once(Notice {
                kind,
                subject,
                text,
            })
            .await;
        }
    }

    async fn work(&self, lease: Lease<ImageJob>) {
        let job = &lease.item;
        let settings = self.settings.get();
        let mut log_reason = None;
        let mut in_hand = InHand {
            inner: self,
            host: &job.host,
            sign: HostSign::Nothing,
        };
        let fetched = self.fetch_and_keep(&lease, &settings).await;
        in_hand.sign = match &fetched {
            Ok(_) => HostSign::Answered,
            Err(failure) => HostSign::of(failure),
        };
        // The host's part is done; only the relay and its store are involved from here on.
        drop(in_hand);
        let (verdict, notices, picture) = match fetched {
            Ok(picture) => {
                let kept = picture.0.kept.clone();
                (ImageVerdict::Kept(kept), Vec::new(), Some(picture))
            }
            Err(failure) => {
                let now = self.clock.now();
                let jitter = self
                    .chance
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .f64();
                let verdict = after_failure(job, &failure, now, jitter);
                let notices = notices(job, &failure, &verdict, now);
                log_reason = failure.log_reason();
                (verdict, notices, None)
            }
        };
        let recorded = self
            .store
            .finish_image(lease.token, job.event, job.ordinal, verdict.clone())
            .await;
        self.caution.tried(job.event, job.ordinal);
        match recorded {
            Ok(Recorded::Recorded) => {
                self.emit(job, &verdict, log_reason);
                self.ensure_kept(picture).await;
                for notice in notices {
                    self.send_once(notice).await;
                }
            }
            Ok(Recorded::LeaseLost) => self.forget(&verdict).await,
            Err(error) => {
                tracing::warn!(event.id = %job.event_id, image = job.ordinal, %error, "failed to record an image; it is fetched again");
            }
        }
    }

    /// Returns the image with its memory permit, which covers the fetched bytes first and the stripped ones then.
    async fn fetch_and_keep(
        &self,
        lease: &Lease<ImageJob>,
        settings: &Settings,
    ) -> Result<(Picture, Room), Failure> {
        let job = &lease.item;
        let careful = self.caution.is_on();
        let fetched = fetch(&self.client.get(), &job.url, settings, careful).await?;
        refuse_cut_jpeg(&fetched.body, job.attempts)?;
        if careful {
            let marked = self
                .store
                .mark_image_check(lease.token, job.event, job.ordinal)
                .await;
            if marked != Ok(Recorded::Recorded) {
                return Err(Failure::Transient("its lease was lost".into()));
            }
        }
        let checked = self.checker.check(fetched.body, careful).await;
        let picture = checked.inspect_err(|failure| {
            if *failure == checking::PANICKED {
                self.metrics.emit(PanicCaught {
                    task: "image check",
                });
            }
        })?;
        Ok((self.keep(picture).await?, fetched.room))
    }

    async fn keep(&self, picture: Picture) -> Result<Picture, Failure> {
        let disk = |error: std::io::Error| Failure::Disk(format!("it cannot be stored: {error}"));
        let (id, bytes) = (&picture.kept.id, picture.bytes.clone());
        let room = self.archive.has_room_for(picture.kept.bytes).await;
        if !room.map_err(disk)? {
            return Err(Failure::Disk("the disk is too full to store it".into()));
        }
        self.archive.put(id, bytes).await.map_err(disk)?;
        Ok(picture)
    }

    /// Stores the bytes again if they are missing: before the image was recorded, retention may have removed
    /// the same bytes of an older event. From now on the record protects them.
    async fn ensure_kept(&self, picture: Option<(Picture, Room)>) {
        let Some((Picture { bytes, kept }, _room)) = picture else {
            return;
        };
        if let Err(error) = self.archive.put(&kept.id, bytes).await {
            tracing::error!(image.id = %kept.id, %error, "failed to store a recorded image");
        }
    }

    /// Removes stored bytes that no event needs, because the event was erased or another relay settled the
    /// image.
    async fn forget(&self, verdict: &ImageVerdict) {
        let ImageVerdict::Kept(kept) = verdict else {
            return;
        };
        let needed = self.store.kept_image(&kept.id).await;
        if needed.is_ok_and(|image| image.is_none())
            && let Err(error) = self.archive.remove(&kept.id).await
        {
            tracing::warn!(image.id = %kept.id, %error, "failed to remove an unused image");
        }
    }

    fn emit(&self, job: &ImageJob, verdict: &ImageVerdict, log_reason: Option<&'static str>) {
        let (result, reason, settled) = match verdict {
            ImageVerdict::Kept(_) => ("kept", None, true),
            ImageVerdict::RetryAt { reason, .. } => ("retry", Some(reason.as_str()), false),
            ImageVerdict::Lost { reason } => ("lost", Some(reason.as_str()), true),
        };
        self.metrics.emit(ImageAttempted {
            event_id: &job.event_id,
            ordinal: job.ordinal,
            result,
            reason: log_reason.or(reason),
            settled,
        });
    }

    async fn send_once(&self, notice: Notice) {
        let first = {
            let mut notified = self.notified.lock().unwrap_or_else(PoisonError::into_inner);
            if notified.len() >= NOTIFIED_MAX {
                notified.clear();
            }
            notified.insert((notice.kind, notice.subject.clone()))
        };
        if first {
            self.operator.notify(notice).await;
        }
    }
}

async fn fetch(
    client: &GuardedClient,
    url: &Private,
    settings: &Settings,
    alone: bool,
) -> Result<Fetched, Failure> {
    let policy = GuardPolicy {
        allow_hosts: &settings.allow_hosts,
        allow_private_addresses: settings.allow_private_addresses,
        alone,
    };
    let bytes_max = usize::try_from(settings.bytes_max).unwrap_or(usize::MAX);
    let fetched = client.get(url, policy, bytes_max).await?;
    match fetched.status {
        200 => Ok(fetched),
        status => Err(Failure::of_status(status)),
    }
}

/// Refuses a JPEG without an end marker at the first attempts, because its body may have been cut off.
fn refuse_cut_jpeg(bytes: &[u8], attempts: u32) -> Result<(), Failure> {
    if attempts >= ENDLESS_ATTEMPTS || !bytes.starts_with(&[0xff, 0xd8]) {
        return Ok(());
    }
    // Coded pixels contain neither the start marker of a scan nor the end marker.
    let scan = bytes.windows(2).rposition(|pair| pair == [0xff, 0xda]);
    let last_scan = &bytes[scan.unwrap_or(0)..];
    if last_scan.windows(2).any(|pair| pair == [0xff, 0xd9]) {
        return Ok(());
    }
    Err(Failure::NotAnImage(
        "not an acceptable image: the JPEG has no end marker".into(),
    ))
}

#[cfg(test)]
mod tests;
