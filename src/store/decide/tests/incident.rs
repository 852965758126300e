use std::time::Duration;

use proptest::prelude::*;

use super::at;
use crate::model::*;
use crate::store::decide::incident::{
    Acted, AfterEnd, IncidentEffect, act, advance, after_end, end, follow_action, late_report,
    mute, next_at, open, reopen, report,
};
use crate::store::{ActionOutcome, ApplyIncidentAction};

const MINUTE: u64 = 60;

fn terms(from: u64, steps: Vec<EscalationStep>) -> GroupTerms {
    GroupTerms {
        from,
        interval: Duration::from_secs(5 * MINUTE),
        repeat_after: Some(Duration::from_secs(4 * 3600)),
        resolve_after: Duration::from_secs(30 * MINUTE),
        steps,
        hold: None,
    }
}

fn step(step_at: EscalateAt, unless_claimed: bool) -> EscalationStep {
    EscalationStep {
        at: step_at,
        unless_claimed,
        mentions: vec!["sre".into()],
        send_to: Vec::new(),
    }
}

/// Runs reports at the given seconds, and all timers until `until`. Returns each effect with its second.
fn run(terms: &GroupTerms, reports: &[i64], until: i64) -> Vec<(i64, IncidentEffect)> {
    let first = reports.first().copied().unwrap();
    let mut incident = open(terms.clone(), 0, at(first));
    let mut reports = reports.iter().copied().peekable();
    let mut effects = Vec::new();
    loop {
        // Rounded up to a whole second.
        let timer =
            next_at(&incident).map(|due| (due.as_millis() - at(0).as_millis() + 999) / 1000);
        let report_at = reports.peek().copied();
        match (report_at, timer) {
            (Some(report_at), timer)
                if timer.is_none_or(|timer| report_at <= timer) || incident.count == 0 =>
            {
                reports.next();
                report(&mut incident, terms, None, at(report_at));
            }
            (_, Some(timer)) if timer <= until => {
                let made = advance(&mut incident, at(timer));
                effects.extend(made.into_iter().map(|effect| (timer, effect)));
            }
            _ => return effects,
        }
    }
}

fn sent(news: IncidentNews) -> IncidentEffect {
    IncidentEffect::Send(news)
}

#[test]
fn few_reports_are_delivered_individually_and_end_in_silence() {
    let mut incident = open(terms(5, vec![]), 0, at(0));
    for second in 0..5 {
        assert!(!report(&mut incident, &terms(5, vec![]), None, at(second)));
    }
    assert_eq!(run(&terms(5, vec![]), &[0, 1, 2, 3, 4], 10_000), []);
    assert!(report(&mut incident, &terms(5, vec![]), None, at(5)));
}

#[test]
fn next_report_creates_the_message_and_quiet_ends_it() {
    let effects = run(&terms(1, vec![]), &[0, 10], 10_000);
    let expected = [
        (10, sent(IncidentNews::Opened)),
        (10 + 1800, IncidentEffect::Edit),
        (10 + 1800, sent(IncidentNews::Quiet)),
    ];
    assert_eq!(effects, expected);
}

#[test]
fn storm_of_a_minute_causes_at_most_fifteen_edits_and_one_digest_per_interval() {
    let storm: Vec<i64> = (0..300).map(|index| index / 5).collect();
    let effects = run(&terms(5, vec![]), &storm, 10_000);
    let edits = effects
        .iter()
        .filter(|(_, effect)| *effect == IncidentEffect::Edit);
    assert!(edits.count() <= 15);
    let digests = effects
        .iter()
        .filter(|(_, effect)| *effect == IncidentEffect::SendDigest);
    assert_eq!(digests.count(), 1);
    assert_eq!(
        effects.last(),
        Some(&(59 + 1800, sent(IncidentNews::Quiet)))
    );
}

