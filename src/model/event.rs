//! The content of an event. Every field may be absent and every enumeration may grow. Unknown codes are
//! kept as numbers, and ids are opaque text.

use super::{AppName, Digest, EventId, EventSeq, HeldFor, IncidentReports, Private, Timestamp};

/// One verified and parsed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The platform's id, by which repeats are detected. If there is none: the feedback id, else a hash
    /// of the body.
    pub id: EventId,
    /// The app of `[apps]` that received the event.
    pub via: AppName,
    /// When the event happened, according to the platform (`header.create_time`); `None` if it does not
    /// say.
    pub created_at: Option<Timestamp>,
    /// The reporter's tenant; `None` if unknown.
    pub tenant_key: Option<String>,
    /// What happened.
    pub content: Content,
}

impl Event {
    /// Returns when the event happened: from the envelope, else from the content.
    pub fn happened_at(&self) -> Option<Timestamp> {
        let said = match &self.content {
            Content::Created(feedback) => feedback.reported_at,
            Content::Updated(change) => change.updated_at,
            Content::Notice(_)
            | Content::Summary(_)
            | Content::Digest(_)
            | Content::Incident(_) => None,
        };
        self.created_at.or(said)
    }
}

/// The content of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Somebody left feedback.
    Created(Box<Feedback>),
    /// The status of feedback changed.
    Updated(StatusChange),
    /// The relay itself notifies its operator.
    Notice(Notice),
    /// Several reports of one rule that were not sent one by one, summarised.
    Summary(Box<Summary>),
    /// What came in a period.
    Digest(Box<Digest>),
    /// An incident has news.
    Incident(Box<IncidentReports>),
}

/// A report: the reporter's text, and what it is about. Source: doc "新增应用反馈" (`feedback.created_v6`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// The platform's id of this feedback: decimal digits, more than a double can hold.
    pub id: Option<String>,
    /// The app the feedback is about, which may differ from the app that received the event.
    pub app_id: Option<String>,
    /// Fault or suggestion.
    pub kind: Option<FeedbackKind>,
    /// What went wrong; several values at once are usual.
    pub faults: Vec<FaultKind>,
    /// Where the app ran.
    pub source: Option<SourceKind>,
    /// The reporter's own text.
    pub description: Option<Private>,
    /// An e-mail address or telephone number, as typed.
    pub contact: Option<Private>,
    /// The page: a path in a mini program, a URL in a web app.
    pub path: Option<Private>,
    /// The name of the reporter's tenant.
    pub tenant_name: Option<Private>,
    /// The reporter.
    pub user: UserIds,
    /// When it was reported. The platform sends no time zone, so the app's `feedback_timezone` applies.
    pub reported_at: Option<Timestamp>,
    /// When the fault happened, in the same time zone.
    pub fault_at: Option<Timestamp>,
    /// Codes that do not fit the number type, as their original text.
    pub odd: OddCodes,
    /// The original text of [`Self::reported_at`] if it cannot be parsed.
    pub reported_raw: Option<Private>,
    /// The original text of [`Self::fault_at`] if it cannot be parsed.
    pub fault_raw: Option<Private>,
    /// Image addresses, which expire after three days. They are signed: never log one.
    pub images: Vec<Private>,
}

/// Codes of a report that exceed 64 bits or are not whole numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OddCodes {
    /// The feedback type.
    pub kind: Option<String>,
    /// The fault types.
    pub faults: Vec<String>,
    /// Where the app ran.
    pub source: Option<String>,
}

/// The platform's ids of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserIds {
    /// The person's id within one app.
    pub open_id: Option<Private>,
    /// The person's id within all apps of one developer.
    pub union_id: Option<Private>,
    /// The person's id within the tenant.
    pub user_id: Option<Private>,
}

/// A status change of one or more feedbacks. Source: `feedback.updated_v6`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusChange {
    /// The ids of the feedbacks.
    pub feedback_ids: Vec<String>,
    /// The app they are about.
    pub app_id: Option<String>,
    /// The new status.
    pub status: Option<FeedbackStatus>,
    /// The new status if it exceeds 64 bits or is not a whole number.
    pub odd_status: Option<String>,
    /// When it changed.
    pub updated_at: Option<Timestamp>,
    /// Who changed it.
    pub operator: UserIds,
    /// The reports it is about, as far as the store has them, so that rules can match them. The event
    /// itself does not contain them.
    pub reports: Vec<Feedback>,
}

/// A notice to the operator: something stopped, was given up, is at risk or was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The kind of problem. `kind` and `subject` together identify repeats.
    pub kind: NoticeKind,
    /// What it is about: a destination, an app, an event id or a host.
    pub subject: String,
    /// The whole message, without secrets and without text of a reporter.
    pub text: String,
}

/// The reports of one rule that were not sent one by one, in one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The number of reports.
    pub count: u64,
    /// When the first report was made.
    pub first_at: Timestamp,
    /// When the last report was made.
    pub last_at: Timestamp,
    pub held_for: HeldFor,
    /// For [`HeldFor::Hold`]: the windows of `hold` as they are written.
    pub hours: Option<String>,
    /// The newest reports, newest first, at most [`SUMMARY_NEWEST_MAX`].
    pub newest: Vec<Summarised>,
}

/// A report in a summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summarised {
    /// The display name of the app it is about.
    pub app_name: String,
    pub feedback: Feedback,
}

/// How many reports a summary quotes at most.
pub const SUMMARY_NEWEST_MAX: usize = 5;

/// Defines an enum whose variants each have one lower-case key.
macro_rules! keyed {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $key:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// All variants.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the key used in configuration, store, metrics and output.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)+ }
            }

            /// Returns the variant with this key.
            pub fn from_key(key: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.key() == key)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.key())
            }
        }
    };
}
pub(crate) use keyed;

