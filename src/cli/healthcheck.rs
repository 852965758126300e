//! Implements `healthcheck`: queries the running relay, for containers and monitoring.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::context::{Context, Exit, Failure, block_on};
use crate::model::Secret;
use crate::net::{Body, HttpClient, Method, Request};

const EXAMPLES: &str = "\
Examples:
  feedback-relay healthcheck             can it store events?
  feedback-relay healthcheck --alive     does the process answer?

Only server.listen of the configuration is read. Exit status: 0 healthy, 1 not healthy or no answer within 3 s.";

/// How long the answer may take. The relay waits up to two seconds for its store.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How many characters of the answer are shown. The answer is one line.
const SHOWN_MAX: usize = 200;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Check only whether the process answers (/healthz), not whether it can store events (/readyz)
    #[arg(long)]
    alive: bool,
}

/// Sends the query and prints the result.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let Some(listen) = context.listen() else {
        let file = context.file();
        let reason = match std::path::Path::new(&file).exists() {
            true => format!(
                "{file} does not contain a usable `server.listen`; see `feedback-relay check`"
            ),
            false => format!("there is no {file}; --config FILE names another"),
        };
        return Err(Failure::Failed(reason));
    };
    let path = if args.alive { "healthz" } else { "readyz" };
    let url = format!("http://{}/{path}", reachable(listen));
    let said = block_on(ask(&url))?;
    context.out.line(&said);
    Ok(Exit::Done)
}

async fn ask(url: &str) -> Result<String, Failure> {
    let fails = |error: &dyn std::fmt::Display| Failure::of(format_args!("{url}"), error);
    let client = HttpClient::trusted(None).map_err(|error| fails(&error))?;
    let request = Request {
        method: Method::Get,
        url: &Secret::new(url.to_owned()),
        headers: Vec::new(),
        body: Body::Empty,
        timeout: TIMEOUT,
    };
    let answer = client.send(request).await.map_err(|error| fails(&error))?;
    let text = String::from_utf8_lossy(&answer.body);
    let said: String = text.trim().chars().take(SHOWN_MAX).collect();
    if answer.status == 200 {
        return Ok(said);
    }
    Err(fails(&format_args!("{} {said}", answer.status)))
}

/// Returns the address at which this machine reaches the listener. A relay on all addresses also listens on
/// loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_on_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:8787", "127.0.0.1:8787"),
            ("[::]:8787", "[::1]:8787"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("192.0.2.1:8787", "192.0.2.1:8787"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
