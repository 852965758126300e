//! How commands run on the database file: one writer, group commit, WAL sync, checkpoints, readers, migrations.

pub(super) mod checkpoint;
pub(super) mod command_queue;
pub(super) mod connection;
pub(super) mod event_id_index;
pub(super) mod file_watch;
pub(super) mod files;
pub(super) mod group_commit;
pub(super) mod log_index;
pub(super) mod meta;
pub(super) mod meta_table;
pub(super) mod migrations;
pub(super) mod new_ids;
pub(super) mod open;
pub(super) mod readers;
pub(super) mod tx;
pub(super) mod uptime;
pub(super) mod wal_sync;
pub(super) mod writer;
