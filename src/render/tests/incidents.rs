//! Tests of the messages of incidents.

use super::*;
use crate::model::{
    CountedReport, FeedbackKind, FeedbackStatus, INCIDENT_IMAGES_MAX, IncidentId, IncidentState,
    SeenBefore,
};

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
    let quoted = texts
        .iter()
        .find(|text| text.contains("白屏") && text.contains("order"))
        .unwrap();
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

/// Returns the claimed incident with this text in each place where reporters' words are shown.
fn claimed_with(text: &str) -> Sample {
    let said = incident_of(hostile(text), IncidentNews::Opened, text);
    Sample {
        event: said.event,
        ..sample::claimed_incident()
    }
}

#[test]
fn texts_are_cut_before_images_and_counts_and_buttons_stay() {
    let sample = claimed_with(&"长".repeat(5_000));
    for family in [Family::Feishu, Family::Slack] {
        let mut with_images = Vec::new();
        for bytes_max in (2_000..19_000).rev().step_by(250) {
            let audience = Audience {
                bytes_max: Some(bytes_max),
                ..sample::audience(family, Locale::Zh)
            };
            let rendered = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
            let Ok(payload) = rendered else { break };
            let shown = payload.as_stored().to_owned();
            for kept in ["37 份反馈", "31", "done.1.0"] {
                assert!(shown.contains(kept), "{family:?} {bytes_max}: {kept}");
            }
            with_images.push((shown.contains("img_v3_00"), shown.matches('长').count()));
        }
        let first_without = with_images.iter().position(|(has_images, _)| !has_images);
        let first_without = first_without.expect("the smallest messages have no images");
        let (larger, smaller) = with_images.split_at(first_without);
        assert!(larger.len() > 1, "{family:?}");
        assert!(smaller.iter().all(|(has_images, _)| !has_images));
        let longest = larger.iter().map(|(_, chars)| *chars).max();
        let shortest = larger.last().map(|(_, chars)| *chars);
        assert!(shortest < longest.map(|chars| chars / 10), "{larger:?}");
    }
}

#[test]
fn largest_message_of_an_incident_keeps_all_parts() {
    let sample = claimed_with(&"长".repeat(5_000));
    let message = message(Family::Slack, Locale::Zh, &sample);
    let blocks = message["blocks"].as_array().unwrap();
    assert!(blocks.len() < 30, "{}", blocks.len());
    let images = blocks.iter().filter(|block| block["type"] == "image");
    assert_eq!(images.count(), INCIDENT_IMAGES_MAX);
}

#[test]
fn words_are_masked_or_left_out_like_descriptions() {
    let sample = sample::incident(IncidentNews::Opened);
    let shown = |visibility| {
        let audience = Audience {
            fields: Fields {
                description: visibility,
                ..Fields::default()
            },
            ..sample::audience(Family::Webhook, Locale::En)
        };
        let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
        let incident = sent(&payload.unwrap())["data"]["incident"].clone();
        (incident["kinds"].clone(), incident["words"].clone())
    };
    let (kinds, words) = shown(Visibility::Full);
    assert_eq!(
        (kinds, &words[1]["description"]),
        (4.into(), &"支付时闪退".into())
    );
    let (kinds, words) = shown(Visibility::Mask);
    let masked = "(5 characters, hidden)";
    assert_eq!(
        (kinds, &words[1]["description"]),
        (4.into(), &masked.into())
    );
    assert_eq!(
        shown(Visibility::Drop),
        (Value::Null, Value::Array(Vec::new()))
    );
}

#[test]
fn words_are_left_out_if_all_differ() {
    let mut sample = sample::incident(IncidentNews::Opened);
    let Content::Incident(reports) = &mut sample.event.content else {
        panic!("no incident")
    };
    for alike in &mut reports.words.largest {
        alike.count = 1;
    }
    let texts = texts(&message(Family::Slack, Locale::En, &sample)).join(" / ");
    assert!(!texts.contains("Kinds of words"), "{texts}");
}

#[test]
fn earlier_incident_is_shown_with_person_and_age() {
    let mut sample = sample::incident(IncidentNews::Opened);
    for (family, wanted) in [
        (
            Family::Feishu,
            "Seen before: inc&#95;7 · 12 days ago · Done · <person id='ou_7d8a6e6df7621556'",
        ),
        (
            Family::Slack,
            "Seen before: inc_7 · 12 days ago · Done · Han Meimei <on call>",
        ),
    ] {
        let texts = texts(&message(family, Locale::En, &sample));
        let shown = texts.iter().any(|text| text.contains(wanted));
        assert!(shown, "{family:?}: {texts:?}");
    }
    let seen = |sample: &mut Sample, change: fn(&mut SeenBefore)| {
        let Content::Incident(reports) = &mut sample.event.content else {
            panic!("no incident")
        };
        change(reports.seen_before.as_mut().unwrap());
        texts(&message(Family::Slack, Locale::Zh, sample)).join(" / ")
    };
    let similar = seen(&mut sample, |seen| {
        seen.is_similar = true;
        seen.incident.progress.state = IncidentState::Quiet;
        seen.by_name = None;
    });
    assert!(
        similar.contains("曾有相似的反馈: inc_7 · 12 天前 · 已有 30 分钟没有新反馈 /"),
        "{similar}"
    );
    let continued = seen(&mut sample, |seen| {
        seen.is_similar = false;
        seen.incident.progress.state = IncidentState::Continued;
    });
    assert!(continued.contains("接续 inc_7"), "{continued}");
    assert!(!continued.contains("曾"), "{continued}");
}

#[test]
fn single_report_has_the_id_and_count_of_its_incident() {
    let sample = Sample {
        counted: Some(CountedReport {
            incident: IncidentId(12),
            number: 4,
        }),
        ..sample::fault(&ShownBy::Count)
    };
    let body = message(Family::Webhook, Locale::En, &sample);
    let incident = &body["data"]["incident"];
    assert_eq!(
        (&incident["id"], &incident["count"]),
        (&"inc_12".into(), &4.into())
    );
    assert_eq!(incident["state"]["key"], Value::Null);
    let alone = Sample {
        counted: None,
        ..sample::fault(&ShownBy::Count)
    };
    for family in [Family::Feishu, Family::Slack] {
        let shown = message(family, Locale::En, &sample);
        assert_eq!(shown, message(family, Locale::En, &alone));
    }
}

#[test]
fn flapping_incident_says_so() {
    let mut sample = sample::incident(IncidentNews::Opened);
    incident(&mut sample).progress.reopened = 3;
    for family in [Family::Feishu, Family::Slack, Family::Text] {
        let shown = texts(&message(family, Locale::En, &sample)).join(" / ");
        let wanted = "quiet and back 3 times in 24 h, so it ends after 1 h without a report";
        assert!(shown.contains(wanted), "{family:?}: {shown}");
    }
}
