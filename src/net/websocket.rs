//! WebSocket connections: a request after which the server hands the connection over.
//!
//! The request uses the HTTP client, so TLS, its roots and a proxy are the same; tungstenite
//! handles the frames. This module sends no pings and limits only the time of opening, because the
//! caller knows what to expect. Dropping a [`WebSocket`] closes the connection without a close
//! handshake, because a handshake with an unresponsive peer would hang.

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

/// The largest message that is read, in bytes.
pub const SOCKET_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The stream below a WebSocket.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An open WebSocket. One task owns it, so reading and sending never interfere.
pub struct WebSocket(WebSocketStream<Box<dyn Io>>);

/// The result of reading from a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A binary message.
    Message(Bytes),
    /// Anything else, which shows that the peer is alive. Pings are answered.
    Life,
    /// The peer closes the connection, with this code if it sent one.
    Closed(Option<u16>),
}

/// A WebSocket ended without a close. The reason is safe to log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SocketError(String);

/// Why a WebSocket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There was no response.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The server responded without handing the connection over.
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
            return Err(NetError::Lost("the response is not a WebSocket handshake".into()).into());
        }
        let io = response.upgrade().await.map_err(classify)?;
        Ok(WebSocket::over(Box::new(io), Role::Client).await)
    }
}

/// Returns the same address for an HTTP client.
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

    /// Reads the next message. Dropping the future loses nothing.
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

    /// Closes the connection normally (1000) and waits for the peer's close, at most for `within`.
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
        tokio::time::timeout(within, closing).await.ok(); // On a timeout the drop closes it.
    }

    /// Returns both ends of a connection in memory, where tests can pause the time.
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

/// Returns why a connection ended. A message that does not fit the buffer is not shown.
fn lost(error: &Error) -> SocketError {
    SocketError(match error {
        Error::WriteBufferFull(_) => "too much waits to be sent".into(),
        Error::Io(error) => chain(error),
        error => chain(error),
    })
}

#[cfg(test)]
mod tests;
