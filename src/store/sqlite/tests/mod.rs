//! What is particular to this store: its file, its writing thread, its statements.

mod ids;
mod opening;
mod places;
mod plans;
mod reading;
mod writing;
