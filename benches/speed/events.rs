//! Requests in the platform's format: distinct feedback, encrypted and signed.

use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use feedback_relay::model::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const APP_ID: &str = "cli_9f5343c580712544";
pub const KEY: &str = "bench-encrypt-key";
pub const TOKEN: &str = "bench-verification-token";

/// The beginning of every id. The description ends with the id, so a receiver finds it in any
/// rendering.
pub const MARK: &str = "5eedbe7c";
/// The length of an id in hexadecimal digits, the mark included.
pub const ID_LEN: usize = 32;

/// Typical texts: short, mostly Chinese, sometimes with characters to escape.
const PHRASES: &[&str] = &[
    "打开页面之后一直是白屏，等了两分钟也没有内容。",
    "点击“提交”以后直接闪退，草稿丢失了。",
    "列表滑动很卡，手机发热。",
    "希望增加批量导出，一条一条导出太慢了。",
    "The page stays blank after the splash screen. ",
    "It crashes when I attach more than 3 files & tap \"Send\". ",
    "Error {\"code\": 500, \"msg\": \"<internal>\"} is shown.\n",
    "Please add a search box to the home page. ",
];

const TENANTS: &[&str] = &[
    "示例科技有限公司",
    "华东分公司",
    "Example Corp",
    "Acme & Sons",
];
const PATHS: &[&str] = &[
    "page/index",
    "pages/order/detail?id=42",
    "pages/home/home",
    "page/report/export",
];

/// A request and its event.
pub struct Sealed {
    pub id: String,
    /// The whole request, head and body.
    pub bytes: Vec<u8>,
}

/// Creates requests; each call continues after the last one.
pub struct Maker {
    chance: fastrand::Rng,
    run: u32,
    count: u64,
    /// The prefix of image addresses. `None`: events have no images.
    pictures: Option<String>,
    /// The number of different pages. `None`: the usual ones.
    pages: Option<u32>,
}

impl Maker {
    /// Creates a maker; another `seed` gives other events.
    pub fn new(seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let run = chance.u32(..);
        Self {
            chance,
            run,
            count: 0,
            pictures: None,
            pages: None,
        }
    }

    /// Gives later events 0 to 4 images with this address prefix, or none.
    pub fn pictures_from(&mut self, base: Option<String>) {
        self.pictures = base;
    }

    /// Makes later events faults on so many different pages, or the usual events.
    pub fn faults_on(&mut self, pages: Option<u32>) {
        self.pages = pages;
    }

    /// Returns `count` requests to `POST path` at `host`.
    pub fn requests(&mut self, count: usize, host: &str, path: &str) -> Vec<Sealed> {
        (0..count).map(|_| self.request(host, path)).collect()
    }

    /// Returns the same event once more, with its own signature.
    pub fn repeat(&mut self, of: &Sealed, host: &str, path: &str) -> Sealed {
        let end_of_head = find(&of.bytes, b"\r\n\r\n").expect("a head has an end");
        let body = of.bytes.split_at(end_of_head + 4).1.to_vec();
        Sealed {
            id: of.id.clone(),
            bytes: self.signed(host, path, &body, KEY),
        }
    }

    /// Returns an event of the usual size with a wrong signature.
    pub fn forged(&mut self, host: &str, path: &str) -> Sealed {
        let (id, body) = self.body();
        Sealed {
            id,
            bytes: self.signed(host, path, &body, "not the key"),
        }
    }

    /// Returns one more request.
    pub fn request(&mut self, host: &str, path: &str) -> Sealed {
        let (id, body) = self.body();
        Sealed {
            id,
            bytes: self.signed(host, path, &body, KEY),
        }
    }

    fn body(&mut self) -> (String, Vec<u8>) {
        let (id, event) = self.event();
        let mut iv = [0; 16];
        self.chance.fill(&mut iv);
        let plain = event.to_string();
        let cipher = cbc::Encryptor::<aes::Aes256>::new(&Sha256::digest(KEY), &iv.into());
        let mut buffer = [plain.as_bytes(), &[0; 16]].concat();
        let sealed = cipher
            .encrypt_padded::<Pkcs7>(&mut buffer, plain.len())
            .expect("there is room for the padding");
        let encrypt = STANDARD.encode([iv.as_slice(), sealed].concat());
        (id, json!({ "encrypt": encrypt }).to_string().into_bytes())
    }

