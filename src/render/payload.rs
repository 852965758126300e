//! Holds a rendered message in the form that is stored and sent.

use std::sync::Arc;

use super::text::{LINK, LINK_END, LINK_MRKDWN, json_escape};
use crate::model::{Form, ImageId};

/// A rendered message: JSON before links and requests are signed. It is stored, and retries reuse it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The form: card, rich text or plain text.
    pub form: Form,
    /// Compact JSON, with placeholders for links to the relay.
    body: Arc<str>,
}

impl Payload {
    /// Restores a payload from the store.
    pub fn from_stored(form: Form, body: impl Into<Arc<str>>) -> Self {
        Self {
            form,
            body: body.into(),
        }
    }

    /// Returns the form for the store.
    pub fn as_stored(&self) -> &str {
        &self.body
    }

    /// Returns the JSON to send. Each placeholder is replaced by the link that `link` returns for its image.
    pub fn with_links(&self, link: impl Fn(&ImageId) -> String) -> String {
        // Searching for one character is much faster than for one of two.
        if !self.body.contains(LINK) && !self.body.contains(LINK_MRKDWN) {
            return self.body.as_ref().to_owned();
        }
        let mut out = String::with_capacity(self.body.len() + 256);
        let mut rest = &*self.body;
        while let Some((before, after)) = rest.split_once([LINK, LINK_MRKDWN]) {
            out.push_str(before);
            let mrkdwn = rest
                .get(before.len()..)
                .is_some_and(|from| from.starts_with(LINK_MRKDWN));
            let (id, after) = after.split_once(LINK_END).unwrap_or((after, ""));
            if let Ok(id) = id.parse::<ImageId>() {
                let mut url = link(&id);
                if mrkdwn {
                    url = url
                        .replace('&', "&amp;")
                        .replace('<', "&lt;")
                        .replace('>', "&gt;");
                }
                json_escape(&mut out, &url);
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_take_their_places_safe_for_json_and_mrkdwn() {
        let id = ImageId::of(b"x");
        let body = format!(
            r#"{{"a":"{LINK}{id}{LINK_END}","b":"<{LINK_MRKDWN}{id}{LINK_END}|1>"}}"#,
            id = id.as_str()
        );
        let sent = Payload::from_stored(Form::Full, body)
            .with_links(|id| format!("https://x/{}?a=1&b=\"", id.as_str()));
        let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
        let url = format!("https://x/{}?a=1&b=\"", id.as_str());
        assert_eq!(sent["a"], url.as_str());
        assert_eq!(
            sent["b"],
            format!("<{}|1>", url.replace('&', "&amp;")).as_str()
        );
    }
}
