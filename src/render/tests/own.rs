//! Tests of hostile text in positions that built-in templates do not use, and of invisible text.

use super::*;

/// Positions that built-in templates do not use. `D` is the text that the reporter typed.
const OWN_FEISHU: &str = r#"{"schema": "2.0", "body": {"elements": [
    {"tag": "table", "columns": [{"name": "a", "data_type": "markdown"}, {"name": "value", "data_type": "lark_md"},
        {"name": "who", "data_type": "persons"}],
     "rows": [{"a": "D", "value": "D", "text": "D", "content": "D", "who": ["D"], "id": "D", "o": [{"text": "D"}],
        "options": [{"value": "D"}], "behaviors": [{"value": {"x": "D"}}]}]},
    {"tag": "tomorrow", "content": "D", "text": "D", "caption": {"content": "D"}, "config": {"summary": {"content": "D"}}},
    {"tag": "chart", "chart_spec": {"title": {"text": "D"}, "data": {"values": [{"x": "D"}]}}},
    {"tag": "person_list", "persons": [{"id": "D"}]}, {"tag": "person", "user_id": "D"},
    {"tag": "lark_md", "content": "D", "i18n_content": {"en_us": "D"}},
    {"tag": "div", "text": {"tag": "lark_md", "content": "D"}, "fields": [{"text": {"content": "D"}}]},
    {"tag": "button", "text": {"tag": "lark_md", "content": "D"}, "multi_url": {"url": "D", "pc_url": "D"}},
    {"tag": "select_static", "placeholder": {"content": "D"}, "options": [{"text": {"content": "D"}}]}
]}}"#;

const OWN_SLACK: &str = r#"{"text": "D", "link_names": true, "parse": "full", "username": "D", "attachments": [
    {"pretext": "D", "title": "D", "title_link": "D", "text": "D", "footer": "D", "author_name": "D", "author_link": "D",
     "fallback": "D", "fields": [{"title": "D", "value": "D", "text": "D"}], "actions": [{"text": "D", "value": "D"}],
     "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "D"}, "fields": [{"text": "D"}]}]}],
    "blocks": [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [
        {"type": "user", "user_id": "D"}, {"type": "usergroup", "usergroup_id": "D"}, {"type": "broadcast", "range": "D"}]}]},
    {"type": "video", "title_url": "D", "description": "D", "author_name": "D"},
    {"type": "tomorrow", "text": "D", "content": "D", "value": "D", "options": [{"value": "D"}]},
    {"type": "image", "title": "D", "image_url": "D"}]}"#;

#[test]
fn hostile_texts_in_own_templates_are_dead_in_every_position() {
    let (templates, diagnostics, _dir) = library::load(&[
        (
            "feishu/own.hbs",
            &OWN_FEISHU.replace("\"D\"", "\"{{feedback.description}}\""),
        ),
        (
            "slack/own.hbs",
            &OWN_SLACK.replace("\"D\"", "\"{{feedback.description}}\""),
        ),
    ]);
    assert_eq!(diagnostics, []);
    for typed in hostile::SEEDS {
        let mut sample = hostile(typed);
        sample.spec.template = "own".to_owned();
        for family in [Family::Feishu, Family::Slack] {
            let audience = sample::audience(family, Locale::En);
            let payload = templates.payload(&audience, Form::Full, &sample.subject());
            let message = sent(&payload.expect("it renders"));
            assert!(message.get("link_names").is_none() && message.get("parse").is_none());
            reporters::strings(&message, "", "root", &mut |tag, key, text| {
                let context = || format!("{tag} {key}: {text:?} of {typed:?}");
                let live: &[&str] = match family {
                    Family::Feishu => &["<", "](", "![", "**", "~~", "`"],
                    _ => &["<", ">"],
                };
                if key.ends_with("url") || key.ends_with("_link") {
                    assert!(!text.contains([':', '/', '&', '<']), "{}", context());
                    return;
                }
                for live in live {
                    assert!(!text.contains(live), "{}", context());
                }
                let people = ["who", "id", "user_id", "usergroup_id", "range"];
                if people.contains(&key) && tag != "root" {
                    assert_eq!(text, "", "{}", context());
                }
            });
        }
    }
}

#[test]
fn slack_shows_a_path_as_it_was_typed_and_to_be_copied() {
    let path = "pages/pay_it_now/*a*/~b~/`c`/index?x=_y_&z=:ok:";
    let mut sample = hostile("x");
    feedback(&mut sample).path = Some(Private::new(path));
    let audience = sample::audience(Family::Slack, Locale::En);
    let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
    let mut verbatim = 0;
    reporters::strings(&sent(&payload.unwrap()), "", "root", &mut |tag, _, text| {
        if text.contains(path) {
            assert_eq!(tag, "plain_text");
            verbatim += 1;
        }
    });
    assert_eq!(verbatim, 1);
    // In marked-up text, no mark is visible to Slack, and nothing is lost.
    let plain = Templates::built_in().payload(&audience, Form::Text, &sample.subject());
    let text = sent(&plain.unwrap())["text"].as_str().unwrap().to_owned();
    assert!(
        text.contains("\u{200b}_\u{200b}") && !text.contains("y_i"),
        "{text}"
    );
    let read = text.replace('\u{200b}', "").replace("&amp;", "&");
    assert!(read.contains(path), "{read}");
}

