//! Reports and lists of the platform.

use super::*;

/// Builds the platform's list.
fn listed(bench: &Bench, status: FeedbackStatus, after_s: u64) -> Vec<FeedbackChange> {
    let change = change(bench, "x", status, after_s).change.unwrap();
    vec![FeedbackChange {
        told_at: None,
        ..change
    }]
}

#[tokio::test]
async fn status_is_not_local_only_once_platform_reports_it() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let here = ApplyAction {
        operator: None,
        ..acting(seq, TriageAction::Done)
    };
    bench.store().apply_action(here).await.unwrap();
    bench
        .accept(change(&bench, "u1", FeedbackStatus::PROCESSED, 5))
        .await;
    assert!(!state(&bench, seq).await.local_only);
}

#[tokio::test]
async fn list_adds_missed_changes_and_reverts_no_action() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let says = |listed| bench.store().platform_lists(listed);
    let of = |status, after_s| listed(&bench, status, after_s);
    assert_eq!(says(of(FeedbackStatus::UNPROCESSED, 0)).await, Ok(0));
    assert_eq!(bench.store().feedback_state(seq).await, Ok(None));
    assert_eq!(says(of(FeedbackStatus::PROCESSING, 0)).await, Ok(1));
    assert_eq!(says(of(FeedbackStatus::PROCESSING, 0)).await, Ok(0));
    assert_eq!(bench.store().feedback_acts(seq).await.unwrap().len(), 1);
    assert_eq!(
        bench.lease_one("oncall").await.item.delivery.trigger,
        Trigger::Edit
    );

    bench.clock.advance(Duration::from_secs(60));
    click(&bench, seq, TriageAction::Done).await;
    assert_eq!(says(of(FeedbackStatus::CLOSED, 300)).await, Ok(0));
    let job = lease_status(&bench).await;
    finish_status(&bench, &job, StatusVerdict::Done).await;
    let old = listed(&bench, FeedbackStatus::PROCESSING, 0);
    let old = old.into_iter().map(|change| FeedbackChange {
        updated_at: Some(bench.now() - Duration::from_secs(60)),
        ..change
    });
    assert_eq!(says(old.collect()).await, Ok(0));
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::PROCESSED);
    let odd = of(FeedbackStatus::CLOSED, 8 * 3600);
    assert_eq!(says(odd).await, Ok(0), "its zone is not what we think");
    bench.clock.advance(Duration::from_secs(300));
    assert_eq!(says(of(FeedbackStatus::CLOSED, 0)).await, Ok(1));
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::CLOSED);
    let unknown = FeedbackChange {
        feedback_ids: vec!["nobody's".into()],
        ..listed(&bench, FeedbackStatus::CLOSED, 0).remove(0)
    };
    assert_eq!(says(vec![unknown]).await, Ok(0));
}

#[tokio::test]
async fn platform_report_changes_status_and_every_message() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    bench
        .accept(change(&bench, "u1", FeedbackStatus::CLOSED, 0))
        .await;
    let now = state(&bench, seq).await;
    assert_eq!(
        (now.status, now.through),
        (FeedbackStatus::CLOSED, ChangeSource::Platform)
    );
    assert_eq!((now.undo_until, now.local_only), (None, false));
    let edit = bench.lease_one("oncall").await;
    assert_eq!(edit.item.state.as_ref(), Some(&now));
    assert_outbox_is_empty(&bench).await;
}

#[tokio::test]
async fn newest_of_reordered_platform_reports_wins() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    bench.clock.advance(Duration::from_secs(100));
    let newer = change(&bench, "u2", FeedbackStatus::PROCESSED, 0);
    let mut older = change(&bench, "u1", FeedbackStatus::PROCESSING, 0);
    let change = older.change.as_mut().unwrap();
    change.updated_at = Some(bench.now() - Duration::from_secs(50));
    bench.accept(newer).await;
    end_edits(&bench, &["oncall"]).await;
    bench.accept(older).await;
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::PROCESSED);
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    let acts = bench.store().feedback_acts(seq).await.unwrap();
    let effects: Vec<_> = acts.iter().map(|act| act.effect).collect();
    assert_eq!(effects, [Effect::Changed, Effect::Stale]);
}

