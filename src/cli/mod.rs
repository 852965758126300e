//! Defines the command line, parsed by clap; each command has its own file.
//!
//! A command parses its arguments, calls an operation of [`admin`](crate::admin), and prints the
//! [`view`](crate::view) that it returns: with `--json` as it is, otherwise as text. Formatting is pure and
//! tested with hand-written records.
//!
//! Results go to stdout and everything else to stderr. Both go through `output::Printer`, so that no control
//! character reaches a terminal. The exit status is 0 if everything is done, 1 if a part failed or a check
//! found something, and 2 if the command line or the configuration is wrong.

mod backfill;
mod backup;
mod check;
mod completions;
mod conditions;
mod context;
mod deliveries;
mod demo;
mod destinations;
mod digests;
mod events;
mod healthcheck;
mod incidents;
mod man;
mod output;
mod reading;
mod schema;
mod serve;
mod silences;
mod text;
mod timeline;
mod try_event;
mod values;
mod words;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::model::SystemClock;
use context::{Context, Exit, WRONG};
use output::Printer;

const EXAMPLES: &str = "\
Examples:
  feedback-relay demo                         try it, without an account
  feedback-relay check                        check relay.toml
  feedback-relay                              run the relay
  feedback-relay try event.json               show what would happen to an event
  feedback-relay deliveries list --state dead list messages that could not be delivered

Exit status: 0 success, 1 failure or findings of a check, 2 wrong command line or configuration.";

/// Receives feedback from Feishu and Lark apps and delivers it to chats and programs
#[derive(Debug, Parser)]
#[command(name = "feedback-relay", version, after_help = EXAMPLES)]
struct Cli {
    /// The configuration file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "relay.toml",
        display_order = 100
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay (the default command)
    Serve(serve::Args),
    /// Try the relay on this machine, with stand-ins for Feishu and Slack; needs no account
    Demo(demo::Args),
    /// Check the configuration, its templates and rules, and report every mistake
    Check(check::Args),
    /// Show what would happen to an event: each rule, and the payload for each destination
    Try(try_event::Args),
    /// List, show, replay or erase events
    #[command(subcommand)]
    Events(events::Command),
    /// List, retry or discard deliveries
    #[command(subcommand)]
    Deliveries(deliveries::Command),
    /// List, show or close incidents: reports that are counted together
    #[command(subcommand)]
    Incidents(incidents::Command),
    /// Mute a rule or conditions for a while; list, show or end silences
    #[command(subcommand)]
    Silences(silences::Command),
    /// Show which destinations are rate-limited, broken or stopped, or resume one
    #[command(subcommand)]
    Destinations(destinations::Command),
    /// List digests, or show what one would say now
    #[command(subcommand)]
    Digests(digests::Command),
    /// Fetch feedback from Feishu that was never pushed
    Backfill(backfill::Args),
    /// Make a consistent copy of store and images while the relay runs
    Backup(backup::Args),
    /// Check whether the running relay is healthy
    Healthcheck(healthcheck::Args),
    /// Print the JSON Schema of the configuration, for editors
    #[command(after_help = schema::EXAMPLES)]
    Schema,
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page, or write the pages of all commands to a folder
    Man(man::Args),
}

/// Runs the command in `args` (which start with the program's name) with these environment variables.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    environment: BTreeMap<String, String>,
) -> ExitCode {
    let mut out = Printer::standard();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(usage(&error, &mut out)),
    };
    let clock = Arc::new(SystemClock);
    let mut context = Context::new(cli.config, environment, clock, out);
    let command = cli.command;
    let result = match command.unwrap_or_else(|| Command::Serve(serve::Args::default())) {
        Command::Serve(args) => return serve::run(context, &args),
        Command::Demo(args) => demo::run(&mut context, &args),
        Command::Check(args) => check::run(&mut context, &args),
        Command::Try(args) => try_event::run(&mut context, &args),
        Command::Events(command) => events::run(&mut context, &command),
        Command::Deliveries(command) => deliveries::run(&mut context, &command),
        Command::Incidents(command) => incidents::run(&mut context, &command),
        Command::Silences(command) => silences::run(&mut context, &command),
        Command::Destinations(command) => destinations::run(&mut context, &command),
        Command::Digests(command) => digests::run(&mut context, &command),
        Command::Backfill(args) => backfill::run(&mut context, &args),
        Command::Backup(args) => backup::run(&mut context, &args),
        Command::Healthcheck(args) => healthcheck::run(&mut context, &args),
        Command::Schema => schema::run(&mut context),
        Command::Completions(args) => completions::run(&mut context, &args),
        Command::Man(args) => man::run(&mut context, &args),
    };
    ExitCode::from(context.end(result))
}

/// Prints clap's message: help to stdout, errors to stderr.
fn usage(error: &clap::Error, out: &mut Printer) -> u8 {
    let text = error.render().to_string();
    if error.use_stderr() {
        out.notes(&text);
        WRONG
    } else {
        out.text(&text);
        out.finish(Exit::Done.status())
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
