//! Tests that every class of response gives the right outcome: one event to a destination for each
//! class, with the real binary.
//!
//! The platforms' response bodies have their own tables beside each kind's code; here are only the
//! classes.

use std::collections::BTreeMap;
use std::net::TcpListener;

use serde_json::Value;

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};

/// The expected outcome of the first attempt, and the state of the delivery after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Delivered,
    /// The response was lost: retried with the same key.
    Ambiguous,
    Retry,
    /// The whole destination pauses.
    SlowDown,
    /// Resent at once in a plainer form.
    Degrade,
    /// The delivery is dead.
    Rejected,
    /// Refused for an unknown reason: resent at once in a plainer form; in the plainest form,
    /// retried.
    Unknown,
    /// The whole destination is stopped, and the delivery waits.
    Stop,
}

impl Then {
    fn outcome(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Ambiguous => "ambiguous",
            Self::Retry => "retry",
            Self::SlowDown => "slow_down",
            Self::Degrade => "degrade",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Stop => "stop",
        }
    }

    /// Returns the expected state. A refused form ends dead in the plainest form; the others keep
    /// their state.
    fn state(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Ambiguous | Self::Retry | Self::SlowDown | Self::Unknown | Self::Stop => {
                "pending"
            }
            Self::Degrade | Self::Rejected => "dead",
        }
    }
}

struct Case {
    kind: &'static str,
    reply: Reply,
    then: Then,
}

fn case(kind: &'static str, reply: Reply, then: Then) -> Case {
    Case { kind, reply, then }
}

/// Returns the cases decided by the status alone. A webhook has one form, so a refusal is final;
/// the others try plainer forms.
fn by_status() -> Vec<Case> {
    use Then::*;
    let table: [(&[u16], Then); 8] = [
        (&[200, 201, 202, 204, 409], Delivered),
        (&[301, 302, 307, 308], Retry),
        (&[413, 415, 422], Rejected),
        (&[401, 403, 407, 410], Stop),
        (&[402, 404, 405, 406, 408, 421, 425], Retry),
        (&[423, 429], SlowDown),
        (&[500, 501, 502, 503, 504, 505, 507, 520, 524], Retry),
        (&[418, 451], Retry),
    ];
    let mut cases = Vec::new();
    for (statuses, then) in table {
        for status in statuses {
            cases.push(case("webhook", Reply::status(*status), then));
        }
    }
    let with = |status, name: &str, value: &str| {
        Reply::Answer(status, vec![(name.into(), value.into())], b"{}".to_vec())
    };
    cases.extend([
        case("webhook", with(429, "Retry-After", "120"), SlowDown),
        case(
            "webhook",
            with(429, "Retry-After", "Fri, 31 Dec 2027 23:59:59 GMT"),
            SlowDown,
        ),
        case("webhook", with(503, "Retry-After", "120"), SlowDown),
        case(
            "webhook",
            with(302, "Location", "https://elsewhere.example/secret"),
            Retry,
        ),
        case("webhook", Reply::Answer(400, Vec::new(), Vec::new()), Retry),
        // It may be the receiver's own refusal, or that of something in front of it.
        case(
            "webhook",
            with(400, "Content-Type", "application/json"),
            Unknown,
        ),
        case(
            "webhook",
            Reply::Answer(400, Vec::new(), b"<html>".to_vec()),
            Retry,
        ),
    ]);
    cases
}

/// Returns the cases of lost, broken or foreign responses.
fn without_words() -> Vec<Case> {
    use Then::*;
    let page = Reply::bytes(
        "text/html",
        b"<html><body>Welcome to our proxy</body></html>",
    );
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"co".to_vec();
    vec![
        case("webhook", Reply::Hang, Ambiguous),
        case("feishu-bot", Reply::Hang, Ambiguous),
        case("feishu-bot", Reply::Cut(cut.clone()), Ambiguous),
        case("slack-webhook", Reply::Cut(cut.clone()), Ambiguous),
        case("webhook", page.clone(), Delivered),
        case("webhook", Reply::Cut(cut), Delivered),
        case("feishu-bot", page.clone(), Retry),
        case("slack-webhook", page, Retry),
        case("feishu-bot", Reply::ok(""), Ambiguous),
    ]
}

