//! Tests of README.md: its commands are run, and its configurations checked, unchanged.

use std::path::Path;

use crate::harness::{Relay, post};

const README: &str = include_str!("../../README.md");

/// Returns the texts of all fenced blocks in this language, without the indentation of lists.
fn blocks(language: &str) -> Vec<String> {
    let (mut blocks, mut open): (Vec<String>, Option<String>) = (Vec::new(), None);
    for line in README.lines().map(str::trim_start) {
        match &mut open {
            None if line == format!("```{language}") => open = Some(String::new()),
            None => {}
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

/// Returns the names of the variables in `${…}`.
fn variables(text: &str) -> Vec<&str> {
    let parts = text.split("${").skip(1);
    parts
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .collect()
}

/// Copies a file of the repository into the relay's folder.
fn with_file(relay: &Relay, name: &str) {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    relay.write(
        name,
        &std::fs::read_to_string(ours).expect("it is in the repository"),
    );
}

#[test]
fn first_steps_work_as_documented() {
    let told: Vec<String> = blocks("sh").concat().lines().map(str::to_owned).collect();
    let [demo, serve, curl, show, cat, try_it, tests] = told.as_slice() else {
        panic!("another set of commands: {told:?}");
    };
    let mut relay = Relay::prepared(include_str!("../../relay.toml"));
    for kind in ["white-screen", "suggestion", "crash"] {
        with_file(&relay, &format!("tests/events/{kind}.json"));
    }
    // The demo tests run this command.
    assert_eq!(demo, "cargo run --locked -- demo");
    assert_eq!(serve, "cargo run --locked -- serve");
    relay.set("RELAY__SERVER__LISTEN", "127.0.0.1:0");
    relay.start();

    let rest = "target/debug/feedback-relay events sample white-screen | curl -d @- http://127.0.0.1:8787/apps/shop/events";
    assert_eq!(curl, rest);
    let event = relay.run(&["events", "sample", "white-screen"]).stdout;
    for _repeat in 0..2 {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let answer = post(
            relay.address(),
            "/apps/shop/events",
            &form,
            event.as_bytes(),
        );
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    }
    relay.wait_until_idle();

    let file = cat.strip_prefix("cat ").expect("a file");
    assert_eq!(relay.read(file).lines().count(), 1, "the message, once");
    for command in [show, try_it] {
        let arguments = command.strip_prefix("target/debug/feedback-relay ");
        let arguments: Vec<&str> = arguments.expect("our program").split(' ').collect();
        let output = relay.run(&arguments);
        assert_eq!(output.code(), 0, "{output:?}");
        assert!(output.stdout.contains("blank screen"), "{output:?}");
    }
    assert_eq!(tests, "tests/run");
}

#[test]
fn every_configuration_is_valid() {
    let blocks = blocks("toml");
    assert_eq!(blocks.len(), 2, "another set of samples");
    let whole = blocks.first().expect("the ten lines");
    for block in &blocks {
        // Tests belong to the rules that are written above them.
        let config = match block.starts_with("[[tests]]") {
            true => format!("{whole}\n{block}"),
            false => block.clone(),
        };
        let mut relay = Relay::prepared(&config);
        for name in variables(&config) {
            let url = name.ends_with("_URL");
            let value = if url {
                "https://example.com/x"
            } else {
                "xoxb-a-secret-of-a-test"
            };
            relay.set(name, value);
        }
        let crash = relay.run(&["events", "sample", "crash"]);
        relay.write("crash.json", &crash.stdout);
        let output = relay.run(&["check"]);
        assert_eq!(output.code(), 0, "{config}\n{output:?}");
    }
}
