use proptest::prelude::*;

use super::*;

/// A time `seconds` after an arbitrary start, on both clocks.
#[derive(Clone, Copy)]
struct Start(Now);

impl Start {
    fn new() -> Self {
        Self(Now {
            wall: Timestamp::from_millis(1_711_111_111_000),
            mono: Instant::now(),
            uptime: Uptime::from_millis(1_000_000),
        })
    }

    fn at(self, seconds: f64) -> Now {
        let span = Duration::from_secs_f64(seconds);
        Now {
            wall: self.0.wall + span,
            mono: self.0.mono + span,
            uptime: self.0.uptime.after(span),
        }
    }
}

fn free(concurrency: usize) -> Limits {
    Limits {
        rate: None,
        concurrency,
    }
}

/// Limits with a rate of so many in so many milliseconds.
fn limited(count: u32, ms: u64, concurrency: usize) -> Limits {
    let per = Duration::from_millis(ms);
    Limits {
        rate: Some(RateLimit { count, per }),
        concurrency,
    }
}

fn open_gate(concurrency: usize) -> Gate {
    Gate::new("chat".into(), &free(concurrency))
}

fn fail() -> Signal {
    Signal::Failed {
        failed_before: None,
    }
}

fn stop() -> Signal {
    Signal::Stopped("the bot is gone".into())
}

fn slow(seconds: u64) -> Signal {
    Signal::Paused(Some(Duration::from_secs(seconds)))
}

fn update(change: Option<Change>, persist: bool) -> GateUpdate {
    GateUpdate::of(change, persist)
}

/// Begins `count` sends.
fn begin(gate: &mut Gate, count: usize, now: Now) -> Vec<Begun> {
    (0..count).map(|_| gate.begin(now)).collect()
}

/// Begins a send and settles it at once.
fn send(gate: &mut Gate, signal: &Signal, now: Now) -> GateUpdate {
    let begun = gate.begin(now);
    gate.settle(begun, signal, now, 0.0)
}

/// Returns how many may start, and in how many seconds to ask again.
fn allowed(gate: &Gate, now: Now) -> (usize, Option<f64>) {
    let permits = gate.permits(now);
    let wait = permits.next_at.map(|at| (at - now.mono).as_secs_f64());
    (permits.count, wait)
}

#[test]
fn permits_are_limited_by_concurrency() {
    let t = Start::new();
    let mut gate = open_gate(3);
    assert_eq!(allowed(&gate, t.at(0.0)), (3, None));
    let mut begun = begin(&mut gate, 2, t.at(0.0));
    assert_eq!(allowed(&gate, t.at(0.0)), (1, None));
    begun.extend(begin(&mut gate, 1, t.at(0.0)));
    assert_eq!(allowed(&gate, t.at(9.0)), (0, None));
    gate.abandon(begun[0]);
    let changed = gate.settle(begun[1], &Signal::Worked, t.at(9.0), 0.0);
    assert_eq!(changed, GateUpdate::default());
    assert_eq!(allowed(&gate, t.at(9.0)), (2, None));
}

#[test]
fn permits_ahead_are_limited_by_rate_limits() {
    let t = Start::new();
    let ahead = |gate: &Gate, now| {
        let allowance = gate.permits(now);
        (allowance.count, allowance.ahead)
    };
    let mut free = open_gate(3);
    assert_eq!(ahead(&free, t.at(0.0)), (3, usize::MAX));
    begin(&mut free, 3, t.at(0.0));
    assert_eq!(
        ahead(&free, t.at(0.0)),
        (0, usize::MAX),
        "while all are in flight"
    );
    let mut paced = Gate::new("chat".into(), &limited(5, 1000, 3));
    assert_eq!(ahead(&paced, t.at(0.0)), (3, 2));
    begin(&mut paced, 3, t.at(0.0));
    assert_eq!(ahead(&paced, t.at(0.0)), (0, 2));
    let probed = broken(t);
    assert_eq!(ahead(&probed, t.at(9.0)), (1, 0), "a probe goes alone");
}

