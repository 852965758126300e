//! Leasing and completing deliveries: their order, their owner, and what is stored.

use super::*;

#[tokio::test]
async fn critical_is_leased_newest_first_then_others_in_order() {
    let bench = Bench::new();
    use Severity::{Critical, Info, Warning};
    let arrivals = [
        ("i1", Info),
        ("w1", Warning),
        ("c1", Critical),
        ("w2", Warning),
        ("c2", Critical),
        ("i2", Info),
    ];
    for (id, severity) in arrivals {
        bench
            .accept(bench.arrival(id, &[("oncall", severity), ("other", severity)]))
            .await;
        bench.clock.advance(Duration::from_millis(5));
    }
    let first = bench.lease("oncall", 4).await;
    let rest = bench.lease("oncall", 9).await;
    let order: Vec<_> = first
        .iter()
        .chain(&rest)
        .map(|l| l.item.event.id.as_str().to_owned())
        .collect();
    assert_eq!(order, ["c2", "c1", "w1", "w2", "i1", "i2"]);
    assert_eq!(first.len(), 4);
    assert_eq!(bench.lease("oncall", 0).await.len(), 0);
}

#[tokio::test]
async fn poll_with_count_zero_ends_expired_leases() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    bench.lease_one("oncall").await;
    let next_due_at = async || bench.store().next_due_at(&"oncall".into()).await.unwrap();
    bench.clock.advance(LEASE + Duration::from_millis(1));
    assert_eq!(next_due_at().await, None);
    assert_eq!(bench.lease("oncall", 0).await.len(), 0);
    assert!(
        next_due_at()
            .await
            .is_some_and(|due_at| due_at <= bench.now())
    );
}

