//! The table bug × level: which level finds which mistake, and how fast.
//!
//! Each world leaves what it found in a file of its own, beside the page: `bugs-raft/sim.json` beside `bugs-raft.md`, as
//! `--json` prints it. So each can be run alone, on another day or another machine; the table is made from what lies
//! there. A world of which nothing lies there has an empty column.
//!
//! Scripts are no world that is run: a script tells of a mistake if its cluster makes it, and its golden output says
//! what comes of it. They are found in the sources beside the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use raft::Bug;
use serde_json::Value;

use crate::common::count;
use crate::exit::Refusal;

/// The worlds that have a column, each with its heading.
const WORLDS: [(&str, &str); 4] = [
    ("model", "model checker"),
    ("sim", "simulator"),
    ("outside", "simulator, from outside"),
    ("real", "processes"),
];

const BEGIN: &str = "<!-- made by harness suite bugs-raft --table: begin -->\n";
const END: &str = "<!-- made by harness suite bugs-raft --table: end -->\n";

/// What a suite says of one run, and nobody of several.
const OF_ONE_RUN: [&str; 4] = ["verdict", "doubts", "median_seconds", "median_virtual_seconds"];

/// A page with the table, and what lies beside it.
pub(super) struct Page {
    path: PathBuf,
}

/// What a world says of one mistake.
enum Said {
    Found { seconds: f64, after: String },
    Missed { seconds: f64 },
    NotHere,
    Nothing,
}

impl Page {
    /// The page at `path`, which must have a place for the table.
    pub(super) fn at(path: &Path) -> Result<Page, Refusal> {
        let page = Page { path: path.to_owned() };
        page.parts()?;
        page.scripts()?;
        Ok(page)
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Refusal {
        Refusal::wrong(format_args!("--table {}: {why}", self.path.display()))
    }

    /// What stands before the table, and behind it.
    fn parts(&self) -> Result<(String, String), Refusal> {
        let text = fs::read_to_string(&self.path).map_err(|error| self.wrong(error))?;
        let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
        let (before, behind) = parts.ok_or_else(|| self.wrong("it has no place for the table"))?;
        Ok((before.to_owned(), behind.to_owned()))
    }

    fn beside(&self, world: &str) -> PathBuf {
        self.path.with_extension("").join(format!("{world}.json"))
    }

    /// Keeps what a world found. Of mistakes that were not hunted this time, it keeps what was found before, and the
    /// control if there is no new one, or none as long as the longest find. What was said of this run alone goes.
    pub(super) fn keep(&self, world: &str, found: &Value, controlled: bool) -> Result<(), Refusal> {
        let path = self.beside(world);
        let before = self.read(world)?.unwrap_or_default();
        let (old, new) = (rows(&before), rows(found));
        // A hunt that was stopped says nothing.
        let new: BTreeMap<_, _> = new.into_iter().filter(|(_, row)| row["stopped"] != true).collect();
        let row = |bug: Bug| new.get(bug.name()).or_else(|| old.get(bug.name())).map(|row| (*row).clone());
        let all: Vec<Value> = Bug::ALL.into_iter().filter_map(row).collect();
        let mut whole = found.clone();
        whole["hunted"] = all.len().into();
        whole["killed"] = all.iter().filter(|row| !row["found"].is_null()).count().into();
        whole["bugs"] = all.into();
        if let Some(control) = before.get("control")
            && (!controlled || !is_enough(&found["control"], &whole))
        {
            whole["control"] = control.clone();
        }
        if let Some(whole) = whole.as_object_mut() {
            whole.retain(|field, _| !OF_ONE_RUN.contains(&field.as_str()));
        }
        let text = serde_json::to_string_pretty(&whole).map_err(Refusal::broken)? + "\n";
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        folder.and_then(|()| fs::write(&path, text)).map_err(|error| self.wrong(error))
    }

    fn read(&self, world: &str) -> Result<Option<Value>, Refusal> {
        let path = self.beside(world);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let wrong = |error| self.wrong(format_args!("{}: {error}", path.display()));
                serde_json::from_str(&text).map(Some).map_err(wrong)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.wrong(error)),
        }
    }

    /// Which scripts tell of which mistake.
    fn scripts(&self) -> Result<BTreeMap<Bug, Vec<String>>, Refusal> {
        let docs = self.path.canonicalize().map_err(|error| self.wrong(error))?;
        let folder = docs.ancestors().nth(2).unwrap_or(Path::new("/")).join("systems/raft/tests/scripts");
        let wrong = |error| self.wrong(format_args!("{}: {error}", folder.display()));
        let mut told: BTreeMap<Bug, Vec<String>> = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            let text = fs::read_to_string(&path).map_err(wrong)?;
            let cluster = text.lines().find(|line| line.starts_with("cluster ")).unwrap_or_default();
            let bugs = cluster.split_whitespace().find_map(|word| word.strip_prefix("bugs="));
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            for bug in bugs.into_iter().flat_map(|bugs| bugs.split(',')).filter_map(|bug| bug.parse().ok()) {
                told.entry(bug).or_default().push(name.clone());
            }
        }
        for names in told.values_mut() {
            names.sort();
        }
        Ok(told)
    }

    /// Makes the table anew.
    pub(super) fn write(&self) -> Result<(), Refusal> {
        let (before, behind) = self.parts()?;
        let text = format!("{before}{BEGIN}{}{END}{behind}", self.table()?);
        fs::write(&self.path, text).map_err(|error| self.wrong(error))
    }

    fn table(&self) -> Result<String, Refusal> {
        let scripts = self.scripts()?;
        let worlds = WORLDS.iter().map(|(world, _)| self.read(world)).collect::<Result<Vec<_>, _>>()?;
        let mut out = "| | mistake | made in | script".to_owned();
        for (_, heading) in WORLDS {
            let _ = write!(out, " | {heading}");
        }
        out.push_str(" |\n|---|---|---|---|---|---|---|---|\n");
        let (mut by_level, mut killed) = ([0; WORLDS.len()], 0);
        for bug in Bug::ALL {
            let number = bug.number().unwrap_or("");
            let _ = write!(out, "| {number} | `{bug}` | {} | ", bug.room());
            let told = scripts.get(&bug).map_or(&[][..], Vec::as_slice);
            for (place, name) in told.iter().enumerate() {
                let gap = if place == 0 { "" } else { ", " };
                let _ = write!(out, "{gap}[{}](../systems/raft/tests/scripts/{name}.txt)", place + 1);
            }
            let mut found = !told.is_empty();
            for (count, world) in by_level.iter_mut().zip(&worlds) {
                let said = said(world.as_ref(), bug);
                if let Said::Found { .. } = said {
                    (*count, found) = (*count + 1, true);
                }
                let _ = write!(out, " | {}", said.text());
            }
            killed += usize::from(found);
            out.push_str(" |\n");
        }
        let all = Bug::ALL.len();
        let _ = write!(out, "\n{killed} of {all} are found by some level: scripts tell of {}", scripts.len());
        for ((_, heading), count) in WORLDS.iter().zip(by_level) {
            let _ = write!(out, ", {heading} {count}");
        }
        out.push_str(".\n");
        Ok(out)
    }
}