#[test]
fn send_counts_against_the_rate_from_its_start_until_a_window_after_its_end() {
    let t = Start::new();
    let mut gate = Gate::new("chat".into(), &limited(2, 1000, 9));
    let begun = begin(&mut gate, 2, t.at(0.0));
    assert_eq!(allowed(&gate, t.at(5.0)), (0, Some(1.0)), "in flight");
    for (begun, end) in begun.into_iter().zip([5.0, 5.5]) {
        let _changed = gate.settle(begun, &Signal::Worked, t.at(end), 0.0);
    }
    assert_eq!(allowed(&gate, t.at(5.75)), (0, Some(0.25)));
    assert_eq!(allowed(&gate, t.at(6.0)), (1, None));
    assert_eq!(allowed(&gate, t.at(6.5)), (2, None));
}

#[test]
fn abandoned_send_is_not_counted_by_the_rate_limit() {
    let t = Start::new();
    let mut gate = Gate::new("chat".into(), &limited(2, 1000, 9));
    let _changed = send(&mut gate, &Signal::Worked, t.at(0.0));
    let second = gate.begin(t.at(0.1));
    gate.abandon(second);
    assert_eq!(allowed(&gate, t.at(0.2)), (1, None));
    let _changed = send(&mut gate, &Signal::Worked, t.at(0.2));
    // Earlier sends still count, and no longer than they would have.
    assert_eq!(allowed(&gate, t.at(0.3)), (0, Some(0.7)));
}

#[test]
fn new_limits_count_earlier_sends() {
    let t = Start::new();
    let mut gate = Gate::new("chat".into(), &limited(2, 1000, 9));
    let _changed = send(&mut gate, &Signal::Worked, t.at(0.0));
    let _in_flight = gate.begin(t.at(0.0));
    gate.set_limits(&limited(2, 1000, 5));
    assert_eq!(allowed(&gate, t.at(0.5)), (0, Some(0.5)));
    gate.set_limits(&limited(1, 1000, 5));
    assert_eq!(allowed(&gate, t.at(0.5)), (0, Some(1.0)), "one in flight");
}

#[test]
fn sends_of_an_earlier_run_count() {
    let t = Start::new();
    let mut gate = Gate::new("chat".into(), &limited(2, 1000, 9));
    for age_ms in [2000, 900, 400] {
        gate.recall(Duration::from_millis(age_ms), t.at(0.0));
    }
    assert_eq!(allowed(&gate, t.at(0.0)), (0, Some(0.1)));
    assert_eq!(allowed(&gate, t.at(0.1)), (1, None));
    assert_eq!(allowed(&gate, t.at(0.6)), (2, None));
}

#[test]
fn pause_holds_the_destination_for_an_hour_at_most() {
    let t = Start::new();
    let mut gate = open_gate(4);
    let paused = Change::Paused(Duration::from_secs(30));
    let changed = send(&mut gate, &slow(30), t.at(0.0));
    assert_eq!(changed, update(Some(paused), true));
    assert_eq!(allowed(&gate, t.at(10.0)), (0, Some(20.0)));
    let _hostile = send(&mut gate, &slow(u64::MAX), t.at(30.0));
    assert_eq!(allowed(&gate, t.at(30.0)), (0, Some(3600.0)));
    let _shorter = send(&mut gate, &slow(1), t.at(40.0));
    assert_eq!(allowed(&gate, t.at(40.0)), (0, Some(3590.0)));
}

#[test]
fn success_that_began_before_a_pause_does_not_end_it() {
    let t = Start::new();
    let mut gate = open_gate(4);
    let begun = begin(&mut gate, 2, t.at(0.0));
    let _paused = gate.settle(begun[0], &slow(30), t.at(1.0), 0.0);
    for signal in [Signal::Worked, Signal::Answered] {
        let late = Begun { ..begun[1] };
        let _changed = gate.settle(late, &signal, t.at(2.0), 0.0);
        assert_eq!(allowed(&gate, t.at(2.0)), (0, Some(29.0)));
        assert_eq!(gate.failing_for(t.at(2.0)), Duration::from_secs(1));
    }
}

#[test]
fn pause_is_followed_by_single_sends_until_a_success() {
    let t = Start::new();
    let mut gate = open_gate(4);
    let _paused = send(&mut gate, &slow(30), t.at(0.0));
    assert_eq!(allowed(&gate, t.at(30.0)), (1, None));
    let first = gate.begin(t.at(30.0));
    assert_eq!(allowed(&gate, t.at(30.0)), (0, None));
    let changed = gate.settle(first, &Signal::Worked, t.at(31.0), 0.0);
    assert_eq!(changed, update(None, true));
    assert_eq!(allowed(&gate, t.at(31.0)), (4, None));
}

