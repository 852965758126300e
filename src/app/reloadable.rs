//! Settings that a reload replaces, all at once.

use super::service_settings::ServiceSettings;
use crate::archive::LinkSigner;
use crate::config::Config;
use crate::destination::Paces;
use crate::intake::{backfill, websocket};
use crate::model::{Current, DestinationName};
use crate::net::GuardedClient;
use crate::rules::DigestSettings;
use crate::{deliver, images, intake, retention, triage};

/// The live settings of each service. Each step of a service reads one version of its settings as a whole.
#[derive(Clone)]
pub(super) struct Reloadable {
    pub(super) config: Current<Config>,
    pub(super) intake: Current<intake::Settings>,
    pub(super) backfill: Current<backfill::Settings>,
    pub(super) connections: Current<websocket::Settings>,
    pub(super) deliver: Current<deliver::Settings>,
    pub(super) images: Current<images::Settings>,
    pub(super) images_client: Current<GuardedClient>,
    pub(super) upkeep: Current<retention::Settings>,
    pub(super) triage: Current<triage::Settings>,
    pub(super) notify: Current<Option<DestinationName>>,
    pub(super) links: Current<Option<LinkSigner>>,
    pub(super) destinations: Current<Vec<DestinationName>>,
    pub(super) digests: Current<Vec<DigestSettings>>,
    pub(super) paces: Current<Paces>,
    pub(super) reload_refused: Current<Option<String>>,
}

impl Reloadable {
    pub(super) fn new(config: Config, parts: ServiceSettings) -> Self {
        Self {
            config: Current::new(config),
            intake: Current::new(parts.intake),
            backfill: Current::new(parts.backfill),
            connections: Current::new(parts.connections),
            deliver: Current::new(parts.deliver),
            images: Current::new(parts.images),
            images_client: Current::new(parts.images_client),
            upkeep: Current::new(parts.upkeep),
            triage: Current::new(parts.triage),
            notify: Current::new(parts.notify),
            links: Current::new(parts.links),
            destinations: Current::new(parts.destinations),
            digests: Current::new(parts.digests),
            paces: Current::new(parts.paces),
            reload_refused: Current::new(None),
        }
    }

    pub(super) fn replace(&self, config: Config, parts: ServiceSettings) {
        self.config.set(config);
        self.intake.set(parts.intake);
        self.backfill.set(parts.backfill);
        self.connections.set(parts.connections);
        self.deliver.set(parts.deliver);
        self.images.set(parts.images);
        self.images_client.set(parts.images_client);
        self.upkeep.set(parts.upkeep);
        self.triage.set(parts.triage);
        self.notify.set(parts.notify);
        self.links.set(parts.links);
        self.destinations.set(parts.destinations);
        self.digests.set(parts.digests);
        self.paces.set(parts.paces);
        self.reload_refused.set(None);
    }
}
