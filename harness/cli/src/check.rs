//! `harness check`: judges histories that were recorded before.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use checker::draw::html;
use checker::{Budget, By, Checker, Verdict, bank, counter, kv, log, mutex, register, set, unique_ids};
use history::{Format, History, Kind, Line, Observation, Operation, Reading, Txn};
use serde_json::{Value, json};

use crate::args::{CheckArgs, Model};
use crate::common::{LONGEST, seconds, writable_file};
use crate::exit::{Exit, Refusal};
use crate::online::{self, Lag};
use crate::render;
use crate::source::{self, Asks, RunSaid, Source};
use crate::threads;

/// What one file came to.
struct Judged {
    found: Found,
    /// What is to be said of file or run: what the history says, or what the run has against it.
    word: String,
    format: Format,
    reading: Reading,
    model: &'static str,
    run: Option<RunSaid>,
    /// What people should know beside the verdict.
    notes: Vec<String>,
}

/// What a history came to.
struct Found {
    verdict: Verdict,
    ops: usize,
    /// Whether any op is known to have happened.
    answered: bool,
    lines: u64,
    torn: bool,
    took: Duration,
    /// How far the verdict was behind, if it was judged line by line.
    lag: Option<Lag>,
}

/// Judges every file, prints what each came to, and ends with the worst.
pub(crate) fn check(args: &CheckArgs) -> Result<Exit, Refusal> {
    threads::use_threads(args.threads)?;
    let time = match args.time_limit {
        // Nobody has time: what needs none is told all the same.
        0.0 => Duration::ZERO,
        limit => seconds("--time-limit", limit, LONGEST)?,
    };
    args.html.as_deref().map(|page| writable_file("--html", page)).transpose()?;
    let budget = Budget { time, memory: args.max_memory.saturating_mul(1 << 20), ..Budget::default() };
    if args.html.is_some() && args.files.len() > 1 {
        let files = args.files.len();
        return Err(Refusal::wrong(format_args!("--html draws one history, and {files} were given")));
    }
    let mut worst = Exit::Valid;
    let mut objects = Vec::new();
    for path in &args.files {
        let name = path.display().to_string();
        let exit = match judge(path, args, &budget) {
            Ok(judged) => {
                objects.push(object(&name, &judged));
                if !args.json {
                    render::text(&describe(&name, &judged))?;
                }
                Exit::of_verdict(&judged.word)
            }
            Err(refusal) => {
                objects.push(json!({ "file": name, "error": refusal.why() }));
                refusal.tell()
            }
        };
        worst = worst.worse(exit);
    }
    if args.json {
        render::json(&json!({ "files": objects }))?;
    }
    Ok(worst)
}

fn judge(path: &Path, args: &CheckArgs, budget: &Budget) -> Result<Judged, Refusal> {
    let source = Source::open(path, args.format, args.reading)?;
    let chosen = args.model;
    match source.asks(chosen)? {
        Asks::Of(Model::Register) => judge_by(&register::register(), args, source, budget, |op| {
            !matches!(op, register::Op::Cas { .. })
        }),
        Asks::Of(Model::Auto | Model::CasRegister) => {
            judge_by(&register::cas_register(), args, source, budget, |_| true)
        }
        Asks::Of(Model::Kv) => judge_by(&kv::kv(), args, source, budget, |_| true),
        Asks::Of(Model::Mutex) => judge_by(&mutex::mutex(), args, source, budget, |_| true),
        Asks::Of(Model::Log) => judge_by(&log::log(), args, source, budget, |_| true),
        Asks::Of(Model::Set) => judge_by(&set::set(), args, source, budget, |_| true),
        Asks::Of(Model::Counter) => judge_by(&counter::counter(), args, source, budget, |_| true),
        Asks::Of(Model::UniqueIds) => judge_by(&unique_ids::unique_ids(), args, source, budget, |_| true),
        Asks::Of(Model::Bank) => {
            judge_by(&bank::bank(workload::Banks::default().bank), args, source, budget, |_| true)
        }
        Asks::Txn => Err(no_checker::<Txn>("transactions", source)),
    }
}

