//! Receives the feedback that people leave in Feishu/Lark apps, stores it, and notifies destinations
//! chosen by rules, images included.
//!
//! # The life of an event
//!
//! 1. [`intake::webhook`] takes bytes and headers: a [`feishu::Unverified`]. Events of a long connection
//!    ([`intake::websocket`]) start at step 3, because the connection itself is authenticated.
//!    [`intake::backfill`] polls the platform's list for feedback that is never pushed; it starts at
//!    step 4.
//! 2. [`feishu::Unverified::verify`] checks the raw bytes and decrypts them: an envelope, a challenge,
//!    or a refusal.
//! 3. The envelope becomes a [`model::Event`].
//! 4. [`rules::RuleSet::plan`] decides, without I/O, which destinations are notified: a [`model::Plan`].
//! 5. [`store::Store::accept`] commits the event, its deliveries and its image jobs in one transaction.
//!    Only then does Feishu get its 200.
//! 6. A wake-up goes to the workers. It is only a hint without data, because workers also poll.
//! 7. [`images`] fetches images, nearest deadline first; [`deliver`] leases due deliveries, critical
//!    ones first.
//! 8. [`render::Templates`] renders the payload; every retry repeats the first rendering.
//! 9. A [`destination::Destination`] sends it and returns the outcome; [`deliver::RetryPolicy`] decides
//!    the next step.
//! 10. [`store::Store::finish_attempt`] records the attempt and the new state in one transaction.
//!
//! # Module layers
//!
//! A module depends only on modules with a lower number, never on one with the same number.
//! `tests/it/architecture.rs` enforces this.
//!
//! ```text
//! 10 cli   9 demo   8 app online_check   7 config   6 web   5.5 admin   5.2 simulation
//! 5 intake deliver images retention   4.7 triage   4.6 incidents   4.5 notices jobs   4.2 view
//! 4 store archive destination   3 feishu slack rules render   2 net tasks toml_reader
//! 1 diag telemetry   0 model
//! ```

pub mod admin;
pub mod app;
pub mod archive;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod demo;
pub mod destination;
pub mod diag;
pub mod feishu;
pub mod images;
pub mod incidents;
pub mod intake;
pub mod jobs;
pub mod model;
pub mod net;
pub mod notices;
pub mod online_check;
pub mod render;
pub mod retention;
pub mod rules;
pub mod simulation;
pub mod slack;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod toml_reader;
pub mod triage;
pub mod view;
pub mod web;
