//! What a button stands for: a text that only we can have made.
//!
//! It says what is done about which event of our store and for which destination it was made, under a key of that
//! store. A value made for another workspace or another app is refused. Who presses
//! is the platform's word and stands nowhere in it: a forwarded message keeps its buttons, and whoever
//! sees them may press them.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::model::{DestinationName, EventSeq, Timestamp, TriageAction};

/// How much of the signature stands in a value: 128 bits cannot be guessed.
const SIGNATURE_BYTES: usize = 16;

/// What pressing a button asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ButtonAction {
    /// What is done.
    pub act: TriageAction,
    /// About the feedback that this event brought.
    pub event: EventSeq,
    /// The destination whose message carries it.
    pub made_for: MadeFor,
    /// For [`TriageAction::Undo`]: when the change was made that is taken back, so that an old button does not take
    /// back a later one.
    pub undoes: Option<Timestamp>,
}

/// What stands for a destination in a value: a part of a hash of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeFor(u64);

impl MadeFor {
    /// The destination with this name.
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
    /// Signs with `key`.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(key)))
    }

    /// What the button carries: `ACT.EVENT.TIME.DESTINATION.SIGNATURE`, ASCII and short.
    pub fn value(&self, press: &ButtonAction) -> String {
        let undoes = press.undoes.map_or(0, Timestamp::as_millis);
        let said = format!(
            "{}.{}.{undoes}.{:x}",
            press.act, press.event.0, press.made_for.0
        );
        let whole = self.mac(&said).finalize().into_bytes();
        let (signature, _) = whole.split_at(SIGNATURE_BYTES);
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What a value stands for; `None` if we did not make it. In constant time.
    pub fn read(&self, value: &str) -> Option<ButtonAction> {
        let (said, signature) = value.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if signature.len() != SIGNATURE_BYTES {
            return None;
        }
        self.mac(said).verify_truncated_left(&signature).ok()?;
        let mut parts = said.split('.');
        let act = TriageAction::from_key(parts.next()?)?;
        let event = EventSeq(parts.next()?.parse().ok()?);
        let undoes = parts.next()?.parse().ok().filter(|millis| *millis != 0);
        let made_for = u64::from_str_radix(parts.next()?, 16).ok()?;
        Some(ButtonAction {
            made_for: MadeFor(made_for),
            act,
            event,
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
    fn a_value_reads_as_what_it_was_made_of() {
        let signer = ButtonSigner::new([7; 32]);
        for act in TriageAction::ALL {
            for undoes in [None, Some(Timestamp::from_millis(1_711_111_111_000))] {
                let press = ButtonAction {
                    act: *act,
                    event: EventSeq(i64::MAX),
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
    fn what_we_did_not_make_is_nothing() {
        let press = ButtonAction {
            act: TriageAction::Claim,
            event: EventSeq(12),
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
