//! `HTTPS_PROXY` and `NO_PROXY`: what the machine's administrator says of the way out. The long
//! connection heeds them, and what it is asked for with; a destination has a `proxy` of its own.

use std::collections::BTreeMap;

use toml::Spanned;

use super::urls;
use crate::config::spans::{At, Complaints};
use crate::feishu::{App, Receive};
use crate::model::{AppName, Secret};
use crate::net::SystemProxy;

/// The proxy for long connections, if there is an app with one. As elsewhere, the name in small letters
/// counts before the one in capitals, an empty value is none, and a proxy without a scheme is `http://`.
pub(super) fn system(
    apps: &BTreeMap<AppName, App>,
    environment: &BTreeMap<String, String>,
    out: &mut Complaints,
) -> Option<SystemProxy> {
    let connects = |app: &App| app.receive == Receive::Websocket;
    if !apps.values().any(connects) {
        return None;
    }
    let value = |names: [&'static str; 2]| {
        let mut values = names.into_iter().filter_map(|name| {
            let value = environment.get(name)?.trim();
            (!value.is_empty()).then_some((name, value))
        });
        values.next()
    };
    let (name, url) = value(["https_proxy", "HTTPS_PROXY"])?;
    let url = match url.contains("://") {
        true => url.to_owned(),
        false => format!("http://{url}"),
    };
    let at = At::new("", out.variable_span(name));
    let span = at.span.clone().unwrap_or_default();
    let url = Spanned::new(span, Secret::new(url));
    urls::proxy(&url, &at, out);
    let except = value(["no_proxy", "NO_PROXY"]).map_or("", |(_, hosts)| hosts);
    Some(SystemProxy {
        url: url.into_inner(),
        except: except.to_owned(),
    })
}
