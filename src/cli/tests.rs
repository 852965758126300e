//! Tests of the whole command line, and records for the tests of its parts.

use std::collections::BTreeMap;

use clap::CommandFactory;

use super::context::Failure;
use super::*;
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryState, DestinationName, EventId, EventSeq, Form,
    MessageSpec, OutcomeKind, RuleName, Severity, Timestamp, Trigger,
};

const NOW: Timestamp = Timestamp::from_millis(1_711_111_111_000);

pub(super) fn an_order() -> MessageSpec {
    MessageSpec {
        rule: RuleName::new("blank screen"),
        severity: Severity::Critical,
        template: "alert".into(),
        mentions: vec!["sre".into(), "all".into()],
        labels: BTreeMap::from([("team".into(), "checkout".into())]),
        wait: None,
        fell_from: Vec::new(),
        news: None,
    }
}

pub(super) fn a_delivery() -> Delivery {
    Delivery {
        id: DeliveryId::from_i64(7),
        event: EventSeq(7),
        event_id: EventId::new("5e37"),
        destination: DestinationName::new("oncall-chat"),
        spec: an_order(),
        trigger: Trigger::Event,
        state: DeliveryState::Pending,
        form: Form::Full,
        attempts: 2,
        created_at: NOW,
        due_at: Timestamp::from_millis(1_711_111_117_000),
        first_due_at: NOW,
        failures: 0,
        unanswered: 0,
        failed_at: None,
        due_since: None,
        reason: Some("too often".into()),
        incident: None,
        silence: None,
        rules: Vec::new(),
        held_for: None,
        summary: None,
    }
}

pub(super) fn an_attempt() -> Attempt {
    Attempt {
        number: 2,
        started_at: NOW,
        duration_ms: 120,
        form: Form::Full,
        outcome: OutcomeKind::Retry,
        status: Some(502),
        code: Some("11232".into()),
        reason: Some("too often".into()),
        excerpt: Some("{\"code\":11232}".into()),
    }
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("feedback-relay").chain(line.split_whitespace()))
}

#[test]
fn clap_finds_nothing_wrong() {
    Cli::command().debug_assert();
}

#[test]
fn what_is_right_is_taken() {
    for line in [
        "",
        "serve",
        "--config a.toml serve",
        "serve --config a.toml",
        "demo",
        "demo --port 0",
        "check --deny-warnings --json",
        "check --online --json",
        "try event.json --send --to ops --app shop --json",
        "try -",
        "events list --app shop --state unrouted --since 3d --limit 1000 --before x --json",
        "events show x --body --json",
        "events replay x y",
        "events erase x y --dry-run",
        "events erase --user ou_1",
        "deliveries list --state dead,pending --to ops --event x --limit 1",
        "deliveries list --before dlv_0000000000007 --json",
        "deliveries retry dlv_0000000000007 dlv_0000000000008",
        "deliveries retry --dead --to ops",
        "deliveries discard --dead",
        "incidents list",
        "incidents list --all --rule x --limit 1 --before inc_7 --json",
        "incidents show inc_12 --json",
        "incidents show 12",
        "incidents close inc_12",
        "destinations list --json",
        "destinations resume ops",
        "backfill shop",
        "backfill shop --since 3d --dry-run --json",
        "backup folder",
        "completions zsh",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

#[test]
fn what_is_wrong_is_refused() {
    for line in [
        "demo extra",
        "demo --port 99999",
        "backfill",
        "backfill shop --since yesterday",
        "silences",
        "silences add --rule faults --for 1h",
        "silences add --rule faults --for 0s --reason x",
        "silences add --rule faults --for 1h --until 2026-03-01T02:10:00+08:00 --reason x",
        "silences show inc_1",
        "silences end",
        "schema extra",
        "check --json --format github",
        "check --format xml",
        "events sample crash --json",
        "check --against soon",
        "try e.json --times 3",
        "serve extra",
        "try",
        "events",
        "events list --limit 0",
        "events list --limit 0",
        "events list --state gone",
        "events list --since yesterday",
        "events erase",
        "events erase x --user ou_1",
        "deliveries list --before 7",
        "deliveries retry",
        "deliveries retry 7",
        "deliveries retry dlv_0000000000007 --dead",
        "deliveries retry --to ops",
        "incidents list --before dlv_0000000000007",
        "incidents show",
        "incidents show inc_",
        "incidents close inc_1 inc_2",
        "destinations resume",
        "completions tcsh",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn no_command_means_serve_and_the_configuration_is_relay_toml() {
    let cli = parse("").unwrap();
    assert!(cli.command.is_none());
    assert_eq!(cli.config, PathBuf::from("relay.toml"));
    let cli = parse("events list --config other.toml").unwrap();
    assert_eq!(cli.config, PathBuf::from("other.toml"));
}

#[test]
fn failures_have_documented_exit_statuses() {
    assert_eq!(Exit::done_if(true).status(), 0);
    assert_eq!(Exit::done_if(false).status(), 1);
    assert_eq!(Failure::Failed(String::new()).status(), 1);
    assert_eq!(Failure::Usage(String::new()).status(), 2);
    assert_eq!(Failure::Configuration(String::new()).status(), 2);
}

/// The help of every command, reviewed like code.
#[test]
fn help() {
    let mut text = String::new();
    collect_help(&Cli::command(), "", &mut text);
    insta::assert_snapshot!(text);
}

fn collect_help(command: &clap::Command, path: &str, text: &mut String) {
    let help = parse(&format!("{path} --help")).expect_err("help is asked for");
    assert_eq!(help.exit_code(), 0);
    text.push_str(&format!(
        "$ feedback-relay{path} --help\n{}\n",
        help.render()
    ));
    for sub in command.get_subcommands() {
        collect_help(sub, &format!("{path} {}", sub.get_name()), text);
    }
}
