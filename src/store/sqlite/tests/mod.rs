//! Tests specific to the SQLite store: its file, its writing thread and its statements.

mod ids;
mod opening;
mod places;
mod plans;
mod reading;
mod writing;

impl super::super::Store {
    /// Returns how often the readers were used.
    pub(crate) fn reads(&self) -> usize {
        let calls = &self.database.readers.calls;
        calls.load(std::sync::atomic::Ordering::SeqCst)
    }
}
