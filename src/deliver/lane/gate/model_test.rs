//! Tests a gate, the retry policy and the order of leases against a simulated destination. Answers, arrivals
//! and restarts follow random schedules. `SCHEDULES=1000 cargo test --lib model_test` runs more of them.

use proptest::prelude::*;

use super::*;
use crate::deliver::policy::{self, RetryPolicy, Tried, signal};
use crate::model::{Form, Outcome, Severity, Verdict};

const SECOND: Duration = Duration::from_secs(1);
const START: Timestamp = Timestamp::from_millis(1_711_111_111_000);

/// The destination's answer while it works and the message is good.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Works,
    /// The destination fails, as a gateway without a backend does.
    Fails,
    /// The destination asks for a pause of this many seconds.
    Pauses(u64),
    /// The destination refuses the credentials.
    Stops,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    at_s: u64,
    severity: Severity,
    /// Whether the message makes the receiver fail, whatever its mood.
    poison: bool,
}

#[derive(Clone, Debug)]
struct Schedule {
    arrivals: Vec<Arrival>,
    /// The mood from each second on.
    moods: Vec<(u64, Mood)>,
    /// Seconds at which the relay is restarted, and for how long it is down.
    restarts: Vec<(u64, u64)>,
    concurrency: usize,
    retry_for: Duration,
    /// The destination's rate limit.
    rate: Option<RateLimit>,
}

impl Schedule {
    const fn limits(&self) -> Limits {
        Limits {
            rate: self.rate,
            concurrency: self.concurrency,
        }
    }
}

#[derive(Clone, Debug)]
struct Waiting {
    arrival: Arrival,
    due_at: Timestamp,
    due_since: Uptime,
    failures: u32,
    failed_at: Option<Uptime>,
    attempts: u32,
    ended: Option<Verdict>,
}

/// What an observer at the receiver and in the store sees.
#[derive(Default)]
struct Seen {
    /// Milliseconds of each request, and the message.
    requests: Vec<(u64, usize)>,
    /// Requested pauses, in milliseconds: from, to.
    pauses: Vec<(u64, u64)>,
    /// When each message was delivered, in milliseconds; `None` if it was not.
    delivered: Vec<Option<u64>>,
}

struct Model {
    schedule: Schedule,
    mono: Instant,
    gate: Gate,
    queue: Vec<Waiting>,
    seen: Seen,
    turn: usize,
    /// Milliseconds since the start, by the wall clock and by uptime.
    now_ms: u64,
    uptime_ms: i64,
}

impl Model {
    fn new(schedule: Schedule) -> Self {
        Self {
            gate: Gate::new("chat".into(), &schedule.limits()),
            mono: Instant::now(),
            queue: Vec::new(),
            seen: Seen::default(),
            turn: 0,
            now_ms: 0,
            uptime_ms: 0,
            schedule,
        }
    }

    fn now(&self) -> Now {
        let span = Duration::from_millis(self.now_ms);
        Now {
            wall: START + span,
            mono: self.mono + span,
            uptime: Uptime::from_millis(self.uptime_ms),
        }
    }

    fn mood(&self) -> Mood {
        let moods = self.schedule.moods.iter().rev();
        let mut begun = moods.filter(|(at_s, _)| at_s * 1000 <= self.now_ms);
        begun.next().map_or(Mood::Works, |(_, mood)| *mood)
    }

    fn run(&mut self, seconds: u64) {
        while self.now_ms < seconds * 1000 {
            let down = self.schedule.restarts.iter();
            let down = down.copied().find(|(at_s, _)| at_s * 1000 == self.now_ms);
            if let Some((_, down_s)) = down.filter(|(_, down_s)| *down_s > 0) {
                self.now_ms += down_s * 1000;
                let limits = self.schedule.limits();
                self.gate = Gate::restore(self.gate.record(), &limits, self.now());
            }
            self.arrive();
            self.send_all();
            self.expire();
            self.now_ms += 100;
            self.uptime_ms += 100;
        }
    }

