//! Handles button actions in Slack: verifies and answers them. Results that the channel does not show go to the
//! actor in an ephemeral reply.

use std::time::Duration;

use serde_json::json;

use super::{ActionResult, ButtonUser, Triage};
use crate::model::{DestinationName, EDITABLE_FOR, Secret, Timestamp};
use crate::render::Locale;
use crate::slack::{ButtonClick, Refusal, SlackClient, Unverified};
use crate::telemetry::events::ButtonPressed;
use crate::telemetry::words::CLICK_REFUSED;

/// The time limit of an ephemeral reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// A destination in Slack whose messages carry buttons.
#[derive(Clone, Debug)]
pub struct SlackTarget {
    /// Verifies that button actions come from Slack.
    pub signing_secret: Secret,
    /// Sends ephemeral replies.
    pub client: SlackClient,
    /// The language of ephemeral replies.
    pub locale: Locale,
}

/// An ephemeral reply to one person.
#[derive(Debug)]
pub struct EphemeralReply {
    client: SlackClient,
    address: Secret,
    text: String,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// No destination of this name has buttons.
    NoSuchPlace,
    /// The request is not authentic.
    Refused(Refusal),
}

impl Triage {
    /// Returns whether this destination receives button actions.
    pub fn has_slack(&self, name: &DestinationName) -> bool {
        self.settings.get().slack.contains_key(name)
    }

    /// Returns the destinations that receive button actions.
    pub fn slack_names(&self) -> Vec<DestinationName> {
        self.settings.get().slack.keys().cloned().collect()
    }

    /// Handles a request from Slack about the messages of a destination. If the channel does not show the
    /// result, an ephemeral reply is returned, to be sent after Slack has its answer.
    pub async fn slack_pressed(
        &self,
        name: &DestinationName,
        request: Unverified<'_>,
        now: Timestamp,
    ) -> Result<Option<EphemeralReply>, NotTaken> {
        let settings = self.settings.get();
        let place = settings.slack.get(name).ok_or(NotTaken::NoSuchPlace)?;
        let interaction = request
            .verify(&place.signing_secret, now)
            .map_err(|refusal| {
                self.metrics.emit(ButtonPressed {
                    through: crate::model::ChangeSource::Slack,
                    act: None,
                    result: CLICK_REFUSED,
                });
                NotTaken::Refused(refusal)
            })?;
        // Slack sends other requests to the same URL, for example for buttons that only open a link.
        let Some(click) = interaction.click().filter(|click| click.value.is_some()) else {
            return Ok(None);
        };
        let clicker = ButtonUser::Slack {
            destination: name.clone(),
            user: click.user.clone(),
            name: click.user_name.clone(),
        };
        let pressed = self.press(click.value.as_deref(), &clicker).await;
        Ok(whisper(place, click, &pressed, now))
    }
}

fn whisper(
    place: &SlackTarget,
    click: ButtonClick,
    pressed: &ActionResult,
    now: Timestamp,
) -> Option<EphemeralReply> {
    let shows = matches!(pressed, ActionResult::Done { .. }) && !is_old(&click, now);
    let address = click.response_url.filter(|_| !shows)?;
    let (zh, en) = pressed.says();
    Some(EphemeralReply {
        client: place.client.clone(),
        address,
        text: match place.locale {
            Locale::Zh => zh,
            Locale::En => en,
        },
    })
}

/// Returns whether the message is too old to be edited. Its `ts` is its time in seconds since 1970.
fn is_old(click: &ButtonClick, now: Timestamp) -> bool {
    let whole = click
        .message_ts
        .as_deref()
        .and_then(|ts| ts.split('.').next());
    let seconds: Option<i64> = whole.and_then(|seconds| seconds.parse().ok());
    seconds.is_some_and(|seconds| {
        let sent_at = Timestamp::from_millis(seconds.saturating_mul(1000));
        now.since(sent_at) >= EDITABLE_FOR
    })
}

impl EphemeralReply {
    /// Sends the reply. If that fails, the actor sees the message unchanged, which is correct too.
    pub async fn send(self) {
        let body = json!({
            "response_type": "ephemeral",
            "replace_original": false,
            "text": self.text,
        });
        let media_type = "application/json; charset=utf-8";
        let body = body.to_string().into();
        let sent = self
            .client
            .post_to(&self.address, media_type, body, REPLY_TIMEOUT);
        match sent.await {
            Ok(Ok(answer)) if answer.status == 200 => {}
            Ok(Ok(answer)) => {
                tracing::info!(status = answer.status, "failed to send the ephemeral reply");
            }
            Ok(Err(error)) => tracing::info!(%error, "failed to send the ephemeral reply"),
            Err(foreign) => tracing::warn!(error = %foreign, "failed to send the ephemeral reply"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_old_after_its_editable_period() {
        let sent_at = Timestamp::from_millis(1_548_426_417_000);
        let is_old = |ts: Option<&str>, later| {
            let click = ButtonClick {
                user: None,
                user_name: None,
                team: None,
                channel: None,
                message_ts: ts.map(str::to_owned),
                action_id: None,
                value: None,
                response_url: None,
            };
            is_old(&click, sent_at + later)
        };
        let second = Duration::from_secs(1);
        assert!(!is_old(Some("1548426417.840180"), EDITABLE_FOR - second));
        assert!(is_old(Some("1548426417.840180"), EDITABLE_FOR));
        assert!(!is_old(None, EDITABLE_FOR) && !is_old(Some("x"), EDITABLE_FOR));
        assert!(!is_old(Some("9223372036854775807.1"), EDITABLE_FOR));
    }
}
