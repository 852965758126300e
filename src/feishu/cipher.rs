//! Encryption of event bodies. AES-256-CBC with the SHA-256 of the encrypt key; the initialisation
//! vector comes first, padding is PKCS#7, and the whole is base64. Source: doc "Configure Encrypt
//! Key".

use aes::Aes256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::model::Secret;

const IV_BYTES: usize = 16;

/// Decrypts the value of `encrypt`. Base64 and padding are checked strictly, and every fault gives
/// the same `None`. CBC is not authenticated, so an answer that distinguished bad padding from bad
/// text would be a padding oracle.
pub(super) fn open(key: &Secret, sealed: &str) -> Option<String> {
    let mut bytes = STANDARD.decode(sealed).ok()?;
    let (iv, blocks) = bytes.split_first_chunk_mut::<IV_BYTES>()?;
    let key = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(key.expose())));
    let opened = Decryptor::<Aes256>::new((&*key).into(), (&*iv).into())
        .decrypt_padded::<Pkcs7>(blocks)
        .ok()?;
    std::str::from_utf8(opened).ok().map(str::to_owned)
}

/// Encrypts a text as the platform does.
#[cfg(test)]
pub(super) fn seal(key: &Secret, iv: [u8; IV_BYTES], text: &[u8]) -> String {
    use cbc::cipher::BlockModeEncrypt;
    let key = <[u8; 32]>::from(Sha256::digest(key.expose()));
    let mut sealed = iv.to_vec();
    let length = text.len();
    let mut blocks = text.to_vec();
    blocks.resize(length + IV_BYTES, 0);
    let encrypted = cbc::Encryptor::<Aes256>::new((&key).into(), (&iv).into())
        .encrypt_padded::<Pkcs7>(&mut blocks, length)
        .unwrap();
    sealed.extend_from_slice(encrypted);
    STANDARD.encode(sealed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn encrypted_text_opens_only_with_its_key(text in "\\PC{0,80}", iv: [u8; 16]) {
            let key = Secret::new("one");
            let sealed = seal(&key, iv, text.as_bytes());
            prop_assert_eq!(open(&key, &sealed), Some(text.clone()));
            prop_assert_ne!(open(&Secret::new("another"), &sealed), Some(text));
        }

        #[test]
        fn opening_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), text in ".{0,40}") {
            let key = Secret::new("one");
            open(&key, &STANDARD.encode(bytes));
            open(&key, &text);
        }
    }

    #[test]
    fn padding_is_checked_completely() {
        let key = Secret::new("one");
        let derived = <[u8; 32]>::from(Sha256::digest(key.expose()));
        let raw_seal = |block: [u8; 16]| {
            use cbc::cipher::BlockModeEncrypt;
            let mut blocks = [block.into()];
            cbc::Encryptor::<Aes256>::new((&derived).into(), &[0; 16].into())
                .encrypt_blocks(&mut blocks);
            STANDARD.encode([[0; 16], blocks[0].into()].concat())
        };
        let mut block = *b"twelve bytes\x04\x04\x04\x04";
        assert_eq!(
            open(&key, &raw_seal(block)).as_deref(),
            Some("twelve bytes")
        );
        block[12] = 3;
        assert_eq!(open(&key, &raw_seal(block)), None);
        for last in [0, 17, 255] {
            block[15] = last;
            assert_eq!(open(&key, &raw_seal(block)), None, "{last}");
        }
        assert_eq!(open(&key, &raw_seal([16; 16])).as_deref(), Some(""));
    }
}
