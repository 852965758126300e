//! Generates `docs/commands.md`: every command and option of clap. A test compares the page.

use clap::builder::PossibleValue;
use clap::{Arg, Command, CommandFactory};

use super::Cli;

const HEAD: &str = "\
# Commands

`feedback-relay [--config relay.toml] COMMAND`. Results go to stdout, logs to stderr. Use `--json` for output that
programs read. Exit status: 0 success, 1 failure or findings of a check, 2 wrong command line or configuration.
Commands that read or change the store work beside a running relay, which notices changes within a second.

This page is generated from the program; `feedback-relay man` prints the same as manual pages.
";

/// Returns the whole page.
fn page() -> String {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut page = HEAD.to_owned();
    describe(&command, &mut page);
    page
}

fn describe(command: &Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or("feedback-relay");
    page.push_str(&format!("\n## {name}\n\n"));
    let about = command.get_long_about().or(command.get_about());
    page.push_str(&format!(
        "{}.\n",
        about.map(ToString::to_string).unwrap_or_default()
    ));
    // `--config` is listed for the program itself, and `--help` is left out everywhere.
    let ours = |arg: &&Arg| arg.get_id() != "help" && (!arg.is_global_set() || !name.contains(' '));
    let rows: Vec<String> = command.get_arguments().filter(ours).map(row).collect();
    if !rows.is_empty() {
        page.push_str("\n| option | does |\n| --- | --- |\n");
        page.push_str(&rows.concat());
    }
    if let Some(more) = command.get_after_help() {
        page.push_str(&format!(
            "\n```text\n{}\n```\n",
            more.to_string().trim_end()
        ));
    }
    for sub in command.get_subcommands() {
        describe(sub, page);
    }
}

fn row(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default();
    let value = values.first().map(ToString::to_string).unwrap_or_default();
    let takes = arg.get_action().takes_values();
    let written = match arg.get_long() {
        Some(long) if takes => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None if arg.is_required_set() => value,
        None => format!("[{value}]"),
    };
    let help = arg.get_long_help().or(arg.get_help());
    let mut does = help.map(ToString::to_string).unwrap_or_default();
    let possible: Vec<PossibleValue> = match takes {
        true => arg.get_possible_values(),
        false => Vec::new(),
    };
    if !possible.is_empty() {
        let words = possible.iter().map(|one| format!("`{}`", one.get_name()));
        does.push_str(&format!(": {}", words.collect::<Vec<_>>().join(", ")));
    }
    if takes && let [default] = arg.get_default_values() {
        does.push_str(&format!("; default `{}`", default.to_string_lossy()));
    }
    format!("| `{written}` | {} |\n", does.replace('|', "\\|"))
}

#[test]
fn the_page_of_commands_is_fresh() {
    let fresh = page();
    let committed = std::fs::read_to_string("docs/commands.md").unwrap_or_default();
    if fresh != committed {
        std::fs::write("target/commands.md", &fresh).unwrap();
    }
    assert!(fresh == committed, "cp target/commands.md docs/commands.md");
}
