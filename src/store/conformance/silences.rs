//! Silences: muted reports are stored and counted, and their messages are not sent.

use std::collections::BTreeSet;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn rule(name: &str) -> SilenceTarget {
    SilenceTarget {
        rule: Some(name.into()),
        ..SilenceTarget::default()
    }
}

async fn add(bench: &Bench, target: SilenceTarget, minutes: u32) -> SilenceId {
    add_for(bench, target, minutes, Vec::new()).await.id
}

async fn add_for(
    bench: &Bench,
    target: SilenceTarget,
    minutes: u32,
    waiting: Vec<DeliveryId>,
) -> AddedSilence {
    let new = NewSilence {
        target,
        ends_at: bench.now() + MINUTE * minutes,
        reason: Private::new("rebuilt"),
        author: Private::new("li"),
    };
    bench.store().add_silence(new, waiting).await.unwrap()
}

/// Accepts a report for `oncall` and `warehouse`. `rules` name `oncall`; no silence affects `warehouse`.
async fn report_of(
    bench: &Bench,
    id: &str,
    rules: &[&str],
    matched: &[SilenceId],
    incidents: Vec<PlannedIncident>,
) -> EventSeq {
    let deliveries = [
        ("oncall", Severity::Warning),
        ("warehouse", Severity::Warning),
    ];
    let rules = rules.iter().map(|one| RuleName::from(*one)).collect();
    let arrival = Arrival {
        incidents,
        silenceable: Silenceable {
            rules: vec![("oncall".into(), rules)],
            matched: matched.to_vec(),
        },
        ..bench.arrival(id, &deliveries)
    };
    bench.accept(arrival).await
}

async fn report(bench: &Bench, id: &str) -> EventSeq {
    report_of(bench, id, &["blank screen"], &[], Vec::new()).await
}

fn planned(fault: &str) -> PlannedIncident {
    PlannedIncident {
        rule: "blank screen".into(),
        kind: Some(FeedbackKind::FAULT),
        key: IncidentKey(vec![(GroupKey::Fault, Some(Private::new(fault)))]),
        terms: GroupTerms {
            from: 1,
            interval: 5 * MINUTE,
            repeat_after: None,
            resolve_after: 60 * MINUTE,
            steps: Vec::new(),
            hold: None,
        },
        reported_at: None,
        destinations: vec!["oncall".into()],
    }
}

/// Accepts reports of one incident.
async fn crashes(bench: &Bench, ids: std::ops::Range<u32>) {
    for id in ids {
        let incident = vec![planned("crash")];
        report_of(bench, &format!("e{id}"), &["blank screen"], &[], incident).await;
    }
}

async fn suppressed(bench: &Bench) -> Vec<Delivery> {
    let filter = DeliveryFilter {
        states: vec![DeliveryState::Suppressed],
        limit: 1000,
        ..DeliveryFilter::default()
    };
    bench.store().deliveries(filter).await.unwrap()
}

async fn silence(bench: &Bench, id: SilenceId) -> Silence {
    let filter = SilenceFilter {
        active: false,
        id: Some(id),
    };
    bench.store().silences(filter).await.unwrap().remove(0)
}

/// Delivers everything that is due for `oncall`, and returns why each message was sent.
async fn deliver(bench: &Bench) -> Vec<(Trigger, Option<IncidentNews>)> {
    let leases = bench.lease("oncall", 100).await;
    for lease in &leases {
        let finished = CompletedAttempt {
            handle: Some(MessageHandle(lease.item.delivery.id.to_string())),
            shown: ALL_SHOWN,
            ..bench.finished(lease, Verdict::Done)
        };
        bench.record(lease, finished).await;
    }
    let deliveries = leases.iter().map(|lease| &lease.item.delivery);
    let mut sent: Vec<_> = deliveries.map(|one| (one.trigger, one.spec.news)).collect();
    sent.sort_unstable_by_key(|(trigger, _)| *trigger);
    sent
}

async fn advance(bench: &Bench) {
    bench.store().advance_incidents().await.unwrap();
}

async fn incident(bench: &Bench) -> Incident {
    let filter = IncidentFilter {
        limit: 1,
        ..IncidentFilter::default()
    };
    bench.store().incidents(filter).await.unwrap().remove(0)
}

const EDIT: (Trigger, Option<IncidentNews>) = (Trigger::Edit, Some(IncidentNews::Opened));

fn sent(news: IncidentNews) -> (Trigger, Option<IncidentNews>) {
    (Trigger::Incident, Some(news))
}

