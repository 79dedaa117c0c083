//! Playing a schedule: given the time and what is seen of the cluster, what is to be done now.
//!
//! The runner asks every few milliseconds of real time, the simulator at every step of virtual time;
//! neither decides anything itself. What was done is remembered as it was resolved and at the time
//! it was done, so that [`Nemesis::record`] is a schedule that repeats the run.
//!
//! A step whose time has come may have to wait: for a leader to aim at, or for another fault that works on
//! the same node or link, since no heal may undo another fault. It waits for as long as it would have
//! lasted, and is then given up, aloud: a run must not look as if it had met what it did not meet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::aim::Aim;
use crate::fault::{Claim, Fault};
use crate::ids::{NodeId, Nodes, Time};
use crate::schedule::{Deed, End, Happening, Schedule, Start, Step};
use crate::shape::Impossible;

/// How soon to ask again when a fault waits for something that has no time.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long a fault waits at least before it is given up, if it has no end of its own.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// How often to draw other nodes for a role, before those that are meant are waited for.
const DRAWS: usize = 8;
/// What decides how long steps wait and last is drawn apart from whom they strike.
const STREAM_OF_STEPS: u64 = 1 << 40;

/// What can be seen of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Who leads, as far as anyone can see.
    pub leader: Option<NodeId>,
    /// How many ops clients have invoked.
    pub ops: u64,
    /// How often the lead passed on.
    pub leader_changes: u64,
}

/// What is to be done now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Break this.
    Inject(Fault),
    /// Mend this, which was broken before.
    Heal(Fault),
    /// Give this up, for this reason.
    Skip(Aim, GivenUp),
    /// Nothing, until then.
    Wait(Time),
    /// Nothing any more.
    Done,
}

/// Why a fault was not injected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GivenUp {
    /// Nobody filled the role, or there are too few nodes.
    Impossible(Impossible),
    /// This worked on the same node or link all the while.
    Clash(Fault),
    /// Its time had passed when it could first be injected.
    Late,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GivenUp::Impossible(why) => why.fmt(f),
            GivenUp::Clash(other) => write!(f, "it would have met `{other}` on the same node or link"),
            GivenUp::Late => f.write_str("its time had passed"),
        }
    }
}

/// A schedule being played.
#[derive(Clone, Debug)]
pub struct Nemesis {
    nodes: Nodes,
    seed: u64,
    /// When nothing repeats any more.
    horizon: Time,
    steps: Vec<Planned>,
    /// Those that wait for a moment: by it, and in the order of the list.
    timed: BTreeSet<(Time, usize)>,
    /// Those that wait for something else.
    watched: Vec<usize>,
    /// Those whose start has come, and that could not begin yet.
    due: VecDeque<Due>,
    /// How many leader changes there were when it was first asked.
    baseline: Option<u64>,
    /// Faults begun so far, in that order.
    deeds: Vec<Deed>,
    /// Which of them are not healed, in that order; their `until` is still the plan's.
    active: Vec<usize>,
    /// What they work on.
    claimed: BTreeMap<Claim, usize>,
}

/// A step, and how far it has come.
#[derive(Clone, Debug)]
struct Planned {
    step: Step,
    rng: ChaCha8Rng,
    /// Whether its start has come at least once.
    started: bool,
    /// How many leader changes there were when it first began or was given up.
    settled: Option<u64>,
}

/// A step whose start has come.
#[derive(Clone, Debug)]
struct Due {
    index: usize,
    end: DueEnd,
    /// When it is given up.
    patience: Time,
    why: GivenUp,
    /// What it was last held against in vain.
    tried: Option<Against>,
}

/// All that decides whether a due step can begin. While this is the same, so is the answer, since whoever draws
/// draws the same again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Against {
    begun: usize,
    lasting: usize,
    leader: Option<NodeId>,
}

#[derive(Clone, Copy, Debug)]
enum DueEnd {
    Until(Time),
    Lasting(Duration),
}

