//! Compares what reporters wrote.
//!
//! Reports are short, so hashes such as `SimHash` have too few features. Texts are compared exactly: by the shares of
//! words and of pairs of neighbouring words that they have in common (Jaccard). In Chinese, Japanese and Korean each
//! character counts as a word. Elsewhere single letters would make all texts alike, so whole words are compared, without
//! the most frequent ones.
//!
//! Before the comparison, full-width letters become ordinary ones, upper case becomes lower case, numbers of at least
//! four digits become `#`, and punctuation is dropped. Other forms that Unicode calls compatible stay different.

use std::collections::HashMap;

/// The most texts that are compared: the newest ones.
pub const COMPARED_MAX: usize = 200;

/// The smallest share of common words and pairs, in percent, at which texts are similar.
const SIMILAR_MIN: usize = 14;
/// The most words of a text that are compared. They make at most 80 words and pairs.
const WORDS_MAX: usize = 40;
/// The most characters of a text that are read. A hostile text may have no end.
const CHARS_MAX: usize = 1000;
/// Numbers of at least this length identify something, for example an order.
const NUMBER_DIGITS: usize = 4;
/// English words that any two texts may share.
const FREQUENT: &[&str] = &[
    "a", "after", "again", "am", "an", "and", "are", "at", "but", "can", "do", "for", "from",
    "had", "has", "have", "i", "in", "is", "it", "its", "just", "me", "my", "of", "on", "or",
    "please", "so", "that", "the", "then", "there", "this", "to", "was", "we", "when", "with",
    "you", "your",
];

/// The reports that use similar words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alike {
    /// The position of the first of these texts.
    pub first: usize,
    /// The number of these texts.
    pub count: usize,
}

/// Groups similar texts: the largest group first, and of equal ones the one whose text comes first. Each text joins the
/// group whose first text is most similar. Texts without words belong to no group.
pub fn group(texts: &[&str]) -> Vec<Alike> {
    let mut groups: Vec<(Alike, usize)> = Vec::new();
    let mut having: HashMap<u64, Vec<usize>> = HashMap::new();
    for (first, text) in texts.iter().take(COMPARED_MAX).enumerate() {
        let grams = grams(text);
        if grams.is_empty() {
            continue;
        }
        match most_similar(&grams, &groups, &having) {
            Some(index) => groups[index].0.count += 1,
            None => {
                for gram in &grams {
                    having.entry(*gram).or_default().push(groups.len());
                }
                groups.push((Alike { first, count: 1 }, grams.len()));
            }
        }
    }
    let mut alike: Vec<Alike> = groups.into_iter().map(|(alike, _)| alike).collect();
    alike.sort_by_key(|one| std::cmp::Reverse(one.count));
    alike
}

/// Returns the group whose first text is most similar, if one is similar enough.
fn most_similar(
    grams: &[u64],
    groups: &[(Alike, usize)],
    having: &HashMap<u64, Vec<usize>>,
) -> Option<usize> {
    let mut common = vec![0; groups.len()];
    for group in grams.iter().filter_map(|gram| having.get(gram)).flatten() {
        common[*group] += 1;
    }
    let shares = common.into_iter().zip(groups).enumerate();
    let shares =
        shares.map(|(index, (common, (_, size)))| (share(common, grams.len(), *size), index));
    // Of equally similar ones the first.
    let best = shares.max_by_key(|(share, index)| (*share, std::cmp::Reverse(*index)));
    best.filter(|(share, _)| *share >= SIMILAR_MIN * 100)
        .map(|(_, index)| index)
}

/// Returns whether two texts use similar words.
pub fn are_similar(one: &str, other: &str) -> bool {
    group(&[one, other]).iter().any(|alike| alike.count == 2)
}

/// Returns the share of common elements of two sets, in hundredths of a percent.
fn share(common: usize, one: usize, other: usize) -> usize {
    common * 10_000 / (one + other - common).max(1)
}

/// Returns the words and pairs of words of a text as numbers, each once.
fn grams(text: &str) -> Vec<u64> {
    let words = words(text);
    let pairs = words.windows(2).map(|pair| pair[0] << 32 | pair[1]);
    let mut grams: Vec<u64> = pairs.chain(words.iter().copied()).collect();
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// Returns the first words of a text, each as a number of 32 bits.
fn words(text: &str) -> Vec<u64> {
    let mut words = Vec::new();
    let mut word = String::new();
    let chars = text.chars().take(CHARS_MAX).flat_map(narrow);
    // The end of the text ends the last word.
    for c in chars.chain([' ']) {
        let is_letter = c.is_alphanumeric() && !is_word(c);
        if is_letter {
            word.push(c);
            continue;
        }
        words.extend(number_of(&std::mem::take(&mut word)));
        if is_word(c) {
            words.push(u64::from(c));
        }
        if words.len() >= WORDS_MAX {
            break;
        }
    }
    words.truncate(WORDS_MAX);
    words
}

/// Returns the lower case of a character, and the ordinary form of a full-width one.
fn narrow(c: char) -> impl Iterator<Item = char> {
    const FULL_WIDTH: u32 = 0xFF01 - 0x21;
    let narrow = match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - FULL_WIDTH).unwrap_or(c),
        c => c,
    };
    narrow.to_lowercase()
}

