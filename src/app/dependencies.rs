//! Shared dependencies of all services, and the constructors of the services that use them.

use std::sync::{Arc, Mutex};

use super::reloadable::Reloadable;
use super::store_watch::StoreWatch;
use super::{StartError, folders, log_watch};
use crate::archive::{Archive, ArchiveLocation};
use crate::config::Config;
use crate::deliver::{self, Dispatcher};
use crate::images::{self, ImageWorker};
use crate::intake::Intake;
use crate::intake::backfill::Backfill;
use crate::intake::webhook::body::Bodies;
use crate::intake::websocket::LongConnections;
use crate::model::Clock;
use crate::notices::Notifier;
use crate::retention::Sweeper;
use crate::store::{Store, explain_access};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::triage::{ButtonSigner, StatusSync, Triage};

/// The name under which the store keeps the key that signs image links.
const LINK_KEY: &str = "image links";

/// The name under which the store keeps the key that signs buttons.
const BUTTON_KEY: &str = "buttons";

/// Dependencies that all services share. Clones share them too.
#[derive(Clone)]
pub(super) struct Dependencies {
    pub(super) tasks: Tasks,
    pub(super) store: Store,
    pub(super) archive: Archive,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) link_key: [u8; 32],
    pub(super) buttons: ButtonSigner,
}

impl Dependencies {
    pub(super) async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let store = Store::open(&config.store, Arc::clone(&clock))?;
        let ArchiveLocation::Folder(images) = &config.archive;
        let archive = Archive::open(&config.archive).map_err(|error| StartError::Archive {
            dir: config.archive.to_string(),
            reason: explain_access(images, &error),
        })?;
        folders::warn_of_open(config);
        let link_key = store.secret(LINK_KEY).await?;
        let buttons = ButtonSigner::new(store.secret(BUTTON_KEY).await?);
        let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::new()));
        Ok(Self {
            tasks,
            store,
            archive,
            metrics,
            clock,
            link_key,
            buttons,
        })
    }

    /// Builds the handler of button actions and the worker that sends status changes to Feishu.
    pub(super) fn triage(
        &self,
        in_force: &Reloadable,
        operator: &Notifier,
        seed: u64,
    ) -> (Triage, StatusSync) {
        let settings = in_force.triage.clone();
        let (store, metrics) = (self.store.clone(), Arc::clone(&self.metrics));
        let worker = StatusSync {
            store: store.clone(),
            settings: settings.clone(),
            operator: operator.clone(),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&self.clock),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
        };
        let triage = Triage::new(store, metrics, self.buttons.clone(), settings);
        (triage, worker)
    }

    /// Builds the sender of operator notices.
    pub(super) fn operator(&self, in_force: &Reloadable) -> Notifier {
        let (store, metrics) = (self.store.clone(), Arc::clone(&self.metrics));
        let clock = Arc::clone(&self.clock);
        Notifier::new(store, metrics, clock, in_force.notify.clone())
    }

    /// Starts the tasks that watch the store and the log.
    pub(super) fn watch(&self, operator: &Notifier) {
        let (tasks, metrics) = (&self.tasks, Arc::clone(&self.metrics));
        let store_watch = StoreWatch {
            store: self.store.clone(),
            metrics: Arc::clone(&metrics),
            operator: operator.clone(),
        };
        tasks.spawn("store", store_watch.run(tasks.stopping()));
        tasks.spawn("log", log_watch::watch(metrics, tasks.stopping()));
    }

    /// Builds the intake of events.
    pub(super) fn intake(
        &self,
        in_force: &Reloadable,
        operator: &Notifier,
        triage: &Triage,
    ) -> Intake {
        let (store, metrics) = (self.store.clone(), Arc::clone(&self.metrics));
        let (clock, operator) = (Arc::clone(&self.clock), operator.clone());
        let connections = in_force.config.get().server.max_connections;
        Intake::new(store, metrics, clock, operator, in_force.intake.clone())
            .with_clicks(triage.clone())
            .with_bodies(Bodies::new(connections, self.tasks.stopping()))
    }

    /// Builds the keeper of the long connections.
    pub(super) fn connections(
        &self,
        in_force: &Reloadable,
        intake: &Intake,
        backfill: &Backfill,
        seed: u64,
    ) -> LongConnections {
        let (intake, backfill) = (intake.clone(), backfill.clone());
        let (settings, tasks) = (in_force.connections.clone(), self.tasks.clone());
        LongConnections::new(intake, backfill, settings, tasks, seed)
    }

    /// Builds the dispatcher, which sends messages.
    pub(super) fn dispatcher(
        &self,
        in_force: &Reloadable,
        operator: &Notifier,
        seed: u64,
    ) -> Dispatcher {
        let deps = deliver::Deps {
            store: self.store.clone(),
            archive: self.archive.clone(),
            operator: operator.clone(),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            tasks: self.tasks.clone(),
            buttons: self.buttons.clone(),
        };
        Dispatcher::new(deps, in_force.deliver.clone(), seed)
    }

    /// Builds the worker that fetches images.
    pub(super) fn image_worker(
        &self,
        in_force: &Reloadable,
        operator: &Notifier,
        seed: u64,
    ) -> ImageWorker {
        ImageWorker::new(images::Deps {
            store: self.store.clone(),
            archive: self.archive.clone(),
            client: in_force.images_client.clone(),
            settings: in_force.images.clone(),
            operator: operator.clone(),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            random: fastrand::Rng::with_seed(seed),
        })
    }

    /// Builds the worker that applies retention limits.
    pub(super) fn sweeper(&self, in_force: &Reloadable) -> Sweeper {
        let (store, archive) = (self.store.clone(), self.archive.clone());
        let (settings, clock) = (in_force.upkeep.clone(), Arc::clone(&self.clock));
        let metrics = Arc::clone(&self.metrics);
        Sweeper::new(store, archive, settings, metrics, clock)
    }
}
