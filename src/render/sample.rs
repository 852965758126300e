//! Provides sample subjects. `check` renders them, and names are checked against the shape of their contexts.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::context::{self, Reader};
use super::{
    Action, Audience, Family, Fields, Locale, Mention, SentAs, Shown, ShownBy, StatusView, Subject,
};
use crate::model::{
    Actor, AlikeReports, AppName, ChangeSource, Content, CountedReport, DeliveryId, Event, EventId,
    EventSeq, FaultKind, Feedback, FeedbackKind, FeedbackState, FeedbackStatus, GroupKey,
    GroupTerms, HeldFor, ImageFormat, ImageId, Incident, IncidentId, IncidentKey, IncidentNews,
    IncidentProgress, IncidentReports, IncidentState, MessageSpec, Mute, MuteNote, Notice,
    NoticeKind, Private, ReportWords, RuleName, SeenBefore, Severity, SilenceId, SourceKind,
    StatusChange, Summarised, Summary, Timestamp, TriageAction, Trigger, UserIds,
};
use crate::model::{Digest, DigestCounts};

/// The time of all samples: 2026-03-01 02:10 in Shanghai.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_772_302_200_000);

/// Owns everything that a [`Subject`] borrows.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) event: Event,
    pub(super) spec: MessageSpec,
    pub(super) trigger: Trigger,
    pub(super) counted: Option<CountedReport>,
    pub(super) mentions: Vec<Mention>,
    pub(super) images: Vec<Shown>,
    pub(super) images_pending: usize,
    pub(super) images_total: usize,
    pub(super) standing: StatusView,
}

impl Sample {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            event: &self.event,
            received_at: millis_before(1),
            app_name: "order",
            delivery: DeliveryId::from_i64(1_234_567),
            trigger: self.trigger,
            is_main: self.trigger == Trigger::Edit
                || matches!(
                    self.spec.news,
                    Some(IncidentNews::Opened | IncidentNews::Digest)
                ),
            counted: self.counted,
            spec: &self.spec,
            mentions: &self.mentions,
            images: &self.images,
            images_pending: self.images_pending,
            images_refused: 0,
            images_total: self.images_total,
            standing: &self.standing,
            now: NOW,
        }
    }
}

const fn millis_before(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() - seconds * 1000)
}

fn sample(content: Content, template: &str, severity: Severity) -> Sample {
    Sample {
        event: Event {
            id: EventId::from("5e3702a84e847582be8db7fb73283c02"),
            via: AppName::from("shop"),
            created_at: Some(millis_before(2)),
            tenant_key: Some("2ca1d211f64f6438".to_owned()),
            content,
        },
        spec: MessageSpec {
            rule: RuleName::from("blank screen"),
            severity,
            template: template.to_owned(),
            mentions: Vec::new(),
            labels: BTreeMap::new(),
            wait: None,
            fell_from: Vec::new(),
            news: None,
        },
        trigger: Trigger::Event,
        counted: None,
        mentions: Vec::new(),
        images: Vec::new(),
        images_pending: 0,
        images_total: 0,
        standing: StatusView::default(),
    }
}

fn shown(ordinal: u8, by: ShownBy) -> Shown {
    Shown {
        ordinal,
        id: ImageId::of(&[ordinal]),
        format: ImageFormat::Png,
        width: 1170,
        height: 2532,
        by,
    }
}

/// Returns a fault with every value that a report can have; images are shown by `by`.
pub(super) fn fault(by: &ShownBy) -> Sample {
    let feedback = Feedback {
        id: Some("7007008888888888888".to_owned()),
        app_id: Some("cli_9b445f5258795107".to_owned()),
        kind: Some(FeedbackKind::FAULT),
        faults: vec![FaultKind::WHITE_SCREEN, FaultKind::CRASH],
        source: Some(SourceKind::MINI_PROGRAM),
        description: Some(Private::new("点击“支付”后白屏，\n重启后闪退。")),
        contact: Some(Private::new("wang@example.com")),
        path: Some(Private::new("pages/pay/index?id=42")),
        tenant_name: Some(Private::new("示例科技")),
        user: UserIds {
            open_id: Some(Private::new("ou_3a52771c51327acb")),
            union_id: Some(Private::new("on_8ed6aa67826108")),
            user_id: Some(Private::new("e33ggbyz")),
        },
        reported_at: Some(millis_before(3)),
        fault_at: Some(millis_before(303)),
        ..Feedback::default()
    };
    let mut sample = sample(
        Content::Created(Box::new(feedback)),
        "alert",
        Severity::Critical,
    );
    sample.mentions = vec![Mention::Person {
        name: "sre".to_owned(),
        feishu: vec!["ou_1234".to_owned(), "li@example.com".to_owned()],
        slack: vec!["U0123".to_owned(), "S0456".to_owned()],
    }];
    sample.images = vec![shown(0, by.clone()), shown(1, by.clone())];
    sample.images_pending = 1;
    sample.images_total = 4;
    sample
}

