//! Tests of many idle connections: silent, half-open, or one byte a second. Other clients are still
//! served.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};
use crate::parts::{alone, form, quantile, say, to_hook};

const HEAD: &[u8] = b"POST /apps/shop/events HTTP/1.1\r\nHost: relay\r\nX-Lark-Request-Nonce: ";

/// How a connection wastes time.
#[derive(Clone, Copy)]
enum Kind {
    Idle,
    HalfOpen,
    ByteASecond,
}

struct Waiting {
    stream: TcpStream,
    kind: Kind,
    sent: usize,
}

impl Waiting {
    fn opened(address: &str, kind: Kind) -> Self {
        let mut stream = TcpStream::connect(address).expect("accepted");
        if matches!(kind, Kind::HalfOpen) {
            stream.write_all(HEAD).expect("it is read");
        }
        stream.set_nonblocking(true).expect("a socket");
        Self {
            stream,
            kind,
            sent: 0,
        }
    }

    /// Advances by one second. Returns whether the relay still keeps the connection.
    fn tick(&mut self) -> bool {
        if matches!(self.kind, Kind::ByteASecond) {
            let byte = HEAD.get(self.sent).copied().unwrap_or(b'x');
            self.sent += 1;
            if self.stream.write(&[byte]).is_err() {
                return false;
            }
        }
        let silent = self.stream.read(&mut [0; 512]);
        silent.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

fn kind(number: usize) -> Kind {
    match number % 3 {
        0 => Kind::Idle,
        1 => Kind::HalfOpen,
        _ => Kind::ByteASecond,
    }
}

/// Raises the limit on open files of this process to its maximum.
fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("up to its own maximum");
}

#[test]
fn two_thousand_idle_connections_delay_nobody() {
    const COUNT: usize = 2_000;
    let _alone = alone();
    raise_own_limit();
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&to_hook(&hook, ""));
    let address = relay.address().to_owned();
    let mut crowd: Vec<Waiting> = (0..COUNT)
        .map(|number| Waiting::opened(&address, kind(number)))
        .collect();
    let (mut times, mut replaced) = (Vec::new(), 0);
    for second in 0..form(5, 60) {
        for number in 0..20 {
            let asked = Instant::now();
            let event = Feedback::fault(second * 100 + number);
            assert_eq!(relay.push(&event).status, 200);
            times.push(asked.elapsed().as_secs_f64() * 1000.0);
            thread::sleep(Duration::from_millis(40)); // a steady low rate beside the idle connections
        }
        for waiting in &mut crowd {
            if !waiting.tick() {
                // Closed connections are reopened, so their number stays the same.
                *waiting = Waiting::opened(&address, waiting.kind);
                replaced += 1;
            }
        }
    }
    times.sort_by(f64::total_cmp);
    let (half, most) = (quantile(&times, 0.5), quantile(&times, 0.99));
    say(&format!(
        "crowd: {COUNT} idle, half-open and byte-a-second connections ({replaced} closed by the relay and opened \
         again): {} events accepted, ms p50 {half:.1}, p99 {most:.1}, max {:.1}",
        times.len(),
        times.last().expect("some")
    ));
    assert!(half < 100.0, "{half} ms");
    wait_until("all arrive", || hook.count() >= times.len());
}

#[test]
fn idle_connections_leave_file_descriptors_for_deliveries() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::prepared(&to_hook(&hook, ""));
    let command = "ulimit -n 150; exec \"$0\" \"$@\"";
    relay.launch_through(&["/bin/sh", "-c", command]);
    relay.start();
    assert!(relay.log().contains("open files"), "{}", relay.log());
    // An event accepted before the idle connections is delivered during them.
    hook.always(Reply::status(503));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    let address = relay.address().to_owned();
    let crowd: Vec<_> = (0..140)
        .map(|number| Waiting::opened(&address, kind(number)))
        .collect();
    hook.always(Reply::status(200));
    relay.wait_until_idle();
    assert_eq!(relay.deliveries()[0]["state"], "delivered");
    drop(crowd);
    wait_until("events are taken again", || {
        relay
            .try_push(&Feedback::fault(2))
            .is_ok_and(|a| a.status == 200)
    });
    assert!(!relay.log().contains("failed to accept"), "{}", relay.log());
}
