//! Defines every diagnostic code of the configuration and of rules in one table. `docs/diagnostics.md` explains each;
//! a test compares the two.
//!
//! Rules have E100–E199 and W100–W199. Templates have E200 and up, which `render` defines.

use crate::diag::Level;

/// A diagnostic code. Each is unique and its meaning never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub &'static str);

impl Code {
    /// Returns the level. Codes that begin with `W` are warnings.
    pub fn level(self) -> Level {
        if self.0.starts_with('W') {
            Level::Warning
        } else {
            Level::Error
        }
    }
}

macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: Code = Code($code);)*

        /// Every code with its meaning.
        #[cfg(test)]
        pub const ALL: &[(&str, &str)] = &[$(($code, $meaning)),*];
    };
}

codes! {
    SYNTAX = "E001", "not TOML";
    UNREADABLE = "E002", "a file could not be read";
    NOT_UTF8 = "E003", "a file is not UTF-8";
    INCLUDE = "E004", "an invalid `include` pattern";
    UNKNOWN_KEY = "E005", "an unknown key";
    NOT_BUILT = "E006", "not built yet";
    WRONG_TYPE = "E007", "a value of the wrong type";
    WRONG_VALUE = "E008", "an invalid value";
    MISSING_KEY = "E009", "a required key is missing";
    UNSET = "E010", "an environment variable is not set";
    BAD_REFERENCE = "E011", "a malformed `${…}`";
    SECRET_FILE = "E012", "a secret's file could not be read";
    EMPTY_SECRET = "E013", "an empty secret";
    BAD_VARIABLE = "E014", "a `RELAY__…` variable that does not name a single value";
    BAD_NAME = "E015", "a name with invalid characters";
    OUT_OF_RANGE = "E016", "a value outside its range";
    FLAW = "E017", "stray quotes, white space, comments or invisible characters in a value";
    NO_KEY = "E020", "a webhook app without key and token";
    SAME_APP_ID = "E021", "two apps with the same `app_id`";
    BAD_APP_ID = "E022", "not an app id";
    UNKNOWN_DESTINATION = "E023", "no such destination";
    UNKNOWN_APP = "E024", "no such app";
    NO_APP_SECRET = "E025", "the app has no `app_secret`";
    FALLBACK_CYCLE = "E026", "a cycle of fallbacks";
    NO_TEMPLATES_DIR = "E027", "`templates.dir` is missing";
    NO_TEMPLATE = "E028", "no such template";
    BAD_URL = "E029", "not a usable URL";
    WEBHOOK_SECRET = "E030", "not a signing secret of Standard Webhooks";
    BAD_HEADER = "E031", "an invalid header";
    SAME_ADDRESS = "E032", "two listeners on the same address";
    BAD_STORE = "E033", "not a store URL";
    BAD_HOST = "E034", "not a host pattern";
    BAD_MENTION = "E035", "not a person that can be mentioned";
    NAME_TAKEN = "E036", "a name that is used twice";
    NO_APPS = "E037", "no app";
    OTHER_KIND = "E038", "a URL for another kind of destination";
    PLACEHOLDER = "E039", "a placeholder that was not replaced";
    BAD_RECEIVER = "E040", "not a chat or a person of Feishu";
    BAD_CHANNEL = "E041", "not a channel id";
    OLD_NAME = "E042", "an old name that is in use";
    BAD_SUCCESS = "E043", "an invalid `success` of a webhook";
    TEST_EVENT = "E060", "a test's event could not be read";
    TEST_WITH = "E061", "`with` of a test names a field that the event does not have";
    UNKNOWN_RULE = "E062", "no such rule";
    TEST_FAILED = "E063", "a test fails";
    TEST_KEYS = "E064", "a key of a test that has no effect there";
    NO_RULES = "W001", "no rules";
    HTTP_TARGET = "W002", "a destination without TLS";
    SECRET_IN_FILE = "W003", "a secret written in the file";
    NO_PUBLIC_URL = "W004", "images cannot be shown without `public_url`";
    HTTP_PUBLIC_URL = "W005", "`public_url` without TLS";
    SECRET_LENGTH = "W006", "a signing secret of unusual length";
    NO_FALLBACK = "W007", "`fallback_after` without `fallback`";
    NO_INCLUDE = "W008", "an `include` pattern that matches no file";
    PRIVATE_HOST = "W009", "a host on a private network";
    TOKEN_KIND = "W011", "not a bot token";
    IGNORED_VARIABLE = "W012", "a variable that is ignored";
    UNUSED_LIST = "W013", "a list that no rule uses";
    WIDER_FALLBACK = "W014", "a fallback that may show more than its destination";
    PUBLIC_STATUS = "W015", "`/status` and `/metrics` on a public address";
    BARE_VARIABLE = "W016", "a variable without braces in a value";

    DUPLICATE_NAME = "E104", "two rules have the same name";
    UNKNOWN_SEND_TO = "E105", "`send_to` names no destination";
    UNKNOWN_TEMPLATE = "E106", "`template` names no template";
    UNKNOWN_MENTION = "E107", "`mention` names nobody of `[mentions]`";
    UNKNOWN_APP_NAME = "E108", "`app` is neither the name nor the id of an app";
    UNKNOWN_VIA = "E109", "`via` names no app of `[apps]`";
    UNKNOWN_VALUE = "E110", "a value that its key does not accept";
    BAD_PATTERN = "E111", "an invalid glob or regular expression";
    EMPTY = "E112", "an empty value, which would match nothing";
    RULE_OUT_OF_RANGE = "E113", "a number, text or list is too large or too small";
    STATUS_OF_CREATED = "E114", "`status` in a rule for new feedback, which has none";
    UNKNOWN_LIST = "E115", "`\"@name\"` names no list of `[lists]`";
    NEVER_GROUPS = "E116", "a key of incidents in a rule that never groups";
    BAD_STEP = "E117", "an incomplete or contradictory step of `escalate`";
    UNREACHABLE = "W101", "an unreachable rule: an earlier one matches everything it could";
    NEVER_MATCHES = "W102", "a rule whose conditions exclude each other";
    FAULTS_UNROUTED = "W103", "some faults match no rule";
    EXCEPT_NEVER_HOLDS = "W104", "a key of `except` that never holds";
    PATH_IS_PREFIX = "W105", "a `path` without `*` that is only the beginning of known pages";
    QUERY_IN_PATH = "W106", "a `path` that contains a query";
    TEMPLATE_OF_FAMILY = "W107", "a template that is missing for a destination's family";
    SAME_INCIDENTS = "W108", "two rules that count the same reports for one destination";
}
