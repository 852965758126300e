//! Raises the limit of open files, because every connection uses one.
//!
//! Most systems start a process with a soft limit of 1,024 and let it raise that limit up to the hard limit.
//! The low default is for programs that use `select` (`man systemd.exec`, `LimitNOFILE=`). If the hard limit is
//! low too, the relay reserves files for deliveries, the store and images. Otherwise too many connections would
//! stop the delivery of acknowledged events.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::Config;

/// Number of files reserved for the store, its readers, images and sends to destinations.
const RESERVED: u64 = 256;

/// Raises the soft limit, and lowers `server.max_connections` if the limit leaves too few files for everything
/// else.
pub(super) fn fit(mut config: Config) -> Config {
    let Some(limit) = raised() else {
        return config; // The system sets no limit.
    };
    let wanted = config.server.max_connections;
    let fitting = usize::try_from(connections_max(limit)).unwrap_or(usize::MAX);
    if fitting < wanted {
        tracing::warn!(
            limit,
            max_connections = wanted,
            connections = fitting,
            "the limit of open files is low, so fewer connections are accepted than server.max_connections; raise the limit (ulimit -n, LimitNOFILE=)"
        );
        config.server.max_connections = fitting;
    }
    config
}

/// Raises the limit as far as possible and returns it; `None` if there is no limit.
fn raised() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let soft = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum,
        Err(_refused) => soft,
    }
}

/// Returns the number of connections that leave the reserve free, but at least half of all files.
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