#[tokio::test]
async fn expired_lease_is_taken_over_and_old_owner_writes_nothing() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    let first = bench.lease_one("oncall").await;
    assert_eq!(first.until, bench.now() + LEASE);
    assert_eq!(first.item.delivery.state, DeliveryState::Sending);
    bench.clock.advance(LEASE);
    assert_eq!(bench.lease("oncall", 1).await.len(), 0);
    bench.clock.advance(Duration::from_millis(1));
    let second = bench.lease_one("oncall").await;
    assert_eq!(second.item.delivery.id, first.item.delivery.id);
    assert_ne!(second.token, first.token);

    assert_eq!(
        bench.finish(&first, Verdict::Done).await,
        Recorded::LeaseLost
    );
    let id = first.item.delivery.id;
    bench.release_lease(&first, bench.now()).await;
    assert_eq!(bench.store().attempts(id).await.unwrap(), []);
    assert_eq!(bench.one_delivery(id).await.state, DeliveryState::Sending);
    assert_eq!(
        bench.finish(&second, Verdict::Done).await,
        Recorded::Recorded
    );
    assert_eq!(
        bench.finish(&second, Verdict::Done).await,
        Recorded::LeaseLost
    );
    assert_eq!(bench.one_delivery(id).await.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn restart_makes_leases_due_with_same_key_and_payload() {
    let mut bench = Bench::new();
    let arrival = bench.arrival("e1", &[("oncall", Severity::Info)]);
    bench.accept(bench.with_images(arrival, 1)).await;
    bench.clock.advance(Duration::from_secs(3));
    let lease = bench.lease_one("oncall").await;
    let finished = CompletedAttempt {
        payload: Some("the first rendering".into()),
        ..bench.finished(&lease, bench.retry_at(0, Form::Full))
    };
    bench.record(&lease, finished).await;
    let lease = bench.lease_one("oncall").await;
    let image = bench.lease_image().await;

    bench.reopen();
    let again = bench.lease_one("oncall").await;
    assert_eq!(again.item.delivery.id, lease.item.delivery.id);
    assert_eq!(again.item.delivery.attempts, 1);
    assert_eq!(
        again.item.payload.as_ref().unwrap().body,
        "the first rendering"
    );
    assert_eq!(
        bench.finish(&lease, Verdict::Done).await,
        Recorded::LeaseLost
    );
    let image_again = bench.lease_image().await.item;
    assert_eq!(image_again.url, image.item.url);
    assert_eq!(image_again.attempts, 1, "the lease before counts");
    assert_eq!(
        bench.finish_image(&image, lost()).await,
        Recorded::LeaseLost
    );
}

#[tokio::test]
async fn attempt_is_recorded_with_its_verdict() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    let lease = bench.lease_one("oncall").await;
    let id = lease.item.delivery.id;
    let mut finished = CompletedAttempt {
        payload: Some("full card".into()),
        ..bench.finished(&lease, bench.retry_at(2, Form::Full))
    };
    let attempt = finished.attempt.as_mut().unwrap();
    attempt.excerpt = Some("é".repeat(EXCERPT_BYTES_MAX));
    bench.record(&lease, finished).await;
    let excerpt = bench
        .store()
        .attempts(id)
        .await
        .unwrap()
        .remove(0)
        .excerpt
        .unwrap();
    assert_eq!(excerpt.len(), EXCERPT_BYTES_MAX);

    let waiting = bench.one_delivery(id).await;
    assert_eq!(
        (waiting.state, waiting.attempts),
        (DeliveryState::Pending, 1)
    );
    assert_eq!(waiting.reason.as_deref(), Some("too many requests"));
    let due_at = bench.now() + Duration::from_secs(2);
    assert_eq!(
        bench.store().next_due_at(&"oncall".into()).await,
        Ok(Some(due_at))
    );
    assert_eq!(bench.lease("oncall", 1).await.len(), 0);

    bench.clock.advance(Duration::from_secs(2));
    let lease = bench.lease_one("oncall").await;
    assert_eq!(lease.item.payload.as_ref().unwrap().body, "full card");
    bench.end(&lease, bench.retry_at(0, Form::Text)).await;
    let lease = bench.lease_one("oncall").await;
    assert_eq!(lease.item.delivery.form, Form::Text);
    assert_eq!(lease.item.payload, None, "another form is rendered anew");
    bench.end(&lease, Verdict::Done).await;
    let attempts = bench.store().attempts(id).await.unwrap();
    assert_eq!(
        attempts
            .iter()
            .map(|a| (a.number, a.form))
            .collect::<Vec<_>>(),
        [(1, Form::Full), (2, Form::Full), (3, Form::Text)]
    );
    let done = bench.one_delivery(id).await;
    assert_eq!((done.state, done.reason), (DeliveryState::Delivered, None));
    assert_eq!(bench.store().next_due_at(&"oncall".into()).await, Ok(None));
}

#[tokio::test]
async fn release_affects_only_held_leases() {
    let bench = Bench::new();
    for id in ["e1", "e2", "e3"] {
        let arrival = bench.arrival(id, &[("oncall", Severity::Info)]);
        bench.accept(arrival).await;
    }
    let leases = bench.lease("oncall", 3).await;
    bench.end(&leases[1], Verdict::Done).await;
    let back = leases
        .iter()
        .map(|lease| LeaseRelease::of(lease, bench.now()));
    bench.store().release_lease(back.collect()).await.unwrap();
    let mut states = Vec::new();
    for lease in &leases {
        states.push(bench.one_delivery(lease.item.delivery.id).await.state);
    }
    assert_eq!(
        states,
        [
            DeliveryState::Pending,
            DeliveryState::Delivered,
            DeliveryState::Pending,
        ]
    );
}

#[tokio::test]
async fn released_lease_keeps_the_last_reason() {
    let bench = Bench::new();
    bench
        .accept(bench.arrival("e1", &[("oncall", Severity::Info)]))
        .await;
    for reason in [Some("code 7".to_owned()), None] {
        let lease = bench.lease_one("oncall").await;
        let back = LeaseRelease {
            reason,
            ..LeaseRelease::of(&lease, bench.now())
        };
        bench.store().release_lease(vec![back]).await.unwrap();
        let delivery = bench.one_delivery(lease.item.delivery.id).await;
        assert_eq!(delivery.reason.as_deref(), Some("code 7"));
    }
}

