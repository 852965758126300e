//! Defines the relay's own words in Chinese and English.

use std::cmp::Ordering;
use std::time::Duration;

use super::Locale;
use crate::model::{
    FaultKind, FeedbackKind, FeedbackStatus, GroupKey, HeldFor, IMAGES_PER_EVENT_MAX,
    INCIDENT_AGE_MAX, IncidentNews, IncidentProgress, IncidentState, NoticeKind, Severity,
    SourceKind, Summary, TriageAction,
};

/// Key, Chinese, English.
pub(super) const WORDS: &[(&str, &str, &str)] = &[
    ("ago", "前", " ago"),
    ("app", "应用", "App"),
    ("before_report", "报告前 ", ""),
    ("before_report_end", "", " before the report"),
    ("changed", "已变更", "changed"),
    ("changed_at", "变更时间", "Changed"),
    ("changed_by", "操作人", "Changed by"),
    ("claimed", "已有人处理", "Claimed"),
    ("contact", "联系方式", "Contact"),
    ("continues", "接续", "continues"),
    ("description", "用户描述", "In their words"),
    (
        "digest_late",
        "中继当时未运行，此汇总发送较晚",
        "The relay did not run at its time, so this digest is late",
    ),
    ("digest_oldest", "其中最早", "the oldest from"),
    ("during_mute", "静默期间", "During the mute"),
    ("event", "事件", "event"),
    ("fault_time", "发生时间", "Happened"),
    ("feedback", "反馈", "Feedback"),
    ("feedback_time", "报告时间", "Reported"),
    ("first_report", "首次反馈", "First report"),
    (
        "here_only",
        "仅在此处更改，飞书中未变",
        "here only; not changed in Feishu",
    ),
    ("image", "图片", "Picture"),
    ("last_report", "最近反馈", "Last report"),
    ("late", "此反馈送达较晚", "This report arrived late"),
    ("late_images", "补充图片", "More pictures"),
    ("list", "、", ", "),
    ("muted_until", "静默至", "Muted until"),
    ("newest", "最新反馈", "Newest reports"),
    ("no_description", "（无描述）", "(no description)"),
    ("notice", "中继通知", "Relay notice"),
    ("open_for", "持续时间", "Duration"),
    ("path", "页面", "Page"),
    ("people", "人数", "People"),
    ("rate", "速度", "Rate"),
    ("report", " 份反馈", " report"),
    ("reports", " 份反馈", " reports"),
    ("someone", "有人", "someone"),
    ("source", "来源", "Source"),
    ("status", "状态", "Status"),
    ("suggestion", "建议", "Suggestion"),
    ("tenant", "企业", "Tenant"),
    ("tenants", "企业数", "Tenants"),
    ("test", "测试", "Test"),
    ("unhandled", "未处理", "Not handled"),
    ("unknown_app", "未知应用", "unknown app"),
    ("user", "用户", "User"),
    ("words", "说法种类", "Kinds of words"),
];

/// Returns the word for `key`.
pub(super) fn word(locale: Locale, key: &str) -> Option<&'static str> {
    let index = WORDS.binary_search_by(|(one, _, _)| one.cmp(&key)).ok()?;
    let (_, zh, en) = WORDS[index];
    Some(match locale {
        Locale::Zh => zh,
        Locale::En => en,
    })
}

const fn pick(locale: Locale, zh: &'static str, en: &'static str) -> &'static str {
    match locale {
        Locale::Zh => zh,
        Locale::En => en,
    }
}

/// Returns the word for a severity.
pub(super) const fn severity(locale: Locale, severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => pick(locale, "紧急", "critical"),
        Severity::Warning => pick(locale, "警告", "warning"),
        Severity::Info => pick(locale, "一般", "info"),
    }
}

/// Returns the word for a type of feedback.
pub(super) fn kind(locale: Locale, kind: FeedbackKind) -> String {
    match kind {
        FeedbackKind::FAULT => pick(locale, "故障", "Fault").to_owned(),
        FeedbackKind::SUGGESTION => pick(locale, "建议", "Suggestion").to_owned(),
        FeedbackKind(code) => numbered(locale, code),
    }
}

