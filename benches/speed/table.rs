//! The results, beside the wanted values.

use std::fmt;

/// The wanted value of a figure. The first number is required; the second is what the best program
/// would reach.
#[derive(Clone, Copy, PartialEq)]
pub enum Wanted {
    /// Nothing; the figure explains another one.
    Nothing,
    /// The median of the rounds is at least this.
    AtLeast(f64, f64),
    /// The median of the rounds is at most this.
    AtMost(f64, f64),
    /// No round exceeds this.
    Never(f64, f64),
}

/// A measured figure, once per round.
#[derive(Clone, Copy, PartialEq)]
pub struct Figure {
    /// The row of the table.
    pub row: u8,
    /// The name, with its unit.
    pub what: &'static str,
    /// The wanted value.
    pub wanted: Wanted,
}

/// Returns a figure of this row.
pub const fn figure(row: u8, what: &'static str, wanted: Wanted) -> Figure {
    Figure { row, what, wanted }
}

/// Every figure of every round.
#[derive(Default)]
pub struct Table(Vec<(Figure, Vec<f64>)>);

impl Table {
    /// Stores a value, and prints it in case a later measurement fails.
    pub fn add(&mut self, figure: Figure, value: f64) {
        println!(
            "{:>4} {:<72} {}",
            figure.row,
            figure.what,
            Shown(Some(value))
        );
        match self.0.iter_mut().find(|(known, _)| *known == figure) {
            Some((_, values)) => values.push(value),
            None => self.0.push((figure, vec![value])),
        }
    }
}

/// Formats a table in Markdown.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | what | median | rounds | must | aim | met |")?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- | --- |")?;
        let mut rows: Vec<_> = self.0.iter().collect();
        rows.sort_by_key(|(figure, _)| figure.row);
        for (figure, values) in rows {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let median = sorted.get(sorted.len() / 2).copied();
            let (least, most) = (sorted.first().copied(), sorted.last().copied());
            writeln!(
                f,
                "| {} | {} | {} | {}–{} | {} |",
                figure.row,
                figure.what,
                Shown(median),
                Shown(least),
                Shown(most),
                verdict(figure.wanted, median, most),
            )?;
        }
        Ok(())
    }
}

/// Returns the required value, the aim, and which of them is met.
fn verdict(wanted: Wanted, median: Option<f64>, most: Option<f64>) -> String {
    let (sign, must, aim, value) = match wanted {
        Wanted::Nothing => return "| |".to_owned(),
        Wanted::AtLeast(must, aim) => ("≥", must, aim, median),
        Wanted::AtMost(must, aim) => ("≤", must, aim, median),
        Wanted::Never(must, aim) => ("≤", must, aim, most),
    };
    let holds = |limit: f64| match (wanted, value) {
        (Wanted::AtLeast(..), Some(value)) => value >= limit,
        (_, Some(value)) => value <= limit,
        (_, None) => false,
    };
    let met = match (holds(aim), holds(must)) {
        (true, _) => "aim",
        (false, true) => "must",
        (false, false) => "**no**",
    };
    let (must, aim) = (Shown(Some(must)), Shown(Some(aim)));
    format!("{sign} {must} | {sign} {aim} | {met}")
}

/// A number with its significant digits.
struct Shown(Option<f64>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("–"),
            Some(value) if value.fract() == 0.0 => write!(f, "{value}"),
            Some(value) if value.abs() >= 100.0 => write!(f, "{value:.0}"),
            Some(value) if value.abs() >= 10.0 => write!(f, "{value:.1}"),
            Some(value) => write!(f, "{value:.2}"),
        }
    }
}
