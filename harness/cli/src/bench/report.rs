//! What was measured, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use checker::By;
use serde::{Deserialize, Serialize};

/// One row: histories of one kind, and what judging them cost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct RowReport {
    pub name: String,
    /// What they are like.
    pub story: String,
    pub histories: usize,
    /// Of all histories together.
    pub ops: usize,
    /// How many were found what.
    pub verdicts: BTreeMap<String, usize>,
    /// Those that were found what they certainly are not, by name or seed.
    pub wrong: Vec<String>,
    /// Who judged, and why it was up to him.
    pub by: Vec<By>,
    pub figures: Vec<Figure>,
    /// What else people should know.
    pub notes: Vec<String>,
}

impl RowReport {
    pub(super) fn new(name: &str, story: &str) -> RowReport {
        RowReport {
            name: name.to_owned(),
            story: story.to_owned(),
            histories: 0,
            ops: 0,
            verdicts: BTreeMap::new(),
            wrong: Vec::new(),
            by: Vec::new(),
            figures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// One more history, of so many ops, found so.
    pub(super) fn add(&mut self, ops: usize, word: &str) {
        self.histories += 1;
        self.ops += ops;
        *self.verdicts.entry(word.to_owned()).or_default() += 1;
    }

    /// So many judged so.
    pub(super) fn found(&self, word: &str) -> usize {
        self.verdicts.get(word).copied().unwrap_or(0)
    }

    pub(super) fn figure(&mut self, name: &str, value: f64, unit: &str, target: Option<f64>) {
        self.figures.push(Figure {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            target,
            holds: target.map(|target| value <= target),
        });
    }

    /// What a figure came to.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }
}

/// A number, and what it should be at most.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
}

impl fmt::Display for RowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.name, self.story)?;
        if self.histories > 0 {
            writeln!(f, "  {}", self.found_and_by())?;
        }
        for figure in &self.figures {
            writeln!(f, "  {figure}")?;
        }
        for wrong in &self.wrong {
            writeln!(f, "  WRONG: {wrong}")?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}

impl RowReport {
    /// `1000 ops, valid, by zones, since every value is written once`.
    fn found_and_by(&self) -> String {
        let together = if self.histories == 1 { "" } else { " together" };
        let by = match self.by.as_slice() {
            [] => String::new(),
            [By { engine, since }] => format!(", by {engine}, since {since}"),
            several => {
                let engines: Vec<&str> = several.iter().map(|by| &*by.engine).collect();
                format!(", by {}", engines.join(", "))
            }
        };
        format!("{} ops{together}, {}{by}", self.ops, self.words())
    }

    /// `valid`, or `9 invalid, 1 valid`.
    fn words(&self) -> String {
        if self.histories == 1 {
            return self.verdicts.keys().cloned().collect();
        }
        let words = self.verdicts.iter().map(|(word, times)| format!("{times} {word}"));
        words.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figure { name, value, unit, target, .. } = self;
        write!(f, "{name:<24} {:>10} {unit}", number(*value))?;
        if let (Some(target), Some(holds)) = (target, self.holds) {
            let word = if holds { "holds" } else { "MISSED" };
            write!(f, ", target {target} {unit}: {word}")?;
        }
        Ok(())
    }
}

pub(super) fn count(times: usize, what: &str) -> String {
    if times == 1 { format!("1 {what}") } else { format!("{times} {what}s") }
}

/// Three digits that count.
pub(super) fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

/// The middle one; of an even number, the mean of the two in the middle. Nothing has no middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[count / 2]),
        count => Some(f64::midpoint(values[count / 2 - 1], values[count / 2])),
    }
}

/// The greatest; nothing has none.
pub(super) fn greatest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_holds_up_to_itself() {
        let mut row = RowReport::new("x", "y");
        row.add(7, "valid");
        row.figure("check", 2.0, "ms", Some(2.0));
        row.figure("memory", 2.1, "B/op", Some(2.0));
        assert_eq!(
            row.figures.iter().map(|figure| figure.holds).collect::<Vec<_>>(),
            [Some(true), Some(false)]
        );
        let text = row.to_string();
        assert!(text.contains("7 ops, valid") && text.contains("target 2 ms: holds"), "{text}");
        assert!(text.contains("2.10 B/op, target 2 B/op: MISSED"), "{text}");
    }

    #[test]
    fn the_middle_of_even_and_odd_and_nothing() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(greatest(&[1.0, 3.0, 2.0]), Some(3.0));
    }
}