    fn arrive(&mut self) {
        while let Some(arrival) = self.schedule.arrivals.get(self.queue.len()).copied() {
            if arrival.at_s * 1000 > self.now_ms {
                return;
            }
            let now = self.now();
            self.seen.delivered.push(None);
            self.queue.push(Waiting {
                arrival,
                due_at: now.wall,
                due_since: now.uptime,
                failures: 0,
                failed_at: None,
                attempts: 0,
                ended: None,
            });
        }
    }

    /// Returns the index of the message that is leased next, in the order of `store/sqlite/lease.rs`.
    fn lease(&mut self, probe: bool) -> Option<usize> {
        let wall = self.now().wall;
        let waits = |one: &&(usize, &Waiting)| one.1.ended.is_none();
        let all: Vec<(usize, &Waiting)> = self.queue.iter().enumerate().collect();
        let level = |one: &Waiting| {
            Severity::ALL
                .iter()
                .position(|s| *s == one.arrival.severity)
        };
        if !probe {
            let due = all.iter().filter(waits).filter(|one| one.1.due_at <= wall);
            return due
                .min_by_key(|one| (level(one.1), one.1.failures > 0, one.1.due_at))
                .map(|one| one.0);
        }
        self.turn += 1;
        for tried in [false, true] {
            for step in 0..Severity::ALL.len() {
                let severity = Severity::ALL[(self.turn + step) % Severity::ALL.len()];
                let of_range = all.iter().filter(waits).filter(|one| {
                    one.1.arrival.severity == severity && (one.1.failures > 0) == tried
                });
                if let Some(one) = of_range.min_by_key(|one| one.1.due_at) {
                    return Some(one.0);
                }
            }
        }
        None
    }

    fn send_all(&mut self) {
        loop {
            let permits = self.gate.permits(self.now());
            if permits.count == 0 {
                return;
            }
            let mut flights = Vec::new();
            for _ in 0..permits.count {
                let Some(index) = self.lease(permits.probe) else {
                    break;
                };
                let begun = self.gate.begin(self.now());
                self.seen.requests.push((self.now_ms, index));
                // A message is not leased twice.
                self.queue[index].ended = Some(Verdict::Done);
                flights.push((index, begun));
            }
            if flights.is_empty() {
                return;
            }
            for (index, begun) in flights {
                self.land(index, begun);
            }
        }
    }

    fn land(&mut self, index: usize, begun: Begun) {
        let (mood, now) = (self.mood(), self.now());
        let reason = || "as scheduled".to_owned();
        let outcome = match (self.queue[index].arrival.poison, mood) {
            (_, Mood::Pauses(seconds)) => {
                let pause = Duration::from_secs(seconds);
                self.seen
                    .pauses
                    .push((self.now_ms, self.now_ms + seconds * 1000));
                Outcome::SlowDown {
                    pause: Some(pause),
                    reason: reason(),
                }
            }
            (_, Mood::Stops) => Outcome::Stop { reason: reason() },
            (true, _) | (_, Mood::Fails) => Outcome::Retry { reason: reason() },
            (false, Mood::Works) => Outcome::Delivered,
        };
        let policy = RetryPolicy {
            retry_for: self.schedule.retry_for,
            recognises_repeats: true,
        };
        let one = &mut self.queue[index];
        let since = one.failed_at.max(Some(one.due_since));
        let wait = policy::wait(one.due_at, since, begun.worked_until, now.uptime);
        let uncounted = policy::uncounted(wait, &outcome, one.attempts == 0);
        one.due_since = one.due_since.after(uncounted);
        one.attempts += 1;
        let tried = Tried {
            failures: one.failures,
            unanswered: 0,
            failed_at: one.failed_at,
            spent: now.uptime.since(one.due_since),
            form: Form::Full,
            forms: &[Form::Full],
        };
        let verdict = policy.verdict(&outcome, tried, now.wall, 0.0);
        let signal = signal(&outcome, tried);
        if let Outcome::Retry { .. } = outcome {
            one.failures += 1;
            one.failed_at = Some(now.uptime);
        }
        match verdict {
            Verdict::RetryAt { due_at, .. } => {
                one.due_at = due_at;
                one.ended = None;
            }
            ended => {
                if ended == Verdict::Done {
                    self.seen.delivered[index] = Some(self.now_ms);
                }
                one.ended = Some(ended);
            }
        }
        let update = self.gate.settle(begun, &signal, now, 0.0);
        if update.changes.contains(&Change::WorksAgain) {
            for one in &mut self.queue {
                one.due_at = one.due_at.min(now.wall);
            }
        }
    }