#[test]
fn steps_run_once_by_count_and_by_time() {
    let steps = vec![
        step(EscalateAt::Count(3), false),
        step(EscalateAt::After(Duration::from_secs(15 * MINUTE)), true),
    ];
    let effects = run(&terms(1, steps), &[0, 1, 2, 3], 1000);
    let expected = [
        (1, sent(IncidentNews::Opened)),
        (2, IncidentEffect::Escalate(0)),
        (6, IncidentEffect::Edit),
        (301, IncidentEffect::SendDigest),
        (900, IncidentEffect::Escalate(1)),
    ];
    assert_eq!(effects, expected);
}

#[test]
fn claim_cancels_the_steps_that_it_may_cancel() {
    let after = EscalateAt::After(Duration::from_secs(60));
    let terms = terms(1, vec![step(after, true), step(after, false)]);
    let mut incident = open(terms.clone(), 0, at(0));
    report(&mut incident, &terms, None, at(0));
    incident.claimed = true;
    assert_eq!(
        advance(&mut incident, at(60)),
        [IncidentEffect::Escalate(1)]
    );
}

#[test]
fn late_report_counts_and_notifies_nobody() {
    let open_at = |state: IncidentState| {
        let mut incident = shown();
        incident.terms.steps = vec![step(EscalateAt::Count(3), false)];
        if state != IncidentState::Open {
            end(&mut incident, state, at(20));
        }
        incident
    };
    let quiet = at(2 + 1800);
    for (state, reported_at, now, expected) in [
        (IncidentState::Open, Some(at(0)), at(30), true),
        (IncidentState::Open, Some(at(-1)), at(30), false),
        (IncidentState::Open, None, at(30), false),
        (IncidentState::Open, Some(at(5)), quiet, false),
        (IncidentState::Quiet, Some(at(5)), at(30), false),
        (IncidentState::Done, Some(at(25)), at(30), false),
    ] {
        let mut incident = open_at(state);
        let before = incident.clone();
        let counted = late_report(&mut incident, reported_at, now);
        assert_eq!(counted, expected, "{state} {reported_at:?}");
        let after = IncidentProgress {
            count: before.count + u64::from(expected),
            late: u64::from(expected),
            edit_due: expected || before.edit_due,
            ..before.clone()
        };
        assert_eq!(incident, after);
        // Neither a step nor a digest nor a repetition follows, and the end stays.
        let effects = advance(&mut incident, at(29));
        assert!(
            effects.iter().all(|one| *one == IncidentEffect::Edit),
            "{effects:?}"
        );
    }
    let mut few = open(terms(1, vec![]), 0, at(0));
    report(&mut few, &terms(1, vec![]), None, at(0));
    assert!(late_report(&mut few, Some(at(0)), at(9)));
    assert_eq!(advance(&mut few, at(9)), [], "it has no message yet");
}

#[test]
fn new_burst_in_a_claimed_incident_notifies_once() {
    let interval = 5 * 60;
    let terms = terms(1, vec![step(EscalateAt::Count(3), true)]);
    for (claimed, after_claim, expected) in [
        (true, vec![10, 11, 12], vec![12]),
        (true, vec![10, 11, 12, 13, 14, 15, 16], vec![12]),
        (true, vec![10, 11], vec![]),
        // The third comes in the next period, whose own third comes later.
        (true, vec![10, 11, 9 + interval], vec![]),
        (true, vec![10, 11, 9 + interval, 310, 311], vec![311]),
        (false, vec![10, 11, 12, 13, 14, 15], vec![10]),
    ] {
        let mut incident = open(terms.clone(), 0, at(0));
        report(&mut incident, &terms, None, at(0));
        report(&mut incident, &terms, None, at(1));
        advance(&mut incident, at(1));
        if claimed {
            let acting = pressed(TriageAction::Claim, "li");
            act(&mut incident, None, &acting, EventSeq(2), true, at(9));
        }
        let mut notified = Vec::new();
        for second in after_claim {
            report(&mut incident, &terms, None, at(second));
            let effects = advance(&mut incident, at(second));
            notified.extend(
                effects
                    .contains(&IncidentEffect::Escalate(0))
                    .then_some(second),
            );
        }
        assert_eq!(notified, expected, "{claimed}");
    }
}

