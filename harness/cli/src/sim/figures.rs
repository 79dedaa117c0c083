//! What came of many lives, in figures.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use serde_json::{Value, json};
use sim::{Doubt, Swept};

use super::asked::Asked;

/// From so many lives on, a fault that was asked for and never had an effect makes the sweep worth nothing.
const TELLING: u64 = 100;

/// So many seeds of those without a verdict are named.
const SHOWN: usize = 3;

/// A sweep that is over, and how long it took.
pub(super) struct Figures<'a> {
    asked: &'a Asked,
    swept: &'a Swept,
    took: Duration,
    /// Faults that were asked for and had no effect.
    idle: Vec<String>,
    /// What no life met besides.
    never_met: Vec<String>,
    /// Why nobody knows whether all is well, though nothing bad was seen.
    doubts: Vec<String>,
}

/// Virtual seconds lived per second and core.
pub(super) fn pace(swept: &Swept, took: Duration) -> f64 {
    swept.virtual_time().as_secs_f64() / core_seconds(took)
}

fn core_seconds(took: Duration) -> f64 {
    took.as_secs_f64().max(1e-9) * approximately(rayon::current_num_threads() as u64)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people has a few digits")]
fn approximately(number: u64) -> f64 {
    number as f64
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { 100.0 * approximately(part) / approximately(of) }
}

impl<'a> Figures<'a> {
    pub(super) fn of(asked: &'a Asked, swept: &'a Swept, took: Duration) -> Figures<'a> {
        let table = &swept.table;
        let idle = asked.kinds.as_slice().iter();
        let idle = idle.filter(|kind| table.faults.get(kind).is_none_or(|met| met.0 == 0));
        let idle: Vec<String> = idle.map(ToString::to_string).collect();
        let never_met = table.never_met(&[]);
        let doubts = doubts(asked, swept, &idle);
        Figures { asked, swept, took, idle, never_met, doubts }
    }

    /// What the figures allow to say if nothing bad was seen.
    pub(super) fn verdict(&self) -> &'static str {
        if self.doubts.is_empty() { "valid" } else { "unknown" }
    }

    fn micros_per_event(&self) -> f64 {
        core_seconds(self.took) * 1e6 / approximately(self.swept.table.events.max(1))
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let Figures { swept, took, .. } = self;
        let mut out = String::new();
        let counts = swept.counts;
        let _ = writeln!(
            out,
            "lives: {}, together {:.0} s of virtual time, lived in {:.1} s",
            swept.table.lives,
            swept.virtual_time().as_secs_f64(),
            took.as_secs_f64()
        );
        let _ = writeln!(
            out,
            "ops: ok {}, fail {}, info {}; the fewest in a life {}",
            counts.ok,
            counts.fail,
            counts.info,
            swept.fewest.unwrap_or_default()
        );
        let _ = writeln!(
            out,
            "speed: {:.0} times real time per core, {:.1} µs per event",
            pace(swept, *took),
            self.micros_per_event()
        );
        out.push_str(&self.table());
        for (what, names) in [("no effect in any life", &self.idle), ("never met", &self.never_met)] {
            if !names.is_empty() {
                let _ = writeln!(out, "{what}: {}", names.join(", "));
            }
        }
        for doubt in &self.doubts {
            let _ = writeln!(out, "{doubt}");
        }
        let _ = writeln!(out, "digest: {:016x}", swept.digest);
        out
    }

    /// In how many lives each thing was met.
    fn table(&self) -> String {
        let table = &self.swept.table;
        let share = |lives: &u64| format!("{:.1}%", share(*lives, table.lives));
        let mut out = String::new();
        if !table.faults.is_empty() {
            let _ = writeln!(out, "{:21} {:>7} {:>9} {:>9}", "fault", "lives", "injected", "bit");
        }
        for (kind, (lives, injected, bit)) in &table.faults {
            let _ = writeln!(out, "{:21} {:>7} {injected:>9} {bit:>9}", kind.name(), share(lives));
        }
        let _ = writeln!(out, "{:21} {:>7} {:>9}", "met", "lives", "times");
        for mark in sim::MARKS {
            let (lives, times) = table.marks.get(mark).copied().unwrap_or_default();
            let _ = writeln!(out, "{mark:21} {:>7} {times:>9}", share(&lives));
        }
        out
    }

    /// For programs.
    pub(super) fn object(&self) -> Value {
        let Figures { asked, swept, took, .. } = self;
        let (plan, table) = (&asked.plan, &swept.table);
        let faults = table.faults.iter().map(|(kind, (lives, injected, bit))| {
            json!({ "kind": kind.name(), "lives": lives, "injected": injected, "bit": bit })
        });
        let marks = table
            .marks
            .iter()
            .map(|(mark, (lives, times))| json!({ "mark": mark, "lives": lives, "times": times }));
        let unknown = swept.unknown.iter();
        let unknown =
            unknown.map(|Doubt { why, lives, seeds }| json!({ "why": why, "lives": lives, "seeds": seeds }));
        json!({
            "system": "raft",
            "workload": plan.workload.as_str(),
            "nemesis": asked.kinds.to_string(),
            "schedule": asked.schedule,
            "nodes": plan.nodes,
            "concurrency": plan.concurrency,
            "rate": plan.rate,
            "time_limit": plan.time_limit.as_secs_f64(),
            "bugs": plan.bugs.iter().map(raft::Bug::name).collect::<Vec<_>>(),
            "seeds": [asked.seeds.start, asked.seeds.end],
            "lives": table.lives,
            "ops": swept.counts,
            "fewest_ops": swept.fewest,
            "events": table.events,
            "virtual_seconds": swept.virtual_time().as_secs_f64(),
            "seconds": took.as_secs_f64(),
            "threads": rayon::current_num_threads(),
            "times_real_time_per_core": pace(swept, *took),
            "micros_per_event": self.micros_per_event(),
            "faults": faults.collect::<Vec<_>>(),
            "marks": marks.collect::<Vec<_>>(),
            "no_effect": self.idle,
            "never_met": self.never_met,
            "unknown": unknown.collect::<Vec<_>>(),
            "unknowns": swept.unknowns,
            "doubts": self.doubts,
            "stopped": swept.stopped,
            "digest": format!("{:016x}", swept.digest),
        })
    }
}

