//! `harness suite`: many runs under one name.
//!
//! There is one so far: every planted mistake of Raft is hunted, in the simulator, under the model checker or with real
//! processes, all in the same way, and the code without mistakes goes through the same sweep for longer. What was found
//! can be kept as a table of which level finds what.

mod junit;
mod levels;
mod real;
mod search;
mod small;
mod table;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use raft::Bug;
use rayon::prelude::*;
use serde_json::Value;
use sim::hunt::{self, Eyes, Found, Hunt};
use sim::{NotSmall, Swept};

use crate::common::{bugs, quote, seconds, writable_file, writable_folder};
use crate::exit::{Exit, Refusal};
use crate::live::Board;
use crate::render;
use crate::sim::figures::{lived, no_verdicts};
use crate::sim::stop_on_signal;
use crate::threads;
use small::Small;

/// All suites, with a line each.
pub(crate) const SUITES: [(&str, &str); 1] = [(
    "bugs-raft",
    "model, sim, outside, real: every planted mistake of raft is hunted in the same way, then raft without one",
)];

/// Run a whole suite, and print a table of what came of it.
///
/// bugs-raft hunts every planted mistake of raft. Seed after seed lives by the next plan of one list, the same
/// for all mistakes, until a life is bad or the budget is spent. Then raft without a mistake lives by the same
/// list for many times as long as the longest hunt that found something: no life may be bad. With real processes,
/// a run of some seconds takes the place of a life; under the model checker, a profile of the bounds ci.
#[derive(Args, Debug)]
#[command(after_help = "Exit code: 0 every mistake was found and the control is good, 1 the control is bad,
           2 a mistake was not found, 254 wrong arguments, 255 the harness itself failed.
Example:   harness suite bugs-raft --world sim --only forget-vote
           harness suite bugs-raft --world model,sim --table docs/bugs-raft.md")]
pub(crate) struct SuiteArgs {
    /// Which [see: harness list]
    #[arg(value_name = "NAME")]
    name: String,

    /// Where its systems live, and who looks; several are taken one after the other [default: sim]
    #[arg(long, value_name = "WORLD", value_enum, value_delimiter = ',')]
    world: Vec<WorldArg>,

    /// For how long each mistake is hunted at most, in seconds: virtual ones in the simulator, so that on any machine
    /// it is the same lives, and real ones with processes [default: 60000, or 120]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    budget: Option<f64>,

    /// For how many times the longest hunt the code without a mistake must be good; with real processes, how often
    /// it goes through all plans; under the model checker it is searched once, unless this is 0 [default: 20, or 1]
    #[arg(long, value_name = "TIMES")]
    control: Option<u32>,

    /// Hunt only this mistake, by name or number; may be repeated [see: harness list]
    #[arg(long, value_name = "BUG", conflicts_with = "control_only")]
    only: Vec<String>,

    /// Hunt none, and live without a mistake for --budget
    #[arg(long)]
    control_only: bool,

    /// Make each find of the simulator small, too, and live it again from its file
    #[arg(long, conflicts_with = "control_only")]
    shrink: bool,

    /// Where the printed commands, when they are typed, make the folders of bad lives
    /// [default: histories/runs]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Write what came of it as `JUnit` XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Keep what was found beside this page, in a folder of its name, and make its table of levels anew; without
    /// --world, only that
    #[arg(long, value_name = "FILE", conflicts_with = "control_only")]
    table: Option<PathBuf>,

    /// Lives or clusters at a time [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Print one JSON object on standard output, and nothing else there
    #[arg(long)]
    json: bool,
}

/// Where the systems of a suite live.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum WorldArg {
    /// Under a model checker
    Model,
    /// In a simulator
    Sim,
    /// There, under the faults of processes, and seen as clients see them
    Outside,
    /// In processes of their own
    Real,
}

impl WorldArg {
    fn name(self) -> &'static str {
        match self {
            WorldArg::Model => "model",
            WorldArg::Sim => "sim",
            WorldArg::Outside => "outside",
            WorldArg::Real => "real",
        }
    }

    /// The mistakes that it can show.
    fn within(self) -> Vec<Bug> {
        match self {
            WorldArg::Model => model::within(),
            WorldArg::Sim | WorldArg::Outside => hunt::within(),
            WorldArg::Real => real::within(),
        }
    }
}

