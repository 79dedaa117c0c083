//! `harness check`: judges histories that were recorded before.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use checker::{Budget, Checker, Verdict, kv, register};
use history::{Format, History, Operation};
use serde_json::{Value, json};

use crate::args::{CheckArgs, Model};
use crate::exit::{Exit, Refusal};
use crate::render;
use crate::source::Source;

/// What one file came to.
struct Judged {
    verdict: Verdict,
    format: Format,
    model: &'static str,
    ops: usize,
    lines: u64,
    torn: bool,
    took: Duration,
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
                Exit::of_verdict(judged.verdict.word())
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
    let source = Source::open(path, args.format)?;
    match source.model(args.model) {
        model @ Model::Register => judge_by(&register::register(), model, source, budget, |op| {
            !matches!(op, register::Op::Cas { .. })
        }),
        model @ (Model::Auto | Model::CasRegister) => {
            judge_by(&register::cas_register(), model, source, budget, |_| true)
        }
        model @ Model::Kv => judge_by(&kv::kv(), model, source, budget, |_| true),
    }
}

/// A checker says what the ops are, and so how the history is to be read.
fn judge_by<O: Operation>(
    checker: &impl Checker<O, O::Ret>,
    model: Model,
    source: Source,
    budget: &Budget,
    knows: impl Fn(&O) -> bool,
) -> Result<Judged, Refusal> {
    let (format, name) = (source.format, source.path.display().to_string());
    let history: History<O, O::Ret> = source.read(model)?;
    if let Some(strange) = history.attempts.iter().find(|attempt| !knows(&attempt.op)) {
        let (f, index) = (strange.op.ask().f, strange.invoked.index);
        return Err(Refusal::wrong(format_args!(
            "{name}: `{f}` at index {index} is no op of model {}",
            model.name()
        )));
    }
    let started = Instant::now();
    let verdict = checker.check(&history, budget);
    Ok(Judged {
        verdict,
        format,
        model: checker.name(),
        ops: history.attempts.len(),
        lines: history.lines,
        torn: history.torn.is_some(),
        took: started.elapsed(),
    })
}

fn describe(name: &str, judged: &Judged) -> String {
    let mut out = String::new();
    let torn = if judged.torn { ", the last one torn" } else { "" };
    let _ = writeln!(
        out,
        "{name}: {} ops in {} lines of {}{torn}, held against {} in {:.1} ms",
        judged.ops,
        judged.lines,
        judged.format,
        judged.model,
        judged.took.as_secs_f64() * 1e3
    );
    out.push_str(&render::evidence(&judged.verdict));
    let _ = writeln!(out, "verdict: {}", judged.verdict.word());
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
        "model": judged.model,
        "ops": judged.ops,
        "lines": judged.lines,
        "torn": judged.torn,
        "seconds": judged.took.as_secs_f64(),
    });
    if let (Some(object), Ok(Value::Object(verdict))) =
        (object.as_object_mut(), serde_json::to_value(verdict))
    {
        object.extend(verdict);
    }
    object
}
