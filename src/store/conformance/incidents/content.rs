//! The content of an incident's message: its images, and earlier incidents.

use super::*;

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