/// Returns whether a character counts as a word: Chinese, Japanese and Korean ones.
fn is_word(c: char) -> bool {
    matches!(c,
        '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// Returns a word as a number; `None` for a frequent one. Numbers in it that identify something are all alike.
fn number_of(word: &str) -> Option<u64> {
    if word.is_empty() || FREQUENT.contains(&word) {
        return None;
    }
    let mut hash = Fnv::new();
    let mut digits = String::new();
    for c in word.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        hash.number(&std::mem::take(&mut digits));
        hash.add(c);
    }
    hash.number(&digits);
    Some(hash.0)
}

/// An FNV-1a hash of 32 bits.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0x811c_9dc5)
    }

    fn add(&mut self, c: char) {
        self.0 = ((self.0 ^ u64::from(c)) * 0x0100_0193) & 0xffff_ffff;
    }

    /// Adds a number, or a mark for a long one.
    fn number(&mut self, digits: &str) {
        if digits.len() >= NUMBER_DIGITS {
            return self.add('#');
        }
        digits.chars().for_each(|digit| self.add(digit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the first text of each group, with the size of the group.
    fn grouped<'t>(texts: &[&'t str]) -> Vec<(&'t str, usize)> {
        let groups = group(texts).into_iter();
        groups
            .map(|alike| (texts[alike.first], alike.count))
            .collect()
    }

    #[test]
    fn chinese_reports_are_grouped_by_what_they_say() {
        let texts = [
            "点击支付后白屏",
            "支付页面白屏，重启也没用",
            "扫码登录一直转圈",
            "付款之后页面是白的，一片白屏",
            "登录转圈，进不去",
            "点支付就白屏了！！！",
            "图片上传失败",
        ];
        assert_eq!(
            grouped(&texts),
            [
                ("点击支付后白屏", 4),
                ("扫码登录一直转圈", 2),
                ("图片上传失败", 1)
            ]
        );
    }

    #[test]
    fn english_reports_are_grouped_by_what_they_say() {
        let texts = [
            "White screen after I pay with the wallet",
            "Cannot log in with my phone number",
            "the screen is white when I pay",
            "Photos are not uploaded",
            "white screen!! again!!",
            "log in fails, phone number not accepted",
        ];
        assert_eq!(
            grouped(&texts),
            [
                ("White screen after I pay with the wallet", 3),
                ("Cannot log in with my phone number", 2),
                ("Photos are not uploaded", 1)
            ]
        );
    }

    #[test]
    fn case_width_punctuation_and_ids_do_not_matter() {
        for (one, other) in [
            ("ＷＨＩＴＥ　Ｓｃｒｅｅｎ", "white screen"),
            ("白屏。。。", "【白屏】"),
            ("订单20461打不开", "订单 998877 打不开"),
            ("order20461", "order998877"),
        ] {
            assert_eq!(grams(one), grams(other), "{one} {other}");
        }
        for (one, other) in [("错误 404", "错误 500"), ("v1", "v2")] {
            assert_ne!(grams(one), grams(other), "{one} {other}");
        }
    }

    #[test]
    fn texts_that_share_only_frequent_words_differ() {
        for (one, other) in [
            ("the app is slow", "it is the wrong price"),
            ("please help me with this", "please do this for me"),
            ("白屏", "闪退"),
            ("", ""),
            ("!!!", "!!!"),
        ] {
            assert!(!are_similar(one, other), "{one} {other}");
        }
    }

    #[test]
    fn threshold_is_14_percent() {
        assert_eq!(share(0, 0, 0), 0);
        assert_eq!(share(5, 5, 5), 10_000);
        // 7 of 50.
        assert_eq!(share(7, 30, 27), 1400);
    }

    #[test]
    fn hostile_texts_are_bounded() {
        let long = "长文本".repeat(1_000_000);
        assert!(grams(&long).len() <= 80);
        let distinct: String = ('\u{4E00}'..'\u{9FFF}').collect();
        assert_eq!(grams(&distinct).len(), 2 * WORDS_MAX - 1);
        let word = "a".repeat(1_000_000);
        assert_eq!(grams(&word).len(), 1);
        let many = vec![distinct.as_str(); 10_000];
        assert_eq!(
            group(&many),
            [Alike {
                first: 0,
                count: COMPARED_MAX
            }]
        );
    }

    /// Every two texts share nearly as much as similar ones, which is the most work.
    #[test]
    fn texts_that_share_too_little_are_groups_of_their_own() {
        let texts: Vec<String> = (0..200)
            .map(|index| {
                let own = (0..35).map(|at| char::from_u32(0x4E00 + index * 35 + at).unwrap());
                "共同的词语".chars().chain(own).collect()
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(group(&texts).len(), COMPARED_MAX);
    }
}
