//! Tests every key with values of every type. Each mistake is reported in the relay's own words, once, and hides
//! no other.

use serde_json::Value;

use super::Folder;
use crate::config::schema;

const VALUES: &[&str] = &[
    "5",
    "-1",
    "1.5",
    "true",
    "2024-01-01",
    "07:32:00",
    "\"?\"",
    "[]",
    "[2024-01-01]",
    "[1.5]",
    "{}",
    "{ x = 2024-01-01 }",
];

fn keys_of(section: &Value) -> Vec<String> {
    let keys = section["properties"].as_object().unwrap();
    keys.keys().cloned().collect()
}

#[test]
fn value_of_a_wrong_type_is_said_in_our_own_words() {
    let schema = schema();
    let mut files = Vec::new();
    for section in ["server", "log", "operator", "store", "images", "templates"] {
        let keys = keys_of(&schema["properties"][section]);
        for value in VALUES {
            let lines: String = keys
                .iter()
                .map(|key| format!("{key} = {value}\n"))
                .collect();
            files.push(format!("[{section}]\n{lines}"));
        }
    }
    for value in VALUES {
        files.push(format!(
            "[apps.a]\napp_id = {value}\nencrypt_key = {value}\nverification_token = {value}\nbackfill = {value}\nreceive = {value}\n"
        ));
        files.push(format!(
            "[destinations.a]\nkind = \"webhook\"\nurl = {value}\nsecret = {value}\nheaders = {value}\nbody = {value}\nrate = {value}\n\
             timeout = {value}\nfields = {value}\nlocale = {value}\nfallback = {value}\nconcurrency = {value}\n"
        ));
        files.push(format!(
            "[mentions]\na = {{ feishu = {value} }}\n[app_names]\ncli_1 = {value}\n"
        ));
        files.push(format!(
            "[[rules]]\nname = {value}\nsend_to = {value}\nmatch = {value}\nwait = {value}\nlabels = {value}\nsevrity = {value}\n"
        ));
    }
    for file in files {
        let loaded = Folder::new(&file).load(&[]);
        for one in &loaded.diagnostics {
            for foreign in [
                "spanned",
                "$__",
                "invalid type",
                "private",
                "datetime",
                "u32",
                "i64",
                "sequence",
                "variant",
                "visitor",
            ] {
                assert!(!one.message.contains(foreign), "{file}{}", one.message);
            }
        }
        if file.contains("sevrity") {
            let misspelt = |one: &&crate::diag::Diagnostic| one.place.path == "rules[0].sevrity";
            assert_eq!(
                loaded.diagnostics.iter().filter(misspelt).count(),
                1,
                "{file}"
            );
        }
    }
}

#[test]
fn each_wrong_element_and_each_missing_part_is_said() {
    let file = "[images]\nallow_hosts = [\"a.com\", 5, true]\n[apps.a]\napp_secret = {}\nencrypt_key = [{ file = 5 }]\n";
    let loaded = Folder::new(file).load(&[]);
    let said = |path: &str| {
        let mut all = loaded.diagnostics.iter();
        let found = all.find(|one| one.place.path == path);
        found.map(|one| (one.code, one.message.as_str()))
    };
    for (path, wanted) in [
        (
            "images.allow_hosts[1]",
            ("E007", "expected a string, found an integer"),
        ),
        (
            "images.allow_hosts[2]",
            ("E007", "expected a string, found a boolean"),
        ),
        (
            "apps.a.app_secret",
            ("E009", "`apps.a.app_secret` needs the key `file`"),
        ),
        (
            "apps.a.encrypt_key[0].file",
            ("E007", "expected a string, found an integer"),
        ),
    ] {
        assert_eq!(said(path), Some(wanted), "{path}");
    }
}

#[test]
fn duration_is_read_the_same_everywhere() {
    let app = "[apps.a]\napp_id = \"cli_1\"\nverification_token = \"t\"\n";
    let with = |duration: &str| {
        format!(
            "[images]\nwait = \"{duration}\"\n{app}[[rules]]\nname = \"x\"\nsend_to = []\nwait = \"{duration}\"\n"
        )
    };
    let good = Folder::new(with("5 s")).load(&[]);
    assert!(good.config.is_some(), "{}", good.report());
    let bad = Folder::new(with("5 sec")).load(&[]);
    let said: Vec<_> = bad
        .diagnostics
        .iter()
        .filter(|one| one.place.path.ends_with("wait"))
        .map(|one| (one.code, one.message.as_str(), one.help.as_deref()))
        .collect();
    assert_eq!(said.len(), 2);
    assert_eq!(said[0], said[1]);
}

#[test]
fn misspelt_key_is_said_the_same_everywhere() {
    let file = "[log]\nlevl = 1\n[[rules]]\nname = \"x\"\nsend_to = []\nsevrity = 1\nmatch = { falt = 1 }\n";
    let loaded = Folder::new(file).load(&[]);
    let said: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|one| one.code == "E005")
        .map(|one| {
            format!(
                "{}: {}",
                one.message,
                one.help.as_deref().unwrap_or_default()
            )
        })
        .collect();
    let wanted = [
        ("levl", "level"),
        ("sevrity", "severity"),
        ("falt", "fault"),
    ]
    .map(|(key, near)| format!("unknown key `{key}`: did you mean `{near}`?"));
    assert_eq!(said, wanted);
}

#[test]
fn key_without_a_secret_is_shown() {
    let file = "server.listen = \"shown\"\nserver.public_url = \"shown\"\n[[rules]]\nname = \"x\"\nsend_to = []\nmatch = { status = \"shown\", tenant_key = 5 }\n";
    let report = Folder::new(file).report(&[]);
    assert!(
        report.matches("\"shown\"").count() >= 3 && !report.contains("***"),
        "{report}"
    );
}
