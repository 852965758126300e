//! Notifies systemd, or another manager that uses its protocol: ready, reloading, stopping, alive.
//!
//! The protocol is `sd_notify(3)`: lines in one datagram to the socket that `NOTIFY_SOCKET` names. The name is
//! a path or, after an `@`, an abstract name. The protocol is implemented here because the crate for it does
//! not support abstract names and reads the environment by itself. Without the variable, nothing is sent.

use std::collections::BTreeMap;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::tasks::Tasks;

/// How long a message may wait for room in the manager's queue. The wait is short because it blocks the relay.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The service manager that started the relay. Without a socket, nothing is sent.
#[derive(Clone, Debug, Default)]
pub struct ServiceManager {
    socket: Option<SocketAddr>,
    /// The manager ends the relay if it receives no message for this long; `None`: no watchdog.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Returns the manager that these environment variables name; without them, one that sends nothing.
    pub fn of(environment: &BTreeMap<String, String>) -> Self {
        let socket = environment.get("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(name),
            };
            address.ok()
        });
        Self {
            socket,
            watchdog: watchdog(environment, std::process::id()),
        }
    }

    /// Reports that the relay takes events. `status` is the line that `systemctl status` shows.
    pub fn ready(&self, status: &str) {
        self.notify(&format!("READY=1\nSTATUS={status}"));
    }

    /// Reports that the configuration is being read again; [`ready`](Self::ready) reports the end of that.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.notify(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// Reports that the relay takes no more events.
    pub fn stopping(&self) {
        self.notify("STOPPING=1\nSTATUS=stopping: finishing the work in progress");
    }

    /// Starts a task that reports the relay as alive at half the watchdog's interval, if there is a watchdog.
    /// It is an ordinary task, so the reports stop if the runtime hangs.
    pub fn watch(&self, tasks: &Tasks) {
        let Some(watchdog) = self.watchdog else {
            return;
        };
        let (manager, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn("watchdog", async move {
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = tokio::time::sleep(watchdog / 2) => manager.notify("WATCHDOG=1"),
                }
            }
        });
    }

    fn notify(&self, lines: &str) {
        let Some(socket) = &self.socket else {
            return;
        };
        if let Err(error) = send(socket, lines) {
            tracing::warn!(%error, "failed to notify the service manager");
        }
    }
}

/// Returns the interval of `WATCHDOG_USEC`, unless `WATCHDOG_PID` names another process.
fn watchdog(environment: &BTreeMap<String, String>, own: u32) -> Option<Duration> {
    let number = |name: &str| environment.get(name)?.parse::<u64>().ok();
    let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(own));
    let micros = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0)?;
    Some(Duration::from_micros(micros))
}

fn send(socket: &SocketAddr, lines: &str) -> io::Result<()> {
    let datagram = UnixDatagram::unbound()?;
    datagram.set_write_timeout(Some(SEND_TIMEOUT))?;
    datagram.send_to_addr(lines.as_bytes(), socket)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    #[test]
    fn watchdog_of_another_process_is_ignored() {
        let of = |pairs: &[(&str, &str)]| watchdog(&environment(pairs), 7);
        let second = Some(Duration::from_secs(1));
        assert_eq!(of(&[("WATCHDOG_USEC", "1000000")]), second);
        let ours = [("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "7")];
        assert_eq!(of(&ours), second);
        let others = [("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "8")];
        assert_eq!(of(&others), None);
        for wrong in ["0", "soon", ""] {
            assert_eq!(of(&[("WATCHDOG_USEC", wrong)]), None, "{wrong}");
        }
    }

    #[test]
    fn abstract_socket_is_notified_and_missing_one_ignored() {
        let name = format!("feedback-relay-test-{}", fastrand::u64(..));
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let heard = UnixDatagram::bind_addr(&address).unwrap();
        let manager = ServiceManager::of(&environment(&[("NOTIFY_SOCKET", &format!("@{name}"))]));
        manager.ready("listening");
        let mut buffer = [0; 100];
        let length = heard.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=listening");
        ServiceManager::of(&environment(&[("NOTIFY_SOCKET", "/no/such/socket")])).stopping();
        ServiceManager::of(&environment(&[])).stopping();
    }
}
