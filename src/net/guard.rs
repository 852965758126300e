//! The client for addresses from events. Anyone who can leave feedback can make the relay fetch an
//! address. So the client reaches only allowed hosts on public addresses.
//!
//! Two checks are needed. A literal address in a URL never passes the resolver, so it is checked
//! when the URL is parsed. Parsing also converts `2130706433` and `0x7f.1`. A name is checked in
//! the client's own resolver, which returns only allowed addresses. The client connects to exactly
//! the checked address, even if the name changes a moment later. Redirects are followed one by one,
//! and each target is checked like the first URL.
//!
//! Behind a proxy the second check is up to the proxy, because it resolves the name. The allowed
//! hosts, literal addresses and redirects are still checked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::{Host, Url};

use super::certificates::{self, Built, NO_CERTIFICATES};
use super::resolver::Resolver;
use super::{CONNECT_TIMEOUT, ClientError, NetError, Proxies, by_proxies, classify, is_global};
use crate::model::Private;

/// The time limit of a fetch, redirects included.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest number of redirects that are followed.
const REDIRECTS_MAX: usize = 3;
/// Bodies up to this size need no permit; larger ones share [`LARGE_KIB`].
const SMALL_BYTES_MAX: usize = 1 << 20;
/// The memory for all large bodies together, in KiB.
const LARGE_KIB: u32 = 40 * 1024;
/// The longest host name in DNS, in bytes.
const HOST_BYTES_MAX: usize = 253;

/// The addresses that may be reached.
#[derive(Clone, Copy, Debug)]
pub struct GuardPolicy<'a> {
    /// Allowed hosts: a name, or `*.` and a name for any depth below it.
    pub allow_hosts: &'a [String],
    /// Whether private addresses and plain http are allowed as well.
    pub allow_private_addresses: bool,
    /// Whether a large body reserves all memory for large bodies.
    pub alone: bool,
}

/// Why an address from an event could not be fetched. The reasons are safe to log; hosts are ASCII,
/// as in the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// The host is not allowed.
    #[error("host {host} is not allowed")]
    HostRefused {
        /// The refused host.
        host: String,
    },
    /// The host is not public, or resolves only to addresses that are not.
    #[error("host {host} is on an internal address")]
    AddressRefused {
        /// The refused host.
        host: String,
    },
    /// The URL is refused for this reason. If it is the first URL of a fetch, no retry can succeed.
    #[error("address refused: {0}")]
    UrlRefused(&'static str),
    /// The host could not be reached, or its response was lost.
    #[error(transparent)]
    Net(NetError),
    /// The host answered with a redirect that is not followed. Holds the reason. A later answer may differ.
    #[error("redirected to a refused address: {0}")]
    RedirectRefused(Box<GuardError>),
    /// The body exceeds the size limit.
    #[error("larger than {bytes_max} bytes")]
    TooLarge {
        /// The size limit in bytes.
        bytes_max: usize,
        /// Whether the content type or the first bytes are those of an image.
        is_image: bool,
    },
}

impl GuardError {
    /// Marks the refusal of an address that is not the first one as a refused redirect.
    fn at_hop(self, hop: usize) -> Self {
        match self {
            Self::HostRefused { .. } | Self::AddressRefused { .. } | Self::UrlRefused(_)
                if hop > 0 =>
            {
                Self::RedirectRefused(Box::new(self))
            }
            _ => self,
        }
    }
}

/// A client for addresses from events: GET only, https, no cookies, no referer, no decompression.
/// Clones share its connections.
#[derive(Clone, Debug)]
pub struct GuardedClient {
    public: Built,
    anywhere: Built,
    /// The client that uses the proxy. `None` without a proxy.
    by_proxy: Option<Built>,
    proxies: Proxies,
    /// The memory that is left for large bodies, in KiB.
    large: Arc<Semaphore>,
}

/// A fetched resource.
#[derive(Debug)]
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
    /// The memory permit of the body. Keep it as long as the body or a copy of it exists.
    pub room: Room,
}

