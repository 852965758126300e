//! Edits of sent messages.

use super::*;

#[tokio::test]
async fn message_has_one_edit_in_progress_and_the_newest_follows() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    let in_flight = bench.lease_one("oncall").await;
    click(&bench, seq, TriageAction::Done).await;
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    // At the other destination, the waiting edit is rendered when it is sent.
    let other = bench.lease_one("product").await;
    let shown = other.item.state.as_ref().map(|state| state.status);
    assert_eq!(shown, Some(FeedbackStatus::PROCESSED));
    bench.end(&other, Verdict::Done).await;
    assert_eq!(bench.lease("product", 9).await.len(), 0);

    bench.end(&in_flight, Verdict::Done).await;
    let next = bench.lease_one("oncall").await;
    assert_eq!(next.item.state.as_ref().map(|state| state.status), shown);
    assert_ne!(next.item.delivery.id, in_flight.item.delivery.id);
    bench.end(&next, Verdict::Done).await;
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
}

#[tokio::test]
async fn edit_with_expired_lease_is_leased_again() {
    let mut bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    let lost = bench.lease_one("oncall").await;
    click(&bench, seq, TriageAction::Done).await;
    bench.reopen();
    let again = bench.lease_one("oncall").await;
    assert_eq!(again.item.delivery.id, lost.item.delivery.id);
    bench.end(&again, Verdict::Done).await;
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
}

#[tokio::test]
async fn failed_edit_is_discarded_and_can_be_retried() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    let lease = bench.lease_one("oncall").await;
    let gone = Verdict::Dead {
        reason: "the message is gone".into(),
    };
    bench.end(&lease, gone).await;
    let id = lease.item.delivery.id;
    let delivery = bench.one_delivery(id).await;
    assert_eq!(delivery.state, DeliveryState::Discarded);
    assert_eq!(delivery.reason.as_deref(), Some("the message is gone"));
    assert_eq!(bench.store().retry(id).await, Ok(AdminResult::Done));
    assert_eq!(bench.store().retry(id).await, Ok(AdminResult::Done));
    assert_eq!(
        bench.lease_one("oncall").await.item.delivery.trigger,
        Trigger::Edit
    );
    // It is not rerouted, even if its destination is stopped.
    let all = FallBack::Everything;
    assert_eq!(bench.fall_back("product", "ops", all).await, 0);
    let known = ["oncall".into()];
    bench.end_orphans(&known, "gone").await;
    assert!(
        bench
            .store()
            .stats()
            .await
            .unwrap()
            .queues
            .iter()
            .all(|queue| queue.dead == 0)
    );
}

#[tokio::test]
async fn messages_that_are_not_editable_get_no_edit() {
    let bench = Bench::new();
    let places = [("oncall", Severity::Info), ("plain", Severity::Info)];
    let seq = bench.accept(bench.arrival("e1", &places)).await;
    send(&bench, &bench.lease_one("oncall").await, "om_1").await;
    // A message sent as text is not a card.
    let plain = bench.lease_one("plain").await;
    bench.end(&plain, bench.retry_at(0, Form::Text)).await;
    send(&bench, &bench.lease_one("plain").await, "om_2").await;
    click(&bench, seq, TriageAction::Claim).await;
    assert_eq!(bench.lease("plain", 9).await.len(), 0);
    end_edits(&bench, &["oncall"]).await;
    bench.clock.advance(Duration::from_secs(14 * 86_400));
    assert!(matches!(
        click(&bench, seq, TriageAction::Done).await,
        ActionOutcome::Changed(_)
    ));
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
}

#[tokio::test]
async fn message_sent_during_a_status_change_is_edited() {
    let bench = Bench::new();
    let seq = bench.accept_info("e1").await;
    let sending = bench.lease_one("oncall").await;
    bench
        .accept(change(&bench, "u1", FeedbackStatus::PROCESSED, 0))
        .await;
    send(&bench, &sending, "om_1").await;
    let edit = bench.lease_one("oncall").await.item;
    assert_eq!(edit.delivery.trigger, Trigger::Edit);
    assert_eq!(edit.state, Some(state(&bench, seq).await));
}
