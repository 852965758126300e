//! Checks the keys of a `slack-app` destination.

use toml::Spanned;

use super::secrets::Secrets;
use super::{known_urls, urls};
use crate::config::keys::RawSlackApp;
use crate::config::section::missing;
use crate::destination::KindSettings;
use crate::toml_reader::{Diagnostics, Field, Location, codes};

/// The shortest channel id, in characters.
const CHANNEL_BYTES_MIN: usize = 9;

pub(super) fn app(
    raw: RawSlackApp,
    secrets: &Secrets<'_>,
    out: &mut Diagnostics,
) -> Option<KindSettings> {
    let at = secrets.section;
    let token = secrets.one(raw.token, "token", out);
    let signing_secret = secrets.one(raw.signing_secret, "signing_secret", out);
    let buttons = match &raw.buttons {
        Some(buttons) => *buttons.get_ref(),
        None => signing_secret.is_some(),
    };
    if buttons && signing_secret.is_none() {
        let help = "Slack shows it under Basic Information; without it forged clicks \
                    cannot be detected, so write it or `buttons = false`";
        missing(at, "signing_secret", help, out);
    }
    let base_url = match raw.base_url.written {
        Some(url) => urls::base(&url, &at.key("base_url", url.span()), out),
        None => Some(raw.base_url.into_default()),
    };
    let channel = channel(raw.channel, at, out);
    let Some(token) = token else {
        let help = "Slack shows it under OAuth & Permissions, `xoxb-…`, when the app is installed";
        missing(at, "token", help, out);
        return None;
    };
    check_token(&token, at, out);
    Some(KindSettings::SlackApp {
        token: token.into_inner(),
        signing_secret: signing_secret.map(Spanned::into_inner),
        channel: channel?,
        buttons,
        base_url: base_url?,
    })
}

fn check_token(token: &Spanned<crate::model::Secret>, at: &Location, out: &mut Diagnostics) {
    let place = at.key("token", token.span());
    let rest = token.get_ref().expose().strip_prefix("xoxb-");
    if rest.is_some_and(known_urls::stands_in) {
        let message = "this token is a placeholder that was not replaced";
        let help = "take the Bot User OAuth Token";
        return out.add_with_help(codes::PLACEHOLDER, &place, message, help);
    }
    if rest.is_none() {
        let message = "not a bot token, which begins with `xoxb-`";
        let help = "take the Bot User OAuth Token";
        out.add_with_help(codes::TOKEN_KIND, &place, message, help);
    }
}

fn channel(field: Field<String>, at: &Location, out: &mut Diagnostics) -> Option<String> {
    let Some(channel) = field else {
        missing(at, "channel", HELP, out);
        return None;
    };
    let id = channel.get_ref();
    let letter = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    let is_id =
        id.starts_with(['C', 'G', 'D']) && id.len() >= CHANNEL_BYTES_MIN && id.bytes().all(letter);
    if !is_id {
        let place = at.key("channel", channel.span());
        let message = "not the id of a channel: names are not accepted, because they can change";
        out.add_with_help(codes::BAD_CHANNEL, &place, message, HELP);
        return None;
    }
    Some(channel.into_inner())
}

const HELP: &str =
    "write the id `C…` at the end of the channel's details in Slack, under its About tab";
