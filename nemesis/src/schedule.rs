//! When which fault comes: a list that a person can write, a seed can draw, and a run can repeat.
//!
//! A drawn schedule starts calm, so that a run has a healthy phase to compare with; then fault and
//! calm take turns, since a system that is never left alone never shows whether it recovers. Each
//! kind that was asked for comes first in its telling form, so that even a short run has met it;
//! after that, rounds in which every kind comes once, in an order and a form drawn by chance.

use std::time::Duration;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::aim::Aim;
use crate::ids::Time;
use crate::kind::Kinds;

/// One fault, and its time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// When it is injected.
    pub at: Time,
    /// When it is healed.
    pub until: Time,
    /// What.
    pub aim: Aim,
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

/// Faults in the order of their beginning; two of one kind never overlap.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Schedule {
    /// They.
    pub steps: Vec<Step>,
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
            steps.push(Step { at, until, aim });
            at = at.after(rhythm.on).after(rhythm.off);
        }
        Schedule { steps }
    }

    /// The kinds that it holds.
    pub fn kinds(&self) -> Kinds {
        Kinds::of(self.steps.iter().map(|step| step.aim.kind()))
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

    #[test]
    fn the_same_seed_draws_the_same_schedule_and_another_seed_another() {
        assert_eq!(draw(7, &Kind::ALL, 600), draw(7, &Kind::ALL, 600));
        assert_ne!(draw(7, &Kind::ALL, 600), draw(8, &Kind::ALL, 600));
    }

    #[test]
    fn each_kind_asked_for_comes_first_in_its_telling_form() {
        let schedule = draw(7, &[Kind::Kill, Kind::Partition], 30);
        let said: Vec<String> =
            schedule.steps.iter().map(|step| format!("{} {} {}", step.at, step.until, step.aim)).collect();
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
        let ends = |limit| draw(7, &Kind::ALL, limit).steps.iter().map(|step| step.until).collect::<Vec<_>>();
        assert_eq!(ends(16), [Time::seconds(7)]);
        assert_eq!(ends(17), [7, 17].map(Time::seconds));
    }

    proptest! {
        #[test]
        fn calm_comes_first_faults_take_turns_and_all_is_over_by_the_limit(seed: u64, limit in 0_u64..200) {
            let schedule = draw(seed, &Kind::ALL, limit);
            let mut calm_since = Time::default();
            for step in &schedule.steps {
                let calm = step.at.since(calm_since).as_secs();
                prop_assert_eq!(calm, if calm_since == Time::default() { 2 } else { 5 });
                prop_assert_eq!(step.until.since(step.at).as_secs(), 5);
                prop_assert!(step.until <= Time::seconds(limit));
                calm_since = step.until;
            }
            for round in schedule.steps.chunks_exact(Kind::ALL.len()) {
                let kinds = round.iter().map(|step| step.aim.kind());
                prop_assert!(kinds.clone().all_unique(), "each kind once in a round");
            }
        }
    }
}
