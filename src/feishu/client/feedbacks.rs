//! The feedback of an app: lists it page by page and sets its status. Sources: doc pages of
//! application-v6, and the models of the platform's SDKs (`list` and `patch_application_feedback`).

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::time::{Instant, sleep_until};

use super::{ApiError, Call, FeishuClient, Unanswered, reply};
use crate::feishu::codes::{Cause, Class, Meaning};
use crate::feishu::event::time;
use crate::feishu::json::{self, Raw};
use crate::feishu::{App, CREATED, Envelope, Reading};
use crate::model::{Private, Timestamp};
use crate::net::{Answer, Body, Method};

/// The scope that both calls need.
pub const FEEDBACK_SCOPE: &str = "application:application.feedback.feedback_info";

const FEEDBACKS_PATH: &str = "/open-apis/application/v6/applications";
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
const SET_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest page size that the platform allows.
const PAGE_SIZE: u32 = 100;
/// The largest page that is read, in bytes: enough for 100 reports of 20 KB with 20 images each,
/// with every character escaped.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The pause between two calls. Neither call has a documented limit; related calls allow five a
/// second.
const SPACING: Duration = Duration::from_millis(200);
/// The days of a list, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
}

/// The platform's token of the next page, passed back unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken(String);

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackPage {
    /// The feedback on the page.
    pub items: Vec<ListedFeedback>,
    /// The number of items without an id, which cannot be used.
    pub unreadable: usize,
    /// The token of the next page. `None` on the last page.
    pub next: Option<PageToken>,
}

/// One feedback of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFeedback {
    /// Its id with all digits.
    pub id: String,
    /// 0 unprocessed, 1 processed, 2 processing, 3 closed.
    pub status: Option<i64>,
    /// When the status last changed.
    pub updated_at: Option<Timestamp>,
    /// The open id of the person who changed the status.
    pub operator: Option<Private>,
    /// The feedback as a created event without an event id, as the store keeps it. A list gives no
    /// other time, so the event's creation time is that of the feedback.
    body: Private,
}

impl ListedFeedback {
    /// Reads the feedback as an event that `app` received. The event's id is the feedback's id.
    pub fn into_reading(self, app: &App) -> Reading {
        Envelope { body: self.body }.into_event(app)
    }
}

/// Why a page could not be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The page token has expired; list again from the first page.
    #[error("the page token has expired")]
    PageTokenExpired,
    /// The call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl FeishuClient {
    /// Lists one page of the feedback about the app `about` (its `cli_…`), reported on `days`.
    /// Without a `token` this is the first page. Needs [`FEEDBACK_SCOPE`].
    pub async fn list_feedbacks(
        &self,
        about: &str,
        days: Days,
        token: Option<&PageToken>,
    ) -> Result<FeedbackPage, ListError> {
        let call = Call {
            method: Method::Get,
            path: format!(
                "{FEEDBACKS_PATH}/{}/feedbacks?{}",
                self.segment(about)?,
                list_query(days, token)
            ),
            body: Body::Empty,
            timeout: LIST_TIMEOUT,
        };
        let answer = self.feedback_call(call).await?;
        if reply::meaning(&answer).is_some_and(|meaning| meaning.class == Class::PageToken) {
            return Err(ListError::PageTokenExpired);
        }
        let body = self.feedback_answer(answer)?;
        let text = String::from_utf8_lossy(&body);
        let page = read_page(
            &json::mend(&text),
            &self.0.app_id,
            &self.0.feedback_timezone,
        );
        page.ok_or_else(|| self.0.retry("the response has no list").into())
    }

    /// Sets the status of a feedback in the name of the acting person, by that person's open id.
    /// `status` is 0 unprocessed, 1 processed, 2 processing, 3 closed. Needs [`FEEDBACK_SCOPE`].
    pub async fn set_feedback_status(
        &self,
        about: &str,
        feedback_id: &str,
        status: i64,
        operator_open_id: &str,
    ) -> Result<(), ApiError> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("user_id_type", "open_id")
            .append_pair("status", &status.to_string())
            .append_pair("operator_id", operator_open_id)
            .finish();
        let call = Call {
            method: Method::Patch,
            path: format!(
                "{FEEDBACKS_PATH}/{}/feedbacks/{}?{query}",
                self.segment(about)?,
                self.segment(feedback_id)?
            ),
            body: Body::Empty,
            timeout: SET_TIMEOUT,
        };
        let answer = self.feedback_call(call).await?;
        self.feedback_answer(answer)?;
        Ok(())
    }

    /// Makes a call after waiting for its turn.
    async fn feedback_call(&self, call: Call) -> Result<Answer, ApiError> {
        self.0.feedback_pace.turn().await;
        match self.call_up_to(call, PAGE_BYTES_MAX).await {
            Ok(answer) if answer.truncated => {
                let what = format!("the response has more than {PAGE_BYTES_MAX} bytes");
                Err(self.0.retry(&what))
            }
            Ok(answer) => Ok(answer),
            Err(Unanswered::NoToken(error)) => Err(error),
            Err(Unanswered::Net(error)) => Err(self.0.unanswered(&error)),
        }
    }

    /// Returns the body of a success. If a scope is missing, names it, because the response may
    /// not.
    fn feedback_answer(&self, answer: Answer) -> Result<bytes::Bytes, ApiError> {
        let lacks_scope = |meaning: Meaning| meaning.class == Class::Stop(Cause::Scope);
        if reply::meaning(&answer).is_some_and(lacks_scope) {
            let code = reply::code(&answer).unwrap_or_default();
            let what = format!("code {code}: the app lacks a scope; grant it {FEEDBACK_SCOPE}");
            return Err(self.0.stop(&what));
        }
        self.0.success(answer)
    }

    /// Encodes an id as a path segment. The platform's ids contain letters, digits and `_`; any
    /// other character could change the path.
    fn segment<'a>(&self, id: &'a str) -> Result<&'a str, ApiError> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !id.is_empty() && id.bytes().all(good) {
            return Ok(id);
        }
        Err(self.0.rejected("an id is not safe in a URL"))
    }
}

