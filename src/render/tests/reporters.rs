//! Tests that a reporter's text stays text.

use proptest::prelude::*;

use super::*;

/// Calls `see` with each string, its key, and the `tag` or `type` of its object.
pub(super) fn strings(value: &Value, key: &str, tag: &str, see: &mut impl FnMut(&str, &str, &str)) {
    match value {
        Value::String(text) => see(tag, key, text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, key, tag, see)),
        Value::Object(members) => {
            let tag = members
                .get("tag")
                .or(members.get("type"))
                .and_then(Value::as_str);
            for (key, member) in members {
                strings(member, key, tag.unwrap_or("root"), see);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn assert_inert(family: Family, form: Form, payload: &Payload) {
    let message = sent(payload);
    let markup = |text: &str, ours: &[&str]| {
        let text = ours
            .iter()
            .fold(text.to_owned(), |text, ours| text.replace(ours, ""));
        for live in ["<", "](", "]("] {
            assert!(!text.contains(live), "{family:?} {form:?}: {text:?}");
        }
    };
    strings(
        &message,
        "",
        "root",
        &mut |tag, key, text| match (family, tag, key) {
            (Family::Feishu, "markdown", "content") if !text.starts_with("[图片 ") => markup(
                text,
                &[
                    "<at id=ou_1234></at> <at email=li@example.com></at>",
                    "<font color='grey'>",
                    "<font color='green'>",
                    "</font>",
                    "<person id='ou_7d8a6e6df7621556' show_name=true show_avatar=true></person>",
                ],
            ),
            (Family::Feishu, "root" | "text", "text") => {
                markup(text, &["<at user_id=\"ou_1234\"></at>"]);
            }
            (Family::Slack, "mrkdwn" | "root", "text") => {
                let text = text.replace("<@U0123> <!subteam^S0456>", "");
                assert!(!text.contains(['<', '>']), "{form:?}: {text:?}");
            }
            _ => {}
        },
    );
}

pub(super) fn assert_within_limits(family: Family, payload: &Payload) {
    let bytes = payload.with_links(|_| "x".repeat(350)).len();
    let most = if family == Family::Feishu {
        20 * 1024 - 256
    } else {
        40_000
    };
    assert!(bytes <= most, "{family:?}: {bytes}");
    if family == Family::Slack {
        let message = sent(payload);
        let chars = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
        assert!(chars(&message["text"]) <= 4000);
        for block in message["blocks"].as_array().into_iter().flatten() {
            let most = if block["type"] == "header" { 150 } else { 3000 };
            assert!(chars(&block["text"]["text"]) <= most);
            for field in block["fields"].as_array().into_iter().flatten() {
                assert!(chars(&field["text"]) <= 2000);
            }
        }
    }
}

/// Returns a change of status with the same text in place of ids.
pub(super) fn hostile_change(text: &str) -> Sample {
    let mut sample = sample::status_changed();
    let Content::Updated(change) = &mut sample.event.content else {
        panic!("no change: {sample:?}");
    };
    let words = || Some(Private::new(text));
    change.feedback_ids = vec![text.to_owned(); 3];
    change.app_id = Some(text.to_owned());
    change.operator.open_id = words();
    change.operator.union_id = words();
    change.operator.user_id = words();
    sample.mentions = sample::fault(&ShownBy::Link).mentions;
    sample
}

fn assert_holds(text: &str) {
    let templates = Templates::built_in();
    let sample = hostile(text);
    assert_holds_for_people(&sample);
    let audience = sample::audience(Family::Webhook, Locale::Zh);
    let payload = templates
        .payload(&audience, Form::Full, &sample.subject())
        .unwrap();
    let typed: String = text
        .chars()
        .filter(|c| *c != '\0' && !('\u{E000}'..='\u{E00F}').contains(c))
        .collect();
    let body = sent(&payload);
    assert_eq!(
        body["data"]["feedback"]["description"]
            .as_str()
            .unwrap_or_default(),
        typed
    );
}

fn assert_holds_for_people(sample: &Sample) {
    let templates = Templates::built_in();
    for family in [Family::Feishu, Family::Slack] {
        let audience = sample::audience(family, Locale::Zh);
        for form in Form::ALL {
            let payload = templates
                .payload(&audience, *form, &sample.subject())
                .unwrap();
            assert_inert(family, *form, &payload);
            assert_within_limits(family, &payload);
        }
    }
}

const NASTY: &[&str] = &[
    "<at id=all></at><at user_id=\"all\">x</at> <!channel> <@U1> [a](https://evil.example) <a href='x'>",
    "{{feedback.contact}} {{{x}}} {{#each mentions}}${x}",
    "\"}],\"blocks\":[{\"type\":\"image\"\\u0022\n\r\n\t\0\u{1}\u{7f}",
    "\u{E000}\u{E001}\u{E002}ab\u{E003}\u{E004}\u{202E}\u{2066}\u{2028}\u{200B}",
    "# x\n===\n1. y\n    code\n```\n| a | b |\n![i](img_v3_x)",
    "]\u{200B}(https://x)",
    "]\u{202E}(https://x)",
    "👩‍👩‍👧‍👦🏴‍☠️é",
];

#[test]
fn nasty_texts_stay_text() {
    for text in NASTY {
        assert_holds(text);
        assert_holds(&text.repeat(30_000 / text.len()));
    }
    assert_holds(&NASTY.concat());
}

#[test]
fn ids_of_a_change_of_status_stay_text() {
    for text in NASTY {
        for template in ["status", "plain", "alert"] {
            let mut sample = hostile_change(text);
            sample.spec.template = template.to_owned();
            assert_holds_for_people(&sample);
        }
    }
    assert_holds_for_people(&hostile_change(&NASTY.concat().repeat(20)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_text_stays_text(parts in prop::collection::vec(prop_oneof![
        any::<String>(),
        prop::sample::select(NASTY).prop_map(str::to_owned),
        "[\\[\\]()<>&:!@*_`~{}\"'\\\\\u{200b}\u{200d} a中]{0,40}",
    ], 0..6), times in prop_oneof![Just(1usize), Just(700)]) {
        let text = parts.concat().repeat(times);
        let end = (0..=text.len().min(30_000)).rev().find(|&at| text.is_char_boundary(at)).unwrap();
        assert_holds(text.get(..end).unwrap());
    }
}

#[test]
fn words_read_as_they_were_typed_where_nothing_is_parsed() {
    let typed = "点 <b>“支付”</b> & [x](y)\n{{a}} 👩‍👩‍👧‍👦 C:\\dir *x*";
    let sample = hostile(typed);
    for family in [Family::Feishu, Family::Slack] {
        let audience = sample::audience(family, Locale::Zh);
        let payload = Templates::built_in()
            .payload(&audience, Form::Full, &sample.subject())
            .unwrap();
        let mut seen = false;
        strings(&sent(&payload), "", "root", &mut |tag, _, text| {
            seen |= tag == "plain_text" && text == typed;
        });
        assert!(seen, "{family:?}");
    }
}

#[test]
fn what_is_cut_says_so_and_keeps_characters_whole() {
    let family = "👩‍👩‍👧‍👦";
    let mut sample = hostile("");
    feedback(&mut sample).description = Some(Private::new(family.repeat(3000)));
    let audience = sample::audience(Family::Slack, Locale::Zh);
    let payload = Templates::built_in()
        .payload(&audience, Form::Full, &sample.subject())
        .unwrap();
    let message = sent(&payload);
    let text = message["blocks"][2]["text"]["text"].as_str().unwrap();
    let kept = text.strip_suffix("…（已截断，全文 21000 字）").unwrap();
    assert_eq!(kept.replace(family, ""), "");
    assert!(kept.chars().count() > 2900);
}

#[test]
fn a_value_of_many_lines_is_not_split_into_a_posts_title() {
    let (templates, diagnostics, _dir) =
        library::load(&[("text/x.hbs", "{{feedback.description}}{{feedback.contact}}")]);
    assert_eq!(diagnostics, []);
    let mut sample = hostile("(a)\n<at user_id=\"all\"></at> [x]");
    sample.spec.template = "x".to_owned();
    let audience = sample::audience(Family::Feishu, Locale::Zh);
    for form in [Form::Post, Form::Text] {
        let payload = templates
            .payload(&audience, form, &sample.subject())
            .unwrap();
        assert_inert(Family::Feishu, form, &payload);
        let sent = sent(&payload).to_string();
        assert!(!sent.contains("<at user_id=\\\"all"), "{sent}");
    }
}

#[test]
fn a_keyword_that_a_reporter_wrote_does_not_count() {
    let audience = Audience {
        keyword: Some("暗号".to_owned()),
        ..sample::audience(Family::Feishu, Locale::Zh)
    };
    let text = format!("{}暗号", "x".repeat(30_000));
    for form in Form::ALL {
        let payload = Templates::built_in()
            .payload(&audience, *form, &hostile(&text).subject())
            .unwrap();
        assert!(payload.as_stored().contains("暗号"), "{form}");
        assert_within_limits(Family::Feishu, &payload);
    }
}

#[test]
fn hostile_payloads() {
    let sample = hostile(&NASTY.concat());
    for family in [Family::Feishu, Family::Slack, Family::Webhook] {
        let audience = sample::audience(family, Locale::Zh);
        let payload = Templates::built_in()
            .payload(&audience, Form::Full, &sample.subject())
            .unwrap();
        insta::assert_json_snapshot!(format!("{}_hostile", family.key()), sent(&payload));
    }
}
