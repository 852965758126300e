//! What happens on the long connections of apps.

use std::time::Duration;

use crate::model::{AppName, Timestamp};
use crate::telemetry::metrics::{
    App, AppCause, AppCode, AppKind, Counted, InternalEvent, Metrics, words,
};

/// A long connection is open.
pub struct ConnectionOpened<'a> {
    /// Of which app.
    pub app: &'a AppName,
    /// The platform's id of the connection.
    pub device: &'a str,
}

impl InternalEvent for ConnectionOpened<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(app = %self.app, connection = self.device, "long connection open");
        metrics.set_connected(self.app, true);
    }
}

/// A long connection ended, or an attempt to open one did. Another follows.
pub struct ConnectionEnded<'a> {
    /// Of which app.
    pub app: &'a AppName,
    /// Why, as a fixed word.
    pub cause: &'static str,
    /// Why, in words fit for a log.
    pub reason: &'a str,
    /// When the next attempt is made.
    pub retry_in: Duration,
}

impl InternalEvent for ConnectionEnded<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::warn!(
            app = %self.app, cause = self.cause, reason = self.reason,
            retry_in_ms = self.retry_in.as_millis(), "no long connection; trying again"
        );
        metrics.set_connected(self.app, false);
        let labels = AppCause {
            app: self.app.to_string(),
            cause: self.cause,
        };
        metrics.connection_ends.count(&labels);
    }
}

/// A long connection was ended by us, and none follows.
pub struct ConnectionLeft<'a> {
    /// Of which app.
    pub app: &'a AppName,
}

impl InternalEvent for ConnectionLeft<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(app = %self.app, "long connection ended");
        metrics.set_connected(self.app, false);
    }
}

/// Something came over a long connection.
pub struct FrameReceived<'a> {
    /// Of which app.
    pub app: &'a AppName,
    /// What, as a fixed word.
    pub kind: &'static str,
    /// When.
    pub at: Timestamp,
}

impl InternalEvent for FrameReceived<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::debug!(app = %self.app, kind = self.kind, "frame received");
        let labels = AppKind {
            app: self.app.to_string(),
            kind: self.kind,
        };
        metrics.connection_frames.count(&labels);
        let app = labels.app;
        if let Some(gauge) = metrics.connection_last_frame.get(&App { app }) {
            gauge.set(self.at.as_secs());
        }
    }
}

/// A data frame came that cannot be taken. The platform sends its event again.
pub struct FrameRefused<'a> {
    /// Of which app.
    pub app: &'a AppName,
    /// Why, as a fixed word.
    pub reason: &'static str,
}

impl InternalEvent for FrameRefused<'_> {
    fn emit(self, _metrics: &Metrics) {
        tracing::warn!(app = %self.app, reason = self.reason, "a frame cannot be taken");
    }
}

/// A message was acknowledged.
pub struct FrameAcknowledged<'a> {
    /// Of which app.
    pub app: &'a AppName,
    /// Whether the platform was told that it is kept.
    pub kept: bool,
}

impl InternalEvent for FrameAcknowledged<'_> {
    fn emit(self, metrics: &Metrics) {
        let [kept, failed] = words::ACKS;
        let labels = AppCode {
            app: self.app.to_string(),
            code: if self.kept { kept } else { failed },
        };
        metrics.connection_acks.count(&labels);
    }
}

/// A click on a card came in a form that is not answered.
pub struct CardFrameIgnored<'a> {
    /// Of which app.
    pub app: &'a AppName,
}

impl InternalEvent for CardFrameIgnored<'_> {
    fn emit(self, metrics: &Metrics) {
        if !metrics.pacing.writes("old card frame", self.app.as_str()) {
            return;
        }
        tracing::warn!(
            app = %self.app,
            hint = "in Feishu's console, Events & callbacks, set the callback subscription to the long \
                    connection and publish a version of the app",
            "a click on a card came in an old form and was ignored"
        );
    }
}

impl Metrics {
    /// Says whether an app's long connection is open. One that is gone is not one that is down.
    fn set_connected(&self, app: &AppName, open: bool) {
        let app = app.to_string();
        if let Some(gauge) = self.connection_up.get(&App { app }) {
            gauge.set(i64::from(open));
        }
    }
}
