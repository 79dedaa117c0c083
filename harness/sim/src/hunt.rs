//! Every planted mistake is hunted in the same way, and so is the code without one.
//!
//! A testbed that finds a mistake when it is told where to look has found nothing. So there is one list of
//! plans, made once, for all mistakes: seed k lives by plan k modulo their number. A hunt goes through the seeds
//! from the first on until a life is bad, or until a budget of virtual time is spent; virtual, so that the same
//! mistakes are found on a slow machine and on a fast one. Whatever is called a find is worth as much as the
//! same sweep is silent about the code without mistakes, many times as long.
//!
//! Who hunts has either all [`Eyes`] or those of a client. The difference is what invariants are worth; and what
//! clients cannot see here, with all the luck of many thousand seconds, processes will hardly show.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nemesis::{Kind, Kinds};
use raft::{Bug, Bugs};
use workload::Name;

use crate::audience::Audience;
use crate::ending::{Ending, Sort};
use crate::life::Life;
use crate::life_file::bugs_of;
use crate::plan::Plan;
use crate::sweep::{Swept, sweep_by};

/// What is asked in turn: every workload that somebody judges.
const WORKLOADS: [Name; 6] =
    [Name::Register, Name::CasRegister, Name::Set, Name::Counter, Name::Bank, Name::UniqueIds];

/// What a hunt sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Eyes {
    /// All: every node after every step, under all faults that a simulator has.
    All,
    /// What clients and operators see, under the faults that processes can be given: what is answered, who ends or
    /// does not start, whether it goes on in the end, and whether all then hold the same.
    Clients,
}

/// Faults that processes can be given, by a lossy disk and a slow one, too.
const REAL: [Kind; 7] =
    [Kind::Partition, Kind::Kill, Kind::Pause, Kind::Restart, Kind::Membership, Kind::Power, Kind::SlowDisk];

/// Mistakes that no life can show, and why.
pub const BEYOND: [(Bug, &str); 1] =
    [(Bug::SkipQuorumCheck, "it harms only while a fault lasts, and progress is demanded after all faults")];

/// The mistakes that a life can show.
pub fn within() -> Vec<Bug> {
    Bug::ALL.into_iter().filter(|bug| BEYOND.iter().all(|(beyond, _)| beyond != bug)).collect()
}

/// The plans of a hunt, in their order. Each workload on few nodes and on more, at a walk and at a run, under all
/// faults; and after each round of those, one in fine weather, since a storm can hide what calm shows.
pub fn plans(eyes: Eyes) -> Vec<Plan> {
    let (workloads, kinds) = match eyes {
        Eyes::All => (WORKLOADS.as_slice(), Kind::SIMULATED.as_slice()),
        Eyes::Clients => (&WORKLOADS[..2], REAL.as_slice()),
    };
    let mut plans = Vec::new();
    for rate in [30.0, 100.0] {
        for nodes in [3, 5] {
            let plan = |workload, kinds| Plan {
                workload,
                nodes,
                concurrency: 2 * usize::from(nodes),
                rate,
                time_limit: Duration::from_secs(30),
                kinds,
                schedule: None,
                bugs: Bugs::none(),
            };
            plans.extend(workloads.iter().map(|workload| plan(*workload, Kinds::of(kinds.iter().copied()))));
            let calm = workloads[plans.len() / workloads.len() % workloads.len()];
            plans.push(plan(calm, Kinds::default()));
        }
    }
    plans
}

/// The plan that a seed lives by.
pub fn plan_of(plans: &[Plan], seed: u64) -> &Plan {
    let turn = seed % plans.len() as u64;
    &plans[usize::try_from(turn).expect("there are few plans")]
}

/// What became of a hunt.
#[derive(Clone, Debug, Default)]
pub struct Hunt {
    /// What was found, if anything was.
    pub found: Option<Found>,
    /// How many lives it took, or were lived in vain.
    pub lives: u64,
    /// How long they lasted together, in virtual nanoseconds.
    pub lasted: u128,
    /// Whether it was stopped from outside.
    pub stopped: bool,
}

impl Hunt {
    /// How long its lives lasted, together.
    pub fn virtual_time(&self) -> Duration {
        Duration::from_nanos_u128(self.lasted)
    }
}

/// A mistake that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// By which seed.
    pub seed: u64,
    /// By which plan, the mistake included.
    pub plan: Plan,
    /// As what.
    pub sort: Sort,
    /// In one sentence.
    pub sentence: String,
}

