//! Measures the cost of a forged request: with HTTP, without it, and of the verification alone.

use std::hint::black_box;
use std::sync::Arc;

use feedback_relay::feishu::{
    NONCE_HEADER, SIGNATURE_HEADER, SignatureHeaders, TIMESTAMP_HEADER, Unverified,
};

use super::events::{Sealed, find};
use super::load::{Plan, count, send};
use super::reference;
use super::rounds::Bench;
use super::subject::{Kind, PATH, cpu_secs};
use super::table::{
    Figure,
    Wanted::{AtMost, Nothing},
    figure,
};

const WITH_HTTP: Figure = figure(
    18,
    "forged: processor time each, HTTP included, µs",
    Nothing,
);
const BARE: Figure = figure(
    18,
    "the same refused without a look (`bare`), HTTP included, µs",
    Nothing,
);
const WITHOUT_HTTP: Figure = figure(
    18,
    "forged: processor time each without HTTP, µs",
    AtMost(15.0, 15.0),
);
const VERIFYING: Figure = figure(18, "of which verifying, alone in one thread, µs", Nothing);

/// The processor time for which verification is repeated, in seconds. It is long because the clock
/// counts hundredths.
const VERIFYING_SECS: f64 = 1.0;

impl Bench {
    /// Measures the cost of a forgery: the relay's processor time minus that of a route that
    /// refuses at once.
    pub(super) async fn forged(&mut self) {
        let [bare, ours] = [
            self.forged_of(Kind::Bare).await,
            self.forged_of(Kind::Routed).await,
        ];
        self.table.add(WITH_HTTP, ours);
        self.table.add(BARE, bare);
        self.table.add(WITHOUT_HTTP, ours - bare);
        let alone = self.verifying();
        self.table.add(VERIFYING, alone);
    }

    /// Returns the processor time of one forgery, in microseconds.
    async fn forged_of(&mut self, kind: Kind) -> f64 {
        let (subject, _folder) = self.start_cold(kind).await;
        let host = subject.host();
        let mut some = |count: usize| -> Arc<Vec<Sealed>> {
            let forged = (0..count).map(|_| self.maker.forged(&host, PATH));
            Arc::new(forged.collect())
        };
        let (warm, forged) = (some(500), some(self.settings.events));
        send(subject.address(), warm, 64, Plan::Closed).await;
        let events = forged.len();
        let before = subject.cpu_secs();
        let answered = send(subject.address(), forged, 64, Plan::Closed).await;
        let each = (subject.cpu_secs() - before) * 1e6 / count(events);
        let refused = answered.statuses.get(&401).copied().unwrap_or_default();
        assert_eq!(refused, events, "a forgery was not refused");
        each
    }

    /// Returns the processor time of verifying one forgery, in microseconds.
    fn verifying(&mut self) -> f64 {
        let app = reference::app();
        let forged: Vec<Sealed> = (0..2000).map(|_| self.maker.forged("host", PATH)).collect();
        let requests: Vec<Unverified<'_>> = forged.iter().map(unverified).collect();
        let (before, mut verified) = (cpu_secs("self"), 0_usize);
        while cpu_secs("self") - before < VERIFYING_SECS {
            for request in &requests {
                assert!(black_box(*request).verify(&app).is_err());
            }
            verified += requests.len();
        }
        (cpu_secs("self") - before) * 1e6 / count(verified)
    }
}

/// Returns a request as the relay's handler receives it.
fn unverified(request: &Sealed) -> Unverified<'_> {
    let end_of_head = find(&request.bytes, b"\r\n\r\n").expect("a head has an end");
    let (head, body) = request.bytes.split_at(end_of_head + 4);
    let head = std::str::from_utf8(head).expect("a head is text");
    let header = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let field = fields.find(|(found, _)| found.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_bytes())
    };
    Unverified {
        headers: SignatureHeaders {
            timestamp: header(TIMESTAMP_HEADER),
            nonce: header(NONCE_HEADER),
            signature: header(SIGNATURE_HEADER),
        },
        body,
    }
}
