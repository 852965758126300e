//! Images: fetched in time, awaited briefly, and sent after the message if they are late.

use super::*;

async fn accept_with_images(bench: &Bench, count: usize) -> EventSeq {
    let arrival = bench.arrival("e1", &[("oncall", Severity::Critical)]);
    bench.accept(bench.with_images(arrival, count)).await
}

#[tokio::test]
async fn nearest_deadline_is_leased_first_and_again_after_expiry() {
    let bench = Bench::new();
    for (id, hours) in [("far", 72), ("near", 1), ("middle", 9)] {
        let arrival = bench.with_images(bench.arrival(id, &[]), 1);
        let images_deadline_at = bench.now() + Duration::from_secs(hours * 3600);
        bench
            .accept(Arrival {
                images_deadline_at,
                ..arrival
            })
            .await;
    }
    let leases = bench.lease_images(2).await;
    let ids: Vec<_> = leases
        .iter()
        .map(|lease| lease.item.event_id.as_str())
        .collect();
    assert_eq!(ids, ["near", "middle"]);
    assert_eq!(
        leases[0].item.url.expose(),
        "https://p1.example.com/0?sign=marker"
    );
    assert_eq!(bench.lease_images(9).await.len(), 1);
    let until = bench.now() + LEASE;
    assert_eq!(bench.store().next_image_due_at().await, Ok(Some(until)));
    bench.clock.advance(LEASE);
    let again = bench.lease_image().await;
    assert_eq!(again.item.event_id.as_str(), "near");
    assert_eq!(
        bench.finish_image(&leases[0], lost()).await,
        Recorded::LeaseLost
    );
    assert_eq!(bench.finish_image(&again, lost()).await, Recorded::Recorded);
}

#[tokio::test]
async fn image_is_retried_when_due_or_after_a_reload() {
    let bench = Bench::new();
    let seq = accept_with_images(&bench, 1).await;
    let lease = bench.lease_image().await;
    let due_at = bench.now() + Duration::from_secs(70 * 3600);
    let reason = "img.example.com is not in images.allow_hosts".to_owned();
    let verdict = ImageVerdict::RetryAt {
        due_at,
        reason: reason.clone(),
        refused: false,
    };
    assert_eq!(
        bench.finish_image(&lease, verdict).await,
        Recorded::Recorded
    );
    assert_eq!(bench.lease_images(1).await, []);
    assert_eq!(bench.store().next_image_due_at().await, Ok(Some(due_at)));
    let image = bench.store().images_of(seq).await.unwrap().remove(0);
    assert_eq!(
        (image.state, image.reason),
        (ImageState::Pending, Some(reason))
    );
    assert_eq!(bench.store().make_images_due().await, Ok(1));
    assert_eq!(bench.lease_image().await.item.attempts, 1);
    assert_eq!(
        bench.store().make_images_due().await,
        Ok(0),
        "what is leased is left alone"
    );
}

#[tokio::test]
async fn message_waits_until_its_images_are_settled() {
    let bench = Bench::new();
    accept_with_images(&bench, 2).await;
    assert_eq!(bench.lease("oncall", 1).await.len(), 0);
    let due_at = bench.now() + Duration::from_secs(3);
    assert_eq!(
        bench.store().next_due_at(&"oncall".into()).await,
        Ok(Some(due_at))
    );
    bench.store().make_due(&"oncall".into()).await.unwrap();
    let (one, two) = (bench.lease_image().await, bench.lease_image().await);
    let id = bench.keep(&one, "a picture").await;
    assert_eq!(bench.lease("oncall", 1).await.len(), 0);
    assert_eq!(bench.finish_image(&two, lost()).await, Recorded::Recorded);
    let work = bench.lease_one("oncall").await.item;
    assert_eq!(work.delivery.first_due_at, bench.now());
    assert_eq!(work.images.len(), 2);
    assert_eq!(work.images[0].kept, Some(kept("a picture")));
    assert_eq!(work.images[1].state, ImageState::Lost);
    assert_eq!(
        bench.store().kept_image(&id).await,
        Ok(Some(kept("a picture")))
    );
}

