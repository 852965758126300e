//! What is kept of an answer: its beginning, without control characters, and without our secrets,
//! which some receivers echo.

use url::Url;

use crate::model::{EXCERPT_BYTES_MAX, Secret};

/// Stands where a secret stood.
const HIDDEN: &str = "‹secret›";
/// A shorter part of a URL, or a shorter header, is an ordinary word and hides nothing.
const PART_CHARS_MIN: usize = 8;
/// A shorter secret would hide half of every answer.
const SECRET_CHARS_MIN: usize = 4;

/// Knows a destination's secrets and takes them out of texts. The default knows none.
#[derive(Default)]
pub(super) struct Redactor {
    /// Longest first, so that no part of a secret is left because a shorter one was found in it.
    words: Vec<Secret>,
}

impl Redactor {
    /// Hides `url` and its telling parts, `secrets`, and the values of `headers`.
    pub(super) fn new<'a>(
        url: &Secret,
        secrets: impl IntoIterator<Item = &'a Secret>,
        headers: impl IntoIterator<Item = &'a Secret>,
    ) -> Self {
        let mut words = url_parts(url.expose());
        for secret in secrets {
            let secret = secret.expose();
            words.extend(long(secret, SECRET_CHARS_MIN));
            words.extend(
                secret
                    .strip_prefix("whsec_")
                    .and_then(|key| long(key, SECRET_CHARS_MIN)),
            );
        }
        for value in headers {
            let value = value.expose();
            words.extend(long(value, PART_CHARS_MIN));
            // `Bearer t` is echoed as `t`.
            words.extend(
                value
                    .rsplit_once(' ')
                    .and_then(|(_, token)| long(token, PART_CHARS_MIN)),
            );
        }
        let escaped: Vec<_> = words
            .iter()
            .filter(|word| word.contains('/'))
            .map(|word| word.replace('/', "\\/"))
            .collect();
        words.extend(escaped);
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        words.dedup();
        Self {
            words: words.into_iter().map(Secret::new).collect(),
        }
    }

    /// The beginning of an answer's body, fit for the journal; `None` if there is nothing to show.
    pub(super) fn excerpt(&self, body: &[u8]) -> Option<String> {
        let text = self.clean(&String::from_utf8_lossy(body));
        let text = cut(text.trim(), EXCERPT_BYTES_MAX);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// `text` in one line, without control characters and secrets.
    pub(super) fn clean(&self, text: &str) -> String {
        let line: String = text
            .chars()
            .map(|c| if c.is_whitespace() { ' ' } else { c })
            .filter(|c| !c.is_control() && !reorders(*c))
            .collect();
        self.words
            .iter()
            .map(Secret::expose)
            .fold(line, |line, word| {
                // Nearly no answer echoes one, and replacing copies in any case.
                if line.contains(word) {
                    line.replace(word, HIDDEN)
                } else {
                    line
                }
            })
    }
}

/// Characters that make a terminal show a text in another order than it has, or hide part of it.
const fn reorders(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn long(word: &str, chars_min: usize) -> Option<String> {
    (word.chars().count() >= chars_min).then(|| word.to_owned())
}

/// The parts of a URL that can be a secret: all of it, segments of its path, its query, its user.
fn url_parts(url: &str) -> Vec<String> {
    let mut parts = vec![url.to_owned()];
    let Ok(parsed) = Url::parse(url) else {
        return parts;
    };
    parts.push(parsed.to_string());
    if parsed.path().len() > 1 {
        parts.push(parsed.path().to_owned());
    }
    parts.extend(parsed.path_segments().into_iter().flatten().map(Into::into));
    parts.extend(parsed.query().map(Into::into));
    parts.extend(parsed.query_pairs().map(|(_, value)| value.into_owned()));
    parts.push(parsed.username().to_owned());
    parts.extend(parsed.password().map(Into::into));
    parts
        .iter()
        .filter_map(|part| long(part, PART_CHARS_MIN))
        .collect()
}

/// The first `bytes_max` bytes of `text`, or fewer, so that no character is cut.
fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(
            &Secret::new(
                "https://user:password9@hooks.example.com/services/T0000AAAA/B0000BBBB/Xabc?key=k1234567",
            ),
            [&Secret::new("whsec_C2FVsBQI/rscChlQ")],
            [&Secret::new("Bearer token-of-ours"), &Secret::new("data")],
        )
    }

    #[test]
    fn echoed_secrets_are_hidden_whole_and_in_part() {
        let excerpt = redactor()
            .excerpt(
                br#"{"data":1} T0000AAAA B0000BBBB password9 k1234567 whsec_C2FVsBQI/rscChlQ
                C2FVsBQI\/rscChlQ Bearer token-of-ours, token-of-ours, /services/T0000AAAA/B0000BBBB/Xabc"#,
            )
            .unwrap();
        for secret in [
            "T0000",
            "B0000",
            "password9",
            "k1234567",
            "C2FV",
            "rscC",
            "token-of",
            "Xabc",
        ] {
            assert!(!excerpt.contains(secret), "{secret} in {excerpt}");
        }
        assert!(excerpt.starts_with(r#"{"data":1} ‹secret›"#), "{excerpt}");
    }

    #[test]
    fn control_characters_and_emptiness_are_dropped() {
        let redactor = redactor();
        assert_eq!(
            redactor.excerpt(b"\x1b[31mred\x07\r\nline\0").as_deref(),
            Some("[31mred  line")
        );
        assert_eq!(redactor.excerpt(" \n\u{202e}".as_bytes()), None);
        assert_eq!(redactor.excerpt(b""), None);
    }

    #[test]
    fn a_secret_at_the_cut_is_hidden_before_it_is_cut() {
        let mut body = "x".repeat(EXCERPT_BYTES_MAX - 4);
        body.push_str("T0000AAAA");
        let excerpt = redactor().excerpt(body.as_bytes()).unwrap();
        assert!(!excerpt.contains("T0"), "{excerpt}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn an_excerpt_is_short_whole_text(body in proptest::collection::vec(any::<u8>(), 0..4096), text in ".{0,900}") {
            for body in [body.as_slice(), text.as_bytes(), text.repeat(9).as_bytes()] {
                if let Some(excerpt) = redactor().excerpt(body) {
                    prop_assert!(excerpt.len() <= EXCERPT_BYTES_MAX);
                    prop_assert!(!excerpt.chars().any(char::is_control));
                }
            }
        }
    }
}
