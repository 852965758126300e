//! Tokens of apps. Source: doc "Get `tenant_access_token`".

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use super::{Api, Refused, State, answer, lock};
use crate::demo::server::with_fault;

/// How long a token is valid, in seconds.
const EXPIRE_SECS: u64 = 7200;

/// The granted tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<Granted>);

#[derive(Debug, Default)]
struct Granted {
    count: u64,
    owners: HashMap<String, String>,
}

impl Tokens {
    /// Returns the id of the app that owns a token.
    pub(super) fn owner(&self, token: &str) -> Option<String> {
        lock(&self.0).owners.get(token).cloned()
    }

    pub(super) fn revoke_all(&self) {
        lock(&self.0).owners.clear();
    }

    fn grant(&self, app_id: &str) -> String {
        let mut granted = lock(&self.0);
        granted.count += 1;
        let token = format!("t-fake-{}", granted.count);
        granted.owners.insert(token.clone(), app_id.to_owned());
        token
    }
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new().route(
        "/open-apis/auth/v3/tenant_access_token/internal",
        post(grant),
    )
}

async fn grant(
    extract::State(state): extract::State<Arc<State>>,
    uri: Uri,
    body: Bytes,
) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    // The record contains calls but no secrets.
    state.record(Api::Token, uri.path(), json!({"app_id": asked["app_id"]}));
    with_fault(state.faults.take(&Api::Token), async {
        let known = state
            .apps
            .iter()
            .find(|app| asked["app_id"] == app.app_id.as_str());
        match known {
            Some(app) if asked["app_secret"] == app.app_secret.as_str() => {
                let token = state.tokens.grant(&app.app_id);
                let granted = json!({
                    "code": 0, "msg": "ok", "tenant_access_token": token, "expire": EXPIRE_SECS,
                });
                answer(StatusCode::OK, &granted)
            }
            Some(_) => Refused::quiet(10014, "app secret invalid").into_response(),
            None => Refused::quiet(10014, "app id not exists").into_response(),
        }
    })
    .await
}
