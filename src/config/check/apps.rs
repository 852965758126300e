//! Checks `[apps.NAME]`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use super::names::check_app_id;
use super::secrets::Secrets;
use super::urls;
use crate::config::context::Context;
use crate::config::keys::{Platform, RawApp};
use crate::config::section::{self, check_name, missing};
use crate::config::values::Interval;
use crate::feishu::{App, Receive, app};
use crate::model::{AppName, Secret};
use crate::toml_reader::{Diagnostics, Location, Setting, Table, codes, join};

/// The shortest and the longest interval between two backfills of an app.
/// Backfilling more often finds only events that Feishu will push again anyway. Backfilling less often finds
/// events too late to act on them.
const BACKFILL_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);

/// The checked apps.
pub(super) struct Apps {
    /// Apps without errors.
    pub(super) apps: BTreeMap<AppName, App>,
    /// The names of all apps, and whether each has an `app_secret`.
    pub(super) secrets: BTreeMap<String, bool>,
    /// The backfill interval of each app. An app that is not backfilled is absent.
    pub(super) backfill: BTreeMap<AppName, Duration>,
}

/// Checks all apps and adds their names to `app_names`.
pub(super) fn apps(
    section: Table,
    context: &Context<'_>,
    app_names: &mut BTreeMap<String, String>,
    out: &mut Diagnostics,
) -> Apps {
    let mut apps = BTreeMap::new();
    let mut backfill = BTreeMap::new();
    let mut secrets = BTreeMap::new();
    let mut by_id: BTreeMap<String, String> = BTreeMap::new();
    for (name, entry) in section.tables(out) {
        check_name(&name, &entry.at, out);
        let at = entry.at.clone();
        let has_secret = entry.get("app_secret").is_some();
        let raw: RawApp = section::read(entry, out);
        secrets.insert(name.get_ref().clone(), has_secret);
        if let Some(id) = &raw.app_id {
            let place = at.key("app_id", id.span());
            if let Some(other) = by_id.insert(id.get_ref().clone(), name.get_ref().clone()) {
                let message = format!(
                    "the apps `{other}` and `{}` have the same app_id",
                    name.get_ref()
                );
                out.add(codes::SAME_APP_ID, &place, message);
            }
            if let Some(other) = app_names.insert(id.get_ref().clone(), name.get_ref().clone()) {
                let is_app = secrets.contains_key(&other);
                if !is_app {
                    let message = format!("this app already has the name {other:?} in [app_names]");
                    let help = "an app of [apps] gets its name there; remove it from [app_names]";
                    out.add_with_help(codes::NAME_TAKEN, &place, message, help);
                }
            }
        }
        if let Some(every) = how_often(&raw.backfill, has_secret, &at, out) {
            backfill.insert(name.get_ref().as_str().into(), every);
        }
        if let Some(app) = app(name.get_ref(), raw, &at, context, out) {
            apps.insert(app.name.clone(), app);
        }
    }
    names_are_unique(app_names, out);
    Apps {
        apps,
        secrets,
        backfill,
    }
}

/// Returns the backfill interval of an app. Backfill needs a secret: without one it is off, which is an error
/// only if `backfill` is written.
fn how_often(
    setting: &Setting<Interval>,
    has_secret: bool,
    at: &Location,
    out: &mut Diagnostics,
) -> Option<Duration> {
    let Some(written) = &setting.written else {
        return setting.clone().value().0.filter(|_| has_secret);
    };
    let every = written.get_ref().0?;
    let place = at.key("backfill", written.span());
    if !has_secret {
        let message = "backfill needs the app's `app_secret`, which is missing";
        let help = "write `app_secret`, or remove `backfill`";
        out.add_with_help(codes::NO_APP_SECRET, &place, message, help);
    }
    if !BACKFILL_RANGE.contains(&every) {
        let message = "`backfill` must be \"off\" or from \"1m\" to \"30d\"";
        out.add(codes::OUT_OF_RANGE, &place, message);
    }
    Some(every)
}

