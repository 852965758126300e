//! How many files the process may have open: every connection is one.
//!
//! Most systems start a process with a soft limit of 1,024 and let it raise that as far as the hard
//! one; the low number is for programs that use `select` (`man systemd.exec`, `LimitNOFILE=`). Where the
//! hard limit is low too, connections must not use up what deliveries, the store and images need:
//! then a crowd at the door would stop what was acknowledged long ago.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::Config;

/// What the store, its readers, images and sends to destinations may have open at one time.
const RESERVED: u64 = 256;

/// Raises the soft limit, and takes no more connections than leave room for everything else.
pub(super) fn fit(mut config: Config) -> Config {
    let Some(limit) = raised() else {
        return config; // There is none.
    };
    let wanted = config.server.max_connections;
    let fitting = usize::try_from(connections_max(limit)).unwrap_or(usize::MAX);
    if fitting < wanted {
        tracing::warn!(
            limit,
            max_connections = wanted,
            connections = fitting,
            "few open files are allowed, so fewer connections are taken than server.max_connections; raise the limit (ulimit -n, LimitNOFILE=)"
        );
        config.server.max_connections = fitting;
    }
    config
}

/// The limit that is in force after it was raised as far as that goes; `None`: there is none.
fn raised() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum,
        Err(_refused) => soft,
    }
}

/// How many connections leave the reserve free, or half of all files where there are few.
fn connections_max(limit: u64) -> u64 {
    limit.saturating_sub(RESERVED).max(limit / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        assert_eq!(connections_max(20_000), 19_744);
        assert_eq!(connections_max(1_024), 768);
        assert_eq!(connections_max(200), 100);
        assert_eq!(connections_max(0), 1);
    }
}
