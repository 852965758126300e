//! Tests with invalid and oversized images: memory and time stay bounded, and alerts do not wait.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::evil::{self, Act};
use crate::harness::{Feedback, Receiver, Relay, Slack, wait_until};

/// The largest memory of the relay, in a test build. It covers eight downloads of 10 MiB, two
/// conversions of 64 MiB images, and the working memory of both.
const MEMORY_MAX_KIB: u64 = 400 * 1024;
/// The largest processor time, in hundredths of a second.
const CPU_TICKS_MAX: u64 = 6000;

/// A name, the host's behaviour under it, and the image's result.
type Case = (&'static str, Act, &'static str);

fn acts() -> Vec<Case> {
    [too_much(), no_pictures(), hosts()].concat()
}

/// Images that expand enormously, or claim to.
fn too_much() -> Vec<Case> {
    let bomb = evil::png(8000, 8000, true);
    assert!(bomb.len() < 200 * 1024, "{}", bomb.len());
    vec![
        ("bomb.png", Act::Body(bomb), "kept"),
        (
            "wide.png",
            Act::Body(evil::png(50_000, 50_000, false)),
            "lost",
        ),
        ("flat.png", Act::Body(evil::png(12_001, 1, false)), "lost"),
        ("wide.gif", Act::Body(evil::gif(65_535, 65_535, 1)), "lost"),
        (
            "frames.gif",
            Act::Body(evil::gif(4000, 4000, 100_000)),
            "kept",
        ),
        ("wide.webp", Act::Body(evil::webp(16_384, 16_384)), "lost"),
        ("bomb.webp", Act::Body(evil::webp(8000, 8000)), "kept"),
        ("bomb2.webp", Act::Body(evil::webp(7999, 8000)), "kept"),
        ("bomb3.webp", Act::Body(evil::webp(8000, 7999)), "kept"),
        (
            "frames.webp",
            Act::Body(evil::animated_webp(4000, 20_000)),
            "kept",
        ),
        ("small.webp", Act::Body(evil::webp(64, 64)), "kept"),
        ("bomb.bmp", Act::Body(evil::bmp(8000)), "either"),
    ]
}

/// Files that are no image, or more than an image.
fn no_pictures() -> Vec<Case> {
    let text = |text: &str| Act::Body(text.as_bytes().to_vec());
    let jpeg = evil::jpeg();
    let with_zip = [&jpeg[..], b"PK\x03\x04HIDDEN", &[0; 40], b"PK\x05\x06"].concat();
    let js = b"GIF89a/*\x01\x00\x00\x00\x00*/=1;alert(document.domain)//;".to_vec();
    let pdf_jpeg = [b"%PDF-1.4\n".as_slice(), &jpeg].concat();
    let cut = jpeg[..jpeg.len() / 3].to_vec();
    let laughs = "<!ENTITY a \"&b;&b;&b;\">".repeat(2000);
    vec![
        (
            "image.svg",
            text("<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>"),
            "refused",
        ),
        ("laughs.svg", text(&laughs), "refused"),
        ("js.gif", Act::Body(js), "refused"),
        ("zip.jpg", Act::Body(with_zip), "kept"),
        ("pdf.jpg", Act::Body(pdf_jpeg), "refused"),
        ("cut.jpg", Act::Body(cut), "refused"),
        (
            "page.html",
            text("<!doctype html><script>alert(1)</script>"),
            "refused",
        ),
        ("program.png", text("\u{7f}ELF\u{2}\u{1}\u{1}"), "refused"),
        ("zip.png", text("PK\u{3}\u{4}"), "refused"),
        ("nothing.png", Act::Body(Vec::new()), "refused"),
    ]
}

/// Hosts that never end a response, or never begin one.
fn hosts() -> Vec<Case> {
    vec![
        (
            "endless.png",
            Act::Endless("HTTP/1.1 200 OK\r\n\r\n\u{89}PNG"),
            "pending",
        ),
        (
            "chunks.png",
            Act::Endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n"),
            "pending",
        ),
        (
            "promise.png",
            Act::Raw("HTTP/1.1 200 OK\r\nContent-Length: 109951162777600\r\n\r\nx"),
            "pending",
        ),
        (
            "loop.png",
            Act::Raw("HTTP/1.1 302 F\r\nLocation: /loop.png\r\nContent-Length: 0\r\n\r\n"),
            "pending",
        ),
        (
            "headers.png",
            Act::Endless("HTTP/1.1 200 OK\r\nX-Endless: "),
            "pending",
        ),
        (
            "chunk.png",
            Act::Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
            "pending",
        ),
        ("noise.png", Act::Raw("SSH-2.0-nothing\r\n"), "pending"),
        ("slow.png", Act::Drip, "pending"),
        ("slower.png", Act::Drip, "pending"),
        ("silent.png", Act::Silent, "pending"),
    ]
}

