//! The replica's timers: which runs until when, and the dice that some of them need.

use std::collections::BTreeMap;
use std::time::Duration;

use raft::Mono;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use replica::{Timer, Wait};

/// At most one deadline for each timer: arming it again forgets the old one.
pub(crate) struct Timers {
    deadlines: BTreeMap<Timer, Mono>,
    dice: StdRng,
}

impl Timers {
    pub(crate) fn new(seed: u64) -> Timers {
        Timers { deadlines: BTreeMap::new(), dice: StdRng::seed_from_u64(seed) }
    }

    pub(crate) fn arm(&mut self, timer: Timer, wait: Wait, now: Mono) {
        let wait = match wait {
            Wait::Exactly(wait) => wait,
            Wait::Between(least, most) if least < most => self.draw(least, most),
            Wait::Between(least, _) => least,
        };
        self.deadlines.insert(timer, now.after(wait));
    }

    fn draw(&mut self, least: Duration, most: Duration) -> Duration {
        self.dice.random_range(least..most)
    }

    /// The timers that have run out, which stop with that.
    pub(crate) fn due(&mut self, now: Mono) -> Vec<Timer> {
        let due: Vec<Timer> = self
            .deadlines
            .iter()
            .filter(|(_, deadline)| **deadline <= now)
            .map(|(timer, _)| *timer)
            .collect();
        for timer in &due {
            self.deadlines.remove(timer);
        }
        due
    }

    /// When the next one runs out.
    pub(crate) fn next(&self) -> Option<Mono> {
        self.deadlines.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELECTION: Timer = Timer::Raft(raft::Timer::Election);
    const MS: u64 = 1_000_000;

    fn between(least: u64, most: u64) -> Wait {
        Wait::Between(Duration::from_millis(least), Duration::from_millis(most))
    }

    #[test]
    fn election_timeouts_fill_their_range_and_stay_in_it() {
        let mut timers = Timers::new(7);
        let mut drawn: Vec<u64> = (0..1000)
            .map(|_| {
                timers.arm(ELECTION, between(300, 600), Mono(0));
                timers.next().unwrap().0 / MS
            })
            .collect();
        drawn.sort_unstable();
        assert!(drawn[0] >= 300 && drawn[999] < 600, "{} to {}", drawn[0], drawn[999]);
        assert!(drawn[0] < 310 && drawn[999] > 590, "{} to {}", drawn[0], drawn[999]);
    }

    #[test]
    fn arming_again_forgets_the_old_deadline() {
        let mut timers = Timers::new(7);
        timers.arm(ELECTION, Wait::Exactly(Duration::from_millis(10)), Mono(0));
        timers.arm(ELECTION, Wait::Exactly(Duration::from_millis(10)), Mono(5 * MS));
        assert!(timers.due(Mono(10 * MS)).is_empty());
        assert_eq!(timers.due(Mono(15 * MS)), vec![ELECTION]);
        assert!(timers.due(Mono(20 * MS)).is_empty(), "a timer runs out once");
    }
}