#[tokio::test]
async fn released_lease_counts_no_attempt() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    let lease = bench.lease_one("oncall").await;
    let id = lease.item.delivery.id;
    let later = bench.now() + Duration::from_secs(30);
    bench.release_lease(&lease, later).await;
    let back = bench.one_delivery(id).await;
    assert_eq!(
        (back.state, back.attempts, back.due_at),
        (DeliveryState::Pending, 0, later)
    );
    assert_eq!(back.first_due_at, lease.item.delivery.first_due_at);
}

#[tokio::test]
async fn dead_delivery_is_rerouted_to_its_fallback() {
    let bench = Bench::new();
    let seq = bench
        .accept(bench.arrival("e1", &[("oncall", Severity::Critical)]))
        .await;
    let lease = bench.lease_one("oncall").await;
    let finished = CompletedAttempt {
        fallback: Some(NewDelivery {
            trigger: Trigger::Fallback,
            ..bench.delivery("product", Severity::Critical)
        }),
        ..bench.finished(
            &lease,
            Verdict::Dead {
                reason: "the bot is gone".into(),
            },
        )
    };
    bench.record(&lease, finished).await;
    let dead = bench.one_delivery(lease.item.delivery.id).await;
    assert_eq!(
        (dead.state, dead.reason.as_deref()),
        (
            DeliveryState::Dead,
            Some("the bot is gone; sent to product instead")
        )
    );
    let fallback = bench.lease_one("product").await.item.delivery;
    assert_eq!((fallback.event, fallback.trigger), (seq, Trigger::Fallback));
}

#[tokio::test]
async fn clock_jump_back_delays_no_delivery() {
    let bench = Bench::new();
    let arrival = bench.arrival("e1", &[("oncall", Severity::Info)]);
    bench.accept(bench.with_images(arrival, 1)).await;
    bench
        .clock
        .set(bench.now() - Duration::from_secs(86_400 * 365));
    assert_eq!(
        bench.store().next_due_at(&"oncall".into()).await,
        Ok(Some(bench.now()))
    );
    assert_eq!(
        bench.store().next_image_due_at().await,
        Ok(Some(bench.now()))
    );
    bench.lease_one("oncall").await;
    bench.lease_image().await;
}

#[tokio::test]
async fn delivery_due_soon_is_not_leased() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    let mut lease = bench.lease_one("oncall").await;
    // The longest wait of a stopped destination's probe with jitter; then the longest pause of all.
    for seconds in [720, 3600] {
        bench.end(&lease, bench.retry_at(seconds, Form::Full)).await;
        assert_eq!(
            bench.lease("oncall", 1).await.len(),
            0,
            "{seconds} s are a pause, not a jump"
        );
        bench.clock.advance(Duration::from_secs(seconds));
        lease = bench.lease_one("oncall").await;
    }
}

#[tokio::test]
async fn recovered_destination_sends_newest_critical_first() {
    let bench = Bench::new();
    for (id, severity) in [
        ("c1", Severity::Critical),
        ("i1", Severity::Info),
        ("c2", Severity::Critical),
    ] {
        bench
            .accept(bench.arrival(id, &[("oncall", severity)]))
            .await;
    }
    for lease in bench.lease("oncall", 9).await {
        bench.end(&lease, bench.retry_at(300, Form::Full)).await;
    }
    assert_eq!(bench.store().make_due(&"oncall".into()).await, Ok(3));
    assert_eq!(bench.store().make_due(&"oncall".into()).await, Ok(0));
    let order: Vec<_> = bench
        .lease("oncall", 9)
        .await
        .iter()
        .map(|l| l.item.event.id.to_string())
        .collect();
    assert_eq!(order, ["c2", "c1", "i1"]);
}

