//! Limits each image host to a quarter of the workers, and pauses a host that fails, however many images it
//! has.
//!
//! Only the host's own failures count. An image whose address is refused before any connection says nothing
//! about its host. The state is in memory, so every host is trusted again after a restart.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::super::policy::Failure;
use crate::store::{HostRoom, ImageHosts};

/// The number of consecutive failures after which a host is paused. A single bad address must not delay good
/// ones.
const FAILURES_MAX: u32 = 3;
/// The first pause; it doubles from there.
const PAUSE_FIRST: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The number of hosts that are remembered, because strangers can name any number of them.
const HOSTS_MAX: usize = 1024;
/// One poll in this many takes retried images first, so that they are never forgotten.
const RETRIES_TURN: u32 = 4;

/// State of the hosts that have images in progress or have failed.
pub(super) struct HostBook {
    room: usize,
    hosts: HashMap<String, Host>,
    after: [String; 2],
    polls: u32,
}

#[derive(Default)]
struct Host {
    in_progress: usize,
    failures: u32,
    paused_until: Option<Instant>,
}

impl Host {
    fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| until > now)
    }
}

/// What an image's attempt says about its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostSign {
    /// The host answers.
    Answered,
    /// The host cannot be reached, is busy or does not answer in time.
    Failed,
    /// Nothing: the host was not asked, or something else failed.
    Nothing,
}

impl HostSign {
    pub(super) fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Transient(_) => Self::Failed,
            Failure::Absent(_) | Failure::NotAnImage(_) | Failure::RedirectRefused(_) => {
                Self::Answered
            }
            Failure::HostRefused(_)
            | Failure::AddressRefused(_)
            | Failure::Disk(_)
            | Failure::Unchecked(_)
            | Failure::Hopeless(_) => Self::Nothing,
        }
    }
}

