//! Implements `completions`: a completion script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use super::context::{Context, Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  feedback-relay completions bash > /etc/bash_completion.d/feedback-relay
  feedback-relay completions fish > ~/.config/fish/completions/feedback-relay.fish";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    context.out.text(&script(args.shell));
    Ok(Exit::Done)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = Cli::command();
    clap_complete::generate(shell, &mut command, "feedback-relay", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::text;
    use clap::ValueEnum;

    #[test]
    fn printing_changes_no_script() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            assert!(script.contains("feedback-relay"), "{shell}");
            assert_eq!(text::escape_lines(&script), script, "{shell}");
        }
    }
}
