use proptest::prelude::*;

use super::*;

const POLICY: RetryPolicy = RetryPolicy {
    retry_for: Duration::from_secs(24 * 3600),
    recognises_repeats: false,
};
const NOW: Timestamp = Timestamp::from_millis(1_711_111_111_000);
const FORMS: &[Form] = &[Form::Full, Form::NoImages, Form::Text];

fn tried(attempt: u32) -> Tried<'static> {
    Tried {
        attempt,
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
fn the_schedule_is_two_seconds_then_thrice_as_long_up_to_five_minutes() {
    for (attempt, seconds) in [
        (1, 2),
        (2, 6),
        (3, 18),
        (4, 54),
        (5, 162),
        (6, 300),
        (u32::MAX, 300),
    ] {
        let verdict = POLICY.after(&retry(), tried(attempt), NOW, 0.0);
        assert_eq!(
            verdict,
            in_ms(seconds * 1000, Form::Full),
            "attempt {attempt}"
        );
    }
    assert_eq!(
        POLICY.after(&retry(), tried(1), NOW, 1.0),
        in_ms(2400, Form::Full)
    );
    assert_eq!(
        POLICY.after(&retry(), tried(1), NOW, f64::NAN),
        in_ms(2000, Form::Full)
    );
}

#[test]
fn a_lost_answer_is_asked_for_again_at_once_only_where_a_repeat_is_recognised() {
    assert_eq!(
        POLICY.after(&ambiguous(), tried(1), NOW, 0.0),
        in_ms(2000, Form::Full)
    );
    let keyed = RetryPolicy {
        recognises_repeats: true,
        ..POLICY
    };
    assert_eq!(
        keyed.after(&ambiguous(), tried(1), NOW, 0.0),
        in_ms(500, Form::Full)
    );
    assert_eq!(
        keyed.after(&ambiguous(), tried(2), NOW, 0.0),
        in_ms(6000, Form::Full)
    );
}

#[test]
fn a_refused_form_is_followed_by_the_next_plainer_one_at_once_and_after_the_last_by_death() {
    let refused = Outcome::Degrade {
        reason: "bad card".into(),
    };
    let mut form = Form::Full;
    let mut seen = vec![form];
    while let Verdict::RetryAt { due_at, form: next } =
        POLICY.after(&refused, Tried { form, ..tried(1) }, NOW, 1.0)
    {
        assert_eq!(due_at, NOW);
        seen.push(next);
        form = next;
    }
    assert_eq!(seen, FORMS);
    let verdict = POLICY.after(&refused, Tried { form, ..tried(3) }, NOW, 0.0);
    let reason = "refused in its plainest form: bad card".into();
    assert_eq!(verdict, Verdict::Dead { reason });
    // After a reload the destination no longer has the form that was sent.
    let verdict = POLICY.after(
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
fn an_unknown_refusal_is_degraded_and_in_the_plainest_form_retried() {
    let unknown = Outcome::Unknown {
        reason: "code 230101".into(),
    };
    let after = |form, attempt| {
        let tried = Tried {
            form,
            ..tried(attempt)
        };
        POLICY.after(&unknown, tried, NOW, 0.0)
    };
    assert_eq!(after(Form::Full, 1), in_ms(0, Form::NoImages));
    assert_eq!(after(Form::NoImages, 2), in_ms(0, Form::Text));
    assert_eq!(after(Form::Text, 3), in_ms(2000, Form::Text));
    assert_eq!(after(Form::Text, 4), in_ms(6000, Form::Text));
    let spent = Tried {
        form: Form::Text,
        spent: POLICY.retry_for,
        ..tried(9)
    };
    let verdict = POLICY.after(&unknown, spent, NOW, 0.0);
    assert!(matches!(verdict, Verdict::Dead { .. }));
}

#[test]
fn a_pause_is_kept_and_clamped_and_a_stop_waits_ten_minutes() {
    let slow = |pause| Outcome::SlowDown {
        pause,
        reason: "429".into(),
    };
    let after = |outcome: &Outcome| POLICY.after(outcome, tried(2), NOW, 0.0);
    assert_eq!(
        after(&slow(Some(Duration::from_secs(7)))),
        in_ms(7000, Form::Full)
    );
    assert_eq!(
        after(&slow(Some(Duration::MAX))),
        in_ms(3_600_000, Form::Full)
    );
    assert_eq!(after(&slow(None)), in_ms(6000, Form::Full));
    let stop = Outcome::Stop {
        reason: "the bot is gone".into(),
    };
    assert_eq!(after(&stop), in_ms(600_000, Form::Full));
}

#[test]
fn what_is_done_is_done_and_what_was_tried_for_too_long_is_dead() {
    assert_eq!(
        POLICY.after(&Outcome::Delivered, tried(9), NOW, 0.0),
        Verdict::Done
    );
    let rejected = Outcome::Rejected {
        reason: "no".into(),
    };
    let dead = Verdict::Dead {
        reason: "no".into(),
    };
    assert_eq!(POLICY.after(&rejected, tried(1), NOW, 0.0), dead);
    let stop = Outcome::Stop {
        reason: "no".into(),
    };
    let slow = Outcome::SlowDown {
        pause: None,
        reason: "no".into(),
    };
    for outcome in [retry(), ambiguous(), stop, slow] {
        let at = |spent| POLICY.after(&outcome, Tried { spent, ..tried(3) }, NOW, 0.0);
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
        POLICY.after(&Outcome::Delivered, late, NOW, 0.0),
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
