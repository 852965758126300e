//! What a click is answered with, in both languages: who reads it is only known to the platform.

use super::Pressed;
use crate::model::Act;

impl Pressed {
    /// A fixed word for it, for the metrics.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Already(_) => "already",
            Self::TooLate => "too_late",
            Self::Unknown => "unknown",
            Self::Forged => "forged",
            Self::NotSaved => "not_saved",
        }
    }

    /// Feishu's types of a toast.
    pub(super) const fn tone(self) -> &'static str {
        match self {
            Self::Done {
                here_only: false, ..
            } => "success",
            Self::Done {
                here_only: true, ..
            } => "warning",
            Self::Already(_) => "info",
            Self::TooLate | Self::Unknown | Self::Forged | Self::NotSaved => "error",
        }
    }

    /// In Chinese and in English.
    pub(super) const fn says(self) -> (&'static str, &'static str) {
        match self {
            Self::Done {
                act,
                here_only: false,
            } => done(act),
            Self::Done {
                act,
                here_only: true,
            } => done_here(act),
            Self::Already(Act::Undo) => (
                "状态后来又变过，不能撤销",
                "It has changed since; there is nothing to undo",
            ),
            Self::Already(_) => ("已经是这个状态了", "It is so already"),
            Self::TooLate => ("超过了可以撤销的时间", "It is too late to undo this"),
            Self::Unknown => ("这条反馈已不再保存", "This feedback is not kept any more"),
            Self::Forged => (
                "这个按钮不是本中继的",
                "This button is not one of this relay's",
            ),
            Self::NotSaved => (
                "没有保存成功，请稍后再试",
                "It was not saved; please try again",
            ),
        }
    }
}

const fn done(act: Act) -> (&'static str, &'static str) {
    match act {
        Act::Claim => ("由你处理", "It is yours"),
        Act::Done => ("已标记为已处理", "Marked as processed"),
        Act::NotOurs => ("已关闭", "Closed"),
        Act::Undo => ("已撤销", "Undone"),
    }
}

const fn done_here(act: Act) -> (&'static str, &'static str) {
    match act {
        Act::Claim => (
            "由你处理（仅在此处更改，飞书中未变）",
            "It is yours (here only; not changed in Feishu)",
        ),
        Act::Done => (
            "已标记为已处理（仅在此处更改，飞书中未变）",
            "Marked as processed (here only; not changed in Feishu)",
        ),
        Act::NotOurs => (
            "已关闭（仅在此处更改，飞书中未变）",
            "Closed (here only; not changed in Feishu)",
        ),
        Act::Undo => (
            "已撤销（仅在此处更改，飞书中未变）",
            "Undone (here only; not changed in Feishu)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::words::{CLICKS, FORGED};

    #[test]
    fn what_comes_of_a_click_is_one_that_metrics_know_and_the_other_way_round() {
        let act = Act::Claim;
        let here_only = false;
        let ours = [
            Pressed::Done { act, here_only },
            Pressed::Already(act),
            Pressed::TooLate,
            Pressed::Unknown,
            Pressed::NotSaved,
        ];
        assert_eq!(ours.map(Pressed::kind), CLICKS);
        assert_eq!(Pressed::Forged.kind(), FORGED);
    }
}
