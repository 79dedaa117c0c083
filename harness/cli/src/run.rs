//! `harness run`: from flags to a verdict.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nemesis::{Kinds, Rhythm, Schedule};
use runner::{Disk, FaultReport, Plan, Report};
use tokio_util::sync::CancellationToken;

use crate::args::{DiskArg, RunArgs};
use crate::exit::{self, Exit, Refusal};
use crate::live::Screen;
use crate::render;

/// Runs what the flags say, and prints what came of it.
pub(crate) fn run(args: RunArgs, argv: Vec<String>) -> Result<Exit, Refusal> {
    let json = args.json;
    let plan = plan(args, argv)?;
    if !json {
        render::text(&announce(&plan))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Refusal::broken)?;
    warn_aloud();
    let screen = Arc::new(Screen::new(plan.time_limit));
    let commands = Commands::of(&plan);
    let result = runtime.block_on(async {
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        tokio::spawn(on_signal(move || stop.cancel()));
        runner::run(plan, screen.clone(), cancel).await
    });
    screen.end();
    let report = result
        .map_err(|error| if error.is_users() { Refusal::wrong(&error) } else { Refusal::broken(&error) })?;
    if json {
        render::json(&report)?;
    } else {
        render::text(&describe(&report, &commands))?;
    }
    Ok(Exit::of_verdict(report.verdict))
}

/// Lets the rooms below say what went wrong without ending the run, on standard error.
fn warn_aloud() {
    let lines = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::WARN);
    let lines = lines.with_writer(std::io::stderr).log_internal_errors(false).without_time();
    // Fails only if somebody listens already.
    let _ = lines.try_init();
}

/// Ctrl-C or a polite kill ends the run early; the run then cleans up after itself. A second one ends
/// the program where it stands, without a verdict, and the kernel ends the nodes with it.
pub(crate) async fn on_signal(stop: impl FnOnce()) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let mut asked = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    asked().await;
    stop();
    asked().await;
    std::process::exit(exit::BROKEN.into());
}

// --- from flags to a plan ---------------------------------------------------------------------------

fn plan(args: RunArgs, argv: Vec<String>) -> Result<Plan, Refusal> {
    let schedule = args.schedule.as_deref().map(|path| read_schedule(path, args.nodes)).transpose()?;
    let plan = Plan {
        workload: args.workload.parse().map_err(Refusal::wrong)?,
        time_limit: match args.time_limit {
            Some(limit) => seconds("--time-limit", limit)?,
            None => schedule.as_ref().and_then(until_healed).unwrap_or(Plan::default().time_limit),
        },
        schedule,
        rhythm: rhythm(&args.interval)?,
        concurrency: Some(concurrency(&args.concurrency, args.nodes)?),
        rate: rate(args.rate)?,
        fail_fast: args.fail_fast,
        seed: args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
        bugs: bugs(&args.bug)?,
        disk: match args.disk {
            DiskArg::Real => Disk::Real,
            DiskArg::Lossy => Disk::Lossy,
        },
        system: args.system,
        nemesis: Kinds::default(),
        nodes: args.nodes,
        bin: args.bin,
        settings: BTreeMap::new(),
        direct: false,
        out: args.out,
        argv,
    };
    let system = plan.check().map_err(Refusal::wrong)?;
    let nemesis = Kinds::parse(&args.nemesis, system.faults()).map_err(Refusal::wrong)?;
    Ok(Plan { nemesis, ..plan })
}

/// The bugs by their names, whatever they were called.
pub(crate) fn bugs(asked: &[String]) -> Result<Vec<String>, Refusal> {
    if !asked.is_empty() && !cfg!(feature = "bugs") {
        return Err(Refusal::wrong("--bug: this build has no planted bugs"));
    }
    let name = |asked: &String| match asked.parse::<raft::Bug>() {
        Ok(bug) => Ok(bug.to_string()),
        Err(error) => {
            let known = raft::Bug::ALL.map(raft::Bug::name).join(", ");
            Err(Refusal::wrong(format_args!("{error}; known: {known}")))
        }
    };
    asked.iter().map(name).collect()
}

pub(crate) fn read_schedule(path: &Path, nodes: u16) -> Result<Schedule, Refusal> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| Refusal::wrong(format_args!("{name}: {error}")))?;
    let nodes = nemesis::cluster(nodes);
    Schedule::parse(&text, &nodes).map_err(|error| {
        Refusal::wrong(format_args!("{name}: {error} (--nodes {} is how many there are)", nodes.len()))
    })
}

/// A little longer than the last fault lasts, so that clients see its end; nothing if nobody knows when
/// that is.
pub(crate) fn until_healed(schedule: &Schedule) -> Option<Duration> {
    Some(schedule.last()?.since(nemesis::Time::default()) + Duration::from_secs(1))
}

/// `6`, or `2n` for twice the nodes.
pub(crate) fn concurrency(text: &str, nodes: u16) -> Result<usize, Refusal> {
    let count = match text.strip_suffix('n') {
        Some("") => Some(usize::from(nodes)),
        Some(times) => times.parse::<usize>().ok().and_then(|times| times.checked_mul(nodes.into())),
        None => text.parse().ok(),
    };
    count.ok_or_else(|| {
        Refusal::wrong(format_args!(
            "--concurrency {text}: a number such as 6, or a multiple of the nodes such as 2n"
        ))
    })
}

