//! Tests of the messages of incidents.

use super::*;
use crate::model::{FeedbackKind, FeedbackStatus, IncidentState};

/// Renders a message and returns it as its platform gets it.
fn message(family: Family, locale: Locale, sample: &Sample) -> Value {
    let audience = sample::audience(family, locale);
    let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
    sent(&payload.unwrap())
}

/// Returns the visible texts of a message in order.
fn texts(message: &Value) -> Vec<String> {
    let mut texts = Vec::new();
    reporters::strings(message, "", "root", &mut |_, key, text| {
        if matches!(key, "content" | "text") {
            texts.push(text.replace('\n', " / "));
        }
    });
    texts
}

/// Returns an incident in the state in which it sends this news.
fn sample_of(news: IncidentNews) -> Sample {
    let mut sample = sample::incident(news);
    if matches!(news, IncidentNews::Done | IncidentNews::Reopened) {
        let mut standing = sample::claimed_incident().standing;
        standing.actions.clear();
        standing.state.as_mut().unwrap().status = FeedbackStatus::PROCESSED;
        incident(&mut sample).handled = standing.state.clone();
        sample.standing = standing;
    }
    match news {
        IncidentNews::Unmuted => incident(&mut sample).progress.silenced = 4,
        IncidentNews::MuteEnding => sample.event = sample::muted_incident().event,
        _ => {}
    }
    let state = match news {
        IncidentNews::Opened
        | IncidentNews::Digest
        | IncidentNews::Threshold
        | IncidentNews::Overdue
        | IncidentNews::Reopened
        | IncidentNews::Repeat
        | IncidentNews::Unmuted
        | IncidentNews::MuteEnding => return sample,
        IncidentNews::Quiet => IncidentState::Quiet,
        IncidentNews::Continued => IncidentState::Continued,
        IncidentNews::Done => IncidentState::Done,
        IncidentNews::Closed => IncidentState::Closed,
    };
    incident(&mut sample).progress.state = state;
    sample
}

#[test]
fn each_news_has_its_message() {
    for family in [Family::Feishu, Family::Slack, Family::Text] {
        let mut lines = String::new();
        for locale in [Locale::Zh, Locale::En] {
            for news in IncidentNews::ALL {
                let texts = texts(&message(family, locale, &sample_of(*news)));
                lines.push_str(&format!("{locale:?} {news}\n"));
                for text in texts {
                    lines.push_str(&format!("    {text}\n"));
                }
            }
        }
        insta::assert_snapshot!(format!("{}_news", family.key()), lines);
    }
}

#[test]
fn collective_incident_shows_how_many_values_it_counts() {
    for family in [Family::Feishu, Family::Slack, Family::Text] {
        let mut sample = sample::incident(IncidentNews::Opened);
        let collective = incident(&mut sample);
        collective.key.0.clear();
        collective.keys = 180;
        let texts = texts(&message(family, Locale::En, &sample)).join(" / ");
        assert!(texts.contains("Further groups"), "{texts}");
        assert!(texts.contains("180"), "{texts}");
    }
}

#[test]
fn color_follows_type_and_state() {
    let kinds = [
        (Some(FeedbackKind::FAULT), "red"),
        (Some(FeedbackKind::SUGGESTION), "blue"),
        (Some(FeedbackKind(9)), "orange"),
        (None, "orange"),
    ];
    for news in [IncidentNews::Opened, IncidentNews::Repeat] {
        for (kind, color) in kinds {
            let mut sample = sample::incident(news);
            incident(&mut sample).kind = kind;
            let card = message(Family::Feishu, Locale::Zh, &sample);
            assert_eq!(card["card"]["header"]["template"], color, "{kind:?}");
        }
    }
    for state in [
        IncidentState::Quiet,
        IncidentState::Continued,
        IncidentState::Closed,
    ] {
        let card = message(Family::Feishu, Locale::Zh, &sample::ended_incident(state));
        assert_eq!(card["card"]["header"]["template"], "grey", "{state}");
    }
}

#[test]
fn done_incident_is_green_and_a_reopened_one_is_red_again() {
    for (news, color, label) in [
        (IncidentNews::Done, "green", "Done"),
        (IncidentNews::Reopened, "red", "Reopened"),
    ] {
        let mut sample = sample_of(news);
        sample.spec.news = Some(IncidentNews::Opened);
        let card = message(Family::Feishu, Locale::En, &sample);
        assert_eq!(card["card"]["header"]["template"], color);
        assert!(card.to_string().contains(label), "{card}");
    }
}

#[test]
fn claimed_incident_shows_person_and_progress() {
    let mut sample = sample::claimed_incident();
    for family in [Family::Feishu, Family::Slack] {
        let shown = message(family, Locale::En, &sample).to_string();
        for text in ["Processing", "12 of 37", "done.1.0"] {
            assert!(shown.contains(text), "{family:?}: {text} is not in {shown}");
        }
    }
    let text = message(Family::Text, Locale::En, &sample).to_string();
    assert!(text.contains("Processing · Han Meimei"), "{text}");
    incident(&mut sample).written = [37, 37];
    let shown = message(Family::Slack, Locale::En, &sample).to_string();
    assert!(!shown.contains("37 of 37"), "{shown}");
}