/// The memory permit of a large body, released when it is dropped.
#[derive(Debug)]
pub struct Room(#[expect(dead_code, reason = "only its end matters")] Option<OwnedSemaphorePermit>);

impl GuardedClient {
    /// Creates a client that uses these proxies.
    pub fn new(proxies: &Proxies) -> Result<Self, ClientError> {
        let guard = |allow_private| Guard { allow_private };
        let by_proxy = by_proxies(proxies).transpose();
        let by_proxy = by_proxy
            .map_err(|_may_show_it| ClientError("the proxy's address is not a URL".into()))?
            .map(|proxy| client(Some(&proxy), Resolver::trusted));
        Ok(Self {
            public: client(None, || guard(false))?,
            anywhere: client(None, || guard(true))?,
            by_proxy: by_proxy.transpose()?,
            proxies: proxies.clone(),
            large: Arc::new(Semaphore::new(LARGE_KIB as usize)),
        })
    }

    /// Fetches `url`, at most `bytes_max` bytes. Any status except a redirect is a result.
    pub async fn get(
        &self,
        url: &Private,
        policy: GuardPolicy<'_>,
        bytes_max: usize,
    ) -> Result<Fetched, GuardError> {
        let fetch = self.follow(url.expose(), policy, bytes_max);
        match tokio::time::timeout(FETCH_TIMEOUT, fetch).await {
            Ok(result) => result,
            Err(_elapsed) => {
                let reason = format!("not fetched within {} s", FETCH_TIMEOUT.as_secs());
                Err(GuardError::Net(NetError::Lost(reason)))
            }
        }
    }

    async fn follow(
        &self,
        url: &str,
        policy: GuardPolicy<'_>,
        bytes_max: usize,
    ) -> Result<Fetched, GuardError> {
        let mut url = Url::parse(url).map_err(|_shows_it| GuardError::UrlRefused("not a URL"))?;
        for hop in 0..=REDIRECTS_MAX {
            check(&url, policy).map_err(|error| error.at_hop(hop))?;
            let sent = self.send(url.clone(), policy).await;
            let response = sent.map_err(|error| error.at_hop(hop))?;
            let next = redirect(&url, &response).map_err(|error| error.at_hop(hop + 1))?;
            let Some(next) = next else {
                return self.whole(response, bytes_max, policy.alone).await;
            };
            url = next;
        }
        Err(GuardError::UrlRefused("too many redirects").at_hop(REDIRECTS_MAX + 1))
    }

    async fn send(
        &self,
        url: Url,
        policy: GuardPolicy<'_>,
    ) -> Result<reqwest::Response, GuardError> {
        let client = match (&self.by_proxy, policy.allow_private_addresses) {
            (Some(by_proxy), _) if self.proxies.of(&url).is_some() => by_proxy,
            (_, true) => &self.anywhere,
            (_, false) => &self.public,
        };
        if url.scheme() == "https" && !client.speaks_https {
            let reason = NO_CERTIFICATES.into();
            return Err(GuardError::Net(NetError::Certificate(reason)));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let sent = client.client.get(url).timeout(FETCH_TIMEOUT).send().await;
        sent.map_err(|error| {
            if caused_by_guard(&error) {
                GuardError::AddressRefused { host }
            } else {
                GuardError::Net(classify(error))
            }
        })
    }

    /// Reads the body of a response unless it is too large.
    async fn whole(
        &self,
        mut response: reqwest::Response,
        bytes_max: usize,
        alone: bool,
    ) -> Result<Fetched, GuardError> {
        let content_type = response.headers().get("content-type");
        let declared_image = content_type.is_some_and(|kind| is_image_type(kind.as_bytes()));
        let too_large = |start: &[u8]| GuardError::TooLarge {
            bytes_max,
            is_image: declared_image || infer::is_image(start),
        };
        let status = response.status().as_u16();
        if status != 200 {
            // Only the status of an error page matters, so its body is not read.
            return Ok(Fetched {
                status,
                body: Bytes::new(),
                room: Room(None),
            });
        }
        let announced = response.content_length().map(usize::try_from);
        let likely = match announced {
            Some(Ok(bytes)) if bytes <= bytes_max => bytes,
            Some(_) => {
                let start = response.chunk().await.map_err(lost)?;
                return Err(too_large(&start.unwrap_or_default()));
            }
            None => bytes_max,
        };
        let mut body = Vec::with_capacity(likely.min(SMALL_BYTES_MAX));
        let mut room = None;
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > bytes_max {
                let start = if body.is_empty() { &chunk } else { &body[..] };
                return Err(too_large(start));
            }
            if room.is_none() && body.len() + chunk.len() > SMALL_BYTES_MAX {
                room = Some(self.room(if alone { usize::MAX } else { likely }).await?);
                body.reserve_exact(likely.saturating_sub(body.len()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched {
            status,
            body: body.into(),
            room: Room(room),
        })
    }

    /// Waits for memory for a large body, at most as long as a fetch may take.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, GuardError> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(LARGE_KIB);
        let room = Arc::clone(&self.large).acquire_many_owned(kib.min(LARGE_KIB));
        room.await
            .map_err(|error| GuardError::Net(NetError::Lost(error.to_string())))
    }
}

fn lost(error: reqwest::Error) -> GuardError {
    GuardError::Net(classify(error))
}

/// Returns whether a content type is that of an image.
fn is_image_type(content_type: &[u8]) -> bool {
    let main = content_type.first_chunk::<6>();
    main.is_some_and(|main| main.eq_ignore_ascii_case(b"image/"))
}

/// Creates a client with `proxy`, or without one, that resolves names with `resolver`.
fn client<R: Resolve + 'static>(
    proxy: Option<&reqwest::Proxy>,
    resolver: impl Fn() -> R,
) -> Result<Built, ClientError> {
    certificates::build(|| {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("feedback-relay/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(resolver()));
        match proxy {
            Some(proxy) => builder.proxy(proxy.clone()),
            None => builder,
        }
    })
}

/// Returns the target of a redirect. `None` if the response is not a redirect.
fn redirect(from: &Url, response: &reqwest::Response) -> Result<Option<Url>, GuardError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    response
        .headers()
        .get("location")
        .and_then(|location| location.to_str().ok())
        .and_then(|location| from.join(location).ok())
        .map(Some)
        .ok_or(GuardError::UrlRefused("redirected to no URL"))
}

/// Checks everything about a URL that is known before its name is resolved.
fn check(url: &Url, policy: GuardPolicy<'_>) -> Result<(), GuardError> {
    match url.scheme() {
        "https" => {}
        "http" if policy.allow_private_addresses => {}
        _ => return Err(GuardError::UrlRefused("not https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(GuardError::UrlRefused("it holds a user name or password"));
    }
    let host = url.host().ok_or(GuardError::UrlRefused("it has no host"))?;
    let name = url.host_str().unwrap_or_default();
    if name.len() > HOST_BYTES_MAX {
        return Err(GuardError::UrlRefused("the name of its host is too long"));
    }
    let literal = match &host {
        Host::Domain(_) => None,
        Host::Ipv4(v4) => Some(IpAddr::V4(*v4)),
        Host::Ipv6(v6) => Some(IpAddr::V6(*v6)),
    };
    let internal = literal.is_some_and(|address| !is_global(address));
    if internal && !policy.allow_private_addresses {
        return Err(GuardError::AddressRefused { host: name.into() });
    }
    if policy
        .allow_hosts
        .iter()
        .any(|pattern| host_matches(pattern, name))
    {
        Ok(())
    } else {
        Err(GuardError::HostRefused { host: name.into() })
    }
}

/// Returns the host of an image's address, without the port: limits for each host must not be
/// avoided by naming ports. Returns `?` for an invalid address.
pub fn host_of(url: &str) -> String {
    // Only the part before the path is parsed because an event may have twenty long addresses.
    let short = url.split_once("://").and_then(|(scheme, rest)| {
        let authority = rest.split(['/', '?', '#', '\\']).next()?;
        Url::parse(&format!("{scheme}://{authority}")).ok()
    });
    let url = short.or_else(|| Url::parse(url).ok());
    let host = url.as_ref().and_then(|url| {
        let name = url.host_str()?.trim_end_matches('.');
        (name.len() <= HOST_BYTES_MAX).then_some(name)
    });
    host.unwrap_or("?").to_owned()
}

/// Returns whether `pattern` allows `host`, given as in a parsed URL. A pattern is a name, or `*.`
/// and a name for any depth below it. An invalid pattern allows nothing.
pub fn host_matches(pattern: &str, host: &str) -> bool {
    let (below, name) = match pattern.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, pattern),
    };
    let Ok(wanted) = Host::parse(name).or_else(|_no_name| Host::parse(&format!("[{name}]"))) else {
        return false;
    };
    let wanted = wanted.to_string();
    let wanted = wanted.strip_suffix('.').unwrap_or(&wanted);
    let host = host.strip_suffix('.').unwrap_or(host);
    if below {
        host.strip_suffix(wanted)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|rest| !rest.is_empty())
    } else {
        host == wanted
    }
}

/// Resolves names and returns only allowed addresses.
#[derive(Clone, Copy, Debug)]
struct Guard {
    allow_private: bool,
}

/// A name has addresses, but none of them is allowed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name has internal addresses only")]
struct InternalOnly;

impl Guard {
    fn admit(
        self,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, InternalOnly> {
        let admitted: Vec<_> = found
            .filter(|address| self.allow_private || is_global(address.ip()))
            .collect();
        if admitted.is_empty() {
            Err(InternalOnly)
        } else {
            Ok(admitted)
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            let found = Resolver::guarded().addresses(name.as_str()).await?;
            let admitted = guard.admit(found.into_iter())?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// Returns whether the guard's own resolver refused the name.
fn caused_by_guard(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<InternalOnly>() {
            return true;
        }
        source = cause.source();
    }
    false
}

#[cfg(test)]
mod tests;
