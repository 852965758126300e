//! Cleans a response for storage: its beginning, without control characters and without the relay's
//! secrets. Some receivers echo secrets in various spellings.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::Url;

use crate::model::{EXCERPT_BYTES_MAX, Secret};

/// Replaces a secret.
const HIDDEN: &str = "‹secret›";
/// The shortest URL part or header value that is hidden. A shorter one is an ordinary word.
const PART_CHARS_MIN: usize = 8;
/// The shortest secret that is hidden. A shorter one would hide half of every response.
const SECRET_CHARS_MIN: usize = 4;

/// The part of a body that is cleaned, in bytes. It is longer than an excerpt, so a secret at the
/// cut is found whole.
const CLEANED_BYTES_MAX: usize = 8 * EXCERPT_BYTES_MAX;

/// Removes a destination's secrets from texts. The default removes none.
#[derive(Default)]
pub struct Redactor {
    /// The secrets, longest first, so that a shorter match leaves no part of a longer one.
    words: Vec<Secret>,
}

impl Redactor {
    /// Creates a redactor for `urls` and their identifying parts, `secrets`, and the values of
    /// `headers`.
    pub fn new<'a>(
        urls: impl IntoIterator<Item = &'a Secret>,
        secrets: impl IntoIterator<Item = &'a Secret>,
        headers: impl IntoIterator<Item = &'a Secret>,
    ) -> Self {
        let mut words = Vec::new();
        for url in urls {
            words.extend(url_parts(url.expose()));
        }
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
            // `Bearer t` is echoed as `t`, and `Basic …` as its decoded value.
            if let Some((_, token)) = value.rsplit_once(' ') {
                words.extend(long(token, PART_CHARS_MIN));
                words.extend(basic_parts(token));
            }
        }
        let mut words: Vec<String> = words.iter().flat_map(|word| spellings(word)).collect();
        words.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        words.dedup();
        Self {
            words: words.into_iter().map(Secret::new).collect(),
        }
    }

    /// Returns the beginning of a response's body, safe to store. `None` if nothing is left to
    /// show.
    pub fn excerpt(&self, body: &[u8]) -> Option<String> {
        let body = body.get(..CLEANED_BYTES_MAX).unwrap_or(body);
        let text = self.clean(&String::from_utf8_lossy(body));
        let text = cut(text.trim(), EXCERPT_BYTES_MAX);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Returns `text` in one line, without control characters and secrets.
    pub fn clean(&self, text: &str) -> String {
        let line: String = text
            .chars()
            .map(|c| if c.is_whitespace() { ' ' } else { c })
            .filter(|c| !c.is_control() && !reorders(*c))
            .collect();
        let line = self
            .words
            .iter()
            .map(Secret::expose)
            .fold(line, |line, word| {
                // Replacing always copies, and almost no response echoes a secret, so the text is
                // searched first.
                if line.contains(word) {
                    line.replace(word, HIDDEN)
                } else {
                    line
                }
            });
        hide_credentials(line)
    }
}

/// Returns whether a character reorders the text in a terminal, or hides part of it.
const fn reorders(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn long(word: &str, chars_min: usize) -> Option<String> {
    (word.chars().count() >= chars_min).then(|| word.to_owned())
}

/// Returns the parts of a URL that can be a secret: the whole, path segments, the query, the user.
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
    let mut parts: Vec<String> = parts
        .iter()
        .filter_map(|part| long(part, PART_CHARS_MIN))
        .collect();
    parts.extend(user_parts(&parsed));
    parts
}

/// Returns the user and password of a URL, and their HTTP encoding.
fn user_parts(url: &Url) -> Vec<String> {
    let Some(password) = url.password() else {
        return long(&decoded(url.username()), PART_CHARS_MIN)
            .into_iter()
            .collect();
    };
    let (user, password) = (decoded(url.username()), decoded(password));
    let pair = format!("{user}:{password}");
    let mut parts = vec![STANDARD_NO_PAD.encode(&pair), URL_SAFE_NO_PAD.encode(&pair)];
    parts.extend(long(&password, SECRET_CHARS_MIN));
    parts.extend(long(&user, PART_CHARS_MIN));
    parts.push(pair);
    parts
}

