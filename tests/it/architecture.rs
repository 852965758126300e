//! Checks the dependencies between modules, and the restrictions on crates, against `src/lib.rs`.
//!
//! The sources are read as tokens, without comments and texts: `crate::` paths with their groups,
//! and `super::` paths up to the top level. A compiler knows more (a path built by a macro is not
//! seen), but this suffices to name a wrong dependency.

use std::fs;
use std::path::{Path, PathBuf};

/// The level of each module. A module may only depend on lower levels.
const LEVELS: &[(&str, f64)] = &[
    ("cli", 10.0),
    ("demo", 9.0),
    ("app", 8.0),
    ("online_check", 8.0),
    ("config", 7.0),
    ("web", 6.0),
    ("admin", 5.5),
    ("simulation", 5.2),
    ("intake", 5.0),
    ("deliver", 5.0),
    ("images", 5.0),
    ("retention", 5.0),
    ("triage", 4.7),
    ("incidents", 4.6),
    ("notices", 4.5),
    ("jobs", 4.5),
    ("view", 4.2),
    ("store", 4.0),
    ("archive", 4.0),
    ("destination", 4.0),
    ("feishu", 3.0),
    ("slack", 3.0),
    ("rules", 3.0),
    ("render", 3.0),
    ("net", 2.0),
    ("tasks", 2.0),
    ("toml_reader", 2.0),
    ("diag", 1.0),
    ("telemetry", 1.0),
    ("model", 0.0),
];

/// Modules that may only depend on some of the lower levels.
const NARROW: &[(&str, &[&str])] = &[("view", &["model", "store"])];

/// Crates, and the only modules that may name them.
const FENCES: &[(&str, &[&str])] = &[
    ("rusqlite", &["store::sqlite"]),
    ("reqwest", &["net"]),
    ("tokio_tungstenite", &["net"]),
    ("prost", &["feishu::frame"]),
    ("axum", &["web", "intake::webhook", "demo"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("handlebars", &["render"]),
    // `model` has a module with this name.
    ("image", &["destination::slack_app", "model"]),
];

/// Modules without async code.
const PURE: &[&str] = &["model", "rules", "render", "store::decide"];

/// The modules of `store` that may name `store::sqlite`, so that another database fits beside it.
const KNOW_SQLITE: &[&str] = &["store", "store::conformance::bench"];

/// A word or sign of the source, and its line.
#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

/// Returns the violations in a file as `path:line: what`.
fn violations(file: &str, source: &str) -> Vec<String> {
    let module = module_of(file);
    let Some(top) = module.first() else {
        return Vec::new(); // lib.rs and main.rs may use every module
    };
    let tokens = tokens(source);
    let mut found = Vec::new();
    let mut complain = |line: usize, what: String| found.push(format!("{file}:{line}: {what}"));
    if level(top).is_none() {
        complain(1, format!("the module `{top}` has no level"));
    }
    for (line, target) in named_modules(&module, &tokens) {
        if let Some(what) = wrong_arrow(top, &target) {
            complain(line, what);
        }
    }
    let path = module.join("::");
    let here = format!("{path}::");
    let is_in = |one: &&str| here.starts_with(&format!("{one}::"));
    let pure = PURE.iter().find(|one| is_in(one));
    let knows_sqlite =
        top != "store" || is_in(&"store::sqlite") || KNOW_SQLITE.contains(&path.as_str());
    for (index, token) in tokens.iter().enumerate() {
        let fence = FENCES.iter().find(|(name, _)| *name == token.text);
        if let Some((name, allowed)) = fence.filter(|_| is_crate(&tokens, index))
            && !allowed.iter().any(is_in)
        {
            let allowed = allowed.join(", ");
            complain(token.line, format!("`{name}` is for {allowed} only"));
        }
        if let Some(pure) = pure.filter(|_| ["await", "async"].contains(&token.text.as_str())) {
            complain(
                token.line,
                format!("`{pure}` never waits: `{}`", token.text),
            );
        }
        if token.text == "sqlite" && !knows_sqlite {
            complain(
                token.line,
                format!("`{path}` must not know `store::sqlite`"),
            );
        }
    }
    found
}

fn level(module: &str) -> Option<f64> {
    LEVELS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, level)| *level)
}

