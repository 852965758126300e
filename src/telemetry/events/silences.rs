//! Events about silences. Their reasons and authors are never logged.

use crate::model::RuleName;
use crate::telemetry::metrics::{Counted, InternalEvent, Metrics, Rule};

/// Silences suppressed messages of a rule.
pub struct MessagesSuppressed<'a> {
    pub rule: &'a RuleName,
    pub messages: u64,
}

impl InternalEvent for MessagesSuppressed<'_> {
    fn emit(self, metrics: &Metrics) {
        let rule = self.rule.to_string();
        metrics.suppressed.count_many(&Rule { rule }, self.messages);
    }
}
