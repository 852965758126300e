//! Fetches, checks and stores due images.

mod caution;
mod checking;
mod hosts;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::caution::Caution;
use self::checking::Checker;
use self::hosts::{HostBook, HostSign};
use super::Settings;
use super::check::Picture;
use super::policy::{Failure, after_failure, notices};
use crate::archive::Archive;
use crate::jobs::{self, Jobs, Poll};
use crate::model::{Clock, Current, ImageJob, Lease, Notice, NoticeKind, Private, Recorded};
use crate::net::{Fetched, GuardPolicy, GuardedClient, Room};
use crate::notices::Notifier;
use crate::store::{ImageVerdict, LeasedImages, LostImageLease, Store, StoreError, Topic};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::telemetry::events::{ImageAttempted, ImageLeaseLost, PanicCaught};

/// The number of concurrent fetches.
const CONCURRENCY: usize = 16;
/// The number of concurrent fetches from one host, so that slow hosts do not delay the others.
const PER_HOST: usize = CONCURRENCY / 4;
/// The length of a lease. It is longer than fetching (30 s), checking (40 s with the wait for a turn) and
/// storing take.
const LEASE: Duration = Duration::from_secs(120);
/// The number of attempts that refuse a JPEG without an end marker. Some programs write such files, so later
/// attempts keep it.
const ENDLESS_ATTEMPTS: u32 = 2;
/// The number of sent notices that the worker remembers. The [`Notifier`] recognises older ones.
const NOTIFIED_MAX: usize = 1024;

/// Dependencies of an [`ImageWorker`].
pub struct Deps {
    pub store: Store,
    /// Stores the bytes of images.
    pub archive: Archive,
    /// Fetches images.
    pub client: Current<GuardedClient>,
    /// The checked `[images]`.
    pub settings: Current<Settings>,
    /// Receives notices of images that are lost or at risk.
    pub operator: Notifier,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// The random generator for jitter.
    pub random: fastrand::Rng,
}

/// Fetches, checks and stores due images.
pub struct ImageWorker {
    store: Store,
    archive: Archive,
    client: Current<GuardedClient>,
    settings: Current<Settings>,
    operator: Notifier,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    random: Mutex<fastrand::Rng>,
    notified: Mutex<HashSet<(NoticeKind, String)>>,
    hosts: Mutex<HostBook>,
    checker: Checker,
    caution: Caution,
}

impl ImageWorker {
    /// Builds a worker that does not run yet.
    pub fn new(deps: Deps) -> Self {
        let caution = Caution::after(deps.store.interrupted_images());
        Self {
            store: deps.store,
            archive: deps.archive,
            client: deps.client,
            settings: deps.settings,
            operator: deps.operator,
            metrics: deps.metrics,
            clock: deps.clock,
            random: Mutex::new(deps.random),
            notified: Mutex::default(),
            hosts: Mutex::new(HostBook::new(PER_HOST)),
            checker: Checker::default(),
            caution,
        }
    }

    /// Runs until the soft stop, then finishes the images in progress.
    pub async fn run(self, tasks: Tasks) {
        let wakeups = self.store.wakeups(Topic::Images);
        let metrics = Arc::clone(&self.metrics);
        jobs::run(Arc::new(self), wakeups, &metrics, tasks.stopping()).await;
    }

    fn hosts(&self) -> MutexGuard<'_, HostBook> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts leased images as in progress for their hosts, and computes when the next image can start.
    fn note_hosts(&self, leased: LeasedImages) -> Poll<Lease<ImageJob>> {
        let mut hosts = self.hosts();
        for lease in &leased.leases {
            hosts.began(&lease.item.host);
        }
        let due_in = match hosts.polled(leased.after) {
            true => Some(Duration::ZERO),
            false => {
                let now = self.clock.now();
                let due = leased.next_due_at.map(|due_at| due_at.since(now));
                let resumed = hosts.next_pause_end(Instant::now());
                due.into_iter().chain(resumed).min()
            }
        };
        Poll {
            jobs: leased.leases,
            due_in,
        }
    }
}

/// Counts an image as in progress for its host until this value is dropped.
struct InProgress<'a> {
    worker: &'a ImageWorker,
    host: &'a str,
    sign: HostSign,
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        let ended = self
            .worker
            .hosts()
            .ended(self.host, self.sign, Instant::now());
        if let Some(pause) = ended {
            // The host's name is not logged, because a reporter may have chosen it.
            let seconds = pause.as_secs();
            tracing::warn!(
                seconds,
                "image host does not respond; its image downloads are postponed"
            );
        }
    }
}

impl Jobs for ImageWorker {
    type Job = Lease<ImageJob>;
    const NAME: &'static str = "images";
    // The client limits the memory for large images, and the checker that for checks.
    const CONCURRENCY: usize = CONCURRENCY;

    async fn poll(&self, count: usize) -> Result<Poll<Self::Job>, StoreError> {
        let hosts = self.hosts().capacity(Instant::now());
        let leased = self
            .store
            .lease_images(count, LEASE, &hosts)
            .await
            .inspect_err(|error| tracing::warn!(%error, "failed to poll for images to download"))?;
        for lost in &leased.lost {
            self.note_lost_lease(lost).await;
        }
        Ok(self.note_hosts(leased))
    }

    async fn work(&self, lease: Self::Job) {
        let job = &lease.item;
        let settings = self.settings.get();
        let mut log_reason = None;
        let mut in_progress = InProgress {
            worker: self,
            host: &job.host,
            sign: HostSign::Nothing,
        };
        let fetched = self.fetch_and_keep(&lease, &settings).await;
        in_progress.sign = match &fetched {
            Ok(_) => HostSign::Answered,
            Err(failure) => HostSign::of(failure),
        };
        // The host's part is done; only the relay and its store are involved from here on.
        drop(in_progress);
        let (verdict, notices, picture) = match fetched {
            Ok(picture) => {
                let kept = picture.0.kept.clone();
                (ImageVerdict::Kept(kept), Vec::new(), Some(picture))
            }
            Err(failure) => {
                let now = self.clock.now();
                let jitter = self
                    .random
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
                tracing::warn!(event.id = %job.event_id, image = job.ordinal, %error, "failed to record an image; it is downloaded again");
            }
        }
    }
}

impl ImageWorker {
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
