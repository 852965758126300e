//! Whole payloads: of every built-in template, and of reporters who mean harm.

use serde_json::Value;

mod library;
mod reporters;

use super::sample::{self, Sample};
use super::*;
use crate::model::{Content, Feedback, Form, Private};

fn sent(payload: &Payload) -> Value {
    let sent =
        payload.with_links(|id| format!("https://relay.example/images/{}?a=1&b=2", id.as_str()));
    assert!(!sent.contains(|c| ('\u{E000}'..='\u{E00F}').contains(&c)));
    serde_json::from_str(&sent).unwrap()
}

fn feedback(sample: &mut Sample) -> &mut Feedback {
    match &mut sample.event.content {
        Content::Created(feedback) => feedback,
        other => panic!("no feedback: {other:?}"),
    }
}

fn hostile(text: &str) -> Sample {
    let mut sample = sample::fault(&ShownBy::Link);
    let words = || Some(Private::new(text));
    let report = feedback(&mut sample);
    report.description = words();
    report.contact = words();
    report.path = words();
    report.tenant_name = words();
    sample
}

#[test]
fn every_built_in_template_renders_every_sample() {
    let templates = Templates::default();
    assert_eq!(check(&templates), []);
    let (_, diagnostics) = Templates::load(&Settings::default());
    assert_eq!(diagnostics, []);
}

#[test]
fn payloads() {
    let templates = Templates::default();
    for family in [Family::Feishu, Family::Slack, Family::Webhook, Family::Text] {
        for locale in [Locale::Zh, Locale::En] {
            let audience = sample::audience(family, locale);
            for (name, sample) in sample::all() {
                if name == "fault_by_key" && !matches!(family, Family::Feishu | Family::Slack) {
                    continue;
                }
                let payload = templates
                    .payload(&audience, Form::Full, &sample.subject())
                    .unwrap();
                let name = format!("{}_{locale:?}_{name}", family.key());
                insta::assert_json_snapshot!(name, sent(&payload));
            }
        }
    }
}

#[test]
fn plainer_forms() {
    let templates = Templates::default();
    for family in [Family::Feishu, Family::Slack] {
        let audience = sample::audience(family, Locale::Zh);
        let sample = sample::fault(&ShownBy::Link);
        for form in [Form::NoImages, Form::Post, Form::Text] {
            let payload = templates
                .payload(&audience, form, &sample.subject())
                .unwrap();
            assert_eq!(payload.form, form);
            insta::assert_json_snapshot!(format!("{}_{form}", family.key()), sent(&payload));
        }
        let plain = templates.plain(&audience, Form::Full, &sample.subject());
        insta::assert_json_snapshot!(format!("{}_plain", family.key()), sent(&plain));
    }
}

#[test]
fn an_audience_sees_what_its_fields_allow() {
    let templates = Templates::default();
    let sample = hostile("SECRETWORDS@here.example");
    for family in Family::ALL {
        for form in Form::ALL {
            for visibility in [Visibility::Mask, Visibility::Drop] {
                let fields = Fields {
                    contact: visibility,
                    description: visibility,
                    path: visibility,
                    tenant: visibility,
                    user: visibility,
                    images: visibility,
                };
                let audience = Audience {
                    fields,
                    ..sample::audience(*family, Locale::En)
                };
                let subject = sample.subject();
                for payload in [
                    templates.payload(&audience, *form, &subject).unwrap(),
                    templates.plain(&audience, *form, &subject),
                ] {
                    let text = payload.as_stored();
                    for secret in [
                        "SECRET",
                        "ou_3a52",
                        "2ca1d211",
                        sample.images[0].id.as_str(),
                    ] {
                        assert!(!text.contains(secret), "{family:?} {form:?}: {text}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_keyword_is_in_every_form() {
    let templates = Templates::default();
    let audience = Audience {
        keyword: Some("暗号".to_owned()),
        ..sample::audience(Family::Feishu, Locale::Zh)
    };
    for (_, sample) in sample::all() {
        for form in Form::ALL {
            let subject = sample.subject();
            let payload = templates.payload(&audience, *form, &subject).unwrap();
            assert_eq!(payload.as_stored().matches("暗号").count(), 1);
            assert!(
                templates
                    .plain(&audience, *form, &subject)
                    .as_stored()
                    .contains("暗号")
            );
        }
    }
}

/// Not a measurement, but a card that takes a thousand times as long as it should is a defect.
#[test]
fn a_card_is_rendered_soon() {
    let sample = sample::fault(&ShownBy::Count);
    let audience = sample::audience(Family::Feishu, Locale::Zh);
    let started = tokio::time::Instant::now();
    for _ in 0..200 {
        Templates::built_in()
            .payload(&audience, Form::Full, &sample.subject())
            .unwrap();
    }
    let each = started.elapsed() / 200;

    assert!(each < std::time::Duration::from_millis(50), "{each:?}");
}
