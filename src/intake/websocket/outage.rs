//! An outage that lasts. Pure: the time comes in.

use std::time::Duration;

use tokio::time::Instant;

use super::connection_states::Down;
use crate::model::{AppName, Notice, NoticeKind};

/// An outage this long is a notice.
const LASTING: Duration = Duration::from_secs(5 * 60);
/// And again after each such span.
const TOLD_EVERY: Duration = Duration::from_secs(3600);

/// Watches one app. By the monotonic clock: a wall clock that jumps makes no outage.
#[derive(Debug, Default)]
pub(super) struct Outage {
    down_since: Option<Instant>,
    told_at: Option<Instant>,
}

impl Outage {
    /// Looks at how it stands, and says what the operator is to hear now. Of a refusal he has heard.
    pub(super) fn look(
        &mut self,
        app: &AppName,
        down: Option<&Down>,
        now: Instant,
    ) -> Option<Notice> {
        let Some(down) = down else {
            *self = Self::default();
            return None;
        };
        let since = *self.down_since.get_or_insert(now);
        let lasts = now.saturating_duration_since(since);
        let told = |at: Instant| now.saturating_duration_since(at) < TOLD_EVERY;
        if down.refused || lasts < LASTING || self.told_at.is_some_and(told) {
            return None;
        }
        self.told_at = Some(now);
        let (minutes, reason) = (lasts.as_secs() / 60, &down.reason);
        Some(Notice {
            kind: NoticeKind::ConnectionDown,
            subject: app.to_string(),
            text: format!(
                "No events of app {app} come in: it has had no long connection for {minutes} minutes. {reason}."
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The minutes, of these many, after which there was a notice.
    fn told(minutes: u64, down: impl Fn(u64) -> Option<Down>) -> Vec<u64> {
        let (mut outage, begin) = (Outage::default(), Instant::now());
        let app = AppName::from("shop");
        let mut told = |minute: &u64| {
            let now = begin + Duration::from_secs(60 * minute);
            outage.look(&app, down(*minute).as_ref(), now).is_some()
        };
        (0..minutes).filter(|minute| told(minute)).collect()
    }

    fn down(refused: bool) -> Option<Down> {
        let reason = "the connection broke".into();
        Some(Down { reason, refused })
    }

    #[test]
    fn an_outage_that_lasts_is_told_and_told_again_each_hour() {
        assert_eq!(told(130, |_| down(false)), [5, 65, 125]);
    }

    #[test]
    fn what_recovers_begins_anew_and_a_refusal_is_told_elsewhere() {
        let flaps = |minute| down(false).filter(|_| minute % 5 != 4);
        assert!(told(60, flaps).is_empty());
        assert_eq!(
            told(20, |minute| down(false).filter(|_| minute != 8)),
            [5, 14]
        );
        assert!(told(60, |_| down(true)).is_empty());
        assert_eq!(told(60, |minute| down(minute < 20)), [20]);
    }
}
