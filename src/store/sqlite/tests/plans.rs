//! Query plans: frequent queries use an index and never scan a table.

use rusqlite::Connection;

use super::super::engine::migrations::{self, STEPS};
use super::super::engine::{connection, event_id_index};
use super::super::{
    complete_attempt, digests, edits, failover, feedback_status, held, image_leases, incidents,
    late_images, lease, orphans, queries, retention, silences, stats, status_outbox,
};
use crate::model::{
    DeliveryId, DeliveryState, EventSeq, EventState, SilenceId, Timestamp, Trigger,
};
use crate::store::decide::failover::can_move;
use crate::store::{DeliveryFilter, EventFilter};

fn database() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    connection::plan_once(&conn).unwrap();
    migrations::migrate(&conn, std::path::Path::new(""), 0, STEPS).unwrap();
    conn
}

fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let parameters = explain.parameter_count();
    let nulls = vec![rusqlite::types::Null; parameters];
    explain
        .query_map(rusqlite::params_from_iter(nulls), |row| row.get(3))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn lease_uses_one_index_range_per_rank() {
    let conn = database();
    for sql in lease::statements() {
        let plan = plan(&conn, sql);
        assert_eq!(plan.len(), 1, "{plan:?}");
        assert!(
            plan[0].contains(
                "COVERING INDEX deliveries_due (destination=? AND rank=? AND tried=? AND due_at"
            ),
            "{plan:?}"
        );
    }
}

#[test]
fn acceptance_and_lists_find_silences_by_index() {
    let conn = database();
    let muted = DeliveryFilter {
        states: vec![DeliveryState::Suppressed],
        silence: Some(SilenceId(1)),
        limit: 5,
        ..DeliveryFilter::default()
    };
    let muted = queries::deliveries_queries(&muted).remove(0).sql;
    for (sql, index) in [
        (silences::ACTIVE, "silences_active (ends_at>?)"),
        (silences::NEXT_REMINDER, "silences_reminding"),
        (muted.as_str(), "deliveries_suppressed (silence_id=?)"),
    ] {
        let plan = plan(&conn, sql);
        assert!(plan.iter().any(|line| line.contains(index)), "{plan:?}");
    }
}

#[test]
fn send_reads_rows_by_delivery_and_event() {
    let conn = database();
    let plan = plan(&conn, lease::WORK);
    assert!(
        plan.iter()
            .all(|line| !line.starts_with("SCAN ") || line.contains("CONSTANT")),
        "{plan:?}"
    );
    for index in ["feedback_states_by_event", "feedback_acts_by_event"] {
        assert!(plan.iter().any(|line| line.contains(index)), "{plan:?}");
    }
}

#[test]
fn messages_to_a_destination_are_found_by_event() {
    let conn = database();
    for (sql, by_event) in [
        (
            late_images::SHOWN,
            "INDEX deliveries_by_event (event_seq=? AND destination=?)",
        ),
        (
            failover::SIBLINGS,
            "INDEX deliveries_by_event (event_seq=?)",
        ),
    ] {
        let plan = plan(&conn, sql);
        assert!(plan.iter().any(|line| line.contains(by_event)), "{plan:?}");
    }
}

#[test]
fn page_of_waiting_messages_has_those_that_can_move() {
    for trigger in Trigger::ALL.iter().copied() {
        let left_out = failover::WAITING.contains(&format!("trigger <> '{}'", trigger.key()));
        assert_eq!(left_out, !can_move(trigger), "{trigger:?}");
    }
}

#[test]
fn waiting_messages_are_found_by_position_and_by_age() {
    let conn = database();
    for (sql, index) in [
        (
            failover::WAITING,
            "INDEX deliveries_due (destination=? AND rank=? AND tried=? AND due_at",
        ),
        (
            failover::EXPIRED_TRIED,
            "INDEX deliveries_tried (destination=? AND due_since<?)",
        ),
        (
            failover::EXPIRED_UNTRIED,
            "INDEX deliveries_due (destination=? AND rank=? AND tried=? AND due_at<?)",
        ),
    ] {
        let plan = plan(&conn, sql);
        assert!(plan[0].contains(index), "{plan:?}");
        assert!(
            !plan.iter().any(|line| line.contains("TEMP B-TREE")),
            "{plan:?}"
        );
    }
}

