//! Deliveries on their way.
//!
//! The [`Dispatcher`] keeps one lane for each destination. A lane asks its [`Gate`] how many sends may start,
//! leases so many due deliveries from the store (and, where sends end fast, those that follow: `prefetch`), and
//! makes an attempt at each: the payload is prepared (images, template, or the payload of an earlier attempt), the
//! destination sends it and reports the outcome, the [`RetryPolicy`] decides what follows, and attempt and state are
//! recorded in one transaction, beside the next sends.
//!
//! Promised: an attempt is made only under a lease; a delivery is repeated only if its send was not recorded; every
//! attempt of a delivery carries the same key; a lane that waits or fails affects no other, except for the limits
//! that a platform counts over several of them (`limits`). Not promised: an order between messages, or one between
//! destinations that share a limit.
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
use crate::notices::{self, Operator};
use crate::render::Templates;
use crate::store::{self, Store};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::triage::ButtonSigner;

/// Every destination by its name.
pub type Destinations = BTreeMap<DestinationName, Arc<dyn Destination>>;

/// What a reload replaces.
pub struct Settings {
    /// Where messages go.
    pub destinations: Destinations,
    /// How they are rendered.
    pub templates: Arc<Templates>,
    /// The names they are told with.
    pub names: Directory,
    /// Signs links to images; `None` without a `public_url`.
    pub links: Option<LinkSigner>,
}

/// What delivering works with.
pub struct Deps {
    /// The store.
    pub store: Store,
    /// The bytes of images.
    pub archive: Archive,
    /// Hears of what stopped or died.
    pub operator: Operator,
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For uploads that outlast the message they began for.
    pub tasks: Tasks,
    /// Signs what buttons stand for.
    pub buttons: ButtonSigner,
}

/// Whether a kept event is a word of the relay's own.
fn is_notice(event: &StoredEvent) -> bool {
    event.event_type == notices::NOTICE
}

/// Whether a kept event is a summary, which quotes other events.
fn is_summary(event: &StoredEvent) -> bool {
    event.event_type == store::SUMMARY
}

/// A word of the relay's own as an event.
fn own(stored: &StoredEvent, content: Content) -> Event {
    Event {
        id: stored.id.clone(),
        via: stored.via.clone(),
        created_at: Some(stored.received_at),
        tenant_key: None,
        content,
    }
}

/// A kept event, read again; `None` where it cannot be read.
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