#[test]
fn pause_is_at_least_the_backoff_of_consecutive_refusals() {
    let t = Start::new();
    let mut gate = open_gate(4);
    let pauses = [Signal::Paused(None), slow(0), slow(1), slow(60)];
    for (n, (signal, seconds)) in pauses.iter().zip([2, 6, 18, 60]).enumerate() {
        let changed = send(&mut gate, signal, t.at(100.0 * n as f64));
        let wanted = Change::Paused(Duration::from_secs(seconds));
        assert_eq!(changed.changes, [wanted]);
    }
    let _success = send(&mut gate, &Signal::Worked, t.at(500.0));
    let changed = send(&mut gate, &slow(0), t.at(500.0));
    assert_eq!(changed.changes, [Change::Paused(Duration::from_secs(2))]);
}

#[test]
fn concurrent_refusals_count_as_one() {
    let t = Start::new();
    let mut gate = open_gate(4);
    for begun in begin(&mut gate, 4, t.at(0.0)) {
        let _paused = gate.settle(begun, &slow(0), t.at(1.0), 0.0);
    }
    assert_eq!(allowed(&gate, t.at(1.0)), (0, Some(2.0)));
}

/// Returns a gate with five failures at second 0.
fn broken(t: Start) -> Gate {
    let mut gate = open_gate(4);
    for n in 1..=5 {
        let changed = send(&mut gate, &fail(), t.at(0.0));
        let opened = (n == 5).then_some(Change::Opened);
        assert_eq!(changed, update(opened, n == 1 || n == 5));
    }
    gate
}

#[test]
fn open_breaker_probes_at_growing_intervals_until_a_success() {
    let t = Start::new();
    let mut gate = broken(t);
    assert!(gate.is_open());
    let (mut now, mut pauses) = (0.0, Vec::new());
    for _ in 0..20 {
        let (count, pause) = allowed(&gate, t.at(now));
        let pause = pause.unwrap();
        assert_eq!(count, 0);
        assert!(pause < 1.001 + now / 4.0, "{pause} s after {now} s");
        pauses.push(pause);
        now += pause;
        assert_eq!(allowed(&gate, t.at(now)), (1, None));
        let probe = gate.begin(t.at(now));
        assert_eq!(allowed(&gate, t.at(now)), (0, None), "one probe at a time");
        let changed = gate.settle(probe, &fail(), t.at(now), 0.0);
        assert_eq!(changed, GateUpdate::default());
    }
    assert_eq!(pauses[..3], [1.0, 1.25, 1.5625]);
    assert!(pauses.is_sorted());
    assert_eq!(pauses[18..], [30.0, 30.0]);
    let failing = gate.failing_for(t.at(now)).as_secs_f64();
    assert!((failing - now).abs() < 0.01, "{failing} {now}");
    let changed = send(&mut gate, &Signal::Worked, t.at(now + 30.0));
    assert_eq!(changed, update(Some(Change::WorksAgain), true));
    assert_eq!(allowed(&gate, t.at(now + 30.0)), (4, None));
    assert_eq!(gate.failing_for(t.at(now + 30.0)), Duration::ZERO);
}

#[test]
fn sends_in_flight_when_the_breaker_opens_are_no_probes() {
    let t = Start::new();
    let mut gate = open_gate(8);
    for begun in begin(&mut gate, 8, t.at(0.0)) {
        let _changed = gate.settle(begun, &fail(), t.at(0.0), 0.0);
    }
    assert_eq!(allowed(&gate, t.at(0.0)), (0, Some(1.0)));
}

