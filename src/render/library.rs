//! Loads the relay's templates: the built-in ones, and those of `templates.dir`, which override them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use handlebars::{Context, Handlebars, Template};
use serde_json::Value;

use super::diagnostics::{self as places, Source, line_and_column};
use super::names::Found;
use super::text::{CLOSE, OPEN, json_escape};
use super::{Family, RenderError, Settings, guard, helpers, names, sample};
use crate::diag::Diagnostic;

/// The most that one rendering may write, in bytes.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// The folder of partials.
pub(super) const PARTIALS: &str = "partials";
const SUFFIX: &str = "hbs";
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Defines the table of built-in templates.
macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../templates/", $name, ".hbs"))),)+]
    };
}

const BUILT_IN: &[(&str, &str)] = built_in![
    "feishu/alert",
    "feishu/digest",
    "feishu/images",
    "feishu/incident",
    "feishu/incident_news",
    "feishu/notice",
    "feishu/plain",
    "feishu/status",
    "feishu/suggestion",
    "feishu/summary",
    "partials/digest_counts",
    "partials/feishu_actions",
    "partials/feishu_body",
    "partials/feishu_before",
    "partials/feishu_groups",
    "partials/feishu_head",
    "partials/feishu_strip",
    "partials/feishu_words",
    "partials/change",
    "partials/ids",
    "partials/incident_before",
    "partials/incident_handled",
    "partials/incident_headline",
    "partials/incident_ids",
    "partials/incident_line",
    "partials/incident_mute",
    "partials/incident_numbers",
    "partials/incident_title",
    "partials/incident_words",
    "partials/mark",
    "partials/said",
    "partials/slack_actions",
    "partials/slack_body",
    "partials/slack_before",
    "partials/slack_groups",
    "partials/slack_strip",
    "partials/slack_words",
    "partials/summary_line",
    "partials/text_body",
    "partials/text_groups",
    "partials/text_words",
    "partials/title",
    "partials/who",
    "slack/alert",
    "slack/digest",
    "slack/images",
    "slack/incident",
    "slack/incident_news",
    "slack/notice",
    "slack/plain",
    "slack/status",
    "slack/suggestion",
    "slack/summary",
    "text/alert",
    "text/digest",
    "text/images",
    "text/incident",
    "text/incident_news",
    "text/notice",
    "text/plain",
    "text/status",
    "text/suggestion",
    "text/summary",
];

/// All templates, parsed and checked.
#[derive(Debug)]
pub struct Templates {
    json: Handlebars<'static>,
    text: Handlebars<'static>,
    names: BTreeSet<String>,
    sources: BTreeMap<String, Source>,
}

impl Default for Templates {
    fn default() -> Self {
        Self::compile(built_in_sources(), &mut Vec::new())
    }
}

impl Templates {
    /// Loads the built-in templates and those of the folder, which override them. A mistake in a file is
    /// reported, and the built-in template of that name is kept.
    pub fn load(settings: &Settings) -> (Self, Vec<Diagnostic>) {
        let mut sources = built_in_sources();
        let mut diagnostics = Vec::new();
        if let Some(dir) = &settings.dir {
            read_folder(dir, &mut sources, &mut diagnostics);
        }
        let mut found = Vec::new();
        let templates = Self::compile(sources, &mut found);
        diagnostics.extend(found.into_iter().map(|one| templates.diagnostic(one)));
        (templates, diagnostics)
    }

