//! The labels of series. One label may be a name of the configuration; every other is one of a few
//! fixed words.

use std::hash::Hash;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

/// Label sets that begin with a name of the configuration.
pub(in crate::telemetry) trait Named: Clone + Eq + Hash {
    /// Returns the same labels with an empty name.
    fn nameless(&self) -> Self;
}

/// Declares label sets: `Set of name { word, … }`. The name is optional.
macro_rules! labels {
    ($($(#[$doc:meta])* $set:ident $(of $name:ident)? { $($word:ident),* })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub(in crate::telemetry) struct $set {
            $(pub(in crate::telemetry) $name: String,)?
            $(pub(in crate::telemetry) $word: &'static str,)*
        }
        $(impl Named for $set {
            fn nameless(&self) -> Self {
                let mut nameless = self.clone();
                nameless.$name.clear();
                nameless
            }
        })?
    )+};
}

labels! {
    App of app {}
    /// An app and the result of an event.
    AppState of app { state }
    /// An app and the reason of a refusal.
    AppReason of app { reason }
    /// An app and a result.
    AppResult of app { result }
    /// An app and how a report was received.
    AppSeen of app { seen }
    /// An app and the cause that ended its long connection.
    AppCause of app { cause }
    /// An app and a kind of frame.
    AppKind of app { kind }
    /// An app and the code of an acknowledgement.
    AppCode of app { code }
    Rule of rule {}
    Destination of destination {}
    /// A destination and an outcome.
    DestinationOutcome of destination { outcome }
    /// A destination and a delivery state.
    DestinationState of destination { state }
    Outcome { result }
    /// How an incident ended.
    State { state }
    /// The reason for a message of an incident.
    News { news }
    /// The kind of an operator notice.
    Kind { kind }
    /// A click: the platform, the button and the result.
    Click { through, act, result }
    /// This build.
    Build { version }
    /// The active configuration.
    Configuration of hash {}
}

/// Counts in series that exist beforehand. Labels without a series name something that is no longer
/// in the configuration. They count under the empty name, so removed names do not return.
pub(in crate::telemetry) trait Counted<S> {
    /// Adds one.
    fn count(&self, labels: &S) {
        self.count_many(labels, 1);
    }

    /// Adds `more`.
    fn count_many(&self, labels: &S, more: u64);
}

impl<S: Named> Counted<S> for Family<S, Counter> {
    fn count_many(&self, labels: &S, more: u64) {
        if let Some(counter) = self.get(labels) {
            counter.inc_by(more);
            return;
        }
        self.get_or_create(&labels.nameless()).inc_by(more);
    }
}

/// Does the same as [`Counted`] for histograms.
pub(in crate::telemetry) trait Observed<S> {
    /// Records one observation in seconds.
    fn observe(&self, labels: &S, seconds: f64);
}

impl<S: Named> Observed<S> for Family<S, Histogram> {
    fn observe(&self, labels: &S, seconds: f64) {
        if let Some(histogram) = self.get(labels) {
            histogram.observe(seconds);
            return;
        }
        self.get_or_create(&labels.nameless()).observe(seconds);
    }
}
