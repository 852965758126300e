//! The platform's state of connections and pushes.

use std::collections::{BTreeMap, HashMap};

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::{PushAck, Pushed};
use crate::feishu::frame::{Frame, Header};

/// The service id of every frame.
pub(super) const SERVICE: i32 = 33_554_678;

/// A command to a connection.
#[derive(Debug)]
pub(super) enum Order {
    /// Sends a frame.
    Send(Bytes),
    /// Breaks the connection without a close.
    Break,
    /// Stops all traffic but keeps the connection open.
    Freeze,
    /// Closes with this code.
    Close(u16),
}

/// The state of all connections and pushes.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) config: Value,
    pub(super) pongs_withheld: bool,
    pub(super) opened: u64,
    pub(super) closed: Vec<Option<u16>>,
    tickets: HashMap<u64, String>,
    live: BTreeMap<u64, Live>,
    pushes: Vec<Push>,
    /// The index of each push by message id.
    places: HashMap<String, usize>,
    count: u64,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            config: json!({
                "ReconnectCount": -1, "ReconnectInterval": 90, "ReconnectNonce": 25, "PingInterval": 90,
            }),
            pongs_withheld: false,
            opened: 0,
            closed: Vec::new(),
            tickets: HashMap::new(),
            live: BTreeMap::new(),
            pushes: Vec::new(),
            places: HashMap::new(),
            count: 0,
        }
    }
}

#[derive(Debug)]
struct Live {
    app_id: String,
    orders: UnboundedSender<Order>,
}

#[derive(Debug)]
struct Push {
    app_id: String,
    pushed: Pushed,
    frames: Vec<Frame>,
    sent_at: Instant,
}

impl Push {
    fn is_done(&self) -> bool {
        self.pushed
            .acks
            .iter()
            .any(|ack| ack.code == 200 && ack.faithful)
    }

    fn send(&mut self, live: &Live) {
        self.sent_at = Instant::now();
        self.pushed.times += 1;
        for frame in &self.frames {
            live.orders.send(Order::Send(frame.bytes())).ok(); // If the connection ended, it is resent.
        }
    }
}

impl Hub {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(super) fn ticket(&mut self, app_id: &str) -> u64 {
        let ticket = self.next();
        self.tickets.insert(ticket, app_id.to_owned());
        ticket
    }

    pub(super) fn redeem(&mut self, ticket: u64) -> Option<String> {
        self.tickets.remove(&ticket)
    }

    /// Adds an open connection and resends unacknowledged events.
    pub(super) fn join(&mut self, app_id: &str, orders: UnboundedSender<Order>) -> u64 {
        let number = self.next();
        self.opened += 1;
        let app_id = app_id.to_owned();
        let live = Live { app_id, orders };
        let open = self.pushes.iter_mut().filter(|push| !push.is_done());
        for push in open.filter(|push| push.app_id == live.app_id) {
            push.send(&live);
        }
        self.live.insert(number, live);
        number
    }

    pub(super) fn leave(&mut self, number: u64) {
        self.live.remove(&number);
    }

    pub(super) fn open(&self) -> usize {
        self.live.len()
    }

    pub(super) fn order(&self, order: impl Fn() -> Order) {
        for live in self.live.values() {
            live.orders.send(order()).ok(); // The connection may have ended.
        }
    }

    pub(super) fn pushed(&self) -> Vec<Pushed> {
        self.pushes.iter().map(|push| push.pushed.clone()).collect()
    }

    /// Pushes a payload as fragments in this order.
    pub(super) fn push(
        &mut self,
        app_id: &str,
        kind: &str,
        payload: &Value,
        order: &[usize],
        sum: usize,
    ) {
        let number = self.next();
        let message_id = format!("fake-message-{number}");
        let text = Bytes::from(payload.to_string());
        let fragment = |&seq: &usize| {
            let header = |key: &str, value: String| Header::new(key, value);
            let end = |fragment: usize| text.len() * fragment / sum;
            Frame {
                seq_id: number,
                log_id: number << 32 | seq as u64,
                service: SERVICE,
                method: 1,
                headers: vec![
                    header("type", kind.into()),
                    header("message_id", message_id.clone()),
                    header("trace_id", format!("trace-{number}")),
                    header("sum", sum.to_string()),
                    header("seq", seq.to_string()),
                    header("timestamp", "1795000000123".into()),
                    header("instance_id", "0".into()),
                ],
                payload: Some(text.slice(end(seq)..end(seq + 1))),
                ..Frame::default()
            }
        };
        let mut push = Push {
            app_id: app_id.to_owned(),
            pushed: Pushed {
                payload: payload.clone(),
                times: 0,
                acks: Vec::new(),
            },
            frames: order.iter().map(fragment).collect(),
            sent_at: Instant::now(),
        };
        let mut newest = self.live.values().rev();
        if let Some(live) = newest.find(|live| live.app_id == push.app_id) {
            push.send(live);
        }
        self.places.insert(message_id, self.pushes.len());
        self.pushes.push(push);
    }

    /// Handles a client's frame and returns the answer.
    pub(super) fn heard(&mut self, bytes: Bytes) -> Option<Bytes> {
        let frame = Frame::read(bytes)?;
        if frame.method == 0 && frame.header("type") == Some("ping") {
            let mut pong = Frame::ping(frame.service);
            pong.headers = vec![Header::new("type", "pong")];
            pong.payload = Some(self.config.to_string().into());
            return (!self.pongs_withheld).then(|| pong.bytes());
        }
        let place = self.places.get(frame.header("message_id")?)?;
        let push = self.pushes.get_mut(*place)?;
        let ack = push_ack(&frame, push);
        push.pushed.acks.push(ack);
        None
    }
}

fn push_ack(frame: &Frame, push: &Push) -> PushAck {
    let said: Value =
        serde_json::from_slice(frame.payload.as_deref().unwrap_or_default()).unwrap_or_default();
    let data = said["data"]
        .as_str()
        .and_then(|data| STANDARD.decode(data).ok());
    PushAck {
        code: said["code"].as_u64().unwrap_or(0),
        data: data.and_then(|data| serde_json::from_slice(&data).ok()),
        took: push.sent_at.elapsed(),
        faithful: push.frames.iter().any(|sent| echoes(frame, sent)),
    }
}

/// Returns whether the frame is the sent one, except for its payload and the header that clients
/// add.
fn echoes(frame: &Frame, sent: &Frame) -> bool {
    let mut echoed = frame.clone();
    let added = echoed.headers.pop();
    let took = added.filter(|added| added.key == "biz_rt");
    echoed.payload.clone_from(&sent.payload);
    echoed == *sent && took.is_some_and(|took| took.value.parse::<u64>().is_ok())
}
