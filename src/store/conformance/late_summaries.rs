//! Late reports: stored without a message, and summarised once.

use super::*;

/// Accepts a late report for these chats, reported `minutes_ago`.
async fn late(bench: &Bench, id: &str, chats: &[&str], minutes_ago: u64) -> Accepted {
    let late = chats.iter().map(|chat| LateTelling {
        destination: (*chat).into(),
        spec: bench.delivery(chat, Severity::Warning).spec,
        reported_at: bench.now() - Duration::from_secs(60 * minutes_ago),
    });
    let arrival = bench.arrival(id, &[("warehouse", Severity::Warning)]);
    let accepted = bench
        .store()
        .accept_late(arrival, late.collect(), Vec::new())
        .await;
    accepted.unwrap()
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
    let seq = bench.store().event("e4").await.unwrap().unwrap().seq;
    let summary = Some(oncall.item.event.id.clone());
    let summaries = bench.store().summaries_of(seq).await;
    assert_eq!(summaries, Ok(vec![("oncall".into(), summary)]));

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