/// What can be read and not judged: it is read all the same, since what is wrong with the file comes first.
fn no_checker<O: Operation>(what: &str, source: Source) -> Refusal {
    let (path, format) = (source.path.clone(), source.format);
    match source.read::<O>(Model::Auto) {
        Err(refusal) => refusal,
        Ok(history) => {
            let ops = history.attempts.len();
            source::refuse(&path, format_args!("{ops} ops of {format}: no checker for {what} yet"))
        }
    }
}

/// A checker says what the ops are, and so how the history is to be read.
fn judge_by<O: Operation>(
    checker: &impl Checker<O, O::Ret>,
    args: &CheckArgs,
    mut source: Source,
    budget: &Budget,
    knows: impl Fn(&O) -> bool,
) -> Result<Judged, Refusal> {
    let (format, reading) = (source.format, source.reading);
    let run = source.run.take();
    let found = if args.online {
        by_line(checker, source, budget, knows)?
    } else {
        at_once(checker, args, source, budget, knows)?
    };
    let mut notes: Vec<String> = found.nothing_to_judge().map(str::to_owned).into_iter().collect();
    if args.online && found.verdict.word() == "invalid" {
        notes.push("the lines before were not kept; judged as a whole, the history tells more".to_owned());
    }
    notes.extend(run.as_ref().and_then(|run| beside(run, found.verdict.word())));
    Ok(Judged {
        word: together(found.verdict.word(), run.as_ref()),
        model: checker.name(),
        found,
        format,
        reading,
        run,
        notes,
    })
}

/// Reads all of it, then judges it.
fn at_once<O: Operation>(
    checker: &impl Checker<O, O::Ret>,
    args: &CheckArgs,
    source: Source,
    budget: &Budget,
    knows: impl Fn(&O) -> bool,
) -> Result<Found, Refusal> {
    let path = source.path.clone();
    let history: History<O, O::Ret> = source.read(args.model)?;
    if let Some(strange) = history.attempts.iter().find(|attempt| !knows(&attempt.op)) {
        return Err(no_op_of(checker.name(), &path, &strange.op, strange.invoked.index));
    }
    let started = Instant::now();
    let verdict = checker.check(&history, budget);
    let took = started.elapsed();
    if let Some(page) = &args.html {
        std::fs::write(page, html::page(&path.display().to_string(), &history, &verdict))
            .map_err(|error| Refusal::wrong(format_args!("--html {}: {error}", page.display())))?;
    }
    Ok(Found {
        verdict,
        ops: history.attempts.len(),
        answered: history.attempts.iter().any(|attempt| attempt.ret().is_some()),
        lines: history.lines,
        torn: history.torn.is_some(),
        took,
        lag: None,
    })
}

/// Judges it line by line, while it is read.
fn by_line<O: Operation>(
    checker: &impl Checker<O, O::Ret>,
    source: Source,
    budget: &Budget,
    knows: impl Fn(&O) -> bool,
) -> Result<Found, Refusal> {
    let (path, format) = (source.path.clone(), source.format);
    let mut strange = None;
    let look = |line: &Line<O, O::Ret>| {
        if let Line::Client(Observation { kind: Kind::Invoke(op), index, .. }) = line
            && strange.is_none()
            && !knows(op)
        {
            strange = Some(no_op_of(checker.name(), &path, op, *index));
        }
    };
    let started = Instant::now();
    let mut reader = source.reader();
    let watched = online::watch(checker, reader.by_ref(), budget.memory, look);
    let watched = watched.map_err(|error| source::unreadable(&path, format, &error))?;
    match strange {
        Some(refusal) => Err(refusal),
        None => Ok(Found {
            verdict: watched.verdict,
            ops: watched.ops,
            answered: watched.answered > 0,
            lines: watched.lines,
            torn: reader.torn().is_some(),
            took: started.elapsed(),
            lag: Some(watched.lag),
        }),
    }
}

fn no_op_of<O: Operation>(model: &str, path: &Path, op: &O, index: u64) -> Refusal {
    source::refuse(path, format_args!("`{}` at index {index} is no op of model {model}", op.ask().f))
}

impl Found {
    /// A history without an answer contradicts nobody. That is valid, and worth nothing.
    fn nothing_to_judge(&self) -> Option<&'static str> {
        match (self.ops, self.answered) {
            (0, _) => Some("nothing to judge: there is no op of any client"),
            (_, false) => Some("nothing to judge: no op was answered"),
            (_, true) => None,
        }
    }
}