#[tokio::test]
async fn orphaned_deliveries_are_dead_with_a_reason() {
    let bench = Bench::new();
    let to = [
        ("oncall", Severity::Info),
        ("gone", Severity::Info),
        ("past", Severity::Info),
    ];
    bench.accept(bench.arrival("e1", &to)).await;
    let in_flight = bench.lease_one("past").await;
    let buried = bench
        .end_orphans(&["oncall".into()], "no such destination")
        .await;
    let names: Vec<_> = buried.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["gone", "past"]);
    let dead = bench.one_delivery(buried[0].0).await;
    assert_eq!(
        (dead.state, dead.reason.as_deref()),
        (DeliveryState::Dead, Some("no such destination"))
    );
    assert_eq!(
        bench.finish(&in_flight, Verdict::Done).await,
        Recorded::LeaseLost
    );
    assert_eq!(bench.lease("oncall", 9).await.len(), 1);
    assert_eq!(bench.end_orphans(&["oncall".into()], "again").await, []);
}

#[tokio::test]
async fn orphaned_deliveries_wait_and_follow_a_rename() {
    let bench = Bench::new();
    let to = [("old", Severity::Info), ("gone", Severity::Info)];
    bench.accept(bench.arrival("e1", &to)).await;
    let day = Duration::from_secs(86_400);
    let known = ["new".into()];
    let settle = async |known: &[DestinationName]| {
        let settled = bench.store().settle_orphans(known, day, "gone");
        settled.await.unwrap()
    };
    let first = settle(&known).await;
    assert_eq!(first.missing, [("gone".into(), 1), ("old".into(), 1)]);
    assert_eq!(first.ended, []);
    assert_eq!(settle(&known).await, Orphaned::default(), "said once");
    let (old, new) = ("old".into(), "new".into());
    let renamed = bench.store().rename_destination(&[old], &new).await;
    assert_eq!(renamed.unwrap().moved, 1);
    assert_eq!(bench.lease("new", 9).await.len(), 1);
    // The destination returns for a moment, so the day begins again.
    bench.run_for(day - Duration::from_secs(1));
    assert_eq!(
        settle(&["gone".into(), "new".into()]).await,
        Orphaned::default()
    );
    assert_eq!(settle(&known).await.missing, [("gone".into(), 1)]);
    bench.run_for(day - Duration::from_secs(1));
    assert_eq!(settle(&known).await, Orphaned::default());
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(settle(&known).await.ended.len(), 1);
}

#[tokio::test]
async fn later_orphans_of_a_name_wait_anew() {
    let bench = Bench::new();
    let day = Duration::from_secs(86_400);
    let known = ["new".into()];
    let settle = async || {
        let settled = bench.store().settle_orphans(&known, day, "gone");
        settled.await.unwrap()
    };
    let accept = async |id: &str, to: &str| {
        let arrival = bench.arrival(id, &[(to, Severity::Info)]);
        bench.accept(arrival).await
    };
    accept("e1", "ended").await;
    accept("e2", "old").await;
    accept("e3", "discarded").await;
    assert_eq!(settle().await.missing.len(), 3);
    let lease = bench.lease_one("discarded").await;
    let reason = "rejected".into();
    bench.end(&lease, Verdict::Dead { reason }).await;
    let (old, new) = (["old".into()], "new".into());
    let renamed = bench.store().rename_destination(&old, &new);
    assert_eq!(renamed.await.unwrap().moved, 1);
    bench.run_for(day);
    assert_eq!(settle().await.ended.len(), 1);
    for (id, to) in [("e4", "ended"), ("e5", "old"), ("e6", "discarded")] {
        accept(id, to).await;
        let settled = settle().await;
        assert_eq!(settled.missing, [(to.into(), 1)]);
        assert_eq!(settled.ended, []);
    }
}

