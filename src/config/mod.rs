//! Loads and checks `relay.toml` with the environment, and reports every mistake at its place.
//!
//! ```text
//! text ──layers::parse──→ spanned tree ──overlay──→ (RELAY__…) ──expand──→ (${VAR})
//!      ──toml_reader──→ raw sections: each key read by itself ──check──→ Config
//! ```
//!
//! - Every value keeps its span; see `toml_reader`.

mod check;
mod context;
mod excerpt;
mod expand;
mod flaw;
mod hints;
mod included;
mod keys;
mod layers;
mod lists;
mod misplaced;
mod reload;
mod rule_tests;
mod rules;
mod schema;
mod section;
mod stand_in;
mod test_schema;
#[cfg(test)]
mod tests;
mod values;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::context::Context;
use self::expand::Variables;
use self::keys::RawTop;
use crate::archive::ArchiveLocation;
use crate::diag::{Diagnostic, Excerpt};
use crate::feishu::App;
use crate::model::{AppName, DestinationName, hex};
use crate::net::Proxies;
use crate::render::{Mention, Templates};
use crate::rules::{DigestSettings, RuleSet, Word};
use crate::telemetry::LogSettings;
use crate::toml_reader::{Diagnostics, Location, Node, Table, codes};
use crate::{destination, images, store};

pub use included::Included;
pub use reload::{Changes, FORCE, changes, takes_away};
pub use rule_tests::{Counts, Expect, Expected, Given, RuleTest};
pub use rules::WrittenRule;
pub use schema::schema;

/// The largest file that is read, in bytes: a thousand times the largest expected.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How many digits of a configuration's hash are shown: enough to distinguish any two.
const HASH_DIGITS: usize = 12;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The first twelve hexadecimal digits of a SHA-256. It covers the file, the included files and the
    /// operator's templates, in this order.
    pub hash: String,
    /// `[server]`.
    pub server: Server,
    /// `[log]`.
    pub log: LogSettings,
    /// `[operator] notify`. `None`: the operator gets no notices.
    pub notify: Option<DestinationName>,
    /// `[store]`.
    pub store: store::Settings,
    /// `[images]`.
    pub images: images::Settings,
    /// Where images are stored.
    pub archive: ArchiveLocation,
    /// All templates, as they were when they were checked. Locale and timezone are part of each destination's
    /// audience.
    pub templates: Arc<Templates>,
    /// Names of apps by their id: `[apps]` and `[app_names]`.
    pub app_names: BTreeMap<String, String>,
    /// `[mentions]`.
    pub mentions: BTreeMap<String, Mention>,
    /// `[lists]`.
    pub lists: BTreeMap<String, Vec<Word>>,
    /// `[apps]`.
    pub apps: BTreeMap<AppName, App>,
    /// The backfill interval of each app. An app that is absent is never backfilled.
    pub backfill: BTreeMap<AppName, Duration>,
    /// The proxies of every connection except those of a destination with its own `proxy`.
    pub proxies: Proxies,
    /// `[destinations]`.
    pub destinations: BTreeMap<DestinationName, destination::Settings>,
    /// `[[rules]]`, including those of `include`.
    pub rules: RuleSet,
    /// The text of each rule, to find what a reload changes.
    pub rules_written: Vec<WrittenRule>,
    /// `[[digests]]`, by name.
    pub digests: Vec<DigestSettings>,
    /// What `include` found.
    pub included: Included,
    /// `templates.dir`.
    pub templates_dir: Option<PathBuf>,
}

/// The checked `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The address that the relay listens on.
    pub listen: SocketAddr,
    /// The separate address of `/metrics` and `/status`. `None`: they are served at `listen`.
    pub admin_listen: Option<SocketAddr>,
    /// The base URL of image links, without a trailing slash.
    pub public_url: Option<String>,
    /// The largest request body, in bytes as received.
    pub max_body: usize,
    /// The maximum number of concurrent connections.
    pub max_connections: usize,
    /// The longest time a shutdown may take.
    pub shutdown_grace: Duration,
    /// Whether a configuration may have no apps, and a reload may remove entries in use.
    pub allow_empty: bool,
}

/// The result of loading: a configuration if there are no errors, and all diagnostics.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, if it has no errors.
    pub config: Option<Config>,
    /// `[[tests]]`; empty unless they were requested.
    pub tests: Vec<RuleTest>,
    /// Every diagnostic, ordered by place.
    pub diagnostics: Vec<Diagnostic>,
    /// The text of each file that was read, for excerpts.
    pub sources: Vec<(PathBuf, String)>,
}

