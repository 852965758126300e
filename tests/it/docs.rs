//! Tests of the documents: their commands are run, their configurations checked, their links
//! followed.
//!
//! The language of a block decides its test. `sh` blocks are run in the page's order, beside a
//! running relay. `console` blocks need an account, root or a proxy, so the relay's commands in
//! them are only parsed. `toml` blocks are given to `check`, with the assumed sections added.
//! `nginx` blocks are tested by `proxy.rs`. Other blocks are tested elsewhere, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Receiver, Relay, post};

/// The allowed languages of blocks.
const LANGUAGES: &[&str] = &[
    "sh",
    "console",
    "toml",
    "json",
    "ini",
    "nginx",
    "caddyfile",
    "text",
    // Languages of `receiving.md` and `templates.md`, which have their own tests, and of a workflow
    // line.
    "python",
    "js",
    "handlebars",
    "yaml",
];

/// Names that samples assume, each with its definition.
const GRANTED: &[(&str, &str)] = &[
    (
        "[apps.shop]",
        "app_id = \"cli_9f5343c580712544\"\nverification_token = \"${TOKEN}\"\napp_secret = \"${SECRET}\"",
    ),
    (
        "[destinations.oncall]",
        "kind = \"feishu-bot\"\nurl = \"${ONCALL_URL}\"",
    ),
    (
        "[destinations.product]",
        "kind = \"slack-webhook\"\nurl = \"${PRODUCT_URL}\"",
    ),
    (
        "[destinations.ops]",
        "kind = \"slack-webhook\"\nurl = \"${OPS_URL}\"",
    ),
    (
        "[destinations.archive]",
        "kind = \"file\"\npath = \"data/feedback.jsonl\"",
    ),
];

/// A fenced code block.
pub struct Block {
    pub language: String,
    pub text: String,
}

/// Returns the blocks of a page, without the indentation of lists.
pub fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for line in page.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(language)) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (None, None) => {}
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every page by its path from the root.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut folders = vec![PathBuf::from("docs")];
    let mut paths = vec![PathBuf::from("README.md"), PathBuf::from("CHANGELOG.md")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("a folder") {
            let path = folder.join(entry.expect("readable").file_name());
            match path.extension() {
                None => folders.push(path),
                Some(extension) if extension == "md" => paths.push(path),
                Some(_) => {}
            }
        }
    }
    let read = |path: &PathBuf| std::fs::read_to_string(root().join(path)).expect("UTF-8");
    let pages = paths.iter().map(|path| (path.clone(), read(path)));
    pages.collect()
}

/// Returns the names of the variables in `${…}` without a default.
fn variables(text: &str) -> BTreeSet<&str> {
    let parts = text.split("${").skip(1);
    let names = parts.filter_map(|rest| rest.split_once('}'));
    names
        .map(|(name, _)| name)
        .filter(|name| !name.contains(":-"))
        .collect()
}

/// Returns a possible value of such a variable.
fn value(name: &str) -> &'static str {
    match name {
        name if name.ends_with("_URL") => "https://example.com/x",
        name if name.starts_with("WAREHOUSE") => {
            "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
        }
        _ => "xoxb-a-secret-of-a-test",
    }
}

/// Returns the sample with the sections that it assumes.
fn completed(sample: &str) -> String {
    let mut whole = sample.to_owned();
    for (section, keys) in GRANTED {
        if !sample.contains(section) {
            whole.push_str(&format!("\n{section}\n{keys}\n"));
        }
    }
    whole
}

#[test]
fn every_documented_configuration_is_valid() {
    let mut checked = 0;
    for (page, text) in pages() {
        let blocks = blocks(&text).into_iter();
        for block in blocks.filter(|block| block.language == "toml") {
            // README has its own test.
            if page == Path::new("README.md") {
                continue;
            }
            let relay = sample(&completed(&block.text));
            let output = relay.run(&["check"]);
            assert_eq!(output.code(), 0, "{}: {output:?}", page.display());
            checked += 1;
        }
    }
    assert!(checked > 15, "{checked}");
}

/// Creates a folder with this configuration and all files that it names.
fn sample(config: &str) -> Relay {
    let relay = Relay::prepared("");
    let folder = relay.folder().to_str().expect("UTF-8");
    let mut config = config.to_owned();
    for elsewhere in ["/etc/feedback-relay", "/var/lib/feedback-relay"] {
        config = config.replace(elsewhere, folder);
    }
    relay.write("relay.toml", &config);
    relay.write("secrets/shop-app-secret", "a secret");
    let mut relay = relay;
    for name in variables(&config) {
        relay.set(name, value(name));
    }
    for kind in ["crash", "white-screen"] {
        let event = relay.run(&["events", "sample", kind]).stdout;
        relay.write(&format!("{kind}.json"), &event);
    }
    relay
}

