//! Messages that wait for a failing destination.

use super::feedback_status::click;
use super::messages::send;
use super::*;

/// Returns the deliveries of the event to `destination`, oldest first.
async fn sent_to(bench: &Bench, event: EventSeq, destination: &str) -> Vec<Delivery> {
    let filter = DeliveryFilter {
        destination: Some(destination.into()),
        event: Some(event),
        limit: 9,
        ..DeliveryFilter::default()
    };
    let mut sent = bench.store().deliveries(filter).await.unwrap();
    sent.reverse();
    sent
}

fn dead(reason: &str) -> Verdict {
    Verdict::Dead {
        reason: reason.into(),
    }
}

#[tokio::test]
async fn fallback_that_a_rule_notified_gets_nothing_twice() {
    let bench = Bench::new();
    let both = [("a", Severity::Critical), ("b", Severity::Critical)];
    let event = bench.accept(bench.arrival("e1", &both)).await;
    assert_eq!(bench.fall_back("a", "b", FallBack::Everything).await, 0);
    let of_a = sent_to(&bench, event, "a").await.remove(0);
    let why = "its destination is stopped; b has it";
    assert_eq!(
        (of_a.state, of_a.reason.as_deref()),
        (DeliveryState::Dead, Some(why))
    );
    assert_eq!(sent_to(&bench, event, "b").await.len(), 1);
}

#[tokio::test]
async fn end_of_a_chain_that_a_rule_notified_gets_nothing_twice() {
    let bench = Bench::new();
    let both = [("a", Severity::Critical), ("c", Severity::Critical)];
    let event = bench.accept(bench.arrival("e1", &both)).await;
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.fall_back("a", "b", FallBack::Everything).await, 1);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.fall_back("b", "c", FallBack::Everything).await, 0);
    assert_eq!(sent_to(&bench, event, "c").await.len(), 1);
}

#[tokio::test]
async fn retry_after_fallback_failure_is_rerouted_again() {
    let bench = Bench::new();
    let event = bench
        .accept(bench.arrival("e1", &[("a", Severity::Info)]))
        .await;
    assert_eq!(bench.fall_back("a", "b", FallBack::Everything).await, 1);
    let refused = bench.lease_one("b").await;
    bench.end(&refused, dead("no")).await;
    let of_a = sent_to(&bench, event, "a").await.remove(0);
    assert_eq!(bench.store().retry(of_a.id).await, Ok(AdminResult::Done));
    assert_eq!(bench.fall_back("a", "b", FallBack::Everything).await, 1);
    let second = bench.lease_one("b").await;
    assert_ne!(second.item.delivery.id, refused.item.delivery.id);
    bench.end(&second, Verdict::Done).await;
    // Repeat after the fallback delivered it.
    assert_eq!(bench.store().retry(of_a.id).await, Ok(AdminResult::Done));
    assert_eq!(bench.fall_back("a", "b", FallBack::Everything).await, 0);
}

#[tokio::test]
async fn rerouted_critical_message_stays_and_is_not_rerouted_twice() {
    let bench = Bench::new();
    let event = bench
        .accept(bench.arrival("e1", &[("a", Severity::Critical)]))
        .await;
    assert_eq!(bench.fall_back("a", "b", FallBack::Critical).await, 1);
    let copy = bench.lease_one("b").await;
    bench.end(&copy, dead("no")).await;
    assert_eq!(bench.fall_back("a", "b", FallBack::Critical).await, 0);
    let lease = bench.lease_one("a").await;
    let finished = CompletedAttempt {
        fallback: Some(NewDelivery {
            trigger: Trigger::Fallback,
            ..bench.delivery("b", Severity::Critical)
        }),
        ..bench.finished(&lease, dead("gone"))
    };
    bench.record(&lease, finished).await;
    let of_a = sent_to(&bench, event, "a").await.remove(0);
    assert_eq!(
        of_a.reason.as_deref(),
        Some("gone; sent to b before, which did not deliver it")
    );
}

