use std::collections::BTreeMap;

use super::*;
use crate::feishu::App;
use crate::model::Secret;

fn settings(with_secret: &[&str]) -> Settings {
    let person = |name: &str, feishu: &[&str], slack: &[&str]| Mention::Person {
        name: name.into(),
        feishu: feishu.iter().map(|id| (*id).to_owned()).collect(),
        slack: slack.iter().map(|id| (*id).to_owned()).collect(),
    };
    let people = [
        person("li", &["li@example.com", "ou_li"], &["U1"]),
        person("team", &["ou_li", "ou_han"], &["U2", "U3"]),
        person("both", &["ou_li", "ou_han"], &["U4"]),
        person("nobody", &["han@example.com"], &["U5"]),
    ];
    let client = |name: &&str| {
        let app = App {
            name: AppName::new(*name),
            receive: crate::feishu::Receive::Webhook,
            app_id: format!("cli_{name}"),
            encrypt_keys: Vec::new(),
            verification_tokens: Vec::new(),
            app_secret: Some(Secret::new("s")),
            base_url: "http://127.0.0.1:1".into(),
            feedback_timezone: jiff::tz::TimeZone::UTC,
        };
        let http = crate::feishu::client::fake::http();
        (app.name.clone(), FeishuClient::new(&app, http))
    };
    Settings {
        clients: with_secret.iter().map(client).collect(),
        mentions: people
            .into_iter()
            .enumerate()
            .map(|(number, person)| (number.to_string(), person))
            .collect(),
        feishu: BTreeMap::from([
            ("room".into(), "shop".into()),
            ("other".into(), "order".into()),
        ]),
        slack: [("team", "a"), ("team-too", "a"), ("elsewhere", "b")]
            .into_iter()
            .map(|(name, secret)| (DestinationName::from(name), slack_place(secret)))
            .collect(),
    }
}

fn slack_place(signing_secret: &str) -> SlackTarget {
    let http = crate::feishu::client::fake::http();
    SlackTarget {
        signing_secret: Secret::new(signing_secret),
        client: crate::slack::SlackClient::new("http://127.0.0.1:1", Secret::new("xoxb-1"), http),
        locale: crate::render::Locale::En,
    }
}

#[test]
fn button_of_another_workspace_or_app_does_not_fit() {
    let settings = settings(&[]);
    let fits = |made_for: &str, clicker: &ButtonUser| {
        settings.fits(MadeFor::destination(&made_for.into()), clicker)
    };
    let at = |destination: &str| ButtonUser::Slack {
        destination: destination.into(),
        user: None,
        name: None,
    };
    assert!(fits("team", &at("team")));
    assert!(
        fits("team", &at("team-too")),
        "one Slack app has one address"
    );
    assert!(!fits("elsewhere", &at("team")) && !fits("team", &at("elsewhere")));
    assert!(!fits("room", &at("team")) && !fits("gone", &at("team")));
    assert!(fits("room", &in_feishu("shop")) && fits("other", &in_feishu("order")));
    assert!(!fits("other", &in_feishu("shop")) && !fits("team", &in_feishu("shop")));
}

fn in_feishu(app: &str) -> ButtonUser {
    ButtonUser::Feishu {
        app: app.into(),
        open_id: Some(Private::new("ou_li")),
    }
}

fn in_slack(user: &str) -> ButtonUser {
    ButtonUser::Slack {
        destination: "team".into(),
        user: Some(user.to_owned()),
        name: None,
    }
}

fn operator(clicker: &ButtonUser, settings: &Settings) -> Option<String> {
    let operator = clicker.operator(settings, &"shop".into());
    operator.map(|id| id.expose().to_owned())
}

#[test]
fn status_is_sent_in_the_name_of_a_known_person() {
    let settings = settings(&["shop", "order"]);
    let li = Some("ou_li".to_owned());
    assert_eq!(operator(&in_feishu("shop"), &settings), li);
    // An open id of another app means nobody here.
    assert_eq!(operator(&in_feishu("order"), &settings), None);
    assert_eq!(operator(&in_slack("U1"), &settings), li);
    // An entry for several people, and an id in several entries.
    for user in ["U2", "U3", "U4", "U5", "U6"] {
        assert_eq!(operator(&in_slack(user), &settings), None, "{user}");
    }
}

#[test]
fn action_on_incident_names_the_person_for_each_app() {
    let settings = settings(&["shop", "order"]);
    let apps = |clicker: &ButtonUser| {
        let operators = clicker.operators(&settings).into_iter();
        let operators = operators.map(|(app, id)| format!("{app} {}", id.expose()));
        operators.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(apps(&in_feishu("shop")), "shop ou_li");
    assert_eq!(apps(&in_slack("U1")), "order ou_li, shop ou_li");
    assert_eq!(apps(&in_slack("U2")), "");
}

#[test]
fn change_is_local_only_without_the_app_secret() {
    let settings = settings(&["order"]);
    assert_eq!(operator(&in_feishu("shop"), &settings), None);
    assert_eq!(operator(&in_slack("U1"), &settings), None);
}

#[test]
fn actor_name_is_from_slack_else_from_mentions() {
    let settings = settings(&[]);
    let name = |clicker: &ButtonUser| {
        let actor = clicker.actor(&settings);
        actor.name.map(|name| name.expose().to_owned())
    };
    assert_eq!(name(&in_slack("U1")).as_deref(), Some("li"));
    assert_eq!(name(&in_slack("U9")), None);
    let shown = ButtonUser::Slack {
        destination: "team".into(),
        user: Some("U1".into()),
        name: Some("Li Lei".into()),
    };
    assert_eq!(name(&shown).as_deref(), Some("Li Lei"));
    assert_eq!(
        in_feishu("order").actor(&settings).app,
        Some("order".into())
    );
}

#[test]
fn holder_name_is_from_slack_or_mentions() {
    let settings = settings(&[]);
    let actor = |name: Option<&str>, id: &str, app: Option<&str>| Actor {
        name: name.map(Private::new),
        id: Some(Private::new(id)),
        app: app.map(AppName::from),
    };
    let clicker = actor(None, "ou_li", Some("shop"));
    let holder = |by: &Actor| settings.holder(by, &clicker);
    assert_eq!(holder(&clicker), Holder::ButtonUser);
    let han = actor(Some("Han <!channel>"), "U9", None);
    assert_eq!(holder(&han), Holder::Named("Han !channel".into()));
    assert_eq!(holder(&actor(None, "U1", None)), Holder::Named("li".into()));
    let elsewhere = actor(None, "ou_li", Some("mall"));
    assert_eq!(holder(&elsewhere), Holder::Named("li".into()));
    assert_eq!(
        holder(&actor(None, "ou_new", Some("shop"))),
        Holder::Somebody
    );
}
