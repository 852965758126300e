//! Measures events with 0 to 4 images each, whose host answers, fails or hangs.

use super::hosts::Host;
use super::load::{Plan, count, quantile_ms};
use super::rounds::Bench;
use super::subject::Kind;
use super::table::{
    Figure,
    Wanted::{AtLeast, AtMost, Nothing},
    figure,
};

/// The number of due images when intake is measured, two per event.
pub(super) const DUE: usize = 1_000_000;

const ACCEPTED: [(Option<Host>, Figure); 4] = [
    (None, figure(22, "accepted ÷ `r0`, no pictures", Nothing)),
    (
        Some(Host::Answers),
        figure(22, "accepted ÷ `r0`, pictures' host answers", Nothing),
    ),
    (
        Some(Host::Fails),
        figure(
            22,
            "accepted ÷ `r0`, pictures' host fails",
            AtLeast(0.40, 0.45),
        ),
    ),
    (
        Some(Host::Hangs),
        figure(
            22,
            "accepted ÷ `r0`, pictures' host hangs",
            AtLeast(0.40, 0.45),
        ),
    ),
];

const DELIVERED: [(Option<Host>, Figure); 4] = [
    (None, figure(23, "delivered ÷ `r1`, no pictures", Nothing)),
    (
        Some(Host::Answers),
        figure(23, "delivered ÷ `r1`, pictures' host answers", Nothing),
    ),
    (
        Some(Host::Fails),
        figure(
            23,
            "delivered ÷ `r1`, pictures' host fails",
            AtLeast(0.60, 0.80),
        ),
    ),
    (
        Some(Host::Hangs),
        figure(
            23,
            "delivered ÷ `r1`, pictures' host hangs",
            AtLeast(0.60, 0.80),
        ),
    ),
];

const ARRIVES: [(Option<Host>, Figure); 3] = [
    (
        None,
        figure(
            24,
            "500/s: p99 of accepted → arrived, no pictures, ms",
            Nothing,
        ),
    ),
    (
        Some(Host::Answers),
        figure(
            24,
            "500/s: p99 of accepted → arrived, pictures' host answers, ms",
            Nothing,
        ),
    ),
    (
        Some(Host::Hangs),
        figure(
            24,
            "500/s: p99 of accepted → arrived, pictures' host hangs, ms",
            Nothing,
        ),
    ),
];
const ARRIVES_BESIDE: Figure = figure(
    24,
    "500/s: p99 of accepted → arrived, pictures' host hangs ÷ no pictures",
    AtMost(1.5, 1.2),
);

const WITH_DUE: Figure = figure(
    25,
    "accepted a second with a million pictures due ÷ with none",
    AtLeast(0.85, 1.0),
);
const DELIVERED_WITH_DUE: Figure = figure(
    25,
    "delivered a second with a million pictures due ÷ with none",
    AtLeast(0.85, 1.0),
);
const PICTURES_DUE: Figure = figure(25, "pictures due", Nothing);
const MEMORY_DUE: Figure = figure(
    25,
    "memory, the most beside a million pictures due, MiB",
    AtMost(150.0, 80.0),
);

impl Bench {
    /// Measures rows 22 to 24.
    pub(super) async fn pictures(&mut self) {
        if self.has_time_for(&[22]) {
            self.accepted_with_pictures().await;
        }
        if self.has_time_for(&[23]) {
            self.delivered_with_pictures().await;
        }
        if self.has_time_for(&[24]) {
            self.arrival_beside_a_host_that_hangs().await;
        }
    }

    /// Gives later events images of this host, or none.
    fn show(&mut self, host: Option<Host>) {
        let base = host.map(|host| self.hosts.base(host));
        self.maker.pictures_from(base);
    }

    async fn accepted_with_pictures(&mut self) {
        for (host, figure) in ACCEPTED {
            self.show(host);
            let bare = self.rate_of(Kind::R0).await;
            let ours = self.rate_of(Kind::Unrouted).await;
            self.table.add(figure, ours / bare);
        }
        self.show(None);
    }

    async fn rate_of(&mut self, kind: Kind) -> f64 {
        let (subject, _folder) = self.start(kind).await;
        let events = self.settings.events;
        self.send(&subject, events, 64, Plan::Closed).await.rate()
    }

    /// Measures the time from the first event sent to the last arrival. Messages do not wait for
    /// images, because that time is a setting.
    async fn delivered_with_pictures(&mut self) {
        for (host, figure) in DELIVERED {
            self.show(host);
            let least = self.delivery_of(Kind::R1).await.0;
            let ours = self.delivery_of(Kind::RoutedAtOnce).await.0;
            self.table.add(figure, ours / least);
        }
        self.show(None);
    }

    async fn arrival_beside_a_host_that_hangs(&mut self) {
        let mut p99 = Vec::new();
        for (host, figure) in ARRIVES {
            self.show(host);
            let (subject, _folder) = self.start(Kind::RoutedAtOnce).await;
            let answered = self.send(&subject, 5000, 64, Plan::Rate(500.0)).await;
            let arrived = self.sink.arrivals(&answered.accepted).await;
            answered.assert_arrived(&arrived);
            let times = answered.times_to_arrival(&arrived);
            let value = quantile_ms(&times, 0.99);
            self.table.add(figure, value);
            p99.push(value);
        }
        self.show(None);
        if let [none, .., hangs] = p99.as_slice() {
            self.table.add(ARRIVES_BESIDE, hangs / none);
        }
    }

    /// Measures a store with a million due images and an empty one, in turns. Their host fails.
    pub(super) async fn pictures_due(&mut self) {
        self.show(Some(Host::Fails));
        let folder = self.folder("pictures");
        let large = self.start_in(Kind::RoutedAtOnce, folder.path()).await;
        if !folder.is_filled() {
            let filled = self.fill(&large, self.settings.due / 2, true).await;
            self.table.add(PICTURES_DUE, 2.0 * count(filled));
            folder.filled();
        }
        let (empty, _folder) = self.start(Kind::RoutedAtOnce).await;
        for round in 0..self.settings.rounds * 2 {
            let both = async {
                // The order alternates, because data of one store is still being synced when the
                // other is measured.
                let mut rates = [(0.0, 0.0); 2];
                let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
                for turn in order {
                    let subject = [&large, &empty][turn];
                    let events = self.settings.events / 2;
                    let answered = self.send(subject, events, 64, Plan::Closed).await;
                    let arrived = self.sink.arrivals(&answered.accepted).await;
                    answered.assert_arrived(&arrived);
                    self.sink.forget();
                    let took = answered.took_until_last(&arrived).as_secs_f64();
                    rates[turn] = (answered.rate(), count(answered.accepted.len()) / took);
                }
                rates
            };
            let (peak, [with, without]) = large.memory_peak_mib(both).await;
            self.table.add(WITH_DUE, with.0 / without.0);
            self.table.add(DELIVERED_WITH_DUE, with.1 / without.1);
            self.table.add(MEMORY_DUE, peak);
        }
        large.stop();
        self.show(None);
    }
}