    /// Ends messages as `store/sqlite/failover.rs` does while the gate is failing.
    fn expire(&mut self) {
        if !self.gate.is_failing() {
            return;
        }
        let now = self.now();
        let failing_from = self.gate.failing_from(now);
        for one in self.queue.iter_mut().filter(|one| one.ended.is_none()) {
            let last = one.failed_at.unwrap_or(one.due_since).max(one.due_since);
            let spent = last.since(one.due_since) + now.uptime.since(last.max(failing_from));
            if spent >= self.schedule.retry_for {
                let reason = "given up".into();
                one.ended = Some(Verdict::Dead { reason });
            }
        }
    }
}

fn severity() -> impl Strategy<Value = Severity> {
    prop::sample::select(Severity::ALL)
}

fn arrivals(poison: bool) -> impl Strategy<Value = Vec<Arrival>> {
    let one =
        (0..120_u64, severity(), any::<bool>()).prop_map(move |(at_s, severity, bad)| Arrival {
            at_s,
            severity,
            poison: poison && bad,
        });
    prop::collection::vec(one, 1..40).prop_map(|mut all| {
        all.sort_by_key(|one| one.at_s);
        all
    })
}

fn moods() -> impl Strategy<Value = Vec<(u64, Mood)>> {
    let mood = prop_oneof![
        Just(Mood::Works),
        Just(Mood::Fails),
        (0..40_u64).prop_map(Mood::Pauses),
        Just(Mood::Stops),
    ];
    prop::collection::vec((0..200_u64, mood), 0..8).prop_map(|mut all| {
        all.sort_by_key(|(at_s, _)| *at_s);
        all
    })
}

fn schedule() -> impl Strategy<Value = Schedule> {
    (
        arrivals(true),
        moods(),
        prop::collection::vec((1..200_u64, 0..60_u64), 0..3),
        1..6_usize,
        prop::sample::select(&[20_u64, 120, 86_400][..]),
    )
        .prop_map(
            |(arrivals, moods, restarts, concurrency, retry_for_s)| Schedule {
                arrivals,
                moods,
                restarts,
                concurrency,
                retry_for: Duration::from_secs(retry_for_s),
                rate: None,
            },
        )
}

