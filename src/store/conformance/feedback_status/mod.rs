//! Button actions, platform reports, and the resulting edits and outbox entries.

mod actions;
mod edits;
mod erasure;
mod outbox;
mod reports;

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

pub(in crate::store::conformance) async fn click(
    bench: &Bench,
    event: EventSeq,
    act: TriageAction,
) -> ActionOutcome {
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

/// Returns the new state of an action that changes the status.
fn changed(outcome: ActionOutcome) -> FeedbackState {
    match outcome {
        ActionOutcome::Changed(state) => state,
        other => panic!("nothing changed: {other:?}"),
    }
}

/// Completes the edits that wait at these destinations.
async fn end_edits(bench: &Bench, places: &[&str]) {
    for place in places {
        bench
            .end(&bench.lease_one(place).await, Verdict::Done)
            .await;
    }
}

async fn assert_outbox_is_empty(bench: &Bench) {
    let jobs = bench.store().lease_status_jobs(9, LEASE).await;
    assert_eq!(jobs, Ok(Vec::new()));
}
