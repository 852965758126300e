//! Checks URLs. Diagnostics never repeat one, because most are secrets.

use toml::Spanned;
use url::{Host, Url};

use crate::model::Secret;
use crate::net;
use crate::toml_reader::{Diagnostics, Location, codes};

const HELP: &str = "write it whole, like \"https://example.com/path\"";

/// Parses an http(s) URL with a host.
fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("not a URL that begins with https:// or http://".to_owned());
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Suffixes that never resolve on the Internet: RFC 6762 (`local`), RFC 8375 (`home.arpa`), ICANN's resolution of
/// 2024 (`internal`), and the names that routers assign.
const PRIVATE_NAMES: &[&str] = &[".internal", ".local", ".home.arpa", ".lan"];

/// Returns whether this host is only reachable on a private network. Loopback does not count.
fn is_private(url: &Url) -> bool {
    let private = match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            !name.contains('.') || PRIVATE_NAMES.iter().any(|below| name.ends_with(below))
        }
        Some(Host::Ipv4(address)) => !net::is_global(address.into()),
        Some(Host::Ipv6(address)) => !net::is_global(address.into()),
        None => false,
    };
    private && !is_loopback(url)
}

/// Checks the URL of a destination. Warns if it is unencrypted, otherwise if it is only reachable on a private
/// network.
pub(super) fn target(url: &Spanned<Secret>, at: &Location, out: &mut Diagnostics) {
    match parse(url.get_ref().expose()) {
        Ok(url) if url.scheme() == "http" && !is_loopback(&url) => {
            let message = "messages to this URL are not encrypted";
            out.add_with_help(
                codes::HTTP_TARGET,
                at,
                message,
                "use https:// if the receiver supports it",
            );
        }
        Ok(url) if is_private(&url) => {
            let message = "messages go to a host on a private network";
            let help = "this is fine if the receiver is on the relay's own network";
            out.add_with_help(codes::PRIVATE_HOST, at, message, help);
        }
        Ok(_) => {}
        Err(problem) => out.add_with_help(codes::BAD_URL, at, problem, HELP),
    }
}

/// Checks a proxy URL.
pub(super) fn proxy(url: &Spanned<Secret>, at: &Location, out: &mut Diagnostics) {
    if let Err(problem) = parse(url.get_ref().expose()) {
        let help = "write it like \"http://proxy.example.com:3128\"";
        out.add_with_help(codes::BAD_URL, at, problem, help);
    }
}

/// Returns a base URL without its trailing slash.
pub(super) fn base(url: &Spanned<String>, at: &Location, out: &mut Diagnostics) -> Option<String> {
    let parsed = match parse(url.get_ref()) {
        Ok(parsed) => parsed,
        Err(problem) => {
            out.add_with_help(codes::BAD_URL, at, problem, HELP);
            return None;
        }
    };
    let has_user = !parsed.username().is_empty() || parsed.password().is_some();
    if has_user || parsed.query().is_some() || parsed.fragment().is_some() {
        let message = "this URL must have no user, query or fragment: paths are appended to it";
        out.add(codes::BAD_URL, at, message);
        return None;
    }
    let host = parsed.host_str().unwrap_or_default();
    let is_public = matches!(host, "open.feishu.cn" | "open.larksuite.com");
    if is_public && parsed.path() != "/" {
        let message = "this URL must have no path: paths are appended to it";
        out.add_with_help(
            codes::BAD_URL,
            at,
            message,
            format!("write \"https://{host}\""),
        );
        return None;
    }
    Some(parsed.as_str().trim_end_matches('/').to_owned())
}

/// Checks `public_url`.
pub(super) fn public(
    url: &Spanned<String>,
    at: &Location,
    out: &mut Diagnostics,
) -> Option<String> {
    let base = base(url, at, out)?;
    let url = Url::parse(&base).ok()?;
    if is_private(&url) {
        let message = "chats cannot reach this host: it is on a private network";
        let help = "write the public name of the relay";
        out.add_with_help(codes::PRIVATE_HOST, at, message, help);
    } else if url.scheme() == "http" && !is_loopback(&url) {
        let message = "links to images are not encrypted";
        let help = "put a TLS proxy in front of the relay";
        out.add_with_help(codes::HTTP_PUBLIC_URL, at, message, help);
    }
    Some(base)
}
