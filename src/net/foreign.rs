//! Recognises and describes responses that a platform did not give itself: the page of a proxy, a gateway or
//! a sign-in in front of it, or the answer of another server.

use serde::Deserialize;

use super::{Answer, Redactor, quote};

/// The byte order mark, which may precede a page.
const BOM: &[u8] = b"\xef\xbb\xbf";

impl Answer {
    /// Returns whether the body is an HTML page, which indicates a proxy or gateway instead of the
    /// receiver. The media type alone does not: Slack's `ok` is declared as HTML, as is the output of
    /// most PHP programs.
    pub fn is_page(&self) -> bool {
        let body = self.body.strip_prefix(BOM).unwrap_or(&self.body);
        let body = body.trim_ascii_start();
        let is_json = body.starts_with(b"{") || body.starts_with(b"[");
        body.starts_with(b"<") || (self.declares_page() && !is_json && body.contains(&b'<'))
    }

    /// Returns whether the media type is that of a page, which is all that a request without a body
    /// in its answer can show.
    pub fn declares_page(&self) -> bool {
        let media_type = self.header("content-type").unwrap_or_default();
        media_type.to_ascii_lowercase().contains("html")
    }

    /// Describes a response that the platform did not give, safe to log. `sent` is the request's body,
    /// which is not repeated.
    pub fn describe_foreign(&self, redactor: &Redactor, sent: &str) -> String {
        let status = self.status;
        if (300..=399).contains(&status) {
            let to = self.redirect_host();
            let to = to.map_or_else(String::new, |host| format!(", a redirect to {host}"));
            return format!("HTTP {status}{to}; redirects are not followed");
        }
        let (what, said) = if self.is_page() {
            ("a page in front of the receiver", self.title())
        } else if self.body.trim_ascii().is_empty() {
            ("an empty answer", String::new())
        } else {
            ("an answer that is not the platform's", self.words())
        };
        match quote(&redactor.clean(&said), sent) {
            Some(quote) => format!("HTTP {status}, {what}: \"{quote}\""),
            None => format!("HTTP {status}, {what}"),
        }
    }

    /// Returns the receiver's text: the usual members of a JSON answer, or plain text. A page has none.
    pub fn words(&self) -> String {
        if self.is_page() {
            return String::new();
        }
        let body = String::from_utf8_lossy(&self.body);
        match serde_json::from_str::<Members>(&body) {
            Ok(members) => members.first_text(),
            Err(_) => body.into_owned(),
        }
    }

    /// Returns the title of a page.
    fn title(&self) -> String {
        let page = String::from_utf8_lossy(&self.body);
        // Lowering ASCII letters keeps every byte's place.
        let lower = page.to_ascii_lowercase();
        let title = || {
            let name = lower.find("<title")?;
            let start = name + lower.get(name..)?.find('>')? + 1;
            let end = start + lower.get(start..)?.find("</title")?;
            page.get(start..end)
        };
        title().unwrap_or_default().trim().to_owned()
    }
}

/// The members in which JSON answers hold a text.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Members {
    msg: Text,
    message: Text,
    errmsg: Text,
    error: Text,
    error_description: Text,
    detail: Text,
}

/// A text, or any other value, which is ignored.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Other(serde::de::IgnoredAny),
}

impl Default for Text {
    fn default() -> Self {
        Self::Other(serde::de::IgnoredAny)
    }
}

impl Members {
    fn first_text(self) -> String {
        let Self {
            msg,
            message,
            errmsg,
            error,
            error_description,
            detail,
        } = self;
        [msg, message, errmsg, error_description, detail, error]
            .into_iter()
            .find_map(|text| match text {
                Text::Text(text) if !text.is_empty() => Some(text),
                Text::Text(_) | Text::Other(_) => None,
            })
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, media_type: &str, body: &str) -> Answer {
        Answer {
            status,
            headers: vec![("content-type".into(), media_type.into())],
            body: body.to_owned().into(),
            truncated: false,
        }
    }

    #[test]
    fn page_is_recognised_by_its_markup() {
        for (media_type, body, wanted) in [
            ("text/html", "<html>", true),
            ("text/plain", "\u{feff}\r\n <!doctype html>", true),
            ("", "<!-- x --><p>", true),
            ("text/html; charset=utf-8", "Sign in <b>here</b>", true),
            ("text/html", "ok", false),
            ("text/html", "", false),
            ("text/html", r#"{"ok":true,"text":"<b>"}"#, false),
            ("text/plain", "a < b", false),
        ] {
            let found = answer(200, media_type, body).is_page();
            assert_eq!(found, wanted, "{media_type} {body}");
        }
    }

    #[test]
    fn description_quotes_title_or_text() {
        let redactor = Redactor::new([], [], []);
        let says = |status, body: &str| {
            answer(status, "", body).describe_foreign(&redactor, r#"{"text":"the server is down"}"#)
        };
        for (status, body, wanted) in [
            (
                200,
                "<!DOCTYPE html><HTML><TITLE lang=en> Sign in \n</Title>",
                "HTTP 200, a page in front of the receiver: \"Sign in\"",
            ),
            (
                400,
                "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>",
                "HTTP 400, a page in front of the receiver: \"400 The plain HTTP request was sent to HTTPS port\"",
            ),
            (403, "<p>x</p>", "HTTP 403, a page in front of the receiver"),
            (200, " ", "HTTP 200, an empty answer"),
            (
                404,
                "404 page not found",
                "HTTP 404, an answer that is not the platform's: \"404 page not found\"",
            ),
            (
                200,
                r#"{"message":"no route"}"#,
                "HTTP 200, an answer that is not the platform's: \"no route\"",
            ),
            (
                200,
                "the server is down",
                "HTTP 200, an answer that is not the platform's",
            ),
        ] {
            assert_eq!(says(status, body), wanted);
        }
    }
}
