//! Measures the relay's speed, beside the best possible speed.
//!
//!     cargo bench --bench speed                      # five rounds, about twenty minutes
//!     cargo bench --bench speed -- --large           # also with 100,000 waiting and a million kept: about ten more
//!     cargo bench --bench speed -- --rounds 1 --events 2000 --only 12,16
//!
//! | option | meaning |
//! | --- | --- |
//! | `--rounds N` | number of rounds: 5 |
//! | `--events N` | events in one measurement: 40,000 |
//! | `--only ROW,ROW` | only these rows of the table, 12 to 26 |
//! | `--large` | also the parts of rows 19 to 21, and row 25, that need large stores |
//! | `--waiting N`, `--kept N`, `--due N` | sizes of the large stores: 100,000 undelivered, 1,000,000 kept, 1,000,000 images due |
//! | `--journals FOLDER` | folder of the large stores, which later runs reuse |
//! | `--minutes N` | time after which no measurement begins: 60 |
//!
//! Absolute numbers depend on the machine; the ratios depend on the relay. In each round all compared
//! programs run in turn on the same machine, together with the generator and the receiver. The medians
//! of the rounds are printed, beside the wanted values. `reference.rs` describes `r0`, `r1` and `bare`.

#![expect(unreachable_pub, reason = "one program; its modules are private")]
#![expect(clippy::panic, reason = "errors end the program")]
#![expect(clippy::print_stdout, reason = "prints its results")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tasks of a program that ends by returning"
)]

mod events;
mod hosts;
mod http;
mod incidents;
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

/// What to measure.
#[derive(Clone)]
pub struct Settings {
    /// How often everything is measured.
    pub rounds: usize,
    /// The number of events in one measurement.
    pub events: usize,
    /// The rows to measure.
    pub rows: Vec<u8>,
    /// Whether to measure large stores too.
    pub large: bool,
    /// Undelivered events in a large store.
    pub waiting: usize,
    /// Delivered events in a large store.
    pub kept: usize,
    /// Due images in a large store.
    pub due: usize,
    /// The folder of large stores; `None`: a temporary folder.
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
            || (12..=26).collect(),
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

    /// Returns whether this row is measured.
    pub fn wants(&self, row: u8) -> bool {
        self.rows.contains(&row)
    }
}

fn read<T: FromStr>(option: &str, word: &str) -> T {
    let number = word.parse().ok();
    number.unwrap_or_else(|| panic!("{option} {word}: not a number"))
}

/// Returns a runtime with one thread, so that the measuring program leaves the processors to the
/// measured one.
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

/// Runs a reference in its own process: `serve PORT bare`, `serve PORT r0`,
/// `serve PORT r1 JOURNAL URL`.
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
