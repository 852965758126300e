//! What follows from an attempt. Pure: no clock, no chance of its own.

use std::time::Duration;

use crate::model::{
    Form, Outcome, RETRY_AFTER_MAX, STOPPED_PROBE, Timestamp, Verdict, backoff, lengthened,
};

/// How soon a message whose answer was lost is repeated where the destination recognises a repeat.
const RECOGNISED_REPEAT: Duration = Duration::from_millis(500);
/// How long, and how, a destination's deliveries are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The time spent trying, from the first due time; then a delivery is dead.
    pub retry_for: Duration,
    /// Whether the destination recognises a repeat by its key: then a lost answer is asked for again
    /// at once.
    pub recognises_repeats: bool,
}

/// How far a delivery has come with the attempt that has just ended.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    /// That attempt's number, counted from 1. Attempts that ended with [`Outcome::SlowDown`] should
    /// not be counted: they say nothing about this delivery.
    pub attempt: u32,
    /// How long ago its first attempt was due.
    pub spent: Duration,
    /// The form it went in.
    pub form: Form,
    /// The forms that the destination can be sent, richest first.
    pub forms: &'a [Form],
}

impl RetryPolicy {
    /// Decides what follows. `jitter` is a chance from 0 to 1.
    ///
    /// A refused form is followed by the next plainer one at once. A destination that is stopped or
    /// asks for a pause does not kill its deliveries: they wait, until `retry_for` has been spent.
    pub fn after(
        &self,
        outcome: &Outcome,
        tried: Tried<'_>,
        now: Timestamp,
        jitter: f64,
    ) -> Verdict {
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
            // The form is not the cause: the steps to the plainest one lengthen no wait.
            Outcome::Unknown { .. } => backoff(tried.attempt.saturating_sub(steps(tried)), jitter),
            Outcome::Ambiguous { .. } if self.recognises_repeats && tried.attempt <= 1 => {
                lengthened(RECOGNISED_REPEAT, jitter)
            }
            Outcome::Ambiguous { .. } | Outcome::Retry { .. } => backoff(tried.attempt, jitter),
            Outcome::SlowDown { pause, .. } => match pause {
                Some(pause) => (*pause).min(RETRY_AFTER_MAX),
                None => backoff(tried.attempt, jitter),
            },
            Outcome::Stop { .. } => lengthened(STOPPED_PROBE, jitter),
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

/// The next plainer form, at once. By rank, not by place: a reload may have changed the forms.
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

/// How many richer forms were refused before this one, at most.
fn steps(tried: Tried<'_>) -> u32 {
    let richer = tried.forms.iter().filter(|form| **form < tried.form);
    u32::try_from(richer.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
