//! Text of strangers: cleaned on its way in, marked while it is rendered, escaped for the field it
//! landed in, and cut as the platform counts.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

use super::Locale;
use crate::model::ImageId;

/// Begins a value in rendered text, whatever it holds.
pub(super) const OPEN: char = '\u{E000}';
/// Ends a value.
pub(super) const CLOSE: char = '\u{E001}';
/// Begins the place of an image's link; the image's id follows.
pub(super) const LINK: char = '\u{E002}';
/// The same in Slack's mrkdwn, where the link needs `&amp;`.
pub(super) const LINK_MRKDWN: char = '\u{E004}';
/// Ends the place of a link.
pub(super) const LINK_END: char = '\u{E003}';
/// What a signed link may measure: `public_url` and about 200 bytes of path, expiry and signature.
pub(super) const LINK_BYTES_MAX: usize = 360;

/// The characters we mark with; no input keeps them.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{E000}'..='\u{E00F}')
}

/// For programs: as it was typed, but for our marks and NUL.
pub(super) fn strip(text: &str) -> Cow<'_, str> {
    let stays = |c: char| c != '\0' && !is_mark(c);
    match text.chars().all(stays) {
        true => text.into(),
        false => text.chars().filter(|&c| stays(c)).collect(),
    }
}

/// For people: what only deceives the eye or the terminal goes, line ends become `\n`. Joiners that
/// emoji and scripts need stay.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    // Most is: the rest need not be looked at one by one.
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

/// Whether a reader sees nothing of this character: blanks, and what has no shape of its own.
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

/// Whether a reader sees nothing of this text.
pub(super) fn shows_nothing(text: &str) -> bool {
    text.chars().all(is_blank)
}

/// What reads a string of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Nothing is parsed.
    Plain,
    /// Nothing is parsed, and it is one line.
    Line,
    /// Feishu's Markdown, also Slack's `markdown` block: entities.
    Markdown,
    /// Slack's mrkdwn: `&`, `<` and `>`; marks that Slack has no escape for stand between characters that show
    /// nothing, so that they read as they were typed.
    Mrkdwn,
    /// Feishu's text messages, which know `<at …>` and `[…](…)` and no escape.
    FeishuText,
    /// A URL: values can only be parts of it.
    Url,
    /// An address of a person: values have no business there.
    Nobody,
}

/// Escapes piece after piece of one value; some characters depend on what went before.
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
                // At the beginning of a line it would be a quote.
                '>' if self.before == '\n' => out.push_str("\u{200B}&gt;"),
                '>' => out.push_str("&gt;"),
                '*' | '_' | '~' | '`' => {
                    if !out.ends_with('\u{200B}') {
                        out.push('\u{200B}');
                    }
                    out.push(c);
                    out.push('\u{200B}');
                }
                // What follows would make it an emoji.
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
                // Something invisible behind `]` keeps what follows from being its link.
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
        // Leading blanks would make a block of code.
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

/// How much room a text has: both must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Characters, as Slack counts.
    pub(super) chars: usize,
    /// Bytes, as Feishu counts.
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

    /// Room for at least this many of each: enough to say what was cut.
    fn is_wide(self) -> bool {
        self.chars >= 80 && self.bytes >= 160
    }
}

/// A value, escaped for `field`; what does not fit is cut between characters as people see them, and
/// the end says so.
pub(super) fn fit(value: &str, field: Field, room: Room, locale: Locale) -> String {
    let mut out = String::with_capacity(value.len().min(room.bytes) + 16);
    let linked = value.contains([LINK, LINK_END]);
    // No escape makes a text shorter, so one that is too long as it is need not be tried whole.
    if linked || value.len() <= room.bytes {
        let mut escaper = Escaper::new(field);
        if linked && !places_are_whole(value) {
            escaper.put(&mut out, &strip(value));
        } else {
            escaper.put(&mut out, value);
        }
        // Links are ours, and half a link is none.
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

/// Whether every place of a link in `text` is one: a helper may have cut it.
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

/// The first `count` characters as people see them, and a mark if there are more.
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

/// One stretch of rendered text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Of the template, or trusted markup of a helper.
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

/// The first line and the rest, divided at a line end of the template, never inside a value.
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

/// Whether the template's own words hold `word`; a value may yet be cut.
pub(super) fn says(text: &str, word: &str) -> bool {
    pieces(text)
        .iter()
        .any(|piece| matches!(piece, Piece::Ours(ours) if ours.contains(word)))
}

/// Rendered text as `field` takes it: each value escaped and at most `each` long, the whole within
/// `whole`. What is too long is taken from the longest value first, from the template's own words last.
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

/// The last resort for text of a template that is itself too long.
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