/// Returns the configuration in which most pages' commands run. Everything is sent to one receiver.
fn everyday(hook: &Receiver) -> String {
    let destinations = ["oncall", "product", "ops"].map(|name| {
        format!(
            "[destinations.{name}]\nkind = \"feishu-bot\"\nurl = \"{}\"\n",
            hook.url("/")
        )
    });
    format!(
        "[apps.shop]\napp_id = \"cli_9f5343c580712544\"\n\
         verification_token = \"sample-verification-token\"\n\
         {}\
         [destinations.archive]\nkind = \"file\"\npath = \"data/feedback.jsonl\"\n\
         [[rules]]\nname = \"faults\"\nmatch = {{ type = \"fault\" }}\nsend_to = [\"oncall\", \"archive\"]\n\
         [[rules]]\nname = \"the rest\"\nsend_to = \"product\"\n",
        destinations.concat()
    )
}

/// Starts a relay that receives the white screen of the samples.
fn beside(config: &str) -> Relay {
    let mut relay = Relay::prepared(config);
    relay.set("RELAY__SERVER__LISTEN", "127.0.0.1:0");
    let program = Path::new(env!("CARGO_BIN_EXE_feedback-relay"));
    let folder = program.parent().and_then(Path::to_str).expect("UTF-8");
    relay.set("PATH", &format!("{folder}:/usr/bin:/bin"));
    relay.start();
    let event = relay.run(&["events", "sample", "white-screen"]).stdout;
    let answer = post(relay.address(), "/apps/shop/events", &[], event.as_bytes());
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    relay.wait_until_idle();
    relay
}

/// Runs the unchanged text of an `sh` block.
fn run(relay: &Relay, script: &str) -> std::process::Output {
    let mut shell = Command::new("/bin/sh");
    // The shell gets the relay's environment and nothing of the test's own.
    let like = relay.command(&[]);
    shell.env_clear();
    for (name, value) in like.get_envs() {
        shell.env(name, value.expect("set"));
    }
    shell.current_dir(relay.folder());
    shell.args(["-euc", script]).output().expect("a shell")
}

#[test]
fn documented_commands_succeed() {
    let hook = Receiver::answering("{\"code\":0}");
    let mut ran = 0;
    for (page, text) in pages() {
        let blocks = blocks(&text);
        let scripts = || blocks.iter().filter(|block| block.language == "sh");
        // README has its own test, and the commands of the other two pages take minutes.
        let elsewhere = ["README.md", "docs/reliability.md", "docs/performance.md"];
        if scripts().next().is_none() || elsewhere.iter().any(|one| page == Path::new(one)) {
            continue;
        }
        let name = page.file_name().expect("a page").to_string_lossy();
        let relay = if name.starts_with("tutorial") {
            // The page starts with the reader writing this configuration.
            let own = blocks.iter().find(|block| block.language == "toml");
            beside(&own.expect("a configuration").text)
        } else {
            beside(&everyday(&hook))
        };
        for script in scripts() {
            let output = run(&relay, &script.text);
            assert!(
                output.status.success(),
                "{}\n{}{output:?}",
                page.display(),
                script.text
            );
            ran += 1;
        }
    }
    assert!(ran > 10, "{ran}");
}

#[test]
fn tutorial_error_is_reported_as_documented() {
    for page in ["docs/tutorial.md", "docs/tutorial.zh.md"] {
        let text = &pages()[Path::new(page)];
        let blocks = blocks(text);
        let own = blocks.iter().find(|block| block.language == "toml");
        let own = &own.expect("a configuration").text;
        let relay = sample(&own.replacen("severity = \"critical\"", "severity = \"info\"", 1));
        let output = relay.run(&["check"]);
        assert_eq!(output.code(), 1, "{output:?}");
        assert!(output.stdout.contains("E063"), "{output:?}");
    }
}

/// Returns the relay's commands in a terminal line, as arguments after the program's name.
fn ours(line: &str) -> Vec<Vec<&str>> {
    let commands = line.split(['|', '>']);
    let words = commands.map(|command| command.split_whitespace().collect::<Vec<_>>());
    words
        .filter_map(|words| {
            let ours = |word: &&str| *word == "feedback-relay" || word.ends_with("/feedback-relay");
            let at = match words.as_slice() {
                // The container and the user have the same name.
                ["podman", "exec", _, rest @ ..] | ["sudo", "-u", _, rest @ ..] => {
                    3 + rest.iter().position(ours)?
                }
                ["xargs", ..] => words.iter().position(ours)?,
                [first, ..] if ours(first) => 0,
                _ => return None,
            };
            Some(words.get(at + 1..).unwrap_or_default().to_vec())
        })
        .collect()
}