/// Hunts this mistake, life by life, on one thread. `seen` is told how far it is.
pub fn hunt(bug: Bug, eyes: Eyes, budget: Duration, seen: &mut dyn FnMut(&Hunt), stop: &AtomicBool) -> Hunt {
    let plans = with(&plans(eyes), bugs_of(&[bug]));
    let mut hunt = Hunt::default();
    for seed in 0.. {
        if hunt.lasted >= budget.as_nanos() {
            break;
        }
        let plan = plan_of(&plans, seed);
        let nobody = Audience::nobody().until(stop);
        let audience = if eyes == Eyes::All { nobody } else { nobody.outside() };
        let Life { ending, lasted, .. } = plan.live_in(&plan.frame(seed), audience);
        if ending == Ending::Stopped {
            hunt.stopped = true;
            break;
        }
        hunt.lives += 1;
        hunt.lasted += u128::from(lasted);
        if ending.is_bad() {
            hunt.found = Some(found(seed, plan, &ending));
            break;
        }
        seen(&hunt);
    }
    hunt
}

/// The same sweep through the code without mistakes, on all threads, for at least so long, and with all eyes: what
/// clients see, those see, too.
pub fn control(eyes: Eyes, budget: Duration, seen: &mut dyn FnMut(&Swept), stop: &AtomicBool) -> Swept {
    let plans = plans(eyes);
    let enough = |swept: &Swept| swept.lasted >= budget.as_nanos();
    sweep_by(&|seed| plan_of(&plans, seed), 0..u64::MAX, &enough, seen, stop)
}

/// What the control found, if it found something: somebody is wrong, the code or the harness.
pub fn accused(control: &Swept, eyes: Eyes) -> Option<Found> {
    let (seed, life) = control.bad.as_ref()?;
    Some(found(*seed, plan_of(&plans(eyes), *seed), &life.ending))
}

fn found(seed: u64, plan: &Plan, ending: &Ending) -> Found {
    Found { seed, plan: plan.clone(), sort: ending.sort(), sentence: ending.to_string() }
}

fn with(plans: &[Plan], bugs: Bugs) -> Vec<Plan> {
    plans.iter().map(|plan| Plan { bugs, ..plan.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plans_hold_every_workload_on_few_nodes_and_on_more_in_storm_and_in_calm() {
        let plans = plans(Eyes::All);
        for workload in WORKLOADS {
            for nodes in [3, 5] {
                let stormy = plans.iter().filter(|plan| plan.workload == workload && plan.nodes == nodes);
                assert_eq!(stormy.filter(|plan| !plan.kinds.is_empty()).count(), 2, "{workload} on {nodes}");
            }
        }
        let calm = plans.iter().filter(|plan| plan.kinds.is_empty());
        let calm: Vec<String> = calm.map(|plan| plan.workload.to_string()).collect();
        assert_eq!(calm, ["cas-register", "set", "counter", "bank"]);
    }

    #[test]
    fn a_mistake_is_found_and_the_code_without_one_is_not_accused() {
        let stop = AtomicBool::new(false);
        let budget = Duration::from_mins(10);
        let hunt = hunt(Bug::AckBeforeQuorum, Eyes::All, budget, &mut |_| {}, &stop);
        let found = hunt.found.expect("a mistake that breaks an invariant at the first election");
        assert_eq!(found.plan.live(found.seed).ending.to_string(), found.sentence, "it is so again");
        let control = control(Eyes::All, budget, &mut |_| {}, &stop);
        assert!(accused(&control, Eyes::All).is_none(), "{:?}", accused(&control, Eyes::All));
        assert!(control.lasted >= budget.as_nanos() && !control.stopped);
    }

    #[test]
    fn clients_see_less_than_those_who_look_into_the_nodes_and_not_nothing() {
        let stop = AtomicBool::new(false);
        let budget = Duration::from_mins(5);
        let found = |bug, eyes| hunt(bug, eyes, budget, &mut |_| {}, &stop).found;
        assert!(found(Bug::ForgetVote, Eyes::All).is_some());
        assert!(
            found(Bug::ForgetVote, Eyes::Clients).is_none(),
            "it takes two votes in one term to harm anybody"
        );
        let lost = found(Bug::CountHalf, Eyes::Clients).expect("half of the nodes answer what they like");
        let ended = lost.sort == Sort::Broken && lost.sentence.contains(" halts: ");
        assert!(
            ended || matches!(lost.sort, Sort::Invalid | Sort::Stuck),
            "no client sees: {}",
            lost.sentence
        );
        let kinds: Vec<Kinds> = plans(Eyes::Clients).into_iter().map(|plan| plan.kinds).collect();
        assert!(kinds.iter().all(|kinds| kinds.as_slice().iter().all(|kind| REAL.contains(kind))));
    }
}
