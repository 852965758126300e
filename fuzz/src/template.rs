//! Any template file is accepted or reported, and rendering ends: in JSON or in an error.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use feedback_relay::feishu::read_sample;
use feedback_relay::model::{
    AppName, DeliveryId, Event, Form, MessageSpec, RuleName, Severity, Timestamp, Trigger,
};
use feedback_relay::render::{
    Audience, Family, Fields, Locale, SentAs, Settings, StatusView, Subject, Templates,
};
use jiff::tz::TimeZone;

const NOW: Timestamp = Timestamp::from_millis(1_772_302_200_000);

static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
static EVENT: OnceLock<Event> = OnceLock::new();

fn event() -> Event {
    let sample = include_str!("../../tests/events/white-screen.json");
    read_sample(sample, &AppName::from("shop"), &TimeZone::UTC).expect("a sample")
}

pub fn run(data: &[u8]) {
    let dir = DIR.get_or_init(|| tempfile::tempdir().expect("a folder"));
    for family in [Family::Feishu, Family::Text] {
        let folder = dir.path().join(family.key());
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("alert.hbs"), data).expect("a file");
    }
    let settings = Settings {
        dir: Some(dir.path().into()),
    };
    let (templates, _complaints) = Templates::load(&settings);
    let spec = MessageSpec {
        rule: RuleName::from("all"),
        severity: Severity::Critical,
        template: "alert".to_owned(),
        mentions: Vec::new(),
        labels: BTreeMap::new(),
        wait: None,
        fell_from: Vec::new(),
        news: None,
    };
    let subject = Subject {
        event: EVENT.get_or_init(event),
        received_at: NOW,
        app_name: "order",
        delivery: DeliveryId::from_i64(1),
        trigger: Trigger::Event,
        is_main: false,
        counted: None,
        spec: &spec,
        mentions: &[],
        images: &[],
        images_pending: 1,
        images_refused: 0,
        images_total: 1,
        standing: &StatusView::default(),
        now: NOW,
    };
    for (family, form) in [
        (Family::Feishu, Form::Full),
        (Family::Feishu, Form::Post),
        (Family::Text, Form::Text),
    ] {
        let audience = Audience {
            family,
            locale: Locale::En,
            timezone: TimeZone::UTC,
            fields: Fields::default(),
            keyword: None,
            body: None,
            bytes_max: None,
            buttons: false,
            sent: SentAs::Json,
        };
        // An error is allowed; any other result is JSON.
        if let Ok(payload) = templates.payload(&audience, form, &subject) {
            let sent = payload.with_links(|_| String::new());
            serde_json::from_str::<serde_json::Value>(&sent).expect("JSON");
        }
    }
}
