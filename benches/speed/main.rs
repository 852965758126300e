//! How fast the relay is, beside what it could be at best.
//!
//!     cargo bench --bench speed                      # five rounds, some twenty minutes
//!     cargo bench --bench speed -- --large           # also with 100,000 waiting and a million kept: some ten more
//!     cargo bench --bench speed -- --rounds 1 --events 2000 --only 12,16
//!
//! | option | means |
//! | --- | --- |
//! | `--rounds N` | how often everything is measured: 5 |
//! | `--events N` | events in one measurement: 40,000 |
//! | `--only ROW,ROW` | only these rows of the table, 12 to 25 |
//! | `--large` | also the parts of rows 19 to 21, and row 25, that need large stores |
//! | `--waiting N`, `--kept N`, `--due N` | how large: 100,000 undelivered, 1,000,000 kept, 1,000,000 images due |
//! | `--journals FOLDER` | where the large stores are made and stay, so that the next run has them already |
//! | `--minutes N` | no measurement begins later than this: 60 |
//!
//! Absolute numbers are the machine's; the ratios are the relay's. In each round everything that is
//! compared runs in turn on the same machine, generator and receiver beside it; the medians of the
//! rounds are printed, beside what is wanted. `reference.rs` says what `r0`, `r1` and `bare` are.

#![expect(unreachable_pub, reason = "one program; its modules are private")]
#![expect(clippy::panic, reason = "a program that ends at a mistake")]
#![expect(clippy::print_stdout, reason = "a program that prints its results")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tasks of a program that ends by returning"
)]

mod events;
mod hosts;
mod http;
mod journals;
mod load;
mod pictures;
mod reference;
mod refusals;
mod rounds;
mod sink;
mod subject;
mod table;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What is to be measured.
#[derive(Clone)]
pub struct Settings {
    /// How often everything is measured.
    pub rounds: usize,
    /// Events in one measurement.
    pub events: usize,
    /// The rows that are measured.
    pub rows: Vec<u8>,
    /// Whether the measurements with large stores are made too.
    pub large: bool,
    /// Undelivered events in a large store.
    pub waiting: usize,
    /// Delivered events in a large store.
    pub kept: usize,
    /// Images that are due in a large store.
    pub due: usize,
    /// Where large stores are; a temporary folder if not said.
    pub journals: Option<PathBuf>,
    /// No measurement begins later than this.
    pub within: Duration,
}

impl Settings {
    fn read(words: &[String]) -> Self {
        let after = |name: &str| {
            let at = words.iter().position(|word| word == name)?;
            words.get(at + 1)
        };
        let number = |name: &str, default| after(name).map_or(default, |word| read(name, word));
        let minutes = after("--minutes").map_or(60, |word| read("--minutes", word));
        let rows = after("--only").map_or_else(
            || (12..=25).collect(),
            |rows| rows.split(',').map(|row| read("--only", row)).collect(),
        );
        Self {
            rounds: number("--rounds", 5),
            events: number("--events", 40_000),
            rows,
            large: words.iter().any(|word| word == "--large"),
            waiting: number("--waiting", 100_000),
            kept: number("--kept", 1_000_000),
            due: number("--due", pictures::DUE),
            journals: after("--stores").map(PathBuf::from),
            within: Duration::from_secs(minutes * 60),
        }
    }

    /// Whether this row is measured.
    pub fn wants(&self, row: u8) -> bool {
        self.rows.contains(&row)
    }
}

fn read<T: FromStr>(option: &str, word: &str) -> T {
    let number = word.parse().ok();
    number.unwrap_or_else(|| panic!("{option} {word}: not a number"))
}

/// One thread: what measures must not take the processors of what is measured.
pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "serve") {
        return serve(&arguments);
    }
    println!(
        "{}",
        runtime().block_on(rounds::measure(Settings::read(&arguments)))
    );
}

/// A reference in a process of its own: `serve PORT bare`, `serve PORT r0`, `serve PORT r1 JOURNAL URL`.
fn serve(arguments: &[String]) {
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let [port, rest @ ..] = words.as_slice() else {
        panic!("no port");
    };
    let port = read("serve", port);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match rest {
        ["bare"] => runtime.block_on(reference::serve_bare(port)),
        ["r0"] => runtime.block_on(reference::serve(port, None)),
        ["r1", journal, url] => {
            let relay = (PathBuf::from(journal), (*url).to_owned());
            runtime.block_on(reference::serve(port, Some(relay)));
        }
        other => panic!("no such reference: {other:?}"),
    }
}