/// However many jobs wait: for another host, for a paused host, or for a later time.
#[test]
fn image_poll_uses_index_ranges_without_sorting() {
    let conn = database();
    let ready = "COVERING INDEX image_jobs_ready (stage=? AND host";
    let waiting = "INDEX image_jobs_waiting (due_at";
    let polls = [
        (image_leases::NEXT_HOST, ready),
        (image_leases::OF_HOST, ready),
        (
            image_leases::ANY_READY,
            "COVERING INDEX image_jobs_ready (stage<?",
        ),
        (image_leases::DUE[0], waiting),
        (image_leases::DUE[1], waiting),
    ];
    for (sql, index) in polls {
        let plan = plan(&conn, sql);
        assert_eq!(plan.len(), 1, "{plan:?}");
        assert!(plan[0].contains(index), "{plan:?}");
    }
}

/// Returns the virtual machine steps that a statement takes.
fn steps(conn: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) -> i32 {
    let mut statement = conn.prepare(sql).unwrap();
    let mut rows = statement.query(params).unwrap();
    while rows.next().unwrap().is_some() {}
    drop(rows);
    statement.get_status(rusqlite::StatementStatus::VmStep)
}

#[test]
fn image_poll_cost_is_constant_with_100_000_due_jobs() {
    let taken = |rows: i64| {
        let conn = database();
        conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        let fill = "
            WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO image_jobs (event_seq, ordinal, url, host, state, stage, due_at, deadline_at)
            SELECT i, 0, 'u', iif(i % 2, 'dead', 'well'), 'pending', i % 3, i, i FROM n";
        conn.execute(fill, [rows]).unwrap();
        [
            steps(&conn, image_leases::NEXT_HOST, &[&0, &""]),
            steps(&conn, image_leases::NEXT_HOST, &[&0, &"dead"]),
            steps(&conn, image_leases::NEXT_HOST, &[&1, &"well"]),
            steps(&conn, image_leases::OF_HOST, &[&1, &"well", &4]),
            steps(&conn, image_leases::DUE[0], &[&rows, &4]),
            steps(&conn, image_leases::ANY_READY, &[]),
        ]
    };
    assert_eq!(taken(100), taken(100_000));
}

/// The queries behind every answer to a monitor, apart from delivery counts.
const OF_STATS: [&str; 7] = [
    stats::IMAGES_PENDING,
    stats::UNREADABLE,
    stats::STATUSES_PENDING,
    stats::STATUSES_DEAD,
    stats::LAST_EVENTS,
    stats::INCIDENTS_OPEN,
    incidents::MERGING,
];

/// Returns the statements of lists and background work.
#[expect(clippy::too_many_lines, reason = "a list")]
fn statements() -> Vec<String> {
    use DeliveryState::{Dead, Pending, Sending};
    let mut statements = vec![
        retention::OLD_BODIES.to_owned(),
        retention::OLD_EVENTS.to_owned(),
    ];
    statements.push(feedback_status::END_OF_UNDO.to_owned());
    statements.push(format!("SELECT m.delivery_id {}", edits::EDITABLE));
    statements.extend(status_outbox::DUE.map(str::to_owned));
    statements.extend([Pending, Sending, Dead].map(stats::count_sql));
    statements.extend(OF_STATS.map(str::to_owned));
    statements
        .extend([event_id_index::IN_TABLE, event_id_index::NEWEST_WAITING].map(str::to_owned));
    statements.extend(
        [
            complete_attempt::PACED,
            orphans::PERHAPS_TWICE,
            orphans::MOVE_WAITING,
            orphans::MOVE_LEASED,
            orphans::BATCH_END,
            orphans::MOVE_DELIVERED,
            orphans::MOVE_MESSAGES,
            orphans::MOVE_DELIVERED_OF,
            orphans::MOVE_MESSAGES_OF,
            incidents::COUNTED,
            incidents::ONE_TOO_MANY,
            incidents::QUIET_BEFORE,
            crate::store::sqlite::messages::LIVE,
            incidents::NEXT_REPORTS,
            incidents::PENDING,
            incidents::WRITTEN,
            incidents::LEFT,
            incidents::NEWEST,
            incidents::IMAGES,
            incidents::SAME_KEY,
            incidents::SAME_FAULT,
        ]
        .map(str::to_owned),
    );
    let of_held = [
        held::DUE[0],
        held::DUE[1],
        held::STALE,
        held::ANY_STALE,
        held::NEWEST_REPORTS,
        held::SUMMARISED,
        orphans::HELD_TWICE,
        orphans::MOVE_HELD,
        digests::LAST,
    ];
    statements.extend(of_held.map(str::to_owned));
    let since = Some(Timestamp::from_millis(0));
    let all = EventFilter {
        limit: 9,
        ..Default::default()
    };
    let events = [
        EventFilter {
            via: Some("shop".into()),
            ..all.clone()
        },
        EventFilter {
            state: Some(EventState::Unreadable),
            ..all.clone()
        },
        EventFilter {
            since,
            ..all.clone()
        },
        EventFilter {
            until: since,
            ..all.clone()
        },
        EventFilter {
            before: Some(EventSeq(9)),
            ..all
        },
    ];
    statements.extend(
        events
            .iter()
            .map(|filter| queries::events_query(filter).sql),
    );
    let all = DeliveryFilter {
        limit: 9,
        ..Default::default()
    };
    let deliveries = [
        DeliveryFilter {
            event: Some(EventSeq(9)),
            ..all.clone()
        },
        DeliveryFilter {
            id: Some(DeliveryId::from_i64(9)),
            ..all.clone()
        },
        DeliveryFilter {
            before: Some(DeliveryId::from_i64(9)),
            ..all.clone()
        },
        DeliveryFilter {
            states: vec![Pending, Dead],
            ..all
        },
    ];
    let queries = deliveries.iter().flat_map(queries::deliveries_queries);
    statements.extend(queries.map(|query| query.sql));
    statements
}

