//! What a reload says.

use super::Folder;
use crate::config::changes;

const OLD: &str = r#"
[server]
max_connections = 5
[apps.shop]
app_id = "cli_1"
verification_token = "${X:-t}"
[destinations.a]
kind = "file"
path = "a"
[destinations.b]
kind = "file"
path = "b"
[[rules]]
name = "first"
send_to = "a"
[[rules]]
name = "second"
send_to = "b"
"#;

#[track_caller]
fn said(edits: &[(&str, &str)]) -> String {
    let folder = Folder::new(OLD);
    let old = folder.load(&[]).config.unwrap();
    let new = edits.iter().fold(OLD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    let new = folder.with("relay.toml", new).load(&[]);
    let report = new.report();
    changes(&old, &new.config.expect(&report)).to_string()
}

/// What is edited in the file, and what a reload says of it.
const EDITS: &[(&[(&str, &str)], &str)] = &[
    (&[], "nothing changed"),
    (
        &[("max_connections = 5", "# moved\nmax_connections = 5\n")],
        "nothing changed",
    ),
    (
        &[(
            "max_connections = 5",
            "max_connections = 5\nmax_body = \"2MiB\"",
        )],
        "server changed",
    ),
    (
        &[("[apps.shop]", "[log]\nlevel = \"warn\"\n[apps.shop]")],
        "log.level changed",
    ),
    (&[(":-t}", ":-other}")], "app shop changed"),
    (
        &[(
            "[destinations.a]",
            "app_secret = \"${X:-s}\"\n[destinations.a]",
        )],
        "app shop changed, backfill of shop changed",
    ),
    (&[("path = \"a\"", "path = \"c\"")], "destination a changed"),
    (
        &[("path = \"a\"", "path = \"a\"\nrate = \"1/s\"")],
        "destination a changed",
    ),
    (
        &[
            ("[destinations.b]", "[destinations.c]"),
            ("send_to = \"b\"", "send_to = \"c\""),
        ],
        "destination c added, destination b removed, rule \"second\" changed",
    ),
    (
        &[("send_to = \"a\"", "send_to = []")],
        "rule \"first\" changed",
    ),
    (
        &[("\"second\"", "\"third\"")],
        "rule \"third\" added, rule \"second\" removed",
    ),
    (
        &[
            ("\"first\"", "\"x\""),
            ("\"second\"", "\"first\""),
            ("\"x\"", "\"second\""),
            ("send_to = \"a\"", "send_to = \"c\""),
            ("send_to = \"b\"", "send_to = \"a\""),
            ("send_to = \"c\"", "send_to = \"b\""),
        ],
        "rules reordered",
    ),
    (
        &[(
            "max_connections = 5",
            "listen = \"127.0.0.1:1\"\nmax_connections = 5\nmax_body = \"2MiB\"",
        )],
        "server changed; after a restart only: server.listen",
    ),
    (
        &[(
            "max_connections = 5",
            "max_connections = 5\nadmin_listen = \"127.0.0.1:1\"",
        )],
        "after a restart only: server.admin_listen",
    ),
];

#[test]
fn each_change_is_named() {
    for (edits, wanted) in EDITS {
        assert_eq!(said(edits), *wanted, "{edits:?}");
    }
}

#[test]
fn what_is_fixed_at_the_start_is_not_said_to_be_taken_up() {
    let json = "max_connections = 6\n[log]\nformat = \"json\"";
    assert_eq!(
        said(&[("max_connections = 5", json)]),
        "after a restart only: server.max_connections, log.format"
    );
}

#[test]
fn journal_and_pictures_stay_where_they_are() {
    let store = "[store]\nurl = \"sqlite:relay2.db\"\n[images]\nstore = \"pics\"\n[apps.shop]";
    assert_eq!(
        said(&[("[apps.shop]", store)]),
        "after a restart only: store.url, images.store"
    );
}
