//! Erasing people, and the end of retention.

use super::*;

#[tokio::test]
async fn erased_event_has_no_actors() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    bench.store().erase(seq).await.unwrap();
    assert_eq!(bench.traces_of("Li Lei marker"), Vec::<String>::new());
    let state = state(&bench, seq).await;
    assert_eq!(
        (state.status, state.by.name),
        (FeedbackStatus::PROCESSING, None)
    );
    assert_outbox_is_empty(&bench).await;
    // Nothing can be shown any more, but the status can still be changed.
    assert!(matches!(
        click(&bench, seq, TriageAction::Done).await,
        ActionOutcome::Changed(_)
    ));
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
}

#[tokio::test]
async fn actor_is_erased_from_all_their_actions() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let claimed = changed(click(&bench, seq, TriageAction::Claim).await);
    let edit = bench.lease_one("product").await;
    let mut finished = bench.finished(&edit, Verdict::Done);
    finished.attempt.as_mut().unwrap().excerpt = Some("Li Lei marker".to_owned());
    bench.record(&edit, finished).await;
    assert_ne!(bench.traces_of("Li Lei marker"), [""; 0]);
    assert_ne!(bench.traces_of("ou_li"), [""; 0]);

    assert_eq!(bench.store().clicks_of("ou_li").await, Ok(1));
    assert_eq!(bench.store().forget_clicks("ou_li").await, Ok(1));
    assert_eq!(bench.traces_of("Li Lei marker"), [""; 0]);
    assert_eq!(bench.traces_of("ou_li"), [""; 0]);
    assert_eq!(bench.store().clicks_of("ou_li").await, Ok(0));
    // The status stays, but only locally: it was not written to Feishu yet, and now cannot be in this
    // name.
    let now = state(&bench, seq).await;
    assert_eq!((now.status, now.by.id), (claimed.status, None));
    assert!(now.local_only);
    assert_outbox_is_empty(&bench).await;
    let event = bench.store().event("e1").await.unwrap().unwrap();
    assert!(event.body.is_some(), "the report is another person's");
}

#[tokio::test]
async fn statuses_are_removed_with_their_events() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    end_edits(&bench, &["oncall", "product"]).await;
    let mut stray = change(&bench, "u1", FeedbackStatus::CLOSED, 0);
    stray.change.as_mut().unwrap().feedback_ids = vec!["fb-unknown".into()];
    bench.accept(stray).await;
    bench.clock.advance(Duration::from_secs(1));
    let later = bench.now();
    bench.store().sweep(later, later).await.unwrap();
    assert_eq!(bench.store().feedback_state(seq).await, Ok(None));
    assert_outbox_is_empty(&bench).await;
    let unknown = bench.accept(bench.arrival("unknown", &[])).await;
    assert_eq!(bench.store().feedback_state(unknown).await, Ok(None));
}
