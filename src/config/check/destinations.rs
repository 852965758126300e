//! Checks `[destinations.NAME]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::known_urls::{self, Taker};
use super::secrets::Secrets;
use super::sections::View;
use super::{Names, check_range, destination_name, in_range, or, paths, slack, urls, webhook};
use crate::config::context::Context;
use crate::config::hints;
use crate::config::included::Part;
use crate::config::keys::{
    Kind, RawCommon, RawFeishuBot, RawFields, RawFile, RawSlackApp, RawSlackWebhook, RawWebhook,
};
use crate::config::section::{self, check_name, missing};
use crate::destination::{Common, KindSettings, Settings, takes_lines};
use crate::model::{AppName, DestinationName, Secret};
use crate::render::{Audience, Family, Fields, SentAs};
use crate::toml_reader::{
    Diagnostics, Field, Keys, Location, Many, RawSecret, Table, Value, codes, elements, suggest,
};

/// Reads the keys of one kind. The keys that all kinds share were already read.
pub(super) fn read<T: Keys>(entry: Table, out: &mut Diagnostics) -> T {
    section::read_beside(entry, RawCommon::KEYS, out)
}

/// Reports a missing `kind`, or the key that was probably meant as `kind`. Other keys are not checked because
/// they depend on the kind.
fn no_kind(entry: &Table, out: &mut Diagnostics) {
    let is_slip = |key: &str| suggest::nearest(key, ["kind"]).is_some();
    let mut keys = entry.entries.iter();
    match keys.find(|(key, _)| is_slip(key.get_ref())) {
        Some((key, _)) => {
            let place = entry.at.key(key.get_ref(), key.span());
            hints::unknown_key(key.get_ref(), &["kind"], &place, out);
        }
        None => {
            let kinds = "one of \"feishu-bot\", \"feishu-app\", \"slack-webhook\", \"slack-app\", \"webhook\", \"file\"";
            missing(&entry.at, "kind", kinds, out);
        }
    }
}

/// Returns the destination names of all files, including destinations with errors.
pub(super) fn names(top: &Table, parts: &[Part<'_>]) -> Vec<String> {
    let tops = std::iter::once(top).chain(parts.iter().map(|part| &part.top));
    let tables = tops.filter_map(|top| match &top.get("destinations")?.value {
        Value::Table(entries) => Some(entries),
        _ => None,
    });
    let names = tables.flatten().map(|(key, _)| key.get_ref().clone());
    names.collect()
}

/// The values that destinations are checked against.
pub(super) struct Checks<'a> {
    pub(super) names: &'a Names,
    pub(super) view: &'a View,
    /// Whether `public_url` is set.
    pub(super) links: bool,
    /// The relay's own files, which no `file` destination may write to.
    pub(super) own: paths::OwnFiles<'a>,
    pub(super) context: &'a Context<'a>,
}

/// The kind-specific part of a destination's settings.
pub(super) struct OfKind {
    kind: KindSettings,
    family: Family,
    keyword: Option<String>,
    body: Option<String>,
    /// The largest message, in bytes. `None` means the limit of the family.
    pub(super) bytes_max: Option<usize>,
    pub(super) sent: SentAs,
}

impl OfKind {
    pub(super) fn new(kind: KindSettings, family: Family) -> Self {
        Self {
            kind,
            family,
            keyword: None,
            body: None,
            bytes_max: None,
            sent: SentAs::default(),
        }
    }
}

