//! What an event says. Every field may be absent and every enumeration may grow: codes that are not
//! known yet are kept as numbers, ids are opaque text.

use super::{AppName, EventId, EventSeq, Private, Timestamp};

/// One thing that happened, verified and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The platform's id; the key by which a repeat is known. Where there is none: the feedback id,
    /// else a hash of the body.
    pub id: EventId,
    /// The app of `[apps]` that received it.
    pub via: AppName,
    /// When the platform says it happened (`header.create_time`).
    pub created_at: Option<Timestamp>,
    /// The tenant of the reporter.
    pub tenant_key: Option<String>,
    /// What happened.
    pub content: Content,
}

impl Event {
    /// When it happened, by its envelope or else by what it says of itself.
    pub fn happened_at(&self) -> Option<Timestamp> {
        let said = match &self.content {
            Content::Created(feedback) => feedback.reported_at,
            Content::Updated(change) => change.updated_at,
            Content::Notice(_) | Content::Summary(_) => None,
        };
        self.created_at.or(said)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Somebody left feedback.
    Created(Box<Feedback>),
    /// The state of feedback changed.
    Updated(StatusChange),
    /// The relay itself has something to say to its operator.
    Notice(Notice),
    /// Reports that came late are told together.
    Summary(Box<Summary>),
}

/// What a reporter said, and about what. Source: doc "新增应用反馈" (`feedback.created_v6`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// The platform's id of this feedback: decimal digits, more than a double can hold.
    pub id: Option<String>,
    /// The app the feedback is about; not always the app that received the event.
    pub app_id: Option<String>,
    /// Fault or suggestion.
    pub kind: Option<FeedbackKind>,
    /// What went wrong; several at once are usual.
    pub faults: Vec<FaultKind>,
    /// Where the app ran.
    pub source: Option<SourceKind>,
    /// The reporter's own words.
    pub description: Option<Private>,
    /// An e-mail address or telephone number, as typed.
    pub contact: Option<Private>,
    /// The page: a path in a mini program, a URL in a web app.
    pub path: Option<Private>,
    /// The name of the reporter's tenant.
    pub tenant_name: Option<Private>,
    /// Who reported.
    pub user: UserIds,
    /// When it was reported. The platform gives no zone; the app's `feedback_timezone` was used.
    pub reported_at: Option<Timestamp>,
    /// When the fault happened, likewise.
    pub fault_at: Option<Timestamp>,
    /// Codes that no number here can hold, as the text they were.
    pub odd: OddCodes,
    /// [`Self::reported_at`] as it was written, where it cannot be read.
    pub reported_raw: Option<Private>,
    /// [`Self::fault_at`], likewise.
    pub fault_raw: Option<Private>,
    /// Addresses of images, which end after three days. They are signed: never log one.
    pub images: Vec<Private>,
}

/// Codes of a report that are beyond 64 bits, or no whole numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OddCodes {
    /// What sort of feedback.
    pub kind: Option<String>,
    /// What went wrong.
    pub faults: Vec<String>,
    /// Where the app ran.
    pub source: Option<String>,
}

/// The ids by which the platform knows a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserIds {
    /// The person within one app.
    pub open_id: Option<Private>,
    /// The person within all apps of one developer.
    pub union_id: Option<Private>,
    /// The person within the tenant.
    pub user_id: Option<Private>,
}

/// The state of one or several feedbacks changed. Source: `feedback.updated_v6`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusChange {
    /// Which feedback.
    pub feedback_ids: Vec<String>,
    /// The app it is about.
    pub app_id: Option<String>,
    /// What it is now.
    pub status: Option<FeedbackStatus>,
    /// When it changed.
    pub updated_at: Option<Timestamp>,
    /// Who changed it.
    pub operator: UserIds,
    /// The reports it is about, as far as the store knows them: rules can ask about them. The event
    /// itself does not hold them.
    pub reports: Vec<Feedback>,
}

/// A word of the relay to its operator: what stopped, died, is in danger or was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What kind of trouble; with `subject` it is the key by which a repeat is known.
    pub kind: NoticeKind,
    /// What it is about: the name of a destination or app, an event id, a host.
    pub subject: String,
    /// The whole message. It holds no secret and nothing a reporter typed.
    pub text: String,
}

/// Late reports of one rule, told together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub count: u64,
    /// When the first of them was reported.
    pub first_at: Timestamp,
    /// When the last was.
    pub last_at: Timestamp,
    /// The newest of them, newest first, at most [`SUMMARY_NEWEST_MAX`].
    pub newest: Vec<Summarised>,
}

