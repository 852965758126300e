//! Tests `kill -9` at random moments under load, also during startup, recovery, retention and
//! backup.
//!
//! Clients push as the platform does: until the answer is 200. Every event answered with 200 must
//! arrive everywhere. A repeated send must have been in flight at a kill, and has the same key. The
//! fake Feishu checks keys and shows no repeats.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use feedback_relay::model::ImageId;
use serde_json::{Value, json};

use crate::harness::{Feedback, Feishu, Receiver, Relay, Reply, wait_until};
use crate::parts::{
    alone, assert_whole, count, event_number, form, free_port, journal, open_deliveries, picture,
    push_to, say,
};

const PICTURES: u8 = 20;
/// The concurrent sends of one destination.
const CONCURRENCY: usize = 4;
/// The number of concurrent clients.
const LANES: u64 = 4;
/// The pause of a client between two pushes: some hundred events a second in all.
const PACE: Duration = Duration::from_millis(15);

fn config(port: u16, feishu: &Feishu, hook: &Receiver) -> String {
    let rest = format!(
        r#"{keys}
backfill = "off"
[destinations.hook]
kind = "webhook"
url = "{hook}"
concurrency = {CONCURRENCY}
[destinations.archive]
kind = "file"
path = "out.jsonl"
[destinations.room]
kind = "feishu-app"
app = "shop"
chat_id = "oc_room"
[[rules]]
name = "all"
send_to = ["hook", "archive"]
continue = true
[[rules]]
name = "to people"
match.type = "suggestion"
send_to = "room"
"#,
        keys = feishu.app_keys(),
        hook = hook.url("/hook"),
    );
    let config = Relay::config(&rest);
    // Retention has work at every start: see `age`.
    let top = "store.retain = \"3d\"\nimages.retain = \"365d\"\nimages.wait = \"300ms\"\n";
    format!(
        "{top}{}",
        config.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"))
    )
}

/// The state that all clients share.
struct Load<'a> {
    address: String,
    pictures: &'a Receiver,
    next: AtomicU64,
    done: AtomicBool,
}

impl Load<'_> {
    fn event(&self, number: u64) -> Feedback {
        let event = match number % 40 {
            0 => Feedback::suggestion(number),
            _ => Feedback::fault(number),
        };
        if !number.is_multiple_of(10) {
            return event;
        }
        let url = format!("/p/{}.", number / 10 % u64::from(PICTURES));
        event.with("images", json!([self.pictures.url(&url)]))
    }

    /// Pushes events one by one, each until it is accepted. Returns the numbers answered with 200.
    fn lane(&self) -> Vec<u64> {
        let mut taken = Vec::new();
        while !self.done.load(Ordering::SeqCst) {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let event = self.event(number);
            while !self.done.load(Ordering::SeqCst) {
                match push_to(&self.address, &event) {
                    Ok(answer) if answer.status == 200 => {
                        taken.push(number);
                        break;
                    }
                    Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                    Err(_killed) => {}
                }
                thread::sleep(PACE); // the platform resends later too
            }
            thread::sleep(PACE); // a moderate load
        }
        taken
    }
}

