//! The platform's side of the long connection. Sources: `ws/client_*.go` of the platform's Go SDK
//! for the expectations of clients, doc "Use long connection" for the platform's behaviour.
//!
//! A pushed event is sent over the newest connection of its app. Until it is acknowledged with 200,
//! it is resent over each new connection. The platform instead resends after 15 s, 5 min, 1 h and 6
//! h, and then gives up. An acknowledgement must be the same frame sent back
//! ([`PushAck::faithful`]).

mod hub;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::hub::{Hub, Order};
use super::{Api, FakeFeishu, Refused, State, answer, lock};
use crate::demo::server::with_fault;

/// An event that was pushed over long connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Pushed {
    pub payload: Value,
    /// How often the event was sent.
    pub times: u32,
    /// The acknowledgements received.
    pub acks: Vec<PushAck>,
}

/// A client's acknowledgement of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct PushAck {
    /// 200 or 500.
    pub code: u64,
    /// The decoded response to a callback. `None` for an event.
    pub data: Option<Value>,
    /// The time from the last send to this acknowledgement.
    pub took: Duration,
    /// Whether the frame came back unchanged and whole, with `biz_rt` added.
    pub faithful: bool,
}

/// The connections of all apps.
#[derive(Debug, Default)]
pub(super) struct Connections {
    hub: Mutex<Hub>,
    ended: CancellationToken,
}

impl Connections {
    /// Returns a token that ends every connection when it is cancelled.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/callback/ws/endpoint", post(endpoint))
        .route("/ws/v2", get(connect))
}

/// Returns the address to connect to.
async fn endpoint(
    extract::State(state): extract::State<Arc<State>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    // The record contains calls but no secrets.
    state.record(Api::Endpoint, uri.path(), json!({"AppID": asked["AppID"]}));
    with_fault(state.faults.take(&Api::Endpoint), async {
        let known = state.apps.iter().find(|app| asked["AppID"] == app.app_id.as_str());
        let Some(app) = known.filter(|app| asked["AppSecret"] == app.app_secret.as_str()) else {
            return Refused::quiet(514, "authentication failed").into_response();
        };
        let host = headers.get("host").and_then(|host| host.to_str().ok());
        let (ticket, config) = {
            let mut hub = lock(&state.connections.hub);
            (hub.ticket(&app.app_id), hub.config.clone())
        };
        let url = format!(
            "ws://{}/ws/v2?fpid=493&aid=552564&device_id=7{ticket}&access_key=fake&service_id={}&ticket={ticket}",
            host.unwrap_or("127.0.0.1"),
            hub::SERVICE,
        );
        let data = json!({"URL": url, "ClientConfig": config});
        let granted = json!({"code": 0, "msg": "", "data": data});
        answer(axum::http::StatusCode::OK, &granted)
    })
    .await
}

/// Opens a connection. A ticket is valid once.
async fn connect(
    extract::State(state): extract::State<Arc<State>>,
    uri: Uri,
    upgrade: WebSocketUpgrade,
) -> Response {
    let ticket = uri.query().and_then(|query| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let (_, ticket) = pairs.find(|(name, _)| name == "ticket")?;
        ticket.parse().ok()
    });
    state.record(Api::Connect, "/ws/v2", Value::Null);
    let fault = state.faults.take(&Api::Connect);
    with_fault(fault, async {
        let app_id = ticket.and_then(|ticket| lock(&state.connections.hub).redeem(ticket));
        let Some(app_id) = app_id else {
            let headers = [
                ("Handshake-Status", "403"),
                ("Handshake-Msg", "invalid ticket"),
            ];
            return (headers, ()).into_response();
        };
        let state = Arc::clone(&state);
        upgrade.on_upgrade(move |socket| async move {
            let ended = state.connections.ended();
            tokio::select! {
                () = ended.cancelled() => {}
                () = serve(socket, &state, &app_id) => {}
            }
        })
    })
    .await
}

async fn serve(mut socket: WebSocket, state: &State, app_id: &str) {
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let number = lock(&state.connections.hub).join(app_id, orders);
    loop {
        tokio::select! {
            order = ordered.recv() => match order {
                Some(Order::Send(frame)) => {
                    if socket.send(Message::Binary(frame)).await.is_err() {
                        break;
                    }
                }
                Some(Order::Freeze) => std::future::pending().await,
                Some(Order::Close(code)) => {
                    let frame = CloseFrame { code, reason: "".into() };
                    socket.send(Message::Close(Some(frame))).await.ok(); // The client may be gone.
                }
                Some(Order::Break) | None => break,
            },
            heard = socket.recv() => match heard {
                Some(Ok(Message::Binary(bytes))) => {
                    let reply = lock(&state.connections.hub).heard(bytes);
                    if let Some(reply) = reply {
                        socket.send(Message::Binary(reply)).await.ok(); // The client may be gone.
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map(|frame| frame.code);
                    lock(&state.connections.hub).closed.push(code);
                }
                Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_))) => {}
                Some(Err(_)) | None => break,
            },
        }
    }
    lock(&state.connections.hub).leave(number);
}

impl FakeFeishu {
    /// Pushes an event to an app.
    pub fn push(&self, app_id: &str, event: &Value) {
        self.hub(|hub| hub.push(app_id, "event", event, &[0], 1));
    }

    /// Pushes an event in `sum` fragments in this order, in which fragments can be repeated or
    /// missing.
    pub fn push_fragments(&self, app_id: &str, event: &Value, sum: usize, order: &[usize]) {
        self.hub(|hub| hub.push(app_id, "event", event, order, sum));
    }

    /// Pushes a message of another type than `event`.
    pub fn push_as(&self, app_id: &str, kind: &str, payload: &Value) {
        self.hub(|hub| hub.push(app_id, kind, payload, &[0], 1));
    }

    /// Returns the pushed events in order.
    pub fn pushed(&self) -> Vec<Pushed> {
        self.hub(|hub| hub.pushed())
    }

    /// Returns the number of open connections, as far as the platform knows.
    pub fn connections(&self) -> usize {
        self.hub(|hub| hub.open())
    }

    /// Returns the number of connections ever opened.
    pub fn connections_opened(&self) -> u64 {
        self.hub(|hub| hub.opened)
    }

    /// Returns the codes with which clients closed connections.
    pub fn closed_by_clients(&self) -> Vec<Option<u16>> {
        self.hub(|hub| hub.closed.clone())
    }

    /// Sends this `ClientConfig` in every following address and pong.
    pub fn set_client_config(&self, config: Value) {
        self.hub(|hub| hub.config = config);
    }

    /// Sets whether pings stay unanswered.
    pub fn withhold_pongs(&self, withheld: bool) {
        self.hub(|hub| hub.pongs_withheld = withheld);
    }

    /// Breaks every open connection, even during a transfer.
    pub fn break_connections(&self) {
        self.hub(|hub| hub.order(|| Order::Break));
    }

    /// Stops reading and writing on the open connections, which stay open.
    pub fn freeze_connections(&self) {
        self.hub(|hub| hub.order(|| Order::Freeze));
    }

    /// Closes the open connections with a code.
    pub fn close_connections(&self, code: u16) {
        self.hub(|hub| hub.order(|| Order::Close(code)));
    }

    fn hub<T>(&self, act: impl FnOnce(&mut Hub) -> T) -> T {
        act(&mut lock(&self.state.connections.hub))
    }
}
