//! How fast the relay is, beside what it could be at best.
//!
//!     cargo bench --bench speed                      # five rounds, some ten minutes
//!     cargo bench --bench speed -- --rounds 1 --events 2000
//!     cargo bench --bench speed -- --large           # also with 100,000 waiting and a million kept
//!
//! Absolute numbers are the machine's; the ratios are the relay's. In each round everything that is
//! compared runs in turn on the same machine, generator and receiver beside it; the medians of the
//! rounds are printed. `reference.rs` says what `r0` and `r1` are.

#![expect(unreachable_pub, reason = "one program; its modules are private")]
#![expect(clippy::print_stdout, reason = "a program that prints its results")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tasks of a program that ends by returning"
)]

mod events;
mod http;
mod load;
mod reference;
mod rounds;
mod sink;
mod subject;

use std::path::PathBuf;

/// What is to be measured.
#[derive(Clone, Copy)]
pub struct Settings {
    /// How often everything is measured.
    pub rounds: usize,
    /// Events in one measurement.
    pub events: usize,
    /// Whether the measurements with large journals are made too.
    pub large: bool,
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
    let number = |name: &str, default| {
        let at = arguments.iter().position(|word| word == name)?;
        let value = arguments.get(at + 1).and_then(|word| word.parse().ok());
        Some(value.unwrap_or(default))
    };
    let settings = Settings {
        rounds: number("--rounds", 5).unwrap_or(5),
        events: number("--events", 20_000).unwrap_or(20_000),
        large: arguments.iter().any(|word| word == "--large"),
    };
    let table = runtime().block_on(rounds::measure(settings));
    println!("{table}");
}

/// A reference in a process of its own: `serve PORT [JOURNAL URL]`.
fn serve(arguments: &[String]) {
    let port = arguments.get(1).and_then(|port| port.parse().ok());
    let relay = arguments
        .get(2)
        .zip(arguments.get(3))
        .map(|(journal, url)| (PathBuf::from(journal), url.clone()));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(reference::serve(port.expect("a port"), relay));
}
