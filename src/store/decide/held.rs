//! Decides what happens to deliveries whose wait is over: those that were held, and those that waited for longer
//! than `stale_after`. They become few messages: one for each incident, and one summary for each rule.

use std::collections::BTreeMap;

use crate::model::*;

/// A delivery whose wait is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Waited {
    pub(in crate::store) id: DeliveryId,
    pub(in crate::store) spec: MessageSpec,
    pub(in crate::store) held_for: HeldFor,
    /// For [`HeldFor::Hold`]: the windows as they are written.
    pub(in crate::store) hours: Option<String>,
    /// When its report was made, or the message of its incident was created.
    pub(in crate::store) reported_at: Timestamp,
    /// For a message of an incident: that incident.
    pub(in crate::store) message_of: Option<MessageOf>,
    /// For a report: the incident of its rule that counts it.
    pub(in crate::store) counted_in: Option<IncidentId>,
}

/// The incident that a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct MessageOf {
    pub(in crate::store) incident: IncidentId,
    pub(in crate::store) is_open: bool,
    /// The number of its reports.
    pub(in crate::store) count: u64,
}

/// What a database does with such deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Settled {
    /// The delivery is sent by itself, and mentions these people.
    Alone {
        id: DeliveryId,
        mentions: Vec<String>,
    },
    /// Another message of the incident counts them.
    InIncident {
        ids: Vec<DeliveryId>,
        incident: IncidentId,
    },
    /// A summary counts them.
    Summary {
        ids: Vec<DeliveryId>,
        spec: Box<MessageSpec>,
        summary: Summary,
    },
}

/// Settles the deliveries to one destination, which are in the order of creation.
///
/// - Messages of one incident become one: the first message if it is among them, else the newest. It shows the
///   incident at the time when it is sent, so reports that the incident counts need no message of their own.
/// - The message of an incident that has ended meanwhile needs no card after `stale_after`: it joins the summary.
/// - Other deliveries of one rule become a summary. A single one is sent by itself, unless it is late: then the
///   summary says so.
pub(in crate::store) fn settle(waited: Vec<Waited>) -> Vec<Settled> {
    let mut settled = Vec::new();
    let mut groups: BTreeMap<(String, HeldFor), Vec<Waited>> = BTreeMap::new();
    let (messages, reports): (Vec<_>, Vec<_>) =
        waited.into_iter().partition(|one| one.message_of.is_some());
    let mut cards = cards(messages);
    for report in reports {
        let card = report
            .counted_in
            .filter(|_| report.held_for != HeldFor::Late);
        match card.and_then(|incident| cards.get_mut(&incident)) {
            Some(card) if card.is_sent() => card.count(report),
            _ => group(&mut groups, report),
        }
    }
    for (incident, card) in cards {
        if !card.folded.is_empty() {
            settled.push(Settled::InIncident {
                ids: card.folded.clone(),
                incident,
            });
        }
        match card.is_sent() {
            true => settled.push(Settled::Alone {
                id: card.message.id,
                mentions: card.message.spec.mentions,
            }),
            false => group(&mut groups, card.message),
        }
    }
    settled.extend(groups.into_values().filter_map(end_group));
    settled
}

/// The message of an incident that stands for its others.
struct Card {
    message: Waited,
    folded: Vec<DeliveryId>,
}

impl Card {
    /// Returns whether it is sent as a message of its incident.
    fn is_sent(&self) -> bool {
        let is_open = self.message.message_of.is_some_and(|of| of.is_open);
        is_open || self.message.held_for != HeldFor::Stale
    }

    fn count(&mut self, other: Waited) {
        self.folded.push(other.id);
        mention(&mut self.message.spec.mentions, other.spec.mentions);
    }
}

/// Returns one card for each incident.
fn cards(messages: Vec<Waited>) -> BTreeMap<IncidentId, Card> {
    let mut cards: BTreeMap<IncidentId, Card> = BTreeMap::new();
    for message in messages {
        let Some(of) = message.message_of else {
            continue;
        };
        let Some(card) = cards.get_mut(&of.incident) else {
            let folded = Vec::new();
            cards.insert(of.incident, Card { message, folded });
            continue;
        };
        match card.message.spec.news == Some(IncidentNews::Opened) {
            true => card.count(message),
            false => {
                let before = std::mem::replace(&mut card.message, message);
                card.count(before);
            }
        }
    }
    cards
}

fn group(groups: &mut BTreeMap<(String, HeldFor), Vec<Waited>>, one: Waited) {
    let key = (one.spec.rule.as_str().to_owned(), one.held_for);
    groups.entry(key).or_default().push(one);
}

fn mention(mentions: &mut Vec<String>, more: Vec<String>) {
    for name in more {
        if !mentions.contains(&name) {
            mentions.push(name);
        }
    }
}

/// Ends the wait of the deliveries of one rule.
fn end_group(mut group: Vec<Waited>) -> Option<Settled> {
    group.sort_by_key(|one| one.reported_at);
    match group.as_slice() {
        [one] if one.held_for != HeldFor::Late => Some(Settled::Alone {
            id: one.id,
            mentions: one.spec.mentions.clone(),
        }),
        _ => summary(group),
    }
}

/// Returns the number of reports. The count of an incident includes its reports in the group.
fn count(group: &[Waited]) -> u64 {
    let incidents = group.iter().filter_map(|one| one.message_of);
    let is_counted = |report: &Waited| {
        let is_in = |of: MessageOf| report.counted_in == Some(of.incident);
        incidents.clone().any(is_in)
    };
    let count = |one: &Waited| match one.message_of {
        Some(of) => of.count,
        None => u64::from(!is_counted(one)),
    };
    group.iter().map(count).sum()
}

fn summary(group: Vec<Waited>) -> Option<Settled> {
    let count = count(&group);
    let ids = group.iter().map(|one| one.id).collect();
    let severity = group.iter().map(|one| one.spec.severity).max();
    let mut mentions = Vec::new();
    for one in group.iter().filter(|one| one.held_for == HeldFor::Hold) {
        mention(&mut mentions, one.spec.mentions.clone());
    }
    let first_at = group.first().map(|one| one.reported_at);
    let newest = group.into_iter().next_back()?;
    Some(Settled::Summary {
        ids,
        summary: Summary {
            count,
            first_at: first_at.unwrap_or(newest.reported_at),
            last_at: newest.reported_at,
            held_for: newest.held_for,
            hours: newest.hours,
            newest: Vec::new(),
        },
        spec: Box::new(MessageSpec {
            severity: severity.unwrap_or(newest.spec.severity),
            template: "summary".to_owned(),
            mentions,
            wait: None,
            news: None,
            ..newest.spec
        }),
    })
}