/// Returns the word for a fault.
pub(super) fn fault(locale: Locale, fault: FaultKind) -> String {
    let (zh, en) = match fault {
        FaultKind::BLACK_SCREEN => ("黑屏", "Black screen"),
        FaultKind::WHITE_SCREEN => ("白屏", "White screen"),
        FaultKind::CANNOT_OPEN => ("无法打开", "Cannot open"),
        FaultKind::STUTTER => ("卡顿", "Stutter"),
        FaultKind::CRASH => ("闪退", "Crash"),
        FaultKind::SLOW_LOAD => ("加载慢", "Slow to load"),
        FaultKind::FREEZE => ("死机", "Freeze"),
        FaultKind::OTHER => ("其他异常", "Other fault"),
        FaultKind(code) => return numbered(locale, code),
    };
    pick(locale, zh, en).to_owned()
}

/// Returns the word for the place where the app ran.
pub(super) fn source(locale: Locale, source: SourceKind) -> String {
    let (zh, en) = match source {
        SourceKind::MINI_PROGRAM => ("小程序", "Mini program"),
        SourceKind::WEB_APP => ("网页应用", "Web app"),
        SourceKind::BOT => ("机器人", "Bot"),
        SourceKind::WEB_SDK => ("网页 SDK", "Web SDK"),
        SourceKind(code) => return numbered(locale, code),
    };
    pick(locale, zh, en).to_owned()
}

/// Returns the word for a status.
pub(super) fn status(locale: Locale, status: FeedbackStatus) -> String {
    let (zh, en) = match status {
        FeedbackStatus::UNPROCESSED => ("未处理", "Unprocessed"),
        FeedbackStatus::PROCESSED => ("已处理", "Processed"),
        FeedbackStatus::PROCESSING => ("处理中", "Processing"),
        FeedbackStatus::CLOSED => ("已关闭", "Closed"),
        FeedbackStatus(code) => return format!("{} {code}", pick(locale, "状态", "Status")),
    };
    pick(locale, zh, en).to_owned()
}

/// Returns the label of a button.
pub(super) const fn act(locale: Locale, act: TriageAction) -> &'static str {
    match act {
        TriageAction::Claim => pick(locale, "我来处理", "Claim"),
        TriageAction::Done => pick(locale, "已处理", "Done"),
        TriageAction::NotOurs => pick(locale, "不归我们（关闭）", "Not ours (close)"),
        TriageAction::Undo => pick(locale, "撤销", "Undo"),
        TriageAction::Mute => pick(locale, "静默 2 小时", "Mute 2 h"),
    }
}

/// Returns the title of an operator notice.
pub(super) const fn notice(locale: Locale, kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::DestinationStopped => pick(locale, "目的地已停用", "Destination stopped"),
        NoticeKind::DestinationMissing => pick(locale, "投递目标已不存在", "Destination missing"),
        NoticeKind::DeliveryUnconfirmed => pick(locale, "消息可能已送达", "Perhaps delivered"),
        NoticeKind::DeliveryDead => pick(locale, "消息投递失败", "Delivery given up"),
        NoticeKind::ImageInDanger => pick(locale, "图片即将过期", "Picture in danger"),
        NoticeKind::ImageHostRefused => pick(locale, "图片域名不在名单", "Picture host refused"),
        NoticeKind::ImageLost => pick(locale, "图片丢失", "Picture lost"),
        NoticeKind::ImageUploadRefused => pick(locale, "图片无法上传", "Pictures not uploaded"),
        NoticeKind::MentionRefused => pick(locale, "提醒的人被拒绝", "Mention refused"),
        NoticeKind::MessageNotChanged => pick(locale, "消息未能更新", "Message not changed"),
        NoticeKind::EventUnreadable => pick(locale, "事件无法解析", "Event unreadable"),
        NoticeKind::TemplateFailed => pick(locale, "模板出错", "Template failed"),
        NoticeKind::ConnectionRefused => pick(locale, "长连接被拒绝", "Long connection refused"),
        NoticeKind::ConnectionDown => pick(locale, "长连接中断", "Long connection down"),
        NoticeKind::StatusNotSet => pick(locale, "状态未能写入飞书", "Status not set in Feishu"),
        NoticeKind::NothingPushed => pick(locale, "没有事件推送", "Nothing is pushed"),
        NoticeKind::ReloadRefused => pick(locale, "新配置被拒绝", "New configuration refused"),
        NoticeKind::StoreDisplaced => pick(locale, "数据库文件不在原处", "Store out of place"),
        NoticeKind::BackfillFailed => pick(locale, "无法核对反馈列表", "Backfill failed"),
        NoticeKind::SilenceEnding => pick(locale, "静默即将结束", "Silence ends soon"),
        NoticeKind::TooManyIncidents => pick(locale, "事件过多", "Too many incidents"),
    }
}

