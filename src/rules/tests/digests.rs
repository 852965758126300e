//! `[[digests]]`: their times, and what is refused.

use super::super::hours::{MOMENT_EXAMPLES, MOMENT_PATTERN, parse_moment};
use super::*;
use crate::model::Moment;

fn at(time: &str) -> Timestamp {
    let time: jiff::Timestamp = time.parse().unwrap();
    Timestamp::from_millis(time.as_millisecond())
}

fn moment(written: &str) -> Moment {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    parse_moment(written, &zone).unwrap()
}

#[test]
fn last_and_next_times_are_found() {
    // 2026-03-06 is a Friday.
    for (written, now, last, next) in [
        (
            "09:30",
            "2026-03-06T09:29:59+08:00",
            "2026-03-05T09:30:00+08:00",
            "2026-03-06T09:30:00+08:00",
        ),
        (
            "09:30",
            "2026-03-06T09:30:00+08:00",
            "2026-03-06T09:30:00+08:00",
            "2026-03-07T09:30:00+08:00",
        ),
        (
            "mon 09:30",
            "2026-03-06T12:00:00+08:00",
            "2026-03-02T09:30:00+08:00",
            "2026-03-09T09:30:00+08:00",
        ),
        (
            "fri 09:30",
            "2026-03-06T09:29:00+08:00",
            "2026-02-27T09:30:00+08:00",
            "2026-03-06T09:30:00+08:00",
        ),
        (
            "mon-fri 09:30",
            "2026-03-08T12:00:00+08:00",
            "2026-03-06T09:30:00+08:00",
            "2026-03-09T09:30:00+08:00",
        ),
        // 02:30 never comes on this day, and means 03:30.
        (
            "02:30 Europe/Berlin",
            "2026-03-29T01:29:59Z",
            "2026-03-28T01:30:00Z",
            "2026-03-29T01:30:00Z",
        ),
        // 02:30 comes twice on this day, and means the first.
        (
            "02:30 Europe/Berlin",
            "2026-10-25T01:30:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-26T01:30:00Z",
        ),
    ] {
        let moment = moment(written);
        assert_eq!(moment.last(at(now)), Some(at(last)), "{written} {now}");
        assert_eq!(moment.next(at(now)), Some(at(next)), "{written} {now}");
    }
}

/// Reads digests. Returns them, and each complaint.
fn read(text: &str) -> (Vec<DigestSettings>, Vec<String>) {
    let table = toml::de::DeTable::parse(text).unwrap().into_inner();
    let entries = table.get("digests").map(Node::of).unwrap();
    let mut out = Diagnostics::default();
    let read = digests(&entries, &known(), &mut out);
    let said = out.into_list().into_iter().map(|one| {
        let span = one.place.span.map_or("", |span| text.get(span).unwrap());
        let help = one.help.unwrap_or_default();
        format!(
            "{} {} {span:?}: {} ({help})",
            one.code, one.place.path, one.message
        )
    });
    (read, said.collect())
}

fn with(line: &str) -> String {
    let lines = [
        "name = \"monday\"",
        "at = \"mon 09:30\"",
        "send_to = \"product\"",
    ];
    let key = line.split(' ').next().unwrap();
    let kept = lines
        .iter()
        .filter(|one| !one.starts_with(&format!("{key} =")));
    let kept: Vec<&str> = kept.copied().chain([line]).collect();
    format!("[[digests]]\n{}\n", kept.join("\n"))
}

#[test]
fn each_mistake_is_reported_at_its_place() {
    for (line, code, place, said) in [
        ("at = \"mon\"", "E110", "\"mon\"", "has no time"),
        ("at = \"mon 24:00\"", "E110", "mon 24:00", "has no time"),
        (
            "at = \"mno 09:30\"",
            "E110",
            "mno 09:30",
            "there is no day \"mno\"",
        ),
        (
            "at = \"09:30 Europe/Berln\"",
            "E110",
            "09:30",
            "did you mean \"Europe/Berlin\"?",
        ),
        (
            "send_to = \"prodct\"",
            "E105",
            "prodct",
            "did you mean \"product\"?",
        ),
        ("send_to = []", "E112", "[]", "never sent"),
        (
            "match = { event = \"updated\" }",
            "E110",
            "updated",
            "never sent",
        ),
        ("match = { fault = \"cash\" }", "E110", "cash", "crash"),
        ("mention = \"sre\"", "E005", "mention", "unknown key"),
    ] {
        let (digests, complaints) = read(&with(line));
        let [complaint] = complaints.as_slice() else {
            panic!("{line}: {complaints:?}");
        };
        assert!(complaint.starts_with(code), "{complaint}");
        assert!(
            complaint.contains(place) && complaint.contains(said),
            "{complaint}"
        );
        assert!(digests.len() <= 1);
    }
    let twice = format!("{}{}", with("name = \"a\""), with("name = \"a\""));
    let (digests, complaints) = read(&twice);
    assert_eq!(digests.len(), 1);
    assert!(
        complaints[0].starts_with("E036 digests[1].name"),
        "{complaints:?}"
    );
    let (_, complaints) = read("[[digests]]\nname = \"a\"\n");
    assert_eq!(complaints.len(), 2, "{complaints:?}");
}

#[test]
fn digest_counts_what_its_conditions_match() {
    let (digests, complaints) = read(&with("match = { type = \"suggestion\" }"));
    assert_eq!(complaints, [""; 0]);
    let report = |kind| Event {
        content: Content::Created(Box::new(Feedback {
            kind: Some(kind),
            ..Feedback::default()
        })),
        ..bare()
    };
    assert!(digests[0].takes(&report(FeedbackKind::SUGGESTION)));
    assert!(!digests[0].takes(&report(FeedbackKind::FAULT)));
}

#[test]
fn pattern_accepts_what_is_read() {
    let pattern = regex::Regex::new(MOMENT_PATTERN).unwrap();
    for example in MOMENT_EXAMPLES {
        assert!(pattern.is_match(example), "{example}");
        moment(example);
    }
}
