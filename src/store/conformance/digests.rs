//! Digests: each period has one message.

use super::*;

fn counts(total: u64) -> DigestCounts {
    DigestCounts {
        total,
        pages: [("pages/pay/*".to_owned(), total)].into(),
        ..DigestCounts::default()
    }
}

fn message(bench: &Bench, newest: &[EventSeq]) -> Arrival {
    let digest = Digest {
        name: "monday".into(),
        from: bench.now(),
        until: bench.now(),
        late: false,
        counts: counts(2),
        before: None,
        unhandled: 0,
        oldest_at: None,
        newest: Vec::new(),
    };
    Arrival {
        event_type: DIGEST.to_owned(),
        feedback: None,
        body: Some(Private::new(write_digest(&digest, newest))),
        ..bench.arrival("digest:monday:1", &[("oncall", Severity::Info)])
    }
}

async fn put(bench: &Bench, total: u64, message: Option<Arrival>) -> bool {
    let last = LastDigest {
        due_at: bench.now(),
        counts: counts(total),
    };
    bench
        .store()
        .put_digest("monday", last, message)
        .await
        .unwrap()
}

#[tokio::test]
async fn period_is_stored_once_and_erased_reports_are_not_quoted() {
    let mut bench = Bench::new();
    let first = bench.accept(bench.arrival("e1", &[])).await;
    let second = bench.accept(bench.arrival("e2", &[])).await;
    assert_eq!(bench.store().last_digest("monday").await, Ok(None));
    let told = message(&bench, &[second, first]);
    assert!(put(&bench, 2, Some(told.clone())).await);
    assert!(
        !put(&bench, 3, Some(told)).await,
        "another relay was faster"
    );
    bench.reopen();
    bench.store().erase(first).await.unwrap();
    let lease = bench.lease_one("oncall").await;
    let newest = lease.item.newest.iter();
    let bodies: Vec<bool> = newest.map(|event| event.body.is_some()).collect();
    assert_eq!(bodies, [true, false]);
    let body = lease.item.event.body.as_ref().unwrap();
    let digest = read_digest(body.expose()).unwrap();
    assert_eq!(digest.counts, counts(2));
    bench.end(&lease, Verdict::Done).await;
    assert_eq!(bench.lease("oncall", 9).await.len(), 0);
}

#[tokio::test]
async fn counts_outlive_the_reports_until_ids_are_removed() {
    let bench = Bench::new();
    assert!(put(&bench, 2, None).await);
    let due_at = bench.now();
    bench.clock.advance(Duration::from_secs(60));
    let now = bench.now();
    bench.store().sweep(now, due_at).await.unwrap();
    let last = bench.store().last_digest("monday").await.unwrap();
    assert_eq!(
        last,
        Some(LastDigest {
            due_at,
            counts: counts(2)
        })
    );
    bench.store().sweep(now, now).await.unwrap();
    assert_eq!(bench.store().last_digest("monday").await, Ok(None));
}
