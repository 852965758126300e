//! Helpers of templates. What they need beyond their arguments belongs to one rendering and stands
//! in a thread-local: Handlebars hands helpers nothing of ours, and rendering never awaits.

use std::cell::RefCell;
use std::time::Duration;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, JsonRender, JsonTruthy, Output,
    RenderContext, RenderError, RenderErrorReason, ScopedJson,
};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::text::{CLOSE, OPEN, json_escape, truncate};
use super::{Locale, words};
use crate::model::{FeedbackStatus, Severity, Timestamp};

/// What one rendering knows.
pub(super) struct Scene {
    pub(super) locale: Locale,
    pub(super) timezone: TimeZone,
    pub(super) now: Timestamp,
    pub(super) severity: Severity,
    /// Trusted markup that mentions people.
    pub(super) mention: String,
    /// The images that are only counted, in words.
    pub(super) pictures: String,
    /// Trusted markup for whoever changed the status; empty where only a name can be said.
    pub(super) person: String,
    /// Trusted markup for the reporter; empty where only an id could be said.
    pub(super) reporter: String,
    /// Whether what is written lands in JSON.
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
        place
            .borrow()
            .as_ref()
            .map(read)
            .ok_or_else(|| RenderErrorReason::Other("no rendering is under way".to_owned()).into())
    })
}

/// Names of all helpers that templates may use without a block.
pub(super) const NAMES: &[&str] = &[
    "truncate", "time", "ago", "span", "join", "json", "default", "t", "mention", "pictures",
    "person", "reporter", "color", "icon", "eq", "ne", "gt", "gte", "lt", "lte", "and", "or",
    "not", "len",
];
/// Names of all helpers that open a block.
pub(super) const BLOCKS: &[&str] = &["if", "unless", "each", "with"];

type Answer = Result<Value, RenderError>;
type Make = fn(&Helper<'_>) -> Answer;

/// A helper whose answer is a value: escaped like any other.
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

/// A helper whose answer is ours and is written as it is; inside another helper's arguments it is a
/// value like any other.
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
        // Another helper's argument is a value as a whole; marks within it would be those of two.
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

/// Writes a value as JSON, with each of its strings marked.
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

/// Makes all helpers known to `registry`.
pub(super) fn register(registry: &mut Handlebars<'static>) {
    let gives: [(&str, Make); 3] = [
        ("truncate", truncate_helper),
        ("join", join),
        ("default", default),
    ];
    for (name, helper) in gives {
        registry.register_helper(name, Box::new(Gives(helper)));
    }
    let trusted: [(&str, Make); 10] = [
        ("t", translate),
        ("time", time),
        ("ago", ago),
        ("span", span),
        ("mention", |_| scene(|scene| scene.mention.clone().into())),
        ("pictures", |_| scene(|scene| scene.pictures.clone().into())),
        ("person", |_| scene(|scene| scene.person.clone().into())),
        ("reporter", |_| scene(|scene| scene.reporter.clone().into())),
        ("color", color),
        ("icon", icon),
    ];
    for (name, helper) in trusted {
        registry.register_helper(name, Box::new(Trusted(helper)));
    }
    registry.register_helper("json", Box::new(Json));
}

/// Feishu's colour of the severity, or of a status.
fn color(helper: &Helper<'_>) -> Answer {
    paint(helper).map(|(color, _)| color.into())
}

/// The same colour as a sign, for those who show no other.
fn icon(helper: &Helper<'_>) -> Answer {
    paint(helper).map(|(_, icon)| icon.into())
}

fn paint(helper: &Helper<'_>) -> Result<(&'static str, &'static str), RenderError> {
    if helper.param(0).is_none() {
        return scene(|scene| match scene.severity {
            Severity::Critical => ("red", "🔴"),
            Severity::Warning => ("orange", "🟠"),
            Severity::Info => ("blue", "🔵"),
        });
    }
    let Some(code) = value(helper, 0)?.get("code") else {
        return fail(format!(
            "the argument of {} is feedback.status",
            helper.name()
        ));
    };
    Ok(match code.as_i64().map(FeedbackStatus) {
        Some(FeedbackStatus::UNPROCESSED) => ("orange", "🟠"),
        Some(FeedbackStatus::PROCESSING) => ("blue", "🔵"),
        Some(FeedbackStatus::PROCESSED) => ("green", "🟢"),
        Some(FeedbackStatus::CLOSED) => ("grey", "⚪"),
        // One that has no name yet, or none at all.
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
        return fail("the second argument of truncate is how many characters to keep");
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    Ok(truncate(&text, count).into())
}

fn instant(helper: &Helper<'_>, index: usize) -> Result<Option<jiff::Timestamp>, RenderError> {
    match value(helper, index)? {
        Value::Null => Ok(None),
        // A time too far away for a calendar is shown as nothing rather than failing the message.
        Value::String(text) => Ok(text.parse().ok()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            fail(format!("{} takes a time of the context", helper.name()))
        }
    }
}

/// Where Feishu is at home. Its readers know which zone a time without one is in.
const HOME_SECS: i32 = 8 * 3600;

fn time(helper: &Helper<'_>) -> Answer {
    let format = match helper.param(1) {
        Some(_) => Some(value(helper, 1)?.render()),
        None => None,
    };
    let Some(at) = instant(helper, 0)? else {
        // What cannot be read is shown as it was written: a value like any other.
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
        Err(_bad_format) => fail("the second argument of time is no format of strftime"),
    }
}

/// The zone as it stands behind a time: ` UTC+5:30`. Chinese readers of Chinese time need none.
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

/// The time from the first to the second; nothing if there is none.
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

/// A list in a row: of texts, or of one key of its objects.
fn join(helper: &Helper<'_>) -> Answer {
    let Some(items) = value(helper, 0)?.as_array() else {
        return fail("the first argument of join is a list");
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

/// The first, or the second where the first is missing, null or empty.
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
