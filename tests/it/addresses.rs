//! Tests that image addresses of this machine are never reached, in whatever form they are written.
//! Every address means loopback, where tripwires listen. Forms that would reach another machine or
//! a name server without the guard are tables in the guard's own tests, which send nothing.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};

/// The number of images of an event that are fetched.
const IMAGES_PER_EVENT: usize = 20;

/// The ways to write an address of this machine.
const HOSTS: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0X7F000001",
    "0x7f.1",
    "0x7F.0x1",
    "0177.0.0.1",
    "0177.0.1",
    "0177.1",
    "0x7f.0x0.0x0.0x1",
    "127.000.000.001",
    "127.0.0x1",
    "127.0.0.1.",
    "127.0.0.2",
    "127.1.2.3",
    "127.255.255.254",
    "2147483646",
    "0",
    "0x0",
    "0.0.0.0",
    "00000000",
    "１２７.0.0.1",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127．0．0．1",
    "127｡0｡0｡1",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "127%E3%80%820.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[0::0:1]",
    "[::0.0.0.1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:127.1.2.3]",
    "[::ffff:0.0.0.0]",
    "localhost",
    "LOCALHOST",
    "LocalHost",
    "loc%61lhost",
    "%6c%6f%63%61%6c%68%6f%73%74",
    "ｌｏｃａｌｈｏｓｔ",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "local\u{ad}host",
];

/// Returns URLs with this host and port.
fn urls(host: &str, port: u16) -> [String; 6] {
    [
        format!("https://{host}:{port}/picture.png"),
        format!("https:{host}:{port}/picture.png"),
        format!("hTTps:\\\\{host}:{port}\\picture.png"),
        format!(" ht\ntps:///{host}:{port}/#@pictures.example/"),
        format!("https://pictures.example@{host}:{port}/"),
        format!("http://{host}:{port}/picture.png"),
    ]
}

/// Sockets that nobody may connect to.
struct Tripwires(Vec<TcpListener>);

impl Tripwires {
    /// Opens one port on several addresses of this machine.
    fn laid() -> (Self, u16) {
        let first = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = first.local_addr().expect("bound").port();
        let mut wires = vec![first];
        for host in ["127.0.0.2", "127.1.2.3", "127.255.255.254", "::1"] {
            // Without IPv6 nobody can connect to these addresses.
            wires.extend(TcpListener::bind((host, port)).ok());
        }
        for wire in &wires {
            wire.set_nonblocking(true).expect("a socket");
        }
        (Self(wires), port)
    }

    /// Returns whether somebody has connected since the last call. The kernel accepts connections
    /// by itself.
    fn touched(&self) -> bool {
        self.0.iter().filter(|wire| wire.accept().is_ok()).count() > 0
    }
}

/// Returns the images of the event with this number.
fn images(relay: &Relay, number: u64) -> Vec<Value> {
    let shown = relay.run(&["events", "show", &format!("ev-{number}"), "--json"]);
    assert_eq!(shown.code(), 0, "{shown:?}");
    shown.json()["images"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// Pushes the addresses, as many per event as are fetched, and waits until each was tried.
fn tried(relay: &Relay, urls: &[String]) -> Vec<Value> {
    let events: Vec<_> = (1..).zip(urls.chunks(IMAGES_PER_EVENT)).collect();
    for (number, urls) in &events {
        let event = Feedback::fault(*number).with("images", json!(urls));
        assert_eq!(relay.push(&event).status, 200);
    }
    let mut all = Vec::new();
    for (number, urls) in &events {
        let mut seen = Vec::new();
        wait_until("every picture was tried", || {
            seen = images(relay, *number);
            seen.len() == urls.len() && seen.iter().all(|image| !image["reason"].is_null())
        });
        all.extend(seen);
    }
    all
}

fn guarded() -> String {
    Relay::config("")
        .replace(
            "[\"127.0.0.1\"]",
            "[\"localhost\", \"127.0.0.1\", \"pictures.example\"]",
        )
        .replace("addresses = true", "addresses = false")
}

#[test]
fn no_form_of_local_address_is_reached() {
    let (wires, port) = Tripwires::laid();
    let urls: Vec<_> = HOSTS.iter().flat_map(|host| urls(host, port)).collect();
    assert!(urls.len() >= 300, "{}", urls.len());
    let relay = Relay::started(&guarded());
    let images = tried(&relay, &urls);
    assert_eq!(images.len(), urls.len());
    for (image, url) in images.iter().zip(&urls) {
        let reason = image["reason"].as_str().unwrap_or_default();
        let refused = ["internal address", "not https", "user name", "not a URL"];
        assert!(
            refused.iter().any(|why| reason.contains(why)),
            "{url:?}: {image}"
        );
    }
    assert!(!wires.touched());
    assert!(
        !relay.log().contains("picture.png"),
        "addresses stay out of the log"
    );
}

#[test]
fn tripwire_detects_connections() {
    let (wires, port) = Tripwires::laid();
    let relay = Relay::started(&Relay::config(""));
    let url = format!("http://127.0.0.1:{port}/picture.png");
    let event = Feedback::fault(1).with("images", json!([url]));
    assert_eq!(relay.push(&event).status, 200);
    wait_until("somebody connects", || wires.touched());
}

/// Private addresses are allowed here, but only one host: a redirect target must be in the list.
#[test]
fn redirect_to_disallowed_host_is_not_followed() {
    let (wires, port) = Tripwires::laid();
    let hop = Receiver::answering("");
    let canonical = |host: &&&str| {
        // Skips addresses that parse as the allowed host.
        let url = url::Url::parse(&format!("http://{host}/"));
        url.is_ok_and(|url| url.host_str() != Some("127.0.0.1"))
    };
    let mut locations = Vec::new();
    for host in HOSTS.iter().filter(canonical) {
        // A header is ASCII, so the host is written as the parser returns it.
        let host = url::Url::parse(&format!("http://{host}/")).expect("just parsed");
        let host = host.host_str().unwrap_or_default().to_owned();
        locations.extend([
            format!("http://{host}:{port}/"),
            format!("https://{host}:{port}/"),
            format!("//{host}:{port}/"),
            format!("\\\\{host}:{port}\\"),
        ]);
    }
    for scheme in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "data:image/png,x",
        "http://a@127.0.0.1/",
    ] {
        locations.push(scheme.to_owned());
    }
    let statuses = [301, 302, 303, 307, 308];
    let mut urls = Vec::new();
    for (index, location) in locations.iter().enumerate() {
        let path = format!("/hop-{index}.png");
        let status = statuses[index % statuses.len()];
        hop.on(
            &path,
            Reply::Answer(
                status,
                vec![("Location".into(), location.clone())],
                Vec::new(),
            ),
        );
        urls.push(hop.url(&path));
    }
    assert!(urls.len() >= 60, "{}", urls.len());
    let relay = Relay::started(&Relay::config(""));
    for (image, location) in tried(&relay, &urls).iter().zip(&locations) {
        let reason = image["reason"].as_str().unwrap_or_default();
        let refused = ["is not allowed", "not https", "user name"];
        assert!(
            refused.iter().any(|why| reason.contains(why)),
            "{location}: {image}"
        );
    }
    // A slow test sees the first retries.
    assert!(hop.received().len() >= urls.len());
    assert!(!wires.touched());
}