fn wrong_arrow(from: &str, to: &str) -> Option<String> {
    if from == to {
        return None;
    }
    let narrow = NARROW.iter().find(|(module, _)| *module == from);
    if let Some((_, allowed)) = narrow.filter(|(_, allowed)| !allowed.contains(&to)) {
        let allowed = allowed.join(", ");
        return Some(format!("`{from}` knows {allowed} only, not `{to}`"));
    }
    match (level(from), level(to)) {
        (Some(high), Some(low)) if high > low => None,
        (Some(high), Some(low)) => Some(format!("`{from}` ({high}) must not know `{to}` ({low})")),
        (_, None) => Some(format!("the module `{to}` has no level")),
        (None, _) => None, // reported once per file
    }
}

/// Returns the module of a file: `store::sqlite` for `src/store/sqlite/mod.rs`, nothing for
/// `src/lib.rs`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.strip_prefix("src/").unwrap_or(file);
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    let last = module.last().map(String::as_str);
    if last == Some("mod") || ["lib", "main"].contains(&path) {
        module.pop();
    }
    module
}

/// Returns the top-level modules named by paths in these tokens, with their lines.
fn named_modules(module: &[String], tokens: &[Token]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // The inline modules around the token, each with the brace depth where it ends.
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0;
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
    let mut index = 0;
    while index < tokens.len() {
        match text(index) {
            "mod" if text(index + 2) == "{" => inline.push(depth),
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline.retain(|ends_at| *ends_at < depth);
            }
            "crate" if text(index + 1) == "::" => {
                index = tree(tokens, index + 2, 0, &mut found);
                continue;
            }
            "super" if index == 0 || text(index - 1) != "::" => {
                let mut supers = 1;
                while text(index + 2 * supers) == "super" {
                    supers += 1;
                }
                let above = (module.len() + inline.len()).checked_sub(supers);
                index = tree(tokens, index + 2 * supers, above.unwrap_or(0), &mut found);
                continue;
            }
            _ => {}
        }
        index += 1;
    }
    found
}

/// Parses a path or a group of paths after `::`, starting `above` modules below the top. Collects
/// only top-level names. Returns the index after the path.
fn tree(tokens: &[Token], from: usize, above: usize, found: &mut Vec<(usize, String)>) -> usize {
    let Some(token) = tokens.get(from) else {
        return from;
    };
    if token.text == "{" {
        let mut index = from + 1;
        while let Some(next) = tokens.get(index) {
            match next.text.as_str() {
                "}" => return index + 1,
                "," => index += 1,
                "as" => index += 2,
                _ => index = tree(tokens, index, above, found).max(index + 1),
            }
        }
        return index;
    }
    if !is_word(&token.text) {
        return from;
    }
    let climbs = token.text == "super";
    if above == 0 && !climbs && token.text != "self" {
        found.push((token.line, token.text.clone()));
    }
    match tokens.get(from + 1) {
        Some(next) if next.text == "::" => {
            let above = if climbs {
                above.saturating_sub(1)
            } else {
                above + 1
            };
            tree(tokens, from + 2, above, found)
        }
        _ => from + 1,
    }
}

/// Returns whether the word at `index` names a crate: it begins a path (`axum::…`, `::axum::…`), or
/// is imported completely (`use axum as …`).
fn is_crate(tokens: &[Token], index: usize) -> bool {
    let before = |steps: usize| {
        let token = index.checked_sub(steps).and_then(|at| tokens.get(at));
        token.map_or("", |token| token.text.as_str())
    };
    let inside = before(1) == "::" && is_word(before(2)) && before(2) != "use";
    let begins = tokens.get(index + 1).is_some_and(|next| next.text == "::");
    !inside && (begins || before(1) == "use")
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Returns the words and signs of a source. Comments, texts and characters are left out; `::` is
/// one sign.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens: Vec<Token> = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        let end = match c {
            '/' if next == Some('/') => until(&chars, at, |rest| rest[0] == '\n'),
            '/' if next == Some('*') => block_comment(&chars, at),
            '"' => text_end(&chars, at),
            'r' | 'b' | 'c' if starts_text(&chars, at) => raw_or_prefixed_end(&chars, at),
            '\'' => character_end(&chars, at),
            _ if c.is_whitespace() => at + 1,
            _ => {
                let end = if is_word(&c.to_string()) {
                    until(&chars, at, |rest| {
                        !(rest[0].is_alphanumeric() || rest[0] == '_')
                    })
                } else if c == ':' && next == Some(':') {
                    at + 2
                } else {
                    at + 1
                };
                let text = chars[at..end].iter().collect();
                tokens.push(Token { text, line });
                end
            }
        };
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

