use super::at;
use crate::model::*;
use crate::store::decide::silence::{ActiveSilence, Silencer};

fn silence(id: i64, rule: Option<&str>, is_conditional: bool, key: Option<u8>) -> ActiveSilence {
    ActiveSilence {
        id: SilenceId(id),
        rule: rule.map(RuleName::new),
        is_conditional,
        key: key.map(|key| vec![key]),
        ends_at: at(100 * id),
    }
}

#[test]
fn report_is_muted_if_everything_that_is_set_holds() {
    let silencer = Silencer {
        active: vec![
            silence(1, Some("pay"), false, None),
            silence(2, Some("faults"), false, Some(7)),
            silence(3, None, true, None),
            silence(4, Some("pay"), true, None),
        ],
        matched: Vec::new(),
    };
    let matching = |ids: &[i64]| Silencer {
        matched: ids.iter().copied().map(SilenceId).collect(),
        ..silencer.clone()
    };
    for (matched, rule, key, expected) in [
        (&[][..], "pay", 7, Some(1)),
        (&[], "faults", 7, Some(2)),
        (&[], "faults", 8, None),
        (&[], "other", 7, None),
        (&[3], "other", 8, Some(3)),
        (&[3, 4], "pay", 8, Some(4)),
        (&[4], "faults", 8, None),
    ] {
        let mute = matching(matched).of_rule(&RuleName::new(rule), &[&[key]]);
        let expected = expected.map(|id| Mute {
            silence: SilenceId(id),
            until: at(100 * id),
        });
        assert_eq!(mute, expected, "{matched:?} {rule} {key}");
    }
}

#[test]
fn message_is_muted_only_if_all_rules_are() {
    let silencer = Silencer {
        active: vec![
            silence(1, Some("pay"), false, None),
            silence(2, Some("faults"), false, None),
        ],
        matched: Vec::new(),
    };
    for (rules, expected) in [
        (&["pay"][..], Some(1)),
        (&["pay", "faults"], Some(1)),
        (&["pay", "other"], None),
        (&[], None),
    ] {
        let rules: Vec<RuleName> = rules.iter().copied().map(RuleName::new).collect();
        let found = Silencer::of_message(&rules, |rule| silencer.of_rule(rule, &[]));
        assert_eq!(found, expected.map(SilenceId), "{rules:?}");
    }
}