#[test]
fn flapping_incident_becomes_quiet_later_each_time() {
    let minutes = |reopened, resolve_after: u64| {
        let terms = GroupTerms {
            resolve_after: Duration::from_secs(resolve_after * MINUTE),
            ..terms(1, vec![])
        };
        let mut incident = open(terms.clone(), reopened, at(0));
        report(&mut incident, &terms, None, at(0));
        assert_eq!(incident.is_flapping(), reopened >= 3);
        next_at(&incident).map(|due| due.since(at(0)).as_secs() / MINUTE)
    };
    for (reopened, resolve_after, expected) in [
        (0, 30, 30),
        (2, 30, 30),
        (3, 30, 60),
        (4, 30, 120),
        (5, 30, 240),
        (6, 30, 240),
        (u64::MAX - 1, 30, 240),
        (3, 600, 600),
    ] {
        assert_eq!(
            minutes(reopened, resolve_after),
            Some(expected),
            "{reopened}"
        );
    }
}

fn pressed(act: TriageAction, name: &str) -> ApplyIncidentAction {
    ApplyIncidentAction {
        incident: IncidentId(1),
        act,
        by: Actor {
            name: Some(Private::new(name)),
            ..Actor::default()
        },
        through: ChangeSource::Slack,
        operators: std::collections::BTreeMap::new(),
    }
}

/// Returns an open incident with a message of its own.
fn shown() -> IncidentProgress {
    let mut incident = open(terms(1, vec![]), 0, at(0));
    report(&mut incident, &terms(1, vec![]), None, at(0));
    report(&mut incident, &terms(1, vec![]), None, at(1));
    advance(&mut incident, at(1));
    incident
}

#[test]
fn first_action_on_an_incident_wins() {
    use TriageAction::{Claim, Done, NotOurs, Undo};
    let mut incident = shown();
    let mut handled: Option<FeedbackState> = None;
    let steps = [
        (Claim, "li", "processing by li"),
        (Claim, "han", "already by li"),
        (Done, "han", "processed by han"),
        (Done, "li", "already by han"),
        (Claim, "li", "already by han"),
        (NotOurs, "li", "unknown"),
        (Undo, "li", "unknown"),
    ];
    for (action, name, expected) in steps {
        let acting = pressed(action, name);
        let acted = act(
            &mut incident,
            handled.as_ref(),
            &acting,
            EventSeq(7),
            true,
            at(9),
        );
        let by = |state: &FeedbackState| state.by.name.clone().unwrap().expose().to_owned();
        let found = match acted {
            Acted::Change { state, .. } => {
                let status = state.status.key().unwrap_or_default();
                let found = format!("{status} by {}", by(&state));
                handled = Some(state);
                found
            }
            Acted::Nothing(ActionOutcome::Already(state)) => format!("already by {}", by(&state)),
            Acted::Nothing(ActionOutcome::Unknown) => "unknown".to_owned(),
            other @ Acted::Nothing(_) => format!("{other:?}"),
        };
        assert_eq!(found, expected, "{action} by {name}");
    }
    assert_eq!(incident.state, IncidentState::Done);
}

#[test]
fn action_shows_at_once_and_is_applied_to_all_reports() {
    for (action, expected) in [
        (TriageAction::Claim, vec![IncidentEffect::Edit]),
        (
            TriageAction::Done,
            vec![IncidentEffect::Edit, sent(IncidentNews::Done)],
        ),
    ] {
        let mut incident = shown();
        let acting = pressed(action, "li");
        let acted = act(&mut incident, None, &acting, EventSeq(7), false, at(9));
        let Acted::Change { effects, .. } = acted else {
            panic!("{acted:?}")
        };
        assert_eq!(effects, expected);
        assert_eq!(next_at(&incident), Some(at(1)), "the reports are due");
        assert_eq!(advance(&mut incident, at(9)), [IncidentEffect::Apply]);
        // Later reports follow the action.
        incident.applied_to = incident.applies_to;
        follow_action(&mut incident, EventSeq(8));
        assert_eq!(advance(&mut incident, at(9)), [IncidentEffect::Apply]);
    }
}

