//! The two texts that readers of metrics take.

use std::collections::BTreeSet;
use std::fmt::Write;

/// How the numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own text, 0.0.4: what every reader takes.
    Prometheus,
    /// `OpenMetrics` 1.0: what Prometheus asks for first.
    OpenMetrics,
}

impl Format {
    /// What a request that accepts `accept` is answered with.
    pub fn accepted_by(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// `OpenMetrics` as the older text. There a counter's help and type stand under the name of its samples, and
/// units and the end are not said.
pub(super) fn prometheus(open_metrics: &str) -> String {
    let counters: BTreeSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let mut words = line.splitn(4, ' ');
        let about = (words.next(), words.next(), words.next(), words.next());
        let written = match about {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                writeln!(text, "# {what} {name}_total {rest}")
            }
            _ => writeln!(text, "{line}"),
        };
        written.expect("writing to a String does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_text_says_what_counters_are_under_the_name_of_their_samples() {
        let open_metrics = "# HELP a Some.\n# TYPE a counter\na_total{x=\"# TYPE b counter\"} 1\n\
             # HELP b_seconds Others.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds 2.0\n# EOF\n";
        let text = "# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"# TYPE b counter\"} 1\n\
             # HELP b_seconds Others.\n# TYPE b_seconds gauge\nb_seconds 2.0\n";
        assert_eq!(prometheus(open_metrics), text);
    }

    #[test]
    fn prometheus_gets_what_it_asks_for_first_and_people_what_all_can_read() {
        let asked = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(Format::accepted_by(asked), Format::OpenMetrics);
        assert_eq!(Format::accepted_by("*/*"), Format::Prometheus);
        assert_eq!(Format::accepted_by(""), Format::Prometheus);
    }
}
