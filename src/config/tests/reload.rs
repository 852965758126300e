//! Tests of the description of a reload.

use super::Folder;
use crate::config::changes;
use crate::config::takes_away;

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

/// The edits of a file, and the description of the reload.
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
fn restart_only_keys_are_not_listed_as_applied() {
    let json = "max_connections = 6\n[log]\nformat = \"json\"";
    assert_eq!(
        said(&[("max_connections = 5", json)]),
        "after a restart only: server.max_connections, log.format"
    );
}

#[test]
fn journal_and_images_stay_where_they_are() {
    let store = "[store]\nurl = \"sqlite:relay2.db\"\n[images]\nstore = \"pics\"\n[apps.shop]";
    assert_eq!(
        said(&[("[apps.shop]", store)]),
        "after a restart only: store.url, images.store"
    );
}

/// Returns why a reload from the first of these files to the second is refused.
#[track_caller]
fn refused(old: &Folder, new: &Folder) -> Option<String> {
    let old = old.load(&[]).config.unwrap();
    let new = new.load(&[]);
    let report = new.report();
    takes_away(&old, &new.config.expect(&report))
}

#[test]
fn reload_that_takes_away_what_is_in_use_is_refused() {
    let app = "[apps.shop]\napp_id = \"cli_1\"\nverification_token = \"t\"\n";
    let rule = "[[rules]]\nname = \"x\"\nsend_to = []\n";
    let a = "[destinations.a]\nkind = \"file\"\npath = \"a\"\n";
    let included = "include = \"rules.d/*.toml\"\n";
    let own = "[templates]\ndir = \"templates\"\n";
    let old = Folder::new(format!("{included}{app}{a}{rule}{own}"))
        .with("rules.d/1.toml", rule.replace('x', "y"))
        .with("templates/text/own.hbs", "{{feedback.description}}");
    let renamed = a.replace("[destinations.a]", "[destinations.b]");
    for (new, folder_is_kept, said) in [
        (format!("{app}{rule}"), true, Some("no destination")),
        (format!("{app}{a}"), true, Some("no rule")),
        (
            format!("{included}{app}{a}{rule}"),
            false,
            Some("rules.d/*.toml"),
        ),
        (
            format!("{app}{a}{rule}{own}"),
            false,
            Some("templates folder is empty"),
        ),
        (format!("{app}{a}{rule}"), false, None),
        (format!("{app}{renamed}{rule}"), true, None),
        (format!("server.allow_empty = true\n{app}"), true, None),
        ("server.allow_empty = true\n".to_owned(), true, None),
    ] {
        let mut folder = Folder::new(&new);
        if folder_is_kept {
            folder = folder
                .with("rules.d/1.toml", rule.replace('x', "y"))
                .with("templates/text/own.hbs", "{{feedback.description}}");
        } else {
            folder = folder.with("rules.d/note", "").with("templates/note", "");
        }
        let reason = refused(&old, &folder);
        match said {
            Some(said) => {
                let reason = reason.expect(&new);
                assert!(
                    reason.contains(said) && reason.contains("allow_empty"),
                    "{reason}"
                );
            }
            None => assert_eq!(reason, None, "{new}"),
        }
    }
}

#[test]
fn emptied_file_is_an_error() {
    for text in ["", "\n# all gone\n", "[server]\n", "[apps]\n"] {
        let loaded = Folder::new(text).load(&[]);
        assert!(loaded.config.is_none(), "{text:?}");
        assert!(
            loaded.diagnostics.iter().any(|one| one.code == "E037"),
            "{text:?}"
        );
    }
}

/// An editor or a full disk truncates one file of many.
#[test]
fn reload_with_an_emptied_included_file_is_refused() {
    let main = "include = \"rules.d/*.toml\"\n[destinations.a]\nkind = \"file\"\npath = \"a\"\n\
                [apps.shop]\napp_id = \"cli_1\"\nverification_token = \"t\"\n";
    let rule = |name: &str| format!("[[rules]]\nname = \"{name}\"\nsend_to = \"a\"\n");
    let folder = Folder::new(format!("server.allow_empty = false\n{main}"))
        .with("rules.d/1.toml", rule("one"))
        .with("rules.d/2.toml", rule("two"))
        .with("rules.d/3.toml", "# later\n");
    let old = folder.load(&[]).config.unwrap();
    let folder = folder.with("rules.d/1.toml", "\n# gone\n");
    let reason = takes_away(&old, &folder.load(&[]).config.unwrap()).unwrap();
    assert!(reason.contains("rules.d/1.toml is empty"), "{reason}");
    std::fs::remove_file(folder.path("rules.d/1.toml")).unwrap();
    assert_eq!(takes_away(&old, &folder.load(&[]).config.unwrap()), None);
}
