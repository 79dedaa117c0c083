//! `harness run`: from flags to a verdict.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use nemesis::{Kinds, Schedule};
use runner::{Plan, Report, SystemName};
use tokio_util::sync::CancellationToken;

use crate::args::RunArgs;
use crate::exit::{Exit, Refusal};
use crate::live::Live;
use crate::render;

/// How long an op may stay without an answer.
const OP_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs what the flags say, and prints what came of it.
pub(crate) fn run(args: RunArgs, argv: Vec<String>) -> Result<Exit, Refusal> {
    let json = args.json;
    let plan = plan(args, argv)?;
    if !json {
        render::text(&format!("seed: {}\nsystem: {}, {} nodes; workload: {}; nemesis: {}\n", plan.seed, plan.system, plan.nodes, plan.workload, plan.faults))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Refusal::broken)?;
    let mut live = Live::new();
    let result = runtime.block_on(async {
        let cancel = CancellationToken::new();
        tokio::spawn(cancel_on_signal(cancel.clone()));
        runner::run(&plan, &mut live, cancel).await
    });
    live.end();
    let report = result.map_err(|error| {
        if error.is_users() { Refusal::wrong(&error) } else { Refusal::broken(&error) }
    })?;
    if json {
        render::json(&report)?;
    } else {
        render::text(&describe(&report))?;
    }
    Ok(Exit::of_verdict(report.verdict))
}

/// Ctrl-C or a polite kill ends the run early; the run then cleans up after itself. A second one is
/// not needed: whatever happens to this process, the kernel ends the nodes with it.
async fn cancel_on_signal(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    cancel.cancel();
}

fn plan(args: RunArgs, argv: Vec<String>) -> Result<Plan, Refusal> {
    let system = SystemName::ALL
        .into_iter()
        .find(|system| system.name() == args.system)
        .ok_or_else(|| Refusal::wrong(unknown("system", &args.system, SystemName::ALL.map(SystemName::name))))?;
    let workload = args.workload.parse().map_err(Refusal::wrong)?;
    let supported = nemesis::Kind::ALL;
    let mut faults = Kinds::parse(&args.nemesis, &supported).map_err(Refusal::wrong)?;
    if !(1..=9).contains(&args.nodes) {
        return Err(Refusal::wrong(format_args!("--nodes {}: from 1 to 9", args.nodes)));
    }
    let schedule = args.schedule.as_deref().map(|path| read_schedule(path, args.nodes)).transpose()?;
    if let Some(schedule) = &schedule {
        faults = schedule.kinds();
    }
    Ok(Plan {
        system,
        workload,
        faults,
        nodes: args.nodes,
        concurrency: concurrency(&args.concurrency, args.nodes)?,
        rate: rate(args.rate)?,
        time_limit: seconds("--time-limit", args.time_limit)?,
        op_timeout: OP_TIMEOUT,
        interval: interval(&args.interval)?,
        seed: args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
        schedule,
        program: args.bin,
        bugs: bugs(&args.bug)?,
        out: args.out,
        argv,
    })
}

fn unknown<const N: usize>(what: &str, asked: &str, known: [&str; N]) -> String {
    format!("unknown {what} `{asked}`; known: {}", known.join(", "))
}

/// The bugs by their names, whatever they were called.
fn bugs(asked: &[String]) -> Result<Vec<String>, Refusal> {
    if !asked.is_empty() && !cfg!(feature = "bugs") {
        return Err(Refusal::wrong("--bug: this build has no planted bugs"));
    }
    asked
        .iter()
        .map(|name| match name.parse::<raft::Bug>() {
            Ok(bug) => Ok(bug.to_string()),
            Err(error) => {
                let known = raft::Bug::ALL.map(raft::Bug::name).join(", ");
                Err(Refusal::wrong(format_args!("{error}; known: {known}")))
            }
        })
        .collect()
}

fn read_schedule(path: &std::path::Path, nodes: u16) -> Result<Schedule, Refusal> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| Refusal::wrong(format_args!("{name}: {error}")))?;
    let nodes = nemesis::cluster(nodes);
    Schedule::parse(&text, &nodes).map_err(|error| Refusal::wrong(format_args!("{name}: {error}")))
}

/// `6`, or `2n` for twice the nodes.
fn concurrency(text: &str, nodes: u16) -> Result<usize, Refusal> {
    let count = match text.strip_suffix('n') {
        Some("") => Some(usize::from(nodes)),
        Some(times) => times.parse::<usize>().ok().and_then(|times| times.checked_mul(nodes.into())),
        None => text.parse().ok(),
    };
    count.filter(|count| (1..=10_000).contains(count)).ok_or_else(|| {
        Refusal::wrong(format_args!("--concurrency {text}: a number such as 6, or a multiple of the nodes such as 2n"))
    })
}

fn rate(per_second: f64) -> Result<Option<f64>, Refusal> {
    if per_second.is_finite() && per_second >= 0.0 {
        Ok((per_second > 0.0).then_some(per_second))
    } else {
        Err(Refusal::wrong(format_args!("--rate {per_second}: ops per second, or 0")))
    }
}

fn seconds(flag: &str, value: f64) -> Result<Duration, Refusal> {
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(Refusal::wrong(format_args!("{flag} {value}: seconds, more than 0"))),
    }
}

fn interval(text: &str) -> Result<(Duration, Duration), Refusal> {
    let parse = |part: &str| part.trim().parse::<f64>().ok().and_then(|value| seconds("--interval", value).ok());
    text.split_once(',').and_then(|(on, off)| Some((parse(on)?, parse(off)?))).ok_or_else(|| {
        Refusal::wrong(format_args!("--interval {text}: seconds of fault and of calm, such as 5,5"))
    })
}

fn describe(report: &Report) -> String {
    let mut out = String::new();
    for (f, counts) in &report.ops {
        let latency = report.latency_ms.get(f).map_or_else(String::new, |(median, high)| {
            format!("  p50 {median:.1} ms  p99 {high:.1} ms")
        });
        let _ = writeln!(out, "{f:6} ok {}  fail {}  info {}{latency}", counts.ok, counts.fail, counts.info);
    }
    let _ = writeln!(
        out,
        "{} ok ops while faults were active, {} leader changes, all nodes answered {:.1} s after the last heal",
        report.ok_during_faults,
        report.leader_changes,
        report.recovery.as_secs_f64()
    );
    for fault in &report.faults {
        let mark = if fault.bit { "bit" } else { "no effect" };
        let _ = writeln!(out, "{:5.1} to {:5.1} s  {mark}: {}", fault.from, fault.until, fault.evidence);
    }
    for death in &report.deaths {
        let _ = writeln!(out, "{death}");
    }
    for verdict in report.checkers.values() {
        out.push_str(&render::evidence(verdict));
    }
    for reason in &report.reasons {
        let _ = writeln!(out, "{reason}");
    }
    let _ = writeln!(out, "folder: {}", report.folder.display());
    let _ = writeln!(out, "repeat: {}", report.repeat);
    let _ = writeln!(out, "verdict: {}", report.verdict);
    out
}
