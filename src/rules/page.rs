//! Reads the page of a report: its path and its query, and its path with ids replaced.

use std::borrow::Cow;

/// Splits an address into the path, for `path` conditions, and the query, for `query` conditions.
///
/// A fragment is dropped unless it is itself a path (`#/pay`, `#!/pay`), because web apps use it for routing.
pub(super) fn split(address: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    let (before, fragment) = address.split_once('#').unwrap_or((address, ""));
    let (path, query) = before.split_once('?').unwrap_or((before, ""));
    if !fragment.starts_with(['/', '!']) {
        return (path.into(), query.into());
    }
    let (route, inner) = fragment.split_once('?').unwrap_or((fragment, ""));
    let path = format!("{path}#{route}");
    let queries: Vec<&str> = [query, inner]
        .into_iter()
        .filter(|one| !one.is_empty())
        .collect();
    (path.into(), queries.join("&").into())
}

/// How many segments of a path are kept in its pattern, without the host.
const SEGMENTS_MAX: usize = 8;

/// Returns the path with ids replaced by `*`, so that the pages of all orders are one page. Query, fragment,
/// scheme and slashes at both ends are dropped. Empty if nothing is left.
pub(super) fn pattern(address: &str) -> String {
    let (path, _) = split(address);
    let path = decoded(&path);
    let (host, path) = match path.split_once("://") {
        Some((_, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = authority.rsplit('@').next().unwrap_or(authority);
            (Some(host.to_lowercase()), path)
        }
        None => (None, &*path),
    };
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let segments = segments.take(SEGMENTS_MAX).map(|segment| {
        let is_id = is_id(segment);
        if is_id { "*" } else { segment }.to_owned()
    });
    host.into_iter()
        .chain(segments)
        .collect::<Vec<_>>()
        .join("/")
}

/// Returns whether a segment is probably an id: a number, a UUID, a hexadecimal code or a long token with digits.
fn is_id(segment: &str) -> bool {
    let every = |test: fn(&u8) -> bool| segment.bytes().all(|byte| test(&byte));
    let is_long_token = segment.len() >= 16
        && every(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && segment.bytes().any(|byte| byte.is_ascii_digit());
    every(u8::is_ascii_digit)
        || segment.len() >= 8 && every(u8::is_ascii_hexdigit)
        || is_uuid(segment)
        || is_long_token
}

fn is_uuid(segment: &str) -> bool {
    let is_group = |(part, digits): (&str, usize)| {
        part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let groups = [8, 4, 4, 4, 12];
    segment.split('-').count() == groups.len() && segment.split('-').zip(groups).all(is_group)
}

/// Returns the text without percent-encoding, decoded once. If the result is not UTF-8, the text is not decoded.
fn decoded(text: &str) -> Cow<'_, str> {
    let Some((first, rest)) = text.split_once('%') else {
        return text.into();
    };
    let mut bytes = first.as_bytes().to_vec();
    for part in rest.split('%') {
        let code = part
            .get(..2)
            .filter(|code| code.bytes().all(|one| one.is_ascii_hexdigit()));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(part.bytes().skip(2));
            }
            None => {
                bytes.push(b'%');
                bytes.extend(part.bytes());
            }
        }
    }
    String::from_utf8(bytes).map_or_else(|_| text.into(), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_split_at_its_query_and_keeps_a_route() {
        for (address, path, query) in [
            ("pages/pay/index", "pages/pay/index", ""),
            ("pages/pay?id=1&x=?", "pages/pay", "id=1&x=?"),
            ("pages/pay#top", "pages/pay", ""),
            ("pages/pay?id=1#top", "pages/pay", "id=1"),
            (
                "https://a.example/#/pay?id=1",
                "https://a.example/#/pay",
                "id=1",
            ),
            (
                "https://a.example/?t=2#!/pay?id=1",
                "https://a.example/#!/pay",
                "t=2&id=1",
            ),
            ("?id=1", "", "id=1"),
            ("", "", ""),
        ] {
            let (found, rest) = split(address);
            assert_eq!((&*found, &*rest), (path, query), "{address}");
        }
    }

    #[test]
    fn pattern_has_no_query_no_ids_and_eight_segments_at_most() {
        for (address, pattern) in [
            ("pages/pay/index", "pages/pay/index"),
            ("/pages/pay//index/", "pages/pay/index"),
            ("pages/pay?id=1#top", "pages/pay"),
            ("pages/pay/?id=1", "pages/pay"),
            ("pages/order/20461/detail", "pages/order/*/detail"),
            ("pages/order/0", "pages/order/*"),
            ("pages/v2/list3", "pages/v2/list3"),
            ("pages/deadbeef", "pages/*"),
            ("pages/deadbee", "pages/deadbee"),
            ("pages/deadbeefx", "pages/deadbeefx"),
            ("a/6F9619FF-8B86-D011-B42D-00CF4FC964FF/b", "a/*/b"),
            ("a/abcdefab-abcd-abcd-abcd-abcdefabcdef", "a/*"),
            ("a/abcd-abcd", "a/abcd-abcd"),
            ("a/abcdefghij_-klm1", "a/*"),
            ("a/abcdefghijklmno1x", "a/*"),
            ("a/abcdefghijklmn1", "a/abcdefghijklmn1"),
            ("a/internationalisation", "a/internationalisation"),
            ("a/订单12345678901234567890", "a/订单12345678901234567890"),
            ("pages/%E8%AE%A2%E5%8D%95/1", "pages/订单/*"),
            ("pages%2Fpay%2F12", "pages/pay/*"),
            ("a/%2541", "a/%41"),
            ("a/100%", "a/100%"),
            ("a/%+1/%zz/%4", "a/%+1/%zz/%4"),
            ("a/%ff", "a/%ff"),
            ("1/2/3/4/5/6/7/8/9", "*/*/*/*/*/*/*/*"),
            ("https://Shop.Example/pay/12?x=1", "shop.example/pay/*"),
            ("https://shop.example:8443/", "shop.example:8443"),
            ("https://shop.example", "shop.example"),
            ("https://li:key@shop.example/pay", "shop.example/pay"),
            (
                "https://h.example/1/2/3/4/5/6/7/8/9",
                "h.example/*/*/*/*/*/*/*/*",
            ),
            (
                "https://h.example/app#/order/12?x=1",
                "h.example/app#/order/*",
            ),
            ("https://h.example/#!/pay", "h.example/#!/pay"),
            ("https://h.example/pay#12", "h.example/pay"),
            ("?id=1", ""),
            ("/", ""),
            ("", ""),
        ] {
            assert_eq!(super::pattern(address), pattern, "{address}");
        }
    }
}
