//! Tests with a table of URL forms, and with real sockets on loopback.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn policy(hosts: &[String], allow_private_addresses: bool) -> GuardPolicy<'_> {
    GuardPolicy {
        allow_hosts: hosts,
        allow_private_addresses,
        alone: false,
    }
}

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn star_pattern_matches_subdomains_but_not_name_itself() {
    let table = [
        ("*.x.com", "a.x.com", true),
        ("*.x.com", "a.b.x.com", true),
        ("*.X.com", "a.x.com", true),
        ("*.x.com", "a.x.com.", true),
        ("*.x.com", "x.com", false),
        ("*.x.com", "evilx.com", false),
        ("*.x.com", ".x.com", false),
        ("*.x.com", "x.com.evil.com", false),
        ("x.com", "x.com", true),
        ("X.COM", "x.com", true),
        ("x.com", "a.x.com", false),
        ("图片.com", "xn--vnux7k.com", false),
        ("bücher.example", "xn--bcher-kva.example", true),
        ("127.0.0.1", "127.0.0.1", true),
        ("::1", "[::1]", true),
        ("[::1]", "[::1]", true),
        ("*", "x.com", false),
        ("*.", "x.com", false),
        ("", "x.com", false),
        ("https://x.com", "x.com", false),
        ("a.*.com", "a.b.com", false),
    ];
    for (pattern, host, expected) in table {
        assert_eq!(host_matches(pattern, host), expected, "{pattern} {host}");
    }
}

/// Forms of URLs that lead to this machine, its network or a metadata service.
const INTERNAL: &[&str] = &[
    "https://127.0.0.1/",
    "https://127.0.0.1:8443/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://127.0.0.1./",
    "https://0/",
    "https://0.0.0.0/",
    "https://00000000/",
    "https://127.255.255.254/",
    "https://①27.0.0.1/",
    "https://127。0。0。1/",
    "https://１２７.0.0.1/",
    "https://%31%32%37.0.0.1/",
    "https://127.0.0.1%2e/",
    "https:127.0.0.1/",
    "https:\\\\127.0.0.1\\",
    "https:////127.0.0.1/",
    "  https://127.0.0.1/",
    "ht\ntps://127.0.0.1/",
    "https://10.0.0.1/",
    "https://10.1/",
    "https://167772161/",
    "https://192.168.1.1/",
    "https://3232235777/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://100.100.100.200/",
    "https://192.0.0.192/",
    "https://100.64.0.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://240.0.0.1/",
    "https://192.88.99.1/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:ffff:127.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[2001:0:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
    "https://[100::1]/",
    "https://[5f00::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
];

/// Forms of URLs that are refused whatever their target is.
const MALFORMED: &[&str] = &[
    "http://x.com/",
    "ftp://x.com/",
    "file:///etc/passwd",
    "gopher://x.com/",
    "data:image/png,x",
    "javascript:alert(1)",
    "blob:https://x.com/1",
    "//x.com/",
    "x.com",
    "",
    "https://",
    "https://x.com@127.0.0.1/",
    "https://127.0.0.1@x.com/",
    "https://user:pass@x.com/",
    "https://@127.0.0.1:@x.com/",
    "https://256.256.256.256/",
    "https://[::1%25eth0]/",
    "https://x.com:99999/",
    "https://127.0.0.1%00.x.com/",
    "unix:///var/run/docker.sock",
];

#[tokio::test]
async fn no_url_form_reaches_an_internal_address() {
    assert!(INTERNAL.len() + MALFORMED.len() >= 60);
    let client = GuardedClient::new(&Proxies::default()).unwrap();
    for text in INTERNAL {
        // The host is allowed by name each time, so only the address check can refuse it.
        let name = Url::parse(text).map(|url| url.host_str().unwrap_or_default().to_owned());
        let allowed = [name.unwrap_or_else(|error| panic!("{text}: {error}"))];
        let result = client
            .get(&Private::new(*text), policy(&allowed, false), 10)
            .await;
        assert!(
            matches!(result, Err(GuardError::AddressRefused { .. })),
            "{text}: {result:?}"
        );
    }
    let allowed = hosts(&["x.com", "*.x.com"]);
    for text in MALFORMED {
        let result = client
            .get(&Private::new(*text), policy(&allowed, false), 10)
            .await;
        assert!(
            matches!(result, Err(GuardError::UrlRefused(_))),
            "{text}: {result:?}"
        );
    }
}

