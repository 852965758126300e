//! Checks `kind = "feishu-app"`.

use toml::Spanned;

use super::destinations::{Checks, OfKind, read};
use super::known_urls;
use crate::config::keys::RawFeishuApp;
use crate::config::section::missing;
use crate::destination::KindSettings;
use crate::feishu::To;
use crate::feishu::messages::MESSAGE_BYTES_MAX;
use crate::render::{Family, SentAs};
use crate::toml_reader::{Diagnostics, Field, Location, Table, codes};

/// Bytes reserved for the rest of the request: ids and names of members.
const ENVELOPE_BYTES_MAX: usize = 512;

impl Checks<'_> {
    pub(super) fn feishu_app(&self, entry: Table, out: &mut Diagnostics) -> Option<OfKind> {
        let at = entry.at.clone();
        let raw: RawFeishuApp = read(entry, out);
        let to = to(raw.chat_id, raw.user, &at, out);
        let Some(app) = raw.app else {
            let help = "write the app of [apps] whose bot sends the messages";
            missing(&at, "app", help, out);
            return None;
        };
        let app = self.app_with_secret(&app, ("app", "to send messages with"), &at, out);
        let kind = KindSettings::FeishuApp {
            app: app?,
            to: to?,
            urgent: raw.urgent.map(Spanned::into_inner),
            buttons: raw.buttons.value(),
        };
        let mut of_kind = OfKind::new(kind, Family::Feishu);
        of_kind.bytes_max = Some(MESSAGE_BYTES_MAX - ENVELOPE_BYTES_MAX);
        of_kind.sent = SentAs::JsonInString;
        Some(of_kind)
    }
}

/// Checks the receiver: a chat or a person.
fn to(
    chat: Field<String>,
    user: Field<String>,
    at: &Location,
    out: &mut Diagnostics,
) -> Option<To> {
    match (chat, user) {
        (Some(chat), None) => {
            let help = "it begins with `oc_`; Feishu shows it at the end of the chat's settings";
            id(chat, ("chat_id", "oc_"), help, at, out).map(To::Chat)
        }
        (None, Some(user)) => {
            let help = "write the person's open id `ou_…` for this app; other apps have other ids";
            id(user, ("user", "ou_"), help, at, out).map(To::Person)
        }
        (Some(_), Some(user)) => {
            let place = at.key("user", user.span());
            let message = "`chat_id` and `user` exclude each other";
            let help = "for both, write two destinations with the same app";
            out.add_with_help(codes::BAD_RECEIVER, &place, message, help);
            None
        }
        (None, None) => {
            let help = "or `user`, a person's open id; `chat_id` is a chat's id, `oc_…`";
            missing(at, "chat_id", help, out);
            None
        }
    }
}

fn id(
    written: Spanned<String>,
    (key, prefix): (&str, &str),
    help: &str,
    at: &Location,
    out: &mut Diagnostics,
) -> Option<String> {
    let place = at.key(key, written.span());
    let rest = written.get_ref().strip_prefix(prefix);
    if rest.is_some_and(known_urls::stands_in) {
        let message = "this id is a placeholder that was not replaced";
        out.add_with_help(codes::PLACEHOLDER, &place, message, help);
        return None;
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain)) {
        return Some(written.into_inner());
    }
    let what = if key == "chat_id" { "chat" } else { "person" };
    let message = format!("not the id of a {what}");
    out.add_with_help(codes::BAD_RECEIVER, &place, message, help);
    None
}
