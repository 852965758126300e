//! A scripted HTTP receiver that records its requests.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::relay::wait_until;

/// A received request.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How to answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status, headers and a body.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// Reads the request and closes without an answer.
    Hang,
    /// Reads the request, writes these bytes and closes: a broken answer.
    Cut(Vec<u8>),
    /// Reads the request, waits for this time, then answers 200.
    After(Duration),
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), b"{}".to_vec())
    }

    pub fn ok(body: &str) -> Self {
        Self::Answer(200, Vec::new(), body.as_bytes().to_vec())
    }

    pub fn bytes(media_type: &str, body: &[u8]) -> Self {
        Self::Answer(
            200,
            vec![("Content-Type".into(), media_type.into())],
            body.to_vec(),
        )
    }
}

#[derive(Default)]
struct Script {
    next: VecDeque<Reply>,
    always: Option<Reply>,
    by_path: Vec<(String, Reply)>,
    received: Vec<Received>,
}

/// A small HTTP server on loopback, with one thread per connection. It ends with the test process.
#[derive(Clone)]
pub struct Receiver {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Receiver {
    /// Starts a receiver that answers 200 with `body` by default.
    pub fn answering(body: &str) -> Self {
        let receiver = Self::bound("127.0.0.1:0");
        receiver.always(Reply::ok(body));
        receiver
    }

    /// Starts a receiver at a given address, to restore a destination.
    pub fn bound(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let receiver = Self {
            address: listener.local_addr().expect("bound"),
            script: Arc::default(),
        };
        let served = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                thread::spawn(move || served.serve(stream));
            }
        });
        receiver
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sets the default answer.
    pub fn always(&self, reply: Reply) {
        self.script.lock().expect("not poisoned").always = Some(reply);
    }

    /// Sets the answer to requests whose path begins with `path`; it has priority over other
    /// scripts.
    pub fn on(&self, path: &str, reply: Reply) {
        self.script
            .lock()
            .expect("not poisoned")
            .by_path
            .push((path.into(), reply));
    }

    /// Sets the answer to the next request.
    pub fn next(&self, reply: Reply) {
        self.script
            .lock()
            .expect("not poisoned")
            .next
            .push_back(reply);
    }

    pub fn received(&self) -> Vec<Received> {
        self.script.lock().expect("not poisoned").received.clone()
    }

    /// Returns the number of received requests.
    pub fn count(&self) -> usize {
        self.script.lock().expect("not poisoned").received.len()
    }

    /// Waits until `count` requests have arrived, and returns them.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        wait_until(&format!("{count} requests at {}", self.address), || {
            self.count() >= count
        });
        self.received()
    }

    fn serve(&self, stream: TcpStream) {
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a socket");
        let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
        let mut stream = stream;
        while let Some(received) = read_request(&mut reader) {
            let reply = {
                let mut script = self.script.lock().expect("not poisoned");
                let of_path = script
                    .by_path
                    .iter()
                    .find(|(path, _)| received.path.starts_with(path));
                let of_path = of_path.map(|(_, reply)| reply.clone());
                script.received.push(received);
                let next = of_path.or_else(|| script.next.pop_front());
                next.or_else(|| script.always.clone())
                    .unwrap_or_else(|| Reply::status(200))
            };
            match reply {
                Reply::Hang => return,
                Reply::Cut(bytes) => {
                    stream.write_all(&bytes).ok(); // the relay may be gone
                    return;
                }
                Reply::After(span) => {
                    thread::sleep(span); // simulates a slow receiver
                    write_answer(&mut stream, 200, &[], b"{}");
                }
                Reply::Answer(status, headers, body) => {
                    write_answer(&mut stream, status, &headers, &body);
                }
            }
        }
    }
}

fn write_answer(stream: &mut TcpStream, status: u16, headers: &[(String, String)], body: &[u8]) {
    let mut head = format!(
        "HTTP/1.1 {status} Told\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let whole = [head.as_bytes(), body].concat();
    stream.write_all(&whole).ok(); // the relay may be gone because some tests kill it
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let received = Received {
        path,
        headers,
        body: Vec::new(),
    };
    let length = received
        .header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { body, ..received })
}