    /// Returns only the built-in templates, which cannot fail.
    pub(super) fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Templates> = OnceLock::new();
        BUILT_IN.get_or_init(Self::default)
    }

    /// Returns the names, without family, of the built-in templates, which rules may use.
    pub fn names() -> Vec<String> {
        Self::built_in().own_names()
    }

    /// Returns the names, without family, of these templates: the built-in ones and those of the folder.
    pub fn own_names(&self) -> Vec<String> {
        // A template with a mistake counts too, because the mistake is reported separately.
        let names = self.sources.keys().filter_map(|name| name.split_once('/'));
        let names: BTreeSet<String> = names
            .filter(|(family, _)| *family != Family::Webhook.key() && *family != PARTIALS)
            .map(|(_, name)| name.to_owned())
            .collect();
        names.into_iter().collect()
    }

    /// Returns whether `family` has a template of this name, with or without `.hbs`.
    pub fn has(&self, family: Family, name: &str) -> bool {
        self.names.contains(&key(family, name))
    }

    /// Returns whether `family` has a file of this name, even with a mistake.
    pub fn is_written(&self, family: Family, name: &str) -> bool {
        self.sources.contains_key(&key(family, name))
    }

    /// Returns the text of `family/name`.
    pub(super) fn source(&self, key: &str) -> Option<&str> {
        self.sources.get(key).map(|source| source.text.as_str())
    }

    /// Returns the texts of the operator's own files, for excerpts.
    pub fn sources(&self) -> Vec<(PathBuf, String)> {
        let own = self.sources.values().filter(|source| source.own);
        own.map(|source| (source.file.clone(), source.text.clone()))
            .collect()
    }

    /// Returns every `family/name`.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    fn compile(sources: BTreeMap<String, Source>, found: &mut Vec<Found>) -> Self {
        let shape = sample::shape();
        let mut partials = BTreeMap::new();
        let mut mains = BTreeMap::new();
        for (name, source) in &sources {
            match parse(name, &source.text) {
                Ok(template) => match name.strip_prefix("partials/") {
                    Some(partial) => drop(partials.insert(partial.to_owned(), template)),
                    None => drop(mains.insert(name.clone(), template)),
                },
                Err(one) => found.push(*one),
            }
        }
        let mut templates = Self {
            json: registry(true),
            text: registry(false),
            names: BTreeSet::new(),
            sources,
        };
        for (name, template) in mains {
            let complaints = names::check(&name, &template, &shape, &partials);
            let broken = complaints.iter().any(|one| one.code.starts_with('E'));
            for one in complaints {
                if !found.contains(&one) {
                    found.push(one);
                }
            }
            if broken {
                // A broken built-in template has no replacement.
                if templates.sources.values().any(|source| source.own) {
                    templates.keep_built_in(&name);
                }
                continue;
            }
            let template = names::expand(template, &partials);
            templates
                .registry_of(&name)
                .register_template(&name, template);
            templates.names.insert(name);
        }
        templates
    }

    fn registry_of(&mut self, name: &str) -> &mut Handlebars<'static> {
        if name.starts_with("text/") {
            &mut self.text
        } else {
            &mut self.json
        }
    }

    fn keep_built_in(&mut self, name: &str) {
        if !BUILT_IN.iter().any(|(one, _)| *one == name) {
            return;
        }
        let built_in = Self::built_in();
        if let Some(template) = built_in.registry(name).get_template(name) {
            let template = template.clone();
            self.registry_of(name).register_template(name, template);
            self.names.insert(name.to_owned());
        }
    }

    fn registry(&self, name: &str) -> &Handlebars<'static> {
        if name.starts_with("text/") {
            &self.text
        } else {
            &self.json
        }
    }

    /// Renders `family/name` to text whose values are marked.
    pub(super) fn render(
        &self,
        family: Family,
        name: &str,
        context: Value,
        scene: helpers::Scene,
    ) -> Result<String, RenderError> {
        let key = key(family, name);
        let fail = |reason: String| RenderError {
            template: key.clone(),
            reason,
        };
        if !self.names.contains(&key) {
            return Err(fail("there is no such template".to_owned()));
        }
        let mut root = Context::null();
        *root.data_mut() = context;
        let mut output = Limited(Vec::with_capacity(4096));
        let rendered = helpers::with_scene(scene, || {
            let registry = self.registry(&key);
            registry.render_with_context_to_write(&key, &root, &mut output)
        });
        rendered.map_err(|error| fail(reason(&error)))?;
        String::from_utf8(output.0).map_err(|_bad| fail("the output is not UTF-8".to_owned()))
    }

    /// Returns a diagnostic at its place in the template file.
    pub(super) fn diagnostic(&self, found: Found) -> Diagnostic {
        places::diagnostic(found, &self.sources)
    }
}

fn key(family: Family, name: &str) -> String {
    let name = name.strip_suffix(".hbs").unwrap_or(name);
    format!("{}/{name}", family.key())
}

/// Returns Handlebars' error with its position. The error contains names and paths of the template only.
fn reason(error: &handlebars::RenderError) -> String {
    let reason = match error.reason() {
        handlebars::RenderErrorReason::IOError(_) => {
            format!("its output is larger than {OUTPUT_BYTES_MAX} bytes")
        }
        other => other.to_string(),
    };
    match (error.line_no, error.column_no) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: {reason}"),
        _ => reason,
    }
}

/// A writer that fails after [`OUTPUT_BYTES_MAX`] bytes.
struct Limited(Vec<u8>);

