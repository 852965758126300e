//! Holds the findings of the online check.

use std::sync::Arc;

use crate::model::{AppName, Clock, DestinationName, Timestamp};
use crate::net::{Answer, NetError, Redactor};

/// The advice on an answer that the platform did not give.
pub(super) const FOREIGN_ADVICE: &str = "check `base_url` and any proxy in between";

/// Describes an answer that the platform did not give. `redactor` hides the secrets of the request and of its
/// proxy, which a page may repeat.
pub(super) fn foreign(answer: &Answer, redactor: &Redactor) -> String {
    answer.describe_foreign(redactor, "")
}

/// The subject of a finding.
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
    /// Returns the type of subject.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::App(_) => "app",
            Self::Destination(_) => "destination",
            Self::Mention(_) => "mention",
        }
    }

    /// Returns its name in the configuration; empty for the relay.
    pub fn name(&self) -> &str {
        match self {
            Self::Relay => "",
            Self::App(name) => name.as_str(),
            Self::Destination(name) => name.as_str(),
            Self::Mention(name) => name,
        }
    }
}

/// The status of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStatus {
    /// Works.
    Good,
    /// Works or may work, but somebody should look at it.
    Warning,
    /// Does not work.
    Failed,
    /// Could not be checked.
    NotChecked,
}

impl CheckStatus {
    /// Returns the word for the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::NotChecked => "not_checked",
        }
    }
}

/// One finding. Its texts contain no secret, no URL, and no names except those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The subject.
    pub subject: Subject,
    /// The name of the check.
    pub check: &'static str,
    /// The status.
    pub standing: CheckStatus,
    /// The observation.
    pub says: String,
    /// The advice. `None`: nothing to do.
    pub advice: Option<String>,
}

/// Collects the findings about one subject.
pub(super) struct Report {
    subject: Subject,
    clock: Arc<dyn Clock>,
    /// The findings so far.
    pub(super) findings: Vec<Finding>,
    /// How far this machine's clock was ahead of the platforms' clocks, in seconds.
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

    /// Adds a finding that something was not checked; `says` why.
    pub(super) fn not_checked(&mut self, check: &'static str, says: impl Into<String>) {
        self.add(check, CheckStatus::NotChecked, says.into(), None);
    }

    /// Adds a finding that something was not checked, with advice on how to make it checkable.
    pub(super) fn not_checkable(
        &mut self,
        check: &'static str,
        says: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let advice = Some(advice.into());
        self.add(check, CheckStatus::NotChecked, says.into(), advice);
    }

    /// Adds a finding that the request got no answer.
    pub(super) fn unreachable(&mut self, check: &'static str, error: &NetError) {
        let advice = match error {
            NetError::Unsent(_) => {
                "check this machine's DNS and firewall, and the proxy if there is one"
            }
            NetError::Certificate(_) => {
                "if a proxy intercepts TLS, add its authority to this machine's certificates; \
                 otherwise renew the receiver's certificate"
            }
            NetError::Lost(_) => "try again; a firewall or proxy may block the answer",
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
