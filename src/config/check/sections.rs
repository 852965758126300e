//! Checks `[server]`, `[log]`, `[store]` and `[templates]`.

use std::time::Duration;

use jiff::tz::TimeZone;
use toml::Spanned;

use super::{in_range, paths, urls};
use crate::config::Server;
use crate::config::context::Context;
use crate::config::keys::{RawLog, RawServer, RawStore, RawTemplates};
use crate::config::section;
use crate::render::Locale;
use crate::telemetry::LogSettings;
use crate::toml_reader::{Diagnostics, Size, Table, codes};
use crate::{render, store};

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn server(section: Table, out: &mut Diagnostics) -> Server {
    let at = section.at.clone();
    let raw: RawServer = section::read(section, out);
    let place = raw
        .listen
        .written
        .as_ref()
        .map(|at_listen| at.key("listen", at_listen.span()));
    let listen = raw.listen.value();
    if let Some(place) = place.filter(|_| raw.admin_listen.is_none() && !listen.ip().is_loopback())
    {
        let message = format!("everybody who can reach {listen} can read /status and /metrics");
        let help = "set `admin_listen = \"127.0.0.1:8788\"`: they are then served only there";
        out.add_with_help(codes::PUBLIC_STATUS, &place, message, help);
    }
    if let Some(admin) = &raw.admin_listen
        && *admin.get_ref() == listen
        // Port 0 is a different free port each time.
        && listen.port() != 0
    {
        let place = at.key("admin_listen", admin.span());
        let message = format!("`listen` and `admin_listen` are both {listen}");
        let help = "leave `admin_listen` out to serve everything on one address";
        out.add_with_help(codes::SAME_ADDRESS, &place, message, help);
    }
    let public_url = raw
        .public_url
        .and_then(|url| urls::public(&url, &at.key("public_url", url.span()), out));
    let Size(max_body) = in_range(
        raw.max_body,
        Size(1 << 10)..=Size(64 << 20),
        "from 1KiB to 64MiB",
        (&at, "max_body"),
        out,
    );
    let max_connections = in_range(
        raw.max_connections,
        1..=1_000_000,
        "from 1 to 1000000",
        (&at, "max_connections"),
        out,
    );
    Server {
        listen,
        admin_listen: raw.admin_listen.map(Spanned::into_inner),
        public_url,
        max_body: usize::try_from(max_body).unwrap_or(usize::MAX),
        max_connections: usize::try_from(max_connections).unwrap_or(usize::MAX),
        shutdown_grace: in_range(
            raw.shutdown_grace,
            Duration::ZERO..=Duration::from_secs(600),
            "at most 10m",
            (&at, "shutdown_grace"),
            out,
        ),
        allow_empty: raw.allow_empty.value(),
    }
}

pub(super) fn log(section: Table, out: &mut Diagnostics) -> LogSettings {
    let raw: RawLog = section::read(section, out);
    LogSettings {
        level: raw.level.value(),
        format: raw.format.value(),
    }
}

pub(super) fn store(
    section: Table,
    context: &Context<'_>,
    out: &mut Diagnostics,
) -> store::Settings {
    let at = section.at.clone();
    let raw: RawStore = section::read(section, out);
    let place = raw
        .url
        .written
        .as_ref()
        .map(|url| at.key("url", url.span()))
        .unwrap_or_default();
    let written = raw.url.value();
    let path = match written.split_once(':') {
        Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
        Some(("postgres" | "postgresql", _)) => {
            let message = "a store in PostgreSQL is not built yet";
            let help = "use a file, like \"sqlite:data/relay.db\"";
            out.add_with_help(codes::NOT_BUILT, &place, message, help);
            ""
        }
        Some(_) | None => "",
    };
    // `:memory:` is refused because the store must survive the process.
    if (path.is_empty() || path.starts_with(':')) && !out.concern(&place.path) {
        let help = "write \"sqlite:\" and the path of a file, like \"sqlite:data/relay.db\"";
        out.add_with_help(codes::BAD_STORE, &place, "not a store URL", help);
    }
    let path = match paths::plain(path) {
        Ok(()) if path.ends_with('/') || context.path(path).is_dir() => {
            let help = "name a file in it, like \"sqlite:data/relay.db\"";
            if !path.is_empty() {
                out.add_with_help(codes::BAD_STORE, &place, "it is a folder", help);
            }
            path
        }
        Ok(()) => path,
        Err(reason) => {
            let help = "write the path as it is, like \"sqlite:data/relay.db\"";
            out.add_with_help(codes::BAD_STORE, &place, reason, help);
            path
        }
    };
    let longest = DAY * 3650;
    store::Settings {
        location: store::StoreLocation::Sqlite(context.path(path)),
        retain: in_range(
            raw.retain,
            // A shorter retention would delete events whose images and retries are still pending.
            DAY * 3..=longest,
            "at least 3d",
            (&at, "retain"),
            out,
        ),
    }
}

/// Default display settings for destinations that set none.
#[derive(Debug)]
pub(super) struct View {
    pub(super) locale: Locale,
    pub(super) timezone: TimeZone,
}

pub(super) fn templates(
    section: Table,
    context: &Context<'_>,
    out: &mut Diagnostics,
) -> (render::Settings, View) {
    let at = section.at.clone();
    let raw: RawTemplates = section::read(section, out);
    let dir = raw.dir.map(|dir| {
        let path = context.path(dir.get_ref());
        if !path.is_dir() {
            let place = at.key("dir", dir.span());
            let message = format!("there is no folder {}", path.display());
            let help = "create it, or remove `dir` to use the built-in templates";
            out.add_with_help(codes::NO_TEMPLATES_DIR, &place, message, help);
        }
        path
    });
    let view = View {
        locale: raw.locale.value(),
        timezone: raw.timezone.value(),
    };
    (render::Settings { dir }, view)
}
