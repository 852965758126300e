//! Calls to the open API: a `tenant_access_token` per app, and picture uploads.
//!
//! A [`FeishuClient`] is one app at one base URL; its clones share one token. An answer is
//! judged by its `code`, whatever the HTTP status.

#[cfg(test)]
pub(crate) mod fake;
mod reply;
#[cfg(test)]
mod tests;
mod token;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use self::reply::CallError;
use self::token::{Token, TokenCache};
use crate::feishu::App;
use crate::model::{AppName, ImageFormat, Secret};
use crate::net::{Body, HttpClient, Request};

/// The largest picture the platform takes. Source: doc "上传图片".
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
    http: HttpClient,
    token: TokenCache,
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

impl FeishuClient {
    /// A client that speaks as `app`. Without an `app_secret` every call is [`ApiError::Stop`].
    pub fn new(app: &App, http: HttpClient) -> Self {
        Self(Arc::new(Inner {
            app: app.name.clone(),
            app_id: app.app_id.clone(),
            app_secret: app.app_secret.clone(),
            base_url: app.base_url.trim_end_matches('/').to_owned(),
            http,
            token: TokenCache::default(),
        }))
    }

    /// Uploads a picture and returns its `image_key`. Source: doc "上传图片".
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
        let token = self.token().await?;
        let refused = match self.0.upload(&token, format, bytes.clone()).await {
            Err(CallError::BadToken(_)) => token,
            done => return done.map_err(CallError::into_api_error),
        };
        // Revoked before its time: a new one works at once, or none will.
        self.0.token.evict(&refused);
        let token = self.token().await?;
        let again = self.0.upload(&token, format, bytes).await;
        if let Err(CallError::BadToken(_)) = &again {
            self.0.token.evict(&token);
        }
        again.map_err(CallError::into_api_error)
    }

    /// A token that is valid now.
    async fn token(&self) -> Result<Secret, ApiError> {
        let fetched = self.0.token.get(|| self.0.fetch_token()).await;
        fetched.map_err(CallError::into_api_error)
    }
}

impl Inner {
    /// Asks for a `tenant_access_token`. Source: doc "Get `tenant_access_token`".
    async fn fetch_token(&self) -> Result<Token, CallError> {
        #[derive(Deserialize)]
        struct Granted {
            tenant_access_token: String,
            expire: u64,
        }
        let Some(app_secret) = &self.app_secret else {
            return Err(CallError::stop("it has no `app_secret`", &self.app));
        };
        let body = serde_json::json!({ "app_id": self.app_id, "app_secret": app_secret.expose() });
        let body = Body::Bytes(body.to_string().into());
        let json = Secret::new("application/json; charset=utf-8");
        let headers = vec![("content-type".into(), json)];
        let answer = self.post(TOKEN_PATH, headers, body, TOKEN_TIMEOUT).await?;
        match serde_json::from_slice(&answer) {
            Ok(Granted {
                tenant_access_token,
                expire,
            }) if !tenant_access_token.is_empty() && expire > 0 => Ok(Token::granted(
                Secret::new(tenant_access_token),
                Duration::from_secs(expire),
            )),
            Ok(_) | Err(_) => Err(CallError::retry("no token is in the answer", &self.app)),
        }
    }

    async fn upload(
        &self,
        token: &Secret,
        format: ImageFormat,
        bytes: Bytes,
    ) -> Result<String, CallError> {
        #[derive(Deserialize)]
        struct Uploaded {
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            image_key: String,
        }
        let bearer = Secret::new(format!("Bearer {}", token.expose()));
        let headers = vec![("authorization".into(), bearer)];
        let body = Body::Multipart {
            fields: vec![("image_type", "message".into())],
            file_field: "image",
            file_name: format!("image.{}", suffix(format)),
            file: bytes,
        };
        let answer = self.post(IMAGE_PATH, headers, body, UPLOAD_TIMEOUT).await?;
        match serde_json::from_slice(&answer) {
            Ok(Uploaded { data }) if !data.image_key.is_empty() => Ok(data.image_key),
            Ok(_) | Err(_) => Err(CallError::retry("no image_key is in the answer", &self.app)),
        }
    }

    /// Calls the API and returns the body of a success.
    async fn post(
        &self,
        path: &str,
        headers: Vec<(String, Secret)>,
        body: Body,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let request = Request {
            url: &Secret::new(format!("{}{path}", self.base_url)),
            headers,
            body,
            timeout,
        };
        match self.http.post(request).await {
            Ok(answer) => reply::success(answer, &self.app),
            Err(error) => Err(reply::unanswered(&error, &self.app)),
        }
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
    }
}
