//! Selects the proxy of a request: one proxy for everything, or the proxies of the usual variables.
//! Hosts in `NO_PROXY` are reached directly.

use std::net::IpAddr;

use url::{Host, Url};

use crate::model::Secret;

/// The proxies. If empty, all requests are direct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// The proxy for `https` and `wss`, with its scheme. May contain a password.
    pub https: Option<Secret>,
    /// The proxy for `http` and `ws`.
    pub http: Option<Secret>,
    /// The hosts that are reached directly, in the format of `NO_PROXY`: comma-separated names,
    /// addresses and networks. A name, with or without a dot or `*.` in front, includes everything
    /// below it; `*` is every host.
    pub except: String,
}

impl Proxies {
    /// Returns the proxy for a URL. `None` if the URL is reached directly.
    pub fn of(&self, url: &Url) -> Option<&Secret> {
        let proxy = match url.scheme() {
            "https" | "wss" => self.https.as_ref(),
            _ => self.http.as_ref(),
        }?;
        let host = url.host()?;
        let mut exceptions = self.except.split([',', ' ']).map(str::trim);
        let is_direct = exceptions.any(|entry| !entry.is_empty() && covers(entry, &host));
        (!is_direct).then_some(proxy)
    }
}

/// Returns whether an entry of `NO_PROXY` covers this host.
fn covers(entry: &str, host: &Host<&str>) -> bool {
    let entry = entry.to_ascii_lowercase();
    let address = match host {
        _ if entry == "*" => return true,
        Host::Domain(name) => {
            let wanted = entry.trim_start_matches('*').trim_matches('.');
            let name = name.trim_end_matches('.');
            let above = name.strip_suffix(wanted);
            return !wanted.is_empty()
                && above.is_some_and(|above| above.is_empty() || above.ends_with('.'));
        }
        Host::Ipv4(address) => IpAddr::V4(*address),
        Host::Ipv6(address) => IpAddr::V6(*address),
    };
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse().ok()),
        None => (entry.as_str(), Some(u32::MAX)),
    };
    let network = network.trim_start_matches('[').trim_end_matches(']');
    let (Ok(network), Some(bits)) = (network.parse(), bits) else {
        return false;
    };
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits.min(32)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits.min(128)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(except: &str, url: &str) -> Option<String> {
        let proxies = Proxies {
            https: Some(Secret::new("http://secure:1")),
            http: Some(Secret::new("http://plain:1")),
            except: except.to_owned(),
        };
        let url = Url::parse(url).unwrap();
        proxies.of(&url).map(|proxy| proxy.expose().to_owned())
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let is = |url: &str| Some(url.to_owned());
        assert_eq!(way("", "https://a.com/"), is("http://secure:1"));
        assert_eq!(way("", "wss://a.com/"), is("http://secure:1"));
        assert_eq!(way("", "http://a.com/"), is("http://plain:1"));
        let none = Proxies::default();
        assert_eq!(none.of(&Url::parse("https://a.com").unwrap()), None);
    }

    #[test]
    fn no_proxy_matches_like_curl() {
        let table = [
            ("feishu.cn", "https://feishu.cn/", true),
            ("feishu.cn", "https://open.feishu.cn/", true),
            (".feishu.cn", "https://open.feishu.cn/", true),
            ("*.feishu.cn", "https://open.feishu.cn/", true),
            ("FEISHU.cn", "https://Open.Feishu.CN./", true),
            ("feishu.cn", "https://evilfeishu.cn/", false),
            ("feishu.cn", "https://feishu.cn.evil.com/", false),
            ("a.com, b.com", "https://b.com/", true),
            ("a.com b.com", "https://b.com/", true),
            ("*", "https://anything.example/", true),
            ("*", "http://10.0.0.1/", true),
            ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://11.1.2.3/", false),
            ("127.0.0.1", "http://127.0.0.1:8080/", true),
            ("127.0.0.1", "http://127.0.0.2/", false),
            ("0.0.0.0/0", "http://8.8.8.8/", true),
            ("::1", "http://[::1]/", true),
            ("[::1]", "http://[::1]/", true),
            ("fd00::/8", "http://[fd12::1]/", true),
            ("10.0.0.0/x", "http://10.0.0.1/", false),
            ("localhost", "http://localhost:1/", true),
            (",,", "https://a.com/", false),
            (".", "https://a.com/", false),
        ];
        for (except, url, direct) in table {
            assert_eq!(way(except, url).is_none(), direct, "{except} {url}");
        }
    }
}
