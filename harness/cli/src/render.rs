//! What is printed on standard output, and how a verdict reads.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use checker::draw::text;
use checker::{Verdict, Why, Witness};

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
    let _ = writeln!(out, "{}\n\n{}", witness.sentence, text::draw(witness));
    let key = witness.key.as_ref().map_or_else(String::new, |key| format!(" of key {key}"));
    let needed = witness.ops.iter().filter(|op| op.needed).count();
    let others = match witness.others {
        0 => String::new(),
        1 => format!(", whatever the other op{key} before it did"),
        others => format!(", whatever the other {others} ops{key} before it did"),
    };
    let before = witness.since.map_or_else(String::new, |line| {
        format!("{} whatever was there at index {line} (┆)", if others.is_empty() { "," } else { ", and" })
    });
    let _ = match needed {
        0 => {
            writeln!(out, "these are the last ones{key}; which ones contradict each other was not found out")
        }
        1 => writeln!(out, "the answer marked → cannot be explained{others}{before}"),
        _ => writeln!(out, "the {needed} answers marked → and • contradict each other{others}{before}"),
    };
    if needed > 0 && !witness.minimal {
        let _ = writeln!(out, "fewer of them may be enough: there was no time to find out");
    }
    let (ends, shortest) = (witness.prefix_ends, witness.shortest);
    let without = if shortest { ", and up to the line before it can be" } else { "" };
    let _ = writeln!(out, "up to index {ends} the history{key} cannot be explained{without}");
    if !witness.states.is_empty() {
        let _ = writeln!(out, "what may have been there before: {}", witness.states.join(", "));
    }
    out
}