/// Returns the text of an operator notice in Chinese.
pub(super) fn notice_text(kind: NoticeKind, subject: &str) -> String {
    match kind {
        NoticeKind::DestinationStopped => {
            format!("目的地 {subject} 已停用：在有人处理之前，消息不会再发往那里。")
        }
        NoticeKind::DeliveryDead => {
            format!(
                "发往 {subject} 的消息已放弃。问题解决后可用 feedback-relay deliveries retry 重发。"
            )
        }
        NoticeKind::ImageInDanger => format!("有图片尚未取到，而其地址即将失效（{subject}）。"),
        NoticeKind::ImageHostRefused => format!(
            "反馈中的图片在未列入名单的域名上（{subject}）。若信任该域名，请将其加入 [images] 的 allow_hosts 并重新加载配置。"
        ),
        NoticeKind::ImageLost => format!("有图片未能取到，已经失效（{subject}）。"),
        NoticeKind::ImageUploadRefused => {
            format!("{subject} 没有接受图片：消息中改为链接，或只说明图片数量。")
        }
        NoticeKind::EventUnreadable => {
            format!("应用 {subject} 收到一个真实但无法解析的事件，已按原样保存。")
        }
        NoticeKind::TemplateFailed => {
            format!("发往 {subject} 的消息模板出错，修复之前改用内置的简单模板。")
        }
        NoticeKind::ConnectionRefused => {
            format!("飞书拒绝了应用 {subject} 的长连接，需要有人处理。")
        }
        NoticeKind::ConnectionDown => format!("应用 {subject} 的长连接已中断一段时间。"),
        NoticeKind::StatusNotSet => format!("飞书没有接受有人设置的状态（{subject}）。"),
        NoticeKind::NothingPushed => format!(
            "应用 {subject} 的反馈只在列表中找到，没有一条是推送过来的。请在飞书后台检查事件订阅方式、订阅的事件和已发布的版本。"
        ),
        NoticeKind::TooManyIncidents => format!(
            "规则 {subject} 的进行中事件已达上限，其余分组合并计入一个事件。若分组过细，请从 group_by 中去掉取值过多的键。"
        ),
        NoticeKind::ReloadRefused => format!("新配置（{subject}）被拒绝，旧配置继续生效。"),
        NoticeKind::BackfillFailed => {
            format!("无法核对应用 {subject} 的反馈列表，漏推的反馈暂时找不回来。")
        }
        NoticeKind::DestinationMissing => format!(
            "仍有消息要发往 {subject}，但配置中已没有这个目的地。消息等待一天后放弃；若是改名，请在新目的地中写 was = \"{subject}\"。"
        ),
        NoticeKind::DeliveryUnconfirmed => {
            format!("发往 {subject} 的消息可能已送达：对方没有回应，重发又可能重复，因此不再重试。")
        }
        NoticeKind::MentionRefused => {
            format!("{subject} 不接受消息中提到的人，消息已去掉提醒后发出。请检查 [mentions]。")
        }
        NoticeKind::MessageNotChanged => {
            format!("{subject} 中有一条消息未能更新，没有显示反馈的最新状态。")
        }
        NoticeKind::SilenceEnding => format!("静默 {subject} 即将结束。"),
        NoticeKind::StoreDisplaced => {
            "数据库文件不在原处：在恢复之前不接收事件，飞书会重新推送。".to_owned()
        }
    }
}

/// Returns the name of the reports in a summary.
pub(super) const fn held_reports(locale: Locale, held_for: HeldFor) -> &'static str {
    match held_for {
        HeldFor::Late => pick(locale, "补收反馈", "Late reports:"),
        HeldFor::Hold => pick(locale, "暂缓的反馈", "Held reports:"),
        HeldFor::Stale => pick(locale, "积压的反馈", "Reports that waited too long:"),
    }
}

/// Describes why reports were not sent one by one.
pub(super) fn held_why(locale: Locale, summary: &Summary) -> String {
    let hours = summary.hours.as_deref().unwrap_or_default();
    match (summary.held_for, locale) {
        (HeldFor::Late, _) => pick(
            locale,
            "这些反馈没有推送过来，是核对反馈列表时补收的",
            "These were never pushed; they were found in the feedback list",
        )
        .to_owned(),
        (HeldFor::Hold, Locale::Zh) => format!("规则在 {hours} 期间暂缓发送，现在合并为一条"),
        (HeldFor::Hold, Locale::En) => {
            format!("The rule holds its messages during {hours}, and sends them as one")
        }
        (HeldFor::Stale, _) => pick(
            locale,
            "此处或中继服务曾中断，这些消息等待过久，现在合并为一条",
            "This destination or the relay did not work; these messages waited too long and are sent as one",
        )
        .to_owned(),
    }
}

