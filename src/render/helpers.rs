//! Defines the template helpers. Handlebars passes no custom data to helpers, so the data of a rendering is in a
//! thread-local. This is safe because rendering never awaits.

use std::cell::RefCell;
use std::time::Duration;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, JsonRender, JsonTruthy, Output,
    RenderContext, RenderError, RenderErrorReason, ScopedJson,
};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::text::{CLOSE, OPEN, json_escape, truncate};
use super::{Locale, Subject, words};
use crate::model::{Content, FeedbackKind, FeedbackStatus, IncidentState, Severity, Timestamp};

/// The data of one rendering.
pub(super) struct Scene {
    pub(super) locale: Locale,
    pub(super) timezone: TimeZone,
    pub(super) now: Timestamp,
    /// Feishu's color of the message, and the same color as an emoji.
    pub(super) paint: (&'static str, &'static str),
    /// Trusted markup that mentions people.
    pub(super) mention: String,
    /// A text about the images that are only counted.
    pub(super) pictures: String,
    /// Trusted markup for the person who changed the status; empty if only a name is available.
    pub(super) person: String,
    /// Trusted markup for the reporter; empty if only an id is available.
    pub(super) reporter: String,
    /// Trusted markup for the person who acted on an earlier incident; empty if only a name is available.
    pub(super) earlier: String,
    /// Whether the output is JSON.
    pub(super) json: bool,
}

thread_local! {
    static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

/// Runs `render` with `scene` for its helpers.
pub(super) fn with_scene<T>(scene: Scene, render: impl FnOnce() -> T) -> T {
    struct Clear;
    impl Drop for Clear {
        fn drop(&mut self) {
            SCENE.with(|place| place.borrow_mut().take());
        }
    }
    SCENE.with(|place| place.borrow_mut().replace(scene));
    let _clear = Clear;
    render()
}

fn scene<T>(read: impl FnOnce(&Scene) -> T) -> Result<T, RenderError> {
    SCENE.with(|place| {
        place.borrow().as_ref().map(read).ok_or_else(|| {
            RenderErrorReason::Other("no rendering is in progress".to_owned()).into()
        })
    })
}

/// The helpers that templates may use without a block.
pub(super) const NAMES: &[&str] = &[
    "truncate", "time", "ago", "span", "join", "json", "default", "t", "mention", "pictures",
    "person", "reporter", "earlier", "color", "icon", "eq", "ne", "gt", "gte", "lt", "lte", "and",
    "or", "not", "len",
];
/// The helpers that open a block.
pub(super) const BLOCKS: &[&str] = &["if", "unless", "each", "with"];

type Answer = Result<Value, RenderError>;
type Make = fn(&Helper<'_>) -> Answer;

/// A helper that returns a value, which is escaped like any other.
struct Gives(Make);

impl HelperDef for Gives {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        (self.0)(helper).map(ScopedJson::Derived)
    }
}

/// A helper that returns trusted text, which is written without escaping. As an argument of another helper it is
/// an ordinary value.
struct Trusted(Make);

impl HelperDef for Trusted {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let answer = (self.0)(helper)?;
        // An argument of another helper is one value, so marks inside it are removed.
        let answer = match answer {
            Value::String(text) if text.contains([OPEN, CLOSE]) => {
                text.replace([OPEN, CLOSE], "").into()
            }
            answer => answer,
        };
        Ok(ScopedJson::Derived(answer))
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let text = (self.0)(helper)?.render();
        if scene(|scene| scene.json)? {
            let mut escaped = String::with_capacity(text.len());
            json_escape(&mut escaped, &text);
            out.write(&escaped)?;
        } else {
            out.write(&text)?;
        }
        Ok(())
    }
}

/// Writes a value as JSON and marks each of its strings.
struct Json;

impl HelperDef for Json {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let mut text = String::new();
        write_json(&mut text, value(helper, 0)?);
        out.write(&text)?;
        Ok(())
    }
}

fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        Value::String(text) => {
            out.push('"');
            out.push(OPEN);
            json_escape(out, text);
            out.push(CLOSE);
            out.push('"');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push('"');
                json_escape(out, key);
                out.push_str("\":");
                write_json(out, member);
            }
            out.push('}');
        }
    }
}

