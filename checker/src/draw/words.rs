//! What a page says in words: the sentence, what it rests on, and what forbids every order.

use std::fmt::Write as _;

use history::{Attempt, History, Key, Operation};

use crate::draw::text::{label, shortened};
use crate::verdict::{Verdict, Why, Witness, WitnessOp};

/// How much of a value is told.
const VALUE: usize = 40;

pub(super) fn sentence(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Valid { .. } => "Every answer can be explained.".to_owned(),
        Verdict::Unknown { why: Why::OutOfTime, .. } => {
            "No verdict: the time that was given ran out.".to_owned()
        }
        Verdict::Unknown { why: Why::OutOfMemory, .. } => {
            "No verdict: the memory that was given ran out.".to_owned()
        }
        Verdict::Invalid { witness } => {
            let mut letters = witness.sentence.chars();
            let first = letters.next().map(|first| first.to_uppercase().collect::<String>());
            format!("{}{}.", first.unwrap_or_default(), letters.as_str())
        }
    }
}

pub(super) fn facts<O: Operation>(history: &History<O, O::Ret>, verdict: &Verdict) -> String {
    let torn = if history.torn.is_some() { " Its last line is torn." } else { "" };
    match verdict {
        Verdict::Valid { linearization: Some(found), .. } => {
            let keys = found.keys.len();
            format!(
                "An order was found for the ops of {}, and verified. Dots show when each took effect.{torn}",
                if keys == 1 {
                    "the one key".to_owned()
                } else {
                    format!("each of {} keys", grouped(keys as u64))
                }
            )
        }
        Verdict::Valid { .. } | Verdict::Unknown { .. } => torn.trim_start().to_owned(),
        Verdict::Invalid { witness } => {
            let of_key = of_key(witness.key.as_ref());
            let needed = witness.ops.iter().filter(|op| op.needed).count();
            let mut facts = match needed {
                0 => String::new(),
                1 => "This answer cannot be explained".to_owned(),
                _ => format!("These {needed} answers contradict each other"),
            };
            match witness.others as u64 {
                0 => {}
                _ if needed == 0 => {}
                1 => facts.push_str(", whatever the other op before did"),
                others => {
                    let _ = write!(facts, ", whatever the other {} ops{of_key} before did", grouped(others));
                }
            }
            if let Some(line) = witness.since.filter(|_| needed > 0) {
                let _ = write!(facts, ", and whatever was there at index {line}");
            }
            if !facts.is_empty() {
                facts.push('.');
            }
            let ends = witness.prefix_ends;
            let _ = write!(facts, " Up to index {ends} the history{of_key} cannot be explained");
            facts.push_str(if witness.shortest { "; up to the line before, it can." } else { "." });
            let _ = write!(facts, " Judged by {}, since {}.{torn}", witness.by.engine, witness.by.since);
            facts.trim_start().to_owned()
        }
    }
}

fn of_key(key: Option<&Key>) -> String {
    key.map_or_else(String::new, |key| format!(" of key {key}"))
}

pub(super) fn foot<O: Operation>(
    history: &History<O, O::Ret>,
    witness: Option<&Witness>,
    drawn: &[usize],
) -> String {
    let left_out = (history.attempts.len() - drawn.len()) as u64;
    if left_out == 0 {
        return format!("All {} ops are drawn.", grouped(drawn.len() as u64));
    }
    let same_key = |attempt: &&Attempt<O, O::Ret>| witness.is_some_and(|witness| attempt.key == witness.key);
    let all = history.attempts.iter().filter(same_key).count();
    let here = drawn.iter().filter(|&&op| same_key(&&history.attempts[op])).count();
    let near = match witness {
        Some(witness) => format!(
            "those around the contradiction. {} of those left out are{}.",
            grouped((all - here) as u64),
            of_key(witness.key.as_ref()).replacen(" of key", " of the same key,", 1)
        ),
        None => "the first ones.".to_owned(),
    };
    format!(
        "{} of {} ops are drawn, {near} The rest is counted in the strip at the top.",
        grouped(drawn.len() as u64),
        grouped(history.attempts.len() as u64)
    )
}

/// The pairs of needed ops of which one had ended before the other began, without those that follow
/// from two others.
pub(super) fn pairs(witness: &Witness) -> Vec<(&WitnessOp, &WitnessOp)> {
    let ops: Vec<&WitnessOp> = witness.ops.iter().filter(|op| op.needed).collect();
    let before = |one: &WitnessOp, two: &WitnessOp| one.completed.is_some_and(|end| end < two.invoked);
    let mut pairs = Vec::new();
    for &one in &ops {
        for &two in ops.iter().filter(|&&two| before(one, two)) {
            if !ops.iter().any(|&between| before(one, between) && before(between, two)) {
                pairs.push((one, two));
            }
        }
    }
    pairs
}

/// What forbids every order, and the ops of the witness, as text.
pub(super) fn below(witness: &Witness) -> String {
    let mut out = String::new();
    let pairs = pairs(witness);
    if !pairs.is_empty() {
        out.push_str("<h2>What would have had to be reordered</h2>\n<ol class=\"pairs\">\n");
        for (one, two) in pairs {
            let end = one.completed.unwrap_or_default();
            let (one, two, from) = (named(one), named(two), two.invoked);
            let line = format!("{one} ended at index {end}, before {two} began at {from}");
            let _ = writeln!(out, "<li>{}</li>", escaped(&line));
        }
        out.push_str("</ol>\n");
    }
    out.push_str("<h2>The ops of the contradiction</h2>\n<table><tr><th></th><th>who</th><th>op</th><th>began</th><th>ended</th></tr>\n");
    for op in &witness.ops {
        let (class, mark) = match (op.needed, op.completed == Some(witness.prefix_ends)) {
            (true, true) => (" culprit", "→"),
            (true, false) => ("", "•"),
            (false, _) => ("", ""),
        };
        let node = op.node.map_or_else(String::new, |node| format!(" at {node}"));
        let ended = op.completed.map_or_else(|| "never".to_owned(), |line| line.to_string());
        let _ = writeln!(
            out,
            "<tr><td class=\"mark{class}\">{mark}</td><td>process {}{}</td><td class=\"op\">{}</td><td>{}</td><td>{ended}</td></tr>",
            op.process,
            escaped(&node),
            escaped(&label(op, 200)),
            op.invoked
        );
    }
    out.push_str("</table>\n");
    if !witness.states.is_empty() {
        let states = format!("What may have been there before: {}.", witness.states.join(", "));
        let _ = writeln!(
            out,
            "<p class=\"facts\" style=\"margin-top:10px\">{}</p>",
            escaped(&shortened(&states, 600))
        );
    }
    out
}

/// "process 3's read 7 at n1".
fn named(op: &WitnessOp) -> String {
    let node = op.node.map_or_else(String::new, |node| format!(" at {node}"));
    format!("process {}’s {}{node}", op.process, label(op, VALUE))
}

/// A number with its digits in threes.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Text that cannot be taken for markup.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}
