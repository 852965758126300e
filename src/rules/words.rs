//! Maps the words of Feishu's console and of cards to condition values, to suggest the right value if a word was
//! written instead.

/// Each word with the key of `match` and its value.
const WORDS: &[(&str, &str, &str)] = &[
    ("故障", "type", "fault"),
    ("异常", "type", "fault"),
    ("建议", "type", "suggestion"),
    ("黑屏", "fault", "black_screen"),
    ("白屏", "fault", "white_screen"),
    ("无法打开", "fault", "cannot_open"),
    ("打不开", "fault", "cannot_open"),
    ("卡顿", "fault", "stutter"),
    ("闪退", "fault", "crash"),
    ("崩溃", "fault", "crash"),
    ("加载慢", "fault", "slow_load"),
    ("死机", "fault", "freeze"),
    ("卡死", "fault", "freeze"),
    ("其他", "fault", "other"),
    ("小程序", "source", "mini_program"),
    ("网页应用", "source", "web_app"),
    ("机器人", "source", "bot"),
    ("未处理", "status", "unprocessed"),
    ("已处理", "status", "processed"),
    ("处理中", "status", "processing"),
    ("已关闭", "status", "closed"),
];

/// Returns the key of `match` and its value that `word` means. Feishu's own words are longer: 小程序闪退, 页面加载慢. If a
/// word has several meanings, the one for `key` is returned.
pub(super) fn meant(key: &str, word: &str) -> Option<(&'static str, &'static str)> {
    let named = |(name, ..): &&(&str, &str, &str)| word.contains(name);
    let found = WORDS.iter().filter(named);
    let of_key = found.clone().find(|(_, of, _)| *of == key);
    let (_, key, value) = of_key.or_else(|| found.clone().max_by_key(|(name, ..)| name.len()))?;
    Some((key, value))
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn word_leads_to_its_value() {
        assert_eq!(meant("fault", "白屏"), Some(("fault", "white_screen")));
        assert_eq!(meant("fault", "小程序闪退"), Some(("fault", "crash")));
        assert_eq!(meant("type", "白屏"), Some(("fault", "white_screen")));
        assert_eq!(meant("source", "小程序"), Some(("source", "mini_program")));
        assert_eq!(meant("fault", "white_scren"), None);
    }
}
