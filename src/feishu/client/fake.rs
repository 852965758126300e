//! A fake platform on a loopback socket. It sends the configured replies and records the requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};

use crate::net::HttpClient;

/// Returns one client for all tests, because creating one reads the machine's certificates, which
/// is slow.
pub(crate) fn http() -> HttpClient {
    static HTTP: LazyLock<HttpClient> = LazyLock::new(|| HttpClient::trusted(None).unwrap());
    HTTP.clone()
}

/// How the fake platform handles one connection.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers with a status, headers and a body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Closes before reading anything.
    CloseAtOnce,
    /// Reads the request and closes.
    CloseAfterRequest,
    /// Reads the request and sends only part of the promised body.
    CutShort,
    /// Reads the request and sends nothing.
    Silent,
    /// Reads the request and sends a body without end, as fast as it is read.
    Endless,
    /// Reads the request and sends the beginning of a body that never ends.
    Drips,
}

impl Reply {
    /// Returns an answer without special headers.
    pub(crate) fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(status, Vec::new(), body.into())
    }

    /// Returns an answer with one header.
    pub(crate) fn with(status: u16, name: &'static str, value: &str, body: &str) -> Self {
        Self::Answer(status, vec![(name, value.to_owned())], body.into())
    }
}

/// A received request.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    /// The request line.
    pub(crate) line: String,
    /// Header names in lower case, with their values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Got {
    /// Returns the header's value. Panics if it is absent or repeated.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(key, _)| key == name);
        let value = values.next().unwrap_or_else(|| panic!("no {name}"));
        assert!(values.next().is_none(), "{name} twice");
        &value.1
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(key, _)| key == name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// The fake platform. After the last reply, it repeats that reply.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Fake {
    pub(crate) fn start(replies: Vec<Reply>) -> Self {
        Self::start_knowing_itself(|_| replies)
    }

    /// Starts a fake platform whose replies contain its own URL, which `replies` receives.
    pub(crate) fn start_knowing_itself(replies: impl FnOnce(&str) -> Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let replies = replies(&format!("http://{address}"));
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let requests = Arc::clone(&got);
        std::thread::spawn(move || {
            let mut replies = replies.into_iter();
            let mut last = replies.next().unwrap();
            while let Ok((stream, _)) = listener.accept() {
                let reply = last.clone();
                last = replies.next().unwrap_or(last);
                let requests = Arc::clone(&requests);
                std::thread::spawn(move || serve(stream, &reply, &requests));
            }
        });
        Self { address, got }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the requests received so far.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, reply: &Reply, requests: &Mutex<Vec<Got>>) {
    if matches!(reply, Reply::CloseAtOnce) {
        return;
    }
    requests.lock().unwrap().push(read(&mut stream));
    let bytes = match reply {
        Reply::CloseAtOnce | Reply::CloseAfterRequest => return,
        Reply::Silent => park(),
        Reply::Endless => {
            let head = b"HTTP/1.1 200 OK\r\n\r\n".as_slice();
            let mut written = stream.write_all(head);
            while written.is_ok() {
                written = stream.write_all(&[b'x'; 4096]);
            }
            return;
        }
        Reply::Drips => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nx").ok();
            park();
        }
        Reply::CutShort => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok".to_vec(),
        Reply::Answer(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            if *status == 204 {
                format!("{head}\r\n").into_bytes()
            } else {
                head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
                [head.as_bytes(), body].concat()
            }
        }
    };
    // A client that has read enough may close the connection, so a failed write is ignored.
    stream.write_all(&bytes).ok();
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}

fn read(stream: &mut TcpStream) -> Got {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        more(stream, &mut bytes);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<_> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut got = Got {
        line,
        headers,
        body: bytes.split_off(end + 4),
    };
    let length: usize = match got.has("content-length") {
        true => got.header("content-length").parse().unwrap(),
        false => 0,
    };
    while got.body.len() < length {
        more(stream, &mut got.body);
    }
    got
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) {
    let mut chunk = [0; 4096];
    let n = stream.read(&mut chunk).unwrap();
    assert!(n > 0, "the request ended early");
    bytes.extend_from_slice(&chunk[..n]);
}
