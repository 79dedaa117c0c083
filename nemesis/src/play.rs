//! Playing a schedule: given the time and the leader, what is to be done now.
//!
//! The runner asks every few milliseconds of real time, the simulator at every step of virtual time;
//! neither decides anything itself. What was done is remembered as it was resolved and at the time
//! it was done, so that [`Nemesis::record`] is a schedule that repeats the run.

use std::collections::VecDeque;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::aim::Aim;
use crate::fault::Fault;
use crate::ids::{NodeId, Nodes, Time};
use crate::schedule::{Schedule, Step};
use crate::shape::Impossible;

/// How soon to ask again when a fault waits for a leader to aim at.
const PATIENCE: Duration = Duration::from_millis(20);

/// What is to be done now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Break this.
    Inject(Fault),
    /// Mend this, which was broken before.
    Heal(Fault),
    /// Give this up: its time has passed, and the role it was meant for was never filled.
    Skip(Aim, Impossible),
    /// Nothing, until then.
    Wait(Time),
    /// Nothing any more.
    Done,
}

/// A schedule being played.
#[derive(Clone, Debug)]
pub struct Nemesis {
    nodes: Nodes,
    seed: u64,
    /// Faults begun so far, to give each its own chance.
    drawn: u64,
    waiting: VecDeque<Step>,
    /// Injected and not healed; `aim` is `Exactly`, `until` still the plan's.
    active: Vec<(Fault, Step)>,
    done: Vec<Step>,
}

impl Nemesis {
    /// Plays this schedule on these nodes. The seed decides what the schedule leaves to chance.
    pub fn new(schedule: Schedule, nodes: Nodes, seed: u64) -> Nemesis {
        let mut steps = schedule.steps;
        steps.sort_by_key(|step| step.at);
        Nemesis { nodes, seed, drawn: 0, waiting: steps.into(), active: Vec::new(), done: Vec::new() }
    }

    /// What is to be done now. The caller does it, and asks again.
    pub fn next(&mut self, now: Time, leader: Option<NodeId>) -> Action {
        if let Some(due) = self.active.iter().position(|(_, step)| step.until <= now) {
            return Action::Heal(self.heal(due, now));
        }
        match self.waiting.front() {
            Some(step) if step.at <= now => self.begin(now, leader),
            Some(step) => Action::Wait(self.next_heal().map_or(step.at, |heal| heal.min(step.at))),
            None => self.next_heal().map_or(Action::Done, Action::Wait),
        }
    }

    /// Ends it, now: what is still broken and must be healed. Nothing more will be injected.
    pub fn stop(&mut self, now: Time) -> Vec<Fault> {
        self.waiting.clear();
        let mut broken = Vec::new();
        while !self.active.is_empty() {
            broken.push(self.heal(0, now));
        }
        broken
    }

    /// What was not begun.
    pub fn waiting(&self) -> impl Iterator<Item = &Step> {
        self.waiting.iter()
    }

    /// What was done so far, as a schedule that repeats it.
    pub fn record(&self) -> Schedule {
        let active = self.active.iter().map(|(_, step)| step);
        let mut steps: Vec<Step> = self.done.iter().chain(active).cloned().collect();
        steps.sort_by_key(|step| step.at);
        Schedule { steps }
    }

    /// What is broken now.
    pub fn active(&self) -> impl Iterator<Item = &Fault> {
        self.active.iter().map(|(fault, _)| fault)
    }

