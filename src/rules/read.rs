//! Reads one `[[rules]]` entry: checks every key and value, reports every mistake.

mod digest;
mod grouping;

pub(super) use digest::RawDigest;
pub use digest::{DigestSettings, digests};
pub(super) use grouping::RawStep;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::Spanned;

use crate::model::{DestinationName, EventKind, Hours, RuleName, Severity, Timestamp};
use crate::toml_reader::codes::Code;
use crate::toml_reader::suggest::value as did_you_mean;
use crate::toml_reader::{
    Diagnostics, Field, Keys, Location, Many, Named, Node, Read, Table, Value, codes, join, keys,
    names, schema, suggest,
};

use super::Known;
use super::conditions;
use super::hours;
use super::kinds;
use super::matcher::Matcher;
use super::plan::{Hold, Rule};

/// The longest name or label, in characters.
const TEXT_CHARS_MAX: usize = 200;
/// How many labels a rule may have.
const LABELS_MAX: usize = 50;
/// The longest that a message may wait for its images.
const WAIT_MAX: Duration = Duration::from_secs(3600);

keys! {
    /// Which events go to which destinations
    pub(super) struct RawKeys needs ["name", "send_to"] {
        /// The rule's name, in messages and in the store
        name: String,
        /// Conditions that must all hold; without it, the rule matches everything
        wanted @ "match": Node [conditions::schema("All must hold")],
        /// Conditions of which none may hold
        except: Node [conditions::schema("None may hold")],
        /// Times at which the rule counts, judged when the event is received; default: always. The zone is `timezone` of [templates] unless written
        when: Many<String> [schema::many(schema::form(hours::PATTERN, hours::EXAMPLES))],
        /// Times at which messages are held until the window's end, and then sent as one; default: never. Webhooks and files get every event at once. The zone is `timezone` of [templates] unless written
        hold: Many<String> [schema::many(schema::form(hours::PATTERN, hours::EXAMPLES))],
        /// Names of [destinations]; `[]`: matched events go nowhere
        send_to: Many<String>,
        /// Whether later rules are tried too
        goes_on @ "continue": bool = false,
        /// The severity; default: the highest that a matching rule sets, at least warning for
        /// faults, else info
        severity: String [schema::word(Severity::ALL.iter().map(|one| one.key()))],
        /// The template; default by type: alert, suggestion, plain, status
        template: String,
        /// Names of [mentions]; "all" is everyone in the chat
        mention: Many<String>,
        /// Labels for templates
        labels: Named<String>,
        /// The longest time that messages of this rule wait for images
        wait: Duration,
        /// Which reports become one incident: of one type, with equal values of these keys; `[]`: the rule never groups. Default: app and fault for faults, `[]` for others
        group_by: Many<String> [schema::many(schema::word(grouping::key_names()))],
        /// How many reports of an incident are delivered individually; later ones are counted in its own message. Default: 1 with group_by, else 5
        group_from: Node [grouping::count_schema()],
        /// Where a message cannot be edited: the shortest time between two digests
        group_interval: Duration = "5m",
        /// An open incident with new reports notifies again after this time
        repeat_after: Duration = "4h",
        /// An incident ends after this time without a report
        resolve_after: Duration = "30m",
        /// Further notifications of an incident
        escalate: Node [schema::many(RawStep::schema())],
    }
}

/// Reads the rule at `at`. Mistakes are reported; a rule with an error must not be used.
pub(super) fn rule(
    out: &mut Diagnostics,
    at: &Location,
    node: &Node,
    known: &Known,
) -> Option<Rule> {
    let Value::Table(entries) = &node.value else {
        out.wrong_type(at, "a table", node);
        return None;
    };
    let mut table = Table {
        at: at.clone(),
        entries: entries.clone(),
    };
    let mut raw: RawKeys = table.read(out);
    for (key, _) in &table.entries {
        unknown_key(out, &at.key(key.get_ref(), key.span()), key.get_ref());
    }
    let mut reader = Reader { out, at };
    reader.required("name", raw.name.is_some());
    reader.required("send_to", raw.send_to.is_some());
    let (wanted, except) = reader.conditions(raw.wanted.take(), raw.except.take(), known);
    let hours = raw.when.take();
    let hours = hours.and_then(|windows| reader.hours("when", &windows, known));
    let hold = raw.hold.take();
    let hold = hold.and_then(|windows| reader.hold(&windows, known));
    let grouping = reader.grouping(&raw, &wanted, hold.clone(), known);
    let name = raw.name.and_then(|name| reader.line("name", name));
    let send_to = reader.send_to(raw.send_to, known);
    let severity = raw.severity.and_then(|name| reader.severity(name));
    let template = raw.template.and_then(|name| reader.template(name, known));
    let mentions = reader.mentions(raw.mention, known);
    let labels = raw
        .labels
        .map_or_else(BTreeMap::new, |labels| reader.labels(labels));
    let wait = raw.wait.and_then(|wait| reader.wait(&wait));
    Some(Rule {
        name: RuleName::new(name?),
        wanted,
        except,
        hours,
        hold: hold.map(|hours| Hold {
            hours,
            never_for: programs(&send_to, known),
        }),
        send_to,
        goes_on: raw.goes_on.value(),
        severity,
        template,
        mentions,
        labels,
        wait,
        grouping,
    })
}

