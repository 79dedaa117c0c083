//! What is printed on standard output, and how a verdict reads.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use checker::{Standing, Verdict, Why, Witness, WitnessOp};

use crate::exit::Refusal;

/// Prints text. A reader that went away early (`| head`) is no failure.
pub(crate) fn text(text: &str) -> Result<(), Refusal> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Refusal::broken(format_args!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints one JSON object.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), Refusal> {
    let line = serde_json::to_string_pretty(value).map_err(Refusal::broken)?;
    text(&(line + "\n"))
}

/// What a verdict rests on, for people: nothing for a valid one.
pub(crate) fn evidence(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Valid { .. } => String::new(),
        Verdict::Unknown { why: Why::OutOfTime } => {
            "no verdict: the time that was given ran out\n".to_owned()
        }
        Verdict::Unknown { why: Why::OutOfMemory } => {
            "no verdict: the memory that was given ran out\n".to_owned()
        }
        Verdict::Invalid { witness } => describe(witness),
    }
}

fn describe(witness: &Witness) -> String {
    let mut out = String::new();
    let key = witness.key.as_ref().map_or_else(String::new, |key| format!(" of key {key}"));
    let _ = writeln!(out, "{}", witness.sentence);
    let shortest = if witness.shortest { "shortest" } else { "short" };
    let _ = writeln!(
        out,
        "\nthe {shortest} part{key} that cannot be explained ends at index {}:",
        witness.prefix_ends
    );
    if witness.others > 0 {
        let _ = writeln!(out, "    … {} other ops of this key", witness.others);
    }
    for op in &witness.ops {
        let _ = writeln!(out, "{}", row(op));
    }
    if !witness.states.is_empty() {
        let _ = writeln!(out, "what it may have held before: {}", witness.states.join(", "));
    }
    out
}

fn row(op: &WitnessOp) -> String {
    let mark = if op.named { "  →" } else { "   " };
    let node = op.node.map_or_else(String::new, |node| format!(" at {node}"));
    let result = op.result.as_ref().map_or_else(String::new, |result| format!(" = {result}"));
    let indexes = match op.completed {
        Some(completed) => format!("index {} to {completed}", op.invoked),
        None => format!("index {}, never answered", op.invoked),
    };
    let standing = match op.standing {
        Standing::Acknowledged => "",
        Standing::Open => ", open",
        Standing::Failed => ", failed",
    };
    let value = shortened(op.value.to_string());
    format!("{mark} process {}{node}: {} {value}{result}  ({indexes}{standing})", op.process, op.f)
}

/// How much of a value fits beside the rest of a row.
const WIDTH: usize = 60;

/// A long value without its middle. It stands whole in the history and in `--json`.
fn shortened(value: String) -> String {
    let length = value.chars().count();
    if length <= WIDTH {
        return value;
    }
    let start: String = value.chars().take(WIDTH / 3).collect();
    let end: String = value.chars().skip(length - WIDTH * 2 / 3).collect();
    format!("{start}…{end}")
}
