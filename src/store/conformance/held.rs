//! Held deliveries: late reports, `hold`, and messages that waited too long.

use super::*;

/// Accepts a late report for these chats, reported `minutes_ago`.
async fn late(bench: &Bench, id: &str, chats: &[&str], minutes_ago: u64) -> Accepted {
    let late = chats.iter().map(|chat| NewDelivery {
        held: Some(Holding {
            held_for: HeldFor::Late,
            until: bench.now() + Duration::from_secs(3600),
            hours: None,
            reported_at: bench.now() - Duration::from_secs(60 * minutes_ago),
        }),
        ..bench.delivery(chat, Severity::Warning)
    });
    let mut arrival = bench.arrival(id, &[("warehouse", Severity::Warning)]);
    arrival.deliveries.extend(late);
    bench.store().accept(arrival).await.unwrap()
}

/// Returns the deliveries of an event.
async fn deliveries_of(bench: &Bench, id: &str) -> Vec<Delivery> {
    let event = bench.store().event(id).await.unwrap().unwrap().seq;
    let filter = DeliveryFilter {
        event: Some(event),
        limit: 99,
        ..DeliveryFilter::default()
    };
    bench.store().deliveries(filter).await.unwrap()
}

fn summarised(lease: &Lease<Work>) -> (u64, Vec<String>) {
    let event = &lease.item.event;
    assert_eq!(event.event_type, SUMMARY);
    let summary = read_summary(event.body.as_ref().unwrap().expose()).unwrap();
    let newest = lease.item.newest.iter().map(|event| event.id.to_string());
    (summary.count, newest.collect())
}

#[tokio::test]
async fn chat_gets_one_summary_per_rule_even_after_a_crash() {
    let mut bench = Bench::new();
    for (id, minutes_ago) in [("e1", 90), ("e2", 500), ("e3", 70)] {
        late(&bench, id, &["oncall", "product"], minutes_ago).await;
    }
    late(&bench, "e4", &["oncall"], 80).await;
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    assert_eq!(
        bench.lease("warehouse", 9).await.len(),
        4,
        "each has a message of its own"
    );
    bench.reopen();

    let made = bench.store().summarise_late().await.unwrap();
    assert_eq!(made.len(), 2);
    assert_eq!(bench.store().summarise_late().await, Ok(Vec::new()));
    bench.reopen();
    let oncall = bench.lease_one("oncall").await;
    let newest = ["e3", "e4", "e1", "e2"].map(String::from).to_vec();
    assert_eq!(summarised(&oncall), (4, newest));
    let spec = &oncall.item.delivery.spec;
    assert_eq!(spec.rule.as_str(), "blank screen");
    assert_eq!(
        (spec.template.as_str(), spec.mentions.len()),
        ("summary", 0)
    );
    let product = bench.lease_one("product").await;
    assert_eq!(summarised(&product).0, 3);
    let summary = oncall.item.event.id.clone();
    let merged = deliveries_of(&bench, "e4").await;
    let oncall_one = merged
        .iter()
        .find(|one| one.destination.as_str() == "oncall");
    let oncall_one = oncall_one.unwrap();
    assert_eq!(oncall_one.state, DeliveryState::Merged);
    assert_eq!(oncall_one.summary.as_ref(), Some(&summary));
    let seq = oncall.item.event.seq;
    let summarised_ids = bench.store().summarised(seq, 2).await.unwrap();
    assert_eq!(summarised_ids, ["e3".into(), "e4".into()] as [EventId; 2]);

    bench.end(&oncall, Verdict::Done).await;
    late(&bench, "e5", &["oncall"], 61).await;
    bench.store().summarise_late().await.unwrap();
    let again = bench.lease_one("oncall").await;
    assert_eq!(summarised(&again), (1, vec!["e5".to_owned()]));
}

#[tokio::test]
async fn repeat_is_not_summarised_and_newest_are_limited() {
    let bench = Bench::new();
    bench.accept(bench.arrival("e0", &[])).await;
    let repeat = late(&bench, "e0", &["oncall"], 90).await;
    assert!(matches!(repeat, Accepted::Repeat(_)));
    assert_eq!(bench.store().summarise_late().await, Ok(Vec::new()));
    for n in 1..=9 {
        late(&bench, &format!("e{n}"), &["oncall"], 60 + n).await;
    }
    bench.store().summarise_late().await.unwrap();
    let (count, newest) = summarised(&bench.lease_one("oncall").await);
    assert_eq!((count, newest.len()), (9, SUMMARY_NEWEST_MAX));
    assert_eq!(newest[0], "e1");
}

