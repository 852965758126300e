//! Measures accepting reports that join an open incident, beside reports that each get a message.

use super::load::Plan;
use super::rounds::Bench;
use super::subject::Kind;
use super::table::{
    Figure,
    Wanted::{AtLeast, Nothing},
    figure,
};

/// The largest number of reports.
const REPORTS_MAX: usize = 10_000;
/// A report that joins an incident may take 1.3 times as long.
const WANTED: f64 = 0.77;

/// The number of different keys, with the ratio.
const JOINING: [(u32, Figure); 2] = [
    (
        1,
        figure(
            26,
            "accepted, joining one open incident ÷ a message each",
            AtLeast(WANTED, 0.9),
        ),
    ),
    (
        1000,
        figure(
            26,
            "accepted, joining incidents, 1,000 keys ÷ a message each",
            AtLeast(WANTED, 0.9),
        ),
    ),
];
const SINGLE: Figure = figure(26, "accepted a second, a message each", Nothing);

impl Bench {
    /// Measures reports of few and of many keys.
    pub(super) async fn incidents(&mut self) {
        for (keys, figure) in JOINING {
            self.maker.faults_on(Some(keys));
            let single = self.accepted_of(Kind::Single).await;
            let grouped = self.accepted_of(Kind::Grouped).await;
            self.maker.faults_on(None);
            self.table.add(figure, grouped / single);
            self.table.add(SINGLE, single);
        }
    }

    /// Returns the reports accepted a second. The warm-up has opened the incidents.
    async fn accepted_of(&mut self, kind: Kind) -> f64 {
        let (subject, _folder) = self.start(kind).await;
        let reports = self.settings.events.min(REPORTS_MAX);
        self.send(&subject, reports, 64, Plan::Closed).await.rate()
    }
}
