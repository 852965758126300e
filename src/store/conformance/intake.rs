//! Accepting events: once, completely, and detected when repeated.

use super::*;

#[tokio::test]
async fn accepted_event_is_read_back_unchanged() {
    let mut bench = Bench::new();
    let arrival = bench.arrival("e1", &[("oncall", Severity::Critical)]);
    let spec = arrival.deliveries[0].spec.clone();
    let seq = bench.accept(bench.with_images(arrival.clone(), 2)).await;
    bench.reopen();

    let event = bench.store().event("e1").await.unwrap().unwrap();
    assert_eq!(event.seq, seq);
    assert_eq!(event.via, arrival.via);
    assert_eq!(event.event_type, arrival.event_type);
    assert_eq!(event.received_at, arrival.received_at);
    assert_eq!(event.state, EventState::Routed);
    assert_eq!(event.body, arrival.body);
    assert_eq!(event.feedback_id.as_deref(), Some("fb-e1"));
    assert_eq!(
        bench.store().event("fb-e1").await.unwrap(),
        Some(event.clone())
    );
    assert_eq!(bench.store().event_by_seq(seq).await.unwrap(), Some(event));
    assert_eq!(bench.store().event("nothing").await.unwrap(), None);

    let filter = DeliveryFilter {
        event: Some(seq),
        limit: 9,
        ..Default::default()
    };
    let deliveries = bench.store().deliveries(filter).await.unwrap();
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].spec, spec);
    assert_eq!(deliveries[0].state, DeliveryState::Pending);
    let images = bench.store().images_of(seq).await.unwrap();
    assert_eq!(
        images
            .iter()
            .map(|i| (i.ordinal, i.state))
            .collect::<Vec<_>>(),
        [(0, ImageState::Pending), (1, ImageState::Pending)]
    );
}

#[tokio::test]
async fn repeat_by_event_id_or_feedback_id_writes_nothing() {
    let mut bench = Bench::new();
    let first = bench.arrival("e1", &[("oncall", Severity::Info)]);
    let seq = bench.accept(first.clone()).await;
    bench.reopen();

    let same_feedback = Arrival {
        id: "e2".into(),
        ..first.clone()
    };
    let no_feedback = Arrival {
        feedback: None,
        ..first.clone()
    };
    for repeat in [first.clone(), same_feedback, no_feedback] {
        assert_eq!(
            bench.store().accept(repeat).await,
            Ok(Accepted::Repeat(seq))
        );
    }
    let other_app = Arrival {
        via: "mall".into(),
        feedback: Some(("cli_other".into(), "fb-e1".into())),
        ..first.clone()
    };
    // The events of one app must not hide those of another, even about the same feedback.
    let of_another = Arrival {
        id: "e3".into(),
        via: "mall".into(),
        ..first
    };
    for new in [other_app, of_another] {
        let accepted = bench.store().accept(new).await;
        assert!(matches!(accepted, Ok(Accepted::New(_))), "{accepted:?}");
    }
    let all = DeliveryFilter {
        limit: 9,
        ..Default::default()
    };
    assert_eq!(bench.store().deliveries(all).await.unwrap().len(), 3);
}

#[tokio::test]
async fn ignored_event_is_kept_without_body() {
    let bench = Bench::new();
    let arrival = Arrival {
        state: EventState::Ignored,
        body: None,
        feedback: None,
        ..bench.arrival("e1", &[])
    };
    let seq = bench.accept(arrival).await;
    let event = bench.store().event_by_seq(seq).await.unwrap().unwrap();
    assert_eq!(
        (event.state, event.body, event.feedback_id),
        (EventState::Ignored, None, None)
    );
}

#[tokio::test]
async fn no_more_images_are_fetched_than_the_limit() {
    let bench = Bench::new();
    let arrival = bench.with_images(bench.arrival("e1", &[]), IMAGES_PER_EVENT_MAX + 1);
    let seq = bench.accept(arrival).await;
    assert_eq!(
        bench.store().images_of(seq).await.unwrap().len(),
        IMAGES_PER_EVENT_MAX
    );
}

