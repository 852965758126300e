//! Operator notices: they are sent after every waiting report.

use super::*;

/// Accepts a notice for the destination `oncall`.
async fn accept_notice(bench: &Bench, id: &str) -> EventSeq {
    let notice = Arrival {
        event_type: NOTICE.into(),
        feedback: None,
        state: EventState::Noted,
        ..bench.arrival(id, &[("oncall", Severity::Info)])
    };
    match bench.store().accept_notice(notice).await.unwrap() {
        Accepted::New(event) => event,
        Accepted::Repeat(event) => panic!("a repeat of {event:?}"),
    }
}

async fn accept_report(bench: &Bench, id: &str, severity: Severity) {
    let arrival = bench.arrival(id, &[("oncall", severity)]);
    bench.accept(arrival).await;
}

/// Leases everything that is due, and returns the ids of the events in this order.
async fn leased(bench: &Bench, destination: &str) -> Vec<String> {
    let leases = bench.lease(destination, 99).await.into_iter();
    leases
        .map(|lease| lease.item.event.id.as_str().to_owned())
        .collect()
}

#[tokio::test]
async fn notice_is_leased_after_all_reports() {
    use Severity::{Critical, Info, Warning};
    let bench = Bench::new();
    accept_notice(&bench, "n1").await;
    accept_report(&bench, "failed", Info).await;
    // The notice fails too, and becomes due before the report.
    for lease in bench.lease("oncall", 2).await {
        let after_s = u64::from(lease.item.event.event_type != NOTICE);
        bench.end(&lease, bench.retry_at(after_s, Form::Full)).await;
    }
    accept_notice(&bench, "n2").await;
    bench.clock.advance(Duration::from_secs(2));
    for (id, severity) in [("i", Info), ("w", Warning), ("c", Critical)] {
        accept_report(&bench, id, severity).await;
    }
    assert_eq!(
        leased(&bench, "oncall").await,
        ["c", "w", "i", "failed", "n2", "n1"]
    );
}

#[tokio::test]
async fn notice_probes_only_if_no_report_waits() {
    let bench = Bench::new();
    accept_notice(&bench, "notice").await;
    accept_report(&bench, "report", Severity::Info).await;
    let oncall = "oncall".into();
    let mut probes = Vec::new();
    for turn in 0..5 {
        let probe = bench.store().lease_probe(&oncall, turn, false, LEASE);
        let probe = probe.await.unwrap().remove(0);
        probes.push(probe.item.event.id.as_str().to_owned());
        let verdict = match turn {
            0..3 => bench.retry_at(600, Form::Full),
            _ => Verdict::Done,
        };
        bench.end(&probe, verdict).await;
    }
    assert_eq!(probes, ["report", "report", "report", "report", "notice"]);
}

#[tokio::test]
async fn waiting_notice_is_found_made_due_and_expired() {
    let bench = Bench::new();
    accept_notice(&bench, "notice").await;
    let oncall = "oncall".into();
    let next_due_at = async || bench.store().next_due_at(&oncall).await.unwrap();
    assert_eq!(next_due_at().await, Some(bench.now()));
    let lease = bench.lease_one("oncall").await;
    bench.end(&lease, bench.retry_at(60, Form::Full)).await;
    assert_eq!(bench.store().make_due(&oncall).await, Ok(1));
    assert_eq!(next_due_at().await, Some(bench.now()));

    accept_notice(&bench, "untried").await;
    bench.run_for(Duration::from_secs(20));
    let retry_for = Duration::from_secs(10);
    let expired = bench
        .store()
        .expire(&oncall, retry_for, Uptime::default(), None);
    assert_eq!(expired.await.unwrap().len(), 2);
}

#[tokio::test]
async fn notice_is_last_at_fallback_and_new_name_too() {
    let bench = Bench::new();
    accept_notice(&bench, "notice").await;
    bench.clock.advance(Duration::from_secs(1));
    let to_backup = bench.arrival("at backup", &[("backup", Severity::Info)]);
    bench.accept(to_backup).await;
    let rerouted = bench.fall_back("oncall", "backup", FallBack::Everything);
    assert_eq!(rerouted.await, 1);
    let old = ["backup".into()];
    let renamed = bench.store().rename_destination(&old, &"new".into()).await;
    assert_eq!(renamed.unwrap().moved, 2);
    assert_eq!(leased(&bench, "new").await, ["at backup", "notice"]);
}
