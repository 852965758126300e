//! Texts that answer a button action, in both languages, because only the platform knows the reader's language.

use super::{ActionResult, Holder};
use crate::model::TriageAction;

impl ActionResult {
    /// Returns its fixed name for the metrics.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Already { .. } => "already",
            Self::TooLate => "too_late",
            Self::Ended => "ended",
            Self::Unknown => "unknown",
            Self::Forged => "forged",
            Self::NotSaved => "not_saved",
        }
    }

    /// Returns the type of Feishu's toast.
    pub(super) const fn tone(&self) -> &'static str {
        match self {
            Self::Done {
                local_only: false, ..
            } => "success",
            Self::Done {
                local_only: true, ..
            } => "warning",
            Self::Already { .. } => "info",
            Self::TooLate | Self::Ended | Self::Unknown | Self::Forged | Self::NotSaved => "error",
        }
    }

    /// Returns the text in Chinese and in English.
    pub(super) fn says(&self) -> (String, String) {
        let (zh, en) = match self {
            Self::Done {
                act,
                local_only: false,
            } => done(*act),
            Self::Done {
                act,
                local_only: true,
            } => done_here(*act),
            Self::Already {
                act: TriageAction::Undo,
                ..
            } => (
                "状态后来又变过，不能撤销",
                "It has changed since; there is nothing to undo",
            ),
            Self::Already { act, by } => return already(*act, by),
            Self::TooLate => ("超过了可以撤销的时间", "It is too late to undo this"),
            Self::Ended => (
                "这批反馈的事件已经结束",
                "The incident of these reports has ended",
            ),
            Self::Unknown => ("这条反馈已不再保存", "This feedback is not kept any more"),
            Self::Forged => (
                "这个按钮不是本中继的",
                "This button does not belong to this relay",
            ),
            Self::NotSaved => (
                "没有保存成功，请稍后再试",
                "It was not saved; please try again",
            ),
        };
        (zh.to_owned(), en.to_owned())
    }
}

/// Returns the text for a repeated action. It names who was first, because the message may not show it yet.
fn already(act: TriageAction, by: &Holder) -> (String, String) {
    let (zh, en) = match by {
        Holder::ButtonUser => ("你", "you"),
        Holder::Named(name) => (name.as_str(), name.as_str()),
        Holder::Somebody => ("其他人", "somebody else"),
    };
    let (zh_did, en_did) = match act {
        TriageAction::Claim => ("处理", "Already claimed by"),
        TriageAction::Done => ("标记为已处理", "Already marked as processed by"),
        TriageAction::NotOurs => ("关闭", "Already closed by"),
        TriageAction::Undo => ("撤销", "Already undone by"),
        TriageAction::Mute => ("静默", "Already muted by"),
    };
    (format!("已由{zh}{zh_did}"), format!("{en_did} {en}"))
}

const fn done(act: TriageAction) -> (&'static str, &'static str) {
    match act {
        TriageAction::Claim => ("由你处理", "It is yours"),
        TriageAction::Done => ("已标记为已处理", "Marked as processed"),
        TriageAction::NotOurs => ("已关闭", "Closed"),
        TriageAction::Undo => ("已撤销", "Undone"),
        TriageAction::Mute => ("已静默 2 小时", "Muted for 2 h"),
    }
}

const fn done_here(act: TriageAction) -> (&'static str, &'static str) {
    match act {
        TriageAction::Claim => (
            "由你处理（仅在此处更改，飞书中未变）",
            "It is yours (here only; not changed in Feishu)",
        ),
        TriageAction::Done => (
            "已标记为已处理（仅在此处更改，飞书中未变）",
            "Marked as processed (here only; not changed in Feishu)",
        ),
        TriageAction::NotOurs => (
            "已关闭（仅在此处更改，飞书中未变）",
            "Closed (here only; not changed in Feishu)",
        ),
        TriageAction::Undo => (
            "已撤销（仅在此处更改，飞书中未变）",
            "Undone (here only; not changed in Feishu)",
        ),
        // A mute changes nothing in Feishu.
        TriageAction::Mute => done(act),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::words::{CLICKS, FORGED};

    #[test]
    fn action_results_match_the_metric_labels() {
        let act = TriageAction::Claim;
        let local_only = false;
        let ours = [
            ActionResult::Done { act, local_only },
            ActionResult::Already {
                act,
                by: Holder::Somebody,
            },
            ActionResult::TooLate,
            ActionResult::Ended,
            ActionResult::Unknown,
            ActionResult::NotSaved,
        ];
        assert_eq!(ours.each_ref().map(ActionResult::kind), CLICKS);
        assert_eq!(ActionResult::Forged.kind(), FORGED);
    }

    #[test]
    fn repeated_action_names_the_first_actor() {
        let says = |act, by| ActionResult::Already { act, by }.says();
        let (zh, en) = says(TriageAction::Claim, Holder::Named("li".into()));
        assert_eq!(
            (zh.as_str(), en.as_str()),
            ("已由li处理", "Already claimed by li")
        );
        let (zh, en) = says(TriageAction::Done, Holder::ButtonUser);
        assert_eq!(zh, "已由你标记为已处理");
        assert!(en.ends_with("by you"), "{en}");
    }
}
