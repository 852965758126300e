//! Tests that a person's words are erased while a reader holds the store's log.

use crate::harness::{Feedback, Receiver, Relay, wait_until};
use crate::parts::{journal, to_hook};

const WORDS: &str = "words of a person";

/// Returns the number of store files that contain the words.
fn files_with_words(relay: &Relay) -> usize {
    let files =
        ["relay.db", "relay.db-wal"].map(|name| std::fs::read(relay.path("data").join(name)));
    let texts = files.map(|file| String::from_utf8_lossy(&file.unwrap_or_default()).into_owned());
    texts.iter().filter(|text| text.contains(WORDS)).count()
}

#[test]
fn erased_words_leave_log_when_reader_ends() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::started(&to_hook(&hook, ""));
    let feedback = Feedback::fault(1).with("description", WORDS.into());
    assert_eq!(relay.push(&feedback).status, 200);
    hook.wait_for(1);
    relay.wait_until_idle();
    let reader = journal(&relay.path("data/relay.db"));
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM bodies;")
        .expect("a reader");
    let erased = relay.run(&["events", "erase", "ev-1"]);
    assert_eq!(erased.code(), 1, "{erased:?}");
    assert!(
        erased.stdout.contains("still in the store's log"),
        "{erased:?}"
    );
    assert!(files_with_words(&relay) > 0, "the reader sees them");
    // Meanwhile events are accepted without waiting for the reader.
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    drop(reader);
    wait_until("the words are gone", || files_with_words(&relay) == 0);

    let erased = relay.run(&["events", "erase", "ev-2"]);
    assert_eq!(erased.code(), 0, "{erased:?}");
    assert_eq!(relay.stop().code(), Some(0));
}
