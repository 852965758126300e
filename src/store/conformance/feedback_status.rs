//! Button actions, platform reports, and the resulting edits and outbox entries.

use super::messages::send;
use super::*;

const APP: &str = "cli_9f5343c580712544";

/// Accepts an event and delivers editable messages to two destinations.
async fn accept_and_deliver(bench: &Bench) -> EventSeq {
    let places = [("oncall", Severity::Critical), ("product", Severity::Info)];
    let seq = bench.accept(bench.arrival("e1", &places)).await;
    for (place, handle) in [("oncall", "om_1"), ("product", "C1:1.5")] {
        send(bench, &bench.lease_one(place).await, handle).await;
    }
    seq
}

fn acting(event: EventSeq, act: TriageAction) -> ApplyAction {
    ApplyAction {
        event,
        act,
        undoes: None,
        by: Actor {
            name: Some(Private::new("Li Lei marker")),
            id: Some(Private::new("ou_li")),
            app: Some("shop".into()),
        },
        through: ChangeSource::Feishu,
        operator: Some(Private::new("ou_li")),
    }
}

pub(super) async fn click(bench: &Bench, event: EventSeq, act: TriageAction) -> ActionOutcome {
    bench
        .store()
        .apply_action(acting(event, act))
        .await
        .unwrap()
}

async fn undo(bench: &Bench, event: EventSeq, undoes: Timestamp) -> ActionOutcome {
    let acting = ApplyAction {
        undoes: Some(undoes),
        ..acting(event, TriageAction::Undo)
    };
    bench.store().apply_action(acting).await.unwrap()
}

async fn state(bench: &Bench, event: EventSeq) -> FeedbackState {
    bench.store().feedback_state(event).await.unwrap().unwrap()
}

async fn lease_status(bench: &Bench) -> Lease<StatusJob> {
    let mut jobs = bench.store().lease_status_jobs(9, LEASE).await.unwrap();
    assert_eq!(jobs.len(), 1, "one status is due");
    jobs.remove(0)
}

async fn finish_status(bench: &Bench, lease: &Lease<StatusJob>, verdict: StatusVerdict) {
    let recorded = bench
        .store()
        .finish_status_job(lease.token, lease.item.clone(), verdict)
        .await;
    assert_eq!(recorded, Ok(Recorded::Recorded));
}

/// Builds a platform report of a new status for the feedback of event `e1`.
fn change(bench: &Bench, id: &str, status: FeedbackStatus, after_s: u64) -> Arrival {
    let at = bench.now() + Duration::from_secs(after_s);
    Arrival {
        feedback: None,
        event_type: "application.application.feedback.updated_v6".into(),
        change: Some(FeedbackChange {
            app_id: APP.into(),
            feedback_ids: vec!["fb-e1".into()],
            status,
            updated_at: Some(at),
            told_at: Some(at),
            by: Actor {
                id: Some(Private::new("ou_console")),
                ..Actor::default()
            },
        }),
        ..bench.arrival(id, &[])
    }
}

#[tokio::test]
async fn action_changes_status_messages_and_outbox_at_once() {
    let mut bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let ActionOutcome::Changed(now) = click(&bench, seq, TriageAction::Claim).await else {
        panic!("nothing changed");
    };
    assert_eq!(now.status, FeedbackStatus::PROCESSING);
    assert_eq!(
        now.undo_until,
        Some(bench.now() + Duration::from_secs(15 * 60))
    );
    bench.reopen();
    assert_eq!(state(&bench, seq).await, now);
    for (place, handle) in [("oncall", "om_1"), ("product", "C1:1.5")] {
        let work = bench.lease_one(place).await.item;
        assert_eq!(work.delivery.trigger, Trigger::Edit);
        assert_eq!(
            work.message.as_ref().map(MessageHandle::as_str),
            Some(handle)
        );
        assert_eq!(work.state.as_ref(), Some(&now));
        assert_eq!(work.payload, None);
        assert_eq!(work.delivery.spec.template, "alert");
    }
    let job = lease_status(&bench).await.item;
    assert_eq!(
        (job.status, job.via.as_str(), job.app_id.as_str()),
        (FeedbackStatus::PROCESSING, "shop", APP)
    );
    assert_eq!(
        (job.feedback_id.as_str(), job.operator.expose()),
        ("fb-e1", "ou_li")
    );
}