#[tokio::test]
async fn message_is_sent_when_due_and_late_images_follow_together() {
    let bench = Bench::new();
    let seq = accept_with_images(&bench, 3).await;
    bench.clock.advance(Duration::from_secs(3));
    let message = bench.lease_one("oncall").await;
    let jobs = bench.lease_images(3).await;
    bench.keep(&jobs[0], "one").await;
    bench.deliver(&message, 0b001).await;
    assert_eq!(
        bench.store().next_due_at(&"oncall".into()).await,
        Ok(None),
        "all that is kept was shown"
    );

    bench.keep(&jobs[1], "two").await;
    assert_eq!(
        bench.lease("oncall", 9).await.len(),
        0,
        "the third may still come"
    );
    bench.keep(&jobs[2], "three").await;
    let late = bench.lease_one("oncall").await;
    let delivery = &late.item.delivery;
    assert_eq!(
        (delivery.event, delivery.trigger),
        (seq, Trigger::LateImages)
    );
    assert_ne!(delivery.id, message.item.delivery.id);
    assert_eq!(delivery.spec.mentions, [""; 0]);
    assert_eq!(delivery.spec.template, message.item.delivery.spec.template);
    assert_eq!(late.item.shown, 0b001);
    bench.deliver(&late, 0b110).await;
    assert_eq!(bench.store().next_due_at(&"oncall".into()).await, Ok(None));
}

#[tokio::test]
async fn late_images_wait_at_most_three_seconds_for_others() {
    let bench = Bench::new();
    accept_with_images(&bench, 2).await;
    bench.clock.advance(Duration::from_secs(3));
    let message = bench.lease_one("oncall").await;
    bench.deliver(&message, 0).await;
    let jobs = bench.lease_images(2).await;
    bench.keep(&jobs[0], "one").await;
    bench.clock.advance(Duration::from_secs(3));
    let late = bench.lease_one("oncall").await;
    bench.keep(&jobs[1], "two").await;
    assert_eq!(
        bench.lease("oncall", 9).await.len(),
        0,
        "what is under way is waited for"
    );
    bench.deliver(&late, 0b01).await;
    let later = bench.lease_one("oncall").await;
    assert_eq!(
        (later.item.delivery.trigger, later.item.shown),
        (Trigger::LateImages, 0b01)
    );
}

#[tokio::test]
async fn image_kept_between_rendering_and_record_follows() {
    let bench = Bench::new();
    accept_with_images(&bench, 1).await;
    bench.clock.advance(Duration::from_secs(3));
    let message = bench.lease_one("oncall").await;
    let job = bench.lease_image().await;
    bench.keep(&job, "one").await;
    bench.deliver(&message, 0).await;
    let late = bench.lease_one("oncall").await;
    assert_eq!(late.item.delivery.trigger, Trigger::LateImages);
    bench.deliver(&late, 0).await;
    assert_eq!(
        bench.lease("oncall", 9).await.len(),
        0,
        "rejected images are not resent forever"
    );
}

#[tokio::test]
async fn late_images_skip_destinations_without_images_or_message() {
    let bench = Bench::new();
    let to = [("archive", Severity::Info), ("dead", Severity::Info)];
    bench
        .accept(bench.with_images(bench.arrival("e1", &to), 1))
        .await;
    bench.clock.advance(Duration::from_secs(3));
    let archived = bench.lease_one("archive").await;
    bench.deliver(&archived, u32::MAX).await;
    let dead = bench.lease_one("dead").await;
    bench
        .end(
            &dead,
            Verdict::Dead {
                reason: "gone".into(),
            },
        )
        .await;
    let job = bench.lease_image().await;
    bench.keep(&job, "one").await;
    assert_eq!(bench.lease("archive", 9).await.len(), 0);
    assert_eq!(bench.lease("dead", 9).await.len(), 0);
}

#[tokio::test]
async fn image_key_is_stored_per_app_and_image() {
    let mut bench = Bench::new();
    let (one, two) = (ImageId::of(b"one"), ImageId::of(b"two"));
    bench
        .store()
        .put_image_key("cli_a", &one, "img_v3_1")
        .await
        .unwrap();
    bench
        .store()
        .put_image_key("cli_a", &one, "img_v3_2")
        .await
        .unwrap();
    bench.reopen();
    assert_eq!(
        bench.store().image_key("cli_a", &one).await,
        Ok(Some("img_v3_2".into()))
    );
    assert_eq!(bench.store().image_key("cli_b", &one).await, Ok(None));
    assert_eq!(bench.store().image_key("cli_a", &two).await, Ok(None));
}