/// Returns the first index from `at` whose rest fulfils `ends`, or the end.
fn until(chars: &[char], at: usize, ends: impl Fn(&[char]) -> bool) -> usize {
    (at..chars.len())
        .find(|&index| ends(&chars[index..]))
        .unwrap_or(chars.len())
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut index = at;
    while index < chars.len() {
        match (chars[index], chars.get(index + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                index += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                index += 2;
                if depth == 0 {
                    return index;
                }
            }
            _ => index += 1,
        }
    }
    index
}

/// Returns the end of a text whose opening quote is at `at`.
fn text_end(chars: &[char], at: usize) -> usize {
    let mut index = at + 1;
    while let Some(c) = chars.get(index) {
        match c {
            '\\' => index += 2,
            '"' => return index + 1,
            _ => index += 1,
        }
    }
    chars.len()
}

/// Returns whether a prefixed or raw text (`b"`, `r#"`, `br"`) begins here, and not a word like
/// `rules`.
fn starts_text(chars: &[char], at: usize) -> bool {
    let quote = until(chars, at, |rest| !matches!(rest[0], 'r' | 'b' | 'c' | '#'));
    let prefix = &chars[at..quote];
    let letters = prefix.iter().filter(|c| **c != '#').count();
    chars.get(quote) == Some(&'"') && letters <= 2 && prefix[..letters].iter().all(|c| *c != '#')
}

fn raw_or_prefixed_end(chars: &[char], at: usize) -> usize {
    let quote = until(chars, at, |rest| rest[0] == '"');
    if !chars[at..quote].contains(&'r') {
        return text_end(chars, quote);
    }
    let hashes = chars[at..quote].iter().filter(|c| **c == '#').count();
    let closes = |rest: &[char]| {
        rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|c| *c == '#')
    };
    (until(chars, quote + 1, closes) + 1 + hashes).min(chars.len())
}

/// Returns the end of a character, or of the tick of a lifetime.
fn character_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => (until(chars, at + 3, |rest| rest[0] == '\'') + 1).min(chars.len()),
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Collects every `.rs` file under `folder`, with its path from the crate's folder.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("the sources can be read") {
        let path = entry.expect("the sources can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .strip_prefix(root())
                .expect("it is under the crate's folder");
            let text = fs::read_to_string(&path).expect("the sources can be read");
            found.push((name.to_string_lossy().replace('\\', "/"), text));
        }
    }
}

#[test]
fn modules_depend_only_on_lower_levels_and_allowed_crates() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|(file, text)| violations(file, text))
        .collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn crate_documentation_lists_every_module_at_its_level() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs can be read");
    let map = lib.split("```").nth(1).expect("there is a map");
    let mut level_here = f64::NAN;
    let mut named = Vec::new();
    for word in map
        .split_whitespace()
        .filter(|word| !["text", "//!"].contains(word))
    {
        match word.parse() {
            Ok(level) => level_here = level,
            Err(_) => {
                assert_eq!(
                    level(word),
                    Some(level_here),
                    "the map and this test differ on `{word}`"
                );
                named.push(word);
            }
        }
    }
    let modules = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let modules: Vec<&str> = modules.collect();
    assert!(modules.len() > 10, "the modules were not found");
    for module in modules {
        assert!(named.contains(&module), "the map does not name `{module}`");
    }
}

