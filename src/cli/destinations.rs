//! Implements `destinations`: shows which destinations are rate-limited, broken or stopped and why, and
//! resumes them.

use super::context::{Context, Exit, Failure, block_on, destination};
use super::text::Table;
use super::words;
use crate::admin::destinations;
use crate::config::Needs;
use crate::model::DestinationName;
use crate::view::DestinationView;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List destinations, their queues, and why they wait
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Make a stopped or broken destination try again at once
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(ResumeArgs),
}

const LIST_EXAMPLES: &str = "\
Examples:
  feedback-relay destinations list
  feedback-relay destinations list --json | jq -r 'select(.stopped) | .name'";

const RESUME_EXAMPLES: &str = "\
Examples:
  feedback-relay destinations resume oncall-chat

The relay reacts within a second. Dead deliveries stay dead: see `deliveries retry --dead`.";

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Print JSON, one destination per line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// The destination
    name: DestinationName,
}

/// Runs a subcommand.
pub(super) fn run(context: &mut Context, command: &Command) -> Result<Exit, Failure> {
    block_on(async {
        match command {
            Command::List(args) => list(context, args).await,
            Command::Resume(args) => resume(context, args).await,
        }
    })
}

async fn list(context: &mut Context, args: &ListArgs) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let all = destinations::list(&store, &config.destinations, context.now()).await?;
    if args.json {
        for destination in &all {
            context.out.json_line(destination);
        }
    } else {
        context.out.text(&table(&all));
    }
    Ok(Exit::Done)
}

async fn resume(context: &mut Context, args: &ResumeArgs) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let name = &args.name;
    destination(&config, name)?;
    let store = context.store(&config)?;
    destinations::resume(&store, name).await?;
    context.out.line(&format!("{name} may try again"));
    Ok(Exit::Done)
}

/// Describes why the destination's messages are delayed, most severe reason first.
fn gate_text(destination: &DestinationView) -> String {
    let mut said = Vec::new();
    if destination.kind.is_none() {
        said.push("not in the configuration".to_owned());
    }
    if let Some(reason) = &destination.stopped {
        said.push(format!("stopped: {reason}"));
    }
    if let Some(since) = destination.broken_since {
        said.push(format!("broken since {since}"));
    }
    if let Some(since) = destination.failing_since {
        said.push(format!("failing since {since}"));
    }
    if let Some(until) = destination.paced_until {
        said.push(format!("rate-limited until {until}"));
    }
    if said.is_empty() {
        said.push("open".into());
    }
    if let Some(wait) = &destination.wait {
        said.push(format!(
            "about {} s for waiting deliveries, at {}",
            wait.seconds, wait.pace
        ));
    }
    said.join("; ")
}

fn table(destinations: &[DestinationView]) -> String {
    if destinations.is_empty() {
        return "no destinations\n".into();
    }
    let mut table = Table::new(["NAME", "KIND", "PENDING", "SENDING", "HELD", "DEAD", "GATE"]);
    for destination in destinations {
        table.push([
            destination.name.to_string(),
            words::or_dash(destination.kind),
            destination.pending.to_string(),
            destination.sending.to_string(),
            destination.held.to_string(),
            destination.dead.to_string(),
            gate_text(destination),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Timestamp;
    use crate::view::Wait;

    const NOW: Timestamp = Timestamp::from_millis(1_711_111_111_000);

    fn open(name: &str) -> DestinationView {
        DestinationView {
            name: name.into(),
            kind: Some("webhook"),
            pending: 0,
            sending: 0,
            dead: 0,
            held: 0,
            oldest_at: None,
            paced_until: None,
            broken_since: None,
            failing_since: None,
            stopped: None,
            paces: Vec::new(),
            wait: None,
        }
    }

    #[test]
    fn what_holds_each_back_is_said() {
        let gone = DestinationView {
            kind: None,
            pending: 3,
            sending: 1,
            dead: 2,
            ..open("gone")
        };
        let stopped = DestinationView {
            stopped: Some("the bot was removed from its group".into()),
            ..open("oncall-chat")
        };
        let paced = DestinationView {
            pending: 3,
            sending: 1,
            paced_until: Some(NOW + Duration::from_secs(30)),
            ..open("ops")
        };
        let broken = DestinationView {
            broken_since: Some(NOW),
            failing_since: Some(NOW),
            ..open("product")
        };
        insta::assert_snapshot!(table(&[open("archive"), gone, stopped, paced, broken]));
        assert_eq!(table(&[]), "no destinations\n");
    }

    #[test]
    fn wait_for_a_rate_is_shown() {
        let waits = DestinationView {
            wait: Some(Wait {
                pace: "95/min".into(),
                seconds: 120,
            }),
            ..open("bot")
        };
        assert_eq!(
            gate_text(&waits),
            "open; about 120 s for waiting deliveries, at 95/min"
        );
    }
}
