//! Tests two hundred malicious texts in every field a reporter can write, for every kind of destination and in
//! every form. Readers must see what was typed, and no part may act as markup.
//!
//! `HOSTILE=all` tests every combination. Without it each kind of destination gets all texts, and each form and
//! each sort of message gets some.

use super::*;

/// The parts of most attacks.
pub(super) const SEEDS: &[&str] = &[
    "<at id=all></at>",
    "<at user_id=\"all\">所有人</at>",
    "<at email='boss@example.com'></at>",
    "<at ids=ou_1,ou_2></at>",
    "<person id='ou_1'></person>",
    "@all @所有人 @channel",
    "<!channel>",
    "<!here|here>",
    "<!subteam^S0456|team>",
    "<!date^1392734382^{date}^https://evil.example|x>",
    "<@U0123>",
    "<#C0123|general>",
    "<https://evil.example|Approve>",
    "<mailto:x@evil.example|x>",
    "&lt;!channel&gt;",
    "&amp;lt;@U1&amp;gt;",
    "&#60;at id=all&#62;",
    "&#x3c;at id=all&#x3e;",
    "[click](https://evil.example)",
    "[click]\u{200b}(https://evil.example)",
    "[click]\u{202e}(https://evil.example)",
    "[click]\n(https://evil.example)",
    "[a]: https://evil.example\n[a]",
    "![](img_v3_secret)",
    "![x](https://evil.example/x.png)",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<a href='javascript:alert(1)'>x</a>",
    "<font color='red'>URGENT</font>",
    "<button type=primary>x</button>",
    "https://evil.example/?a=1&b=2",
    "www.evil.example evil.example/x",
    "javascript:alert(1)",
    "**bold** *it* _u_ ~~s~~ `code`",
    "# title\n## two\n---\n***\n===",
    "> quote\n- item\n+ item\n1. item\n2) item",
    "    code\n\tcode",
    "```\ncode\n```",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    ":smile: :SKULL: $x$ $$y$$",
    "\"}]},{\"tag\":\"markdown\",\"content\":\"<at id=all></at>",
    "\\\"}],\"blocks\":[{\"type\":\"image\"",
    "\\u003cat id=all\\u003e \\n \\\\",
    "'; DROP TABLE events; --",
    "{{feedback.contact}} {{{raw}}} {{#each mentions}}x{{/each}} {{> title}}",
    "${HOME} $(id) `id` %{x} %s %n",
    "\u{e000}\u{e001}\u{e002}forged\u{e003}\u{e004}\u{e00f}",
    "\u{202e}gnp.exe\u{202c} \u{2066}x\u{2069} \u{200f}\u{61c}",
    "in\u{200b}vis\u{2060}ible\u{feff}\u{ad}\u{180e}",
    "tag\u{e0061}\u{e0062}\u{e007f}",
    "nul\0bell\u{7}esc\u{1b}[31mred\u{1b}[0m\u{9b}x",
    "line\u{2028}para\u{2029}next\u{85}cr\rcrlf\r\nend",
    "\u{fffd}\u{fffe}\u{ffff}\u{10ffff}",
    "Z̷͔̈́a̸̡͝l̵̰͐g̶̞̈́o̴͙͑",
    "👩‍👩‍👧‍👦🏴‍☠️🇨🇳é",
    "＜at id=all＞＜/at＞［x］（y）",
    "ﷺﷺﷺ ௵ ꧅ 𒐫",
    "   leading and trailing   ",
    "\n\n\nlines\n\n\n",
    "-",
];

/// Returns the seeds, and texts combined from them.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = SEEDS.iter().map(|seed| (*seed).to_owned()).collect();
    let mut chance = fastrand::Rng::with_seed(4);
    while texts.len() < 190 {
        let mut pick = || *chance.choice(SEEDS).expect("there are seeds");
        let (a, b, c) = (pick(), pick(), pick());
        texts.push(format!("{a}{b} {c}"));
    }
    // The longest that a report can contain.
    for seed in SEEDS.iter().take(10) {
        texts.push(seed.repeat(30_000 / seed.len()));
    }
    texts
}

