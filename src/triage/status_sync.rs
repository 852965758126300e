//! Sends the statuses that people set to Feishu, in their name.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Settings;
use crate::feishu::ApiError;
use crate::jobs::{self, Jobs, Poll};
use crate::model::{
    Clock, Current, Lease, Notice, NoticeKind, Recorded, STOPPED_PROBE, StatusJob, Timestamp,
    backoff, lengthened,
};
use crate::notices::Notifier;
use crate::store::{StatusVerdict, Store, StoreError, Topic};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::telemetry::events::StatusAttempted;

/// The length of a lease. It is longer than a call, its token and its wait for the rate limit take.
const LEASE: Duration = Duration::from_secs(120);
/// How long a status is retried. After a day somebody may have set another status in Feishu.
const RETRY_FOR: Duration = Duration::from_secs(86_400);

/// Sends statuses to Feishu, and ends the time in which they can be undone.
pub struct StatusSync {
    pub store: Store,
    /// Clients and names; a reload replaces them.
    pub settings: Current<Settings>,
    /// Receives notices of statuses that Feishu refuses.
    pub operator: Notifier,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// The random generator for jitter.
    pub random: Mutex<fastrand::Rng>,
}

impl StatusSync {
    /// Runs until the soft stop, then finishes the calls in progress.
    pub async fn run(self, tasks: Tasks) {
        let wakeups = self.store.wakeups(Topic::Statuses);
        let metrics = Arc::clone(&self.metrics);
        jobs::run(Arc::new(self), wakeups, &metrics, tasks.stopping()).await;
    }

    async fn next_due_in(&self) -> Option<Duration> {
        let due_at = self.store.next_status_due_at().await.ok()??;
        Some(due_at.since(self.clock.now()))
    }

    async fn notify_refused(&self, job: &StatusJob, reason: &str) {
        let notice = Notice {
            kind: NoticeKind::StatusNotSet,
            subject: job.via.to_string(),
            text: format!(
                "Feishu refused the status of feedback {}, so the change is local-only: {reason}. \
                 `feedback-relay events show {}` shows who set it.",
                job.feedback_id, job.feedback_id
            ),
        };
        self.operator.notify(notice).await;
    }
}

impl Jobs for StatusSync {
    type Job = Lease<StatusJob>;
    const NAME: &'static str = "status";
    // The client itself keeps to the platform's rate limit.
    const CONCURRENCY: usize = 4;

    async fn poll(&self, count: usize) -> Result<Poll<Self::Job>, StoreError> {
        if let Err(error) = self.store.end_undos().await {
            tracing::warn!(%error, "failed to end undo periods; messages still offer an undo");
        }
        let jobs = self
            .store
            .lease_status_jobs(count, LEASE)
            .await
            .inspect_err(|error| {
                tracing::warn!(%error, "failed to poll for statuses to send to Feishu");
            })?;
        let due_in = match jobs.is_empty() {
            true => self.next_due_in().await,
            false => None,
        };
        Ok(Poll { jobs, due_in })
    }

    async fn work(&self, lease: Self::Job) {
        let Lease {
            item: job, token, ..
        } = lease;
        let client = self.settings.get().clients.get(&job.via).cloned();
        let result = match client {
            Some(client) => {
                let (about, id) = (&job.app_id, &job.feedback_id);
                let operator = job.operator.expose();
                client
                    .set_feedback_status(about, id, job.status.0, operator)
                    .await
            }
            None => Err(ApiError::Rejected {
                reason: format!("app {} is gone or has no `app_secret` any more", job.via),
            }),
        };
        let jitter = self
            .random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .f64();
        let verdict = verdict(&job, result, self.clock.now(), jitter);
        self.metrics.emit(StatusAttempted {
            app: &job.via,
            feedback_id: &job.feedback_id,
            verdict: match &verdict {
                StatusVerdict::Done => ("done", None),
                StatusVerdict::RetryAt { reason, .. } => ("retry", Some(reason.as_str())),
                StatusVerdict::Dead { reason } => ("dead", Some(reason.as_str())),
            },
        });
        let recorded = self
            .store
            .finish_status_job(token, job.clone(), verdict.clone())
            .await;
        match recorded {
            Ok(Recorded::Recorded) => {
                if let StatusVerdict::Dead { reason } = verdict {
                    self.notify_refused(&job, &reason).await;
                }
            }
            Ok(Recorded::LeaseLost) => {}
            Err(error) => {
                // Setting the same status again has no effect.
                tracing::warn!(%error, "failed to record Feishu's answer; the status is sent again");
            }
        }
    }
}

/// Decides what follows from a call: retries as for deliveries, for a day.
fn verdict(
    job: &StatusJob,
    result: Result<(), ApiError>,
    now: Timestamp,
    jitter: f64,
) -> StatusVerdict {
    let (pause, reason) = match result {
        Ok(()) => return StatusVerdict::Done,
        Err(ApiError::Rejected { reason }) => return StatusVerdict::Dead { reason },
        Err(ApiError::Retry { reason } | ApiError::InFront { reason }) => {
            (backoff(job.attempts, jitter), reason)
        }
        Err(ApiError::SlowDown { pause, reason }) => (
            backoff(job.attempts, jitter).max(pause.unwrap_or_default()),
            reason,
        ),
        Err(ApiError::Stop { reason }) => (lengthened(STOPPED_PROBE, jitter), reason),
    };
    if now.since(job.first_due_at) >= RETRY_FOR {
        return StatusVerdict::Dead {
            reason: format!("given up after a day of trying: {reason}"),
        };
    }
    StatusVerdict::RetryAt {
        due_at: now + pause,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventSeq, FeedbackStatus, Private};

    #[test]
    fn status_retries_follow_the_delivery_schedule_for_a_day() {
        let start = Timestamp::from_millis(1_711_111_111_000);
        let job = StatusJob {
            event: EventSeq(1),
            via: "shop".into(),
            app_id: "cli_1".into(),
            feedback_id: "7".into(),
            status: FeedbackStatus::CLOSED,
            operator: Private::new("ou_1"),
            attempts: 2,
            first_due_at: start,
        };
        let reason = || "busy".to_owned();
        let retry = || Err(ApiError::Retry { reason: reason() });
        let at = |seconds: u64| StatusVerdict::RetryAt {
            due_at: start + Duration::from_secs(seconds),
            reason: reason(),
        };
        assert_eq!(verdict(&job, Ok(()), start, 0.0), StatusVerdict::Done);
        assert_eq!(verdict(&job, retry(), start, 0.0), at(6));
        let stop = Err(ApiError::Stop { reason: reason() });
        assert_eq!(verdict(&job, stop, start, 0.0), at(600));
        let rejected = Err(ApiError::Rejected { reason: reason() });
        let dead = StatusVerdict::Dead { reason: reason() };
        assert_eq!(verdict(&job, rejected, start, 0.0), dead);
        let late = verdict(&job, retry(), start + RETRY_FOR, 0.0);
        assert!(matches!(late, StatusVerdict::Dead { .. }), "{late:?}");
    }
}
