//! Why a call was refused, and how to react. Source: docs.slack.dev, the lists of errors of
//! `chat.postMessage`, `chat.update` and the methods of files.
//!
//! No free text of a response is repeated. An error's name, scope names and the wrong places in the
//! blocks are kept, but only if they consist of the expected characters.

use super::Members;

const WORD_BYTES_MAX: usize = 64;
const SCOPES_BYTES_MAX: usize = 200;
const PLACE_BYTES_MAX: usize = 80;
const WEBHOOK_GONE: &str = "the webhook, its app or its channel is gone; set a new `url`";
/// The largest number of places in an error; the first ones lead to the rest.
const PLACES_MAX: usize = 3;

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackError {
    /// Slack's name of the error.
    pub error: String,
    /// The scopes that `missing_scope` asks for.
    pub needed: Option<String>,
    /// The scopes that the token has.
    pub provided: Option<String>,
    /// The wrong places in the blocks, e.g. `/blocks/0/text/text`.
    pub places: Vec<String>,
    /// Whether the error is about a file in a block.
    pub about_file: bool,
}

/// How to react to an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wait, then retry.
    SlowDown,
    /// Wait long, because a limit of the workspace's plan is reached.
    WaitLong,
    /// Retry.
    Retry,
    /// Slack failed internally, perhaps after completing the call.
    Perhaps,
    /// Every call fails until an operator acts.
    Stop,
    /// The payload is wrong.
    Payload,
    /// A file in a block is not ready yet, or gone.
    File,
    /// The message cannot be a reply.
    Thread,
    /// The message cannot be updated.
    Unchangeable,
    /// The error is unknown.
    Unknown,
}

impl SlackError {
    pub(super) fn of(members: &Members) -> Self {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let scope = |b: u8| word(b) || b":.,-".contains(&b);
        let error = members
            .text("error")
            .and_then(|text| plain(text, WORD_BYTES_MAX, word));
        let scopes = |name| plain(members.text(name)?, SCOPES_BYTES_MAX, scope);
        let mut details = members.texts("errors");
        details.extend(members.object("response_metadata").texts("messages"));
        let names_file = |detail: &String| {
            let detail = detail.to_lowercase();
            detail.contains("slack file") || detail.contains("slack_file")
        };
        Self {
            error: error.unwrap_or_else(|| "unnamed_error".into()),
            needed: scopes("needed"),
            provided: scopes("provided"),
            about_file: details.iter().any(names_file),
            places: places(&details),
        }
    }

    /// Creates an error from its name, which is all that an incoming webhook sends.
    pub fn of_word(error: String) -> Self {
        Self {
            error,
            needed: None,
            provided: None,
            places: Vec::new(),
            about_file: false,
        }
    }

    /// Returns the description of an incoming webhook's error, safe to log.
    pub fn says_of_a_webhook(&self) -> String {
        match self.error.as_str() {
            // For the app's own calls these errors mean the configured channel.
            "channel_not_found" | "is_archived" | "channel_is_archived" => {
                format!("{}: {WEBHOOK_GONE}", self.error)
            }
            _ => self.says(),
        }
    }

    /// Returns how to react.
    pub fn class(&self) -> Class {
        match self.error.as_str() {
            "ratelimited" | "rate_limited" => Class::SlowDown,
            "message_limit_exceeded" => Class::WaitLong,
            "internal_error" | "fatal_error" => Class::Perhaps,
            "service_unavailable"
            | "request_timeout"
            | "team_added_to_org"
            | "org_login_required"
            | "external_channel_migrating"
            | "rollup_error" => Class::Retry,
            "invalid_blocks" | "invalid_blocks_format" if self.about_file => Class::File,
            "invalid_blocks"
            | "invalid_blocks_format"
            | "invalid_attachments"
            | "msg_blocks_too_long"
            | "msg_too_long"
            | "no_text"
            | "invalid_payload"
            | "missing_text_or_fallback_or_attachments"
            | "user_not_found"
            | "markdown_text_conflict"
            | "too_many_attachments"
            | "attachment_payload_limit_exceeded"
            | "metadata_too_large"
            | "metadata_must_be_sent_from_app"
            | "invalid_charset"
            | "invalid_form_data"
            | "invalid_json"
            | "json_not_object"
            | "invalid_array_arg"
            | "invalid_post_type"
            | "missing_post_type" => Class::Payload,
            "thread_not_found"
            | "cannot_reply_to_message"
            | "restricted_action_thread_locked"
            | "restricted_action_non_threadable_channel" => Class::Thread,
            "message_not_found" | "cant_update_message" | "edit_window_closed" | "is_inactive" => {
                Class::Unchangeable
            }
            _ if self.advice().is_some() => Class::Stop,
            error if error.starts_with("invalid_metadata_") || error.starts_with("invalid_arg") => {
                Class::Payload
            }
            _ => Class::Unknown,
        }
    }

