//! The signed value of a button, which only this relay can make.
//!
//! The value contains the action, the event or incident in this store and the destination that it was made for. The
//! signature key belongs to this store. A value that was made for another workspace or another app is refused.
//! The actor is not part of the value; the platform names them. A forwarded message keeps its buttons, and
//! whoever sees them may use them.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::model::{DestinationName, EventSeq, IncidentId, Timestamp, TriageAction};

/// The length of the signature in a value: 128 bits cannot be guessed.
const SIGNATURE_BYTES: usize = 16;

/// The action of a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ButtonAction {
    /// The action.
    pub act: TriageAction,
    /// The feedback or the incident that the action changes.
    pub target: ButtonTarget,
    /// The destination whose message carries the button.
    pub made_for: MadeFor,
    /// For [`TriageAction::Undo`]: the time of the change to undo. So an old button does not undo a later
    /// change.
    pub undoes: Option<Timestamp>,
}

/// What the action of a button changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ButtonTarget {
    /// The feedback that this event created.
    Feedback(EventSeq),
    /// An incident, with the feedback that it counts.
    Incident(IncidentId),
}

impl ButtonTarget {
    /// Parses `12` for a feedback and `i12` for an incident.
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('i') {
            Some(id) => id.parse().ok().map(|id| Self::Incident(IncidentId(id))),
            None => text.parse().ok().map(|seq| Self::Feedback(EventSeq(seq))),
        }
    }
}

impl fmt::Display for ButtonTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Feedback(event) => write!(f, "{}", event.0),
            Self::Incident(id) => write!(f, "i{}", id.0),
        }
    }
}

/// Identifies a destination in a value: a part of a hash of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeFor(u64);

impl MadeFor {
    /// Returns the identifier of the destination with this name.
    pub fn destination(name: &DestinationName) -> Self {
        let hash: [u8; 32] = Sha256::digest(name.as_str()).into();
        let (first, _rest) = hash.split_first_chunk().expect("a hash is longer");
        Self(u64::from_be_bytes(*first))
    }
}

/// Makes and reads the values of buttons. Clones share the key.
#[derive(Clone)]
pub struct ButtonSigner(Arc<Zeroizing<[u8; 32]>>);

impl fmt::Debug for ButtonSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ButtonSigner")
    }
}

impl ButtonSigner {
    /// Builds a signer with `key`.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(key)))
    }

    /// Returns the value of a button: `ACT.TARGET.TIME.DESTINATION.SIGNATURE`, ASCII and short.
    pub fn value(&self, press: &ButtonAction) -> String {
        let undoes = press.undoes.map_or(0, Timestamp::as_millis);
        let said = format!(
            "{}.{}.{undoes}.{:x}",
            press.act, press.target, press.made_for.0
        );
        let whole = self.mac(&said).finalize().into_bytes();
        let (signature, _) = whole.split_at(SIGNATURE_BYTES);
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Reads a value; `None` if this relay did not make it. Takes constant time.
    pub fn read(&self, value: &str) -> Option<ButtonAction> {
        let (said, signature) = value.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if signature.len() != SIGNATURE_BYTES {
            return None;
        }
        self.mac(said).verify_truncated_left(&signature).ok()?;
        let mut parts = said.split('.');
        let act = TriageAction::from_key(parts.next()?)?;
        let target = ButtonTarget::parse(parts.next()?)?;
        let undoes = parts.next()?.parse().ok().filter(|millis| *millis != 0);
        let made_for = u64::from_str_radix(parts.next()?, 16).ok()?;
        Some(ButtonAction {
            made_for: MadeFor(made_for),
            act,
            target,
            undoes: undoes.map(Timestamp::from_millis),
        })
    }

    fn mac(&self, said: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice())
            .expect("HMAC takes a key of any length");
        mac.update(said.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn button_value_round_trips() {
        let signer = ButtonSigner::new([7; 32]);
        for act in TriageAction::ALL {
            let time = Timestamp::from_millis(1_711_111_111_000);
            for (target, undoes) in [
                (ButtonTarget::Feedback(EventSeq(i64::MAX)), None),
                (ButtonTarget::Feedback(EventSeq(i64::MAX)), Some(time)),
                (ButtonTarget::Incident(IncidentId(i64::MAX)), None),
            ] {
                let press = ButtonAction {
                    act: *act,
                    target,
                    made_for: MadeFor(u64::MAX),
                    undoes,
                };
                let value = signer.value(&press);
                assert!(value.len() < 100 && value.is_ascii(), "{value}");
                assert_eq!(signer.read(&value), Some(press));
            }
        }
    }

    #[test]
    fn forged_button_value_is_rejected() {
        let press = ButtonAction {
            act: TriageAction::Claim,
            target: ButtonTarget::Feedback(EventSeq(12)),
            made_for: MadeFor(7),
            undoes: None,
        };
        let value = ButtonSigner::new([7; 32]).value(&press);
        let other_key = ButtonSigner::new([8; 32]).value(&press);
        let short = value.split_at(value.len() - 4).0;
        for forged in [
            other_key.as_str(),
            short,
            &value.replace("claim", "done"),
            &value.replace(".12.", ".13."),
            &value.replace(".12.", ".i12."),
            &value.replace(".0.", ".1."),
            &value.replace(".7.", ".8."),
            "claim.12.0.",
            "claim.12.0",
            "",
            "…",
        ] {
            assert_eq!(ButtonSigner::new([7; 32]).read(forged), None, "{forged}");
        }
    }
}
