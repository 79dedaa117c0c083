//! A life from a file, lived again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sim::{Audience, BadLife, Ending, LifeFile, Sort};

use super::{circumstances, story};
use super::{stop_on_signal, tell};
use crate::common::{count, program, quote};
use crate::exit::{Exit, Refusal};
use crate::render;

/// Lives it, and prints how it ended.
pub(super) fn again(path: &Path, trace: bool, as_json: bool) -> Result<Exit, Refusal> {
    let name = path.display().to_string();
    let wrong = |why: &BadLife| {
        // Who wrote a field wrong knows what a life is.
        let cure = match why {
            BadLife::Written(_) => "; a life is the life.json in the folder of a bad one",
            _ => "",
        };
        Refusal::wrong(format_args!("--life {name}: {why}{cure}"))
    };
    let text =
        fs::read_to_string(path).map_err(|error| Refusal::wrong(format_args!("--life {name}: {error}")))?;
    let file = LifeFile::parse(&text).map_err(|error| wrong(&error))?;
    let life = file.live(Audience::reader().until(stop_on_signal())).map_err(|error| wrong(&error))?.life;
    if trace {
        tell(life.trace.as_deref());
    }
    let sort = life.ending.sort();
    let idle = sort == Sort::Good && life.counts.ok == 0;
    let verdict = match sort {
        Sort::Good if idle => "unknown",
        Sort::Good => "valid",
        Sort::Unknown => "unknown",
        Sort::Broken | Sort::Panicked | Sort::Invalid | Sort::Stuck => "invalid",
    };
    let repeat = format!("{} sim --life {}", program(), quote(&name));
    if as_json {
        let witness = if let Ending::Invalid(witness) = &life.ending { json!(witness) } else { Value::Null };
        render::json(&json!({
            "life": name,
            "workload": file.workload,
            "nodes": file.nodes,
            "bugs": file.bugs,
            "seeds": [file.seed, file.seed.saturating_add(1)],
            "asks": file.asks.len(),
            "faults": life.faults.len(),
            "ops": life.counts,
            "events": life.coverage.events,
            "virtual_seconds": Duration::from_nanos(life.lasted).as_secs_f64(),
            "sort": sort.to_string(),
            "sentence": life.ending.to_string(),
            "witness": witness,
            "digest": format!("{:016x}", life.digest),
            "repeat": repeat,
            "verdict": verdict,
        }))?;
    } else {
        let nothing = if idle { "nothing to judge: no op was answered\n" } else { "" };
        let told = describe(&file, &life, idle);
        render::text(&format!("{told}repeat: {repeat}\n{nothing}verdict: {verdict}\n"))?;
    }
    Ok(Exit::of_verdict(verdict))
}

fn describe(file: &LifeFile, life: &sim::Life, idle: bool) -> String {
    let planted =
        if file.bugs.is_empty() { String::new() } else { format!(", with {}", file.bugs.join(", ")) };
    let faults = count(life.faults.len() as u64, "fault");
    let counts = life.counts;
    format!(
        "seed: {}\nraft on {}{planted}; {} with {}\n{} and {faults}:\n{}{}{}what happened:\n{}\n{}ops: ok {}, fail {}, info {}\ndigest: {:016x}\n",
        file.seed,
        count(file.nodes.into(), "node"),
        file.workload,
        count(file.concurrency as u64, "client"),
        count(file.asks.len() as u64, "op"),
        story::asks(file),
        story::faults(life),
        circumstances::told(&file.settings),
        story::trace(life.trace.as_deref().unwrap_or_default(), "what --trace prints"),
        if idle { String::new() } else { story::ending(&life.ending) },
        counts.ok,
        counts.fail,
        counts.info,
        life.digest,
    )
}
