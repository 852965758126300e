//! All network access. Every request uses an [`HttpClient`]. It limits times and the response size,
//! follows no redirects, and uses only the configured proxy. Its errors never show a URL.
//!
//! There are two clients. [`HttpClient::trusted`] is for addresses that the operator set.
//! [`GuardedClient`] is for addresses from events: it reaches only allowed hosts on public
//! addresses. A [`WebSocket`] starts as a request of the trusted client.

mod address;
mod certificates;
mod foreign;
mod guard;
mod patience;
mod proxies;
mod quote;
mod redact;
mod resolver;
mod websocket;

pub use address::is_global;
pub use certificates::{NO_CERTIFICATES, has_certificates};
pub use guard::{Fetched, GuardError, GuardPolicy, GuardedClient, Room, host_matches, host_of};
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

/// The largest part of a message's response that is read, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The largest number of header lines in a response. With the library's limit of 100, some
/// responses would count as lost.
const HEADERS_MAX: usize = 1024;
/// The time limit of a response body if the head decides everything.
const IDLE_BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// The time limit of connecting.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An HTTP client with limits. Clones share its connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: reqwest::Client,
    speaks_https: bool,
    proxies: Arc<[Secret]>,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Patch,
    Put,
}

/// A request.
#[derive(Debug)]
pub struct Request<'a> {
    pub method: Method,
    /// The URL, which may be a secret itself.
    pub url: &'a Secret,
    /// Header names and values.
    pub headers: Vec<(String, Secret)>,
    pub body: Body,
    /// The time limit of the whole exchange.
    pub timeout: Duration,
}

/// A request body. A clone shares the bytes.
#[derive(Clone, Debug)]
pub enum Body {
    Empty,
    /// Bytes; the request's `content-type` header gives their type.
    Bytes(Bytes),
    /// A form with text fields and one file.
    Multipart {
        /// Names and values of the text fields.
        fields: Vec<(&'static str, String)>,
        /// The name of the file's field.
        file_field: &'static str,
        /// The file name, which receivers require.
        file_name: String,
        /// The file's media type.
        file_type: &'static str,
        /// The file's content.
        file: Bytes,
    },
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, cut at the size limit.
    pub body: Bytes,
    /// Whether the body was longer than the limit.
    pub truncated: bool,
}

impl Answer {
    /// Returns the first value of a header; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the host that a redirect names. The rest of the URL is left out because it can be a
    /// secret.
    pub fn redirect_host(&self) -> Option<String> {
        let url = url::Url::parse(self.header("location")?).ok()?;
        url.host_str().map(str::to_owned)
    }

    /// Returns whether the status is a success.
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status <= 299
    }

    /// Returns the time of the peer's clock.
    pub fn date(&self) -> Option<Timestamp> {
        let date = jiff::fmt::rfc2822::parse(self.header("date")?).ok()?;
        Some(Timestamp::from_millis(date.timestamp().as_millisecond()))
    }

    /// Returns how far `now` is ahead of the peer's clock, in seconds, by the response's `Date`
    /// header.
    pub fn clock_ahead_secs(&self, now: Timestamp) -> Option<i64> {
        Some(now.as_secs().saturating_sub(self.date()?.as_secs()))
    }
}

/// Why there is no complete response. The reasons are safe to log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// Nothing was sent: connection refused, unknown host, no route, or TLS failed. Repeating is
    /// safe.
    #[error("not sent: {0}")]
    Unsent(String),
    /// The peer's certificate is not trusted. Nothing was sent.
    #[error("not sent, the certificate is not valid: {0}")]
    Certificate(String),
    /// The request was sent, at least in part, and the response was lost. The peer may have
    /// accepted it.
    #[error("the answer was lost: {0}")]
    Lost(String),
    /// The address must not be reached.
    #[error("address refused: {0}")]
    Refused(String),
}

/// A proxy's address cannot be used, or the platform's certificates cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client: {0}")]
pub struct ClientError(String);

impl HttpClient {
    /// Creates a client for addresses that the operator set; http, loopback and private hosts are
    /// allowed. `proxy` may contain a password.
    pub fn trusted(proxy: Option<&Secret>) -> Result<Self, ClientError> {
        let way = proxy.map(|proxy| reqwest::Proxy::all(proxy.expose()));
        Self::through(way.transpose(), proxy.into_iter())
    }

    /// Creates a client like [`HttpClient::trusted`] with the proxies of the configuration or the
    /// environment.
    pub fn by(proxies: &Proxies) -> Result<Self, ClientError> {
        let all = [&proxies.https, &proxies.http].into_iter().flatten();
        Self::through(by_proxies(proxies).transpose(), all)
    }

    /// Returns the addresses of the proxies. A proxy may repeat its address, and the password in it, in a page.
    pub fn proxies(&self) -> &[Secret] {
        &self.proxies
    }

    fn through<'a>(
        proxy: reqwest::Result<Option<reqwest::Proxy>>,
        proxies: impl Iterator<Item = &'a Secret>,
    ) -> Result<Self, ClientError> {
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
            proxies: proxies.cloned().collect(),
        })
    }

    /// Returns an error if the URL needs certificates and the machine has none.
    fn check_certificates(&self, url: &Secret) -> Result<(), NetError> {
        let url = url.expose().get(..5).unwrap_or_default();
        let needs = url.eq_ignore_ascii_case("https") || url.eq_ignore_ascii_case("wss:/");
        if needs && !self.speaks_https {
            return Err(NetError::Certificate(NO_CERTIFICATES.into()));
        }
        Ok(())
    }

    /// Sends a request and reads at most [`ANSWER_BYTES_MAX`] of the response body.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, NetError> {
        self.send_up_to(request, ANSWER_BYTES_MAX).await
    }

    /// Does the same as [`Self::send`] with a limit of `bytes_max`, for lists. If the body breaks
    /// off, the status still counts. A broken success is an error, because its content is unknown,
    /// unless its beginning shows a page.
    pub async fn send_up_to(
        &self,
        request: Request<'_>,
        bytes_max: usize,
    ) -> Result<Answer, NetError> {
        let response = self.begin(request).await?;
        let (answer, lost) = read(response, bytes_max).await;
        match lost {
            Some(error) if answer.is_success() && !answer.is_page() => Err(error),
            Some(_) | None => Ok(answer),
        }
    }

    /// Does the same as [`Self::send`] for receivers whose head decides everything: a cut, slow or
    /// endless body changes nothing.
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

/// Returns the proxies as the HTTP library takes them.
fn by_proxies(proxies: &Proxies) -> Option<reqwest::Result<reqwest::Proxy>> {
    let all = [&proxies.https, &proxies.http].into_iter().flatten();
    // Each proxy is checked here because the library ignores one that is not a URL.
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

/// Reads the body until it ends or fails; the error says why it failed.
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

/// Returns the headers of a response, names in lower case.
fn headers(response: &reqwest::Response) -> Vec<(String, String)> {
    let headers = response.headers().iter();
    let text = |value: &reqwest::header::HeaderValue| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    };
    headers
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

/// Classifies a failed exchange. Without a connection nothing was sent; after any other failure the
/// peer may have read the request.
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

/// Returns an error and its sources in one line.
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