/// Reports an app name that is used for two ids, because rules refer to apps by name.
fn names_are_unique(app_names: &BTreeMap<String, String>, out: &mut Diagnostics) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (id, name) in app_names {
        if let Some(other) = seen.insert(name, id) {
            let at = Location {
                path: join("app_names", other),
                span: None,
            };
            let message = format!("{other} and {id} are both called {name:?}");
            out.add(codes::NAME_TAKEN, &at, message);
        }
    }
}

fn app(
    name: &str,
    raw: RawApp,
    at: &Location,
    context: &Context<'_>,
    out: &mut Diagnostics,
) -> Option<App> {
    let secrets = Secrets {
        context,
        section: at,
    };
    let written = raw.encrypt_key.is_some() || raw.verification_token.is_some();
    let encrypt_keys = secrets.many(raw.encrypt_key, "encrypt_key", out);
    let verification_tokens = secrets.many(raw.verification_token, "verification_token", out);
    let app_secret = secrets.one(raw.app_secret, "app_secret", out);
    let place = raw
        .receive
        .written
        .as_ref()
        .map(|receive| at.key("receive", receive.span()));
    let receive = raw.receive.value();
    match receive {
        Receive::Webhook if encrypt_keys.is_empty() && verification_tokens.is_empty() => {
            no_key(name, written, at, out);
        }
        Receive::Websocket if app_secret.is_none() => {
            no_secret(name, place.as_ref().unwrap_or(at), at, out);
        }
        Receive::Webhook | Receive::Websocket => {}
    }
    let base_url = raw
        .base_url
        .and_then(|url| urls::base(&url, &at.key("base_url", url.span()), out));
    let base_url = base_url.unwrap_or_else(|| {
        match raw.platform.value() {
            Platform::Feishu => app::FEISHU_URL,
            Platform::Lark => app::LARK_URL,
        }
        .to_owned()
    });
    let Some(app_id) = raw.app_id else {
        missing(
            at,
            "app_id",
            "write the app's id from Feishu's console, `cli_…`",
            out,
        );
        return None;
    };
    check_app_id(app_id.get_ref(), &at.key("app_id", app_id.span()), out);
    Some(App {
        name: name.into(),
        app_id: app_id.into_inner(),
        receive,
        encrypt_keys: plain(encrypt_keys),
        verification_tokens: plain(verification_tokens),
        app_secret: app_secret.map(Spanned::into_inner),
        base_url,
        feedback_timezone: raw.feedback_timezone.value(),
    })
}

/// Reports a missing key or token. Without one anybody could push events.
fn no_key(name: &str, written: bool, at: &Location, out: &mut Diagnostics) {
    let said = ["encrypt_key", "verification_token"]
        .iter()
        .any(|key| out.concern(&join(&at.path, key)));
    if said {
        return;
    }
    let message = if written {
        format!("the app `{name}` has an empty list of keys")
    } else {
        format!("the app `{name}` has neither `encrypt_key` nor `verification_token`")
    };
    let help = "copy one from Feishu's console, Events & Callbacks, Encryption Strategy; \
                without it forged events cannot be detected";
    out.add_with_help(codes::NO_KEY, at, message, help);
}

/// Reports a missing `app_secret`, which the long connection needs.
fn no_secret(name: &str, place: &Location, at: &Location, out: &mut Diagnostics) {
    if out.concern(&join(&at.path, "app_secret")) {
        return;
    }
    let message = format!("the app `{name}` has no `app_secret` to open its long connection with");
    let help = "copy it from Feishu's console, Credentials & Basic Info; \
                the long connection needs no key, token or address of yours";
    out.add_with_help(codes::NO_APP_SECRET, place, message, help);
}

pub(super) fn plain(secrets: Vec<Spanned<Secret>>) -> Vec<Secret> {
    secrets.into_iter().map(Spanned::into_inner).collect()
}