/// Returns the lines of `console` blocks, and texts between backticks.
fn written_commands(text: &str) -> Vec<String> {
    let blocks = blocks(text);
    let consoles = blocks.iter().filter(|block| block.language == "console");
    let lines = consoles.flat_map(|block| block.text.lines());
    let typed = lines.filter_map(|line| line.trim_start().strip_prefix("$ "));
    let mut commands: Vec<String> = typed.map(str::to_owned).collect();
    let quoted = text.split('`').skip(1).step_by(2);
    let quoted = quoted.filter(|quoted| quoted.starts_with("feedback-relay "));
    // Syntax descriptions of the reference are left out.
    let plain =
        quoted.filter(|quoted| !quoted.contains(['[', '…', '\n']) && !quoted.contains("COMMAND"));
    commands.extend(plain.map(str::to_owned));
    commands
}

#[test]
fn shown_commands_exist() {
    let relay = Relay::prepared("");
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (page, text) in pages() {
        for command in written_commands(&text) {
            for mut words in ours(&command) {
                if words.iter().any(|word| word.starts_with('$')) {
                    continue; // a placeholder for the reader
                }
                words.push("--help");
                if known.insert(words.join(" ")) {
                    let output = relay.run(&words);
                    assert_eq!(output.code(), 0, "{}: {command}", page.display());
                }
            }
        }
    }
    assert!(known.len() > 20, "{known:?}");
}

#[test]
fn every_block_has_a_tested_language() {
    for (page, text) in pages() {
        for block in blocks(&text) {
            let (language, page) = (block.language.as_str(), page.display());
            assert!(LANGUAGES.contains(&language), "{page}: {language:?}");
            match language {
                "json" => {
                    let parsed = serde_json::from_str::<serde_json::Value>(&block.text);
                    assert!(parsed.is_ok(), "{page}: {}", block.text);
                }
                "ini" => assert!(
                    block
                        .text
                        .lines()
                        .all(|line| line.starts_with('[') || line.contains('=')),
                    "{page}: {}",
                    block.text
                ),
                "caddyfile" => {
                    let count = |brace| block.text.matches(brace).count();
                    assert_eq!(count('{'), count('}'), "{page}");
                }
                _ => {}
            }
        }
    }
}

/// Returns the anchor that GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>()
        .trim()
        .to_lowercase()
        .replace(' ', "-")
}

/// Returns the targets of all links of a page.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1);
    targets
        .filter_map(|rest| rest.split_once(')'))
        .map(|(to, _)| to)
        .collect()
}

#[test]
fn every_link_between_documents_resolves() {
    let pages = pages();
    for (page, text) in &pages {
        let folder = page.parent().unwrap_or(Path::new(""));
        for link in links(text) {
            if link.contains("://") {
                continue;
            }
            let (path, part) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.clone(),
                path => plain(&folder.join(path)),
            };
            let here = page.display();
            assert!(root().join(&target).exists(), "{here}: {link}");
            let headings = pages.get(&target).into_iter().flat_map(|text| text.lines());
            let mut anchors = headings
                .filter(|line| line.starts_with('#'))
                .map(|line| anchor(line.trim_start_matches('#')));
            assert!(
                part.is_empty() || anchors.any(|anchor| anchor == part),
                "{here}: {link}"
            );
        }
    }
}

/// Returns the path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part.as_os_str().to_str() {
            Some("..") => drop(plain.pop()),
            _ => plain.push(part),
        }
    }
    plain
}

#[test]
fn every_document_is_reachable_from_index() {
    let pages = pages();
    let index = Path::new("docs/README.md");
    let linked: BTreeSet<PathBuf> = links(&pages[index])
        .into_iter()
        .map(|link| plain(&Path::new("docs").join(link)))
        .collect();
    for page in pages
        .keys()
        .filter(|page| page.starts_with("docs") && *page != index)
    {
        assert!(linked.contains(page), "{}", page.display());
    }
    assert!(links(&pages[Path::new("README.md")]).contains(&"docs/README.md"));
}

#[test]
fn changelog_contains_version() {
    let pages = pages();
    let changelog = &pages[Path::new("CHANGELOG.md")];
    let version = env!("CARGO_PKG_VERSION");
    let headings = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("## ["));
    let versions: Vec<&str> = headings
        .filter_map(|rest| rest.split_once(']'))
        .map(|(version, _)| version)
        .collect();
    assert_eq!(versions.first(), Some(&"Unreleased"));
    let becomes = format!("Becomes {version}");
    assert!(versions.contains(&version) || changelog.contains(&becomes));
}