impl Checks<'_> {
    /// Checks the destinations of the main file and of included files.
    pub(super) fn all(
        &self,
        main: Table,
        parts: Vec<Part<'_>>,
        out: &mut Diagnostics,
    ) -> BTreeMap<DestinationName, Settings> {
        let mut fallbacks = BTreeMap::new();
        let at = main.at.clone();
        let mut all = self.destinations(main, &mut fallbacks, out);
        for mut part in parts {
            let before = out.enter(part.file);
            let context = Context {
                source: part.source,
                expanded: part.expanded,
                ..*self.context
            };
            let checks = Checks {
                context: &context,
                ..*self
            };
            let section = part.top.take("destinations", out);
            all.extend(checks.destinations(section, &mut fallbacks, out));
            out.enter(&before);
        }
        check_cycles(&fallbacks, out);
        check_old_names(&all, &at, out);
        check_fields(&fallbacks, &all, out);
        all
    }

    fn destinations(
        &self,
        section: Table,
        fallbacks: &mut Fallbacks,
        out: &mut Diagnostics,
    ) -> BTreeMap<DestinationName, Settings> {
        let mut all = BTreeMap::new();
        for (name, entry) in section.tables(out) {
            check_name(&name, &entry.at, out);
            let fallback = entry.get("fallback").map(|node| node.span.clone());
            if let Some(settings) = self.destination(name.get_ref(), entry, out) {
                if let (Some(to), Some(span)) = (&settings.common.fallback, fallback) {
                    let from = out.file().to_owned();
                    fallbacks.insert(name.get_ref().clone(), (to.to_string(), span, from));
                }
                all.insert(settings.common.name.clone(), settings);
            }
        }
        all
    }

    /// Reports old names that are in use, because waiting deliveries of a name can go to only one destination.
    fn old_names(
        &self,
        raw: Field<Many<String>>,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Vec<DestinationName> {
        let mut names: Vec<DestinationName> = Vec::new();
        for name in elements(raw) {
            let place = at.key("was", name.span());
            let name = name.into_inner();
            if self.names.destinations.contains(&name) {
                let message =
                    format!("`{name}` is the name of a destination, so it cannot be an old name");
                out.add(codes::OLD_NAME, &place, message);
                continue;
            }
            names.push(name.as_str().into());
        }
        names
    }

    fn destination(&self, name: &str, mut entry: Table, out: &mut Diagnostics) -> Option<Settings> {
        let at = entry.at.clone();
        let mut raw: RawCommon = entry.read(out);
        let of_kind = match raw.kind.take() {
            Some(kind) => self.of_kind(&kind, entry, out),
            None => {
                no_kind(&entry, out);
                None
            }
        };
        let secrets = Secrets {
            context: self.context,
            section: &at,
        };
        let proxy = secrets.quiet(raw.proxy.take(), "proxy", out);
        if let Some(proxy) = &proxy {
            urls::proxy(proxy, &at.key("proxy", proxy.span()), out);
        }
        let fields = raw.fields.take().map_or_else(Fields::default, visible);
        let audience = Audience {
            family: Family::Webhook,
            locale: or(raw.locale.take(), self.view.locale),
            timezone: or(raw.timezone.take(), self.view.timezone.clone()),
            fields,
            keyword: None,
            body: None,
            bytes_max: None,
            sent: SentAs::default(),
            buttons: false,
        };
        let stale_at = raw.stale_after.as_ref();
        let stale_at = stale_at.map(|after| at.key("stale_after", after.span()));
        // Common keys are checked even if the kind or its own keys are wrong.
        let mut common = self.common(name, raw, audience, &at, out);
        let of_kind = of_kind?;
        if of_kind.family == Family::Webhook
            && let Some(at) = stale_at
        {
            let message =
                "`stale_after` does not apply to programs: webhooks and files get every event";
            out.add_with_help(codes::UNKNOWN_KEY, &at, message, "remove it");
        }
        common.audience.family = of_kind.family;
        common.audience.keyword = of_kind.keyword;
        common.audience.body = of_kind.body;
        common.audience.bytes_max = of_kind.bytes_max;
        common.audience.sent = of_kind.sent;
        common.audience.buttons = of_kind.kind.has_buttons();
        Some(Settings {
            common,
            proxy: proxy.map(Spanned::into_inner),
            kind: of_kind.kind,
            links: self.links,
        })
    }

    fn common(
        &self,
        name: &str,
        raw: RawCommon,
        audience: Audience,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Common {
        if let (None, Some(after)) = (&raw.fallback, &raw.fallback_after) {
            let place = at.key("fallback_after", after.span());
            let message = "`fallback_after` does nothing without `fallback`";
            out.add(codes::NO_FALLBACK, &place, message);
        }
        let second = Duration::from_secs(1);
        let range = second * 60..=second * 86_400 * 30;
        let key = (at, "stale_after");
        check_range(raw.stale_after.as_ref(), range, "from 1m to 30d", key, out);
        let concurrency = in_range(
            raw.concurrency,
            1..=256,
            "from 1 to 256",
            (at, "concurrency"),
            out,
        );
        let month = second * 86_400 * 30;
        let retry_for = (at, "retry_for");
        Common {
            name: name.into(),
            rate: raw.rate.map(Spanned::into_inner),
            concurrency: usize::try_from(concurrency).unwrap_or(1),
            timeout: in_range(
                raw.timeout,
                Duration::from_millis(100)..=second * 300,
                "from 100ms to 5m",
                (at, "timeout"),
                out,
            ),
            retry_for: in_range(
                raw.retry_for,
                Duration::ZERO..=month,
                "at most 30d",
                retry_for,
                out,
            ),
            fallback: destination_name(raw.fallback, at, "fallback", self.names, out),
            fallback_after: raw.fallback_after.map(Spanned::into_inner),
            stale_after: raw.stale_after.map(Spanned::into_inner),
            was: self.old_names(raw.was, at, out),
            audience,
        }
    }

    fn of_kind(&self, kind: &Spanned<Kind>, entry: Table, out: &mut Diagnostics) -> Option<OfKind> {
        match kind.get_ref() {
            Kind::FeishuBot => self.feishu_bot(entry, out),
            Kind::SlackWebhook => self.slack_webhook(entry, out),
            Kind::Webhook => self.webhook(entry, out),
            Kind::File => self.file(entry, out),
            Kind::FeishuApp => self.feishu_app(entry, out),
            Kind::SlackApp => self.slack_app(entry, out),
        }
    }

    fn feishu_bot(&self, entry: Table, out: &mut Diagnostics) -> Option<OfKind> {
        let at = entry.at.clone();
        let raw: RawFeishuBot = read(entry, out);
        let secrets = Secrets {
            context: self.context,
            section: &at,
        };
        let secret = secrets.one(raw.secret, "secret", out);
        let upload_images_as = self.uploader(raw.upload_images_as, &at, out);
        let url = self.secret_url(raw.url, Taker::FeishuBot, &at, out)?;
        let kind = KindSettings::FeishuBot {
            url,
            secret: secret.map(Spanned::into_inner),
            upload_images_as,
        };
        let mut of_kind = OfKind::new(kind, Family::Feishu);
        of_kind.keyword = raw.keyword.map(Spanned::into_inner);
        Some(of_kind)
    }

    fn slack_webhook(&self, entry: Table, out: &mut Diagnostics) -> Option<OfKind> {
        let at = entry.at.clone();
        let raw: RawSlackWebhook = read(entry, out);
        if !self.links {
            let message = format!("`{}` can only count images, not show them", at.path);
            let help = "set `server.public_url`, so that Slack can reach them";
            out.add_with_help(codes::NO_PUBLIC_URL, &at, message, help);
        }
        let url = self.secret_url(raw.url, Taker::SlackWebhook, &at, out)?;
        Some(OfKind::new(
            KindSettings::SlackWebhook { url },
            Family::Slack,
        ))
    }

    fn slack_app(&self, entry: Table, out: &mut Diagnostics) -> Option<OfKind> {
        let at = entry.at.clone();
        let raw: RawSlackApp = read(entry, out);
        let secrets = Secrets {
            context: self.context,
            section: &at,
        };
        let kind = slack::app(raw, &secrets, out)?;
        Some(OfKind::new(kind, Family::Slack))
    }

    fn webhook(&self, entry: Table, out: &mut Diagnostics) -> Option<OfKind> {
        let at = entry.at.clone();
        let raw: RawWebhook = read(entry, out);
        let secrets = Secrets {
            context: self.context,
            section: &at,
        };
        let signing = secrets.many(raw.secret, "secret", out);
        for secret in &signing {
            webhook::check_secret(secret, &at.key("secret", secret.span()), out);
        }
        let headers = raw.headers.map(Spanned::into_inner).unwrap_or_default();
        let headers = webhook::headers(headers, &secrets, out);
        let body_is_written = raw.body.is_some();
        let success = raw.success.and_then(|success| {
            let at = at.key("success", success.span());
            webhook::success(success.into_inner(), &at, body_is_written, out)
        });
        let body = raw.body.and_then(|body| self.body(&body, &at, out));
        let Some(url) = secrets.quiet(raw.url, "url", out) else {
            missing(&at, "url", "write the URL that messages are posted to", out);
            return None;
        };
        let place = at.key("url", url.span());
        let own_body = body_is_written;
        if !known_urls::check(&url, Taker::Webhook { own_body }, &place, out) {
            urls::target(&url, &place, out);
        }
        let kind = KindSettings::Webhook {
            url: url.into_inner(),
            secrets: super::apps::plain(signing),
            headers,
            success,
        };
        let mut of_kind = OfKind::new(kind, Family::Webhook);
        of_kind.body = body;
        Some(of_kind)
    }

    fn file(&self, entry: Table, out: &mut Diagnostics) -> Option<OfKind> {
        let at = entry.at.clone();
        let raw: RawFile = read(entry, out);
        let Some(path) = raw.path.filter(|path| !path.get_ref().is_empty()) else {
            missing(
                &at,
                "path",
                "write the file that lines are appended to",
                out,
            );
            return None;
        };
        let place = at.key("path", path.span());
        if let Err(reason) = paths::plain(path.get_ref()) {
            out.add(codes::WRONG_VALUE, &place, reason);
        }
        let path = self.context.path(path.get_ref());
        if let Some(owner) = self.own.owner(&path) {
            let message = format!("this file belongs to the relay's own {owner}");
            out.add(codes::WRONG_VALUE, &place, message);
        }
        let kind = path.metadata().map(|found| found.file_type());
        if let Ok(Err(reason)) = kind.map(takes_lines) {
            out.add(codes::WRONG_VALUE, &place, reason);
        }
        Some(OfKind::new(KindSettings::File { path }, Family::Webhook))
    }

    /// Checks a URL that is a secret, because whoever knows it can post.
    fn secret_url(
        &self,
        field: Field<RawSecret>,
        taker: Taker,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<Secret> {
        let secrets = Secrets {
            context: self.context,
            section: at,
        };
        let Some(url) = secrets.one(field, "url", out) else {
            missing(
                at,
                "url",
                "the platform shows it where the bot or webhook is created",
                out,
            );
            return None;
        };
        let place = at.key("url", url.span());
        if !known_urls::check(&url, taker, &place, out) {
            urls::target(&url, &place, out);
        }
        Some(url.into_inner())
    }

    fn uploader(
        &self,
        field: Field<String>,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<AppName> {
        self.app_with_secret(&field?, ("upload_images_as", "to upload images"), at, out)
    }

    /// Returns the app that `key` names, and reports one without the secret that the purpose needs.
    pub(super) fn app_with_secret(
        &self,
        field: &Spanned<String>,
        (key, purpose): (&str, &str),
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<AppName> {
        let (name, place) = (field.get_ref(), at.key(key, field.span()));
        match self.names.apps.get(name) {
            Some(true) => return Some(name.as_str().into()),
            Some(false) => {
                let message = format!("the app `{name}` has no `app_secret` {purpose}");
                let help = format!("write `app_secret` in [apps.{name}]");
                out.add_with_help(codes::NO_APP_SECRET, &place, message, help);
            }
            None => {
                let help = hints::which(name, self.names.apps.keys().map(String::as_str));
                let message = format!("there is no app {name:?}");
                out.add_with_help(codes::UNKNOWN_APP, &place, message, help);
            }
        }
        None
    }

    /// Checks the name of a webhook template, without its suffix.
    fn body(&self, body: &Spanned<String>, at: &Location, out: &mut Diagnostics) -> Option<String> {
        let name = body.get_ref();
        let name = name.strip_suffix(".hbs").unwrap_or(name);
        if self.names.templates.is_written(Family::Webhook, name) {
            return Some(name.to_owned());
        }
        let place = at.key("body", body.span());
        let message = format!("there is no template webhook/{name}.hbs");
        let help = "templates are in `templates.dir`";
        out.add_with_help(codes::NO_TEMPLATE, &place, message, help);
        None
    }
}

fn visible(raw: Spanned<RawFields>) -> Fields {
    let raw = raw.into_inner();
    Fields {
        contact: raw.contact.value(),
        description: raw.description.value(),
        path: raw.path.value(),
        tenant: raw.tenant.value(),
        user: raw.user.value(),
        images: raw.images.value(),
    }
}

fn check_old_names(
    all: &BTreeMap<DestinationName, Settings>,
    at: &Location,
    out: &mut Diagnostics,
) {
    let mut seen: BTreeMap<&DestinationName, &DestinationName> = BTreeMap::new();
    for settings in all.values() {
        for old in &settings.common.was {
            if let Some(first) = seen.insert(old, &settings.common.name) {
                let message = format!(
                    "`was` names `{old}` in `{first}` and in `{}`: only one of them can take over",
                    settings.common.name
                );
                out.add(codes::OLD_NAME, at, message);
            }
        }
    }
}

/// The fallback of each destination, and where it is written.
type Fallbacks = BTreeMap<String, (String, std::ops::Range<usize>, PathBuf)>;

/// Warns of a fallback that may show more fields than the destination it replaces.
fn check_fields(
    fallbacks: &Fallbacks,
    all: &BTreeMap<DestinationName, Settings>,
    out: &mut Diagnostics,
) {
    for (first, (to, span, file)) in fallbacks {
        let fields = |name: &str| {
            let settings = all.get(&DestinationName::from(name));
            settings.map(|one| one.common.audience.fields)
        };
        let (Some(own), Some(other)) = (fields(first), fields(to)) else {
            continue;
        };
        let wider = other.wider_than(own);
        if wider.is_empty() {
            continue;
        }
        let at = Location::new(format!("destinations.{first}.fallback"), span.clone());
        let message = format!(
            "`{to}` may show more than `{first}` of: {}",
            wider.join(", ")
        );
        let help =
            format!("give `{to}` the same `fields`, so that it shows no more than `{first}`");
        let before = out.enter(file);
        out.add_with_help(codes::WIDER_FALLBACK, &at, message, help);
        out.enter(&before);
    }
}

/// Reports each cycle once, at the smallest of its names.
fn check_cycles(fallbacks: &Fallbacks, out: &mut Diagnostics) {
    for (first, (_, span, file)) in fallbacks {
        let mut way = vec![first.as_str()];
        let mut here = first;
        while let Some((next, ..)) = fallbacks.get(here) {
            way.push(next);
            if next == first {
                let at = Location::new(format!("destinations.{first}.fallback"), span.clone());
                let message = format!("fallbacks form a cycle: {}", way.join(" → "));
                let before = out.enter(file);
                out.add(codes::FALLBACK_CYCLE, &at, message);
                out.enter(&before);
                break;
            }
            // A cycle that does not contain `first`, or that a smaller name has already reported, is skipped.
            if next < first || way.len() > fallbacks.len() {
                break;
            }
            here = next;
        }
    }
}
