//! The fixed words that labels hold where no enumeration of `model` does. Those who say them stand higher in the
//! house; their tests hold them to these lists.

/// Why a request of a known app is refused, or an event of its long connection not taken.
pub const REFUSALS: &[&str] = &[
    "malformed_json",
    "payload_invalid",
    "decrypt_failed",
    "not_encrypted",
    "encrypt_key_missing",
    "bad_signature",
    "missing_signature",
    "bad_token",
    "auth_not_configured",
    "content_encoded",
    "too_large",
    "body_too_slow",
    "body_broken",
    "too_many_bodies",
    OLD_CARD,
    "busy",
    "unavailable",
];

/// Why a click on a card is refused that came by the old callback.
pub const OLD_CARD: &str = "old_card_callback";

/// What to do about it.
pub const OLD_CARD_HINT: &str = "this is the old card callback (card.action.trigger_v1): in Feishu's console delete the app's message \
     card request URL (Features, Bot), set this URL under Events & callbacks, Callback configuration, add the callback \
     card.action.trigger there, and publish a version";

/// Why a request is refused whose path is not served.
pub const NO_SUCH_PATH: &str = "no_such_path";

/// Why a request is refused whose URL names no app.
pub const NO_SUCH_APP: &str = "no_such_app";

/// Why a long connection ends, or cannot be opened.
pub const CONNECTION_ENDS: &[&str] = &[
    "closed",
    "lost",
    "silent",
    "stalled",
    "unreachable",
    "credentials",
    "wrong_platform",
    "too_many",
    "refused",
];

/// What comes over a long connection.
pub const FRAMES: &[&str] = &[
    "event",
    "card",
    "fragment",
    "unknown",
    "refused",
    "pong",
    "ping",
    "control",
    "websocket",
];

/// What comes of a click on one of our own buttons.
pub const CLICKS: &[&str] = &["done", "already", "too_late", "unknown", "not_saved"];

/// What comes of a click on what is no button of ours.
pub const FORGED: &str = "forged";

/// What comes of a click that is not the platform's.
pub const CLICK_REFUSED: &str = "refused";

/// What stands in the place of the button that none was.
pub(in crate::telemetry) const NO_ACT: &str = "none";

/// How a delivery ends.
pub(in crate::telemetry) const ENDS: &[&str] = &["delivered", "dead", "discarded", "unconfirmed"];

/// What comes of ringing people.
pub(in crate::telemetry) const RINGS: [&str; 2] = ["rung", "failed"];

/// What comes of an attempt to fetch an image; the last two settle it.
pub(in crate::telemetry) const IMAGES: [&str; 4] = ["retry", "lease_lost", "kept", "lost"];

/// What comes of comparing with the platform's list.
pub(in crate::telemetry) const BACKFILLS: [&str; 2] = ["ok", "failed"];

/// How a report in that list was seen.
pub(in crate::telemetry) const SEEN: [&str; 2] = ["by_event", "only_in_list"];

/// What comes of telling the platform of a status.
pub(in crate::telemetry) const STATUSES: [&str; 3] = ["done", "retry", "dead"];

/// What comes of a reload.
pub(in crate::telemetry) const RELOADS: [&str; 2] = ["ok", "refused"];

/// The codes of acknowledgements.
pub(in crate::telemetry) const ACKS: [&str; 2] = ["200", "500"];
