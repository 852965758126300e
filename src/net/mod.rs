//! The only door to the network: every request leaves through an [`HttpClient`], with time limits, a
//! cap on what is read of the answer, no redirects, no proxy but one that is configured, and errors
//! that never show a URL.
//!
//! There are two: one for addresses that the operator typed ([`HttpClient::trusted`]), and one for
//! addresses that came with an event ([`GuardedClient`]), which reaches allowed hosts on public
//! addresses only. A [`WebSocket`] begins as a request of the first kind and so goes the same way.

mod address;
mod certificates;
mod guard;
mod patience;
mod proxies;
mod quote;
mod redact;
mod resolver;
mod websocket;

pub use address::is_global;
pub use certificates::{NO_CERTIFICATES, has_certificates};
pub use guard::{Fetched, GuardError, GuardPolicy, GuardedClient, host_matches, host_of};
pub use patience::Patience;
pub use proxies::Proxies;
pub use quote::{quote, whole_quote, with_quote};
pub use redact::Redactor;
pub use websocket::{Heard, OpenError, SOCKET_MESSAGE_BYTES_MAX, SocketError, WebSocket};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::{Secret, Timestamp};
use resolver::Resolver;

/// How much of an answer to a message is read.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How many lines of headers an answer may have. Beyond the library's own hundred an answer that came would
/// be taken for lost.
const HEADERS_MAX: usize = 1024;
/// How long the body of an answer may take whose head says all there is to know.
const IDLE_BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An HTTP client with limits. Clones share its connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: reqwest::Client,
    speaks_https: bool,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// To read.
    Get,
    /// To read all but the body.
    Head,
    /// To take what is sent.
    Post,
    /// To change a part.
    Patch,
    /// To replace the whole.
    Put,
}

/// A request.
#[derive(Debug)]
pub struct Request<'a> {
    /// What for.
    pub method: Method,
    /// Where to. May be a secret itself.
    pub url: &'a Secret,
    /// Header names and values.
    pub headers: Vec<(String, Secret)>,
    /// What is sent.
    pub body: Body,
    /// How long the whole exchange may take.
    pub timeout: Duration,
}

/// What is sent with a request. A clone shares the bytes.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes of the type that a `content-type` header among the request's says.
    Bytes(Bytes),
    /// A form with text fields and one file.
    Multipart {
        /// Names and values.
        fields: Vec<(&'static str, String)>,
        /// The name of the file's field.
        file_field: &'static str,
        /// The file's own name, which receivers demand.
        file_name: String,
        /// Its media type.
        file_type: &'static str,
        /// Its bytes.
        file: Bytes,
    },
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, at most the cap.
    pub body: Bytes,
    /// Whether there was more of it.
    pub truncated: bool,
}

impl Answer {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether its body is a page for people: something that stands in front of the receiver spoke.
    pub fn is_page(&self) -> bool {
        let typed = self.header("content-type").unwrap_or_default();
        typed.to_ascii_lowercase().contains("html")
            || self.body.trim_ascii_start().starts_with(b"<")
    }

    /// Where a redirect leads: the host alone, because the rest can be a secret.
    pub fn redirect_host(&self) -> Option<String> {
        let url = url::Url::parse(self.header("location")?).ok()?;
        url.host_str().map(str::to_owned)
    }

    /// Whether the status is a success.
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status <= 299
    }

    /// The time by the peer's clock.
    pub fn date(&self) -> Option<Timestamp> {
        let date = jiff::fmt::rfc2822::parse(self.header("date")?).ok()?;
        Some(Timestamp::from_millis(date.timestamp().as_millisecond()))
    }

    /// How far `now` is ahead of the peer's clock, in seconds, by the `Date` of its answer.
    pub fn clock_ahead_secs(&self, now: Timestamp) -> Option<i64> {
        Some(now.as_secs().saturating_sub(self.date()?.as_secs()))
    }
}

/// No (whole) answer came. The reasons are fit for a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// Nothing was sent: refused, no such host, no route, TLS failed. Repeating is safe.
    #[error("not sent: {0}")]
    Unsent(String),
    /// The peer's certificate is not one to trust. Nothing was sent.
    #[error("not sent, the certificate is not valid: {0}")]
    Certificate(String),
    /// Sent, at least in part, and the answer was lost: it may have been taken.
    #[error("the answer was lost: {0}")]
    Lost(String),
    /// The address is one that must not be reached.
    #[error("address refused: {0}")]
    Refused(String),
}

/// A proxy's address cannot be used, or the platform's certificates cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client: {0}")]
pub struct ClientError(String);

impl HttpClient {
    /// A client for addresses that the operator typed: http, loopback and private hosts are the
    /// operator's word. `proxy` may hold a password.
    pub fn trusted(proxy: Option<&Secret>) -> Result<Self, ClientError> {
        let proxy = proxy.map(|proxy| reqwest::Proxy::all(proxy.expose()));
        Self::through(proxy.transpose())
    }

    /// A client like [`HttpClient::trusted`], by the ways out that the configuration or the environment names.
    pub fn by(proxies: &Proxies) -> Result<Self, ClientError> {
        Self::through(by_proxies(proxies).transpose())
    }