#[test]
fn frequent_queries_scan_no_table() {
    let conn = database();
    for sql in statements() {
        for line in plan(&conn, &sql) {
            // These indexes contain only unfinished or dead rows.
            let few = [
                "deliveries_due",
                "deliveries_leased",
                "deliveries_ended",
                "image_jobs_ready",
                "status_jobs_due",
                "status_jobs_dead",
                "incidents_open",
                "incidents_merging",
            ];
            let by_few = few
                .iter()
                .any(|index| line.contains(&format!("INDEX {index}")));
            // Apps are few and are read one after the other. Subqueries have a limit.
            let is_small = line == "SCAN apps" || line.starts_with("SCAN (subquery");
            let whole = line.starts_with("SCAN") && !by_few && !is_small;
            assert!(!whole, "{line}\n{sql}");
        }
    }
}

#[test]
fn the_newest_rows_are_found_without_sorting() {
    let conn = database();
    for sql in [
        queries::events_query(&EventFilter {
            limit: 9,
            ..Default::default()
        })
        .sql,
        queries::events_query(&EventFilter {
            via: Some("shop".into()),
            limit: 9,
            ..Default::default()
        })
        .sql,
        queries::deliveries_queries(&DeliveryFilter {
            destination: Some("oncall".into()),
            states: vec![DeliveryState::Dead],
            limit: 9,
            ..Default::default()
        })
        .remove(0)
        .sql,
        // An operator's rare query: it goes back through all sent deliveries until it has enough.
        queries::deliveries_queries(&DeliveryFilter {
            destination: Some("oncall".into()),
            limit: 9,
            ..Default::default()
        })
        .remove(0)
        .sql,
        stats::LAST_EVENTS.to_owned(),
    ] {
        let plan = plan(&conn, &sql);
        assert!(
            !plan.iter().any(|line| line.contains("TEMP B-TREE")),
            "{plan:?}\n{sql}"
        );
    }
}

/// An `IN` with more than two values in a `CHECK` creates such a table.
#[test]
fn insert_creates_no_temporary_table() {
    let conn = database();
    let tables: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(tables.len() > 10);
    for table in tables {
        let mut explain = conn
            .prepare(&format!("EXPLAIN INSERT INTO {table} DEFAULT VALUES"))
            .unwrap();
        let steps: Vec<String> = explain
            .query_map([], |row| row.get("opcode"))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(
            steps
                .iter()
                .any(|step| step == "Insert" || step == "IdxInsert"),
            "{table}"
        );
        assert!(!steps.iter().any(|step| step == "OpenEphemeral"), "{table}");
    }
}
