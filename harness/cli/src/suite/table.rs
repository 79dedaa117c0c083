//! A suite as a table, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use raft::Bug;
use serde_json::{Value, json};
use sim::NotSmall;
use sim::hunt::{self, Eyes, Found, Hunt};

use super::small::{self, Small};
use super::{Control, Outcome, Row};
use crate::common::{count, program};
use crate::sim::asked;

/// Sentences are cut to this many letters.
const SENTENCE: usize = 72;

/// What became of a hunt, in a few words.
pub(super) fn became(hunt: &Hunt) -> String {
    let after = count(hunt.lives, "life").replace("lifes", "lives");
    match &hunt.found {
        Some(found) => format!("found as {} after {after}", found.sort),
        None if hunt.stopped => format!("stopped after {after}"),
        None => format!("not found in {after}"),
    }
}

/// For people.
pub(super) fn text(outcome: &Outcome) -> String {
    let mut out = String::new();
    if !outcome.rows.is_empty() {
        let _ = writeln!(
            out,
            "{:4} {:25} {:10} {:>6} {:>6} {:>10} {:>8}  because",
            "", "bug", "found as", "seed", "lives", "virtual s", "s"
        );
    }
    for row in &outcome.rows {
        let _ = writeln!(out, "{}", line(row));
    }
    if outcome.all {
        for (bug, why) in hunt::BEYOND {
            let (number, name) = (bug.number().unwrap_or(""), bug.name());
            let _ = writeln!(out, "{number:4} {name:25} not in this world: {why}");
        }
    }
    let _ = write!(out, "{}", summary(outcome));
    for row in &outcome.rows {
        let _ = match &row.hunt.found {
            Some(found) => writeln!(out, "{} again: {}", row.bug, again(found, outcome)),
            None => writeln!(out, "{} for longer: {}", row.bug, for_longer(row.bug, outcome)),
        };
    }
    let _ = write!(out, "{}", control(outcome));
    for doubt in outcome.doubts() {
        let _ = writeln!(out, "{doubt}");
    }
    let _ = writeln!(out, "verdict: {}", outcome.verdict());
    out
}

fn line(Row { bug, hunt, took, .. }: &Row) -> String {
    let number = bug.number().unwrap_or("");
    let (sort, seed, sentence) = match &hunt.found {
        Some(found) => (found.sort.to_string(), found.seed.to_string(), shortened(&found.sentence)),
        None => ("not found".to_owned(), String::new(), String::new()),
    };
    let lasted = hunt.virtual_time().as_secs_f64();
    let row = format!(
        "{number:4} {:25} {sort:10} {seed:>6} {:>6} {lasted:>10.0} {:>8.2}  {sentence}",
        bug.name(),
        hunt.lives,
        took.as_secs_f64()
    );
    row.trim_end().to_owned()
}

fn summary(outcome: &Outcome) -> String {
    if outcome.rows.is_empty() {
        return String::new();
    }
    let mut out = format!("killed: {} of {}", outcome.found().count(), outcome.rows.len());
    if outcome.all {
        let _ = write!(out, " that this world can show; {} it cannot yet", hunt::BEYOND.len());
    }
    out.push('\n');
    if let (Some(took), Some(lasted)) = (median_seconds(outcome), median_virtual_seconds(outcome)) {
        let _ = writeln!(out, "median time to kill: {took:.2} s on one core, {lasted:.0} virtual s");
    }
    out + &made_small(outcome)
}

/// How many finds became as small as they should, and what became of the others.
fn made_small(outcome: &Outcome) -> String {
    let tried: Vec<(Bug, &Result<Small, NotSmall>)> =
        outcome.rows.iter().filter_map(|row| Some((row.bug, row.small.as_ref()?))).collect();
    if tried.is_empty() {
        return String::new();
    }
    let is_small = |small: &Result<Small, NotSmall>| small.as_ref().is_ok_and(Small::is_small);
    let enough = tried.iter().filter(|(_, small)| is_small(small)).count();
    let mut out = format!(
        "made small: {enough} of {} to at most {} and {}\n",
        tried.len(),
        count(small::OPS as u64, "op"),
        count(small::FAULTS as u64, "fault")
    );
    for (bug, small) in tried {
        let became = small.as_ref().map_or_else(NotSmall::to_string, Small::text);
        let _ = writeln!(out, "{bug} made small: {became}");
    }
    out
}

