//! The fixed words in labels that come from no enumeration of `model`. They are defined in modules
//! that depend on this one; the tests of those modules check the lists.

/// Why a request to a known app, or an event of its long connection, is refused.
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

/// The reason of a refused click by the old card callback.
pub const OLD_CARD: &str = "old_card_callback";

/// What the operator must do about it.
pub const OLD_CARD_HINT: &str = "this is the old card callback (card.action.trigger_v1): in Feishu's console delete the app's message \
     card request URL (Features, Bot), set this URL under Events & callbacks, Callback configuration, add the callback \
     card.action.trigger there, and publish a version";

/// The reason if the path of a request is not served.
pub const NO_SUCH_PATH: &str = "no_such_path";

/// The reason if the URL of a request names no app.
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

/// The kinds of frames on a long connection.
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

/// The results of a click on one of the relay's buttons.
pub const CLICKS: &[&str] = &[
    "done",
    "already",
    "too_late",
    "ended",
    "unknown",
    "not_saved",
];

/// The result of a click on a foreign button.
pub const FORGED: &str = "forged";

/// The result of a click that is not from the platform.
pub const CLICK_REFUSED: &str = "refused";

/// Replaces the button's name if the button is foreign.
pub(in crate::telemetry) const NO_ACT: &str = "none";

/// The outcomes of a delivery.
pub(in crate::telemetry) const ENDS: &[&str] = &["delivered", "dead", "discarded", "unconfirmed"];

/// The results of urgent notifications.
pub(in crate::telemetry) const RINGS: [&str; 2] = ["rung", "failed"];

/// The results of an attempt to fetch an image; the last two are final.
pub(in crate::telemetry) const IMAGES: [&str; 4] = ["retry", "lease_lost", "kept", "lost"];

/// The results of comparing with the platform's list.
pub(in crate::telemetry) const BACKFILLS: [&str; 2] = ["ok", "failed"];

/// How a listed report was received.
pub(in crate::telemetry) const SEEN: [&str; 2] = ["by_event", "only_in_list"];

/// The results of sending a status to the platform.
pub(in crate::telemetry) const STATUSES: [&str; 3] = ["done", "retry", "dead"];

/// The results of a reload.
pub(in crate::telemetry) const RELOADS: [&str; 2] = ["ok", "refused"];

/// The codes of acknowledgements.
pub(in crate::telemetry) const ACKS: [&str; 2] = ["200", "500"];