impl Loaded {
    /// Returns whether a file has tests, including tests with errors.
    pub fn has_tests(&self) -> bool {
        let headed = |line: &str| line.trim_start().starts_with("[[tests]]");
        let mut texts = self.sources.iter().map(|(_, text)| text);
        texts.any(|text| text.lines().any(headed))
    }

    /// Formats all diagnostics for people: `relay.toml:6:17`, the line (possible secrets masked), a caret, and
    /// help. Empty if there are none.
    pub fn report(&self) -> String {
        self.report_of(&self.diagnostics)
    }

    /// Formats other diagnostics about these files for people.
    pub fn report_of(&self, diagnostics: &[Diagnostic]) -> String {
        let mut report = String::new();
        let excerpts = self.excerpts();
        for diagnostic in diagnostics {
            let excerpt = excerpts.of(diagnostic);
            report.push_str(&diagnostic.render(excerpt.as_ref()));
            report.push_str("\n\n");
        }
        report
    }

    /// Returns all diagnostics as a JSON list of objects. Lines and columns count from 1, columns in characters;
    /// unknown values are null.
    pub fn to_json(&self) -> Value {
        self.to_json_of(&self.diagnostics)
    }

    /// Returns other diagnostics about these files as JSON.
    pub fn to_json_of(&self, diagnostics: &[Diagnostic]) -> Value {
        let excerpts = self.excerpts();
        let one = |diagnostic: &Diagnostic| {
            let excerpt = excerpts.of(diagnostic);
            let place = &diagnostic.place;
            json!({
                "level": diagnostic.level.as_str(),
                "code": diagnostic.code,
                "message": diagnostic.message,
                "file": place.file.as_ref().map(|file| file.display().to_string()),
                "line": excerpt.as_ref().map(|excerpt| excerpt.line),
                "column": excerpt.as_ref().map(|excerpt| excerpt.column),
                "path": place.path,
                "variable": place.variable,
                "help": diagnostic.help,
            })
        };
        diagnostics.iter().map(one).collect()
    }

    /// Returns the files, from which diagnostics quote lines.
    pub fn excerpts(&self) -> Excerpts<'_> {
        let parsed = self.sources.iter().map(|_| OnceCell::new()).collect();
        Excerpts {
            sources: &self.sources,
            parsed,
        }
    }
}

/// The files of a configuration, from which diagnostics quote lines. Each file is parsed once, when needed.
pub struct Excerpts<'a> {
    sources: &'a [(PathBuf, String)],
    parsed: Vec<OnceCell<excerpt::Source<'a>>>,
}

impl Excerpts<'_> {
    /// Returns the line a diagnostic points at, with possible secrets masked.
    pub fn of(&self, diagnostic: &Diagnostic) -> Option<Excerpt> {
        let file = diagnostic.place.file.as_ref()?;
        let span = diagnostic.place.span.as_ref()?;
        let mut sources = self.sources.iter().zip(&self.parsed);
        let ((_, text), parsed) = sources.find(|((known, _), _)| known == file)?;
        let source = parsed.get_or_init(|| excerpt::Source::new(text));
        source.excerpt(span)
    }
}

/// Whether `[[tests]]` and their event files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tests {
    Read,
    /// Not read, so a missing event file does not stop the relay.
    LeaveOut,
}

/// What a configuration is read for. Secrets that are not needed are not read: their variables may be unset and
/// their files unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Running the relay, or checking whether it can run.
    All,
    /// Planning messages without sending them.
    NoSecrets,
    /// Reading or changing the store. Only the variables of `store.url` and `images.store` must be set.
    StoreOnly,
}

/// Loads and checks `file` with these environment variables, without `[[tests]]`.
pub fn load(file: &Path, environment: &BTreeMap<String, String>) -> Loaded {
    load_for(Needs::All, file, environment)
}

/// Loads and checks `file` for a command that needs only part of it.
pub fn load_for(needs: Needs, file: &Path, environment: &BTreeMap<String, String>) -> Loaded {
    let variables = Variables { environment, needs };
    load_as(file, variables, Tests::LeaveOut)
}

/// Loads and checks `file` with these environment variables, including `[[tests]]`.
pub fn load_with_tests(file: &Path, environment: &BTreeMap<String, String>) -> Loaded {
    let needs = Needs::All;
    load_as(file, Variables { environment, needs }, Tests::Read)
}