/// How long a mistake is hunted in the simulator, if nothing is said.
const BUDGET: Duration = Duration::from_mins(1_000);
/// How many times the longest hunt its control lasts, if nothing is said.
const CONTROL: u32 = 20;
/// Nobody hunts for longer, in virtual time: thirty years.
const LONGEST: Duration = Duration::from_hours(30 * 365 * 24);

/// A mistake, and what became of its hunt.
struct Row {
    bug: Bug,
    hunt: Hunt,
    /// How long it took on one core.
    took: Duration,
    /// What was found, made small; `None` if nobody asked for that, or nothing was found.
    small: Option<Result<Small, NotSmall>>,
}

/// The code without a mistake.
struct Control {
    swept: Swept,
    accused: Option<Found>,
    took: Duration,
}

/// What came of all of it.
struct Outcome {
    rows: Vec<Row>,
    control: Control,
    /// Whether every mistake there is was hunted, so that the others need a word, too.
    all: bool,
    /// What was seen of them.
    eyes: Eyes,
    /// For how long each was hunted at most.
    budget: Duration,
    /// What is added to the commands that are printed.
    out: String,
}

/// Runs the suite, and prints what came of it.
pub(crate) fn suite(args: &SuiteArgs) -> Result<Exit, Refusal> {
    if !SUITES.iter().any(|(name, _)| *name == args.name) {
        let known = SUITES.map(|(name, _)| name).join(", ");
        return Err(Refusal::wrong(format_args!("unknown suite `{}`: there is {known}", args.name)));
    }
    if !cfg!(feature = "bugs") && !args.control_only {
        return Err(Refusal::wrong("this build has no planted bugs: only --control-only makes sense"));
    }
    let budget = args.budget.map(|budget| seconds("--budget", budget, LONGEST)).transpose()?;
    let only = bugs("--only", &args.only)?;
    args.junit.as_deref().map(|path| writable_file("--junit", path)).transpose()?;
    args.out.as_deref().map(|path| writable_folder("--out", path)).transpose()?;
    threads::use_threads(args.threads)?;
    let page = args.table.as_deref().map(levels::Page::at).transpose()?;
    let mut worlds = args.world.clone();
    worlds.sort_unstable();
    worlds.dedup();
    if worlds.is_empty() && page.is_none() {
        worlds.push(WorldArg::Sim);
    }
    if args.json && worlds.len() != 1 {
        return Err(Refusal::wrong("--json: of one world at a time"));
    }
    if args.shrink && worlds != [WorldArg::Sim] {
        return Err(Refusal::wrong("--shrink: only with --world sim"));
    }
    if args.junit.is_some() && worlds != [WorldArg::Sim] {
        return Err(Refusal::wrong("--junit: only with --world sim so far"));
    }
    let mut exit = Exit::Valid;
    for world in worlds {
        let bugs = match (args.control_only, only.is_empty()) {
            (true, _) => Vec::new(),
            (_, true) => world.within(),
            (_, false) => within(world, &only)?,
        };
        let (ended, found) = match world {
            WorldArg::Model => under_checker(&bugs, args)?,
            WorldArg::Sim => in_simulator(&bugs, Eyes::All, budget, args)?,
            WorldArg::Outside => in_simulator(&bugs, Eyes::Clients, budget, args)?,
            WorldArg::Real => among_processes(&bugs, budget, args)?,
        };
        exit = exit.worse(ended);
        if let Some(page) = &page {
            page.keep(world.name(), &found, args.control != Some(0))?;
        }
    }
    page.map_or(Ok(()), |page| page.write())?;
    Ok(exit)
}

/// Those that are asked for by name, if this world can show them.
fn within(world: WorldArg, only: &[Bug]) -> Result<Vec<Bug>, Refusal> {
    match only.iter().find(|bug| world == WorldArg::Model && !model::shows(**bug)) {
        Some(bug) => Err(Refusal::wrong(format_args!(
            "--only {bug}: this mistake is made in the crate {}; the model checker has only the core, and \
             cannot show it",
            bug.room()
        ))),
        None => Ok(only.to_vec()),
    }
}

fn under_checker(bugs: &[Bug], args: &SuiteArgs) -> Result<(Exit, Value), Refusal> {
    let outcome = search::bugs_raft(bugs, args.control != Some(0));
    let object = outcome.object();
    if args.json {
        render::json(&object)?;
    } else {
        render::text(&outcome.text())?;
    }
    Ok((outcome.exit(), object))
}

