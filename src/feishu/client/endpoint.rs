//! The address of a long connection. It is requested before each connection because an address is
//! valid once.
//!
//! Sources: `ws/const.go` and `ws/client_session.go` of the platform's Go SDK, `ws/client.py` of
//! its Python SDK; 1000040351 from `chenhg5/cc-connect#182`. The SDKs give up on most of these
//! codes. The relay never does: an operator who repairs the app in the console expects the relay to
//! reconnect.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::{FeishuClient, Inner, reply};
use crate::feishu::codes::{self, Cause, Class};
use crate::feishu::frame::LinkSettings;
use crate::model::Secret;
use crate::net::{
    Answer, Body, Method, NetError, OpenError, Redactor, Request, WebSocket, whole_quote,
};

const ENDPOINT_PATH: &str = "/callback/ws/endpoint";
/// The time limit of the request for an address. A client without a limit received nothing for 3.5
/// days (`oapi-sdk-python#169`).
const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit of opening the connection.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of a long connection, valid once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address, which contains the key of the connection.
    url: Secret,
    /// The service id for the frames that the relay sends.
    pub service: i32,
    /// The platform's id of the connection, for logs. Empty if the platform gives none.
    pub device: String,
}

/// Why the platform refuses a connection. Fast retries do not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The id, the secret or the app itself is not accepted.
    Credentials,
    /// The app belongs to Feishu but the request went to Lark, or the reverse.
    Domain,
    /// The app has 50 connections already; another process may be about to end one.
    TooMany,
    /// Any other refusal.
    Other,
}

/// Why there is no connection. The reasons are safe to log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoConnection {
    /// The platform could not be reached, or failed.
    #[error("{reason}")]
    Unreachable {
        /// What happened.
        reason: String,
    },
    /// The platform refused the connection.
    #[error("{reason}")]
    Refused {
        /// The kind of refusal.
        refusal: Refusal,
        /// What the operator must do.
        reason: String,
    },
}

impl FeishuClient {
    /// Requests the address of a connection. Stores the connection settings of the response in
    /// `settings`.
    pub async fn endpoint(&self, settings: &mut LinkSettings) -> Result<Endpoint, NoConnection> {
        let inner = &self.0;
        let answer = inner.ask_endpoint().await?;
        inner.read_endpoint(&answer, settings)
    }

    /// Opens the connection.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<WebSocket, NoConnection> {
        let opened = self.0.http.open_websocket(&endpoint.url, OPEN_TIMEOUT);
        opened.await.map_err(|error| match error {
            OpenError::Net(error) => self.0.unreachable("connecting", &error.to_string()),
            OpenError::Refused { status, headers } => {
                // Headers are read one by one because the address contains the key of the
                // connection.
                let msg = headers.iter().find(|(name, _)| name == "handshake-msg");
                let msg = msg.map_or("", |(_, msg)| msg.as_str());
                let msg = Redactor::new([&endpoint.url], [], []).clean(msg);
                self.0.refused_upgrade(status, &headers, &msg)
            }
        })
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    code: i64,
    #[serde(default, deserialize_with = "crate::feishu::json::text_or_null")]
    msg: String,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Data<'a> {
    #[serde(rename = "URL")]
    url: Option<String>,
    #[serde(borrow)]
    client_config: Option<&'a RawValue>,
}

impl Inner {
    async fn ask_endpoint(&self) -> Result<Answer, NoConnection> {
        let Some(secret) = &self.app_secret else {
            return Err(self.refused(Refusal::Credentials, "it has no `app_secret`"));
        };
        let body = serde_json::json!({ "AppID": self.app_id, "AppSecret": secret.expose() });
        let headers = [("content-type", "application/json"), ("locale", "zh")];
        let request = Request {
            method: Method::Post,
            url: &Secret::new(format!("{}{ENDPOINT_PATH}", self.base_url)),
            headers: headers
                .map(|(name, value)| (name.to_owned(), Secret::new(value)))
                .into(),
            body: Body::Bytes(body.to_string().into()),
            timeout: ENDPOINT_TIMEOUT,
        };
        let asked = self.http.send(request).await;
        asked.map_err(|error| match error {
            NetError::Refused(_) => {
                self.refused(Refusal::Other, &format!("{error}; check `base_url`"))
            }
            NetError::Unsent(_) | NetError::Certificate(_) | NetError::Lost(_) => {
                self.unreachable("requesting the connection address", &error.to_string())
            }
        })
    }

    fn read_endpoint(
        &self,
        answer: &Answer,
        settings: &mut LinkSettings,
    ) -> Result<Endpoint, NoConnection> {
        let log_id = reply::log_id(answer);
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(&answer.body) else {
            return Err(self.no_envelope(answer, &log_id));
        };
        if envelope.code != 0 {
            return Err(self.by_connection_code(envelope.code, &envelope.msg, &log_id));
        }
        let data = envelope.data.filter(|_| answer.status == 200);
        if let Some(config) = data.as_ref().and_then(|data| data.client_config) {
            settings.update(config.get().as_bytes());
        }
        let url = data.and_then(|data| data.url);
        url.and_then(|url| self.place(&url)).ok_or_else(|| {
            let what = format!("the response has no address to connect to{log_id}");
            self.unreachable("requesting the connection address", &what)
        })
    }

