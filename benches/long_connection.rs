//! Measures the time from the push of an event over the long connection to its acknowledgement, which
//! follows durable storage. The real program runs on this machine's disk. The fake Feishu pushes at a
//! steady rate.
//!
//! ```sh
//! cargo bench --bench long_connection            # 300 events a second for 20 s
//! cargo bench --bench long_connection -- 1000 5  # a thousand for 5 s
//! ```

#![expect(clippy::print_stdout, reason = "prints results for people")]

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use feedback_relay::demo::FakeFeishu;
use feedback_relay::demo::feishu::FakeApp;
use serde_json::json;
use tokio::time::{Instant, interval, sleep, timeout};

const APP_ID: &str = "cli_9f5343c580712544";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|one| one == "--bench") {
        return Ok(()); // run as a test
    }
    let mut numbers = arguments.iter().filter_map(|one| one.parse::<u32>().ok());
    let rate = numbers.next().unwrap_or(300).max(1);
    let seconds = numbers.next().unwrap_or(20).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(measure(rate, seconds))
}

async fn measure(rate: u32, seconds: u32) -> Result<(), Box<dyn Error>> {
    let app = FakeApp {
        app_id: APP_ID.into(),
        app_secret: "secret".into(),
    };
    let feishu = FakeFeishu::start(vec![app]).await?;
    // The folder is beside the program because a memory file system would have no real fsync.
    let folder = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut relay = serve(folder.path(), &feishu.url())?;
    let measured = timeout(Duration::from_secs(60 + u64::from(seconds)), async {
        while feishu.connections() == 0 {
            sleep(Duration::from_millis(20)).await;
        }
        push(&feishu, rate, seconds).await;
    });
    let in_time = measured.await;
    relay.kill()?;
    relay.wait()?;
    report(&feishu, rate);
    in_time?;
    Ok(())
}

fn serve(folder: &Path, base_url: &str) -> Result<Child, Box<dyn Error>> {
    let config = format!(
        r#"
server.listen = "127.0.0.1:0"
log.level = "error"
[apps.shop]
app_id = "{APP_ID}"
receive = "websocket"
app_secret = "secret"
base_url = "{base_url}"
[destinations.archive]
kind = "file"
path = "out.jsonl"
[[rules]]
name = "all"
send_to = "archive"
group_by = []
"#
    );
    std::fs::write(folder.join("relay.toml"), config)?;
    let relay = Command::new(env!("CARGO_BIN_EXE_feedback-relay"))
        .current_dir(folder)
        .env_clear()
        .arg("serve")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(relay)
}

/// Pushes at a steady rate, and waits until every event is acknowledged.
async fn push(feishu: &FakeFeishu, rate: u32, seconds: u32) {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    let started = Instant::now();
    for number in 0..rate * seconds {
        ticks.tick().await;
        let event = json!({
            "schema": "2.0",
            "header": {
                "event_id": format!("bench-{number}"),
                "event_type": "application.application.feedback.created_v6",
                "create_time": "1795000000288", "token": "", "app_id": APP_ID, "tenant_key": "tk",
            },
            "event": {
                "user_id": {"open_id": "ou_bench"}, "app_id": APP_ID, "feedback_type": 1, "fault_type": [2],
                "source": 1, "description": "a blank page after the order was sent",
                "feedback_id": format!("bench-{number}"), "feedback_path": "pages/order/detail",
            },
        });
        feishu.push(APP_ID, &event);
    }
    println!("pushed in {:.1} s", started.elapsed().as_secs_f64());
    let unacknowledged = || {
        feishu
            .pushed()
            .iter()
            .filter(|one| one.acks.is_empty())
            .count()
    };
    while unacknowledged() > 0 {
        sleep(Duration::from_millis(50)).await;
    }
}

fn report(feishu: &FakeFeishu, rate: u32) {
    let pushed = feishu.pushed();
    let acks = pushed.iter().flat_map(|one| &one.acks);
    let good = acks
        .clone()
        .filter(|ack| ack.code == 200 && ack.faithful)
        .count();
    let mut took: Vec<Duration> = acks.map(|ack| ack.took).collect();
    took.sort_unstable();
    let at = |share: usize| took.get((took.len() * share / 1000).min(took.len().saturating_sub(1)));
    let ms = |share| at(share).map_or(f64::NAN, |took| took.as_secs_f64() * 1000.0);
    println!(
        "{} pushed at {rate}/s, {good} acknowledged with 200",
        pushed.len()
    );
    println!(
        "push to acknowledgement: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, most {:.1} ms",
        ms(500),
        ms(900),
        ms(990),
        ms(999),
        ms(1000)
    );
}
