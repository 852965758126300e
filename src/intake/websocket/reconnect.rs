//! Decides when to reconnect. It is pure: random numbers are an argument.
//!
//! The platform's own clients wait up to 25 s and then retry every 90 s. So a short fault costs them a minute
//! and a half of events. Here the first attempt follows within a second, and further ones after growing pauses.
//! Faults that need an operator (credentials, the wrong platform) are retried every few minutes, forever. The
//! operator is notified, and a reload retries at once.

use std::time::Duration;

use crate::feishu::{ConnectionRefusal, LinkSettings, NoConnection};

/// The first pause after a refusal. It doubles up to the maximum.
const REFUSED_FIRST: Duration = Duration::from_secs(60);
const REFUSED_MOST: Duration = Duration::from_secs(10 * 60);

/// Why there is no connection (any more).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DisconnectReason {
    /// The relay ended it: a stop, or a reload.
    Left,
    /// The platform closed it, with this code if it gave one.
    Closed(Option<u16>),
    /// The connection broke.
    Lost(String),
    /// Nothing was received, not even an answer to a ping.
    Silent,
    /// Sent data could not be transmitted.
    Stalled,
    /// There was no connection yet.
    Missing(NoConnection),
}

impl DisconnectReason {
    /// Returns its fixed name for the log and the metrics.
    pub(super) const fn cause(&self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Closed(_) => "closed",
            Self::Lost(_) => "lost",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Missing(NoConnection::Unreachable { .. }) => "unreachable",
            Self::Missing(NoConnection::Refused { refusal, .. }) => match refusal {
                ConnectionRefusal::Credentials => "credentials",
                ConnectionRefusal::Domain => "wrong_platform",
                ConnectionRefusal::TooMany => "too_many",
                ConnectionRefusal::Other => "refused",
            },
        }
    }

    /// Returns the reason in words fit for a log.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Left => "ended by the relay".into(),
            Self::Closed(Some(code)) => format!("closed by the platform with code {code}"),
            Self::Closed(None) => "closed by the platform".into(),
            Self::Lost(reason) => format!("the connection broke: {reason}"),
            Self::Silent => "nothing was received, not even an answer to a ping".into(),
            Self::Stalled => "sending took too long".into(),
            Self::Missing(why) => why.to_string(),
        }
    }

    /// Returns whether an operator must act.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Missing(NoConnection::Refused { .. }))
    }
}

/// Counts the attempts.
#[derive(Debug, Default)]
pub(super) struct ReconnectBackoff {
    quick: u32,
    refused: u32,
    last: Duration,
}

impl ReconnectBackoff {
    /// Returns how long to wait before the next attempt. A connection that `lasted` longer than the pause
    /// before it resets the count. `chance` returns random numbers in [0, 1).
    pub(super) fn after(
        &mut self,
        end: &DisconnectReason,
        lasted: Duration,
        settings: &LinkSettings,
        mut chance: impl FnMut() -> f64,
    ) -> Duration {
        if !lasted.is_zero() && lasted >= self.last {
            *self = Self::default();
        }
        self.last = if end.is_refusal() {
            let whole = doubled(REFUSED_FIRST, self.refused, REFUSED_MOST);
            self.refused += 1;
            whole.mul_f64(1.0 - chance() / 10.0)
        } else {
            let spread = match end {
                // A server that shuts down disconnects all its clients at once.
                DisconnectReason::Closed(Some(1001 | 1012)) => {
                    settings.reconnect_nonce.mul_f64(chance())
                }
                _ => Duration::ZERO,
            };
            spread + self.quick(settings, chance())
        };
        self.last
    }

    fn quick(&mut self, settings: &LinkSettings, chance: f64) -> Duration {
        let attempt = self.quick;
        self.quick += 1;
        match attempt.checked_sub(1) {
            None => Duration::from_secs(1).mul_f64(chance),
            Some(before) => {
                let most = settings.reconnect_interval;
                doubled(Duration::from_secs(2), before, most).mul_f64(1.0 - chance / 2.0)
            }
        }
    }
}

fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    let factor = 2_u32.saturating_pow(times);
    first.checked_mul(factor).unwrap_or(most).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(refusal: ConnectionRefusal) -> DisconnectReason {
        let reason = String::new();
        DisconnectReason::Missing(NoConnection::Refused { refusal, reason })
    }

    #[test]
    fn causes_match_the_metric_labels() {
        let reason = String::new;
        let causes = [
            DisconnectReason::Closed(None),
            DisconnectReason::Lost(reason()),
            DisconnectReason::Silent,
            DisconnectReason::Stalled,
            DisconnectReason::Missing(NoConnection::Unreachable { reason: reason() }),
            refused(ConnectionRefusal::Credentials),
            refused(ConnectionRefusal::Domain),
            refused(ConnectionRefusal::TooMany),
            refused(ConnectionRefusal::Other),
        ]
        .map(|end| end.cause());
        assert_eq!(causes, crate::telemetry::words::CONNECTION_ENDS);
    }

    /// Returns the pauses after these ends in a row, in milliseconds, with one random number throughout.
    fn pauses(ends: &[(DisconnectReason, Duration)], chance: f64) -> Vec<u128> {
        let mut pauses = ReconnectBackoff::default();
        let settings = LinkSettings::default();
        let after = |(end, lasted): &(DisconnectReason, Duration)| {
            pauses.after(end, *lasted, &settings, || chance).as_millis()
        };
        ends.iter().map(after).collect()
    }

    #[test]
    fn first_retry_is_within_a_second_and_pauses_grow() {
        let end = (DisconnectReason::Silent, Duration::ZERO);
        let ends = vec![end; 9];
        let most = [1, 2, 4, 8, 16, 32, 64, 120, 120].map(|secs| secs * 1000);
        assert_eq!(pauses(&ends, 0.0)[0], 0);
        assert_eq!(pauses(&ends, 0.0)[1..], most[1..]);
        assert_eq!(pauses(&ends, 1.0)[0], 1000);
        let halves: Vec<u128> = most[1..].iter().map(|most| most / 2).collect();
        assert_eq!(pauses(&ends, 1.0)[1..], halves);
        let for_ever = vec![(DisconnectReason::Stalled, Duration::ZERO); 200];
        assert_eq!(pauses(&for_ever, 0.0)[199], 120_000);
    }

    #[test]
    fn connection_longer_than_its_pause_resets_backoff() {
        let lost = |secs| {
            (
                DisconnectReason::Lost(String::new()),
                Duration::from_secs(secs),
            )
        };
        let ends = [lost(0), lost(0), lost(1), lost(9), lost(0)];
        assert_eq!(pauses(&ends, 0.5), [500, 1500, 3000, 500, 1500]);
    }

    #[test]
    fn refusal_is_retried_after_minutes() {
        for refusal in [
            ConnectionRefusal::Credentials,
            ConnectionRefusal::Domain,
            ConnectionRefusal::TooMany,
            ConnectionRefusal::Other,
        ] {
            let ends = vec![(refused(refusal), Duration::ZERO); 6];
            let minutes = [1, 2, 4, 8, 10, 10].map(|minutes| minutes * 60_000);
            assert_eq!(pauses(&ends, 0.0), minutes);
            assert_eq!(pauses(&ends, 1.0)[0], 54_000);
        }
    }

    #[test]
    fn nonce_delay_applies_only_to_server_shutdown() {
        let pause = |code| {
            pauses(
                &[(DisconnectReason::Closed(code), Duration::from_secs(60))],
                1.0,
            )[0]
        };
        assert_eq!(pause(Some(1001)), 31_000);
        assert_eq!(pause(Some(1012)), 31_000);
        assert_eq!(pause(Some(1000)), 1000);
        assert_eq!(pause(None), 1000);
    }
}