/// Defines an open enumeration of the platform: a number, for which some values have names.
macro_rules! open_code {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal => $key:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl $name {
            $($(#[$vdoc])* pub const $variant: Self = Self($code);)+
            /// The codes that have a name.
            pub const KNOWN: &[Self] = &[$(Self::$variant,)+];

            /// Returns the code's name; `None` if it has none.
            pub const fn key(self) -> Option<&'static str> {
                match self.0 { $($code => Some($key),)+ _ => None }
            }

            /// Returns the code with this name.
            pub fn from_key(key: &str) -> Option<Self> {
                Self::KNOWN.iter().copied().find(|one| one.key() == Some(key))
            }
        }
    };
}

open_code!(
    /// The kind of feedback: `feedback_type`.
    FeedbackKind {
        /// Something does not work.
        FAULT = 1 => "fault",
        /// Something could be better.
        SUGGESTION = 2 => "suggestion",
    }
);

open_code!(
    /// What went wrong: an element of `fault_type`.
    FaultKind {
        /// 黑屏.
        BLACK_SCREEN = 1 => "black_screen",
        /// 白屏.
        WHITE_SCREEN = 2 => "white_screen",
        /// 无法打开小程序.
        CANNOT_OPEN = 3 => "cannot_open",
        /// 卡顿.
        STUTTER = 4 => "stutter",
        /// 小程序闪退.
        CRASH = 5 => "crash",
        /// 页面加载慢.
        SLOW_LOAD = 6 => "slow_load",
        /// 死机.
        FREEZE = 7 => "freeze",
        /// 其他异常.
        OTHER = 8 => "other",
    }
);

open_code!(
    /// Where the app ran: `source`.
    SourceKind {
        /// 小程序.
        MINI_PROGRAM = 1 => "mini_program",
        /// 网页应用.
        WEB_APP = 2 => "web_app",
        /// 机器人.
        BOT = 3 => "bot",
        /// webSDK.
        WEB_SDK = 4 => "web_sdk",
    }
);

open_code!(
    /// The processing status of a feedback: `status` of `feedback.updated_v6`.
    FeedbackStatus {
        /// 未处理.
        UNPROCESSED = 0 => "unprocessed",
        /// 已处理.
        PROCESSED = 1 => "processed",
        /// 处理中.
        PROCESSING = 2 => "processing",
        /// 已关闭.
        CLOSED = 3 => "closed",
    }
);

keyed!(
    /// The platform events that a rule can match.
    EventKind {
        /// Somebody left feedback.
        Created => "created",
        /// The status of feedback changed.
        Updated => "updated",
    }
);

keyed!(
    /// The kind of problem in a notice.
    NoticeKind {
        /// A destination cannot work until somebody acts.
        DestinationStopped => "destination_stopped",
        /// A delivery was given up.
        DeliveryDead => "delivery_dead",
        /// Deliveries wait for a destination that is no longer configured.
        DestinationMissing => "destination_missing",
        /// A message was possibly delivered: the responses were lost.
        DeliveryUnconfirmed => "delivery_unconfirmed",
        /// An image is not fetched and its deadline is near.
        ImageInDanger => "image_in_danger",
        /// An image is on a host that `images.allow_hosts` does not list.
        ImageHostRefused => "image_host_refused",
        /// An image is lost.
        ImageLost => "image_lost",
        /// The platform rejects an app's image uploads until somebody acts.
        ImageUploadRefused => "image_upload_refused",
        /// A platform rejects people who are mentioned.
        MentionRefused => "mention_refused",
        /// A message could not be edited to show its feedback's status.
        MessageNotChanged => "message_not_changed",
        /// An authentic event could not be parsed.
        EventUnreadable => "event_unreadable",
        /// A template failed, so the built-in plain one was used.
        TemplateFailed => "template_failed",
        /// The platform rejects an app's long connection until somebody acts.
        ConnectionRefused => "connection_refused",
        /// An app has had no long connection for too long.
        ConnectionDown => "connection_down",
        /// Feishu did not accept a status that somebody set.
        StatusNotSet => "status_not_set",
        /// The platform's list has new reports, but none are pushed.
        NothingPushed => "nothing_pushed",
        /// A new configuration was rejected.
        ReloadRefused => "reload_refused",
        /// A store file was removed, moved or replaced while the relay had it open.
        StoreDisplaced => "store_displaced",
        /// The platform's list of reports could not be queried.
        BackfillFailed => "backfill_failed",
        /// A silence that was added by a command ends soon, and has muted reports.
        SilenceEnding => "silence_ending",
        /// A rule has so many open incidents that further ones are counted together.
        TooManyIncidents => "too_many_incidents",
    }
);

keyed!(
    /// The result of intake for an event.
    EventState {
        /// At least one rule without `continue` matched.
        Routed => "routed",
        /// Only `continue` rules matched, or none.
        Unrouted => "unrouted",
        /// Stored, but nobody has to be notified: a notice, or a status change that no rule without
        /// `continue` matched.
        Noted => "noted",
        /// The event type is not handled; its body is not kept.
        Ignored => "ignored",
        /// Authentic, but it cannot be parsed; its body is kept.
        Unreadable => "unreadable",
    }
);

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The row id.
    pub seq: EventSeq,
    /// The id by which repeats are detected.
    pub id: EventId,
    /// The app that received it.
    pub via: AppName,
    /// The platform's name of the event type.
    pub event_type: String,
    /// The feedback it is about; `None` if it is about none.
    pub feedback_id: Option<String>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// The result of intake.
    pub state: EventState,
    /// The decrypted body as received; `None` once retention or `erase` has removed it.
    pub body: Option<Private>,
}