#[tokio::test]
async fn repeated_action_changes_nothing() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let ActionOutcome::Changed(first) = click(&bench, seq, TriageAction::Claim).await else {
        panic!("nothing changed");
    };
    bench.deliver(&bench.lease_one("oncall").await, 0).await;
    bench.clock.advance(Duration::from_secs(1));
    let again = bench
        .store()
        .apply_action(ApplyAction {
            by: Actor::default(),
            ..acting(seq, TriageAction::Claim)
        })
        .await;
    assert_eq!(again, Ok(ActionOutcome::Already(first)));
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    assert_eq!(bench.store().feedback_acts(seq).await.unwrap().len(), 1);
    assert_eq!(
        click(&bench, EventSeq(99), TriageAction::Claim).await,
        ActionOutcome::Unknown
    );
}

#[tokio::test]
async fn message_has_one_edit_in_progress_and_the_newest_follows() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    let in_flight = bench.lease_one("oncall").await;
    click(&bench, seq, TriageAction::Done).await;
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    // At the other destination, the waiting edit is rendered when it is sent.
    let other = bench.lease_one("product").await;
    let shown = other.item.state.as_ref().map(|state| state.status);
    assert_eq!(shown, Some(FeedbackStatus::PROCESSED));
    bench.end(&other, Verdict::Done).await;
    assert_eq!(bench.lease("product", 9).await.len(), 0);

    bench.end(&in_flight, Verdict::Done).await;
    let next = bench.lease_one("oncall").await;
    assert_eq!(next.item.state.as_ref().map(|state| state.status), shown);
    assert_ne!(next.item.delivery.id, in_flight.item.delivery.id);
    bench.end(&next, Verdict::Done).await;
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
}

#[tokio::test]
async fn edit_with_expired_lease_is_leased_again() {
    let mut bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    let lost = bench.lease_one("oncall").await;
    click(&bench, seq, TriageAction::Done).await;
    bench.reopen();
    let again = bench.lease_one("oncall").await;
    assert_eq!(again.item.delivery.id, lost.item.delivery.id);
    bench.end(&again, Verdict::Done).await;
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
}

#[tokio::test]
async fn failed_edit_is_discarded_and_can_be_retried() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    let lease = bench.lease_one("oncall").await;
    let gone = Verdict::Dead {
        reason: "the message is gone".into(),
    };
    bench.end(&lease, gone).await;
    let id = lease.item.delivery.id;
    let delivery = bench.one_delivery(id).await;
    assert_eq!(delivery.state, DeliveryState::Discarded);
    assert_eq!(delivery.reason.as_deref(), Some("the message is gone"));
    assert_eq!(bench.store().retry(id).await, Ok(AdminResult::Done));
    assert_eq!(bench.store().retry(id).await, Ok(AdminResult::Done));
    assert_eq!(
        bench.lease_one("oncall").await.item.delivery.trigger,
        Trigger::Edit
    );
    // It is not rerouted, even if its destination is stopped.
    let all = FallBack::Everything;
    assert_eq!(bench.fall_back("product", "ops", all).await, 0);
    let known = ["oncall".into()];
    bench.end_orphans(&known, "gone").await;
    assert!(
        bench
            .store()
            .stats()
            .await
            .unwrap()
            .queues
            .iter()
            .all(|queue| queue.dead == 0)
    );
}

#[tokio::test]
async fn messages_that_are_not_editable_get_no_edit() {
    let bench = Bench::new();
    let places = [("oncall", Severity::Info), ("plain", Severity::Info)];
    let seq = bench.accept(bench.arrival("e1", &places)).await;
    send(&bench, &bench.lease_one("oncall").await, "om_1").await;
    // A message sent as text is not a card.
    let plain = bench.lease_one("plain").await;
    bench.end(&plain, bench.retry_at(0, Form::Text)).await;
    send(&bench, &bench.lease_one("plain").await, "om_2").await;
    click(&bench, seq, TriageAction::Claim).await;
    assert_eq!(bench.lease("plain", 9).await.len(), 0);
    bench
        .end(&bench.lease_one("oncall").await, Verdict::Done)
        .await;
    bench.clock.advance(Duration::from_secs(14 * 86_400));
    assert!(matches!(
        click(&bench, seq, TriageAction::Done).await,
        ActionOutcome::Changed(_)
    ));
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
}