#[tokio::test]
async fn allowed_name_with_loopback_address_is_refused() {
    let allowed = hosts(&["localhost"]);
    let client = GuardedClient::new(&Proxies::default()).unwrap();
    let url = Private::new("https://localhost:1/");
    assert_eq!(
        client
            .get(&url, policy(&allowed, false), 10)
            .await
            .unwrap_err(),
        GuardError::AddressRefused {
            host: "localhost".into()
        }
    );
}

#[test]
fn resolver_returns_only_public_addresses() {
    let found =
        ["10.0.0.1:0", "1.1.1.1:0", "[::1]:0"].map(|text| text.parse::<SocketAddr>().unwrap());
    let guard = Guard {
        allow_private: false,
    };
    assert_eq!(guard.admit(found.into_iter()).unwrap(), [found[1]]);
    assert!(guard.admit(found.into_iter().take(1)).is_err());
    let guard = Guard {
        allow_private: true,
    };
    assert_eq!(guard.admit(found.into_iter()).unwrap().len(), 3);
}

#[tokio::test]
async fn error_names_host_that_is_not_allowed() {
    let client = GuardedClient::new(&Proxies::default()).unwrap();
    let url = Private::new("https://p3.elsewhere.com/secret?sig=1");
    let allowed = hosts(&["*.byteimg.com"]);
    let error = client
        .get(&url, policy(&allowed, false), 10)
        .await
        .unwrap_err();
    assert_eq!(
        error,
        GuardError::HostRefused {
            host: "p3.elsewhere.com".into()
        }
    );
    assert!(!error.to_string().contains("secret"));
}

/// Answers each connection with the next of `answers`, then stops listening. Returns its address
/// and the received requests.
async fn server(
    answers: Vec<String>,
) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, asked) = tokio::sync::mpsc::unbounded_channel();
    // The server runs in a thread because `net` starts no tasks.
    let served = async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if socket.read(&mut byte).await.unwrap() == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            tell.send(String::from_utf8(request).unwrap()).unwrap();
            let answer = answer.replace("{here}", &address.to_string());
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || runtime.block_on(served));
    (address, asked)
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn moved(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
    )
}

async fn fetch(
    answers: Vec<String>,
    allowed: &[&str],
    bytes_max: usize,
) -> Result<Fetched, GuardError> {
    let (address, _asked) = server(answers).await;
    let url = Private::new(format!("http://{address}/a?sig=s"));
    let client = GuardedClient::new(&Proxies::default()).unwrap();
    client
        .get(&url, policy(&hosts(allowed), true), bytes_max)
        .await
}

#[tokio::test]
async fn loopback_host_is_fetched_if_private_addresses_are_allowed() {
    let (address, mut asked) = server(vec![ok("picture")]).await;
    let url = Private::new(format!("http://{address}/a?sig=s"));
    let client = GuardedClient::new(&Proxies::default()).unwrap();
    let allowed = hosts(&["127.0.0.1"]);
    let answer = client.get(&url, policy(&allowed, true), 100).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"picture"[..]));
    let request = asked.recv().await.unwrap().to_lowercase();
    for absent in ["cookie", "referer", "accept-encoding", "authorization"] {
        assert!(!request.contains(absent), "{request}");
    }
}

#[tokio::test]
async fn body_over_limit_is_refused_with_or_without_length() {
    assert_eq!(
        fetch(vec![ok("12345")], &["127.0.0.1"], 5)
            .await
            .unwrap()
            .body,
        "12345"
    );
    let too_large = GuardError::TooLarge {
        bytes_max: 5,
        is_image: false,
    };
    assert_eq!(
        fetch(vec![ok("123456")], &["127.0.0.1"], 5)
            .await
            .unwrap_err(),
        too_large
    );
    let unannounced = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n123456".to_owned();
    assert_eq!(
        fetch(vec![unannounced], &["127.0.0.1"], 5)
            .await
            .unwrap_err(),
        too_large
    );
}

