//! Converts a message for custom bots to the API's shape: the card or content as a string, and a post without
//! the envelope that only bots use.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::feishu::messages::Content;

/// Returns the API's form of a message; `None` if the message is not of the feishu family.
pub(super) fn of(payload: &str) -> Option<Content> {
    #[derive(Deserialize)]
    struct Written<'a> {
        msg_type: String,
        #[serde(borrow)]
        card: Option<&'a RawValue>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Enveloped<'a> {
        #[serde(borrow)]
        post: &'a RawValue,
    }
    // Raw, so that a retry repeats the first rendering byte for byte.
    let written: Written<'_> = serde_json::from_str(payload).ok()?;
    let content = match written.msg_type.as_str() {
        "interactive" => written.card?,
        "post" => {
            let content = written.content?.get();
            serde_json::from_str::<Enveloped<'_>>(content).ok()?.post
        }
        _ => written.content?,
    };
    Some(Content {
        msg_type: written.msg_type,
        content: content.get().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_converted_to_the_api_shape() {
        for (payload, msg_type, content) in [
            (
                r#"{"msg_type":"interactive","card":{"schema":"2.0","b":"白\n\"屏\""}}"#,
                "interactive",
                r#"{"schema":"2.0","b":"白\n\"屏\""}"#,
            ),
            (
                r#"{"msg_type":"post","content":{"post":{"zh_cn":{"title":"t","content":[]}}}}"#,
                "post",
                r#"{"zh_cn":{"title":"t","content":[]}}"#,
            ),
            (
                r#"{"msg_type":"text","content":{"text":"x"}}"#,
                "text",
                r#"{"text":"x"}"#,
            ),
        ] {
            let wanted = Content {
                msg_type: msg_type.into(),
                content: content.into(),
            };
            assert_eq!(of(payload), Some(wanted));
        }
    }

    #[test]
    fn invalid_message_is_rejected() {
        for payload in [
            "[]",
            "{}",
            r#"{"msg_type":"interactive"}"#,
            r#"{"msg_type":"text"}"#,
            r#"{"msg_type":"post","content":{"text":"x"}}"#,
        ] {
            assert_eq!(of(payload), None, "{payload}");
        }
    }
}
