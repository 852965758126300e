//! Implements `man`: manual pages, generated like `--help`.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::Cli;
use super::context::{Context, Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  feedback-relay man | man -l -                                read the page
  feedback-relay man /usr/local/share/man/man1                 install one page for each command";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The existing folder for feedback-relay.1, feedback-relay-check.1 and so on
    folder: Option<PathBuf>,
}

/// Prints or writes the pages.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let Some(folder) = &args.folder else {
        context.out.text(&page()?);
        return Ok(Exit::Done);
    };
    write(folder).map_err(|error| Failure::of(format_args!("{}", folder.display()), error))?;
    Ok(Exit::Done)
}

fn page() -> Result<String, Failure> {
    let mut page = Vec::new();
    // `help` has no page in the folder either.
    let man = clap_mangen::Man::new(Cli::command().disable_help_subcommand(true));
    let rendered = man.render(&mut page);
    rendered.map_err(|error| Failure::of("the manual page", error))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn write(folder: &Path) -> std::io::Result<()> {
    clap_mangen::generate_to(Cli::command(), folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::text;

    #[test]
    fn printing_changes_nothing_and_every_command_has_a_page() {
        let page = page().unwrap();
        assert_eq!(text::escape_lines(&page), page);
        let folder = tempfile::TempDir::new().unwrap();
        write(folder.path()).unwrap();
        let mut expected = vec!["feedback-relay.1".to_owned()];
        collect(&Cli::command(), "feedback-relay", &mut expected);
        let files = std::fs::read_dir(folder.path()).unwrap();
        let mut found: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }

    fn collect(command: &clap::Command, name: &str, pages: &mut Vec<String>) {
        for sub in command.get_subcommands() {
            let name = format!("{name}-{}", sub.get_name());
            pages.push(format!("{name}.1"));
            collect(sub, &name, pages);
        }
    }
}
