//! A Feishu or Lark application whose events the relay receives.

use jiff::tz::TimeZone;

use crate::model::{AppName, Secret};

/// The base URL of Feishu's API.
pub const FEISHU_URL: &str = "https://open.feishu.cn";
/// The base URL of Lark's API.
pub const LARK_URL: &str = "https://open.larksuite.com";

/// How the events of an app are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// The platform sends HTTP requests to the relay.
    Webhook,
    /// The relay holds a connection to the platform. If a key or a token is set, HTTP requests are
    /// accepted as well, so switching between the two ways loses no event.
    Websocket,
}

/// A validated `[apps.NAME]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The name in the configuration.
    pub name: AppName,
    /// The platform's id of the app, `cli_…`.
    pub app_id: String,
    pub receive: Receive,
    /// Encrypt keys; several during a rotation. If empty, bodies are not encrypted.
    pub encrypt_keys: Vec<Secret>,
    /// Verification tokens; several during a rotation.
    pub verification_tokens: Vec<Secret>,
    /// The secret for API calls. If `None`, no API call is possible.
    pub app_secret: Option<Secret>,
    /// The base URL of the API without a trailing slash, e.g. `https://open.feishu.cn`.
    pub base_url: String,
    /// The time zone of the times in feedback, which carry none.
    pub feedback_timezone: TimeZone,
}
