//! A WebSocket: a request that the server answers by handing the connection over.
//!
//! The request is the HTTP client's own, so that TLS, its roots and a proxy are the same; what comes
//! after it is tungstenite's. There are no pings from here and no time limits but on opening: whoever
//! holds the connection knows what it may expect. Dropping a [`WebSocket`] closes the connection without
//! a word, which is what a peer that no longer answers needs: a close handshake with it would hang.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use url::Url;

use super::{HttpClient, NetError, chain, classify};
use crate::model::Secret;

/// The largest message that is read.
pub const SOCKET_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a connection runs over.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An open WebSocket. One task holds it: what is sent and what is heard never get in each other's way.
pub struct WebSocket(WebSocketStream<Box<dyn Io>>);

/// What came over a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A binary message.
    Message(Bytes),
    /// Anything else: a sign of life. Pings are answered.
    Life,
    /// The peer closes the connection, with this code if it gave one.
    Closed(Option<u16>),
}

/// A WebSocket ended without being closed. The reason is fit for a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SocketError(String);

/// A WebSocket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No answer came.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The server answered and did not hand the connection over.
    #[error("the upgrade was refused with HTTP {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The headers, names in lower case.
        headers: Vec<(String, String)>,
    },
}

impl HttpClient {
    /// Opens a WebSocket at a `ws` or `wss` URL, which may be a secret itself.
    pub async fn open_websocket(
        &self,
        url: &Secret,
        within: Duration,
    ) -> Result<WebSocket, OpenError> {
        let url = http_url(url)?;
        match tokio::time::timeout(within, self.upgrade(url)).await {
            Ok(opened) => opened,
            Err(_elapsed) => {
                let reason = format!("not open within {} s", within.as_secs());
                Err(NetError::Lost(reason).into())
            }
        }
    }

    async fn upgrade(&self, url: Url) -> Result<WebSocket, OpenError> {
        let key = generate_key();
        let request = self
            .client
            .get(url)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", &key);
        let response = request.send().await.map_err(classify)?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).map(|value| value.as_bytes());
        if status != 101 {
            let headers = super::headers(&response);
            return Err(OpenError::Refused { status, headers });
        }
        if header("sec-websocket-accept") != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(NetError::Lost("the answer is no WebSocket's".into()).into());
        }
        let io = response.upgrade().await.map_err(classify)?;
        Ok(WebSocket::over(Box::new(io), Role::Client).await)
    }
}

/// The same address for an HTTP client.
fn http_url(url: &Secret) -> Result<Url, NetError> {
    let refused = || NetError::Refused("not a ws:// or wss:// URL".into());
    let mut url = Url::parse(url.expose()).map_err(|_shows_it| refused())?;
    let scheme = match url.scheme() {
        "ws" => "http",
        "wss" => "https",
        _ => return Err(refused()),
    };
    url.set_scheme(scheme).map_err(|()| refused())?;
    Ok(url)
}

impl WebSocket {
    async fn over(io: Box<dyn Io>, role: Role) -> Self {
        let limits = WebSocketConfig::default()
            .max_message_size(Some(SOCKET_MESSAGE_BYTES_MAX))
            .max_frame_size(Some(SOCKET_MESSAGE_BYTES_MAX));
        Self(WebSocketStream::from_raw_socket(io, role, Some(limits)).await)
    }

    /// Waits for what comes next. Nothing is lost if the wait is dropped.
    pub async fn hear(&mut self) -> Result<Heard, SocketError> {
        match self.0.next().await {
            Some(Ok(Message::Binary(bytes))) => Ok(Heard::Message(bytes)),
            Some(Ok(Message::Close(frame))) => {
                Ok(Heard::Closed(frame.map(|frame| frame.code.into())))
            }
            Some(Ok(
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
            )) => Ok(Heard::Life),
            Some(Err(Error::ConnectionClosed)) | None => Ok(Heard::Closed(None)),
            Some(Err(error)) => Err(lost(&error)),
        }
    }

    /// Sends a binary message. A send that is dropped half-way leaves the connection unusable.
    pub async fn send(&mut self, message: Bytes) -> Result<(), SocketError> {
        let sent = self.0.send(Message::Binary(message)).await;
        sent.map_err(|error| lost(&error))
    }

    /// Closes the connection as done (1000), and waits until the peer has agreed, for at most `within`.
    pub async fn close(mut self, within: Duration) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let closing = async {
            if self.0.close(Some(frame)).await.is_err() {
                return;
            }
            while let Some(Ok(under_way)) = self.0.next().await {
                if under_way.is_close() {
                    return;
                }
            }
        };
        tokio::time::timeout(within, closing).await.ok(); // Dropped then, which closes it too.
    }

    /// Both ends of a connection in memory, where time can be paused.
    #[cfg(test)]
    pub(crate) async fn pair() -> (Self, Self) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let client = Self::over(Box::new(ours), Role::Client).await;
        let server = Self::over(Box::new(theirs), Role::Server).await;
        (client, server)
    }

    /// Closes with a code, as servers do.
    #[cfg(test)]
    pub(crate) async fn close_with(&mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        self.0.close(Some(frame)).await.ok();
    }
}

/// What ended a connection. A message that does not fit the buffer is not shown.
fn lost(error: &Error) -> SocketError {
    SocketError(match error {
        Error::WriteBufferFull(_) => "too much waits to be sent".into(),
        Error::Io(error) => chain(error),
        error => chain(error),
    })
}

#[cfg(test)]
mod tests;
