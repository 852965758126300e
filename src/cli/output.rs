//! Prints all output. No control character in it reaches a terminal.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};

use serde::Serialize;

use super::text;
use crate::view::ManualResult;

/// Prints results to stdout and messages to stderr. A closed pipe is ignored; any other write error, such as a
/// full disk, is reported by [`finish`](Self::finish).
pub(super) struct Printer {
    results: Box<dyn Write + Send>,
    remarks: Box<dyn Write + Send>,
    /// Whether messages go to a terminal, so that progress can be overwritten.
    animated: bool,
    /// Whether results are no longer written, because the reader has gone or writing failed.
    closed: bool,
    failed: bool,
}

impl Printer {
    /// Returns a printer to stdout and stderr.
    pub(super) fn standard() -> Self {
        let animated = std::io::stderr().is_terminal();
        Self {
            animated,
            ..Self::new(Box::new(std::io::stdout()), Box::new(std::io::stderr()))
        }
    }

    /// Returns a printer to these writers.
    pub(super) fn new(results: Box<dyn Write + Send>, remarks: Box<dyn Write + Send>) -> Self {
        Self {
            results,
            remarks,
            animated: false,
            closed: false,
            failed: false,
        }
    }

    /// Prints one line of results; line ends in it are shown as `
    /// `.
    pub(super) fn line(&mut self, line: &str) {
        self.write(&format!("{}\n", text::escape(line)));
    }

    /// Prints several lines of results.
    pub(super) fn text(&mut self, lines: &str) {
        let end = if lines.ends_with('\n') { "" } else { "\n" };
        self.write(&format!("{}{end}", text::escape_lines(lines)));
    }

    /// Prints a JSON value over several lines, for a command about one thing.
    pub(super) fn json(&mut self, value: &impl Serialize) {
        self.json_text(serde_json::to_string_pretty(value));
    }

    /// Prints a JSON value on one line, for a command that prints many.
    pub(super) fn json_line(&mut self, value: &impl Serialize) {
        self.json_text(serde_json::to_string(value));
    }

    fn json_text(&mut self, json: serde_json::Result<String>) {
        let json = json.expect("views can be written as JSON");
        self.write(&format!("{}\n", text::escape_json(&json)));
    }

    /// Prints the result of an operator's action: as JSON on one line, or in words.
    pub(super) fn result<I: Display>(&mut self, result: &ManualResult<I>, json: bool) {
        if json {
            self.json_line(result);
        } else if result.done {
            self.line(&result.message);
        } else {
            self.note(&format!("error: {}", result.message));
        }
    }

    /// Prints a message on one line.
    pub(super) fn note(&mut self, line: &str) {
        self.notes(&text::escape(line));
    }

    /// Prints a message of several lines.
    pub(super) fn notes(&mut self, lines: &str) {
        let end = if lines.ends_with('\n') { "" } else { "\n" };
        let lines = text::escape_lines(lines);
        write!(self.remarks, "{lines}{end}").ok(); // ignored, because nobody can be informed without stderr
    }

    /// Shows progress, and overwrites the progress shown before; only on a terminal. An empty line removes it.
    pub(super) fn progress(&mut self, line: &str) {
        if !self.animated {
            return;
        }
        // Moves to the start of the line and erases it. No other control characters are ever written.
        let line = text::escape(line);
        write!(self.remarks, "\r\u{1b}[K{line}").ok(); // ignored, because nobody sees it without stderr
        self.remarks.flush().ok(); // as above
    }

    fn write(&mut self, text: &str) {
        if self.closed {
            return;
        }
        let written = self.results.write_all(text.as_bytes());
        let Err(error) = written.and_then(|()| self.results.flush()) else {
            return;
        };
        self.closed = true;
        if error.kind() != ErrorKind::BrokenPipe {
            self.failed = true;
            self.note(&format!("error: failed to write the result: {error}"));
        }
    }

    /// Returns the exit status: `status`, unless writing results failed.
    pub(super) fn finish(&self, status: u8) -> u8 {
        if self.failed { status.max(1) } else { status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::io;
    use std::sync::{Arc, Mutex};

    /// Collects what is printed, or fails with a given error.
    #[derive(Clone, Default)]
    struct Sink {
        text: Arc<Mutex<Vec<u8>>>,
        fails: Option<ErrorKind>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.fails {
                Some(kind) => Err(kind.into()),
                None => self.text.lock().unwrap().write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
        }
    }

    fn printer(fails: Option<ErrorKind>) -> (Printer, Sink, Sink) {
        let results = Sink {
            fails,
            ..Sink::default()
        };
        let remarks = Sink::default();
        let printer = Printer::new(Box::new(results.clone()), Box::new(remarks.clone()));
        (printer, results, remarks)
    }

    #[test]
    fn a_reader_that_has_gone_away_is_no_error() {
        let (mut printer, _results, remarks) = printer(Some(ErrorKind::BrokenPipe));
        printer.line("one");
        printer.line("two");
        assert_eq!(printer.finish(0), 0);
        assert_eq!(remarks.text(), "");
    }

    #[test]
    fn progress_is_shown_on_a_terminal_alone_and_in_one_place() {
        let (mut printer, results, remarks) = printer(None);
        printer.progress("half");
        assert_eq!(remarks.text(), "");
        printer.animated = true;
        printer.progress("half\u{1b}[2J");
        printer.progress("");
        assert_eq!(remarks.text(), "\r\u{1b}[Khalf\\u{1b}[2J\r\u{1b}[K");
        assert_eq!(results.text(), "");
    }

    #[test]
    fn a_full_disk_is_an_error_that_is_told_once() {
        let (mut printer, _results, remarks) = printer(Some(ErrorKind::StorageFull));
        printer.line("one");
        printer.line("two");
        assert_eq!(printer.finish(0), 1);
        assert_eq!(printer.finish(2), 2);
        assert_eq!(remarks.text().lines().count(), 1);
    }

    #[test]
    fn no_way_of_printing_lets_an_escape_sequence_through() {
        let evil = "\u{1b}]0;title\u{7}\u{9b}31m\u{202e}";
        let (mut printer, results, remarks) = printer(None);
        printer.line(evil);
        printer.text(evil);
        printer.json(&serde_json::json!({ "words": evil }));
        printer.json_line(&serde_json::json!({ evil: 1 }));
        printer.note(evil);
        printer.notes(evil);
        for printed in [results.text(), remarks.text()] {
            assert!(!printed.contains(|c: char| c != '\n' && text::is_unsafe(c)));
        }
    }

    #[test]
    fn what_somebody_typed_makes_no_line_of_its_own() {
        let (mut printer, results, remarks) = printer(None);
        printer.line("event 1\nerror: forged");
        printer.note("event 1\nerror: forged");
        assert_eq!(results.text(), "event 1\\nerror: forged\n");
        assert_eq!(remarks.text(), results.text());
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "a": "\u{7f}\u{85}\u{202e}\n白屏" });
        let (mut printer, results, _remarks) = printer(None);
        printer.json_line(&value);
        assert_eq!(
            serde_json::from_str::<Value>(&results.text()).unwrap(),
            value
        );
        assert_eq!(results.text().lines().count(), 1);
    }
}
