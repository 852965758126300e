//! Turns untrusted bytes into an envelope: signature, decryption, tokens.
//!
//! With an encrypt key only a signed `{"encrypt": …}` is accepted. The one exception is the
//! challenge, which the platform never signs. Without a valid signature a body of at most
//! [`UNSIGNED_BYTES_MAX`] is decrypted. Unless it is a challenge, the refusal is the same as
//! without decryption. Without a key the verification token is required, because it is the only
//! proof. With a key, every token in the body is checked.

use crate::model::{Private, Secret};

use super::json::{self, Raw};
use super::{App, SignatureHeaders, cipher};

/// The largest body without a valid signature that is decrypted, in bytes. A challenge has fewer
/// than 200.
pub const UNSIGNED_BYTES_MAX: usize = 512;

/// A request to an app's event endpoint, not yet verified.
#[derive(Clone, Copy, Debug)]
pub struct Unverified<'a> {
    /// The headers of the signature.
    pub headers: SignatureHeaders<'a>,
    /// The raw bytes of the body.
    pub body: &'a [u8],
}

/// The content of an authentic request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The platform tests the endpoint and expects this text in the response.
    Challenge(String),
    /// An event that is not parsed yet.
    Envelope(Envelope),
}

/// The decrypted body of an authentic request, one JSON object. A body from a long connection may
/// be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub(super) body: Private,
}

impl Envelope {
    /// Wraps a payload of a long connection. The connection was opened with the app's secret, so it
    /// is authentic; its payloads are neither signed nor encrypted. The body's token (empty, or the
    /// app's) and app id are not checked: a refusal would only lose the event. Bytes that are not
    /// UTF-8 are replaced.
    pub fn of_connection(body: &[u8]) -> Self {
        Self {
            body: Private::new(String::from_utf8_lossy(body)),
        }
    }
}

/// Why a request is refused. If `swapped` is true, the configured encrypt key and verification
/// token are interchanged: each would work in the other's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is not a JSON object.
    #[error("the body is not a JSON object")]
    MalformedJson,
    /// The body is neither an event nor a challenge.
    #[error("the body is neither an event nor a challenge")]
    PayloadInvalid,
    /// The body is signed but cannot be decrypted, or is not a JSON object after decryption.
    #[error("the body cannot be decrypted")]
    DecryptFailed,
    /// A key is configured, but the body is not encrypted.
    #[error("the body is not encrypted")]
    NotEncrypted {
        /// See [`Refusal`].
        swapped: bool,
    },
    /// The body is encrypted, but no key is configured.
    #[error("the body is encrypted and no encrypt key is configured")]
    EncryptKeyMissing {
        /// See [`Refusal`].
        swapped: bool,
    },
    /// No configured key makes this signature.
    #[error("the signature is wrong")]
    BadSignature {
        /// See [`Refusal`].
        swapped: bool,
    },
    /// The request has no signature, and the body is not a challenge.
    #[error("the signature is missing")]
    MissingSignature {
        /// See [`Refusal`].
        swapped: bool,
    },
    /// The verification token is wrong, or missing where it is required.
    #[error("the verification token is wrong or missing")]
    BadToken {
        /// See [`Refusal`].
        swapped: bool,
    },
    /// Neither key nor token is configured, so no request can be verified.
    #[error("neither encrypt key nor verification token is configured")]
    AuthNotConfigured,
}

