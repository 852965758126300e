//! Manual retries and discards.

use super::*;

#[tokio::test]
async fn retried_delivery_keeps_key_and_payload_with_new_retry_for() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    let lease = bench.lease_one("oncall").await;
    let id = lease.item.delivery.id;
    let finished = CompletedAttempt {
        payload: Some("as it was".into()),
        ..bench.finished(
            &lease,
            Verdict::Dead {
                reason: "retry_for is over".into(),
            },
        )
    };
    bench.record(&lease, finished).await;
    bench.clock.advance(Duration::from_secs(86_400));
    assert_eq!(bench.store().retry(id).await, Ok(AdminResult::Done));
    let again = bench.lease_one("oncall").await;
    assert_eq!(again.item.delivery.id, id);
    assert_eq!(again.item.delivery.first_due_at, bench.now());
    assert_eq!(again.item.payload.as_ref().unwrap().body, "as it was");
    assert_eq!(
        bench.store().retry(id).await,
        Ok(AdminResult::Refused(DeliveryState::Sending))
    );
    assert_eq!(
        bench.store().discard(id).await,
        Ok(AdminResult::Refused(DeliveryState::Sending))
    );
    bench.end(&again, Verdict::Done).await;
    assert_eq!(
        bench.store().retry(id).await,
        Ok(AdminResult::Refused(DeliveryState::Delivered))
    );
    assert_eq!(
        bench.store().discard(id).await,
        Ok(AdminResult::Refused(DeliveryState::Delivered))
    );
}

#[tokio::test]
async fn discarded_delivery_is_not_sent_and_can_be_retried() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    let all = DeliveryFilter {
        limit: 9,
        ..Default::default()
    };
    let id = bench.store().deliveries(all).await.unwrap()[0].id;
    assert_eq!(bench.store().discard(id).await, Ok(AdminResult::Done));
    assert_eq!(bench.lease("oncall", 1).await.len(), 0);
    assert_eq!(
        bench.store().discard(id).await,
        Ok(AdminResult::Refused(DeliveryState::Discarded))
    );
    assert_eq!(bench.store().retry(id).await, Ok(AdminResult::Done));
    assert_eq!(bench.lease_one("oncall").await.item.delivery.id, id);
    let nobody = DeliveryId::from_i64(1);
    assert_eq!(bench.store().retry(nobody).await, Ok(AdminResult::NotFound));
    assert_eq!(
        bench.store().discard(nobody).await,
        Ok(AdminResult::NotFound)
    );
}

#[tokio::test]
async fn dead_delivery_can_be_resent_to_another_destination() {
    let bench = Bench::new();
    bench
        .accept(bench.arrival("e1", &[("old", Severity::Info)]))
        .await;
    let lease = bench.lease_one("old").await;
    let id = lease.item.delivery.id;
    let finished = CompletedAttempt {
        payload: Some("for the old one".into()),
        ..bench.finished(
            &lease,
            Verdict::Dead {
                reason: "there is no destination".into(),
            },
        )
    };
    bench.record(&lease, finished).await;
    let new = DestinationName::from("new");
    assert_eq!(
        bench.store().retry_at(id, &new).await,
        Ok(AdminResult::Done)
    );
    let again = bench.lease_one("new").await;
    assert_eq!(again.item.delivery.id, id);
    assert_eq!(again.item.delivery.form, Form::Full);
    assert_eq!(again.item.payload, None, "rendered for the other one");
    let refused = bench.store().retry_at(id, &new).await;
    assert_eq!(refused, Ok(AdminResult::Refused(DeliveryState::Sending)));
    let unknown = DeliveryId::from_i64(1);
    assert_eq!(
        bench.store().retry_at(unknown, &new).await,
        Ok(AdminResult::NotFound)
    );
}
