//! Statuses written to the platform.

use super::*;

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
    end_edits(&bench, &["oncall"]).await;
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
    assert_outbox_is_empty(&bench).await;
    assert_eq!(state(&bench, seq).await.status, FeedbackStatus::CLOSED);
}
