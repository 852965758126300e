//! `relay.toml`: found, layered with the environment, checked; every mistake at once, each at its place.
//!
//! ```text
//! text ──layers::parse──→ spanned tree ──overlay──→ (RELAY__…) ──expand──→ (${VAR})
//!      ──section──→ raw sections: each key read by itself ──check──→ Config
//! ```
//!
//! - A value knows its place by its span, wherever it is carried; see `spans.rs`.
//! - A complaint about a key ends that key only. What follows from it is not complained of again.
//! - No value is repeated in a complaint unless its key can hold no secret; see `excerpt.rs`.

mod check;
mod codes;
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
mod spans;
mod stand_in;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use toml::Spanned;

use self::check::Context;
use self::expand::Variables;
use self::section::Section;
use self::spans::{Diagnostics, Location};
use self::values::Many;
use crate::diag::{Diagnostic, Excerpt};
use crate::feishu::App;
use crate::model::{AppName, DestinationName, hex};
use crate::net::Proxies;
use crate::render::{Mention, Templates};
use crate::rules::{RuleSet, Word};
use crate::telemetry::LogSettings;
use crate::{destination, images, store};

pub use reload::{Changes, FORCE, changes, takes_away};
pub use rule_tests::{Expect, Expected, RuleTest};
pub use rules::WrittenRule;
pub use schema::schema;

/// The largest file that is read: a thousand times any real one.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How much of the hash of a configuration is shown: enough to tell any two apart.
const HASH_DIGITS: usize = 12;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// The first twelve hexadecimal digits of the SHA-256 of the texts it was read from, one after the
    /// other: the file, those it includes, the operator's own templates.
    pub hash: String,
    /// `[server]`.
    pub server: Server,
    /// `[log]`.
    pub log: LogSettings,
    /// `[operator] notify`.
    pub notify: Option<DestinationName>,
    /// `[store]`.
    pub store: store::Settings,
    /// `[images]`.
    pub images: images::Settings,
    /// Where images are kept.
    pub images_dir: PathBuf,
    /// All templates, as they were when they were checked; locale and timezone are in each
    /// destination's audience.
    pub templates: Arc<Templates>,
    /// Names of apps by their id: `[apps]` and `[app_names]`.
    pub app_names: BTreeMap<String, String>,
    /// `[mentions]`.
    pub mentions: BTreeMap<String, Mention>,
    /// `[lists]`.
    pub lists: BTreeMap<String, Vec<Word>>,
    /// `[apps]`.
    pub apps: BTreeMap<AppName, App>,
    /// How often the list of each app's feedback is asked for by itself; an app that is absent: never.
    pub backfill: BTreeMap<AppName, Duration>,
    /// The ways out of the machine, for everything but a destination with a proxy of its own.
    pub proxies: Proxies,
    /// `[destinations]`.
    pub destinations: BTreeMap<DestinationName, destination::Settings>,
    /// `[[rules]]`, with those of `include`.
    pub rules: RuleSet,
    /// What is written in each rule, for telling what a reload changes.
    pub rules_written: Vec<WrittenRule>,
    /// How many files each pattern of `include` matched.
    pub included: BTreeMap<String, usize>,
    /// `templates.dir`.
    pub templates_dir: Option<PathBuf>,
}

/// The checked `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where everything is served.
    pub listen: SocketAddr,
    /// If set, where `/metrics` and `/status` are served instead.
    pub admin_listen: Option<SocketAddr>,
    /// How chats reach images, without a trailing slash.
    pub public_url: Option<String>,
    /// The largest body, in bytes on the wire.
    pub max_body: usize,
    /// How many connections at once.
    pub max_connections: usize,
    /// How long a stop may take.
    pub shutdown_grace: Duration,
    /// Whether a configuration may hold no app, and a reload may take away what is in use.
    pub allow_empty: bool,
}

/// What loading found: a configuration if there is no error, and all complaints.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, if it has no errors.
    pub config: Option<Config>,
    /// `[[tests]]`, if they were asked for.
    pub tests: Vec<RuleTest>,
    /// Every complaint, in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
    /// The text of each file that was read, for showing lines.
    pub sources: Vec<(PathBuf, String)>,
}

impl Loaded {
    /// Whether a file has tests, be they right or wrong.
    pub fn has_tests(&self) -> bool {
        let headed = |line: &str| line.trim_start().starts_with("[[tests]]");
        let mut texts = self.sources.iter().map(|(_, text)| text);
        texts.any(|text| text.lines().any(headed))
    }

    /// All complaints as people read them: `relay.toml:6:17`, the line (with what may be secret
    /// masked), a caret, and help. Empty if there is none.
    pub fn report(&self) -> String {
        self.report_of(&self.diagnostics)
    }

