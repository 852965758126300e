//! Each decision as a table of facts and results.

mod attempt;
mod failover;
mod feedback_status;
mod held;
mod incident;
mod late_images;
mod silence;

use crate::model::*;

/// The time of each decision, in seconds.
const NOW_S: i64 = 1_711_111_111;

/// Returns the time `seconds` after the decision.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis((NOW_S + seconds) * 1000)
}

fn spec(mentions: &[&str]) -> MessageSpec {
    MessageSpec {
        rule: "blank screen".into(),
        severity: Severity::Warning,
        template: "alert".into(),
        mentions: mentions.iter().map(|one| (*one).to_owned()).collect(),
        labels: [].into(),
        wait: None,
        fell_from: Vec::new(),
        news: None,
    }
}
