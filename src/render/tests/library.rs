//! Tests of the operator's own templates: mistakes are refused, and valid templates still work.

use super::*;

pub(super) fn load(
    files: &[(&str, &str)],
) -> (Templates, Vec<crate::diag::Diagnostic>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let dir_path = Some(dir.path().to_owned());
    let (templates, diagnostics) = Templates::load(&Settings { dir: dir_path });
    (templates, diagnostics, dir)
}

fn codes(files: &[(&str, &str)]) -> Vec<&'static str> {
    let (templates, mut diagnostics, _dir) = load(files);
    diagnostics.extend(check(&templates));
    for one in &diagnostics {
        assert!(CODES.iter().any(|(code, _)| *code == one.code));
    }
    diagnostics.iter().map(|one| one.code).collect()
}

#[test]
fn mistakes_are_found_in_every_branch() {
    for (template, wanted) in [
        ("{{feedback.typo}}", "E204"),
        ("{{#if feedback.typo}}{{/if}}", "E204"),
        ("{{#if feedback.id}}{{else}}{{typo}}{{/if}}", "E204"),
        ("{{#each feedback.images}}{{typo}}{{/each}}", "E204"),
        ("{{#each feedback.images}}{{feedback.id}}{{/each}}", "E204"),
        ("{{#with feedback}}{{event}}{{/with}}", "E204"),
        ("{{#each typo}}{{/each}}", "E204"),
        ("{{truncate typo 3}}", "E204"),
        ("{{truncate (default typo \"\") 3}}", "E204"),
        ("{{@index}}", "E204"),
        ("{{nonsense feedback.id}}", "E205"),
        ("{{#nonsense feedback.id}}{{/nonsense}}", "E205"),
        ("{{lookup feedback \"id\"}}", "E205"),
        ("{{t \"nonsense\"}}", "E205"),
        ("{{> nonsense}}", "E206"),
        ("{{> (lookup feedback \"id\")}}", "E206"),
        ("{{> title x=1}}", "E206"),
        ("{{#*inline \"x\"}}{{/inline}}", "E207"),
        ("{{#> title}}{{/title}}", "E207"),
        ("{{#if feedback.id}}", "E203"),
        ("{{{{raw}}}}x{{{{/raw}}}}", "E202"),
        ("{{rule.labels.team}}", "E208"),
    ] {
        assert_eq!(codes(&[("text/x.hbs", template)]), [wanted], "{template}");
    }
    for good in [
        "{{#each feedback.images}}{{../feedback.id}}{{@root.event.id}}{{@index}}{{number}}{{/each}}",
        "{{#each feedback.faults as |fault|}}{{fault.label}}{{/each}}",
        "{{default rule.labels.team \"nobody\"}}{{#with feedback.user}}{{open_id}}{{/with}}",
    ] {
        assert_eq!(codes(&[("text/x.hbs", good)]), [] as [&str; 0], "{good}");
    }
    assert_eq!(
        codes(&[("feishu/x.hbs", "{\"a\": {{feedback.id}} }")]),
        ["E208"]
    );
    assert_eq!(codes(&[("webhook/x.hbs", "[{{feedback.id}}]")]), ["E208"]);
    assert_eq!(
        codes(&[("feishu/x.hbs", "{\"{{feedback.id}}\": 1}")]),
        ["E208"]
    );
}

#[test]
fn every_branch_of_an_else_if_is_rendered() {
    let chain = "{{#if rule.labels}}a{{else if feedback.path}}b {{> mine}}{{else if feedback.id}}c{{else}}d{{/if}}";
    let files = [
        ("text/x.hbs", chain),
        ("partials/mine.hbs", "{{feedback.path}}"),
    ];
    let (templates, diagnostics, _dir) = load(&files);
    assert_eq!(diagnostics, []);
    let said = |change: &dyn Fn(&mut Feedback)| {
        let mut sample = sample::fault(&ShownBy::Link);
        sample.spec.template = "x".to_owned();
        change(feedback(&mut sample));
        let audience = sample::audience(Family::Text, Locale::En);
        let payload = templates.payload(&audience, Form::Full, &sample.subject());
        sent(&payload.unwrap())["text"].clone()
    };
    assert_eq!(said(&|_| ()), "b pages/pay/index?id=42");
    assert_eq!(said(&|feedback| feedback.path = None), "c");
    assert_eq!(said(&|feedback| *feedback = Feedback::default()), "d");
}

