//! Reads secrets: written in the file, as `${VAR}`, or in a separate file.

use std::io::Read;

use toml::Spanned;

use crate::config::context::Context;
use crate::config::expand::FLAW_HELP;
use crate::config::flaw;
use crate::model::Secret;
use crate::toml_reader::{
    Diagnostics, Field, Location, Many, RawSecret, codes, elements, from_environment,
};

/// Larger files are rejected because they cannot be a secret.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Reads secrets and reports invalid ones.
pub(super) struct Secrets<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) section: &'a Location,
}

impl Secrets<'_> {
    /// Reads one secret; `None` if it is missing or invalid.
    pub(super) fn one(
        &self,
        field: Field<RawSecret>,
        key: &str,
        out: &mut Diagnostics,
    ) -> Option<Spanned<Secret>> {
        let secret = self.quiet(field, key, out)?;
        self.warn_if_written(secret.span(), key, out);
        Some(secret)
    }

    /// Like [`one`](Self::one), but accepts a value written in the file, because not every webhook URL is a
    /// secret.
    pub(super) fn quiet(
        &self,
        field: Field<RawSecret>,
        key: &str,
        out: &mut Diagnostics,
    ) -> Option<Spanned<Secret>> {
        let field = field?;
        let at = self.section.key(key, field.span());
        let span = field.span();
        let secret = match field.into_inner() {
            RawSecret::Itself(secret) => Secret::new(flaw::without_line_breaks(secret.expose())),
            RawSecret::File(path) => self.file(&path, &at, out)?,
        };
        if secret.expose().trim().is_empty() {
            out.add(codes::EMPTY_SECRET, &at, format!("`{key}` is empty"));
            return None;
        }
        if let Some(flaw) = flaw::of_secret(secret.expose(), &at.path) {
            let message = format!("the secret `{key}` has {flaw}");
            out.add_with_help(codes::FLAW, &at, message, FLAW_HELP);
            return None;
        }
        Some(Spanned::new(span, secret))
    }

    /// Reads each secret of a list.
    pub(super) fn many(
        &self,
        field: Field<Many<RawSecret>>,
        key: &str,
        out: &mut Diagnostics,
    ) -> Vec<Spanned<Secret>> {
        elements(field)
            .into_iter()
            .filter_map(|secret| self.one(Some(secret), key, out))
            .collect()
    }

    fn warn_if_written(&self, span: std::ops::Range<usize>, key: &str, out: &mut Diagnostics) {
        let text = self.context.source.get(span.clone()).unwrap_or_default();
        let is_string = text.starts_with(['"', '\'']);
        let is_written = !from_environment(&span) && !self.context.expanded.contains(&span.start);
        if is_string && is_written {
            let at = self.section.key(key, span);
            let message = format!("the secret `{key}` is written in the file");
            let help = "write \"${NAME}\" and set that variable, or { file = \"…\" }";
            out.add_with_help(codes::SECRET_IN_FILE, &at, message, help);
        }
    }

    fn file(&self, path: &Spanned<String>, at: &Location, out: &mut Diagnostics) -> Option<Secret> {
        let path = self.context.path(path.get_ref());
        let mut text = zeroize::Zeroizing::new(String::new());
        let read = std::fs::File::open(&path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
        let problem = match read {
            Ok(count) if count as u64 > FILE_BYTES_MAX => "it is larger than 64KiB".to_owned(),
            Ok(_) => return Some(Secret::new(flaw::without_line_breaks(&text))),
            Err(error) => error.to_string(),
        };
        let message = format!(
            "failed to read the secret's file {}: {problem}",
            path.display()
        );
        out.add(codes::SECRET_FILE, at, message);
        None
    }
}
