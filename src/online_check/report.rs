//! What is found, and the chart of one subject that it is written on.

use std::sync::Arc;

use crate::model::{AppName, Clock, DestinationName, Timestamp};
use crate::net::{Answer, NetError};

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The relay itself and its machine.
    Relay,
    /// An app of `[apps]`.
    App(AppName),
    /// A destination.
    Destination(DestinationName),
    /// A name of `[mentions]`.
    Mention(String),
}

impl Subject {
    /// What kind of thing it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::App(_) => "app",
            Self::Destination(_) => "destination",
            Self::Mention(_) => "mention",
        }
    }

    /// Its name in the configuration; the relay has none.
    pub fn name(&self) -> &str {
        match self {
            Self::Relay => "",
            Self::App(name) => name.as_str(),
            Self::Destination(name) => name.as_str(),
            Self::Mention(name) => name,
        }
    }
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStatus {
    /// It was seen to work.
    Good,
    /// It works, or may, and something is to be looked at.
    Warning,
    /// It does not work.
    Failed,
    /// It could not be told.
    NotChecked,
}

impl CheckStatus {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::NotChecked => "not_checked",
        }
    }
}

/// One thing that was found. Its words show no secret, no URL and nobody's words but those of the
/// configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub subject: Subject,
    /// What was looked at.
    pub check: &'static str,
    /// How that stands.
    pub standing: CheckStatus,
    /// What was seen.
    pub says: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// The findings about one subject, as they are made.
pub(super) struct Report {
    subject: Subject,
    clock: Arc<dyn Clock>,
    /// What was found so far.
    pub(super) findings: Vec<Finding>,
    /// How far this machine's clock was ahead of the platforms', in seconds.
    pub(super) ahead_secs: Vec<i64>,
}

impl Report {
    pub(super) fn new(subject: Subject, clock: Arc<dyn Clock>) -> Self {
        Self {
            subject,
            clock,
            findings: Vec::new(),
            ahead_secs: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Compares this machine's clock with a platform's.
    pub(super) fn compare_clocks(&mut self, answer: &Answer) {
        self.ahead_secs.extend(answer.clock_ahead_secs(self.now()));
    }

    pub(super) fn good(&mut self, check: &'static str, says: impl Into<String>) {
        self.add(check, CheckStatus::Good, says.into(), None);
    }

    pub(super) fn warning(
        &mut self,
        check: &'static str,
        says: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(
            check,
            CheckStatus::Warning,
            says.into(),
            Some(advice.into()),
        );
    }

    pub(super) fn failed(
        &mut self,
        check: &'static str,
        says: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(check, CheckStatus::Failed, says.into(), Some(advice.into()));
    }

    /// `says` why.
    pub(super) fn not_checked(&mut self, check: &'static str, says: impl Into<String>) {
        self.add(check, CheckStatus::NotChecked, says.into(), None);
    }

    /// The same, where something can be done so that it can be told.
    pub(super) fn not_checkable(
        &mut self,
        check: &'static str,
        says: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let advice = Some(advice.into());
        self.add(check, CheckStatus::NotChecked, says.into(), advice);
    }

    /// Nobody answered.
    pub(super) fn unreachable(&mut self, check: &'static str, error: &NetError) {
        let advice = match error {
            NetError::Unsent(_) => {
                "check this machine's DNS and firewall, and the proxy if there is one"
            }
            NetError::Certificate(_) => {
                "if a proxy on the way opens TLS, add its authority to this machine's certificates; \
                 else the receiver's certificate is to be renewed"
            }
            NetError::Lost(_) => "try again; a firewall or proxy may hold the answer back",
            NetError::Refused(_) => "check the address, and the proxy's if there is one",
        };
        self.failed(check, format!("cannot be reached: {error}"), advice);
    }

    fn add(
        &mut self,
        check: &'static str,
        standing: CheckStatus,
        says: String,
        advice: Option<String>,
    ) {
        self.findings.push(Finding {
            subject: self.subject.clone(),
            check,
            standing,
            says,
            advice,
        });
    }
}
