//! Incidents: reports are counted when they are accepted, and messages follow by timers.

mod actions;
mod content;
mod edge_cases;
mod holding;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn terms(from: u64) -> GroupTerms {
    GroupTerms {
        from,
        interval: 5 * MINUTE,
        repeat_after: Some(Duration::from_secs(4 * 3600)),
        resolve_after: 30 * MINUTE,
        steps: Vec::new(),
        hold: None,
    }
}

fn planned(fault: &str, terms: GroupTerms) -> PlannedIncident {
    PlannedIncident {
        rule: "blank screen".into(),
        kind: Some(FeedbackKind::FAULT),
        key: IncidentKey(vec![(GroupKey::Fault, Some(Private::new(fault)))]),
        terms,
        reported_at: None,
        destinations: vec!["oncall".into()],
    }
}

/// Accepts a report of the incident for the chat `oncall`, and for a destination that gets every report.
async fn report(bench: &Bench, id: &str, incident: PlannedIncident) -> EventSeq {
    let deliveries = [
        ("oncall", Severity::Warning),
        ("warehouse", Severity::Warning),
    ];
    let arrival = Arrival {
        incidents: vec![incident],
        tenant: Some("tenant".into()),
        ..bench.arrival(id, &deliveries)
    };
    bench.accept(arrival).await
}

async fn reports(bench: &Bench, ids: std::ops::Range<u32>, terms: &GroupTerms) {
    for id in ids {
        report(bench, &format!("e{id}"), planned("crash", terms.clone())).await;
    }
}

async fn advance(bench: &Bench) -> Option<Timestamp> {
    bench.store().advance_incidents().await.unwrap()
}

