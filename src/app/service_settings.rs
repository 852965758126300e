//! The settings of every service, built completely from one configuration before any of them is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::orphaned_deliveries::former_names;
use crate::admin::ComparedDestinations;
use crate::archive::LinkSigner;
use crate::config::Config;
use crate::destination::{KindSettings, Paces};
use crate::feishu::{App, FeishuClient, Receive};
use crate::intake::{backfill, websocket};
use crate::model::{AppName, DestinationName};
use crate::net::{ClientError, GuardedClient, HttpClient};
use crate::rules::{DigestSettings, Known};
use crate::slack::SlackClient;
use crate::telemetry::Names;
use crate::triage::SlackTarget;
use crate::{deliver, destination, images, intake, retention, simulation, triage};

/// The settings of every service, built from one configuration. A reload replaces them.
pub(super) struct ServiceSettings {
    pub(super) intake: intake::Settings,
    pub(super) backfill: backfill::Settings,
    pub(super) connections: websocket::Settings,
    pub(super) deliver: deliver::Settings,
    pub(super) images: images::Settings,
    pub(super) images_client: GuardedClient,
    pub(super) upkeep: retention::Settings,
    pub(super) triage: triage::Settings,
    pub(super) notify: Option<DestinationName>,
    pub(super) links: Option<LinkSigner>,
    pub(super) destinations: Vec<DestinationName>,
    pub(super) digests: Vec<DigestSettings>,
    pub(super) paces: Paces,
}

impl ServiceSettings {
    pub(super) fn build(config: &Config, link_key: [u8; 32]) -> Result<Self, PartsError> {
        let public_url = config.server.public_url.as_deref();
        let links = public_url.map(|url| LinkSigner::new(link_key, url, config.images.link_ttl));
        let clients = Clients::build(config)?;
        let destinations = destinations(config, &clients)?;
        Ok(Self {
            intake: intake_settings(config),
            backfill: backfill::Settings {
                sources: sources(config, &clients),
            },
            connections: connections(config, &clients),
            deliver: deliver::Settings {
                destinations,
                templates: Arc::clone(&config.templates),
                names: names(config),
                links: links.clone(),
            },
            images: config.images.clone(),
            images_client: GuardedClient::new(&config.proxies)?,
            upkeep: retention::Settings {
                retain: config.store.retain,
                images_retain: config.images.retain,
                images_total_max: config.images.total_bytes_max,
            },
            triage: triage(config, &clients)?,
            notify: config.notify.clone(),
            links,
            destinations: config.destinations.keys().cloned().collect(),
            digests: config.digests.clone(),
            paces: paces(config),
        })
    }
}

/// Returns the settings of intake.
pub fn intake_settings(config: &Config) -> intake::Settings {
    let for_programs = config
        .destinations
        .iter()
        .filter(|(_, settings)| settings.is_for_programs());
    intake::Settings {
        apps: config.apps.clone(),
        rules: config.rules.clone(),
        known: Known::in_conditions(&config.app_names, config.apps.keys(), &config.lists),
        singly: for_programs.map(|(name, _)| name.clone()).collect(),
        wait: config.images.wait,
        wait_critical: config.images.wait_critical,
        body_bytes_max: config.server.max_body,
        ids_retain: retention::ids_retain(config.store.retain),
    }
}

/// Returns the settings of simulations.
pub fn simulation_settings(config: &Config) -> simulation::Settings {
    simulation::Settings {
        intake: intake_settings(config),
        editable: editable(config),
    }
}

/// Returns what a comparison of rules with stored events needs to know about destinations.
pub fn compared_destinations(config: &Config) -> ComparedDestinations {
    ComparedDestinations {
        former: former_names(config),
        editable: editable(config),
    }
}

/// Returns the destinations whose messages can be edited later.
fn editable(config: &Config) -> BTreeSet<DestinationName> {
    let all = config.destinations.iter();
    let editable = all.filter(|(_, settings)| settings.kind.keeps_handles());
    editable.map(|(name, _)| name.clone()).collect()
}

/// Returns the apps whose lists of feedback can be read.
pub fn sources(config: &Config, clients: &Clients) -> BTreeMap<AppName, backfill::Source> {
    let source = |(name, client): (&AppName, &FeishuClient)| {
        let source = backfill::Source {
            app: config.apps.get(name)?.clone(),
            client: client.clone(),
            every: config.backfill.get(name).copied(),
        };
        Some((name.clone(), source))
    };
    clients.apps.iter().filter_map(source).collect()
}

