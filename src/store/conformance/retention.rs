//! Retention and erasure.

use super::*;

/// Accepts an event with `marker` in every place for a person's text. All deliveries but one are
/// delivered.
async fn talkative(bench: &Bench, id: &str, marker: &str, times: usize) -> EventSeq {
    let arrival = bench.arrival(id, &[("oncall", Severity::Info), ("dead", Severity::Info)]);
    let seq = bench
        .accept(Arrival {
            users: vec![
                Private::new(format!("ou_{marker}")),
                Private::new(format!("on_{marker}")),
            ],
            body: Some(Private::new(marker.repeat(times))),
            images: vec![
                Private::new(format!("https://p1.example.com/{marker}/a")),
                Private::new(format!("https://p1.example.com/{marker}/b")),
            ],
            ..arrival
        })
        .await;
    let job = bench.lease_image().await;
    bench.keep(&job, id).await;
    bench.clock.advance(Duration::from_secs(3));
    for (destination, verdict) in [
        ("oncall", bench.retry_at(500, Form::Full)),
        (
            "dead",
            Verdict::Dead {
                reason: "gone".into(),
            },
        ),
    ] {
        let lease = bench.lease_one(destination).await;
        let mut finished = CompletedAttempt {
            payload: Some(format!("{{\"text\":\"{marker}\"}}")),
            ..bench.finished(&lease, verdict)
        };
        finished.attempt.as_mut().unwrap().excerpt = Some(format!("bad: {marker}"));
        bench.record(&lease, finished).await;
    }
    seq
}

#[tokio::test]
async fn erase_leaves_no_text_in_any_file_and_keeps_the_record() {
    let bench = Bench::new();
    let marker = "wörter-eines-menschen";
    let seq = talkative(&bench, "e1", marker, 100).await;
    assert_ne!(bench.traces_of(marker), [""; 0]);
    for user in [format!("ou_{marker}"), format!("on_{marker}")] {
        assert_eq!(bench.store().events_of_user(&user).await, Ok(vec![seq]));
    }
    bench.clock.advance(Duration::from_secs(500));
    let in_flight = bench.lease_one("oncall").await;

    assert_eq!(bench.store().erase(seq).await, Ok(vec![ImageId::of(b"e1")]));
    assert_eq!(bench.traces_of(marker), [""; 0]);
    assert_eq!(
        bench.finish(&in_flight, Verdict::Done).await,
        Recorded::LeaseLost
    );
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    assert_eq!(bench.lease_images(9).await, []);
    let event = bench.store().event("e1").await.unwrap().unwrap();
    assert_eq!((event.seq, event.body), (seq, None));
    let images = bench.store().images_of(seq).await.unwrap();
    assert_eq!(images[0].state, ImageState::Removed);
    assert_eq!(images[1].state, ImageState::Lost);
    let attempts = bench
        .store()
        .attempts(in_flight.item.delivery.id)
        .await
        .unwrap();
    assert_eq!((attempts.len(), attempts[0].excerpt.as_deref()), (1, None));
    assert_eq!(
        bench.one_delivery(in_flight.item.delivery.id).await.state,
        DeliveryState::Discarded
    );
    assert_eq!(
        bench.store().events_of_user(&format!("ou_{marker}")).await,
        Ok(Vec::new())
    );
    assert_eq!(
        bench.store().kept_image(&ImageId::of(b"e1")).await,
        Ok(None)
    );

    let repeat = bench.store().accept(bench.arrival("e1", &[])).await;
    assert_eq!(repeat, Ok(Accepted::Repeat(seq)), "it is still known");
    assert_eq!(bench.store().erase(seq).await, Ok(Vec::new()));
}