#[test]
fn ended_incident_takes_no_action() {
    for state in [
        IncidentState::Quiet,
        IncidentState::Continued,
        IncidentState::Closed,
    ] {
        let mut incident = shown();
        end(&mut incident, state, at(5));
        let acting = pressed(TriageAction::Done, "li");
        let acted = act(&mut incident, None, &acting, EventSeq(7), true, at(9));
        assert_eq!(acted, Acted::Nothing(ActionOutcome::Ended));
        follow_action(&mut incident, EventSeq(8));
        assert_eq!(incident.applies_to, EventSeq(0));
        assert_eq!(after_end(&incident, None, at(9)), AfterEnd::OpensAnother);
    }
}

#[test]
fn only_a_later_report_reopens_a_done_incident() {
    let mut incident = shown();
    end(&mut incident, IncidentState::Done, at(100));
    let day = i64::try_from(INCIDENT_AGE_MAX.as_secs()).unwrap();
    for (reported_at, now, expected) in [
        (None, 101, AfterEnd::Reopens),
        (Some(at(100)), 101, AfterEnd::Reopens),
        (Some(at(99)), 101, AfterEnd::Joins),
        (Some(at(99)), day, AfterEnd::OpensAnother),
        (None, day, AfterEnd::OpensAnother),
    ] {
        assert_eq!(
            after_end(&incident, reported_at, at(now)),
            expected,
            "{reported_at:?} {now}"
        );
    }
}

#[test]
fn reopened_incident_can_be_claimed_again_and_repeats_no_passed_step() {
    let minute = EscalateAt::After(Duration::from_secs(MINUTE));
    let terms = terms(1, vec![step(minute, true)]);
    let mut incident = open(terms.clone(), 0, at(0));
    report(&mut incident, &terms, None, at(0));
    report(&mut incident, &terms, None, at(1));
    advance(&mut incident, at(1));
    let done = pressed(TriageAction::Done, "li");
    let acted = act(&mut incident, None, &done, EventSeq(2), true, at(9));
    let Acted::Change { state, .. } = acted else {
        panic!("{acted:?}")
    };
    incident.applied_to = incident.applies_to;
    let expected = [IncidentEffect::Edit, sent(IncidentNews::Reopened)];
    assert_eq!(reopen(&mut incident, None, at(3600)), expected);
    assert_eq!(advance(&mut incident, at(3601)), []);
    follow_action(&mut incident, EventSeq(3));
    assert_eq!(incident.applies_to, EventSeq(2), "it is nobody's");
    let acted = act(
        &mut incident,
        Some(&state),
        &done,
        EventSeq(3),
        true,
        at(3602),
    );
    assert!(matches!(acted, Acted::Change { .. }), "{acted:?}");
}

#[test]
fn trickle_ends_after_a_day_without_a_last_message() {
    let trickle: Vec<i64> = (0..24 * 6).map(|index| index * 600).collect();
    let terms = GroupTerms {
        repeat_after: None,
        ..terms(1, vec![])
    };
    let effects = run(&terms, &trickle, 100_000);
    let end = i64::try_from(INCIDENT_AGE_MAX.as_secs()).unwrap();
    assert_eq!(effects.last(), Some(&(end, IncidentEffect::Edit)));
}

#[test]
fn news_are_repeated_after_repeat_after_only() {
    let terms = GroupTerms {
        resolve_after: Duration::from_secs(10 * 3600),
        ..terms(1, vec![])
    };
    let repeats = |reports: &[i64]| -> Vec<i64> {
        let effects = run(&terms, reports, 9 * 3600);
        let repeats = effects
            .iter()
            .filter(|(_, effect)| *effect == sent(IncidentNews::Repeat));
        repeats.map(|(second, _)| *second).collect()
    };
    assert!(
        repeats(&[0, 1]).is_empty(),
        "no news since the first message"
    );
    assert_eq!(repeats(&[0, 1, 100]), [1 + 4 * 3600]);
}

