//! Keeps when each app's last event was pushed. Events found in the platform's list do not count. Otherwise an
//! app whose pushes are broken would look alive.
//!
//! The store keeps the time too, written at most once a minute, so a restart loses at most that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::{AppName, Timestamp};
use crate::store::{Store, StoreError};

/// The shortest time between two writes to the store.
const KEPT_EVERY: Duration = Duration::from_secs(60);

/// The last pushes, by app. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Pushes(Arc<Mutex<BTreeMap<AppName, Push>>>);

#[derive(Clone, Copy, Debug)]
struct Push {
    at: Timestamp,
    kept_at: Option<Timestamp>,
}

impl Pushes {
    /// Returns when the app's last event was pushed; `None`: no push is known.
    pub fn last(&self, app: &AppName) -> Option<Timestamp> {
        self.lock().get(app).map(|push| push.at)
    }

    /// Returns the last push of every app.
    pub fn all(&self) -> Vec<(AppName, Timestamp)> {
        let pushes = self.lock();
        pushes
            .iter()
            .map(|(app, push)| (app.clone(), push.at))
            .collect()
    }

    /// Reads the last pushes of these apps from the store.
    pub async fn read(&self, store: &Store, apps: &[AppName]) -> Result<(), StoreError> {
        for app in apps {
            let kept = store.mark(&mark(app)).await?;
            if let Some(at) = kept {
                let kept_at = Some(at);
                let mut pushes = self.lock();
                pushes.entry(app.clone()).or_insert(Push { at, kept_at });
            }
        }
        Ok(())
    }

    /// Records a push. Writes it to the store unless there was a write in the last minute.
    pub(super) async fn note(&self, store: &Store, app: &AppName, at: Timestamp) {
        let due = {
            let mut pushes = self.lock();
            let push = pushes
                .entry(app.clone())
                .or_insert(Push { at, kept_at: None });
            push.at = at;
            let due = push
                .kept_at
                .is_none_or(|kept_at| kept_at > at || at.since(kept_at) >= KEPT_EVERY);
            if due {
                push.kept_at = Some(at);
            }
            due
        };
        if due && let Err(error) = store.put_mark(&mark(app), at).await {
            tracing::debug!(app = %app, %error, "failed to record the time of a push");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<AppName, Push>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the name under which the store keeps an app's last push.
fn mark(app: &AppName) -> String {
    format!("pushed {app}")
}
