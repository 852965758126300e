//! What happens on the long connections of apps.

use std::time::Duration;

use crate::model::{AppName, Timestamp};
use crate::telemetry::metrics::{App, AppCause, AppCode, AppKind, InternalEvent, Metrics};

/// An app is to have a long connection from now on.
pub struct ConnectionWanted<'a> {
    /// Which app.
    pub app: &'a AppName,
}

impl InternalEvent for ConnectionWanted<'_> {
    fn emit(self, metrics: &Metrics) {
        // Its series begin at zero.
        metrics.connection_up(self.app).set(0);
        for code in ["200", "500"] {
            let labels = AppCode {
                app: self.app.to_string(),
                code: code.into(),
            };
            drop(metrics.connection_acks.get_or_create(&labels));
        }
    }
}

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
        metrics.connection_up(self.app).set(1);
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
        metrics.connection_up(self.app).set(0);
        let labels = AppCause {
            app: self.app.to_string(),
            cause: self.cause.into(),
        };
        metrics.connection_ends.get_or_create(&labels).inc();
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
        // An app that is gone is not one that is down.
        let labels = App {
            app: self.app.to_string(),
        };
        metrics.connection_up.remove(&labels);
        metrics.connection_last_frame.remove(&labels);
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
            kind: self.kind.into(),
        };
        metrics.connection_frames.get_or_create(&labels).inc();
        metrics
            .connection_last_frame
            .get_or_create(&App {
                app: self.app.to_string(),
            })
            .set(self.at.as_secs());
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
    /// 200 or 500.
    pub code: u16,
}

impl InternalEvent for FrameAcknowledged<'_> {
    fn emit(self, metrics: &Metrics) {
        let labels = AppCode {
            app: self.app.to_string(),
            code: self.code.to_string(),
        };
        metrics.connection_acks.get_or_create(&labels).inc();
    }
}

/// A click on a card came in a form that is not answered.
pub struct CardFrameIgnored<'a> {
    /// Of which app.
    pub app: &'a AppName,
}

impl InternalEvent for CardFrameIgnored<'_> {
    fn emit(self, _metrics: &Metrics) {
        tracing::warn!(
            app = %self.app,
            hint = "in Feishu's console, Events & callbacks, set the callback subscription to the long \
                    connection and publish a version of the app",
            "a click on a card came in an old form and was ignored"
        );
    }
}