#[test]
fn changed_terms_apply_from_the_next_report_without_passed_steps() {
    let old = terms(1, vec![]);
    let mut incident = open(old.clone(), 0, at(0));
    for second in 0..10 {
        report(&mut incident, &old, None, at(second));
    }
    advance(&mut incident, at(10));
    let new = GroupTerms {
        resolve_after: Duration::from_secs(MINUTE),
        ..terms(
            1,
            vec![
                step(EscalateAt::Count(5), false),
                step(EscalateAt::Count(11), false),
            ],
        )
    };
    report(&mut incident, &new, None, at(10));
    assert_eq!(
        advance(&mut incident, at(11)),
        [IncidentEffect::Escalate(1)]
    );
    assert_eq!(end(&mut incident, IncidentState::Closed, at(12)).len(), 2);
}

#[test]
fn clock_that_jumped_back_ends_the_incident() {
    let terms = terms(1, vec![]);
    let mut incident = open(terms.clone(), 0, at(0));
    report(&mut incident, &terms, None, at(0));
    advance(&mut incident, at(-48 * 3600));
    assert_eq!(incident.state, IncidentState::Quiet);
}

proptest! {
    /// Whatever the schedule: the incident ends, each report is counted, the messages show the last count, and
    /// edits keep their pace. Late reports are counted too, and run no step of `escalate`.
    #[test]
    fn every_schedule_ends_with_the_last_count_shown(
        reports in prop::collection::vec((0_i64..2000, prop::bool::weighted(0.2)), 1..120),
        from in 1_u64..8,
        late in 0_i64..300,
        reopened in 0_u64..6,
        claims in any::<bool>(),
    ) {
        let terms = terms(from, vec![step(EscalateAt::Count(4), false)]);
        let mut incident = open(terms.clone(), reopened, at(0));
        let mut on_time = 0;
        let mut escalated = 0;
        let mut second = 0;
        let mut counted = 0;
        let mut edits: Vec<i64> = Vec::new();
        let mut shown = 0;
        let mut timers = |incident: &mut IncidentProgress, until: i64| {
            while let Some(due) = next_at(incident).filter(|due| *due <= at(until)) {
                // A timer may run late, but never twice.
                let now = due + Duration::from_secs(u64::try_from(late).unwrap());
                let at_ms = now.as_millis();
                for effect in advance(incident, now) {
                    match effect {
                        IncidentEffect::Edit => {
                            if incident.state == IncidentState::Open {
                                edits.push(at_ms);
                            }
                            shown = incident.count;
                        }
                        IncidentEffect::Send(IncidentNews::Opened) => shown = incident.count,
                        IncidentEffect::Escalate(_) => escalated += 1,
                        IncidentEffect::Send(_)
                        | IncidentEffect::SendDigest
                        | IncidentEffect::Apply => {}
                    }
                }
            }
        };
        for (pause, is_late) in reports {
            second += pause;
            timers(&mut incident, second);
            if incident.state != IncidentState::Open {
                break;
            }
            if is_late {
                counted += u64::from(late_report(&mut incident, Some(at(0)), at(second)));
                continue;
            }
            report(&mut incident, &terms, None, at(second));
            counted += 1;
            on_time += 1;
            if claims && !incident.claimed && incident.shown_at.is_some() {
                let acting = pressed(TriageAction::Claim, "li");
                act(&mut incident, None, &acting, EventSeq(0), true, at(second));
            }
        }
        timers(&mut incident, second + 200_000);
        prop_assert_ne!(incident.state, IncidentState::Open);
        prop_assert_eq!(incident.count, counted);
        prop_assert_eq!(shown, if on_time > from { counted } else { 0 });
        let escalated_max = if claims { 2 } else { 1 };
        prop_assert!(escalated <= escalated_max);
        prop_assert!(escalated == 0 || on_time >= 4);
        prop_assert!(edits.windows(2).all(|pair| pair[1] - pair[0] >= 5000));
        prop_assert_eq!(next_at(&incident), None);
    }
}

