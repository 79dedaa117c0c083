//! How a life is told: its end, its ops, its faults, and what happened.

use std::fmt::Write as _;

use checker::Verdict;
use sim::{Ending, Life, LifeFile};

use crate::render;

/// So many lines of what happened are printed; the rest is in a file.
const LINES: usize = 60;

/// How it ended: the sort and one sentence, and for what clients saw the evidence.
pub(super) fn ending(ending: &Ending) -> String {
    match ending {
        Ending::Invalid(witness) => {
            format!("{}: {}", ending.sort(), render::evidence(&Verdict::Invalid { witness: witness.clone() }))
        }
        _ => format!("{}: {ending}\n", ending.sort()),
    }
}

/// A moment as a trace has it: to the microsecond.
fn moment(nanoseconds: u64) -> String {
    let micros = nanoseconds / 1000;
    format!("{}.{:06}s", micros / 1_000_000, micros % 1_000_000)
}

/// What clients asked, as it is written in a file of a life.
pub(super) fn asks(file: &LifeFile) -> String {
    let mut out = String::new();
    for ask in &file.asks {
        let key = ask.key.as_ref().map_or_else(String::new, |key| format!(" {key}"));
        let value = if ask.value.is_null() { String::new() } else { format!(" {}", ask.value) };
        let last = if ask.last { ", after everything was healed" } else { "" };
        let _ =
            writeln!(out, "  {}: process {} asks {}{key}{value}{last}", moment(ask.time), ask.seat, ask.f);
    }
    out
}

/// What was broken.
pub(super) fn faults(life: &Life) -> String {
    let mut out = String::new();
    for deed in &life.faults {
        let _ = writeln!(out, "  {} to {}: {}", moment(deed.at.0), moment(deed.until.0), deed.fault);
    }
    out
}

/// What happened, the last lines of it: without the heartbeats, and `whole` says where all of it is. Of what came
/// before, that remains which clients saw and what was broken, since that is often what the end contradicts.
pub(super) fn trace(trace: &str, whole: &str) -> String {
    let lines = collapse(trace);
    let mut out = String::new();
    let hidden = lines.len().saturating_sub(LINES);
    if hidden > 0 {
        let _ = writeln!(out, "  … {hidden} lines before, all of them in {whole}");
        let told: Vec<&String> = lines[..hidden].iter().filter(|line| concerns_somebody(line)).collect();
        for line in &told[told.len().saturating_sub(LINES)..] {
            let _ = writeln!(out, "  {line}");
        }
        if !told.is_empty() {
            out.push_str("  … and then, line by line:\n");
        }
    }
    for line in &lines[hidden..] {
        let _ = writeln!(out, "  {line}");
    }
    out
}

/// Whether a line tells of a client or of a fault.
fn concerns_somebody(line: &str) -> bool {
    let what = line.split_once("s ").map_or(line, |(_, what)| what);
    ["process ", "fault: ", "healed: "].iter().any(|begins| what.starts_with(begins))
}

/// The lines, with a word for each row of heartbeats.
fn collapse(trace: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut beats = 0;
    let tell = |beats: &mut usize, lines: &mut Vec<String>| {
        match *beats {
            0 => {}
            1 => lines.push("… a heartbeat or its answer".to_owned()),
            beats => lines.push(format!("… {beats} heartbeats and answers")),
        }
        *beats = 0;
    };
    for line in trace.lines() {
        // A message: `2.5s n1@t3 → n2 Heartbeat round=7 commit=4`.
        if line.contains(" → ") && (line.contains(" Heartbeat ") || line.contains(" HeartbeatReply ")) {
            beats += 1;
            continue;
        }
        tell(&mut beats, &mut lines);
        lines.push(line.to_owned());
    }
    tell(&mut beats, &mut lines);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_to_the_microsecond() {
        assert_eq!(
            [moment(999), moment(2_500_000_000), moment(472_863_251)],
            ["0.000000s", "2.500000s", "0.472863s"]
        );
    }

    #[test]
    fn heartbeats_are_counted_and_everything_else_is_told() {
        let told = "1s n1@t1 → n2 Heartbeat round=1 commit=0\n1.1s n2@t1 → n1 HeartbeatReply round=1\n\
                    1.2s n2 starts as n2@t1 follower\n1.3s n1@t1 → n2 Heartbeat round=2 commit=0\n";
        assert_eq!(
            collapse(told),
            ["… 2 heartbeats and answers", "1.2s n2 starts as n2@t1 follower", "… a heartbeat or its answer"]
        );
    }

    #[test]
    fn a_long_story_is_told_from_its_end() {
        let lines: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let told = trace(&lines.join("\n"), "trace.txt");
        assert!(told.starts_with("  … 40 lines before, all of them in trace.txt\n  40\n"), "{told}");
        assert!(told.ends_with("  99\n"));
        let lines = ["0.1s process 3 asks n1 Read", "0.2s n1@t1 → n2 Vote yes", "0.3s fault: kill n1"];
        let told = trace(&[&lines.join("\n"), "\n", &["x"; LINES].join("\n")].concat(), "trace.txt");
        let before = "  … 3 lines before, all of them in trace.txt\n  0.1s process 3 asks n1 Read\n  0.3s fault: kill n1\n";
        assert!(told.starts_with(&format!("{before}  … and then, line by line:\n  x\n")), "{told}");
    }
}
