//! Implements `try`: shows what would happen to an event.

mod show;

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::context::{self, Context, Exit, Failure, block_on, names};
use super::{reading, timeline, values};
use crate::app;
use crate::config::Config;
use crate::deliver::preview::{Parts, Preview, merged, preview};
use crate::destination::{Destination, KindSettings, Message, Place, Sent};
use crate::feishu::App;
use crate::intake;
use crate::model::{
    AppName, Content, DeliveryIds, DestinationName, Event, Outcome, Timestamp, Trigger,
};
use crate::simulation::{self, EVENTS_MAX, LASTS_MAX, Repeated, Scenario};
use crate::view::{SimulationView, TrialView};

const EXAMPLES: &str = "\
Examples:
  feedback-relay try tests/events/white-screen.json
  feedback-relay try event.json --to oncall-chat --send
  feedback-relay try tests/events/crash.json --times 300 --every 200ms    a storm: what is sent when
  feedback-relay events show 5e3702a84e847582be8db7fb73283c02 --body --json | jq .body | feedback-relay try -

EVENT.json contains a decrypted event as Feishu pushes it, or its `event` object alone.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The event file; `-` reads stdin
    #[arg(value_name = "EVENT.json")]
    event: PathBuf,
    /// For a change of status: the file of its report [default: looked up in the store]
    #[arg(long, value_name = "FILE")]
    feedback: Option<PathBuf>,
    /// Also send the messages once, marked as a test and without images; mentions notify nobody
    #[arg(long)]
    send: bool,
    /// Show only the message to this destination
    #[arg(long, value_name = "NAME")]
    to: Option<DestinationName>,
    /// The app of `[apps]` that receives the event; needed if the event does not name it
    #[arg(long, value_name = "NAME")]
    app: Option<AppName>,
    /// When the event is received, for `when` of rules, such as 2026-03-01T02:10:00+08:00 [default: now]
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    at: Option<Timestamp>,
    /// Show what would be sent if the event came this often, each time as a new report: a timeline until the last
    /// timer, instead of the messages
    #[arg(long, value_name = "N", requires = "every", conflicts_with = "send", value_parser = clap::value_parser!(u64).range(1..=EVENTS_MAX))]
    times: Option<u64>,
    /// The time between two of them, such as 200ms
    #[arg(long, value_name = "DURATION", requires = "times", value_parser = values::span)]
    every: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Returns how often the event comes; `None` without `--times`.
    fn repeated(&self, event: &Event) -> Result<Option<Repeated>, Failure> {
        let (Some(times), Some(every)) = (self.times, self.every) else {
            return Ok(None);
        };
        let repeated = Repeated {
            times,
            every,
            ..Repeated::once(event.clone())
        };
        if repeated.last() > LASTS_MAX {
            let wrong = "the last event would come more than 31 days after the first; use a smaller --times or --every";
            return Err(Failure::Usage(wrong.into()));
        }
        Ok(Some(repeated))
    }
}

/// Plans and renders the event; with `--send`, sends the messages.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config()?;
    if let Some(name) = &args.to {
        context::destination(&config, name)?;
    }
    let text = unquoted(read_file(&args.event, config.server.max_body)?);
    let read = |app| {
        reading::read(&text, app)
            .map_err(|reason| Failure::Failed(format!("{}: {reason}", called(&args.event))))
    };
    if let Some(any) = config.apps.values().next() {
        // A file that is not an event at all is reported before a missing `--app`.
        read(any)?;
    }
    let mut event = read(receiver(&config, args.app.as_ref(), &text)?)?;
    match &args.feedback {
        Some(file) => add_report(file, &mut event, &config, args)?,
        None => ask_store(context, &config, &mut event)?,
    }
    let repeated = args.repeated(&event)?;
    let parts = Parts {
        destinations: &config.destinations,
        names: &app::names(&config),
        templates: &config.templates,
    };
    let trigger = if args.send {
        Trigger::Test
    } else {
        Trigger::Event
    };
    let (ids, now) = (DeliveryIds::new(fastrand::u64(..)), context.now());
    // As in `[[tests]]`, the event's own time is used, so that an old sample is not a late report.
    let at = event.happened_at().unwrap_or(now);
    let received_at = args.at.unwrap_or(now);
    let (plan, trace) = config.rules.explain(&event, received_at);
    let mut messages = preview(parts, &event, plan.deliveries, trigger, &ids, at);
    if let Some(name) = &args.to {
        messages.retain(|message| message.destination == *name);
    }
    let sent = if args.send {
        check_files(&config, &messages)?;
        Some(block_on(send_all(&config, &messages, now))?)
    } else {
        None
    };
    let incidents = plan.incidents.into_iter();
    let incidents: Vec<_> = incidents
        .map(|incident| merged(incident, &config.destinations))
        .collect();
    let simulation = repeated.map(|repeated| simulated(&config, repeated, received_at, args));
    let trial = show::Trial {
        event: &event,
        state: plan.state,
        trace: &trace,
        incidents: &incidents,
        messages: &messages,
        destinations: &config.destinations,
        sent: sent.as_deref(),
    };
    let trial = TrialView {
        simulation: simulation.transpose()?,
        ..trial.view()
    };
    if args.json {
        context.out.json(&trial);
    } else {
        context.out.text(&show::to_text(&trial, args.to.as_ref()));
    }
    Ok(verdict(sent.as_deref(), args.to.is_some()))
}