impl Refusal {
    /// Returns the fixed name of the refusal for responses, logs and metrics.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::PayloadInvalid => "payload_invalid",
            Self::DecryptFailed => "decrypt_failed",
            Self::NotEncrypted { .. } => "not_encrypted",
            Self::EncryptKeyMissing { .. } => "encrypt_key_missing",
            Self::BadSignature { .. } => "bad_signature",
            Self::MissingSignature { .. } => "missing_signature",
            Self::BadToken { .. } => "bad_token",
            Self::AuthNotConfigured => "auth_not_configured",
        }
    }

    /// Returns the HTTP status: 400 if the body is not an event, 401 if it may be forged.
    pub const fn status(self) -> u16 {
        match self {
            Self::MalformedJson | Self::PayloadInvalid | Self::DecryptFailed => 400,
            Self::NotEncrypted { .. }
            | Self::EncryptKeyMissing { .. }
            | Self::BadSignature { .. }
            | Self::MissingSignature { .. }
            | Self::BadToken { .. }
            | Self::AuthNotConfigured => 401,
        }
    }

    /// Returns how the operator can fix the cause. `None` if nothing is known.
    pub const fn hint(self) -> Option<&'static str> {
        match self {
            Self::NotEncrypted { swapped: true }
            | Self::EncryptKeyMissing { swapped: true }
            | Self::BadSignature { swapped: true }
            | Self::MissingSignature { swapped: true }
            | Self::BadToken { swapped: true } => {
                Some("encrypt_key and verification_token of this app are swapped")
            }
            Self::MalformedJson | Self::PayloadInvalid => None,
            Self::DecryptFailed => {
                Some("the signature is right; was the body changed before it was signed?")
            }
            Self::NotEncrypted { swapped: false } => Some(
                "encrypt_key is set, but the request is not encrypted: set the same Encrypt Key in Feishu's console, or remove it here",
            ),
            Self::EncryptKeyMissing { swapped: false } => {
                Some("set encrypt_key to the Encrypt Key that Feishu's console shows for this app")
            }
            Self::BadSignature { swapped: false } => Some(
                "if this is Feishu: compare encrypt_key with the Encrypt Key in its console, and let no proxy change the body",
            ),
            Self::MissingSignature { swapped: false } => {
                Some("if this is Feishu: let the X-Lark-* headers through every proxy")
            }
            Self::BadToken { swapped: false } => Some(
                "if this is Feishu: compare verification_token with the Verification Token in its console",
            ),
            Self::AuthNotConfigured => Some("set encrypt_key or verification_token for this app"),
        }
    }
}

impl Unverified<'_> {
    /// Verifies that the request is from the platform and returns its content.
    pub fn verify(self, app: &App) -> Result<Verified, Refusal> {
        let body = text(self.body).ok_or(Refusal::MalformedJson)?;
        match (
            app.encrypt_keys.is_empty(),
            app.verification_tokens.is_empty(),
        ) {
            (true, true) => Err(Refusal::AuthNotConfigured),
            (true, false) => verify_plain(body, app),
            (false, _) => self.verify_encrypted(body, app),
        }
    }

    fn verify_encrypted(self, body: &str, app: &App) -> Result<Verified, Refusal> {
        let sealed = sealed(body, app)?;
        let Some(signed) = self.headers.complete() else {
            return self.unsigned(&sealed, app, |swapped| Refusal::MissingSignature {
                swapped,
            });
        };
        match signed.key(&app.encrypt_keys, self.body) {
            Some(key) => {
                let opened = cipher::open(key, &sealed).ok_or(Refusal::DecryptFailed)?;
                open_body(&opened, app)
            }
            None => {
                let swapped = signed.key(&app.verification_tokens, self.body).is_some();
                self.unsigned(&sealed, app, |fits| Refusal::BadSignature {
                    swapped: swapped || fits,
                })
            }
        }
    }

    /// Accepts only a challenge. Every other fault gives the same refusal.
    fn unsigned(
        self,
        sealed: &str,
        app: &App,
        refusal: impl Fn(bool) -> Refusal,
    ) -> Result<Verified, Refusal> {
        if self.body.len() > UNSIGNED_BYTES_MAX {
            return Err(refusal(false));
        }
        for key in &app.encrypt_keys {
            if let Some(verified) = open_challenge(key, sealed, app) {
                return verified;
            }
        }
        Err(refusal(opens(&app.verification_tokens, sealed)))
    }
}

/// Verifies a request to an app without an encrypt key.
fn verify_plain(body: &str, app: &App) -> Result<Verified, Refusal> {
    let mended = json::mend(body);
    let head = Head::read(&mended).ok_or(Refusal::MalformedJson)?;
    if let Some(sealed) = head.encrypt {
        let sealed = json::text(Some(sealed)).unwrap_or_default();
        let swapped =
            sealed.len() <= UNSIGNED_BYTES_MAX && opens(&app.verification_tokens, &sealed);
        return Err(Refusal::EncryptKeyMissing { swapped });
    }
    if head.tokens().next().is_none() {
        return Err(Refusal::BadToken { swapped: false });
    }
    head.check_tokens(app)?;
    head.finish(body)
}

