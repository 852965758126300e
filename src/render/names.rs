//! Checks the names in parsed templates against the shape of the context. Handlebars' own strict mode checks
//! neither branches that are not taken nor `{{#if typo}}`.

use std::collections::BTreeMap;

use handlebars::template::{HelperTemplate, Parameter, TemplateElement};
use handlebars::{Path, PathSeg, Template};
use serde_json::Value;

use super::context::LIST_MAX;
use super::{Locale, guard, helpers, words};

/// A mistake in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The template's file: `family/name`, or `partials/name`.
    pub(super) template: String,
    /// Line and column, counted from 1.
    pub(super) place: (usize, usize),
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// The most elements that one rendering may visit, with every loop at its maximum length.
const WORK_MAX: usize = 1_000_000;

struct Scope<'a> {
    this: &'a Value,
    /// Whether `@index` and related names are defined.
    each: bool,
    params: Vec<(String, &'a Value)>,
}

struct Walker<'a> {
    shape: &'a Value,
    partials: &'a BTreeMap<String, Template>,
    scopes: Vec<Scope<'a>>,
    /// The files being checked, the innermost last.
    files: Vec<String>,
    depth: usize,
    weight: usize,
    work: usize,
    place: (usize, usize),
    found: Vec<Found>,
}

/// A leaf of the shape that accepts any path.
const ANYTHING: &Value = &Value::Null;

/// Returns all mistakes of `template`, whose file is `name`, and of the partials it includes.
pub(super) fn check(
    name: &str,
    template: &Template,
    shape: &Value,
    partials: &BTreeMap<String, Template>,
) -> Vec<Found> {
    let mut walker = Walker {
        shape,
        partials,
        scopes: vec![Scope {
            this: shape,
            each: false,
            params: Vec::new(),
        }],
        files: vec![name.to_owned()],
        depth: 0,
        weight: 1,
        work: 0,
        place: (1, 1),
        found: Vec::new(),
    };
    walker.template(template);
    walker.found
}

impl<'a> Walker<'a> {
    fn complain(&mut self, code: &'static str, message: impl Into<String>, help: Option<String>) {
        let found = Found {
            template: self.files.last().cloned().unwrap_or_default(),
            place: self.place,
            code,
            message: message.into(),
            help,
        };
        if !self.found.contains(&found) {
            self.found.push(found);
        }
    }

    fn template(&mut self, template: &Template) {
        if self.depth > guard::DEPTH_MAX {
            let message = format!("blocks are nested more than {} deep", guard::DEPTH_MAX);
            return self.complain("E202", message, None);
        }
        for (index, element) in template.elements.iter().enumerate() {
            let Some(work) = self
                .work
                .checked_add(self.weight)
                .filter(|&work| work <= WORK_MAX)
            else {
                if self.work != usize::MAX {
                    self.work = usize::MAX;
                    let message = "nested loops and partials could take too long";
                    self.complain("E202", message, None);
                }
                return;
            };
            self.work = work;
            if let Some(place) = template.mapping.get(index) {
                self.place = (place.0, place.1);
            }
            self.element(element);
        }
    }

    fn element(&mut self, element: &TemplateElement) {
        match element {
            TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
            TemplateElement::HtmlExpression(helper) => {
                let help = "write two braces".to_owned();
                self.complain("W200", "triple braces escape like double ones", Some(help));
                self.expression(helper);
            }
            TemplateElement::Expression(helper) => self.expression(helper),
            TemplateElement::HelperBlock(helper) => {
                self.depth += 1;
                self.block(helper);
                self.depth -= 1;
            }
            TemplateElement::PartialExpression(partial) => {
                if !partial.params.is_empty() || !partial.hash.is_empty() {
                    let help = "it uses the surrounding context".to_owned();
                    self.complain("E206", "a partial takes no arguments", Some(help));
                }
                match &partial.name {
                    Parameter::Name(name) => self.partial(name),
                    Parameter::Path(path) => self.partial(raw(path)),
                    _ => self.complain("E206", "the name of a partial must be written out", None),
                }
            }
            // Decorators, partial blocks, and syntax of later versions.
            _ => {
                let message = "decorators and partial blocks are not supported";
                self.complain("E207", message, None);
            }
        }
    }

