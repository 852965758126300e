//! Adds the reports to a change of status. The event contains only their ids, and rules also ask for their
//! text.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::feishu::{self, App};
use crate::model::{AppName, Content, Event, Feedback, StoredEvent};
use crate::store::{Store, StoreError};

/// The largest number of reports that are looked up for one change.
const REPORTS_MAX: usize = 100;

/// Adds to a change of status those reports that the store still has the text of. Leaves other events
/// unchanged.
pub async fn attach_reports(
    store: &Store,
    apps: &BTreeMap<AppName, App>,
    event: &mut Event,
) -> Result<(), StoreError> {
    let Content::Updated(change) = &mut event.content else {
        return Ok(());
    };
    let own_id = || apps.get(&event.via).map(|app| app.app_id.clone());
    let Some(app_id) = change.app_id.clone().or_else(own_id) else {
        return Ok(());
    };
    let ids = change.feedback_ids.iter().take(REPORTS_MAX);
    let keys = ids.map(|id| (app_id.clone(), id.clone())).collect();
    let stored = store.feedback_events(keys).await?;
    change.reports = stored.iter().filter_map(|one| read(one, apps)).collect();
    Ok(())
}

fn read(stored: &StoredEvent, apps: &BTreeMap<AppName, App>) -> Option<Feedback> {
    let zone = apps
        .get(&stored.via)
        .map(|app| app.feedback_timezone.clone());
    let zone = zone.unwrap_or_else(|| TimeZone::fixed(jiff::tz::offset(8)));
    let event = feishu::read_body(stored.body.as_ref()?.expose(), &stored.via, &zone)?;
    match event.content {
        Content::Created(feedback) => Some(*feedback),
        Content::Updated(_)
        | Content::Notice(_)
        | Content::Summary(_)
        | Content::Digest(_)
        | Content::Incident(_) => None,
    }
}