#[tokio::test]
async fn retry_of_a_send_in_flight_at_a_rename_is_due_under_the_new_name() {
    let bench = Bench::new();
    bench
        .accept(bench.arrival("e1", &[("old", Severity::Info)]))
        .await;
    let lease = bench.lease_one("old").await;
    let (old, new) = (["old".into()], "new".into());
    let renamed = bench.store().rename_destination(&old, &new);
    assert_eq!(renamed.await.unwrap().moved, 1);
    let mut news = bench.store().wakeups(Topic::Destination("new".into()));
    news.mark_unchanged();
    bench.end(&lease, bench.retry_at(0, Form::Full)).await;
    assert!(news.has_changed().unwrap());
    assert_eq!(bench.lease("new", 9).await.len(), 1);
}

#[tokio::test]
async fn event_of_several_old_names_is_sent_once_and_most_severe() {
    let bench = Bench::new();
    let to = [("a", Severity::Info), ("b", Severity::Critical)];
    bench.accept(bench.arrival("both", &to)).await;
    bench
        .accept(bench.arrival("one", &[("a", Severity::Info)]))
        .await;
    let (old, new) = (["a".into(), "b".into()], "new".into());
    let rename = async || {
        let renamed = bench.store().rename_destination(&old, &new);
        renamed.await.unwrap()
    };
    let renamed = rename().await;
    assert_eq!((renamed.moved, renamed.discarded.len()), (2, 1));
    let discarded = bench.one_delivery(renamed.discarded[0]).await;
    assert_eq!(discarded.state, DeliveryState::Discarded);
    assert_eq!(discarded.reason.as_deref(), Some(TWICE));
    let leases = bench.lease("new", 9).await;
    let sent = leases
        .iter()
        .map(|one| (one.item.event.id.as_str(), one.item.delivery.spec.severity));
    let sent: Vec<_> = sent.collect();
    assert_eq!(
        sent,
        [("both", Severity::Critical), ("one", Severity::Info)]
    );
    // A dead delivery under one name is no reason to discard the delivery under the other.
    let to = [("a", Severity::Info), ("b", Severity::Info)];
    bench.accept(bench.arrival("dead", &to)).await;
    let reason = "gone".into();
    let lease = bench.lease_one("a").await;
    bench.end(&lease, Verdict::Dead { reason }).await;
    assert_eq!(
        rename().await,
        Renamed {
            moved: 1,
            discarded: Vec::new()
        }
    );
}

#[tokio::test]
async fn wait_that_is_not_counted_moves_the_start_of_retry_for() {
    let bench = Bench::new();
    bench
        .accept(bench.arrival("e1", &[("oncall", Severity::Info)]))
        .await;
    bench.run_for(Duration::from_secs(50));
    let lease = bench.lease_one("oncall").await;
    let due_since = lease.item.delivery.due_since.unwrap();
    let uncounted = Duration::from_secs(40);
    let finished = CompletedAttempt {
        uncounted,
        ..bench.finished(&lease, bench.retry_at(0, Form::Full))
    };
    let recorded = bench.store().finish_attempt(lease.token, finished).await;
    assert_eq!(recorded, Ok(Recorded::Recorded));
    let again = bench.lease_one("oncall").await;
    assert_eq!(
        again.item.delivery.due_since,
        Some(due_since.after(uncounted))
    );
}

#[tokio::test]
async fn paced_sends_are_remembered_by_destination() {
    let mut bench = Bench::new();
    let to = [("bot", Severity::Info), ("hook", Severity::Info)];
    bench.accept(bench.arrival("e1", &to)).await;
    let start = bench.now();
    for name in ["bot", "hook"] {
        let lease = bench.lease_one(name).await;
        let finished = CompletedAttempt {
            paced: name == "bot",
            ..bench.finished(&lease, Verdict::Done)
        };
        let recorded = bench.store().finish_attempt(lease.token, finished).await;
        assert_eq!(recorded, Ok(Recorded::Recorded));
    }
    bench.reopen();
    let before = start - Duration::from_secs(1);
    let ended_at = start + Duration::from_millis(12);
    let sends = bench.store().paced_sends(before).await;
    assert_eq!(sends, Ok(vec![("bot".into(), ended_at)]));
    assert_eq!(bench.store().paced_sends(start).await, Ok(Vec::new()));
}

