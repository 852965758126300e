//! Implements `destinations`: shows which destinations are paced, broken or stopped and why, and resumes them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::context::{Context, Exit, Failure, block_on, destination};
use super::text::Table;
use super::view;
use crate::config::{Config, Needs};
use crate::destination::{KindSettings, RateLimit, slowest};
use crate::model::{DestinationName, Timestamp};
use crate::store::{GateRecord, QueueStats};

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

/// Shorter waits for a rate limit are not shown.
const MOMENT: Duration = Duration::from_secs(2);

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

/// The row of a destination.
#[derive(Clone, Debug, Default)]
struct Row {
    /// `None`: it is no longer configured.
    kind: Option<&'static str>,
    queue: Option<QueueStats>,
    gate: Option<GateRecord>,
    /// The rate limits.
    paces: Vec<RateLimit>,
}

async fn list(context: &mut Context, args: &ListArgs) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let queues = store.stats().await?.queues;
    let mut rows = rows(kinds(&config), queues, store.gates().await?);
    for (name, settings) in &config.destinations {
        rows.entry(name.clone()).or_default().paces = settings.paces();
    }
    let now = context.now();
    if args.json {
        for (name, row) in &rows {
            context.out.json_line(&row.to_json(name, now));
        }
    } else {
        context.out.text(&table(&rows, now));
    }
    Ok(Exit::Done)
}

async fn resume(context: &mut Context, args: &ResumeArgs) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let name = &args.name;
    destination(&config, name)?;
    let store = context.store(&config)?;
    store.resume(name).await?;
    context.out.line(&format!("{name} may try again"));
    Ok(Exit::Done)
}

fn kinds(config: &Config) -> BTreeMap<DestinationName, &'static str> {
    let word = |kind: &KindSettings| match kind {
        KindSettings::FeishuBot { .. } => "feishu-bot",
        KindSettings::FeishuApp { .. } => "feishu-app",
        KindSettings::SlackWebhook { .. } => "slack-webhook",
        KindSettings::SlackApp { .. } => "slack-app",
        KindSettings::Webhook { .. } => "webhook",
        KindSettings::File { .. } => "file",
    };
    let all = config.destinations.iter();
    all.map(|(name, settings)| (name.clone(), word(&settings.kind)))
        .collect()
}

/// Returns the rows of all destinations: those configured, and those that only the store knows.
fn rows(
    kinds: BTreeMap<DestinationName, &'static str>,
    queues: Vec<QueueStats>,
    gates: Vec<GateRecord>,
) -> BTreeMap<DestinationName, Row> {
    let mut rows: BTreeMap<DestinationName, Row> = BTreeMap::new();
    for (name, kind) in kinds {
        rows.entry(name).or_default().kind = Some(kind);
    }
    for queue in queues {
        let row = rows.entry(queue.destination.clone()).or_default();
        row.queue = Some(queue);
    }
    for gate in gates {
        // The gate of a removed destination has no effect any more.
        if let Some(row) = rows.get_mut(&gate.destination) {
            row.gate = Some(gate);
        }
    }
    rows
}

impl Row {
    fn counts(&self) -> (u64, u64, u64) {
        let queue = self.queue.as_ref();
        queue.map_or((0, 0, 0), |queue| {
            (queue.pending, queue.sending, queue.dead)
        })
    }

