//! Quotes a platform's message in reasons that people read in logs, notices and `/status`.
//!
//! A response may repeat a reporter's text, or a secret of the request. So a quote shows only words
//! that are usual in error messages (`vocabulary.txt`), short numbers and plain signs; `…` replaces
//! the rest. A run of three or more words that also occurs in the request is left out too.

use std::collections::HashSet;
use std::sync::LazyLock;

/// The longest quote, in characters.
const QUOTE_CHARS_MAX: usize = 200;
/// How many characters of a message are searched. Platforms name the cause near the start.
const SAID_CHARS_MAX: usize = 400;
/// The longest number in a quote, in digits. Codes and limits are shorter; a longer number may be a
/// telephone number.
const DIGITS_MAX: usize = 8;
/// The shortest run of words that counts as an echo of the request.
const ECHO_WORDS_MIN: usize = 3;
/// Replaces text that is left out.
const LEFT_OUT: &str = "…";

/// The words of error messages, in lower case.
static VOCABULARY: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("vocabulary.txt").split_whitespace().collect());

/// The words of Chinese error messages. If one is the start of another, the longer one comes first.
const CHINESE: &[&str] = &[
    "请求过于频繁",
    "请稍后重试",
    "系统繁忙",
    "服务不可用",
    "权限不足",
    "机器人",
    "管理员",
    "关键词",
    "白名单",
    "不支持",
    "不存在",
    "不可用",
    "不合法",
    "不允许",
    "不正确",
    "不能为空",
    "不匹配",
    "时间戳",
    "过大",
    "过长",
    "过期",
    "过多",
    "参数",
    "错误",
    "无效",
    "权限",
    "不足",
    "频率",
    "频繁",
    "限制",
    "限流",
    "上限",
    "群聊",
    "群组",
    "用户",
    "租户",
    "应用",
    "未找到",
    "未安装",
    "未发布",
    "未启用",
    "未授权",
    "联系",
    "超过",
    "超出",
    "请求",
    "稍后",
    "重试",
    "签名",
    "校验",
    "验证",
    "失败",
    "消息",
    "内容",
    "卡片",
    "图片",
    "系统",
    "繁忙",
    "服务",
    "暂时",
    "停用",
    "禁用",
    "解散",
    "安装",
    "版本",
    "发布",
    "长连接",
    "连接",
    "数量",
    "事件",
    "订阅",
    "令牌",
    "凭证",
    "格式",
    "类型",
    "字段",
    "缺少",
    "必填",
    "大小",
    "地址",
    "配额",
    "额度",
    "用完",
    "超时",
    "网络",
    "内部",
    "已",
    "请",
    "或",
    "的",
    "群",
    "不",
    "未",
    "在",
    "为",
];

