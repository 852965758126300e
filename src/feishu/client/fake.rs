//! A platform on a loopback socket that answers what it is told to, and remembers what it got.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};

use crate::net::HttpClient;

/// One client for all tests: making one reads the machine's certificates, which takes a while.
pub(crate) fn http() -> HttpClient {
    static HTTP: LazyLock<HttpClient> = LazyLock::new(|| HttpClient::trusted(None).unwrap());
    HTTP.clone()
}

/// What the platform does with one connection.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Closes before it has read anything.
    CloseAtOnce,
    /// Reads the request and closes.
    CloseAfterRequest,
    /// Reads the request and answers a part of what it promised.
    CutShort,
    /// Reads the request and says nothing.
    Silent,
}

impl Reply {
    /// An answer without headers of interest.
    pub(crate) fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(status, Vec::new(), body.into())
    }

    /// An answer with one header.
    pub(crate) fn with(status: u16, name: &'static str, value: &str, body: &str) -> Self {
        Self::Answer(status, vec![(name, value.to_owned())], body.into())
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    /// The first line.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Got {
    /// The header's value; panics if it is absent or there twice.
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

/// See the module. The last reply is repeated.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Fake {
    pub(crate) fn start(replies: Vec<Reply>) -> Self {
        Self::start_knowing_itself(|_| replies)
    }

    /// The same for one whose replies name its own URL, which they are given.
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

    /// What came so far.
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
        Reply::Silent => loop {
            std::thread::park();
        },
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
    // A client that has read enough hangs up; that is its right.
    stream.write_all(&bytes).ok();
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
