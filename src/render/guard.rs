//! What is counted before a template is parsed: the parser and the renderer recurse, and a text deep
//! enough would end the process instead of failing.

/// The largest template, in bytes.
pub(super) const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// How deep blocks and `else` branches may stand in each other, partials included.
pub(super) const DEPTH_MAX: usize = 50;
/// How many brackets one tag may open.
const BRACKETS_MAX: usize = 32;

/// Why a source is refused before it is parsed, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) at: usize,
    pub(super) reason: String,
}

/// Counts blocks and brackets without parsing. What it does not understand it counts too strictly.
pub(super) fn check(source: &str) -> Result<(), Refused> {
    let refuse = |at, reason: String| Err(Refused { at, reason });
    if source.len() > SOURCE_BYTES_MAX {
        let reason = format!("the template is larger than {SOURCE_BYTES_MAX} bytes");
        return refuse(0, reason);
    }
    let bytes = source.as_bytes();
    // One entry for each open block: how deep its branches have become.
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(found) = source.get(at..).and_then(|rest| rest.find("{{")) {
        let start = at + found;
        if start > 0 && bytes[start - 1] == b'\\' {
            return refuse(start, "a backslash cannot stand before {{".to_owned());
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
            open.push(1);
        } else if word.starts_with('/') {
            open.pop();
        } else if word.starts_with("else")
            && let Some(depth) = open.last_mut()
        {
            *depth += 1;
        }
        if open.iter().sum::<usize>() > DEPTH_MAX {
            return refuse(
                start,
                format!("blocks stand in each other more than {DEPTH_MAX} deep"),
            );
        }
        at = tag_end(bytes, start + 2).map_err(|()| Refused {
            at: start,
            reason: format!("one tag opens more than {BRACKETS_MAX} brackets"),
        })?;
    }
    Ok(())
}

/// Where the tag that begins before `at` ends; an error if it opens too many brackets.
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
        assert_eq!(check(&nest(DEPTH_MAX)), Ok(()));
        assert!(check(&nest(DEPTH_MAX + 1)).is_err());
        let chain = |n: usize| format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{else if b}}".repeat(n));
        assert_eq!(check(&chain(DEPTH_MAX - 1)), Ok(()));
        assert!(check(&chain(DEPTH_MAX)).is_err());
    }

    #[test]
    fn size_and_brackets_have_limits() {
        assert_eq!(check(&"x".repeat(SOURCE_BYTES_MAX)), Ok(()));
        assert!(check(&"x".repeat(SOURCE_BYTES_MAX + 1)).is_err());
        assert_eq!(
            check(&format!("{{{{x {}", "(".repeat(BRACKETS_MAX))),
            Ok(())
        );
        assert!(check(&format!("{{{{x {}", "(".repeat(2_000))).is_err());
        assert!(check(&format!("{{{{x \"}}}}\" {}", "(".repeat(2_000))).is_err());
        assert_eq!(check("{{! ((((( \" }} {{!-- }} ' --}}"), Ok(()));
    }
}
