//! The reports of the demo's users, and the events that Feishu creates for them.

use axum::body::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::feishu::CREATED;
use crate::model::{FaultKind, FeedbackKind, SourceKind, Timestamp};

/// The app of the reports.
pub(super) const APP_ID: &str = "cli_9f5343c580712544";
/// Feishu's feedback times use China's time zone.
const ZONE: jiff::tz::Offset = jiff::tz::offset(8);

/// A report.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// The fault; `None` for a suggestion.
    pub(super) fault: Option<FaultKind>,
    pub(super) source: SourceKind,
    pub(super) description: String,
    pub(super) path: String,
    pub(super) tenant: String,
    pub(super) contact: String,
    /// The reporter's open id.
    pub(super) reporter: String,
    pub(super) pictures: Vec<Bytes>,
}

/// An event and its id.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) id: String,
    pub(super) event: Value,
}

impl Report {
    /// Returns the event that Feishu creates, with its images at these URLs.
    pub(super) fn event(&self, now: Timestamp, images: &[String]) -> Made {
        let id = format!("{:032x}", fastrand::u128(..));
        let feedback_id = format!("70578880{:011}", fastrand::u64(..100_000_000_000));
        let reported_at = local(now);
        let mut feedback = json!({
            "feedback_id": feedback_id,
            "app_id": APP_ID,
            "feedback_time": reported_at,
            "tenant_name": self.tenant,
            "feedback_type": FeedbackKind::SUGGESTION.0,
            "source": self.source.0,
            "contact": self.contact,
            "description": self.description,
            "images": images,
            "feedback_path": self.path,
            "user_id": {"open_id": self.reporter},
        });
        if let Some(fault) = self.fault {
            feedback["feedback_type"] = FeedbackKind::FAULT.0.into();
            feedback["fault_type"] = json!([fault.0]);
            feedback["fault_time"] = reported_at.into();
        }
        let event = json!({
            "schema": "2.0",
            "header": {
                "event_id": id,
                "event_type": CREATED,
                "create_time": now.as_millis().to_string(),
                "app_id": APP_ID,
                "tenant_key": tenant_key(&self.tenant),
            },
            "event": feedback,
        });
        Made { id, event }
    }
}

/// Returns the open id of somebody who has not reported before.
pub(super) fn somebody() -> String {
    format!("ou_{:032x}", fastrand::u128(..))
}

