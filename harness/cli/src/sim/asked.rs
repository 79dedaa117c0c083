//! From flags to lives to be lived, and back to a command.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::fmt::{Display, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nemesis::{Kind, Kinds};
use sim::{Plan, Swept};

use super::SimArgs;
use crate::common::{count, left_out_of_all, program, quote, writable_folder};
use crate::exit::Refusal;

/// Nobody simulates more nodes at once.
const MOST_NODES: u16 = 9;
/// Nor more clients.
const MOST_CLIENTS: usize = 1000;
/// Ops per second if nothing is said.
const RATE: f64 = 30.0;
/// Nor a longer life: all that clients saw is kept until it is judged.
const LONGEST: Duration = Duration::from_hours(24);

/// What was asked for.
pub(super) struct Asked {
    pub(super) plan: Plan,
    pub(super) seeds: Range<u64>,
    /// The faults that should show.
    pub(super) kinds: Kinds,
    /// Those of `all` that cannot show on so few nodes.
    left_out: Kinds,
    pub(super) schedule: Option<PathBuf>,
    pub(super) out: PathBuf,
    pub(super) trace: bool,
}

impl Asked {
    pub(super) fn from(args: &SimArgs) -> Result<Asked, Refusal> {
        let common = &args.common;
        if common.system != "raft" {
            let system = &common.system;
            return Err(Refusal::wrong(format_args!("--system {system}: only raft can be simulated yet")));
        }
        let nodes = common.nodes(MOST_NODES)?;
        let schedule = common.schedule()?;
        let (kinds, left_out) = match &schedule {
            Some(schedule) => (schedule.kinds(), Kinds::default()),
            None => common.kinds(&simulated())?,
        };
        let seeds = seeds(&args.seeds)?;
        let many = seeds.end - seeds.start;
        if args.trace && many > 1 {
            let first = seeds.start;
            return Err(Refusal::wrong(format_args!(
                "--trace tells one life, and {many} were asked for: give one seed, such as --seeds {first}"
            )));
        }
        let plan = Plan {
            workload: common.workload()?,
            nodes,
            concurrency: common.concurrency(MOST_CLIENTS)?,
            rate: common.rate(RATE)?,
            time_limit: common.time_limit(schedule.as_ref(), LONGEST)?,
            kinds: kinds.clone(),
            schedule,
            bugs: sim::bugs_of(&common.bugs()?),
        };
        not_too_many_ops(&plan)?;
        writable_folder("--out", &common.out)?;
        Ok(Asked {
            plan,
            seeds,
            kinds,
            left_out,
            schedule: common.schedule.clone(),
            out: common.out.clone(),
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
            "seeds: {}..{}\nraft on {}{planted}; {workload} with {}, {pace}, {} s; faults: {}\n{}",
            self.seeds.start,
            self.seeds.end,
            count((*nodes).into(), "node"),
            count(*concurrency as u64, "client"),
            time_limit.as_secs_f64(),
            self.faults(),
            left_out_of_all(&self.left_out, *nodes),
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

/// Those that a simulator mixes, and those that happen only to who asks for them.
fn simulated() -> Vec<Kind> {
    let here = |kind: &Kind| Kind::SIMULATED.contains(kind) || !kind.is_fair();
    Kind::ALL.into_iter().filter(here).collect()
}

/// `all`, if it is.
pub(crate) fn shortly(kinds: &Kinds) -> String {
    if *kinds == Kinds::of(Kind::SIMULATED) { "all".to_owned() } else { kinds.to_string() }
}

/// Only this seed.
pub(crate) fn one(seed: u64) -> Range<u64> {
    seed..seed.saturating_add(1)
}

fn seeds(text: &str) -> Result<Range<u64>, Refusal> {
    let wrong = |why: &dyn Display| Refusal::wrong(format_args!("--seeds {text}: {why}"));
    let number = |part: &str| {
        part.trim().parse::<u64>().ok().filter(|seed| *seed < u64::MAX).ok_or_else(|| {
            let most = u64::MAX - 1;
            wrong(&format_args!(
                "`{part}` is no seed, which is a whole number from 0 to {most}; such as 0..100, of which the last does \
                 not count, or 7 alone"
            ))
        })
    };
    let (start, end) = match text.split_once("..") {
        Some((from, upto)) => (number(from)?, number(upto)?),
        None => (number(text)?, number(text)? + 1),
    };
    match start.cmp(&end) {
        Less => Ok(start..end),
        Greater => Err(wrong(&format_args!("backwards; did you mean {end}..{start}?"))),
        Equal => Err(wrong(&format_args!(
            "holds no seed, since the last one does not count; one alone is --seeds {start}"
        ))),
    }
}

/// Whoever says how many ops there are a second knows how many there will be. Who does not is held back when
/// there are so many.
fn not_too_many_ops(plan: &Plan) -> Result<(), Refusal> {
    let (rate, seconds) = (plan.rate, plan.time_limit.as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a bound is a round number")]
    let most = sim::MOST_OPS as f64;
    if rate * seconds <= most {
        return Ok(());
    }
    Err(Refusal::wrong(format_args!(
        "--rate {rate:?} for {seconds} s: a life has at most {most} ops, since all that its clients see is kept until \
         it is judged"
    )))
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
            ("-1..4", "`-1` is no seed"),
            ("18446744073709551615", "from 0 to 18446744073709551614"),
            ("0..99999999999999999999", "`99999999999999999999` is no seed"),
            ("--json", "`--json` is no seed"),
        ] {
            let refusal = seeds(wrong).err();
            assert!(
                refusal.as_ref().is_some_and(|refusal| refusal.why().contains(cure)),
                "{wrong}: {refusal:?}"
            );
        }
    }
}
