//! Incidents whose messages are held or have waited too long.

use super::*;

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
