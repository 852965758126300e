//! Reads of damaged or removed rows.

use super::super::IfAbandoned;
use super::{Bench, LEASE};
use crate::model::Severity;

#[tokio::test]
async fn unreadable_delivery_does_not_block_others() {
    let bench = Bench::new();
    for id in ["e1", "e2"] {
        let arrival = bench.arrival(id, &[("oncall", Severity::Info)]);
        bench.accept(arrival).await;
    }
    let spoil =
        "UPDATE deliveries SET spec = 'no JSON' WHERE id = (SELECT min(id) FROM deliveries)";
    let database = &bench.store().database;
    let spoilt = database.write(IfAbandoned::Run, move |tx| tx.execute(spoil, []));
    assert_eq!(spoilt.await, Ok(1));
    let leases = bench.lease("oncall", 2).await;
    let events = leases.iter().map(|lease| lease.item.event.id.as_str());
    assert_eq!(events.collect::<Vec<_>>(), ["e2"]);
}

/// A lease whose work nobody can read would block its delivery until the lease expires.
#[tokio::test]
async fn leased_work_is_read_by_the_writer_where_no_reader_opens() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    bench.store().database.readers.close();
    let moved = bench.path().with_extension("moved");
    std::fs::rename(bench.path(), &moved).unwrap();
    assert!(bench.store().next_due_at(&"oncall".into()).await.is_err());
    let leases = bench.store().lease_due(&"oncall".into(), 1, LEASE).await;
    assert_eq!(leases.unwrap().len(), 1);
    std::fs::rename(moved, bench.path()).unwrap();
}
