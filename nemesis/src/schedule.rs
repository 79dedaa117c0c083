//! When which fault comes: a list that a person can write, a seed can draw, and a run can repeat.
//!
//! A [`Step`] says what starts it: a time, a number of ops, or something that happens; perhaps how often it
//! comes again; and how long it lasts. What became of the steps of a run is a list of [`Deed`]s, from
//! which everything that was left open has gone: a schedule of deeds repeats the run.
//!
//! Two ways to draw one by chance serve two worlds. Real time is dear, so for processes
//! [`Schedule::draw`] makes fault and calm take turns, one at a time, and each kind that was asked for
//! comes first in its telling form, so that even a short run has met it. It starts calm, so that there
//! is a healthy phase to compare with; and a system that is never left alone never shows whether it
//! recovers. Simulated time is cheap, and [`Schedule::storm`] spends it on thousands of lives, none
//! of which is like another: see [`storm`](crate::storm).

use std::fmt;
use std::time::Duration;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::aim::Aim;
use crate::fault::Fault;
use crate::ids::Time;
use crate::kind::Kinds;
use crate::span::Wait;
use crate::storm::Storm;

/// A fault that is to come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What starts it.
    pub start: Start,
    /// How long after that it comes again, and again.
    pub every: Option<Wait>,
    /// What ends it.
    pub end: End,
    /// What.
    pub aim: Aim,
}

/// What starts a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// This moment.
    At(Time),
    /// So many ops, invoked by clients since the start.
    After(u64),
    /// The next time that this happens once the step before it in the schedule has begun, or since the
    /// start if it is the first.
    When(Happening),
}

/// What may happen to a cluster and start a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happening {
    /// The lead passes to another node, or is won again.
    LeaderChanged,
}

/// What ends a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// This moment.
    Until(Time),
    /// So long after it began.
    Lasting(Wait),
}

impl Step {
    /// One fault from here to there.
    pub fn at(at: Time, until: Time, aim: Aim) -> Step {
        Step { start: Start::At(at), every: None, end: End::Until(until), aim }
    }

    /// When it ends, if that is known before.
    pub fn until(&self) -> Option<Time> {
        match (self.every, self.start, self.end) {
            (None, _, End::Until(until)) => Some(until),
            (None, Start::At(at), End::Lasting(Wait::Exactly(span))) => Some(at.after(span.duration())),
            _ => None,
        }
    }
}

impl Happening {
    /// All of it.
    pub const ALL: [Happening; 1] = [Happening::LeaderChanged];

    /// The name used in schedules.
    pub fn name(self) -> &'static str {
        match self {
            Happening::LeaderChanged => "leader-changed",
        }
    }
}

impl fmt::Display for Start {
    /// `at 2s`, `after 1200 ops`, `when leader-changed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Start::At(at) => write!(f, "at {at}"),
            Start::After(ops) => write!(f, "after {ops} ops"),
            Start::When(happening) => write!(f, "when {}", happening.name()),
        }
    }
}

/// A fault that came, exactly, or is to come again exactly so.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Deed {
    /// When it is injected.
    pub at: Time,
    /// When it is healed.
    pub until: Time,
    /// What.
    pub fault: Fault,
}

impl Deed {
    /// Whether both work on the same thing at the same time.
    pub fn clashes_with(&self, other: &Deed) -> bool {
        self.at < other.until && other.at < self.until && self.fault.clashes_with(&other.fault)
    }
}

impl From<Deed> for Step {
    fn from(deed: Deed) -> Step {
        Step::at(deed.at, deed.until, Aim::Exactly(deed.fault))
    }
}

/// How calm and fault take turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rhythm {
    /// Nothing happens before.
    pub calm: Duration,
    /// How long a fault lasts.
    pub on: Duration,
    /// How long the cluster is left alone after it.
    pub off: Duration,
}

impl Default for Rhythm {
    fn default() -> Rhythm {
        let seconds = Duration::from_secs;
        Rhythm { calm: seconds(2), on: seconds(5), off: seconds(5) }
    }
}

/// Faults to come. Some are listed; others may be left to chance.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Schedule {
    /// Those that are listed, in the order of the list.
    pub steps: Vec<Step>,
    /// Those that are drawn when it is played.
    pub random: Option<Storm>,
    /// When it is over: nothing repeats or is drawn beyond, and what has no other end ends here.
    pub until: Option<Time>,
}

impl From<Vec<Step>> for Schedule {
    fn from(steps: Vec<Step>) -> Schedule {
        Schedule { steps, ..Schedule::default() }
    }
}

impl FromIterator<Deed> for Schedule {
    fn from_iter<T: IntoIterator<Item = Deed>>(deeds: T) -> Schedule {
        deeds.into_iter().map(Step::from).collect::<Vec<Step>>().into()
    }
}