/// A piece of a text.
enum Piece<'a> {
    /// A word of letters or digits that may be shown.
    Shown(&'a str),
    /// A word that must not be shown.
    Hidden,
    /// Signs and spaces that may be shown.
    Signs(&'a str),
}

/// Returns the part of `said` that is safe to repeat. `None` if no part is. `sent` is the request's
/// body.
pub fn quote(said: &str, sent: &str) -> Option<String> {
    let said = said.get(..boundary(said, SAID_CHARS_MAX))?;
    let mut pieces = pieces(said);
    leave_out_echoes(&mut pieces, sent);
    let mut out = String::new();
    let mut words = 0;
    for piece in &pieces {
        match piece {
            Piece::Shown(word) => {
                words += usize::from(is_worded(word));
                out.push_str(word);
            }
            Piece::Hidden => hide(&mut out),
            Piece::Signs(signs) => {
                for sign in signs.chars() {
                    push_sign(&mut out, sign);
                }
            }
        }
    }
    let whole = out.trim_matches(|c: char| c.is_whitespace() || c == ',');
    let end = boundary(whole, QUOTE_CHARS_MAX);
    let mut shown = whole.get(..end)?.to_owned();
    if end < whole.len() {
        hide(&mut shown);
    }
    (words > 0).then_some(shown)
}

/// Returns all of `said` in one line, cut. Only for requests without a reporter's text, which could
/// come back.
pub fn whole_quote(said: &str) -> Option<String> {
    let mut out = String::new();
    for c in said
        .chars()
        .take(QUOTE_CHARS_MAX)
        .filter(|c| !c.is_control())
    {
        push_sign(&mut out, c);
    }
    let shown = out.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// Adds [`quote`] to a reason.
pub fn with_quote(reason: String, said: &str, sent: &str) -> String {
    match quote(said, sent) {
        Some(quote) => format!("{reason}; it says \"{quote}\""),
        None => reason,
    }
}

/// Appends one `…` for neighbouring hidden pieces.
fn hide(out: &mut String) {
    if !out.trim_end().ends_with(LEFT_OUT) {
        out.push_str(LEFT_OUT);
    }
}

fn push_sign(out: &mut String, sign: char) {
    let sign = match sign {
        // A quotation mark inside the quote would look like its end.
        '"' => ' ',
        sign if sign.is_whitespace() => ' ',
        sign => sign,
    };
    let twice = sign == ' ' && (out.is_empty() || out.ends_with(' '));
    if !twice {
        out.push(sign);
    }
}

fn pieces(said: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = said;
    while let Some(first) = rest.chars().next() {
        let (piece, after) = if first.is_ascii_alphanumeric() {
            let (word, after) = split_at_end(rest, |c| c.is_ascii_alphanumeric());
            // A letter of another script next to the word belongs to it.
            let glued = after.starts_with(|c: char| c.is_alphanumeric() && !is_chinese(c));
            match is_plain(word) && !glued {
                true => (Piece::Shown(word), after),
                false => (
                    Piece::Hidden,
                    split_at_end(after, |c| c.is_alphanumeric() && !is_chinese(c)).1,
                ),
            }
        } else if is_chinese(first) {
            match CHINESE.iter().find(|term| rest.starts_with(**term)) {
                Some(term) => {
                    let (term, after) = rest.split_at(term.len());
                    (Piece::Shown(term), after)
                }
                None => (
                    Piece::Hidden,
                    rest.get(first.len_utf8()..).unwrap_or_default(),
                ),
            }
        } else if is_sign(first) {
            let (signs, after) = split_at_end(rest, is_sign);
            (Piece::Signs(signs), after)
        } else {
            (
                Piece::Hidden,
                rest.get(first.len_utf8()..).unwrap_or_default(),
            )
        };
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Splits before the first character that is not `of` the kind.
fn split_at_end(text: &str, of: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !of(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn is_sign(c: char) -> bool {
    c.is_whitespace() || ".,;:!?'\"()[]{}<>/_-=+*#%&|~，。；：！？（）、“”".contains(c)
}

const fn is_chinese(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}')
}

fn is_plain(word: &str) -> bool {
    if word.bytes().all(|b| b.is_ascii_digit()) {
        return word.len() <= DIGITS_MAX;
    }
    let word = word.to_ascii_lowercase();
    let known = |word: &str| VOCABULARY.contains(word);
    let endings = ["s", "es", "ed", "d", "ing", "ly", "t", "ll"];
    let stems = endings
        .iter()
        .filter_map(|ending| word.strip_suffix(ending));
    // `'s` and `'t` are separate words.
    known(&word)
        || matches!(word.as_str(), "s" | "t")
        || stems.filter(|stem| stem.len() >= 3).any(known)
}

/// Hides runs of words that occur in the request in the same order.
fn leave_out_echoes(pieces: &mut [Piece<'_>], sent: &str) {
    if sent.is_empty() {
        return;
    }
    let sent = words_of(sent);
    let mut run: Vec<usize> = Vec::new();
    let mut echoed: Vec<usize> = Vec::new();
    let text = |pieces: &[Piece<'_>], run: &[usize]| {
        let words = run.iter().filter_map(|at| match pieces.get(*at) {
            Some(Piece::Shown(word)) => Some(word.to_lowercase()),
            Some(Piece::Hidden | Piece::Signs(_)) | None => None,
        });
        format!(" {} ", words.collect::<Vec<_>>().join(" "))
    };
    let shown: Vec<usize> = (0..pieces.len())
        .filter(|at| matches!(pieces.get(*at), Some(Piece::Shown(word)) if is_worded(word)))
        .collect();
    for at in shown {
        run.push(at);
        while run.len() > 1 && !sent.contains(&text(pieces, &run)) {
            run.remove(0);
        }
        if run.len() >= ECHO_WORDS_MIN {
            echoed.extend(&run);
        }
    }
    for at in echoed {
        if let Some(piece) = pieces.get_mut(at) {
            *piece = Piece::Hidden;
        }
    }
}

/// Returns whether a word counts in an echo. Numbers do not, because escapes in the request contain
/// numbers.
fn is_worded(word: &str) -> bool {
    word.chars().any(char::is_alphabetic)
}

/// Returns the words of a text between single spaces, split like [`pieces`].
fn words_of(sent: &str) -> String {
    let mut out = String::with_capacity(sent.len() + 2);
    out.push(' ');
    for piece in pieces(sent) {
        if let Piece::Shown(word) = piece
            && is_worded(word)
        {
            out.push_str(&word.to_lowercase());
            out.push(' ');
        }
    }
    out
}

/// Returns the byte index where the first `chars_max` characters end.
fn boundary(text: &str, chars_max: usize) -> usize {
    text.char_indices()
        .nth(chars_max)
        .map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_platform_messages_are_quoted_completely() {
        for said in [
            "too many request",
            "Bad Request",
            "sending messages to users is temporarily unavailable",
            "Failed to create card content, ext=ErrCode: 100290; ErrMsg: invalid user resource (at/person);",
            "app do not have bot",
            "Bot/User can NOT be out of the chat.",
            "Key Words Not Found",
            "sign match fail or timestamp is not within one hour from current time",
            "The messages's content is too long.",
            "请求过于频繁，请稍后重试",
            "no permission, required: im:message",
        ] {
            assert_eq!(quote(said, "").as_deref(), Some(said), "{said}");
        }
    }

    #[test]
    fn names_and_long_numbers_are_left_out() {
        for (said, wanted) in [
            (
                "invalid user Zhang San (13812345678)",
                Some("invalid user … (…)"),
            ),
            (
                "invalid value 白屏了 in content",
                Some("invalid value … in content"),
            ),
            ("MARKWORDS MARKPATH", None),
            ("13812", None),
            ("", None),
            ("a@example.com is not valid", Some("a… is not valid")),
            ("t-g1234abcd5678 expired", Some("…-… expired")),
            ("say \"no\"\r\n\u{7}now", Some("say no …now")),
            ("пароль invalid", Some("… invalid")),
            ("errorпароль", None),
        ] {
            let shown = quote(said, "");
            match wanted {
                Some("a… is not valid") => {
                    assert!(shown.is_some_and(|s| s.ends_with("is not valid")))
                }
                Some("…-… expired") => assert!(shown.is_some_and(|s| !s.contains("1234"))),
                _ => assert_eq!(shown.as_deref(), wanted, "{said}"),
            }
        }
    }

    #[test]
    fn sent_words_in_a_row_are_hidden() {
        let sent = r#"{"text":"the server is slow today, please help","tag":"text"}"#;
        let said = "invalid content: The server is slow today";
        assert_eq!(quote(said, sent).as_deref(), Some("invalid content: …"));
        assert_eq!(quote("invalid text", sent).as_deref(), Some("invalid text"));
        assert_eq!(quote("服务不可用 服务 繁忙", "服务不可用服务繁忙"), None);
    }

    #[test]
    fn long_quote_is_cut_with_ellipsis() {
        let quote = quote(&"error ".repeat(200), "").unwrap();
        assert!(quote.chars().count() <= QUOTE_CHARS_MAX + 1, "{quote}");
        assert!(quote.ends_with('…'));
        let reason = with_quote("code 7".into(), "too fast", "");
        assert_eq!(reason, "code 7; it says \"too fast\"");
        assert_eq!(with_quote("code 7".into(), "", ""), "code 7");
    }

    proptest! {
        #[test]
        fn quote_contains_only_vocabulary(said in ".{0,300}", sent in ".{0,300}") {
            if let Some(quote) = quote(&said, &sent) {
                prop_assert!(!quote.chars().any(char::is_control));
                for word in quote.split(|c: char| !c.is_alphanumeric()) {
                    let ascii = word.split(|c: char| !c.is_ascii_alphanumeric());
                    prop_assert!(ascii.filter(|w| !w.is_empty()).all(is_plain), "{word}");
                }
            }
        }
    }
}