fn schedules() -> ProptestConfig {
    #[expect(
        clippy::disallowed_methods,
        reason = "how much is tried is no setting of the relay"
    )]
    let wanted = std::env::var("SCHEDULES").ok();
    let cases = wanted.and_then(|text| text.parse().ok()).unwrap_or(100);
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(schedules())]

    #[test]
    fn no_request_is_sent_during_a_pause(schedule in schedule()) {
        let mut model = Model::new(schedule);
        model.run(400);
        for (from, to) in &model.seen.pauses {
            for (at, _) in &model.seen.requests {
                prop_assert!(!(*from < *at && *at < *to), "request at {at} in {from}..{to}");
            }
        }
    }

    #[test]
    fn good_message_is_not_delayed_by_bad_ones(arrivals in arrivals(true), concurrency in 1..6_usize) {
        let schedule = Schedule {
            arrivals,
            moods: Vec::new(),
            restarts: Vec::new(),
            concurrency,
            retry_for: Duration::from_secs(86_400),
            rate: None,
        };
        let mut model = Model::new(schedule);
        model.run(400);
        // Bad messages that were never tried look like good ones, so each of them may cost one probe. The relay
        // has no other way to distinguish them from an outage.
        let poison = model.queue.iter().filter(|one| one.arrival.poison).count();
        let most = (PROBE_MAX + SECOND) * u32::try_from(poison + 1).unwrap();
        for (one, delivered) in model.queue.iter().zip(&model.seen.delivered) {
            if one.arrival.poison {
                continue;
            }
            let delivered = delivered.expect("a good message is delivered");
            let waited = Duration::from_millis(delivered - one.arrival.at_s * 1000);
            prop_assert!(waited <= most, "{waited:?} > {most:?}");
        }
    }

    #[test]
    fn receiver_that_refuses_gets_few_requests(
        arrivals in arrivals(false),
        mood in prop::sample::select(&[Mood::Fails, Mood::Pauses(0), Mood::Pauses(5), Mood::Stops][..]),
        concurrency in 1..6_usize,
    ) {
        let schedule = Schedule {
            arrivals,
            moods: vec![(0, mood)],
            restarts: Vec::new(),
            concurrency,
            retry_for: Duration::from_secs(86_400),
            rate: None,
        };
        let mut model = Model::new(schedule);
        model.run(600);
        // The sends in flight when the fault appeared, and probes.
        let most = concurrency + 5 + 12;
        for minute in 0..10_u64 {
            let window = minute * 60_000..(minute + 1) * 60_000;
            let requests = model.seen.requests.iter().filter(|(at, _)| window.contains(at)).count();
            prop_assert!(requests <= most, "{requests} in minute {minute}");
        }
    }

    #[test]
    fn every_message_ends(mut schedule in schedule()) {
        schedule.retry_for = schedule.retry_for.min(Duration::from_secs(120));
        let mut model = Model::new(schedule);
        model.run(2000);
        for one in &model.queue {
            prop_assert!(one.ended.is_some(), "{one:?}");
            prop_assert!(!one.arrival.poison || one.ended != Some(Verdict::Done));
        }
    }

    #[test]
    fn downtime_and_outages_shorten_no_retry_time(schedule in schedule()) {
        let retry_for = schedule.retry_for;
        let mut model = Model::new(schedule);
        let mut before: Vec<bool> = Vec::new();
        for second in 1..400 {
            model.run(second);
            let now = model.now().uptime;
            for (one, was_dead) in model.queue.iter().zip(before.iter().copied().chain(std::iter::repeat(false))) {
                let dead = matches!(one.ended, Some(Verdict::Dead { .. }));
                if dead && !was_dead {
                    prop_assert!(now.since(one.due_since) >= retry_for);
                }
            }
            before = model.queue.iter().map(|one| matches!(one.ended, Some(Verdict::Dead { .. }))).collect();
        }
    }

    /// Sending all takes far longer than `retry_for` at this rate, and the destination fails twice in between.
    #[test]
    fn waiting_for_the_rate_ends_no_message(
        mut arrivals in prop::collection::vec((0..20_u64, severity()), 40..60),
        per_s in 4..10_u64,
        outages in prop::collection::vec((0..400_u64, 1..6_u64), 2),
        concurrency in 1..6_usize,
    ) {
        arrivals.sort_by_key(|(at_s, _)| *at_s);
        let poison = false;
        let arrivals = arrivals.into_iter().map(|(at_s, severity)| Arrival { at_s, severity, poison });
        let outages = outages.into_iter();
        let mut moods: Vec<_> = outages
            .flat_map(|(at_s, lasts)| [(at_s, Mood::Fails), (at_s + lasts, Mood::Works)])
            .collect();
        moods.sort_by_key(|(at_s, _)| *at_s);
        let mut model = Model::new(Schedule {
            arrivals: arrivals.collect(),
            moods,
            restarts: Vec::new(),
            concurrency,
            retry_for: Duration::from_secs(100),
            rate: Some(RateLimit { count: 1, per: Duration::from_secs(per_s) }),
        });
        model.run(900);
        for one in &model.queue {
            prop_assert_eq!(&one.ended, &Some(Verdict::Done));
        }
    }
}
