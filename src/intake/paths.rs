//! Finds the URL that was probably meant by a request to an unknown path.

/// The number of path segments that the log shows.
const SEGMENTS_MAX: usize = 6;
/// The number of names that are listed if none is similar.
const LISTED_MAX: usize = 5;

/// Words that are common in the path of a callback.
const WORDS: &[&str] = &[
    "actions",
    "api",
    "apps",
    "bot",
    "callback",
    "card",
    "destinations",
    "event",
    "events",
    "feedback",
    "feishu",
    "hook",
    "lark",
    "open-apis",
    "slack",
    "v1",
    "v2",
    "webhook",
];

/// Returns a path as the log shows it: common words, and words that resemble the configured `names`. All other
/// segments become `…`, because a stranger chose them.
pub fn shown(path: &str, names: &[&str]) -> String {
    let shown = |segment: &str| {
        let lower = segment.to_ascii_lowercase();
        let like = |word: &&str| {
            let word = word.to_ascii_lowercase();
            lower.len() <= 2 * word.len()
                && strsim::osa_distance(&lower, &word) * 3 <= word.chars().count()
        };
        let known = segment.is_empty() || WORDS.iter().chain(names).any(like);
        match known && segment.chars().all(|c| c.is_ascii_graphic()) {
            true => segment.to_owned(),
            false => "…".to_owned(),
        }
    };
    let mut segments: Vec<String> = path.split('/').take(SEGMENTS_MAX).map(shown).collect();
    if path.split('/').nth(SEGMENTS_MAX).is_some() {
        segments.push("…".to_owned());
    }
    segments.join("/")
}

/// Returns the path that was probably meant. `apps` receive events, `destinations` receive button actions.
pub fn nearest(path: &str, apps: &[&str], destinations: &[&str]) -> String {
    let path = path.to_ascii_lowercase();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_click = parts
        .iter()
        .any(|part| part.starts_with("destination") || part.starts_with("action"));
    if is_click && !destinations.is_empty() {
        return of_names("/destinations/", &parts, destinations, "/actions");
    }
    of_names("/apps/", &parts, apps, "/events")
}

fn of_names(before: &str, parts: &[&str], names: &[&str], after: &str) -> String {
    let near = names.iter().filter_map(|name| {
        let lower = name.to_ascii_lowercase();
        let short = parts.iter().filter(|part| part.len() <= 2 * lower.len());
        let distance = short.map(|part| strsim::osa_distance(part, &lower)).min()?;
        (distance * 3 <= lower.chars().count()).then_some((distance, *name))
    });
    let near = near.min_by_key(|(distance, _)| *distance);
    match (near, names) {
        (Some((_, name)), _) => format!("{before}{name}{after}"),
        (None, [name]) => format!("{before}{name}{after}"),
        (None, []) => "none: no app is configured".to_owned(),
        (None, names) => {
            let listed: Vec<&str> = names.iter().take(LISTED_MAX).copied().collect();
            let more = if names.len() > LISTED_MAX {
                ", …"
            } else {
                ""
            };
            format!(
                "{before}NAME{after}, NAME one of {}{more}",
                listed.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_path_names_the_nearest_valid_one() {
        let apps = ["order", "shop"];
        for (path, wanted) in [
            ("/apps/shop/events/", "/apps/shop/events"),
            ("/apps/shop/event", "/apps/shop/events"),
            ("/Apps/SHOP/events", "/apps/shop/events"),
            ("/apps/shpo/events", "/apps/shop/events"),
            ("/apps/orders/events", "/apps/order/events"),
            ("/relay/apps/order/events", "/apps/order/events"),
            ("/", "/apps/NAME/events, NAME one of order, shop"),
            (
                "/webhook/event",
                "/apps/NAME/events, NAME one of order, shop",
            ),
            (
                "/destinations/war-room/action",
                "/destinations/war-room/actions",
            ),
        ] {
            assert_eq!(nearest(path, &apps, &["war-room"]), wanted, "{path}");
        }
        assert_eq!(
            nearest("/webhook/event", &["shop"], &[]),
            "/apps/shop/events"
        );
        assert_eq!(nearest("/", &[], &[]), "none: no app is configured");
    }

    #[test]
    fn shown_path_contains_known_words_only() {
        for (path, wanted) in [
            ("/apps/shop/event", "/apps/shop/event"),
            ("/apps/shpo/events/", "/apps/shpo/events/"),
            ("/webhook/event", "/webhook/event"),
            ("/", "/"),
            ("/apps/what they said/events", "/apps/…/events"),
            ("/a\u{1b}[31m b\n", "/…"),
        ] {
            assert_eq!(shown(path, &["shop"]), wanted, "{path:?}");
        }
        assert_eq!(shown(&"/".repeat(5000), &[]), "//////…");
    }
}
