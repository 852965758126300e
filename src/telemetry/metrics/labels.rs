//! The labels of series. A name is one of the configuration; every other label is one of a few fixed words.

use std::hash::Hash;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

/// Labels that begin with a name of the configuration.
pub(in crate::telemetry) trait Named: Clone + Eq + Hash {
    /// The same without the name.
    fn nameless(&self) -> Self;
}

/// Declares label sets: `Set of name { word, … }`, where a set can do without the name.
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
    /// Of one app.
    App of app {}
    /// Of one app and what became of an event.
    AppState of app { state }
    /// Of one app and the reason of a refusal.
    AppReason of app { reason }
    /// Of one app and a result.
    AppResult of app { result }
    /// Of one app and the way a report was seen.
    AppSeen of app { seen }
    /// Of one app and why its long connection ended.
    AppCause of app { cause }
    /// Of one app and a kind of frame.
    AppKind of app { kind }
    /// Of one app and the code of an acknowledgement.
    AppCode of app { code }
    /// Of one rule.
    Rule of rule {}
    /// Of one destination.
    Destination of destination {}
    /// Of one destination and an outcome.
    DestinationOutcome of destination { outcome }
    /// Of one destination and where deliveries stand.
    DestinationState of destination { state }
    /// Of a result.
    Outcome { result }
    /// Of a kind of trouble.
    Kind { kind }
    /// Of a click: through what, on which button, with which result.
    Click { through, act, result }
    /// Of this build.
    Build { version }
    /// Of the configuration in force.
    Configuration of hash {}
}

/// Counting where every series is there beforehand. What has none is of a name that is not in the
/// configuration (any more), and counts under the empty one: names that left do not come back.
pub(in crate::telemetry) trait Counted<S> {
    /// One more.
    fn count(&self, labels: &S) {
        self.count_many(labels, 1);
    }

    /// So many more.
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

/// As [`Counted`], for what is measured.
pub(in crate::telemetry) trait Observed<S> {
    /// One more, of so many seconds.
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
