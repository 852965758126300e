//! Tests of TLS: a valid certificate, invalid ones, and a name that does not resolve. Everything
//! runs on loopback; `tests/vectors/tls` holds an authority and its certificates.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::answers::seen;
use crate::harness::{Feedback, Relay, wait_until};

fn vector(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tls");
    folder.join(name)
}

/// A webhook receiver with a certificate, in one thread. It ends with the test process.
struct Secured {
    port: u16,
    /// The number of readable requests.
    read: Arc<AtomicUsize>,
}

impl Secured {
    fn showing(certificate: &str) -> Self {
        let file = vector(certificate);
        let certificates = CertificateDer::pem_file_iter(&file)
            .and_then(Iterator::collect)
            .expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(&file).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the usual ones")
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .expect("they belong together");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let read = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&read);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config));
                let connection = connection.expect("a configuration that works");
                // A client that rejects the certificate closes the connection.
                if answer(StreamOwned::new(connection, stream)).is_ok() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { port, read }
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::SeqCst)
    }
}

/// Reads one request and answers 200.
fn answer(stream: StreamOwned<ServerConnection, TcpStream>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().expect("a length");
            }
            Some(_) => {}
            None if line.trim().is_empty() => break,
            None => {} // the request line
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let stream = reader.get_mut();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Starts a relay with one webhook per name and URL, and pushes one event.
fn told(places: &[(&str, String)], authority: Option<&Path>) -> Relay {
    let hook = |(name, url): &(&str, String)| {
        format!("[destinations.{name}]\nkind = \"webhook\"\nurl = \"{url}\"\n")
    };
    let hooks: String = places.iter().map(hook).collect();
    let names: Vec<&str> = places.iter().map(|(name, _)| *name).collect();
    let mut relay = Relay::prepared(&Relay::config(&format!(
        "{hooks}[[rules]]\nname = \"all\"\nsend_to = {names:?}\n"
    )));
    if let Some(authority) = authority {
        relay.set("SSL_CERT_FILE", authority.to_str().expect("UTF-8"));
    }
    relay.start();
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay
}

/// Waits until each destination's first attempt has this outcome and its delivery this state.
fn assert_outcomes(relay: &Relay, expected: &[(&str, &str, &str)]) {
    wait_until("each was tried", || {
        let seen = seen(relay);
        expected.iter().all(|(name, outcome, state)| {
            let (is, came_to, _) = &seen[*name];
            came_to == outcome && is == state
        })
    });
}

#[test]
fn wrong_certificate_stops_and_unknown_name_is_retried() {
    let (right, expired) = (
        Secured::showing("localhost.pem"),
        Secured::showing("expired.pem"),
    );
    // A label that is too long, so no name server is asked.
    let nowhere = format!("https://{}.example/", "a".repeat(64));
    let places = [
        ("right", format!("https://localhost:{}/", right.port)),
        ("other-name", format!("https://127.0.0.1:{}/", right.port)),
        ("expired", format!("https://localhost:{}/", expired.port)),
        ("nowhere", nowhere),
    ];
    let relay = told(&places, Some(&vector("authority.pem")));
    assert_outcomes(
        &relay,
        &[
            ("right", "delivered", "delivered"),
            ("other-name", "stop", "pending"),
            ("expired", "stop", "pending"),
            ("nowhere", "retry", "pending"),
        ],
    );
    let seen = seen(&relay);
    for name in ["other-name", "expired"] {
        assert!(seen[name].2.contains("certificate"), "{:?}", seen[name]);
    }
    wait_until("the stops are told", || {
        relay.log().matches("destination stopped").count() == 2
    });
    assert_eq!((right.read(), expired.read()), (1, 0));
}

#[test]
fn certificate_of_unknown_authority_stops_destination() {
    let unknown = Secured::showing("localhost.pem");
    let places = [("unknown", format!("https://localhost:{}/", unknown.port))];
    let relay = told(&places, None);
    assert_outcomes(&relay, &[("unknown", "stop", "pending")]);
    assert!(seen(&relay)["unknown"].2.contains("certificate"));
    assert_eq!(unknown.read(), 0);
}