/// A report in a summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summarised {
    /// What people call the app it is about.
    pub app_name: String,
    /// What it says.
    pub feedback: Feedback,
}

/// How many reports a summary quotes.
pub const SUMMARY_NEWEST_MAX: usize = 5;

/// Makes an enum of named codes with one lower-case key each.
macro_rules! keyed {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $key:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word for it in configuration, store, metrics and output.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)+ }
            }

            /// The one with this key.
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

/// Makes an open enumeration of the platform: a number, some of which have names.
macro_rules! open_code {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal => $key:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl $name {
            $($(#[$vdoc])* pub const $variant: Self = Self($code);)+
            /// Those that have a name.
            pub const KNOWN: &[Self] = &[$(Self::$variant,)+];

            /// The name, if this code has one.
            pub const fn key(self) -> Option<&'static str> {
                match self.0 { $($code => Some($key),)+ _ => None }
            }

            /// The code with this name.
            pub fn from_key(key: &str) -> Option<Self> {
                Self::KNOWN.iter().copied().find(|one| one.key() == Some(key))
            }
        }
    };
}

open_code!(
    /// What sort of feedback: `feedback_type`.
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
    /// What is being done about a feedback: `status` of `feedback.updated_v6`.
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
    /// What of the platform's events a rule can take.
    EventKind {
        /// Somebody left feedback.
        Created => "created",
        /// The state of feedback changed.
        Updated => "updated",
    }
);

keyed!(
    /// What kind of trouble a notice tells of.
    NoticeKind {
        /// A destination will not work until somebody acts.
        DestinationStopped => "destination_stopped",
        /// A delivery was given up.
        DeliveryDead => "delivery_dead",
        /// Deliveries wait for a destination that is no longer configured.
        DestinationMissing => "destination_missing",
        /// A message was perhaps delivered: its answers were lost.
        DeliveryUnconfirmed => "delivery_unconfirmed",
        /// An image nears its deadline unfetched.
        ImageInDanger => "image_in_danger",
        /// An image is on a host that `images.allow_hosts` does not name.
        ImageHostRefused => "image_host_refused",
        /// An image is lost.
        ImageLost => "image_lost",
        /// The platform takes no images from an app until somebody acts.
        ImageUploadRefused => "image_upload_refused",
        /// A platform refuses people who are mentioned.
        MentionRefused => "mention_refused",
        /// A message could not be changed to show how its feedback stands.
        MessageNotChanged => "message_not_changed",
        /// An authentic event could not be read.
        EventUnreadable => "event_unreadable",
        /// A template failed and the built-in plain one took its place.
        TemplateFailed => "template_failed",
        /// The platform refuses an app's long connection until somebody acts.
        ConnectionRefused => "connection_refused",
        /// An app has had no long connection for long.
        ConnectionDown => "connection_down",
        /// Feishu did not take a status that somebody set.
        StatusNotSet => "status_not_set",
        /// Reports are found in the platform's list, and none is pushed.
        NothingPushed => "nothing_pushed",
        /// A new configuration was refused.
        ReloadRefused => "reload_refused",
        /// A file of the store was removed, moved or replaced while the relay had it open.
        StoreDisplaced => "store_displaced",
        /// The list of what was reported cannot be asked for.
        BackfillFailed => "backfill_failed",
    }
);

keyed!(
    /// What became of an event at intake.
    EventState {
        /// At least one rule took it for good.
        Routed => "routed",
        /// Only `continue` rules took it, or none.
        Unrouted => "unrouted",
        /// It is kept, and nobody need hear of it: a notice, or a change of state that no rule took
        /// for good.
        Noted => "noted",
        /// Its type is one nobody asked for; its body is not kept.
        Ignored => "ignored",
        /// It is authentic and cannot be read; its body is kept.
        Unreadable => "unreadable",
    }
);

/// An event as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its row.
    pub seq: EventSeq,
    /// The id by which repeats are known.
    pub id: EventId,
    /// The app that received it.
    pub via: AppName,
    /// The platform's name of its type.
    pub event_type: String,
    /// The feedback it is about, if it is about one.
    pub feedback_id: Option<String>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// What intake made of it.
    pub state: EventState,
    /// The decrypted body as it came; `None` once retention or `erase` has removed it.
    pub body: Option<Private>,
}
