//! Reads of damaged or removed rows.

use super::super::IfAbandoned;
use crate::model::Severity;
use crate::store::conformance::Bench;

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
