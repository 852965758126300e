//! Renders a subject to a payload: selects the template, the form and the platform.

use serde_json::{Value, json};

use super::context::{self, Context, Reader};
use super::fields::{self, SLACK_TEXT_CHARS_MAX, Size, Spec, Unfit};
use super::helpers::{self, Scene};
use super::mentions;
use super::text::{self, CLOSE, Field, LINK, LINK_END, OPEN, Room};
use super::{
    Audience, Family, Locale, Payload, RenderError, Subject, Templates, Visibility, words,
};
use crate::model::Form;

/// The largest body of a custom bot: 20 KB, including signature and timestamp. Source: Feishu, "自定义机器人使用指南".
const FEISHU_BYTES_MAX: usize = 20 * 1024 - 256;
/// The largest Slack message. Slack publishes no limit; this is well below the size that it rejects.
const SLACK_BYTES_MAX: usize = 40_000;

/// The prefix of the ids by which an app knows people.
const OPEN_ID: &str = "ou_";

impl Templates {
    /// Renders `subject` for `audience` in `form`.
    pub fn payload(
        &self,
        audience: &Audience,
        form: Form,
        subject: &Subject<'_>,
    ) -> Result<Payload, RenderError> {
        self.job(audience, subject).payload(form)
    }

    /// Returns a card or blocks before empty parts are removed, with marked values; `None` if rendering fails.
    pub(super) fn unfinished(&self, audience: &Audience, subject: &Subject<'_>) -> Option<Value> {
        self.job(audience, subject).unfinished(true).ok()
    }

    fn job<'a>(&'a self, audience: &'a Audience, subject: &'a Subject<'a>) -> Job<'a> {
        Job {
            templates: self,
            audience,
            subject,
            name: subject.template(),
        }
    }

    /// Renders `subject` with the built-in `plain` template, which cannot fail.
    pub fn plain(&self, audience: &Audience, form: Form, subject: &Subject<'_>) -> Payload {
        let audience = Audience {
            body: None,
            ..audience.clone()
        };
        let job = Job {
            templates: Self::built_in(),
            audience: &audience,
            subject,
            name: "plain",
        };
        job.payload(form).unwrap_or_else(|_too_large| {
            // Only a limit smaller than any card leads here: the text has just the ids.
            let text = format!(
                "{} {}",
                subject.event.id,
                audience.keyword.as_deref().unwrap_or_default()
            );
            let body = match audience.family {
                Family::Feishu => json!({"msg_type": "text", "content": {"text": text}}),
                Family::Slack | Family::Text | Family::Webhook => json!({ "text": text }),
            };
            Payload::from_stored(form, body.to_string())
        })
    }
}

struct Job<'a> {
    templates: &'a Templates,
    audience: &'a Audience,
    subject: &'a Subject<'a>,
    name: &'a str,
}

