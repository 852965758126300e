//! `serve`: runs the relay.

use std::process::ExitCode;

use super::context::{Context, Failure};
use crate::app::{self, Entrance, ServiceManager};

pub(super) const EXAMPLES: &str = "\
Examples:
  feedback-relay serve
  feedback-relay --config /etc/relay.toml serve

SIGHUP reloads the configuration; SIGTERM stops after what is in hand, a second one at once. Under systemd
(Type=notify) it says when it is ready, reloads and stops, and heeds WatchdogSec=.";

/// Hands over to the relay, unless its configuration is wrong. Warnings do not hold it back.
pub(super) fn run(context: Context) -> ExitCode {
    let mut loaded = context.load();
    let Some(config) = loaded.config.take() else {
        let failure = Failure::Configuration(loaded.report());
        return ExitCode::from(context.end(Err(failure)));
    };
    let warnings = loaded.report();
    let manager = ServiceManager::of(context.environment());
    let (reload, mut out) = (context.loader(), context.out);
    app::serve(config, &warnings, manager, reload, |address, entrances| {
        out.line(&format!("listening on http://{address}"));
        for (app, entrance) in entrances {
            out.line(&match entrance {
                Entrance::Url(url) => format!("request URL for the events of {app}: {url}"),
                Entrance::LongConnection => format!(
                    "events of {app} come over the long connection: in Feishu's console, Events & callbacks, \
                     choose it as the subscription mode while this runs"
                ),
            });
        }
    })
}
