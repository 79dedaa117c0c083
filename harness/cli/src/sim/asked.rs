//! From flags to lives to be lived, and back to a command.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nemesis::{Kind, Kinds};
use sim::{Plan, Swept};
use workload::Simulated;

use super::SimArgs;
use crate::exit::Refusal;
use crate::run::{self, count, program, quote};

/// Nobody simulates more nodes at once.
const MOST_NODES: u16 = 9;
/// Nor more clients.
const MOST_CLIENTS: usize = 1000;
/// Nor a longer life: all that clients saw is kept until it is judged.
const LONGEST: Duration = Duration::from_hours(24);

/// What was asked for.
pub(super) struct Asked {
    pub(super) plan: Plan,
    pub(super) seeds: Range<u64>,
    /// The faults that should show.
    pub(super) kinds: Kinds,
    pub(super) schedule: Option<PathBuf>,
    pub(super) out: PathBuf,
    pub(super) trace: bool,
}

impl Asked {
    pub(super) fn from(args: &SimArgs) -> Result<Asked, Refusal> {
        if args.system != "raft" {
            let system = &args.system;
            return Err(Refusal::wrong(format_args!("--system {system}: only raft can be simulated yet")));
        }
        if !(1..=MOST_NODES).contains(&args.nodes) {
            return Err(Refusal::wrong(format_args!("--nodes {}: from 1 to {MOST_NODES}", args.nodes)));
        }
        let concurrency = run::concurrency(&args.concurrency, args.nodes)?;
        if !(1..=MOST_CLIENTS).contains(&concurrency) {
            return Err(Refusal::wrong(format_args!(
                "--concurrency {concurrency}: from 1 to {MOST_CLIENTS}"
            )));
        }
        let schedule =
            args.schedule.as_deref().map(|path| run::read_schedule(path, args.nodes)).transpose()?;
        let kinds = match &schedule {
            Some(schedule) => schedule.kinds(),
            None => Kinds::parse(&args.nemesis, &Kind::ALL).map_err(Refusal::wrong)?,
        };
        let time_limit = match args.time_limit {
            Some(limit) => run::seconds("--time-limit", limit)?,
            None => schedule.as_ref().and_then(run::until_healed).unwrap_or(Duration::from_secs(30)),
        };
        if time_limit > LONGEST {
            let limit = time_limit.as_secs_f64();
            return Err(Refusal::wrong(format_args!(
                "--time-limit {limit}: at most {} s",
                LONGEST.as_secs()
            )));
        }
        let seeds = seeds(&args.seeds)?;
        let many = seeds.end - seeds.start;
        if args.trace && many > 1 {
            let first = seeds.start;
            return Err(Refusal::wrong(format_args!(
                "--trace tells one life, and {many} were asked for: give one seed, such as --seeds {first}"
            )));
        }
        Ok(Asked {
            plan: Plan {
                workload: args.workload.parse::<Simulated>().map_err(Refusal::wrong)?,
                nodes: args.nodes,
                concurrency,
                rate: run::rate(args.rate)?,
                time_limit,
                kinds: kinds.clone(),
                schedule,
                bugs: sim::bugs_of(&bugs(&args.bug)?),
            },
            seeds,
            kinds,
            schedule: args.schedule.clone(),
            out: folder(&args.out)?,
            trace: args.trace,
        })
    }

    /// What will be lived, said before it is.
    pub(super) fn announce(&self) -> String {
        let Plan { workload, nodes, concurrency, rate, time_limit, bugs, .. } = &self.plan;
        let planted: Vec<&str> = bugs.iter().map(raft::Bug::name).collect();
        let planted =
            if planted.is_empty() { String::new() } else { format!(", with {}", planted.join(", ")) };
        let pace =
            if *rate > 0.0 { format!("{rate} ops/s") } else { "as fast as they are answered".to_owned() };
        format!(
            "seeds: {}..{}\nraft on {}{planted}; {workload} with {}, {pace}, {} s; faults: {}\n",
            self.seeds.start,
            self.seeds.end,
            count((*nodes).into(), "node"),
            count(*concurrency as u64, "client"),
            time_limit.as_secs_f64(),
            self.faults(),
        )
    }

    /// The faults, as they are told: the file that lists them, or their kinds.
    pub(super) fn faults(&self) -> String {
        match &self.schedule {
            Some(path) => format!("those of {}", path.display()),
            None => self.kinds.to_string(),
        }
    }

