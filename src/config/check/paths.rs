//! Rejects paths that a shell or a URL would read differently from the file system.

/// Checks that a path names exactly one file. Fails if a shell or a database URL would read it differently.
pub(super) fn plain(path: &str) -> Result<(), &'static str> {
    if path == "~" || path.starts_with("~/") {
        return Err("`~` is not expanded: write the whole path of the home folder");
    }
    if path.contains('?') {
        return Err("options after a `?` are not supported");
    }
    if path.starts_with("file:") {
        return Err("a path has no URL scheme");
    }
    if has_escape(path) {
        return Err("`%` and two digits would be part of the file name");
    }
    if path.trim() != path {
        return Err("there is white space around the path");
    }
    Ok(())
}

/// Returns whether the path contains a URL escape like `%20`.
fn has_escape(path: &str) -> bool {
    let mut parts = path.split('%').skip(1);
    parts.any(|rest| {
        let mut digits = rest.chars().take(2);
        let hex = |digit: Option<char>| digit.is_some_and(|digit| digit.is_ascii_hexdigit());
        hex(digits.next()) && hex(digits.next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_the_file_of_that_name_or_is_refused() {
        for good in [
            "data/relay.db",
            "/var/lib/a b.db",
            "100%",
            "~user.db",
            "50% of it",
        ] {
            assert_eq!(plain(good), Ok(()), "{good}");
        }
        for bad in [
            "data/relay.db?mode=rwc",
            "~/relay.db",
            "my%20relay.db",
            "file:relay.db",
            " a.db",
        ] {
            assert!(plain(bad).is_err(), "{bad}");
        }
    }
}