/// Whether this control is worth something beside these finds: it was not stopped, and lasted at least as long as the
/// longest of them, or is of a world in which nothing lasts.
fn is_enough(control: &Value, whole: &Value) -> bool {
    let lasted = |row: &Value| row["virtual_seconds"].as_f64();
    let found = rows(whole).into_values().filter(|row| !row["found"].is_null());
    let longest = found.filter_map(lasted).fold(0.0, f64::max);
    control["stopped"] != true && lasted(control).is_none_or(|lasted| lasted >= longest)
}

fn rows(world: &Value) -> BTreeMap<&str, &Value> {
    let rows = world["bugs"].as_array().into_iter().flatten();
    rows.filter_map(|row| Some((row["bug"].as_str()?, row))).collect()
}

fn said(world: Option<&Value>, bug: Bug) -> Said {
    let Some(world) = world else { return Said::Nothing };
    let beyond = world["not_in_this_world"].as_array().into_iter().flatten();
    let Some(row) = rows(world).get(bug.name()).copied() else {
        let not_here = beyond.into_iter().any(|row| row["bug"] == bug.name());
        return if not_here { Said::NotHere } else { Said::Nothing };
    };
    let seconds = row["seconds"].as_f64().unwrap_or_default();
    if row["found"].is_null() {
        return Said::Missed { seconds };
    }
    let number = |what: &str| row[what].as_u64();
    let after = match (number("lives"), number("runs"), row["found"]["profile"].as_str()) {
        (Some(lives), ..) => format!(", {lives} {}", if lives == 1 { "life" } else { "lives" }),
        (_, Some(runs), _) => format!(", {runs} {}", if runs == 1 { "run" } else { "runs" }),
        (.., Some(profile)) => format!(", {profile}"),
        _ => String::new(),
    };
    let small = row["small"]["ops"].as_u64().zip(row["small"]["faults"].as_u64());
    let small = small.map(|(ops, faults)| format!(": {}, {}", count(ops, "op"), count(faults, "fault")));
    let after = after + &small.unwrap_or_default();
    Said::Found { seconds, after }
}

impl Said {
    fn text(&self) -> String {
        match self {
            Said::Found { seconds, after } => format!("{seconds:.1} s{after}"),
            Said::Missed { seconds } => format!("not in {seconds:.0} s"),
            Said::NotHere => "–".to_owned(),
            Said::Nothing => String::new(),
        }
    }
}