/// Simulates an event that comes several times.
fn simulated(
    config: &Config,
    repeated: Repeated,
    start: Timestamp,
    args: &Args,
) -> Result<SimulationView, Failure> {
    let scenario = Scenario {
        events: &[repeated],
        ..Scenario::default()
    };
    let timeline = simulation::run(&app::simulation_settings(config), start, scenario)?;
    Ok(timeline::view(start, &timeline, args.to.as_ref()))
}

/// Adds the report from a file to a change of status.
fn add_report(file: &Path, event: &mut Event, config: &Config, args: &Args) -> Result<(), Failure> {
    let wrong = |what: &str| Failure::Usage(format!("--feedback: {what}"));
    let Content::Updated(change) = &mut event.content else {
        return Err(wrong("--feedback needs a change of status"));
    };
    let text = unquoted(read_file(file, config.server.max_body)?);
    let app = receiver(config, args.app.as_ref(), &text)?;
    let report = reading::read(&text, app)
        .map_err(|reason| Failure::Failed(format!("{}: {reason}", called(file))))?;
    let Content::Created(report) = report.content else {
        return Err(wrong("the file contains no report"));
    };
    change.reports.push(*report);
    Ok(())
}

/// Adds the reports that the store knows to a change of status. Without a store, nothing is added.
fn ask_store(context: &Context, config: &Config, event: &mut Event) -> Result<(), Failure> {
    let is_change = matches!(event.content, Content::Updated(_));
    if !is_change {
        return Ok(());
    }
    match context.store(config) {
        Ok(store) => block_on(async {
            intake::attach_reports(&store, &config.apps, event)
                .await
                .map_err(Failure::from)
        }),
        Err(_no_store) => Ok(()),
    }
}

/// Returns `Done` if every message was delivered. If a destination was named, there must be at least one.
fn verdict(sent: Option<&[Sent]>, named: bool) -> Exit {
    let Some(sent) = sent else {
        return Exit::Done;
    };
    Exit::done_if(sent.iter().all(delivered) && !(named && sent.is_empty()))
}

fn delivered(sent: &Sent) -> bool {
    sent.outcome == Outcome::Delivered
}

/// Returns the display name of the file.
fn called(path: &Path) -> String {
    match path == Path::new("-") {
        true => "stdin".to_owned(),
        false => path.display().to_string(),
    }
}

/// Reads the file or stdin, at most as much as intake accepts.
fn read_file(path: &Path, bytes_max: usize) -> Result<String, Failure> {
    let doing = || format!("cannot read {}", called(path));
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(|error| Failure::of(doing(), error))?)
    };
    read_bounded(source, bytes_max).map_err(|error| Failure::of(doing(), error))
}

/// Returns the event inside a JSON string, the form in which `events show --body --json` prints an event that is
/// not strict JSON. Otherwise returns the text itself.
fn unquoted(text: String) -> String {
    serde_json::from_str(&text).unwrap_or(text)
}

fn read_bounded(source: impl Read, bytes_max: usize) -> std::io::Result<String> {
    let mut text = String::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    source
        .take(limit.saturating_add(1))
        .read_to_string(&mut text)?;
    if text.len() > bytes_max {
        let reason = format!("larger than server.max_body, {bytes_max} bytes");
        return Err(std::io::Error::other(reason));
    }
    Ok(text)
}