#[test]
fn only_failures_of_the_destination_in_a_row_open_the_breaker() {
    let t = Start::new();
    let rejected = Signal::Answered;
    let mut gate = open_gate(4);
    for outcome in [&rejected, &Signal::Worked] {
        for _ in 0..4 {
            let _changed = send(&mut gate, &fail(), t.at(0.0));
        }
        let _changed = send(&mut gate, outcome, t.at(0.0));
    }
    for _ in 0..9 {
        let _changed = send(&mut gate, &rejected, t.at(0.0));
    }
    assert!(!gate.is_open());
    let mut gate = broken(t);
    let changed = send(&mut gate, &rejected, t.at(1.0));
    assert_eq!(changed.changes, [Change::WorksAgain], "it answers");
    let mut gate = broken(t);
    let _changed = send(&mut gate, &slow(5), t.at(1.0));
    assert_eq!(allowed(&gate, t.at(1.0)), (0, Some(5.0)));
    assert_eq!(allowed(&gate, t.at(6.0)), (1, None), "still only a probe");
}

#[test]
fn refusal_of_one_message_ends_failing() {
    let t = Start::new();
    let rejected = Signal::Answered;
    let mut gate = open_gate(4);
    let _changed = send(&mut gate, &fail(), t.at(0.0));
    let changed = send(&mut gate, &rejected, t.at(2.0));
    assert!(changed.persist);
    // Otherwise a critical message an hour later would go to the fallback before it was tried.
    assert_eq!(gate.failing_for(t.at(3600.0)), Duration::ZERO);
    let _changed = send(&mut gate, &stop(), t.at(0.0));
    let _changed = send(&mut gate, &rejected, t.at(2.0));
    assert_eq!(
        gate.failing_for(t.at(2.0)),
        Duration::from_secs(2),
        "it is stopped"
    );
}

#[test]
fn stopped_destination_is_probed_every_ten_minutes() {
    let t = Start::new();
    let mut gate = open_gate(4);
    let changed = send(&mut gate, &stop(), t.at(0.0));
    let wanted = Change::Stopped("the bot is gone".into());
    assert_eq!(changed, update(Some(wanted), true));
    assert_eq!(gate.stop_reason(), Some("the bot is gone"));
    assert_eq!(allowed(&gate, t.at(0.0)), (0, Some(600.0)));
    let rejected = Signal::Answered;
    for (n, outcome) in [stop(), fail(), rejected, Signal::Unclear]
        .iter()
        .enumerate()
    {
        let now = t.at(600.0 * (n + 1) as f64);
        assert_eq!(allowed(&gate, now), (1, None));
        assert_eq!(send(&mut gate, outcome, now).changes, []);
        assert_eq!(allowed(&gate, now), (0, Some(600.0)));
    }
    let changed = send(&mut gate, &Signal::Worked, t.at(3000.0));
    assert_eq!(changed.changes, [Change::WorksAgain]);
    assert_eq!(gate.stop_reason(), None);
}

#[test]
fn reload_ends_a_stop_but_not_a_pause() {
    let t = Start::new();
    let mut gate = broken(t);
    let _changed = send(&mut gate, &stop(), t.at(1.0));
    let _changed = send(&mut gate, &slow(60), t.at(1.0));
    let changed = gate.release(t.at(1.0));
    assert_eq!(changed, update(Some(Change::WorksAgain), true));
    assert_eq!(allowed(&gate, t.at(1.0)), (0, Some(60.0)));
    assert_eq!(allowed(&gate, t.at(61.0)), (1, None));
    assert_eq!(gate.release(t.at(61.0)), GateUpdate::default());
}

#[test]
fn restart_restores_gate_and_probes_at_once() {
    let t = Start::new();
    let mut gate = broken(t);
    let _changed = send(&mut gate, &stop(), t.at(1.0));
    let record = gate.record();
    let gate = Gate::restore(record.clone(), &free(4), t.at(2.0));
    assert_eq!(gate.record(), record);
    assert_eq!(allowed(&gate, t.at(2.0)), (1, None));
    assert_eq!(gate.failing_for(t.at(2.0)), Duration::from_secs(2));
}

#[test]
fn wall_clock_jump_extends_pause_to_one_hour_at_most() {
    let t = Start::new();
    let mut gate = open_gate(4);
    let _changed = send(&mut gate, &slow(30), t.at(0.0));
    let ahead = Now {
        wall: t.at(1e6).wall,
        ..t.at(10.0)
    };
    assert_eq!(allowed(&gate, ahead), (0, Some(20.0)));
    let record = gate.record();
    let behind = Now {
        wall: Timestamp::from_millis(0),
        ..t.at(10.0)
    };
    let restored = Gate::restore(record.clone(), &free(4), behind);
    assert_eq!(allowed(&restored, behind), (0, Some(3600.0)));
    let restored = Gate::restore(record, &free(4), ahead);
    assert_eq!(allowed(&restored, ahead), (4, None));
}

