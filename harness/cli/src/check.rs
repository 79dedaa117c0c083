//! `harness check`: judges histories that were recorded before.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use checker::draw::html;
use checker::{Budget, Checker, Verdict, kv, register};
use history::{Format, History, MutexOp, Operation, Reading, Txn};
use serde_json::{Value, json};

use crate::args::{CheckArgs, Model};
use crate::exit::{Exit, Refusal};
use crate::render;
use crate::source::{self, Asks, RunSaid, Source};

/// What one file came to.
struct Judged {
    /// What the history says.
    verdict: Verdict,
    /// What is to be said of file or run: the same, or what the run has against it.
    word: String,
    format: Format,
    reading: Reading,
    model: &'static str,
    ops: usize,
    lines: u64,
    torn: bool,
    took: Duration,
    run: Option<RunSaid>,
    /// What people should know beside the verdict.
    notes: Vec<String>,
}

/// Judges every file, prints what each came to, and ends with the worst.
pub(crate) fn check(args: &CheckArgs) -> Result<Exit, Refusal> {
    if let Some(threads) = args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1));
        pool.build_global().map_err(Refusal::broken)?;
    }
    let time = Duration::try_from_secs_f64(args.time_limit)
        .map_err(|error| Refusal::wrong(format_args!("--time-limit {}: {error}", args.time_limit)))?;
    let budget = Budget { time, memory: args.max_memory.saturating_mul(1 << 20) };
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
    let (chosen, page) = (args.model, args.html.as_deref());
    match source.asks(chosen)? {
        Asks::Of(Model::Register) => judge_by(&register::register(), chosen, source, budget, page, |op| {
            !matches!(op, register::Op::Cas { .. })
        }),
        Asks::Of(Model::Auto | Model::CasRegister) => {
            judge_by(&register::cas_register(), chosen, source, budget, page, |_| true)
        }
        Asks::Of(Model::Kv) => judge_by(&kv::kv(), chosen, source, budget, page, |_| true),
        Asks::Mutex => Err(no_checker::<MutexOp>("mutexes", source)),
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
    chosen: Model,
    mut source: Source,
    budget: &Budget,
    page: Option<&Path>,
    knows: impl Fn(&O) -> bool,
) -> Result<Judged, Refusal> {
    let (format, reading, name) = (source.format, source.reading, source.path.display().to_string());
    let run = source.run.take();
    let history: History<O, O::Ret> = source.read(chosen)?;
    if let Some(strange) = history.attempts.iter().find(|attempt| !knows(&attempt.op)) {
        let (f, index) = (strange.op.ask().f, strange.invoked.index);
        return Err(Refusal::wrong(format_args!(
            "{name}: `{f}` at index {index} is no op of model {}",
            checker.name()
        )));
    }
    let started = Instant::now();
    let verdict = checker.check(&history, budget);
    let took = started.elapsed();
    if let Some(path) = page {
        std::fs::write(path, html::page(&name, &history, &verdict))
            .map_err(|error| Refusal::wrong(format_args!("--html {}: {error}", path.display())))?;
    }
    let mut notes = Vec::new();
    notes.extend(nothing_to_judge(&history));
    notes.extend(run.as_ref().and_then(|run| beside(run, verdict.word())));
    Ok(Judged {
        word: together(verdict.word(), run.as_ref()),
        verdict,
        format,
        reading,
        model: checker.name(),
        ops: history.attempts.len(),
        lines: history.lines,
        torn: history.torn.is_some(),
        took,
        run,
        notes,
    })
}

/// A history without an answer contradicts nobody. That is valid, and worth nothing.
fn nothing_to_judge<Op, Ret>(history: &History<Op, Ret>) -> Option<String> {
    if history.attempts.is_empty() {
        return Some("nothing to judge: there is no op of any client".to_owned());
    }
    let answered = history.attempts.iter().any(|attempt| attempt.ret().is_some());
    (!answered).then(|| "nothing to judge: no op was answered".to_owned())
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
    let torn = if judged.torn { ", the last one torn" } else { "" };
    // Where it is not what the format is known by, it decides what the verdict means.
    let reading = if judged.reading == judged.format.reading() {
        String::new()
    } else {
        format!(" read as {}", judged.reading.name())
    };
    let _ = writeln!(
        out,
        "{name}: {} ops in {} lines of {}{reading}{torn}, held against {} in {:.1} ms",
        judged.ops,
        judged.lines,
        judged.format,
        judged.model,
        judged.took.as_secs_f64() * 1e3
    );
    out.push_str(&render::evidence(&judged.verdict));
    for note in &judged.notes {
        let _ = writeln!(out, "{note}");
    }
    let _ = writeln!(out, "verdict: {}", judged.word);
    out
}

fn object(name: &str, judged: &Judged) -> Value {
    let mut verdict = judged.verdict.clone();
    if let Verdict::Valid { linearization } = &mut verdict {
        *linearization = None;
    }
    let mut object = json!({
        "file": name,
        "format": judged.format.to_string(),
        "reading": judged.reading.name(),
        "model": judged.model,
        "ops": judged.ops,
        "lines": judged.lines,
        "torn": judged.torn,
        "notes": judged.notes,
        "seconds": judged.took.as_secs_f64(),
    });
    if let (Some(object), Ok(Value::Object(verdict))) =
        (object.as_object_mut(), serde_json::to_value(verdict))
    {
        object.extend(verdict);
        if let Some(run) = &judged.run {
            object.insert("verdict".to_owned(), judged.word.as_str().into());
            object.insert("history".to_owned(), judged.verdict.word().into());
            object.insert("run".to_owned(), json!({ "verdict": run.verdict, "reason": run.reason }));
        }
    }
    object
}
