//! The settings of every part, made whole from one configuration before any of them is put in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::archive::LinkSigner;
use crate::config::Config;
use crate::destination::{KindSettings, RateLimit};
use crate::feishu::{App, FeishuClient, Receive};
use crate::intake::{backfill, websocket};
use crate::model::{AppName, DestinationName};
use crate::net::{ClientError, GuardedClient, HttpClient};
use crate::render::Family;
use crate::slack::SlackClient;
use crate::telemetry::Names;
use crate::triage::SlackTarget;
use crate::{deliver, destination, images, intake, retention, triage};

/// The settings of every part, made from one configuration: what a reload replaces.
pub(super) struct ServiceSettings {
    pub(super) intake: intake::Settings,
    pub(super) backfill: backfill::Settings,
    pub(super) connections: websocket::Settings,
    pub(super) deliver: deliver::Settings,
    pub(super) images: images::Settings,
    pub(super) images_client: GuardedClient,
    pub(super) upkeep: retention::Settings,
    pub(super) closing: triage::Settings,
    pub(super) notify: Option<DestinationName>,
    pub(super) links: Option<LinkSigner>,
    pub(super) destinations: Vec<DestinationName>,
    pub(super) paces: BTreeMap<DestinationName, Vec<RateLimit>>,
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
            closing: closing(config, &clients)?,
            notify: config.notify.clone(),
            links,
            destinations: config.destinations.keys().cloned().collect(),
            paces: paces(config),
        })
    }
}

/// What intake makes of events.
pub fn intake_settings(config: &Config) -> intake::Settings {
    let for_programs = config
        .destinations
        .iter()
        .filter(|(_, settings)| settings.common.audience.family == Family::Webhook);
    intake::Settings {
        apps: config.apps.clone(),
        rules: config.rules.clone(),
        singly: for_programs.map(|(name, _)| name.clone()).collect(),
        wait: config.images.wait,
        wait_critical: config.images.wait_critical,
        body_bytes_max: config.server.max_body,
        ids_retain: retention::ids_retain(config.store.retain),
    }
}

/// The apps whose lists of feedback can be asked for.
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

/// The apps with a long connection, each with its client.
fn connections(config: &Config, clients: &Clients) -> websocket::Settings {
    let connects = |app: &&App| app.receive == Receive::Websocket;
    let connection = |app: &App| {
        let client = clients.apps.get(&app.name)?.clone();
        Some((app.name.clone(), (app.clone(), client)))
    };
    let apps = config.apps.values().filter(connects);
    apps.filter_map(connection).collect()
}

/// The names that labels of metrics may hold.
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

/// The names that messages are told with.
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

/// Who hears clicks, and who tells Feishu of them.
fn closing(config: &Config, clients: &Clients) -> Result<triage::Settings, PartsError> {
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

/// A configuration that is right cannot be put to work on this machine.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// No HTTP client can be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A destination cannot be made.
    #[error(transparent)]
    Destination(#[from] destination::BuildError),
}

/// The clients that all parts share: one HTTP client, and one of the open API for each app, so that an
/// app has one token and one pace whoever calls for it.
pub struct Clients {
    http: HttpClient,
    apps: BTreeMap<AppName, FeishuClient>,
}

impl Clients {
    /// A client for each app; calls of one without a secret say so.
    pub fn build(config: &Config) -> Result<Self, PartsError> {
        let http = HttpClient::by(&config.proxies)?;
        let client = |app: &App| (app.name.clone(), FeishuClient::new(app, http.clone()));
        let apps = config.apps.values().map(client).collect();
        Ok(Self { http, apps })
    }
}

fn paces(config: &Config) -> BTreeMap<DestinationName, Vec<RateLimit>> {
    let all = config.destinations.iter();
    all.map(|(name, settings)| (name.clone(), settings.paces()))
        .collect()
}

/// Builds every destination. Those without a proxy share `clients`.
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
            // Behind a proxy the platform's API is reached the same way.
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
