//! Tests of the metrics: their names, their start at zero, their removal, and their values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::{Exposition, Family, Feedback, Receiver, Relay, Reply, post, wait_until};
use crate::main_path::{png, to_hook};

/// Starts a relay that has every metric. Nothing answers its long connection.
pub fn with_everything() -> Relay {
    Relay::started(&Relay::config(
        "[apps.chat]\napp_id = \"cli_0f5343c580712544\"\nreceive = \"websocket\"\n\
         app_secret = \"a-secret-of-a-test\"\nbase_url = \"http://127.0.0.1:9\"\n\
         [destinations.archive]\nkind = \"file\"\npath = \"out.jsonl\"\n\
         [[rules]]\nname = \"all\"\nsend_to = \"archive\"\n",
    ))
}

/// Returns a configuration with one webhook, and a rule that matches only faults.
fn faults_to(hook: &Receiver) -> String {
    to_hook(hook, "").replace(
        "name = \"all\"",
        "name = \"faults\"\nmatch = { type = \"fault\" }",
    )
}

/// Returns the metric's row in `docs/metrics.md`.
fn row(name: &str, family: &Family) -> String {
    let labels = family.labels.keys().filter(|label| *label != "le");
    let label = |label: &String| match family.words(label) {
        None => format!("`{label}`"),
        Some(words) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            format!("`{label}`: {}", words.join(", "))
        }
    };
    let labels: Vec<String> = labels.map(label).collect();
    let (kind, help) = (&family.kind, &family.help);
    format!("| `{name}` | {kind} | {} | {help} |", labels.join("; "))
}

#[test]
fn reference_lists_exactly_the_metrics() {
    let there = Exposition::of(&with_everything()).families;
    let there: BTreeSet<String> = there.iter().map(|(name, one)| row(name, one)).collect();
    let reference = include_str!("../../docs/metrics.md");
    let told = reference
        .lines()
        .filter(|line| line.starts_with("| `feedback_relay_"));
    let told: BTreeSet<String> = told.map(str::to_owned).collect();
    let missing: Vec<_> = there.difference(&told).cloned().collect();
    let wrong: Vec<_> = told.difference(&there).cloned().collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "docs/metrics.md lacks\n{}\nand has\n{}",
        missing.join("\n"),
        wrong.join("\n")
    );
}

#[test]
fn names_follow_prometheus_conventions() {
    let there = Exposition::of(&with_everything()).families;
    assert!(there.len() > 30, "{there:?}");
    for (name, family) in &there {
        let of_signs = |sign: char| sign.is_ascii_lowercase() || sign == '_';
        assert!(
            name.starts_with("feedback_relay_") && name.chars().all(of_signs),
            "{name}"
        );
        assert!(!name.contains("__") && !name.ends_with('_'), "{name}");
        assert!(
            family.help.len() > 10 && family.help.ends_with('.'),
            "{name}"
        );
        assert!(
            !family.help.ends_with("..") && !family.samples.is_empty(),
            "{name}"
        );
        assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name}");
        let words: Vec<&str> = name.split('_').collect();
        for other_unit in [
            "ms",
            "milliseconds",
            "minutes",
            "hours",
            "days",
            "kb",
            "mib",
            "percent",
        ] {
            assert!(!words.contains(&other_unit), "{name}");
        }
        // Times and durations have their unit in the name.
        let of_time = [
            "timestamp",
            "oldest",
            "pause",
            "nearest",
            "accept",
            "delivery",
        ];
        if of_time.iter().any(|word| words.contains(word)) || family.kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}");
        }
        if name.ends_with("_info") {
            assert!(family.samples.values().all(|value| *value == 1.0), "{name}");
        }
        for label in family.labels.keys() {
            assert!(label.chars().all(of_signs), "{name}: {label}");
        }
    }
}