fn list_query(days: Days, token: Option<&PageToken>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("user_id_type", "open_id")
        .append_pair("page_size", &PAGE_SIZE.to_string())
        .append_pair("from_date", &days.from.to_string())
        .append_pair("to_date", &days.to.to_string());
    if let Some(PageToken(token)) = token {
        query.append_pair("page_token", token);
    }
    query.finish()
}

/// Spaces calls by the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Waits until the next call is allowed.
    async fn turn(&self) {
        let at = {
            let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let at = next.map_or(now, |next| next.max(now));
            *next = Some(at + SPACING);
            at
        };
        sleep_until(at).await;
    }
}

/// Reads a page. Returns `None` if the response holds no list. An absent list is empty, because the
/// platform leaves empty lists out.
fn read_page(text: &str, app_id: &str, timezone: &TimeZone) -> Option<FeedbackPage> {
    let [data] = json::members(text, ["data"]).ok()?;
    let names = ["feedback_list", "has_more", "page_token"];
    let [list, has_more, token] = json::members(data?.get(), names).ok()?;
    let items = json::elements(list);
    let total = items.len();
    let items: Vec<ListedFeedback> = items
        .into_iter()
        .filter_map(|item| listed(item.get(), app_id, timezone))
        .collect();
    let next = match has_more.is_some_and(|more| more.get() == "true") {
        // Without a token the remaining pages cannot be reached, so the list is unusable.
        true => Some(PageToken(json::text(token)?)),
        false => None,
    };
    Some(FeedbackPage {
        unreadable: total - items.len(),
        items,
        next,
    })
}

/// The members of a list item that are copied into the stored event. The acting person is not among
/// them: that id is stored separately, so it can be erased without the reporter.
#[rustfmt::skip]
const KEPT: [&str; 13] = [
    "app_id", "feedback_time", "tenant_name", "feedback_type", "fault_type", "fault_time", "source",
    "contact", "description", "images", "feedback_path", "status", "update_time",
];

/// Converts an item to a created event. Returns `None` without an id, because nothing else
/// identifies the feedback.
fn listed(item: &str, app_id: &str, timezone: &TimeZone) -> Option<ListedFeedback> {
    let [id, user] = json::members(item, ["feedback_id", "user_id"]).ok()?;
    let id = json::text(id)?;
    let kept = json::members(item, KEPT).ok()?;
    let mut event = format!("\"feedback_id\":{}", quoted(&id));
    if let Some(user) = user_ids(user) {
        push(&mut event, "user_id", &user);
    }
    for (name, raw) in KEPT.iter().zip(&kept) {
        if let Some(raw) = raw {
            push(&mut event, name, raw.get());
        }
    }
    let names = ["status", "feedback_time", "update_time", "operator_id"];
    let [status, reported_at, updated_at, operator] = json::members(item, names).ok()?;
    let mut header = format!("\"event_type\":{}", quoted(CREATED));
    push(&mut header, "app_id", &quoted(app_id));
    if let Some(at) = time(reported_at, timezone) {
        let millis = at.as_millis().to_string();
        push(&mut header, "create_time", &quoted(&millis));
    }
    let body = format!("{{\"schema\":\"2.0\",\"header\":{{{header}}},\"event\":{{{event}}}}}");
    Some(ListedFeedback {
        id,
        status: json::code(status),
        updated_at: time(updated_at, timezone),
        operator: json::text(operator).map(Private::new),
        body: Private::new(body),
    })
}

fn push(members: &mut String, name: &str, raw: &str) {
    write!(members, ",\"{name}\":{raw}").expect("writing to a String does not fail");
}

/// Converts the flat user id of a list to an event's object; an object stays unchanged.
fn user_ids(raw: Raw<'_>) -> Option<String> {
    let is_object = raw?.get().starts_with('{');
    match json::text(raw) {
        Some(open_id) => Some(format!("{{\"open_id\":{}}}", quoted(&open_id))),
        None => is_object.then(|| raw.map(|raw| raw.get().to_owned()))?,
    }
}

/// Returns a text as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
