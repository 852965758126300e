//! Tests of whole payloads: every built-in template, and malicious reporters.

use serde_json::Value;

mod hostile;
mod incidents;
mod library;
mod own;
mod reference;
mod reporters;
mod status;

use super::sample::{self, Sample};
use super::*;
use crate::model::{
    Content, Feedback, Form, GroupKey, Incident, IncidentNews, Private, Summarised,
};

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

/// Returns a late summary that quotes this sample.
fn summary_of(mut sample: Sample) -> Sample {
    let quoted = Summarised {
        app_name: "order".to_owned(),
        feedback: feedback(&mut sample).clone(),
    };
    let mut summary = sample::summary();
    match &mut summary.event.content {
        Content::Summary(summary) => summary.newest = vec![quoted],
        other => panic!("no summary: {other:?}"),
    }
    summary.event.tenant_key = None;
    summary
}

fn incident(sample: &mut Sample) -> &mut Incident {
    match &mut sample.event.content {
        Content::Incident(reports) => reports.incident.as_mut().unwrap(),
        other => panic!("no incident: {other:?}"),
    }
}

/// Returns a message of an incident whose newest reports are this sample. They share `text` as tenant and page.
fn incident_of(mut quoted: Sample, news: IncidentNews, text: &str) -> Sample {
    let quoted = Summarised {
        app_name: "order".to_owned(),
        feedback: feedback(&mut quoted).clone(),
    };
    let mut sample = sample::incident(news);
    for key in [GroupKey::Path, GroupKey::Tenant, GroupKey::TenantKey] {
        let keys = &mut incident(&mut sample).key.0;
        keys.retain(|(one, _)| *one != key);
        keys.push((key, Some(Private::new(text))));
    }
    match &mut sample.event.content {
        Content::Incident(reports) => {
            reports.newest = vec![quoted; 3];
            for alike in &mut reports.words.largest {
                alike.sample = Private::new(text);
            }
            let seen = reports.seen_before.as_mut().unwrap();
            seen.by_name = Some(Private::new(text));
        }
        other => panic!("no incident: {other:?}"),
    }
    sample
}

/// Collects the strings of `value` that contain `marker`, each with its kind of text.
fn places(value: &Value, kind: &str, marker: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains(marker) => found.push(kind.to_owned()),
        Value::Array(items) => items
            .iter()
            .for_each(|one| places(one, kind, marker, found)),
        Value::Object(members) => {
            let kind = members.get("tag").or_else(|| members.get("type"));
            let kind = kind.and_then(Value::as_str).unwrap_or("none");
            members
                .values()
                .for_each(|one| places(one, kind, marker, found));
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn late_summary_quotes_reporters_without_markup_or_mentions() {
    let templates = Templates::default();
    let evil = "<at id=all></at><!channel>[x](https://evil.example)";
    let sample = summary_of(hostile(evil));
    for family in [Family::Feishu, Family::Slack] {
        let audience = sample::audience(family, Locale::En);
        let payload = templates.payload(&audience, Form::Full, &sample.subject());
        let mut found = Vec::new();
        places(&sent(&payload.unwrap()), "none", "evil.example", &mut found);
        assert_eq!(found, ["plain_text"], "{family:?}");
        for form in [Form::Post, Form::Text] {
            let payload = templates.payload(&audience, form, &sample.subject());
            let text = payload.unwrap();
            let text = text.as_stored();
            assert!(text.contains("evil"), "{text}");
            assert!(
                !text.contains("<at id=all>") && !text.contains("<!channel>"),
                "{text}"
            );
        }
    }
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
    for sample in [
        hostile("SECRETWORDS@here.example"),
        summary_of(hostile("SECRETWORDS@here.example")),
        incident_of(
            hostile("SECRETWORDS@here.example"),
            IncidentNews::Opened,
            "SECRETWORDS@here.example",
        ),
        incident_of(
            hostile("SECRETWORDS@here.example"),
            IncidentNews::Repeat,
            "SECRETWORDS@here.example",
        ),
    ] {
        sees_what_its_fields_allow(&templates, &sample);
    }
}

fn sees_what_its_fields_allow(templates: &Templates, sample: &Sample) {
    let image = sample::fault(&ShownBy::Link).images[0].id.clone();
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
                    for secret in ["SECRET", "ou_3a52", "2ca1d211", image.as_str()] {
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

/// Not a benchmark: it fails only if a card takes a thousand times as long as it should.
#[test]
fn notice_rendered_by_plain_template_keeps_title() {
    let notice = sample::notice();
    let subject = notice.subject();
    for family in [Family::Feishu, Family::Slack] {
        let audience = sample::audience(family, Locale::En);
        let payload = Templates::default().plain(&audience, Form::Full, &subject);
        let text = sent(&payload).to_string();
        assert!(text.contains("Destination stopped"), "{text}");
        assert!(!text.contains("unknown app"), "{text}");
    }
}

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

#[test]
fn of_two_audiences_each_field_shows_the_less() {
    use Visibility::{Drop, Full, Mask};
    let one = Fields {
        contact: Mask,
        user: Drop,
        ..Fields::default()
    };
    let other = Fields {
        contact: Full,
        user: Mask,
        path: Drop,
        ..Fields::default()
    };
    let both = Fields {
        contact: Mask,
        user: Drop,
        path: Drop,
        ..Fields::default()
    };
    assert_eq!(one.narrowed_by(other), both);
    assert_eq!(other.narrowed_by(one), both);
    assert_eq!(other.wider_than(one), ["contact", "user"]);
    assert_eq!(one.wider_than(other), ["path"]);
    let hidden = Fields {
        contact: Full,
        ..one
    }
    .narrowed_by(Fields {
        contact: Drop,
        ..other
    });
    assert_eq!(hidden.contact, Drop);
}
