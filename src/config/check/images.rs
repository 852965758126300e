//! Checks `[images]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::{check_range, in_range, or, paths};
use crate::archive::ArchiveLocation;
use crate::config::Needs;
use crate::config::context::Context;
use crate::config::keys::RawImages;
use crate::config::section;
use crate::images::Settings;
use crate::toml_reader::{Diagnostics, Location, Setting, Size, Table, codes};

const HOUR: Duration = Duration::from_secs(3600);
/// The hosts where Feishu and Lark store feedback images.
const HOSTS: [&str; 3] = ["*.byteimg.com", "*.feishucdn.com", "*.larksuitecdn.com"];
/// How long a critical message waits for its images by default.
const WAIT_CRITICAL: Duration = Duration::from_millis(800);

pub(super) fn images(
    section: Table,
    store_retain: Duration,
    context: &Context<'_>,
    out: &mut Diagnostics,
) -> (Settings, ArchiveLocation) {
    let at = section.at.clone();
    let raw: RawImages = section::read(section, out);
    let dir = folder(raw.store, &at, context, out);
    let at_least = (HOUR..=HOUR * 24 * 3650, "at least 1h");
    check_range(
        raw.retain.as_ref(),
        at_least.0.clone(),
        at_least.1,
        (&at, "retain"),
        out,
    );
    let retain = or(raw.retain, store_retain);
    check_range(
        raw.link_ttl.as_ref(),
        at_least.0,
        at_least.1,
        (&at, "link_ttl"),
        out,
    );
    let link_ttl = or(raw.link_ttl, retain);
    let bytes_max = in_range(
        raw.max_bytes,
        Size(1 << 10)..=Size(100 << 20),
        "from 1KiB to 100MiB",
        (&at, "max_bytes"),
        out,
    );
    let total_bytes_max = in_range(
        raw.max_total,
        bytes_max..=Size(u64::MAX),
        "at least `max_bytes`",
        (&at, "max_total"),
        out,
    );
    let wait = in_range(
        raw.wait,
        Duration::ZERO..=HOUR,
        "at most 1h",
        (&at, "wait"),
        out,
    );
    let allow_hosts = match raw.allow_hosts {
        None => HOSTS.map(str::to_owned).into(),
        Some(hosts) => hosts
            .get_ref()
            .iter()
            .map(|host| allowed_host(host, &at, out))
            .collect(),
    };
    let settings = Settings {
        retain,
        link_ttl,
        bytes_max: bytes_max.0,
        total_bytes_max: total_bytes_max.0,
        wait,
        wait_critical: wait.min(WAIT_CRITICAL),
        allow_hosts,
        allow_private_addresses: raw.allow_private_addresses.value(),
    };
    (settings, ArchiveLocation::Folder(dir))
}

fn folder(
    setting: Setting<String>,
    at: &Location,
    context: &Context<'_>,
    out: &mut Diagnostics,
) -> PathBuf {
    let Some(written) = setting.written else {
        return context.path(&setting.into_default());
    };
    let place = at.key("store", written.span());
    if written.get_ref().contains("://") {
        let message = "images in an object store are not built yet";
        out.add_with_help(
            codes::NOT_BUILT,
            &place,
            message,
            "use a folder, like \"data/images\"",
        );
    } else if written.get_ref().is_empty() {
        out.add(codes::WRONG_VALUE, &place, "`store` must name a folder");
    } else if let Err(reason) = paths::plain(written.get_ref()) {
        out.add(codes::WRONG_VALUE, &place, reason);
    }
    let path = context.path(written.get_ref());
    if context.needs == Needs::All && !out.concern(&place.path) {
        check_kind(&path, &place, out);
    }
    path
}

/// Reports a path that cannot become a folder.
fn check_kind(path: &Path, at: &Location, out: &mut Diagnostics) {
    if path.is_dir() || path.symlink_metadata().is_err() {
        return;
    }
    match path.read_link() {
        Ok(target) if !path.exists() => {
            let message = format!(
                "{} is a link to {}, which does not exist",
                path.display(),
                target.display()
            );
            let help = "create that folder, or remove the link: the relay then creates the folder";
            out.add_with_help(codes::WRONG_VALUE, at, message, help);
        }
        Ok(_) | Err(_) => {
            let message = format!("{} is not a folder", path.display());
            out.add(codes::WRONG_VALUE, at, message);
        }
    }
}

/// Returns an allowed host in lower case, for comparison.
fn allowed_host(written: &Spanned<String>, at: &Location, out: &mut Diagnostics) -> String {
    let host = written.get_ref().to_lowercase();
    let name = host.strip_prefix("*.").unwrap_or(&host);
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let ends = |c: char| c == '.' || c == '-';
    let plain = !name.is_empty() && name.chars().all(letter) && !name.contains("..");
    if !plain || name.starts_with(ends) || name.ends_with(ends) {
        let place = at.key("allow_hosts", written.span());
        let help = "write a host's name, or `*.` and a name for any depth below it; no scheme, port or path";
        out.add_with_help(codes::BAD_HOST, &place, "not a host", help);
    }
    host
}
