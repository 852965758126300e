//! Tests of what is logged and counted about incidents.

use std::sync::Arc;

use super::*;
use crate::model::*;
use crate::store::{
    ApplyIncidentAction, Arrival, NewDelivery, Settings, Silenceable, StoreLocation,
};
use crate::telemetry::{Format, Names};

const MINUTE: Duration = Duration::from_secs(60);

/// A store with metrics, and the observer of its incidents.
struct Bench {
    _dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
    metrics: Metrics,
    observer: Observer,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_711_111_111_000)));
        let settings = Settings {
            location: StoreLocation::Sqlite(dir.path().join("relay.db")),
            retain: 3600 * MINUTE,
        };
        let metrics = Metrics::new();
        metrics.name(Names {
            rules: [RuleName::new("faults")].into(),
            ..Names::default()
        });
        let mut bench = Self {
            store: Store::open(&settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap(),
            _dir: dir,
            clock,
            metrics,
            observer: Observer::default(),
        };
        bench.round().await;
        bench
    }

    /// Runs due timers, and one round of the observer.
    async fn round(&mut self) -> Vec<Notice> {
        self.store.advance_incidents().await.unwrap();
        self.observer.round(&self.store, &self.metrics).await
    }

    /// Accepts reports of one incident, of which the first five are delivered individually.
    async fn reports(&self, ids: std::ops::Range<u32>) {
        for id in ids {
            let arrival = report(id, self.clock.now());
            self.store.accept(arrival).await.unwrap();
        }
    }

    fn value(&self, series: &str) -> String {
        let metrics = self.metrics.encode(Format::Prometheus);
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(series));
        value
            .unwrap_or_else(|| panic!("no {series}"))
            .trim()
            .to_owned()
    }

    fn merged(&self) -> String {
        self.value("feedback_relay_reports_merged_total{rule=\"faults\"}")
    }

    fn ended(&self, state: &str) -> String {
        let series = format!("feedback_relay_incidents_ended_total{{state=\"{state}\"}}");
        self.value(&series)
    }
}

fn report(id: u32, at: Timestamp) -> Arrival {
    let spec = MessageSpec {
        rule: "faults".into(),
        severity: Severity::Warning,
        template: "alert".into(),
        mentions: Vec::new(),
        labels: [].into(),
        wait: None,
        fell_from: Vec::new(),
        news: None,
    };
    Arrival {
        id: EventId::new(format!("e{id}")),
        via: "shop".into(),
        event_type: "application.application.feedback.created_v6".into(),
        feedback: Some(("cli_9f5343c580712544".into(), format!("fb-{id}"))),
        users: Vec::new(),
        tenant: None,
        late_incidents: Vec::new(),
        incidents: vec![PlannedIncident {
            rule: "faults".into(),
            kind: Some(FeedbackKind::FAULT),
            key: IncidentKey(vec![(GroupKey::Path, Some(Private::new("pages/pay")))]),
            terms: GroupTerms {
                from: 5,
                interval: 5 * MINUTE,
                repeat_after: None,
                resolve_after: 30 * MINUTE,
                steps: Vec::new(),
                hold: None,
            },
            reported_at: None,
            destinations: vec!["oncall".into()],
        }],
        silenceable: Silenceable::default(),
        received_at: at,
        state: EventState::Routed,
        body: None,
        deliveries: vec![NewDelivery {
            destination: "oncall".into(),
            spec,
            trigger: Trigger::Event,
            due_at: at,
            held: None,
        }],
        images: Vec::new(),
        images_deadline_at: at,
        change: None,
    }
}

#[tokio::test]
async fn merged_reports_and_quiet_end_are_counted() {
    let mut bench = Bench::new().await;
    bench.reports(0..5).await;
    bench.round().await;
    assert_eq!(bench.merged(), "0", "five are delivered individually");
    bench.reports(5..8).await;
    bench.round().await;
    assert_eq!(bench.merged(), "3");
    bench.reports(8..300).await;
    bench.clock.advance(31 * MINUTE);
    bench.round().await;
    assert_eq!(
        (bench.merged(), bench.ended("quiet")),
        ("295".into(), "1".into())
    );
    bench.round().await;
    assert_eq!(bench.ended("quiet"), "1", "each is counted once");
}

#[tokio::test]
async fn incident_that_a_command_closed_is_counted() {
    let mut bench = Bench::new().await;
    bench.reports(0..6).await;
    bench.round().await;
    bench.store.close_incident(IncidentId(1)).await.unwrap();
    bench.round().await;
    assert_eq!(
        (bench.ended("closed"), bench.ended("quiet")),
        ("1".into(), "0".into())
    );
}

#[tokio::test]
async fn incident_without_messages_of_its_own_is_not_counted() {
    let mut bench = Bench::new().await;
    bench.reports(0..1).await;
    bench.round().await;
    bench.clock.advance(31 * MINUTE);
    bench.round().await;
    assert_eq!(bench.ended("quiet"), "0");
}

#[tokio::test]
async fn restart_counts_only_later_reports() {
    let mut bench = Bench::new().await;
    bench.reports(0..10).await;
    bench.round().await;
    bench.metrics = Metrics::new();
    bench.metrics.name(Names {
        rules: [RuleName::new("faults")].into(),
        ..Names::default()
    });
    bench.observer = Observer::default();
    bench.round().await;
    bench.reports(10..12).await;
    bench.round().await;
    assert_eq!(bench.merged(), "2");
}

#[tokio::test]
async fn reopened_incident_counts_only_further_reports() {
    let mut bench = Bench::new().await;
    bench.reports(0..10).await;
    bench.round().await;
    let done = ApplyIncidentAction {
        incident: IncidentId(1),
        act: TriageAction::Done,
        by: Actor::default(),
        through: ChangeSource::Slack,
        operators: BTreeMap::new(),
    };
    bench.store.apply_incident_action(done).await.unwrap();
    bench.round().await;
    assert_eq!(bench.ended("done"), "1");
    bench.reports(10..12).await;
    bench.round().await;
    assert_eq!(bench.merged(), "7");
}

#[tokio::test]
async fn operator_hears_once_which_key_makes_too_many_incidents() {
    let mut bench = Bench::new().await;
    let value = |text: String| Some(Private::new(text));
    let mut notices = Vec::new();
    for id in 0..30 {
        let mut arrival = report(id, bench.clock.now());
        arrival.incidents[0].key = IncidentKey(vec![
            (GroupKey::App, value("cli_1".into())),
            (GroupKey::Path, value(format!("secret/{id}"))),
        ]);
        bench.store.accept(arrival).await.unwrap();
        notices.extend(bench.round().await);
    }
    assert_eq!(notices.len(), 1, "{notices:?}");
    let notice = &notices[0];
    assert_eq!(
        (notice.kind, notice.subject.as_str()),
        (NoticeKind::TooManyIncidents, "faults")
    );
    assert!(
        notice.text.contains("the most values is path."),
        "{}",
        notice.text
    );
    assert!(notice.text.contains("inc_21"), "{}", notice.text);
    assert!(!notice.text.contains("secret"), "{}", notice.text);
}
