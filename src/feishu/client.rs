//! Calls to the open API: a `tenant_access_token` per app, and what is asked under it.
//!
//! A [`FeishuClient`] is one app at one base URL; its clones share one token. An answer is
//! judged by its `code`, whatever the HTTP status. A token that the platform refuses is replaced once
//! within a call. [`FeishuClient::ask`] judges an answer by what codes mean everywhere;
//! [`FeishuClient::call`] hands it over, for those who know more of the codes they get.

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

/// The largest image the platform takes. Source: doc "上传图片".
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

/// A call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Worth another try later.
    #[error("{reason}")]
    Retry {
        /// What happened.
        reason: String,
    },
    /// Worth another try after a pause.
    #[error("{reason}")]
    SlowDown {
        /// How long, if the platform said so.
        pause: Option<Duration>,
        /// What happened.
        reason: String,
    },
    /// Will not work until an operator acts.
    #[error("{reason}")]
    Stop {
        /// What to do.
        reason: String,
    },
    /// This request will never be taken.
    #[error("{reason}")]
    Rejected {
        /// Why.
        reason: String,
    },
}

/// A call of the open API, without its token.
#[derive(Clone, Debug)]
pub struct Call {
    /// What for.
    pub method: Method,
    /// The path, and the query if there is one.
    pub path: String,
    /// What is sent. JSON needs no header of its own.
    pub body: Body,
    /// How long one exchange may take.
    pub timeout: Duration,
}

/// A call that got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It was not made: there is no token to make it with.
    #[error(transparent)]
    NoToken(ApiError),
    /// It was made, or begun.
    #[error(transparent)]
    Net(NetError),
}

impl FeishuClient {
    /// A client that speaks as `app`. Without an `app_secret` every call is [`ApiError::Stop`].
    pub fn new(app: &App, http: HttpClient) -> Self {
        Self(Arc::new(Inner {
            app: app.name.clone(),
            app_id: app.app_id.clone(),
            app_secret: app.app_secret.clone(),
            base_url: app.base_url.trim_end_matches('/').to_owned(),
            feedback_timezone: app.feedback_timezone.clone(),
            http,
            token: TokenCache::default(),
            redactor: Redactor::new([], &app.app_secret, []),
            patience: Patience::default(),
            feedback_pace: feedbacks::Pace::default(),
        }))
    }

    /// Its name in the configuration.
    pub fn app(&self) -> &AppName {
        &self.0.app
    }

    /// The platform's id of it, `cli_…`.
    pub fn app_id(&self) -> &str {
        &self.0.app_id
    }

    /// Hides its secret and its tokens.
    pub fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    /// How long answers about its address are tried again.
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
                "the picture has {} bytes; Feishu takes 1 to {IMAGE_BYTES_MAX}",
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
            Ok(_) | Err(_) => Err(self.0.retry("no image_key is in the answer")),
        }
    }

    /// The body of a success; what else comes is judged by what codes mean everywhere.
    pub async fn ask(&self, call: Call) -> Result<Bytes, ApiError> {
        match self.call(call).await {
            Ok(answer) => self.0.success(answer),
            Err(Unanswered::NoToken(error)) => Err(error),
            Err(Unanswered::Net(error)) => Err(self.0.unanswered(&error)),
        }
    }

    /// The answer to a call, whatever it says. A refused token is replaced, and the call repeated, once.
    pub async fn call(&self, call: Call) -> Result<Answer, Unanswered> {
        self.call_up_to(call, ANSWER_BYTES_MAX).await
    }

    /// The same, where an answer may be longer.
    pub async fn call_up_to(&self, call: Call, bytes_max: usize) -> Result<Answer, Unanswered> {
        let token = self.token().await.map_err(Unanswered::NoToken)?;
        let answer = self.0.send(call.clone(), Some(&token), bytes_max).await;
        if !answer.as_ref().is_ok_and(token_refused) {
            return answer.map_err(Unanswered::Net);
        }
        // Revoked before its time: a new one works at once, or none will.
        self.0.token.evict(&token);
        let token = self.token().await.map_err(Unanswered::NoToken)?;
        let answer = self.0.send(call, Some(&token), bytes_max).await;
        if answer.as_ref().is_ok_and(token_refused) {
            self.0.token.evict(&token);
        }
        answer.map_err(Unanswered::Net)
    }

    /// The answer to the app's credentials, whatever it says: whether the platform knows them, and why not.
    /// The token in it is not kept.
    pub async fn try_credentials(&self) -> Result<Answer, Unanswered> {
        let secret = self.0.app_secret().map_err(Unanswered::NoToken)?;
        self.0.ask_token(secret).await.map_err(Unanswered::Net)
    }

    /// A token that is valid now.
    async fn token(&self) -> Result<Secret, ApiError> {
        self.0.token.get(|| self.0.fetch_token()).await
    }
}

impl Inner {
    /// Asks for a `tenant_access_token`. Source: doc "Get `tenant_access_token`".
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
            Ok(_) | Err(_) => Err(self.retry("no token is in the answer")),
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

/// The end of the file's name: without a name the platform does not see a file.
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
