//! Converts conditions to sets of texts, which the lints compare.

use std::collections::BTreeSet;

use super::matcher::{Contact, Glob, Matcher, Test};

/// A condition as a set of accepted texts.
#[derive(Debug)]
pub(super) enum Fact {
    /// The value of the key must be one of these texts.
    One(&'static str, BTreeSet<String>),
    /// All facts of one set hold.
    Any(Vec<Vec<Fact>>),
}

/// Returns the facts of all conditions of a set.
pub(super) fn of(set: &[Matcher]) -> Vec<Fact> {
    set.iter().map(of_one).collect()
}

pub(super) fn of_one(matcher: &Matcher) -> Fact {
    let texts: BTreeSet<String> = match &matcher.test {
        Test::Any(sets) => return Fact::Any(sets.iter().map(|set| of(set)).collect()),
        Test::Event(kinds) => kinds.iter().map(|kind| kind.key().to_owned()).collect(),
        Test::Status(codes) => codes.iter().map(|code| code.0.to_string()).collect(),
        Test::Kind(codes) => codes.iter().map(|code| code.0.to_string()).collect(),
        Test::Fault(codes) => codes.iter().map(|code| code.0.to_string()).collect(),
        Test::Source(codes) => codes.iter().map(|code| code.0.to_string()).collect(),
        Test::Via(apps) => apps.iter().map(|app| app.as_str().to_owned()).collect(),
        Test::App(texts) | Test::TenantKey(texts) | Test::User(texts) => {
            texts.iter().cloned().collect()
        }
        Test::Tenant(globs)
        | Test::Path(globs)
        | Test::Query(globs)
        | Test::Contact(Contact::Like(globs)) => globs.iter().map(written).collect(),
        Test::Description(patterns) => patterns.iter().map(|one| one.as_str().to_owned()).collect(),
        Test::Contact(Contact::Left(wanted)) | Test::Images(wanted) => {
            // Not a pattern: the glob "true" must differ from the flag.
            BTreeSet::from([format!("={wanted}")])
        }
    };
    Fact::One(matcher.key, texts)
}

fn written(glob: &Glob) -> String {
    format!("~{}", glob.written)
}

/// Returns whether `wide` always holds when all of `narrow` hold. It compares only the written values, so a
/// `false` may be wrong.
pub(super) fn implies(narrow: &[Fact], wide: &Fact) -> bool {
    let directly = match wide {
        Fact::Any(sets) => sets
            .iter()
            .any(|set| set.iter().all(|one| implies(narrow, one))),
        Fact::One(key, values) => narrow.iter().any(|one| match one {
            Fact::One(other, narrow) => other == key && narrow.is_subset(values),
            Fact::Any(_) => false,
        }),
    };
    directly
        || narrow.iter().any(|one| match one {
            Fact::Any(sets) => sets.iter().all(|set| implies(set, wide)),
            Fact::One(..) => false,
        })
}