impl Schedule {
    /// Draws a schedule for so many nodes that is over by `limit`. The same arguments draw the same. A
    /// fault that would not have its full time is left out: what it showed would depend on the limit.
    pub fn draw(seed: u64, kinds: &Kinds, nodes: usize, rhythm: Rhythm, limit: Time) -> Schedule {
        if kinds.is_empty() || rhythm.on.is_zero() {
            return Schedule::default();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut round: Vec<Aim> = kinds.as_slice().iter().map(|kind| Aim::telling(*kind)).collect();
        round.reverse();
        let mut steps = Vec::new();
        let mut at = Time::default().after(rhythm.calm);
        while at.after(rhythm.on) <= limit {
            if round.is_empty() {
                let mut kinds = kinds.as_slice().to_vec();
                kinds.shuffle(&mut rng);
                round.extend(kinds.into_iter().map(|kind| Aim::random(kind, nodes, &mut rng)));
            }
            let aim = round.pop().expect("a round was just filled, and some kind was asked for");
            let until = at.after(rhythm.on);
            steps.push(Step::at(at, until, aim));
            at = at.after(rhythm.on).after(rhythm.off);
        }
        steps.into()
    }

    /// Draws a life of these kinds for so many nodes: nights in which much goes wrong at once, and days.
    /// All of it is over by `limit`. The same arguments draw the same.
    pub fn storm(seed: u64, kinds: &Kinds, nodes: usize, limit: Time) -> Schedule {
        Storm::of(kinds.clone()).draw(seed, nodes, limit).into()
    }

    /// The kinds that it holds.
    pub fn kinds(&self) -> Kinds {
        let listed = self.steps.iter().map(|step| step.aim.kind());
        let drawn = self.random.iter().flat_map(|storm| storm.kinds.as_slice().iter().copied());
        Kinds::of(listed.chain(drawn))
    }

    /// What exactly it does, if it leaves nothing open: that of a run that was recorded, or a shrunk one.
    pub fn deeds(&self) -> Option<Vec<Deed>> {
        let deed = |step: &Step| match (step.start, step.every, step.end, &step.aim) {
            (Start::At(at), None, End::Until(until), Aim::Exactly(fault)) => {
                Some(Deed { at, until, fault: fault.clone() })
            }
            _ => None,
        };
        if self.random.is_some() {
            return None;
        }
        self.steps.iter().map(deed).collect()
    }

    /// When the last fault is healed, if that is known before.
    pub fn last(&self) -> Option<Time> {
        if self.until.is_some() {
            return self.until;
        }
        if self.random.is_some() || self.steps.is_empty() {
            return None;
        }
        self.steps.iter().map(Step::until).try_fold(Time::default(), |last, until| Some(last.max(until?)))
    }
}

#[cfg(test)]
mod tests {
    use itertools::Itertools as _;
    use proptest::prelude::*;

    use super::*;
    use crate::kind::Kind;

    fn draw(seed: u64, kinds: &[Kind], limit: u64) -> Schedule {
        let kinds = Kinds::of(kinds.iter().copied());
        Schedule::draw(seed, &kinds, 5, Rhythm::default(), Time::seconds(limit))
    }

    fn at(step: &Step) -> Time {
        match step.start {
            Start::At(at) => at,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_schedule_and_another_seed_another() {
        assert_eq!(draw(7, &Kind::ALL, 600), draw(7, &Kind::ALL, 600));
        assert_ne!(draw(7, &Kind::ALL, 600), draw(8, &Kind::ALL, 600));
    }

    #[test]
    fn each_kind_asked_for_comes_first_in_its_telling_form() {
        let schedule = draw(7, &[Kind::Kill, Kind::Partition], 30);
        let said: Vec<String> = schedule
            .steps
            .iter()
            .map(|step| format!("{} {} {}", at(step), step.until().unwrap(), step.aim))
            .collect();
        assert_eq!(said[..2], ["2s 7s kill leader", "12s 17s partition isolate-leader (hold)"]);
        assert_eq!(schedule.steps.len(), 3);
    }

    #[test]
    fn nothing_asked_for_is_nothing_drawn() {
        assert_eq!(draw(7, &[], 30), Schedule::default());
        assert_eq!(draw(7, &Kind::ALL, 2), Schedule::default());
    }

    #[test]
    fn a_fault_that_the_limit_would_cut_short_is_not_drawn() {
        let ends = |limit| {
            draw(7, &Kind::ALL, limit).steps.iter().map(|step| step.until().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(ends(16), [Time::seconds(7)]);
        assert_eq!(ends(17), [7, 17].map(Time::seconds));
    }

    proptest! {
        #[test]
        fn calm_comes_first_faults_take_turns_and_all_is_over_by_the_limit(seed: u64, limit in 0_u64..200) {
            let schedule = draw(seed, &Kind::ALL, limit);
            let mut calm_since = Time::default();
            for step in &schedule.steps {
                let (at, until) = (at(step), step.until().unwrap());
                let calm = at.since(calm_since).as_secs();
                prop_assert_eq!(calm, if calm_since == Time::default() { 2 } else { 5 });
                prop_assert_eq!(until.since(at).as_secs(), 5);
                prop_assert!(until <= Time::seconds(limit));
                calm_since = until;
            }
            for round in schedule.steps.chunks_exact(Kind::ALL.len()) {
                let kinds = round.iter().map(|step| step.aim.kind());
                prop_assert!(kinds.clone().all_unique(), "each kind once in a round");
            }
        }
    }
}
