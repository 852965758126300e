//! Addresses of images that lead to this machine, however they are written: nothing is reached. Only
//! loopback is ever meant, and there a tripwire listens; forms that would lead anywhere else if the guard
//! failed, or ask a name server, are tables of the guard's own tests, which send nothing.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};

/// How many images of an event are fetched.
const IMAGES_PER_EVENT: usize = 20;

/// Ways to write an address of this machine.
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

/// Ways to write an address around it.
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
    /// One port, on several addresses of this machine.
    fn laid() -> (Self, u16) {
        let first = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = first.local_addr().expect("bound").port();
        let mut wires = vec![first];
        for host in ["127.0.0.2", "127.1.2.3", "127.255.255.254", "::1"] {
            // Where there is no IPv6, nobody can go there either.
            wires.extend(TcpListener::bind((host, port)).ok());
        }
        for wire in &wires {
            wire.set_nonblocking(true).expect("a socket");
        }
        (Self(wires), port)
    }

    /// Whether somebody has connected since it was last asked: the kernel takes connections by itself.
    fn touched(&self) -> bool {
        self.0.iter().filter(|wire| wire.accept().is_ok()).count() > 0
    }
}

/// What became of the images of the event with this number.
fn images(relay: &Relay, number: u64) -> Vec<Value> {
    let shown = relay.run(&["events", "show", &format!("ev-{number}"), "--json"]);
    assert_eq!(shown.code(), 0, "{shown:?}");
    shown.json()["images"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// Pushes the addresses, as many to an event as are fetched, and waits until each was tried.
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
fn no_way_to_write_this_machines_address_reaches_it() {
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
fn a_tripwire_would_have_told() {
    let (wires, port) = Tripwires::laid();
    let relay = Relay::started(&Relay::config(""));
    let url = format!("http://127.0.0.1:{port}/picture.png");
    let event = Feedback::fault(1).with("images", json!([url]));
    assert_eq!(relay.push(&event).status, 200);
    wait_until("somebody connects", || wires.touched());
}

/// Here private addresses are allowed, and one host of them: what a redirect leads to is held to the list.
#[test]
fn no_redirect_leads_to_a_host_that_is_not_allowed() {
    let (wires, port) = Tripwires::laid();
    let hop = Receiver::answering("");
    let canonical = |host: &&&str| {
        // What reads as the allowed host itself.
        let url = url::Url::parse(&format!("http://{host}/"));
        url.is_ok_and(|url| url.host_str() != Some("127.0.0.1"))
    };
    let mut locations = Vec::new();
    for host in HOSTS.iter().filter(canonical) {
        // A header is ASCII; what a browser would send is what the address reads as.
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
        let refused = ["allow_hosts", "not https", "user name"];
        assert!(
            refused.iter().any(|why| reason.contains(why)),
            "{location}: {image}"
        );
    }
    assert_eq!(hop.received().len(), urls.len());
    assert!(!wires.touched());
}
