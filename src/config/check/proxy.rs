//! Reads `[network] proxy`, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. They apply to every connection except
//! those of a destination with its own `proxy`.

use std::collections::BTreeMap;

use toml::Spanned;

use super::secrets::Secrets;
use super::urls;
use crate::config::Needs;
use crate::config::context::Context;
use crate::config::keys::RawNetwork;
use crate::config::section;
use crate::model::Secret;
use crate::net::Proxies;
use crate::toml_reader::{Diagnostics, Location, Table};

/// Returns the proxies: the key if it is set, otherwise the environment's. `NO_PROXY` applies to both.
pub(super) fn proxies(section: Table, context: &Context<'_>, out: &mut Diagnostics) -> Proxies {
    let at = section.at.clone();
    let mut raw: RawNetwork = section::read(section, out);
    // Commands that only use the store send nothing.
    if context.needs != Needs::All {
        return Proxies::default();
    }
    let secrets = Secrets {
        context,
        section: &at,
    };
    let except = variable(context.environment, ["no_proxy", "NO_PROXY"]);
    let except = except.map_or_else(String::new, |(_, hosts)| hosts.to_owned());
    if let Some(proxy) = secrets.quiet(raw.proxy.take(), "proxy", out) {
        urls::proxy(&proxy, &at.key("proxy", proxy.span()), out);
        let proxy = Some(proxy.into_inner());
        return Proxies {
            https: proxy.clone(),
            http: proxy,
            except,
        };
    }
    let mut of = |names| of_environment(context.environment, names, out);
    Proxies {
        https: of(["https_proxy", "HTTPS_PROXY"]),
        http: of(["http_proxy", "HTTP_PROXY"]),
        except,
    }
}

/// Returns a variable. As in other programs, the lower-case name has priority, and an empty value counts as
/// unset.
fn variable<'e>(
    environment: &'e BTreeMap<String, String>,
    names: [&'static str; 2],
) -> Option<(&'static str, &'e str)> {
    let mut values = names.into_iter().filter_map(|name| {
        let value = environment.get(name)?.trim();
        (!value.is_empty()).then_some((name, value))
    });
    values.next()
}

/// Reads a proxy variable; without a scheme it is `http://`.
fn of_environment(
    environment: &BTreeMap<String, String>,
    names: [&'static str; 2],
    out: &mut Diagnostics,
) -> Option<Secret> {
    let (name, url) = variable(environment, names)?;
    let url = match url.contains("://") {
        true => url.to_owned(),
        false => format!("http://{url}"),
    };
    let at = Location::new("", out.variable_span(name));
    let span = at.span.clone().unwrap_or_default();
    let url = Spanned::new(span, Secret::new(url));
    urls::proxy(&url, &at, out);
    Some(url.into_inner())
}
