//! Assembles messages from fragments. The platform's own clients allocate as much as `sum` says,
//! deliver a repeated last fragment twice, and never deliver a message with an empty fragment. The
//! limits and the record of finished messages avoid these faults.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

/// The largest number of fragments in a message.
const FRAGMENTS_MAX: usize = 64;
/// The largest size of all incomplete messages of a connection, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The largest number of incomplete messages.
const UNFINISHED_MAX: usize = 256;
/// How long the first fragment is kept for the last. The platform gives up after 3 s.
const WAITS: Duration = Duration::from_secs(30);
/// How long a finished message is remembered. A repeat of its fragments starts no new message.
const REMEMBERED: Duration = Duration::from_secs(60);
/// The largest number of remembered messages; the oldest are forgotten first.
const REMEMBERED_MAX: usize = 4096;
/// The longest accepted id, in bytes.
const ID_BYTES_MAX: usize = 256;

/// A fragment.
#[derive(Debug)]
pub(super) struct Piece {
    /// The number of the fragment, counted from 0; below `sum`.
    pub(super) seq: usize,
    /// The number of fragments in the message.
    pub(super) sum: usize,
    /// The bytes of the fragment, possibly none.
    pub(super) payload: Bytes,
}

/// The result of adding a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// The message is complete. Holds all fragments in order.
    Whole(Bytes),
    /// Fragments are missing.
    Waits,
    /// The fragment was received before.
    Repeated,
    /// The fragment was refused. Holds the reason as a fixed text.
    Refused(&'static str),
}

/// The incomplete messages of one connection.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    unfinished: HashMap<String, Unfinished>,
    bytes: usize,
    finished: VecDeque<(Instant, String)>,
}

#[derive(Debug)]
struct Unfinished {
    begun_at: Instant,
    /// The received fragments by number, possibly empty. `None` until a fragment is received.
    pieces: Vec<Option<Bytes>>,
}

impl Unfinished {
    fn bytes(&self) -> usize {
        self.pieces.iter().flatten().map(Bytes::len).sum()
    }
}

impl Assembly {
    pub(super) fn add(&mut self, id: &str, piece: Piece, now: Instant) -> Joined {
        self.expire(now);
        if self.finished.iter().any(|(_, finished)| finished == id) {
            return Joined::Repeated;
        }
        if piece.sum > FRAGMENTS_MAX {
            return Joined::Refused("too_many_fragments");
        }
        if self.bytes + piece.payload.len() > MESSAGE_BYTES_MAX {
            self.drop_unfinished(id);
            return Joined::Refused("fragments_too_large");
        }
        if !self.unfinished.contains_key(id) {
            if self.unfinished.len() >= UNFINISHED_MAX || id.len() > ID_BYTES_MAX {
                return Joined::Refused("too_many_unfinished");
            }
            let begun = Unfinished {
                begun_at: now,
                pieces: vec![None; piece.sum],
            };
            self.unfinished.insert(id.to_owned(), begun);
        }
        self.put(id, piece, now)
    }

    fn put(&mut self, id: &str, piece: Piece, now: Instant) -> Joined {
        let Some(message) = self.unfinished.get_mut(id) else {
            return Joined::Waits;
        };
        if message.pieces.len() != piece.sum {
            self.drop_unfinished(id);
            return Joined::Refused("fragments_disagree");
        }
        match message.pieces.get_mut(piece.seq) {
            Some(slot @ None) => {
                self.bytes += piece.payload.len();
                *slot = Some(piece.payload);
            }
            Some(Some(_)) => return Joined::Repeated,
            None => return Joined::Refused("place"),
        }
        if message.pieces.iter().any(Option::is_none) {
            return Joined::Waits;
        }
        let mut whole = BytesMut::with_capacity(message.bytes());
        for piece in message.pieces.iter().flatten() {
            whole.extend_from_slice(piece);
        }
        self.drop_unfinished(id);
        self.finished.push_back((now, id.to_owned()));
        if self.finished.len() > REMEMBERED_MAX {
            self.finished.pop_front();
        }
        Joined::Whole(whole.freeze())
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.finished.retain(|(_, finished)| finished != id);
    }

    fn drop_unfinished(&mut self, id: &str) {
        if let Some(dropped) = self.unfinished.remove(id) {
            self.bytes -= dropped.bytes();
        }
    }