#[tokio::test]
async fn change_can_be_undone_once_within_the_undo_period() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    let ActionOutcome::Changed(done) = click(&bench, seq, TriageAction::Done).await else {
        panic!("nothing changed");
    };
    let ActionOutcome::Changed(back) = undo(&bench, seq, done.changed_at).await else {
        panic!("nothing changed");
    };
    assert_eq!(
        (back.status, back.undo_until),
        (FeedbackStatus::PROCESSING, None)
    );
    assert_eq!(
        undo(&bench, seq, done.changed_at).await,
        ActionOutcome::Already(back)
    );
    let ActionOutcome::Changed(closed) = click(&bench, seq, TriageAction::NotOurs).await else {
        panic!("nothing changed");
    };
    bench.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(
        undo(&bench, seq, closed.changed_at).await,
        ActionOutcome::TooLate(closed)
    );
    for place in ["oncall", "product"] {
        let edit = bench.lease_one(place).await;
        bench.end(&edit, Verdict::Done).await;
    }
    assert_eq!(bench.store().end_undos().await, Ok(1));
    assert_eq!(bench.store().end_undos().await, Ok(0));
    let shown = bench.lease_one("oncall").await.item.state.unwrap();
    assert_eq!(shown.undo_until, None);
}

#[tokio::test]
async fn newest_status_is_written_to_platform_one_at_a_time() {
    let mut bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    let claim = lease_status(&bench).await;
    click(&bench, seq, TriageAction::Done).await;
    let none = bench.store().lease_status_jobs(9, LEASE).await.unwrap();
    assert_eq!(none.len(), 0, "the first is in progress");
    let until = Some(bench.now() + LEASE);
    assert_eq!(bench.store().next_status_due_at().await, Ok(until));
    finish_status(&bench, &claim, StatusVerdict::Done).await;
    let done = lease_status(&bench).await;
    assert_eq!(done.item.status, FeedbackStatus::PROCESSED);
    bench.reopen();
    let done = lease_status(&bench).await;
    let due_at = bench.now() + Duration::from_secs(5);
    let reason = "busy".to_owned();
    finish_status(&bench, &done, StatusVerdict::RetryAt { due_at, reason }).await;
    let stats = bench.store().stats().await.unwrap();
    assert_eq!((stats.statuses_pending, stats.statuses_dead), (1, 0));
    bench.clock.advance(Duration::from_secs(5));
    let done = lease_status(&bench).await;
    finish_status(&bench, &done, StatusVerdict::Done).await;
    let job = bench.store().status_job(seq).await.unwrap().unwrap();
    assert_eq!(
        (job.state, job.status),
        (StatusJobState::Done, FeedbackStatus::PROCESSED)
    );
    let again = bench
        .store()
        .finish_status_job(done.token, done.item, StatusVerdict::Done);
    assert_eq!(again.await, Ok(Recorded::LeaseLost));
}

#[tokio::test]
async fn rejected_status_is_local_only_and_messages_show_it() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    bench
        .end(&bench.lease_one("oncall").await, Verdict::Done)
        .await;
    assert!(!state(&bench, seq).await.local_only);
    let job = lease_status(&bench).await;
    let reason = "not permitted".to_owned();
    finish_status(&bench, &job, StatusVerdict::Dead { reason }).await;
    assert!(
        bench
            .lease_one("oncall")
            .await
            .item
            .state
            .unwrap()
            .local_only
    );
    assert_eq!(bench.store().stats().await.unwrap().statuses_dead, 1);
}

#[tokio::test]
async fn action_without_operator_is_not_written_to_platform() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let here = ApplyAction {
        operator: None,
        through: ChangeSource::Slack,
        ..acting(seq, TriageAction::Claim)
    };
    let ActionOutcome::Changed(claimed) = bench.store().apply_action(here).await.unwrap() else {
        panic!("nothing changed");
    };
    assert!(claimed.local_only);
    let none = bench.store().lease_status_jobs(9, LEASE).await.unwrap();
    assert_eq!(none.len(), 0);
    // Undo leaves nothing to write to the platform.
    let ActionOutcome::Changed(back) = undo(&bench, seq, claimed.changed_at).await else {
        panic!("nothing changed");
    };
    assert!(!back.local_only);
    let none = bench.store().lease_status_jobs(9, LEASE).await.unwrap();
    assert_eq!(none.len(), 0);
}