#[tokio::test]
async fn cut_off_response_is_lost() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_owned();
    let error = fetch(vec![cut], &["127.0.0.1"], 1000).await.unwrap_err();
    assert!(
        matches!(error, GuardError::Net(NetError::Lost(_))),
        "{error:?}"
    );
}

#[tokio::test]
async fn fourth_redirect_is_refused() {
    let hop = || moved("http://{here}/next");
    let answer = fetch(vec![hop(), hop(), hop(), ok("there")], &["127.0.0.1"], 100).await;
    assert_eq!(answer.unwrap().body, "there");
    let answer = fetch(
        vec![hop(), hop(), hop(), hop(), ok("there")],
        &["127.0.0.1"],
        100,
    )
    .await;
    assert_eq!(
        answer.unwrap_err(),
        redirect_refused(GuardError::UrlRefused("too many redirects"))
    );
}

fn redirect_refused(reason: GuardError) -> GuardError {
    GuardError::RedirectRefused(Box::new(reason))
}

#[tokio::test]
async fn redirect_target_is_checked_like_first_url() {
    let refused = fetch(vec![moved("http://localhost/")], &["127.0.0.1"], 100).await;
    assert_eq!(
        refused.unwrap_err(),
        redirect_refused(GuardError::HostRefused {
            host: "localhost".into()
        })
    );
    let refused = fetch(vec![moved("file:///etc/passwd")], &["127.0.0.1"], 100).await;
    let not_https = redirect_refused(GuardError::UrlRefused("not https"));
    assert_eq!(refused.unwrap_err(), not_https);
    let nowhere = "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_owned();
    for answer in [moved("http://a:b@127.0.0.1/"), nowhere] {
        let error = fetch(vec![answer], &["127.0.0.1"], 100).await.unwrap_err();
        assert!(matches!(error, GuardError::RedirectRefused(_)), "{error:?}");
    }
}

#[tokio::test]
async fn oversized_body_says_whether_it_is_an_image() {
    let answer = |head: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
    let gif = "GIF89a and more";
    for (answer, image) in [
        (answer("content-length: 15", gif), true),
        (answer("connection: close", gif), true),
        (
            answer(
                "content-length: 15\r\ncontent-type: Image/PNG",
                "<html> and more",
            ),
            true,
        ),
        (
            answer(
                "content-length: 15\r\ncontent-type: text/html",
                "<html> and more",
            ),
            false,
        ),
    ] {
        let error = fetch(vec![answer.clone()], &["127.0.0.1"], 10)
            .await
            .unwrap_err();
        let expected = GuardError::TooLarge {
            bytes_max: 10,
            is_image: image,
        };
        assert_eq!(error, expected, "{answer}");
    }
}

#[test]
fn redirect_to_internal_address_is_refused_in_every_form() {
    let from = Url::parse("https://pictures.example/a/b.png").unwrap();
    for text in INTERNAL {
        // The text is parsed as in a `Location` header: relative to the page, some mean other
        // targets.
        let Ok(url) = from.join(text) else { continue };
        let allowed = [url.host_str().unwrap_or_default().to_owned()];
        let result = check(&url, policy(&allowed, false));
        let stays = url.host_str() == from.host_str();
        assert!(
            stays || matches!(result, Err(GuardError::AddressRefused { .. })),
            "{text}: {result:?}"
        );
    }
}