impl Nemesis {
    /// Plays this schedule on these nodes, in a run that ends at `limit`. The seed decides what the
    /// schedule leaves to chance.
    pub fn new(schedule: Schedule, nodes: Nodes, seed: u64, limit: Time) -> Nemesis {
        let horizon = schedule.until.map_or(limit, |until| until.min(limit));
        let mut steps = schedule.steps;
        steps.extend(schedule.random.into_iter().flat_map(|storm| storm.draw(seed, nodes.len(), horizon)));
        let planned = steps.into_iter().zip(STREAM_OF_STEPS..).map(|(step, stream)| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream);
            Planned { step, rng, started: false, settled: None }
        });
        let steps: Vec<Planned> = planned.collect();
        let mut nemesis = Nemesis {
            nodes,
            seed,
            horizon,
            timed: BTreeSet::new(),
            watched: Vec::new(),
            due: VecDeque::new(),
            baseline: None,
            deeds: Vec::new(),
            active: Vec::new(),
            claimed: BTreeMap::new(),
            steps,
        };
        for (index, planned) in nemesis.steps.iter().enumerate() {
            match planned.step.start {
                Start::At(at) => drop(nemesis.timed.insert((at, index))),
                Start::After(_) | Start::When(_) => nemesis.watched.push(index),
            }
        }
        nemesis
    }

    /// What is to be done now. The caller does it, and asks again.
    pub fn next(&mut self, now: Time, seen: &Seen) -> Action {
        self.baseline.get_or_insert(seen.leader_changes);
        if let Some(turn) = self.active.iter().position(|index| self.deeds[*index].until <= now) {
            return Action::Heal(self.heal(turn, now));
        }
        if let Some((aim, why)) = self.start(now, seen) {
            return Action::Skip(aim, why);
        }
        for turn in 0..self.due.len() {
            if let Some(action) = self.attempt(turn, now, seen) {
                return action;
            }
        }
        self.rest(now)
    }

    /// Ends it, now: what is still broken and must be healed. Nothing more will be injected.
    pub fn stop(&mut self, now: Time) -> Vec<Fault> {
        self.timed.clear();
        self.watched.clear();
        self.due.clear();
        let mut broken = Vec::new();
        while !self.active.is_empty() {
            broken.push(self.heal(0, now));
        }
        broken
    }

    /// What was never begun, nor given up so far.
    pub fn waiting(&self) -> impl Iterator<Item = &Step> {
        let timed = self.timed.iter().map(|(_, index)| *index);
        let unmet = timed.chain(self.watched.iter().copied()).filter(|index| !self.steps[*index].started);
        let due = self.due.iter().map(|due| due.index);
        due.chain(unmet).map(|index| &self.steps[index].step)
    }

    /// What was done so far, as a schedule that repeats it.
    pub fn record(&self) -> Schedule {
        self.deeds.iter().cloned().collect()
    }

    /// What was done so far, in the order of its beginning.
    pub fn deeds(&self) -> &[Deed] {
        &self.deeds
    }

    /// What is broken now.
    pub fn active(&self) -> impl Iterator<Item = &Fault> {
        self.lasting().map(|deed| &deed.fault)
    }

    fn lasting(&self) -> impl Iterator<Item = &Deed> {
        self.active.iter().map(|index| &self.deeds[*index])
    }

    /// Moves every step whose start has come to those that are due. One that comes again while it is
    /// still waiting from the last time gives that up.
    fn start(&mut self, now: Time, seen: &Seen) -> Option<(Aim, GivenUp)> {
        loop {
            let (at, index) = match self.timed.first() {
                Some((at, _)) if *at <= now => self.timed.pop_first()?,
                _ => {
                    let turn = self.watched.iter().position(|index| self.happened(*index, seen))?;
                    (now, self.watched.remove(turn))
                }
            };
            let earlier = self.due.iter().position(|due| due.index == index);
            let given_up = earlier.and_then(|turn| self.settle(turn, seen));
            self.arm(index, at, now);
            if let Some(due) = given_up {
                return Some((self.steps[index].step.aim.clone(), due.why));
            }
        }
    }

    fn happened(&self, index: usize, seen: &Seen) -> bool {
        match self.steps[index].step.start {
            Start::At(_) => false,
            Start::After(ops) => seen.ops >= ops,
            Start::When(Happening::LeaderChanged) => {
                let since = if index == 0 { self.baseline } else { self.steps[index - 1].settled };
                since.is_some_and(|since| seen.leader_changes > since)
            }
        }
    }

    /// Makes a step due whose start was `at`, and says when it comes again. What was missed meanwhile is not
    /// made up for.
    fn arm(&mut self, index: usize, at: Time, now: Time) {
        let planned = &mut self.steps[index];
        planned.started = true;
        let rng = &mut planned.rng;
        let (end, patience) = match planned.step.end {
            End::Until(until) => (DueEnd::Until(until), until),
            End::Lasting(wait) => {
                let lasting = wait.draw(rng).duration();
                (DueEnd::Lasting(lasting), now.after(lasting.max(LEAST_PATIENCE)))
            }
        };
        self.due.push_back(Due { index, end, patience, why: GivenUp::Late, tried: None });
        if let Some(every) = planned.step.every {
            let every = every.draw(rng).duration();
            let again = Some(at.after(every)).filter(|again| *again > now).unwrap_or(now.after(every));
            if again < self.horizon {
                self.timed.insert((again, index));
            }
        }
    }

    /// Begins what is due, if it can be; gives it up, if it must be.
    fn attempt(&mut self, turn: usize, now: Time, seen: &Seen) -> Option<Action> {
        let due = &self.due[turn];
        let index = due.index;
        let until = match due.end {
            DueEnd::Until(until) => until,
            DueEnd::Lasting(lasting) => now.after(lasting).min(self.horizon),
        };
        let against = Against { begun: self.deeds.len(), lasting: self.active.len(), leader: seen.leader };
        let (over, why) = if now >= due.patience.min(until) {
            (true, due.why.clone())
        } else if due.tried == Some(against) {
            return None;
        } else {
            match self.resolve(&self.steps[index].step.aim, seen) {
                Ok(fault) => {
                    let index = self.deeds.len();
                    self.active.push(index);
                    self.claimed.extend(fault.claims().into_iter().map(|claim| (claim, index)));
                    self.deeds.push(Deed { at: now, until, fault: fault.clone() });
                    self.settle(turn, seen);
                    return Some(Action::Inject(fault));
                }
                Err(why) => (matches!(why, GivenUp::Impossible(why) if why != Impossible::NoLeader), why),
            }
        };
        if over {
            self.settle(turn, seen);
            return Some(Action::Skip(self.steps[index].step.aim.clone(), why));
        }
        let due = &mut self.due[turn];
        (due.why, due.tried) = (why, Some(against));
        None
    }

    /// A fault that meets none of those that last.
    fn resolve(&self, aim: &Aim, seen: &Seen) -> Result<Fault, GivenUp> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.deeds.len() as u64 + 1); // stream 0 may have drawn the schedule
        let mut clash = None;
        for _ in 0..DRAWS {
            let fault = aim.resolve(&self.nodes, seen.leader, &mut rng).map_err(GivenUp::Impossible)?;
            match fault.claims().iter().find_map(|claim| self.claimed.get(claim)) {
                None => return Ok(fault),
                Some(other) => clash = Some(self.deeds[*other].fault.clone()),
            }
        }
        Err(clash.map_or(GivenUp::Late, GivenUp::Clash))
    }

    fn settle(&mut self, turn: usize, seen: &Seen) -> Option<Due> {
        let due = self.due.remove(turn)?;
        self.steps[due.index].settled.get_or_insert(seen.leader_changes);
        Some(due)
    }

    fn heal(&mut self, turn: usize, now: Time) -> Fault {
        let index = self.active.remove(turn);
        self.claimed.retain(|_, other| *other != index);
        let deed = &mut self.deeds[index];
        deed.until = now.max(Time(deed.at.0 + 1)); // in a schedule every fault lasts
        deed.fault.clone()
    }

    /// When to ask again: when something ends or begins, and soon if somebody waits for what has no time.
    fn rest(&self, now: Time) -> Action {
        let heals = self.lasting().map(|deed| deed.until);
        let start = self.timed.first().map(|(at, _)| *at);
        let put_off = |due: &&Due| matches!(due.why, GivenUp::Clash(_));
        let given_up = self.due.iter().filter(put_off).map(|due| due.patience);
        let impatient = !self.watched.is_empty() || !self.due.iter().all(|due| put_off(&due));
        let soon = impatient.then(|| now.after(PATIENCE));
        heals.chain(start).chain(given_up).chain(soon).min().map_or(Action::Done, Action::Wait)
    }
}
