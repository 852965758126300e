//! Splits the page of a report into its path and its query.

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
}