    /// Returns what an operator must do. `None` if the error can end without one.
    fn advice(&self) -> Option<String> {
        Some(match self.error.as_str() {
            "invalid_auth" | "not_authed" | "token_revoked" | "account_inactive" => {
                "the token is refused; check `token`, or reinstall the app".into()
            }
            "token_expired" => {
                "the token has expired; set a new `token`, of an app without token rotation".into()
            }
            "not_allowed_token_type" => "`token` must be a bot's, `xoxb-…`".into(),
            "missing_scope" => format!(
                "the app lacks a scope; grant it {} and reinstall it",
                self.needed.as_deref().unwrap_or("what the call needs")
            ),
            "no_permission"
            | "access_denied"
            | "two_factor_setup_required"
            | "ekm_access_denied"
            | "accesslimited"
            | "team_access_not_granted" => "the workspace does not let the app do this".into(),
            "not_in_channel" => {
                "the bot is not in the channel; invite it there, or grant the app chat:write.public"
                    .into()
            }
            "channel_not_found" => {
                "no such channel, or a private one without the bot; check `channel`, or invite the bot"
                    .into()
            }
            "is_archived" | "channel_is_archived" => "the channel is archived".into(),
            "invalid_token" | "no_service" | "no_service_id" | "no_team" | "team_disabled"
            | "no_active_hooks" => WEBHOOK_GONE.into(),
            "action_prohibited" | "posting_to_general_channel_denied" => {
                "an administrator of the workspace forbids it".into()
            }
            "file_uploads_disabled" => "the workspace does not accept files".into(),
            "team_not_found" => "the workspace does not exist".into(),
            "messages_tab_disabled" => {
                "the app's Messages Tab is off; switch it on under App Home".into()
            }
            "app_access_restricted" => "an administrator keeps the app out of this channel".into(),
            error if error.starts_with("restricted_action") => {
                "an administrator forbids the app to post in this channel".into()
            }
            _ => return None,
        })
    }

    /// Returns the description of the error, safe to log.
    pub fn says(&self) -> String {
        let error = &self.error;
        if let Some(advice) = self.advice() {
            return format!("{error}: {advice}");
        }
        let what = match self.class() {
            Class::SlowDown => "rate limited",
            Class::WaitLong => "the workspace's plan accepts no more messages for now",
            Class::Retry => "not now",
            Class::Perhaps => "an internal error of Slack, perhaps after completing the call",
            Class::Stop => "calls fail until somebody acts",
            Class::Payload => "Slack does not accept the message in this format",
            Class::File => "an image is not ready in Slack yet",
            Class::Thread => "the message cannot be a reply there",
            Class::Unchangeable => "the message can no longer be changed",
            Class::Unknown => "unknown error; the format may be wrong",
        };
        if self.places.is_empty() {
            format!("{error}: {what}")
        } else {
            format!("{error}: {what} ({})", self.places.join(", "))
        }
    }
}

fn plain(text: String, bytes_max: usize, allowed: impl Fn(u8) -> bool) -> Option<String> {
    let fits = text.len() <= bytes_max && text.bytes().all(allowed);
    (fits && !text.is_empty()).then_some(text)
}

/// Returns the pointers in an error's details, e.g. `must be … [json-pointer:/blocks/0/text]`.
fn places(details: &[String]) -> Vec<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || "/_-~".contains(c);
    let mut places: Vec<String> = details
        .iter()
        .filter_map(|detail| detail.split_once("[json-pointer:"))
        .map(|(_, pointer)| {
            pointer
                .chars()
                .take_while(|c| part(*c))
                .take(PLACE_BYTES_MAX)
                .collect()
        })
        .filter(|place: &String| place.starts_with('/'))
        .collect();
    places.dedup();
    places.truncate(PLACES_MAX);
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Answer;
    use crate::slack::ApiResponse;

    fn problem(body: &str) -> SlackError {
        let answer = Answer {
            status: 200,
            headers: Vec::new(),
            body: body.to_owned().into(),
            truncated: false,
        };
        match ApiResponse::of(&answer) {
            ApiResponse::Refused(problem) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn details_are_reported_without_free_text() {
        let body = r#"{"ok":false,"error":"invalid_blocks",
            "errors":["must be less than 3001 characters [json-pointer:/blocks/0/text/text]","reporter"],
            "response_metadata":{"messages":["[ERROR] words of a reporter [json-pointer:/blocks/0/text/text]",
            "[json-pointer:<b>]", 7]}}"#;
        let problem = problem(body);
        assert_eq!(problem.places, ["/blocks/0/text/text"]);
        assert_eq!(problem.class(), Class::Payload);
        assert_eq!(
            problem.says(),
            "invalid_blocks: Slack does not accept the message in this format (/blocks/0/text/text)"
        );
    }

    #[test]
    fn valid_scopes_are_reported_and_invalid_ones_are_not() {
        let found = problem(
            r#"{"ok":false,"error":"missing_scope","needed":"files:write","provided":"chat:write,im:read"}"#,
        );
        assert_eq!(found.provided.as_deref(), Some("chat:write,im:read"));
        assert!(
            found.says().contains("grant it files:write"),
            "{}",
            found.says()
        );
        let found = problem(r#"{"ok":false,"error":"missing_scope","needed":"<script> x"}"#);
        assert_eq!(found.needed, None);
        for odd in [r#""Words of Somebody""#, "7", "null", r#""""#] {
            let found = problem(&format!(r#"{{"ok":false,"error":{odd}}}"#));
            assert_eq!(found.error, "unnamed_error");
            assert_eq!(found.class(), Class::Unknown);
        }
    }

    #[test]
    fn file_that_is_not_ready_is_recognised_by_details() {
        for details in [
            r#""errors":["invalid slack file [json-pointer:/blocks/0/slack_file]"]"#,
            r#""response_metadata":{"messages":["[ERROR] invalid slack file"]}"#,
            r#""errors":["no such thing [json-pointer:/blocks/3/slack_file/id]"]"#,
        ] {
            let body = format!(r#"{{"ok":false,"error":"invalid_blocks",{details}}}"#);
            assert_eq!(problem(&body).class(), Class::File, "{details}");
        }
    }
}