#[test]
fn resume_ends_a_pause() {
    let t = Start::new();
    let mut gate = open_gate(4);
    let _paused = send(&mut gate, &slow(3600), t.at(0.0));
    let changed = gate.resume(t.at(1.0));
    assert_eq!(changed, update(Some(Change::WorksAgain), true));
    assert_eq!(allowed(&gate, t.at(1.0)), (4, None));
    assert_eq!(gate.failing_for(t.at(1.0)), Duration::ZERO);
}

#[test]
fn stop_of_a_send_before_resume_is_ignored() {
    let t = Start::new();
    let mut gate = open_gate(4);
    let old = begin(&mut gate, 2, t.at(0.0));
    let _stopped = gate.settle(old[0], &stop(), t.at(1.0), 0.0);
    let _resumed = gate.resume(t.at(2.0));
    let changed = gate.settle(old[1], &stop(), t.at(3.0), 0.0);
    assert_eq!(changed, GateUpdate::default());
    assert_eq!(gate.stop_reason(), None);
}

#[test]
fn success_that_began_before_a_stop_does_not_end_it() {
    let t = Start::new();
    let mut gate = open_gate(4);
    let old = begin(&mut gate, 2, t.at(0.0));
    let _stopped = gate.settle(old[0], &stop(), t.at(1.0), 0.0);
    let _changed = gate.settle(old[1], &Signal::Worked, t.at(3.0), 0.0);
    assert!(gate.stop_reason().is_some());
}

#[test]
fn failing_message_among_successes_opens_no_breaker() {
    let t = Start::new();
    let mut gate = open_gate(4);
    let mut failed_before = Some(t.at(0.5).uptime);
    for n in 1..20 {
        let _worked = send(&mut gate, &Signal::Worked, t.at(f64::from(n)));
        let at = t.at(f64::from(n) + 0.5);
        for _ in 0..9 {
            let _failed = send(&mut gate, &Signal::Failed { failed_before }, at);
        }
        failed_before = Some(at.uptime);
    }
    assert!(!gate.is_open());
}

#[test]
fn failed_probe_of_a_suspect_message_keeps_the_interval() {
    let t = Start::new();
    let mut gate = open_gate(4);
    let _worked = send(&mut gate, &Signal::Worked, t.at(0.0));
    for _ in 0..5 {
        let _failed = send(&mut gate, &fail(), t.at(1.0));
    }
    let own_fault = Signal::Failed {
        failed_before: Some(Uptime::from_millis(1)),
    };
    let _failed = send(&mut gate, &own_fault, t.at(2.0));
    assert_eq!(allowed(&gate, t.at(2.0)), (0, Some(1.0)));
    let _failed = send(&mut gate, &fail(), t.at(3.0));
    assert_eq!(allowed(&gate, t.at(3.0)), (0, Some(1.25)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Steps are milliseconds between calls; each takes all permits.
    #[test]
    fn no_window_holds_more_than_the_rate(
        count in 1..6_u32,
        per in 1..2000_u64,
        steps in prop::collection::vec(0..900_u64, 1..60),
    ) {
        let t = Start::new();
        let mut gate = Gate::new("chat".into(), &limited(count, per, 100));
        let mut now = 0;
        let mut starts: Vec<u64> = Vec::new();
        for step in steps {
            now += step;
            let at = t.at(now as f64 / 1000.0);
            let allowance = gate.permits(at);
            prop_assert_eq!(allowance.count == 0, allowance.next_at.is_some());
            prop_assert!(allowance.next_at.is_none_or(|next_at| next_at > at.mono));
            for begun in begin(&mut gate, allowance.count, at) {
                let _changed = gate.settle(begun, &Signal::Worked, at, 0.0);
                starts.push(now);
            }
        }
        for from in &starts {
            let window = starts.iter().filter(|at| (*from..from + per).contains(at));
            prop_assert!(window.count() <= count as usize);
        }
    }
}