#[tokio::test]
async fn workers_are_woken_by_accepts_and_not_by_polls() {
    let bench = Bench::new();
    let mut changes = bench.store().wakeups(Topic::Destination("oncall".into()));
    let mut others = bench.store().wakeups(Topic::Destination("other".into()));
    changes.mark_unchanged();
    others.mark_unchanged();
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    bench.accept(bench.arrival("e0", &[])).await;
    assert!(!changes.has_changed().unwrap(), "no worker is woken");
    bench.accept_info("e1").await;
    assert!(changes.has_changed().unwrap());
    assert!(!others.has_changed().unwrap(), "it is another's work");
}

#[tokio::test]
async fn secret_is_created_once_and_survives_a_restart() {
    let mut bench = Bench::new();
    let secret = bench.store().secret("links").await.unwrap();
    assert_ne!(secret, [0; 32]);
    assert_ne!(bench.store().secret("other").await.unwrap(), secret);
    bench.reopen();
    assert_eq!(bench.store().secret("links").await.unwrap(), secret);
    assert_eq!(bench.store().probe().await, Ok(()));
}

#[tokio::test]
async fn deliveries_are_added_only_to_kept_events_and_due_at_once() {
    let bench = Bench::new();
    let seq = bench.accept(bench.arrival("e1", &[])).await;
    let replay = NewDelivery {
        trigger: Trigger::Replay,
        ..bench.delivery("product", Severity::Info)
    };
    let ids = bench
        .store()
        .add_deliveries(seq, vec![replay.clone()])
        .await
        .unwrap();
    let lease = bench.lease_one("product").await;
    assert_eq!(vec![lease.item.delivery.id], ids);
    assert_eq!(lease.item.delivery.trigger, Trigger::Replay);
    assert_eq!(lease.item.delivery.due_at, bench.now());
    let nowhere = bench
        .store()
        .add_deliveries(EventSeq(999), vec![replay])
        .await;
    assert!(matches!(nowhere, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn event_list_is_paged_newest_first() {
    let bench = Bench::new();
    for n in 0..5 {
        let arrival = bench.arrival(&format!("e{n}"), &[("oncall", Severity::Info)]);
        bench
            .accept(Arrival {
                via: if n == 3 { "mall".into() } else { "shop".into() },
                state: if n == 4 {
                    EventState::Unrouted
                } else {
                    EventState::Routed
                },
                ..arrival
            })
            .await;
        bench.clock.advance(Duration::from_secs(60));
    }
    let ids = async |filter: EventFilter| -> Vec<String> {
        let rows = bench.store().events(filter).await.unwrap();
        rows.iter().map(|row| row.id.to_string()).collect()
    };
    let all = EventFilter {
        limit: 2,
        ..Default::default()
    };
    let page = bench.store().events(all.clone()).await.unwrap();
    assert_eq!(page[0].deliveries, [(DeliveryState::Pending, 1)]);
    assert_eq!(
        ids(EventFilter {
            before: Some(page[1].seq),
            ..all.clone()
        })
        .await,
        ["e2", "e1"]
    );
    assert_eq!(
        ids(EventFilter {
            via: Some("mall".into()),
            ..all.clone()
        })
        .await,
        ["e3"]
    );
    assert_eq!(
        ids(EventFilter {
            state: Some(EventState::Unrouted),
            ..all.clone()
        })
        .await,
        ["e4"]
    );
    let since = Some(bench.now() - Duration::from_secs(61));
    assert_eq!(
        ids(EventFilter {
            since,
            ..all.clone()
        })
        .await,
        ["e4"]
    );
    let until = Some(bench.now() - Duration::from_secs(61));
    let before_then = EventFilter {
        until,
        limit: 9,
        ..all.clone()
    };
    assert!(!ids(before_then).await.contains(&"e4".to_owned()));
    let since = Some(bench.now() + Duration::from_secs(200_000));
    assert_eq!(ids(EventFilter { since, ..all }).await, [""; 0]);
}

#[tokio::test]
async fn listed_event_has_its_body_and_its_rules() {
    let bench = Bench::new();
    bench
        .accept(bench.arrival(
            "e1",
            &[("oncall", Severity::Info), ("product", Severity::Critical)],
        ))
        .await;
    let all = EventFilter {
        limit: 2,
        ..Default::default()
    };
    let row = bench.store().events(all).await.unwrap().remove(0);
    assert!(row.body.is_some());
    let [(_, severity)] = row.rules.as_slice() else {
        panic!("{:?}", row.rules)
    };
    assert_eq!(*severity, Severity::Critical, "of one rule the highest");
}

#[tokio::test]
async fn event_is_replayed_once() {
    let bench = Bench::new();
    let mut arrival = bench.arrival("e1", &[]);
    arrival.state = EventState::Unrouted;
    let event = bench.accept(arrival).await;
    let new = || {
        let arrival = bench.arrival("x", &[("oncall", Severity::Info)]);
        let mut deliveries = arrival.deliveries;
        deliveries[0].trigger = Trigger::Replay;
        deliveries
    };
    let replay = async || {
        let (before, now) = (EventState::Unrouted, EventState::Routed);
        bench.store().replay(event, before, now, new()).await
    };
    let made = replay().await.unwrap().unwrap();
    assert_eq!(made.len(), 1);
    let stored = bench.store().event_by_seq(event).await.unwrap().unwrap();
    assert_eq!(stored.state, EventState::Routed);
    assert_eq!(replay().await, Ok(None), "it is settled");
    assert_eq!(bench.lease("oncall", 9).await.len(), 1);
}

#[tokio::test]
async fn kept_events_of_feedbacks_are_found() {
    let bench = Bench::new();
    let mut arrival = bench.arrival("e1", &[]);
    arrival.feedback = Some(("cli_1".into(), "70".into()));
    bench.accept(arrival).await;
    let asked = [("cli_1", "70"), ("cli_2", "70"), ("cli_1", "71")];
    let asked = asked
        .map(|(app, id)| (app.to_owned(), id.to_owned()))
        .to_vec();
    let found = bench.store().feedback_events(asked).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id.as_str(), "e1");
    assert_eq!(bench.store().feedback_events(Vec::new()).await, Ok(vec![]));
}

#[tokio::test]
async fn deliveries_are_listed_by_destination_and_state() {
    let bench = Bench::new();
    for n in 0..5 {
        bench.accept_info(&format!("e{n}")).await;
    }
    let lease = bench.lease("oncall", 1).await.remove(0);
    bench
        .end(
            &lease,
            Verdict::Dead {
                reason: "gone".into(),
            },
        )
        .await;
    let states = async |states: &[DeliveryState]| {
        let filter = DeliveryFilter {
            destination: Some("oncall".into()),
            states: states.to_vec(),
            limit: 9,
            ..Default::default()
        };
        bench.store().deliveries(filter).await.unwrap().len()
    };
    assert_eq!(states(&[]).await, 5);
    assert_eq!(states(&[DeliveryState::Dead]).await, 1);
    assert_eq!(
        states(&[
            DeliveryState::Dead,
            DeliveryState::Pending,
            DeliveryState::Dead
        ])
        .await,
        5
    );
    assert_eq!(states(&[DeliveryState::Delivered]).await, 0);
}

#[tokio::test]
async fn deliveries_are_listed_by_time_and_rule() {
    let bench = Bench::new();
    for n in 0..5 {
        bench.accept_info(&format!("e{n}")).await;
    }
    let lease = bench.lease("oncall", 1).await.remove(0);
    let count = async |filter: DeliveryFilter| {
        let filter = DeliveryFilter { limit: 9, ..filter };
        bench.store().deliveries(filter).await.unwrap().len()
    };
    let (before, after) = (
        bench.now() - Duration::from_secs(1),
        bench.now() + Duration::from_secs(1),
    );
    let none = DeliveryFilter::default;
    assert_eq!(
        count(DeliveryFilter {
            since: Some(before),
            ..none()
        })
        .await,
        5
    );
    assert_eq!(
        count(DeliveryFilter {
            since: Some(after),
            ..none()
        })
        .await,
        0
    );
    assert_eq!(
        count(DeliveryFilter {
            until: Some(before),
            ..none()
        })
        .await,
        0
    );
    let rule = |name: &str| DeliveryFilter {
        rule: Some(RuleName::new(name)),
        ..none()
    };
    assert_eq!(count(rule("no such rule")).await, 0);
    let known = lease.item.delivery.spec.rule.as_str();
    assert_eq!(count(rule(known)).await, 5);
}