/// Registers all helpers with `registry`.
pub(super) fn register(registry: &mut Handlebars<'static>) {
    let gives: [(&str, Make); 3] = [
        ("truncate", truncate_helper),
        ("join", join),
        ("default", default),
    ];
    for (name, helper) in gives {
        registry.register_helper(name, Box::new(Gives(helper)));
    }
    let trusted: [(&str, Make); 11] = [
        ("t", translate),
        ("time", time),
        ("ago", ago),
        ("span", span),
        ("mention", |_| scene(|scene| scene.mention.clone().into())),
        ("pictures", |_| scene(|scene| scene.pictures.clone().into())),
        ("person", |_| scene(|scene| scene.person.clone().into())),
        ("reporter", |_| scene(|scene| scene.reporter.clone().into())),
        ("earlier", |_| scene(|scene| scene.earlier.clone().into())),
        ("color", color),
        ("icon", icon),
    ];
    for (name, helper) in trusted {
        registry.register_helper(name, Box::new(Trusted(helper)));
    }
    registry.register_helper("json", Box::new(Json));
}

/// Returns the color and the emoji of a message: those of its severity. An incident has those of its type while
/// it is open, is green if somebody marked it as done, and is grey after other ends.
pub(super) fn paint_of(subject: &Subject<'_>) -> (&'static str, &'static str) {
    if let Content::Incident(reports) = &subject.event.content
        && let Some(incident) = &reports.incident
    {
        return match (incident.progress.state, incident.kind) {
            (IncidentState::Open, Some(FeedbackKind::FAULT)) => ("red", "🔴"),
            (IncidentState::Open, Some(FeedbackKind::SUGGESTION)) => ("blue", "🔵"),
            (IncidentState::Open, Some(FeedbackKind(_)) | None) => ("orange", "🟠"),
            (IncidentState::Done, _) => ("green", "🟢"),
            (IncidentState::Quiet | IncidentState::Continued | IncidentState::Closed, _) => {
                ("grey", "⚪")
            }
        };
    }
    match subject.severity() {
        Severity::Critical => ("red", "🔴"),
        Severity::Warning => ("orange", "🟠"),
        Severity::Info => ("blue", "🔵"),
    }
}

/// Returns Feishu's color for the message or for a status.
fn color(helper: &Helper<'_>) -> Answer {
    paint(helper).map(|(color, _)| color.into())
}

/// Returns the same color as an emoji, for platforms without colors.
fn icon(helper: &Helper<'_>) -> Answer {
    paint(helper).map(|(_, icon)| icon.into())
}

fn paint(helper: &Helper<'_>) -> Result<(&'static str, &'static str), RenderError> {
    if helper.param(0).is_none() {
        return scene(|scene| scene.paint);
    }
    let Some(code) = value(helper, 0)?.get("code") else {
        return fail(format!(
            "the argument of {} must be feedback.status",
            helper.name()
        ));
    };
    Ok(match code.as_i64().map(FeedbackStatus) {
        Some(FeedbackStatus::UNPROCESSED) => ("orange", "🟠"),
        Some(FeedbackStatus::PROCESSING) => ("blue", "🔵"),
        Some(FeedbackStatus::PROCESSED) => ("green", "🟢"),
        Some(FeedbackStatus::CLOSED) => ("grey", "⚪"),
        // A status without a name, or no status.
        Some(FeedbackStatus(_)) | None => ("purple", "🟣"),
    })
}

fn fail<T>(reason: impl Into<String>) -> Result<T, RenderError> {
    Err(RenderErrorReason::Other(reason.into()).into())
}

fn value<'a>(helper: &'a Helper<'_>, index: usize) -> Result<&'a Value, RenderError> {
    match helper.param(index) {
        Some(param) if !param.is_value_missing() => Ok(param.value()),
        Some(_) => fail(format!(
            "argument {} of {} is not in the context",
            index + 1,
            helper.name()
        )),
        None => fail(format!(
            "{} needs at least {} argument(s)",
            helper.name(),
            index + 1
        )),
    }
}

