//! Clicks in Slack: checked, answered, and where nothing shows in the channel, told to the clicker alone.

use std::time::Duration;

use serde_json::json;

use super::{Clicker, Closing, Pressed};
use crate::model::{DestinationName, Secret, Timestamp};
use crate::render::Locale;
use crate::slack::{Click, Refusal, SlackClient, Unverified};
use crate::telemetry::events::ButtonPressed;

/// How long the word to the clicker may take.
const TELL_TIMEOUT: Duration = Duration::from_secs(10);

/// A destination in Slack whose messages carry buttons.
#[derive(Clone, Debug)]
pub struct SlackPlace {
    /// Tells Slack's clicks from others'.
    pub signing_secret: Secret,
    /// Speaks to the clicker.
    pub client: SlackClient,
    /// In this language.
    pub locale: Locale,
}

/// A word for one person.
#[derive(Debug)]
pub struct Whisper {
    client: SlackClient,
    address: Secret,
    text: &'static str,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// No such destination has buttons.
    NoSuchPlace,
    /// It is not Slack's.
    Refused(Refusal),
}

impl Closing {
    /// Takes what Slack sent about the messages of a destination. Where the outcome does not show in the
    /// channel, the word to the clicker is returned, to be sent once Slack has its answer.
    pub async fn slack_pressed(
        &self,
        name: &DestinationName,
        request: Unverified<'_>,
        now: Timestamp,
    ) -> Result<Option<Whisper>, NotTaken> {
        let settings = self.settings.get();
        let place = settings.slack.get(name).ok_or(NotTaken::NoSuchPlace)?;
        let interaction = request
            .verify(&place.signing_secret, now)
            .map_err(|refusal| {
                self.metrics.emit(ButtonPressed {
                    through: crate::model::Through::Slack,
                    act: None,
                    result: "refused",
                });
                NotTaken::Refused(refusal)
            })?;
        // Slack sends other things to the same address: buttons that only open a link, for one.
        let Some(click) = interaction.click().filter(|click| click.value.is_some()) else {
            return Ok(None);
        };
        let clicker = Clicker::Slack {
            user: click.user.clone(),
            name: click.user_name.clone(),
        };
        let pressed = self.press(click.value.as_deref(), &clicker).await;
        Ok(whisper(place, click, pressed))
    }
}

fn whisper(place: &SlackPlace, click: Click, pressed: Pressed) -> Option<Whisper> {
    let shows = matches!(pressed, Pressed::Done { .. });
    let address = click.response_url.filter(|_| !shows)?;
    let (zh, en) = pressed.says();
    Some(Whisper {
        client: place.client.clone(),
        address,
        text: match place.locale {
            Locale::Zh => zh,
            Locale::En => en,
        },
    })
}

impl Whisper {
    /// Says it. Where that fails the clicker sees the message as it is, which is the truth as well.
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
            .post_to(&self.address, media_type, body, TELL_TIMEOUT);
        match sent.await {
            Ok(Ok(answer)) if answer.status == 200 => {}
            Ok(Ok(answer)) => {
                tracing::info!(status = answer.status, "the clicker was not told");
            }
            Ok(Err(error)) => tracing::info!(%error, "the clicker was not told"),
            Err(foreign) => tracing::warn!(error = %foreign, "the clicker was not told"),
        }
    }
}
