//! Tests of the dependencies: their sources, their licences, and the banned ones.
//!
//! CI runs `cargo deny check bans licenses sources` (`deny.toml`) on the same rules. This test
//! takes a second and needs no build. Advisories are left out because they change while the program
//! does not.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const LINUX: &str = "x86_64-unknown-linux-gnu";
/// The only registry of packages.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Licences that require no more than attribution.
const LICENSES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Only one TLS stack (rustls over aws-lc) and one other cryptography library (`RustCrypto`); no C
/// library of the system.
const BANNED: &[&str] = &[
    "openssl",
    "openssl-sys",
    "native-tls",
    "hyper-tls",
    "tokio-native-tls",
    "boring",
    "boring-sys",
    "mbedtls",
    "wolfssl",
    "gnutls",
];

/// Packages with more than one version, and the number of versions. Check for an alternative before
/// adding one.
const DOUBLED: &[(&str, usize)] = &[
    ("base64", 2),
    ("block-buffer", 2),
    ("cpufeatures", 2),
    ("crypto-common", 2),
    ("digest", 2),
    ("getrandom", 3),
    ("miniz_oxide", 2),
    ("r-efi", 2),
    ("rand", 2),
    ("rand_core", 2),
    ("syn", 2),
    ("tower-http", 2),
    ("windows-sys", 2),
];

fn lock() -> Vec<toml::Table> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));
    let lock: toml::Table = text.expect("a lock file").parse().expect("TOML");
    let packages = lock["package"].as_array().cloned().unwrap_or_default();
    let table = |package: toml::Value| package.as_table().cloned().expect("a table");
    packages.into_iter().map(table).collect()
}

#[test]
fn cargo_deny_has_same_lists() {
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml"));
    let deny: toml::Table = file.expect("a file").parse().expect("TOML");
    let list = |table: &str, key: &str| -> Vec<String> {
        let all = deny[table][key].as_array().expect("a list").iter();
        all.map(|one| one.as_str().expect("text").to_owned())
            .collect()
    };
    assert_eq!(list("licenses", "allow"), LICENSES);
    assert_eq!(list("bans", "deny"), BANNED);
    let registry = REGISTRY.trim_start_matches("registry+");
    assert_eq!(list("sources", "allow-registry"), [registry]);
}

fn text<'a>(package: &'a toml::Table, key: &str) -> Option<&'a str> {
    package.get(key).and_then(toml::Value::as_str)
}

#[test]
fn every_package_comes_from_the_registry_with_a_checksum() {
    let packages = lock();
    assert!(packages.len() > 100);
    for package in &packages {
        let name = text(package, "name").expect("a name");
        if name == env!("CARGO_PKG_NAME") {
            assert_eq!(text(package, "source"), None);
        } else {
            assert_eq!(text(package, "source"), Some(REGISTRY), "{name}");
            assert!(
                text(package, "checksum").is_some_and(|sum| sum.len() == 64),
                "{name}"
            );
        }
    }
}

#[test]
fn no_banned_package_and_no_unlisted_duplicate() {
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    for package in &lock() {
        *versions
            .entry(text(package, "name").expect("a name").to_owned())
            .or_default() += 1;
    }
    for banned in BANNED {
        assert!(!versions.contains_key(*banned), "{banned}");
    }
    for stack in ["rustls", "aws-lc-rs", "rusqlite", "tokio"] {
        assert_eq!(versions.get(stack), Some(&1), "{stack}");
    }
    let doubled: Vec<(&str, usize)> = versions
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    assert_eq!(doubled, DOUBLED);
}

/// Returns cargo's output about the program for Linux.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn one_tls_stack_is_built() {
    // Cargo locks `ring` too, because rustls could use it, but it is not built.
    let tree = cargo(&[
        "tree",
        "--locked",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--target",
        LINUX,
    ]);
    let built = |name: &str| {
        tree.lines()
            .any(|line| line.starts_with(&format!("{name} v")))
    };
    assert!(built("aws-lc-rs") && built("rustls"), "{tree}");
    assert!(!built("ring"));
}

#[test]
fn every_license_requires_at_most_attribution() {
    let metadata = cargo(&[
        "metadata",
        "--locked",
        "--format-version",
        "1",
        "--filter-platform",
        LINUX,
    ]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    assert!(packages.len() > 100);
    let refused: BTreeSet<String> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(allowed))
        .map(|package| format!("{}: {}", package["name"], package["license"]))
        .collect();
    assert_eq!(refused, BTreeSet::new());
}

/// Returns whether a licence expression is allowed: all licences joined by `AND`, or any joined by
/// `OR`. `/` is the old form of `OR`. `AND` binds tighter.
fn allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (good, rest) = any(&words);
    good && rest.is_empty()
}

fn any<'w>(words: &'w [&'w str]) -> (bool, &'w [&'w str]) {
    let (mut good, mut rest) = all(words);
    while let Some((&"OR", after)) = rest.split_first() {
        let (next, left) = all(after);
        good |= next;
        rest = left;
    }
    (good, rest)
}

fn all<'w>(words: &'w [&'w str]) -> (bool, &'w [&'w str]) {
    let (mut good, mut rest) = one(words);
    while let Some((&"AND", after)) = rest.split_first() {
        let (next, left) = one(after);
        good &= next;
        rest = left;
    }
    (good, rest)
}

fn one<'w>(words: &'w [&'w str]) -> (bool, &'w [&'w str]) {
    match words {
        ["(", rest @ ..] => {
            let (good, rest) = any(rest);
            match rest {
                [")", rest @ ..] => (good, rest),
                _ => (false, rest),
            }
        }
        [name, "WITH", exception, rest @ ..] => {
            let whole = format!("{name} WITH {exception}");
            (LICENSES.contains(&whole.as_str()), rest)
        }
        [name, rest @ ..] => (LICENSES.contains(name), rest),
        [] => (false, words),
    }
}

#[test]
fn license_expressions_are_evaluated() {
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("MIT/Apache-2.0", true),
        ("MIT AND GPL-3.0 OR ISC", true),
        ("MIT AND (GPL-3.0 OR ISC)", true),
        ("MIT AND (GPL-3.0 OR LGPL-3.0)", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("GPL-2.0 WITH Classpath-exception-2.0", false),
        ("(MIT", false),
        ("", false),
    ] {
        assert_eq!(allowed(expression), expected, "{expression}");
    }
}
