//! Tests of images with the real binary: hanging hosts, invalid responses, expensive files, many
//! readers, a proxy.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::evil::{self, Act};
use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};
use crate::main_path::png;

/// The largest memory of the relay, in a test build.
const MEMORY_MAX_KIB: u64 = 150 * 1024;

fn to_hook(hook: &Receiver, more: &str) -> String {
    Relay::config(&format!(
        "[destinations.hook]\nkind = \"webhook\"\nurl = \"{}\"\n{more}\
         [[rules]]\nname = \"all\"\nsend_to = \"hook\"\nwait = \"500ms\"\n",
        hook.url("/hook")
    ))
}

fn push(relay: &Relay, number: u64, urls: &[String]) {
    let event = Feedback::fault(number).with("images", json!(urls));
    assert_eq!(relay.push(&event).status, 200);
}

fn images(relay: &Relay, number: u64) -> Vec<Value> {
    let shown = relay.run(&["events", "show", &format!("ev-{number}"), "--json"]);
    let images = shown.json()["images"].as_array().cloned();
    images.unwrap_or_default()
}

fn is_kept(relay: &Relay, number: u64) -> bool {
    let images = images(relay, number);
    !images.is_empty() && images.iter().all(|image| image["state"] == "kept")
}

fn peak_kib(relay: &Relay) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.expect("a peak").trim().trim_end_matches(" kB");
    number.parse().expect("a number")
}

/// Forty images without an answer once took all workers, oldest deadline first.
#[test]
fn hanging_host_delays_no_other_image() {
    let host = evil::host(vec![("silent.png", Act::Silent)]);
    let (hook, pictures) = (Receiver::answering("{}"), Receiver::answering(""));
    pictures.always(Reply::bytes("image/png", &png()));
    // Limits ignore ports, so the other host needs another name.
    let config = to_hook(&hook, "").replace("[\"127.0.0.1\"]", "[\"127.0.0.1\", \"localhost\"]");
    let relay = Relay::started(&config);
    for number in 1..=2 {
        let urls = (0..20).map(|n| format!("http://{host}/silent.png?{n}"));
        push(&relay, number, &urls.collect::<Vec<_>>());
    }
    let good = pictures.url("/good.png").replace("127.0.0.1", "localhost");
    push(&relay, 3, &[good]);
    wait_until("the good picture is kept", || is_kept(&relay, 3));
    assert!(
        images(&relay, 1)
            .iter()
            .all(|image| image["state"] == "pending")
    );
}

#[test]
fn sign_in_page_is_retried_until_image_arrives() {
    let (hook, pictures) = (Receiver::answering("{}"), Receiver::answering(""));
    for odd in [
        Reply::bytes("text/html", b"<!doctype html><form>sign in</form>"),
        Reply::bytes("image/png", &png()[..40]),
        Reply::status(418),
    ] {
        pictures.next(odd);
    }
    pictures.always(Reply::bytes("image/png", &png()));
    let relay = Relay::started(&to_hook(&hook, ""));
    push(&relay, 1, &[pictures.url("/p.png")]);
    for count in 1..=4 {
        pictures.wait_for(count);
        wait_until("the answer was looked at", || {
            count == 4 || !images(&relay, 1)[0]["reason"].is_null()
        });
        // A reload makes waiting images due.
        relay.signal(Signal::HUP);
    }
    wait_until("it is kept", || is_kept(&relay, 1));
}

#[test]
fn refused_and_surplus_images_are_reported_without_wait() {
    let hook = Receiver::answering("{}");
    let rest = format!(
        "[destinations.room]\nkind = \"feishu-bot\"\nurl = \"{}\"\nlocale = \"en\"\n\
         [[rules]]\nname = \"all\"\nsend_to = \"room\"\nwait = \"1h\"\n",
        hook.url("/open-apis/bot/v2/hook/x")
    );
    hook.always(Reply::ok("{\"code\":0}"));
    let relay = Relay::started(&Relay::config(&rest));
    let urls: Vec<_> = (0..25)
        .map(|n| format!("https://elsewhere.example.com/{n}.png"))
        .collect();
    push(&relay, 1, &urls);
    let card = hook.wait_for(1)[0].text();
    assert!(
        card.contains("20 pictures on a host that is not allowed"),
        "{card}"
    );
    assert!(
        card.contains("5 pictures not fetched: only 20 per report"),
        "{card}"
    );
}

/// Returns a HEIF whose list of data locations is as long as the file.
fn many_items() -> Vec<u8> {
    let atom = |kind: &[u8], content: &[u8]| {
        let size = u32::try_from(content.len() + 8).expect("it is short");
        [&size.to_be_bytes(), kind, content].concat()
    };
    let handler = [&[0; 8][..], b"pict", &[0; 13]].concat();
    let item = [&[0; 6][..], &[0; 4], &[0, 0]].concat();
    let places = [
        &[2, 0, 0, 0, 0x44, 0x40][..],
        &800_000_u32.to_be_bytes(),
        &item.repeat(800_000),
    ]
    .concat();
    let meta = [
        vec![0; 4],
        atom(b"hdlr", &handler),
        atom(b"iinf", &[0; 6]),
        atom(b"iloc", &places),
    ]
    .concat();
    [atom(b"ftyp", b"heic\0\0\0\0mif1heic"), atom(b"meta", &meta)].concat()
}