#[tokio::test]
async fn erased_report_is_not_quoted_in_a_summary() {
    let bench = Bench::new();
    for n in 1..=3 {
        late(&bench, &format!("e{n}"), &["oncall"], 60 + n).await;
    }
    let seq = |id: &'static str| async { bench.store().event(id).await.unwrap().unwrap().seq };
    bench.store().erase(seq("e1").await).await.unwrap();
    bench.store().summarise_late().await.unwrap();
    bench.store().erase(seq("e2").await).await.unwrap();
    let lease = bench.lease_one("oncall").await;
    assert_eq!(
        summarised(&lease),
        (2, vec!["e2".to_owned(), "e3".to_owned()])
    );
    assert_eq!(lease.item.newest[0].body, None);
    assert!(lease.item.newest[1].body.is_some());
}

#[tokio::test]
async fn known_feedback_returns_its_event() {
    let bench = Bench::new();
    bench.accept(bench.arrival("e1", &[])).await;
    let app = "cli_9f5343c580712544";
    let asked = [(app, "fb-e1"), (app, "fb-e2"), ("cli_other", "fb-e1")];
    let asked = asked.map(|(app, id)| (app.to_owned(), id.to_owned()));
    let known = bench
        .store()
        .known_feedback("shop".into(), asked.to_vec())
        .await;
    assert_eq!(known, Ok(vec![Some("e1".into()), None, None]));
    let other = bench
        .store()
        .known_feedback("other".into(), asked.to_vec())
        .await;
    assert_eq!(other, Ok(vec![None, None, None]));
}

#[tokio::test]
async fn mark_is_set_once() {
    let mut bench = Bench::new();
    let began = bench.now();
    assert_eq!(bench.store().mark("a").await, Ok(None));
    assert_eq!(bench.store().begin_mark("a").await, Ok(began));
    bench.clock.advance(LEASE);
    bench.reopen();
    assert_eq!(bench.store().begin_mark("a").await, Ok(began));
    bench.store().put_mark("a", bench.now()).await.unwrap();
    assert_eq!(bench.store().mark("a").await, Ok(Some(bench.now())));
    assert_eq!(bench.store().mark("b").await, Ok(None));
}

/// Returns a delivery to `oncall` that is held for an hour.
fn held(bench: &Bench) -> NewDelivery {
    NewDelivery {
        held: Some(Holding {
            held_for: HeldFor::Hold,
            until: bench.now() + Duration::from_secs(3600),
            hours: Some("22:00-08:00".into()),
            reported_at: bench.now(),
        }),
        ..bench.delivery("oncall", Severity::Warning)
    }
}

async fn accept_held(bench: &Bench, id: &str) -> EventSeq {
    let arrival = Arrival {
        deliveries: vec![held(bench)],
        ..bench.arrival(id, &[])
    };
    bench.accept(arrival).await
}

async fn states(bench: &Bench, id: &str) -> Vec<DeliveryState> {
    let deliveries = deliveries_of(bench, id).await;
    deliveries.iter().map(|one| one.state).collect()
}

#[tokio::test]
async fn held_messages_become_one_at_the_end_even_after_a_crash() {
    let mut bench = Bench::new();
    for id in ["e1", "e2", "e3"] {
        accept_held(&bench, id).await;
    }
    let until = bench.now() + Duration::from_secs(3600);
    assert_eq!(
        bench.store().next_due_at(&"oncall".into()).await,
        Ok(Some(until))
    );
    let queues = bench.store().stats().await.unwrap().queues;
    assert_eq!((queues[0].held, queues[0].oldest_at), (3, None));
    bench.clock.advance(Duration::from_secs(3599));
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    bench.reopen();
    bench.clock.advance(Duration::from_secs(1));
    let lease = bench.lease_one("oncall").await;
    assert_eq!(summarised(&lease).0, 3);
    assert_eq!(lease.item.delivery.spec.mentions, ["sre"]);
    let body = lease.item.event.body.as_ref().unwrap();
    let summary = read_summary(body.expose()).unwrap();
    assert_eq!(summary.held_for, HeldFor::Hold);
    assert_eq!(summary.hours.as_deref(), Some("22:00-08:00"));
    assert_eq!(states(&bench, "e1").await, [DeliveryState::Merged]);
    bench.end(&lease, Verdict::Done).await;
    bench.reopen();
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
}

