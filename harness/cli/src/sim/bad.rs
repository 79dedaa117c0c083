//! A bad life: it is made small, told, and kept.

use std::fmt::Write as _;

use nemesis::{Schedule, Step};
use runner::folder::Folder;
use serde_json::{Value, json};
use sim::{Audience, Breach, Ending, Life, Shrunk, Story};

use super::asked::{Asked, one, shortly};
use super::{circumstances, stop_on_signal, story};
use crate::common::{count, program, quote};
use crate::exit::Refusal;
use crate::live::Board;

/// What is known of it.
pub(super) struct Bad {
    folder: Folder,
    pub(super) text: String,
    pub(super) object: Value,
}

/// Makes it small, tells it, and keeps it in a folder.
pub(super) fn look_into(asked: &Asked, seed: u64, life: &Life, board: &Board) -> Result<Bad, Refusal> {
    let repeat = asked.command_for(one(seed));
    // On disk before anything else: who has no patience with what follows keeps what was found.
    board.phase(&format!(
        "seed {seed} ends badly, by {}; it is lived again, to be written down",
        life.ending.sort()
    ));
    let told = asked.plan.tell(seed, Audience::reader().until(stop_on_signal()));
    let folder = keep(asked, seed, &told)?;
    let (sort, kept) = (life.ending.sort(), folder.path().display());
    board.phase(&format!("seed {seed} ends badly, by {sort}; it is in {kept}, and is being made small"));
    let mut seen = |ops, faults, spent| {
        let left = format!("{} and {} left", count(ops as u64, "op"), count(faults as u64, "fault"));
        board.state(|| format!("{left}, after {}", count(spent, "event")));
    };
    let small = asked.plan.shrink(seed, &mut seen, stop_on_signal());
    if let Ok(small) = &small {
        keep_small(&folder, small)?;
        board.phase(&format!("seed {seed} is small, in {kept}, and is being told as a script"));
    }
    let script = small.as_ref().ok().map(|small| small.script(stop_on_signal()));
    if let Some(Ok(script)) = &script {
        folder.write("script.txt", script).map_err(|error| refusal(&error))?;
    }
    board.end();
    let path = |name: &str| folder.file(name).to_string_lossy().into_owned();
    let life_file = quote(&path("life.json"));
    let again = format!("{} sim --life {life_file}", program());

    let ending = &life.ending;
    let mut text = format!("\nseed {seed} ends badly, by {}: {ending}\n", ending.sort());
    let whole = (life.counts.all(), life.faults.len());
    let tale = match &small {
        Ok(Shrunk { ops, faults, stopped: true, .. }) if (*ops as u64, *faults) == whole => format!(
            "\nnot made small: it was stopped before anything could be left out\n{}",
            what_happened(&told.life, &path("trace.txt"))
        ),
        Ok(Shrunk { file, story, ops, faults, stopped, spent, .. }) => {
            let (ops, faults) = (count(*ops as u64, "op"), count(*faults as u64, "fault"));
            let (asks, broken) = (story::asks(file), story::faults(&story.life));
            let around = circumstances::told(&file.settings);
            let stopped = match (stopped, spent) {
                (true, _) => "; stopped before it was known to be the smallest",
                (_, true) => "; so much was tried that the rest was left, and it may not be the smallest",
                _ => "",
            };
            let other = other_seed(seed, file.seed) + otherwise(ending, &story.life.ending);
            let left = asks + &broken + &around;
            let colon = if left.is_empty() { "" } else { ":" };
            format!(
                "\nshrunk to {ops} and {faults}{stopped}{colon}\n{left}{other}{}",
                what_happened(&story.life, &path("small-trace.txt"))
            )
        }
        Err(why) => format!("\nnot made small: {why}\n{}", what_happened(&told.life, &path("trace.txt"))),
    };
    text.push_str(&tale);
    let _ = writeln!(text, "\nfolder: {}", folder.path().display());
    if small.is_ok() {
        let _ = writeln!(text, "repeat the small one: {again}");
    }
    match &script {
        Some(Ok(script)) => {
            let _ = writeln!(text, "as a script: {} script {}", program(), quote(&path("script.txt")));
            if let Ok(small) = &small
                && !script.contains(&small.story.life.ending.to_string())
            {
                let _ = writeln!(text, "the script breaks the same property, elsewhere");
            }
        }
        Some(Err(why)) => {
            let _ = writeln!(text, "no script: {why}");
        }
        None => {}
    }
    let shrunk = small.as_ref().ok().map(|Shrunk { file, story, ops, faults, .. }| {
        json!({
            "ops": ops,
            "faults": faults,
            "nodes": file.nodes,
            "seed": file.seed,
            "sort": story.life.ending.sort().to_string(),
            "sentence": story.life.ending.to_string(),
            "witness": witness(&story.life),
            "life": path("life.json"),
            "repeat": again,
        })
    });
    let object = json!({
        "seed": seed,
        "sort": ending.sort().to_string(),
        "sentence": ending.to_string(),
        "witness": witness(life),
        "ops": life.counts.all(),
        "faults": life.faults.len(),
        "folder": folder.path(),
        "repeat": repeat,
        "shrunk": shrunk,
    });
    Ok(Bad { folder, text, object })
}

