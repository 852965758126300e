//! Keeps the status of each app's long connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{AppName, Timestamp};

/// The status of all long connections. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ConnectionStates(Arc<Mutex<BTreeMap<AppName, ConnectionStatus>>>);

/// The status of one app's long connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// Why there is no connection; `None` while there is one.
    pub down: Option<Down>,
    /// Since when it has been connected, or disconnected.
    pub since: Timestamp,
    /// When a frame was last received, over this connection or one before it; `None`: never.
    pub last_frame_at: Option<Timestamp>,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// The reason, fit for a log.
    pub reason: String,
    /// Whether the platform refuses it until somebody acts.
    pub refused: bool,
}

impl ConnectionStates {
    /// Returns the status of each connection.
    pub fn standings(&self) -> BTreeMap<AppName, ConnectionStatus> {
        self.lock().clone()
    }

    pub(super) fn up(&self, app: &AppName, now: Timestamp) {
        self.change(app, None, now);
    }

    pub(super) fn down(&self, app: &AppName, down: Down, now: Timestamp) {
        self.change(app, Some(down), now);
    }

    /// Records the status of a connection. A new reason during an outage does not restart the
    /// outage.
    fn change(&self, app: &AppName, down: Option<Down>, now: Timestamp) {
        let mut board = self.lock();
        let before = board.get(app);
        let since = before.filter(|before| before.down.is_some() == down.is_some());
        let standing = ConnectionStatus {
            since: since.map_or(now, |before| before.since),
            last_frame_at: before.and_then(|before| before.last_frame_at),
            down,
        };
        board.insert(app.clone(), standing);
    }

    pub(super) fn frame(&self, app: &AppName, now: Timestamp) {
        if let Some(standing) = self.lock().get_mut(app) {
            standing.last_frame_at = Some(now);
        }
    }

    pub(super) fn forget(&self, app: &AppName) {
        self.lock().remove(app);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppName, ConnectionStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outage_start_is_kept_when_its_reason_changes() {
        let (board, app) = (ConnectionStates::default(), AppName::from("shop"));
        let at = Timestamp::from_millis;
        let standing = || board.standings().remove(&app).unwrap();
        let down = |reason: &str| Down {
            reason: reason.into(),
            refused: reason == "refused",
        };
        board.down(&app, down("connecting"), at(1));
        board.down(&app, down("refused"), at(2));
        assert_eq!(standing().since, at(1));
        assert_eq!(standing().down, Some(down("refused")));
        board.up(&app, at(3));
        board.frame(&app, at(4));
        board.down(&app, down("lost"), at(5));
        let expected = ConnectionStatus {
            down: Some(down("lost")),
            since: at(5),
            last_frame_at: Some(at(4)),
        };
        assert_eq!(standing(), expected);
        board.forget(&app);
        assert!(board.standings().is_empty());
    }
}