    /// What to type to live all of it again.
    pub(super) fn command(&self) -> String {
        self.command_for(self.seeds.clone())
    }

    /// What to type to live these.
    pub(super) fn command_for(&self, seeds: Range<u64>) -> String {
        let mut words = command(&self.plan, self.schedule.as_deref(), seeds);
        if self.out != Path::new("histories/runs") {
            let _ = write!(words, " --out {}", quote(&self.out.to_string_lossy()));
        }
        words
    }

    /// What to type to see the end again: of a bad sweep, its bad life is enough.
    pub(super) fn repeat(&self, swept: &Swept) -> String {
        match &swept.bad {
            Some((seed, _)) => self.command_for(one(*seed)),
            None => self.command(),
        }
    }
}

/// What to type to live these seeds by this plan, whose faults are in that file if they are in one.
pub(crate) fn command(plan: &Plan, schedule: Option<&Path>, seeds: Range<u64>) -> String {
    let Plan { workload, nodes, concurrency, rate, time_limit, kinds, bugs, .. } = plan;
    let faults = match schedule {
        Some(path) => format!("--schedule {}", quote(&path.to_string_lossy())),
        None => format!("--nemesis {}", shortly(kinds)),
    };
    let mut words = format!(
        "{} sim --workload {workload} {faults} --nodes {nodes} --concurrency {concurrency} --rate {rate} --time-limit {}",
        program(),
        time_limit.as_secs_f64()
    );
    for bug in bugs.iter() {
        let _ = write!(words, " --bug {bug}");
    }
    let _ = write!(words, " --seeds {}..{}", seeds.start, seeds.end);
    words
}

/// `all`, if it is.
pub(crate) fn shortly(kinds: &Kinds) -> String {
    if *kinds == Kinds::of(Kind::SIMULATED) { "all".to_owned() } else { kinds.to_string() }
}

/// Only this seed.
pub(crate) fn one(seed: u64) -> Range<u64> {
    seed..seed.saturating_add(1)
}

/// The planted mistakes that these names mean.
pub(crate) fn bugs(asked: &[String]) -> Result<Vec<raft::Bug>, Refusal> {
    run::bugs(asked)?.iter().map(|name| name.parse().map_err(Refusal::wrong)).collect()
}

fn seeds(text: &str) -> Result<Range<u64>, Refusal> {
    let number = |part: &str| part.trim().parse::<u64>().ok();
    let range = match text.split_once("..") {
        Some((from, upto)) => number(from).zip(number(upto)).map(|(from, upto)| from..upto),
        None => number(text).and_then(|seed| Some(seed..seed.checked_add(1)?)),
    };
    match range {
        Some(seeds) if seeds.start < seeds.end => Ok(seeds),
        Some(Range { start, end }) if start > end => {
            Err(Refusal::wrong(format_args!("--seeds {text}: backwards; did you mean {end}..{start}?")))
        }
        Some(Range { start, .. }) => Err(Refusal::wrong(format_args!(
            "--seeds {text}: holds no seed, since the last one does not count; one alone is --seeds {start}"
        ))),
        None => Err(Refusal::wrong(format_args!(
            "--seeds {text}: from the first up to the last, which does not count, such as 0..100; or one, such as 7"
        ))),
    }
}

/// A folder that is there, or can be made: a sweep of an hour should not end with this complaint.
fn folder(out: &Path) -> Result<PathBuf, Refusal> {
    match out.ancestors().find(|part| part.exists()) {
        Some(part) if !part.is_dir() => {
            Err(Refusal::wrong(format_args!("--out {}: {} is no folder", out.display(), part.display())))
        }
        _ => Ok(out.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range_without_its_end_or_one_alone() {
        assert_eq!(seeds("3..7").ok(), Some(3..7));
        assert_eq!(seeds("7").ok(), Some(7..8));
        for (wrong, cure) in [
            ("7..3", "did you mean 3..7?"),
            ("5..5", "--seeds 5"),
            ("", "0..100"),
            ("1..", "0..100"),
            ("-1..4", "0..100"),
            ("18446744073709551615", "0..100"),
        ] {
            let refusal = seeds(wrong).err();
            assert!(
                refusal.as_ref().is_some_and(|refusal| refusal.why().contains(cure)),
                "{wrong}: {refusal:?}"
            );
        }
    }
}