#[tokio::test]
async fn single_held_message_is_sent_by_itself_with_a_fresh_start() {
    let bench = Bench::new();
    accept_held(&bench, "e1").await;
    bench.run_for(Duration::from_secs(3600));
    let lease = bench.lease_one("oncall").await;
    assert_eq!(lease.item.event.id.as_str(), "e1");
    let delivery = &lease.item.delivery;
    assert_eq!(
        (delivery.first_due_at, delivery.summary.as_ref()),
        (bench.now(), None)
    );
    assert_eq!(delivery.due_since, Some(bench.store().uptime()));
}

#[tokio::test]
async fn clock_that_jumps_back_holds_nothing_for_more_than_its_windows() {
    let bench = Bench::new();
    accept_held(&bench, "e1").await;
    bench
        .clock
        .set(bench.now() - Duration::from_secs(30 * 86_400));
    assert_eq!(bench.lease("oncall", 9).await.len(), 1);
}

#[tokio::test]
async fn operator_sends_discards_and_erases_held_messages() {
    let bench = Bench::new();
    accept_held(&bench, "e1").await;
    accept_held(&bench, "e2").await;
    let erased = accept_held(&bench, "e3").await;
    accept_held(&bench, "e4").await;
    let id = |id: &'static str| async { deliveries_of(&bench, id).await[0].id };
    assert_eq!(
        bench.store().retry(id("e1").await).await,
        Ok(AdminResult::Done)
    );
    assert_eq!(
        bench.store().discard(id("e2").await).await,
        Ok(AdminResult::Done)
    );
    bench.store().erase(erased).await.unwrap();
    let sent = bench.lease_one("oncall").await;
    assert_eq!(sent.item.event.id.as_str(), "e1");
    bench.end(&sent, Verdict::Done).await;
    assert_eq!(states(&bench, "e2").await, [DeliveryState::Discarded]);
    assert_eq!(states(&bench, "e3").await, [DeliveryState::Discarded]);
    bench.clock.advance(Duration::from_secs(3600));
    let rest = bench.lease_one("oncall").await;
    assert_eq!(rest.item.event.id.as_str(), "e4");
}

#[tokio::test]
async fn held_messages_follow_a_renamed_destination_and_die_with_a_removed_one() {
    let bench = Bench::new();
    accept_held(&bench, "e1").await;
    let (old, new) = (["oncall".into()], "new".into());
    let renamed = bench.store().rename_destination(&old, &new).await;
    assert_eq!(renamed.unwrap().moved, 1);
    assert_eq!(
        deliveries_of(&bench, "e1").await[0].state,
        DeliveryState::Held
    );
    let ended = bench
        .end_orphans(&["other".into()], "its destination is gone")
        .await;
    assert_eq!(ended.len(), 1);
    assert_eq!(states(&bench, "e1").await, [DeliveryState::Dead]);
}

const SIX_HOURS: Duration = Duration::from_secs(6 * 3600);

async fn summarise_stale(bench: &Bench) -> Vec<EventId> {
    let oncall = DestinationName::from("oncall");
    let summaries = bench.store().summarise_stale(&oncall, SIX_HOURS).await;
    summaries.unwrap()
}

#[tokio::test]
async fn messages_that_waited_too_long_become_one_summary() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    let failed = bench.lease_one("oncall").await;
    bench.end(&failed, bench.retry_at(60, Form::Full)).await;
    bench.accept_info("e2").await;
    bench.clock.advance(SIX_HOURS + LEASE);
    bench.accept_info("new").await;
    let summaries = summarise_stale(&bench).await;
    assert_eq!(summaries.len(), 1);
    assert_eq!(summarise_stale(&bench).await, []);
    let leases = bench.lease("oncall", 9).await;
    let mut sent: Vec<&str> = leases
        .iter()
        .map(|one| one.item.event.id.as_str())
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, ["new", summaries[0].as_str()]);
    let attempts = bench
        .store()
        .attempts(failed.item.delivery.id)
        .await
        .unwrap();
    assert_eq!(attempts.len(), 1, "what was tried can still be read");
    let merged = &deliveries_of(&bench, "e1").await[0];
    assert_eq!(merged.held_for, Some(HeldFor::Stale));
    assert_eq!(merged.summary.as_ref(), Some(&summaries[0]));
}

#[tokio::test]
async fn one_stale_message_or_a_retried_one_is_sent_by_itself() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    bench.clock.advance(SIX_HOURS + LEASE);
    assert_eq!(summarise_stale(&bench).await, []);
    bench.accept_info("e2").await;
    bench.clock.advance(SIX_HOURS + LEASE);
    let again = deliveries_of(&bench, "e2").await[0].id;
    bench.store().retry(again).await.unwrap();
    assert_eq!(summarise_stale(&bench).await, []);
    assert_eq!(bench.lease("oncall", 9).await.len(), 2);
}
