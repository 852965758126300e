//! The program: hands the command line and the environment to [`feedback_relay::cli`].

use std::process::ExitCode;

/// Reads arguments and environment; nothing else in the program does.
fn main() -> ExitCode {
    // What is not UTF-8 cannot be named in relay.toml; `vars` would panic over it.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    feedback_relay::cli::run(std::env::args_os(), environment)
}
