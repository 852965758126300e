//! One app's `tenant_access_token`: kept, renewed ahead of its end by one task at a time, and
//! dropped when the platform refuses it.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Secret;

/// With less left than this the platform makes a new token when asked; with more it returns the
/// same one. Source: doc "Get `tenant_access_token`".
const RENEW_AHEAD: Duration = Duration::from_secs(30 * 60);
/// After a renewal that failed, the old token serves this long before the next.
const RENEW_PAUSE: Duration = Duration::from_secs(30);

/// A token and its times, by the monotonic clock: a wall clock that jumps ends no token.
pub(super) struct Token {
    value: Secret,
    expires_at: Instant,
    renew_at: Instant,
}

impl Token {
    /// A token that the platform has just granted for `expire`.
    pub(super) fn granted(value: Secret, expire: Duration) -> Self {
        // The platform says two hours at most; a wilder number must not overflow.
        let expire = expire.min(Duration::from_secs(24 * 3600));
        let expires_at = Instant::now() + expire;
        // One with a short life is not renewed all the time.
        let renew_at = expires_at - RENEW_AHEAD.min(expire / 2);
        Self {
            value,
            expires_at,
            renew_at,
        }
    }
}

/// What the cache has.
enum Cached {
    /// Good for long.
    Fresh(Secret),
    /// Still good; to be renewed.
    Aging(Secret),
    Nothing,
}

/// Keeps the token of one app.
#[derive(Default)]
pub(super) struct TokenCache {
    token: Mutex<Option<Token>>,
    /// Held by the one who renews.
    renewing: tokio::sync::Mutex<()>,
}

impl TokenCache {
    /// A valid token. Where none is left, all wait for one who fetches it; where one is merely to
    /// be renewed, only the one who renews it waits, and a renewal that fails harms nobody.
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
                // Somebody may have renewed it between the look and the lock.
                if let Cached::Fresh(value) = self.cached() {
                    return Ok(value);
                }
                // Set first, so that a renewal that is dropped half way is not tried each time either.
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

    /// Drops a token that the platform refused, unless it has been replaced already.
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