#[tokio::test]
async fn silenced_rule_sends_nothing_until_its_end() {
    let mut bench = Bench::new();
    report(&bench, "before").await;
    let id = add(&bench, rule("blank screen"), 120).await;
    report(&bench, "muted").await;
    bench.reopen();
    report(&bench, "muted after a crash").await;
    report_of(&bench, "other", &["other"], &[], Vec::new()).await;
    bench.run_for(120 * MINUTE);
    report(&bench, "after").await;

    let found = suppressed(&bench).await;
    let found: BTreeSet<_> = found
        .iter()
        .map(|one| (one.event_id.as_str(), one.silence))
        .collect();
    let expected = [("muted", Some(id)), ("muted after a crash", Some(id))];
    assert_eq!(found, expected.into());
    assert_eq!(bench.lease("oncall", 9).await.len(), 3);
    assert_eq!(bench.lease("warehouse", 9).await.len(), 5);
    let silence = silence(&bench, id).await;
    assert_eq!((silence.reports, silence.messages), (2, 2));
    let counts = bench.store().silence_counts(id).await.unwrap();
    let count = SilenceCount {
        rule: "blank screen".into(),
        destination: "oncall".into(),
        messages: 2,
    };
    assert_eq!(counts, [count]);
}

#[tokio::test]
async fn message_of_two_rules_is_sent_unless_both_are_silenced() {
    let bench = Bench::new();
    let rules = ["pay", "faults"];
    add(&bench, rule("pay"), 60).await;
    report_of(&bench, "one", &rules, &[], Vec::new()).await;
    assert!(suppressed(&bench).await.is_empty());
    add(&bench, rule("faults"), 60).await;
    report_of(&bench, "both", &rules, &[], Vec::new()).await;
    assert_eq!(suppressed(&bench).await.len(), 1);
}

#[tokio::test]
async fn silence_with_conditions_mutes_matching_events_while_it_is_active() {
    let bench = Bench::new();
    let target = SilenceTarget {
        conditions: vec!["fault = \"crash\"".into()],
        ..SilenceTarget::default()
    };
    let id = add(&bench, target.clone(), 60).await;
    assert_eq!(silence(&bench, id).await.target, target);
    report(&bench, "other").await;
    report_of(&bench, "matching", &["any"], &[id], Vec::new()).await;
    assert_eq!(suppressed(&bench).await.len(), 1);
    assert_eq!(bench.store().end_silence(id).await, Ok(EndedSilence::Done));
    report_of(&bench, "late", &["any"], &[id], Vec::new()).await;
    assert_eq!(suppressed(&bench).await.len(), 1);
}

#[tokio::test]
async fn silence_ends_once_and_stays_listed() {
    let bench = Bench::new();
    let id = add(&bench, rule("blank screen"), 60).await;
    let ended_at = bench.now();
    assert_eq!(bench.store().end_silence(id).await, Ok(EndedSilence::Done));
    let again = bench.store().end_silence(id).await;
    assert_eq!(again, Ok(EndedSilence::Already(ended_at)));
    let unknown = bench.store().end_silence(SilenceId(99)).await;
    assert_eq!(unknown, Ok(EndedSilence::Unknown));
    let expired = add(&bench, rule("blank screen"), 1).await;
    bench.run_for(2 * MINUTE);
    let ended = bench.store().end_silence(expired).await.unwrap();
    assert!(matches!(ended, EndedSilence::Already(_)), "{ended:?}");
    report(&bench, "e1").await;
    assert!(suppressed(&bench).await.is_empty());
    let listed = async |active| {
        let filter = SilenceFilter { active, id: None };
        bench.store().silences(filter).await.unwrap().len()
    };
    assert_eq!((listed(true).await, listed(false).await), (0, 2));
}

#[tokio::test]
async fn new_silence_mutes_waiting_messages_of_reports_only() {
    let bench = Bench::new();
    let event = report(&bench, "e1").await;
    report_of(&bench, "other", &["other"], &[], Vec::new()).await;
    let replay = NewDelivery {
        trigger: Trigger::Replay,
        ..bench.delivery("oncall", Severity::Warning)
    };
    bench
        .store()
        .add_deliveries(event, vec![replay])
        .await
        .unwrap();
    let pending = DeliveryFilter {
        limit: 99,
        ..DeliveryFilter::default()
    };
    let pending = bench.store().deliveries(pending).await.unwrap();
    let ids = pending.iter().map(|one| one.id).collect();
    let added = add_for(&bench, rule("blank screen"), 60, ids).await;
    assert_eq!(added.waiting, 1);
    let muted = suppressed(&bench).await;
    let muted: Vec<_> = muted
        .iter()
        .map(|one| (one.event, one.destination.as_str()))
        .collect();
    assert_eq!(muted, [(event, "oncall")]);
    assert_eq!(bench.lease("oncall", 9).await.len(), 2);
    assert_eq!(silence(&bench, added.id).await.reports, 1);
}

