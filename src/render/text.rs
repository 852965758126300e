//! Processes text of reporters: cleans it, marks it during rendering, escapes it for its field, and cuts it to
//! the platform's limits.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

use super::Locale;
use crate::model::ImageId;

/// Begins a value in rendered text.
pub(super) const OPEN: char = '\u{E000}';
/// Ends a value.
pub(super) const CLOSE: char = '\u{E001}';
/// Begins a link placeholder; the image's id follows.
pub(super) const LINK: char = '\u{E002}';
/// Begins a link placeholder in Slack's mrkdwn, where the link needs `&amp;`.
pub(super) const LINK_MRKDWN: char = '\u{E004}';
/// Ends a link placeholder.
pub(super) const LINK_END: char = '\u{E003}';
/// The longest signed link, in bytes: `public_url` and about 200 bytes of path, expiry and signature.
pub(super) const LINK_BYTES_MAX: usize = 360;

/// Returns whether `c` is one of the mark characters, which are removed from every input.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{E000}'..='\u{E00F}')
}

/// Prepares text for programs: only marks and NUL are removed.
pub(super) fn strip(text: &str) -> Cow<'_, str> {
    let stays = |c: char| c != '\0' && !is_mark(c);
    match text.chars().all(stays) {
        true => text.into(),
        false => text.chars().filter(|&c| stays(c)).collect(),
    }
}

/// Prepares text for people: removes characters that deceive readers or terminals, and converts line ends to `
/// `. Joiners that emoji and scripts need are kept.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    // Fast path: most texts are printable ASCII.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\u{2028}' | '\u{2029}' | '\u{85}' => out.push('\n'),
            // Bidirectional overrides and isolates, invisible spaces and operators, tag characters.
            '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{200B}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{061C}'
            | '\u{FEFF}'
            | '\u{180E}'
            | '\u{00AD}'
            | '\u{E0000}'..='\u{E007F}' => {}
            c if c.is_control() || is_mark(c) => {}
            c => out.push(c),
        }
    }
    out.into()
}

/// Returns whether a character is invisible: a blank, or a character without a shape.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || is_mark(c)
        || matches!(c,
            // Soft hyphen, joiners, fillers of Hangul, vowels of Khmer that have no shape, Mongolian separators.
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{3164}' | '\u{FFA0}'
            // Zero-width and bidirectional characters, invisible operators.
            | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
            // The braille pattern without dots, and the blank symbol of ideographs.
            | '\u{2800}' | '\u{1D159}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            // Variation selectors, interlinear marks, tags.
            | '\u{FE00}'..='\u{FE0F}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Returns whether a text has no visible character.
pub(super) fn shows_nothing(text: &str) -> bool {
    text.chars().all(is_blank)
}

/// How a string of a message is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Not parsed.
    Plain,
    /// Not parsed, on one line.
    Line,
    /// Feishu's Markdown and Slack's `markdown` block: escaped with entities.
    Markdown,
    /// Slack's mrkdwn: `&`, `<` and `>` are escaped. Other markup characters have no escape, so invisible
    /// characters around them stop Slack from parsing them.
    Mrkdwn,
    /// Feishu's text messages, which parse `<at …>` and `[…](…)` and have no escape.
    FeishuText,
    /// A URL: a value can only be a part of it.
    Url,
    /// An address of a person: values are removed.
    Nobody,
}

/// Escapes the parts of one value in order, because some characters depend on the text before them.
struct Escaper {
    field: Field,
    before: char,
}

impl Escaper {
    const fn new(field: Field) -> Self {
        Self {
            field,
            before: '\n',
        }
    }

    fn put(&mut self, out: &mut String, text: &str) {
        for c in text.chars() {
            self.put_char(out, c);
            self.before = c;
        }
    }