async fn only(bench: &Bench) -> Incident {
    let filter = IncidentFilter {
        limit: 9,
        ..IncidentFilter::default()
    };
    let mut found = bench.store().incidents(filter).await.unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// Delivers everything that is due for a destination. `editable`: the platform returns handles.
async fn deliver_all(bench: &Bench, to: &str, editable: bool) -> Vec<Lease<Work>> {
    let leases = bench.lease(to, 1000).await;
    for lease in &leases {
        let handle = || MessageHandle(lease.item.delivery.id.to_string());
        let finished = CompletedAttempt {
            handle: editable.then(handle),
            shown: ALL_SHOWN,
            ..bench.finished(lease, Verdict::Done)
        };
        bench.record(lease, finished).await;
    }
    leases
}

fn news(leases: &[Lease<Work>]) -> Vec<(Trigger, Option<IncidentNews>)> {
    let deliveries = leases.iter().map(|lease| &lease.item.delivery);
    deliveries.map(|one| (one.trigger, one.spec.news)).collect()
}

fn sent(news: IncidentNews) -> (Trigger, Option<IncidentNews>) {
    (Trigger::Incident, Some(news))
}

const EDIT: (Trigger, Option<IncidentNews>) = (Trigger::Edit, Some(IncidentNews::Opened));
const CARD: (Trigger, Option<IncidentNews>) = (Trigger::Event, None);

fn pressed(act: TriageAction, name: &str) -> ApplyIncidentAction {
    ApplyIncidentAction {
        incident: IncidentId(1),
        act,
        by: Actor {
            name: Some(Private::new(name)),
            id: Some(Private::new(format!("ou_{name}"))),
            app: Some("shop".into()),
        },
        through: ChangeSource::Feishu,
        operators: [("shop".into(), Private::new(format!("ou_{name}")))].into(),
    }
}

async fn press(bench: &Bench, act: TriageAction, name: &str) -> ActionOutcome {
    let acting = pressed(act, name);
    bench.store().apply_incident_action(acting).await.unwrap()
}

/// Runs timers until none is due.
async fn settle(bench: &Bench) {
    while advance(bench).await.is_some_and(|at| at <= bench.now()) {}
}

/// Opens an incident with this many reports and delivers its messages.
async fn shown(bench: &Bench, count: u32, terms: &GroupTerms) {
    reports(bench, 0..count, terms).await;
    advance(bench).await;
    deliver_all(bench, "oncall", true).await;
}

/// Ends the open incidents quietly and delivers their messages.
async fn go_quiet(bench: &Bench) {
    bench.run_for(31 * MINUTE);
    settle(bench).await;
    deliver_all(bench, "oncall", true).await;
}

#[tokio::test]
async fn storm_is_a_few_cards_and_one_message_that_counts() {
    let mut bench = Bench::new();
    reports(&bench, 0..6, &terms(5)).await;
    advance(&bench).await;
    let mut expected = vec![CARD; 5];
    expected.push(sent(IncidentNews::Opened));
    let leases = deliver_all(&bench, "oncall", true).await;
    let mut found = news(&leases);
    found.sort_by_key(|(trigger, _)| *trigger);
    assert_eq!(found, expected);
    // Later reports change the message only, also after a crash.
    reports(&bench, 6..200, &terms(5)).await;
    bench.reopen();
    reports(&bench, 200..300, &terms(5)).await;
    bench.run_for(EDIT_PACE_MIN);
    advance(&bench).await;
    let leases = deliver_all(&bench, "oncall", true).await;
    assert_eq!(news(&leases), [EDIT]);
    let incident = leases[0].item.incident.as_ref().unwrap();
    assert_eq!(
        (incident.progress.count, incident.people, incident.tenants),
        (300, 300, 1)
    );
    let newest = &leases[0].item.newest;
    assert_eq!(newest.len(), similar::COMPARED_MAX);
    assert_eq!(newest[0].id.as_str(), "e299");
    assert_eq!(
        bench.lease("warehouse", 1000).await.len(),
        300,
        "programs get each report"
    );
}

#[tokio::test]
async fn message_that_cannot_be_edited_is_followed_by_digests() {
    let bench = Bench::new();
    reports(&bench, 0..2, &terms(1)).await;
    advance(&bench).await;
    deliver_all(&bench, "oncall", false).await;
    reports(&bench, 2..50, &terms(1)).await;
    bench.run_for(MINUTE);
    advance(&bench).await;
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    bench.run_for(4 * MINUTE);
    advance(&bench).await;
    let leases = deliver_all(&bench, "oncall", false).await;
    assert_eq!(news(&leases), [sent(IncidentNews::Digest)]);
    bench.run_for(5 * MINUTE);
    advance(&bench).await;
    assert_eq!(
        bench.lease("oncall", 9).await.len(),
        0,
        "no news, no digest"
    );
}

#[tokio::test]
async fn quiet_incident_has_a_last_message_and_the_next_report_opens_another() {
    let bench = Bench::new();
    reports(&bench, 0..3, &terms(1)).await;
    advance(&bench).await;
    deliver_all(&bench, "oncall", true).await;
    bench.run_for(31 * MINUTE);
    assert_eq!(advance(&bench).await, None);
    let leases = deliver_all(&bench, "oncall", true).await;
    let mut found = news(&leases);
    found.sort_by_key(|(trigger, _)| *trigger);
    assert_eq!(found, [EDIT, sent(IncidentNews::Quiet)]);
    let last = leases
        .iter()
        .find(|one| one.item.delivery.trigger == Trigger::Incident);
    assert!(
        last.unwrap().item.message.is_some(),
        "it replies to the first message"
    );
    let first = only(&bench).await;
    assert_eq!(first.progress.state, IncidentState::Quiet);

    reports(&bench, 3..4, &terms(1)).await;
    let filter = IncidentFilter {
        open: true,
        limit: 9,
        ..IncidentFilter::default()
    };
    let open = bench.store().incidents(filter).await.unwrap();
    assert_eq!(open[0].previous, Some(first.id));
    assert_eq!(news(&deliver_all(&bench, "oncall", true).await), [CARD]);
}

#[tokio::test]
async fn report_after_the_quiet_time_does_not_join_even_if_the_timer_is_late() {
    let bench = Bench::new();
    reports(&bench, 0..2, &terms(1)).await;
    bench.run_for(31 * MINUTE);
    let event = report(&bench, "late", planned("crash", terms(1))).await;
    let counting = bench.store().incidents_of(event).await.unwrap();
    assert_eq!(counting[0].progress.count, 1);
}

#[tokio::test]
async fn other_keys_types_and_rules_are_other_incidents() {
    let bench = Bench::new();
    let crash = planned("crash", terms(1));
    let suggestion = PlannedIncident {
        kind: Some(FeedbackKind::SUGGESTION),
        ..crash.clone()
    };
    let other_rule = PlannedIncident {
        rule: "everything".into(),
        ..crash.clone()
    };
    let absent = PlannedIncident {
        key: IncidentKey(vec![(GroupKey::Fault, None)]),
        ..crash.clone()
    };
    let all = [
        crash,
        planned("freeze", terms(1)),
        suggestion,
        other_rule,
        absent,
    ];
    for (index, incident) in all.into_iter().enumerate() {
        let event = report(&bench, &format!("e{index}"), incident.clone()).await;
        let counting = bench.store().incidents_of(event).await.unwrap();
        assert_eq!(counting.len(), 1);
        assert_eq!(counting[0].progress.count, 1, "{incident:?}");
    }
    assert_eq!(bench.lease("oncall", 9).await.len(), 5);
}

#[tokio::test]
async fn repeat_counts_nothing() {
    let bench = Bench::new();
    reports(&bench, 0..2, &terms(1)).await;
    let arrival = Arrival {
        incidents: vec![planned("crash", terms(1))],
        ..bench.arrival("e1", &[("oncall", Severity::Warning)])
    };
    let repeat = bench.store().accept(arrival).await.unwrap();
    assert!(matches!(repeat, Accepted::Repeat(_)));
    assert_eq!(only(&bench).await.progress.count, 2);
}

#[tokio::test]
async fn message_in_flight_is_edited_after_it_was_sent() {
    let bench = Bench::new();
    reports(&bench, 0..2, &terms(1)).await;
    advance(&bench).await;
    let leases = bench.lease("oncall", 9).await;
    reports(&bench, 2..9, &terms(1)).await;
    bench.run_for(EDIT_PACE_MIN);
    advance(&bench).await;
    for lease in &leases {
        let finished = CompletedAttempt {
            handle: Some(MessageHandle("om".into())),
            ..bench.finished(lease, Verdict::Done)
        };
        bench.record(lease, finished).await;
    }
    bench.run_for(EDIT_PACE_MIN);
    advance(&bench).await;
    assert_eq!(news(&deliver_all(&bench, "oncall", true).await), [EDIT]);
}

#[tokio::test]
async fn retried_message_is_edited_after_it_was_sent() {
    let bench = Bench::new();
    reports(&bench, 0..2, &terms(1)).await;
    advance(&bench).await;
    for lease in bench.lease("oncall", 9).await {
        // The answer was lost. The platform may show the message as it was now.
        let retry = Verdict::RetryAt {
            due_at: bench.now() + 2 * EDIT_PACE_MIN,
            form: Form::Full,
        };
        bench.record(&lease, bench.finished(&lease, retry)).await;
    }
    reports(&bench, 2..9, &terms(1)).await;
    bench.run_for(EDIT_PACE_MIN);
    advance(&bench).await;
    bench.run_for(EDIT_PACE_MIN);
    deliver_all(&bench, "oncall", true).await;
    advance(&bench).await;
    assert_eq!(news(&deliver_all(&bench, "oncall", true).await), [EDIT]);
}

#[tokio::test]
async fn escalation_notifies_mentioned_people_and_further_destinations() {
    let bench = Bench::new();
    let step = |at, send_to: &[&str]| EscalationStep {
        at,
        unless_claimed: true,
        mentions: vec!["all".into()],
        send_to: send_to.iter().map(|one| (*one).into()).collect(),
    };
    let terms = GroupTerms {
        steps: vec![
            step(EscalateAt::Count(3), &[]),
            step(EscalateAt::After(15 * MINUTE), &["phone"]),
        ],
        ..terms(1)
    };
    reports(&bench, 0..2, &terms).await;
    advance(&bench).await;
    deliver_all(&bench, "oncall", true).await;
    reports(&bench, 2..3, &terms).await;
    advance(&bench).await;
    let leases = deliver_all(&bench, "oncall", true).await;
    assert_eq!(news(&leases), [sent(IncidentNews::Threshold)]);
    assert_eq!(leases[0].item.delivery.spec.mentions, ["all"]);
    bench.run_for(15 * MINUTE);
    advance(&bench).await;
    assert_eq!(
        news(&deliver_all(&bench, "phone", true).await),
        [sent(IncidentNews::Overdue)]
    );
    let oncall = news(&deliver_all(&bench, "oncall", true).await);
    assert!(oncall.contains(&sent(IncidentNews::Overdue)));
}

#[tokio::test]
async fn erased_report_leaves_the_message_and_its_count_stays() {
    let bench = Bench::new();
    reports(&bench, 0..3, &terms(1)).await;
    advance(&bench).await;
    deliver_all(&bench, "oncall", true).await;
    let seq = bench.store().event("e2").await.unwrap().unwrap().seq;
    bench.store().erase(seq).await.unwrap();
    let leases = deliver_all(&bench, "oncall", true).await;
    assert_eq!(news(&leases), [EDIT]);
    let newest: Vec<&str> = leases[0]
        .item
        .newest
        .iter()
        .map(|event| event.id.as_str())
        .collect();
    assert_eq!(newest, ["e1", "e0"]);
    assert_eq!(only(&bench).await.progress.count, 3);
}

#[tokio::test]
async fn closed_incident_is_announced_once() {
    let bench = Bench::new();
    reports(&bench, 0..2, &terms(1)).await;
    advance(&bench).await;
    deliver_all(&bench, "oncall", false).await;
    let id = only(&bench).await.id;
    let close = || bench.store().close_incident(id);
    assert_eq!(close().await, Ok(Some(IncidentState::Open)));
    assert_eq!(close().await, Ok(Some(IncidentState::Closed)));
    assert_eq!(bench.store().close_incident(IncidentId(99)).await, Ok(None));
    let leases = deliver_all(&bench, "oncall", false).await;
    assert_eq!(news(&leases), [sent(IncidentNews::Closed)]);
    let record = bench.store().incident(id).await.unwrap().unwrap();
    assert_eq!((record.messages.len(), record.newest.len()), (2, 2));
}

#[tokio::test]
async fn ended_incidents_are_removed_with_the_ids() {
    let bench = Bench::new();
    reports(&bench, 0..2, &terms(1)).await;
    bench.run_for(31 * MINUTE);
    advance(&bench).await;
    let before = bench.now() + MINUTE;
    for lease in bench
        .lease("oncall", 9)
        .await
        .iter()
        .chain(&bench.lease("warehouse", 9).await)
    {
        bench.end(lease, Verdict::Done).await;
    }
    bench.store().sweep(before, before).await.unwrap();
    let filter = IncidentFilter {
        limit: 9,
        ..IncidentFilter::default()
    };
    assert_eq!(bench.store().incidents(filter).await, Ok(Vec::new()));
}

#[tokio::test]
async fn report_has_its_position_and_its_incident() {
    let bench = Bench::new();
    reports(&bench, 0..7, &terms(5)).await;
    let last = report(&bench, "last", planned("crash", terms(5))).await;
    let counting = bench.store().incidents_of(last).await.unwrap();
    assert_eq!(counting.len(), 1);
    let id = counting[0].id;
    assert_eq!(bench.store().report_number(id, last).await, Ok(8));
    let filter = DeliveryFilter {
        event: Some(last),
        states: vec![DeliveryState::Merged],
        limit: 9,
        ..DeliveryFilter::default()
    };
    let merged = bench.store().deliveries(filter).await.unwrap();
    let merged: Vec<_> = merged
        .iter()
        .map(|one| (one.destination.as_str(), one.incident))
        .collect();
    assert_eq!(merged, [("oncall", Some(id))]);
}

#[tokio::test]
async fn merged_delivery_is_retried_individually_and_not_discarded() {
    let bench = Bench::new();
    reports(&bench, 0..2, &terms(1)).await;
    bench.lease("oncall", 9).await;
    let filter = DeliveryFilter {
        states: vec![DeliveryState::Merged],
        limit: 9,
        ..DeliveryFilter::default()
    };
    let id = bench.store().deliveries(filter).await.unwrap()[0].id;
    let refused = AdminResult::Refused(DeliveryState::Merged);
    assert_eq!(bench.store().discard(id).await, Ok(refused));
    assert_eq!(bench.store().retry(id).await, Ok(AdminResult::Done));
    assert_eq!(bench.lease_one("oncall").await.item.delivery.id, id);
}

#[tokio::test]
async fn timers_of_an_incident_are_listed_soonest_first() {
    let bench = Bench::new();
    reports(&bench, 0..2, &terms(1)).await;
    let timers = async || {
        let id = only(&bench).await.id;
        let record = bench.store().incident(id).await.unwrap().unwrap();
        record.timers
    };
    let start = bench.now();
    let quiet = IncidentTimer::End(IncidentState::Quiet);
    let expected = [(IncidentTimer::Open, start), (quiet, start + 30 * MINUTE)];
    assert_eq!(timers().await, expected);
    advance(&bench).await;
    bench.run_for(MINUTE);
    report(&bench, "e2", planned("crash", terms(1))).await;
    let expected = [
        (IncidentTimer::Edit, start + EDIT_PACE_MIN),
        (IncidentTimer::Digest, start + 5 * MINUTE),
        (quiet, start + 31 * MINUTE),
        (IncidentTimer::Repeat, start + 240 * MINUTE),
    ];
    assert_eq!(timers().await, expected);
}

#[tokio::test]
async fn statistics_count_open_incidents_and_list_merging_ones() {
    let bench = Bench::new();
    reports(&bench, 0..3, &terms(1)).await;
    report(&bench, "other", planned("black_screen", terms(1))).await;
    advance(&bench).await;
    let stats = bench.store().stats().await.unwrap();
    assert_eq!(stats.incidents_open, 2);
    let expected = MergingIncident {
        id: IncidentId(1),
        rule: "blank screen".into(),
        opened_at: bench.now(),
        count: 3,
        individual: 1,
        is_collective: false,
    };
    assert_eq!(stats.incidents_merging, [expected]);
    bench.store().close_incident(IncidentId(1)).await.unwrap();
    let stats = bench.store().stats().await.unwrap();
    assert_eq!(
        (stats.incidents_open, stats.incidents_merging),
        (1, Vec::new())
    );
}

#[tokio::test]
async fn further_keys_are_counted_in_one_collective_incident() {
    let bench = Bench::new();
    for index in 0..30 {
        let page = format!("page {index}");
        report(&bench, &format!("e{index}"), planned(&page, terms(1))).await;
    }
    report(&bench, "again", planned("page 29", terms(1))).await;
    report(&bench, "known", planned("page 0", terms(1))).await;
    advance(&bench).await;
    let leases = deliver_all(&bench, "oncall", true).await;
    let mut found = news(&leases);
    found.sort_by_key(|(trigger, _)| *trigger);
    let mut expected = vec![CARD; 20];
    expected.extend([sent(IncidentNews::Opened); 2]);
    assert_eq!(found, expected);
    let collective = leases
        .iter()
        .filter_map(|lease| lease.item.incident.as_ref());
    let collective = collective.max_by_key(|one| one.keys).unwrap();
    assert_eq!((collective.progress.count, collective.keys), (11, 10));
    assert!(collective.key.0.is_empty());
}
