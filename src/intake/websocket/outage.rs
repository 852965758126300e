//! Detects lasting outages. It is pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::connection_states::Down;
use crate::model::{AppName, Notice, NoticeKind};

/// The duration after which an outage causes a notice.
const LASTING: Duration = Duration::from_secs(5 * 60);
/// The time between further notices of the same outage.
const NOTIFY_EVERY: Duration = Duration::from_secs(3600);

/// Watches one app. It uses the monotonic clock, so a jump of the wall clock causes no outage.
#[derive(Debug, Default)]
pub(super) struct Outage {
    down_since: Option<Instant>,
    notified_at: Option<Instant>,
}

impl Outage {
    /// Checks the status and returns a notice if one is due. A refusal has a notice of its own.
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
        let notified = |at: Instant| now.saturating_duration_since(at) < NOTIFY_EVERY;
        if down.refused || lasts < LASTING || self.notified_at.is_some_and(notified) {
            return None;
        }
        self.notified_at = Some(now);
        let (minutes, reason) = (lasts.as_secs() / 60, &down.reason);
        Some(Notice {
            kind: NoticeKind::ConnectionDown,
            subject: app.to_string(),
            text: format!(
                "App {app} receives no events: it has had no long connection for {minutes} minutes. {reason}."
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the minutes, of `minutes` in all, after which there was a notice.
    fn notified(minutes: u64, down: impl Fn(u64) -> Option<Down>) -> Vec<u64> {
        let (mut outage, begin) = (Outage::default(), Instant::now());
        let app = AppName::from("shop");
        let mut notified = |minute: &u64| {
            let now = begin + Duration::from_secs(60 * minute);
            outage.look(&app, down(*minute).as_ref(), now).is_some()
        };
        (0..minutes).filter(|minute| notified(minute)).collect()
    }

    fn down(refused: bool) -> Option<Down> {
        let reason = "the connection broke".into();
        Some(Down { reason, refused })
    }

    #[test]
    fn lasting_outage_causes_hourly_notices() {
        assert_eq!(notified(130, |_| down(false)), [5, 65, 125]);
    }

    #[test]
    fn recovery_resets_the_outage_and_refusal_is_ignored() {
        let flaps = |minute| down(false).filter(|_| minute % 5 != 4);
        assert!(notified(60, flaps).is_empty());
        assert_eq!(
            notified(20, |minute| down(false).filter(|_| minute != 8)),
            [5, 14]
        );
        assert!(notified(60, |_| down(true)).is_empty());
        assert_eq!(notified(60, |minute| down(minute < 20)), [20]);
    }
}