    fn partial(&mut self, name: &str) {
        let file = format!("partials/{name}");
        let partials = self.partials;
        let Some(partial) = partials.get(name) else {
            let help = nearest(name, partials.keys().map(String::as_str));
            return self.complain("E206", format!("there is no partial {name}"), help);
        };
        if self.files.contains(&file) {
            return self.complain("E206", format!("partial {name} includes itself"), None);
        }
        let place = self.place;
        self.files.push(file);
        self.depth += 1;
        self.template(partial);
        self.depth -= 1;
        self.files.pop();
        self.place = place;
    }

    fn expression(&mut self, helper: &HelperTemplate) {
        if helper.params.is_empty() && helper.hash.is_empty() {
            match &helper.name {
                Parameter::Name(name) if !helpers::NAMES.contains(&name.as_str()) => {
                    let help = nearest(name, helpers::NAMES.iter().copied());
                    self.complain("E204", format!("{name} is not in the context"), help);
                }
                Parameter::Path(path) if !helpers::NAMES.contains(&raw(path)) => {
                    self.value(path);
                }
                Parameter::Subexpression(inner) => self.subexpression(inner.as_element()),
                _ => {}
            }
            return;
        }
        let name = name_of(&helper.name).to_owned();
        if !helpers::NAMES.contains(&name.as_str()) {
            let help = nearest(&name, helpers::NAMES.iter().copied());
            self.complain("E205", format!("there is no helper {name}"), help);
        }
        if name == "t"
            && let Some(Parameter::Literal(Value::String(key))) = helper.params.first()
            && words::word(Locale::En, key).is_none()
        {
            self.complain("E205", format!("t has no word {key:?}"), None);
        }
        self.arguments(helper);
    }

    fn arguments(&mut self, helper: &HelperTemplate) {
        for parameter in helper.params.iter().chain(helper.hash.values()) {
            self.parameter(parameter);
        }
    }

    fn parameter(&mut self, parameter: &Parameter) {
        match parameter {
            Parameter::Path(path) => {
                self.value(path);
            }
            Parameter::Name(name) => {
                self.complain("E204", format!("{name} is not in the context"), None);
            }
            Parameter::Subexpression(inner) => self.subexpression(inner.as_element()),
            // The rest are literals, which contain no names.
            _ => {}
        }
    }

    fn subexpression(&mut self, element: &TemplateElement) {
        if let TemplateElement::Expression(helper) = element {
            self.expression(helper);
        }
    }

    fn block(&mut self, helper: &HelperTemplate) {
        let name = name_of(&helper.name).to_owned();
        match name.as_str() {
            "if" | "unless" => {
                if helper.params.is_empty() {
                    self.complain("E205", format!("{name} needs a condition"), None);
                }
                self.arguments(helper);
                self.branch(helper.template.as_ref());
            }
            "each" | "with" => self.scoped(helper, name == "each"),
            _ => {
                let help = nearest(&name, helpers::BLOCKS.iter().copied());
                self.complain("E205", format!("there is no block helper {name}"), help);
            }
        }
        self.branch(helper.inverse.as_ref());
    }

    fn branch(&mut self, template: Option<&Template>) {
        if let Some(template) = template {
            let place = self.place;
            self.template(template);
            self.place = place;
        }
    }

    fn scoped(&mut self, helper: &HelperTemplate, each: bool) {
        let Some(Parameter::Path(path)) = helper.params.first() else {
            let message = "each and with need a name from the context";
            return self.complain("E205", message, None);
        };
        let Some(value) = self.value(path) else {
            return;
        };
        let this = match value {
            Value::Array(items) if each => items.first().unwrap_or(ANYTHING),
            // A loop over an object's members: their shape is unknown unless all are alike.
            Value::Object(_) if each => ANYTHING,
            other => other,
        };
        let params = match &helper.block_param {
            None => Vec::new(),
            Some(handlebars::template::BlockParam::Single(one)) => {
                vec![(name_of(one).to_owned(), this)]
            }
            Some(handlebars::template::BlockParam::Pair((one, key))) => vec![
                (name_of(one).to_owned(), this),
                (name_of(key).to_owned(), ANYTHING),
            ],
            Some(_) => Vec::new(),
        };
        self.scopes.push(Scope { this, each, params });
        let weight = self.weight;
        if each {
            self.weight = weight.saturating_mul(LIST_MAX);
        }
        self.branch(helper.template.as_ref());
        self.weight = weight;
        self.scopes.pop();
    }

