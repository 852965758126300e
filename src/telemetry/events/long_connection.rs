//! Events about the long connections of apps.

use std::time::Duration;

use crate::model::{AppName, Timestamp};
use crate::telemetry::metrics::{
    App, AppCause, AppCode, AppKind, Counted, InternalEvent, Metrics, words,
};

/// A long connection was opened.
pub struct ConnectionOpened<'a> {
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

/// A long connection or an attempt to open one ended. Another attempt follows.
pub struct ConnectionEnded<'a> {
    pub app: &'a AppName,
    /// The cause as a fixed word.
    pub cause: &'static str,
    /// The cause in words safe to log.
    pub reason: &'a str,
    /// The pause before the next attempt.
    pub retry_in: Duration,
}

impl InternalEvent for ConnectionEnded<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::warn!(
            app = %self.app, cause = self.cause, reason = self.reason,
            retry_in_ms = self.retry_in.as_millis(), "long connection is down; reconnecting"
        );
        metrics.set_connected(self.app, false);
        let labels = AppCause {
            app: self.app.to_string(),
            cause: self.cause,
        };
        metrics.connection_ends.count(&labels);
    }
}

/// The relay ended a long connection for good.
pub struct ConnectionLeft<'a> {
    pub app: &'a AppName,
}

impl InternalEvent for ConnectionLeft<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(app = %self.app, "long connection ended");
        metrics.set_connected(self.app, false);
    }
}

/// A frame was received over a long connection.
pub struct FrameReceived<'a> {
    pub app: &'a AppName,
    /// The kind of frame as a fixed word.
    pub kind: &'static str,
    /// When the frame was received.
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

/// A data frame was refused. The platform resends its event.
pub struct FrameRefused<'a> {
    pub app: &'a AppName,
    /// The reason as a fixed word.
    pub reason: &'static str,
}

impl InternalEvent for FrameRefused<'_> {
    fn emit(self, _metrics: &Metrics) {
        tracing::warn!(app = %self.app, reason = self.reason, "failed to read frame");
    }
}

/// A message was acknowledged.
pub struct FrameAcknowledged<'a> {
    pub app: &'a AppName,
    /// Whether the message was acknowledged as stored.
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

/// A card click was received in a format that is not answered.
pub struct CardFrameIgnored<'a> {
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
            "ignored a card click in an old format"
        );
    }
}

impl Metrics {
    /// Sets whether an app's long connection is open. An app without a series is skipped, because a
    /// removed app is not a failing one.
    fn set_connected(&self, app: &AppName, open: bool) {
        let app = app.to_string();
        if let Some(gauge) = self.connection_up.get(&App { app }) {
            gauge.set(i64::from(open));
        }
    }
}