#[tokio::test]
async fn suppressed_delivery_is_retried_individually_and_not_discarded() {
    let bench = Bench::new();
    add(&bench, rule("blank screen"), 60).await;
    report(&bench, "e1").await;
    let id = suppressed(&bench).await[0].id;
    let refused = AdminResult::Refused(DeliveryState::Suppressed);
    assert_eq!(bench.store().discard(id).await, Ok(refused));
    assert_eq!(bench.store().retry(id).await, Ok(AdminResult::Done));
    assert_eq!(bench.lease_one("oncall").await.item.delivery.id, id);
}

#[tokio::test]
async fn late_report_of_a_silenced_rule_is_in_no_summary() {
    let bench = Bench::new();
    add(&bench, rule("blank screen"), 60).await;
    let held = Holding {
        held_for: HeldFor::Late,
        until: bench.now() + 60 * MINUTE,
        hours: None,
        reported_at: bench.now() - 90 * MINUTE,
    };
    let late = NewDelivery {
        held: Some(held),
        ..bench.delivery("oncall", Severity::Warning)
    };
    let arrival = Arrival {
        silenceable: Silenceable {
            rules: vec![("oncall".into(), vec!["blank screen".into()])],
            matched: Vec::new(),
        },
        deliveries: vec![late],
        ..bench.arrival("e1", &[])
    };
    bench.store().accept(arrival).await.unwrap();
    assert_eq!(bench.store().summarise_late().await, Ok(Vec::new()));
    assert_eq!(suppressed(&bench).await.len(), 1);
}

#[tokio::test]
async fn muted_incident_counts_and_replies_once_at_the_end() {
    let mut bench = Bench::new();
    crashes(&bench, 0..3).await;
    advance(&bench).await;
    deliver(&bench).await;
    let id = add(&bench, rule("blank screen"), 30).await;
    assert_eq!(deliver(&bench).await, [EDIT], "it says that it is muted");
    crashes(&bench, 3..60).await;
    bench.run_for(10 * MINUTE);
    advance(&bench).await;
    assert_eq!(deliver(&bench).await, [], "no edit, no message");
    let muted = incident(&bench).await;
    assert_eq!((muted.progress.count, muted.progress.silenced), (60, 57));
    assert_eq!(muted.progress.mute.map(|mute| mute.silence), Some(id));
    let note = muted.mute_note.unwrap();
    assert_eq!(note.reason, Some(Private::new("rebuilt")));

    bench.reopen();
    bench.run_for(20 * MINUTE);
    advance(&bench).await;
    assert_eq!(deliver(&bench).await, [EDIT, sent(IncidentNews::Unmuted)]);
    advance(&bench).await;
    assert_eq!(deliver(&bench).await, []);
}

#[tokio::test]
async fn silence_that_ends_without_an_open_incident_sends_nothing() {
    let bench = Bench::new();
    crashes(&bench, 0..3).await;
    advance(&bench).await;
    deliver(&bench).await;
    add(&bench, rule("blank screen"), 120).await;
    crashes(&bench, 3..5).await;
    bench.run_for(61 * MINUTE);
    advance(&bench).await;
    assert_eq!(deliver(&bench).await, [EDIT], "the end, without a message");
    bench.run_for(120 * MINUTE);
    advance(&bench).await;
    assert_eq!(deliver(&bench).await, []);
}

#[tokio::test]
async fn silence_ended_early_replies_at_once_unless_another_holds() {
    let bench = Bench::new();
    crashes(&bench, 0..3).await;
    advance(&bench).await;
    deliver(&bench).await;
    let first = add(&bench, rule("blank screen"), 30).await;
    let second = add(&bench, rule("blank screen"), 20).await;
    crashes(&bench, 3..5).await;
    deliver(&bench).await;
    bench.store().end_silence(first).await.unwrap();
    advance(&bench).await;
    let muted = incident(&bench).await.progress;
    assert_eq!(muted.mute.map(|mute| mute.silence), Some(second));
    assert_eq!(deliver(&bench).await, [EDIT]);
    bench.store().end_silence(second).await.unwrap();
    advance(&bench).await;
    assert_eq!(deliver(&bench).await, [EDIT, sent(IncidentNews::Unmuted)]);
}

