//! Calls to the open API: one `tenant_access_token` per app, and the requests that use it.
//!
//! A [`FeishuClient`] is one app at one base URL; its clones share one token. A response is judged
//! by its `code`, whatever the HTTP status. If the platform rejects a token, the client replaces it
//! once within a call. [`FeishuClient::ask`] judges a response by the general meaning of its code.
//! [`FeishuClient::call`] returns the response for callers that know more about its codes.

mod endpoint;
#[cfg(test)]
pub(crate) mod fake;
mod feedbacks;
pub mod messages;
mod reply;
#[cfg(test)]
mod tests;
mod token;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::tz::TimeZone;
use serde::Deserialize;

pub use self::endpoint::{Endpoint, NoConnection, Refusal as ConnectionRefusal};
pub use self::feedbacks::{
    Days, FEEDBACK_SCOPE, FeedbackPage, ListError, ListedFeedback, PageToken,
};
pub use self::reply::pause;
use self::reply::token_refused;
use self::token::{Token, TokenCache};
use crate::feishu::App;
use crate::model::{AppName, ImageFormat, Secret};
use crate::net::{
    ANSWER_BYTES_MAX, Answer, Body, HttpClient, Method, NetError, Patience, Redactor, Request,
};

/// The largest image that the platform accepts, in bytes. Source: doc "上传图片".
pub const IMAGE_BYTES_MAX: usize = 10 * 1024 * 1024;

const TOKEN_PATH: &str = "/open-apis/auth/v3/tenant_access_token/internal";
const IMAGE_PATH: &str = "/open-apis/im/v1/images";
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Calls the open API as one app. Clones share its token.
#[derive(Clone)]
pub struct FeishuClient(Arc<Inner>);

struct Inner {
    app: AppName,
    app_id: String,
    app_secret: Option<Secret>,
    base_url: String,
    feedback_timezone: TimeZone,
    http: HttpClient,
    token: TokenCache,
    redactor: Redactor,
    patience: Patience,
    feedback_pace: feedbacks::Pace,
}

impl fmt::Debug for FeishuClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeishuClient")
            .field("app", &self.0.app)
            .finish_non_exhaustive()
    }
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The failure is temporary; retry later.
    #[error("{reason}")]
    Retry {
        /// What happened.
        reason: String,
    },
    /// The platform limits the rate; retry after a pause.
    #[error("{reason}")]
    SlowDown {
        /// The pause that the platform asks for. `None` if it names none.
        pause: Option<Duration>,
        /// What happened.
        reason: String,
    },
    /// Calls fail until an operator acts.
    #[error("{reason}")]
    Stop {
        /// What the operator must do.
        reason: String,
    },
    /// Something in front of the platform answers, for longer than a restart takes. Calls may
    /// succeed again at any time, but an operator must look at it.
    #[error("{reason}")]
    InFront {
        /// What answered.
        reason: String,
    },
    /// The platform rejects this request for good.
    #[error("{reason}")]
    Rejected {
        /// Why the request was rejected.
        reason: String,
    },
}

/// A call to the open API, without its token.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// The path, and the query if there is one.
    pub path: String,
    /// The request body. JSON needs no header of its own.
    pub body: Body,
    /// The time limit of one exchange.
    pub timeout: Duration,
}

/// Why a call got no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The call was not made because no token was available.
    #[error(transparent)]
    NoToken(ApiError),
    /// The request was sent or begun, and failed on the network.
    #[error(transparent)]
    Net(NetError),
}

impl FeishuClient {
    /// Creates a client for `app`. Without an `app_secret` every call returns [`ApiError::Stop`].
    pub fn new(app: &App, http: HttpClient) -> Self {
        Self(Arc::new(Inner {
            app: app.name.clone(),
            app_id: app.app_id.clone(),
            app_secret: app.app_secret.clone(),
            base_url: app.base_url.trim_end_matches('/').to_owned(),
            feedback_timezone: app.feedback_timezone.clone(),
            redactor: Redactor::new(http.proxies(), &app.app_secret, []),
            http,
            token: TokenCache::default(),
            patience: Patience::default(),
            feedback_pace: feedbacks::Pace::default(),
        }))
    }

    /// Returns the app's name in the configuration.
    pub fn app(&self) -> &AppName {
        &self.0.app
    }

    /// Returns the platform's id of the app, `cli_…`.
    pub fn app_id(&self) -> &str {
        &self.0.app_id
    }

    /// Returns the redactor that hides the app's secret and the proxies.
    pub fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    /// Returns how long failures of the API's address are retried.
    pub fn patience(&self) -> &Patience {
        &self.0.patience
    }

    /// Uploads an image and returns its `image_key`. Source: doc "上传图片".
    pub async fn upload_image(
        &self,
        format: ImageFormat,
        bytes: Bytes,
    ) -> Result<String, ApiError> {
        if bytes.is_empty() || bytes.len() > IMAGE_BYTES_MAX {
            let reason = format!(
                "the image has {} bytes; Feishu takes 1 to {IMAGE_BYTES_MAX}",
                bytes.len()
            );
            return Err(ApiError::Rejected { reason });
        }
        if matches!(format, ImageFormat::Avif | ImageFormat::Jp2) {
            let reason = format!("Feishu does not take {format}");
            return Err(ApiError::Rejected { reason });
        }
        #[derive(Deserialize)]
        struct Uploaded {
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            image_key: String,
        }
        let call = Call {
            method: Method::Post,
            path: IMAGE_PATH.into(),
            body: Body::Multipart {
                fields: vec![("image_type", "message".into())],
                file_field: "image",
                file_name: format!("image.{}", suffix(format)),
                file_type: format.media_type(),
                file: bytes,
            },
            timeout: UPLOAD_TIMEOUT,
        };
        let answer = self.ask(call).await?;
        match serde_json::from_slice(&answer) {
            Ok(Uploaded { data }) if !data.image_key.is_empty() => Ok(data.image_key),
            Ok(_) | Err(_) => Err(self.0.retry("the response has no image_key")),
        }
    }

