//! Sends deliveries to their destinations.
//!
//! The [`Dispatcher`] runs one lane for each destination. A lane asks its [`Gate`] how many sends may start. It
//! leases that many due deliveries from the store and, where sends end fast, prefetches those that follow
//! (`prefetch`). Then it makes one attempt at each:
//!
//! - The payload is prepared: images, template, or the payload of an earlier attempt.
//! - The destination sends it and returns the outcome.
//! - The [`RetryPolicy`] decides what follows.
//! - Attempt and state are recorded in one transaction, while the next sends run.
//!
//! Guarantees:
//!
//! - An attempt is made only under a lease.
//! - A delivery is repeated only if its send was not recorded.
//! - Every attempt of a delivery carries the same key.
//! - A lane that waits or fails affects no other lane, except through limits that a platform counts over
//!   several lanes (`limits`).
//!
//! There is no guaranteed order between messages, nor between destinations that share a limit.
//!
//! Gate and policy are pure: time is an argument. `docs/delivery.md` has their tables.

mod attempt;
mod incident_content;
mod lane;
mod lanes;
mod message_data;
mod policy;
mod prepare;
pub mod preview;
mod remarks;
mod status_view;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::incident_content::seen_before;
pub use self::lane::gate::{Change, Gate, GateUpdate, Limits, Now, Permits, Signal};
pub use self::lanes::Dispatcher;
pub use self::message_data::{Directory, MessageData};
pub use self::policy::{RetryPolicy, Tried};
pub use self::upload::RefusedUploads;
use crate::archive::{Archive, LinkSigner};
use crate::destination::Destination;
use crate::feishu;
use crate::model::{
    Clock, Content, DestinationName, Event, IncidentReports, Private, ReportWords, StoredEvent,
};
use crate::notices::{self, Notifier};
use crate::render::Templates;
use crate::store::{self, Store};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::triage::ButtonSigner;

/// Every destination by its name.
pub type Destinations = BTreeMap<DestinationName, Arc<dyn Destination>>;

/// The settings that a reload replaces.
pub struct Settings {
    /// The destinations of messages.
    pub destinations: Destinations,
    /// The templates that render messages.
    pub templates: Arc<Templates>,
    /// The names of apps and people that messages show.
    pub names: Directory,
    /// Signs links to images; `None` without a `public_url`.
    pub links: Option<LinkSigner>,
}

/// Dependencies of the dispatcher.
pub struct Deps {
    pub store: Store,
    /// Stores the bytes of images.
    pub archive: Archive,
    /// Receives notices of stopped destinations and dead deliveries.
    pub operator: Notifier,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// Runs uploads that continue after the message they were started for.
    pub tasks: Tasks,
    /// Signs the values of buttons.
    pub buttons: ButtonSigner,
}

/// The kind of a stored event, by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoredKind {
    /// An event of the platform.
    Platform,
    /// An operator notice.
    Notice,
    /// A summary.
    Summary,
    /// A digest.
    Digest,
    /// An incident.
    Incident,
}

impl StoredKind {
    fn from_event(event: &StoredEvent) -> Self {
        match event.event_type.as_str() {
            store::NOTICE => Self::Notice,
            store::SUMMARY => Self::Summary,
            store::DIGEST => Self::Digest,
            store::INCIDENT => Self::Incident,
            _ => Self::Platform,
        }
    }

    /// Returns whether its messages quote the reports of other events.
    const fn quotes_reports(self) -> bool {
        match self {
            Self::Summary | Self::Digest | Self::Incident => true,
            Self::Platform | Self::Notice => false,
        }
    }
}

/// Builds an event of the relay itself.
fn own(stored: &StoredEvent, content: Content) -> Event {
    Event {
        id: stored.id.clone(),
        via: stored.via.clone(),
        created_at: Some(stored.received_at),
        tenant_key: None,
        content,
    }
}

/// Parses a stored event; `None` if it cannot be parsed.
pub fn read_event(stored: &StoredEvent, body: &Private, names: &Directory) -> Option<Event> {
    let body = body.expose();
    let content = match StoredKind::from_event(stored) {
        StoredKind::Platform => {
            let timezone = names.feedback_timezone(&stored.via);
            return feishu::read_body(body, &stored.via, &timezone);
        }
        StoredKind::Notice => Content::Notice(notices::read_notice(body)?),
        StoredKind::Summary => Content::Summary(Box::new(store::read_summary(body)?)),
        StoredKind::Digest => Content::Digest(Box::new(store::read_digest(body)?)),
        StoredKind::Incident => Content::Incident(Box::new(IncidentReports {
            id: store::read_incident(body)?,
            incident: None,
            newest: Vec::new(),
            words: ReportWords::default(),
            seen_before: None,
        })),
    };
    Some(own(stored, content))
}
