//! `feedback-relay` receives the feedback that people leave in Feishu/Lark apps, keeps it, decides by
//! rules who should hear of it, and tells them, pictures included.

pub mod archive;
pub mod config;
pub mod deliver;
pub mod destination;
pub mod diag;
pub mod feishu;
pub mod images;
pub mod intake;
pub mod model;
pub mod net;
pub mod operator;
pub mod render;
pub mod rules;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod upkeep;
pub mod web;