fn spawned(relay: &Relay) -> Child {
    relay
        .command(&["serve"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs")
}

/// Makes the text of delivered events older than `store.retain`, so that the next start removes it
/// during recovery. Each event is aged once, because otherwise the event itself would become too
/// old.
fn age(path: &Path) {
    journal(path)
        .execute(
            "UPDATE events SET received_at = received_at - 400000000
             WHERE received_at > (SELECT max(received_at) FROM events) - 200000000
               AND seq NOT IN
                   (SELECT event_seq FROM deliveries WHERE state IN ('pending', 'sending'))",
            [],
        )
        .expect("nobody else has it");
}

/// Runs the relay and ends it with `kill -9`: some runs before it listens, the others under load,
/// and every fifth during a backup.
fn life(relay: &Relay, address: &str, round: usize, chance: &mut fastrand::Rng) {
    let mut child = spawned(relay);
    let millis = match round % 3 {
        0 => chance.u64(0..120), // start-up: migration, recovery, first sweep
        _ => {
            wait_until("it listens", || TcpStream::connect(address).is_ok());
            chance.u64(20..500)
        }
    };
    thread::sleep(Duration::from_millis(millis)); // the random moment
    let mut backup = (round % 5 == 4).then(|| {
        let mut command = relay.command(&["backup", &format!("backup-{round}")]);
        let running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        thread::sleep(Duration::from_millis(chance.u64(0..60))); // some moment of the copy
        running.expect("the binary runs")
    });
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    if let Some(backup) = &mut backup {
        let copied = backup.wait().expect("it ends").success();
        if copied {
            assert_whole(&relay.path(&format!("backup-{round}/relay.db")));
        }
    }
}

fn told_of(body: &Value) -> u64 {
    event_number(body["data"]["event"]["id"].as_str().expect("an id"))
}

/// Returns the positions and keys of all copies, for each kind of message and event.
fn copies(hook: &Receiver) -> BTreeMap<(String, u64), Vec<(usize, String)>> {
    let mut copies: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (index, received) in hook.received().iter().enumerate() {
        let body = received.json();
        let kind = body["type"].as_str().expect("a type").to_owned();
        let key = received.header("webhook-id").expect("a key").to_owned();
        let of_event = copies.entry((kind, told_of(&body))).or_default();
        of_event.push((index, key));
    }
    copies
}

/// Checks every repeated copy and returns their number. `kills` has the number of received copies
/// at each kill.
fn doubles(copies: &BTreeMap<(String, u64), Vec<(usize, String)>>, kills: &[usize]) -> usize {
    let mut at_kill: BTreeMap<usize, usize> = BTreeMap::new();
    for (message, copies) in copies {
        let keys: BTreeSet<_> = copies.iter().map(|(_, key)| key).collect();
        assert_eq!(keys.len(), 1, "one key for all copies of {message:?}");
        for pair in copies.windows(2) {
            let (first, second) = (pair[0].0, pair[1].0);
            let kill = kills.partition_point(|&arrived| arrived <= first);
            let between = kills.get(kill).is_some_and(|&arrived| arrived <= second);
            assert!(between, "{message:?} came twice without a kill between");
            *at_kill.entry(kill).or_default() += 1;
        }
    }
    for (kill, doubled) in &at_kill {
        assert!(
            *doubled <= CONCURRENCY,
            "{doubled} doubles at kill {kill}, and {CONCURRENCY} sends at a time"
        );
    }
    at_kill.values().sum()
}

fn assert_pictures_whole(relay: &Relay) -> usize {
    let conn = journal(&relay.path("data/relay.db"));
    let mut query = conn
        .prepare("SELECT id FROM images WHERE state = 'kept'")
        .expect("a query");
    let ids = query.query_map([], |row| row.get::<_, String>(0));
    let ids: BTreeSet<String> = ids.expect("rows").map(|id| id.expect("an id")).collect();
    for id in &ids {
        let level: String = id.chars().take(2).collect();
        let path = relay.path(&format!("data/images/{level}/{id}"));
        let bytes = std::fs::read(&path).expect("a picture that the store speaks of");
        assert_eq!(ImageId::of(&bytes).as_str(), id, "{}", path.display());
    }
    ids.len()
}

fn file_numbers(relay: &Relay) -> BTreeSet<u64> {
    let text = relay.read("out.jsonl");
    let lines = text.lines().map(serde_json::from_str::<Value>);
    // A kill may cut a line; the line is repeated on a line of its own.
    lines
        .filter_map(Result::ok)
        .map(|line| told_of(&line))
        .collect()
}

#[test]
fn acknowledged_events_survive_every_kill() {
    let _alone = alone();
    let (feishu, hook) = (Feishu::with_chats(&["oc_room"]), Receiver::answering("{}"));
    let pictures = Receiver::answering("");
    for number in 0..PICTURES {
        let reply = Reply::bytes("image/png", &picture(number));
        pictures.on(&format!("/p/{number}."), reply);
    }
    let port = free_port();
    let mut relay = Relay::prepared(&config(port, &feishu, &hook));
    let rounds = form(12, 200);
    let mut chance = fastrand::Rng::with_seed(20_260_301);
    let load = Load {
        address: format!("127.0.0.1:{port}"),
        pictures: &pictures,
        next: AtomicU64::new(0),
        done: AtomicBool::new(false),
    };
    let mut kills = Vec::new();
    let taken: BTreeSet<u64> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(|| load.lane())).collect();
        for round in 0..rounds {
            life(&relay, &load.address, round, &mut chance);
            thread::sleep(Duration::from_millis(20)); // counts requests still in the sockets
            kills.push(hook.received().len());
            if round % 4 == 3 {
                age(&relay.path("data/relay.db"));
            }
        }
        relay.start();
        thread::sleep(Duration::from_millis(500)); // some load after the last start too
        load.done.store(true, Ordering::SeqCst);
        let taken = lanes.into_iter().map(|lane| lane.join().expect("no panic"));
        taken.flatten().collect()
    });
    assert!(taken.len() > rounds * 2, "{} taken: no load", taken.len());
    let conn = journal(&relay.path("data/relay.db"));
    wait_until("nothing is left to send", || open_deliveries(&conn) == 0);
    let fetching = "SELECT count(*) FROM image_jobs WHERE state = 'pending'";
    wait_until("pictures are kept", || count(&conn, fetching) == 0);
    wait_until("late pictures are told", || open_deliveries(&conn) == 0);
    assert_eq!(relay.stop().code(), Some(0));

    let copies = copies(&hook);
    let told = |kind: &str| -> BTreeSet<u64> {
        let of_kind = copies.keys().filter(|(k, _)| k == kind);
        of_kind.map(|(_, number)| *number).collect()
    };
    let hooked = told("feedback.created");
    assert!(taken.is_subset(&hooked), "lost on the way to the webhook");
    assert!(taken.is_subset(&file_numbers(&relay)), "lost for the file");
    assert_messages_once(&relay, &feishu, &taken);
    let doubled = doubles(&copies, &kills);
    assert_whole(&relay.path("data/relay.db"));
    let lost = "SELECT count(*) FROM image_jobs WHERE state <> 'kept'";
    assert_eq!(count(&conn, lost), 0, "a picture was lost");
    let kept = assert_pictures_whole(&relay);
    let swept = count(
        &conn,
        "SELECT (SELECT count(*) FROM events) - (SELECT count(*) FROM bodies)",
    );
    assert!(swept > 0, "retention had something to do");
    say(&format!(
        "kill -9: {rounds} times; {} events answered with 200, all at the webhook, the file and the chat; \
         {} messages at the webhook, {doubled} of them copies in flight at a kill, under the same key; \
         {kept} pictures whole; {swept} bodies swept",
        taken.len(),
        hook.received().len(),
    ));
}

/// Checks that the chat has each suggestion once, with its late image once, because the platform
/// detects repeats by key.
fn assert_messages_once(relay: &Relay, feishu: &Feishu, taken: &BTreeSet<u64>) {
    let held = feishu.messages("oc_room");
    let texts: Vec<String> = held.iter().map(|one| one.content.to_string()).collect();
    let conn = journal(&relay.path("data/relay.db"));
    for number in taken.iter().filter(|number| number.is_multiple_of(40)) {
        let words = format!("blank page number {number}\"");
        let copies = texts.iter().filter(|text| text.contains(&words)).count();
        assert!(
            (1..=2).contains(&copies),
            "event {number}: {copies} in the chat"
        );
    }
    let sent = "SELECT count(*) FROM deliveries WHERE destination = 'room' AND state = 'delivered'
                AND trigger IN ('event', 'late_images')";
    let sent = usize::try_from(count(&conn, sent)).expect("few");
    assert_eq!(
        held.len(),
        sent,
        "messages in the chat, and deliveries to it"
    );
}
