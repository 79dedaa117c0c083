//! How searches are printed: a row each, and the shortest way to what went wrong.

use std::fmt::Write as _;
use std::time::Duration;

use model::{Figures, Move, Profile, Report, Step, Verdict};
use serde_json::{Value, json};

use super::{Searched, per_second, precise};

pub(super) const HEADING: &str =
    "profile                   states    generated  depth  seconds   states/s     MiB\n";

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "?".to_owned(), |bytes| grouped(bytes >> 20))
}

fn rounded(value: f64) -> String {
    format!("{value:.0}").parse().map_or_else(|_| "?".to_owned(), grouped)
}

/// A row of the table.
pub(super) fn row(searched: &Searched) -> String {
    let Searched { report, bytes } = searched;
    let Figures { unique, generated, depth, .. } = report.figures;
    let speed = per_second(report.figures, report.took);
    format!(
        "{:<20} {:>11} {:>12} {depth:>6} {:>8.1} {:>10} {:>7}\n",
        report.profile.name,
        grouped(unique),
        grouped(generated),
        report.took.as_secs_f64(),
        rounded(speed),
        mebibytes(*bytes),
    )
}

/// The row below all rows.
pub(super) fn total(searched: &[Searched]) -> String {
    let unique: u64 = searched.iter().map(|row| row.report.figures.unique).sum();
    let took: Duration = searched.iter().map(|row| row.report.took).sum();
    let kept = searched.iter().filter(|row| !row.report.buried && !row.report.profile.in_order).count();
    let kept = if kept == 0 {
        String::new()
    } else {
        "dead messages were kept, since somebody would have made something of them\n".to_owned()
    };
    format!("{kept}states: {} in {:.1} s\n", grouped(unique), took.as_secs_f64())
}

/// How far a search has come.
pub(super) fn progress(profile: &Profile, figures: Figures, took: Duration) -> String {
    let Figures { unique, depth, .. } = figures;
    let speed = rounded(per_second(figures, took));
    format!("{}: {} states, {depth} steps deep, {speed} states/s", profile.name, grouped(unique))
}

/// A row as an object.
pub(super) fn object(searched: &Searched) -> Value {
    let Searched { report, bytes } = searched;
    let Figures { unique, generated, depth, .. } = report.figures;
    json!({
        "name": report.profile.name,
        "story": report.profile.story,
        "verdict": word(&report.verdict),
        "states": unique,
        "generated": generated,
        "depth": depth,
        "seconds": report.took.as_secs_f64(),
        "states_per_second": precise(unique) / report.took.as_secs_f64().max(1e-9),
        "bytes": bytes,
        "dead_messages_buried": report.buried,
    })
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid { .. } => "invalid",
        Verdict::Unknown(_) => "unknown",
    }
}

/// Something that went wrong, ready to be told.
pub(super) struct Bad {
    profile: &'static str,
    against: &'static str,
    sentence: String,
    beginning: Vec<String>,
    steps: Vec<Step>,
    script: String,
}

impl Bad {
    /// Of a search that found something.
    pub(super) fn of(report: &Report) -> Bad {
        let Verdict::Invalid { end, path } = &report.verdict else { unreachable!("asked of a bad search") };
        let path: &[Move] = path;
        Bad {
            profile: report.profile.name,
            against: end.against(),
            sentence: end.to_string(),
            beginning: report.model.beginning(),
            steps: report.model.story(path),
            script: report.model.script(path),
        }
    }

    pub(super) fn object(&self) -> Value {
        let step = |step: &Step| json!({ "command": step.command, "what": step.what });
        json!({
            "profile": self.profile,
            "against": self.against,
            "sentence": self.sentence,
            "beginning": self.beginning,
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
            "script": self.script,
        })
    }

    pub(super) fn text(&self) -> String {
        let Bad { profile, against, sentence, beginning, steps, script } = self;
        let many = super::count(steps.len() as u64, "step");
        let mut text = format!("\n{profile}, after {many}, and there is no shorter way:\n");
        for node in beginning {
            let _ = writeln!(text, "     {node}");
        }
        for (number, step) in (1..).zip(steps) {
            let _ = writeln!(text, "{number:3}. {}", step.command.replace('\n', "\n     "));
            for line in &step.what {
                let _ = writeln!(text, "       {line}");
            }
        }
        let _ = writeln!(text, "against {against}: {sentence}");
        let script: Vec<&str> = script.lines().filter(|line| !line.is_empty()).collect();
        let _ = write!(text, "\nas a script:\n{}\n\n", script.join("\n"));
        text
    }
}
