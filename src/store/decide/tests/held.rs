//! Deliveries whose wait is over.

use super::*;
use crate::store::decide::held::{MessageOf, Settled, Waited, settle};

fn waited(id: i64, held_for: HeldFor) -> Waited {
    Waited {
        id: DeliveryId::from_i64(id),
        spec: spec(&["sre"]),
        held_for,
        hours: (held_for == HeldFor::Hold).then(|| "22:00-08:00".to_owned()),
        reported_at: at(id),
        message_of: None,
        counted_in: None,
    }
}

/// A message of incident 7.
fn message(id: i64, held_for: HeldFor, news: IncidentNews, is_open: bool) -> Waited {
    let mut one = waited(id, held_for);
    one.spec.news = Some(news);
    one.message_of = Some(MessageOf {
        incident: IncidentId(7),
        is_open,
        count: 40,
    });
    one
}

fn alone(id: i64, mentions: &[&str]) -> Settled {
    Settled::Alone {
        id: DeliveryId::from_i64(id),
        mentions: mentions.iter().map(|one| (*one).to_owned()).collect(),
    }
}

fn in_incident(ids: &[i64]) -> Settled {
    Settled::InIncident {
        ids: ids.iter().copied().map(DeliveryId::from_i64).collect(),
        incident: IncidentId(7),
    }
}

/// Returns the reports, the number of deliveries and the mentions of the only summary.
fn summary(settled: &[Settled]) -> (u64, usize, Vec<String>) {
    let [Settled::Summary { ids, spec, summary }] = settled else {
        panic!("{settled:?}");
    };
    assert_eq!(spec.template, "summary");
    (summary.count, ids.len(), spec.mentions.clone())
}

#[test]
fn single_message_is_sent_by_itself_unless_it_is_late() {
    for held_for in [HeldFor::Hold, HeldFor::Stale] {
        assert_eq!(settle(vec![waited(1, held_for)]), [alone(1, &["sre"])]);
    }
    let late = settle(vec![waited(1, HeldFor::Late)]);
    assert_eq!(summary(&late), (1, 1, Vec::new()));
}

#[test]
fn only_a_summary_of_held_messages_mentions_people() {
    for (held_for, mentions) in [
        (HeldFor::Hold, vec!["sre".to_owned()]),
        (HeldFor::Late, Vec::new()),
        (HeldFor::Stale, Vec::new()),
    ] {
        let settled = settle(vec![waited(1, held_for), waited(2, held_for)]);
        assert_eq!(summary(&settled), (2, 2, mentions), "{held_for}");
    }
}

#[test]
fn rules_and_reasons_are_not_mixed() {
    let mut other = waited(3, HeldFor::Hold);
    other.spec.rule = "suggestions".into();
    let all = vec![waited(1, HeldFor::Hold), waited(2, HeldFor::Late), other];
    let settled = settle(all);
    assert_eq!(settled.len(), 3, "{settled:?}");
}

#[test]
fn messages_of_an_incident_become_one_with_all_mentions() {
    use IncidentNews::{Digest, Opened, Quiet, Threshold};
    let mut threshold = message(2, HeldFor::Hold, Threshold, true);
    threshold.spec.mentions = vec!["all".into()];
    let quiet = message(3, HeldFor::Hold, Quiet, false);
    let opened = message(1, HeldFor::Hold, Opened, false);
    assert_eq!(
        settle(vec![opened, threshold.clone(), quiet.clone()]),
        [in_incident(&[2, 3]), alone(1, &["sre", "all"])],
        "the first message starts the thread"
    );
    let digest = message(1, HeldFor::Hold, Digest, true);
    assert_eq!(
        settle(vec![digest, threshold, quiet]),
        [in_incident(&[1, 2]), alone(3, &["sre", "all"])]
    );
}

#[test]
fn report_needs_no_message_beside_its_incident() {
    let report = Waited {
        counted_in: Some(IncidentId(7)),
        ..waited(1, HeldFor::Hold)
    };
    let opened = message(2, HeldFor::Hold, IncidentNews::Opened, true);
    assert_eq!(
        settle(vec![report.clone(), opened]),
        [in_incident(&[1]), alone(2, &["sre"])]
    );
    assert_eq!(settle(vec![report]), [alone(1, &["sre"])]);
}

#[test]
fn stale_incident_is_sent_while_it_is_open_and_else_summarised() {
    let report = |id| Waited {
        counted_in: Some(IncidentId(7)),
        ..waited(id, HeldFor::Stale)
    };
    let opened = |is_open| message(3, HeldFor::Stale, IncidentNews::Opened, is_open);
    let quiet = message(4, HeldFor::Stale, IncidentNews::Quiet, false);
    assert_eq!(
        settle(vec![report(1), report(2), opened(true)]),
        [in_incident(&[1, 2]), alone(3, &["sre"])]
    );
    let settled = settle(vec![report(1), report(2), opened(false), quiet]);
    assert_eq!(settled[0], in_incident(&[4]));
    assert_eq!(summary(&settled[1..]), (40, 3, Vec::new()));
}