#[test]
fn every_series_exists_from_the_start() {
    let hook = Receiver::answering("{}");
    let pictures = Receiver::answering("");
    pictures.always(Reply::bytes("image/png", &png()));
    let relay = Relay::started(&faults_to(&hook));
    let before = Exposition::of(&relay);
    for (sample, value) in before.samples() {
        let not_zero = sample.contains("_timestamp_seconds") || sample.contains("_info{");
        let not_zero = not_zero
            || sample == "feedback_relay_store_up"
            || sample == "feedback_relay_store_in_place";
        let nothing_waits = sample == "feedback_relay_image_deadline_nearest_seconds";
        assert!(
            value == 0.0 || not_zero || (nothing_waits && value.is_nan()),
            "{sample} {value}"
        );
    }

    // One request of each kind, and a destination with failures.
    hook.next(Reply::status(500));
    let with_picture = Feedback::fault(1).with("images", json!([pictures.url("/p.png")]));
    assert_eq!(relay.push(&with_picture).status, 200);
    assert_eq!(relay.push(&with_picture).status, 200);
    assert_eq!(relay.push(&Feedback::suggestion(2)).status, 200);
    let other_kind = Feedback::fault(3).with_header("event_type", json!("im.message.receive_v1"));
    assert_eq!(relay.push(&other_kind).status, 200);
    let mut unreadable = Feedback::fault(4);
    unreadable.envelope["event"] = json!(["no object"]);
    assert_eq!(relay.push(&unreadable).status, 200);
    let form = [("content-type", "application/json")];
    let forged = post(
        relay.address(),
        "/apps/shop/events",
        &form,
        b"{\"encrypt\":\"AAAA\"}",
    );
    assert_eq!(forged.status, 401);
    let strange = post(relay.address(), "/apps/nobody/events", &form, b"{}");
    assert_eq!(strange.status, 404);
    relay.wait_until_idle();
    hook.always(Reply::status(410));
    assert_eq!(relay.push(&Feedback::fault(5)).status, 200);
    let stopped = "feedback_relay_destination_stopped{destination=\"hook\"}";
    let noticed = "feedback_relay_notices_total{kind=\"destination_stopped\"}";
    wait_until("it is stopped, and the operator is notified", || {
        let now = Exposition::of(&relay);
        now.value(stopped) == 1.0 && now.value(noticed) == 1.0
    });

    let after = Exposition::of(&relay);
    let names = |samples: &Exposition| -> Vec<String> {
        samples
            .samples()
            .keys()
            .map(|name| (*name).to_owned())
            .collect()
    };
    assert_eq!(names(&after), names(&before), "all were there");
    assert_counts(&after);
}

fn assert_counts(after: &Exposition) {
    for (sample, value) in [
        ("events_total{app=\"shop\",state=\"routed\"}", 2.0),
        ("events_total{app=\"shop\",state=\"unrouted\"}", 1.0),
        ("events_total{app=\"shop\",state=\"ignored\"}", 1.0),
        ("events_total{app=\"shop\",state=\"unreadable\"}", 1.0),
        ("repeats_total{app=\"shop\"}", 1.0),
        (
            "refused_total{app=\"shop\",reason=\"missing_signature\"}",
            1.0,
        ),
        ("refused_total{app=\"\",reason=\"no_such_app\"}", 1.0),
        ("rule_events_total{rule=\"faults\"}", 2.0),
        ("planned_deliveries_total{rule=\"faults\"}", 2.0),
        (
            "attempts_total{destination=\"hook\",outcome=\"retry\"}",
            1.0,
        ),
        (
            "attempts_total{destination=\"hook\",outcome=\"delivered\"}",
            1.0,
        ),
        ("attempts_total{destination=\"hook\",outcome=\"stop\"}", 1.0),
        (
            "deliveries_total{destination=\"hook\",outcome=\"delivered\"}",
            1.0,
        ),
        ("delivery_seconds_count{destination=\"hook\"}", 1.0),
        ("accept_seconds_count", 5.0),
        ("queue{destination=\"hook\",state=\"pending\"}", 1.0),
        ("images_total{result=\"kept\"}", 1.0),
        ("notices_total{kind=\"destination_stopped\"}", 1.0),
        ("notices_total{kind=\"event_unreadable\"}", 1.0),
        ("store_up", 1.0),
    ] {
        assert_eq!(
            after.value(&format!("feedback_relay_{sample}")),
            value,
            "{sample}"
        );
    }
    let started = after.value("feedback_relay_start_timestamp_seconds");
    let last = after.value("feedback_relay_last_event_timestamp_seconds{app=\"shop\"}");
    assert!(started > 1.7e9 && last >= started, "{started} {last}");
    assert!(after.value("feedback_relay_queue_oldest_seconds{destination=\"hook\"}") > 0.0);
}

