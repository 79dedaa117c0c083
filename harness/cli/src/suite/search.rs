//! The same hunt under the model checker: `harness suite bugs-raft --world model`.
//!
//! Every mistake of the core is looked for in the profiles of the bounds `ci`, all in the same way. The control is the
//! search of all of them without a mistake.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use model::{CI, End, Limits, Row, Verdict, check};
use raft::{Bug, Bugs};
use serde_json::{Value, json};

use super::table::shortened;
use crate::exit::Exit;
use crate::live::Board;
use crate::sim::stop_on_signal;
use crate::threads;

/// What came of it.
pub(super) struct Outcome {
    rows: Vec<Row>,
    /// The profiles that were not valid without a mistake, and how many there were.
    control: (Vec<&'static str>, usize),
    took: Duration,
    all: bool,
    stopped: bool,
}

/// Hunts these mistakes, then searches without one if there shall be a control.
pub(super) fn bugs_raft(bugs: &[Bug], controlled: bool) -> Outcome {
    let board = Board::new();
    let stop = stop_on_signal();
    let limits = Limits { threads: threads::count(), stop, ..Limits::default() };
    let mut rows = Vec::new();
    for bug in bugs {
        board.state(|| format!("{bug}: {} of {}", rows.len() + 1, bugs.len()));
        rows.push(model::hunt(*bug, CI, limits));
    }
    let began = Instant::now();
    let bad = |profile: &&model::Profile| {
        board.state(|| format!("control: {}", profile.name));
        !matches!(check(**profile, Bugs::none(), limits, &|_| {}).verdict, Verdict::Valid)
    };
    let searched = if controlled { CI } else { &[] };
    let control = (searched.iter().filter(bad).map(|profile| profile.name).collect(), searched.len());
    board.end();
    let stopped = stop.load(std::sync::atomic::Ordering::Relaxed);
    let all = rows.len() == model::within().len();
    Outcome { rows, control, took: began.elapsed(), all, stopped }
}

/// Those of the list that no search can show, and why.
fn beyond() -> impl Iterator<Item = (Bug, String)> {
    let others = Bug::ALL.into_iter().filter(|bug| !model::shows(*bug));
    others.map(|bug| (bug, format!("made in the crate {}, which is not there", bug.room())))
}

/// Of what kind a find is.
fn sort(end: &End) -> &'static str {
    match end {
        End::Broken(_) => "invariant",
        End::Halted(..) => "fenced",
        End::Asserted(..) => "assertion",
        End::NotLinearizable(_) => "history",
        End::Stuck(_) => "stuck",
    }
}

impl Outcome {
    fn killed(&self) -> usize {
        self.rows.iter().filter(|row| row.found.is_some()).count()
    }

    fn missed(&self) -> Vec<&'static str> {
        self.rows.iter().filter(|row| row.found.is_none()).map(|row| row.bug.name()).collect()
    }

    pub(super) fn exit(&self) -> Exit {
        if self.stopped || !self.missed().is_empty() && self.control.0.is_empty() {
            Exit::Unknown
        } else if self.control.0.is_empty() {
            Exit::Valid
        } else {
            Exit::Invalid
        }
    }

    fn verdict(&self) -> &'static str {
        match self.exit() {
            Exit::Valid => "valid",
            Exit::Invalid => "invalid",
            _ => "unknown",
        }
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let number = row.bug.number().unwrap_or("");
            let (sort, profile, steps, sentence) = match &row.found {
                Some(found) => {
                    (sort(&found.end), found.profile, found.steps, shortened(&found.end.to_string()))
                }
                None => ("not found", "", 0, String::new()),
            };
            let line = format!(
                "{number:4} {:25} {sort:10} {profile:20} {steps:>3} {:>10} states {:>7.2} s  {sentence}",
                row.bug.name(),
                row.states,
                row.took.as_secs_f64()
            );
            let _ = writeln!(out, "{}", line.trim_end());
        }
        if self.all {
            for (bug, why) in beyond() {
                let (number, name) = (bug.number().unwrap_or(""), bug.name());
                let _ = writeln!(out, "{number:4} {name:25} not in this world: {why}");
            }
        }
        if !self.rows.is_empty() {
            let _ = writeln!(out, "killed: {} of {}", self.killed(), self.rows.len());
        }
        let said = if self.control.0.is_empty() {
            "all valid".to_owned()
        } else {
            format!("not valid: {}", self.control.0.join(", "))
        };
        let _ = writeln!(
            out,
            "control: without a mistake {} profiles in {:.1} s: {said}",
            self.control.1,
            self.took.as_secs_f64()
        );
        if self.stopped {
            out.push_str("stopped early\n");
        }
        if !self.missed().is_empty() {
            let _ = writeln!(out, "not found: {}", self.missed().join(", "));
        }
        let _ = writeln!(out, "verdict: {}", self.verdict());
        out
    }

    pub(super) fn object(&self) -> Value {
        let bugs: Vec<Value> = self.rows.iter().map(object).collect();
        let beyond: Vec<Value> = beyond()
            .map(|(bug, why)| json!({ "number": bug.number(), "bug": bug.name(), "why": why }))
            .collect();
        json!({
            "suite": "bugs-raft",
            "world": "model",
            "bounds": "ci",
            "bugs": bugs,
            "not_in_this_world": beyond,
            "killed": self.killed(),
            "hunted": self.rows.len(),
            "control": {
                "profiles": self.control.1,
                "not_valid": self.control.0,
                "seconds": super::table::rounded(self.took),
            },
            "verdict": self.verdict(),
        })
    }
}

fn object(row: &Row) -> Value {
    let found = row.found.as_ref().map(|found| {
        json!({
            "as": sort(&found.end),
            "sentence": found.end.to_string(),
            "profile": found.profile,
            "steps": found.steps,
        })
    });
    json!({
        "number": row.bug.number(),
        "bug": row.bug.name(),
        "found": found,
        "states": row.states,
        "seconds": super::table::rounded(row.took),
    })
}
