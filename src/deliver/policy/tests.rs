use proptest::prelude::*;

use super::*;

const POLICY: RetryPolicy = RetryPolicy {
    retry_for: Duration::from_secs(24 * 3600),
    recognises_repeats: false,
};
const NOW: Timestamp = Timestamp::from_millis(1_711_111_111_000);
const FORMS: &[Form] = &[Form::Full, Form::NoImages, Form::Text];

/// Returns the state before attempt number `attempt` if all before it failed.
fn tried(attempt: u32) -> Tried<'static> {
    Tried {
        failures: attempt - 1,
        unanswered: 0,
        failed_at: None,
        spent: Duration::ZERO,
        form: Form::Full,
        forms: FORMS,
    }
}

fn retry() -> Outcome {
    Outcome::Retry {
        reason: "502".into(),
    }
}

fn ambiguous() -> Outcome {
    Outcome::Ambiguous {
        reason: "the answer was lost".into(),
    }
}

fn in_ms(millis: u64, form: Form) -> Verdict {
    Verdict::RetryAt {
        due_at: NOW + Duration::from_millis(millis),
        form,
    }
}

#[test]
fn backoff_starts_at_two_seconds_and_triples_to_five_minutes() {
    for (attempt, seconds) in [
        (1, 2),
        (2, 6),
        (3, 18),
        (4, 54),
        (5, 162),
        (6, 300),
        (u32::MAX, 300),
    ] {
        let verdict = POLICY.verdict(&retry(), tried(attempt), NOW, 0.0);
        assert_eq!(
            verdict,
            in_ms(seconds * 1000, Form::Full),
            "attempt {attempt}"
        );
    }
    assert_eq!(
        POLICY.verdict(&retry(), tried(1), NOW, 1.0),
        in_ms(2400, Form::Full)
    );
    assert_eq!(
        POLICY.verdict(&retry(), tried(1), NOW, f64::NAN),
        in_ms(2000, Form::Full)
    );
}

#[test]
fn lost_answer_is_repeated_at_once_if_repeats_are_recognised() {
    assert_eq!(
        POLICY.verdict(&ambiguous(), tried(1), NOW, 0.0),
        in_ms(2000, Form::Full)
    );
    let keyed = RetryPolicy {
        recognises_repeats: true,
        ..POLICY
    };
    assert_eq!(
        keyed.verdict(&ambiguous(), tried(1), NOW, 0.0),
        in_ms(500, Form::Full)
    );
    assert_eq!(
        keyed.verdict(&ambiguous(), tried(2), NOW, 0.0),
        in_ms(6000, Form::Full)
    );
}

#[test]
fn refused_form_degrades_at_once_until_none_is_left() {
    let refused = Outcome::Degrade {
        reason: "bad card".into(),
    };
    let mut form = Form::Full;
    let mut seen = vec![form];
    while let Verdict::RetryAt { due_at, form: next } =
        POLICY.verdict(&refused, Tried { form, ..tried(1) }, NOW, 1.0)
    {
        assert_eq!(due_at, NOW);
        seen.push(next);
        form = next;
    }
    assert_eq!(seen, FORMS);
    let verdict = POLICY.verdict(&refused, Tried { form, ..tried(3) }, NOW, 0.0);
    let reason = "refused in its plainest form: bad card".into();
    assert_eq!(verdict, Verdict::Dead { reason });
    // After a reload the destination no longer has the form that was sent.
    let verdict = POLICY.verdict(
        &refused,
        Tried {
            form: Form::Post,
            ..tried(1)
        },
        NOW,
        0.0,
    );
    assert_eq!(verdict, in_ms(0, Form::Text));
}

#[test]
fn unknown_refusal_degrades_and_plainest_form_is_retried() {
    let unknown = Outcome::Unknown {
        reason: "code 230101".into(),
    };
    let after = |form, attempt| {
        let tried = Tried {
            form,
            ..tried(attempt)
        };
        POLICY.verdict(&unknown, tried, NOW, 0.0)
    };
    assert_eq!(after(Form::Full, 1), in_ms(0, Form::NoImages));
    assert_eq!(after(Form::NoImages, 1), in_ms(0, Form::Text));
    assert_eq!(after(Form::Text, 1), in_ms(2000, Form::Text));
    assert_eq!(after(Form::Text, 2), in_ms(6000, Form::Text));
    let spent = Tried {
        form: Form::Text,
        spent: POLICY.retry_for,
        ..tried(9)
    };
    let verdict = POLICY.verdict(&unknown, spent, NOW, 0.0);
    assert!(matches!(verdict, Verdict::Dead { .. }));
}