pub(crate) fn rate(per_second: f64) -> Result<f64, Refusal> {
    if per_second.is_finite() && per_second >= 0.0 {
        Ok(per_second)
    } else {
        Err(Refusal::wrong(format_args!("--rate {per_second}: ops per second, or 0")))
    }
}

pub(crate) fn seconds(flag: &str, value: f64) -> Result<Duration, Refusal> {
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(Refusal::wrong(format_args!("{flag} {value}: seconds, more than 0"))),
    }
}

fn rhythm(text: &str) -> Result<Rhythm, Refusal> {
    let parse = |part: &str| part.trim().parse().ok().and_then(|value| seconds("--interval", value).ok());
    let both = text.split_once(',').and_then(|(on, off)| Some((parse(on)?, parse(off)?)));
    match both {
        Some((on, off)) => Ok(Rhythm { on, off, ..Rhythm::default() }),
        None => {
            Err(Refusal::wrong(format_args!("--interval {text}: seconds of fault and of calm, such as 5,5")))
        }
    }
}

// --- from a report to text ----------------------------------------------------------------------------

fn announce(plan: &Plan) -> String {
    let bugs = if plan.bugs.is_empty() { String::new() } else { format!(", with {}", plan.bugs.join(", ")) };
    let disk = if plan.disk == Disk::Lossy { ", lossy disks" } else { "" };
    format!(
        "seed: {}\n{} on {}{disk}{bugs}; {} with {}; faults: {}\n",
        plan.seed,
        plan.system,
        count(plan.nodes.into(), "node"),
        plan.workload,
        count(plan.concurrency() as u64, "client"),
        plan.faults(),
    )
}

/// What to type to do it again.
struct Commands {
    /// This program, as the user called it.
    program: &'static str,
    /// The command as it was given, with the seed that it got.
    repeat: String,
    /// What a run with the same faults needs beside their schedule.
    same: String,
}

impl Commands {
    fn of(plan: &Plan) -> Commands {
        let program = program();
        let mut words = vec![program.to_owned()];
        words.extend(plan.argv.iter().skip(1).map(|word| quote(word)));
        if !plan.argv.iter().any(|word| word == "--seed" || word.starts_with("--seed=")) {
            words.extend(["--seed".to_owned(), plan.seed.to_string()]);
        }
        let mut same = format!(
            "--system {} --workload {} --nodes {} --concurrency {} --time-limit {} --seed {}",
            plan.system,
            plan.workload,
            plan.nodes,
            plan.concurrency(),
            plan.time_limit.as_secs_f64(),
            plan.seed
        );
        for bug in &plan.bugs {
            let _ = write!(same, " --bug {bug}");
        }
        if plan.disk == Disk::Lossy {
            same.push_str(" --disk lossy");
        }
        Commands { program, repeat: words.join(" "), same }
    }
}

/// This program, as the user called it.
pub(crate) fn program() -> &'static str {
    // Cargo says so to whoever it runs.
    if std::env::var_os("CARGO").is_some() { "cargo harness" } else { "harness" }
}

/// A word as a shell takes it.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=,./:@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn describe(report: &Report, commands: &Commands) -> String {
    let mut out = String::new();
    let figures = &report.figures;
    for (f, counts) in &figures.by_f {
        let _ = writeln!(out, "{f}: ok {}, fail {}, info {}", counts.ok, counts.fail, counts.info);
    }
    if let (Some(median), Some(high)) = (figures.p50_ms, figures.p99_ms) {
        let _ = writeln!(out, "answered within {median:.1} ms (median), {high:.1} ms (p99)");
    }
    let changes = count(figures.leader_changes, "leader change");
    let lasting = count(figures.ok_under_fault, "ok op");
    let _ =
        writeln!(out, "{lasting} while faults lasted, {changes}, judged in {:.2} s", figures.check_seconds);
    for fault in &report.faults {
        let _ = writeln!(out, "{}", fault_line(fault));
    }
    for line in report.skipped.iter().chain(&report.notes) {
        let _ = writeln!(out, "{line}");
    }
    for check in &report.checks {
        let evidence = render::evidence(&check.verdict);
        if !evidence.is_empty() {
            let _ = write!(out, "\n{}: {evidence}\n", check.name);
        }
    }
    for violation in &report.violations {
        let _ = writeln!(out, "\n{}  (index {})", violation.sentence, violation.index);
    }
    // A contradiction was told above, with its evidence.
    if let Some(reason) = report.reason.as_ref().filter(|_| report.verdict != "invalid") {
        let _ = writeln!(out, "{reason}");
    }
    let folder = quote(&report.folder.to_string_lossy());
    let Commands { program, repeat, same } = commands;
    let _ = writeln!(out, "judge again: {program} check {folder}");
    if !report.faults.is_empty() {
        let _ = writeln!(out, "same faults again: {program} run --schedule {folder}/schedule.toml {same}");
    }
    let _ = writeln!(out, "repeat: {repeat}");
    for fault in &report.untested {
        let _ = writeln!(out, "asked for and not tested: {fault}");
    }
    let _ = writeln!(out, "verdict: {}", report.verdict);
    out
}

/// `1 node`, `3 nodes`.
pub(crate) fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn fault_line(fault: &FaultReport) -> String {
    let mark = if fault.bite.bit { "bit" } else { "no effect" };
    let seconds = |time: nemesis::Time| time.since(nemesis::Time::default()).as_secs_f64();
    let (from, to) = (seconds(fault.began), seconds(fault.heal_effective));
    format!("{from:.3} s to {to:.3} s: {}; {mark}: {}", fault.fault, fault.bite.because)
}
