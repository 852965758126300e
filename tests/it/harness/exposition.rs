//! Parses the output of `/metrics`.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::relay::Relay;

/// Labels whose values are names, or not known in advance.
const OPEN: &[&str] = &["app", "destination", "rule", "hash", "version", "le"];

/// All metrics of a relay.
#[derive(Debug)]
pub struct Exposition {
    pub families: BTreeMap<String, Family>,
}

/// A metric family.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub help: String,
    /// The values of each label.
    pub labels: BTreeMap<String, BTreeSet<String>>,
    /// Each sample by its name and labels, unchanged.
    pub samples: BTreeMap<String, f64>,
}

impl Exposition {
    /// Reads the metrics of a running relay in the Prometheus format.
    pub fn of(relay: &Relay) -> Self {
        Self::read(&relay.get("/metrics").text())
    }

    pub fn read(text: &str) -> Self {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let label = Regex::new(r#"(\w+)="((?:[^"\\]|\\.)*)""#).expect("a good pattern");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a name and words");
                let twice = families.insert(name.into(), Family::default());
                assert!(twice.is_none(), "{name} is there twice");
                families.entry(name.into()).or_default().help = help.into();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a type");
                let family = families.get_mut(name).expect("its help stands above");
                family.kind = kind.into();
            } else {
                let (sample, value) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
                let name = family_of(&families, name);
                let family = families.get_mut(&name).expect("its help stands above");
                let value = value.parse().expect("a number");
                family.samples.insert(sample.into(), value);
                for found in label.captures_iter(labels) {
                    let values = family.labels.entry(found[1].into()).or_default();
                    values.insert(found[2].into());
                }
            }
        }
        Self { families }
    }

    /// Returns the family of a sample.
    pub fn family(&self, sample: &str) -> Option<&Family> {
        self.families.get(&family_of(&self.families, sample))
    }

    /// Returns the value of a sample; panics if it is absent.
    pub fn value(&self, sample: &str) -> f64 {
        let mut found = self
            .families
            .values()
            .map(|family| family.samples.get(sample));
        let value = found.find_map(|value| value.copied());
        value.unwrap_or_else(|| panic!("no {sample} in {self:#?}"))
    }

    /// Returns all samples.
    pub fn samples(&self) -> BTreeMap<&str, f64> {
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples
            .map(|(name, value)| (name.as_str(), *value))
            .collect()
    }
}

impl Family {
    /// Returns the fixed words of a label; `None` if its values are names.
    pub fn words(&self, label: &str) -> Option<&BTreeSet<String>> {
        self.labels.get(label).filter(|_| !OPEN.contains(&label))
    }
}

fn family_of(families: &BTreeMap<String, Family>, sample: &str) -> String {
    let part = ["_bucket", "_sum", "_count"];
    let whole = part.iter().find_map(|part| sample.strip_suffix(part));
    let whole = whole.filter(|whole| {
        let family = families.get(*whole);
        family.is_some_and(|family| family.kind == "histogram")
    });
    whole.unwrap_or(sample).to_owned()
}
