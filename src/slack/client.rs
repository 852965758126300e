//! Calls to the Web API. Source: docs.slack.dev "Using the Slack Web API".
//!
//! A [`SlackClient`] is one bot at one base URL. A response is judged by its `ok` and `error`,
//! whatever the HTTP status: see [`ApiResponse`](super::ApiResponse).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use url::Url;

use crate::model::{Secret, hex};
use crate::net::{Answer, Body, HttpClient, Method, NetError, Redactor, Request};

/// The base URL of the Web API.
pub const BASE_URL: &str = "https://slack.com";
/// The domain of the hosts that Slack names for uploads and answers to clicks.
const DOMAIN: &str = "slack.com";
/// The number of hexadecimal digits of the token's hash that identify a bot: 16 bytes.
const OWNER_HEX_DIGITS: usize = 32;

/// Calls the Web API as one bot. Clones share its state.
#[derive(Clone)]
pub struct SlackClient(Arc<Inner>);

struct Inner {
    base_url: String,
    token: Secret,
    http: HttpClient,
    redactor: Redactor,
}

impl fmt::Debug for SlackClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlackClient").finish_non_exhaustive()
    }
}

/// The arguments of a method. Slack's documentation says which format a method accepts.
#[derive(Clone, Debug)]
pub enum Arguments {
    /// A JSON object.
    Json(String),
    /// A form. Not every method that documents JSON accepts a form.
    Form(Vec<(&'static str, String)>),
}

/// An address in Slack's data does not belong to Slack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address is not Slack's")]
pub struct ForeignAddress;

impl SlackClient {
    /// Creates a client with the bot token `xoxb-…`. `base_url` is [`BASE_URL`], except for a test
    /// server or a proxy.
    pub fn new(base_url: &str, token: Secret, http: HttpClient) -> Self {
        Self(Arc::new(Inner {
            base_url: base_url.trim_end_matches('/').to_owned(),
            redactor: Redactor::new(
                http.proxies().iter().chain([&Secret::new(base_url)]),
                [&token],
                [],
            ),
            token,
            http,
        }))
    }

    /// Returns the owner name of the files that this client uploads. It is the same for the same
    /// token and reveals nothing of it.
    pub fn owner(&self) -> String {
        Self::owner_of(&self.0.base_url, &self.0.token)
    }

    /// Returns the [`owner`](Self::owner) of a client with this token.
    pub fn owner_of(base_url: &str, token: &Secret) -> String {
        let mut hash = Sha256::new();
        hash.update(base_url.trim_end_matches('/').as_bytes());
        hash.update(b"\0");
        hash.update(token.expose().as_bytes());
        let mut owner = hex(&hash.finalize());
        owner.truncate(OWNER_HEX_DIGITS);
        format!("slack:{owner}")
    }

    /// Returns the redactor that hides the token, the base URL and the proxies.
    pub fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    /// Calls a method and returns the response, whatever it is;
    /// [`ApiResponse::of`](super::ApiResponse::of) parses it. `timeout` covers the whole exchange.
    pub async fn call(
        &self,
        method: &str,
        arguments: Arguments,
        timeout: Duration,
    ) -> Result<Answer, NetError> {
        let (media_type, body) = match arguments {
            Arguments::Json(json) => ("application/json; charset=utf-8", json),
            Arguments::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(fields);
                ("application/x-www-form-urlencoded", form.finish())
            }
        };
        let bearer = format!("Bearer {}", self.0.token.expose());
        let request = Request {
            method: Method::Post,
            url: &Secret::new(format!("{}/api/{method}", self.0.base_url)),
            headers: vec![
                ("authorization".into(), Secret::new(bearer)),
                ("content-type".into(), Secret::new(media_type)),
            ],
            body: Body::Bytes(body.into()),
            timeout,
        };
        self.0.http.send(request).await
    }

    /// Posts without the token to a URL from an API response or a button click. The URL must belong
    /// to Slack and use https, or have the scheme, host and port of a custom base URL. Otherwise a
    /// forged response could make the relay send requests into its own network.
    pub async fn post_to(
        &self,
        address: &Secret,
        media_type: &'static str,
        body: bytes::Bytes,
        timeout: Duration,
    ) -> Result<Result<Answer, NetError>, ForeignAddress> {
        if !self.is_slacks(address) {
            return Err(ForeignAddress);
        }
        let request = Request {
            method: Method::Post,
            url: address,
            headers: vec![("content-type".into(), Secret::new(media_type))],
            body: Body::Bytes(body),
            timeout,
        };
        Ok(self.0.http.send(request).await)
    }

    fn is_slacks(&self, address: &Secret) -> bool {
        let (Ok(url), Ok(base)) = (Url::parse(address.expose()), Url::parse(&self.0.base_url))
        else {
            return false;
        };
        let Some(host) = url.host_str() else {
            return false;
        };
        if !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        let https = url.scheme() == "https" && url.port().is_none();
        let under_slack = host
            .strip_suffix(DOMAIN)
            .is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
        (https && under_slack) || url.origin() == base.origin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base_url: &str, token: &str) -> SlackClient {
        let http = HttpClient::trusted(None).unwrap();
        SlackClient::new(base_url, Secret::new(token), http)
    }

    #[test]
    fn redactor_hides_token_base_url_and_proxy() {
        let proxy = Secret::new("http://relay:proxy-password@proxy.example.com:3128");
        let http = HttpClient::trusted(Some(&proxy)).unwrap();
        let base_url = "https://slack.example.com/path-of-ours";
        let slack = SlackClient::new(base_url, Secret::new("xoxb-1"), http);
        for secret in ["xoxb-1", "path-of-ours", "proxy-password"] {
            assert_eq!(slack.redactor().clean(secret), "‹secret›");
        }
    }

    #[test]
    fn post_is_refused_for_foreign_addresses() {
        let slack = client(BASE_URL, "xoxb-1");
        let stand_in = client("http://127.0.0.1:4000/", "xoxb-1");
        for (address, wanted) in [
            ("https://files.slack.com/upload/v1/x", [true, true]),
            ("https://slack.com/x", [true, true]),
            ("https://slack.com:443/x", [true, true]),
            ("http://files.slack.com/x", [false, false]),
            ("https://files.slack.com:8443/x", [false, false]),
            ("https://user@files.slack.com/x", [false, false]),
            ("https://notslack.com/x", [false, false]),
            ("https://slack.com.example.com/x", [false, false]),
            ("https://169.254.169.254/x", [false, false]),
            ("http://127.0.0.1:4000/upload", [false, true]),
            ("http://127.0.0.1:4001/upload", [false, false]),
            ("https://127.0.0.1:4000/upload", [false, false]),
            ("http://localhost:4000/upload", [false, false]),
            ("file:///etc/passwd", [false, false]),
            ("nonsense", [false, false]),
        ] {
            let address = Secret::new(address);
            let found = [slack.is_slacks(&address), stand_in.is_slacks(&address)];
            assert_eq!(found, wanted, "{}", address.expose());
        }
    }

    #[test]
    fn owner_depends_on_token_and_does_not_reveal_it() {
        let owner = client(BASE_URL, "xoxb-1").owner();
        assert_eq!(owner, client("https://slack.com/", "xoxb-1").owner());
        assert_ne!(owner, client(BASE_URL, "xoxb-2").owner());
        assert_ne!(owner, client("http://127.0.0.1:1", "xoxb-1").owner());
        assert_eq!(owner.len(), "slack:".len() + OWNER_HEX_DIGITS);
        let shown = format!("{:?}", client(BASE_URL, "xoxb-1"));
        assert!(!shown.contains("xoxb"), "{shown}");
    }
}
