//! The feedback list of an app, and the status of feedback. Sources: doc pages of application-v6.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{self, Path};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use serde_json::{Value, json};

use super::{Api, FakeFeishu, Refused, State, lock, success};
use crate::demo::server::with_fault;

const PAGE_SIZE_MAX: usize = 100;

/// The reported feedback, in order.
#[derive(Debug, Default)]
pub(super) struct Feedbacks(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    items: Vec<Value>,
    /// The longest page, whatever the call asks for. `None`: no limit.
    page_size_max: Option<usize>,
    /// The starts of the pages whose tokens were given out.
    promised: HashSet<usize>,
    /// The events that the platform would send for status changes.
    updates: Vec<Value>,
}

impl FakeFeishu {
    /// Adds an item to the list: an object with at least `feedback_id`, `app_id` and
    /// `feedback_time`.
    pub fn list_feedback(&self, item: Value) {
        lock(&self.state.feedbacks.0).items.push(item);
    }

    /// Returns the current state of a listed item.
    pub fn listed_feedback(&self, id: &str) -> Option<Value> {
        let book = lock(&self.state.feedbacks.0);
        book.items.iter().find(|item| is_of(item, id)).cloned()
    }

    /// Limits pages of the list to this length.
    pub fn list_in_pages_of(&self, count: usize) {
        lock(&self.state.feedbacks.0).page_size_max = Some(count.max(1));
    }

    /// Returns the bodies of the events `…feedback.updated_v6` that the platform would send for the
    /// changes since the last call.
    pub fn take_feedback_updates(&self) -> Vec<Value> {
        std::mem::take(&mut lock(&self.state.feedbacks.0).updates)
    }
}

pub(super) fn routes() -> Router<Arc<State>> {
    let path = "/open-apis/application/v6/applications/{app_id}/feedbacks";
    Router::new()
        .route(path, get(list))
        .route(&format!("{path}/{{feedback_id}}"), patch(set))
}

/// The parameters of a call; an empty one counts as absent.
struct Asked(HashMap<String, String>);

impl Asked {
    fn of(uri: &Uri) -> Self {
        let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(
            pairs
                .into_owned()
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }
}

async fn list(
    extract::State(state): extract::State<Arc<State>>,
    Path(app_id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    state.record(Api::ListFeedback, &path_and_query(&uri), Value::Null);
    with_fault(state.faults.take(&Api::ListFeedback), async {
        match state
            .feedback_caller(&headers, &app_id)
            .and_then(|()| lock(&state.feedbacks.0).page(&app_id, &Asked::of(&uri)))
        {
            Ok(page) => success(&page),
            Err(refused) => refused.into_response(),
        }
    })
    .await
}

async fn set(
    extract::State(state): extract::State<Arc<State>>,
    Path((app_id, feedback_id)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    state.record(Api::SetFeedback, &path_and_query(&uri), Value::Null);
    with_fault(state.faults.take(&Api::SetFeedback), async {
        match state
            .feedback_caller(&headers, &app_id)
            .and_then(|()| lock(&state.feedbacks.0).change(&app_id, &feedback_id, &Asked::of(&uri)))
        {
            Ok(()) => success(&json!({})),
            Err(refused) => refused.into_response(),
        }
    })
    .await
}

impl State {
    /// Returns an error unless the caller may access the feedback of `app_id`.
    fn feedback_caller(&self, headers: &HeaderMap, app_id: &str) -> Result<(), Refused> {
        self.caller(headers)?;
        match self.apps.iter().any(|app| app.app_id == app_id) {
            true => Ok(()),
            false => Err(Refused::bad(210_506, "no such app")),
        }
    }
}

impl Book {
    fn page(&mut self, app_id: &str, asked: &Asked) -> Result<Value, Refused> {
        let size = asked
            .text("page_size")
            .map_or(Ok(PAGE_SIZE_MAX), str::parse);
        let size = size
            .ok()
            .filter(|size| (1..=PAGE_SIZE_MAX).contains(size))
            .ok_or(Refused::bad(210_502, "page_size is invalid"))?;
        let size = self.page_size_max.map_or(size, |most| most.min(size));
        let begin = match asked.text("page_token") {
            None => 0,
            Some(token) => token
                .parse()
                .ok()
                .filter(|begin| self.promised.contains(begin))
                .ok_or(Refused::bad(210_500, "page_token expired"))?,
        };
        let found = self.items.iter().filter(|item| asked.wants(item, app_id));
        let rest: Vec<&Value> = found.skip(begin).take(size + 1).collect();
        let has_more = rest.len() > size;
        let mut page =
            json!({"feedback_list": rest.get(..size).unwrap_or(&rest), "has_more": has_more});
        if has_more {
            // The token is a number, as in the platform's own model.
            page["page_token"] = json!(begin + size);
            self.promised.insert(begin + size);
        }
        Ok(page)
    }

    fn change(&mut self, app_id: &str, id: &str, asked: &Asked) -> Result<(), Refused> {
        let invalid = Refused::bad(99_992_402, "field validation failed");
        let status = asked
            .number("status")
            .filter(|status| (0..=3).contains(status));
        let (status, operator) = status.zip(asked.text("operator_id")).ok_or(invalid)?;
        let item = self
            .items
            .iter_mut()
            .find(|item| is_of(item, id) && item["app_id"] == app_id)
            .ok_or(invalid)?;
        item["status"] = json!(status);
        item["operator_id"] = json!(operator);
        let update_time = item["feedback_time"].clone();
        item["update_time"] = update_time.clone();
        let number = self.updates.len() + 1;
        self.updates.push(json!({
            "schema": "2.0",
            "header": {
                "event_id": format!("fake-update-{id}-{status}-{number}"),
                "event_type": crate::feishu::UPDATED,
                "app_id": app_id,
            },
            "event": {
                "feedback_ids": [id], "status": status, "app_id": app_id,
                "update_time": update_time, "operator_id": {"open_id": operator},
            },
        }));
        Ok(())
    }
}

impl Asked {
    /// Returns whether the call selects the item. Days are compared as texts because their format
    /// sorts by time.
    fn wants(&self, item: &Value, app_id: &str) -> bool {
        let time = item["feedback_time"].as_str().unwrap_or_default();
        let day = time.get(..10).unwrap_or_default();
        let same = |name| self.number(name).is_none_or(|wanted| item[name] == wanted);
        item["app_id"] == app_id
            && self.text("from_date").is_none_or(|from| day >= from)
            && self.text("to_date").is_none_or(|to| day <= to)
            && same("status")
            && same("feedback_type")
    }
}

/// Returns whether an item has this id. The platform's ids are numbers in its list and texts
/// elsewhere.
fn is_of(item: &Value, id: &str) -> bool {
    match &item["feedback_id"] {
        Value::String(own) => own == id,
        own => own.as_u64().is_some() && own.as_u64() == id.parse().ok(),
    }
}

fn path_and_query(uri: &Uri) -> String {
    uri.path_and_query()
        .map_or("", |whole| whole.as_str())
        .to_owned()
}