    /// Returns the end of the wait that the platform asked for; `None` if it is over.
    fn paced_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.gate.as_ref()?.blocked_until;
        until.filter(|until| *until > now)
    }

    /// Returns the rate limit that delays waiting deliveries, and the delay; `None` if it is shorter than
    /// [`MOMENT`].
    fn wait(&self) -> Option<(RateLimit, Duration)> {
        let (pending, _, _) = self.counts();
        let slowest = slowest(&self.paces, pending);
        slowest.filter(|(_, time)| *time > MOMENT)
    }

    /// Describes what holds the destination back, most severe first.
    fn gate_text(&self, now: Timestamp) -> String {
        let gate = self.gate.as_ref();
        let mut said = Vec::new();
        if self.kind.is_none() {
            said.push("not in the configuration".to_owned());
        }
        if let Some(reason) = gate.and_then(|gate| gate.stopped.as_deref()) {
            said.push(format!("stopped: {reason}"));
        }
        if let Some(since) = gate.and_then(|gate| gate.open_since) {
            said.push(format!("broken since {since}"));
        }
        if let Some(since) = gate.and_then(|gate| gate.failing_since) {
            said.push(format!("failing since {since}"));
        }
        if let Some(until) = self.paced_until(now) {
            said.push(format!("paced until {until}"));
        }
        if said.is_empty() {
            said.push("open".into());
        }
        if let Some((pace, time)) = self.wait() {
            said.push(format!(
                "about {} s for waiting deliveries, at {pace}",
                time.as_secs()
            ));
        }
        said.join("; ")
    }

    fn to_json(&self, name: &DestinationName, now: Timestamp) -> Value {
        let (pending, sending, dead) = self.counts();
        let gate = self.gate.as_ref();
        json!({
            "name": name.as_str(),
            "kind": self.kind,
            "pending": pending,
            "sending": sending,
            "dead": dead,
            "oldest_at": view::time_json(self.queue.as_ref().and_then(|queue| queue.oldest_at)),
            "paced_until": view::time_json(self.paced_until(now)),
            "broken_since": view::time_json(gate.and_then(|gate| gate.open_since)),
            "failing_since": view::time_json(gate.and_then(|gate| gate.failing_since)),
            "stopped": gate.and_then(|gate| gate.stopped.as_deref()),
            "paces": self.paces.iter().map(RateLimit::to_string).collect::<Vec<_>>(),
            "wait_s": self.wait().map(|(_, time)| time.as_secs()),
        })
    }
}

fn table(rows: &BTreeMap<DestinationName, Row>, now: Timestamp) -> String {
    if rows.is_empty() {
        return "no destinations\n".into();
    }
    let mut table = Table::new(["NAME", "KIND", "PENDING", "SENDING", "DEAD", "GATE"]);
    for (name, row) in rows {
        let (pending, sending, dead) = row.counts();
        table.push([
            name.to_string(),
            view::or_dash(row.kind),
            pending.to_string(),
            sending.to_string(),
            dead.to_string(),
            row.gate_text(now),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_711_111_111_000);

    fn some_rows() -> BTreeMap<DestinationName, Row> {
        let name = |name: &str| DestinationName::new(name);
        let gate = |destination: &str| GateRecord::open(name(destination));
        let kinds = ["archive", "oncall-chat", "ops", "product"].map(|one| (name(one), "webhook"));
        let queue = |destination: &str, dead| QueueStats {
            destination: name(destination),
            pending: 3,
            sending: 1,
            dead,
            oldest_at: Some(NOW),
        };
        let gates = vec![
            GateRecord {
                blocked_until: Some(Timestamp::from_millis(1_711_111_141_000)),
                ..gate("ops")
            },
            GateRecord {
                blocked_until: Some(NOW),
                open_since: Some(NOW),
                failing_since: Some(NOW),
                ..gate("product")
            },
            GateRecord {
                stopped: Some("the bot was removed from its group".into()),
                ..gate("oncall-chat")
            },
            gate("forgotten"),
        ];
        rows(kinds.into(), vec![queue("ops", 0), queue("gone", 2)], gates)
    }

    #[test]
    fn what_holds_each_back_is_said() {
        insta::assert_snapshot!(table(&some_rows(), NOW));
        assert_eq!(table(&BTreeMap::new(), NOW), "no destinations\n");
    }

    #[test]
    fn wait_for_a_rate_is_shown() {
        let pace = RateLimit {
            count: 95,
            per: Duration::from_secs(60),
        };
        let queue = QueueStats {
            destination: "bot".into(),
            pending: 212,
            sending: 0,
            dead: 0,
            oldest_at: None,
        };
        let row = Row {
            kind: Some("feishu-bot"),
            queue: Some(queue),
            gate: None,
            paces: vec![pace],
        };
        assert_eq!(
            row.gate_text(NOW),
            "open; about 120 s for waiting deliveries, at 95/min"
        );
        let json = row.to_json(&"bot".into(), NOW);
        assert_eq!(json["wait_s"], 120);
    }

    #[test]
    fn a_pace_that_is_over_is_not_shown() {
        let rows = some_rows();
        let json = |name: &str| rows[name].to_json(&DestinationName::new(name), NOW);
        assert_eq!(json("product")["paced_until"], Value::Null);
        assert_eq!(json("ops")["paced_until"], "2024-03-22T12:39:01.000Z");
        assert_eq!(json("gone")["kind"], Value::Null);
        assert_eq!(json("gone")["dead"], 2);
    }
}