    fn put_char(&self, out: &mut String, c: char) {
        match self.field {
            Field::Nobody => {}
            Field::Mrkdwn if c == LINK => out.push(LINK_MRKDWN),
            _ if c == LINK || c == LINK_END => out.push(c),
            Field::Plain => out.push(c),
            Field::Line => out.push(if c == '\n' || c == '\t' { ' ' } else { c }),
            Field::Markdown => markdown(out, c, self.before),
            Field::Mrkdwn => match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                // At the start of a line this would be a quote.
                '>' if self.before == '\n' => out.push_str("\u{200B}&gt;"),
                '>' => out.push_str("&gt;"),
                '*' | '_' | '~' | '`' => {
                    if !out.ends_with('\u{200B}') {
                        out.push('\u{200B}');
                    }
                    out.push(c);
                    out.push('\u{200B}');
                }
                // The next characters would make it an emoji.
                c if self.before == ':'
                    && (c.is_ascii_alphanumeric() || matches!(c, '+' | '-')) =>
                {
                    out.push('\u{200B}');
                    out.push(c);
                }
                c => out.push(c),
            },
            Field::FeishuText => match c {
                '<' => out.push('＜'),
                // An invisible character after `]` stops the following text from becoming its link.
                ']' => out.push_str("]\u{200B}"),
                c => out.push(c),
            },
            Field::Url => percent(out, c),
        }
    }
}

fn markdown(out: &mut String, c: char, before: char) {
    match c {
        '<' | '>' | '&' | '*' | '_' | '$' | '~' | '[' | ']' | '\\' | '(' | ')' | '#' | '-'
        | '!' | '`' | '"' | '\'' | '+' | ':' | '|' | '=' => entity(out, c),
        // Part of a domain, which would become a link, or of `1.`, which would become a list.
        '.' if before.is_ascii_alphanumeric() => entity(out, c),
        // Leading blanks would start a code block.
        ' ' | '\t' if before == '\n' || before == '\u{A0}' => out.push('\u{A0}'),
        c => out.push(c),
    }
}

fn entity(out: &mut String, c: char) {
    out.push_str("&#");
    out.push_str(&u32::from(c).to_string());
    out.push(';');
}

fn percent(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~' | '.') {
        out.push(c);
        return;
    }
    let mut buffer = [0; 4];
    for byte in c.encode_utf8(&mut buffer).bytes() {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        out.push('%');
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

/// The space for a text; both limits apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// The limit in characters, as Slack counts.
    pub(super) chars: usize,
    /// The limit in bytes, as Feishu counts.
    pub(super) bytes: usize,
}

impl Room {
    /// No limit.
    pub(super) const ALL: Self = Self {
        chars: usize::MAX,
        bytes: usize::MAX,
    };

    fn holds(self, text: &str, more: &str) -> bool {
        text.len() + more.len() <= self.bytes
            && (text.len() + more.len() <= self.chars
                || text.chars().count() + more.chars().count() <= self.chars)
    }

    /// Returns whether there is space for the note about the cut.
    fn is_wide(self) -> bool {
        self.chars >= 80 && self.bytes >= 160
    }
}

/// Escapes a value for `field`. A value that is too long is cut between visible characters, and a note at the end
/// says so.
pub(super) fn fit(value: &str, field: Field, room: Room, locale: Locale) -> String {
    let mut out = String::with_capacity(value.len().min(room.bytes) + 16);
    let linked = value.contains([LINK, LINK_END]);
    // Escaping never shortens a text, so a text that is too long unescaped is cut at once.
    if linked || value.len() <= room.bytes {
        let mut escaper = Escaper::new(field);
        if linked && !places_are_whole(value) {
            escaper.put(&mut out, &strip(value));
        } else {
            escaper.put(&mut out, value);
        }
        // Links are the relay's own, and a link must not be cut.
        if linked || room.holds(&out, "") {
            return out;
        }
    }
    let mark = cut_mark(value, room, locale);
    out.clear();
    if !room.holds("", &mark) {
        return out;
    }
    let mut escaper = Escaper::new(field);
    let mut counted = 0;
    let mark_chars = mark.chars().count();
    for grapheme in value.graphemes(true) {
        let kept = out.len();
        escaper.put(&mut out, grapheme);
        counted += out.get(kept..).map_or(0, |new| new.chars().count());
        if out.len() + mark.len() > room.bytes || counted + mark_chars > room.chars {
            out.truncate(kept);
            break;
        }
    }
    out.push_str(&mark);
    out
}