fn doubts(asked: &Asked, swept: &Swept, idle: &[String]) -> Vec<String> {
    let mut doubts = Vec::new();
    if swept.stopped {
        let Range { start, end } = asked.seeds;
        let lives = swept.table.lives;
        let left = end - start - lives;
        doubts.push(format!(
            "stopped early: lived {}; {left} of {} were not",
            lived(start, lives),
            end - start
        ));
    }
    doubts.extend(no_verdicts(swept));
    if swept.table.lives >= TELLING {
        doubts.extend(
            idle.iter().map(|kind| format!("asked for and not tested: {kind} had no effect in any life")),
        );
    }
    if swept.counts.ok == 0 && swept.bad.is_none() {
        doubts.push("nothing to judge: no op was answered".to_owned());
    }
    doubts
}

/// Which seeds were lived, of those that begin here.
pub(crate) fn lived(start: u64, lives: u64) -> String {
    match lives {
        0 => "none".to_owned(),
        1 => format!("seed {start}"),
        _ => format!("seeds {start}..{}", start + lives),
    }
}

/// Why there is no verdict on some lives: a line for each reason, with how many there are and the first of them.
pub(crate) fn no_verdicts(swept: &Swept) -> Vec<String> {
    let line = |Doubt { why, lives, seeds }: &Doubt| {
        let first: Vec<String> = seeds.iter().take(SHOWN).map(u64::to_string).collect();
        let more = if *lives > first.len() as u64 { ", …" } else { "" };
        let seeds = first.join(", ");
        match lives {
            1 => format!("no verdict on seed {seeds}: {why}"),
            _ => format!("no verdict on {lives} lives (seeds {seeds}{more}): {why}"),
        }
    };
    let mut lines: Vec<String> = swept.unknown.iter().map(line).collect();
    let others = swept.unknowns - swept.unknown.iter().map(|doubt| doubt.lives).sum::<u64>();
    if others > 0 {
        lines.push(format!("no verdict on {others} more, for other reasons"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_without_a_verdict_are_counted_by_reason_and_the_first_are_named() {
        let doubt =
            |why: &str, lives, seeds: &[u64]| Doubt { why: why.to_owned(), lives, seeds: seeds.to_vec() };
        let said = |unknown: &[Doubt], unknowns| {
            no_verdicts(&Swept { unknown: unknown.to_vec(), unknowns, ..Swept::default() })
        };
        assert!(said(&[], 0).is_empty());
        assert_eq!(said(&[doubt("late", 1, &[7])], 1), ["no verdict on seed 7: late"]);
        let many = doubt("late", 40, &[0, 1, 2, 3]);
        assert_eq!(said(&[many], 40), ["no verdict on 40 lives (seeds 0, 1, 2, …): late"]);
        assert_eq!(
            said(&[doubt("late", 2, &[1, 3]), doubt("full", 1, &[2])], 5),
            [
                "no verdict on 2 lives (seeds 1, 3): late",
                "no verdict on seed 2: full",
                "no verdict on 2 more, for other reasons"
            ]
        );
    }

    #[test]
    fn those_that_were_lived_are_named_as_they_are_asked_for() {
        assert_eq!([lived(3, 0), lived(3, 1), lived(3, 4)], ["none", "seed 3", "seeds 3..7"]);
    }
}
