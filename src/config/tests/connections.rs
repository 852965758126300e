//! Tests of apps with a long connection, and of the machine's proxy.

use super::{Folder, config};
use crate::feishu::Receive;

const SHOP: &str = "[apps.shop]\napp_id = \"cli_1\"\nreceive = \"websocket\"\n";

fn shop() -> String {
    format!("{SHOP}app_secret = \"${{SECRET:-s}}\"\n")
}

/// The proxies for https and http, and the exceptions.
type Ways = (Option<String>, Option<String>, String);

fn ways(text: &str, variables: &[(&str, &str)]) -> Ways {
    let proxies = config(text, variables).proxies;
    let of = |proxy: Option<crate::model::Secret>| proxy.map(|url| url.expose().to_owned());
    (of(proxies.https), of(proxies.http), proxies.except)
}

#[test]
fn the_secret_is_all_that_a_long_connection_needs() {
    let shop = config(&shop(), &[]);
    assert_eq!(shop.apps["shop"].receive, Receive::Websocket);
    let webhook = "[apps.shop]\napp_id = \"cli_1\"\nencrypt_key = \"${KEY:-k}\"\n";
    assert_eq!(config(webhook, &[]).apps["shop"].receive, Receive::Webhook);
}

#[test]
fn missing_app_secret_is_reported_once_with_help() {
    let report = Folder::new(SHOP).report(&[]);
    assert!(report.contains("error[E025]"), "{report}");
    assert!(report.contains("relay.toml:3:11"), "{report}");
    assert!(report.contains("Credentials & Basic Info"), "{report}");
    let empty = Folder::new(format!("{SHOP}app_secret = \"${{SECRET}}\"\n"));
    let report = empty.report(&[("SECRET", "")]);
    assert_eq!(report.matches("error[").count(), 1, "{report}");
}

fn is(https: Option<&str>, http: Option<&str>, except: &str) -> Ways {
    let owned = |url: Option<&str>| url.map(str::to_owned);
    (owned(https), owned(http), except.to_owned())
}

#[test]
fn proxies_of_the_environment_serve_every_app_and_destination() {
    let ways = |variables| ways(&shop(), variables);
    assert_eq!(ways(&[]), is(None, None, ""));
    assert_eq!(
        ways(&[("HTTPS_PROXY", ""), ("NO_PROXY", "x")]),
        is(None, None, "x")
    );
    assert_eq!(
        ways(&[("HTTP_PROXY", "http://p:1"), ("ALL_PROXY", "http://q:1")]),
        is(None, Some("http://p:1"), "")
    );
    assert_eq!(
        ways(&[
            ("HTTPS_PROXY", " http://u:w@p:3128/ "),
            ("NO_PROXY", "a.com, 10.0.0.0/8")
        ]),
        is(Some("http://u:w@p:3128/"), None, "a.com, 10.0.0.0/8")
    );
    let both = [
        ("HTTPS_PROXY", "http://big:1"),
        ("https_proxy", "small:2"),
        ("no_proxy", "*"),
    ];
    assert_eq!(ways(&both), is(Some("http://small:2"), None, "*"));
}

#[test]
fn network_proxy_applies_to_all_and_overrides_environment() {
    let text = format!("network.proxy = \"http://way.out:3128\"\n{}", shop());
    let variables = [("HTTPS_PROXY", "socks5://ignored"), ("NO_PROXY", "a.com")];
    let out = Some("http://way.out:3128");
    assert_eq!(ways(&text, &variables), is(out, out, "a.com"));
    let folder = Folder::new(format!("network.proxy = \"socks5://hunter2\"\n{}", shop()));
    let report = folder.report(&[]);
    assert!(report.contains("error[E029]"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn invalid_proxy_is_reported_by_variable_without_value() {
    let folder = Folder::new(shop());
    for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
        for bad in ["socks5://hunter2:1", "http://", "hunter2 hunter2"] {
            let report = folder.report(&[(name, bad)]);
            assert!(
                report.contains("error[E029]") && report.contains(name),
                "{report}"
            );
            assert!(!report.contains("hunter2"), "{report}");
        }
    }
}