/// Returns whether every link placeholder in `text` is complete. A helper may have cut one.
pub(super) fn places_are_whole(text: &str) -> bool {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(LINK) {
        let Some((id, after)) = after.split_once(LINK_END) else {
            return false;
        };
        if before.contains(LINK_END) || id.parse::<ImageId>().is_err() {
            return false;
        }
        rest = after;
    }
    !rest.contains(LINK_END)
}

fn cut_mark(value: &str, room: Room, locale: Locale) -> String {
    if !room.is_wide() {
        return "…".to_owned();
    }
    let count = value.chars().count();
    match locale {
        Locale::Zh => format!("…（已截断，全文 {count} 字）"),
        Locale::En => format!("… (cut; {count} characters in all)"),
    }
}

/// Returns the first `count` visible characters, and an ellipsis if there are more.
pub(super) fn truncate(text: &str, count: usize) -> String {
    let mut graphemes = text.grapheme_indices(true);
    match graphemes.nth(count) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Writes `text` as the inside of a JSON string.
pub(super) fn json_escape(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("a String takes everything");
            }
            c => out.push(c),
        }
    }
}

/// A section of rendered text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text of the template, or trusted markup of a helper.
    Ours(&'a str),
    /// A value.
    Value(&'a str),
}

/// Splits rendered text at the marks.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        if !before.is_empty() {
            pieces.push(Piece::Ours(before));
        }
        let (value, after) = after.split_once(CLOSE).unwrap_or((after, ""));
        pieces.push(Piece::Value(value));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Ours(rest));
    }
    pieces
}

/// Splits off the first line at a line end of the template, never inside a value.
pub(super) fn first_line(text: &str) -> (&str, &str) {
    let mut inside = false;
    for (at, c) in text.char_indices() {
        match c {
            OPEN => inside = true,
            CLOSE => inside = false,
            '\n' if !inside => {
                let (line, rest) = text.split_at(at);
                return (line, rest.trim_start());
            }
            _ => {}
        }
    }
    (text, "")
}

/// Returns whether the template's own text contains `word`. Values do not count because they may be cut.
pub(super) fn says(text: &str, word: &str) -> bool {
    pieces(text)
        .iter()
        .any(|piece| matches!(piece, Piece::Ours(ours) if ours.contains(word)))
}

/// Fills rendered text into `field`: each value is escaped and at most `each` long, the whole at most `whole`.
/// The longest value is cut first, the template's own text last.
pub(super) fn fill(text: &str, field: Field, each: Room, whole: Room, locale: Locale) -> String {
    if !text.contains(OPEN) {
        return cap(text.to_owned(), whole);
    }
    let pieces = pieces(text);
    let mut parts: Vec<String> = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Ours(ours) => (*ours).to_owned(),
            Piece::Value(value) => fit(value, field, each, locale),
        })
        .collect();
    let count = |parts: &[String]| -> usize { parts.iter().map(|part| part.chars().count()).sum() };
    for _ in 0..pieces.len() {
        let total = count(&parts);
        if total <= whole.chars {
            return parts.concat();
        }
        let longest = pieces
            .iter()
            .zip(&parts)
            .enumerate()
            .filter(|(_, (piece, _))| matches!(piece, Piece::Value(v) if !v.contains(LINK)))
            .max_by_key(|(_, (_, part))| part.chars().count())
            .map(|(index, _)| index);
        let Some(index) = longest else { break };
        let length = parts[index].chars().count();
        let room = Room {
            chars: length.saturating_sub(total - whole.chars),
            bytes: each.bytes,
        };
        if let Piece::Value(value) = pieces[index] {
            parts[index] = fit(value, field, room, locale);
        }
    }
    cap(parts.concat(), whole)
}

/// Cuts the template's own text, as a last resort.
fn cap(text: String, room: Room) -> String {
    if text.len() <= room.chars || text.chars().count() <= room.chars {
        return text;
    }
    let mut kept = String::new();
    let mut counted = 1;
    for grapheme in text.graphemes(true) {
        counted += grapheme.chars().count();
        if counted > room.chars {
            break;
        }
        kept.push_str(grapheme);
    }
    kept.push('…');
    kept
}