#[test]
fn a_partial_alone_in_its_line_ends_it() {
    let files = [
        (
            "text/x.hbs",
            "a\n{{> mine}}\n\n{{#if feedback.id}}\n  {{> mine}}  \r\nb\n{{/if}}\n{{> mine ~}}\nc\n{{> mine}}",
        ),
        ("partials/mine.hbs", "{{event.type}}\n"),
    ];
    let (templates, diagnostics, _dir) = load(&files);
    assert_eq!(diagnostics, []);
    let mut sample = sample::fault(&ShownBy::Link);
    sample.spec.template = "x".to_owned();
    let audience = sample::audience(Family::Text, Locale::En);
    let payload = templates
        .payload(&audience, Form::Full, &sample.subject())
        .unwrap();
    let text = sent(&payload)["text"]
        .as_str()
        .unwrap()
        .replace("feedback.created", "p");
    assert_eq!(text, "a\np\n\n  p  \r\nb\npc\np");
}

#[test]
fn a_mistake_is_told_at_its_place() {
    let (templates, diagnostics, dir) =
        load(&[("slack/alert.hbs", "{\n  \"text\": \"{{feedback.tenant}}\"}")]);
    let one = &diagnostics[0];
    assert_eq!(
        one.place.file.as_deref(),
        Some(&*dir.path().join("slack/alert.hbs"))
    );
    assert_eq!(one.place.span, Some(13..32));
    assert_eq!(one.place.path, "slack/alert:2:12");
    assert_eq!(one.help, None);
    assert!(
        templates.has(Family::Slack, "alert"),
        "the built-in one stays"
    );
    let (_, diagnostics, _dir) = load(&[("slack/alert.hbs", "{{feedback.contct}}")]);
    assert_eq!(
        diagnostics[0].help.as_deref(),
        Some("did you mean \"contact\"?")
    );
}

#[test]
fn a_block_that_is_not_closed_is_told_where_it_is_opened() {
    let text = "{\n  \"text\": \"{{#if feedback.id}}x\"\n}\n\n";
    let (_, diagnostics, _dir) = load(&[("slack/alert.hbs", text)]);
    let one = &diagnostics[0];
    assert_eq!(
        (one.code, &*one.place.path, &*one.message),
        (
            "E203",
            "slack/alert:2:12",
            "the block {{#if}} is not closed"
        )
    );
    let crossed = "{{#each feedback.images}}\n{{#if link}}x\n{{/each}}";
    let (_, diagnostics, _dir) = load(&[("text/x.hbs", crossed)]);
    assert_eq!(diagnostics[0].place.path, "text/x:2:1");
}

#[test]
fn a_byte_order_mark_at_the_start_of_a_template_is_skipped() {
    let files = [
        ("slack/x.hbs", "\u{feff}{\"text\": \"{{> mine}}\"}"),
        ("partials/mine.hbs", "\u{feff}{{event.id}}"),
    ];
    assert_eq!(codes(&files), [] as [&str; 0]);
    let (templates, _, _dir) = load(&files);
    let mut sample = sample::fault(&ShownBy::Link);
    sample.spec.template = "x".to_owned();
    let audience = sample::audience(Family::Slack, Locale::Zh);
    let payload = templates
        .payload(&audience, Form::Full, &sample.subject())
        .unwrap();
    assert!(!payload.as_stored().contains('\u{feff}'));
}

#[test]
fn cards_that_feishu_refuses_are_found() {
    for (card, code) in [
        ("{}", "E209"),
        (
            r#"{"msg_type": "interactive", "card": {"elements": [{"tag": "hr"}]}}"#,
            "E209",
        ),
        (
            r#"{"schema": "2.0", "body": {"elements": [{"tag": "markdwn", "content": "{{feedback.id}}"}]}}"#,
            "E209",
        ),
        (
            r#"{"schema": "2.0", "body": {"elements": [{"tag": "hologram"}]}}"#,
            "W203",
        ),
    ] {
        assert_eq!(codes(&[("feishu/x.hbs", card)]), [code], "{card}");
    }
    let file = (
        "feishu/x.hbs",
        "{\"schema\": \"2.0\", \"body\": {\"elements\": [\n  {\"tag\": \"markdwn\"}]}}",
    );
    let (templates, _, _dir) = load(&[file]);
    let found = check(&templates);
    assert_eq!(found[0].place.path, "feishu/x:2:11");
    assert_eq!(found[0].help.as_deref(), Some("did you mean \"markdown\"?"));
}

