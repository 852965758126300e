//! Implements `events sample`: sample events of every kind.

use serde_json::json;

use crate::cli::context::{Context, Exit, Failure, names};
use crate::cli::text::Table;
use crate::feishu::sample_at;

const EXAMPLES: &str = "\
Examples:
  feedback-relay events sample                         list the kinds
  feedback-relay events sample crash > crash.json      to edit, or for [[tests]]
  feedback-relay events sample crash | feedback-relay try -";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The kind of sample; without it, the kinds are listed
    kind: Option<String>,
    /// List the kinds as JSON lines
    #[arg(long, conflicts_with = "kind")]
    json: bool,
}

/// A kind, its description, and the event: a decrypted body as Feishu pushes it.
struct Sample {
    kind: &'static str,
    what: &'static str,
    /// Its times are replaced by current ones.
    body: &'static str,
}

/// Includes the files of `tests/events/`.
macro_rules! samples {
    ($($kind:literal: $what:literal,)*) => {
        &[$(Sample {
            kind: $kind,
            what: $what,
            body: include_str!(concat!("../../../tests/events/", $kind, ".json")),
        },)*]
    };
}

const SAMPLES: &[Sample] = samples! {
    "black-screen": "fault black_screen, in a mini program",
    "white-screen": "fault white_screen, in a mini program, with contact and all ids of the reporter",
    "cannot-open": "fault cannot_open, in a mini program, with a telephone number",
    "stutter": "fault stutter, in a mini program",
    "crash": "fault crash, in a mini program, in two languages",
    "slow-load": "fault slow_load, in a web app, in English",
    "freeze": "fault freeze, by the web SDK",
    "other": "fault other, to a bot, without a path",
    "several-faults": "faults white_screen, stutter and slow_load at once",
    "suggestion": "suggestion, in a web app",
    "mini-program": "suggestion, in a mini program",
    "web-app": "suggestion, in a web app, in English",
    "bot": "suggestion, to a bot, without a path",
    "web-sdk": "suggestion, by the web SDK",
    "status-changed": "the status of two feedbacks, set to processed",
};

/// Prints the requested sample, or lists the kinds.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let Some(kind) = &args.kind else {
        list(context, args.json);
        return Ok(Exit::Done);
    };
    // Rules write the kind as `white_screen`.
    let wanted = kind.replace('_', "-");
    let sample = SAMPLES.iter().find(|sample| sample.kind == wanted);
    let Some(sample) = sample else {
        let known = names(SAMPLES.iter().map(|sample| sample.kind));
        let message = format!("there is no sample {kind:?}; there are: {known}");
        return Err(Failure::Usage(message));
    };
    let stamped = sample_at(sample.body, context.now());
    context.out.text(&stamped);
    Ok(Exit::Done)
}

fn list(context: &mut Context, json: bool) {
    if json {
        for sample in SAMPLES {
            let line = json!({ "kind": sample.kind, "what": sample.what });
            context.out.json_line(&line);
        }
        return;
    }
    let mut table = Table::new(["KIND", "WHAT"]);
    for sample in SAMPLES {
        table.push([sample.kind.to_owned(), sample.what.to_owned()]);
    }
    context.out.text(&table.render());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::feishu::read_sample;
    use crate::model::{AppName, Content, Event, EventKind, FaultKind, FeedbackKind, SourceKind};

    fn events() -> Vec<Event> {
        let zone = jiff::tz::TimeZone::UTC;
        let read = |sample: &Sample| read_sample(sample.body, &AppName::new("shop"), &zone);
        SAMPLES.iter().map(|sample| read(sample).unwrap()).collect()
    }

    #[test]
    fn the_pages_of_samples_are_those_that_check_knows() {
        let pages = events()
            .into_iter()
            .filter_map(|event| match event.content {
                Content::Created(feedback) => Some(feedback.path?.expose().to_owned()),
                Content::Updated(_)
                | Content::Notice(_)
                | Content::Summary(_)
                | Content::Digest(_)
                | Content::Incident(_) => None,
            });
        let pages: BTreeSet<String> = pages.filter(|page| !page.is_empty()).collect();
        let known = crate::feishu::SAMPLE_PAGES
            .iter()
            .map(|&page| page.to_owned());
        assert_eq!(pages, known.collect());
    }

    #[test]
    fn every_fault_source_type_and_kind_of_event_has_a_sample() {
        let (mut faults, mut sources, mut kinds, mut types) = (
            BTreeSet::new(),
            BTreeSet::new(),
            BTreeSet::new(),
            BTreeSet::new(),
        );
        for event in events() {
            match event.content {
                Content::Created(feedback) => {
                    types.insert(EventKind::Created);
                    faults.extend(feedback.faults);
                    sources.extend(feedback.source);
                    kinds.extend(feedback.kind);
                }
                Content::Updated(_) => drop(types.insert(EventKind::Updated)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(faults, FaultKind::KNOWN.iter().copied().collect());
        assert_eq!(sources, SourceKind::KNOWN.iter().copied().collect());
        assert_eq!(kinds, FeedbackKind::KNOWN.iter().copied().collect());
        assert_eq!(types, EventKind::ALL.iter().copied().collect());
    }

    /// The sample of a fault is named like the fault in rules, and all samples differ.
    #[test]
    fn samples_are_called_what_they_are_and_differ() {
        for fault in FaultKind::KNOWN.iter().filter_map(|fault| fault.key()) {
            let kind = fault.replace('_', "-");
            let sample = SAMPLES.iter().find(|one| one.kind == kind).unwrap();
            assert!(sample.what.contains(&format!("fault {fault}")), "{kind}");
        }
        let ids: BTreeSet<_> = events().into_iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), SAMPLES.len());
    }

    #[test]
    fn every_file_of_the_folder_is_listed() {
        let files = std::fs::read_dir("tests/events").unwrap();
        let names: BTreeSet<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let listed = SAMPLES.iter().map(|sample| format!("{}.json", sample.kind));
        assert_eq!(names, listed.collect());
    }
}
