//! Fetches what is due.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::Settings;
use super::check::{Picture, inspect};
use super::policy::{Failure, after_failure, notices};
use crate::archive::Archive;
use crate::model::{Clock, Current, ImageJob, Lease, Notice, NoticeKind, Private, Recorded};
use crate::net::{GuardPolicy, GuardedClient};
use crate::operator::Operator;
use crate::store::{ImageVerdict, Store, StoreError};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::telemetry::events::{ImageAttempted, PanicCaught};

/// How many pictures are fetched at once: few enough that the largest of them fit into memory, enough
/// that one slow host does not hold up the others.
const CONCURRENCY: usize = 8;
/// Longer than fetching (30 s), checking and keeping a picture take.
const LEASE: Duration = Duration::from_secs(120);
/// How long nothing is looked for where nothing is said to be due. A wall clock that jumps makes
/// pictures due early or late by no more than this.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long at least, lest two clocks that disagree make us spin.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// How many notices are remembered as told; the operator's own memory holds the rest.
const TOLD_MAX: usize = 1024;

/// What an [`ImageWorker`] works with.
pub struct Parts {
    /// The journal.
    pub store: Store,
    /// Where pictures are kept.
    pub archive: Archive,
    /// What fetches them.
    pub client: GuardedClient,
    /// The checked `[images]`.
    pub settings: Current<Settings>,
    /// Who is told of trouble.
    pub operator: Operator,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What says the time.
    pub clock: Arc<dyn Clock>,
    /// Where jitter comes from.
    pub chance: fastrand::Rng,
}

/// Fetches, checks and keeps the pictures that are due. Clones share their work.
#[derive(Clone)]
pub struct ImageWorker(Arc<Inner>);

struct Inner {
    store: Store,
    archive: Archive,
    client: GuardedClient,
    settings: Current<Settings>,
    operator: Operator,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    chance: Mutex<fastrand::Rng>,
    told: Mutex<HashSet<(NoticeKind, String)>>,
}

impl ImageWorker {
    /// A worker that does nothing until it is run.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            store: parts.store,
            archive: parts.archive,
            client: parts.client,
            settings: parts.settings,
            operator: parts.operator,
            metrics: parts.metrics,
            clock: parts.clock,
            chance: Mutex::new(parts.chance),
            told: Mutex::default(),
        }))
    }

    /// Works until the soft stop, then finishes what is in hand.
    pub async fn run(self, tasks: Tasks) {
        let stopping = tasks.stopping();
        let mut changes = self.0.store.changes();
        let mut at_work = JoinSet::new();
        while !stopping.is_cancelled() {
            // What changes from here on wakes us, even while we look.
            changes.borrow_and_update();
            let pause = match self.start_due(&mut at_work).await {
                Ok(_started) => self.pause().await,
                Err(error) => {
                    tracing::warn!(%error, "cannot look for pictures to fetch");
                    PAUSE_MAX
                }
            };
            tokio::select! {
                () = stopping.cancelled() => {}
                Some(ended) = at_work.join_next() => self.note_panic(ended.is_err()),
                changed = changes.changed(), if at_work.len() < CONCURRENCY => {
                    if changed.is_err() {
                        break; // the journal is gone, and so is the relay
                    }
                }
                () = tokio::time::sleep(pause), if at_work.len() < CONCURRENCY => {}
            }
        }
        while let Some(ended) = at_work.join_next().await {
            self.note_panic(ended.is_err());
        }
    }

    /// Works on what is due now, as much as is worked on at once. Tells how much that was.
    pub async fn step(&self) -> Result<usize, StoreError> {
        let mut at_work = JoinSet::new();
        let started = self.start_due(&mut at_work).await?;
        while let Some(ended) = at_work.join_next().await {
            self.note_panic(ended.is_err());
        }
        Ok(started)
    }

    /// Leases no more than can start at once, and starts it. The set is dropped with its owner, so a
    /// hard stop reaches what it holds.
    async fn start_due(&self, at_work: &mut JoinSet<()>) -> Result<usize, StoreError> {
        let free = CONCURRENCY.saturating_sub(at_work.len());
        if free == 0 {
            return Ok(0);
        }
        let leases = self.0.store.lease_images(free, LEASE).await?;
        let started = leases.len();
        for lease in leases {
            let inner = Arc::clone(&self.0);
            at_work.spawn(async move { inner.work(lease).await });
        }
        Ok(started)
    }

    async fn pause(&self) -> Duration {
        let now = self.0.clock.now();
        match self.0.store.next_image_due_at().await {
            Ok(Some(due_at)) => due_at.since(now).clamp(PAUSE_MIN, PAUSE_MAX),
            Ok(None) | Err(_) => PAUSE_MAX,
        }
    }

    /// A picture whose work panicked outside the checks is still leased; it comes again when that ends.
    fn note_panic(&self, panicked: bool) {
        if panicked {
            self.0.metrics.emit(PanicCaught { task: "images" });
        }
    }
}

