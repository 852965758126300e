//! Checks secrets by the rules of Standard Webhooks, and header names by those of HTTP.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use toml::Spanned;

use super::secrets::Secrets;
use crate::config::keys::RawSuccess;
use crate::destination::Success;
use crate::model::Secret;
use crate::toml_reader::{Diagnostics, Location, Named, RawSecret, Value, codes};

/// Headers that the relay or HTTP sets.
const OURS: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Checks a signing secret: `whsec_` and base64. The specification requires 24 to 64 bytes.
pub(super) fn check_secret(secret: &Spanned<Secret>, at: &Location, out: &mut Diagnostics) {
    let text = secret.get_ref().expose();
    let coded = text.strip_prefix("whsec_").unwrap_or(text);
    let help = "create one: echo \"whsec_$(openssl rand -base64 32)\"";
    match STANDARD.decode(coded) {
        Err(_may_show_it) => {
            let message = "not a signing secret: it is `whsec_` and base64";
            out.add_with_help(codes::WEBHOOK_SECRET, at, message, help);
        }
        Ok(bytes) if bytes.len() < 16 => {
            let message = "this signing secret is too short: it needs at least 16 bytes, better 32";
            out.add_with_help(codes::WEBHOOK_SECRET, at, message, help);
        }
        Ok(bytes) if !(24..=64).contains(&bytes.len()) => {
            let message = "Standard Webhooks requires signing secrets of 24 to 64 bytes";
            out.add_with_help(codes::SECRET_LENGTH, at, message, help);
        }
        Ok(_) => {}
    }
}

/// Checks `success`: which response means acceptance. The destination needs its own `body`, because receivers
/// of Standard Webhooks answer only by status.
pub(super) fn success(
    raw: RawSuccess,
    at: &Location,
    has_body: bool,
    out: &mut Diagnostics,
) -> Option<Success> {
    let example = "write `success = { pointer = \"/errcode\", equals = 0 }`";
    if out.concern(&at.path) {
        return None;
    }
    if !has_body {
        let message = "`success` needs a webhook with its own `body`";
        let help =
            "a receiver of Standard Webhooks confirms with any 2xx; set `body` or remove `success`";
        out.add_with_help(codes::BAD_SUCCESS, at, message, help);
    }
    let (Some(pointer), Some(equals)) = (raw.pointer, raw.equals) else {
        let message = "`success` needs both `pointer` and `equals`";
        out.add_with_help(codes::BAD_SUCCESS, at, message, example);
        return None;
    };
    if !pointer.get_ref().starts_with('/') {
        let at = at.key("pointer", pointer.span());
        let message = "not a JSON pointer: it begins with `/`";
        out.add_with_help(codes::BAD_SUCCESS, &at, message, example);
    }
    let equals = match &equals.get_ref().value {
        Value::Text(text) => text.as_str().into(),
        Value::Whole(number) => (*number).into(),
        Value::Fraction(number) => (*number).into(),
        Value::Flag(is) => (*is).into(),
        Value::Huge | Value::Date(_) | Value::List(_) | Value::Table(_) => {
            let at = at.key("equals", equals.span());
            let message = "`equals` is a text, a number, true or false";
            out.add_with_help(codes::BAD_SUCCESS, &at, message, example);
            return None;
        }
    };
    Some(Success {
        pointer: pointer.into_inner(),
        equals,
    })
}

/// Checks the operator's own headers.
pub(super) fn headers(
    written: Named<RawSecret>,
    secrets: &Secrets<'_>,
    out: &mut Diagnostics,
) -> Vec<(String, Secret)> {
    let section = Location {
        path: format!("{}.headers", secrets.section.path),
        span: None,
    };
    let in_headers = Secrets {
        context: secrets.context,
        section: &section,
    };
    let mut headers = Vec::new();
    for (name, value) in written {
        let at = section.key(name.get_ref(), name.span());
        if let Some(problem) = bad_name(name.get_ref()) {
            out.add(codes::BAD_HEADER, &at, problem);
        }
        let Some(value) = in_headers.quiet(Some(value), name.get_ref(), out) else {
            continue;
        };
        let sendable = |b: u8| b == b'\t' || (b' '..=b'~').contains(&b);
        if !value.get_ref().expose().bytes().all(sendable) {
            let at = section.key(name.get_ref(), value.span());
            let message = "a header's value can contain only visible ASCII characters and spaces";
            out.add(codes::BAD_HEADER, &at, message);
        }
        headers.push((name.into_inner(), value.into_inner()));
    }
    headers
}

fn bad_name(name: &str) -> Option<String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Some(format!("{name:?} cannot be a header's name"));
    }
    OURS.contains(&name.to_lowercase().as_str())
        .then(|| format!("the header `{name}` is set by the relay itself"))
}