fn control(outcome: &Outcome) -> String {
    let Control { swept, accused, took } = &outcome.control;
    let said = match accused {
        None => "none of them bad".to_owned(),
        Some(found) => format!("seed {} ends badly, by {}: {}", found.seed, found.sort, found.sentence),
    };
    let lives = swept.table.lives;
    let mut out = format!(
        "control: without a mistake {lives} lives, {:.0} virtual s, in {:.1} s: {said}\n",
        swept.virtual_time().as_secs_f64(),
        took.as_secs_f64()
    );
    if let Some(found) = accused {
        let _ = writeln!(out, "see it again: {}", again(found, outcome));
    }
    let _ = writeln!(out, "digest of the control: {:016x}", swept.digest);
    out
}

/// What to type to see it again. With the eyes of clients only a hunt sees it.
fn again(found: &Found, outcome: &Outcome) -> String {
    if let (Eyes::Clients, Some(bug)) = (outcome.eyes, found.plan.bugs.iter().next()) {
        return format!(
            "{} suite bugs-raft --world {} --only {bug} --control 0{}",
            program(),
            outcome.world(),
            outcome.out
        );
    }
    asked::command(&found.plan, None, asked::one(found.seed)) + &outcome.out
}

/// What to type to hunt it alone, for twice as long.
fn for_longer(bug: Bug, outcome: &Outcome) -> String {
    let (Outcome { budget, out, .. }, world) = (outcome, outcome.world());
    format!(
        "{} suite bugs-raft --world {world} --only {bug} --budget {}{out}",
        program(),
        2 * budget.as_secs().max(1)
    )
}

/// The first letters of a sentence.
pub(super) fn shortened(sentence: &str) -> String {
    if sentence.chars().count() <= SENTENCE {
        return sentence.to_owned();
    }
    let first: String = sentence.chars().take(SENTENCE - 1).collect();
    format!("{}…", first.trim_end())
}

fn median_seconds(outcome: &Outcome) -> Option<f64> {
    median(outcome.found().map(|(row, _)| row.took.as_secs_f64()).collect())
}

fn median_virtual_seconds(outcome: &Outcome) -> Option<f64> {
    median(outcome.found().map(|(row, _)| row.hunt.virtual_time().as_secs_f64()).collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// For programs.
pub(super) fn object(outcome: &Outcome) -> Value {
    let bugs: Vec<Value> = outcome.rows.iter().map(|row| object_of(row, outcome)).collect();
    let beyond: Vec<Value> = hunt::BEYOND
        .iter()
        .map(|(bug, why)| json!({ "number": bug.number(), "bug": bug.name(), "why": why }))
        .collect();
    let Control { swept, accused, took } = &outcome.control;
    json!({
        "suite": "bugs-raft",
        "world": outcome.world(),
        "bugs": bugs,
        "not_in_this_world": beyond,
        "killed": outcome.found().count(),
        "hunted": outcome.rows.len(),
        "median_seconds": median_seconds(outcome),
        "median_virtual_seconds": median_virtual_seconds(outcome),
        "control": {
            "lives": swept.table.lives,
            "virtual_seconds": swept.virtual_time().as_secs_f64(),
            "seconds": took.as_secs_f64(),
            "digest": format!("{:016x}", swept.digest),
            "unknowns": swept.unknowns,
            "stopped": swept.stopped,
            "bad": accused.as_ref().map(|found| find(found, outcome)),
        },
        "doubts": outcome.doubts(),
        "verdict": outcome.verdict(),
    })
}

fn object_of(Row { bug, hunt, took, small }: &Row, outcome: &Outcome) -> Value {
    let small = small.as_ref().map(|small| match small {
        Ok(Small { ops, faults, repeats }) => json!({ "ops": ops, "faults": faults, "repeats": repeats }),
        Err(why) => json!({ "why_not": why.to_string() }),
    });
    let mut object = json!({
        "number": bug.number(),
        "bug": bug.name(),
        "story": bug.story(),
        "expected": bug.expected(),
        "found": hunt.found.as_ref().map(|found| find(found, outcome)),
        "lives": hunt.lives,
        "virtual_seconds": hunt.virtual_time().as_secs_f64(),
        "seconds": rounded(*took),
        "stopped": hunt.stopped,
    });
    if let Some(small) = small {
        object["small"] = small;
    }
    object
}

fn find(found: &Found, outcome: &Outcome) -> Value {
    json!({
        "as": found.sort.to_string(),
        "sentence": found.sentence,
        "seed": found.seed,
        "workload": found.plan.workload.as_str(),
        "nodes": found.plan.nodes,
        "repeat": again(found, outcome),
    })
}

pub(super) fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn long_sentences_are_cut_at_a_letter() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&"é".repeat(200));
        assert_eq!(long.chars().count(), SENTENCE);
        assert!(long.ends_with('…'));
    }
}