    /// Returns the shape of a path; reports a path that does not exist.
    fn value(&mut self, path: &Path) -> Option<&'a Value> {
        match self.resolve(path) {
            Ok(value) => Some(value),
            Err(help) => {
                self.complain("E204", format!("{} is not in the context", raw(path)), help);
                None
            }
        }
    }

    fn resolve(&self, path: &Path) -> Result<&'a Value, Option<String>> {
        let segments = match path {
            Path::Local((_, name, _)) => {
                let known = matches!(name.as_str(), "index" | "key" | "first" | "last");
                let in_each = self.scopes.iter().any(|scope| scope.each);
                return if known && in_each {
                    Ok(ANYTHING)
                } else {
                    Err(None)
                };
            }
            Path::Relative((segments, _)) => segments,
        };
        let mut scope = self.scopes.len().saturating_sub(1);
        let mut value: Option<&'a Value> = None;
        let mut trail = String::new();
        for segment in segments {
            match segment {
                PathSeg::Named(name) => {
                    let from = match value {
                        Some(value) => value,
                        None => match self.param(scope, name) {
                            Some(param) => {
                                value = Some(param);
                                continue;
                            }
                            None => self.scopes[scope].this,
                        },
                    };
                    value = Some(member(from, name, &trail)?);
                    trail = format!("{trail}{name}.");
                }
                // Grammar rules, which are private: `..` and `@root`.
                rule => {
                    let rule = format!("{rule:?}");
                    if rule.contains("path_up") {
                        scope = scope.checked_sub(1).ok_or(None)?;
                    } else if rule.contains("path_root") {
                        value = Some(self.shape);
                    }
                }
            }
        }
        Ok(value.unwrap_or(self.scopes[scope].this))
    }

    fn param(&self, scope: usize, name: &str) -> Option<&'a Value> {
        let scopes = self.scopes.get(..=scope)?.iter().rev();
        scopes
            .flat_map(|scope| &scope.params)
            .find(|(param, _)| param == name)
            .map(|(_, value)| *value)
    }
}

fn member<'a>(from: &'a Value, name: &str, trail: &str) -> Result<&'a Value, Option<String>> {
    match from {
        // The operator chooses these names.
        Value::Object(_) if trail == "rule.labels." => Ok(ANYTHING),
        Value::Object(members) => members
            .get(name)
            .ok_or_else(|| nearest(name, members.keys().map(String::as_str))),
        Value::Array(items) if name.parse::<usize>().is_ok() => {
            Ok(items.first().unwrap_or(ANYTHING))
        }
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(None)
        }
    }
}

fn raw(path: &Path) -> &str {
    match path {
        Path::Relative((_, raw)) | Path::Local((_, _, raw)) => raw,
    }
}

fn name_of(parameter: &Parameter) -> &str {
    match parameter {
        Parameter::Name(name) => name,
        Parameter::Path(path) => raw(path),
        _ => "",
    }
}

/// Returns `did you mean …?` if `name` is similar to a known name.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    known
        .map(|one| (strsim::damerau_levenshtein(name, one), one))
        .filter(|(distance, one)| *distance <= 1 + one.len() / 4)
        .min()
        .map(|(_, one)| format!("did you mean {one:?}?"))
}

/// Inserts the partials into `template` and turns triple braces into double ones. So the rendered template
/// includes nothing and escapes everything. The partials must have been checked.
pub(super) fn expand(mut template: Template, partials: &BTreeMap<String, Template>) -> Template {
    let elements = std::mem::take(&mut template.elements);
    let mapping = std::mem::take(&mut template.mapping);
    let mut mapping = mapping.into_iter();
    for element in elements {
        // The parser records no position for the block that an `else if` opens.
        let place = mapping.next();
        let element = match element {
            TemplateElement::PartialExpression(partial) => {
                if let Some(inner) = partials.get(name_of(&partial.name)) {
                    let inner = expand(inner.clone(), partials);
                    template.elements.extend(inner.elements);
                    template.mapping.extend(inner.mapping);
                }
                continue;
            }
            TemplateElement::HtmlExpression(helper) => TemplateElement::Expression(helper),
            TemplateElement::HelperBlock(mut helper) => {
                helper.template = helper.template.map(|inner| expand(inner, partials));
                helper.inverse = helper.inverse.map(|inner| expand(inner, partials));
                TemplateElement::HelperBlock(helper)
            }
            other => other,
        };
        template.elements.push(element);
        template.mapping.extend(place);
    }
    template
}
