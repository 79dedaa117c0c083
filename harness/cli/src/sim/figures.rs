//! What came of many lives, in figures.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use sim::Swept;

use super::asked::Asked;

/// From so many lives on, a fault that was asked for and never had an effect makes the sweep worth nothing.
const TELLING: u64 = 100;

/// A sweep that is over, and how long it took.
pub(super) struct Figures<'a> {
    asked: &'a Asked,
    swept: &'a Swept,
    took: Duration,
    /// What no life met.
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
        let never_met = swept.table.never_met(asked.kinds.as_slice());
        let doubts = doubts(asked, swept);
        Figures { asked, swept, took, never_met, doubts }
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
        if !self.never_met.is_empty() {
            let _ = writeln!(out, "never met: {}", self.never_met.join(", "));
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
            let _ = writeln!(out, "{:15} {:>7} {:>9} {:>9}", "fault", "lives", "injected", "bit");
        }
        for (kind, (lives, injected, bit)) in &table.faults {
            let _ = writeln!(out, "{:15} {:>7} {injected:>9} {bit:>9}", kind.name(), share(lives));
        }
        let _ = writeln!(out, "{:15} {:>7} {:>9}", "met", "lives", "times");
        for mark in sim::MARKS {
            let (lives, times) = table.marks.get(mark).copied().unwrap_or_default();
            let _ = writeln!(out, "{mark:15} {:>7} {times:>9}", share(&lives));
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
        let unknown = swept.unknown.iter().map(|(seed, why)| json!({ "seed": seed, "why": why }));
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
            "never_met": self.never_met,
            "unknown": unknown.collect::<Vec<_>>(),
            "unknowns": swept.unknowns,
            "doubts": self.doubts,
            "stopped": swept.stopped,
            "digest": format!("{:016x}", swept.digest),
        })
    }
}

fn doubts(asked: &Asked, swept: &Swept) -> Vec<String> {
    let mut doubts = Vec::new();
    if swept.stopped {
        let left = asked.seeds.end - asked.seeds.start - swept.table.lives;
        doubts.push(format!("stopped early: {left} lives were not lived"));
    }
    for (seed, why) in &swept.unknown {
        doubts.push(format!("no verdict on seed {seed}: {why}"));
    }
    let unnamed = swept.unknowns - swept.unknown.len() as u64;
    if unnamed > 0 {
        doubts.push(format!("no verdict on {unnamed} more"));
    }
    if swept.table.lives >= TELLING {
        let idle = asked.kinds.as_slice().iter();
        let idle = idle.filter(|kind| swept.table.faults.get(kind).is_none_or(|met| met.0 == 0));
        doubts.extend(idle.map(|kind| format!("asked for and not tested: {kind} had no effect in any life")));
    }
    if swept.counts.ok == 0 && swept.bad.is_none() {
        doubts.push("nothing to judge: no op was answered".to_owned());
    }
    doubts
}
