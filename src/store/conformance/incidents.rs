//! Incidents: reports are counted when they are accepted, and messages follow by timers.

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

async fn status_of(bench: &Bench, id: &str) -> Option<FeedbackStatus> {
    let seq = bench.store().event(id).await.unwrap().unwrap().seq;
    let state = bench.store().feedback_state(seq).await.unwrap();
    state.map(|state| state.status)
}

/// Counts reports with this status among the first `count`.
async fn with_status(bench: &Bench, count: u32, status: FeedbackStatus) -> u32 {
    let mut found = 0;
    for id in 0..count {
        found += u32::from(status_of(bench, &format!("e{id}")).await == Some(status));
    }
    found
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

#[tokio::test]
async fn first_claim_wins_shows_at_once_and_cancels_steps() {
    let mut bench = Bench::new();
    let step = EscalationStep {
        at: EscalateAt::After(15 * MINUTE),
        unless_claimed: true,
        mentions: vec!["all".into()],
        send_to: Vec::new(),
    };
    let terms = GroupTerms {
        steps: vec![step],
        ..terms(1)
    };
    shown(&bench, 3, &terms).await;
    let ActionOutcome::Changed(first) = press(&bench, TriageAction::Claim, "li").await else {
        panic!("nothing changed")
    };
    assert_eq!(
        press(&bench, TriageAction::Claim, "han").await,
        ActionOutcome::Already(first.clone())
    );
    bench.reopen();
    let leases = deliver_all(&bench, "oncall", true).await;
    assert_eq!(news(&leases), [EDIT]);
    let incident = leases[0].item.incident.as_ref().unwrap();
    assert_eq!(incident.handled.as_ref(), Some(&first));
    settle(&bench).await;
    bench.run_for(20 * MINUTE);
    settle(&bench).await;
    let later = news(&deliver_all(&bench, "oncall", true).await);
    assert!(!later.contains(&sent(IncidentNews::Overdue)), "{later:?}");
    let other = ApplyIncidentAction {
        incident: IncidentId(9),
        ..pressed(TriageAction::Claim, "li")
    };
    let unknown = bench.store().apply_incident_action(other).await;
    assert_eq!(unknown, Ok(ActionOutcome::Unknown));
}

#[tokio::test]
async fn action_reaches_all_reports_in_batches_across_crashes() {
    let mut bench = Bench::new();
    shown(&bench, 250, &terms(1)).await;
    press(&bench, TriageAction::Done, "li").await;
    let done = FeedbackStatus::PROCESSED;
    for expected in [100, 200, 250] {
        bench.reopen();
        let next_at = advance(&bench).await;
        assert_eq!(with_status(&bench, 250, done).await, expected);
        let is_left = next_at.is_some_and(|at| at <= bench.now());
        assert_eq!(is_left, expected < 250);
    }
    let jobs = bench.store().lease_status_jobs(1000, LEASE).await.unwrap();
    assert_eq!(jobs.len(), 250);
    assert!(jobs.iter().all(|job| job.item.operator.expose() == "ou_li"));
    for job in &jobs[..240] {
        let finished =
            bench
                .store()
                .finish_status_job(job.token, job.item.clone(), StatusVerdict::Done);
        assert_eq!(finished.await, Ok(Recorded::Recorded));
    }
    assert_eq!(only(&bench).await.written, [240, 250]);
    // The messages are edited until all are written.
    for _ in 0..3 {
        deliver_all(&bench, "oncall", true).await;
        bench.run_for(MINUTE);
        settle(&bench).await;
    }
    assert_eq!(news(&deliver_all(&bench, "oncall", true).await), [EDIT]);
    for job in &jobs[240..] {
        let finished =
            bench
                .store()
                .finish_status_job(job.token, job.item.clone(), StatusVerdict::Done);
        assert_eq!(finished.await, Ok(Recorded::Recorded));
    }
    bench.run_for(MINUTE);
    settle(&bench).await;
    assert_eq!(news(&deliver_all(&bench, "oncall", true).await), [EDIT]);
    bench.run_for(MINUTE);
    assert_eq!(advance(&bench).await, None);
}

#[tokio::test]
async fn report_that_joins_a_claimed_incident_is_claimed_and_settled_ones_stay() {
    let bench = Bench::new();
    shown(&bench, 3, &terms(1)).await;
    let seq = bench.store().event("e0").await.unwrap().unwrap().seq;
    feedback_status::click(&bench, seq, TriageAction::NotOurs).await;
    press(&bench, TriageAction::Claim, "li").await;
    settle(&bench).await;
    reports(&bench, 3..4, &terms(1)).await;
    settle(&bench).await;
    assert_eq!(status_of(&bench, "e0").await, Some(FeedbackStatus::CLOSED));
    assert_eq!(with_status(&bench, 4, FeedbackStatus::PROCESSING).await, 3);
}

#[tokio::test]
async fn done_ends_the_incident_and_a_later_report_reopens_it() {
    let bench = Bench::new();
    shown(&bench, 3, &terms(1)).await;
    press(&bench, TriageAction::Done, "li").await;
    settle(&bench).await;
    let mut found = news(&deliver_all(&bench, "oncall", true).await);
    found.sort_by_key(|(trigger, _)| *trigger);
    // The first report has a card of its own.
    let card = (Trigger::Edit, None);
    assert_eq!(found, [EDIT, card, sent(IncidentNews::Done)]);
    bench.run_for(MINUTE);
    let early = PlannedIncident {
        reported_at: Some(bench.now() - 2 * MINUTE),
        ..planned("crash", terms(1))
    };
    report(&bench, "e3", early).await;
    settle(&bench).await;
    let incident = only(&bench).await;
    assert_eq!(incident.progress.state, IncidentState::Done);
    assert_eq!(with_status(&bench, 4, FeedbackStatus::PROCESSED).await, 4);
    deliver_all(&bench, "oncall", true).await;

    bench.run_for(MINUTE);
    reports(&bench, 4..5, &terms(1)).await;
    settle(&bench).await;
    let incident = only(&bench).await;
    assert_eq!(
        (incident.progress.state, incident.progress.count),
        (IncidentState::Open, 5)
    );
    let leases = deliver_all(&bench, "oncall", true).await;
    let mut found = news(&leases);
    found.sort_by_key(|(trigger, _)| *trigger);
    assert_eq!(found, [EDIT, sent(IncidentNews::Reopened)]);
    let reply = leases
        .iter()
        .find(|one| one.item.delivery.trigger == Trigger::Incident)
        .unwrap();
    assert!(reply.item.message.is_some(), "it replies in the thread");
    let by = &reply.item.incident.as_ref().unwrap().handled;
    assert_eq!(
        by.as_ref().unwrap().by,
        pressed(TriageAction::Done, "li").by
    );
    assert_eq!(status_of(&bench, "e4").await, None);
    // The next action leaves the reports that are done as they are.
    press(&bench, TriageAction::Claim, "han").await;
    settle(&bench).await;
    assert_eq!(
        status_of(&bench, "e4").await,
        Some(FeedbackStatus::PROCESSING)
    );
    assert_eq!(with_status(&bench, 5, FeedbackStatus::PROCESSED).await, 4);
}

#[tokio::test]
async fn quiet_incident_takes_no_action() {
    let bench = Bench::new();
    shown(&bench, 2, &terms(1)).await;
    bench.run_for(31 * MINUTE);
    advance(&bench).await;
    assert_eq!(
        press(&bench, TriageAction::Done, "li").await,
        ActionOutcome::Ended
    );
}

#[tokio::test]
async fn actor_of_an_incident_can_be_erased() {
    let bench = Bench::new();
    shown(&bench, 2, &terms(1)).await;
    press(&bench, TriageAction::Claim, "li").await;
    bench.store().forget_clicks("ou_li").await.unwrap();
    settle(&bench).await;
    let handled = only(&bench).await.handled.unwrap();
    assert_eq!((handled.by.name, handled.by.id), (None, None));
    let jobs = bench.store().lease_status_jobs(9, LEASE).await;
    assert_eq!(jobs, Ok(Vec::new()));
    assert!(bench.traces_of("ou_li").is_empty());
}

/// From 2024-03-22 20:38 in Shanghai, the first time of the bench.
fn held_at_night(from: u64) -> GroupTerms {
    GroupTerms {
        hold: Some(Hours(vec![Window {
            written: "20:00-08:00".into(),
            days: [true; 7],
            minutes: Some(Minutes {
                start: 20 * 60,
                end: 8 * 60,
            }),
            zone: jiff::tz::TimeZone::get("Asia/Shanghai").unwrap(),
        }])),
        ..terms(from)
    }
}

#[tokio::test]
async fn held_incident_is_one_card_with_the_count_of_now() {
    let mut bench = Bench::new();
    let terms = held_at_night(1);
    let until = terms.hold.as_ref().unwrap().end(bench.now()).unwrap();
    for id in 1..=40 {
        let mut arrival = Arrival {
            incidents: vec![planned("crash", terms.clone())],
            ..bench.arrival(&format!("e{id}"), &[("oncall", Severity::Warning)])
        };
        arrival.deliveries[0].held = Some(Holding {
            held_for: HeldFor::Hold,
            until,
            hours: Some("20:00-08:00".into()),
            reported_at: bench.now(),
        });
        bench.accept(arrival).await;
        advance(&bench).await;
    }
    assert_eq!(only(&bench).await.progress.terms, terms);
    bench.run_for(31 * MINUTE);
    advance(&bench).await;
    assert_eq!(only(&bench).await.progress.state, IncidentState::Quiet);
    assert_eq!(bench.lease("oncall", 1000).await.len(), 0);
    bench.reopen();
    bench.clock.set(until);
    let leases = bench.lease("oncall", 1000).await;
    assert_eq!(news(&leases), [sent(IncidentNews::Opened)]);
    let incident = leases[0].item.incident.as_ref().unwrap();
    assert_eq!(incident.progress.count, 40);
}

#[tokio::test]
async fn last_word_of_an_incident_waits_for_the_end_of_the_window() {
    let bench = Bench::new();
    // The hours begin after the reports.
    let mut terms = held_at_night(1);
    if let Some(minutes) = terms
        .hold
        .as_mut()
        .and_then(|hours| hours.0[0].minutes.as_mut())
    {
        minutes.start = 20 * 60 + 45;
    }
    reports(&bench, 1..4, &terms).await;
    advance(&bench).await;
    assert_eq!(deliver_all(&bench, "oncall", true).await.len(), 2);
    bench.run_for(31 * MINUTE);
    advance(&bench).await;
    let leases = deliver_all(&bench, "oncall", true).await;
    assert_eq!(news(&leases), [EDIT], "an edit notifies nobody");
    bench
        .clock
        .set(terms.hold.unwrap().end(bench.now()).unwrap());
    let leases = deliver_all(&bench, "oncall", true).await;
    assert_eq!(news(&leases), [sent(IncidentNews::Quiet)]);
}

#[tokio::test]
async fn incident_that_waited_too_long_is_one_message_while_it_is_open() {
    let bench = Bench::new();
    let long = GroupTerms {
        resolve_after: Duration::from_secs(20 * 3600),
        ..terms(2)
    };
    reports(&bench, 1..9, &long).await;
    advance(&bench).await;
    bench.clock.advance(Duration::from_secs(7 * 3600));
    let six_hours = Duration::from_secs(6 * 3600);
    let oncall = DestinationName::from("oncall");
    let summaries = bench.store().summarise_stale(&oncall, six_hours).await;
    assert_eq!(summaries, Ok(Vec::new()));
    let leases = bench.lease("oncall", 1000).await;
    assert_eq!(news(&leases), [sent(IncidentNews::Opened)]);
}

/// Ends the open incidents quietly and delivers their messages.
async fn go_quiet(bench: &Bench) {
    bench.run_for(31 * MINUTE);
    settle(bench).await;
    deliver_all(bench, "oncall", true).await;
}

/// Accepts reports of a fault of an app on a page.
async fn on_page(bench: &Bench, ids: std::ops::Range<u32>, app: &str, page: &str) {
    let value = |text: &str| Some(Private::new(text));
    for id in ids {
        let incident = PlannedIncident {
            key: IncidentKey(vec![
                (GroupKey::App, value(app)),
                (GroupKey::Fault, value("crash")),
                (GroupKey::Path, value(page)),
            ]),
            ..planned("crash", terms(1))
        };
        report(bench, &format!("p{id}"), incident).await;
    }
}

/// Returns what the newest incident's message shows of earlier ones: the one with the same key, and those of the same
/// fault with the numbers of their reports.
async fn earlier(bench: &Bench) -> (Option<i64>, Vec<(i64, usize)>) {
    let filter = IncidentFilter {
        limit: 1,
        ..IncidentFilter::default()
    };
    let id = bench.store().incidents(filter).await.unwrap()[0].id;
    let content = bench.store().incident_content(id).await.unwrap();
    let (_, earlier) = content.unwrap();
    let same_fault = earlier.same_fault.iter();
    (
        earlier.same_key.map(|one| one.id.0),
        same_fault
            .map(|(one, reports)| (one.id.0, reports.len()))
            .collect(),
    )
}

#[tokio::test]
async fn earlier_incident_of_the_key_is_found_for_14_days() {
    let bench = Bench::new();
    shown(&bench, 2, &terms(1)).await;
    press(&bench, TriageAction::Done, "li").await;
    bench.run_for(25 * 60 * MINUTE);
    settle(&bench).await;
    reports(&bench, 2..4, &terms(1)).await;
    settle(&bench).await;
    go_quiet(&bench).await;
    // A single report is delivered individually, so people have seen no incident.
    reports(&bench, 4..5, &terms(1)).await;
    assert_eq!(earlier(&bench).await, (Some(1), Vec::new()), "it was done");
    go_quiet(&bench).await;
    bench.clock.advance(Duration::from_secs(13 * 86_400));
    reports(&bench, 5..6, &terms(1)).await;
    assert_eq!(earlier(&bench).await, (Some(2), Vec::new()));
    go_quiet(&bench).await;
    bench.clock.advance(Duration::from_secs(2 * 86_400));
    reports(&bench, 6..7, &terms(1)).await;
    assert_eq!(earlier(&bench).await, (None, Vec::new()));
}

#[tokio::test]
async fn earlier_incidents_of_app_and_fault_are_compared() {
    let bench = Bench::new();
    for (index, (app, page)) in (0..).zip([("cli_1", "a"), ("cli_2", "a"), ("cli_1", "b")]) {
        on_page(&bench, index * 10..index * 10 + 2, app, page).await;
        settle(&bench).await;
        go_quiet(&bench).await;
    }
    let seq = bench.store().event("p0").await.unwrap().unwrap().seq;
    bench.store().erase(seq).await.unwrap();
    on_page(&bench, 30..31, "cli_1", "c").await;
    assert_eq!(earlier(&bench).await, (None, vec![(3, 2), (1, 1)]));
    on_page(&bench, 40..41, "cli_2", "a").await;
    assert_eq!(earlier(&bench).await, (Some(2), Vec::new()));
}

/// Accepts reports with one image each.
async fn with_image(bench: &Bench, ids: std::ops::Range<u32>) {
    for id in ids {
        let deliveries = [("oncall", Severity::Warning)];
        let arrival = Arrival {
            incidents: vec![planned("crash", terms(1))],
            ..bench.arrival(&format!("i{id}"), &deliveries)
        };
        bench.accept(bench.with_images(arrival, 1)).await;
    }
}

fn image_ids(lease: &Lease<Work>) -> Vec<ImageId> {
    let kept = lease.item.images.iter().filter_map(|one| one.kept.as_ref());
    kept.map(|kept| kept.id.clone()).collect()
}

#[tokio::test]
async fn message_shows_images_of_the_newest_reports_and_later_ones_by_an_edit() {
    let bench = Bench::new();
    with_image(&bench, 0..7).await;
    advance(&bench).await;
    bench.run_for(EDIT_PACE_MIN);
    deliver_all(&bench, "oncall", true).await;
    let jobs = bench.lease_images(7).await;
    let mut ids = Vec::new();
    for job in &jobs {
        // Two reports have the same image.
        let bytes = format!("image {}", job.item.event.0.max(2));
        ids.push(bench.keep(job, &bytes).await);
    }
    bench.run_for(EDIT_PACE_MIN);
    advance(&bench).await;
    let leases = deliver_all(&bench, "oncall", true).await;
    let edit = leases
        .iter()
        .find(|one| one.item.delivery.trigger == Trigger::Edit);
    let newest: Vec<ImageId> = ids
        .iter()
        .rev()
        .take(INCIDENT_IMAGES_MAX)
        .cloned()
        .collect();
    assert_eq!(image_ids(edit.unwrap()), newest);
    let ordinals = edit.unwrap().item.images.iter().map(|one| one.ordinal);
    assert!(ordinals.eq(0..4));
    // Images of erased reports leave the message.
    for id in 2..7 {
        let seq = bench
            .store()
            .event(&format!("i{id}"))
            .await
            .unwrap()
            .unwrap()
            .seq;
        bench.store().erase(seq).await.unwrap();
    }
    let leases = deliver_all(&bench, "oncall", true).await;
    let edit = leases
        .iter()
        .find(|one| one.item.delivery.trigger == Trigger::Edit);
    assert_eq!(image_ids(edit.unwrap()), [ids[0].clone()]);
}

#[tokio::test]
async fn message_without_its_images_is_edited_at_once() {
    let bench = Bench::new();
    reports(&bench, 0..2, &terms(1)).await;
    advance(&bench).await;
    for lease in bench.lease("oncall", 9).await {
        let finished = CompletedAttempt {
            shown: 0,
            handle: Some(MessageHandle("om".into())),
            ..bench.finished(&lease, Verdict::Done)
        };
        bench.record(&lease, finished).await;
    }
    assert_eq!(news(&deliver_all(&bench, "oncall", true).await), [EDIT]);
}

/// Delivers the one waiting edit, which the platform refuses because readers removed the message.
async fn refuse_edit(bench: &Bench) {
    let lease = bench.lease_one("oncall").await;
    assert_eq!(news(std::slice::from_ref(&lease)), [EDIT]);
    let finished = CompletedAttempt {
        is_final: true,
        ..bench.finished(
            &lease,
            Verdict::Dead {
                reason: "message_not_found".into(),
            },
        )
    };
    bench.record(&lease, finished).await;
}

#[tokio::test]
async fn removed_message_is_replaced_by_the_next_notification_only() {
    let bench = Bench::new();
    let terms = GroupTerms {
        steps: vec![EscalationStep {
            at: EscalateAt::Count(4),
            unless_claimed: false,
            mentions: vec!["all".into()],
            send_to: Vec::new(),
        }],
        ..terms(1)
    };
    shown(&bench, 2, &terms).await;
    reports(&bench, 2..3, &terms).await;
    bench.run_for(EDIT_PACE_MIN);
    advance(&bench).await;
    refuse_edit(&bench).await;
    bench.run_for(10 * MINUTE);
    advance(&bench).await;
    assert_eq!(
        bench.lease("oncall", 9).await.len(),
        0,
        "it is not posted again"
    );
    reports(&bench, 3..4, &terms).await;
    advance(&bench).await;
    let leases = deliver_all(&bench, "oncall", true).await;
    assert_eq!(news(&leases), [sent(IncidentNews::Threshold)]);
    assert_eq!(leases[0].item.message, None, "it is no reply");
    // From then on it is the message that counts.
    reports(&bench, 4..5, &terms).await;
    bench.run_for(10 * MINUTE);
    advance(&bench).await;
    let edits = deliver_all(&bench, "oncall", true).await;
    let edit = (Trigger::Edit, Some(IncidentNews::Threshold));
    assert_eq!(news(&edits), [edit]);
    let own = MessageHandle(leases[0].item.delivery.id.to_string());
    assert_eq!(edits[0].item.message, Some(own.clone()));
    press(&bench, TriageAction::Done, "li").await;
    let last = deliver_all(&bench, "oncall", true).await;
    let done = last
        .iter()
        .find(|one| one.item.delivery.trigger == Trigger::Incident);
    assert_eq!(done.unwrap().item.message, Some(own));
}

#[tokio::test]
async fn next_message_after_a_plain_text_becomes_the_live_one() {
    let bench = Bench::new();
    reports(&bench, 0..2, &terms(1)).await;
    advance(&bench).await;
    for mut lease in bench.lease("oncall", 9).await {
        if lease.item.delivery.trigger == Trigger::Incident {
            let plainer = Verdict::RetryAt {
                due_at: bench.now(),
                form: Form::Text,
            };
            bench.record(&lease, bench.finished(&lease, plainer)).await;
            lease = bench.lease_one("oncall").await;
        }
        let finished = CompletedAttempt {
            handle: Some(MessageHandle("text".into())),
            shown: ALL_SHOWN,
            ..bench.finished(&lease, Verdict::Done)
        };
        bench.record(&lease, finished).await;
    }
    reports(&bench, 2..3, &terms(1)).await;
    bench.run_for(5 * MINUTE);
    advance(&bench).await;
    let leases = deliver_all(&bench, "oncall", true).await;
    assert_eq!(news(&leases), [sent(IncidentNews::Digest)]);
    assert_eq!(leases[0].item.message, None);
    reports(&bench, 3..4, &terms(1)).await;
    bench.run_for(5 * MINUTE);
    advance(&bench).await;
    let edit = (Trigger::Edit, Some(IncidentNews::Digest));
    assert_eq!(news(&deliver_all(&bench, "oncall", true).await), [edit]);
}

#[tokio::test]
async fn key_that_becomes_quiet_again_and_again_is_flapping() {
    let bench = Bench::new();
    for round in 0..4 {
        reports(&bench, 2 * round..2 * round + 2, &terms(1)).await;
        settle(&bench).await;
        deliver_all(&bench, "oncall", true).await;
        let filter = IncidentFilter {
            open: true,
            limit: 9,
            ..IncidentFilter::default()
        };
        let open = bench.store().incidents(filter).await.unwrap();
        assert_eq!(open[0].progress.reopened, u64::from(round));
        assert_eq!(open[0].progress.is_flapping(), round == 3);
        if round < 3 {
            go_quiet(&bench).await;
        }
    }
    bench.run_for(59 * MINUTE);
    assert!(advance(&bench).await.is_some());
    bench.run_for(2 * MINUTE);
    assert_eq!(advance(&bench).await, None);
    bench.run_for(25 * 60 * MINUTE);
    reports(&bench, 20..21, &terms(1)).await;
    let filter = IncidentFilter {
        open: true,
        limit: 9,
        ..IncidentFilter::default()
    };
    let open = bench.store().incidents(filter).await.unwrap();
    assert_eq!(open[0].progress.reopened, 0, "that was yesterday");
}

#[tokio::test]
async fn late_report_is_counted_if_the_incident_covers_its_time() {
    let bench = Bench::new();
    let late = async |id: &str, reported_at: Timestamp| {
        let planned = PlannedIncident {
            reported_at: Some(reported_at),
            ..planned("crash", terms(1))
        };
        let arrival = Arrival {
            late_incidents: vec![planned],
            ..bench.arrival(id, &[("warehouse", Severity::Warning)])
        };
        bench.accept(arrival).await;
    };
    let start = bench.now();
    late("before", start).await;
    shown(&bench, 2, &terms(1)).await;
    bench.run_for(10 * MINUTE);
    late("older", start - MINUTE).await;
    late("covered", start + MINUTE).await;
    let incident = only(&bench).await;
    assert_eq!((incident.progress.count, incident.progress.late), (3, 1));
    advance(&bench).await;
    assert_eq!(news(&deliver_all(&bench, "oncall", true).await), [EDIT]);
    bench.run_for(20 * MINUTE);
    advance(&bench).await;
    assert_eq!(only(&bench).await.progress.state, IncidentState::Quiet);
    late("after", start + MINUTE).await;
    assert_eq!(only(&bench).await.progress.count, 3);
}

#[tokio::test]
async fn each_report_knows_its_incident_and_its_number() {
    let bench = Bench::new();
    reports(&bench, 0..3, &terms(5)).await;
    bench
        .accept(bench.arrival("alone", &[("warehouse", Severity::Warning)]))
        .await;
    let mut leases = bench.lease("warehouse", 9).await;
    leases.sort_by_key(|lease| lease.item.event.seq);
    let counted: Vec<_> = leases.iter().map(|one| one.item.counted).collect();
    let number = |number| {
        Some(CountedReport {
            incident: IncidentId(1),
            number,
        })
    };
    assert_eq!(counted, [number(1), number(2), number(3), None]);
}