#[tokio::test]
async fn invalid_image_key_is_deleted_with_its_rendering() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    let (one, two) = (ImageId::of(b"one"), ImageId::of(b"two"));
    for (app_id, image) in [("cli_a", &one), ("cli_a", &two), ("cli_b", &one)] {
        let put = bench.store().put_image_key(app_id, image, "img_v3_1").await;
        assert_eq!(put, Ok(()));
    }
    let lease = bench.lease_one("oncall").await;
    let finished = CompletedAttempt {
        payload: Some("with a key".into()),
        ..bench.finished(&lease, bench.retry_at(0, Form::Full))
    };
    let ended = bench.store().finish_attempt(lease.token, finished).await;
    assert_eq!(ended, Ok(Recorded::Recorded));
    let lease = bench.lease_one("oncall").await;
    assert!(lease.item.payload.is_some());
    bench
        .store()
        .forget_image_keys("cli_a", std::slice::from_ref(&one), lease.item.delivery.id)
        .await
        .unwrap();
    bench.end(&lease, bench.retry_at(0, Form::Full)).await;
    assert_eq!(bench.lease_one("oncall").await.item.payload, None);
    let key = async |app_id, image| bench.store().image_key(app_id, image).await.unwrap();
    assert_eq!(key("cli_a", &one).await, None);
    assert!(key("cli_a", &two).await.is_some() && key("cli_b", &one).await.is_some());
}

/// Accepts an event with one image on this host, whose address expires in `hours` hours.
async fn accept_with_image_on(bench: &Bench, id: &str, host: &str, hours: u64) {
    let arrival = Arrival {
        images: vec![Private::new(format!("https://{host}/p.png"))],
        images_deadline_at: bench.now() + Duration::from_secs(hours * 3600),
        ..bench.arrival(id, &[])
    };
    bench.accept(arrival).await;
}

/// Leases image jobs and returns the ids of their events.
async fn leased(bench: &Bench, count: usize, hosts: &ImageHosts) -> Vec<String> {
    let leased = bench.store().lease_images(count, LEASE, hosts).await;
    let leases = leased.unwrap().leases.into_iter();
    leases
        .map(|lease| lease.item.event_id.as_str().to_owned())
        .collect()
}

fn room(free: usize, overdue_only: bool) -> HostRoom {
    HostRoom { free, overdue_only }
}

#[tokio::test]
async fn host_with_many_images_does_not_delay_another() {
    let bench = Bench::new();
    for number in 0..20 {
        // A host with another port is the same host.
        let host = format!("hangs.example.com:{}", 81 + number);
        accept_with_image_on(&bench, &format!("old-{number}"), &host, 1).await;
    }
    accept_with_image_on(&bench, "new", "answers.example.com", 72).await;
    let hosts = ImageHosts {
        room: 2,
        ..ImageHosts::default()
    };
    assert_eq!(leased(&bench, 9, &hosts).await, ["old-0", "new", "old-1"]);
    let full = ImageHosts {
        rooms: [("hangs.example.com".to_owned(), room(0, false))].into(),
        ..ImageHosts::default()
    };
    assert_eq!(leased(&bench, 9, &full).await, [""; 0]);
}

#[tokio::test]
async fn first_attempts_precede_retries_except_on_their_turn() {
    let bench = Bench::new();
    accept_with_image_on(&bench, "tried", "a.example.com", 1).await;
    let lease = bench.lease_image().await;
    bench.retry_image(&lease).await;
    accept_with_image_on(&bench, "new", "a.example.com", 72).await;
    accept_with_image_on(&bench, "newer", "b.example.com", 72).await;
    let hosts = ImageHosts::default();
    assert_eq!(leased(&bench, 1, &hosts).await, ["new"]);
    let turn = ImageHosts {
        retries_first: true,
        ..ImageHosts::default()
    };
    assert_eq!(leased(&bench, 2, &turn).await, ["tried", "newer"]);
}

#[tokio::test]
async fn paused_host_gets_only_overdue_jobs() {
    let bench = Bench::new();
    accept_with_image_on(&bench, "ends", "dead.example.com", 1).await;
    accept_with_image_on(&bench, "lives", "dead.example.com", 72).await;
    let hosts = ImageHosts {
        rooms: [("dead.example.com".to_owned(), room(1, true))].into(),
        ..ImageHosts::default()
    };
    assert_eq!(leased(&bench, 9, &hosts).await, [""; 0]);
    bench.clock.advance(Duration::from_secs(3600));
    assert_eq!(leased(&bench, 9, &hosts).await, ["ends"]);
}