fn press(incident: IncidentId) -> MuteIncident {
    MuteIncident {
        incident,
        by: Actor {
            name: Some(Private::new("Han")),
            id: Some(Private::new("U0HAN")),
            app: None,
        },
        destination: Some("oncall".into()),
    }
}

#[tokio::test]
async fn button_mutes_the_key_and_extends_the_same_silence() {
    let bench = Bench::new();
    crashes(&bench, 0..3).await;
    advance(&bench).await;
    deliver(&bench).await;
    let id = incident(&bench).await.id;
    let mute = || bench.store().mute_incident(press(id));
    let MuteOutcome::Muted(first) = mute().await.unwrap() else {
        panic!("not muted")
    };
    assert_eq!(first.until, bench.now() + BUTTON_SILENCE);
    assert_eq!(deliver(&bench).await, [EDIT]);
    bench.run_for(10 * MINUTE);
    let MuteOutcome::Muted(again) = mute().await.unwrap() else {
        panic!("not muted")
    };
    assert_eq!(again.silence, first.silence, "never a second one");
    assert_eq!(again.until, bench.now() + BUTTON_SILENCE);
    assert_eq!(deliver(&bench).await, [EDIT]);
    crashes(&bench, 3..5).await;
    let other = vec![planned("freeze")];
    report_of(&bench, "freeze", &["blank screen"], &[], other).await;
    assert_eq!(deliver(&bench).await, [(Trigger::Event, None)]);
    assert_eq!(suppressed(&bench).await.len(), 2);

    let forgotten = bench.store().forget_clicks("U0HAN").await;
    assert!(forgotten.is_ok());
    assert_eq!(silence(&bench, first.silence).await.author, None);
    bench.store().close_incident(id).await.unwrap();
    assert_eq!(mute().await, Ok(MuteOutcome::Ended));
    let unknown = press(IncidentId(99));
    let unknown = bench.store().mute_incident(unknown).await;
    assert_eq!(unknown, Ok(MuteOutcome::Unknown));
}

#[tokio::test]
async fn reminder_of_a_button_is_sent_once_where_it_was_used() {
    let bench = Bench::new();
    crashes(&bench, 0..3).await;
    advance(&bench).await;
    deliver(&bench).await;
    let id = incident(&bench).await.id;
    bench.store().mute_incident(press(id)).await.unwrap();
    deliver(&bench).await;
    for minute in 0..4 {
        crashes(&bench, 10 * minute + 10..10 * minute + 12).await;
        bench.run_for(30 * MINUTE - Duration::from_secs(300));
        advance(&bench).await;
        assert_eq!(deliver(&bench).await, [], "{minute}");
    }
    bench.run_for(6 * MINUTE);
    advance(&bench).await;
    assert_eq!(deliver(&bench).await, [sent(IncidentNews::MuteEnding)]);
    advance(&bench).await;
    assert_eq!(deliver(&bench).await, []);
}

#[tokio::test]
async fn reminder_of_a_command_is_due_once_if_it_muted_reports() {
    let bench = Bench::new();
    let id = add(&bench, rule("blank screen"), 60).await;
    add(&bench, rule("unused"), 60).await;
    add(&bench, rule("blank screen"), 10).await;
    report(&bench, "e1").await;
    let due = async || {
        let due = bench.store().silences_to_remind().await.unwrap();
        due.iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(due().await, []);
    bench.run_for(45 * MINUTE);
    assert_eq!(due().await, [id]);
    bench.store().silence_reminded(id).await.unwrap();
    assert_eq!(due().await, []);
}

#[tokio::test]
async fn silence_outlives_its_events_and_is_swept_with_their_ids() {
    let bench = Bench::new();
    let id = add(&bench, rule("blank screen"), 60).await;
    report(&bench, "e1").await;
    let messages = bench.store().suppressed_messages().await.unwrap();
    assert_eq!(messages, [("blank screen".into(), 1)]);
    bench.run_for(61 * MINUTE);
    let now = bench.now();
    bench.store().sweep(now, now - 61 * MINUTE).await.unwrap();
    assert_eq!(silence(&bench, id).await.reports, 1);
    bench.store().sweep(now, now).await.unwrap();
    let filter = SilenceFilter::default();
    assert_eq!(bench.store().silences(filter).await, Ok(Vec::new()));
}
