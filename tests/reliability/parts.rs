//! Helpers for several of these tests.

use std::net::TcpListener;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::{GrayImage, ImageFormat, Luma};
use rusqlite::{Connection, OpenFlags};

use crate::harness::http::{Answer, request};
use crate::harness::sealed::KEY;
use crate::harness::{Feedback, Receiver, Relay, sealed};

/// Returns `short`, or `long` for the long form.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no configuration in a test binary"
)]
pub fn form<T>(short: T, long: T) -> T {
    match std::env::var("RELIABILITY").as_deref() {
        Ok("long") => long,
        _ => short,
    }
}

/// Returns whether this machine promised to have every tool.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no configuration in a test binary"
)]
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1")
}

/// Prints a measurement for `docs/reliability.md`.
#[expect(clippy::print_stderr, reason = "prints with `--nocapture`")]
pub fn say(what: &str) {
    eprintln!("{what}");
}

/// Reports a missing tool. On a machine that promised every tool the test fails; elsewhere it
/// prints that nothing was shown.
pub fn unavailable(what: &str) {
    assert!(!is_ci(), "not shown: {what}");
    say(&format!("NOT SHOWN: {what}"));
}

/// Returns a lock for tests that load the machine or measure times, because they would disturb each
/// other.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a free port, for relays that must restart at the same address.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Returns a configuration with one webhook that receives every event.
pub fn to_hook(hook: &Receiver, more: &str) -> String {
    Relay::config(&format!(
        "[destinations.hook]\nkind = \"webhook\"\nurl = \"{}\"\n{more}\n[[rules]]\nname = \"all\"\nsend_to = \"hook\"\n",
        hook.url("/hook"),
    ))
}

/// Pushes to the server at `address`.
pub fn push_to(address: &str, feedback: &Feedback) -> std::io::Result<Answer> {
    let (headers, body) = sealed(KEY, &feedback.envelope.to_string());
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    request(address, "POST", "/apps/shop/events", &headers, &body)
}

/// Returns an image that differs for every number.
pub fn picture(number: u8) -> Vec<u8> {
    let mut chance = fastrand::Rng::with_seed(u64::from(number));
    let noise = GrayImage::from_fn(64, 64, |_x, _y| Luma([chance.u8(..)]));
    let mut png = std::io::Cursor::new(Vec::new());
    noise.write_to(&mut png, ImageFormat::Png).expect("memory");
    png.into_inner()
}

/// Opens a store that others may have open.
pub fn journal(path: &Path) -> Connection {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let conn = conn.expect("a store");
    conn.busy_timeout(std::time::Duration::from_secs(10))
        .expect("a timeout");
    conn
}

/// Returns the count of a query.
pub fn count(conn: &Connection, query: &str) -> i64 {
    conn.query_row(query, [], |row| row.get(0)).expect(query)
}

/// Returns the number of a test's event from its id.
pub fn event_number(id: &str) -> u64 {
    let number = id.strip_prefix("ev-").expect("an event of a test");
    number.parse().expect("a number")
}

/// Returns the number of unfinished deliveries.
pub fn open_deliveries(conn: &Connection) -> i64 {
    let open = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')";
    count(conn, open)
}

/// Fails unless SQLite finds the store intact.
pub fn assert_whole(path: &Path) {
    let conn = journal(path);
    let check = |pragma: &str| -> String {
        conn.query_row(pragma, [], |row| row.get(0))
            .expect("it can be read")
    };
    assert_eq!(check("PRAGMA integrity_check"), "ok", "{}", path.display());
    let orphans = conn
        .prepare("PRAGMA foreign_key_check")
        .and_then(|mut query| query.exists([]));
    assert_eq!(orphans, Ok(false), "{}", path.display());
}

/// Returns the value below which `share` of the sorted values lie.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into what is in memory"
    )]
    let index = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
