//! Removed messages, plain texts, flapping incidents, and late reports.

use super::*;

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