impl Inner {
    async fn work(&self, lease: Lease<ImageJob>) {
        let job = &lease.item;
        let settings = self.settings.get();
        let mut log_reason = None;
        let (verdict, notices, picture) = match self.fetch_and_keep(&job.url, &settings).await {
            Ok(picture) => {
                let kept = picture.kept.clone();
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
        match recorded {
            Ok(Recorded::Recorded) => {
                self.emit(job, &verdict, log_reason);
                self.ensure_kept(picture).await;
                for notice in notices {
                    self.tell(notice).await;
                }
            }
            Ok(Recorded::LeaseLost) => self.forget(&verdict).await,
            Err(error) => {
                tracing::warn!(event.id = %job.event_id, image = job.ordinal, %error, "picture not recorded; it is fetched again");
            }
        }
    }

    async fn fetch_and_keep(&self, url: &Private, settings: &Settings) -> Result<Picture, Failure> {
        let bytes = fetch(&self.client, url, settings).await?;
        let picture = checked(bytes).await.inspect_err(|failure| {
            if *failure == Failure::Panicked {
                self.metrics.emit(PanicCaught {
                    task: "image check",
                });
            }
        })?;
        self.keep(picture).await
    }

    async fn keep(&self, picture: Picture) -> Result<Picture, Failure> {
        let disk = |error: std::io::Error| Failure::Disk(format!("it cannot be kept: {error}"));
        let (id, bytes) = (&picture.kept.id, picture.bytes.clone());
        let room = self.archive.has_room_for(picture.kept.bytes).await;
        if !room.map_err(disk)? {
            return Err(Failure::Disk("the disk is too full to keep it".into()));
        }
        self.archive.put(id, bytes).await.map_err(disk)?;
        Ok(picture)
    }

    /// Between keeping and recording, a sweep may have removed the same bytes of an older event. From
    /// now on the journal protects them.
    async fn ensure_kept(&self, picture: Option<Picture>) {
        let Some(Picture { bytes, kept }) = picture else {
            return;
        };
        if let Err(error) = self.archive.put(&kept.id, bytes).await {
            tracing::error!(image.id = %kept.id, %error, "a picture is recorded but cannot be kept");
        }
    }

    /// The event was erased, or another relay settled the picture: bytes that no event needs must not
    /// stay behind.
    async fn forget(&self, verdict: &ImageVerdict) {
        let ImageVerdict::Kept(kept) = verdict else {
            return;
        };
        let needed = self.store.kept_image(&kept.id).await;
        if needed.is_ok_and(|image| image.is_none())
            && let Err(error) = self.archive.remove(&kept.id).await
        {
            tracing::warn!(image.id = %kept.id, %error, "a picture that no event needs cannot be removed");
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

    async fn tell(&self, notice: Notice) {
        let first = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() >= TOLD_MAX {
                told.clear();
            }
            told.insert((notice.kind, notice.subject.clone()))
        };
        if first {
            self.operator.tell(notice).await;
        }
    }
}

async fn fetch(
    client: &GuardedClient,
    url: &Private,
    settings: &Settings,
) -> Result<Bytes, Failure> {
    let policy = GuardPolicy {
        allow_hosts: &settings.allow_hosts,
        allow_private_addresses: settings.allow_private_addresses,
    };
    let bytes_max = usize::try_from(settings.bytes_max).unwrap_or(usize::MAX);
    let answer = client.get(url, policy, bytes_max).await?;
    match answer.status {
        200 => Ok(answer.body),
        status => Err(Failure::of_status(status)),
    }
}

/// Checks bytes where it may take its time, and where a panic over them ends nothing else.
async fn checked(bytes: Bytes) -> Result<Picture, Failure> {
    match tokio::task::spawn_blocking(move || inspect(&bytes)).await {
        Ok(Ok(picture)) => Ok(picture),
        Ok(Err(error)) => Err(Failure::Hopeless(error.to_string())),
        Err(_panicked) => Err(Failure::Panicked),
    }
}

#[cfg(test)]
mod tests;
