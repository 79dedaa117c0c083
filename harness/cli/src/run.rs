//! `harness run`: from flags to a verdict.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use nemesis::{Kinds, Rhythm};
use runner::plan::{MOST_CLIENTS, MOST_NODES};
use runner::{Disk, FaultReport, Plan, Report};
use tokio_util::sync::CancellationToken;

use crate::args::{DiskArg, RunArgs};
use crate::common::{LONGEST, count, left_out_of_all, of, program, quote, seconds};
use crate::exit::{self, Exit, Refusal};
use crate::live::Screen;
use crate::render;

/// Runs what the flags say, and prints what came of it.
pub(crate) fn run(args: RunArgs, argv: Vec<String>) -> Result<Exit, Refusal> {
    let json = args.common.json;
    let (plan, left_out) = plan(args, argv)?;
    if !json {
        render::text(&announce(&plan, &left_out))?;
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

/// The plan, and what of `all` is left out, since it cannot bite on so few nodes.
fn plan(args: RunArgs, argv: Vec<String>) -> Result<(Plan, Kinds), Refusal> {
    let common = &args.common;
    let system = runner::system::find(&common.system).map_err(of("--system"))?;
    common.nodes(MOST_NODES)?;
    let schedule = common.schedule()?;
    let (nemesis, left_out) = common.kinds(system.faults())?;
    let plan = Plan {
        workload: common.workload()?,
        time_limit: common.time_limit(schedule.as_ref(), LONGEST)?,
        schedule,
        rhythm: rhythm(&args.interval)?,
        concurrency: Some(common.concurrency(MOST_CLIENTS)?),
        rate: common.rate(0.0)?,
        fail_fast: args.fail_fast,
        seed: args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
        bugs: common.bugs()?.iter().map(ToString::to_string).collect(),
        disk: match args.disk {
            DiskArg::Real => Disk::Real,
            DiskArg::Lossy => Disk::Lossy,
        },
        nemesis,
        nodes: common.nodes,
        bin: args.bin,
        settings: args.settings.into_iter().collect(),
        link_delay: Duration::from_millis(args.link_delay),
        direct: false,
        system: args.common.system,
        out: args.common.out,
        argv,
    };
    plan.check().map_err(Refusal::wrong)?;
    Ok((plan, left_out))
}

fn rhythm(text: &str) -> Result<Rhythm, Refusal> {
    let parse =
        |part: &str| part.trim().parse().ok().and_then(|value| seconds("--interval", value, LONGEST).ok());
    let both = text.split_once(',').and_then(|(on, off)| Some((parse(on)?, parse(off)?)));
    match both {
        Some((on, off)) => Ok(Rhythm { on, off, ..Rhythm::default() }),
        None => {
            Err(Refusal::wrong(format_args!("--interval {text}: seconds of fault and of calm, such as 5,5")))
        }
    }
}

// --- from a report to text ----------------------------------------------------------------------------

fn announce(plan: &Plan, left_out: &Kinds) -> String {
    let bugs = if plan.bugs.is_empty() { String::new() } else { format!(", with {}", plan.bugs.join(", ")) };
    let disk = if plan.disk == Disk::Lossy { ", lossy disks" } else { "" };
    format!(
        "seed: {}\n{} on {}{disk}{bugs}; {} with {}; faults: {}\n{}",
        plan.seed,
        plan.system,
        count(plan.nodes.into(), "node"),
        plan.workload,
        count(plan.concurrency() as u64, "client"),
        plan.faults(),
        left_out_of_all(left_out, plan.nodes),
    )
}

/// What to type to do it again.
struct Commands {
    /// This program, as the user called it.
    program: &'static str,
    /// The command as it was given, with the seed that it got.
    repeat: String,
    /// As [`same_faults`] says.
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
        Commands { program, repeat: words.join(" "), same: same_faults(plan) }
    }
}

/// The flags that a run with the same faults needs beside their schedule.
pub(crate) fn same_faults(plan: &Plan) -> String {
    let mut same = format!(
        "--system {} --workload {} --nodes {} --concurrency {} --time-limit {} --seed {}",
        plan.system,
        plan.workload,
        plan.nodes,
        plan.concurrency(),
        plan.time_limit.as_secs_f64(),
        plan.seed
    );
    if plan.rate > 0.0 {
        let _ = write!(same, " --rate {}", plan.rate);
    }
    for bug in &plan.bugs {
        let _ = write!(same, " --bug {bug}");
    }
    if plan.disk == Disk::Lossy {
        same.push_str(" --disk lossy");
    }
    if !plan.link_delay.is_zero() {
        let _ = write!(same, " --link-delay {}", plan.link_delay.as_millis());
    }
    for (flag, value) in &plan.settings {
        let _ = write!(same, " --set {}", quote(&format!("{flag}={value}")));
    }
    same
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
    if !report.checks.is_empty() {
        let _ = writeln!(out, "judge again: {program} check {folder}");
    }
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

fn fault_line(fault: &FaultReport) -> String {
    let mark = if fault.bite.bit { "bit" } else { "no effect" };
    let seconds = |time: nemesis::Time| time.since(nemesis::Time::default()).as_secs_f64();
    let (from, to) = (seconds(fault.began), seconds(fault.heal_effective));
    format!("{from:.3} s to {to:.3} s: {}; {mark}: {}", fault.fault, fault.bite.because)
}
