//! `feedback-relay` receives the feedback that people leave in Feishu/Lark apps, keeps it, decides by
//! rules who should hear of it, and tells them, images included.
//!
//! # The life of an event
//!
//! 1. [`intake::webhook`] takes bytes and headers: a [`feishu::Unverified`]. Over a long connection
//!    ([`intake::websocket`]) events begin at step 3: there it is the connection that is authentic. What is
//!    never pushed, [`intake::backfill`] finds in the platform's list; it joins at step 4.
//! 2. [`feishu::Unverified::verify`] checks the raw bytes and decrypts: an envelope, a challenge, or a refusal.
//! 3. The envelope becomes a [`model::Event`].
//! 4. [`rules::RuleSet::plan`] says, purely, who is told: a [`model::Plan`].
//! 5. [`store::Store::accept`] commits event, deliveries and image jobs in one transaction. Only now
//!    does Feishu get its 200.
//! 6. A wake-up goes to the workers. It is a hint and carries nothing; they look by themselves too.
//! 7. [`images`] fetches images, nearest deadline first; [`deliver`] leases what is due, critical first.
//! 8. [`render::Templates`] makes the payload; the first rendering is what every retry repeats.
//! 9. A [`destination::Destination`] sends it and says what came of it; [`deliver::RetryPolicy`] says what follows.
//! 10. [`store::Store::finish_attempt`] records attempt and state in one transaction.
//!
//! # The house
//!
//! Arrows between modules point down only; neighbours on one level do not know each other
//! (`tests/it/architecture.rs` holds them to it).
//!
//! ```text
//! 10 cli   9 demo   8 app online_check   7 config   6 web   5 intake deliver images retention   4.7 triage   4.5 notices
//! 4 store archive destination   3 feishu slack rules render   2 net tasks   1 diag telemetry toml_reader   0 model
//! ```

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
pub mod intake;
pub mod model;
pub mod net;
pub mod notices;
pub mod online_check;
pub mod render;
pub mod retention;
pub mod rules;
pub mod slack;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod toml_reader;
pub mod triage;
pub mod web;
