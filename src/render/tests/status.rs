//! Tests of messages about a change of status.

use super::*;
use crate::model::{FeedbackStatus, StatusChange};

fn change(sample: &mut Sample) -> &mut StatusChange {
    match &mut sample.event.content {
        Content::Updated(change) => change,
        other => panic!("no change: {other:?}"),
    }
}

fn said(templates: &Templates, audience: &Audience, form: Form, sample: &Sample) -> String {
    let payload = templates.payload(audience, form, &sample.subject());
    sent(&payload.unwrap()).to_string()
}

/// A rule may use a template of new feedback for both; the message must still show the change.
#[test]
fn every_template_tells_status_ids_and_who() {
    let mut sample = sample::status_changed();
    for name in ["status", "alert", "suggestion", "plain"] {
        sample.spec.template = name.to_owned();
        for family in [Family::Feishu, Family::Slack, Family::Text] {
            let audience = sample::audience(family, Locale::En);
            for form in Form::ALL {
                let text = said(Templates::built_in(), &audience, *form, &sample);
                for word in [
                    "Processed",
                    "7007009999999999999",
                    "9c1e2f3a4b5d6e7f",
                    "02:09",
                    "order",
                ] {
                    assert!(
                        text.contains(word),
                        "{name} {family:?} {form}: {word} in {text}"
                    );
                }
                assert!(!text.contains("no description"), "{name}: {text}");
            }
        }
    }
}

#[test]
fn who_changed_it_is_a_person_whom_fields_can_hide() {
    let sample = sample::status_changed();
    for family in Family::ALL {
        for (visibility, hint) in [(Visibility::Mask, true), (Visibility::Drop, false)] {
            let fields = Fields {
                user: visibility,
                ..Fields::default()
            };
            let audience = Audience {
                fields,
                ..sample::audience(*family, Locale::En)
            };
            for form in Form::ALL {
                let text = said(Templates::built_in(), &audience, *form, &sample);
                for secret in ["9c1e2f", "77aa1b", "55hhtrq"] {
                    assert!(!text.contains(secret), "{family:?} {form}: {text}");
                }
                let text = text.replace('\u{200b}', "");
                let shown = text.contains("***") || text.contains("&#42;&#42;&#42;");
                assert_eq!(shown, hint, "{family:?} {form}: {text}");
            }
        }
    }
}

#[test]
fn each_status_has_its_word_and_colour() {
    let audience = sample::audience(Family::Feishu, Locale::Zh);
    for (status, word, color) in [
        (FeedbackStatus::UNPROCESSED, "未处理", "orange"),
        (FeedbackStatus::PROCESSING, "处理中", "blue"),
        (FeedbackStatus::PROCESSED, "已处理", "green"),
        (FeedbackStatus::CLOSED, "已关闭", "grey"),
        (FeedbackStatus(9), "状态 9", "purple"),
    ] {
        let mut sample = sample::status_changed();
        change(&mut sample).status = Some(status);
        let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
        let card = &sent(&payload.unwrap())["card"];
        assert_eq!(card["header"]["template"], color);
        let title = card["header"]["title"]["content"].as_str().unwrap();
        assert_eq!(title, format!("反馈 ×2 → {word} · order"));
    }
}

#[test]
fn status_beyond_64_bits_is_shown_as_it_was() {
    let big = "18446744073709551615";
    let mut sample = sample::status_changed();
    change(&mut sample).status = None;
    change(&mut sample).odd_status = Some(big.to_owned());
    for family in Family::ALL {
        let audience = sample::audience(*family, Locale::En);
        let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
        let text = sent(&payload.unwrap()).to_string();
        assert!(text.contains(big), "{family:?}: {text}");
    }
}

/// Messages for people are about the first feedback, webhooks list all; a template's loops stay bounded.
#[test]
fn many_feedbacks_are_counted_for_people_listed_for_programs() {
    let mut sample = sample::status_changed();
    let ids = (0..100).map(|n| format!("70570000{n:03}"));
    change(&mut sample).feedback_ids = ids.collect();
    for family in [Family::Feishu, Family::Slack, Family::Text] {
        let audience = sample::audience(family, Locale::Zh);
        let text = said(Templates::built_in(), &audience, Form::Full, &sample);
        assert!(text.contains("70570000031") && !text.contains("70570000032"));
        assert!(text.contains("反馈 ×100 → 已处理"), "{text}");
        assert!(
            text.contains("… (100)") || text.contains("… &#40;100&#41;"),
            "{text}"
        );
    }
    let file = (
        "webhook/x.hbs",
        "{\"ids\": {{json feedback.ids}}, \"of\": {{json feedback.ids_total}}}",
    );
    let (templates, diagnostics, _dir) = library::load(&[file]);
    assert_eq!(diagnostics, []);
    let standard = sample::audience(Family::Webhook, Locale::Zh);
    let own = Audience {
        body: Some("x".to_owned()),
        ..standard.clone()
    };
    for (audience, list, told) in [(standard, "/data/feedback/ids", 100), (own, "/ids", 32)] {
        let payload = templates.payload(&audience, Form::Full, &sample.subject());
        let body = sent(&payload.unwrap());
        let list = body.pointer(list).unwrap().as_array().unwrap();
        assert_eq!(list.len(), told);
        assert!(body["of"].is_null() || body["of"] == 100);
    }
}

#[test]
fn what_is_no_status_has_no_colour() {
    for wrong in ["{{color feedback.id}}", "{{icon event.late}}"] {
        let (templates, diagnostics, _dir) = library::load(&[("text/x.hbs", wrong)]);
        assert_eq!(diagnostics, []);
        let found = check(&templates);
        assert_eq!(found.len(), 1, "{wrong}");
        assert!(
            found[0].message.contains("must be feedback.status"),
            "{found:?}"
        );
    }
}
