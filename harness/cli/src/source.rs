//! Where a history comes from: a file, a run's folder or standard input, in whatever format, asking
//! whatever it asks.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use history::{Flaw, Format, History, Opening, Operation, ReadError, Reader, Reading};
use serde_json::Value;
use workload::Name;

use crate::args::{FormatArg, Model, ReadingArg};
use crate::exit::Refusal;

/// A history that was opened, and looked at far enough to know how to read it.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    opening: Opening<Box<dyn BufRead>>,
    /// How it is written.
    pub(crate) format: Format,
    /// How its lines are read where they leave a choice.
    pub(crate) reading: Reading,
    /// What the run that recorded it came to, if this is a run's.
    pub(crate) run: Option<RunSaid>,
}

/// What a run said of itself.
pub(crate) struct RunSaid {
    /// `valid`, `invalid` or `unknown`.
    pub(crate) verdict: String,
    /// Why it was not simply valid.
    pub(crate) reason: Option<String>,
    /// Whether its checkers found nothing wrong: then the reason is one that no history tells.
    own: bool,
    /// What its ops are held against, if they do not say it themselves.
    model: Option<Model>,
    /// Whether the user named the run's folder, and so asks of the run, not of the history alone.
    pub(crate) asked: bool,
}

impl RunSaid {
    /// The verdict that the run has for reasons of its own.
    pub(crate) fn own(&self) -> Option<&str> {
        (self.own && self.verdict != "valid").then_some(self.verdict.as_str())
    }
}

/// What a history asks, and so what can judge it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asks {
    /// What this model knows.
    Of(Model),
    /// Transactions.
    Txn,
}

impl Source {
    /// Opens a file, the history of a run's folder, or standard input if it is called `-`.
    pub(crate) fn open(path: &Path, format: FormatArg, reading: ReadingArg) -> Result<Source, Refusal> {
        let folder = path.is_dir();
        let path = if folder { path.join(HISTORY) } else { path.to_owned() };
        let run = if folder || path.ends_with(HISTORY) || path.ends_with(SMALL) {
            run_said(&path, folder)?
        } else {
            None
        };
        let from: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(&path).map_err(|error| refuse(&path, error))?))
        };
        let opening = Opening::read(from, format.chosen()).map_err(|error| refuse(&path, error))?;
        let format = match (opening.format(), opening.begins()) {
            (Some(format), _) => format,
            // Without a line, it is the empty history in any format.
            (None, None) => Format::JsonLines,
            (None, Some(begins)) => {
                let known = FormatArg::names();
                let why =
                    format_args!("begins with `{begins}`, as no format does that is read here ({known})");
                return Err(refuse(&path, why));
            }
        };
        let reading = reading.chosen().unwrap_or(format.reading());
        Ok(Source { path, opening, format, reading, run })
    }

    /// What it asks: by the model that was chosen, or by its first op.
    pub(crate) fn asks(&self, chosen: Model) -> Result<Asks, Refusal> {
        if chosen != Model::Auto {
            return Ok(Asks::Of(chosen));
        }
        // Some ops are asked of more than one thing; whoever recorded them knows of which.
        if let Some(model) = self.run.as_ref().and_then(|run| run.model) {
            return Ok(Asks::Of(model));
        }
        match self.opening.first_f() {
            Some("get" | "put" | "append") => Ok(Asks::Of(Model::Kv)),
            Some("acquire" | "release") => Ok(Asks::Of(Model::Mutex)),
            Some("generate") => Ok(Asks::Of(Model::UniqueIds)),
            Some("transfer") => Ok(Asks::Of(Model::Bank)),
            Some("txn") => Ok(Asks::Txn),
            Some("add") => Err(refuse(
                &self.path,
                "asks `add`, of a set or of a counter: say --model set or --model counter",
            )),
            // Without a first op, whoever reads on will find nothing to judge, or what is wrong.
            Some("read" | "write" | "cas") | None => Ok(Asks::Of(Model::CasRegister)),
            Some(other) => Err(refuse(
                &self.path,
                format_args!(
                    "asks `{other}`, which no model knows; known are read, write, cas; get, put, append; acquire, \
                     release; add; generate; transfer"
                ),
            )),
        }
    }

    /// Reads all of it as a history of such ops. A model is named in an error if the user chose it.
    pub(crate) fn read<O: Operation>(self, chosen: Model) -> Result<History<O, O::Ret>, Refusal> {
        let Source { path, format, .. } = &self;
        let (path, format) = (path.clone(), *format);
        let history = self.reader().read_all();
        history.map_err(|error| match &error {
            ReadError { what: Flaw::Unreadable(_), .. } if chosen != Model::Auto => {
                refuse(&path, format_args!("as {format} for the model {}: {error}", chosen.name()))
            }
            _ => unreadable(&path, format, &error),
        })
    }

    /// Its lines, one by one.
    pub(crate) fn reader<O: Operation>(self) -> Reader<impl BufRead, O> {
        self.opening.into_reader(self.format).by(self.reading)
    }
}

