use super::*;
use crate::feishu::Found;
use crate::model::{
    DestinationName, Event, EventId, Feedback, MessageSpec, PlannedDelivery, RuleName, Severity,
    StatusChange,
};

const NOW: Timestamp = Timestamp::from_millis(1_711_111_111_000);

fn settings() -> Settings {
    Settings {
        apps: BTreeMap::new(),
        rules: RuleSet::default(),
        known: Known::default(),
        singly: BTreeSet::new(),
        wait: Duration::from_secs(3),
        wait_critical: Duration::from_millis(800),
        body_bytes_max: 1 << 20,
        ids_retain: Duration::from_secs(181 * 86_400),
    }
}

fn event(content: Content, created_at: Option<Timestamp>) -> Found {
    Found::Event(Box::new(Event {
        id: EventId::from("e1"),
        via: AppName::from("shop"),
        created_at,
        tenant_key: None,
        content,
    }))
}

fn created(images: usize, created_at: Option<Timestamp>) -> Found {
    let images = (0..images).map(|n| Private::new(format!("https://x/{n}")));
    let mut feedback = Feedback {
        images: images.collect(),
        ..Feedback::default()
    };
    feedback.user.open_id = Some(Private::new("ou_1"));
    feedback.user.user_id = Some(Private::new("u_1"));
    event(Content::Created(Box::new(feedback)), created_at)
}

fn reading(found: Found) -> Reading {
    Reading {
        id: EventId::from("e1"),
        event_type: "t".into(),
        feedback: None,
        found,
        body: Private::new("{}"),
    }
}

fn routed(orders: &[(Severity, Option<Duration>)]) -> Plan {
    let planned = orders.iter().map(|&(severity, wait)| PlannedDelivery {
        destination: DestinationName::from("chat"),
        spec: MessageSpec {
            rule: RuleName::from("r"),
            severity,
            template: "alert".into(),
            mentions: vec![],
            labels: BTreeMap::new(),
            wait,
            fell_from: Vec::new(),
            news: None,
        },
        rules: vec![RuleName::from("r")],
        held: None,
    });
    Plan {
        state: EventState::Routed,
        rules: Vec::new(),
        deliveries: planned.collect(),
        incidents: Vec::new(),
    }
}

fn arrive(found: Found, plan: &Plan) -> Arrival {
    arrival(
        &AppName::from("shop"),
        reading(found),
        plan,
        &settings(),
        NOW,
    )
}

#[test]
fn message_waits_only_for_its_images() {
    let half = Duration::from_millis(500);
    let plan = routed(&[
        (Severity::Critical, None),
        (Severity::Warning, None),
        (Severity::Info, None),
        (Severity::Critical, Some(half)),
    ]);
    let waits = |images| {
        let arrival = arrive(created(images, None), &plan);
        let waits = arrival
            .deliveries
            .iter()
            .map(|one| one.due_at.since(NOW).as_millis());
        waits.collect::<Vec<_>>()
    };
    assert_eq!(waits(1), [800, 3000, 3000, 500]);
    assert_eq!(waits(0), [0, 0, 0, 0]);
}

#[test]
fn the_first_twenty_images_are_fetched() {
    let arrival = arrive(created(21, None), &routed(&[]));
    assert_eq!(arrival.images.len(), 20);
    assert_eq!(arrival.images[19], Private::new("https://x/19"));
    assert_eq!(arrival.users, [Private::new("ou_1"), Private::new("u_1")]);
}

#[test]
fn image_deadline_is_three_days_despite_clock_skew() {
    let ends = |at| arrive(created(1, at), &routed(&[])).images_deadline_at;
    let hour = Duration::from_secs(3600);
    assert_eq!(ends(None), NOW + IMAGES_LAST);
    assert_eq!(ends(Some(NOW - hour)), NOW - hour + IMAGES_LAST);
    assert_eq!(ends(Some(NOW + hour)), NOW + IMAGES_LAST);
}

#[test]
fn only_ignored_event_loses_its_body() {
    let updated = event(Content::Updated(StatusChange::default()), None);
    for (found, state, kept) in [
        (updated, EventState::Noted, true),
        (Found::Unreadable, EventState::Unreadable, true),
        (Found::Ignored, EventState::Ignored, false),
    ] {
        let plan = plan(&reading(found.clone()), &RuleSet::default(), NOW);
        assert_eq!((plan.state, plan.deliveries.len()), (state, 0));
        let arrival = arrive(found, &plan);
        assert_eq!(arrival.body.is_some(), kept, "{state}");
    }
}

#[test]
fn unreadable_event_notice_names_the_app() {
    let shop = AppName::from("shop");
    let notice = unreadable(&shop, &reading(Found::Unreadable)).unwrap();
    assert_eq!(
        (notice.kind, notice.subject.as_str()),
        (NoticeKind::EventUnreadable, "shop")
    );
    assert!(notice.text.contains("events show e1"), "{}", notice.text);
    assert_eq!(unreadable(&shop, &reading(Found::Ignored)), None);
    assert_eq!(unreadable(&shop, &reading(created(1, None))), None);
}
