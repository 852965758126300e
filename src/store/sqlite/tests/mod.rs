//! Tests specific to the SQLite store: its file, its writing thread and its statements.

mod ids;
mod opening;
mod places;
mod plans;
mod reading;
mod writing;
