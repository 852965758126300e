//! A Feishu/Lark application whose events come in.

use jiff::tz::TimeZone;

use crate::model::{AppName, Secret};

/// A checked `[apps.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its name in the configuration.
    pub name: AppName,
    /// The platform's id of it, `cli_…`.
    pub app_id: String,
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