/// Returns a fault that somebody claimed a minute ago with a button, and can still undo.
pub(super) fn claimed(by: &ShownBy) -> Sample {
    let by_name = Private::new("Han Meimei <on call>");
    let actor = Actor {
        name: Some(by_name.clone()),
        id: Some(Private::new("ou_7d8a6e6df7621556")),
        app: Some(AppName::from("shop")),
    };
    Sample {
        standing: StatusView {
            state: Some(FeedbackState {
                status: FeedbackStatus::PROCESSING,
                changed_at: millis_before(60),
                by: actor,
                through: ChangeSource::Feishu,
                undo_until: Some(NOW),
                local_only: true,
            }),
            by_name: Some(by_name),
            person: Some("ou_7d8a6e6df7621556".to_owned()),
            reporter: Some("ou_3a52771c51327acb".to_owned()),
            earlier: None,
            actions: actions(&[
                TriageAction::Done,
                TriageAction::NotOurs,
                TriageAction::Undo,
            ]),
        },
        trigger: Trigger::Edit,
        ..fault(by)
    }
}

/// Returns a suggestion that nobody has handled.
pub(super) fn with_buttons() -> Sample {
    let mut sample = suggestion();
    sample.standing.actions = actions(TriageAction::next(FeedbackStatus::UNPROCESSED));
    sample
}

fn actions(acts: &[TriageAction]) -> Vec<Action> {
    let action = |act: &TriageAction| Action {
        act: *act,
        value: format!("{}.1.0.c2lnbmVkLWJ5LXVzLWFuZC1u", act.key()),
    };
    acts.iter().map(action).collect()
}

/// Returns a report without any optional value.
pub(super) fn minimal() -> Sample {
    let mut minimal = sample(Content::Created(Box::default()), "alert", Severity::Warning);
    minimal.event.created_at = None;
    minimal.event.tenant_key = None;
    minimal
}

/// Returns a suggestion.
pub(super) fn suggestion() -> Sample {
    let feedback = Feedback {
        id: Some("7007009999999999999".to_owned()),
        app_id: Some("cli_9b445f5258795107".to_owned()),
        kind: Some(FeedbackKind::SUGGESTION),
        source: Some(SourceKind::WEB_APP),
        description: Some(Private::new("希望支持深色模式 🌙")),
        contact: Some(Private::new("13800138000")),
        tenant_name: Some(Private::new("示例科技")),
        reported_at: Some(millis_before(60)),
        ..Feedback::default()
    };
    sample(
        Content::Created(Box::new(feedback)),
        "suggestion",
        Severity::Info,
    )
}

/// Returns a change of status of two feedbacks.
pub(super) fn status_changed() -> Sample {
    let change = StatusChange {
        feedback_ids: vec![
            "7007008888888888888".to_owned(),
            "7007009999999999999".to_owned(),
        ],
        app_id: Some("cli_9b445f5258795107".to_owned()),
        status: Some(FeedbackStatus::PROCESSED),
        odd_status: None,
        updated_at: Some(millis_before(4)),
        operator: UserIds {
            open_id: Some(Private::new("ou_9c1e2f3a4b5d6e7f")),
            union_id: Some(Private::new("on_77aa1b2c3d4e5f")),
            user_id: Some(Private::new("g55hhtrq")),
        },
        reports: Vec::new(),
    };
    sample(Content::Updated(change), "status", Severity::Info)
}

/// Returns a change of status without details.
pub(super) fn status_bare() -> Sample {
    let mut bare = sample(
        Content::Updated(StatusChange::default()),
        "status",
        Severity::Info,
    );
    bare.event.created_at = None;
    bare.event.tenant_key = None;
    bare
}

/// Returns an operator notice.
pub(super) fn notice() -> Sample {
    let notice = Notice {
        kind: NoticeKind::DestinationStopped,
        subject: "oncall-chat".to_owned(),
        text: "oncall-chat is stopped: the bot is gone (19001)".to_owned(),
    };
    sample(Content::Notice(notice), "notice", Severity::Warning)
}

/// Returns a late summary.
pub(super) fn summary() -> Sample {
    let summary = Summary {
        count: 42,
        first_at: millis_before(90_000),
        last_at: millis_before(7_200),
        held_for: HeldFor::Hold,
        hours: Some("22:00-08:00".to_owned()),
        newest: quoted([suggestion(), fault(&ShownBy::Count), minimal()]),
    };
    sample(
        Content::Summary(Box::new(summary)),
        "summary",
        Severity::Warning,
    )
}

