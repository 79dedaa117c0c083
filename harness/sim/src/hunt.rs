//! Every planted mistake is hunted in the same way, and so is the code without one.
//!
//! A testbed that finds a mistake when it is told where to look has found nothing. So there is one list of
//! plans, made once, for all mistakes: seed k lives by plan k modulo their number. A hunt goes through the seeds
//! from the first on until a life is bad, or until a budget of virtual time is spent; virtual, so that the same
//! mistakes are found on a slow machine and on a fast one. Whatever is called a find is worth as much as the
//! same sweep is silent about the code without mistakes, many times as long.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nemesis::{Kind, Kinds};
use raft::{Bug, Bugs};
use workload::{Name, Simulated};

use crate::ending::{Ending, Sort};
use crate::life::Life;
use crate::life_file::bugs_of;
use crate::plan::Plan;
use crate::sweep::{Swept, sweep_by};

/// What is asked in turn: every workload that somebody judges.
const WORKLOADS: [Simulated; 6] = [
    Simulated::Real(Name::Register),
    Simulated::Real(Name::CasRegister),
    Simulated::Set,
    Simulated::Counter,
    Simulated::Bank,
    Simulated::UniqueIds,
];

/// Mistakes that no life can show, and why.
pub const BEYOND: [(Bug, &str); 1] =
    [(Bug::SkipQuorumCheck, "it harms only while a fault lasts, and progress is demanded after all faults")];

/// The mistakes that a life can show.
pub fn within() -> Vec<Bug> {
    Bug::ALL.into_iter().filter(|bug| BEYOND.iter().all(|(beyond, _)| beyond != bug)).collect()
}

/// The plans of a hunt, in their order. Each workload on few nodes and on more, at a walk and at a run, under all
/// faults; and after every six of those, one in fine weather, since a storm can hide what calm shows.
pub fn plans() -> Vec<Plan> {
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
            plans.extend(WORKLOADS.map(|workload| plan(workload, Kinds::of(Kind::SIMULATED))));
            let calm = WORKLOADS[plans.len() / WORKLOADS.len() % WORKLOADS.len()];
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
pub fn hunt(bug: Bug, budget: Duration, seen: &mut dyn FnMut(&Hunt), stop: &AtomicBool) -> Hunt {
    let plans = with(&plans(), bugs_of(&[bug]));
    let mut hunt = Hunt::default();
    for seed in 0.. {
        if hunt.lasted >= budget.as_nanos() {
            break;
        }
        let plan = plan_of(&plans, seed);
        let Life { ending, lasted, .. } = plan.live_until(seed, stop);
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

/// The same sweep through the code without mistakes, on all threads, for at least so long.
pub fn control(budget: Duration, seen: &mut dyn FnMut(&Swept), stop: &AtomicBool) -> Swept {
    let plans = plans();
    let enough = |swept: &Swept| swept.lasted >= budget.as_nanos();
    sweep_by(&|seed| plan_of(&plans, seed), 0..u64::MAX, &enough, seen, stop)
}

/// What the control found, if it found something: somebody is wrong, the code or the harness.
pub fn accused(control: &Swept) -> Option<Found> {
    let (seed, life) = control.bad.as_ref()?;
    Some(found(*seed, plan_of(&plans(), *seed), &life.ending))
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
        let plans = plans();
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
        let hunt = hunt(Bug::AckBeforeQuorum, budget, &mut |_| {}, &stop);
        let found = hunt.found.expect("a mistake that breaks an invariant at the first election");
        assert_eq!(found.plan.live(found.seed).ending.to_string(), found.sentence, "it is so again");
        let control = control(budget, &mut |_| {}, &stop);
        assert!(accused(&control).is_none(), "{:?}", accused(&control));
        assert!(control.lasted >= budget.as_nanos() && !control.stopped);
    }
}