    /// The same of other complaints about these files.
    pub fn report_of(&self, diagnostics: &[Diagnostic]) -> String {
        let mut report = String::new();
        for diagnostic in diagnostics {
            let excerpt = self.excerpt(diagnostic);
            report.push_str(&diagnostic.render(excerpt.as_ref()));
            report.push_str("\n\n");
        }
        report
    }

    /// All complaints for programs: a list of objects. Lines and columns count from 1, columns in
    /// characters; what is not known is null.
    pub fn to_json(&self) -> Value {
        self.to_json_of(&self.diagnostics)
    }

    /// The same of other complaints about these files.
    pub fn to_json_of(&self, diagnostics: &[Diagnostic]) -> Value {
        let one = |diagnostic: &Diagnostic| {
            let excerpt = self.excerpt(diagnostic);
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

    /// The line a complaint is about, with what may be secret masked.
    pub fn excerpt(&self, diagnostic: &Diagnostic) -> Option<Excerpt> {
        let file = diagnostic.place.file.as_ref()?;
        let span = diagnostic.place.span.as_ref()?;
        let (_, text) = self.sources.iter().find(|(known, _)| known == file)?;
        excerpt::excerpt(text, span)
    }
}

/// Whether `[[tests]]` and the events they name are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tests {
    Read,
    /// A relay needs no event of theirs, and does not fail on one.
    LeaveOut,
}

/// What a configuration is read for. Secrets that are not needed are not looked at: their variables need not
/// be set and their files need not be readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Running the relay, or saying whether it could run.
    All,
    /// Planning messages without sending them.
    NoSecrets,
    /// Reading or changing the store. Of the variables only those of `store.url` and `images.store` must be set.
    StoreOnly,
}

/// Loads and checks `file` under these environment variables; `[[tests]]` are left out.
pub fn load(file: &Path, environment: &BTreeMap<String, String>) -> Loaded {
    load_for(Needs::All, file, environment)
}

/// The same for a command that does not need all of it.
pub fn load_for(needs: Needs, file: &Path, environment: &BTreeMap<String, String>) -> Loaded {
    let variables = Variables { environment, needs };
    load_as(file, variables, Tests::LeaveOut)
}

/// Loads and checks `file` under these environment variables, its `[[tests]]` too.
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

/// Where a relay with this configuration listens; `None` if that cannot be told. Nothing but `server.listen` is looked
/// at: who asks whether a relay is well must get an answer while the rest is being edited.
pub fn listen(file: &Path, environment: &BTreeMap<String, String>) -> Option<SocketAddr> {
    let mut out = Diagnostics::new(file);
    let text = read_text(file, &Location::default(), &mut out)?;
    let mut tree = layers::parse(&text, &mut out)?;
    layers::overlay(&mut tree, &text, environment, &mut out);
    let mut alone = Section {
        at: Location::default(),
        table: toml::de::DeTable::new(),
    };
    if let Some((key, mut value)) = tree.remove_entry("server") {
        if let toml::de::DeValue::Table(server) = value.get_mut() {
            // The rest of it may hold variables that only the relay has.
            let listen = server.remove_entry("listen");
            *server = listen.into_iter().collect();
        }
        alone.table.insert(key, value);
    }
    let needs = Needs::All;
    let variables = Variables { environment, needs };
    expand::expand(&mut alone.table, &Location::default(), variables, &mut out);
    let server = check::server(alone, &mut out);
    (!out.any_errors()).then_some(server.listen)
}

/// See [`Config::hash`].
fn hash(sources: &[(PathBuf, String)]) -> String {
    let mut hasher = Sha256::new();
    sources.iter().for_each(|(_, text)| hasher.update(text));
    let mut digits = hex(&hasher.finalize());
    digits.truncate(HASH_DIGITS);
    digits
}

/// `include`, which is read before everything else.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Head {
    include: Option<Many<Spanned<String>>>,
}

/// The configuration's own file.
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
    let at = Location::default();
    let mut top = Section { at, table: tree };
    let mut head = Section {
        at: Location::default(),
        table: toml::de::DeTable::new(),
    };
    if let Some((key, value)) = top.table.remove_entry("include") {
        head.table.insert(key, value);
    }
    let head: Head = head.read(out);
    if let Some(patterns) = head.include {
        let (texts, matched) = included::read(patterns, &context.path(""), out);
        *sources = texts;
        rules.matched(matched);
    }
    let mut parts = included::parts(sources, variables, tests, &mut rules, &mut written, out);
    included::settle_names(&mut top, (file, text), &mut parts, out);
    Some(check::config(top, parts, rules, written, &context, out))
}

/// The text of a file, or a complaint at what named it.
fn read_text(file: &Path, at: &Location, out: &mut Diagnostics) -> Option<String> {
    use std::io::Read;

    let mut bytes = Vec::new();
    let read = std::fs::File::open(file)
        .and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let message = format!("cannot read {}: {error}", file.display());
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
