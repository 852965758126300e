//! Decides the effects of an attempt on its message and on the gate of its destination. The policy is pure: it
//! reads no clock and no random numbers.

use std::time::Duration;

use super::lane::gate::Signal;
use crate::model::{Form, Outcome, Timestamp, Uptime, Verdict, backoff, lengthened};

/// The delay before a message whose answer was lost is repeated, if the destination recognises repeats.
const RECOGNISED_REPEAT: Duration = Duration::from_millis(500);

/// The number of sends of a message whose answer was lost, if the destination cannot recognise repeats.
const UNANSWERED_MAX: u32 = 3;

/// Decides for how long and how often deliveries to a destination are retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The time limit for trying. After it, the delivery is dead.
    pub retry_for: Duration,
    /// Whether the destination recognises a repeat by its key.
    pub recognises_repeats: bool,
}

/// The state of a delivery before the attempt that has just ended.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    /// Number of failed attempts. Rate limits, refused forms and stops do not count.
    pub failures: u32,
    /// Number of failed attempts whose answer was lost.
    pub unanswered: u32,
    /// When the last failure was; `None` if no attempt has failed.
    pub failed_at: Option<Uptime>,
    /// The time spent trying so far: the uptime since the first due time, without the waits.
    pub spent: Duration,
    /// The form of the attempt.
    pub form: Form,
    /// The forms that the destination supports, richest first.
    pub forms: &'a [Form],
}

impl RetryPolicy {
    /// Decides the effect on the message. `jitter` in [0, 1) only lengthens pauses.
    ///
    /// If the destination refuses a form, the next plainer form is sent at once. If a destination is stopped
    /// or asks for a pause, its gate delays its messages. Their due times stay unchanged until `retry_for`
    /// has been spent.
    pub fn verdict(
        &self,
        outcome: &Outcome,
        tried: Tried<'_>,
        now: Timestamp,
        jitter: f64,
    ) -> Verdict {
        let failures = tried.failures.saturating_add(1);
        let pause = match outcome {
            Outcome::Delivered => return Verdict::Done,
            Outcome::Rejected { reason } => {
                return Verdict::Dead {
                    reason: reason.clone(),
                };
            }
            Outcome::Degrade { reason } => return plainer(reason, tried, now),
            Outcome::Unknown { reason } if next_form(tried).is_some() => {
                return plainer(reason, tried, now);
            }
            Outcome::Ambiguous { reason }
                if !self.recognises_repeats && tried.unanswered + 1 >= UNANSWERED_MAX =>
            {
                return Verdict::Unconfirmed {
                    reason: format!("perhaps delivered: {reason}"),
                };
            }
            Outcome::Ambiguous { .. } if self.recognises_repeats && failures <= 1 => {
                lengthened(RECOGNISED_REPEAT, jitter)
            }
            Outcome::Ambiguous { .. } | Outcome::Retry { .. } | Outcome::Unknown { .. } => {
                backoff(failures, jitter)
            }
            Outcome::SlowDown { .. } | Outcome::Stop { .. } => Duration::ZERO,
        };
        if tried.spent >= self.retry_for {
            let reason = outcome.reason().unwrap_or_default();
            return Verdict::Dead {
                reason: format!(
                    "given up after {} s of trying: {reason}",
                    tried.spent.as_secs()
                ),
            };
        }
        Verdict::RetryAt {
            due_at: now + pause,
            form: tried.form,
        }
    }
}

/// Returns for how long a delivery was due while its destination worked. It waited only for the destination's
/// rate, or for other sends.
///
/// `since`: the uptime of its last failure, or when it was due first. A wait cannot be longer than the uptime since
/// then, so that neither downtime nor a jump of the wall clock counts as one.
pub(super) fn wait(
    due_at: Timestamp,
    since: Option<Uptime>,
    worked_until: Timestamp,
    uptime: Uptime,
) -> Duration {
    let most = since.map_or(Duration::ZERO, |since| uptime.since(since));
    worked_until.since(due_at).min(most)
}

/// Returns the part of a wait that does not count as time spent trying. This is the whole wait, unless the
/// destination asks for a pause because of a message that was tried before. Otherwise a message that always
/// causes a pause would never end.
pub(super) const fn uncounted(wait: Duration, outcome: &Outcome, is_first: bool) -> Duration {
    match outcome {
        Outcome::SlowDown { .. } | Outcome::Stop { .. } if !is_first => Duration::ZERO,
        _ => wait,
    }
}

/// Returns the signal about the destination that the outcome gives.
pub(super) fn signal(outcome: &Outcome, tried: Tried<'_>) -> Signal {
    match outcome {
        Outcome::Delivered => Signal::Worked,
        Outcome::Rejected { .. } | Outcome::Degrade { .. } => Signal::Answered,
        Outcome::SlowDown { pause, .. } => Signal::Paused(*pause),
        // The form may be the cause.
        Outcome::Unknown { .. } if next_form(tried).is_some() => Signal::Unclear,
        Outcome::Retry { .. } | Outcome::Ambiguous { .. } | Outcome::Unknown { .. } => {
            Signal::Failed {
                failed_before: tried.failed_at,
            }
        }
        Outcome::Stop { reason } => Signal::Stopped(reason.clone()),
    }
}

/// Retries at once in the next plainer form. Forms are compared by rank, because a reload may have changed the
/// list of forms.
fn plainer(reason: &str, tried: Tried<'_>, now: Timestamp) -> Verdict {
    match next_form(tried) {
        Some(form) => Verdict::RetryAt { due_at: now, form },
        None => Verdict::Dead {
            reason: format!("refused in its plainest form: {reason}"),
        },
    }
}

fn next_form(tried: Tried<'_>) -> Option<Form> {
    tried.forms.iter().copied().find(|form| *form > tried.form)
}

#[cfg(test)]
mod tests;