/// Returns the stored image of this event.
fn image(relay: &Relay, number: usize) -> Value {
    let shown = relay.run(&["events", "show", &format!("ev-{number}"), "--json"]);
    shown.json()["images"][0].clone()
}

/// Returns whether the content was checked and refused. The address is then fetched again later.
fn refused(image: &Value) -> bool {
    let reason = image["reason"].as_str().unwrap_or_default();
    image["state"] == "pending" && reason.starts_with("not an acceptable image")
}

fn peak_kib(relay: &Relay) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.pid())).expect("it runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number")
}

fn cpu_ticks(relay: &Relay) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", relay.pid())).expect("it runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    // The fields from the state on: user time is the 12th, system time the 13th.
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |index: usize| -> u64 { fields[index].parse().expect("a number") };
    number(11) + number(12)
}

#[test]
fn hostile_images_do_not_delay_alerts() {
    let acts = acts();
    let host = evil::host(
        acts.iter()
            .map(|(name, act, _)| (*name, act.clone()))
            .collect(),
    );
    let (slack, hook) = (Slack::started(), Receiver::answering("{}"));
    let rest = format!(
        "{}[destinations.hook]\nkind = \"webhook\"\nurl = \"{}\"\n\
         [[rules]]\nname = \"all\"\nsend_to = [\"hook\", \"product\"]\nwait = \"500ms\"\n\
         group_by = []\n",
        slack.destination(),
        hook.url("/")
    );
    let relay = Relay::started(&Relay::config(&rest));
    let started = Instant::now();
    for (number, (name, _, _)) in (1..).zip(&acts) {
        let url = format!("http://{host}/{name}");
        let event = Feedback::fault(number).with("images", json!([url]));
        assert_eq!(relay.push(&event).status, 200);
    }
    let alerts = |received: &[crate::harness::Received]| {
        let of = |r: &&crate::harness::Received| r.json()["type"] == "feedback.created";
        received.iter().filter(of).count()
    };
    wait_until("every alert", || alerts(&hook.received()) == acts.len());
    // The wait is half a second; the rest allows for a busy machine.
    assert!(started.elapsed().as_secs() < 15, "{:?}", started.elapsed());

    wait_until("every picture is settled that can be", || {
        (1..).zip(&acts).all(|(number, (_, _, wanted))| {
            let image = image(&relay, number);
            let state = image["state"].as_str().unwrap_or_default();
            let is_refused = *wanted == "refused" && refused(&image);
            *wanted == "pending" || is_refused || state == "kept" || state == "lost"
        })
    });
    for (number, (name, _, wanted)) in (1..).zip(&acts) {
        let image = image(&relay, number);
        let state = image["state"].as_str().unwrap_or_default();
        assert!(
            state == *wanted
                || *wanted == "either"
                || (*wanted == "pending" && state != "kept")
                || (*wanted == "refused" && refused(&image)),
            "{name}: {image}"
        );
        if *name == "zip.jpg" {
            let id = image["id"].as_str().expect("an id");
            let kept = walk(&relay.path("data/images"))
                .into_iter()
                .find(|path| path.contains(id));
            let bytes = std::fs::read(kept.expect("it is there")).expect("readable");
            assert!(!bytes.windows(6).any(|part| part == b"HIDDEN"));
        }
    }
    // By now the relay has tried to convert the images that Slack cannot show.
    wait_until("Slack is told of the last", || {
        slack
            .messages()
            .iter()
            .any(|one| one.text.contains("blank page number 32"))
    });
    assert_eq!(relay.get("/readyz").status, 200);
    let (memory, cpu) = (peak_kib(&relay), cpu_ticks(&relay));
    assert!(memory < MEMORY_MAX_KIB, "{memory} KiB");
    assert!(cpu < CPU_TICKS_MAX, "{cpu} ticks");
}

/// Returns all files below a folder.
fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    files
}