/// Reads the decrypted body of a signed request.
fn open_body(opened: &str, app: &App) -> Result<Verified, Refusal> {
    let body = without_bom(opened);
    let mended = json::mend(body);
    let head = Head::read(&mended).ok_or(Refusal::DecryptFailed)?;
    head.check_tokens(app)?;
    head.finish(body)
}

/// Returns the challenge of an unsigned body if this key decrypts one. Returns an error if its
/// token is wrong.
fn open_challenge(key: &Secret, sealed: &str, app: &App) -> Option<Result<Verified, Refusal>> {
    let opened = cipher::open(key, sealed)?;
    let body = without_bom(&opened);
    let head = Head::read(body).filter(|head| head.asks() && head.challenge().is_some())?;
    Some(head.check_tokens(app).and_then(|()| head.finish(body)))
}

/// Returns whether one of the keys decrypts the text to a JSON object.
fn opens(keys: &[Secret], sealed: &str) -> bool {
    keys.iter()
        .filter_map(|key| cipher::open(key, sealed))
        .any(|opened| Head::read(without_bom(&opened)).is_some())
}

/// Returns the base64 text in `{"encrypt": "…"}`.
fn sealed(body: &str, app: &App) -> Result<String, Refusal> {
    let head = Head::read(body).ok_or(Refusal::MalformedJson)?;
    match head.encrypt.map(|raw| raw.get()) {
        None | Some("\"\"") => Err(Refusal::NotEncrypted {
            swapped: head
                .tokens()
                .any(|given| matches_any(&app.encrypt_keys, &given)),
        }),
        Some(raw) if raw.starts_with('"') => json::text(head.encrypt).ok_or(Refusal::MalformedJson),
        Some(_) => Err(Refusal::MalformedJson),
    }
}

/// Returns the body as UTF-8 without the byte order mark that some gateways add.
fn text(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body).ok().map(without_bom)
}

fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The members that decide the kind of a body and its authenticity.
struct Head<'a> {
    encrypt: Raw<'a>,
    kind: Raw<'a>,
    challenge: Raw<'a>,
    token: Raw<'a>,
    header: Raw<'a>,
    header_token: Raw<'a>,
}

impl<'a> Head<'a> {
    fn read(body: &'a str) -> Option<Self> {
        let names = ["encrypt", "type", "challenge", "token", "header"];
        let [encrypt, kind, challenge, token, header] = json::members(body, names).ok()?;
        let [header_token] = header
            .and_then(|header| json::members(header.get(), ["token"]).ok())
            .unwrap_or_default();
        Some(Self {
            encrypt,
            kind,
            challenge,
            token,
            header,
            header_token,
        })
    }

    /// Returns the tokens in the body. A value that is not a text becomes a token that matches
    /// nothing.
    fn tokens(&self) -> impl Iterator<Item = String> {
        let there = [self.token, self.header_token].into_iter().flatten();
        there
            .filter(|raw| raw.get() != "\"\"")
            .map(|raw| json::text(Some(raw)).unwrap_or_default())
    }

    /// Checks that every token in the body is right.
    fn check_tokens(&self, app: &App) -> Result<(), Refusal> {
        if app.verification_tokens.is_empty() {
            return Ok(());
        }
        for given in self.tokens() {
            if !matches_any(&app.verification_tokens, &given) {
                let swapped = matches_any(&app.encrypt_keys, &given);
                return Err(Refusal::BadToken { swapped });
            }
        }
        Ok(())
    }

    /// Returns whether the body is a challenge, in either schema.
    fn asks(&self) -> bool {
        json::text(self.kind).as_deref() == Some("url_verification")
    }

    fn challenge(&self) -> Option<String> {
        json::text(self.challenge)
    }

    fn finish(&self, body: &str) -> Result<Verified, Refusal> {
        if self.asks() {
            let challenge = self.challenge().ok_or(Refusal::PayloadInvalid)?;
            return Ok(Verified::Challenge(challenge));
        }
        if self.encrypt.is_some() && self.header.is_none() {
            // An envelope inside an envelope is refused because the platform sends none.
            return Err(Refusal::PayloadInvalid);
        }
        Ok(Verified::Envelope(Envelope {
            body: Private::new(body),
        }))
    }
}

/// Compares with every secret, even after a match, so that the time taken reveals nothing.
fn matches_any(secrets: &[Secret], given: &str) -> bool {
    secrets
        .iter()
        .fold(false, |found, secret| secret.matches(given) | found)
}

#[cfg(test)]
mod tests;