fn load_as(file: &Path, variables: Variables<'_>, tests: Tests) -> Loaded {
    let mut out = Diagnostics::new(file);
    let mut sources = Vec::new();
    let mut built = None;
    if let Some(text) = read_text(file, &Location::default(), &mut out) {
        let mut included = Vec::new();
        let source = Source { file, text: &text };
        built = build(source, variables, tests, &mut included, &mut out);
        sources.push((file.to_owned(), text));
        sources.append(&mut included);
        sources.extend(
            built
                .iter()
                .flat_map(|(config, _)| config.templates.sources()),
        );
    }
    let (mut config, tests) = built.filter(|_| !out.any_errors()).unzip();
    if let Some(config) = &mut config {
        config.hash = hash(&sources);
    }
    Loaded {
        config,
        tests: tests.unwrap_or_default(),
        diagnostics: out.into_sorted(&sources),
        sources,
    }
}

/// Returns where a relay with this configuration listens; `None` if it is unknown. Reads only `server.listen`, so
/// that health checks work while the rest of the file is being edited.
pub fn listen(file: &Path, environment: &BTreeMap<String, String>) -> Option<SocketAddr> {
    let mut out = Diagnostics::new(file);
    let text = read_text(file, &Location::default(), &mut out)?;
    let mut tree = layers::parse(&text, &mut out)?;
    layers::overlay(&mut tree, &text, environment, &mut out);
    let mut alone = toml::de::DeTable::new();
    if let Some((key, mut value)) = tree.remove_entry("server") {
        if let toml::de::DeValue::Table(server) = value.get_mut() {
            // The rest may need variables that only the relay has.
            let listen = server.remove_entry("listen");
            *server = listen.into_iter().collect();
        }
        alone.insert(key, value);
    }
    let needs = Needs::All;
    let variables = Variables { environment, needs };
    expand::expand(&mut alone, &Location::default(), variables, &mut out);
    let server = check::server(Table::of(&alone, Location::default()), &mut out);
    (!out.any_errors()).then_some(server.listen)
}

/// Computes [`Config::hash`].
fn hash(sources: &[(PathBuf, String)]) -> String {
    let mut hasher = Sha256::new();
    sources.iter().for_each(|(_, text)| hasher.update(text));
    let mut digits = hex(&hasher.finalize());
    digits.truncate(HASH_DIGITS);
    digits
}

/// The main configuration file.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

fn build(
    source: Source<'_>,
    variables: Variables<'_>,
    tests: Tests,
    sources: &mut Vec<(PathBuf, String)>,
    out: &mut Diagnostics,
) -> Option<(Config, Vec<RuleTest>)> {
    let Source { file, text } = source;
    let mut tree = layers::parse(text, out)?;
    misplaced::take_out(&mut tree, out);
    layers::overlay(&mut tree, text, variables.environment, out);
    if tests == Tests::LeaveOut {
        tree.remove("tests");
    }
    if variables.needs != Needs::All {
        stand_in::for_secrets(&mut tree);
    }
    let expanded = expand::expand(&mut tree, &Location::default(), variables, out);
    let context = Context {
        file,
        source: text,
        expanded,
        environment: variables.environment,
        needs: variables.needs,
    };
    let mut rules = rules::Written::default();
    rules.take(&mut tree, file, out);
    let mut written = rule_tests::Written::default();
    written.take(&mut tree, file, out);
    let digests = tree.remove("digests").map(|entries| Node::of(&entries));
    let mut top = Table::of(&tree, Location::default());
    let head: RawTop = top.read(out);
    let mut included = Included::default();
    if let Some(patterns) = head.include {
        let (texts, found) = included::read(patterns.into_inner(), &context, out);
        *sources = texts;
        included = found;
    }
    let mut parts = included::parts(sources, variables, tests, &mut rules, &mut written, out);
    included::settle_names(&mut top, (file, text), &mut parts, out);
    let (mut config, tests) = check::config(top, parts, (rules, digests), written, &context, out);
    config.included = included;
    Some((config, tests))
}

/// Reads a file. A failure is reported at the key that named the file.
fn read_text(file: &Path, at: &Location, out: &mut Diagnostics) -> Option<String> {
    use std::io::Read;

    let mut bytes = Vec::new();
    let read = std::fs::File::open(file)
        .and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let message = format!("failed to read {}: {error}", file.display());
        out.add(codes::UNREADABLE, at, message);
        return None;
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("{} is larger than 8MiB", file.display());
        out.add(codes::UNREADABLE, at, message);
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let before = error.as_bytes().iter().take(valid);
            let line = before.filter(|&&byte| byte == b'\n').count() + 1;
            let message = format!("{} is not UTF-8: see line {line}", file.display());
            out.add_with_help(codes::NOT_UTF8, at, message, "save it as UTF-8");
            None
        }
    }
}