/// Returns a label for a code without a name.
pub(super) fn numbered(locale: Locale, code: impl std::fmt::Display) -> String {
    match locale {
        Locale::Zh => format!("类型 {code}"),
        Locale::En => format!("Type {code}"),
    }
}

/// Returns the label of a key of `group_by`.
pub(super) const fn group_key(locale: Locale, key: GroupKey) -> &'static str {
    match key {
        GroupKey::App => pick(locale, "应用", "App"),
        GroupKey::Via => pick(locale, "接收应用", "Received by"),
        GroupKey::Fault => pick(locale, "故障", "Fault"),
        GroupKey::Source => pick(locale, "来源", "Source"),
        GroupKey::Tenant => pick(locale, "企业", "Tenant"),
        GroupKey::TenantKey => pick(locale, "企业 ID", "Tenant id"),
        GroupKey::Path => pick(locale, "页面", "Page"),
    }
}

/// Describes the state of an incident. An incident without reports is quiet, which does not mean fixed.
pub(super) fn incident_state(
    locale: Locale,
    state: IncidentState,
    progress: &IncidentProgress,
) -> String {
    match state {
        IncidentState::Open => pick(locale, "进行中", "Open").to_owned(),
        IncidentState::Quiet => {
            let quiet = span(locale, progress.resolve_after());
            match locale {
                Locale::Zh => format!("已有 {quiet}没有新反馈"),
                Locale::En => format!("No report for {quiet}"),
            }
        }
        IncidentState::Continued => {
            let age = span(locale, INCIDENT_AGE_MAX);
            match locale {
                Locale::Zh => format!("已满 {age}，新反馈计入下一个事件"),
                Locale::En => format!("Open for {age}; further reports count in the next incident"),
            }
        }
        IncidentState::Done => pick(locale, "已处理", "Done").to_owned(),
        IncidentState::Closed => pick(locale, "已手动关闭", "Closed manually").to_owned(),
    }
}

/// Returns the label of the number of values that a collective incident counts.
pub(super) const fn further_keys(locale: Locale) -> &'static str {
    pick(locale, "其他分组数", "Further groups")
}

/// Introduces an earlier incident.
pub(super) const fn seen_before(locale: Locale, is_similar: bool) -> &'static str {
    match is_similar {
        true => pick(locale, "曾有相似的反馈", "Similar reports before"),
        false => pick(locale, "曾经出现", "Seen before"),
    }
}

/// Describes a flapping incident; `None` for another.
pub(super) fn flapping(locale: Locale, progress: &IncidentProgress) -> Option<String> {
    let (times, quiet) = (progress.reopened, span(locale, progress.resolve_after()));
    progress.is_flapping().then(|| match locale {
        Locale::Zh => format!("抖动：24 小时内平息后第 {times} 次再现，{quiet}没有新反馈才算平息"),
        Locale::En => format!("Flapping: quiet and back {times} times in 24 h, so it ends after {quiet} without a report"),
    })
}

/// Describes an open incident that was done before.
pub(super) const fn reopened(locale: Locale) -> &'static str {
    pick(locale, "再次出现", "Reopened")
}

/// Describes how many reports of an incident have their status in Feishu; `None` if all have.
pub(super) fn written(locale: Locale, [done, total]: [u64; 2]) -> Option<String> {
    (done < total).then(|| match locale {
        Locale::Zh => format!("飞书中的状态：已更新 {done} / {total}"),
        Locale::En => format!("Status in Feishu: {done} of {total} set"),
    })
}