#[test]
fn fault_code_beyond_64_bits_is_shown_as_it_was() {
    let mut sample = hostile("x");
    feedback(&mut sample).odd.faults = vec!["18446744073709551615".to_owned()];
    feedback(&mut sample).faults.clear();
    for family in Family::ALL {
        let audience = sample::audience(*family, Locale::En);
        let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
        let text = sent(&payload.unwrap()).to_string();
        assert!(text.contains("18446744073709551615"), "{family:?}: {text}");
    }
}

#[test]
fn time_shows_its_zone_and_unparsed_time_is_unchanged() {
    let mut sample = hostile("x");
    let report = feedback(&mut sample);
    (report.fault_at, report.fault_raw) = (None, Some(Private::new("<b>yesterday</b>")));
    for (locale, zone, wanted) in [
        (Locale::En, "Asia/Shanghai", "2026-03-01 02:09 UTC+8"),
        (Locale::Zh, "Asia/Shanghai", "2026-03-01 02:09\""),
        (Locale::Zh, "UTC", "2026-02-28 18:09 UTC"),
        (Locale::En, "Asia/Kolkata", "2026-02-28 23:39 UTC+5:30"),
        (Locale::En, "America/New_York", "2026-02-28 13:09 UTC-5"),
    ] {
        for family in [Family::Feishu, Family::Slack] {
            let audience = Audience {
                timezone: TimeZone::get(zone).unwrap(),
                ..sample::audience(family, locale)
            };
            let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
            let text = sent(&payload.unwrap()).to_string();
            assert!(text.contains(wanted), "{family:?} {zone}: {text}");
            let written = match family {
                Family::Feishu => "&#60;b&#62;yesterday",
                _ => "<b>yesterday</b>",
            };
            assert!(text.contains(written), "{family:?}: {text}");
        }
    }
}

#[test]
fn feedback_of_another_type_looks_like_others() {
    let mut sample = sample::fault(&ShownBy::Link);
    feedback(&mut sample).kind = Some(crate::model::FeedbackKind(3));
    feedback(&mut sample).faults.clear();
    sample.spec.template = "plain".to_owned();
    for (family, picture) in [(Family::Feishu, "/images/"), (Family::Slack, "/images/")] {
        let audience = sample::audience(family, Locale::En);
        let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
        let text = sent(&payload.unwrap()).to_string();
        for shown in [
            "pages",
            "Mini program",
            "示例科技",
            "02:04",
            "02:09",
            picture,
        ] {
            assert!(text.contains(shown), "{family:?} {shown}: {text}");
        }
    }
}

#[test]
fn reporter_is_shown_as_person_only_to_own_app_and_by_fields() {
    let mut sample = sample::fault(&ShownBy::Link);
    let shown = |sample: &Sample, audience: &Audience| {
        let payload = Templates::built_in().payload(audience, Form::Full, &sample.subject());
        sent(&payload.unwrap())
            .to_string()
            .contains("<person id='ou_3a52771c51327acb'")
    };
    let audience = sample::audience(Family::Feishu, Locale::En);
    assert!(!shown(&sample, &audience), "another app's bot speaks");
    sample.standing.reporter = Some("ou_3a52771c51327acb".to_owned());
    assert!(shown(&sample, &audience));
    assert!(!shown(
        &sample,
        &sample::audience(Family::Slack, Locale::En)
    ));
    for user in [Visibility::Mask, Visibility::Drop] {
        let fields = Fields {
            user,
            ..Fields::default()
        };
        assert!(!shown(
            &sample,
            &Audience {
                fields,
                ..audience.clone()
            }
        ));
    }
}

#[test]
fn notice_speaks_the_language_of_its_reader() {
    let sample = sample::notice();
    let said = |locale| {
        let audience = sample::audience(Family::Slack, locale);
        let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
        sent(&payload.unwrap()).to_string()
    };
    let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    assert!(!chinese(&said(Locale::En)));
    assert!(said(Locale::Zh).contains("已停用：在有人处理之前"));
}

#[test]
fn text_that_shows_nothing_counts_as_nothing() {
    for nothing in [
        "\u{3164}\u{3164}",
        "\u{115f}\u{1160}\u{ffa0}",
        "\u{2800}\u{2800}",
        "\u{3000}\u{2003}\u{200b}\u{feff}",
        "\u{fe0f}\u{e0061}\u{e007f}",
        "\n \t",
    ] {
        let mut sample = hostile(nothing);
        let before = format!("{nothing}{}", nothing.repeat(300));
        for description in [nothing, &*before] {
            feedback(&mut sample).description = Some(Private::new(description));
            for family in [Family::Feishu, Family::Slack] {
                let audience = sample::audience(family, Locale::En);
                let payload =
                    Templates::built_in().payload(&audience, Form::Full, &sample.subject());
                let message = sent(&payload.unwrap());
                assert!(
                    message.to_string().contains("(no description)"),
                    "{message}"
                );
                reporters::strings(&message, "", "root", &mut |_, key, text| {
                    assert!(!text.ends_with(": "), "{key}: {text:?}");
                });
            }
        }
        let words = format!("{}words", nothing.repeat(100));
        feedback(&mut sample).description = Some(Private::new(words));
        let audience = sample::audience(Family::Feishu, Locale::En);
        let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
        let summary = sent(&payload.unwrap())["card"]["config"]["summary"].to_string();
        assert!(summary.contains(": words"), "{summary}");
    }
}
