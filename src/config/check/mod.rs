//! Turns raw sections into a [`Config`], and checks what needs more than one key.

mod apps;
mod destinations;
mod feishu_app;
mod images;
mod known_urls;
mod names;
mod paths;
mod proxy;
mod secrets;
mod sections;
mod slack;
mod urls;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use toml::Spanned;

use super::context::Context;
use super::included::{Included, Part};
use super::keys::RawOperator;
use super::lists::{self, List};
use super::rule_tests::{self, RuleTest};
use super::{Config, Needs, Server, hints, rules, section};
use crate::destination::Settings;
use crate::diag::Level;
use crate::feishu;
use crate::model::{Content, DestinationName};
use crate::render::{self, Mention, Templates};
use crate::rules::{DigestSettings, Known, digests, lists_of_digests};
use crate::toml_reader::{Diagnostics, Field, Location, Node, Setting, Table, codes};

/// Names that other sections may refer to, including entries with errors.
#[derive(Debug, Default)]
struct Names {
    /// Apps, and whether each has an `app_secret`.
    apps: BTreeMap<String, bool>,
    destinations: Vec<String>,
    templates: Arc<Templates>,
}

/// Checks `[server]` alone.
pub(super) fn server(mut top: Table, out: &mut Diagnostics) -> Server {
    sections::server(top.take("server", out), out)
}

/// Checks all sections. The result is valid only if no error was reported.
pub(super) fn config(
    mut top: Table,
    mut parts: Vec<Part<'_>>,
    (rules, digests): (rules::Written, Option<Node>),
    tests: rule_tests::Written<'_>,
    context: &Context<'_>,
    out: &mut Diagnostics,
) -> (Config, Vec<RuleTest>) {
    let server = sections::server(top.take("server", out), out);
    let proxies = proxy::proxies(top.take("network", out), context, out);
    let log = sections::log(top.take("log", out), out);
    let operator = top.take("operator", out);
    let operator_at = operator.at.clone();
    let operator: RawOperator = section::read(operator, out);
    let store = sections::store(top.take("store", out), context, out);
    let (images, archive) = images::images(top.take("images", out), store.retain, context, out);
    let (settings, view) = sections::templates(top.take("templates", out), context, out);
    let templates = load_templates(&settings, out);

    let mut app_names = names::app_names(top.take("app_names", out), out);
    let (mentions, lists) = shared(&mut top, &mut parts, out);
    let apps = apps::apps(top.take("apps", out), context, &mut app_names, out);
    let names = Names {
        apps: apps.secrets,
        destinations: destinations::names(&top, &parts),
        templates: Arc::clone(&templates),
    };
    let checked = destinations::Checks {
        names: &names,
        view: &view,
        links: server.public_url.is_some(),
        own: paths::OwnFiles::new(&store.location, &archive, context.file),
        context,
    };
    let destinations = checked.all(top.take("destinations", out), parts, out);
    let notify = destination_name(operator.notify, &operator_at, "notify", &names, out);

    let mut known = known(&names, &app_names, &mentions, &lists, &view);
    known.programs = programs(&destinations);
    let mut rules = rules.build(&known, out);
    let digests = read_digests(digests.as_ref(), &known, &mut rules.built.lists_used, out);
    lists::unused(&lists, &rules.built.lists_used, out);
    rules.check_templates(&destinations, &templates, out);
    // Only unknown keys are left.
    section::refuse(top, SECTIONS, out);
    let test_names = rule_tests::Names {
        apps: &apps.apps,
        rules: &rules.written,
        known: &known,
    };
    let tests = tests.read(test_names, context, out);
    rules.check_paths(&pages(&tests), out);
    if names.apps.is_empty() && context.needs == Needs::All && !server.allow_empty {
        no_apps(out);
    }
    let config = Config {
        file: context.file.to_owned(),
        hash: String::new(), // empty because some texts are still to be read
        server,
        log,
        notify,
        store,
        images,
        archive,
        templates,
        app_names,
        mentions,
        lists: known.lists,
        apps: apps.apps,
        backfill: apps.backfill,
        proxies,
        destinations,
        rules: rules.built.set,
        rules_written: rules.written,
        digests,
        included: Included::default(), // set by the caller, who read the files
        templates_dir: settings.dir,
    };
    (config, tests)
}

/// Reads `[[digests]]`, and adds the lists that they use.
fn read_digests(
    entries: Option<&Node>,
    known: &Known,
    lists_used: &mut BTreeSet<String>,
    out: &mut Diagnostics,
) -> Vec<DigestSettings> {
    let Some(entries) = entries else {
        return Vec::new();
    };
    lists_used.extend(lists_of_digests(entries));
    digests(entries, known, out)
}

