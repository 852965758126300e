//! Plans the online check: each subject of a configuration becomes a [`Check`].

use std::collections::BTreeMap;

use super::{
    CALL_TIMEOUT, Check, Platforms, Subject, feishu_app, feishu_bot, feishu_chat, mentions,
    reachability, slack_app,
};
use crate::config::Config;
use crate::destination::{KindSettings, Settings};
use crate::feishu::{App, FeishuClient, Receive};
use crate::model::{AppName, Secret};
use crate::net::{ClientError, HttpClient};
use crate::render::Mention;
use crate::slack::SlackClient;

/// The HTTP clients of the check, and the configuration they are made from.
struct Lines<'a> {
    config: &'a Config,
    platforms: &'a Platforms,
    http: HttpClient,
    /// One client for each app with a secret, so that each requests one token.
    clients: BTreeMap<AppName, FeishuClient>,
}

impl<'a> Lines<'a> {
    fn new(config: &'a Config, platforms: &'a Platforms) -> Result<Self, ClientError> {
        let http = HttpClient::by(&config.proxies)?;
        let with_secret = config.apps.values().filter(|app| app.app_secret.is_some());
        let client = |app: &App| (app.name.clone(), FeishuClient::new(app, http.clone()));
        Ok(Self {
            config,
            platforms,
            clients: with_secret.map(client).collect(),
            http,
        })
    }

    fn http(&self, settings: &Settings) -> Result<HttpClient, ClientError> {
        match &settings.proxy {
            Some(proxy) => HttpClient::trusted(Some(proxy)),
            None => Ok(self.http.clone()),
        }
    }

    fn slack(
        &self,
        settings: &Settings,
        base_url: &str,
        token: &Secret,
    ) -> Result<SlackClient, ClientError> {
        Ok(SlackClient::new(
            base_url,
            token.clone(),
            self.http(settings)?,
        ))
    }

    fn app(&self, app: &App) -> Check {
        Check::App(Box::new(feishu_app::Check {
            client: self.clients.get(&app.name).cloned(),
            connecting: (app.receive == Receive::Websocket)
                .then(|| FeishuClient::new(app, self.http.clone())),
            app: app.clone(),
            needs: feishu_app::Needs::of(&app.name, self.config.destinations.values()),
            platforms: self.platforms.clone(),
            direct: self.http.clone(),
        }))
    }

    fn destination(&self, settings: &Settings) -> Result<Check, ClientError> {
        let http = self.http(settings)?;
        let timeout = settings.common.timeout.min(CALL_TIMEOUT);
        Ok(match &settings.kind {
            KindSettings::FeishuApp { app, to, .. } => {
                let client = match (&settings.proxy, self.config.apps.get(app)) {
                    (Some(_), Some(app)) => Some(FeishuClient::new(app, http)),
                    (Some(_), None) | (None, _) => self.clients.get(app).cloned(),
                };
                let (app, to) = (app.clone(), to.clone());
                Check::Chat(feishu_chat::Check { app, client, to })
            }
            KindSettings::FeishuBot { url, secret, .. } => Check::Bot(feishu_bot::Check {
                http,
                url: url.clone(),
                secret: secret.clone(),
                keyword: settings.common.audience.keyword.is_some(),
                timeout,
            }),
            KindSettings::SlackApp {
                token,
                signing_secret,
                channel,
                base_url,
                ..
            } => Check::SlackApp(slack_app::Check {
                client: self.slack(settings, base_url, token)?,
                channel: channel.clone(),
                signed: signing_secret.is_some(),
                timeout,
            }),
            KindSettings::SlackWebhook { url } => Check::SlackWebhook(reachability::SlackWebhook {
                receiver: reachability::Receiver::new(http, url.clone(), timeout),
                slacks: self.platforms.slack.clone(),
            }),
            KindSettings::Webhook { url, .. } => {
                Check::Receiver(reachability::Receiver::new(http, url.clone(), timeout))
            }
            KindSettings::File { path } => Check::File(reachability::File { path: path.clone() }),
        })
    }

    fn people(
        &self,
        name: &str,
        feishu: &[String],
        slack: &[String],
    ) -> Result<Check, ClientError> {
        let destinations = self.config.destinations.values();
        let mut bots = BTreeMap::new();
        for settings in destinations.clone() {
            if let KindSettings::SlackApp {
                token, base_url, ..
            } = &settings.kind
            {
                let client = self.slack(settings, base_url, token)?;
                bots.entry(client.owner()).or_insert(client);
            }
        }
        // An open id is valid for one app only. Apps that send mentions are used, otherwise any app.
        let speaks = |app: &AppName| {
            let mut all = destinations.clone();
            all.any(
                |one| matches!(&one.kind, KindSettings::FeishuApp { app: ours, .. } if ours == app),
            )
        };
        let (speaking, silent): (Vec<_>, Vec<_>) =
            self.clients.iter().partition(|(app, _)| speaks(app));
        let apps = if speaking.is_empty() {
            silent
        } else {
            speaking
        };
        Ok(Check::People(mentions::Check {
            name: name.to_owned(),
            feishu: feishu.to_vec(),
            slack: slack.to_vec(),
            apps: apps
                .into_iter()
                .map(|(app, client)| (app.clone(), client.clone()))
                .collect(),
            bots: bots.into_values().collect(),
        }))
    }
}

/// Returns all checks, in output order.
pub(super) fn patients(
    config: &Config,
    platforms: &Platforms,
) -> Result<Vec<(Subject, Check)>, ClientError> {
    let lines = Lines::new(config, platforms)?;
    let mut patients = Vec::new();
    if let Some(url) = &config.server.public_url {
        let (http, url) = (lines.http.clone(), url.clone());
        let check = Check::PublicUrl(reachability::PublicUrl { http, url });
        patients.push((Subject::Relay, check));
    }
    for app in config.apps.values() {
        patients.push((Subject::App(app.name.clone()), lines.app(app)));
    }
    for (name, settings) in &config.destinations {
        let subject = Subject::Destination(name.clone());
        patients.push((subject, lines.destination(settings)?));
    }
    for (name, mention) in &config.mentions {
        if let Mention::Person { feishu, slack, .. } = mention {
            let check = lines.people(name, feishu, slack)?;
            patients.push((Subject::Mention(name.clone()), check));
        }
    }
    Ok(patients)
}