    /// Parses an address. Returns `None` if it is invalid. It also returns `None` if the address is
    /// unencrypted while the API uses https, because the key would be sent in the clear.
    fn place(&self, url: &str) -> Option<Endpoint> {
        let parsed = Url::parse(url).ok()?;
        let encrypted = parsed.scheme() == "wss";
        if !encrypted && (parsed.scheme() != "ws" || self.base_url.starts_with("https:")) {
            return None;
        }
        let query = |name: &str| {
            let mut pairs = parsed.query_pairs();
            pairs
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        let device = query("device_id").unwrap_or_default();
        Some(Endpoint {
            url: Secret::new(url),
            service: query("service_id")
                .and_then(|id| id.parse().ok())
                .unwrap_or(0),
            device: device
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(64)
                .collect(),
        })
    }

    /// Judges a response that is not in the platform's format.
    fn no_envelope(&self, answer: &Answer, log_id: &str) -> NoConnection {
        let described = answer.describe_foreign(&self.redactor, "");
        let what = format!("{described}{log_id}");
        match answer.status {
            300..=399 | 404 => self.refused(Refusal::Other, &format!("{what}; check `base_url`")),
            _ => self.unreachable("requesting the connection address", &what),
        }
    }

    /// Returns the failure for a platform code, of the address or of the connection.
    fn by_connection_code(&self, code: i64, msg: &str, log_id: &str) -> NoConnection {
        let meaning = codes::of_a_connection(code, msg);
        let refusal = match meaning.class {
            Class::SlowDown | Class::SlowDownBriefly | Class::Retry => None,
            Class::Stop(Cause::Credentials) => Some(Refusal::Credentials),
            Class::Stop(Cause::Connections) => Some(Refusal::TooMany),
            Class::Stop(Cause::Domain) => Some(Refusal::Domain),
            _ => Some(Refusal::Other),
        };
        let says = match (refusal, meaning.class) {
            (Some(Refusal::Domain), _) => self.wrong_domain(),
            (_, Class::Unknown) => "the platform refuses the connection",
            _ => meaning.says,
        };
        let what = format!("code {code}: {says}{}{log_id}", self.quoted(msg));
        match refusal {
            Some(refusal) => self.refused(refusal, &what),
            None => self.unreachable("requesting the connection address", &what),
        }
    }

    /// Returns the advice which platform to set.
    fn wrong_domain(&self) -> &'static str {
        if self.base_url.contains("larksuite") {
            "this app is not Lark's; set `platform = \"feishu\"`"
        } else if self.base_url.contains("feishu") {
            "this app is not Feishu's; set `platform = \"lark\"`"
        } else {
            "this app belongs to another platform; check `platform` (\"feishu\" or \"lark\") and `base_url`"
        }
    }

    /// Returns the failure for a rejected upgrade. Source: `_parse_ws_conn_exception` of the Python
    /// SDK. 403, and 514 with 1000040350, are the client's fault; after any other status a new
    /// address is worth a try.
    fn refused_upgrade(
        &self,
        status: u16,
        headers: &[(String, String)],
        msg: &str,
    ) -> NoConnection {
        let code = |name: &str| -> Option<i64> {
            let (_, value) = headers.iter().find(|(key, _)| key == name)?;
            value.trim().parse().ok()
        };
        let what = match (code("handshake-status"), code("handshake-autherrcode")) {
            (Some(514), Some(code @ (1_000_040_350 | 1_000_040_351))) => {
                return self.by_connection_code(code, msg, "");
            }
            (Some(403), _) => return self.by_connection_code(403, msg, ""),
            (Some(said), Some(code)) => format!("the handshake was refused with {said} ({code})"),
            (Some(said), None) => format!("the handshake was refused with {said}"),
            (None, _) => format!("HTTP {status}"),
        };
        self.unreachable("connecting", &format!("{what}{}", self.quoted(msg)))
    }

    /// Quotes the platform's message, which says what to do. It contains no text of a reporter.
    fn quoted(&self, msg: &str) -> String {
        whole_quote(&self.redactor.clean(msg))
            .map_or_else(String::new, |quote| format!("; it says \"{quote}\""))
    }

    fn unreachable(&self, doing: &str, what: &str) -> NoConnection {
        let reason = format!("{doing} as app {}: {what}", self.app);
        NoConnection::Unreachable { reason }
    }

    fn refused(&self, refusal: Refusal, what: &str) -> NoConnection {
        let reason = format!("long connection of app {}: {what}", self.app);
        NoConnection::Refused { refusal, reason }
    }
}

#[cfg(test)]
mod tests;