/// Returns the ways to write an IPv4 address in a URL that browsers and the C resolver accept.
fn written(address: std::net::Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let whole = address.to_bits();
    let (low16, low24) = (whole & 0xffff, whole & 0xff_ffff);
    let wide = |text: String| -> String {
        let digit = |c: char| match c {
            '0'..='9' => char::from_u32(u32::from(c) - 0x30 + 0xff10).unwrap(),
            '.' => '。',
            c => c,
        };
        text.chars().map(digit).collect()
    };
    vec![
        address.to_string(),
        format!("{address}."),
        format!("{a}.{b}.{low16}"),
        format!("{a}.{low24}"),
        format!("{whole}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("{a:#X}.{b}.{c:#o}.{d}").replace("0o", "0"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0{a:o}.{low24:#x}"),
        format!("0{whole:o}"),
        format!("{whole:#x}"),
        format!("0x0000{whole:08x}"),
        wide(address.to_string()),
        wide(format!("{whole}")),
        address.to_string().replace('.', "%2e"),
        address.to_string().replace('1', "%31"),
    ]
}

/// Returns the ways to embed an IPv4 address in an IPv6 address.
fn carried(address: std::net::Ipv4Addr) -> Vec<String> {
    let (high, low) = (address.to_bits() >> 16, address.to_bits() & 0xffff);
    vec![
        format!("[::ffff:{address}]"),
        format!("[::FFFF:{high:X}:{low:X}]"),
        format!("[0:0:0:0:0:ffff:{high:x}:{low:x}]"),
        format!("[::{address}]"),
        format!("[::ffff:0:{address}]"),
        format!("[64:ff9b::{address}]"),
        format!("[64:ff9b:1::{high:x}:{low:x}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[2001:0:{high:x}:{low:x}::]"),
        format!("[2001::{:x}:{:x}]", high ^ 0xffff, low ^ 0xffff),
        format!("[fe80::5efe:{address}]"),
    ]
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(512))]

    #[test]
    fn every_spelling_of_address_gets_same_verdict(
        random in proptest::prelude::any::<u32>(),
        (special, low) in (0_usize..10, proptest::prelude::any::<u32>()),
    ) {
        let bases = [
            0, 0x0a00_0000, 0x6440_0000, 0x7f00_0000, 0xa9fe_0000, 0xac10_0000, 0xc0a8_0000,
            0xc612_0000, 0xe000_0000, 0xffff_0000_u32,
        ];
        for bits in [random, bases[special] | (low & 0xffff)] {
            let address = std::net::Ipv4Addr::from_bits(bits);
            for host in written(address) {
                let url = Url::parse(&format!("https://{host}:8443/x")).unwrap();
                let allowed = [address.to_string()];
                let result = check(&url, policy(&allowed, false));
                let refused = matches!(result, Err(GuardError::AddressRefused { .. }));
                assert_eq!(refused, !is_global(address.into()), "{host}: {result:?}");
                assert!(refused || result.is_ok(), "{host}: {result:?}");
            }
            for host in carried(address) {
                let url = Url::parse(&format!("https://{host}/x")).unwrap();
                let allowed = [url.host_str().unwrap().to_owned()];
                let result = check(&url, policy(&allowed, false));
                assert!(matches!(result, Err(GuardError::AddressRefused { .. })), "{host}");
            }
        }
    }
}

#[test]
fn malformed_ip_addresses_are_refused() {
    for host in [
        "[fe80::1%25eth0]",
        "[::1%lo]",
        "[v1.x]",
        "0x100000000",
        "1.2.3.4.5",
        "127.0.0.256",
        "0x7g.1",
        "08.8.8.8",
    ] {
        let url = Url::parse(&format!("https://{host}/"));
        assert!(url.is_err(), "{host}: {url:?}");
    }
}

/// Returns the first line of the request that a proxy receives. The proxy refuses it.
async fn asked_of_proxy(url: &str, allowed: &[&str], except: &str) -> (Option<String>, GuardError) {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = crate::model::Secret::new(format!("http://{}", proxy.local_addr().unwrap()));
    let client = GuardedClient::new(&Proxies {
        https: Some(way.clone()),
        http: Some(way),
        except: except.to_owned(),
    })
    .unwrap();
    let (url, allowed) = (Private::new(url), hosts(allowed));
    let mut asked = None;
    let listen = async {
        let (mut socket, _) = proxy.accept().await.unwrap();
        let mut head = [0; 4096];
        let read = socket.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..read]).into_owned();
        asked = head.lines().next().map(str::to_owned);
        let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
        socket.write_all(refusal).await.unwrap();
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        () = listen => unreachable!("it waits for ever"),
        fetched = client.get(&url, policy(&allowed, false), 100) => fetched.unwrap_err(),
    };
    (asked, error)
}