    fn begin(&mut self, now: Time, leader: Option<NodeId>) -> Action {
        let step = self.waiting.pop_front().expect("a step is due");
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.drawn + 1); // stream 0 may have drawn the schedule
        match step.aim.resolve(&self.nodes, leader, &mut rng) {
            Ok(fault) => {
                self.drawn += 1;
                let step = Step { at: now, aim: Aim::Exactly(fault.clone()), ..step };
                self.active.push((fault.clone(), step));
                Action::Inject(fault)
            }
            Err(Impossible::NoLeader) if now < step.until => {
                self.waiting.push_front(step);
                let soon = now.after(PATIENCE);
                Action::Wait(self.next_heal().map_or(soon, |heal| heal.min(soon)))
            }
            Err(why) => Action::Skip(step.aim, why),
        }
    }

    fn heal(&mut self, index: usize, now: Time) -> Fault {
        let (fault, step) = self.active.remove(index);
        let until = now.max(Time(step.at.0 + 1)); // in a schedule every fault lasts
        self.done.push(Step { until, ..step });
        fault
    }

    fn next_heal(&self) -> Option<Time> {
        self.active.iter().map(|(_, step)| step.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::cluster;
    use crate::kind::{Kind, Kinds};
    use crate::schedule::Rhythm;

    fn schedule() -> Schedule {
        Schedule::draw(7, &Kinds::of(Kind::ALL), 3, Rhythm::default(), Time::seconds(40))
    }

    /// Plays to the end under virtual time; returns what was done, and when.
    fn play(nemesis: &mut Nemesis, leader: impl Fn(Time) -> Option<NodeId>) -> Vec<(Time, Action)> {
        let (mut now, mut done) = (Time::default(), Vec::new());
        loop {
            match nemesis.next(now, leader(now)) {
                Action::Done => return done,
                Action::Wait(until) => {
                    assert!(until > now, "waiting goes forward");
                    now = until;
                }
                action => done.push((now, action)),
            }
        }
    }

    #[test]
    fn every_injected_fault_is_healed_and_the_record_repeats_the_run() {
        let mut nemesis = Nemesis::new(schedule(), cluster(3), 7);
        let first = play(&mut nemesis, |_| Some(NodeId(2)));
        let injected = first.iter().filter(|(_, action)| matches!(action, Action::Inject(_))).count();
        assert_eq!((injected, first.len()), (4, 8));
        let Action::Inject(fault) = &first[0].1 else { panic!("it begins with a fault") };
        assert_eq!(fault.to_string(), "partition n2 | n1 n3 (hold)");

        let again = play(&mut Nemesis::new(nemesis.record(), cluster(3), 99), |_| None);
        assert_eq!(first, again, "neither another seed nor another leader changes what is written down");
    }

    #[test]
    fn a_fault_waits_for_its_leader_and_keeps_its_end() {
        let mut nemesis = Nemesis::new(schedule(), cluster(3), 7);
        let late = |now| (now >= Time::seconds(4)).then_some(NodeId(1));
        let done = play(&mut nemesis, late);
        assert_eq!(done[0].0, Time::seconds(4));
        assert_eq!(done[1].0, Time::seconds(7));
    }

    #[test]
    fn a_fault_whose_leader_never_came_is_given_up_aloud() {
        let mut nemesis = Nemesis::new(schedule(), cluster(3), 7);
        let done = play(&mut nemesis, |_| None);
        assert_eq!(done[0].1, Action::Skip(Aim::telling(Kind::Partition), Impossible::NoLeader));
    }

    #[test]
    fn stopping_hands_back_all_that_is_broken_and_ends_it() {
        let mut nemesis = Nemesis::new(schedule(), cluster(3), 7);
        let Action::Inject(fault) = nemesis.next(Time::seconds(3), Some(NodeId(1))) else {
            panic!("a fault was due")
        };
        let waiting: Vec<Time> = nemesis.waiting().map(|step| step.at).collect();
        assert_eq!(waiting, [12, 22, 32].map(Time::seconds));
        assert_eq!(nemesis.stop(Time::seconds(4)), vec![fault]);
        assert_eq!(nemesis.waiting().count(), 0);
        assert_eq!(nemesis.next(Time::seconds(30), Some(NodeId(1))), Action::Done);
        let record = nemesis.record();
        assert_eq!((record.steps[0].at, record.steps[0].until), (Time::seconds(3), Time::seconds(4)));
    }
}