/// Returns one audience for each kind of destination.
fn kinds() -> Vec<(&'static str, Audience)> {
    let of = |family, buttons, sent| Audience {
        buttons,
        sent,
        ..sample::audience(family, Locale::En)
    };
    let keyword = Audience {
        keyword: Some("暗号".to_owned()),
        ..of(Family::Feishu, false, SentAs::Json)
    };
    vec![
        ("feishu-bot", keyword),
        ("feishu-app", of(Family::Feishu, true, SentAs::JsonInString)),
        ("slack-webhook", of(Family::Slack, false, SentAs::Json)),
        ("slack-app", of(Family::Slack, true, SentAs::Json)),
        ("webhook", of(Family::Webhook, false, SentAs::Json)),
        ("text", of(Family::Text, false, SentAs::Json)),
    ]
}

/// Returns every message that contains a reporter's text.
fn samples(text: &str) -> Vec<(&'static str, Sample)> {
    let words = || Some(Private::new(text));
    let mut fault = hostile(text);
    fault.event.tenant_key = Some(text.to_owned());
    let report = feedback(&mut fault);
    report.id = Some(text.to_owned());
    report.app_id = Some(text.to_owned());
    report.user.open_id = words();
    report.user.union_id = words();
    report.user.user_id = words();
    let mut suggestion = fault.clone();
    suggestion.spec.template = "suggestion".to_owned();
    suggestion.standing = sample::with_buttons().standing;
    let mut late = fault.clone();
    late.trigger = Trigger::LateImages;
    let mut edited = sample::claimed(&ShownBy::Link);
    edited.event = fault.event.clone();
    edited.standing.by_name = words();
    edited.standing.person = Some(text.to_owned());
    edited.standing.reporter = Some(text.to_owned());
    if let Some(state) = &mut edited.standing.state {
        state.by.name = words();
        state.by.id = words();
    }
    vec![
        ("fault", fault.clone()),
        ("suggestion", suggestion),
        ("late", late),
        ("edited", edited),
        ("status", reporters::hostile_change(text)),
        ("summary", summary_of(fault.clone())),
        (
            "incident",
            hostile_incident(fault.clone(), IncidentNews::Opened, text),
        ),
        (
            "incident_news",
            hostile_incident(fault, IncidentNews::Threshold, text),
        ),
    ]
}

/// Returns an incident in which every shared value is this text.
fn hostile_incident(quoted: Sample, news: IncidentNews, text: &str) -> Sample {
    let mut sample = incident_of(quoted, news, text);
    let keys = GroupKey::ALL.iter();
    incident(&mut sample).key.0 = keys.map(|key| (*key, Some(Private::new(text)))).collect();
    sample
}

/// The visible text of a string, and its active markup.
struct Seen {
    text: String,
    alive: Vec<&'static str>,
}

/// The relay's own markup, which a message may contain.
const OURS: &[&str] = &[
    "<at id=ou_1234></at>",
    "<at email=li@example.com></at>",
    "<person id='ou_3a52771c51327acb' show_name=true show_avatar=true></person>",
    "<person id='ou_7d8a6e6df7621556' show_name=true show_avatar=true></person>",
    "<at user_id=\"ou_1234\"></at>",
    "<font color='grey'>",
    "<font color='green'>",
    "<font color='orange'>",
    "<font color='blue'>",
    "</font>",
    "<@U0123>",
    "<!subteam^S0456>",
];