/// Returns a silence that ends at this second.
fn mute_until(second: i64) -> Option<Mute> {
    Some(Mute {
        silence: SilenceId(3),
        until: at(second),
    })
}

/// Returns an incident with this many reports, of which the first is delivered individually, and every kind of
/// timer. Its messages show all of them.
fn stormy(count: i64) -> IncidentProgress {
    let steps = vec![
        step(EscalateAt::Count(5), false),
        step(EscalateAt::After(Duration::from_secs(600)), false),
    ];
    let terms = GroupTerms {
        repeat_after: Some(Duration::from_secs(900)),
        ..terms(1, steps)
    };
    let mut incident = open(terms.clone(), 0, at(0));
    for second in 0..count {
        report(&mut incident, &terms, None, at(second));
        advance(&mut incident, at(second));
    }
    if incident.edit_due {
        advance(&mut incident, at(60));
    }
    incident
}

/// A step of a schedule, and the effects that it has to have.
enum Step {
    /// A report at this second. `true`: it is muted.
    Report(i64, bool),
    /// A silence until the second is added at the first one.
    Mute(i64, i64, Vec<IncidentEffect>),
    /// The timers that are due run at this second.
    Run(i64, Vec<IncidentEffect>),
    /// The operator closes the incident.
    Close(i64, Vec<IncidentEffect>),
}

/// Runs the steps on an incident with `count` reports.
fn check(name: &str, count: i64, steps: Vec<Step>) {
    let mut incident = stormy(count);
    let terms = incident.terms.clone();
    for (index, step) in steps.into_iter().enumerate() {
        let (found, expected) = match step {
            Step::Report(second, muted) => {
                let by = incident.mute.or(mute_until(1200)).filter(|_| muted);
                report(&mut incident, &terms, by, at(second));
                continue;
            }
            Step::Mute(now, until, expected) => {
                let by = mute_until(until).unwrap();
                (mute(&mut incident, by, at(now)), expected)
            }
            Step::Run(now, expected) => (advance(&mut incident, at(now)), expected),
            Step::Close(now, expected) => {
                let made = end(&mut incident, IncidentState::Closed, at(now));
                (made, expected)
            }
        };
        assert_eq!(found, expected, "{name}: step {index}");
    }
}

#[test]
fn muted_incident_notifies_once_when_the_silence_ends() {
    use IncidentEffect::Edit;
    use Step::{Mute, Report, Run};
    let unmuted = || vec![Edit, sent(IncidentNews::Unmuted)];
    let reports = vec![
        Mute(100, 1200, vec![Edit]),
        Report(200, true),
        Report(700, true),
        Report(1000, true),
        Run(1100, vec![]),
        Run(1200, unmuted()),
        Run(1201, vec![]),
    ];
    check("reports: one edit, then one edit and one reply", 3, reports);
    let none = vec![
        Mute(100, 500, vec![Edit]),
        Run(400, vec![]),
        Run(500, vec![Edit]),
    ];
    check("no report: one edit, then one edit", 3, none);
    let first = vec![
        Report(0, true),
        Report(1, true),
        Report(2, true),
        Run(900, vec![]),
        Run(1200, vec![sent(IncidentNews::Opened)]),
        Run(1201, vec![]),
    ];
    check("muted from its first report on: one message", 0, first);
    let extended = vec![
        Mute(100, 1000, vec![Edit]),
        Mute(200, 1100, vec![Edit]),
        Mute(300, 1100, vec![]),
        Report(400, true),
        Run(1000, vec![]),
        Run(1100, unmuted()),
    ];
    check("extended: edited to show the new end", 3, extended);
    let raced = vec![
        Mute(100, 600, vec![Edit]),
        Report(200, true),
        Report(601, false),
        Run(602, unmuted()),
    ];
    check("a report before the late timer: still one reply", 3, raced);
}

