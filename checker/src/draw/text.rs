//! A witness as a picture in the terminal.
//!
//! One row per op, from its invocation to its end. Only lines of the history that begin or end one of
//! them have a column, in their order: what counts is what came before what, and not how long it took.
//!
//! ```text
//! • process 0 at n1  ├─write 1─┤                           0 to 1
//! • process 1 at n2              ├─write 2─┤               4 to 5
//! → process 0 at n1                          ├─read 1─┤    6 to 7
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::verdict::{Standing, Witness, WitnessOp};

/// How wide a picture may be.
const WIDTH: usize = 100;

/// How many rows it may have: those of ops that ended last.
const ROWS: usize = 16;

/// How much of a value it shows in a bar, and how much beside it.
const IN_BAR: usize = 24;
const BESIDE: usize = 10;

/// Draws the ops of a witness. Marked are the op whose answer cannot be explained (`→`) and the others
/// that are needed to contradict it (`•`).
pub fn draw(witness: &Witness) -> String {
    let mut ops: Vec<&WitnessOp> = witness.ops.iter().collect();
    let left_out = ops.len().saturating_sub(ROWS);
    if left_out > 0 {
        ops.sort_by_key(|op| (op.needed, ends(op)));
        ops.drain(..left_out);
        ops.sort_by_key(|op| op.invoked);
    }
    let ways = [(Labels::InBars, 2), (Labels::Beside, 3), (Labels::Beside, 2), (Labels::Beside, 1)];
    let mut ways = ways.into_iter().map(|(labels, gap)| Rows::new(witness, &ops, labels, gap));
    let narrow = ways.find(|rows| rows.width() <= WIDTH);
    let rows = narrow.unwrap_or_else(|| Rows::new(witness, &ops, Labels::Beside, 1));
    let mut out = String::new();
    if left_out > 0 {
        let _ = writeln!(out, "  … and {left_out} more, which ended earlier");
    }
    for op in &ops {
        out.push_str(&rows.row(witness, op));
        out.push('\n');
    }
    out
}

fn ends(op: &WitnessOp) -> u64 {
    match op.standing {
        Standing::Open => u64::MAX,
        Standing::Acknowledged | Standing::Failed => op.completed.unwrap_or(u64::MAX),
    }
}

/// Where it says what an op is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Labels {
    InBars,
    /// For many ops, or long ones.
    Beside,
}

/// A column: a line of the history, and what stands there. The line after which the past does not count
/// comes before the op that begins there.
type Line = (u64, bool);

/// Where everything stands.
struct Rows {
    labels: Labels,
    /// How wide the text before the bars is.
    before: usize,
    /// How wide the text after them is.
    after: usize,
    columns: BTreeMap<Line, usize>,
    /// How wide the bars are together.
    bars: usize,
}

impl Rows {
    fn new(witness: &Witness, ops: &[&WitnessOp], labels: Labels, gap: usize) -> Rows {
        let room =
            |op: &WitnessOp| if labels == Labels::InBars { label(op, IN_BAR).chars().count() + 3 } else { 1 };
        let starts = ops.iter().map(|op| ((op.invoked, true), None));
        let stops = ops.iter().filter(|op| ends(op) != u64::MAX).map(|op| ((ends(op), true), Some(*op)));
        let since = witness.since.map(|line| ((line, false), None));
        let lines: BTreeMap<Line, Option<&WitnessOp>> = starts.chain(stops).chain(since).collect();
        let mut columns: BTreeMap<Line, usize> = BTreeMap::new();
        let mut free = 0;
        for (&line, ending) in &lines {
            let after_label = ending.map_or(0, |op| columns[&(op.invoked, true)] + room(op));
            let column = free.max(after_label);
            columns.insert(line, column);
            free = column + gap;
        }
        let tail = |op: &&&WitnessOp| columns[&(op.invoked, true)] + room(op) + 3;
        let tails = ops.iter().filter(|op| ends(op) == u64::MAX);
        let bars = tails.map(|op| tail(&op)).max().unwrap_or(0).max(free);
        let widest = |text: &dyn Fn(&WitnessOp) -> String| {
            ops.iter().map(|op| text(op).chars().count()).max().unwrap_or(0)
        };
        let before = widest(&|op| who(op, labels));
        Rows { labels, before, after: widest(&lines_of), columns, bars }
    }

    fn width(&self) -> usize {
        self.before + self.bars + self.after + 6
    }

