//! Button clicks on a card: `card.action.trigger`. Source: doc "卡片回传交互回调".

use super::json::{self, Raw};
use super::{Reading, SignatureHeaders};
use crate::model::{Private, UserIds};

/// The platform's event type of a card click.
pub const CARD_ACTION: &str = "card.action.trigger";

/// The event type of the old card callback. Its format differs, and the relay does not answer it.
pub const OLD_CARD_ACTION: &str = "card.action.trigger_v1";

/// The length of a SHA-1 signature in hexadecimal digits. The old callback uses SHA-1, everything
/// else SHA-256.
const SHA1_HEX: usize = 40;

/// Returns whether a refused request looks like the old card callback ("message card request URL").
/// The request is not verified: the result only selects the text for the operator.
pub fn is_old_card_callback(headers: SignatureHeaders<'_>, body: &[u8]) -> bool {
    let signature = headers.signature.unwrap_or_default();
    if signature.len() == SHA1_HEX && signature.iter().all(u8::is_ascii_hexdigit) {
        return true;
    }
    let Ok(body) = std::str::from_utf8(body) else {
        return false;
    };
    let members = json::members(body, ["open_message_id", "action", "header"]);
    matches!(members, Ok([Some(_), Some(_), None]))
}

/// The member of a button's value that the relay sets.
const RELAY: &str = "relay";

/// A click on a card button. The platform vouches for the actor. The sender of the card sets the
/// button's meaning, and that may be another app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardAction {
    /// The text under `relay` in the button's value. `None` if there is none.
    pub relay: Option<String>,
    /// The ids of the person who clicked.
    pub operator: UserIds,
}

impl Reading {
    /// Returns the click if the envelope is one. A click is answered at once and never sent again,
    /// so it is not an event.
    pub fn card_action(&self) -> Option<CardAction> {
        if self.event_type != CARD_ACTION {
            return None;
        }
        let text = json::mend(self.body.expose());
        let [header, event] = json::members(&text, ["header", "event"]).ok()?;
        // An event of schema 1.0 has its type elsewhere, and none of them is a click.
        let [event_type] = members(header, ["event_type"])?;
        event_type?;
        let [operator, action] = members(event, ["operator", "action"]).unwrap_or_default();
        let [value] = members(action, ["value"]).unwrap_or_default();
        let [relay] = members(value, [RELAY]).unwrap_or_default();
        let private = |raw| json::text(raw).map(Private::new);
        let ids = members(operator, ["open_id", "union_id", "user_id"]);
        let [open_id, union_id, user_id] = ids.unwrap_or_default();
        Some(CardAction {
            relay: json::text(relay),
            operator: UserIds {
                open_id: private(open_id),
                union_id: private(union_id),
                user_id: private(user_id),
            },
        })
    }
}

fn members<'a, const N: usize>(raw: Raw<'a>, names: [&str; N]) -> Option<[Raw<'a>; N]> {
    json::members(raw?.get(), names).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feishu::{App, Envelope, Receive};

    fn action(body: &str) -> Option<CardAction> {
        let app = App {
            name: "shop".into(),
            app_id: "cli_1".into(),
            receive: Receive::Websocket,
            encrypt_keys: Vec::new(),
            verification_tokens: Vec::new(),
            app_secret: None,
            base_url: String::new(),
            feedback_timezone: jiff::tz::TimeZone::UTC,
        };
        let envelope = Envelope::of_connection(body.as_bytes());
        envelope.into_event(&app).card_action()
    }

    #[test]
    fn click_names_operator_and_value() {
        let click = action(
            r#"{"schema":"2.0","header":{"event_type":"card.action.trigger","create_time":"1603977298000000"},
            "event":{"operator":{"tenant_key":"t","open_id":"ou_1","union_id":"on_1"},
            "token":"c-1","action":{"value":{"relay":"claim.1.0.x"},"tag":"button"}}}"#,
        )
        .unwrap();
        assert_eq!(click.relay.as_deref(), Some("claim.1.0.x"));
        assert_eq!(
            click.operator.open_id.as_ref().map(Private::expose),
            Some("ou_1")
        );
    }

    #[test]
    fn old_card_callback_is_recognised_by_signature_or_format() {
        let signed = |signature: &'static str| SignatureHeaders {
            timestamp: Some(b"1"),
            nonce: Some(b"2"),
            signature: Some(signature.as_bytes()),
        };
        let none = SignatureHeaders::default();
        let old =
            br#"{"open_id":"ou_1","open_message_id":"om_1","token":"c-1","action":{"value":{}}}"#;
        assert!(is_old_card_callback(none, old));
        let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert!(is_old_card_callback(signed(sha1), b"{\"encrypt\":\"x\"}"));
        let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert!(!is_old_card_callback(
            signed(sha256),
            b"{\"encrypt\":\"x\"}"
        ));
        assert!(!is_old_card_callback(none, b"\xff"));
        assert!(!is_old_card_callback(
            none,
            br#"{"header":{},"action":{},"open_message_id":"x"}"#
        ));
    }

    #[test]
    fn foreign_button_click_is_read_and_event_is_not() {
        for value in [r#""text""#, "null", "{}", r#"{"relay":""}"#, "[1]"] {
            let body = format!(
                r#"{{"header":{{"event_type":"card.action.trigger"}},"event":{{"action":{{"value":{value}}}}}}}"#
            );
            assert_eq!(action(&body).unwrap().relay, None, "{value}");
        }
        assert_eq!(
            action(r#"{"header":{"event_type":"card.action.trigger"}}"#),
            Some(CardAction {
                relay: None,
                operator: UserIds::default()
            })
        );
        assert_eq!(action(r#"{"header":{"event_type":"other"}}"#), None);
        let old = r#"{"uuid":"u","event":{"type":"card.action.trigger"}}"#;
        assert_eq!(action(old), None);
        assert_eq!(action("{}"), None);
    }
}
