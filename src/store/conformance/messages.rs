//! The platforms' ids of sent messages, kept for replies and edits.

use super::*;

/// Completes a leased delivery. The platform's id of its message is `handle`.
pub(super) async fn send(bench: &Bench, lease: &Lease<Work>, handle: &str) {
    let finished = CompletedAttempt {
        handle: Some(MessageHandle(handle.into())),
        ..bench.finished(lease, Verdict::Done)
    };
    bench.record(lease, finished).await;
}

#[tokio::test]
async fn late_images_reply_to_the_first_message() {
    let mut bench = Bench::new();
    let places = [
        ("oncall", Severity::Critical),
        ("product", Severity::Info),
        ("archive", Severity::Info),
    ];
    let arrival = bench.with_images(bench.arrival("e1", &places), 1);
    bench.accept(arrival).await;
    bench.clock.advance(Duration::from_secs(3));
    for (place, handle) in [("oncall", "om_1"), ("product", "C1:1.5")] {
        let lease = bench.lease_one(place).await;
        assert_eq!(lease.item.message, None, "there is no earlier message");
        send(&bench, &lease, handle).await;
    }
    bench.deliver(&bench.lease_one("archive").await, 0).await;
    bench.keep(&bench.lease_image().await, "late").await;
    bench.reopen();
    for (place, handle) in [
        ("oncall", Some("om_1")),
        ("product", Some("C1:1.5")),
        ("archive", None),
    ] {
        let late = bench.lease_one(place).await.item;
        assert_eq!(late.delivery.trigger, Trigger::LateImages);
        let message = late.message.as_ref().map(MessageHandle::as_str);
        assert_eq!(message, handle, "{place}");
    }
}

#[tokio::test]
async fn late_images_after_a_rename_reply_once() {
    let bench = Bench::new();
    let arrival = bench.with_images(bench.arrival("e1", &[("old", Severity::Info)]), 2);
    let seq = bench.accept(arrival).await;
    bench.clock.advance(Duration::from_secs(3));
    send(&bench, &bench.lease_one("old").await, "om_1").await;
    let jobs = bench.lease_images(2).await;
    let (old, new) = (["old".into()], "new".into());
    let renamed = bench.store().rename_destination(&old, &new).await;
    assert_eq!(renamed.unwrap().moved, 0);
    bench.store().rename_sent(&old, &new).await.unwrap();
    let messages = bench.store().messages(seq).await.unwrap();
    assert_eq!(messages[0].destination, new);
    for job in &jobs {
        bench.keep(job, "late").await;
    }
    let late = bench.lease_one("new").await;
    assert_eq!(late.item.delivery.trigger, Trigger::LateImages);
    let thread = late.item.message.as_ref().map(MessageHandle::as_str);
    assert_eq!(thread, Some("om_1"));
    bench.deliver(&late, 0b11).await;
    for name in ["old", "new"] {
        assert_eq!(bench.lease(name, 9).await.len(), 0, "{name}");
    }
}

#[tokio::test]
async fn erased_event_has_no_messages() {
    let bench = Bench::new();
    let arrival = bench.with_images(bench.arrival("e1", &[("oncall", Severity::Info)]), 1);
    let seq = bench.accept(arrival).await;
    bench.clock.advance(Duration::from_secs(3));
    send(&bench, &bench.lease_one("oncall").await, "om_marker").await;
    bench.store().erase(seq).await.unwrap();
    assert_eq!(bench.traces_of("om_marker"), Vec::<String>::new());
}
