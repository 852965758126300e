//! Decides what follows an attempt to fetch an image, and which notices it causes. It is pure: time and random
//! numbers are arguments.

use std::time::Duration;

use crate::model::{ImageJob, Notice, NoticeKind, Timestamp};
use crate::net::GuardError;
use crate::store::ImageVerdict;

/// The number of attempts before an image is lost to its deadline, even if the clock jumps.
const ATTEMPTS_MIN: u32 = 3;
/// The number of attempts for an image whose check panics or takes too long.
const ATTEMPTS_UNCHECKED_MAX: u32 = 3;
/// The longest pause between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// The longest pause after an answer that is not an image. Such an answer rarely changes while the address is
/// valid.
const WAIT_ANSWERED_MAX: Duration = Duration::from_secs(3600);
/// An image with less time left than this is at risk.
const DANGER: Duration = Duration::from_secs(12 * 60 * 60);

/// Why an attempt did not keep the image. The texts are fit for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The host could not be reached, was busy or had a fault.
    Transient(String),
    /// The host answered that the image does not exist or is forbidden, or with an unusual status.
    Absent(u16),
    /// The host returned other bytes than an image: a login page, a partial image, an error.
    NotAnImage(String),
    /// The host redirected to an address that is refused, such as a login page.
    RedirectRefused(GuardError),
    /// The host is not allowed.
    HostRefused(String),
    /// The host has an internal address.
    AddressRefused(String),
    /// The disk is full or has failed.
    Disk(String),
    /// The check of the bytes panicked or took too long.
    Unchecked(&'static str),
    /// The image can never be kept: it is too large, or its address is invalid.
    Hopeless(String),
}

impl From<GuardError> for Failure {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::HostRefused { host } => Self::HostRefused(host),
            GuardError::AddressRefused { host } => Self::AddressRefused(host),
            GuardError::Net(error) => Self::Transient(error.to_string()),
            GuardError::RedirectRefused(refusal) => Self::RedirectRefused(*refusal),
            GuardError::TooLarge {
                is_image: false, ..
            } => Self::NotAnImage(error.to_string()),
            GuardError::UrlRefused(_) | GuardError::TooLarge { is_image: true, .. } => {
                Self::Hopeless(error.to_string())
            }
        }
    }
}

impl Failure {
    /// Classifies an HTTP status other than 200.
    pub(super) fn of_status(status: u16) -> Self {
        match status {
            408 | 425 | 429 | 500..=599 => Self::Transient(format!("the host answered {status}")),
            _ => Self::Absent(status),
        }
    }

    /// Returns the log's reason if it differs from the notice's, because reporters choose host names.
    pub(super) const fn log_reason(&self) -> Option<&'static str> {
        match self {
            Self::HostRefused(_) => Some("images.allow_hosts does not name its host"),
            Self::AddressRefused(_) => Some("its host is on an internal address"),
            Self::RedirectRefused(_) => Some("its host redirected to a refused address"),
            Self::Transient(_)
            | Self::Absent(_)
            | Self::Disk(_)
            | Self::NotAnImage(_)
            | Self::Unchecked(_)
            | Self::Hopeless(_) => None,
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::Transient(reason)
            | Self::NotAnImage(reason)
            | Self::Disk(reason)
            | Self::Hopeless(reason) => reason.clone(),
            Self::Absent(status) => format!("the host answered {status}"),
            Self::RedirectRefused(refusal) => {
                format!("the host redirected to a refused address: {refusal}")
            }
            Self::HostRefused(host) => format!("images.allow_hosts does not name {host}"),
            Self::AddressRefused(host) => format!("{host} is on an internal address"),
            Self::Unchecked(reason) => (*reason).into(),
        }
    }

    /// Returns the number of attempts after which the image is lost; `None`: only the deadline ends it.
    fn attempts_max(&self) -> Option<u32> {
        match self {
            Self::Hopeless(_) => Some(1),
            Self::Unchecked(_) => Some(ATTEMPTS_UNCHECKED_MAX),
            Self::Transient(_)
            | Self::Absent(_)
            | Self::NotAnImage(_)
            | Self::RedirectRefused(_)
            | Self::Disk(_)
            | Self::HostRefused(_)
            | Self::AddressRefused(_) => None,
        }
    }

    /// Returns the pause after the first attempt; it doubles from there.
    fn first_wait(&self) -> Duration {
        match self {
            Self::Transient(_) => Duration::from_secs(5),
            Self::Absent(_)
            | Self::NotAnImage(_)
            | Self::RedirectRefused(_)
            | Self::Disk(_)
            | Self::Unchecked(_) => Duration::from_secs(30),
            // Only a reload changes the result, and a reload makes the image due.
            Self::HostRefused(_) | Self::AddressRefused(_) | Self::Hopeless(_) => WAIT_MAX,
        }
    }

    /// Returns the longest pause between two attempts.
    fn wait_max(&self) -> Duration {
        match self {
            Self::Absent(_) | Self::NotAnImage(_) | Self::RedirectRefused(_) => WAIT_ANSWERED_MAX,
            _ => WAIT_MAX,
        }
    }
}