/// Describes why an incident sends a message.
pub(super) fn incident_news(
    locale: Locale,
    news: IncidentNews,
    progress: &IncidentProgress,
) -> String {
    let state = |state| incident_state(locale, state, progress);
    match news {
        IncidentNews::Opened => pick(locale, "同类反馈已合并", "Similar reports merged").to_owned(),
        IncidentNews::Digest => pick(locale, "有新反馈", "New reports").to_owned(),
        IncidentNews::Threshold => {
            pick(locale, "反馈增多，升级通知", "Escalated: more reports").to_owned()
        }
        IncidentNews::Overdue => {
            pick(locale, "仍未结束，升级通知", "Escalated: still open").to_owned()
        }
        IncidentNews::Repeat => pick(locale, "仍在持续", "Still open, with new reports").to_owned(),
        IncidentNews::Quiet => state(IncidentState::Quiet),
        IncidentNews::Continued => state(IncidentState::Continued),
        IncidentNews::Done => state(IncidentState::Done),
        IncidentNews::Reopened => pick(
            locale,
            "标记为已处理后又有新反馈",
            "Reported again after it was done",
        )
        .to_owned(),
        IncidentNews::Closed => state(IncidentState::Closed),
        IncidentNews::Unmuted => pick(locale, "静默已结束", "No longer muted").to_owned(),
        IncidentNews::MuteEnding => pick(locale, "静默即将结束", "The mute ends soon").to_owned(),
    }
}

/// Formats the reports of the last minute, and whether they are more or less than in the minute before.
pub(super) fn trend(locale: Locale, [now, before]: [u64; 2]) -> String {
    let arrow = match now.cmp(&before) {
        Ordering::Greater => "↑",
        Ordering::Equal => "→",
        Ordering::Less => "↓",
    };
    format!("{now}{} {arrow}", pick(locale, " 份/分钟", "/min"))
}

/// Formats a duration in its largest unit.
pub(super) fn span(locale: Locale, span: Duration) -> String {
    let seconds = span.as_secs();
    let (number, zh, en) = match seconds {
        0..60 => (seconds, "秒", "s"),
        60..3600 => (seconds / 60, "分钟", "min"),
        3600..172_800 => (seconds / 3600, "小时", "h"),
        _ => (seconds / 86_400, "天", "days"),
    };
    format!("{number} {}", pick(locale, zh, en))
}

/// How many images a message does not show, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PictureCounts {
    pub(super) kept: usize,
    pub(super) pending: usize,
    /// Images on a host that is not allowed.
    pub(super) refused: usize,
    pub(super) lost: usize,
    /// Images beyond the maximum that is fetched for a report.
    pub(super) beyond: usize,
}

/// Returns how many images the message does not show, and why.
pub(super) fn pictures(locale: Locale, counts: PictureCounts) -> String {
    let beyond_zh = format!("未获取（每份反馈最多获取 {IMAGES_PER_EVENT_MAX} 张）");
    let beyond_en = format!("not fetched: only {IMAGES_PER_EVENT_MAX} per report");
    let parts = [
        (
            counts.kept,
            "已保存（此处未显示）",
            "kept but not shown here",
        ),
        (counts.pending, "稍后送达", "on the way"),
        (
            counts.refused,
            "所在主机未被允许",
            "on a host that is not allowed",
        ),
        (counts.lost, "未能获取", "not available"),
        (counts.beyond, beyond_zh.as_str(), beyond_en.as_str()),
    ];
    let say = |(count, zh, en): &(usize, &str, &str)| match locale {
        Locale::Zh => format!("{count} 张图片{zh}"),
        Locale::En => format!("{count} {} {en}", plural(*count)),
    };
    let parts: Vec<_> = parts
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(say)
        .collect();
    parts.join(pick(locale, "，", ", "))
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "picture" } else { "pictures" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_sorted_for_its_search() {
        assert!(WORDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(word(Locale::En, "tenant"), Some("Tenant"));
        assert_eq!(word(Locale::Zh, "nonsense"), None);
    }

    #[test]
    fn pictures_are_counted() {
        let none = PictureCounts::default();
        let kept = PictureCounts { kept: 3, ..none };
        assert_eq!(pictures(Locale::Zh, kept), "3 张图片已保存（此处未显示）");
        let two = PictureCounts {
            kept: 1,
            pending: 2,
            ..none
        };
        assert_eq!(
            pictures(Locale::En, two),
            "1 picture kept but not shown here, 2 pictures on the way"
        );
        assert_eq!(pictures(Locale::En, none), "");
        let why = PictureCounts {
            refused: 1,
            beyond: 5,
            ..none
        };
        assert_eq!(
            pictures(Locale::En, why),
            "1 picture on a host that is not allowed, 5 pictures not fetched: only 20 per report"
        );
        assert_eq!(
            pictures(Locale::Zh, why),
            "1 张图片所在主机未被允许，5 张图片未获取（每份反馈最多获取 20 张）"
        );
    }
}