/// Returns the cases decided by the body of a 200, and the statuses of fixed addresses.
fn by_body() -> Vec<Case> {
    use Then::*;
    let feishu = |code: i64| Reply::ok(&format!(r#"{{"code":{code},"msg":"Xiaoming"}}"#));
    let slack = |status, word: &str| Reply::Answer(status, Vec::new(), word.as_bytes().to_vec());
    let mut cases = vec![
        case("feishu-bot", feishu(0), Delivered),
        case("feishu-bot", feishu(11232), SlowDown),
        case("feishu-bot", feishu(99_991_400), SlowDown),
        case("feishu-bot", feishu(11246), Degrade),
        case("feishu-bot", feishu(9499), Unknown),
        case(
            "feishu-bot",
            Reply::Answer(
                400,
                Vec::new(),
                br#"{"code":9499,"msg":"too many request"}"#.to_vec(),
            ),
            SlowDown,
        ),
        case(
            "feishu-bot",
            Reply::ok(r#"{"code":9499,"msg":"Bad Request"}"#),
            Degrade,
        ),
        case("feishu-bot", feishu(230_101), Retry),
        case("feishu-bot", feishu(19001), Stop),
        case("feishu-bot", feishu(19021), Stop),
        case("feishu-bot", feishu(19022), Stop),
        case("feishu-bot", feishu(19024), Stop),
        case("feishu-bot", feishu(230_022), Rejected),
        case("feishu-bot", feishu(2200), Retry),
        case("feishu-bot", feishu(77_777), Unknown),
        case("slack-webhook", slack(200, "ok"), Delivered),
        case("slack-webhook", slack(200, "invalid_blocks"), Degrade),
        case("slack-webhook", slack(400, "invalid_payload"), Degrade),
        case("slack-webhook", slack(403, "action_prohibited"), Stop),
        case("slack-webhook", slack(404, "no_service"), Stop),
        case("slack-webhook", slack(410, "channel_is_archived"), Stop),
        case("slack-webhook", slack(429, "ratelimited"), SlowDown),
        case("slack-webhook", slack(200, "rate_limited"), SlowDown),
        case("slack-webhook", slack(500, "rollup_error"), Retry),
    ];
    for kind in ["feishu-bot", "slack-webhook"] {
        // A bare 404 of the platform's own address is final; elsewhere, or with other words, it may be a
        // deployment.
        cases.push(case(kind, Reply::Answer(404, Vec::new(), Vec::new()), Stop));
        cases.push(case(kind, Reply::status(404), Retry));
        cases.push(case(kind, Reply::status(413), Degrade));
        cases.push(case(kind, Reply::status(502), Retry));
    }
    cases
}

fn config(cases: &[Case], receiver: &Receiver, closed: u16) -> String {
    let mut rest = String::new();
    let mut names = vec!["closed".to_owned(), "no-tls".to_owned()];
    for (number, case) in cases.iter().enumerate() {
        receiver.on(&format!("/case-{number}."), case.reply.clone());
        let url = receiver.url(&format!("/case-{number}./open-apis/bot/v2/hook/x"));
        rest.push_str(&format!(
            "[destinations.case-{number}]\nkind = \"{}\"\nurl = \"{url}\"\n",
            case.kind
        ));
        names.push(format!("case-{number}"));
    }
    rest.push_str(&format!(
        "[destinations.closed]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{closed}/\"\n\
         [destinations.no-tls]\nkind = \"webhook\"\nurl = \"{}\"\n",
        receiver.url("/").replace("http://", "https://")
    ));
    let names = names.join("\", \"");
    rest.push_str(&format!(
        "[[rules]]\nname = \"all\"\nsend_to = [\"{names}\"]\n"
    ));
    Relay::config(&rest)
}

/// Destination → state, outcome of the first attempt, reason of the outcome.
pub type Seen = BTreeMap<String, (String, String, String)>;

pub fn seen(relay: &Relay) -> Seen {
    let shown = relay.run(&["events", "show", "ev-1", "--json"]).json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let deliveries = shown["deliveries"].as_array().expect("deliveries").iter();
    deliveries
        .map(|delivery| {
            let first = &delivery["attempt_log"][0];
            let state = text(&delivery["state"]);
            let outcome = text(&first["outcome"]);
            let reason = text(&first["reason"]);
            (text(&delivery["destination"]), (state, outcome, reason))
        })
        .collect()
}

#[test]
fn every_response_class_gives_expected_outcome() {
    let cases: Vec<Case> = [by_status(), without_words(), by_body()]
        .into_iter()
        .flatten()
        .collect();
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("bound").port()
    };
    let receiver = Receiver::answering("{}");
    let relay = Relay::started(&config(&cases, &receiver, closed));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    let expected: Vec<(String, Then)> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| (format!("case-{number}"), case.then))
        .chain([
            ("closed".into(), Then::Retry),
            ("no-tls".into(), Then::Retry),
        ])
        .collect();
    // An ambiguous delivery is retried, possibly at this moment.
    let settled = |seen: &Seen| {
        expected.iter().all(|(name, then)| {
            let (state, outcome, _) = &seen[name];
            outcome == then.outcome()
                && (state == then.state() || (state == "sending" && then.state() == "pending"))
        })
    };
    let mut last = Seen::new();
    let wrong = |seen: &Seen| -> Vec<String> {
        let all = expected.iter().filter(|(name, then)| {
            seen.get(name).is_none_or(|(state, outcome, _)| {
                outcome != then.outcome() || state != then.state()
            })
        });
        all.map(|(name, then)| format!("{name}: {then:?} expected, {:?}", seen.get(name)))
            .collect()
    };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while !settled(&last_or(&mut last, &relay)) {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{:#?}",
            wrong(&last)
        );
        std::thread::sleep(std::time::Duration::from_millis(100)); // polls again
    }
    let reasons: String = last
        .values()
        .map(|(_, _, reason)| reason.as_str())
        .collect();
    for secret in ["/secret", "hook/x", "Xiaoming", "Welcome"] {
        assert!(!reasons.contains(secret), "{secret} in {reasons}");
    }
    assert!(reasons.contains("elsewhere.example"), "{reasons}");
    wait_until("the stops are told", || {
        relay.log().matches("destination stopped").count() >= 10
    });
}

/// Polls once more and stores the result for the failure message.
fn last_or(last: &mut Seen, relay: &Relay) -> Seen {
    *last = seen(relay);
    last.clone()
}