    fn through(proxy: reqwest::Result<Option<reqwest::Proxy>>) -> Result<Self, ClientError> {
        let proxy =
            proxy.map_err(|_may_show_it| ClientError("the proxy's address is not a URL".into()))?;
        let builder = || {
            let builder = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .dns_resolver(Arc::new(Resolver::trusted()))
                .connect_timeout(CONNECT_TIMEOUT)
                .http1_max_headers(HEADERS_MAX)
                .pool_idle_timeout(Duration::from_secs(30))
                .user_agent(concat!("feedback-relay/", env!("CARGO_PKG_VERSION")));
            match &proxy {
                Some(proxy) => builder.proxy(proxy.clone()),
                None => builder,
            }
        };
        let built = certificates::build(builder)?;
        Ok(Self {
            client: built.client,
            speaks_https: built.speaks_https,
        })
    }

    /// Fails where an address needs certificates and the machine has none.
    fn check_certificates(&self, url: &Secret) -> Result<(), NetError> {
        let url = url.expose().get(..5).unwrap_or_default();
        let needs = url.eq_ignore_ascii_case("https") || url.eq_ignore_ascii_case("wss:/");
        if needs && !self.speaks_https {
            return Err(NetError::Certificate(NO_CERTIFICATES.into()));
        }
        Ok(())
    }

    /// Sends a request and reads the answer, at most [`ANSWER_BYTES_MAX`] of its body.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, NetError> {
        self.send_up_to(request, ANSWER_BYTES_MAX).await
    }

    /// The same, with at most `bytes_max` of the answer's body: for lists. Of an answer whose body breaks off
    /// the status still counts, unless it is a success: then nobody knows of what.
    pub async fn send_up_to(
        &self,
        request: Request<'_>,
        bytes_max: usize,
    ) -> Result<Answer, NetError> {
        let response = self.begin(request).await?;
        let (answer, lost) = read(response, bytes_max).await;
        match lost {
            Some(error) if answer.is_success() => Err(error),
            Some(_) | None => Ok(answer),
        }
    }

    /// The same for a receiver whose head says all: a body that is cut, slow or endless changes nothing.
    pub async fn send_for_head(&self, request: Request<'_>) -> Result<Answer, NetError> {
        let response = self.begin(request).await?;
        let (status, headers) = (response.status().as_u16(), headers(&response));
        let body = tokio::time::timeout(IDLE_BODY_TIMEOUT, read(response, ANSWER_BYTES_MAX));
        let late = |_elapsed| Answer {
            status,
            headers,
            body: Bytes::new(),
            truncated: true,
        };
        Ok(body.await.map_or_else(late, |(answer, _lost)| answer))
    }

    async fn begin(&self, request: Request<'_>) -> Result<reqwest::Response, NetError> {
        self.check_certificates(request.url)?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
            Method::Put => reqwest::Method::PUT,
        };
        let mut builder = self
            .client
            .request(method, request.url.expose())
            .timeout(request.timeout);
        for (name, value) in &request.headers {
            builder = builder.header(name.as_str(), value.expose());
        }
        let builder = match request.body {
            Body::Empty => builder,
            Body::Bytes(bytes) => builder.body(bytes),
            Body::Multipart {
                fields,
                file_field,
                file_name,
                file_type,
                file,
            } => {
                let part = reqwest::multipart::Part::stream(file)
                    .file_name(file_name)
                    .mime_str(file_type)
                    .map_err(|_no_type| NetError::Refused("no media type".into()))?;
                let form = reqwest::multipart::Form::new().part(file_field, part);
                builder.multipart(
                    fields
                        .into_iter()
                        .fold(form, |form, (k, v)| form.text(k, v)),
                )
            }
        };
        builder.send().await.map_err(classify)
    }
}

/// The proxies as the client takes them.
fn by_proxies(proxies: &Proxies) -> Option<reqwest::Result<reqwest::Proxy>> {
    let all = [&proxies.https, &proxies.http].into_iter().flatten();
    // Each is tried out, for the client ignores one that is not a URL.
    if let Some(Err(error)) = all
        .clone()
        .map(|one| reqwest::Proxy::all(one.expose()))
        .find(Result::is_err)
    {
        return Some(Err(error));
    }
    all.clone().next()?;
    let proxies = proxies.clone();
    let way = move |url: &url::Url| proxies.of(url).map(|proxy| proxy.expose().to_owned());
    Some(Ok(reqwest::Proxy::custom(way)))
}

/// Reads the body, as far as it comes; the error is why no more came.
async fn read(mut response: reqwest::Response, bytes_max: usize) -> (Answer, Option<NetError>) {
    let status = response.status().as_u16();
    let headers = headers(&response);
    let mut body = Vec::new();
    let mut truncated = false;
    let mut lost = None;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = bytes_max - body.len();
                body.extend(chunk.iter().take(room));
                if chunk.len() > room {
                    truncated = true;
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                lost = Some(classify(error));
                truncated = true;
                break;
            }
        }
    }
    let body = body.into();
    let answer = Answer {
        status,
        headers,
        body,
        truncated,
    };
    (answer, lost)
}

/// The headers of an answer, names in lower case.
fn headers(response: &reqwest::Response) -> Vec<(String, String)> {
    let headers = response.headers().iter();
    let text = |value: &reqwest::header::HeaderValue| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    };
    headers
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

/// What a failed exchange came to. A connection that was never made carried nothing; any other
/// failure may have come after the request was read.
fn classify(error: reqwest::Error) -> NetError {
    let error = error.without_url();
    let reason = chain(&error);
    if error.is_builder() {
        return NetError::Refused(reason);
    }
    if !error.is_connect() {
        return NetError::Lost(if error.is_timeout() {
            "no answer in time".into()
        } else {
            reason
        });
    }
    if reason.contains("certificate") {
        NetError::Certificate(reason)
    } else {
        NetError::Unsent(reason)
    }
}

/// An error and its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