/// A file, its source, and the expected violations.
const SAMPLES: &[(&str, &str, &[&str])] = &[
    (
        "src/store/mod.rs",
        "use crate::model::Event;\nfn f() { crate::net::g::<u8>() }",
        &[],
    ),
    (
        "src/store/mod.rs",
        "use crate::deliver::Worker;",
        &["1: `store` (4) must not know `deliver` (5)"],
    ),
    (
        "src/store/mod.rs",
        "\nfn f(a: crate::archive::Archive) {}",
        &["2: `store` (4) must not know `archive` (4)"],
    ),
    (
        "src/rules/mod.rs",
        "use crate::{\n model::{Event, web},\n diag,\n store::{self, Store as S},\n render::*,\n};\nuse crate::model;",
        &[
            "4: `rules` (3) must not know `store` (4)",
            "5: `rules` (3) must not know `render` (3)",
        ],
    ),
    (
        "src/net.rs",
        "use super::{app, model};",
        &["1: `net` (2) must not know `app` (8)"],
    ),
    (
        "src/store/mod.rs",
        "use super::super::web;\nmod a { use super::b; mod c {} use super::super::cli; }",
        &[
            "1: `store` (4) must not know `web` (6)",
            "2: `store` (4) must not know `cli` (10)",
        ],
    ),
    (
        "src/store/sqlite/read.rs",
        "use super::super::records; use super::super::super::web;",
        &["1: `store` (4) must not know `web` (6)"],
    ),
    (
        "src/store/sqlite/read.rs",
        "use super::{super::{records, super::web}};",
        &["1: `store` (4) must not know `web` (6)"],
    ),
    (
        "src/notices/mod.rs",
        "use crate::store::Store; use crate::retention::X;",
        &["1: `notices` (4.5) must not know `retention` (5)"],
    ),
    (
        "src/view/event.rs",
        "use crate::model::EventId; use crate::store::EventRow; use crate::rules::X;",
        &["1: `view` knows model, store only, not `rules`"],
    ),
    (
        "src/attic/mod.rs",
        "use crate::model::Event;",
        &["1: the module `attic` has no level"],
    ),
    (
        "src/cli/mod.rs",
        "use crate::attic::X;",
        &["1: the module `attic` has no level"],
    ),
    ("src/lib.rs", "pub mod attic;", &[]),
    (
        "src/model/x.rs",
        "// crate::web\n/* /* crate::web */ crate::cli */ /// crate::app\nconst A: &str = \"crate::web \\\" crate::cli\";\nconst B: &str = r#\"\" crate::web\"#; const C: char = '\"'; fn f<'a>(x: &'a u8) {}",
        &[],
    ),
    (
        "src/model/x.rs",
        "const C: char = '\\''; const D: &[u8] = b\"\\\"\"; const E: &str = r\"\\\"; use crate::web;",
        &["1: `model` (0) must not know `web` (6)"],
    ),
    (
        "src/store/decide/attempt.rs",
        "use super::super::sqlite::Tx;\nasync fn f() {}",
        &[
            "1: `store::decide::attempt` must not know `store::sqlite`",
            "2: `store::decide` never waits: `async`",
        ],
    ),
    (
        "src/store/intake.rs",
        "use super::sqlite;",
        &["1: `store::intake` must not know `store::sqlite`"],
    ),
    ("src/store/mod.rs", "mod sqlite;", &[]),
    ("src/store/sqlite/mod.rs", "use rusqlite::Connection;", &[]),
    ("src/store/sqlite.rs", "use rusqlite as sql;", &[]),
    (
        "src/store/records.rs",
        "use rusqlite as sql;",
        &["1: `rusqlite` is for store::sqlite only"],
    ),
    (
        "src/destination/slack.rs",
        "fn f() -> ::reqwest::Client { self.reqwest.clap() }",
        &["1: `reqwest` is for net only"],
    ),
    ("src/intake/webhook.rs", "use axum::{body, http};", &[]),
    (
        "src/intake/mod.rs",
        "use {axum::body, bytes::Bytes};",
        &["1: `axum` is for web, intake::webhook, demo only"],
    ),
    (
        "src/config/mod.rs",
        "#[derive(clap::Parser)] struct A; mod b { use crate::model::handlebars::x; }",
        &["1: `clap` is for cli only"],
    ),
    (
        "src/rules/mod.rs",
        "async fn f() { g().await }",
        &[
            "1: `rules` never waits: `async`",
            "1: `rules` never waits: `await`",
        ],
    ),
    ("src/net.rs", "async fn f() { g().await }", &[]),
];

#[test]
fn violations_are_found_and_named() {
    for (file, source, wanted) in SAMPLES {
        let wanted: Vec<String> = wanted.iter().map(|one| format!("{file}:{one}")).collect();
        assert_eq!(violations(file, source), wanted, "{source}");
    }
}
