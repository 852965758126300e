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

pub use self::lane::gate::{Change, Gate, GateUpdate, Limits, Now, Permits, Signal};
pub use self::lanes::Dispatcher;
pub use self::message_data::{Directory, MessageData};
pub use self::policy::{RetryPolicy, Tried};
pub use self::upload::RefusedUploads;
use crate::archive::{Archive, LinkSigner};
use crate::destination::Destination;
use crate::feishu;
use crate::model::{Clock, Content, DestinationName, Event, Private, StoredEvent};
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

/// Returns whether a stored event is an operator notice.
fn is_notice(event: &StoredEvent) -> bool {
    event.event_type == store::NOTICE
}

/// Returns whether a stored event is a summary, which quotes other events.
fn is_summary(event: &StoredEvent) -> bool {
    event.event_type == store::SUMMARY
}

/// Builds an event from a notice or summary of the relay itself.
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
    if is_notice(stored) {
        let notice = notices::read_notice(body.expose())?;
        return Some(own(stored, Content::Notice(notice)));
    }
    if is_summary(stored) {
        let summary = store::read_summary(body.expose())?;
        return Some(own(stored, Content::Summary(Box::new(summary))));
    }
    feishu::read_body(
        body.expose(),
        &stored.via,
        &names.feedback_timezone(&stored.via),
    )
}