    fn expire(&mut self, now: Instant) {
        let old = |at: Instant, span| now.saturating_duration_since(at) >= span;
        self.unfinished
            .retain(|_, message| !old(message.begun_at, WAITS));
        self.bytes = self.unfinished.values().map(Unfinished::bytes).sum();
        while (self.finished.front()).is_some_and(|(at, _)| old(*at, REMEMBERED)) {
            self.finished.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(seq: usize, sum: usize, payload: &'static str) -> Piece {
        let payload = payload.into();
        Piece { seq, sum, payload }
    }

    fn whole(text: &'static str) -> Joined {
        Joined::Whole(text.into())
    }

    #[tokio::test(start_paused = true)]
    async fn incomplete_message_is_forgotten_after_30_seconds() {
        let (mut assembly, start) = (Assembly::default(), Instant::now());
        assert_eq!(assembly.add("m", piece(0, 2, "a"), start), Joined::Waits);
        let just = start + WAITS - Duration::from_millis(1);
        assert_eq!(assembly.add("m", piece(0, 2, "b"), just), Joined::Repeated);
        let late = start + WAITS;
        assert_eq!(assembly.add("m", piece(1, 2, "c"), late), Joined::Waits);
        assert_eq!(assembly.add("m", piece(0, 2, "b"), late), whole("bc"));
        assert_eq!(assembly.bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_finished_message_is_known_for_a_minute() {
        let (mut assembly, start) = (Assembly::default(), Instant::now());
        let finish = |assembly: &mut Assembly, at| {
            assembly.add("m", piece(0, 2, "a"), at);
            assembly.add("m", piece(1, 2, ""), at)
        };
        assert_eq!(finish(&mut assembly, start), whole("a"));
        let just = start + REMEMBERED - Duration::from_millis(1);
        assert_eq!(finish(&mut assembly, just), Joined::Repeated);
        assert_eq!(finish(&mut assembly, start + REMEMBERED), whole("a"));
        assembly.forget("m");
        assert_eq!(finish(&mut assembly, start + REMEMBERED), whole("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn every_limit_binds() {
        let (mut assembly, now) = (Assembly::default(), Instant::now());
        let refused = Joined::Refused("too_many_fragments");
        assert_eq!(assembly.add("m", piece(0, 65, "a"), now), refused);
        assert_eq!(assembly.add("m", piece(63, 64, "a"), now), Joined::Waits);
        let refused = Joined::Refused("fragments_disagree");
        assert_eq!(assembly.add("m", piece(0, 63, "a"), now), refused);
        assert_eq!(assembly.bytes, 0, "what disagrees is dropped");

        for n in 0..UNFINISHED_MAX {
            let id = n.to_string();
            assert_eq!(assembly.add(&id, piece(0, 2, "a"), now), Joined::Waits);
        }
        let refused = Joined::Refused("too_many_unfinished");
        assert_eq!(assembly.add("one more", piece(0, 2, "a"), now), refused);
        assert_eq!(assembly.add("7", piece(1, 2, "b"), now), whole("ab"));
        assert_eq!(
            assembly.add(&"x".repeat(257), piece(0, 2, "a"), now),
            refused
        );

        let large = |bytes: usize| Piece {
            seq: 1,
            sum: 3,
            payload: vec![0; bytes].into(),
        };
        let room = MESSAGE_BYTES_MAX - assembly.bytes;
        assert_eq!(assembly.add("large", large(room), now), Joined::Waits);
        let refused = Joined::Refused("fragments_too_large");
        assert_eq!(assembly.add("large", piece(0, 3, "a"), now), refused);
        assert_eq!(assembly.add("large", piece(0, 3, "a"), now), Joined::Waits);
    }

    #[tokio::test(start_paused = true)]
    async fn finished_messages_are_remembered_up_to_limit() {
        let (mut assembly, now) = (Assembly::default(), Instant::now());
        for n in 0..=REMEMBERED_MAX {
            let id = n.to_string();
            assembly.add(&id, piece(0, 2, "a"), now);
            assert_eq!(assembly.add(&id, piece(1, 2, "b"), now), whole("ab"));
        }
        assert_eq!(assembly.finished.len(), REMEMBERED_MAX);
    }
}
