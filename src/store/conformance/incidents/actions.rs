//! Buttons on the messages of incidents.

use super::*;

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
