//! A node's own clocks, which may run fast, run slow, or jump.
//!
//! Nobody but the world knows the true time. A node has a monotonic clock, which counts from the start
//! of its process at a rate of its own, and a wall clock, which may be wrong by anything and go back.

use raft::{Mono, Now, Wall};

/// The clocks of one node.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// The true time at which `mono` was right.
    since: u64,
    mono: u64,
    /// How much faster than true time it runs, in percent; and how much when nobody meddles with it.
    drift: i8,
    usual_drift: i8,
    /// How far the wall clock is from the true time.
    offset: i64,
    /// How far it was from it when it was made: as right as it gets.
    usual: i64,
    /// How often the wall clock was set.
    jumps: u64,
    /// When the process that it counts for began.
    began: u64,
}

/// True time 0 on the wall clock: any moment after 1970 will do, as long as it is always the same.
const EPOCH: u64 = 1_700_000_000_000_000_000;

impl Clock {
    /// A clock that starts now, and is right.
    pub(crate) fn starting(now: u64, offset: i64) -> Clock {
        Clock { since: now, mono: 0, drift: 0, usual_drift: 0, offset, usual: offset, jumps: 0, began: now }
    }

    /// The clocks of a new process on the same machine: the monotonic one begins again.
    pub(crate) fn restarted(&self, now: u64) -> Clock {
        Clock { since: now, mono: 0, began: now, ..self.clone() }
    }

    /// The same, of a make that always runs so many percent too fast.
    #[must_use]
    pub(crate) fn running(self, percent: i8) -> Clock {
        Clock { drift: percent, usual_drift: percent, ..self }
    }

    /// How much too fast it runs when nobody meddles with it, in percent.
    pub(crate) fn usual_drift(&self) -> i8 {
        self.usual_drift
    }

    /// What a node reads at this true time.
    pub(crate) fn read(&self, now: u64) -> Now {
        let wall = (EPOCH + now).saturating_add_signed(self.offset);
        Now { mono: Mono(self.mono_at(now)), wall: Wall(wall) }
    }

    /// The first true time at which the monotonic clock shows `mono` or more.
    pub(crate) fn when(&self, mono: Mono) -> u64 {
        let ahead = mono.0.saturating_sub(self.mono);
        self.since.saturating_add(ahead.saturating_mul(100).div_ceil(self.rate()))
    }

    /// From now on it runs so many percent too fast.
    pub(crate) fn drift(&mut self, now: u64, percent: i8) {
        self.mono = self.mono_at(now);
        self.since = now;
        self.drift = percent;
    }

    /// The wall clock is set forward, or back.
    pub(crate) fn jump(&mut self, by: i64) {
        self.offset = self.offset.saturating_add(by);
        self.jumps += 1;
    }

    /// The wall clock is as right again as it was in the beginning.
    pub(crate) fn set_right(&mut self) {
        self.offset = self.usual;
        self.jumps = 0;
    }

    /// How often the wall clock was set since it was right.
    pub(crate) fn jumps(&self) -> u64 {
        self.jumps
    }

    /// How far the monotonic clock is ahead of the true time since its process began, in nanoseconds.
    pub(crate) fn ahead(&self, now: u64) -> i64 {
        let (shown, true_time) = (self.mono_at(now), now.saturating_sub(self.began));
        i64::try_from(shown).unwrap_or(i64::MAX) - i64::try_from(true_time).unwrap_or(i64::MAX)
    }

    /// How far the wall clock is from the true time, in nanoseconds.
    pub(crate) fn offset(&self) -> i64 {
        self.offset
    }

    fn mono_at(&self, now: u64) -> u64 {
        self.mono + now.saturating_sub(self.since).saturating_mul(self.rate()) / 100
    }

    fn rate(&self) -> u64 {
        u64::try_from(100 + i64::from(self.drift.max(-90))).expect("time goes on")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_due_at_its_true_time_and_not_before_whatever_the_rate() {
        for percent in [-50_i8, -7, 0, 13, 50] {
            let mut clock = Clock::starting(1_000, 0);
            clock.drift(5_003, percent);
            for ahead in [1, 99, 100, 101, 12_345] {
                let deadline = Mono(clock.read(5_003).mono.0 + ahead);
                let when = clock.when(deadline);
                assert!(clock.read(when).mono >= deadline, "{percent} % and {ahead} ahead");
                assert!(clock.read(when - 1).mono < deadline, "{percent} % and {ahead} ahead");
            }
        }
    }

    #[test]
    fn a_change_of_rate_is_no_jump_and_a_jump_no_change_of_rate() {
        let mut clock = Clock::starting(0, 0);
        clock.drift(1_000, 50);
        assert_eq!(clock.read(1_000).mono, Mono(1_000));
        assert_eq!(clock.read(2_000).mono, Mono(2_500));
        clock.drift(2_000, 0);
        assert_eq!(clock.read(3_000).mono, Mono(3_500));
        let wall = clock.read(3_000).wall;
        clock.jump(-500);
        assert_eq!(clock.read(3_000).wall, Wall(wall.0 - 500));
        assert_eq!(clock.read(3_000).mono, Mono(3_500));
    }
}