#[tokio::test]
async fn undo_of_local_only_status_restores_local_only_status() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let here = |act| ApplyAction {
        operator: None,
        ..acting(seq, act)
    };
    bench
        .store()
        .apply_action(here(TriageAction::Claim))
        .await
        .unwrap();
    let ActionOutcome::Changed(done) = bench
        .store()
        .apply_action(here(TriageAction::Done))
        .await
        .unwrap()
    else {
        panic!("nothing changed");
    };
    let ActionOutcome::Changed(back) = undo(&bench, seq, done.changed_at).await else {
        panic!("nothing changed");
    };
    assert_eq!(back.status, FeedbackStatus::PROCESSING);
    assert!(back.local_only, "the platform never heard of that either");
}

#[tokio::test]
async fn status_is_not_local_only_once_platform_reports_it() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let here = ApplyAction {
        operator: None,
        ..acting(seq, TriageAction::Done)
    };
    bench.store().apply_action(here).await.unwrap();
    bench
        .accept(change(&bench, "u1", FeedbackStatus::PROCESSED, 5))
        .await;
    assert!(!state(&bench, seq).await.local_only);
}

#[tokio::test]
async fn entry_cancelled_during_its_attempt_is_not_retried() {
    let mut bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    let claim = lease_status(&bench).await;
    // Meanwhile somebody closes it in Feishu, and the relay's request fails.
    bench
        .accept(change(&bench, "u1", FeedbackStatus::CLOSED, 120))
        .await;
    let verdict = StatusVerdict::RetryAt {
        due_at: bench.now(),
        reason: "busy".to_owned(),
    };
    let recorded = bench
        .store()
        .finish_status_job(claim.token, claim.item, verdict);
    assert_eq!(recorded.await, Ok(Recorded::LeaseLost));
    bench.clock.advance(LEASE * 2);
    bench.reopen();
    assert_eq!(
        bench.store().lease_status_jobs(9, LEASE).await,
        Ok(Vec::new())
    );
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::CLOSED);
}

/// Builds the platform's list.
fn listed(bench: &Bench, status: FeedbackStatus, after_s: u64) -> Vec<FeedbackChange> {
    let change = change(bench, "x", status, after_s).change.unwrap();
    vec![FeedbackChange {
        told_at: None,
        ..change
    }]
}

#[tokio::test]
async fn list_adds_missed_changes_and_reverts_no_action() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let says = |listed| bench.store().platform_lists(listed);
    let of = |status, after_s| listed(&bench, status, after_s);
    assert_eq!(says(of(FeedbackStatus::UNPROCESSED, 0)).await, Ok(0));
    assert_eq!(bench.store().feedback_state(seq).await, Ok(None));
    assert_eq!(says(of(FeedbackStatus::PROCESSING, 0)).await, Ok(1));
    assert_eq!(says(of(FeedbackStatus::PROCESSING, 0)).await, Ok(0));
    assert_eq!(bench.store().feedback_acts(seq).await.unwrap().len(), 1);
    assert_eq!(
        bench.lease_one("oncall").await.item.delivery.trigger,
        Trigger::Edit
    );

    bench.clock.advance(Duration::from_secs(60));
    click(&bench, seq, TriageAction::Done).await;
    assert_eq!(says(of(FeedbackStatus::CLOSED, 300)).await, Ok(0));
    let job = lease_status(&bench).await;
    finish_status(&bench, &job, StatusVerdict::Done).await;
    let old = listed(&bench, FeedbackStatus::PROCESSING, 0);
    let old = old.into_iter().map(|change| FeedbackChange {
        updated_at: Some(bench.now() - Duration::from_secs(60)),
        ..change
    });
    assert_eq!(says(old.collect()).await, Ok(0));
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::PROCESSED);
    let odd = of(FeedbackStatus::CLOSED, 8 * 3600);
    assert_eq!(says(odd).await, Ok(0), "its zone is not what we think");
    bench.clock.advance(Duration::from_secs(300));
    assert_eq!(says(of(FeedbackStatus::CLOSED, 0)).await, Ok(1));
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::CLOSED);
    let unknown = FeedbackChange {
        feedback_ids: vec!["nobody's".into()],
        ..listed(&bench, FeedbackStatus::CLOSED, 0).remove(0)
    };
    assert_eq!(says(vec![unknown]).await, Ok(0));
}