/// Returns a digest.
pub(super) fn digest() -> Sample {
    let counts = |total: u64| DigestCounts {
        total,
        images: 7,
        apps: [("order".to_owned(), total)].into(),
        faults: [("crash".to_owned(), 2), ("white_screen".to_owned(), 9)].into(),
        pages: [("pages/pay/*".to_owned(), 5), ("pages/home".to_owned(), 6)].into(),
    };
    let digest = Digest {
        name: "monday".to_owned(),
        from: millis_before(7 * 86_400),
        until: millis_before(3_600),
        late: true,
        counts: counts(42),
        before: Some(counts(30)),
        unhandled: 11,
        oldest_at: Some(millis_before(5 * 86_400)),
        newest: quoted([suggestion(), fault(&ShownBy::Count), minimal()]),
    };
    sample(Content::Digest(Box::new(digest)), "digest", Severity::Info)
}

/// Returns the reports of samples, as a message quotes them.
fn quoted(samples: impl IntoIterator<Item = Sample>) -> Vec<Summarised> {
    let quote = |one: Sample| match one.event.content {
        Content::Created(feedback) => Some(Summarised {
            app_name: "order".to_owned(),
            feedback: *feedback,
        }),
        Content::Updated(_)
        | Content::Notice(_)
        | Content::Summary(_)
        | Content::Digest(_)
        | Content::Incident(_) => None,
    };
    samples.into_iter().filter_map(quote).collect()
}

/// An open incident of 37 crashes within 25 minutes.
pub(super) fn incident(news: IncidentNews) -> Sample {
    let value = |text: &str| Some(Private::new(text));
    let key = IncidentKey(vec![
        (GroupKey::App, value("cli_9b445f5258795107")),
        (GroupKey::Fault, value("crash")),
        (GroupKey::Path, value("pages/pay/*")),
        (GroupKey::Tenant, None),
    ]);
    let reports = IncidentReports {
        id: IncidentId(12),
        incident: Some(Incident {
            id: IncidentId(12),
            rule: RuleName::from("blank screen"),
            kind: Some(FeedbackKind::FAULT),
            severity: Severity::Critical,
            key,
            progress: incident_progress(),
            people: 31,
            tenants: 3,
            trend: [12, 4],
            handled: None,
            written: [0, 0],
            keys: 0,
            next_at: None,
            mute_note: None,
            previous: Some(IncidentId(11)),
            event: None,
        }),
        newest: quoted([fault(&ShownBy::Count), minimal()]),
        words: words(),
        seen_before: Some(seen_before()),
    };
    let mut sample = sample(
        Content::Incident(Box::new(reports)),
        "incident",
        Severity::Critical,
    );
    sample.event.tenant_key = None;
    sample.spec.news = Some(news);
    sample.trigger = Trigger::Incident;
    sample.mentions = fault(&ShownBy::Count).mentions;
    sample.standing.earlier = Some("ou_7d8a6e6df7621556".to_owned());
    if sample.subject().is_main {
        let key = |ordinal| shown(ordinal, ShownBy::Key(format!("img_v3_0{ordinal}")));
        sample.images = vec![key(0), key(1), shown(2, ShownBy::Link), key(3)];
    }
    sample
}

/// An incident that somebody marked as done 12 days before the sample incident.
fn seen_before() -> SeenBefore {
    let ended_at = millis_before(12 * 86_400 + 3600);
    let state = claimed(&ShownBy::Count).standing.state;
    SeenBefore {
        incident: Incident {
            id: IncidentId(7),
            rule: RuleName::from("blank screen"),
            kind: Some(FeedbackKind::FAULT),
            severity: Severity::Critical,
            key: IncidentKey::default(),
            progress: IncidentProgress {
                state: IncidentState::Done,
                ended_at: Some(ended_at),
                ..incident_progress()
            },
            people: 4,
            tenants: 1,
            trend: [0, 0],
            handled: state.map(|state| FeedbackState {
                status: FeedbackStatus::PROCESSED,
                changed_at: ended_at,
                ..state
            }),
            written: [0, 0],
            keys: 0,
            next_at: None,
            previous: None,
            event: None,
            mute_note: None,
        },
        is_similar: false,
        by_name: Some(Private::new("Han Meimei <on call>")),
    }
}

/// What the reports of the sample incident say.
fn words() -> ReportWords {
    let alike = |count, text: &str| AlikeReports {
        count,
        sample: Private::new(text),
    };
    ReportWords {
        kinds: 4,
        largest: vec![
            alike(21, "点击“支付”后白屏，\n重启后闪退。"),
            alike(9, "支付时闪退"),
            alike(4, "crashes when I pay"),
        ],
    }
}