#[tokio::test]
async fn each_message_expires_after_its_own_retry_for() {
    let retry_for = Duration::from_secs(10);
    let bench = Bench::new();
    let oncall = "oncall".into();
    let mut events = Vec::new();
    for id in ["e1", "e2", "e3"] {
        let arrival = bench.arrival(id, &[("oncall", Severity::Critical)]);
        events.push(bench.accept(arrival).await);
        bench.clock.advance(Duration::from_secs(4));
    }
    // The newest is tried first and fails.
    let lease = bench.lease("oncall", 1).await.remove(0);
    bench.end(&lease, bench.retry_at(2, Form::Full)).await;
    // It fails for this long.
    let expire = async |seconds| {
        let failing_from = bench.store().uptime().before(Duration::from_secs(seconds));
        let expired = bench
            .store()
            .expire(&oncall, retry_for, failing_from, Some("b".into()));
        let expired = expired.await.unwrap();
        expired.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    let id = async |event| sent_to(&bench, event, "oncall").await[0].id;
    assert_eq!(expire(9).await, []);
    assert_eq!(expire(10).await, [id(events[0]).await]);
    bench.clock.advance(Duration::from_secs(4));
    assert_eq!(expire(10).await, [id(events[1]).await]);
    bench.clock.advance(Duration::from_secs(4));
    assert_eq!(expire(3).await, [], "otherwise it waited for its rate");
    assert_eq!(expire(6).await, [id(events[2]).await]);
    let ended = sent_to(&bench, events[2], "oncall").await.remove(0);
    let why = "given up after 10 s of trying: too many requests; sent to b instead";
    assert_eq!(ended.reason.as_deref(), Some(why));
    assert_eq!(bench.lease("b", 9).await.len(), 3);
}

#[tokio::test]
async fn downtime_and_clock_changes_do_not_expire_messages() {
    let mut bench = Bench::new();
    bench.accept_info("e1").await;
    let lease = bench.lease_one("oncall").await;
    bench.end(&lease, bench.retry_at(2, Form::Full)).await;
    bench.close();
    bench.clock.advance(Duration::from_secs(21));
    bench.reopen();
    bench
        .clock
        .set(bench.now() + Duration::from_secs(25 * 3600));
    let (oncall, retry_for) = ("oncall".into(), Duration::from_secs(20));
    let always = Uptime::default();
    let expired = bench.store().expire(&oncall, retry_for, always, None);
    assert_eq!(expired.await, Ok(Vec::new()));
    let again = bench.lease_one("oncall").await.item.delivery;
    let spent = bench.store().uptime().since(again.due_since.unwrap());
    assert!(spent < Duration::from_secs(5), "{spent:?}");
}

#[tokio::test]
async fn untried_message_precedes_failed_and_rate_limit_is_no_failure() {
    let bench = Bench::new();
    for id in ["e1", "e2", "e3"] {
        bench.accept_info(id).await;
    }
    let mut leases = bench.lease("oncall", 2).await;
    let (failed, paused) = (leases.remove(0), leases.remove(0));
    bench.end(&failed, bench.retry_at(0, Form::Full)).await;
    let mut slow = bench.finished(&paused, bench.retry_at(0, Form::Full));
    slow.attempt.as_mut().unwrap().outcome = OutcomeKind::SlowDown;
    let recorded = bench.store().finish_attempt(paused.token, slow).await;
    assert_eq!(recorded, Ok(Recorded::Recorded));
    let order: Vec<_> = bench.lease("oncall", 9).await;
    let order: Vec<_> = order.iter().map(|one| one.item.event.id.as_str()).collect();
    assert_eq!(order, ["e3", "e1", "e2"]);
    let of = |lease: &Lease<Work>| lease.item.delivery.id;
    assert_eq!(bench.one_delivery(of(&failed)).await.failures, 1);
    assert_eq!(bench.one_delivery(of(&paused)).await.failures, 0);
}

#[tokio::test]
async fn probes_rotate_over_severities_and_prefer_untried() {
    let bench = Bench::new();
    for (id, severity) in [
        ("c1", Severity::Critical),
        ("c2", Severity::Critical),
        ("i1", Severity::Info),
    ] {
        bench
            .accept(bench.arrival(id, &[("oncall", severity)]))
            .await;
    }
    let mut seen = Vec::new();
    for turn in 0..6 {
        let oncall = "oncall".into();
        let probe = bench.store().lease_probe(&oncall, turn, false, LEASE);
        let probe = probe.await.unwrap().remove(0);
        seen.push(probe.item.event.id.as_str().to_owned());
        bench
            .end(&probe, bench.retry_at(600 + turn as u64, Form::Full))
            .await;
    }
    let mut first: Vec<_> = seen[..3].to_vec();
    first.sort();
    assert_eq!(first, ["c1", "c2", "i1"], "each once before any twice");
    let mut second: Vec<_> = seen[3..].to_vec();
    second.dedup();
    assert!(
        second.contains(&"i1".to_owned()) && second.len() > 1,
        "{seen:?}"
    );
}

/// Late images and edits belong to a message that only the first destination got.
#[tokio::test]
async fn late_images_and_edits_are_not_rerouted() {
    let bench = Bench::new();
    let arrival = bench.arrival("e1", &[("a", Severity::Critical)]);
    let event = bench.accept(bench.with_images(arrival, 1)).await;
    bench.clock.advance(Duration::from_secs(3));
    send(&bench, &bench.lease_one("a").await, "om_1").await;
    bench.keep(&bench.lease_image().await, "late").await;
    click(&bench, event, TriageAction::Claim).await;
    for which in [FallBack::Critical, FallBack::Everything] {
        assert_eq!(bench.fall_back("a", "b", which).await, 0);
    }
    let triggers = sent_to(&bench, event, "a").await.into_iter();
    let waiting = triggers.filter(|one| one.state == DeliveryState::Pending);
    let mut waiting: Vec<_> = waiting.map(|one| one.trigger.key()).collect();
    waiting.sort_unstable();
    assert_eq!(waiting, ["edit", "late_images"]);

    bench.run_for(Duration::from_secs(60));
    let (a, retry_for) = ("a".into(), Duration::from_secs(10));
    let expired = bench
        .store()
        .expire(&a, retry_for, Uptime::default(), Some("b".into()));
    let expired = expired.await.unwrap();
    assert_eq!(expired.len(), 2);
    assert!(expired.iter().all(|one| !one.rerouted), "{expired:?}");
    assert_eq!(sent_to(&bench, event, "b").await, []);
}

#[tokio::test]
async fn late_images_go_to_the_fallback_that_has_the_message() {
    let bench = Bench::new();
    let arrival = bench.arrival("e1", &[("a", Severity::Info)]);
    bench.accept(bench.with_images(arrival, 1)).await;
    assert_eq!(bench.fall_back("a", "b", FallBack::Everything).await, 1);
    bench.clock.advance(Duration::from_secs(3));
    bench.deliver(&bench.lease_one("b").await, 0).await;
    bench.keep(&bench.lease_image().await, "late").await;
    let late = bench.lease_one("b").await.item.delivery;
    assert_eq!(late.trigger, Trigger::LateImages);
    assert_eq!(bench.lease("a", 9).await, []);
}

#[tokio::test]
async fn replay_reaches_the_fallback_again() {
    let bench = Bench::new();
    let event = bench
        .accept(bench.arrival("e1", &[("a", Severity::Info)]))
        .await;
    for ends in [dead("no"), Verdict::Done, Verdict::Done] {
        assert_eq!(bench.fall_back("a", "b", FallBack::Everything).await, 1);
        bench.end(&bench.lease_one("b").await, ends).await;
        bench.clock.advance(Duration::from_secs(1));
        let again = NewDelivery {
            trigger: Trigger::Replay,
            ..bench.delivery("a", Severity::Info)
        };
        let routed = EventState::Routed;
        let made = bench.store().replay(event, routed, routed, vec![again]);
        assert!(made.await.unwrap().is_some());
    }
    assert_eq!(sent_to(&bench, event, "b").await.len(), 3);
}