#[test]
fn quiet_incident_is_never_called_fixed() {
    let mut sample = sample_of(IncidentNews::Quiet);
    for news in [IncidentNews::Quiet, IncidentNews::Opened] {
        sample.spec.news = Some(news);
        let english = message(Family::Text, Locale::En, &sample).to_string();
        assert!(english.contains("No report for 30 min"), "{english}");
        let chinese = message(Family::Text, Locale::Zh, &sample).to_string();
        for word in ["修复", "解决", "恢复"] {
            assert!(!chinese.contains(word), "{chinese}");
        }
    }
}

#[test]
fn one_report_is_singular() {
    let mut sample = sample::incident(IncidentNews::Overdue);
    incident(&mut sample).progress.count = 1;
    let text = message(Family::Text, Locale::En, &sample).to_string();
    assert!(text.contains("1 report · Crash"), "{text}");
}

#[test]
fn trend_compares_two_minutes() {
    for (trend, text) in [
        ([12, 4], "12/min ↑"),
        ([3, 3], "3/min →"),
        ([1, 9], "1/min ↓"),
    ] {
        assert_eq!(words::trend(Locale::En, trend), text);
    }
    assert_eq!(words::trend(Locale::Zh, [12, 4]), "12 份/分钟 ↑");
}

#[test]
fn shared_values_are_masked_or_left_out() {
    let mut sample = sample::incident(IncidentNews::Opened);
    let value = |text: &str| Some(Private::new(text));
    incident(&mut sample).key.0 = vec![
        (GroupKey::Path, value("pages/pay/*")),
        (GroupKey::Tenant, value("示例科技")),
        (GroupKey::TenantKey, None),
        (GroupKey::Source, value("mini_program")),
        (GroupKey::Via, value("shop")),
    ];
    let shown = |visibility| {
        let audience = Audience {
            fields: Fields {
                path: visibility,
                tenant: visibility,
                ..Fields::default()
            },
            ..sample::audience(Family::Webhook, Locale::En)
        };
        let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
        let message = sent(&payload.unwrap());
        let groups = message["data"]["incident"]["grouped_by"]
            .as_array()
            .unwrap();
        let groups = groups
            .iter()
            .map(|one| (one["key"].clone(), one["value"].clone()));
        serde_json::to_string(&groups.collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(
        shown(Visibility::Full),
        r#"[["path","pages/pay/*"],["tenant","示例科技"],["tenant_key",null],["source","Mini program"],["via","shop"]]"#
    );
    assert_eq!(
        shown(Visibility::Mask),
        r#"[["path","pages/***"],["tenant","示***"],["tenant_key",null],["source","Mini program"],["via","shop"]]"#
    );
    assert_eq!(
        shown(Visibility::Drop),
        r#"[["source","Mini program"],["via","shop"]]"#
    );
}

#[test]
fn fault_is_read_as_name_or_number() {
    for (key, title) in [
        (Some("crash"), "37 reports · Crash · order"),
        (Some("5"), "37 reports · Crash · order"),
        (Some("77"), "37 reports · Type 77 · order"),
        (
            Some("99999999999999999999"),
            "37 reports · Type 99999999999999999999 · order",
        ),
        (None, "37 reports · Fault · order"),
    ] {
        let mut sample = sample::incident(IncidentNews::Opened);
        incident(&mut sample).key.0[1] = (GroupKey::Fault, key.map(Private::new));
        let card = message(Family::Feishu, Locale::En, &sample);
        assert_eq!(card["card"]["header"]["title"]["content"], title);
    }
}

#[test]
fn incident_of_no_single_app_names_rule_and_each_app() {
    let mut sample = sample::incident(IncidentNews::Opened);
    incident(&mut sample).key.0.clear();
    let texts = texts(&message(Family::Slack, Locale::En, &sample));
    assert!(texts.contains(&"🔴 37 reports · Fault · blank screen".to_owned()));
    let quoted = texts.iter().find(|text| text.contains("白屏")).unwrap();
    assert!(
        quoted.contains(" · order · White screen, Crash · 点击"),
        "{quoted}"
    );
}

#[test]
fn longest_texts_are_cut_and_numbers_stay() {
    // One visible character of a thousand bytes each.
    let stacked = format!("e{}", "\u{301}".repeat(500)).repeat(60);
    for text in ["长".repeat(10_000), "👩‍👩‍👧‍👦".repeat(1_200), stacked] {
        for news in IncidentNews::ALL {
            let sample = incident_of(hostile(&text), *news, &text);
            for family in [Family::Feishu, Family::Slack] {
                let audience = sample::audience(family, Locale::Zh);
                for form in Form::ALL {
                    let payload = Templates::built_in()
                        .payload(&audience, *form, &sample.subject())
                        .unwrap();
                    reporters::assert_within_limits(family, &payload);
                    let text = payload.as_stored();
                    let shown = text.replace('\u{200b}', "").replace("&#95;", "_");
                    for number in ["37 份反馈", "31", "25 分钟", "inc_12"] {
                        assert!(shown.contains(number), "{family:?} {form} {news}: {number}");
                    }
                }
            }
        }
    }
}

#[test]
fn incident_rendered_by_plain_template_keeps_numbers() {
    let sample = sample::incident(IncidentNews::Repeat);
    for family in [Family::Feishu, Family::Slack] {
        let audience = sample::audience(family, Locale::En);
        let payload = Templates::default().plain(&audience, Form::Full, &sample.subject());
        let text = sent(&payload).to_string();
        assert!(text.contains("37 reports · Crash · order"), "{text}");
        assert!(text.contains("12/min ↑ · People: 31"), "{text}");
    }
}
