//! Passes the command line and the environment to [`feedback_relay::cli`].

use std::process::ExitCode;

/// Reads arguments and environment variables. No other code reads them.
fn main() -> ExitCode {
    // Variables that are not UTF-8 are ignored, because relay.toml cannot name them. `vars` would panic.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    feedback_relay::cli::run(std::env::args_os(), environment)
}

/// The allocator of musl, which a static binary would use, is slow with several threads.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