/// Decides what follows a failed attempt at `job`, whose `attempts` do not count this one. `jitter`, from 0 to
/// 1, lengthens the pause by up to a quarter.
pub(super) fn after_failure(
    job: &ImageJob,
    failure: &Failure,
    now: Timestamp,
    jitter: f64,
) -> ImageVerdict {
    let attempt = job.attempts.saturating_add(1);
    let reason = failure.reason();
    if failure.attempts_max().is_some_and(|max| attempt >= max) {
        return ImageVerdict::Lost { reason };
    }
    let ended = now >= job.deadline_at;
    if ended && attempt >= ATTEMPTS_MIN {
        let reason = format!("its address has expired; last error: {reason}");
        return ImageVerdict::Lost { reason };
    }
    let doubled = failure
        .first_wait()
        .saturating_mul(1 << (attempt - 1).min(16));
    let wait = doubled
        .min(failure.wait_max())
        .mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0);
    // The last attempt is made exactly when the address expires, not after it.
    let due_at = if ended {
        now + wait
    } else {
        (now + wait).min(job.deadline_at)
    };
    let refused = matches!(
        failure,
        Failure::HostRefused(_) | Failure::AddressRefused(_)
    );
    ImageVerdict::RetryAt {
        due_at,
        reason,
        refused,
    }
}

/// Returns the notices of a failed attempt. A repeated notice is harmless, because it is recognised by its kind
/// and subject.
pub(super) fn notices(
    job: &ImageJob,
    failure: &Failure,
    verdict: &ImageVerdict,
    now: Timestamp,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    match failure {
        Failure::HostRefused(host) => notices.push(Notice {
            kind: NoticeKind::ImageHostRefused,
            subject: host.clone(),
            text: format!(
                "Images of feedback are on the host {host}, which is not allowed. If you trust it, \
                 add \"{host}\" to allow_hosts under [images] and reload; they are fetched then, \
                 unless their addresses have expired."
            ),
        }),
        Failure::AddressRefused(host) => notices.push(Notice {
            kind: NoticeKind::ImageHostRefused,
            subject: host.clone(),
            text: format!(
                "Images of feedback are on the host {host}, which is on an internal address. If \
                 it is your own, set allow_private_addresses = true and add \"{host}\" to \
                 allow_hosts under [images] and reload."
            ),
        }),
        Failure::RedirectRefused(GuardError::HostRefused { host }) => notices.push(Notice {
            kind: NoticeKind::ImageHostRefused,
            subject: host.clone(),
            text: format!(
                "A host of feedback images redirects to the host {host}, which is not allowed. If \
                 you trust it and images are there, add \"{host}\" to allow_hosts under [images] \
                 and reload. A login page needs no change: the image is retried."
            ),
        }),
        Failure::RedirectRefused(_)
        | Failure::Transient(_)
        | Failure::Absent(_)
        | Failure::NotAnImage(_)
        | Failure::Disk(_)
        | Failure::Unchecked(_)
        | Failure::Hopeless(_) => {}
    }
    let (kind, text) = match verdict {
        ImageVerdict::Lost { reason } => (
            NoticeKind::ImageLost,
            format!(
                "An image of event {} is lost: {}.",
                job.event_id,
                failure.log_reason().unwrap_or(reason)
            ),
        ),
        ImageVerdict::RetryAt { reason, .. } if in_danger(job, now) => (
            NoticeKind::ImageInDanger,
            format!(
                "An image of event {} is not fetched yet and its address expires at {}: {}.",
                job.event_id,
                job.deadline_at,
                failure.log_reason().unwrap_or(reason)
            ),
        ),
        ImageVerdict::RetryAt { .. } | ImageVerdict::Kept(_) => return notices,
    };
    notices.push(Notice {
        kind,
        subject: match failure {
            // Reporters can name any host, so all hosts that wait for a reload share one subject.
            Failure::HostRefused(_) | Failure::AddressRefused(_) => "refused hosts".to_owned(),
            _ => job.event_id.to_string(),
        },
        text,
    });
    notices
}

/// Returns whether the deadline is near. A late image is near it from the start, so it gets a few attempts
/// before the first notice.
fn in_danger(job: &ImageJob, now: Timestamp) -> bool {
    job.attempts + 1 >= ATTEMPTS_MIN && job.deadline_at.since(now) < DANGER
}

#[cfg(test)]
mod tests;
