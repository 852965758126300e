//! Tests with every vector, every captured exchange of the platform's own clients, and hostile
//! bytes.

use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::feishu::{App, Envelope, Found, Reading, Receive};

fn vectors() -> Value {
    let text = include_str!("../../../tests/vectors/feishu-ws-frames.json");
    serde_json::from_str(text).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn bytes(hex: &Value) -> Bytes {
    let digits = hex.as_str().unwrap().as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

/// Reads an event from the long connection as the relay does.
fn reading(message: &Message) -> Reading {
    let app = App {
        name: "shop".into(),
        app_id: "cli_a1b2c3d4e5f60718".into(),
        receive: Receive::Websocket,
        encrypt_keys: Vec::new(),
        verification_tokens: Vec::new(),
        app_secret: None,
        base_url: String::new(),
        feedback_timezone: TimeZone::UTC,
    };
    Envelope::of_connection(&message.payload).into_event(&app)
}

/// Feeds frames to a reader and returns the results.
fn receive<'a>(frames: impl IntoIterator<Item = &'a Value>) -> Vec<Received> {
    let mut reader = FrameReader::default();
    let now = Instant::now();
    let frames = frames.into_iter();
    frames.map(|hex| reader.read(bytes(hex), now)).collect()
}

fn events(received: &[Received]) -> Vec<Message> {
    let event = |one: &Received| match one {
        Received::Event(message) => Some(message.clone()),
        _ => None,
    };
    received.iter().filter_map(event).collect()
}

fn ack_of(recommended: &Value) -> Ack {
    let data = &recommended["ack_data"];
    match (recommended["ack_code"].as_u64(), data) {
        (Some(500), _) => Ack::Failed,
        (_, Value::Null) => Ack::Taken(json!({})),
        (_, data) => Ack::Taken(data.clone()),
    }
}

#[test]
fn sent_frames_match_vectors_byte_for_byte() {
    let vectors = vectors();
    let vectors = list(&vectors["vectors"]);
    let (mut made, mut never) = (0, 0);
    let event = vectors.iter().find(|one| one["name"] == "event_fault");
    let event = &event.unwrap()["frames"][0]["hex"];
    for vector in vectors {
        let (name, recommended) = (&vector["name"], &vector["recommended"]);
        let hex = &vector["frames"][0]["hex"];
        let message = events(&receive([event])).remove(0);
        match recommended["action"].as_str().unwrap() {
            "encode" if recommended["of"].is_string() => {
                let ack = match recommended["data"].as_str() {
                    Some(data) => Ack::Taken(serde_json::from_str(data).unwrap()),
                    None => ack_of(&json!({"ack_code": recommended["code"]})),
                };
                let took = recommended["biz_rt"].as_str().unwrap().parse().unwrap();
                let frame = message.acknowledge(&ack, Duration::from_millis(took));
                assert_eq!(frame.bytes(), bytes(hex), "{name}");
                made += 1;
            }
            "encode" => {
                let service = vector["frames"][0]["decoded"]["service"].as_i64().unwrap();
                let ping = Frame::ping(i32::try_from(service).unwrap());
                assert_eq!(ping.bytes(), bytes(hex), "{name}");
                made += 1;
            }
            "never send" => {
                // However these wrong frames are parsed, the relay never writes them so, and no
                // acknowledgement equals one.
                let ping = Frame::ping(33_554_678).bytes();
                let acks = [json!({}), json!([123, 125]), json!({"a": 1})].map(Ack::Taken);
                let mut ours = vec![ping];
                for ack in acks.iter().chain([&Ack::Failed]) {
                    let ack = message.clone().acknowledge(ack, Duration::ZERO);
                    ours.push(ack.bytes());
                }
                assert!(!ours.contains(&bytes(hex)), "{name}");
                never += 1;
            }
            _ => {}
        }
    }
    assert_eq!((made, never), (8, 4));
}

#[test]
fn received_frames_are_handled_as_recommended() {
    let vectors = vectors();
    let arriving = |one: &&Value| one["direction"] == "server_to_client";
    let vectors: Vec<_> = list(&vectors["vectors"]).iter().filter(arriving).collect();
    assert_eq!(vectors.len(), 54);
    for vector in vectors {
        let (name, recommended) = (vector["name"].as_str().unwrap(), &vector["recommended"]);
        let received = receive(list(&vector["frames"]).iter().map(|frame| &frame["hex"]));
        let messages = events(&received);
        let action = recommended["action"].as_str().unwrap();
        let either = recommended["either"].as_str().unwrap_or_default();
        match action {
            "configure" | "alive" => {
                let [Received::Pong(payload)] = received.as_slice() else {
                    panic!("{name}: {received:?}");
                };
                let mut settings = LinkSettings::default();
                settings.update(payload);
                let wanted = &recommended["config"]["PingInterval"];
                let seconds = settings.ping_interval.as_secs();
                let as_told = seconds == wanted.as_u64().unwrap_or(120);
                assert!(
                    as_told || name == "pong_zero_interval" && seconds == 5,
                    "{name}"
                );
            }
            "deliver" if messages.is_empty() => {
                assert_eq!(either, "ignore", "{name}: {received:?}");
            }
            "deliver" => is_delivered(name, recommended, messages),
            "wait" => assert_eq!(received, [Received::Fragment, Received::Fragment], "{name}"),
            "ignore" => {
                let acked =
                    |one: &Received| matches!(one, Received::Event(_) | Received::Unknown(_));
                let allowed = ["ack 200", "deliver"].contains(&either);
                assert!(
                    !received.iter().any(acked) || allowed,
                    "{name}: {received:?}"
                );
            }
            other => panic!("{name}: {other}"),
        }
    }
}

/// Checks that each recommended event came once, and its acknowledgement byte for byte.
fn is_delivered(name: &str, recommended: &Value, messages: Vec<Message>) {
    let one = [recommended["event"].clone()];
    let wanted = match list(&recommended["events_in_order"]) {
        [] => one.as_slice(),
        several => several,
    };
    let deliveries = recommended["deliveries"].as_u64().unwrap_or(1);
    assert_eq!(u64::try_from(messages.len()), Ok(deliveries), "{name}");
    let acks = match &recommended["ack_hex_biz_rt_0"] {
        Value::Null => list(&recommended["acks_hex_biz_rt_0"]).to_vec(),
        ack => vec![ack.clone()],
    };
    for (at, message) in messages.into_iter().enumerate() {
        let reading = reading(&message);
        if let Some(wanted) = wanted.get(at).filter(|wanted| wanted.is_object()) {
            let body: Value = serde_json::from_str(reading.body.expose()).unwrap();
            assert_eq!(body, *wanted, "{name}");
            let id = wanted["header"]["event_id"].as_str().unwrap();
            assert_eq!(reading.id.as_str(), id, "{name}");
        }
        match name {
            "event_payload_not_json" | "event_payload_empty" => {
                assert_eq!(reading.found, Found::Unreadable, "{name}");
            }
            "event_unregistered_type" | "card_action_trigger" => {
                assert_eq!(reading.found, Found::Ignored, "{name}");
            }
            _ => assert!(matches!(reading.found, Found::Event(_)), "{name}"),
        }
        let ack = message.acknowledge(&ack_of(recommended), Duration::ZERO);
        if let Some(wanted) = acks.get(at) {
            assert_eq!(ack.bytes(), bytes(wanted), "{name}");
        }
    }
}

#[test]
fn captured_exchanges_are_answered_like_the_platforms_clients() {
    let vectors = vectors();
    let captured = list(&vectors["captured"]);
    assert_eq!(captured.len(), 18);
    for exchange in captured {
        let name = exchange["name"].as_str().unwrap();
        let sent = list(&exchange["sent_hex"]);
        let last = Frame::read(bytes(sent.last().unwrap())).unwrap();
        let mut messages = events(&receive(sent));
        assert_eq!(messages.len(), 1, "{name}");
        let theirs = Frame::read(bytes(&exchange["ack_hex"])).unwrap();
        let said: Value = serde_json::from_slice(theirs.payload.as_ref().unwrap()).unwrap();
        let ack = match (said["code"].as_u64(), said["data"].as_str()) {
            (Some(500), _) => Ack::Failed,
            (_, None) => Ack::Taken(json!({})),
            (_, Some(data)) => {
                Ack::Taken(serde_json::from_slice(&STANDARD.decode(data).unwrap()).unwrap())
            }
        };
        let ours = messages.remove(0).acknowledge(&ack, Duration::ZERO);

        let ids = |frame: &Frame| (frame.seq_id, frame.log_id, frame.service, frame.method);
        assert_eq!(ids(&ours), ids(&last), "{name}");
        let others = |frame: &Frame| -> Vec<Header> {
            let headers = frame.headers.iter();
            headers.filter(|one| one.key != "biz_rt").cloned().collect()
        };
        assert_eq!(
            others(&ours),
            others(&last),
            "{name}: every header, in order"
        );
        // The Go client takes fragments in concurrently, so any of them may complete the message.
        let sent = sent.iter().map(|hex| Frame::read(bytes(hex)).unwrap());
        let mut sent = sent.map(|frame| others(&frame));
        assert!(
            sent.any(|one| one == others(&theirs)),
            "{name}: as the client did"
        );
        assert_eq!(ours.headers.last(), Some(&Header::new("biz_rt", "0")));

        let ours: Value = serde_json::from_slice(ours.payload.as_ref().unwrap()).unwrap();
        assert_eq!(ours["code"], said["code"], "{name}");
        let data = |said: &Value| -> Option<Value> {
            serde_json::from_slice(&STANDARD.decode(said["data"].as_str()?).unwrap()).unwrap()
        };
        assert_eq!(data(&ours), data(&said), "{name}");
    }
}

#[test]
fn debug_output_of_frame_contains_no_payload() {
    let mut frame = Frame::ping(7);
    frame.payload = Some("王小明 13800000000".into());
    let shown = format!("{frame:?}");
    assert!(!shown.contains("1380") && shown.contains("ping"), "{shown}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_fail(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
        let mut reader = FrameReader::default();
        for frame in frames {
            let _received = reader.read(frame.into(), Instant::now());
        }
    }

    #[test]
    fn frame_survives_encoding_and_parsing(
        (seq_id, log_id, service, method) in any::<(u64, u64, i32, i32)>(),
        headers in prop::collection::vec(("[a-z_]{0,8}", ".{0,12}"), 0..5),
        payload in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
        encoding in prop::option::of(".{0,8}"),
    ) {
        let headers = headers.into_iter().map(|(key, value)| Header { key, value });
        let frame = Frame {
            seq_id, log_id, service, method,
            headers: headers.collect(),
            payload_encoding: encoding.clone(),
            payload_type: encoding,
            payload: payload.map(Bytes::from),
            log_id_new: None,
        };
        prop_assert_eq!(Frame::read(frame.bytes()), Some(frame));
    }

    #[test]
    fn fragments_in_any_order_make_one_message(
        text in ".{1,80}",
        cuts in prop::collection::vec(0..80usize, 1..6),
        order in prop::collection::vec(0..64usize, 0..40),
    ) {
        let bytes = text.as_bytes();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let sum = ends.len();
        let piece = |seq: usize| {
            let begin = seq.checked_sub(1).map_or(0, |before| ends[before]);
            let mut frame = Frame { method: DATA, ..Frame::default() };
            for (key, value) in [("type", "event".to_owned()), ("message_id", "m".into()), ("sum", sum.to_string()), ("seq", seq.to_string())] {
                frame.headers.push(Header::new(key, value));
            }
            frame.payload = Some(Bytes::copy_from_slice(&bytes[begin..ends[seq]]));
            frame.bytes()
        };
        let mut reader = FrameReader::default();
        let all = order.iter().map(|at| at % sum).chain(0..sum);
        let received: Vec<_> = all.map(|seq| reader.read(piece(seq), Instant::now())).collect();
        let messages = events(&received);
        prop_assert_eq!(messages.len(), 1);
        prop_assert_eq!(&messages[0].payload[..], bytes);
    }
}