#[test]
fn series_of_removed_names_disappear() {
    let hook = Receiver::answering("{}");
    let old = faults_to(&hook);
    let relay = Relay::started(&old);
    // Longer than a reload takes on a busy machine.
    hook.always(Reply::After(Duration::from_secs(5)));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    let new = old
        .replace("[apps.shop]", "[apps.store]")
        .replace(
            "[destinations.hook]",
            "[destinations.place]\nwas = \"hook\"",
        )
        .replace("send_to = \"hook\"", "send_to = \"place\"")
        .replace("name = \"faults\"", "name = \"bugs\"");
    relay.write("relay.toml", &new);
    relay.signal(Signal::HUP);
    relay.wait_for_log("configuration reloaded");
    let names = |name: &str, exposition: &Exposition| -> BTreeMap<String, f64> {
        let samples = exposition.samples().into_iter();
        let of_name = samples.filter(|(sample, _)| sample.contains(&format!("=\"{name}\"")));
        of_name
            .map(|(sample, value)| (sample.to_owned(), value))
            .collect()
    };
    let ended = "feedback_relay_deliveries_total{destination=\"\",outcome=\"dead\"}";
    let delivered = "feedback_relay_deliveries_total{destination=\"\",outcome=\"delivered\"}";
    wait_until("what was under way has ended", || {
        let samples = Exposition::of(&relay);
        let samples = samples.samples();
        [ended, delivered]
            .iter()
            .any(|one| samples.contains_key(one))
    });
    let after = Exposition::of(&relay);
    for gone in ["shop", "hook", "faults"] {
        assert_eq!(names(gone, &after), BTreeMap::new());
    }
    for came in ["store", "place", "bugs"] {
        let came = names(came, &after);
        assert!(
            !came.is_empty() && came.values().all(|value| *value == 0.0),
            "{came:?}"
        );
    }
}

#[test]
fn metrics_show_configuration_hash_and_refused_reload() {
    let hook = Receiver::answering("{}");
    let config = faults_to(&hook);
    let relay = Relay::started(&config);
    let in_force = |text: &str| {
        let mut hash = feedback_relay::model::hex(&Sha256::digest(text.as_bytes()));
        hash.truncate(12);
        let sample = format!("feedback_relay_configuration_info{{hash=\"{hash}\"}}");
        let there = Exposition::of(&relay);
        assert_eq!(
            there.families["feedback_relay_configuration_info"]
                .samples
                .len(),
            1
        );
        assert_eq!(there.value(&sample), 1.0);
        there
    };
    assert_eq!(
        in_force(&config).value("feedback_relay_reload_refused"),
        0.0
    );
    let reload = |text: &str, result: &str, times: f64| {
        relay.write("relay.toml", text);
        relay.signal(Signal::HUP);
        let sample = format!("feedback_relay_reloads_total{{result=\"{result}\"}}");
        wait_until(result, || Exposition::of(&relay).value(&sample) == times);
    };
    let other = format!("# another\n{config}");
    reload(&other, "ok", 1.0);
    assert_eq!(in_force(&other).value("feedback_relay_reload_refused"), 0.0);
    reload("[apps.shop", "refused", 1.0);
    assert_eq!(in_force(&other).value("feedback_relay_reload_refused"), 1.0);
    reload(&config, "ok", 2.0);
    assert_eq!(
        in_force(&config).value("feedback_relay_reload_refused"),
        0.0
    );
}
