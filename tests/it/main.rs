//! What is tested from outside: one binary, so that there is one link.

#![expect(clippy::panic, reason = "tests say what went wrong by failing")]
#![expect(unreachable_pub, reason = "there is nobody outside this binary")]

mod addresses;
mod architecture;
mod backfill;
mod bombs;
mod cli;
mod closing;
mod crash;
mod deliver;
mod demo;
mod demo_page;
mod dependencies;
mod doctor;
mod feishu_app;
mod harness;
mod intake;
mod leaks;
mod main_path;
mod readme;
mod rule_tests;
mod running;
mod slack_app;
mod updated;
mod uploads;
mod websocket;