impl HostBook {
    /// Builds the state; each host may have `room` images in progress.
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            hosts: HashMap::new(),
            after: Default::default(),
            polls: 0,
        }
    }

    /// Returns how many images of each host the next poll may take.
    pub(super) fn capacity(&mut self, now: Instant) -> ImageHosts {
        self.polls = self.polls.wrapping_add(1);
        let room_of = |host: &Host| {
            let paused = host.is_paused(now);
            // After enough failures a host gets one image at a time, until it answers.
            let most = match paused || host.failures < FAILURES_MAX {
                true => self.room,
                false => 1,
            };
            HostRoom {
                free: most.saturating_sub(host.in_progress),
                overdue_only: paused,
            }
        };
        let rooms = self.hosts.iter();
        ImageHosts {
            room: self.room,
            rooms: rooms
                .map(|(name, host)| (name.clone(), room_of(host)))
                .collect(),
            retries_first: self.polls.is_multiple_of(RETRIES_TURN),
            after: self.after.clone(),
        }
    }

    /// Records where the next poll continues. Returns whether there are hosts that this poll did not include.
    pub(super) fn polled(&mut self, after: [String; 2]) -> bool {
        self.after = after;
        self.after.iter().any(|host| !host.is_empty())
    }

    pub(super) fn began(&mut self, host: &str) {
        self.hosts.entry(host.to_owned()).or_default().in_progress += 1;
    }

    /// Records how an attempt ended. Returns the length of a new pause of the host.
    pub(super) fn ended(&mut self, name: &str, sign: HostSign, now: Instant) -> Option<Duration> {
        let host = self.hosts.entry(name.to_owned()).or_default();
        host.in_progress = host.in_progress.saturating_sub(1);
        let mut paused = None;
        match sign {
            HostSign::Answered => {
                host.failures = 0;
                host.paused_until = None;
            }
            // Images that were in progress when the pause began belong to the same failure.
            HostSign::Failed if !host.is_paused(now) => {
                host.failures = host.failures.saturating_add(1);
                if let Some(pauses) = host.failures.checked_sub(FAILURES_MAX) {
                    let pause = PAUSE_FIRST
                        .saturating_mul(1 << pauses.min(16))
                        .min(PAUSE_MAX);
                    host.paused_until = Some(now + pause);
                    paused = Some(pause);
                }
            }
            HostSign::Failed | HostSign::Nothing => {}
        }
        let host = &*host;
        if host.in_progress == 0 && host.failures == 0 {
            self.hosts.remove(name);
        }
        self.forget_some(now);
        paused
    }

    /// Returns how long until a paused host may be asked again.
    pub(super) fn next_pause_end(&self, now: Instant) -> Option<Duration> {
        let ends = self.hosts.values().filter_map(|host| host.paused_until);
        let ahead = ends.filter_map(|until| until.checked_duration_since(now));
        ahead.filter(|left| !left.is_zero()).min()
    }

    /// Limits the memory by dropping idle hosts whose pause ends first.
    fn forget_some(&mut self, now: Instant) {
        if self.hosts.len() <= HOSTS_MAX {
            return;
        }
        let idle = self.hosts.iter().filter(|(_, host)| host.in_progress == 0);
        let first = idle.min_by_key(|(_, host)| host.paused_until.unwrap_or(now));
        if let Some(name) = first.map(|(name, _)| name.clone()) {
            self.hosts.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(book: &mut HostBook, host: &str, now: Instant) -> HostRoom {
        let capacity = book.capacity(now);
        let whole = HostRoom {
            free: capacity.room,
            overdue_only: false,
        };
        capacity.rooms.get(host).copied().unwrap_or(whole)
    }

    #[test]
    fn busy_host_is_limited_to_a_quarter_of_the_workers() {
        let (mut book, now) = (HostBook::new(4), Instant::now());
        for _ in 0..4 {
            book.began("hangs:1");
        }
        assert_eq!(room(&mut book, "hangs:1", now).free, 0);
        assert_eq!(room(&mut book, "answers:1", now).free, 4);
        book.ended("hangs:1", HostSign::Answered, now);
        assert_eq!(room(&mut book, "hangs:1", now).free, 1);
    }

    #[test]
    fn failing_host_is_paused_and_probed_with_one_image() {
        let (mut book, now) = (HostBook::new(4), Instant::now());
        let fail = |book: &mut HostBook, at| {
            book.began("dead");
            book.ended("dead", HostSign::Failed, at)
        };
        assert_eq!((fail(&mut book, now), fail(&mut book, now)), (None, None));
        assert_eq!(fail(&mut book, now), Some(Duration::from_secs(2)));
        let paused = HostRoom {
            free: 4,
            overdue_only: true,
        };
        assert_eq!(room(&mut book, "dead", now), paused);
        assert_eq!(fail(&mut book, now), None, "the same failure");
        assert_eq!(book.next_pause_end(now), Some(Duration::from_secs(2)));
        let mut at = now;
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            at += Duration::from_secs(seconds);
            let probing = HostRoom {
                free: 1,
                overdue_only: false,
            };
            assert_eq!(room(&mut book, "dead", at), probing);
            fail(&mut book, at);
        }
        at += Duration::from_secs(60);
        book.began("dead");
        book.ended("dead", HostSign::Answered, at);
        assert_eq!(room(&mut book, "dead", at).free, 4);
        assert!(book.hosts.is_empty());
    }

    #[test]
    fn refused_address_says_nothing_of_its_host() {
        let (mut book, now) = (HostBook::new(4), Instant::now());
        let refused = Failure::AddressRefused("localhost".into());
        for _ in 0..100 {
            book.began("localhost");
            let sign = HostSign::of(&refused);
            assert_eq!(book.ended("localhost", sign, now), None);
        }
        assert!(book.hosts.is_empty());
    }

    #[test]
    fn memory_for_failing_hosts_is_bounded() {
        let (mut book, now) = (HostBook::new(4), Instant::now());
        for number in 0..5000 {
            let host = format!("{number}.example.com");
            for _ in 0..3 {
                book.began(&host);
                book.ended(&host, HostSign::Failed, now);
            }
        }
        assert!(book.hosts.len() <= HOSTS_MAX);
    }

    #[test]
    fn every_fourth_poll_takes_retried_images_first() {
        let (mut book, now) = (HostBook::new(4), Instant::now());
        let first = (0..8).map(|_| book.capacity(now).retries_first);
        assert_eq!(first.filter(|first| *first).count(), 2);
    }
}