#[tokio::test]
async fn platform_report_changes_status_and_every_message() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    bench
        .accept(change(&bench, "u1", FeedbackStatus::CLOSED, 0))
        .await;
    let now = state(&bench, seq).await;
    assert_eq!(
        (now.status, now.through),
        (FeedbackStatus::CLOSED, ChangeSource::Platform)
    );
    assert_eq!((now.undo_until, now.local_only), (None, false));
    let edit = bench.lease_one("oncall").await;
    assert_eq!(edit.item.state.as_ref(), Some(&now));
    let none = bench.store().lease_status_jobs(9, LEASE).await.unwrap();
    assert_eq!(none.len(), 0);
}

#[tokio::test]
async fn newest_of_reordered_platform_reports_wins() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    bench.clock.advance(Duration::from_secs(100));
    let newer = change(&bench, "u2", FeedbackStatus::PROCESSED, 0);
    let mut older = change(&bench, "u1", FeedbackStatus::PROCESSING, 0);
    let change = older.change.as_mut().unwrap();
    change.updated_at = Some(bench.now() - Duration::from_secs(50));
    bench.accept(newer).await;
    bench
        .end(&bench.lease_one("oncall").await, Verdict::Done)
        .await;
    bench.accept(older).await;
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::PROCESSED);
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    let acts = bench.store().feedback_acts(seq).await.unwrap();
    let effects: Vec<_> = acts.iter().map(|act| act.effect).collect();
    assert_eq!(effects, [Effect::Changed, Effect::Stale]);
}

#[tokio::test]
async fn echo_of_own_request_causes_no_edit_or_message() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    for place in ["oncall", "product"] {
        bench
            .end(&bench.lease_one(place).await, Verdict::Done)
            .await;
    }
    let job = lease_status(&bench).await;
    finish_status(&bench, &job, StatusVerdict::Done).await;
    // The destination whose message shows the change needs no delivery; others that asked for changes
    // do.
    let echo = Arrival {
        deliveries: vec![
            bench.delivery("oncall", Severity::Info),
            bench.delivery("warehouse", Severity::Info),
        ],
        ..change(&bench, "u1", FeedbackStatus::PROCESSING, 1)
    };
    bench.accept(echo).await;
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
    assert_eq!(bench.lease("product", 9).await.len(), 0);
    assert_eq!(bench.lease("warehouse", 9).await.len(), 1);
    assert_eq!(state(&bench, seq).await.through, ChangeSource::Feishu);
}

#[tokio::test]
async fn late_echo_of_undone_status_is_ignored() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let ActionOutcome::Changed(claimed) = click(&bench, seq, TriageAction::Claim).await else {
        panic!("nothing changed");
    };
    let job = lease_status(&bench).await;
    finish_status(&bench, &job, StatusVerdict::Done).await;
    bench.clock.advance(Duration::from_secs(2));
    undo(&bench, seq, claimed.changed_at).await;
    // The platform's clock is slightly ahead.
    bench
        .accept(change(&bench, "u1", FeedbackStatus::PROCESSING, 1))
        .await;
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::UNPROCESSED);
    assert_eq!(
        lease_status(&bench).await.item.status,
        FeedbackStatus::UNPROCESSED
    );
}

#[tokio::test]
async fn platform_report_before_its_feedback_is_kept() {
    let bench = Bench::new();
    bench
        .accept(change(&bench, "u1", FeedbackStatus::PROCESSING, 0))
        .await;
    let seq = accept_and_deliver(&bench).await;
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::PROCESSING);
    assert_eq!(
        bench.lease("oncall", 9).await.len(),
        1,
        "it may have been rendered before"
    );
}

#[tokio::test]
async fn status_change_replies_to_the_first_message() {
    let bench = Bench::new();
    accept_and_deliver(&bench).await;
    let news = Arrival {
        deliveries: vec![
            bench.delivery("oncall", Severity::Warning),
            bench.delivery("elsewhere", Severity::Warning),
        ],
        ..change(&bench, "u1", FeedbackStatus::CLOSED, 0)
    };
    bench.accept(news).await;
    let mut at_oncall = bench.lease("oncall", 9).await;
    at_oncall.retain(|lease| lease.item.delivery.trigger == Trigger::Event);
    let message = at_oncall[0].item.message.as_ref();
    assert_eq!(message.map(MessageHandle::as_str), Some("om_1"));
    assert_eq!(bench.lease_one("elsewhere").await.item.message, None);
}