/// A run's history, in its folder.
const HISTORY: &str = "history.jsonl";
/// The history of the small life that a simulated one was made to, beside it.
const SMALL: &str = "small-history.jsonl";

/// What stands in the `results.json` beside a history. A run that did not come to its end has none; then
/// it only counts if the run was asked for, since a history may also lie alone.
///
/// What its clients did, a simulated run says there, and a real one in its `run.json`.
fn run_said(history: &Path, asked: bool) -> Result<Option<RunSaid>, Refusal> {
    let path = history.with_file_name("results.json");
    let results = read_json(&path)?;
    let run = read_json(&history.with_file_name("run.json"))?;
    let workload = [&results, &run].into_iter().flatten().find_map(|said| said["workload"].as_str());
    let model = workload.and_then(|name| name.parse().ok()).and_then(model_of);
    let Some(results) = results else {
        return Ok(asked.then(|| RunSaid {
            verdict: "unknown".to_owned(),
            reason: Some("it left no results.json, so it did not come to its end".to_owned()),
            own: true,
            model,
            asked,
        }));
    };
    let Some(verdict) = results["verdict"].as_str() else {
        return Err(refuse(&path, "has no verdict: it is not what a run leaves"));
    };
    let mut checks = results["checks"].as_array().into_iter().flatten();
    let small = history.ends_with(SMALL);
    let bad = if small { &results["bad"]["shrunk"] } else { &results["bad"] };
    let reason = match (small, bad["sort"].as_str(), bad["sentence"].as_str()) {
        (true, Some(sort), Some(sentence)) => Some(format!("it ends badly, by {sort}: {sentence}")),
        _ => results["reason"].as_str().map(str::to_owned),
    };
    Ok(Some(RunSaid {
        verdict: verdict.to_owned(),
        reason,
        // Of what was simulated, everything is judged, not only what clients saw.
        own: checks.all(|check| check["verdict"] == "valid") && bad["sort"] != "history",
        model,
        asked,
    }))
}

/// What a file says, if it is there.
fn read_json(path: &Path) -> Result<Option<Value>, Refusal> {
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| refuse(path, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refuse(path, error)),
    }
}

/// What the ops of a workload are held against, if they do not say it themselves.
fn model_of(workload: Name) -> Option<Model> {
    match workload {
        Name::Set => Some(Model::Set),
        Name::Counter => Some(Model::Counter),
        Name::UniqueIds => Some(Model::UniqueIds),
        Name::Bank => Some(Model::Bank),
        Name::Register | Name::CasRegister | Name::ListAppend => None,
    }
}

/// A history that cannot be read, in whatever way.
pub(crate) fn unreadable(path: &Path, format: Format, error: &ReadError) -> Refusal {
    refuse(path, format_args!("as {format}: {error}"))
}

pub(crate) fn refuse(path: &Path, why: impl Display) -> Refusal {
    Refusal::wrong(format_args!("{}: {why}", path.display()))
}