/// Returns the app that receives the event: the named one, otherwise the one in the envelope, otherwise the only
/// one.
fn receiver<'a>(
    config: &'a Config,
    named: Option<&AppName>,
    text: &str,
) -> Result<&'a App, Failure> {
    let all = || names(config.apps.keys().map(AppName::as_str));
    if let Some(name) = named {
        return config.apps.get(name).ok_or_else(|| {
            Failure::Usage(format!(
                "there is no app {:?}; there are: {}",
                name.as_str(),
                all()
            ))
        });
    }
    let id = reading::app_id(text);
    let by_id = config
        .apps
        .values()
        .find(|app| Some(&app.app_id) == id.as_ref());
    let mut apps = config.apps.values();
    match (by_id, apps.next(), apps.next()) {
        (Some(app), _, _) | (None, Some(app), None) => Ok(app),
        (None, _, _) => Err(Failure::Usage(format!(
            "the event does not name the app that receives it; use --app with one of: {}",
            all()
        ))),
    }
}

/// Fails if sending would create the folder of a `file` destination, or its file as root in another user's folder.
/// The relay creates them, so that they belong to the relay's user and not to whoever tries an event.
fn check_files(config: &Config, messages: &[Preview]) -> Result<(), Failure> {
    for message in messages {
        let settings = config.destinations.get(&message.destination);
        let Some(KindSettings::File { path }) = settings.map(|one| &one.kind) else {
            continue;
        };
        let named = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = named.unwrap_or(Path::new("."));
        let Ok(found) = std::fs::metadata(folder) else {
            return Err(Failure::Failed(format!(
                "the folder {} of destination {} does not exist yet; start `feedback-relay serve` first, or create the folder",
                folder.display(),
                message.destination
            )));
        };
        let is_foreign = rustix::process::geteuid().is_root() && found.uid() != 0;
        if is_foreign && !path.exists() {
            return Err(Failure::Failed(format!(
                "the file {} of destination {} does not exist yet, and root would create it in the folder of user {}: \
                 run this command as that user, or start `feedback-relay serve` first",
                path.display(),
                message.destination,
                found.uid()
            )));
        }
    }
    Ok(())
}

/// Sends each message once, one after the other.
async fn send_all(
    config: &Config,
    messages: &[Preview],
    now: Timestamp,
) -> Result<Vec<Sent>, Failure> {
    let failed = |error: app::PartsError| Failure::Failed(error.to_string());
    let clients = app::Clients::build(config).map_err(failed)?;
    let destinations = app::destinations(config, &clients).map_err(failed)?;
    let mut sent = Vec::with_capacity(messages.len());
    for message in messages {
        let destination = destinations.get(&message.destination);
        let destination = destination.expect("only configured destinations have a preview");
        sent.push(send(destination.as_ref(), message, now).await);
    }
    Ok(sent)
}

async fn send(destination: &dyn Destination, preview: &Preview, now: Timestamp) -> Sent {
    let message = Message {
        payload: &preview.payload,
        place: Place::New,
        key: preview.id,
        now,
        // A test sends no urgent notifications.
        rings: &[],
        link: &show::link,
    };
    destination.send(message).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_larger_than_the_intake_takes_is_refused() {
        assert_eq!(read_bounded(&b"12345"[..], 5).unwrap(), "12345");
        let error = read_bounded(&b"123456"[..], 5).unwrap_err();
        assert_eq!(error.to_string(), "larger than server.max_body, 5 bytes");
        assert!(read_bounded(&b"\xff"[..], 5).is_err());
    }

    #[test]
    fn an_event_may_stand_in_a_json_string() {
        let event = r#"{"event":{"description":"half \ud83d"}}"#;
        let quoted = serde_json::Value::from(event).to_string();
        for text in [event, quoted.as_str(), &format!("{quoted}\n")] {
            assert_eq!(unquoted(text.to_owned()), event);
        }
    }

    #[test]
    fn only_what_the_platform_took_counts_as_delivered() {
        let sent = |outcome| Sent {
            status: Some(200),
            ..crate::destination::tests::unsent(outcome)
        };
        let reason = String::from("the answer was lost");
        let taken = sent(Outcome::Delivered);
        let lost = sent(Outcome::Ambiguous { reason });
        assert_eq!(verdict(Some(&[taken.clone(), lost]), false), Exit::Found);
        assert_eq!(verdict(Some(&[taken]), true), Exit::Done);
    }

    #[test]
    fn sending_nothing_fails_only_with_a_named_destination() {
        assert_eq!(verdict(None, true), Exit::Done);
        assert_eq!(verdict(Some(&[]), false), Exit::Done);
        assert_eq!(verdict(Some(&[]), true), Exit::Found);
    }
}