/// SQLite rearranges pages as rows come and go. No data of a row may stay at its old place.
#[tokio::test]
async fn erase_leaves_no_text_after_many_changes() {
    let bench = Bench::new();
    let mut events = Vec::new();
    for n in 0..20 {
        let marker = format!("menschenwort-{n:03}-");
        events.push((
            talkative(&bench, &format!("e{n}"), &marker, 1 + n * 7 % 100).await,
            marker,
        ));
    }
    let mut chance = fastrand::Rng::with_seed(7);
    chance.shuffle(&mut events);
    for (seq, marker) in events {
        bench.store().erase(seq).await.unwrap();
        // Another thread empties a long log, a moment later.
        while bench.store().owes_erasure().await.unwrap() {
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.traces_of(&marker), [""; 0], "{marker}");
    }
}

#[tokio::test]
async fn image_used_by_another_event_is_kept() {
    let bench = Bench::new();
    let mut events = Vec::new();
    for id in ["e1", "e2"] {
        events.push(
            bench
                .accept(bench.with_images(bench.arrival(id, &[]), 1))
                .await,
        );
        let job = bench.lease_image().await;
        bench.keep(&job, "the same").await;
    }
    assert_eq!(bench.store().erase(events[0]).await, Ok(Vec::new()));
    assert_eq!(
        bench.store().images_of(events[1]).await.unwrap()[0].state,
        ImageState::Kept
    );
    assert_eq!(
        bench.store().erase(events[1]).await,
        Ok(vec![ImageId::of(b"the same")])
    );
}