fn in_simulator(
    bugs: &[Bug],
    eyes: Eyes,
    budget: Option<Duration>,
    args: &SuiteArgs,
) -> Result<(Exit, Value), Refusal> {
    let outcome = bugs_raft(bugs, eyes, budget.unwrap_or(BUDGET), args);
    if let Some(path) = &args.junit {
        let written = std::fs::write(path, junit::report(&outcome));
        written.map_err(|error| Refusal::wrong(format_args!("--junit {}: {error}", path.display())))?;
    }
    let object = table::object(&outcome);
    if args.json {
        render::json(&object)?;
    } else {
        render::text(&table::text(&outcome))?;
    }
    Ok((outcome.exit(), object))
}

fn among_processes(
    bugs: &[Bug],
    budget: Option<Duration>,
    args: &SuiteArgs,
) -> Result<(Exit, Value), Refusal> {
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("histories/runs"));
    let (budget, rounds) = (budget.unwrap_or(real::BUDGET), args.control.unwrap_or(real::ROUNDS));
    let all = args.only.is_empty() && !args.control_only;
    real::suite(&real::Hunts { bugs, budget, rounds, out: &out, all }, args.json)
}

fn bugs_raft(bugs: &[Bug], eyes: Eyes, budget: Duration, args: &SuiteArgs) -> Outcome {
    let board = Board::new();
    let stop = stop_on_signal();
    let over = Mutex::new(0);
    let hunt = |bug: &Bug| {
        let started = Instant::now();
        let hunt = hunt::hunt(
            *bug,
            eyes,
            budget,
            &mut |hunt| board.state(|| format!("{bug}: {} lives", hunt.lives)),
            stop,
        );
        let mut over = over.lock().unwrap_or_else(PoisonError::into_inner);
        *over += 1;
        board.line(&format!("{over}/{} {bug}: {}", bugs.len(), table::became(&hunt)));
        Row { bug: *bug, hunt, took: started.elapsed(), small: None }
    };
    let mut rows: Vec<Row> = bugs.par_iter().with_max_len(1).map(hunt).collect();
    if args.shrink {
        small::make_small(&mut rows, &board, stop);
    }
    let longest = rows.iter().filter(|row| row.hunt.found.is_some()).map(|row| row.hunt.virtual_time()).max();
    let length = match longest {
        Some(longest) => longest.saturating_mul(args.control.unwrap_or(CONTROL)),
        None => budget,
    };
    let started = Instant::now();
    let seen = &mut |swept: &Swept| {
        let so_far = swept.virtual_time().as_secs_f64();
        board.state(|| {
            format!("control: {} lives, {so_far:.0}/{:.0} s", swept.table.lives, length.as_secs_f64())
        });
    };
    let swept = hunt::control(eyes, length, seen, stop);
    board.end();
    let accused = hunt::accused(&swept, eyes);
    let all = rows.len() == hunt::within().len();
    let out =
        args.out.as_ref().map_or_else(String::new, |out| format!(" --out {}", quote(&out.to_string_lossy())));
    Outcome { rows, control: Control { swept, accused, took: started.elapsed() }, all, eyes, budget, out }
}

impl Outcome {
    fn found(&self) -> impl Iterator<Item = (&Row, &Found)> {
        self.rows.iter().filter_map(|row| Some((row, row.hunt.found.as_ref()?)))
    }

    fn world(&self) -> &'static str {
        match self.eyes {
            Eyes::All => WorldArg::Sim.name(),
            Eyes::Clients => WorldArg::Outside.name(),
        }
    }

    /// Why it is not known whether all is well.
    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let missed: Vec<&str> =
            self.rows.iter().filter(|row| row.hunt.found.is_none()).map(|row| row.bug.name()).collect();
        if !missed.is_empty() {
            doubts.push(format!("not found: {}", missed.join(", ")));
        }
        if self.control.swept.stopped || self.rows.iter().any(|row| row.hunt.stopped) {
            doubts.push(format!(
                "stopped early: the control lived {}",
                lived(0, self.control.swept.table.lives)
            ));
        }
        doubts.extend(no_verdicts(&self.control.swept).into_iter().map(|line| format!("control: {line}")));
        doubts
    }

    fn exit(&self) -> Exit {
        match (&self.control.accused, self.doubts().is_empty()) {
            (Some(_), _) => Exit::Invalid,
            (None, false) => Exit::Unknown,
            (None, true) => Exit::Valid,
        }
    }

    fn verdict(&self) -> &'static str {
        match self.exit() {
            Exit::Valid => "valid",
            Exit::Invalid => "invalid",
            _ => "unknown",
        }
    }
}
