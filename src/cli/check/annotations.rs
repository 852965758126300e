//! Formats diagnostics as annotations of a GitHub workflow: `::error file=…,line=…::…`. Source: "Workflow
//! commands for GitHub Actions",
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.

use std::fmt::Write;

use crate::config::Loaded;
use crate::diag::Diagnostic;

/// Returns one line for each diagnostic, those of the configuration first.
pub(super) fn of(loaded: &Loaded, failures: &[Diagnostic]) -> String {
    let all = loaded.diagnostics.iter().chain(failures);
    let excerpts = loaded.excerpts();
    all.fold(String::new(), |mut lines, one| {
        let place = excerpts
            .of(one)
            .map(|excerpt| (excerpt.line, excerpt.column));
        annotate(&mut lines, one, place);
        lines
    })
}

fn annotate(out: &mut String, one: &Diagnostic, place: Option<(usize, usize)>) {
    let mut properties = Vec::new();
    if let Some(file) = &one.place.file {
        properties.push(format!("file={}", property(&file.display().to_string())));
    }
    if let Some((line, column)) = place {
        properties.push(format!("line={line},col={column}"));
    }
    properties.push(format!("title={}", property(one.code)));
    let mut said = one.message.clone();
    if let Some(variable) = &one.place.variable {
        write!(said, "\nat: environment variable {variable}").ok(); // writing to a String cannot fail
    } else if !one.place.path.is_empty() {
        write!(said, "\nat: {}", one.place.path).ok(); // writing to a String cannot fail
    }
    if let Some(help) = &one.help {
        write!(said, "\nhelp: {help}").ok(); // writing to a String cannot fail
    }
    let (level, properties, said) = (one.level.as_str(), properties.join(","), data(&said));
    writeln!(out, "::{level} {properties}::{said}").ok(); // writing to a String cannot fail
}

/// Escapes characters that would end the line or start another command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Level, Place};

    #[test]
    fn a_complaint_is_one_line_that_the_runner_reads() {
        let mut one = Diagnostic {
            level: Level::Error,
            code: "E005",
            message: "unknown key `a\n::error::forged`, 100%".into(),
            place: Place {
                file: Some("a,b/relay.toml".into()),
                span: Some(1..2),
                path: "server.a".into(),
                variable: None,
            },
            help: Some("did you mean `b`?".into()),
        };
        let mut out = String::new();
        annotate(&mut out, &one, Some((6, 17)));
        assert_eq!(
            out,
            "::error file=a%2Cb/relay.toml,line=6,col=17,title=E005::unknown key \
             `a%0A::error::forged`, 100%25%0Aat: server.a%0Ahelp: did you mean `b`?\n"
        );
        one.level = Level::Warning;
        one.place = Place {
            variable: Some("RELAY__A".into()),
            ..Place::default()
        };
        out.clear();
        annotate(&mut out, &one, None);
        assert!(
            out.starts_with("::warning title=E005::unknown key"),
            "{out}"
        );
        assert!(
            out.contains("%0Aat: environment variable RELAY__A%0A"),
            "{out}"
        );
    }
}