impl std::io::Write for &mut Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES_MAX {
            return Err(std::io::Error::other("too much output"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn registry(json: bool) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.register_escape_fn(move |value| mark(value, json));
    helpers::register(&mut registry);
    registry
}

fn mark(value: &str, json: bool) -> String {
    if value.is_empty() {
        return String::new();
    }
    let mut marked = String::with_capacity(value.len() + 8);
    marked.push(OPEN);
    if json {
        json_escape(&mut marked, value);
    } else {
        marked.push_str(value);
    }
    marked.push(CLOSE);
    marked
}

fn built_in_sources() -> BTreeMap<String, Source> {
    let sources = BUILT_IN.iter().map(|(name, text)| {
        let source = Source {
            file: PathBuf::from(format!("templates/{name}.{SUFFIX}")),
            text: (*text).to_owned(),
            own: false,
        };
        ((*name).to_owned(), source)
    });
    sources.collect()
}

fn parse(name: &str, text: &str) -> Result<Template, Box<Found>> {
    let at = |code, place, message| {
        Box::new(Found {
            template: name.to_owned(),
            place,
            code,
            message,
            help: None,
        })
    };
    let unclosed = guard::check(text)
        .map_err(|refused| at("E202", line_and_column(text, refused.at), refused.reason))?;
    if let Some(place) = text.find(|c| ('\u{E000}'..='\u{E00F}').contains(&c)) {
        let message = "the characters U+E000 to U+E00F are reserved".to_owned();
        return Err(at("E203", line_and_column(text, place), message));
    }
    // A partial is included inside a line, so the line end at the end of its file is removed.
    let text = if name.starts_with(PARTIALS) {
        text.trim_end_matches(['\n', '\r'])
    } else {
        text
    };
    Template::compile(&lines_kept(text)).map_err(|error| {
        if let Some(block) = &unclosed {
            let message = format!("the block {{{{#{}}}}} is not closed", block.helper);
            return at("E203", line_and_column(text, block.at), message);
        }
        let (line, column) = error.pos().unwrap_or((1, 1));
        let reason = error.reason().to_string();
        let reason = reason.lines().last().unwrap_or_default().trim();
        let reason = reason.trim_start_matches("= ");
        at(
            "E203",
            (line.max(1), column.max(1)),
            format!("it cannot be parsed: {reason}"),
        )
    })
}

/// Keeps line ends after partials. Handlebars removes the line end after a tag that is alone on its line. That is
/// right for blocks but not for partials, whose text has no final line end. An empty comment after the tag
/// prevents it.
fn lines_kept(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (tag, after) = line.split_at(line.trim_end().len());
        kept.push_str(tag);
        let inside = tag.trim_start().strip_prefix("{{>");
        let inside = inside.and_then(|rest| rest.strip_suffix("}}"));
        // With `~` the author removes line ends on purpose.
        if inside.is_some_and(|name| !name.contains("}}") && !name.ends_with('~')) {
            kept.push_str("{{!}}");
        }
        kept.push_str(after);
    }
    kept
}

/// Reads `dir/family/*.hbs` and `dir/partials/*.hbs`, which override the templates so far.
fn read_folder(
    dir: &Path,
    sources: &mut BTreeMap<String, Source>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("failed to read the templates folder: {error}");
            diagnostics.push(places::at_file("E200", dir, message));
            return;
        }
    };
    let mut astray: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    astray.sort_unstable();
    diagnostics.extend(astray.iter().filter_map(|path| unread(path)));
    for folder in folders() {
        let Ok(entries) = std::fs::read_dir(dir.join(folder)) else {
            continue;
        };
        for entry in entries.flatten() {
            let file = entry.path();
            if file.extension().is_none_or(|suffix| suffix != SUFFIX) {
                let message =
                    format!("this file is not a template: its name does not end in .{SUFFIX}");
                diagnostics.push(places::at_file("W201", &file, message));
                continue;
            }
            let stem = file.file_stem().and_then(|stem| stem.to_str());
            let Some(stem) = stem.map(str::to_owned) else {
                diagnostics.push(places::at_file(
                    "E201",
                    &file,
                    "its name is not UTF-8".to_owned(),
                ));
                continue;
            };
            match read(&file) {
                Ok(text) => {
                    let own = true;
                    sources.insert(format!("{folder}/{stem}"), Source { file, text, own });
                }
                Err(reason) => diagnostics.push(places::at_file("E201", &file, reason)),
            }
        }
    }
}

/// Returns the folders that are read.
fn folders() -> impl Iterator<Item = &'static str> {
    let families = Family::ALL.iter().map(|family| family.key());
    families.chain([PARTIALS])
}

/// Returns a diagnostic about an entry of the templates folder that is never read.
fn unread(path: &Path) -> Option<Diagnostic> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    if name.starts_with('.') || (path.is_dir() && folders().any(|folder| folder == name)) {
        return None;
    }
    let known = folders().collect::<Vec<_>>().join(", ");
    if path.is_dir() {
        let mut diagnostic = places::at_file(
            "W202",
            path,
            format!("the templates folder {name:?} is never read"),
        );
        diagnostic.help =
            names::nearest(&name, folders()).or_else(|| Some(format!("folders are: {known}")));
        return Some(diagnostic);
    }
    if path.extension().is_none_or(|suffix| suffix != SUFFIX) {
        return None; // This may be a note about the templates.
    }
    let message = "this template is never read: it is in no family's folder".to_owned();
    let mut diagnostic = places::at_file("W202", path, message);
    diagnostic.help = Some(format!("move it into one of: {known}"));
    Some(diagnostic)
}

fn read(file: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("failed to read the template: {error}");
    let bytes = std::fs::metadata(file).map_err(cannot)?.len();
    if bytes > guard::SOURCE_BYTES_MAX as u64 {
        return Err(format!(
            "the template is larger than {} bytes",
            guard::SOURCE_BYTES_MAX
        ));
    }
    let mut text = std::fs::read_to_string(file).map_err(cannot)?;
    // Some editors start every file with a byte order mark.
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(text)
}
