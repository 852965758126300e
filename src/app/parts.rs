//! The settings of every part, made whole from one configuration before any of them is put in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::archive::LinkSigner;
use crate::closing::SlackPlace;
use crate::config::Config;
use crate::destination::KindSettings;
use crate::feishu::{App, FeishuClient};
use crate::model::{AppName, DestinationName};
use crate::net::{ClientError, HttpClient};
use crate::slack::SlackClient;
use crate::{closing, deliver, destination, images, intake, upkeep};

/// The settings of every part, made from one configuration: what a reload replaces.
pub(super) struct Parts {
    pub(super) intake: intake::Settings,
    pub(super) deliver: deliver::Settings,
    pub(super) images: images::Settings,
    pub(super) upkeep: upkeep::Settings,
    pub(super) closing: closing::Settings,
    pub(super) notify: Option<DestinationName>,
    pub(super) links: Option<LinkSigner>,
    pub(super) destinations: Vec<DestinationName>,
    pub(super) apps: Vec<AppName>,
}

impl Parts {
    pub(super) fn build(config: &Config, link_key: [u8; 32]) -> Result<Self, PartsError> {
        let public_url = config.server.public_url.as_deref();
        let links = public_url.map(|url| LinkSigner::new(link_key, url, config.images.link_ttl));
        let destinations = destinations(config)?;
        Ok(Self {
            intake: intake::Settings {
                apps: config.apps.clone(),
                rules: config.rules.clone(),
                wait: config.images.wait,
                wait_critical: config.images.wait_critical,
                body_bytes_max: config.server.max_body,
            },
            deliver: deliver::Settings {
                destinations,
                templates: Arc::clone(&config.templates),
                names: names(config),
                links: links.clone(),
            },
            images: config.images.clone(),
            upkeep: upkeep::Settings {
                retain: config.store.retain,
                images_retain: config.images.retain,
                images_total_max: config.images.total_bytes_max,
            },
            closing: closing(config)?,
            notify: config.notify.clone(),
            links,
            destinations: config.destinations.keys().cloned().collect(),
            apps: config.apps.keys().cloned().collect(),
        })
    }
}

/// The names that messages are told with.
pub fn names(config: &Config) -> deliver::Names {
    let apps = config.apps.values();
    deliver::Names {
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
fn closing(config: &Config) -> Result<closing::Settings, PartsError> {
    let direct = HttpClient::trusted(None)?;
    let with_secret = config.apps.values().filter(|app| app.app_secret.is_some());
    let client = |app: &App| (app.name.clone(), FeishuClient::new(app, direct.clone()));
    let mut slack = BTreeMap::new();
    for (name, settings) in &config.destinations {
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
            None => direct.clone(),
        };
        let place = SlackPlace {
            signing_secret: signing_secret.clone(),
            client: SlackClient::new(base_url, token.clone(), http),
            locale: settings.common.audience.locale,
        };
        slack.insert(name.clone(), place);
    }
    Ok(closing::Settings {
        clients: with_secret.map(client).collect(),
        mentions: config.mentions.clone(),
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

/// Builds every destination. Those without a proxy share one HTTP client, and those that speak as
/// one app share its token.
pub fn destinations(config: &Config) -> Result<deliver::Destinations, PartsError> {
    let direct = HttpClient::trusted(None)?;
    let client = |app: &App| (app.name.clone(), FeishuClient::new(app, direct.clone()));
    let with_secret = config.apps.values().filter(|app| app.app_secret.is_some());
    let clients: BTreeMap<_, _> = with_secret.map(client).collect();
    let mut built = deliver::Destinations::new();
    for (name, settings) in &config.destinations {
        let http = match &settings.proxy {
            Some(proxy) => HttpClient::trusted(Some(proxy))?,
            None => direct.clone(),
        };
        let client = settings.speaks_as().and_then(|app| match &settings.proxy {
            // Behind a proxy the platform's API is reached the same way.
            Some(_) => config
                .apps
                .get(app)
                .map(|app| FeishuClient::new(app, http.clone())),
            None => clients.get(app).cloned(),
        });
        built.insert(name.clone(), destination::build(settings, http, client)?);
    }
    Ok(built)
}
