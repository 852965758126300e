//! Tests from outside. They are one binary, so that there is one link step.

#![expect(clippy::panic, reason = "tests say what went wrong by failing")]
#![expect(unreachable_pub, reason = "there is nobody outside this binary")]

mod addresses;
mod architecture;
mod backfill;
mod bombs;
mod cli;
mod contrib;
mod crash;
mod deliver;
mod demo;
mod demo_page;
mod dependencies;
mod docs;
mod doctor;
mod feishu_app;
mod fuzz;
mod harness;
mod hold;
mod images;
mod incident_commands;
mod incidents;
mod intake;
mod leaks;
mod machine;
mod main_path;
mod metrics;
mod proxy;
mod readme;
mod receiving;
mod reference;
mod rule_tests;
mod running;
mod service;
mod silences;
mod slack_app;
mod stopping;
mod strangers;
mod triage;
mod updated;
mod uploads;
mod websocket;