#[tokio::test]
async fn hosts_and_literal_addresses_are_checked_behind_proxy() {
    let (asked, error) = asked_of_proxy("https://p.example.com/a", &["p.example.com"], "").await;
    assert_eq!(asked.as_deref(), Some("CONNECT p.example.com:443 HTTP/1.1"));
    assert!(matches!(error, GuardError::Net(_)), "{error}");
    let (asked, error) = asked_of_proxy("https://q.example.com/a", &["p.example.com"], "").await;
    assert!(matches!(error, GuardError::HostRefused { .. }), "{error}");
    assert_eq!(asked, None);
    let (asked, error) = asked_of_proxy("https://10.0.0.1/a", &["10.0.0.1"], "").await;
    assert!(
        matches!(error, GuardError::AddressRefused { .. }),
        "{error}"
    );
    assert_eq!(asked, None);
    // A host in NO_PROXY is reached directly, so its addresses are checked.
    let (asked, error) = asked_of_proxy("https://localhost/a", &["localhost"], "localhost").await;
    assert!(
        matches!(error, GuardError::AddressRefused { .. }),
        "{error}"
    );
    assert_eq!(asked, None);
}

/// The host of the shortened address must equal the host of the whole address.
#[test]
fn host_of_matches_full_parse() {
    let long = "h".repeat(300);
    let odd = [
        "https://p6.example.com/a?b=c",
        "HTTPS://P6.Example.COM:8443/x",
        "https://good/x://evil/",
        "http:\n//good/x://evil/",
        "http:/evil/://good/",
        "https:////host/path",
        "https:\\\\host\\path",
        "https://user@host/",
        "https://a/b@host/",
        "https://0x7f.1/",
        "https://host./",
        "https://ho\tst/x",
        "https://[::1]:80/",
        "https://[::1/",
        "https://host:443?x",
        "https://例子.example#x",
        "file:///etc/passwd",
        "data:text/plain,://host/",
        "://host/",
        "",
    ];
    let odd = odd.into_iter().map(str::to_owned);
    for address in odd.chain([format!("https://{long}/"), format!("https://x/{long}")]) {
        let whole = Url::parse(&address).ok();
        let named = whole.as_ref().and_then(|url| {
            let name = url.host_str()?.trim_end_matches('.');
            (name.len() <= HOST_BYTES_MAX).then_some(name)
        });
        assert_eq!(host_of(&address), named.unwrap_or("?"), "{address:?}");
    }
}

/// Large bodies of all workers share one budget, and a body that is fetched alone takes all of it.
#[tokio::test]
async fn large_body_takes_its_share_of_memory_until_it_is_dropped() {
    let large = "x".repeat(SMALL_BYTES_MAX + 1024);
    let (address, _asked) = server(vec![ok(&large), ok(&large), ok("small")]).await;
    let url = Private::new(format!("http://{address}/a"));
    let client = GuardedClient::new(&Proxies::default()).unwrap();
    let allowed = hosts(&["127.0.0.1"]);
    let all = client.large.available_permits();
    for (alone, left) in [(false, all - 1025), (true, 0), (true, all)] {
        let policy = GuardPolicy {
            alone,
            ..policy(&allowed, true)
        };
        let fetched = client.get(&url, policy, 10 << 20).await.unwrap();
        assert_eq!(client.large.available_permits(), left);
        drop(fetched);
        assert_eq!(client.large.available_permits(), all);
    }
}

#[tokio::test(start_paused = true)]
async fn large_body_waits_while_others_take_all_memory() {
    let client = GuardedClient::new(&Proxies::default()).unwrap();
    let mut taken = Vec::new();
    while client.large.available_permits() > 0 {
        taken.push(client.room(10 << 20).await.unwrap());
    }
    assert_eq!(taken.len(), 4);
    let more = tokio::time::timeout(FETCH_TIMEOUT, client.room(1 << 20));
    assert!(more.await.is_err(), "a fifth one has room");
    taken.pop();
    assert!(client.room(1 << 20).await.is_ok());
}
