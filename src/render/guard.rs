//! Counts nesting before a template is parsed. Parser and renderer are recursive, so a text that is nested too
//! deep would crash the process.

/// The largest template, in bytes.
pub(super) const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// The deepest nesting of blocks and `else` branches, partials included.
pub(super) const DEPTH_MAX: usize = 50;
/// The most brackets that one tag may open.
const BRACKETS_MAX: usize = 32;

/// Why a template is refused before it is parsed, and the byte position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) at: usize,
    pub(super) reason: String,
}

/// A block without an end: its position and its helper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unclosed {
    pub(super) at: usize,
    pub(super) helper: String,
}

/// An open block and the depth of its branches.
struct Open<'a> {
    at: usize,
    helper: &'a str,
    depth: usize,
}

/// Counts blocks and brackets without parsing. Unknown syntax is counted too strictly, never too loosely. Returns
/// the innermost unclosed block, because the parser reports only where it misses the end.
pub(super) fn check(source: &str) -> Result<Option<Unclosed>, Refused> {
    let refuse = |at, reason: String| Err(Refused { at, reason });
    if source.len() > SOURCE_BYTES_MAX {
        let reason = format!("the template is larger than {SOURCE_BYTES_MAX} bytes");
        return refuse(0, reason);
    }
    let bytes = source.as_bytes();
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut unclosed = None;
    let mut at = 0;
    while let Some(found) = source.get(at..).and_then(|rest| rest.find("{{")) {
        let start = at + found;
        if start > 0 && bytes[start - 1] == b'\\' {
            return refuse(start, "a backslash before {{ is not supported".to_owned());
        }
        let Some(inside) = source.get(start + 2..) else {
            break;
        };
        let word = inside.trim_start_matches(['{', '~', ' ', '\t', '\r', '\n']);
        if inside.starts_with("{{") {
            return refuse(start, "raw blocks {{{{ }}}} are not supported".to_owned());
        }
        if let Some(comment) = inside.trim_start_matches('~').strip_prefix('!') {
            let end = if comment.starts_with("--") {
                "--}}"
            } else {
                "}}"
            };
            at = source.len() - comment.len()
                + comment.find(end).map_or(comment.len(), |n| n + end.len());
            continue;
        }
        if word.starts_with('#') || word.starts_with('^') && !word.starts_with("^}") {
            open.push(Open {
                at: start,
                helper: helper(word.trim_start_matches(['#', '^', '>', '*'])),
                depth: 1,
            });
        } else if let Some(name) = word.strip_prefix('/') {
            if let Some(one) = open.pop()
                && one.helper != helper(name)
                && open.iter().any(|outer| outer.helper == helper(name))
            {
                unclosed.get_or_insert(one);
            }
        } else if word.starts_with("else")
            && let Some(one) = open.last_mut()
        {
            one.depth += 1;
        }
        if open.iter().map(|one| one.depth).sum::<usize>() > DEPTH_MAX {
            return refuse(
                start,
                format!("blocks are nested more than {DEPTH_MAX} deep"),
            );
        }
        at = tag_end(bytes, start + 2).map_err(|()| Refused {
            at: start,
            reason: format!("one tag has more than {BRACKETS_MAX} open brackets"),
        })?;
    }
    let unclosed = unclosed.or_else(|| open.pop());
    Ok(unclosed.map(|one| Unclosed {
        at: one.at,
        helper: one.helper.to_owned(),
    }))
}

/// Returns the first name in a tag.
fn helper(tag: &str) -> &str {
    let tag = tag.trim_start_matches(['~', ' ', '\t', '\r', '\n']);
    let end = tag.find(|c: char| c.is_whitespace() || matches!(c, '}' | '~' | '('));
    tag.get(..end.unwrap_or(tag.len())).unwrap_or_default()
}

/// Returns the end of the tag that begins before `at`; an error if it opens too many brackets.
fn tag_end(bytes: &[u8], mut at: usize) -> Result<usize, ()> {
    let mut brackets = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'(' | b'[' | b'{' => brackets += 1,
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Ok(at + 2),
            _ => {}
        }
        if brackets > BRACKETS_MAX {
            return Err(());
        }
        at += 1;
    }
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_in_blocks_and_branches() {
        let nest = |n: usize| format!("{}{}", "{{#if a}}".repeat(n), "{{/if}}".repeat(n));
        assert_eq!(check(&nest(DEPTH_MAX)), Ok(None));
        assert!(check(&nest(DEPTH_MAX + 1)).is_err());
        let chain = |n: usize| format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{else if b}}".repeat(n));
        assert_eq!(check(&chain(DEPTH_MAX - 1)), Ok(None));
        assert!(check(&chain(DEPTH_MAX)).is_err());
    }

    #[test]
    fn size_and_brackets_have_limits() {
        assert_eq!(check(&"x".repeat(SOURCE_BYTES_MAX)), Ok(None));
        assert!(check(&"x".repeat(SOURCE_BYTES_MAX + 1)).is_err());
        assert_eq!(
            check(&format!("{{{{x {}", "(".repeat(BRACKETS_MAX))),
            Ok(None)
        );
        assert!(check(&format!("{{{{x {}", "(".repeat(2_000))).is_err());
        assert!(check(&format!("{{{{x \"}}}}\" {}", "(".repeat(2_000))).is_err());
        assert_eq!(check("{{! ((((( \" }} {{!-- }} ' --}}"), Ok(None));
    }

    #[test]
    fn a_block_without_an_end_is_found_where_it_is_opened() {
        for (source, wanted) in [
            ("a {{#if x}} b", Some((2, "if"))),
            ("{{#if x}}{{#each y}}{{/each}}", Some((0, "if"))),
            ("{{#if x}}{{#each y}}{{/if}}", Some((9, "each"))),
            ("{{#if x}}{{else}}{{~#with y~}}{{/with}}{{/if}}", None),
            ("{{^if x}}{{/if}}", None),
            ("{{!-- {{#if x}} --}}", None),
        ] {
            let found = check(source).unwrap();
            let found = found.map(|one| (one.at, one.helper));
            assert_eq!(
                found,
                wanted.map(|(at, name)| (at, name.to_owned())),
                "{source}"
            );
        }
    }
}