#[test]
fn pause_and_stop_leave_the_due_time_to_the_gate() {
    let slow = Outcome::SlowDown {
        pause: Some(Duration::from_secs(7)),
        reason: "429".into(),
    };
    let stop = Outcome::Stop {
        reason: "the bot is gone".into(),
    };
    for outcome in [slow, stop] {
        let verdict = POLICY.verdict(&outcome, tried(2), NOW, 1.0);
        assert_eq!(verdict, in_ms(0, Form::Full));
    }
}

#[test]
fn lost_answers_end_as_unconfirmed_where_no_repeat_is_recognised() {
    let after = |policy: RetryPolicy, unanswered| {
        let tried = Tried {
            unanswered,
            ..tried(unanswered + 1)
        };
        policy.verdict(&ambiguous(), tried, NOW, 0.0)
    };
    assert_eq!(after(POLICY, 0), in_ms(2000, Form::Full));
    assert_eq!(after(POLICY, 1), in_ms(6000, Form::Full));
    let reason = "perhaps delivered: the answer was lost".into();
    assert_eq!(after(POLICY, 2), Verdict::Unconfirmed { reason });
    let keyed = RetryPolicy {
        recognises_repeats: true,
        ..POLICY
    };
    assert_eq!(after(keyed, 2), in_ms(18_000, Form::Full));
}

#[test]
fn signal_distinguishes_message_and_destination_faults() {
    let reason = || "no".to_owned();
    let of = |outcome: &Outcome, form| signal(outcome, Tried { form, ..tried(1) });
    let failed = Signal::Failed {
        failed_before: None,
    };
    assert_eq!(of(&Outcome::Delivered, Form::Full), Signal::Worked);
    for outcome in [
        Outcome::Rejected { reason: reason() },
        Outcome::Degrade { reason: reason() },
    ] {
        assert_eq!(of(&outcome, Form::Full), Signal::Answered);
    }
    for outcome in [retry(), ambiguous()] {
        assert_eq!(of(&outcome, Form::Full), failed);
    }
    let unknown = Outcome::Unknown { reason: reason() };
    assert_eq!(of(&unknown, Form::Full), Signal::Unclear);
    assert_eq!(of(&unknown, Form::Text), failed);
}

#[test]
fn verdict_is_done_after_success_and_dead_after_retry_for() {
    assert_eq!(
        POLICY.verdict(&Outcome::Delivered, tried(9), NOW, 0.0),
        Verdict::Done
    );
    let rejected = Outcome::Rejected {
        reason: "no".into(),
    };
    let dead = Verdict::Dead {
        reason: "no".into(),
    };
    assert_eq!(POLICY.verdict(&rejected, tried(1), NOW, 0.0), dead);
    let stop = Outcome::Stop {
        reason: "no".into(),
    };
    let slow = Outcome::SlowDown {
        pause: None,
        reason: "no".into(),
    };
    for outcome in [retry(), ambiguous(), stop, slow] {
        let at = |spent| POLICY.verdict(&outcome, Tried { spent, ..tried(3) }, NOW, 0.0);
        let before = at(POLICY.retry_for - Duration::from_millis(1));
        assert!(matches!(before, Verdict::RetryAt { .. }), "{outcome:?}");
        let Verdict::Dead { reason } = at(POLICY.retry_for) else {
            panic!("{outcome:?} lives on");
        };
        assert!(
            reason.starts_with("given up after 86400 s of trying: "),
            "{reason}"
        );
    }
    let late = Tried {
        spent: Duration::MAX,
        ..tried(3)
    };
    assert_eq!(
        POLICY.verdict(&Outcome::Delivered, late, NOW, 0.0),
        Verdict::Done
    );
}

proptest! {
    #[test]
    fn backoff_never_shrinks_and_never_passes_its_cap(failures: u32, jitter in 0.0..=1.0_f64) {
        let pause = backoff(failures, jitter);
        prop_assert!(backoff(failures.saturating_add(1), jitter) >= pause);
        prop_assert!(pause >= backoff(failures, 0.0));
        prop_assert!(pause >= Duration::from_secs(2));
        prop_assert!(pause <= Duration::from_secs(360));
    }
}