impl Job<'_> {
    fn payload(&self, form: Form) -> Result<Payload, RenderError> {
        let rich = match form {
            Form::Full => Some(true),
            Form::NoImages => Some(false),
            Form::Post | Form::Text => None,
        };
        let body = match (self.audience.family, rich) {
            (Family::Webhook, rich) => self.webhook(rich == Some(true))?,
            (Family::Feishu | Family::Slack, Some(with_images)) => {
                match self.message(with_images) {
                    // If a message is too large, its images are removed first.
                    Err(Failed::Unfit(Unfit::TooLarge)) if with_images => self.message(false),
                    other => other,
                }
                .map_err(|failed| failed.named(self))?
            }
            (Family::Feishu, None) if form == Form::Post => self.post()?,
            (Family::Feishu | Family::Slack | Family::Text, _) => self.plain_text()?,
        };
        Ok(Payload::from_stored(form, body))
    }

    fn size(&self) -> Size {
        let of_family = match self.audience.family {
            Family::Feishu => FEISHU_BYTES_MAX,
            Family::Slack => SLACK_BYTES_MAX,
            Family::Webhook | Family::Text => usize::MAX,
        };
        Size {
            bytes_max: self.audience.bytes_max.unwrap_or(of_family),
            sent: self.audience.sent,
        }
    }

    fn spec(&self) -> Spec<'_> {
        Spec {
            family: self.audience.family,
            locale: self.audience.locale,
            size: self.size(),
            keyword: self.audience.keyword.as_deref(),
        }
    }

    fn scene(&self, with_images: bool, mention: String, json: bool) -> Scene {
        let counts = context::uncounted(self.audience, self.subject, with_images);
        Scene {
            locale: self.audience.locale,
            timezone: self.audience.timezone.clone(),
            now: self.subject.now,
            paint: helpers::paint_of(self.subject),
            mention,
            pictures: words::pictures(self.audience.locale, counts),
            person: self.person(json),
            reporter: self.shown_person(self.subject.standing.reporter.as_deref(), json),
            earlier: self.shown_person(self.subject.standing.earlier.as_deref(), json),
            json,
        }
    }

    /// Returns markup for the person who changed the status. Feishu resolves open ids only of the app that sends
    /// the message. Empty if the audience may not see who it is.
    fn person(&self, json: bool) -> String {
        match self.known(self.subject.standing.person.as_deref(), json) {
            Some(id) => format!("<at id={id}></at>"),
            None => String::new(),
        }
    }

    /// Returns markup that shows a person with name and avatar, without notifying them.
    fn shown_person(&self, id: Option<&str>, json: bool) -> String {
        match self.known(id, json) {
            Some(id) => format!("<person id='{id}' show_name=true show_avatar=true></person>"),
            None => String::new(),
        }
    }

    /// Returns the open id if this audience may see it as a person.
    fn known<'a>(&self, id: Option<&'a str>, json: bool) -> Option<&'a str> {
        let shown = json
            && self.audience.family == Family::Feishu
            && self.audience.fields.user == Visibility::Full;
        // `all` is also an id, but mentions everyone.
        let one = |id: &&str| id.starts_with(OPEN_ID) && mentions::is_id(id);
        id.filter(one).filter(|_| shown)
    }

    fn unfit(&self, unfit: Unfit) -> RenderError {
        self.fails(self.audience.family, unfit.to_string())
    }

    fn fails(&self, family: Family, reason: String) -> RenderError {
        RenderError {
            template: format!("{}/{}", family.key(), self.name),
            reason,
        }
    }

    /// Renders a card or blocks, as the template writes them. Values are still marked.
    fn unfinished(&self, with_images: bool) -> Result<Value, RenderError> {
        let family = self.audience.family;
        let context = context::build(self.audience, self.subject, Reader::People, with_images);
        let mention = mentions::markup(self.subject.mentions, family);
        let scene = self.scene(with_images, mention, true);
        let rendered = self
            .templates
            .render(family, self.name, context.tree(), scene)?;
        parse(&rendered).map_err(|reason| self.fails(family, reason))
    }

    /// Renders a card or blocks.
    fn message(&self, with_images: bool) -> Result<String, Failed> {
        let tree = self.unfinished(with_images)?;
        let message = fields::finish(&tree, self.spec(), |message| match self.audience.family {
            Family::Feishu => json!({"msg_type": "interactive", "card": message}),
            Family::Slack | Family::Webhook | Family::Text => message,
        });
        Ok(message?)
    }

    /// Renders the text template. Values are still marked.
    fn text(&self, mention: String) -> Result<String, RenderError> {
        let context = context::build(self.audience, self.subject, Reader::People, false);
        let scene = self.scene(false, mention, false);
        let name = if self.templates.has(Family::Text, self.name) {
            self.name
        } else {
            "plain"
        };
        let text = self
            .templates
            .render(Family::Text, name, context.tree(), scene)?;
        let mut text = text.trim().to_owned();
        if let Some(keyword) = &self.audience.keyword
            && !text::says(&text, keyword)
        {
            text = format!("{text}\n{keyword}");
        }
        Ok(text)
    }

    fn filled(&self, text: &str, field: Field, bytes: usize, chars: usize) -> String {
        let each = Room {
            bytes,
            chars: usize::MAX,
        };
        let whole = Room {
            bytes: usize::MAX,
            chars,
        };
        text::fill(text, field, each, whole, self.audience.locale)
    }

    fn plain_text(&self) -> Result<String, RenderError> {
        let family = self.audience.family;
        let (field, chars) = match family {
            Family::Feishu => (Field::FeishuText, usize::MAX),
            Family::Slack => (Field::Mrkdwn, SLACK_TEXT_CHARS_MAX),
            Family::Webhook | Family::Text => (Field::Plain, usize::MAX),
        };
        let mention = match family {
            Family::Feishu => mentions::text(self.subject.mentions),
            Family::Slack => mentions::markup(self.subject.mentions, family),
            Family::Webhook | Family::Text => mentions::names(self.subject.mentions),
        };
        let text = self.text(mention)?;
        fields::widest(self.size(), |bytes| {
            let text = self.filled(&text, field, bytes, chars);
            Ok(match family {
                Family::Feishu => json!({"msg_type": "text", "content": {"text": text}}),
                Family::Slack => {
                    json!({"text": text, "unfurl_links": false, "unfurl_media": false})
                }
                Family::Webhook | Family::Text => json!({ "text": text }),
            }
            .to_string())
        })
        .map_err(|unfit| self.unfit(unfit))
    }

    /// Renders Feishu's simple rich text: a title and paragraphs.
    fn post(&self) -> Result<String, RenderError> {
        let text = self.text(String::new())?;
        let (title, rest) = text::first_line(&text);
        let language = match self.audience.locale {
            Locale::Zh => "zh_cn",
            Locale::En => "en_us",
        };
        fields::widest(self.size(), |bytes| {
            let title = self.filled(title, Field::FeishuText, bytes, 200);
            let title = title.replace('\n', " ");
            let body = self.filled(rest, Field::FeishuText, bytes, usize::MAX);
            let mut paragraphs = Vec::new();
            let people = mentions::nodes(self.subject.mentions);
            if !people.is_empty() {
                paragraphs.push(Value::Array(people));
            }
            if !body.is_empty() {
                paragraphs.push(json!([{"tag": "text", "text": body}]));
            }
            let post = json!({ language: {"title": title, "content": paragraphs} });
            Ok(json!({"msg_type": "post", "content": {"post": post}}).to_string())
        })
        .map_err(|unfit| self.unfit(unfit))
    }

    /// Renders the standard body, or the operator's own.
    fn webhook(&self, with_images: bool) -> Result<String, RenderError> {
        let context = context::build(self.audience, self.subject, Reader::Programs, with_images);
        match &self.audience.body {
            None => self.standard_body(context),
            Some(body) => self.cut_to_size(self.own_body(body, &context, with_images)?),
        }
    }

    /// Serializes the body directly. Only a body that is too large is converted to a tree, so that its texts can
    /// be cut.
    fn standard_body(&self, data: Context<'_>) -> Result<String, RenderError> {
        let body = StandardBody {
            kind: context::event_type(self.subject),
            timestamp: context::event_time(self.subject).to_string(),
            data,
        };
        let whole = serde_json::to_string(&body).expect("texts and numbers are JSON");
        if self.size().holds(&whole) {
            return Ok(whole);
        }
        self.cut_to_size(parse(&whole).map_err(|reason| self.fails(Family::Webhook, reason))?)
    }

    fn own_body(
        &self,
        body: &str,
        context: &Context<'_>,
        with_images: bool,
    ) -> Result<Value, RenderError> {
        let scene = self.scene(with_images, mentions::names(self.subject.mentions), true);
        let family = Family::Webhook;
        let rendered = self.templates.render(family, body, context.tree(), scene)?;
        let name = body.strip_suffix(".hbs").unwrap_or(body);
        let fails = |reason| RenderError {
            template: format!("webhook/{name}"),
            reason,
        };
        let tree: Value = parse(&rendered).map_err(fails)?;
        if key_has_mark(&tree) {
            return Err(fails(Unfit::ValueAsKey.to_string()));
        }
        Ok(tree)
    }

    fn cut_to_size(&self, tree: Value) -> Result<String, RenderError> {
        let size = self.size();
        if size.bytes_max == usize::MAX {
            let mut tree = tree;
            program_strings(&mut tree, usize::MAX, self.audience.locale);
            return Ok(tree.to_string());
        }
        fields::widest(size, |bytes| {
            let mut tree = tree.clone();
            program_strings(&mut tree, bytes, self.audience.locale);
            Ok(tree.to_string())
        })
        .map_err(|unfit| self.unfit(unfit))
    }
}

