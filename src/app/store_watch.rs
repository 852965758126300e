//! Watches the store for faults that only a person can repair: a disk that lost writes, files that were moved.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::model::{Notice, NoticeKind};
use crate::notices::Notifier;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;
use crate::telemetry::events::{StoreDisplaced, StoreInPlace};

/// The time between two comparisons of the open files with those at their paths. Each acknowledgement compares
/// them as well.
const INTERVAL: Duration = Duration::from_millis(500);

/// Watches the store. See the module.
pub(super) struct StoreWatch {
    pub(super) store: Store,
    pub(super) metrics: Arc<Metrics>,
    pub(super) operator: Notifier,
}

impl StoreWatch {
    /// Runs until `stopping`, or until the store ends. If the store ends first, the relay stops because this
    /// task has ended.
    pub(super) async fn run(self, stopping: CancellationToken) {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = self.store.ended() => {}
            () = self.watch_place() => {}
        }
    }

    async fn watch_place(&self) {
        let mut in_place = true;
        loop {
            let found = self.store.check_place().await;
            match &found {
                Ok(()) if !in_place => self.metrics.emit(StoreInPlace),
                Err(error) if in_place => self.report(error).await,
                Ok(()) | Err(_) => {}
            }
            in_place = found.is_ok();
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn report(&self, error: &StoreError) {
        let reason = error.to_string();
        self.metrics.emit(StoreDisplaced { reason: &reason });
        let notice = Notice {
            kind: NoticeKind::StoreDisplaced,
            subject: "store".into(),
            text: format!("Events are refused, so that Feishu resends them: {reason}."),
        };
        self.operator.notify(notice).await;
    }
}