    fn row(&self, witness: &Witness, op: &WitnessOp) -> String {
        let mut cells = vec![' '; self.bars];
        if let Some(line) = witness.since {
            cells[self.columns[&(line, false)]] = '┆';
        }
        let start = self.columns[&(op.invoked, true)];
        let (stop, fill, cap) = match op.standing {
            Standing::Acknowledged => (self.columns[&(ends(op), true)], '─', '┤'),
            Standing::Failed if op.completed.is_some() => (self.columns[&(ends(op), true)], '╌', '╳'),
            Standing::Failed => (self.bars - 1, '╌', '╳'),
            Standing::Open => (self.bars - 1, '·', '·'),
        };
        cells[start..=stop].fill(fill);
        cells[start] = '├';
        cells[stop] = cap;
        if self.labels == Labels::InBars {
            let label: Vec<char> = label(op, IN_BAR).chars().collect();
            if op.standing == Standing::Open {
                cells[start + 1] = '─';
                cells[start + 2 + label.len()] = ' ';
            }
            cells[start + 2..start + 2 + label.len()].copy_from_slice(&label);
        }
        let bar: String = cells.into_iter().collect();
        let (who, lines) = (who(op, self.labels), lines_of(op));
        format!("{} {who:<before$}  {bar}  {lines}", mark(witness, op), before = self.before)
    }
}

fn mark(witness: &Witness, op: &WitnessOp) -> char {
    let culprit = op.standing == Standing::Acknowledged && op.completed == Some(witness.prefix_ends);
    match (culprit, op.needed) {
        (true, _) => '→',
        (false, true) => '•',
        (false, false) => ' ',
    }
}

fn who(op: &WitnessOp, labels: Labels) -> String {
    let at = op.node.map_or_else(String::new, |node| format!(" at {node}"));
    match labels {
        Labels::InBars => format!("process {}{at}", op.process),
        Labels::Beside => format!("process {}{at}: {}", op.process, label(op, BESIDE)),
    }
}

fn lines_of(op: &WitnessOp) -> String {
    match (op.standing, op.completed) {
        (Standing::Acknowledged | Standing::Failed, Some(end)) => format!("{} to {end}", op.invoked),
        _ => format!("{}, open", op.invoked),
    }
}

/// "write 7", "cas [1,2] = false", "read nothing".
pub(crate) fn label(op: &WitnessOp, most: usize) -> String {
    let value = match &op.value {
        Value::Null if op.standing == Standing::Acknowledged => " nothing".to_owned(),
        Value::Null => String::new(),
        value => format!(" {}", shortened(&value.to_string(), most)),
    };
    let result = op.result.as_ref().map_or_else(String::new, |result| format!(" = {result}"));
    format!("{}{value}{result}", op.f)
}

/// A long text without its middle.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most / 3).collect();
    let end: String = text.chars().skip(length - (most - most / 3 - 1)).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use history::{NodeId, Process};
    use serde_json::json;

    use super::*;
    use crate::verdict::By;

    fn op(process: u64, f: &str, value: Value, invoked: u64, completed: Option<u64>) -> WitnessOp {
        WitnessOp {
            process: Process(process),
            node: Some(NodeId(1)),
            f: f.into(),
            value,
            result: None,
            invoked,
            completed,
            standing: if completed.is_some() { Standing::Acknowledged } else { Standing::Open },
            needed: completed.is_some(),
            named: true,
        }
    }

    fn witness(ops: Vec<WitnessOp>, since: Option<u64>) -> Witness {
        let prefix_ends = ops.iter().filter_map(|op| op.completed).max().unwrap_or(0);
        Witness {
            sentence: String::new(),
            key: None,
            by: By { engine: "zones".into(), since: "every value is written once".into() },
            prefix_ends,
            shortest: true,
            ops,
            minimal: true,
            since,
            others: 0,
            states: Vec::new(),
        }
    }

    #[test]
    fn what_came_before_what_can_be_seen() {
        let ops = vec![
            op(0, "write", json!(1), 0, Some(1)),
            op(1, "write", json!(2), 2, None),
            op(2, "read", json!(2), 3, Some(9)),
            op(3, "read", json!(1), 7, Some(12)),
        ];
        assert_eq!(
            draw(&witness(ops, Some(2))),
            "\
• process 0 at n1  ├─write 1─┤ ┆                  0 to 1
  process 1 at n1              ┆ ├─write 2 ·····  2, open
• process 2 at n1              ┆   ├─read 2─┤     3 to 9
→ process 3 at n1              ┆     ├─read 1─┤   7 to 12
"
        );
    }

    #[test]
    fn a_picture_is_never_too_wide_and_never_too_high() {
        for count in 1..=80 {
            let value = |op: u64| json!("x".repeat(usize::try_from(op).unwrap() % 40));
            let ops = (0..count).map(|at| {
                let mut shown = op(at, "append", value(at), 1_000_000 + 3 * at, Some(1_000_002 + 4 * at));
                if at % 5 == 3 {
                    shown.standing = Standing::Failed;
                }
                shown
            });
            let picture = draw(&witness(ops.collect(), None));
            let widest = picture.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= WIDTH, "{widest} columns for {count} ops:\n{picture}");
            assert!(picture.lines().count() <= ROWS + 1);
        }
    }
}
