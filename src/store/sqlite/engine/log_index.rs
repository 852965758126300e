//! Reads the index of the write-ahead log (`-shm`): how long the log is, and how far it was moved into the
//! database. Source: SQLite's "WAL-mode File Format", section 2.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The two copies of the header, and the progress of checkpoints.
const HEAD_BYTES: usize = 136;
/// A counter that grows by one with each commit.
const COMMITS: usize = 8;
/// Where the header says that it is complete.
const COMPLETE: usize = 12;
const PAGE_BYTES: usize = 14;
const FRAMES: usize = 16;
const SALT: usize = 32;
const MOVED: usize = 96;
const MOVING_TO: usize = 128;

/// Bytes of the log before its first page, and before each page.
const LOG_HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;

/// The state of the log at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) struct LogState {
    page_bytes: u64,
    /// The number of committed pages in the log.
    frames: u32,
    commits: u32,
    /// Grows by one when the log starts again from its beginning.
    restarts: u32,
    /// How many of the pages are in the database as well.
    moved: u32,
    /// How many pages the latest checkpoint moves. It is set before the database is written.
    moving_to: u32,
}

impl LogState {
    /// Returns the smallest size of a log file with these pages.
    pub(in crate::store::sqlite) fn bytes_min(&self) -> u64 {
        match u64::from(self.frames) {
            0 => 0,
            frames => LOG_HEADER_BYTES + frames * (FRAME_HEADER_BYTES + self.page_bytes),
        }
    }

    /// Returns whether a checkpoint has written to the database since `earlier`, or may be writing.
    pub(in crate::store::sqlite) fn is_moved_since(&self, earlier: &Self) -> bool {
        if self.moving_to > self.moved {
            return true;
        }
        match self.restarts.wrapping_sub(earlier.restarts) {
            0 => self.moved > earlier.moved,
            // A log restarts only after all of its pages were moved. Only the first commit of a new log is
            // known not to be moved: those before it may have been in the earlier log, and moved with it.
            1 => {
                self.moved > 0
                    || self.frames == 0
                    || earlier.moved < earlier.frames
                    || self.commits.wrapping_sub(earlier.commits) > 1
            }
            _ => true,
        }
    }
}

/// The open index. Closing it drops the locks that this process has on the file (`fcntl(2)`), so it stays open
/// as long as connections use it.
#[derive(Debug)]
pub(in crate::store::sqlite) struct LogIndex(File);

impl LogIndex {
    pub(in crate::store::sqlite) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    /// Returns the state of the log; `None` while there is none.
    pub(in crate::store::sqlite) fn state(&self) -> Option<LogState> {
        let mut head = [0; HEAD_BYTES];
        self.0.read_exact_at(&mut head, 0).ok()?;
        LogState::read(&head)
    }
}

impl LogState {
    fn read(head: &[u8; HEAD_BYTES]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = head.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_ne_bytes(bytes))
        };
        let page = head.get(PAGE_BYTES..PAGE_BYTES + 2)?.try_into().ok()?;
        let salt = head.get(SALT..SALT + 4)?.try_into().ok()?;
        let is_complete = *head.get(COMPLETE)? == 1;
        is_complete.then_some(Self {
            page_bytes: match u16::from_ne_bytes(page) {
                1 => 65_536,
                bytes => u64::from(bytes),
            },
            frames: number(FRAMES)?,
            commits: number(COMMITS)?,
            // The salts are copied from the log, where numbers are big-endian.
            restarts: u32::from_be_bytes(salt),
            moved: number(MOVED)?,
            moving_to: number(MOVING_TO)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(restarts: u32, frames: u32, moved: u32, moving_to: u32) -> LogState {
        LogState {
            page_bytes: 4096,
            frames,
            commits: 0,
            restarts,
            moved,
            moving_to,
        }
    }

    fn after_commits(commits: u32, state: LogState) -> LogState {
        LogState { commits, ..state }
    }

    #[test]
    fn checkpoints_are_told_from_commits_and_restarts() {
        let partly = state(7, 9, 4, 4);
        let wholly = state(7, 9, 9, 9);
        let empty = state(7, 0, 0, 0);
        let cases = [
            ("nothing", partly, partly, false),
            ("more commits", partly, state(7, 12, 4, 4), false),
            ("a checkpoint begins", partly, state(7, 9, 4, 9), true),
            ("it ends", partly, wholly, true),
            (
                "a commit restarts a moved log",
                wholly,
                state(8, 2, 0, 0),
                false,
            ),
            ("the rest was moved before", partly, state(8, 2, 0, 0), true),
            ("the new log is moved", wholly, state(8, 2, 2, 2), true),
            (
                "the new log was moved as well",
                wholly,
                state(9, 0, 0, 0),
                true,
            ),
            (
                "a commit was moved and the log emptied",
                empty,
                after_commits(1, state(8, 0, 0, 0)),
                true,
            ),
            (
                "another commit follows that",
                empty,
                after_commits(2, state(8, 2, 0, 0)),
                true,
            ),
            (
                "a commit after an empty log was emptied",
                empty,
                after_commits(1, state(8, 2, 0, 0)),
                false,
            ),
            (
                "the counter wraps",
                state(u32::MAX, 9, 9, 9),
                state(0, 2, 0, 0),
                false,
            ),
        ];
        for (name, earlier, later, moved) in cases {
            assert_eq!(later.is_moved_since(&earlier), moved, "{name}");
        }
    }

    #[test]
    fn state_matches_what_sqlite_reports() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(20000));",
        )
        .unwrap();
        let index = LogIndex::open(&folder.path().join("x.db-shm")).unwrap();
        let log = |mode: &str| {
            conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
                Ok((row.get(1)?, row.get(2)?))
            })
            .unwrap()
        };
        for mode in ["NOOP", "PASSIVE", "TRUNCATE"] {
            let reported: (u32, u32) = log(mode);
            let state = index.state().unwrap();
            assert_eq!((state.frames, state.moved), reported, "{mode}");
            let file = std::fs::metadata(folder.path().join("x.db-wal")).unwrap();
            assert_eq!(state.bytes_min(), file.len(), "{mode}");
        }
    }
}