/// A reporter can name any number of hosts. No poll visits all of them, and none is left out.
#[tokio::test]
async fn many_hosts_are_covered_by_several_polls() {
    let bench = Bench::new();
    let names: Vec<_> = (0..150).map(|n| format!("h{n:03}.example.com")).collect();
    for name in &names {
        accept_with_image_on(&bench, name, name, 72).await;
    }
    let dead = names.iter().take(149).cloned();
    let mut hosts = ImageHosts {
        rooms: dead.map(|name| (name, room(0, true))).collect(),
        ..ImageHosts::default()
    };
    let mut looks = Vec::new();
    for _look in 0..3 {
        let found = bench.store().lease_images(9, LEASE, &hosts).await.unwrap();
        hosts.after = found.after.clone();
        looks.push(found.leases.len());
    }
    assert_eq!(looks, [0, 0, 1]);
    assert_eq!(hosts.after, [""; 2]);
}

#[tokio::test]
async fn third_lost_lease_in_a_row_gives_the_image_up() {
    let bench = Bench::new();
    let arrival = bench.arrival("e1", &[("oncall", Severity::Info)]);
    let event = bench.accept(bench.with_images(arrival, 1)).await;
    let hosts = ImageHosts::default();
    for attempts in 0..3 {
        let found = bench.store().lease_images(1, LEASE, &hosts).await.unwrap();
        assert_eq!(
            found.leases[0].item.attempts, attempts,
            "counted when leased"
        );
        assert_eq!(found.lost.len(), usize::from(attempts > 0));
        bench.clock.advance(LEASE);
    }
    let found = bench.store().lease_images(1, LEASE, &hosts).await.unwrap();
    let ends: Vec<_> = found.lost.iter().map(|lost| lost.given_up).collect();
    assert_eq!((found.leases, ends), (Vec::new(), vec![false, true]));
    let image = bench.store().images_of(event).await.unwrap().remove(0);
    assert_eq!(image.state, ImageState::Lost);
    assert!(
        image
            .reason
            .is_some_and(|reason| reason.contains("three times"))
    );
    bench.lease_one("oncall").await;
}

#[tokio::test]
async fn completed_attempt_resets_lost_leases() {
    let bench = Bench::new();
    let arrival = bench.arrival("e1", &[]);
    bench.accept(bench.with_images(arrival, 1)).await;
    for _ in 0..5 {
        bench.lease_image().await;
        bench.clock.advance(LEASE);
        let lease = bench.lease_image().await;
        bench.retry_image(&lease).await;
    }
}

/// Otherwise an image that crashes the process at each check would crash it forever.
#[tokio::test]
async fn check_that_crashes_the_process_counts_as_lost_lease() {
    let mut bench = Bench::new();
    let arrival = bench.arrival("e1", &[]);
    let event = bench.accept(bench.with_images(arrival, 1)).await;
    assert_eq!(bench.store().interrupted_images(), []);
    for _ in 0..3 {
        let lease = bench.lease_image().await;
        let marked = bench.store().mark_image_check(lease.token, event, 0).await;
        assert_eq!(marked, Ok(Recorded::Recorded));
        bench.reopen();
        assert_eq!(bench.store().interrupted_images(), [(event, 0)]);
    }
    let hosts = ImageHosts::default();
    let found = bench.store().lease_images(1, LEASE, &hosts).await.unwrap();
    assert!(found.leases.is_empty() && found.lost[0].given_up);
}

#[tokio::test]
async fn image_on_a_refused_host_does_not_delay_messages() {
    let bench = Bench::new();
    let event = accept_with_images(&bench, 2).await;
    let (one, two) = (bench.lease_image().await, bench.lease_image().await);
    let refused = ImageVerdict::RetryAt {
        due_at: bench.now() + Duration::from_secs(600),
        reason: "images.allow_hosts does not name it".into(),
        refused: true,
    };
    assert_eq!(bench.finish_image(&one, refused).await, Recorded::Recorded);
    assert_eq!(
        bench.lease("oncall", 1).await.len(),
        0,
        "the other may come"
    );
    bench.keep(&two, "two").await;
    let message = bench.lease_one("oncall").await;
    assert!(message.item.images[0].refused);
    bench.deliver(&message, 0b10).await;
    // The operator allows the host.
    assert_eq!(bench.store().make_images_due().await, Ok(1));
    let again = bench.lease_image().await;
    bench.keep(&again, "one").await;
    let late = bench.lease_one("oncall").await.item.delivery;
    assert_eq!((late.event, late.trigger), (event, Trigger::LateImages));
}