/// The standard webhook body, with the envelope of Standard Webhooks.
#[derive(serde::Serialize)]
struct StandardBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: Context<'a>,
}

enum Failed {
    Render(RenderError),
    Unfit(Unfit),
}

impl Failed {
    fn named(self, job: &Job<'_>) -> RenderError {
        match self {
            Self::Render(error) => error,
            Self::Unfit(unfit) => job.unfit(unfit),
        }
    }
}

impl From<RenderError> for Failed {
    fn from(error: RenderError) -> Self {
        Self::Render(error)
    }
}

impl From<Unfit> for Failed {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

/// Parses rendered JSON. The error names the position only, never the text there.
fn parse(rendered: &str) -> Result<Value, String> {
    serde_json::from_str(rendered).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Data
            | serde_json::error::Category::Io => "a quote or comma is missing or too many",
        };
        format!(
            "its output is not JSON: {what} (line {} of the output)",
            error.line()
        )
    })
}

fn key_has_mark(value: &Value) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(key, member)| key.contains(OPEN) || key_has_mark(member)),
        Value::Array(items) => items.iter().any(key_has_mark),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Removes marks from the texts of a webhook body, and cuts texts that are longer than `bytes`.
fn program_strings(value: &mut Value, bytes: usize, locale: Locale) {
    match value {
        Value::String(text) => {
            if text.contains(OPEN) {
                *text = text.replace([OPEN, CLOSE], "");
            }
            if text.contains([LINK, LINK_END]) {
                if !text::places_are_whole(text) {
                    *text = text::strip(text).into_owned();
                }
            } else if text.len() > bytes {
                let room = Room {
                    bytes,
                    chars: usize::MAX,
                };
                *text = text::fit(text, Field::Plain, room, locale);
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| program_strings(item, bytes, locale)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| program_strings(member, bytes, locale)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