/// Returns the apps with a long connection, each with its client.
fn connections(config: &Config, clients: &Clients) -> websocket::Settings {
    let connects = |app: &&App| app.receive == Receive::Websocket;
    let connection = |app: &App| {
        let client = clients.apps.get(&app.name)?.clone();
        Some((app.name.clone(), (app.clone(), client)))
    };
    let apps = config.apps.values().filter(connects);
    apps.filter_map(connection).collect()
}

/// Returns the names that metric labels may hold.
pub(super) fn names_counted(config: &Config) -> Names {
    let connected = |app: &&App| app.receive == Receive::Websocket;
    let connected = config.apps.values().filter(connected);
    Names {
        apps: config.apps.keys().cloned().collect(),
        connected: connected.map(|app| app.name.clone()).collect(),
        rules: config.rules.names().cloned().collect(),
        destinations: config.destinations.keys().cloned().collect(),
    }
}

/// Returns the names that messages show.
pub fn names(config: &Config) -> deliver::Directory {
    let apps = config.apps.values();
    deliver::Directory {
        apps: config.app_names.clone(),
        app_ids: apps
            .clone()
            .map(|app| (app.name.clone(), app.app_id.clone()))
            .collect(),
        mentions: config.mentions.clone(),
        feedback_timezones: apps
            .map(|app| (app.name.clone(), app.feedback_timezone.clone()))
            .collect(),
    }
}

/// Returns the settings of triage: who handles button actions and sends status changes to Feishu.
fn triage(config: &Config, clients: &Clients) -> Result<triage::Settings, PartsError> {
    let has_secret = |name: &AppName| {
        let app = config.apps.get(name);
        app.is_some_and(|app| app.app_secret.is_some())
    };
    let with_secret = clients.apps.iter().filter(|(name, _)| has_secret(name));
    let mut slack = BTreeMap::new();
    let mut feishu = BTreeMap::new();
    for (name, settings) in &config.destinations {
        if let KindSettings::FeishuApp { app, .. } = &settings.kind {
            feishu.insert(name.clone(), app.clone());
        }
        let KindSettings::SlackApp {
            token,
            signing_secret: Some(signing_secret),
            buttons: true,
            base_url,
            ..
        } = &settings.kind
        else {
            continue;
        };
        let http = match &settings.proxy {
            Some(proxy) => HttpClient::trusted(Some(proxy))?,
            None => clients.http.clone(),
        };
        let place = SlackTarget {
            signing_secret: signing_secret.clone(),
            client: SlackClient::new(base_url, token.clone(), http),
            locale: settings.common.audience.locale,
        };
        slack.insert(name.clone(), place);
    }
    Ok(triage::Settings {
        clients: with_secret
            .map(|(name, client)| (name.clone(), client.clone()))
            .collect(),
        mentions: config.mentions.clone(),
        feishu,
        slack,
    })
}

/// Why a valid configuration cannot be used on this machine.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// An HTTP client cannot be built.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A destination cannot be built.
    #[error(transparent)]
    Destination(#[from] destination::BuildError),
}

/// Clients that all services share: one HTTP client, and one client of the open API for each app. So all
/// callers share an app's token and rate limit.
pub struct Clients {
    http: HttpClient,
    apps: BTreeMap<AppName, FeishuClient>,
}

impl Clients {
    /// Builds a client for each app. Calls by an app without a secret return an error that says so.
    pub fn build(config: &Config) -> Result<Self, PartsError> {
        let http = HttpClient::by(&config.proxies)?;
        let client = |app: &App| (app.name.clone(), FeishuClient::new(app, http.clone()));
        let apps = config.apps.values().map(client).collect();
        Ok(Self { http, apps })
    }
}

fn paces(config: &Config) -> Paces {
    let all = config.destinations.iter();
    all.map(|(name, settings)| (name.clone(), settings.paces()))
        .collect()
}

/// Builds every destination. Destinations without a proxy share `clients`.
pub fn destinations(
    config: &Config,
    clients: &Clients,
) -> Result<deliver::Destinations, PartsError> {
    let mut built = deliver::Destinations::new();
    for (name, settings) in &config.destinations {
        let http = match &settings.proxy {
            Some(proxy) => HttpClient::trusted(Some(proxy))?,
            None => clients.http.clone(),
        };
        let client = settings.speaks_as().and_then(|app| match &settings.proxy {
            // A destination with a proxy reaches the platform's API through it too.
            Some(_) => config
                .apps
                .get(app)
                .map(|app| FeishuClient::new(app, http.clone())),
            None => clients.apps.get(app).cloned(),
        });
        built.insert(name.clone(), destination::build(settings, http, client)?);
    }
    Ok(built)
}
