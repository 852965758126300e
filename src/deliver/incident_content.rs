//! Builds what an incident's message shows of its reports, and of earlier incidents.

use super::message_data::{Directory, quoted};
use crate::model::{
    INCIDENT_NEWEST_MAX, IncidentReports, Private, ReportWords, SeenBefore, StoredEvent, Summarised,
};
use crate::store::EarlierIncidents;

/// Adds the reports to the incident of a message: the newest texts, their words, and an earlier incident.
pub(super) fn add_reports(
    shown: &mut IncidentReports,
    reports: &[StoredEvent],
    earlier: &EarlierIncidents,
    names: &Directory,
) {
    let mut reports = quoted(reports, names);
    shown.words = words(&reports);
    shown.seen_before = find(&shown.words, earlier, names);
    reports.truncate(INCIDENT_NEWEST_MAX);
    shown.newest = reports;
}

/// Returns the ended incident that was probably about the same fault as one with these newest reports.
pub fn seen_before(
    reports: &[StoredEvent],
    earlier: &EarlierIncidents,
    names: &Directory,
) -> Option<SeenBefore> {
    find(&words(&quoted(reports, names)), earlier, names)
}

fn words(reports: &[Summarised]) -> ReportWords {
    let texts = reports.iter();
    let texts: Vec<&Private> = texts
        .filter_map(|one| one.feedback.description.as_ref())
        .collect();
    ReportWords::of(&texts)
}

/// Prefers the incident with the same rule and key. Otherwise, the most frequent words have to be similar.
fn find(own: &ReportWords, earlier: &EarlierIncidents, names: &Directory) -> Option<SeenBefore> {
    let resembles = |reports: &Vec<StoredEvent>| own.resemble(&words(&quoted(reports, names)));
    let by_words = || {
        let mut same_fault = earlier.same_fault.iter();
        let (incident, _) = same_fault.find(|(_, reports)| resembles(reports))?;
        Some((incident, true))
    };
    let same_key = earlier.same_key.as_ref().map(|incident| (incident, false));
    let (incident, is_similar) = same_key.or_else(by_words)?;
    let by = incident.handled.as_ref().map(|state| &state.by);
    let known = || Some(Private::new(names.person(by?.id.as_ref()?.expose())?));
    Some(SeenBefore {
        by_name: by.and_then(|by| by.name.clone()).or_else(known),
        incident: incident.clone(),
        is_similar,
    })
}
