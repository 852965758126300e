//! Runs the fuzz targets' checks with their seeds and random mutations. This is the short form of
//! `fuzz/run` and needs no cargo-fuzz. Findings of long runs become seeds. The random numbers are
//! the same in each run.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// Words of the grammars, because random bytes seldom contain them.
const WORDS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"{{",
    b"}}",
    b"{{{",
    b"{{#each ",
    b"{{/",
    b"\0",
    b"\r\n",
    b"\xff\xff\xff\xff",
    b"\x80",
    b"\xef\xbb\xbf",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"*",
    b"(a+)+$",
];

/// The longest input in bytes.
const BYTES_MAX: usize = 64 << 10;

/// Runs the check of a target with its seeds and `count` mutations.
fn run(target: &str, count: usize, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("each target has seeds")
        .map(|file| file.expect("a readable folder").path())
        .collect();
    files.sort();
    let mut known: Vec<Vec<u8>> = vec![Vec::new()];
    known.extend(files.iter().map(|file| fs::read(file).expect("a file")));
    assert!(known.len() > 1);
    for seed in &known {
        check(seed);
    }
    let mut chance = fastrand::Rng::with_seed(1);
    for number in 0..count {
        let made = mutated(&known, &mut chance);
        let caught = std::panic::catch_unwind(|| check(&made));
        assert!(
            caught.is_ok(),
            "number {number} breaks a promise; keep it under fuzz/seeds/{target}: {:?}",
            String::from_utf8_lossy(&made)
        );
        // Some mutations become inputs themselves, as in libFuzzer, so that changes add up.
        if number % 16 == 0 {
            known.push(made);
        }
    }
}

/// Returns one of the known inputs, changed in one to eight places.
fn mutated(known: &[Vec<u8>], chance: &mut fastrand::Rng) -> Vec<u8> {
    let mut made = known[chance.usize(..known.len())].clone();
    for _ in 0..chance.usize(1..=8) {
        let at = chance.usize(..=made.len());
        let end = chance.usize(at..=made.len()).min(at + 64);
        match chance.u8(..8) {
            0 if at < made.len() => made[at] ^= 1 << chance.u8(..8),
            1 if at < made.len() => made[at] = chance.u8(..),
            2 => drop(made.drain(at..end)),
            3 => made.truncate(at),
            4 => {
                let again = made[at..end].to_vec();
                made.splice(at..at, again);
            }
            5 => {
                let other = &known[chance.usize(..known.len())];
                let from = chance.usize(..=other.len());
                made.splice(at.., other[from..].iter().copied());
            }
            _ => {
                let word = WORDS[chance.usize(..WORDS.len())];
                made.splice(at..end, word.iter().copied());
            }
        }
        made.truncate(BYTES_MAX);
    }
    made
}

#[test]
fn envelopes() {
    run("envelope", 100_000, targets::envelope::run);
}

#[test]
fn encrypted_bodies() {
    run("decrypt", 10_000, targets::decrypt::run);
}

#[test]
fn events() {
    run("event", 50_000, targets::event::run);
}

#[test]
fn frames() {
    run("frame", 200_000, targets::frame::run);
}

#[test]
fn templates() {
    run("template", 60, targets::template::run);
}

#[test]
fn rules() {
    run("rules", 50_000, targets::rules::run);
}

#[test]
fn pauses() {
    run("retry_after", 200_000, targets::retry_after::run);
}

#[test]
fn pictures() {
    run("image", 50_000, targets::image::run);
}

#[test]
fn clicks() {
    run("slack_click", 50_000, targets::slack_click::run);
}