/// Returns the destinations of a rule that are for programs.
fn programs(send_to: &[DestinationName], known: &Known) -> Vec<DestinationName> {
    let is_program = |name: &&DestinationName| known.programs.contains(name);
    send_to.iter().filter(is_program).cloned().collect()
}

fn unknown_key(out: &mut Diagnostics, at: &Location, name: &str) {
    let conditions = conditions::names();
    let condition = conditions.iter().copied().find(|key| *key == name);
    let help = match condition.or_else(|| suggest::ours(name, &conditions)) {
        Some(key) => Some(format!("it is a condition: write match = {{ {key} = … }}")),
        None => suggest::key(name, &names::<RawKeys>()),
    };
    out.unknown_key(at, name, help);
}

struct Reader<'a> {
    out: &'a mut Diagnostics,
    at: &'a Location,
}

impl Reader<'_> {
    /// Reports a missing key, unless its value has already been reported.
    fn required(&mut self, name: &str, is_read: bool) {
        if !is_read && !self.out.concern(&join(&self.at.path, name)) {
            let message = format!("the rule has no `{name}`");
            let help = (name == "send_to")
                .then(|| "with `send_to = []` matched events go nowhere".to_owned());
            self.out.report(codes::MISSING_KEY, self.at, message, help);
        }
    }

    /// Reads `match`, with the default for `event`, and `except`.
    fn conditions(
        &mut self,
        wanted: Field<Node>,
        except: Field<Node>,
        known: &Known,
    ) -> (Vec<Matcher>, Vec<Matcher>) {
        let before = self.out.count();
        let mut wanted = self.set("match", wanted, known);
        kinds::settle(&mut wanted, self.at);
        // Consequences of an unreadable condition are not reported.
        if self.out.count() == before {
            kinds::check_status(self.out, &wanted, EventKind::ALL);
        }
        (wanted, self.set("except", except, known))
    }

    fn set(&mut self, key: &str, node: Field<Node>, known: &Known) -> Vec<Matcher> {
        let Some(node) = node else {
            return Vec::new();
        };
        let at = self.at.key(key, node.span());
        conditions::read(self.out, &at, node.get_ref(), known, RawKeys::KEYS)
    }

    /// Reads `hold`, which must end.
    fn hold(&mut self, windows: &Spanned<Many<String>>, known: &Known) -> Option<Hours> {
        let hours = self.hours("hold", windows, known)?;
        // Windows that include the whole week include any time, and have no end after it.
        let any = Timestamp::from_millis(0);
        let is_endless = hours.include(any) && hours.end(any).is_none();
        if is_endless {
            let at = self.at.key("hold", windows.span());
            let message =
                "the windows include the whole week, so held messages would never be sent";
            let help = "leave out some time of the week, or use `send_to = []`";
            self.out
                .add_with_help(codes::RULE_OUT_OF_RANGE, &at, message, help);
        }
        Some(hours)
    }

    /// Reads `when` or `hold`. A list counts if one of its windows does.
    fn hours(
        &mut self,
        key: &str,
        windows: &Spanned<Many<String>>,
        known: &Known,
    ) -> Option<Hours> {
        let at = self.at.key(key, windows.span());
        if windows.get_ref().is_empty() {
            let (message, help) = match key {
                "when" => (
                    "an empty list never counts",
                    "remove `when`, and the rule always counts",
                ),
                _ => ("an empty list holds nothing", "remove `hold`"),
            };
            self.out.add_with_help(codes::EMPTY, &at, message, help);
        }
        let zone = known.timezone.clone().unwrap_or(TimeZone::UTC);
        let mut read = Vec::with_capacity(windows.get_ref().len());
        for (index, window) in windows.get_ref().iter().enumerate() {
            let at = match window.span() == windows.span() {
                true => at.clone(), // one window without a list
                false => at.index(index, window.span()),
            };
            match hours::parse(window.get_ref(), &zone) {
                Ok(window) => read.push(window),
                Err(bad) => {
                    let (message, help) = (bad.message, Some(bad.help));
                    self.out.report(codes::UNKNOWN_VALUE, &at, message, help);
                }
            }
        }
        (!read.is_empty()).then_some(Hours(read))
    }

    /// Checks that a text is neither empty nor too long.
    fn line(&mut self, key: &str, text: Spanned<String>) -> Option<String> {
        let at = self.at.key(key, text.span());
        self.line_at(&at, text.into_inner())
    }

    fn line_at(&mut self, at: &Location, text: String) -> Option<String> {
        if text.trim().is_empty() {
            self.out.add(codes::EMPTY, at, "the text is empty");
        } else if text.chars().count() > TEXT_CHARS_MAX {
            let message = format!("the text is longer than {TEXT_CHARS_MAX} characters");
            self.out.add(codes::RULE_OUT_OF_RANGE, at, message);
        } else {
            return Some(text);
        }
        None
    }

    /// Checks a list of names (or one), each of which must be known.
    fn names(
        &mut self,
        key: &str,
        list: Spanned<Many<String>>,
        (code, unknown): (Code, &str),
        known: &[&str],
    ) -> Vec<String> {
        let at = self.at.key(key, list.span());
        let mut names: Vec<String> = Vec::new();
        for (index, name) in list.into_inner().into_iter().enumerate() {
            let at = match Some(name.span()) == at.span {
                true => at.clone(), // one name without a list
                false => at.index(index, name.span()),
            };
            let Some(name) = self.line_at(&at, name.into_inner()) else {
                continue;
            };
            if !known.contains(&name.as_str()) {
                let help = did_you_mean(&name, known.iter().copied());
                self.out
                    .report(code, &at, format!("{unknown} \"{name}\""), help);
            } else if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn send_to(&mut self, names: Field<Many<String>>, known: &Known) -> Vec<DestinationName> {
        let Some(names) = names else {
            return Vec::new();
        };
        let known = known.destinations.iter().map(DestinationName::as_str);
        let unknown = (codes::UNKNOWN_SEND_TO, "there is no destination");
        let names = self.names("send_to", names, unknown, &known.collect::<Vec<_>>());
        names.into_iter().map(DestinationName::new).collect()
    }

    fn mentions(&mut self, names: Field<Many<String>>, known: &Known) -> Vec<String> {
        let Some(names) = names else {
            return Vec::new();
        };
        let people = known.mentions.iter().map(String::as_str);
        let people: Vec<&str> = people.chain(["all"]).collect();
        let unknown = (codes::UNKNOWN_MENTION, "`[mentions]` has no");
        self.names("mention", names, unknown, &people)
    }

    fn template(&mut self, name: Spanned<String>, known: &Known) -> Option<String> {
        let at = self.at.key("template", name.span());
        let name = self.line_at(&at, name.into_inner())?;
        if known.templates.contains(&name) {
            return Some(name);
        }
        let help = did_you_mean(&name, known.templates.iter().map(String::as_str));
        let message = format!("there is no template \"{name}\"");
        self.out.report(codes::UNKNOWN_TEMPLATE, &at, message, help);
        None
    }

    fn severity(&mut self, name: Spanned<String>) -> Option<Severity> {
        let at = self.at.key("severity", name.span());
        let name = self.line_at(&at, name.into_inner())?;
        let severity = Severity::from_key(&name);
        if severity.is_none() {
            let help = did_you_mean(&name, Severity::ALL.iter().map(|one| one.key()));
            let message = format!("there is no severity \"{name}\"");
            self.out.report(codes::UNKNOWN_VALUE, &at, message, help);
        }
        severity
    }

    fn labels(&mut self, labels: Spanned<Named<String>>) -> BTreeMap<String, String> {
        let at = self.at.key("labels", labels.span());
        let labels = labels.into_inner();
        if labels.len() > LABELS_MAX {
            let message = format!("{} labels; a rule has at most {LABELS_MAX}", labels.len());
            self.out.add(codes::RULE_OUT_OF_RANGE, &at, message);
        }
        let mut read = BTreeMap::new();
        for (key, text) in labels {
            let at = at.key(key.get_ref(), text.span());
            if let Some(text) = self.line_at(&at, text.into_inner()) {
                read.insert(key.into_inner(), text);
            }
        }
        read
    }

    fn wait(&mut self, wait: &Spanned<Duration>) -> Option<Duration> {
        if *wait.get_ref() > WAIT_MAX {
            let at = self.at.key("wait", wait.span());
            let message = "a message can wait at most one hour for its images";
            self.out.add(codes::RULE_OUT_OF_RANGE, &at, message);
            return None;
        }
        Some(*wait.get_ref())
    }
}
