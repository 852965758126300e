//! Apps by the long connection, and the machine's proxy that they go through.

use super::{Folder, config};
use crate::feishu::Receive;
use crate::net::SystemProxy;

const SHOP: &str = "[apps.shop]\napp_id = \"cli_1\"\nreceive = \"websocket\"\n";

fn shop() -> String {
    format!("{SHOP}app_secret = \"${{SECRET:-s}}\"\n")
}

fn proxy(variables: &[(&str, &str)]) -> Option<(String, String)> {
    let proxy = config(&shop(), variables).system_proxy;
    proxy.map(|SystemProxy { url, except }| (url.expose().to_owned(), except))
}

#[test]
fn the_secret_is_all_that_a_long_connection_needs() {
    let shop = config(&shop(), &[]);
    assert_eq!(shop.apps["shop"].receive, Receive::Websocket);
    let webhook = "[apps.shop]\napp_id = \"cli_1\"\nencrypt_key = \"${KEY:-k}\"\n";
    assert_eq!(config(webhook, &[]).apps["shop"].receive, Receive::Webhook);
}

#[test]
fn without_it_the_complaint_says_where_to_find_it_and_once() {
    let report = Folder::new(SHOP).report(&[]);
    assert!(report.contains("error[E025]"), "{report}");
    assert!(report.contains("relay.toml:3:11"), "{report}");
    assert!(report.contains("Credentials & Basic Info"), "{report}");
    let empty = Folder::new(format!("{SHOP}app_secret = \"${{SECRET}}\"\n"));
    let report = empty.report(&[("SECRET", "")]);
    assert_eq!(report.matches("error[").count(), 1, "{report}");
}

#[test]
fn the_machine_s_proxy_is_taken_from_the_environment() {
    let is = |url: &str, except: &str| Some((url.to_owned(), except.to_owned()));
    assert_eq!(proxy(&[]), None);
    assert_eq!(proxy(&[("HTTPS_PROXY", ""), ("NO_PROXY", "x")]), None);
    assert_eq!(
        proxy(&[("HTTP_PROXY", "http://p:1"), ("ALL_PROXY", "http://p:1")]),
        None
    );
    assert_eq!(
        proxy(&[
            ("HTTPS_PROXY", " http://u:w@p:3128/ "),
            ("NO_PROXY", "a.com, 10.0.0.0/8")
        ]),
        is("http://u:w@p:3128/", "a.com, 10.0.0.0/8")
    );
    let both = [
        ("HTTPS_PROXY", "http://big:1"),
        ("https_proxy", "small:2"),
        ("no_proxy", "*"),
    ];
    assert_eq!(proxy(&both), is("http://small:2", "*"));
}

#[test]
fn a_proxy_that_is_none_is_named_by_its_variable_and_not_shown() {
    let folder = Folder::new(shop());
    for bad in ["socks5://hunter2:1", "http://", "hunter2 hunter2"] {
        let report = folder.report(&[("HTTPS_PROXY", bad)]);
        assert!(
            report.contains("error[E029]") && report.contains("HTTPS_PROXY"),
            "{report}"
        );
        assert!(!report.contains("hunter2"), "{report}");
    }
    // Nothing of an app by webhook goes through it.
    let webhook = "[apps.shop]\napp_id = \"cli_1\"\nencrypt_key = \"${KEY:-k}\"\n";
    assert_eq!(
        config(webhook, &[("HTTPS_PROXY", "socks5://x")]).system_proxy,
        None
    );
}
