//! Signed links to images. Anyone with a link can see the image until the link expires.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::model::{ImageId, Timestamp};

/// Creates and checks links to images: `{public_url}/images/{id}?until=SECONDS&sig=BASE64URL`.
#[derive(Clone)]
pub struct LinkSigner {
    key: Arc<Zeroizing<[u8; 32]>>,
    public_url: Arc<str>,
    ttl: Duration,
}

/// The result of checking a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkCheck {
    /// The link is valid.
    Good,
    /// The link was valid and has expired.
    Ended,
    /// The relay did not sign the link.
    Wrong,
}

impl LinkSigner {
    /// Creates a signer with `key`. Links begin with `public_url` and are valid for `ttl`.
    pub fn new(key: [u8; 32], public_url: &str, ttl: Duration) -> Self {
        Self {
            key: Arc::new(Zeroizing::new(key)),
            public_url: public_url.trim_end_matches('/').into(),
            ttl,
        }
    }

    /// Returns a link to an image, valid from `now` for the signer's `ttl`.
    pub fn link(&self, id: &ImageId, now: Timestamp) -> String {
        let until = (now + self.ttl).as_secs().to_string();
        let signature = URL_SAFE_NO_PAD.encode(self.mac(id, &until).finalize().into_bytes());
        format!(
            "{}/images/{id}?until={until}&sig={signature}",
            self.public_url
        )
    }

    /// Checks the query of a request for an image, in constant time. Unknown parameters are ignored,
    /// because chats and proxies add some.
    pub fn check(&self, id: &ImageId, query: &str, now: Timestamp) -> LinkCheck {
        let (Some(until), Some(signature)) = (parameter(query, "until"), parameter(query, "sig"))
        else {
            return LinkCheck::Wrong;
        };
        let (Ok(signature), Ok(ends)) = (URL_SAFE_NO_PAD.decode(signature), until.parse::<i64>())
        else {
            return LinkCheck::Wrong;
        };
        if self.mac(id, until).verify_slice(&signature).is_err() {
            LinkCheck::Wrong
        } else if ends <= now.as_secs() {
            LinkCheck::Ended
        } else {
            LinkCheck::Good
        }
    }

    fn mac(&self, id: &ImageId, until: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_slice())
            .expect("HMAC takes a key of any length");
        mac.update(id.as_str().as_bytes());
        mac.update(b".");
        mac.update(until.as_bytes());
        mac
    }
}

impl fmt::Debug for LinkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSigner")
            .field("public_url", &self.public_url)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// Returns the value of a parameter that occurs exactly once.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut values = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_711_111_111_000);

    fn signer() -> LinkSigner {
        LinkSigner::new(
            [7; 32],
            "https://relay.example.com/",
            Duration::from_secs(60),
        )
    }

    fn query(link: &str) -> &str {
        link.split_once('?').unwrap().1
    }

    #[test]
    fn link_is_valid_until_it_expires() {
        let id = ImageId::of(b"picture");
        let link = signer().link(&id, NOW);
        let start = format!("https://relay.example.com/images/{id}?until=1711111171&sig=");
        assert!(link.starts_with(&start), "{link}");
        let check = |seconds| signer().check(&id, query(&link), NOW + Duration::from_secs(seconds));
        assert_eq!(check(0), LinkCheck::Good);
        assert_eq!(check(59), LinkCheck::Good);
        assert_eq!(check(60), LinkCheck::Ended);
        let tracked = format!("from=chat&{}", query(&link));
        assert_eq!(signer().check(&id, &tracked, NOW), LinkCheck::Good);
    }

    #[test]
    fn forged_link_is_wrong_even_after_it_expired() {
        let id = ImageId::of(b"picture");
        let link = signer().link(&id, NOW);
        let good = query(&link);
        let longer = good.replace("1711111171", "9999999999");
        let ended = good.replace("1711111171", "1");
        let twice = format!("until=9999999999&{good}");
        let cut = good.trim_end_matches(|_| true);
        let short = good.split_at(good.len() - 2).0;
        for query in [
            &*longer,
            &ended,
            &twice,
            cut,
            short,
            "until=1711111171",
            "sig=&until=",
            "&&=&=",
        ] {
            assert_eq!(signer().check(&id, query, NOW), LinkCheck::Wrong, "{query}");
        }
        assert_eq!(
            signer().check(&ImageId::of(b"other"), good, NOW),
            LinkCheck::Wrong
        );
        let other_key = LinkSigner::new([8; 32], "https://relay.example.com", Duration::ZERO);
        assert_eq!(other_key.check(&id, good, NOW), LinkCheck::Wrong);
    }

    #[test]
    fn debug_does_not_show_the_key() {
        assert!(!format!("{:?}", signer()).contains("7, 7"));
    }
}