#[test]
fn incident_that_ends_while_it_is_muted_is_edited_only() {
    use IncidentEffect::Edit;
    use Step::{Close, Mute, Report, Run};
    let quiet = vec![
        Mute(100, 7200, vec![Edit]),
        Report(200, true),
        Run(200 + 30 * 60, vec![Edit]),
        Run(7200, vec![]),
    ];
    check("quiet", 3, quiet);
    let closed = vec![Mute(100, 7200, vec![Edit]), Close(200, vec![Edit])];
    check("closed", 3, closed);
}

#[test]
fn incident_that_is_not_muted_notifies_by_every_timer() {
    use IncidentEffect::{Edit, Escalate, SendDigest};
    use Step::{Report, Run};
    let steps = vec![
        Report(200, false),
        Run(310, vec![SendDigest, Edit]),
        Report(320, false),
        Run(340, vec![Escalate(0), Edit]),
        Run(610, vec![SendDigest, Escalate(1)]),
    ];
    check("no silence", 3, steps);
}

#[test]
fn muted_reports_are_counted_for_each_mute() {
    let mut incident = stormy(3);
    let terms = incident.terms.clone();
    for second in 100..104 {
        report(&mut incident, &terms, mute_until(500), at(second));
    }
    assert_eq!((incident.count, incident.silenced_now()), (7, 4));
    advance(&mut incident, at(500));
    assert_eq!(incident.silenced_now(), 4, "the reply shows it");
    report(&mut incident, &terms, mute_until(900), at(600));
    assert_eq!((incident.silenced, incident.silenced_now()), (5, 1));
}

#[test]
fn report_that_no_silence_mutes_ends_the_mute_of_conditions() {
    let mut incident = stormy(3);
    let terms = incident.terms.clone();
    report(&mut incident, &terms, mute_until(900), at(100));
    assert_eq!(advance(&mut incident, at(200)), [IncidentEffect::Edit]);
    report(&mut incident, &terms, None, at(300));
    assert!(!incident.is_muted(at(300)));
    let effects = advance(&mut incident, at(310));
    assert!(effects.contains(&IncidentEffect::Edit), "{effects:?}");
}

#[test]
fn muted_report_reopens_an_incident_without_a_message() {
    let mut incident = shown();
    end(&mut incident, IncidentState::Done, at(100));
    assert_eq!(
        reopen(&mut incident, mute_until(900), at(200)),
        [IncidentEffect::Edit]
    );
    assert!(incident.is_muted(at(200)));
}

proptest! {
    /// Whatever the schedule: while the incident is muted, it notifies nobody, and each report is counted.
    #[test]
    fn no_schedule_notifies_while_muted(
        pauses in prop::collection::vec((0_i64..900, any::<bool>()), 1..60),
        until in 0_i64..9000,
    ) {
        let steps = vec![
            step(EscalateAt::Count(4), false),
            step(EscalateAt::After(Duration::from_secs(300)), false),
        ];
        let terms = terms(1, steps);
        let mut incident = open(terms.clone(), 0, at(0));
        let (mut second, mut muted) = (0, 0);
        for (index, (pause, run)) in pauses.iter().enumerate() {
            second += pause;
            let by = mute_until(until).filter(|mute| mute.until > at(second));
            muted += u64::from(by.is_some());
            report(&mut incident, &terms, by, at(second));
            prop_assert_eq!(incident.count, u64::try_from(index + 1).unwrap());
            prop_assert_eq!(incident.silenced, muted);
            if *run {
                let was_muted = incident.is_muted(at(second));
                let effects = advance(&mut incident, at(second));
                let are_quiet = effects.iter().all(|one| *one == IncidentEffect::Edit);
                prop_assert!(!was_muted || are_quiet, "{effects:?}");
            }
            if incident.state != IncidentState::Open {
                break;
            }
        }
    }
}