#[tokio::test]
async fn retention_removes_bodies_then_ids_and_spares_open_deliveries() {
    let bench = Bench::new();
    let start = bench.now();
    let old = bench.accept_info("old").await;
    let lease = bench.lease_one("oncall").await;
    bench.deliver(&lease, 0).await;
    bench.accept_info("waits").await;
    bench.clock.advance(Duration::from_secs(86_400));
    bench.accept(bench.arrival("new", &[])).await;

    let store = bench.store();
    let never = Timestamp::from_millis(0);
    let swept = store.sweep(bench.now(), never).await.unwrap();
    assert_eq!(
        swept,
        Swept {
            bodies: 1,
            events: 0,
            more: false
        }
    );
    let event = store.event_by_seq(old).await.unwrap().unwrap();
    assert_eq!(event.body, None);
    let attempts = store.attempts(lease.item.delivery.id).await.unwrap();
    assert_eq!(attempts[0].excerpt, None);
    assert_eq!(
        store.accept(bench.arrival("old", &[])).await,
        Ok(Accepted::Repeat(old))
    );
    assert_eq!(
        store.sweep(bench.now(), never).await.unwrap(),
        Swept::default()
    );

    let swept = store
        .sweep(start, start + Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(
        swept,
        Swept {
            bodies: 0,
            events: 1,
            more: false
        }
    );
    assert_eq!(store.event("old").await, Ok(None));
    assert!(store.event("waits").await.unwrap().unwrap().body.is_some());
    assert!(store.event("new").await.unwrap().is_some());
    let all = DeliveryFilter {
        limit: 9,
        ..Default::default()
    };
    assert_eq!(store.deliveries(all).await.unwrap().len(), 1);
}

/// Tries limits in many positions, although the clock of one event was a year ahead.
#[tokio::test]
async fn retention_and_lists_apply_limits_exactly() {
    const AHEAD: u32 = 70;
    let bench = Bench::new();
    let minute = Duration::from_secs(60);
    let start = bench.now();
    let mut times = Vec::new();
    for n in 0..200 {
        let mut arrival = bench.arrival(&format!("e{n}"), &[]);
        if n == AHEAD {
            arrival.received_at = start + 525_600 * minute;
        }
        times.push(arrival.received_at);
        bench.accept(arrival).await;
        bench.clock.advance(minute);
    }
    let store = bench.store();
    let since = async |since| {
        let filter = EventFilter {
            since,
            limit: 1000,
            ..EventFilter::default()
        };
        let mut found = store.events(filter).await.unwrap();
        found.reverse();
        let found: Vec<_> = found.into_iter().map(|event| event.received_at).collect();
        found
    };
    for minutes in [
        0, 1, 2, 62, 63, 64, 65, 70, 71, 127, 128, 129, 190, 199, 200,
    ] {
        let before = start + minutes * minute;
        let newer: Vec<_> = times.iter().copied().filter(|at| *at >= before).collect();
        let in_order = |times: &[Timestamp]| -> Vec<Timestamp> {
            // A list searches back by at most a day of clock difference.
            times
                .iter()
                .copied()
                .filter(|at| *at < start + 1440 * minute)
                .collect()
        };
        let listed = since(Some(before)).await;
        assert_eq!(in_order(&listed), in_order(&newer), "since {minutes}");
        let swept = store.sweep(before, before).await.unwrap();
        assert_eq!(since(None).await, newer, "after {minutes}: {swept:?}");
    }
}

#[tokio::test]
async fn retention_works_in_batches() {
    let bench = Bench::new();
    let mut accepting = tokio::task::JoinSet::new();
    for n in 0..450 {
        let (store, arrival) = (bench.store().clone(), bench.arrival(&format!("e{n}"), &[]));
        accepting.spawn(async move { store.accept(arrival).await });
    }
    accepting.join_all().await;
    let later = bench.now() + Duration::from_secs(1);
    let (mut swept, mut bites) = (0, 0);
    loop {
        let bite = bench.store().sweep(later, later).await.unwrap();
        bites += 1;
        swept += bite.events;
        if !bite.more {
            break;
        }
    }
    assert_eq!(swept, 450);
    assert!(bites > 1);
}

#[tokio::test]
async fn old_or_excess_images_are_removed_oldest_first() {
    let bench = Bench::new();
    let mut events = Vec::new();
    for id in ["one", "two", "three", "four"] {
        events.push(
            bench
                .accept(bench.with_images(bench.arrival(id, &[]), 1))
                .await,
        );
        let job = bench.lease_image().await;
        bench.keep(&job, id).await;
        bench.clock.advance(Duration::from_secs(60));
    }
    let store = bench.store();
    store
        .put_image_key("cli_a", &ImageId::of(b"one"), "img_v3_1")
        .await
        .unwrap();
    assert_eq!(store.image_bytes().await, Ok(4000));
    let never = Timestamp::from_millis(0);
    assert_eq!(store.remove_images(never, 4000).await, Ok(Vec::new()));
    assert_eq!(
        store.remove_images(never, 3999).await,
        Ok(vec![ImageId::of(b"one")])
    );
    assert_eq!(
        store.images_of(events[0]).await.unwrap()[0].state,
        ImageState::Removed
    );
    assert_eq!(store.kept_image(&ImageId::of(b"one")).await, Ok(None));
    assert_eq!(
        store.image_key("cli_a", &ImageId::of(b"one")).await,
        Ok(None)
    );
    let before = bench.now() - Duration::from_secs(61);
    let old = store.remove_images(before, u64::MAX).await.unwrap();
    assert_eq!(old, [ImageId::of(b"two"), ImageId::of(b"three")]);

    // An image with the same bytes arrives again.
    bench
        .accept(bench.with_images(bench.arrival("again", &[]), 1))
        .await;
    let job = bench.lease_image().await;
    bench.keep(&job, "one").await;
    assert_eq!(
        store.images_of(events[0]).await.unwrap()[0].state,
        ImageState::Kept
    );

    // Events are removed before their images' bytes, which are still returned.
    store.sweep(bench.now(), bench.now()).await.unwrap();
    let left = store.remove_images(bench.now() + LEASE, 0).await.unwrap();
    assert_eq!(left, [ImageId::of(b"four"), ImageId::of(b"one")]);
    assert_eq!(
        store.remove_images(bench.now() + LEASE, 0).await,
        Ok(Vec::new())
    );
}