fn truncate_helper(helper: &Helper<'_>) -> Answer {
    let text = value(helper, 0)?.render();
    let Some(count) = value(helper, 1)?.as_u64() else {
        return fail("the second argument of truncate must be a number of characters");
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    Ok(truncate(&text, count).into())
}

fn instant(helper: &Helper<'_>, index: usize) -> Result<Option<jiff::Timestamp>, RenderError> {
    match value(helper, index)? {
        Value::Null => Ok(None),
        // A time outside the calendar's range is shown as nothing, so that the message does not fail.
        Value::String(text) => Ok(text.parse().ok()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            fail(format!("{} needs a time of the context", helper.name()))
        }
    }
}

/// Beijing's offset from UTC, in seconds. Chinese readers expect times without a zone to be in it.
const HOME_SECS: i32 = 8 * 3600;

fn time(helper: &Helper<'_>) -> Answer {
    let format = match helper.param(1) {
        Some(_) => Some(value(helper, 1)?.render()),
        None => None,
    };
    let Some(at) = instant(helper, 0)? else {
        // A time that cannot be parsed is shown as it was written: a value like any other.
        let written = value(helper, 0)?.as_str().unwrap_or_default();
        return Ok(match written {
            "" => "".into(),
            written => format!("{OPEN}{written}{CLOSE}").into(),
        });
    };
    let zoned = scene(|scene| at.to_zoned(scene.timezone.clone()))?;
    let zone = match &format {
        None => scene(|scene| zone(scene.locale, zoned.offset()))?,
        Some(_) => String::new(),
    };
    let format = format.as_deref().unwrap_or("%Y-%m-%d %H:%M");
    match jiff::fmt::strtime::format(format, &zoned) {
        Ok(text) => Ok(format!("{text}{zone}").into()),
        Err(_bad_format) => fail("the second argument of time must be a strftime format"),
    }
}

/// Returns the zone to show after a time: ` UTC+5:30`. Empty for Beijing time in Chinese.
fn zone(locale: Locale, offset: jiff::tz::Offset) -> String {
    let secs = offset.seconds();
    if secs == HOME_SECS && locale == Locale::Zh {
        return String::new();
    }
    let minutes = secs.unsigned_abs() / 60;
    let sign = if secs < 0 { '-' } else { '+' };
    match (minutes / 60, minutes % 60) {
        (0, 0) => " UTC".to_owned(),
        (hours, 0) => format!(" UTC{sign}{hours}"),
        (hours, minutes) => format!(" UTC{sign}{hours}:{minutes:02}"),
    }
}

fn millis(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
}

fn ago(helper: &Helper<'_>) -> Answer {
    let Some(at) = instant(helper, 0)? else {
        return Ok("".into());
    };
    scene(|scene| {
        let span = words::span(scene.locale, scene.now.since(millis(at)));
        let ago = words::word(scene.locale, "ago").unwrap_or_default();
        format!("{span}{ago}").into()
    })
}

/// Returns the duration from the first to the second time; empty if there is none.
fn span(helper: &Helper<'_>) -> Answer {
    let (Some(from), Some(to)) = (instant(helper, 0)?, instant(helper, 1)?) else {
        return Ok("".into());
    };
    let span = millis(to).since(millis(from));
    if span == Duration::ZERO {
        return Ok("".into());
    }
    scene(|scene| words::span(scene.locale, span).into())
}

/// Joins a list of texts, or one key of a list of objects.
fn join(helper: &Helper<'_>) -> Answer {
    let Some(items) = value(helper, 0)?.as_array() else {
        return fail("the first argument of join must be a list");
    };
    let key = match helper.param(1) {
        Some(_) => Some(value(helper, 1)?.render()),
        None => None,
    };
    let separator = match helper.hash_get("separator") {
        Some(separator) => separator.value().render(),
        None => scene(|scene| words::word(scene.locale, "list").unwrap_or(", ").to_owned())?,
    };
    let texts: Vec<String> = items
        .iter()
        .map(|item| match &key {
            Some(key) => item.get(key).map(JsonRender::render).unwrap_or_default(),
            None => item.render(),
        })
        .collect();
    Ok(texts.join(&separator).into())
}

/// Returns the first argument, or the second if the first is missing, null or empty.
fn default(helper: &Helper<'_>) -> Answer {
    match helper.param(0) {
        Some(param) if !param.is_value_missing() && param.value().is_truthy(true) => {
            Ok(param.value().clone())
        }
        Some(_) | None => value(helper, 1).cloned(),
    }
}

fn translate(helper: &Helper<'_>) -> Answer {
    let key = value(helper, 0)?.render();
    match scene(|scene| words::word(scene.locale, &key))? {
        Some(word) => Ok(word.into()),
        None => fail("t has no such word"),
    }
}
