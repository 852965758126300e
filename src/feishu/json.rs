//! Reads JSON of other programs: any member may be missing, null, of the wrong type, or repeated.
//!
//! Objects are split into raw text, member by member, so one odd value affects no other and numbers
//! keep every digit. Nothing here recurses: the value of an unknown member is skipped, however deep
//! it is nested.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A member's raw value; `None` if it is absent or null.
pub(super) type Raw<'a> = Option<&'a RawValue>;

/// Returns the named members of the object in `text`; if a name is repeated, its last value.
/// Returns an error if the text is not one JSON object.
pub(super) fn members<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Result<[Raw<'a>; N], serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = Members(&names).deserialize(&mut reader)?;
    reader.end()?;
    Ok(found)
}

/// Reads a text that may be null.
pub(super) fn text_or_null<'de, D: Deserializer<'de>>(text: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(text).map(Option::unwrap_or_default)
}

struct Members<'n, const N: usize>(&'n [&'n str; N]);

/// A member's name, copied only if it contains an escape.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, const N: usize> DeserializeSeed<'de> for Members<'_, N> {
    type Value = [Raw<'de>; N];

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
    type Value = [Raw<'de>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = [None; N];
        while let Some(Name(name)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            let place = self.0.iter().position(|wanted| *wanted == name);
            if let Some(slot) = place.and_then(|place| found.get_mut(place)) {
                *slot = (value.get() != "null").then_some(value);
            }
        }
        Ok(found)
    }
}

/// Returns the text of a non-empty string, or the digits of a number.
pub(super) fn text(raw: Raw<'_>) -> Option<String> {
    let raw = raw?.get();
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw)
            .ok()
            .filter(|text: &String| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(raw.to_owned()),
        _ => None,
    }
}

/// The longest code that is kept as text, in bytes.
const ODD_CODE_BYTES_MAX: usize = 64;

/// Returns a whole number, written as a number or as a string.
pub(super) fn code(raw: Raw<'_>) -> Option<i64> {
    let text = text(raw)?;
    let text = text.trim();
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// Returns the digits of a number that [`code`] cannot return: beyond 64 bits, or not a whole
/// number.
pub(super) fn odd_code(raw: Raw<'_>) -> Option<String> {
    let text = text(raw)?;
    let text = text.trim();
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'));
    (code(raw).is_none() && is_number && text.len() <= ODD_CODE_BYTES_MAX).then(|| text.to_owned())
}

/// Returns all such numbers of an array, or of a single value.
pub(super) fn odd_codes(raw: Raw<'_>) -> Vec<String> {
    let elements = elements(raw).into_iter();
    elements
        .filter_map(|element| odd_code(Some(element)))
        .collect()
}

/// Returns the elements of an array. Any other value is its own only element.
pub(super) fn elements(raw: Raw<'_>) -> Vec<&RawValue> {
    let Some(raw) = raw else { return Vec::new() };
    if raw.get().starts_with('[') {
        serde_json::from_str(raw.get()).unwrap_or_default()
    } else {
        vec![raw]
    }
}

/// Returns every whole number of an array, or of a single value.
pub(super) fn codes(raw: Raw<'_>) -> Vec<i64> {
    elements(raw)
        .into_iter()
        .filter_map(|element| code(Some(element)))
        .collect()
}

/// Returns every text of an array, or of a single value.
pub(super) fn texts(raw: Raw<'_>) -> Vec<String> {
    elements(raw)
        .into_iter()
        .filter_map(|element| text(Some(element)))
        .collect()
}

/// Replaces each unpaired surrogate (`\ud83d` without `\ude00` after it) by U+FFFD. The platform's
/// own SDKs let them pass, but a strict parser would refuse the whole text.
pub(super) fn mend(text: &str) -> Cow<'_, str> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Cow::Borrowed(text);
    }
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let (kept, length) = match (unit(escape, 0), unit(escape, 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (escape.get(..12), 12),
            (Some(0xD800..=0xDFFF), _) => (Some("\\ufffd"), 6),
            (Some(_), _) => (escape.get(..6), 6),
            // `\n`, `\\`, or an invalid escape, which the parser reports.
            (None, _) => (escape.get(..2), 2),
        };
        mended.push_str(kept.unwrap_or(escape));
        rest = match kept {
            Some(_) => escape.get(length..).unwrap_or_default(),
            None => "",
        };
    }
    mended.push_str(rest);
    Cow::Owned(mended)
}

/// Returns the code unit of the escape `\uXXXX` at `at`.
fn unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_repeated_member_counts_and_null_is_absent() {
        let [a, b, c] = members(
            r#"{"a":1,"a":"x","b":2,"b":null,"\u0063":[]}"#,
            ["a", "b", "c"],
        )
        .unwrap();
        assert_eq!(text(a).as_deref(), Some("x"));
        assert!(b.is_none());
        assert_eq!(c.unwrap().get(), "[]");
    }

    #[test]
    fn only_one_whole_object_will_do() {
        for wrong in [
            "",
            "null",
            "[1]",
            "{",
            "{}x",
            "{\"a\":tru}",
            "{\"a\":\"\n\"}",
        ] {
            assert!(members(wrong, ["a"]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_keep_their_digits_and_codes_may_be_strings() {
        let read = |json: &str| {
            let text_of = format!("{{\"v\":{json}}}");
            let [raw] = members(&text_of, ["v"]).unwrap();
            (text(raw), code(raw), codes(raw))
        };
        let big = "123456789012345678901234567890";
        assert_eq!(read(big), (Some(big.to_owned()), None, vec![]));
        assert_eq!(read("\" 7 \"").1, Some(7));
        assert_eq!(read("3.0").1, Some(3));
        assert_eq!(read("3.5").1, None);
        assert_eq!(read("[1,\"2\",null,{},\"x\",-4]").2, [1, 2, -4]);
        let odd = |json: &str| {
            let text_of = format!("{{\"v\":{json}}}");
            let [raw] = members(&text_of, ["v"]).unwrap();
            odd_codes(raw)
        };
        let all = "[1,18446744073709551615,\"-9223372036854775809\",3.5,\"x\",null,\"<b>\"]";
        assert_eq!(
            odd(all),
            ["18446744073709551615", "-9223372036854775809", "3.5"]
        );
        assert_eq!(odd(&"9".repeat(65)), [] as [&str; 0]);
        assert_eq!(read("true"), (None, None, vec![]));
        assert_eq!(read("\"\""), (None, None, vec![]));
    }

    #[test]
    fn half_surrogate_pair_is_replaced() {
        for (given, mended) in [
            (r"a\ud83d b", r"a\ufffd b"),
            (r"\ud83d\ude00", r"\ud83d\ude00"),
            (r"\uDE00\uD83D", r"\ufffd\ufffd"),
            (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
            (r"\\ud83d \u767d", r"\\ud83d \u767d"),
            (r"\ud83d\n\u00e9", r"\ufffd\n\u00e9"),
            (r"\ud8", r"\ud8"),
            (r"\uD83D白\", r"\ufffd白\"),
        ] {
            assert_eq!(mend(given), mended);
        }
    }

    #[test]
    fn deeply_nested_unknown_member_is_skipped() {
        let deep = format!(
            "{{\"x\":{}{},\"a\":1}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        let [a] = members(&deep, ["a"]).unwrap();
        assert_eq!(code(a), Some(1));
    }
}
