//! Button actions and undo.

use super::*;

#[tokio::test]
async fn action_changes_status_messages_and_outbox_at_once() {
    let mut bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let now = changed(click(&bench, seq, TriageAction::Claim).await);
    assert_eq!(now.status, FeedbackStatus::PROCESSING);
    assert_eq!(
        now.undo_until,
        Some(bench.now() + Duration::from_secs(15 * 60))
    );
    bench.reopen();
    assert_eq!(state(&bench, seq).await, now);
    for (place, handle) in [("oncall", "om_1"), ("product", "C1:1.5")] {
        let work = bench.lease_one(place).await.item;
        assert_eq!(work.delivery.trigger, Trigger::Edit);
        assert_eq!(
            work.message.as_ref().map(MessageHandle::as_str),
            Some(handle)
        );
        assert_eq!(work.state.as_ref(), Some(&now));
        assert_eq!(work.payload, None);
        assert_eq!(work.delivery.spec.template, "alert");
    }
    let job = lease_status(&bench).await.item;
    assert_eq!(
        (job.status, job.via.as_str(), job.app_id.as_str()),
        (FeedbackStatus::PROCESSING, "shop", APP)
    );
    assert_eq!(
        (job.feedback_id.as_str(), job.operator.expose()),
        ("fb-e1", "ou_li")
    );
}

#[tokio::test]
async fn repeated_action_changes_nothing() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let first = changed(click(&bench, seq, TriageAction::Claim).await);
    bench.deliver(&bench.lease_one("oncall").await, 0).await;
    bench.clock.advance(Duration::from_secs(1));
    let again = bench
        .store()
        .apply_action(ApplyAction {
            by: Actor::default(),
            ..acting(seq, TriageAction::Claim)
        })
        .await;
    assert_eq!(again, Ok(ActionOutcome::Already(first)));
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    assert_eq!(bench.store().feedback_acts(seq).await.unwrap().len(), 1);
    assert_eq!(
        click(&bench, EventSeq(99), TriageAction::Claim).await,
        ActionOutcome::Unknown
    );
}

#[tokio::test]
async fn change_can_be_undone_once_within_the_undo_period() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    let done = changed(click(&bench, seq, TriageAction::Done).await);
    let back = changed(undo(&bench, seq, done.changed_at).await);
    assert_eq!(
        (back.status, back.undo_until),
        (FeedbackStatus::PROCESSING, None)
    );
    assert_eq!(
        undo(&bench, seq, done.changed_at).await,
        ActionOutcome::Already(back)
    );
    let closed = changed(click(&bench, seq, TriageAction::NotOurs).await);
    bench.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(
        undo(&bench, seq, closed.changed_at).await,
        ActionOutcome::TooLate(closed)
    );
    end_edits(&bench, &["oncall", "product"]).await;
    assert_eq!(bench.store().end_undos().await, Ok(1));
    assert_eq!(bench.store().end_undos().await, Ok(0));
    let shown = bench.lease_one("oncall").await.item.state.unwrap();
    assert_eq!(shown.undo_until, None);
}

#[tokio::test]
async fn action_without_operator_is_not_written_to_platform() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let here = ApplyAction {
        operator: None,
        through: ChangeSource::Slack,
        ..acting(seq, TriageAction::Claim)
    };
    let claimed = changed(bench.store().apply_action(here).await.unwrap());
    assert!(claimed.local_only);
    assert_outbox_is_empty(&bench).await;
    // Undo leaves nothing to write to the platform.
    let back = changed(undo(&bench, seq, claimed.changed_at).await);
    assert!(!back.local_only);
    assert_outbox_is_empty(&bench).await;
}

#[tokio::test]
async fn undo_of_local_only_status_restores_local_only_status() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let here = |act| ApplyAction {
        operator: None,
        ..acting(seq, act)
    };
    bench
        .store()
        .apply_action(here(TriageAction::Claim))
        .await
        .unwrap();
    let done = changed(
        bench
            .store()
            .apply_action(here(TriageAction::Done))
            .await
            .unwrap(),
    );
    let back = changed(undo(&bench, seq, done.changed_at).await);
    assert_eq!(back.status, FeedbackStatus::PROCESSING);
    assert!(back.local_only, "the platform never heard of that either");
}