/// Returns the content of a `Basic` credential: the pair, and its password.
fn basic_parts(token: &str) -> Vec<String> {
    let pair = STANDARD_NO_PAD.decode(token.trim_end_matches('=')).ok();
    let Some(pair) = pair.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return Vec::new();
    };
    let password = pair.split_once(':').map(|(_, password)| password);
    let password = password.and_then(|password| long(password, SECRET_CHARS_MIN));
    password.into_iter().chain([pair.clone()]).collect()
}

/// Returns `text` without percent-encoding.
fn decoded(text: &str) -> String {
    // Form decoding turns plus signs into spaces, so they are encoded first.
    let pair = format!("v={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(|| text.to_owned(), |(_, value)| value.into_owned())
}

/// Returns the spellings in which a secret can be echoed: plain, in JSON, in a URL, in HTML, in
/// base64.
fn spellings(word: &str) -> Vec<String> {
    let plain = decoded(word);
    let mut all = vec![word.to_owned()];
    for word in [word, plain.as_str()] {
        let json = serde_json::Value::from(word).to_string();
        let json = json.trim_matches('"').to_owned();
        all.push(json.replace('/', "\\/"));
        // Go writes these characters of HTML so in JSON.
        all.push(
            json.replace('&', "\\u0026")
                .replace('<', "\\u003c")
                .replace('>', "\\u003e"),
        );
        all.push(json);
        let upper = percent_encoded(word);
        let html = word
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        for (double, single) in [
            ("&quot;", "&#39;"),
            ("&#34;", "&#39;"),
            ("&quot;", "&#x27;"),
        ] {
            all.push(html.replace('"', double).replace('\'', single));
        }
        all.push(html);
        all.push(url::form_urlencoded::byte_serialize(word.as_bytes()).collect());
        all.push(upper.to_lowercase());
        all.push(lower_escapes(&upper));
        all.push(upper);
        all.push(word.to_owned());
        if word.len() >= PART_CHARS_MIN {
            all.extend(in_base64(word));
        }
    }
    all.retain(|spelling| !spelling.is_empty());
    all
}

/// Percent-encodes everything except letters, digits and the unreserved signs of URLs.
fn percent_encoded(word: &str) -> String {
    let byte = |b: u8| match b {
        b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
        b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    word.bytes().map(byte).collect()
}

/// Returns the text with lower-case escapes: `%2F` becomes `%2f`.
fn lower_escapes(word: &str) -> String {
    let mut left = 0_u8;
    let lower = |c: char| {
        left = if c == '%' { 3 } else { left };
        let inside = left > 0;
        left = left.saturating_sub(1);
        if inside { c.to_ascii_lowercase() } else { c }
    };
    word.chars().map(lower).collect()
}

/// Returns the base64 forms of `word` inside a longer text. There are three alignments; each form
/// has only the characters that do not depend on the neighbouring text.
fn in_base64(word: &str) -> Vec<String> {
    let mut all = Vec::new();
    for before in 0..3_usize {
        let bytes = [&b"\0\0"[..before], word.as_bytes()].concat();
        let first = (before * 8).div_ceil(6);
        let whole = bytes.len() * 8 / 6;
        for text in [
            STANDARD_NO_PAD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
        ] {
            all.extend(text.get(first..whole).map(str::to_owned));
        }
    }
    all
}

/// Hides anything in the format of a credential, whoever owns it: a bearer, a tenant token or a
/// Slack token.
fn hide_credentials(line: String) -> String {
    const STARTS: [&str; 6] = ["t-", "u-", "xoxb-", "xoxp-", "Bearer ", "Basic "];
    if !STARTS.iter().any(|start| line.contains(start)) {
        return line;
    }
    let of_token = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=".contains(c);
    let mut out = String::with_capacity(line.len());
    let mut rest = line.as_str();
    let mut begins = true;
    while let Some(c) = rest.chars().next() {
        let start = STARTS
            .iter()
            .find(|start| begins && rest.starts_with(**start));
        if let Some(start) = start
            && let Some(after) = rest.get(start.len()..)
        {
            let end = after.find(|c| !of_token(c)).unwrap_or(after.len());
            // `Basic` and `Bearer` are ordinary words as well.
            let chars_min = if start.ends_with(' ') {
                PART_CHARS_MIN
            } else {
                3
            };
            if end >= chars_min {
                out.push_str(start);
                out.push_str(HIDDEN);
                rest = after.get(end..).unwrap_or_default();
                begins = false;
                continue;
            }
        }
        out.push(c);
        begins = !of_token(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

/// Returns the first `bytes_max` bytes of `text`, or fewer, so that no character is split.
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
            [&Secret::new(
                "https://user:password9@hooks.example.com/services/T0000AAAA/B0000BBBB/Xabc?key=k1234567",
            )],
            [&Secret::new("whsec_C2FVsBQI/rscChlQ")],
            [&Secret::new("Bearer token-of-ours"), &Secret::new("data")],
        )
    }

    #[test]
    fn secret_is_hidden_in_every_spelling() {
        let url =
            Secret::new("http://us%20er:p%40ss%2Fword@proxy.example.com/hook/a%2Bb%2Bc%2Bd%2Be");
        let header = Secret::new("Basic dXNlcjpodW50ZXIyMg==");
        let redactor = Redactor::new([&url], [&Secret::new("key & <lock>/\"7\"")], [&header]);
        for echo in [
            "Authorization: Basic dXMgZXI6cEBzcy93b3Jk",
            "pass p@ss/word",
            "pass p%40ss%2Fword",
            "pass p%40ss%2fword",
            r#"{"pass":"p@ss\/word"}"#,
            "a+b+c+d+e",
            "hunter22",
            "user:hunter22",
            r#"key & <lock>/\"7\""#,
            "key &amp; &lt;lock&gt;/\"7\"",
            "key &amp; &lt;lock&gt;/&quot;7&quot;",
            "key &amp; &lt;lock&gt;/&#34;7&#34;",
            r#"key \u0026 \u003clock\u003e/\"7\""#,
            "key%20%26%20%3Clock%3E%2F%227%22",
            "key+%26+%3Clock%3E%2F%227%22",
        ] {
            let shown = redactor.clean(echo);
            for part in [
                "cEBzcy93b3Jk",
                "ss/word",
                "ss\\/word",
                "ss%2",
                "+b+",
                "hunter",
                "lock",
            ] {
                assert!(!shown.contains(part), "{part} of {echo} in {shown}");
            }
        }
        // Base64 inside a longer text, at each of the three alignments.
        for before in ["", "x", "xy"] {
            let text = STANDARD_NO_PAD.encode(format!("{before}p@ss/word, and more"));
            assert!(redactor.clean(&text).contains(HIDDEN), "{text}");
        }
    }

    #[test]
    fn token_formats_are_hidden_and_words_are_not() {
        let redactor = Redactor::default();
        let shown =
            redactor.clean("token t-g1044abcDEF_- of Bearer abc.def-ghi is bad; content-type too");
        assert_eq!(
            shown,
            format!("token t-{HIDDEN} of Bearer {HIDDEN} is bad; content-type too")
        );
        assert_eq!(
            redactor.clean("content-type: Basic auth"),
            "content-type: Basic auth"
        );
    }

    #[test]
    fn echoed_secrets_and_their_parts_are_hidden() {
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
    fn control_characters_and_empty_texts_are_dropped() {
        let redactor = redactor();
        assert_eq!(
            redactor.excerpt(b"\x1b[31mred\x07\r\nline\0").as_deref(),
            Some("[31mred  line")
        );
        assert_eq!(redactor.excerpt(" \n\u{202e}".as_bytes()), None);
        assert_eq!(redactor.excerpt(b""), None);
    }

    #[test]
    fn secret_at_the_cut_is_hidden() {
        let mut body = "x".repeat(EXCERPT_BYTES_MAX - 4);
        body.push_str("T0000AAAA");
        let excerpt = redactor().excerpt(body.as_bytes()).unwrap();
        assert!(!excerpt.contains("T0"), "{excerpt}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn excerpt_is_short_valid_text(body in proptest::collection::vec(any::<u8>(), 0..4096), text in ".{0,900}") {
            for body in [body.as_slice(), text.as_bytes(), text.repeat(9).as_bytes()] {
                if let Some(excerpt) = redactor().excerpt(body) {
                    prop_assert!(excerpt.len() <= EXCERPT_BYTES_MAX);
                    prop_assert!(!excerpt.chars().any(char::is_control));
                }
            }
        }
    }
}