/// Checks what rules share, in the main file and included files: `[mentions]` and `[lists]`.
fn shared(
    top: &mut Table,
    parts: &mut [Part<'_>],
    out: &mut Diagnostics,
) -> (BTreeMap<String, Mention>, BTreeMap<String, List>) {
    let mut mentions = names::mentions(top.take("mentions", out), out);
    let mut lists = lists::lists(top.take("lists", out), out);
    for part in parts {
        let before = out.enter(part.file);
        mentions.extend(names::mentions(part.top.take("mentions", out), out));
        lists.extend(lists::lists(part.top.take("lists", out), out));
        out.enter(&before);
    }
    (mentions, lists)
}

/// Reports that there are no apps, usually because the file was emptied. Silent after other errors, which may be
/// why there is no app.
fn no_apps(out: &mut Diagnostics) {
    if !out.any_errors() {
        let message = "there is no app, so no events can be received";
        let help = "write [apps.NAME] with `app_id` and a key, or `server.allow_empty = true` if this is meant";
        out.add_with_help(codes::NO_APPS, &Location::default(), message, help);
    }
}

/// Returns the page addresses of samples and tests.
fn pages(tests: &[RuleTest]) -> Vec<String> {
    let samples = feishu::SAMPLE_PAGES.iter().map(|&page| page.to_owned());
    let tested = tests.iter().flat_map(|test| test.given.events());
    let tested = tested.filter_map(|one| match &one.event.content {
        Content::Created(feedback) => Some(feedback.path.as_ref()?.expose().to_owned()),
        Content::Updated(_)
        | Content::Notice(_)
        | Content::Summary(_)
        | Content::Digest(_)
        | Content::Incident(_) => None,
    });
    samples.chain(tested).collect()
}

/// Returns the names that rules may use.
fn known(
    names: &Names,
    app_names: &BTreeMap<String, String>,
    mentions: &BTreeMap<String, Mention>,
    lists: &BTreeMap<String, List>,
    view: &sections::View,
) -> Known {
    let app_ids = app_names.iter();
    let destinations = names.destinations.iter();
    Known {
        app_ids: app_ids
            .map(|(id, name)| (name.clone(), id.clone()))
            .collect(),
        apps: names.apps.keys().map(|name| name.as_str().into()).collect(),
        destinations: destinations.map(|name| name.as_str().into()).collect(),
        mentions: mentions.keys().cloned().collect(),
        templates: names.templates.own_names(),
        lists: lists
            .iter()
            .map(|(name, list)| (name.clone(), list.words.clone()))
            .collect(),
        timezone: Some(view.timezone.clone()),
        ..Known::default()
    }
}

/// Returns the destinations that are for programs.
fn programs(destinations: &BTreeMap<DestinationName, Settings>) -> Vec<DestinationName> {
    let programs = destinations.iter();
    let programs = programs.filter(|(_, settings)| settings.is_for_programs());
    programs.map(|(name, _)| name.clone()).collect()
}

/// The keys of the top level, for suggestions.
pub(super) const SECTIONS: &[&str] = &[
    "include",
    "server",
    "network",
    "log",
    "operator",
    "store",
    "images",
    "templates",
    "app_names",
    "mentions",
    "lists",
    "apps",
    "destinations",
    "rules",
    "digests",
    "tests",
];

/// Loads all templates. The operator's templates are rendered with samples; unit tests render the built-in ones.
fn load_templates(settings: &render::Settings, out: &mut Diagnostics) -> Arc<Templates> {
    // A missing folder has already been reported.
    let dir = settings.dir.clone().filter(|dir| dir.is_dir());
    let (templates, complaints) = Templates::load(&render::Settings { dir });
    // A template that does not parse has already been reported; the built-in one replaces it.
    let whole = !complaints.iter().any(|one| one.level == Level::Error);
    out.adopt(complaints, |_| None);
    if whole && settings.dir.is_some() {
        out.adopt(render::check(&templates), |_| None);
    }
    Arc::new(templates)
}

/// Returns the destination that a key names, if it exists.
fn destination_name(
    written: Field<String>,
    section: &Location,
    key: &str,
    names: &Names,
    out: &mut Diagnostics,
) -> Option<DestinationName> {
    let written = written?;
    let name = written.get_ref();
    if names.destinations.contains(name) {
        return Some(name.as_str().into());
    }
    out.add_with_help(
        codes::UNKNOWN_DESTINATION,
        &section.key(key, written.span()),
        format!("there is no destination {name:?}"),
        hints::which(name, names.destinations.iter().map(String::as_str)),
    );
    None
}

/// Returns the value of a key, or its default.
fn or<T>(field: Field<T>, default: T) -> T {
    field.map_or(default, Spanned::into_inner)
}

/// Returns the value of a key, or its default. Reports a written value outside of the range; `shown` formats the range
/// as the file would.
fn in_range<T: PartialOrd + Copy>(
    setting: Setting<T>,
    range: std::ops::RangeInclusive<T>,
    shown: &str,
    at: (&Location, &str),
    out: &mut Diagnostics,
) -> T {
    check_range(setting.written.as_ref(), range, shown, at, out);
    setting.value()
}

/// Reports a value outside of the range.
fn check_range<T: PartialOrd>(
    written: Option<&Spanned<T>>,
    range: std::ops::RangeInclusive<T>,
    shown: &str,
    (section, key): (&Location, &str),
    out: &mut Diagnostics,
) {
    if let Some(written) = written
        && !range.contains(written.get_ref())
    {
        let at = section.key(key, written.span());
        out.add(codes::OUT_OF_RANGE, &at, format!("`{key}` must be {shown}"));
    }
}