#[test]
fn slack_message_that_slack_rejects_is_found() {
    let many = format!(
        r#"{{"blocks": [{}null]}}"#,
        r#"{"type": "divider"},"#.repeat(51)
    );
    for (message, found) in [
        ("{}", &["E210"][..]),
        (r#"{"txt": "{{feedback.id}}"}"#, &["E210"]),
        (
            r#"{"blocks": [{"type": "sectoin", "text": {"type": "mrkdwn", "text": "{{feedback.id}}"}}]}"#,
            &["E210"],
        ),
        (
            r#"{"text": "x", "blocks": [{"type": "section", "txt": "x"}]}"#,
            &["E210"],
        ),
        (r#"{"blocks": [{"type": "hologram"}]}"#, &["W204"]),
        (&many, &["W205"]),
        // Empty without contact details only.
        (r#"{"text": "{{feedback.contact}}"}"#, &[]),
        (
            r#"{"text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "{{feedback.contact}}"}}]}"#,
            &[],
        ),
    ] {
        assert_eq!(codes(&[("slack/x.hbs", message)]), found, "{message}");
    }
    let file = ("slack/x.hbs", "{\"blocks\": [\n  {\"type\": \"hedaer\"}]}");
    let (templates, _, _dir) = load(&[file]);
    let found = check(&templates);
    assert_eq!(found[0].place.path, "slack/x:2:12");
    assert_eq!(found[0].help.as_deref(), Some("did you mean \"header\"?"));
}

#[test]
fn templates_that_are_never_read_are_warned_of() {
    let files = [
        ("feihsu/alert.hbs", "x"),
        ("alert.hbs", "x"),
        ("README.md", "x"),
        (".git/config", "x"),
        ("text/x.hbs", "x"),
    ];
    let (_, diagnostics, _dir) = load(&files);
    let said: Vec<_> = diagnostics
        .iter()
        .map(|one| (one.code, one.help.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        said,
        [
            (
                "W202",
                "move it into one of: feishu, slack, webhook, text, partials"
            ),
            ("W202", "did you mean \"feishu\"?"),
        ]
    );
}

#[test]
fn a_template_that_is_wrong_is_there_all_the_same() {
    let (templates, diagnostics, _dir) = load(&[("feishu/mine.hbs", "{{#if x}}")]);
    assert_eq!(diagnostics.len(), 1);
    assert!(templates.own_names().contains(&"mine".to_owned()));
}

#[test]
fn three_braces_are_a_warning_and_escape() {
    let file = ("slack/x.hbs", "{\"text\": \"{{{feedback.description}}}\"}");
    assert_eq!(codes(&[file]), ["W200"]);
    let (templates, _, _dir) = load(&[file]);
    let mut sample = hostile("\"<!channel>");
    sample.spec.template = "x".to_owned();
    let audience = sample::audience(Family::Slack, Locale::Zh);
    let payload = templates
        .payload(&audience, Form::Full, &sample.subject())
        .unwrap();
    assert_eq!(sent(&payload)["text"], "\"&lt;!channel&gt;");
}

#[test]
fn values_in_urls_are_parts_of_them_and_never_people() {
    let file = (
        "feishu/x.hbs",
        r#"{"body": {"elements": [
        {"tag": "button", "behaviors": [{"type": "open_url", "default_url": "https://x/?q={{feedback.description}}"}]},
        {"tag": "person", "user_id": "{{feedback.description}}"}]}}"#,
    );
    let (templates, diagnostics, _dir) = load(&[file]);
    assert_eq!(diagnostics, []);
    let mut sample = hostile("a&b=/ü");
    sample.spec.template = "x".to_owned();
    let audience = sample::audience(Family::Feishu, Locale::Zh);
    let payload = templates
        .payload(&audience, Form::Full, &sample.subject())
        .unwrap();
    let elements = &sent(&payload)["card"]["body"]["elements"];
    assert_eq!(
        elements[0]["behaviors"][0]["default_url"],
        "https://x/?q=a%26b%3D%2F%C3%BC"
    );
    assert_eq!(elements[1]["user_id"], "");
}

#[test]
fn a_body_of_the_operators_own() {
    let file = (
        "webhook/warehouse.hbs",
        r#"{"words": "{{feedback.description}}", "type": {{json feedback.type.code}}, "faults": {{json feedback.faults}}}"#,
    );
    let (templates, diagnostics, _dir) = load(&[file]);
    assert_eq!(diagnostics, []);
    assert_eq!(check(&templates), []);
    let audience = Audience {
        body: Some("warehouse.hbs".to_owned()),
        ..sample::audience(Family::Webhook, Locale::En)
    };
    let payload = templates
        .payload(&audience, Form::Full, &hostile("<\"&>").subject())
        .unwrap();
    let body = sent(&payload);
    assert_eq!(body["words"], "<\"&>");
    assert_eq!(body["type"], 1);
    assert_eq!(body["faults"][1]["key"], "crash");
}

#[test]
fn templates_that_would_crash_are_errors() {
    let deep = |n: usize| format!("{}{}", "{{#if feedback.id}}".repeat(n), "{{/if}}".repeat(n));
    let each = "{{#each feedback.images}}".repeat(5) + "x" + &"{{/each}}".repeat(5);
    let each = each.replace(
        "{{#each feedback.images}}{{#each feedback.images}}",
        "{{#each feedback.images}}{{#each @root.feedback.images}}",
    );
    let each = each.replace(
        "}}{{#each feedback.images}}",
        "}}{{#each @root.feedback.images}}",
    );
    let calls = format!(
        "{{{{truncate {}feedback.id{} 3}}}}",
        "(default ".repeat(2000),
        " \"\")".repeat(2000)
    );
    let fan = |to: &str| format!("{{{{> {to}}}}}").repeat(200);
    let run = move || {
        assert_eq!(
            codes(&[
                ("text/x.hbs", "{{> a}}"),
                ("partials/a.hbs", "{{> b}}"),
                ("partials/b.hbs", "{{> a}}")
            ]),
            ["E206"]
        );
        assert_eq!(
            codes(&[("text/x.hbs", "{{> a}}"), ("partials/a.hbs", "{{> a}}")]),
            ["E206"]
        );
        assert_eq!(codes(&[("text/x.hbs", &deep(2000))]), ["E202"]);
        assert_eq!(codes(&[("text/x.hbs", &deep(50))]), [] as [&str; 0]);
        assert_eq!(codes(&[("text/x.hbs", &calls)]), ["E202"]);
        assert_eq!(codes(&[("text/x.hbs", &each)]), ["E202"]);
        assert_eq!(
            codes(&[
                ("text/x.hbs", &fan("a")),
                ("partials/a.hbs", &fan("b")),
                ("partials/b.hbs", &fan("c")),
                ("partials/c.hbs", &fan("title"))
            ]),
            ["E202"]
        );
    };
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn too_much_output_is_an_error() {
    let loops =
        "{{#each feedback.images}}{{#each @root.feedback.images}}{{#each @root.feedback.images}}";
    let text = format!("{loops}{}{}", "x".repeat(60_000), "{{/each}}".repeat(3));
    let (templates, diagnostics, _dir) = load(&[("slack/x.hbs", &text)]);
    assert_eq!(diagnostics, []);
    let mut sample = sample::fault(&ShownBy::Link);
    sample.spec.template = "x".to_owned();
    sample.images = (0..20).map(|_| sample.images[0].clone()).collect();
    let audience = sample::audience(Family::Slack, Locale::Zh);
    let error = templates
        .payload(&audience, Form::Full, &sample.subject())
        .unwrap_err();
    assert!(error.reason.contains("output is larger than"), "{error}");
}

#[test]
fn missing_template_is_an_error_and_plain_is_used() {
    let mut sample = sample::minimal();
    sample.spec.template = "nonsense".to_owned();
    for family in [Family::Feishu, Family::Slack] {
        let audience = sample::audience(family, Locale::Zh);
        let error = Templates::default()
            .payload(&audience, Form::Full, &sample.subject())
            .unwrap_err();
        assert_eq!(error.template, format!("{}/nonsense", family.key()));
        let tiny = Audience {
            bytes_max: Some(40),
            ..audience
        };
        let plain = Templates::default().plain(&tiny, Form::Full, &sample.subject());
        assert!(plain.as_stored().contains(sample.event.id.as_str()));
    }
}

#[test]
fn what_goes_as_a_string_counts_its_escapes() {
    let mut sample = sample::minimal();
    sample.event.content = Content::Created(Box::new(Feedback {
        description: Some(Private::new("\"\\".repeat(5_000))),
        ..Feedback::default()
    }));
    for form in [Form::Full, Form::NoImages, Form::Post, Form::Text] {
        let render = |sent| {
            let audience = Audience {
                bytes_max: Some(12_000),
                sent,
                ..sample::audience(Family::Feishu, Locale::Zh)
            };
            let payload = Templates::default().payload(&audience, form, &sample.subject());
            payload.unwrap().as_stored().to_owned()
        };
        let plain = render(SentAs::Json);
        assert!(plain.len() <= 12_000 && plain.len() > 11_500, "{form}");
        let nested = render(SentAs::JsonInString);
        let encoded = serde_json::to_string(&nested).unwrap().len();
        assert!(encoded <= 12_002 && encoded > 11_500, "{form}: {encoded}");
    }
}

#[test]
fn the_samples_of_the_documentation_work() {
    let text = include_str!("../../../docs/templates.md");
    let samples: Vec<&str> = text
        .split("```handlebars\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let [card, body] = samples[..] else {
        panic!("{} samples", samples.len())
    };
    let files = [("feishu/alert.hbs", card), ("webhook/warehouse.hbs", body)];
    assert_eq!(codes(&files), [] as [&str; 0]);
    for helper in helpers::NAMES.iter().chain(helpers::BLOCKS) {
        let (quoted, braces) = (format!("`{helper}`"), format!("`{{{{{helper}"));
        assert!(text.contains(&quoted) || text.contains(&braces), "{helper}");
    }
}

#[test]
fn counts_of_the_platforms_are_kept() {
    let blocks = r#"{"type": "divider"},"#.repeat(60);
    let elements = r#"{"tag": "hr"},"#.repeat(300);
    let slack = format!(r#"{{"text": "x", "blocks": [{blocks} null]}}"#);
    let feishu = format!(r#"{{"body": {{"elements": [{elements} null]}}}}"#);
    let (templates, _, _dir) = load(&[("slack/x.hbs", &slack), ("feishu/x.hbs", &feishu)]);
    let mut sample = sample::minimal();
    sample.spec.template = "x".to_owned();
    for (family, list, most) in [
        (Family::Slack, "/blocks", 50),
        (Family::Feishu, "/card/body/elements", 200),
    ] {
        let audience = Audience {
            keyword: Some("word".to_owned()),
            ..sample::audience(family, Locale::En)
        };
        let payload = templates
            .payload(&audience, Form::Full, &sample.subject())
            .unwrap();
        let message = sent(&payload);
        let list = message.pointer(list).unwrap().as_array().unwrap();
        assert!(
            list.len() <= most && list.len() >= most - 2,
            "{}",
            list.len()
        );
        assert!(payload.as_stored().contains("word"));
    }
}

#[test]
fn half_a_link_is_none() {
    let files = [
        (
            "slack/x.hbs",
            r#"{"text": "{{#each links.images}}{{truncate this 9}}{{/each}}|{{join links.images}}"}"#,
        ),
        (
            "webhook/x.hbs",
            r#"{"a": "{{#each links.images}}{{truncate this 9}}{{/each}}", "b": 1}"#,
        ),
    ];
    let (templates, diagnostics, _dir) = load(&files);
    assert_eq!(diagnostics, []);
    let mut sample = sample::fault(&ShownBy::Link);
    sample.spec.template = "x".to_owned();
    let audience = sample::audience(Family::Slack, Locale::En);
    let payload = templates
        .payload(&audience, Form::Full, &sample.subject())
        .unwrap();
    let message = sent(&payload);
    let (half, whole) = message["text"].as_str().unwrap().split_once('|').unwrap();
    assert!(!half.contains("https"));
    assert_eq!(whole.matches("https://relay.example/images/").count(), 2);
    let audience = Audience {
        body: Some("x.hbs".to_owned()),
        ..sample::audience(Family::Webhook, Locale::En)
    };
    let payload = templates
        .payload(&audience, Form::Full, &sample.subject())
        .unwrap();
    assert_eq!(sent(&payload)["b"], 1);
}
