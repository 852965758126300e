//! A Feishu/Lark application whose events come in.

use jiff::tz::TimeZone;

use crate::model::{AppName, Secret};

/// Where Feishu's API is.
pub const FEISHU_URL: &str = "https://open.feishu.cn";
/// Where Lark's API is.
pub const LARK_URL: &str = "https://open.larksuite.com";

/// How an app's events come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// The platform calls us.
    Webhook,
    /// We hold a connection to the platform. Calls are taken as well where there is a key or a token, so
    /// that a change from one way to the other loses nothing.
    Websocket,
}

/// A checked `[apps.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its name in the configuration.
    pub name: AppName,
    /// The platform's id of it, `cli_…`.
    pub app_id: String,
    /// How its events come in.
    pub receive: Receive,
    /// Encrypt keys; several while one is rotated. Empty: bodies are not encrypted.
    pub encrypt_keys: Vec<Secret>,
    /// Verification tokens; several while one is rotated.
    pub verification_tokens: Vec<Secret>,
    /// For calls to the platform.
    pub app_secret: Option<Secret>,
    /// Where the platform's API is, without a trailing slash, e.g. `https://open.feishu.cn`.
    pub base_url: String,
    /// The zone of the feedback's times, which carry none.
    pub feedback_timezone: TimeZone,
}
