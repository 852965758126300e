//! Deliveries on their way.
//!
//! Who plays: the [`Dispatcher`] keeps one line to each destination. A line asks its [`Gate`] how many
//! sends may start, leases so many due deliveries from the journal (and, where sends end fast, those that
//! follow: `leasing`), and makes an attempt at each: the payload is prepared (pictures, template, or what
//! an earlier attempt sent), the destination sends it and says what came of it, the [`RetryPolicy`] says
//! what follows, and attempt and state are recorded in one transaction, beside the next sends.
//!
//! What is promised: an attempt is made only under a lease; a delivery is repeated only if its send
//! was not recorded; every attempt of a delivery carries the same key; a line that waits or fails
//! touches no other, but for the paces that a platform counts over several of them (`shared`). What is
//! not: an order between messages, nor one between destinations that share a pace.
//!
//! Gate and policy are pure: they are told the time.

mod attempt;
mod dispatcher;
mod gate;
mod leasing;
mod line;
mod policy;
mod prepare;
pub mod preview;
mod shared;
mod standing;
mod telling;
#[cfg(test)]
mod tests;
mod upload;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::dispatcher::Dispatcher;
pub use self::gate::{Allowance, Change, Changed, Gate, Limits, Now};
pub use self::policy::{RetryPolicy, Tried};
pub use self::telling::{Names, Telling};
use crate::archive::{Archive, LinkSigner};
use crate::closing::ButtonSigner;
use crate::destination::Destination;
use crate::feishu;
use crate::model::{Clock, Content, DestinationName, Event, Private, StoredEvent};
use crate::operator::{self, Operator};
use crate::render::Templates;
use crate::store::{self, Store};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;

/// Every destination by its name.
pub type Destinations = BTreeMap<DestinationName, Arc<dyn Destination>>;

/// What a reload replaces.
pub struct Settings {
    /// Where messages go.
    pub destinations: Destinations,
    /// How they are rendered.
    pub templates: Arc<Templates>,
    /// The names they are told with.
    pub names: Names,
    /// Signs links to pictures; `None` without a `public_url`.
    pub links: Option<LinkSigner>,
}

/// What delivering works with.
pub struct Means {
    /// The journal.
    pub store: Store,
    /// The bytes of pictures.
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
    event.event_type == operator::NOTICE
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
pub fn read_event(stored: &StoredEvent, body: &Private, names: &Names) -> Option<Event> {
    if is_notice(stored) {
        let notice = operator::read_notice(body.expose())?;
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