/// The verdict on what was named: on a run's folder, what the run itself has to say counts too.
fn together(history: &str, run: Option<&RunSaid>) -> String {
    let own = run.filter(|run| run.asked).and_then(RunSaid::own);
    own.filter(|_| history != "invalid").unwrap_or(history).to_owned()
}

/// Why the run that recorded a history came to something else than the history alone.
fn beside(run: &RunSaid, history: &str) -> Option<String> {
    let RunSaid { verdict, reason, .. } = run;
    if run.own().is_none() && verdict == history {
        return None;
    }
    let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    Some(format!("the run itself was {verdict}{why}; by its history alone it is {history}"))
}

fn describe(name: &str, judged: &Judged) -> String {
    let mut out = String::new();
    let torn = if judged.found.torn { ", the last one torn" } else { "" };
    // Where it is not what the format is known by, it decides what the verdict means.
    let reading = if judged.reading == judged.format.reading() {
        String::new()
    } else {
        format!(" read as {}", judged.reading.name())
    };
    let Found { verdict, ops, lines, took, lag, .. } = &judged.found;
    let _ = writeln!(
        out,
        "{name}: {ops} ops in {lines} lines of {}{reading}{torn}, held against {} in {:.1} ms",
        judged.format,
        judged.model,
        took.as_secs_f64() * 1e3
    );
    if let Some(lag) = lag {
        let _ = writeln!(
            out,
            "judged line by line; a line's verdict came after {:.1?} (99 of 100), {:.1?} at most",
            lag.most(990),
            lag.longest()
        );
    }
    for (By { engine, since }, keys) in judges(verdict) {
        let keys = if keys > 1 { format!(" ({keys} keys)") } else { String::new() };
        let _ = writeln!(out, "judged by {engine}{keys}, since {since}");
    }
    out.push_str(&render::evidence(verdict));
    for note in &judged.notes {
        let _ = writeln!(out, "{note}");
    }
    let _ = writeln!(out, "verdict: {}", judged.word);
    out
}

/// Who judged how many keys, and why it was up to him.
fn judges(verdict: &Verdict) -> BTreeMap<By, usize> {
    let mut judges = BTreeMap::new();
    match verdict {
        Verdict::Valid { linearization: Some(orders) } => {
            orders.keys.iter().for_each(|order| *judges.entry(order.by.clone()).or_default() += 1);
        }
        Verdict::Invalid { witness } => {
            judges.insert(witness.by.clone(), 1);
        }
        Verdict::Valid { linearization: None } | Verdict::Unknown { .. } => {}
    }
    judges
}

fn object(name: &str, judged: &Judged) -> Value {
    let judges = judges(&judged.found.verdict).into_iter();
    let judges: Vec<Value> = judges
        .map(|(By { engine, since }, keys)| json!({ "engine": engine, "since": since, "keys": keys }))
        .collect();
    let Found { verdict, ops, lines, torn, took, lag, .. } = &judged.found;
    let mut verdict = verdict.clone();
    if let Verdict::Valid { linearization } = &mut verdict {
        *linearization = None;
    }
    let mut object = json!({
        "file": name,
        "format": judged.format.to_string(),
        "reading": judged.reading.name(),
        "model": judged.model,
        "judged_by": judges,
        "ops": ops,
        "lines": lines,
        "torn": torn,
        "notes": judged.notes,
        "seconds": took.as_secs_f64(),
    });
    if let Some(lag) = lag {
        object["lag_p99_ms"] = json!(lag.most(990).as_secs_f64() * 1e3);
        object["lag_max_ms"] = json!(lag.longest().as_secs_f64() * 1e3);
    }
    if let (Some(object), Ok(Value::Object(verdict))) =
        (object.as_object_mut(), serde_json::to_value(verdict))
    {
        object.extend(verdict);
        if let Some(run) = &judged.run {
            object.insert("verdict".to_owned(), judged.word.as_str().into());
            object.insert("history".to_owned(), judged.found.verdict.word().into());
            object.insert("run".to_owned(), json!({ "verdict": run.verdict, "reason": run.reason }));
        }
    }
    object
}
