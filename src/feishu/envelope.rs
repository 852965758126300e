//! From untrusted bytes to an envelope: signature, decryption, tokens.
//!
//! With an encrypt key configured nothing but `{"encrypt": …}` is taken, and it must be signed. The
//! one exception is the challenge, which the platform never signs: without a valid signature a body
//! of at most [`UNSIGNED_BYTES_MAX`] is decrypted, and anything in it but a challenge is refused as if
//! it had not been decrypted at all. Without a key, the verification token is the only proof and is
//! required; with one, it is checked wherever there is one.

use crate::model::{Private, Secret};

use super::json::{self, Raw};
use super::{App, SignatureHeaders, cipher};

/// How large a body without a valid signature may be to be decrypted. A challenge has under 200 bytes.
pub const UNSIGNED_BYTES_MAX: usize = 512;

/// A request to an app's event endpoint, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Unverified<'a> {
    /// The headers that may sign it.
    pub headers: SignatureHeaders<'a>,
    /// The raw bytes of its body.
    pub body: &'a [u8],
}

/// What a request was, once it is known to be from the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The platform asks whether we are there: this text is to be sent back.
    Challenge(String),
    /// An event, not yet read.
    Envelope(Envelope),
}

/// The decrypted body of an authentic request, one JSON object; or what came over a long connection,
/// which may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub(super) body: Private,
}

impl Envelope {
    /// What came over a long connection. There the connection is what is authentic: it was opened with
    /// the app's secret, and what comes over it is neither signed nor encrypted. Nothing in the body is
    /// checked, not its token (empty, or the app's) nor its app's id: refusing what the platform itself
    /// brings would only lose it. Bytes that are no UTF-8 are replaced.
    pub fn of_connection(body: &[u8]) -> Self {
        Self {
            body: Private::new(String::from_utf8_lossy(body)),
        }
    }
}

/// Why a request is not taken. Where `swapped` is true the encrypt key and the verification token of
/// the configuration would work in each other's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is not a JSON object.
    #[error("the body is not a JSON object")]
    MalformedJson,
    /// It is neither an event nor a challenge.
    #[error("the body is neither an event nor a challenge")]
    PayloadInvalid,
    /// It is signed and cannot be decrypted, or what was decrypted is no JSON object.
    #[error("the body cannot be decrypted")]
    DecryptFailed,
    /// A key is configured and the body is not encrypted.
    #[error("the body is not encrypted")]
    NotEncrypted {
        /// See [`Refusal`].
        swapped: bool,
    },
    /// The body is encrypted and no key is configured.
    #[error("the body is encrypted and no encrypt key is configured")]
    EncryptKeyMissing {
        /// See [`Refusal`].
        swapped: bool,
    },
    /// The signature is not one that a configured key makes.
    #[error("the signature is wrong")]
    BadSignature {
        /// See [`Refusal`].
        swapped: bool,
    },
    /// There is none, and the body is no challenge.
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
    /// Neither key nor token is configured, so nothing can be authentic.
    #[error("neither encrypt key nor verification token is configured")]
    AuthNotConfigured,
}

impl Refusal {
    /// A fixed word for it: in the answer, the log and the metrics.
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

    /// The HTTP status it is answered with: 400 what is no event, 401 what may be a forgery.
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

    /// What the operator can do about it.
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
    /// Tells whether the request is from the platform, and what it is.
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

    /// Only a challenge passes; whatever else is wrong looks the same from outside.
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

/// Takes a request of an app without an encrypt key.
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

/// Takes the decrypted body of a signed request.
fn open_body(opened: &str, app: &App) -> Result<Verified, Refusal> {
    let body = without_bom(opened);
    let mended = json::mend(body);
    let head = Head::read(&mended).ok_or(Refusal::DecryptFailed)?;
    head.check_tokens(app)?;
    head.finish(body)
}

/// The challenge in an unsigned body, if this key decrypts one; an error if its token is wrong.
fn open_challenge(key: &Secret, sealed: &str, app: &App) -> Option<Result<Verified, Refusal>> {
    let opened = cipher::open(key, sealed)?;
    let body = without_bom(&opened);
    let head = Head::read(body).filter(|head| head.asks() && head.challenge().is_some())?;
    Some(head.check_tokens(app).and_then(|()| head.finish(body)))
}

/// Whether one of these decrypts it to a JSON object, and so is the key.
fn opens(keys: &[Secret], sealed: &str) -> bool {
    keys.iter()
        .filter_map(|key| cipher::open(key, sealed))
        .any(|opened| Head::read(without_bom(&opened)).is_some())
}

/// The base64 text in `{"encrypt": "…"}`.
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

/// UTF-8 without the byte order mark that some gateways put in front.
fn text(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body).ok().map(without_bom)
}

fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The members that decide what a body is and whether to believe it.
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

    /// The tokens that are there; what is no text is one that fits nothing.
    fn tokens(&self) -> impl Iterator<Item = String> {
        let there = [self.token, self.header_token].into_iter().flatten();
        there
            .filter(|raw| raw.get() != "\"\"")
            .map(|raw| json::text(Some(raw)).unwrap_or_default())
    }

    /// Every token that is there must be right.
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

    /// Whether this is the platform asking whether we are there, in either schema.
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
            // An envelope in an envelope: nobody sends it, and nothing is decrypted twice.
            return Err(Refusal::PayloadInvalid);
        }
        Ok(Verified::Envelope(Envelope {
            body: Private::new(body),
        }))
    }
}

/// Compares with each, whether or not an earlier one fitted.
fn matches_any(secrets: &[Secret], given: &str) -> bool {
    secrets
        .iter()
        .fold(false, |found, secret| secret.matches(given) | found)
}

#[cfg(test)]
mod tests;