/// Why the small life has a seed that nobody asked for, if it has.
fn other_seed(seed: u64, small: u64) -> String {
    if seed == small {
        return String::new();
    }
    format!(
        "it has seed {small}: with less to do, seed {seed} draws other delays, so a few more were tried at each step\n"
    )
}

/// That it breaks another property, if it does. What is kept is only the sort of failure.
fn otherwise(whole: &Ending, small: &Ending) -> &'static str {
    match (whole, small) {
        (Ending::Broken(Breach::Invariant(whole)), Ending::Broken(Breach::Invariant(small)))
            if whole.property() == small.property() =>
        {
            ""
        }
        (Ending::Broken(_), Ending::Broken(_)) => {
            "it breaks something else than the whole life did: of a failure only the sort is kept\n"
        }
        _ => "",
    }
}

impl Bad {
    /// Why the sweep is bad, in one sentence.
    pub(super) fn reason(&self) -> String {
        let said = |field: &str| self.object[field].as_str().unwrap_or_default().to_owned();
        format!("seed {} ends badly, by {}: {}", self.object["seed"], said("sort"), said("sentence"))
    }

    /// Keeps what came of the whole sweep, too.
    pub(super) fn keep(&self, results: &Value) -> Result<(), Refusal> {
        self.folder.write_json("results.json", results).map_err(Refusal::broken)
    }
}

fn witness(life: &Life) -> Value {
    match &life.ending {
        Ending::Invalid(witness) => json!(witness),
        _ => Value::Null,
    }
}

fn what_happened(life: &Life, whole: &str) -> String {
    let trace = story::trace(life.trace.as_deref().unwrap_or_default(), whole);
    format!("what happened:\n{trace}\n{}", story::ending(&life.ending))
}

fn keep(asked: &Asked, seed: u64, told: &Story) -> Result<Folder, Refusal> {
    let faults = match &asked.schedule {
        Some(_) => "schedule".to_owned(),
        None => shortly(&asked.kinds).replace(',', "+"),
    };
    let group = format!("sim-raft-{}-{faults}", asked.plan.workload);
    let write = || {
        let folder = Folder::named(&asked.out, &group, &seed.to_string())?;
        folder.write("history.jsonl", &told.history)?;
        let steps: Vec<Step> = told.life.faults.iter().cloned().map(Step::from).collect();
        let schedule = Schedule::from(steps).to_toml().replacen("harness run", "harness sim", 1);
        folder.write("schedule.toml", schedule)?;
        folder.write("trace.txt", told.life.trace.as_deref().unwrap_or_default())?;
        Ok(folder)
    };
    write().map_err(|error| refusal(&error))
}

/// Puts the small life beside the whole one.
fn keep_small(folder: &Folder, small: &Shrunk) -> Result<(), Refusal> {
    let write = || {
        folder.write("small-trace.txt", small.story.life.trace.as_deref().unwrap_or_default())?;
        folder.write(
            "small-schedule.toml",
            small.file.schedule.join("\n").replacen("harness run", "harness sim", 1) + "\n",
        )?;
        folder.write("life.json", small.file.to_json())?;
        folder.write("small-history.jsonl", &small.story.history)
    };
    write().map_err(|error| refusal(&error))
}

fn refusal(error: &runner::Error) -> Refusal {
    if error.is_users() { Refusal::wrong(error) } else { Refusal::broken(error) }
}