fn incident_progress() -> IncidentProgress {
    let shown_at = millis_before(30);
    IncidentProgress {
        state: IncidentState::Open,
        terms: GroupTerms {
            from: 5,
            interval: Duration::from_secs(300),
            repeat_after: Some(Duration::from_secs(4 * 3600)),
            resolve_after: Duration::from_secs(30 * 60),
            steps: Vec::new(),
            hold: None,
        },
        opened_at: millis_before(1_505),
        last_at: millis_before(5),
        count: 37,
        shown_at: Some(shown_at),
        edit_due: false,
        ended_at: None,
        mute: None,
        silenced: 0,
        silenced_before: 0,
        digested: 36,
        digested_at: shown_at,
        notified: 36,
        notified_at: shown_at,
        steps_done: 0,
        claimed: false,
        applied_to: EventSeq(0),
        applies_to: EventSeq(0),
        late: 0,
        burst: None,
        reopened: 0,
    }
}

/// The edited first message of an open incident that somebody claimed.
pub(super) fn claimed_incident() -> Sample {
    let mut sample = incident(IncidentNews::Opened);
    sample.trigger = Trigger::Edit;
    sample.standing = StatusView {
        reporter: None,
        actions: actions(&[TriageAction::Done]),
        ..claimed(&ShownBy::Count).standing
    };
    if let Content::Incident(reports) = &mut sample.event.content
        && let Some(incident) = &mut reports.incident
    {
        incident.progress.claimed = true;
        incident.handled = sample.standing.state.clone();
        incident.written = [12, 37];
    }
    sample
}

/// The edited first message of an open incident that a silence mutes.
pub(super) fn muted_incident() -> Sample {
    let mut sample = incident(IncidentNews::Opened);
    sample.trigger = Trigger::Edit;
    sample.standing.actions =
        actions(&[TriageAction::Claim, TriageAction::Done, TriageAction::Mute]);
    if let Content::Incident(reports) = &mut sample.event.content
        && let Some(incident) = &mut reports.incident
    {
        incident.progress.mute = Some(Mute {
            silence: SilenceId(3),
            until: NOW + Duration::from_secs(7200),
        });
        incident.progress.silenced = 4;
        incident.mute_note = Some(MuteNote {
            author: Some(Private::new("Han Meimei <on call>")),
            reason: Some(Private::new("the pay page is being *rebuilt*")),
        });
    }
    sample
}

/// The edited first message of a claimed incident that has ended.
pub(super) fn ended_incident(state: IncidentState) -> Sample {
    let mut sample = incident(IncidentNews::Opened);
    sample.trigger = Trigger::Edit;
    if let Content::Incident(reports) = &mut sample.event.content
        && let Some(incident) = &mut reports.incident
    {
        incident.progress.state = state;
        incident.progress.claimed = true;
        incident.progress.ended_at = Some(NOW);
    }
    sample
}

/// Returns every sample with its name.
pub(super) fn all() -> Vec<(&'static str, Sample)> {
    let mut late = fault(&ShownBy::Link);
    late.trigger = Trigger::LateImages;
    vec![
        ("fault_by_key", fault(&ShownBy::Key("img_v3_0a".to_owned()))),
        ("fault_by_link", fault(&ShownBy::Link)),
        ("fault_counted", fault(&ShownBy::Count)),
        ("minimal", minimal()),
        ("suggestion", suggestion()),
        ("late_images", late),
        ("status_changed", status_changed()),
        ("status_bare", status_bare()),
        ("notice", notice()),
        ("summary", summary()),
        ("digest", digest()),
        ("incident", incident(IncidentNews::Opened)),
        ("incident_news", incident(IncidentNews::Threshold)),
        ("incident_claimed", claimed_incident()),
        ("incident_muted", muted_incident()),
        ("incident_quiet", ended_incident(IncidentState::Quiet)),
        ("claimed", claimed(&ShownBy::Key("img_v3_0a".to_owned()))),
        ("with_buttons", with_buttons()),
    ]
}

/// Returns an audience that sees every field.
pub(super) fn audience(family: Family, locale: Locale) -> Audience {
    Audience {
        family,
        locale,
        // A fixed offset, so that samples do not depend on the machine's time zone database.
        timezone: TimeZone::fixed(jiff::tz::offset(8)),
        fields: Fields::default(),
        keyword: None,
        body: None,
        bytes_max: None,
        buttons: true,
        sent: SentAs::default(),
    }
}

/// Returns a context with an element in every list.
pub(super) fn shape() -> Value {
    let fault = claimed(&ShownBy::Link);
    let audience = audience(Family::Webhook, Locale::En);
    let tree = |told: &Subject<'_>| context::build(&audience, told, Reader::People, true).tree();
    let mut shape = tree(&fault.subject());
    let incident = tree(&incident(IncidentNews::Opened).subject());
    shape["incident"] = incident["incident"].clone();
    shape["digest"] = tree(&digest().subject())["digest"].clone();
    shape
}
