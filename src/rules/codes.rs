//! Lists the diagnostic codes of rules. A code never changes its meaning.

/// Each code with its meaning in one line; `docs/diagnostics.md` explains them in full.
pub const CODES: &[(&str, &str)] = &[
    (DUPLICATE_NAME, "two rules have the same name"),
    (UNKNOWN_DESTINATION, "`send_to` names no destination"),
    (UNKNOWN_TEMPLATE, "`template` names no template"),
    (UNKNOWN_MENTION, "`mention` names nobody of `[mentions]`"),
    (
        UNKNOWN_APP,
        "`app` is neither the name nor the id of an app",
    ),
    (UNKNOWN_VIA, "`via` names no app of `[apps]`"),
    (UNKNOWN_VALUE, "a value that its key does not accept"),
    (BAD_PATTERN, "an invalid glob or regular expression"),
    (EMPTY, "an empty value, which would match nothing"),
    (
        OUT_OF_RANGE,
        "a number, text or list is too large or too small",
    ),
    (
        STATUS_OF_CREATED,
        "`status` in a rule for new feedback, which has none",
    ),
    (UNKNOWN_LIST, "`\"@name\"` names no list of `[lists]`"),
    (
        UNREACHABLE,
        "an unreachable rule: an earlier one matches everything it could",
    ),
    (NEVER_MATCHES, "a rule whose conditions exclude each other"),
    (FAULTS_UNROUTED, "some faults match no rule"),
    (EXCEPT_NEVER_HOLDS, "a key of `except` that never holds"),
    (
        PATH_IS_PREFIX,
        "a `path` without `*` that is only the beginning of known pages",
    ),
    (QUERY_IN_PATH, "a `path` that contains a query"),
    (
        TEMPLATE_OF_FAMILY,
        "a template that is missing for a destination's family",
    ),
];

pub(super) use crate::toml_reader::codes::{
    MISSING_KEY, NOT_BUILT, UNKNOWN_KEY, WRONG_TYPE, WRONG_VALUE,
};

pub(super) const DUPLICATE_NAME: &str = "E104";
pub(super) const UNKNOWN_DESTINATION: &str = "E105";
pub(super) const UNKNOWN_TEMPLATE: &str = "E106";
pub(super) const UNKNOWN_MENTION: &str = "E107";
pub(super) const UNKNOWN_APP: &str = "E108";
pub(super) const UNKNOWN_VIA: &str = "E109";
pub(super) const UNKNOWN_VALUE: &str = "E110";
pub(super) const BAD_PATTERN: &str = "E111";
pub(super) const EMPTY: &str = "E112";
pub(super) const OUT_OF_RANGE: &str = "E113";
pub(super) const STATUS_OF_CREATED: &str = "E114";
pub(super) const UNKNOWN_LIST: &str = "E115";
pub(super) const UNREACHABLE: &str = "W101";
pub(super) const NEVER_MATCHES: &str = "W102";
pub(super) const FAULTS_UNROUTED: &str = "W103";
pub(super) const EXCEPT_NEVER_HOLDS: &str = "W104";
pub(super) const PATH_IS_PREFIX: &str = "W105";
pub(super) const QUERY_IN_PATH: &str = "W106";
pub(super) const TEMPLATE_OF_FAMILY: &str = "W107";
