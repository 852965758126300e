//! A minimal HTTP/1.1 client and parser, cheap compared to the measured programs.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::events::find;

/// The time limit of one exchange.
const PATIENCE: Duration = Duration::from_secs(20);

/// The sizes of a received message.
pub struct Parsed {
    /// The bytes of the head, with its empty line.
    pub head: usize,
    /// The bytes of the body.
    pub body: usize,
}

/// Reads one message into `buffer`, after the bytes already there. `None`: the peer has closed.
pub async fn read_message(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Parsed>> {
    let head = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let body = content_length(buffer.split_at(head).0)?;
    while buffer.len() < head + body {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Parsed { head, body }))
}

fn content_length(head: &[u8]) -> io::Result<usize> {
    let head = std::str::from_utf8(head).map_err(io::Error::other)?;
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    for (name, value) in lines {
        if name.eq_ignore_ascii_case("content-length") {
            return value.trim().parse().map_err(io::Error::other);
        }
    }
    Ok(0)
}

/// A persistent connection.
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
            buffer: Vec::new(),
        }
    }

    /// Sends a request and returns the status of the response; 0 without one.
    pub async fn exchange(&mut self, request: &[u8]) -> u16 {
        match tokio::time::timeout(PATIENCE, self.try_exchange(request)).await {
            Ok(Ok(status)) => status,
            Ok(Err(_)) | Err(_) => {
                self.stream = None;
                0
            }
        }
    }

    async fn try_exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                none.insert(stream)
            }
        };
        stream.write_all(request).await?;
        self.buffer.clear();
        let parsed = read_message(stream, &mut self.buffer).await?;
        let parsed = parsed.ok_or(io::ErrorKind::UnexpectedEof)?;
        let head = String::from_utf8_lossy(self.buffer.split_at(parsed.head).0);
        if head.to_ascii_lowercase().contains("connection: close") {
            self.stream = None;
        }
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        status.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}
