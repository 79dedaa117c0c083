//! `harness sim`: from flags to many lives, and from a bad one to a small one.

mod again;
pub(crate) mod asked;
mod bad;
mod circumstances;
pub(crate) mod figures;
mod story;

use std::path::PathBuf;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use sim::Swept;

use crate::common::{Common, count};
use crate::exit::{Exit, Refusal};
use crate::live::Board;
use crate::render;
use crate::run::on_signal;
use crate::threads;
use asked::Asked;

/// Live whole clusters in one thread, under a virtual clock, and judge each as a run is judged.
///
/// Every seed is a life: nodes, network, disks and clocks are simulated, the code of the nodes is what ships.
/// The same seed is the same life, on any machine. At the first life that breaks a promise the sweep ends; that
/// life is made small, told, and kept in a folder.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: 0 valid, 1 invalid, 2 unknown, 254 wrong arguments, 255 the harness itself failed.
           Unknown is also a sweep of 100 lives or more in which a fault that was asked for never had an effect.
Example:   harness sim --workload cas-register --nemesis all --seeds 0..1000"
)]
pub(crate) struct SimArgs {
    #[command(flatten)]
    common: Common,

    /// Which lives: from A up to, and without, B; or one alone
    #[arg(long, alias = "seed", value_name = "A..B|N", default_value = "0..100", allow_hyphen_values = true)]
    seeds: String,

    /// Live this life again, which a sweep made small and kept as life.json
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "system", "workload", "nemesis", "nodes", "concurrency", "rate", "time_limit", "seeds", "schedule",
        "bug", "out",
    ])]
    life: Option<PathBuf>,

    /// Print what happens in a life, line by line, on standard error; for one seed, or with --life
    #[arg(long)]
    trace: bool,

    /// Lives at a time [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Lives what the flags say, and prints what came of it.
pub(crate) fn sim(args: &SimArgs) -> Result<Exit, Refusal> {
    threads::use_threads(args.threads)?;
    match &args.life {
        Some(path) => again::again(path, args.trace, args.common.json),
        None => many(&Asked::from(args)?, args.common.json),
    }
}

fn many(asked: &Asked, json: bool) -> Result<Exit, Refusal> {
    if !json {
        render::text(&asked.announce())?;
    }
    if asked.trace {
        tell(asked.plan.tell(asked.seeds.start, sim::Audience::reader()).life.trace.as_deref());
    }
    let board = Board::new();
    let started = Instant::now();
    let swept = sim::sweep(
        &asked.plan,
        asked.seeds.clone(),
        &mut |swept| {
            if !asked.trace {
                board.state(|| progress(asked, swept, started.elapsed()));
            }
        },
        stop_on_signal(),
    );
    let took = started.elapsed();
    board.end();
    let figures = figures::Figures::of(asked, &swept, took);
    if !json {
        render::text(&figures.text())?;
    }
    let bad = swept
        .bad
        .as_ref()
        .map(|(seed, life)| bad::look_into(asked, *seed, life, &Board::new()))
        .transpose()?;
    let verdict = if bad.is_some() { "invalid" } else { figures.verdict() };
    let mut object = figures.object();
    object["bad"] = json!(bad.as_ref().map(|bad| bad.object.clone()));
    object["reason"] = json!(bad.as_ref().map(bad::Bad::reason));
    object["repeat"] = json!(asked.command());
    object["verdict"] = json!(verdict);
    if let Some(bad) = &bad {
        bad.keep(&object)?;
    }
    if json {
        render::json(&object)?;
    } else {
        let told = bad.as_ref().map_or("", |bad| bad.text.as_str());
        render::text(&format!("{told}repeat: {}\nverdict: {verdict}\n", asked.repeat(&swept)))?;
    }
    Ok(Exit::of_verdict(verdict))
}

/// Raised by Ctrl-C or a polite kill; the lives under way are then the last ones. A second one ends the program.
pub(crate) fn stop_on_signal() -> &'static AtomicBool {
    static STOP: AtomicBool = AtomicBool::new(false);
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            // Without it, Ctrl-C ends the program at once, which does no harm.
            if let Ok(runtime) = runtime {
                runtime.block_on(on_signal(|| STOP.store(true, Ordering::Relaxed)));
            }
        });
    });
    &STOP
}

/// What happened, to those who asked for it.
fn tell(trace: Option<&str>) {
    use std::io::Write as _;
    // A reader that went away early is no failure.
    let _ = std::io::stderr().lock().write_all(trace.unwrap_or_default().as_bytes());
}

/// How far a sweep has come.
fn progress(asked: &Asked, swept: &Swept, took: Duration) -> String {
    let all = asked.seeds.end - asked.seeds.start;
    format!(
        "{}/{all} lives  {:.0} s of virtual time per second and core  {}",
        swept.table.lives,
        figures::pace(swept, took),
        count(swept.table.events, "event"),
    )
}
