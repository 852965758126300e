//! Tests against a fake platform on a loopback socket.

use jiff::tz::TimeZone;

use super::fake::{Fake, Got, Reply};
use super::*;
use crate::feishu::Receive;

pub(super) fn client(fake: &Fake) -> FeishuClient {
    client_at(&fake.url("/"), Some("app-secret-of-shop"))
}

pub(super) fn client_at(base_url: &str, app_secret: Option<&str>) -> FeishuClient {
    FeishuClient::new(&app(base_url, app_secret), fake::http())
}

pub(super) fn app(base_url: &str, app_secret: Option<&str>) -> App {
    App {
        name: "shop".into(),
        app_id: "cli_9f5343c580712544".into(),
        receive: Receive::Webhook,
        encrypt_keys: Vec::new(),
        verification_tokens: Vec::new(),
        app_secret: app_secret.map(Secret::new),
        base_url: base_url.into(),
        feedback_timezone: TimeZone::UTC,
    }
}

pub(super) fn token(value: &str) -> Reply {
    token_for(value, 7140)
}

fn token_for(value: &str, expire: u64) -> Reply {
    let body =
        format!(r#"{{"code":0,"msg":"ok","tenant_access_token":"{value}","expire":{expire}}}"#);
    Reply::of(200, body)
}

fn key(value: &str) -> Reply {
    let body = format!(r#"{{"code":0,"msg":"success","data":{{"image_key":"{value}"}}}}"#);
    Reply::of(200, body)
}

async fn upload(client: &FeishuClient) -> Result<String, ApiError> {
    let bytes = Bytes::from_static(b"\x89PNG\r\n\0\xff");
    client.upload_image(ImageFormat::Png, bytes).await
}

#[tokio::test]
async fn image_upload_has_file_name_and_reuses_token() {
    let fake = Fake::start(vec![token("t-g1one"), key("img_v3_a"), key("img_v3_b")]);
    let client = client(&fake);
    assert_eq!(upload(&client).await, Ok("img_v3_a".into()));
    assert_eq!(upload(&client.clone()).await, Ok("img_v3_b".into()));
    let got = fake.got();
    assert_eq!(got.len(), 3);
    assert_eq!(
        got[0].line,
        "POST /open-apis/auth/v3/tenant_access_token/internal HTTP/1.1"
    );
    let asked: serde_json::Value = serde_json::from_slice(&got[0].body).unwrap();
    assert_eq!(
        asked,
        serde_json::json!({"app_id": "cli_9f5343c580712544", "app_secret": "app-secret-of-shop"})
    );
    assert!(!got[0].has("authorization"));
    assert_eq!(got[1].line, "POST /open-apis/im/v1/images HTTP/1.1");
    assert_eq!(got[1].header("authorization"), "Bearer t-g1one");
    assert!(
        got[1]
            .header("content-type")
            .starts_with("multipart/form-data; boundary=")
    );
    let form = String::from_utf8_lossy(&got[1].body).into_owned();
    assert!(
        form.contains("name=\"image_type\"\r\n\r\nmessage\r\n"),
        "{form}"
    );
    assert!(
        form.contains("name=\"image\"; filename=\"image.png\"\r\nContent-Type: image/png\r\n"),
        "{form}"
    );
    assert!(
        got[1]
            .body
            .windows(8)
            .any(|eight| eight == b"\x89PNG\r\n\0\xff")
    );
}

#[tokio::test]
async fn rejected_token_is_replaced_and_call_repeated_once() {
    for (status, code) in [
        (200, 99_991_663),
        (400, 99_991_663),
        (401, 99_991_664),
        (200, 99_991_671),
    ] {
        let refusal = Reply::of(status, format!(r#"{{"code":{code},"msg":"t-old is bad"}}"#));
        let fake = Fake::start(vec![
            token("t-old"),
            refusal.clone(),
            token("t-new"),
            key("img_1"),
            key("img_2"),
        ]);
        let relay = client(&fake);
        assert_eq!(upload(&relay).await, Ok("img_1".into()));
        assert_eq!(upload(&relay).await, Ok("img_2".into()));
        assert_eq!(fake.got()[4].header("authorization"), "Bearer t-new");

        let fake = Fake::start(vec![
            token("t-old"),
            refusal.clone(),
            token("t-new"),
            refusal,
        ]);
        let error = upload(&client(&fake)).await.unwrap_err();
        assert!(
            matches!(&error, ApiError::Retry { reason } if !reason.contains("t-old")),
            "{error}"
        );
        assert_eq!(fake.got().len(), 4);
    }
}

#[tokio::test]
async fn concurrent_calls_share_one_token() {
    let fake = Fake::start(vec![token("t-one"), key("img")]);
    let client = client(&fake);
    let (a, b, c) = tokio::join!(upload(&client), upload(&client), upload(&client));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    let asked = |got: &Got| got.line.contains("tenant_access_token");
    assert_eq!(fake.got().iter().filter(|got| asked(got)).count(), 1);
}

/// Status, code, kind of error, and a part of the reason.
const CODES: &[(u16, i64, &str, &str)] = &[
    (
        400,
        99_991_672,
        "stop",
        "permission; grant it im:resource:upload or im:resource; it says",
    ),
    (400, 99_991_676, "stop", "permission"),
    (400, 99_991_679, "stop", "permission"),
    (200, 10003, "stop", "app_secret"),
    (200, 10014, "stop", "app_secret"),
    (200, 99_991_543, "stop", "app_secret"),
    (400, 99_991_662, "stop", "disabled"),
    (400, 99_991_673, "stop", "installed"),
    (400, 99_991_401, "stop", "allow list"),
    (401, 234_002, "stop", "authorized"),
    (400, 234_007, "stop", "bot ability"),
    (429, 99_991_400, "slow down", "rate"),
    (400, 99_991_400, "slow down", "rate"),
    (400, 11232, "slow down", "rate"),
    (400, 230_020, "slow down", "rate"),
    (200, 1, "retry", "platform"),
    (200, 2200, "retry", "platform"),
    (500, 777, "retry", "unknown"),
    (429, 777, "slow down", "unknown"),
    (500, 0, "retry", "HTTP 500"),
    (200, 777, "retry", "unknown"),
    (400, 234_001, "rejected", "read"),
    (400, 99_992_402, "rejected", "read"),
    (400, 9499, "retry", "unknown"),
    (400, 99_991_661, "stop", "token"),
    (400, 234_006, "rejected", "too large"),
    (400, 234_010, "rejected", "empty"),
    (400, 234_011, "rejected", "format"),
    (400, 234_039, "rejected", "pixels"),
];

fn kind(error: &ApiError) -> &'static str {
    match error {
        ApiError::Retry { .. } => "retry",
        ApiError::SlowDown { .. } => "slow down",
        ApiError::Stop { .. } => "stop",
        ApiError::InFront { .. } => "in front",
        ApiError::Rejected { .. } => "rejected",
    }
}

#[tokio::test]
async fn response_codes_give_expected_errors() {
    for (status, code, wanted, says) in CODES {
        let msg = "Xiaoming; required: [im:resource:upload, im:resource].";
        let body = format!(r#"{{"code":{code},"msg":"{msg}"}}"#);
        let answer = Reply::with(*status, "x-tt-logid", "2026112211", &body);
        let fake = Fake::start(vec![token("t-one"), answer]);
        let error = upload(&client(&fake)).await.unwrap_err();
        assert_eq!(kind(&error), *wanted, "{code}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(says), "{text}");
        assert!(
            text.ends_with(" (log id 2026112211)") || *code == 0,
            "{text}"
        );
        assert!(
            !text.contains("Xiaoming") && !text.contains("t-one"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn foreign_responses_give_expected_errors() {
    let html = |status| Reply::of(status, "<html>gateway</html>");
    for (reply, wanted) in [
        (html(200), "retry"),
        (html(408), "retry"),
        (html(429), "slow down"),
        (html(502), "retry"),
        (html(302), "retry"),
        (html(403), "retry"),
        (html(404), "retry"),
        (html(413), "rejected"),
        (Reply::of(200, r#"{"code":0}"#), "retry"),
        (Reply::of(200, vec![b' '; 100_000]), "retry"),
        (Reply::CloseAtOnce, "retry"),
        (Reply::CloseAfterRequest, "retry"),
        (Reply::CutShort, "retry"),
    ] {
        // Sent in response to the token call and to the upload alike.
        let fake = Fake::start(vec![reply.clone()]);
        let error = upload(&client(&fake)).await.unwrap_err();
        assert_eq!(kind(&error), wanted, "{reply:?}: {error:?}");
        let fake = Fake::start(vec![token("t-one"), reply.clone()]);
        let error = upload(&client(&fake)).await.unwrap_err();
        assert_eq!(kind(&error), wanted, "{reply:?}: {error:?}");
    }
}

#[tokio::test]
async fn lasting_page_is_told_from_a_short_one() {
    let page = Reply::of(200, "<html><title>Sign in</title>");
    let fake = Fake::start(vec![page]);
    let client = client(&fake);
    assert_eq!(kind(&upload(&client).await.unwrap_err()), "retry");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    let error = upload(&client).await.unwrap_err();
    assert_eq!(kind(&error), "in front");
    assert!(error.to_string().contains("\"Sign in\""), "{error}");
}

#[tokio::test]
async fn unreachable_base_url_is_retried() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let error = upload(&client_at(&base_url, Some("s"))).await.unwrap_err();
    assert_eq!(kind(&error), "retry", "{error}");
}

#[tokio::test]
async fn invalid_image_is_not_sent() {
    let fake = Fake::start(vec![token("t-one"), key("img")]);
    let client = client(&fake);
    for size in [0, IMAGE_BYTES_MAX + 1] {
        let bytes = Bytes::from(vec![0; size]);
        let result = client.upload_image(ImageFormat::Jpeg, bytes).await;
        assert!(matches!(result, Err(ApiError::Rejected { .. })), "{size}");
    }
    let without = client_at(&fake.url(""), None);
    assert!(matches!(upload(&without).await, Err(ApiError::Stop { .. })));
    let nowhere = client_at("not a url", Some("s"));
    assert!(matches!(upload(&nowhere).await, Err(ApiError::Stop { .. })));
    assert!(fake.got().is_empty());
    assert_eq!(format!("{client:?}"), "FeishuClient { app: \"shop\", .. }");
}

mod cache {
    use std::cell::{Cell, RefCell};

    use super::super::token::{Token, TokenCache};
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    /// Grants `t-1`, `t-2`… and counts the calls; fails on request.
    #[derive(Default)]
    struct Platform {
        granted: Cell<u32>,
        asked: Cell<u32>,
        down: Cell<bool>,
        slow: Cell<Duration>,
        lives: Cell<Option<Duration>>,
        log: RefCell<Vec<u32>>,
    }

    impl Platform {
        async fn grant(&self) -> Result<Token, &'static str> {
            self.asked.set(self.asked.get() + 1);
            tokio::time::sleep(self.slow.get()).await;
            if self.down.get() {
                return Err("down");
            }
            self.granted.set(self.granted.get() + 1);
            self.log.borrow_mut().push(self.granted.get());
            let value = Secret::new(format!("t-{}", self.granted.get()));
            Ok(Token::granted(value, self.lives.get().unwrap_or(2 * HOUR)))
        }
    }

    async fn get(cache: &TokenCache, platform: &Platform) -> Result<String, &'static str> {
        let token = cache.get(|| platform.grant()).await?;
        Ok(token.expose().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn token_is_renewed_early_and_failed_renewal_is_ignored() {
        let (cache, platform) = (TokenCache::default(), Platform::default());
        assert_eq!(get(&cache, &platform).await, Ok("t-1".into()));
        tokio::time::advance(HOUR + 29 * MINUTE).await;
        assert_eq!(get(&cache, &platform).await, Ok("t-1".into()));
        assert_eq!(platform.asked.get(), 1);
        tokio::time::advance(2 * MINUTE).await;
        platform.down.set(true);
        assert_eq!(get(&cache, &platform).await, Ok("t-1".into()));
        assert_eq!(get(&cache, &platform).await, Ok("t-1".into()));
        assert_eq!(
            platform.asked.get(),
            2,
            "a failed renewal waits before the next"
        );
        tokio::time::advance(MINUTE).await;
        platform.down.set(false);
        assert_eq!(get(&cache, &platform).await, Ok("t-2".into()));
        tokio::time::advance(2 * HOUR).await;
        platform.down.set(true);
        assert_eq!(get(&cache, &platform).await, Err("down"));
    }

    #[tokio::test(start_paused = true)]
    async fn callers_use_old_token_during_renewal() {
        let (cache, platform) = (TokenCache::default(), Platform::default());
        get(&cache, &platform).await.unwrap();
        tokio::time::advance(HOUR + 40 * MINUTE).await;
        platform.slow.set(Duration::from_secs(5));
        let timed = async {
            let start = tokio::time::Instant::now();
            (get(&cache, &platform).await, start.elapsed())
        };
        let (renewer, other) = tokio::join!(get(&cache, &platform), timed);
        assert_eq!(renewer, Ok("t-2".into()));
        assert_eq!(other, (Ok("t-1".into()), Duration::ZERO));
        assert_eq!(platform.asked.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_without_token_wait_for_one_fetch() {
        let (cache, platform) = (TokenCache::default(), Platform::default());
        platform.slow.set(Duration::from_secs(5));
        let both = tokio::join!(get(&cache, &platform), get(&cache, &platform));
        assert_eq!(both, (Ok("t-1".into()), Ok("t-1".into())));
        assert_eq!(platform.asked.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn short_lived_token_is_not_renewed_on_every_call() {
        let (cache, platform) = (TokenCache::default(), Platform::default());
        platform.lives.set(Some(10 * MINUTE));
        get(&cache, &platform).await.unwrap();
        tokio::time::advance(4 * MINUTE).await;
        assert_eq!(get(&cache, &platform).await, Ok("t-1".into()));
        tokio::time::advance(2 * MINUTE).await;
        assert_eq!(get(&cache, &platform).await, Ok("t-2".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_eviction_does_not_drop_a_newer_token() {
        let (cache, platform) = (TokenCache::default(), Platform::default());
        get(&cache, &platform).await.unwrap();
        cache.evict(&Secret::new("t-0"));
        assert_eq!(get(&cache, &platform).await, Ok("t-1".into()));
        cache.evict(&Secret::new("t-1"));
        assert_eq!(get(&cache, &platform).await, Ok("t-2".into()));
        assert_eq!(*platform.log.borrow(), [1, 2]);
    }
}

#[test]
fn redactor_hides_secret_and_proxy() {
    let proxy = Secret::new("http://relay:proxy-password@proxy.example.com:3128");
    let http = HttpClient::trusted(Some(&proxy)).unwrap();
    let app = app("https://open.feishu.cn", Some("app-secret-of-shop"));
    let client = FeishuClient::new(&app, http);
    for secret in ["app-secret-of-shop", "proxy-password"] {
        assert_eq!(client.redactor().clean(secret), "‹secret›");
    }
}
