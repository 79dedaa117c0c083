//! What each reduction of the frontier is worth: the same histories, one switched off at a time.

use std::fmt;

use checker::{Choice, Reductions, Setup};
use serde::Serialize;

use super::report::number;

/// A way to carry out a check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    pub name: &'static str,
    pub setup: Setup,
}

/// All of them. The second, the frontier with all reductions, is what the others are compared with.
pub(super) fn variants() -> Vec<Variant> {
    let by = |name, engine, reductions| {
        let mut setup = Setup::default();
        (setup.engine, setup.reductions) = (engine, reductions);
        Variant { name, setup }
    };
    let all = Reductions::default();
    let without = |name, reductions| by(name, Choice::Frontier, reductions);
    vec![
        by("rules", Choice::Auto, all),
        by("frontier", Choice::Frontier, all),
        without("-classes", Reductions { classes: false, ..all }),
        without("-dominance", Reductions { dominance: false, ..all }),
        without("-greedy", Reductions { greedy: false, ..all }),
        without("-lazy", Reductions { lazy: false, ..all }),
        without("-race", Reductions { race: false, ..all }),
        without("-all", Reductions::NONE),
        by("plain", Choice::Wgl, all),
    ]
}

/// The one that the others are compared with.
const BASE: usize = 1;

/// What one row came to, variant by variant.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ablated {
    pub name: String,
    /// None where nothing could be measured.
    pub cells: Vec<Option<Cell>>,
}

/// One row by one variant.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cell {
    pub ms: f64,
    /// Histories for which a budget ran out.
    pub unknown: usize,
}

/// All rows.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Table {
    pub variants: Vec<&'static str>,
    pub rows: Vec<Ablated>,
}

/// Times in milliseconds, and below them how many times as long as with all reductions. `>` says that a
/// budget ran out, so that it would be more.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16}", "ms")?;
        for variant in &self.variants {
            write!(f, " {variant:>10}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:<16}", row.name)?;
            for cell in &row.cells {
                write!(f, " {:>10}", cell.as_ref().map_or("-".to_owned(), |cell| marked(cell, cell.ms, "")))?;
            }
            write!(f, "\n{:<16}", "")?;
            let base = row.cells.get(BASE).and_then(Option::as_ref);
            for cell in &row.cells {
                let factor = base.zip(cell.as_ref()).filter(|(base, _)| base.unknown == 0);
                let text = factor.map(|(base, cell)| marked(cell, cell.ms / base.ms, "x"));
                write!(f, " {:>10}", text.unwrap_or_default())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn marked(cell: &Cell, value: f64, unit: &str) -> String {
    let more = if cell.unknown > 0 { ">" } else { "" };
    format!("{more}{}{unit}", number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_gave_up_is_marked_and_compared() {
        let cell = |ms, unknown| Some(Cell { ms, unknown });
        let cells = vec![cell(1.0, 0), cell(2.0, 0), cell(10_000.0, 1), None];
        let rows = vec![Ablated { name: "hard".to_owned(), cells }];
        let text = Table { variants: vec!["rules", "frontier", "-classes", "plain"], rows }.to_string();
        assert!(text.contains(">10000") && text.contains(">5000x") && text.contains("0.500x"), "{text}");
    }

    #[test]
    fn each_variant_differs_from_the_base_in_one_thing() {
        let variants = variants();
        let base = variants[BASE].setup;
        assert_eq!(variants[BASE].name, "frontier");
        assert_eq!(base.reductions, Reductions::default());
        let off = variants.iter().filter(|variant| {
            let it = variant.setup.reductions;
            let of = [it.classes, it.dominance, it.greedy, it.lazy, it.race];
            variant.setup.engine == Choice::Frontier && of.iter().filter(|on| !**on).count() == 1
        });
        assert_eq!(off.count(), 5);
    }
}