/// Returns the key of a tenant with this name.
fn tenant_key(name: &str) -> String {
    let hash = Sha256::digest(name.as_bytes());
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Returns a time in the platform's format.
fn local(at: Timestamp) -> String {
    let at = at.to_jiff().unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    ZONE.to_datetime(at)
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// The images of the reports, drawn by `pictures/draw`.
pub(super) mod pictures {
    pub(in super::super) const CART: &[u8] = include_bytes!("pictures/cart.png");
    pub(super) const BLANK: &[u8] = include_bytes!("pictures/blank.png");
    pub(super) const CRASH: &[u8] = include_bytes!("pictures/crash.png");
    pub(super) const ORDERS: &[u8] = include_bytes!("pictures/orders.png");
    pub(super) const SLOW: &[u8] = include_bytes!("pictures/slow.png");
}

/// A report of the demo's own, as constants.
struct Told {
    fault: Option<FaultKind>,
    source: SourceKind,
    description: &'static str,
    path: &'static str,
    tenant: &'static str,
    contact: &'static str,
    pictures: &'static [&'static [u8]],
}

const HANGZHOU: &str = "杭州云帆科技";
const RIVERSIDE: &str = "Riverside Retail Ltd";

/// The reports in order; after the end the later ones are repeated.
const TOLD: &[Told] = &[
    Told {
        fault: Some(FaultKind::WHITE_SCREEN),
        source: SourceKind::MINI_PROGRAM,
        description: "点“提交订单”之后支付页一直是白屏，转圈转了两分钟。退出重进、换 Wi-Fi 都一样，订单也没有生成。",
        path: "pages/pay/index?order=20260301",
        tenant: HANGZHOU,
        contact: "lina@yf.example",
        pictures: &[pictures::CART, pictures::BLANK],
    },
    Told {
        fault: None,
        source: SourceKind::WEB_APP,
        description: "Could the order list be sorted by amount? I export it to a spreadsheet every Monday just for that.",
        path: "https://shop.example.com/console/orders",
        tenant: RIVERSIDE,
        contact: "rossi@rr.example",
        pictures: &[pictures::ORDERS],
    },
    Told {
        fault: Some(FaultKind::CRASH),
        source: SourceKind::MINI_PROGRAM,
        description: "The app closes as soon as I choose a reason for the refund. Three times in a row now.",
        path: "pages/refund/reason",
        tenant: RIVERSIDE,
        contact: "okafor@rr.example",
        pictures: &[pictures::CRASH],
    },
    Told {
        fault: None,
        source: SourceKind::MINI_PROGRAM,
        description: "希望购物车支持多选后一起删除，现在只能一件一件地删，大促之后要删很久。",
        path: "pages/cart/index",
        tenant: HANGZHOU,
        contact: "",
        pictures: &[pictures::CART],
    },
    Told {
        fault: Some(FaultKind::SLOW_LOAD),
        source: SourceKind::MINI_PROGRAM,
        description: "会场页面加载特别慢，商品图要等十几秒才出来，上午还没有这个问题。",
        path: "pages/sale/1111",
        tenant: "青松百货",
        contact: "13800138000",
        pictures: &[pictures::SLOW],
    },
    Told {
        fault: Some(FaultKind::STUTTER),
        source: SourceKind::WEB_APP,
        description: "Scrolling the stock table stutters when a filter is set; without one it is smooth.",
        path: "https://shop.example.com/console/stock",
        tenant: RIVERSIDE,
        contact: "",
        pictures: &[],
    },
    Told {
        fault: None,
        source: SourceKind::BOT,
        description: "机器人推送的日报能不能加上昨天的环比？每次都要自己算。",
        path: "",
        tenant: "青松百货",
        contact: "wang@qs.example",
        pictures: &[],
    },
];

/// The number of reports before they are repeated.
pub(super) const COUNT: usize = TOLD.len();
/// The index from which they are repeated.
pub(super) const AGAIN_FROM: usize = 2;

/// Returns one of the demo's own reports.
pub(super) fn told(index: usize) -> Report {
    let told = &TOLD[index % COUNT];
    Report {
        fault: told.fault,
        source: told.source,
        description: told.description.to_owned(),
        path: told.path.to_owned(),
        tenant: told.tenant.to_owned(),
        contact: told.contact.to_owned(),
        reporter: somebody(),
        pictures: told
            .pictures
            .iter()
            .map(|bytes| Bytes::from_static(bytes))
            .collect(),
    }
}

/// The tenants of a storm's reporters.
const TENANTS: &[&str] = &[
    HANGZHOU,
    RIVERSIDE,
    "青松百货",
    "Northwind Grocers",
    "海棠家居",
    "Blue Harbor Coffee",
    "星河图书",
    "Maple & Sons",
    "山谷有机农场",
    "Lumen Electronics",
    "江南丝绸",
];

/// What the reporters of a storm write.
const WORDS: &[&str] = &[
    "点进会场就是白屏，什么都没有。",
    "The sale page is just white, nothing loads.",
    "白屏！优惠券马上要过期了，快修一下。",
    "页面一片空白，换了手机也一样。",
    "Blank page since a minute ago. Wi-Fi and 5G both.",
    "刚才还好好的，现在打开是白的。",
    "White screen. I restarted the phone twice.",
    "转圈之后变成白屏，退出重进没用。",
    "All of us in the office see an empty page.",
    "会场打不开，白屏十几分钟了。",
    "Nothing but white after I tap the banner.",
    "为什么是白屏？购物车里的东西还在吗？",
    "It stays white, even after I cleared the cache.",
];

/// The number of people who report in a storm; some report twice.
const REPORTERS: usize = 870;
/// One of so many reports of a storm has a picture.
const PICTURE_EVERY: usize = 125;

/// Returns a report of storm number `storm`. Each storm has a page of its own, and so an incident of its own.
pub(super) fn white_screen(storm: usize, index: usize) -> Report {
    let hall = char::from(b"abcdefghijklmnopqrstuvwxyz"[storm % 26]);
    let mut pictures = Vec::new();
    if index % PICTURE_EVERY == PICTURE_EVERY / 2 {
        pictures.push(Bytes::from_static(pictures::BLANK));
    }
    Report {
        fault: Some(FaultKind::WHITE_SCREEN),
        source: SourceKind::MINI_PROGRAM,
        description: WORDS[index % WORDS.len()].to_owned(),
        path: format!("pages/sale/hall-{hall}"),
        tenant: TENANTS[index % TENANTS.len()].to_owned(),
        contact: String::new(),
        reporter: format!("ou_{storm:016x}{:016x}", index % REPORTERS),
        pictures,
    }
}

/// Returns one of the demo's suggestions.
pub(super) fn suggestion(index: usize) -> Report {
    let all: Vec<usize> = (0..COUNT)
        .filter(|one| TOLD[*one].fault.is_none())
        .collect();
    told(all[index % all.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feishu::read_sample;
    use crate::model::{AppName, Content};

    #[test]
    fn reports_are_parsed_as_written() {
        let zone = jiff::tz::TimeZone::fixed(ZONE);
        let now = Timestamp::from_millis(1_772_302_211_000);
        for index in 0..COUNT {
            let report = told(index);
            let images: Vec<String> = report
                .pictures
                .iter()
                .map(|_| "https://x.example/1".into())
                .collect();
            let made = report.event(now, &images);
            let event = read_sample(&made.event.to_string(), &AppName::new("shop"), &zone).unwrap();
            assert_eq!(event.id.as_str(), made.id);
            let Content::Created(feedback) = event.content else {
                panic!("another event: {}", made.event);
            };
            assert_eq!(feedback.faults, Vec::from_iter(report.fault));
            assert_eq!(feedback.reported_at, Some(now));
            assert!(feedback.id.is_some_and(|id| id.len() == 19));
            assert_eq!(feedback.images.len(), report.pictures.len());
            assert_eq!(feedback.description.unwrap().expose(), report.description);
        }
    }

    #[test]
    fn storm_has_one_page_and_many_people_tenants_and_words() {
        let all: Vec<Report> = (0..1000).map(|index| white_screen(27, index)).collect();
        let distinct = |of: fn(&Report) -> &String| {
            let all: std::collections::BTreeSet<&String> = all.iter().map(of).collect();
            all.len()
        };
        assert_eq!(distinct(|one| &one.path), 1);
        assert_eq!(distinct(|one| &one.reporter), REPORTERS);
        assert_eq!(distinct(|one| &one.tenant), TENANTS.len());
        assert_eq!(distinct(|one| &one.description), WORDS.len());
        assert_eq!(all.iter().filter(|one| !one.pictures.is_empty()).count(), 8);
        assert_ne!(white_screen(28, 0).path, all[0].path);
        assert_eq!(suggestion(4).fault, None);
    }

    #[test]
    fn reports_cover_both_languages_kinds_and_images() {
        let all: Vec<Report> = (0..COUNT).map(told).collect();
        for fault in [true, false] {
            let chinese = |report: &Report| report.description.chars().any(|c| c >= '\u{4e00}');
            let of = all.iter().filter(|report| report.fault.is_some() == fault);
            let (zh, en): (Vec<&Report>, Vec<&Report>) = of.partition(|report| chinese(report));
            assert!(!zh.is_empty() && !en.is_empty());
        }
        for bytes in all.iter().flat_map(|report| &report.pictures) {
            assert_eq!(
                infer::get(bytes).map(|kind| kind.mime_type()),
                Some("image/png")
            );
        }
    }
}