    /// Returns the body of a successful call. Other responses are judged by the general meaning of
    /// their code.
    pub async fn ask(&self, call: Call) -> Result<Bytes, ApiError> {
        match self.call(call).await {
            Ok(answer) => self.0.success(answer),
            Err(Unanswered::NoToken(error)) => Err(error),
            Err(Unanswered::Net(error)) => Err(self.0.unanswered(&error)),
        }
    }

    /// Returns the response to a call, whatever its code. If the token is rejected, replaces it and
    /// repeats the call once.
    pub async fn call(&self, call: Call) -> Result<Answer, Unanswered> {
        self.call_up_to(call, ANSWER_BYTES_MAX).await
    }

    /// Does the same as [`Self::call`] with another limit on the response size.
    pub async fn call_up_to(&self, call: Call, bytes_max: usize) -> Result<Answer, Unanswered> {
        let token = self.token().await.map_err(Unanswered::NoToken)?;
        let answer = self.0.send(call.clone(), Some(&token), bytes_max).await;
        if !answer.as_ref().is_ok_and(token_refused) {
            return answer.map_err(Unanswered::Net);
        }
        // The token was revoked early: either a new one works at once, or none will.
        self.0.token.evict(&token);
        let token = self.token().await.map_err(Unanswered::NoToken)?;
        let answer = self.0.send(call, Some(&token), bytes_max).await;
        if answer.as_ref().is_ok_and(token_refused) {
            self.0.token.evict(&token);
        }
        answer.map_err(Unanswered::Net)
    }

    /// Returns the response to the app's credentials, whatever its code. It says whether the
    /// platform accepts them, and why not. The token in it is not kept.
    pub async fn try_credentials(&self) -> Result<Answer, Unanswered> {
        let secret = self.0.app_secret().map_err(Unanswered::NoToken)?;
        self.0.ask_token(secret).await.map_err(Unanswered::Net)
    }

    /// Returns a token that is valid now.
    async fn token(&self) -> Result<Secret, ApiError> {
        self.0.token.get(|| self.0.fetch_token()).await
    }
}

impl Inner {
    /// Requests a `tenant_access_token`. Source: doc "Get `tenant_access_token`".
    async fn fetch_token(&self) -> Result<Token, ApiError> {
        #[derive(Deserialize)]
        struct Granted {
            tenant_access_token: String,
            expire: u64,
        }
        let answer = self.ask_token(self.app_secret()?).await;
        let answer = answer.map_err(|error| self.unanswered(&error))?;
        let answer = self.success(answer)?;
        match serde_json::from_slice(&answer) {
            Ok(Granted {
                tenant_access_token,
                expire,
            }) if !tenant_access_token.is_empty() && expire > 0 => Ok(Token::granted(
                Secret::new(tenant_access_token),
                Duration::from_secs(expire),
            )),
            Ok(_) | Err(_) => Err(self.retry("the response has no token")),
        }
    }

    fn app_secret(&self) -> Result<&Secret, ApiError> {
        let none = || self.stop("it has no `app_secret`");
        self.app_secret.as_ref().ok_or_else(none)
    }

    async fn ask_token(&self, app_secret: &Secret) -> Result<Answer, NetError> {
        let body = serde_json::json!({ "app_id": self.app_id, "app_secret": app_secret.expose() });
        let call = Call {
            method: Method::Post,
            path: TOKEN_PATH.into(),
            body: Body::Bytes(body.to_string().into()),
            timeout: TOKEN_TIMEOUT,
        };
        self.send(call, None, ANSWER_BYTES_MAX).await
    }

    async fn send(
        &self,
        call: Call,
        token: Option<&Secret>,
        bytes_max: usize,
    ) -> Result<Answer, NetError> {
        let Call {
            method,
            path,
            body,
            timeout,
        } = call;
        let bearer = token.map(|token| Secret::new(format!("Bearer {}", token.expose())));
        let json =
            matches!(body, Body::Bytes(_)).then(|| Secret::new("application/json; charset=utf-8"));
        let headers = [("authorization", bearer), ("content-type", json)];
        let request = Request {
            method,
            url: &Secret::new(format!("{}{path}", self.base_url)),
            headers: headers
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
            body,
            timeout,
        };
        self.http.send_up_to(request, bytes_max).await
    }
}

/// Returns the file extension; the platform ignores a file without a name.
const fn suffix(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "jpg",
        ImageFormat::Png => "png",
        ImageFormat::Gif => "gif",
        ImageFormat::Webp => "webp",
        ImageFormat::Bmp => "bmp",
        ImageFormat::Heif => "heic",
        ImageFormat::Avif => "avif",
        ImageFormat::Tiff => "tiff",
        ImageFormat::Ico => "ico",
        ImageFormat::Jp2 => "jp2",
    }
}