#[tokio::test]
async fn time_without_a_destination_does_not_count_as_trying() {
    let bench = Bench::new();
    let arrival = bench.arrival("e1", &[("away", Severity::Info)]);
    bench.accept(arrival).await;
    let lease = bench.lease_one("away").await;
    bench.end(&lease, bench.retry_at(0, Form::Full)).await;
    let hour = Duration::from_secs(3600);
    let settle = async |known: &[DestinationName]| {
        let settled = bench.store().settle_orphans(known, hour * 24, "gone");
        settled.await.unwrap()
    };
    assert_eq!(settle(&[]).await.missing, [("away".into(), 1)]);
    bench.run_for(hour * 2);
    let (away, always) = ("away".into(), Uptime::default());
    settle(&["away".into()]).await;
    let expired = bench.store().expire(&away, hour, always, None).await;
    assert_eq!(expired, Ok(Vec::new()));
    bench.run_for(hour * 2);
    let expired = bench.store().expire(&away, hour, always, None).await;
    assert_eq!(expired.unwrap().len(), 1);
}

#[tokio::test]
async fn gates_survive_a_restart() {
    let mut bench = Bench::new();
    let mut gate = GateRecord {
        destination: "oncall".into(),
        blocked_until: Some(bench.now()),
        open_since: None,
        stopped: Some("the bot was removed".into()),
        failing_since: Some(bench.now()),
        failing_from: Some(bench.store().uptime()),
        resumes: 0,
    };
    bench.store().put_gate(gate.clone()).await.unwrap();
    gate.stopped = None;
    bench.store().put_gate(gate.clone()).await.unwrap();
    bench.reopen();
    assert_eq!(bench.store().gates().await, Ok(vec![gate]));
    let oncall = "oncall".into();
    bench.store().resume(&oncall).await.unwrap();
    let freed = GateRecord {
        resumes: 1,
        ..GateRecord::open(oncall.clone())
    };
    assert_eq!(bench.store().gates().await, Ok(vec![freed]));
    assert_eq!(bench.store().resumes(&oncall).await, Ok(1));
    assert_eq!(bench.store().resumes(&"other".into()).await, Ok(0));
}

#[tokio::test]
async fn stats_count_pending_leased_and_dead_deliveries() {
    let bench = Bench::new();
    let start = bench.now();
    for n in 0..4 {
        bench.accept_info(&format!("e{n}")).await;
        bench.clock.advance(Duration::from_secs(1));
    }
    let unreadable = Arrival {
        via: "mall".into(),
        state: EventState::Unreadable,
        ..bench.arrival("u", &[])
    };
    bench.accept(bench.with_images(unreadable, 1)).await;
    let leases = bench.lease("oncall", 2).await;
    bench
        .end(
            &leases[0],
            Verdict::Dead {
                reason: "gone".into(),
            },
        )
        .await;
    let stats = bench.store().stats().await.unwrap();
    assert_eq!(
        stats.queues,
        [QueueStats {
            destination: "oncall".into(),
            pending: 2,
            sending: 1,
            dead: 1,
            oldest_at: Some(start + Duration::from_secs(1)),
            held: 0,
        }]
    );
    assert_eq!((stats.images_pending, stats.unreadable), (1, 1));
    assert_eq!(
        stats.image_deadline_at,
        Some(bench.now() + Duration::from_secs(72 * 3600))
    );
    assert_eq!(
        stats.last_events,
        [
            ("mall".into(), bench.now()),
            ("shop".into(), start + Duration::from_secs(3)),
        ]
    );
}