#[tokio::test]
async fn message_sent_during_a_status_change_is_edited() {
    let bench = Bench::new();
    let seq = bench
        .accept(bench.arrival("e1", &[("oncall", Severity::Info)]))
        .await;
    let sending = bench.lease_one("oncall").await;
    bench
        .accept(change(&bench, "u1", FeedbackStatus::PROCESSED, 0))
        .await;
    send(&bench, &sending, "om_1").await;
    let edit = bench.lease_one("oncall").await.item;
    assert_eq!(edit.delivery.trigger, Trigger::Edit);
    assert_eq!(edit.state, Some(state(&bench, seq).await));
}

#[tokio::test]
async fn erased_event_has_no_actors() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    bench.store().erase(seq).await.unwrap();
    assert_eq!(bench.files_with("Li Lei marker"), Vec::<String>::new());
    let state = state(&bench, seq).await;
    assert_eq!(
        (state.status, state.by.name),
        (FeedbackStatus::PROCESSING, None)
    );
    let none = bench.store().lease_status_jobs(9, LEASE).await.unwrap();
    assert_eq!(none.len(), 0);
    // Nothing can be shown any more, but the status can still be changed.
    assert!(matches!(
        click(&bench, seq, TriageAction::Done).await,
        ActionOutcome::Changed(_)
    ));
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
}

#[tokio::test]
async fn actor_is_erased_from_all_their_actions() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    let ActionOutcome::Changed(claimed) = click(&bench, seq, TriageAction::Claim).await else {
        panic!("nothing changed");
    };
    let edit = bench.lease_one("product").await;
    let mut finished = bench.finished(&edit, Verdict::Done);
    finished.attempt.as_mut().unwrap().excerpt = Some("Li Lei marker".to_owned());
    let recorded = bench.store().finish_attempt(edit.token, finished).await;
    assert_eq!(recorded, Ok(Recorded::Recorded));
    assert_ne!(bench.files_with("Li Lei marker"), [""; 0]);
    assert_ne!(bench.files_with("ou_li"), [""; 0]);

    assert_eq!(bench.store().clicks_of("ou_li").await, Ok(1));
    assert_eq!(bench.store().forget_clicks("ou_li").await, Ok(1));
    assert_eq!(bench.files_with("Li Lei marker"), [""; 0]);
    assert_eq!(bench.files_with("ou_li"), [""; 0]);
    assert_eq!(bench.store().clicks_of("ou_li").await, Ok(0));
    // The status stays, but only locally: it was not written to Feishu yet, and now cannot be in this
    // name.
    let now = state(&bench, seq).await;
    assert_eq!((now.status, now.by.id), (claimed.status, None));
    assert!(now.local_only);
    assert_eq!(
        bench.store().lease_status_jobs(9, LEASE).await,
        Ok(Vec::new())
    );
    let event = bench.store().event("e1").await.unwrap().unwrap();
    assert!(event.body.is_some(), "the report is another person's");
}

#[tokio::test]
async fn statuses_are_removed_with_their_events() {
    let bench = Bench::new();
    let seq = accept_and_deliver(&bench).await;
    click(&bench, seq, TriageAction::Claim).await;
    for place in ["oncall", "product"] {
        bench
            .end(&bench.lease_one(place).await, Verdict::Done)
            .await;
    }
    let mut stray = change(&bench, "u1", FeedbackStatus::CLOSED, 0);
    stray.change.as_mut().unwrap().feedback_ids = vec!["fb-unknown".into()];
    bench.accept(stray).await;
    bench.clock.advance(Duration::from_secs(1));
    let later = bench.now();
    bench.store().sweep(later, later).await.unwrap();
    assert_eq!(bench.store().feedback_state(seq).await, Ok(None));
    assert_eq!(bench.store().lease_status_jobs(9, LEASE).await, Ok(vec![]));
    let unknown = bench.accept(bench.arrival("unknown", &[])).await;
    assert_eq!(bench.store().feedback_state(unknown).await, Ok(None));
}
