//! Tests behind nginx, set up as documented: Feishu's signed requests arrive unchanged.

use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::docs::blocks;
use crate::harness::http::{Answer, exchange};
use crate::harness::sealed::{KEY, sealed};
use crate::harness::{Feedback, Receiver, Relay, unavailable, wait_until};
use crate::main_path::to_hook;

const PAGE: &str = include_str!("../../docs/how-to/reverse-proxy.md");

/// A running nginx. It ends with the test.
struct Nginx<'a> {
    child: Child,
    relay: &'a Relay,
}

impl<'a> Nginx<'a> {
    /// Starts the documented sample, with a socket in the relay's folder instead of TLS. Returns
    /// `None` without nginx.
    fn before(relay: &'a Relay) -> Option<Self> {
        let blocks = blocks(PAGE);
        let sample = blocks.iter().find(|block| block.language == "nginx");
        let socket = relay.path("nginx.sock");
        let listen = format!("listen unix:{};", socket.display());
        let sample = sample.expect("a sample").text.as_str();
        for replaced in ["listen 443 ssl;", "127.0.0.1:8787", "ssl_certificate"] {
            assert!(sample.contains(replaced), "{replaced}");
        }
        let sample = sample
            .replace("listen 443 ssl;", &listen)
            .replace("127.0.0.1:8787", relay.address());
        let sample: Vec<&str> = sample
            .lines()
            .filter(|line| !line.trim_start().starts_with("ssl_"))
            .collect();
        let folder = relay.folder().display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"));
        relay.write(
            "nginx.conf",
            &format!(
                "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\n\
                 events {{}}\nhttp {{\naccess_log off;\n{}{}\n}}\n",
                temporary.concat(),
                sample.join("\n"),
            ),
        );
        let started = Command::new("nginx")
            .args(["-c", relay.path("nginx.conf").to_str().expect("UTF-8")])
            .args(["-e", relay.path("nginx.log").to_str().expect("UTF-8")])
            .stdin(Stdio::null())
            .spawn();
        let child = started.ok()?;
        wait_until("nginx listens", || UnixStream::connect(&socket).is_ok());
        Some(Self { child, relay })
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Answer {
        let stream = UnixStream::connect(self.relay.path("nginx.sock")).expect("nginx listens");
        let patience = Duration::from_secs(20);
        stream.set_read_timeout(Some(patience)).expect("a limit");
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        exchange(stream, "relay.example.com", method, path, &headers, body).expect("an answer")
    }
}

impl Drop for Nginx<'_> {
    fn drop(&mut self) {
        self.child.kill().ok(); // it may have ended already
        self.child.wait().ok();
    }
}

#[test]
fn only_signed_requests_pass_through_nginx() {
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&to_hook(&hook, ""));
    let Some(nginx) = Nginx::before(&relay) else {
        return unavailable("there is no nginx");
    };
    let path = "/apps/shop/events";
    for number in 0..3 {
        let (headers, body) = sealed(KEY, &Feedback::fault(number).envelope.to_string());
        let answer = nginx.request("POST", path, &headers, &body);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    }
    hook.wait_for(3);

    // One event exceeds nginx's memory buffer, and one exceeds both size limits.
    let long = Feedback::fault(4).with("description", "白".repeat(100_000).into());
    let (headers, body) = sealed(KEY, &long.envelope.to_string());
    assert!(body.len() > 300_000);
    assert_eq!(nginx.request("POST", path, &headers, &body).status, 200);
    let answer = nginx.request("POST", path, &headers, &vec![b'x'; (1 << 20) + 1]);
    assert_eq!(answer.status, 413);

    // The check that the page recommends.
    let answer = nginx.request("POST", path, &[], b"{}");
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(nginx.request("GET", "/images/none", &[], b"").status, 404);
    for hidden in ["/metrics", "/status", "/healthz", "/", "/apps"] {
        let answer = nginx.request("GET", hidden, &[], b"");
        assert!(
            answer.text().contains("nginx"),
            "{hidden} reaches the relay"
        );
        assert_eq!(answer.status, 404, "{hidden}");
    }
}