    fn signed(&mut self, host: &str, path: &str, body: &[u8], key: &str) -> Vec<u8> {
        let (timestamp, nonce) = ("1772300000", format!("{:016x}", self.chance.u64(..)));
        let mut hash = Sha256::new();
        for part in [timestamp.as_bytes(), nonce.as_bytes(), key.as_bytes(), body] {
            hash.update(part);
        }
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json;charset=utf-8\r\n\
             Content-Length: {}\r\nX-Lark-Request-Timestamp: {timestamp}\r\n\
             X-Lark-Request-Nonce: {nonce}\r\nX-Lark-Signature: {}\r\n\r\n",
            body.len(),
            hex(&hash.finalize()),
        );
        [head.as_bytes(), body].concat()
    }

    /// Returns an id and its event. Ids are unordered like the platform's, so an index gains
    /// nothing from their order.
    fn event(&mut self) -> (String, Value) {
        self.count += 1;
        let id = format!("{MARK}{:08x}{:016x}", self.run, self.chance.u64(..));
        let fault = self.pages.is_some() || self.chance.u8(..10) < 7;
        let person = hex(&self.chance.u128(..).to_be_bytes());
        let event = json!({
            "schema": "2.0",
            "header": {
                "event_id": id,
                "event_type": "application.application.feedback.created_v6",
                // Far in the future, because an event older than ids are kept is ignored.
                "create_time": "4102444800000",
                "token": TOKEN,
                "app_id": APP_ID,
                "tenant_key": "2ca1d211f64f6438",
            },
            "event": {
                "user_id": {
                    "union_id": format!("on_{person}"), "user_id": "e33ggbyz",
                    "open_id": format!("ou_{person}"),
                },
                "app_id": APP_ID,
                "feedback_time": "2026-03-01 02:10:11",
                "tenant_name": self.chance.choice(TENANTS),
                "feedback_type": if fault { 1 } else { 2 },
                "fault_type": if fault { self.faults() } else { Vec::new() },
                "fault_time": "2026-03-01 02:08:00",
                "source": 1 + self.chance.u8(..4),
                "contact": self.contact(),
                "description": self.description(&id),
                "images": self.images(),
                "feedback_id": format!("7{:09}{:09}", self.run % 1_000_000_000, self.count),
                "feedback_path": self.page(),
            }
        });
        (id, event)
    }

    fn page(&mut self) -> String {
        let Some(pages) = self.pages else {
            let usual = self.chance.choice(PATHS);
            return usual.copied().unwrap_or_default().to_owned();
        };
        // Only letters, because the relay takes digits for ids.
        let number = self.chance.u32(..pages).to_string().into_bytes();
        let letters = number
            .into_iter()
            .map(|digit| char::from(digit - b'0' + b'a'));
        format!("pages/{}", letters.collect::<String>())
    }

    /// Returns one to three of the eight faults.
    fn faults(&mut self) -> Vec<u8> {
        let count = self.chance.usize(1..=3);
        let mut faults = self.chance.choose_multiple(1..=8, count);
        faults.sort_unstable();
        faults
    }

    /// Returns an address, a telephone number or nothing.
    fn contact(&mut self) -> String {
        match self.chance.u8(..4) {
            0 => String::new(),
            1 => format!("+86 138{:08}", self.chance.u32(..100_000_000)),
            _ => format!("user{}@example.com", self.chance.u32(..100_000)),
        }
    }

    fn images(&mut self) -> Vec<String> {
        let Some(base) = self.pictures.clone() else {
            return Vec::new();
        };
        let count = self.chance.u8(0..=4);
        let image = |number| {
            let name = hex(&self.chance.u128(..).to_be_bytes());
            format!(
                "{base}{name}~tplv-{number}.png?x-expires=1700000000&x-signature={:012x}",
                self.chance.u64(..1 << 48)
            )
        };
        (0..count).map(image).collect()
    }

    /// Returns a description of 20 to 2,000 characters, usually short.
    fn description(&mut self, id: &str) -> String {
        let wanted = (20.0 * 100_f64.powf(self.chance.f64())).round();
        let mut text = String::new();
        let mut chars = 0.0;
        while chars < wanted {
            let phrase = self.chance.choice(PHRASES).expect("there are some");
            text.push_str(phrase);
            chars += phrase.chars().map(|_| 1.0).sum::<f64>();
        }
        format!("{text} #{id}")
    }
}

/// Returns where `wanted` begins in `bytes`.
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
