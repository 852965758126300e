//! Slack's checks of blocks. Source: docs.slack.dev "Blocks" and "Block elements".

use std::collections::HashSet;

use serde_json::Value;

use super::files::Files;

/// Returns the problems of a message's blocks; empty if Slack accepts them.
pub(super) fn problems(blocks: &Value, files: &Files) -> Vec<String> {
    let mut check = Check {
        files,
        problems: Vec::new(),
    };
    let Some(blocks) = blocks.as_array() else {
        return vec!["must be a list [json-pointer:/blocks]".into()];
    };
    if blocks.len() > 50 {
        check.complain("no more than 50 items allowed", "/blocks");
    }
    for (index, block) in blocks.iter().enumerate() {
        check.block(block, &format!("/blocks/{index}"));
    }
    check.problems
}

struct Check<'a> {
    files: &'a Files,
    problems: Vec<String>,
}

impl Check<'_> {
    fn complain(&mut self, what: &str, at: &str) {
        self.problems.push(format!("{what} [json-pointer:{at}]"));
    }

    fn block(&mut self, block: &Value, at: &str) {
        self.string(block.get("block_id"), 0..=255, &format!("{at}/block_id"));
        match block["type"].as_str() {
            Some("divider") => {}
            Some("header") => self.text(&block["text"], "plain_text", 150, &format!("{at}/text")),
            Some("section") => self.section(block, at),
            Some("context") => self.list(block, "elements", 10, at, |check, element, at| {
                if element["type"] == "image" {
                    check.image(element, at);
                } else {
                    check.text(element, "", 3000, at);
                }
            }),
            Some("actions") => self.actions(block, at),
            Some("image") => self.image(block, at),
            Some("markdown") => self.must(block.get("text"), 1..=12_000, &format!("{at}/text")),
            Some(_) | None => self.complain("unsupported type", &format!("{at}/type")),
        }
    }

    fn section(&mut self, block: &Value, at: &str) {
        if block.get("text").is_none() && block.get("fields").is_none() {
            self.complain("missing required field: text or fields", at);
        }
        if let Some(text) = block.get("text") {
            self.text(text, "", 3000, &format!("{at}/text"));
        }
        if block.get("fields").is_some() {
            self.list(block, "fields", 10, at, |check, field, at| {
                check.text(field, "", 2000, at);
            });
        }
    }

    fn actions(&mut self, block: &Value, at: &str) {
        let mut ids = HashSet::new();
        self.list(block, "elements", 25, at, |check, button, at| {
            if button["type"] != "button" {
                return check.complain("unsupported type", &format!("{at}/type"));
            }
            check.text(&button["text"], "plain_text", 75, &format!("{at}/text"));
            check.string(button.get("value"), 0..=2000, &format!("{at}/value"));
            check.string(button.get("url"), 0..=3000, &format!("{at}/url"));
            check.string(button.get("action_id"), 1..=255, &format!("{at}/action_id"));
            let style = button.get("style").and_then(Value::as_str);
            if style.is_some_and(|style| !["primary", "danger"].contains(&style)) {
                check.complain("unsupported style", &format!("{at}/style"));
            }
            let id = button.get("action_id").and_then(Value::as_str);
            if id.is_some_and(|id| !ids.insert(id.to_owned())) {
                check.complain("`action_id` must be unique", &format!("{at}/action_id"));
            }
        });
    }

    fn image(&mut self, image: &Value, at: &str) {
        self.must(image.get("alt_text"), 0..=2000, &format!("{at}/alt_text"));
        match (image.get("image_url"), image.get("slack_file")) {
            (Some(url), None) => {
                self.must(Some(url), 1..=3000, &format!("{at}/image_url"));
                if !url.as_str().is_some_and(|url| url.starts_with("http")) {
                    self.complain("invalid URL", &format!("{at}/image_url"));
                }
            }
            (None, Some(file)) => {
                let id = file["id"].as_str().unwrap_or_default();
                if !self.files.can_be_shown(id) {
                    self.complain("invalid slack file", &format!("{at}/slack_file"));
                }
            }
            (Some(_), Some(_)) | (None, None) => {
                self.complain("must have one of image_url and slack_file", at);
            }
        }
    }

    fn list(
        &mut self,
        block: &Value,
        key: &str,
        most: usize,
        at: &str,
        mut each: impl FnMut(&mut Self, &Value, &str),
    ) {
        let at = format!("{at}/{key}");
        let items = block[key].as_array().map(Vec::as_slice).unwrap_or_default();
        if items.is_empty() || items.len() > most {
            self.complain(&format!("must have 1 to {most} items"), &at);
        }
        for (index, item) in items.iter().enumerate() {
            each(self, item, &format!("{at}/{index}"));
        }
    }

    /// Checks a text object; if `kind` is not empty, no other type is allowed.
    fn text(&mut self, text: &Value, kind: &str, chars_max: usize, at: &str) {
        let of = text["type"].as_str().unwrap_or_default();
        if !["plain_text", "mrkdwn"].contains(&of) || (!kind.is_empty() && of != kind) {
            self.complain("unsupported type", &format!("{at}/type"));
        }
        self.must(text.get("text"), 1..=chars_max, &format!("{at}/text"));
    }

    fn must(&mut self, value: Option<&Value>, chars: std::ops::RangeInclusive<usize>, at: &str) {
        if value.is_none() {
            self.complain("missing required field", at);
        }
        self.string(value, chars, at);
    }

    fn string(&mut self, value: Option<&Value>, chars: std::ops::RangeInclusive<usize>, at: &str) {
        let Some(value) = value else { return };
        let fits = value
            .as_str()
            .is_some_and(|text| chars.contains(&text.chars().count()));
        if !fits {
            let (least, most) = chars.into_inner();
            self.complain(&format!("must be text of {least} to {most} characters"), at);
        }
    }
}