/// Tests twelve files of about ten megabytes that consist only of parts, or are complete images.
#[test]
fn files_with_million_parts_use_little_memory() {
    let header = [&[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0][..]].concat();
    let chunks = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        evil::chunk(b"IHDR", &header),
        evil::chunk(b"IDAT", &[]).repeat(850_000),
        evil::chunk(b"IEND", &[]),
    ]
    .concat();
    let small = evil::gif(10, 10, 1);
    let data = small.len() - 4;
    let blocks = [&small[..data], &[1, 0].repeat(5_000_000), &small[data..]].concat();
    let start = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    let free = [&start[..], &b"\0\0\0\x08free".repeat(1_250_000)].concat();
    let mdat = [b"\0\0\x0c\xb8mdat".to_vec(), vec![7; 3248]].concat();
    let films = [&start[..], &mdat.repeat(3_100)].concat();
    // Complete images, whose stripped copies are as large.
    let whole = [bitmap(), many_items()];
    let files = [&[chunks, blocks, free, films][..], &whole].concat();
    assert!(
        files
            .iter()
            .all(|file| file.len() > 9_000_000 && file.len() < 10 << 20)
    );
    let (hook, one, two) = (
        Receiver::answering("{}"),
        Receiver::answering(""),
        Receiver::answering(""),
    );
    let mut urls = Vec::new();
    for (index, file) in files.iter().enumerate() {
        for host in [&one, &two] {
            let path = format!("/{index}");
            host.on(&path, Reply::bytes("image/png", file));
            urls.push(host.url(&path));
        }
    }
    two.on("/good", Reply::bytes("image/png", &png()));
    let relay = Relay::started(&to_hook(&hook, ""));
    push(&relay, 1, &urls);
    push(&relay, 2, &[two.url("/good")]);
    wait_until("the good picture is kept", || is_kept(&relay, 2));
    wait_until("each file was looked at", || {
        let images = images(&relay, 1);
        images
            .iter()
            .all(|image| image["state"] != "pending" || !image["reason"].is_null())
    });
    assert!(!relay.log().contains("lease_lost"));
    let peak = peak_kib(&relay);
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
}

/// Returns a bitmap of about ten megabytes.
fn bitmap() -> Vec<u8> {
    let side = 1_800_u32;
    let mut bytes = b"BM".to_vec();
    bytes.extend((54 + side * side * 3).to_le_bytes());
    bytes.extend([0; 4]);
    for field in [54, 40, side, side] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    bytes.resize(bytes.len() + (side * side * 3) as usize, 0x55);
    bytes
}

#[test]
fn sixty_readers_of_one_large_image_take_little_memory() {
    let (hook, pictures) = (Receiver::answering("{}"), Receiver::answering(""));
    let picture = bitmap();
    pictures.always(Reply::bytes("image/bmp", &picture));
    let public = "server.public_url = \"https://relay.example.com\"\n";
    let config = to_hook(&hook, "").replace("wait = \"500ms\"", "wait = \"1h\"");
    let relay = Relay::started(&format!("{public}{config}"));
    push(&relay, 1, &[pictures.url("/large.bmp")]);
    let body = hook.wait_for(1)[0].json();
    let link = &body["data"]["feedback"]["images"][0]["link"];
    let link = link.as_str().expect("a link");
    let path = link
        .strip_prefix("https://relay.example.com")
        .expect("ours");
    let open = || {
        let mut reader = TcpStream::connect(relay.address()).expect("it listens");
        write!(
            reader,
            "GET {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n"
        )
        .expect("it reads");
        let mut first = [0; 64];
        reader.read_exact(&mut first).expect("it answers");
        (reader, first)
    };
    let mut readers: Vec<_> = (0..60).map(|_| open()).collect();
    let peak = peak_kib(&relay);
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
    let (mut reader, first) = readers.swap_remove(0);
    let mut whole = first.to_vec();
    reader.read_to_end(&mut whole).expect("it is sent");
    assert!(whole.starts_with(b"HTTP/1.1 200"));
    assert!(whole.ends_with(&picture[54..]));
}

/// These names cannot be resolved here, so every request came through the proxy.
#[test]
fn one_proxy_serves_images_and_messages() {
    let proxy = Receiver::answering("{}");
    let address = "http://pictures.example/p.png";
    proxy.on(address, Reply::bytes("image/png", &png()));
    let hook = "[destinations.hook]\nkind = \"webhook\"\nurl = \"http://hook.example/in\"\n\
                [[rules]]\nname = \"all\"\nsend_to = \"hook\"\nwait = \"1h\"\n";
    let config = Relay::config(hook).replace("\"127.0.0.1\"]", "\"pictures.example\"]");
    let by_key = format!("network.proxy = \"{}\"\n{config}", proxy.url(""));
    let relay = Relay::started(&by_key);
    push(&relay, 1, &[address.to_owned()]);
    wait_until("the picture is kept", || is_kept(&relay, 1));
    let paths = |proxy: &Receiver| {
        let received = proxy.received();
        received
            .iter()
            .map(|one| one.path.clone())
            .collect::<Vec<_>>()
    };
    wait_until("both came by it", || {
        let paths = paths(&proxy);
        paths.iter().any(|path| path.ends_with("/p.png"))
            && paths.iter().any(|path| path.ends_with("/in"))
    });

    let mut by_variable = Relay::prepared(&config);
    by_variable.set("HTTP_PROXY", &proxy.url(""));
    by_variable.start();
    push(&by_variable, 2, &[address.to_owned()]);
    wait_until("the picture is kept", || is_kept(&by_variable, 2));
}
