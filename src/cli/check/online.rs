//! Formats the findings of the online check, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::text::Table;
use crate::online_check::{CheckStatus, Finding};

/// Returns a row for each finding. Advice for findings that are not good follows below.
pub(super) fn table(findings: &[Finding]) -> String {
    let mut table = Table::new(["RESULT", "SUBJECT", "CHECK", "FOUND"]);
    for finding in findings {
        table.push([
            result(finding).to_owned(),
            subject(finding),
            finding.check.to_owned(),
            finding.says.clone(),
        ]);
    }
    let mut text = table.render();
    let mut advised = findings
        .iter()
        .filter(|one| one.advice.is_some())
        .peekable();
    if advised.peek().is_some() {
        text.push_str("\nWhat to do:\n");
    }
    for finding in advised {
        let advice = finding.advice.as_deref().unwrap_or_default();
        let (result, subject, check) = (result(finding), subject(finding), finding.check);
        writeln!(text, "- {subject}, {check} ({result}): {advice}")
            .expect("writing to a String does not fail");
    }
    text.push('\n');
    text.push_str(&summary(findings));
    text
}

/// Returns the findings as a list of objects.
pub(super) fn to_json(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        json!({
            "subject": finding.subject.kind(),
            "name": finding.subject.name(),
            "check": finding.check,
            "result": finding.standing.as_str(),
            "says": finding.says,
            "advice": finding.advice,
        })
    };
    findings.iter().map(one).collect()
}

fn result(finding: &Finding) -> &'static str {
    match finding.standing {
        CheckStatus::Good => "good",
        CheckStatus::Warning => "warning",
        CheckStatus::Failed => "FAILED",
        CheckStatus::NotChecked => "not checked",
    }
}

fn subject(finding: &Finding) -> String {
    let (kind, name) = (finding.subject.kind(), finding.subject.name());
    format!("{kind} {name}").trim_end().to_owned()
}

fn summary(findings: &[Finding]) -> String {
    let count = |standing| {
        findings
            .iter()
            .filter(|one| one.standing == standing)
            .count()
    };
    format!(
        "online: {} good, {} failed, {} warnings, {} not checked; nothing was posted\n",
        count(CheckStatus::Good),
        count(CheckStatus::Failed),
        count(CheckStatus::Warning),
        count(CheckStatus::NotChecked),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online_check::Subject;

    fn finding(standing: CheckStatus, subject: Subject, advice: Option<&str>) -> Finding {
        Finding {
            subject,
            check: "token",
            standing,
            says: "what was seen".into(),
            advice: advice.map(str::to_owned),
        }
    }

    #[test]
    fn a_failure_names_what_to_do_below_the_table() {
        let findings = [
            finding(CheckStatus::Good, Subject::Relay, None),
            finding(
                CheckStatus::Failed,
                Subject::App("shop".into()),
                Some("grant it"),
            ),
            finding(
                CheckStatus::NotChecked,
                Subject::Mention("sre".into()),
                None,
            ),
        ];
        assert_eq!(
            table(&findings),
            "RESULT       SUBJECT      CHECK  FOUND\n\
             good         relay        token  what was seen\n\
             FAILED       app shop     token  what was seen\n\
             not checked  mention sre  token  what was seen\n\
             \nWhat to do:\n\
             - app shop, token (FAILED): grant it\n\
             \nonline: 1 good, 1 failed, 0 warnings, 1 not checked; nothing was posted\n"
        );
        let json = to_json(&findings);
        assert_eq!(json[1]["result"], "failed");
        assert_eq!(
            (&json[1]["subject"], &json[1]["name"]),
            (&json!("app"), &json!("shop"))
        );
        assert_eq!(
            (&json[2]["result"], &json[2]["advice"]),
            (&json!("not_checked"), &Value::Null)
        );
    }
}