#[tokio::test]
async fn echo_of_own_request_causes_no_edit_or_message() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    end_edits(&bench, &["oncall", "product"]).await;
    let job = lease_status(&bench).await;
    finish_status(&bench, &job, StatusVerdict::Done).await;
    // The destination whose message shows the change needs no delivery; others that asked for changes
    // do.
    let echo = Arrival {
        deliveries: vec![
            bench.delivery("oncall", Severity::Info),
            bench.delivery("warehouse", Severity::Info),
        ],
        ..change(&bench, "u1", FeedbackStatus::PROCESSING, 1)
    };
    bench.accept(echo).await;
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    assert_eq!(bench.lease("product", 9).await.len(), 0);
    assert_eq!(bench.lease("warehouse", 9).await.len(), 1);
    assert_eq!(state(&bench, seq).await.through, ChangeSource::Feishu);
}

#[tokio::test]
async fn echo_before_sent_messages_are_renamed_causes_no_message() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let (old, new): (DestinationName, DestinationName) = ("oncall".into(), "duty".into());
    let former = [(old.clone(), new.clone())].into();
    bench.store().set_former_names(former);
    click(&bench, seq, TriageAction::Claim).await;
    let job = lease_status(&bench).await;
    finish_status(&bench, &job, StatusVerdict::Done).await;
    let echo = Arrival {
        deliveries: vec![bench.delivery("duty", Severity::Info)],
        ..change(&bench, "u1", FeedbackStatus::PROCESSING, 1)
    };
    bench.accept(echo).await;
    let old = [old];
    let renamed = bench.store().rename_destination(&old, &new).await;
    assert_eq!(renamed.unwrap().moved, 1);
    bench.store().rename_sent(&old, &new).await.unwrap();
    let edit = bench.lease_one("duty").await.item;
    assert_eq!(edit.delivery.trigger, Trigger::Edit);
    assert_eq!(
        edit.message.as_ref().map(MessageHandle::as_str),
        Some("om_1")
    );
}

#[tokio::test]
async fn late_echo_of_undone_status_is_ignored() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let claimed = changed(click(&bench, seq, TriageAction::Claim).await);
    let job = lease_status(&bench).await;
    finish_status(&bench, &job, StatusVerdict::Done).await;
    bench.clock.advance(Duration::from_secs(2));
    undo(&bench, seq, claimed.changed_at).await;
    // The platform's clock is slightly ahead.
    bench
        .accept(change(&bench, "u1", FeedbackStatus::PROCESSING, 1))
        .await;
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::UNPROCESSED);
    assert_eq!(
        lease_status(&bench).await.item.status,
        FeedbackStatus::UNPROCESSED
    );
}

#[tokio::test]
async fn platform_report_before_its_feedback_is_kept() {
    let bench = Bench::new();
    bench
        .accept(change(&bench, "u1", FeedbackStatus::PROCESSING, 0))
        .await;
    let seq = accept_and_deliver(&bench).await;
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::PROCESSING);
    assert_eq!(
        bench.lease("oncall", 9).await.len(),
        1,
        "it may have been rendered before"
    );
}

#[tokio::test]
async fn status_change_replies_to_the_first_message() {
    let bench = Bench::new();
    accept_and_deliver(&bench).await;
    let news = Arrival {
        deliveries: vec![
            bench.delivery("oncall", Severity::Warning),
            bench.delivery("elsewhere", Severity::Warning),
        ],
        ..change(&bench, "u1", FeedbackStatus::CLOSED, 0)
    };
    bench.accept(news).await;
    let mut at_oncall = bench.lease("oncall", 9).await;
    at_oncall.retain(|lease| lease.item.delivery.trigger == Trigger::Event);
    let message = at_oncall[0].item.message.as_ref();
    assert_eq!(message.map(MessageHandle::as_str), Some("om_1"));
    assert_eq!(bench.lease_one("elsewhere").await.item.message, None);
}
