//! Any authentic event is parsed as far as possible, with the same result each time.

use feedback_relay::feishu::{App, Envelope, Found, Receive, read_body, read_sample, shown_body};
use feedback_relay::model::AppName;
use jiff::tz::TimeZone;

pub fn run(data: &[u8]) {
    let app = App {
        name: AppName::from("shop"),
        app_id: "cli_1".to_owned(),
        receive: Receive::Websocket,
        encrypt_keys: Vec::new(),
        verification_tokens: Vec::new(),
        app_secret: None,
        base_url: "https://open.feishu.cn".to_owned(),
        feedback_timezone: TimeZone::UTC,
    };
    let reading = Envelope::of_connection(data).into_event(&app);
    reading.card_action();
    let id = reading.id.as_str();
    assert!(
        !id.is_empty() && !id.chars().any(char::is_control),
        "{id:?}"
    );
    let again = read_body(reading.body.expose(), &app.name, &app.feedback_timezone);
    match reading.found {
        Found::Event(event) => assert_eq!(again, Some(*event)),
        Found::Ignored | Found::Unreadable => assert_eq!(again, None),
    }
    let text = String::from_utf8_lossy(data);
    shown_body(&text);
    read_sample(&text, &app.name, &app.feedback_timezone).ok(); // both results are allowed; only a panic fails
}
