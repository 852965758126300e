//! Tests on machines with missing parts, and with foreign folders.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use serde_json::json;

use crate::harness::{Feedback, NOBODY, Receiver, Relay, Reply, wait_until};
use crate::main_path::{png, to_hook};

/// Prepares a relay on a machine without CA certificates.
fn without_certificates(config: &str) -> Relay {
    let mut relay = Relay::prepared(config);
    relay.set("SSL_CERT_FILE", "/nonexistent/bundle.pem");
    relay.set("SSL_CERT_DIR", "/nonexistent");
    relay
}

#[test]
fn without_certificates_plain_http_works() {
    let hook = Receiver::answering("{}");
    let mut relay = without_certificates(&to_hook(&hook, ""));
    assert_eq!(relay.run(&["check"]).stderr, "");
    relay.start();
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    let (_, port) = relay.address().rsplit_once(':').expect("a port");
    let here = format!("127.0.0.1:{port}");
    relay.set("RELAY__SERVER__LISTEN", &here);
    let health = relay.run(&["healthcheck"]);
    assert_eq!((health.code(), health.stdout.as_str()), (0, "ready\n"));
    assert_eq!(relay.stop().code(), Some(0));
}

#[test]
fn https_without_certificates_says_what_to_install() {
    let config = Relay::config(
        "[destinations.hook]\nkind = \"webhook\"\nurl = \"https://127.0.0.1:1/\"\n\
         [[rules]]\nname = \"all\"\nsend_to = \"hook\"\n",
    );
    let mut relay = without_certificates(&config);
    let checked = relay.run(&["check"]);
    assert_eq!(checked.code(), 0, "{checked:?}");
    for said in ["ca-certificates", "SSL_CERT_FILE"] {
        assert!(checked.stderr.contains(said), "{checked:?}");
    }
    relay.start();
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay.wait_for_log("ca-certificates");
}

#[test]
fn folder_open_to_others_gives_warning() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::prepared(&to_hook(&hook, ""));
    std::fs::create_dir(relay.path("data")).expect("a folder");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(relay.path("data"), open).expect("ours");
    relay.start();
    relay.wait_for_log("every user of this machine can replace the files");
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
}

#[test]
fn commands_create_no_folder() {
    let hook = Receiver::answering("{}");
    let relay = Relay::prepared(&to_hook(&hook, ""));
    let event = Feedback::fault(1).envelope.to_string();
    relay.write("event.json", &event);
    for command in [
        &["try", "event.json", "--to", "hook", "--send"] as &[&str],
        &["check", "--online"],
        &["events", "list"],
        &["events", "erase", "ev-1"],
        &["deliveries", "list"],
        &["backup", "copy"],
    ] {
        let _said = relay.run(command);
        assert!(!relay.path("data").exists(), "{command:?}");
    }
}

#[test]
fn check_refuses_store_that_is_no_plain_file() {
    for (url, said) in [
        ("sqlite:data/relay.db?mode=rwc", "options after a `?`"),
        ("sqlite:~/relay.db", "is not expanded"),
        ("sqlite:my%20relay.db", "`%` and two digits"),
        ("sqlite:data/", "it is a folder"),
    ] {
        let relay = Relay::prepared(&format!("store.url = \"{url}\"\n{}", Relay::config("")));
        let checked = relay.run(&["check"]);
        assert_eq!(checked.code(), 2, "{url}: {checked:?}");
        assert!(checked.stdout.contains(said), "{url}: {checked:?}");
    }
}

/// The root of a volume often belongs to root, with a group that the relay is in.
#[test]
fn image_folder_of_root_with_group_access_is_used() {
    let (hook, pictures) = (Receiver::answering("{}"), Receiver::answering(""));
    pictures.always(Reply::bytes("image/png", &png()));
    let config = format!("images.store = \"volume\"\n{}", to_hook(&hook, ""));
    let mut relay = Relay::prepared(&config);
    if !relay.run_as_nobody() {
        return; // only root can make the folder of another user
    }
    let volume = relay.path("volume");
    std::fs::create_dir(&volume).expect("a folder");
    chown(&volume, Some(0), Some(NOBODY)).expect("this is root");
    let shared = std::fs::Permissions::from_mode(0o2770);
    std::fs::set_permissions(&volume, shared).expect("ours");
    relay.start();
    let event = Feedback::fault(1).with("images", json!([pictures.url("/p.png")]));
    assert_eq!(relay.push(&event).status, 200);
    wait_until("the image is kept", || {
        let shown = relay.run(&["events", "show", "ev-1", "--json"]).json();
        shown["images"][0]["state"] == "kept"
    });
    relay.wait_for_log("other users can enter this folder");
    let mode = std::fs::metadata(&volume)
        .expect("a folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o2770, "it stays unchanged");
}

#[test]
fn folder_that_cannot_be_written_is_named_with_its_owner() {
    for (folder, setting) in [("data", ""), ("volume", "images.store = \"volume\"\n")] {
        let hook = Receiver::answering("{}");
        let mut relay = Relay::prepared(&format!("{setting}{}", to_hook(&hook, "")));
        let path = relay.path(folder);
        std::fs::create_dir(&path).expect("a folder");
        relay.run_as_nobody();
        let closed = std::fs::Permissions::from_mode(0o555);
        std::fs::set_permissions(&path, closed).expect("ours");
        let (owner, user) = {
            let owner = std::fs::metadata(&path).expect("a folder").uid();
            (owner, if owner == 0 { NOBODY } else { owner })
        };
        let served = relay.run(&["serve"]);
        assert_eq!(served.code(), 1, "{served:?}");
        let said =
            format!("folder {folder} belongs to user {owner} (mode 555), and this is user {user}");
        assert!(served.stderr.contains(&said), "{served:?}");
        // Sending a test message needs neither folder.
        relay.write("event.json", &Feedback::fault(1).envelope.to_string());
        let tried = relay.run(&["try", "event.json", "--to", "hook", "--send"]);
        assert_eq!(tried.code(), 0, "{tried:?}");
        hook.wait_for(1);
    }
}
