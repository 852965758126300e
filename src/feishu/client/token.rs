//! The `tenant_access_token` of one app: cached, renewed by one task before it expires, and dropped
//! when the platform rejects it.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Secret;

/// How long before its expiry a token is renewed. With less time left the platform issues a new
/// token; with more it returns the same one. Source: doc "Get `tenant_access_token`".
const RENEW_AHEAD: Duration = Duration::from_secs(30 * 60);
/// The pause after a failed renewal, during which the old token stays in use.
const RENEW_PAUSE: Duration = Duration::from_secs(30);

/// A token and its times. They use the monotonic clock, so a jump of the wall clock expires no
/// token.
pub(super) struct Token {
    value: Secret,
    expires_at: Instant,
    renew_at: Instant,
}

impl Token {
    /// Returns a token that the platform granted just now for `expire`.
    pub(super) fn granted(value: Secret, expire: Duration) -> Self {
        // The platform grants at most two hours; a larger number must not overflow.
        let expire = expire.min(Duration::from_secs(24 * 3600));
        let expires_at = Instant::now() + expire;
        // A short-lived token must not be renewed all the time.
        let renew_at = expires_at - RENEW_AHEAD.min(expire / 2);
        Self {
            value,
            expires_at,
            renew_at,
        }
    }
}

/// The state of the cached token.
enum Cached {
    /// Valid for long.
    Fresh(Secret),
    /// Still valid; due for renewal.
    Aging(Secret),
    Nothing,
}

/// Caches the token of one app.
#[derive(Default)]
pub(super) struct TokenCache {
    token: Mutex<Option<Token>>,
    /// Held by the task that renews the token.
    renewing: tokio::sync::Mutex<()>,
}

impl TokenCache {
    /// Returns a valid token. Without one, every caller waits for a single fetch. If the token is
    /// only due for renewal, only the renewing caller waits, and a failed renewal is ignored.
    pub(super) async fn get<E, F>(&self, fetch: impl Fn() -> F) -> Result<Secret, E>
    where
        F: Future<Output = Result<Token, E>>,
    {
        match self.cached() {
            Cached::Fresh(value) => Ok(value),
            Cached::Aging(value) => {
                let Ok(_renewing) = self.renewing.try_lock() else {
                    return Ok(value);
                };
                // Another task may have renewed the token before this one got the lock.
                if let Cached::Fresh(value) = self.cached() {
                    return Ok(value);
                }
                // Set before the renewal, so that an aborted renewal is not repeated at once
                // either.
                self.postpone_renewal();
                Ok(match fetch().await {
                    Ok(token) => self.keep(token),
                    Err(_the_old_one_serves) => value,
                })
            }
            Cached::Nothing => {
                let _renewing = self.renewing.lock().await;
                match self.cached() {
                    Cached::Fresh(value) | Cached::Aging(value) => Ok(value),
                    Cached::Nothing => Ok(self.keep(fetch().await?)),
                }
            }
        }
    }

    /// Drops a token that the platform rejected, unless it has been replaced already.
    pub(super) fn evict(&self, refused: &Secret) {
        let mut token = self.lock();
        if token.as_ref().is_some_and(|token| token.value == *refused) {
            *token = None;
        }
    }

    fn cached(&self) -> Cached {
        let now = Instant::now();
        match &*self.lock() {
            Some(token) if now < token.renew_at => Cached::Fresh(token.value.clone()),
            Some(token) if now < token.expires_at => Cached::Aging(token.value.clone()),
            Some(_) | None => Cached::Nothing,
        }
    }

    fn keep(&self, token: Token) -> Secret {
        self.lock().insert(token).value.clone()
    }

    fn postpone_renewal(&self) {
        if let Some(token) = &mut *self.lock() {
            token.renew_at = Instant::now() + RENEW_PAUSE;
            token.renew_at = token.renew_at.min(token.expires_at);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