/// Decodes entities as Feishu's cards and Slack's mrkdwn do.
fn without_entities(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("&#") {
        out.push_str(before);
        let (number, after) = after.split_once(';').expect("a whole entity");
        let number = number.parse().expect("a decimal entity");
        out.push(char::from_u32(number).expect("a character"));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Parses one string of a message as the platform does. `tag` is its kind of text.
fn seen(family: Family, tag: &str, key: &str, text: &str) -> Seen {
    let picture = |text: &str| text.contains("https://relay.example/images/");
    let mut bare = text.to_owned();
    if picture(&bare) {
        bare.clear();
    }
    for ours in OURS {
        bare = bare.replace(ours, "");
    }
    let has = |live: &[&'static str], text: &str| -> Vec<&'static str> {
        live.iter()
            .filter(|live| text.contains(*live))
            .copied()
            .collect()
    };
    match (family, tag, key) {
        (Family::Feishu, "markdown", "content") => Seen {
            alive: has(
                &["<", "](", "![", "http:", "https:", "www.", "`", "~~", "$"],
                &bare,
            ),
            text: without_entities(&bare).replace('\u{a0}', " "),
        },
        (Family::Feishu, "root" | "text", "text") => Seen {
            alive: has(&["<", "]("], &bare),
            text: bare.replace('＜', "<").replace("]\u{200b}", "]"),
        },
        (Family::Slack, "mrkdwn" | "root", "text") => Seen {
            alive: has(&["<", ">"], &bare),
            text: bare
                .replace('\u{200b}', "")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&"),
        },
        // Not parsed.
        _ => Seen {
            text: text.to_owned(),
            alive: Vec::new(),
        },
    }
}

/// Normalizes blanks, because titles are one line and cards trim.
fn squeezed(text: &str) -> String {
    let text = text.replace(['\u{a0}', '＜'], " ").replace('<', " ");
    let blank = |c: char| text::is_blank(c);
    let start = text.trim_start_matches(blank);
    start.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn assert_harmless(
    kind: &str,
    audience: &Audience,
    form: Form,
    name: &str,
    sample: &Sample,
    typed: &str,
) {
    let context = || format!("{kind} {form} {name}: {typed:.200?}");
    let payload = Templates::built_in()
        .payload(audience, form, &sample.subject())
        .unwrap_or_else(|error| panic!("{}: {error}", context()));
    let message = sent(&payload);
    // Webhooks contain the whole text, however long.
    if matches!(audience.family, Family::Feishu | Family::Slack) {
        reporters::assert_within_limits(audience.family, &payload);
    }
    let mut shown = String::new();
    reporters::strings(&message, "", "root", &mut |tag, key, text| {
        let seen = seen(audience.family, tag, key, text);
        assert_eq!(
            seen.alive,
            Vec::<&str>::new(),
            "{}: {text:.300?}",
            context()
        );
        shown.push_str(&squeezed(&seen.text));
        shown.push('\n');
    });
    if let Some(keyword) = &audience.keyword {
        assert!(shown.contains(keyword.as_str()), "{}", context());
    }
    // Programs get deceptive characters too.
    let typed: String = match audience.family {
        Family::Webhook => text::strip(typed).into_owned(),
        Family::Feishu | Family::Slack | Family::Text => text::clean(typed).into_owned(),
    };
    // A change of status contains only ids, which are hidden if they are invalid. Late images repeat no text. A
    // summary shortens it.
    let shows_all = matches!(
        name,
        "fault" | "suggestion" | "edited" | "incident" | "incident_news"
    );
    if shows_all && typed.len() < 1000 {
        assert!(shown.contains(&squeezed(&typed)), "{}\n{shown}", context());
    }
}

#[test]
fn two_hundred_hostile_texts_stay_text_everywhere() {
    #[expect(
        clippy::disallowed_methods,
        reason = "asks for the long form of this test"
    )]
    let all = std::env::var("HOSTILE").is_ok_and(|asked| asked == "all");
    let texts = texts();
    assert_eq!(texts.len(), 200);
    for (index, text) in texts.iter().enumerate() {
        let samples = samples(text);
        for (kind, audience) in &kinds() {
            for (turn, form) in Form::ALL.iter().enumerate() {
                if !all && (index + turn) % Form::ALL.len() != 0 {
                    continue;
                }
                for (nth, (name, sample)) in samples.iter().enumerate() {
                    if all || (index + nth) % 3 == 0 {
                        assert_harmless(kind, audience, *form, name, sample, text);
                    }
                }
            }
        }
    }
}

#[test]
fn actor_markup_mentions_one_person_never_all() {
    for (person, mentions) in [
        ("ou_7d8a6e6df7621556", true),
        ("all", false),
        ("li@example.com", false),
    ] {
        let mut sample = sample::claimed(&ShownBy::Link);
        sample.standing.person = Some(person.to_owned());
        let audience = sample::audience(Family::Feishu, Locale::En);
        let payload = Templates::built_in().payload(&audience, Form::Full, &sample.subject());
        let card = sent(&payload.unwrap()).to_string();
        assert_eq!(
            card.contains(&format!("<at id={person}>")),
            mentions,
            "{person}"
        );
    }
}
