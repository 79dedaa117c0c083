//! Reads that trust a clock instead of a quorum (dissertation §6.4.1).
//!
//! Whoever answered a leader's heartbeat helps nobody else to lead for one shortest election timeout. So once a
//! quorum has answered, the leader knows that no other will be elected for a while, and may answer reads from its own
//! state until then, without asking again. It is the only place where safety rests on time, and it is off unless
//! asked for.
//!
//! - The lease runs from the moment when the heartbeat was *sent*: the follower heard it later, and its patience
//!   began then. From when the answer came, it would be longer than what was promised.
//! - It is measured on the monotonic clock, by whoever holds it, and each promise on the promiser's own. Clocks run
//!   differently fast: by [`Lease::drift`] at most, is the assumption, and the lease is shorter by twice that.
//! - It ends when the leader calls another to take over: the votes that one gets are not bound by any patience.
//! - A process that is stopped does not notice that time passes. It reads the clock after it took its inputs in,
//!   and a lease that ran out meanwhile is over.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bug::{Bug, Bugs};
use crate::ids::Mono;

/// How far clocks are trusted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Lease {
    /// By how much a clock may run too fast or too slow, in thousandths.
    pub drift: u32,
}

impl Lease {
    /// How long a promise of `patience` may be relied upon.
    fn length(self, patience: Duration, bugs: Bugs) -> Duration {
        let lost = if bugs.has(Bug::TrustClocks) { 0 } else { (2 * self.drift).min(1000) };
        patience * (1000 - lost) / 1000
    }
}

/// A leader's lease, and the rounds that may prolong it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Held {
    /// When each round was sent, from the oldest that no quorum has answered yet.
    sent: VecDeque<(u64, Mono)>,
    until: Option<Mono>,
    over: bool,
}

impl Held {
    /// A round of heartbeats leaves.
    pub(crate) fn sent(&mut self, round: u64, now: Mono) {
        if !self.over {
            self.sent.push_back((round, now));
        }
        // Who hears nobody for so long has no lease to prolong.
        if self.sent.len() > 64 {
            self.sent.pop_front();
        }
    }

    /// A quorum has answered `round`, and with it all before.
    pub(crate) fn answered(&mut self, round: u64, now: Mono, lease: Lease, patience: Duration, bugs: Bugs) {
        let count = self.sent.partition_point(|(sent, _)| *sent <= round);
        let Some((_, at)) = self.sent.drain(..count).next_back() else { return };
        let from = if bugs.has(Bug::LeaseFromAnswer) { now } else { at };
        self.until = self.until.max(Some(from.after(lease.length(patience, bugs))));
    }

    /// Whether nobody else can lead at this moment.
    pub(crate) fn holds(&self, now: Mono) -> bool {
        !self.over && self.until.is_some_and(|until| now < until)
    }

    /// No lease in this term any more.
    pub(crate) fn end(&mut self) {
        *self = Held { over: true, ..Held::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Lease = Lease { drift: 50 };
    const PATIENCE: Duration = Duration::from_millis(300);

    fn at(millis: u64) -> Mono {
        Mono(millis * 1_000_000)
    }

    #[test]
    fn a_lease_runs_from_the_question_and_is_shorter_than_the_promise() {
        let mut held = Held::default();
        held.sent(1, at(0));
        assert!(!held.holds(at(1)), "nobody has answered");
        held.answered(1, at(200), LEASE, PATIENCE, Bugs::none());
        assert!(held.holds(at(269)), "300 ms less twice 5 %");
        assert!(!held.holds(at(270)));
    }

    #[test]
    fn a_late_answer_to_an_old_round_shortens_nothing() {
        let mut held = Held::default();
        held.sent(1, at(0));
        held.sent(2, at(100));
        held.answered(2, at(110), LEASE, PATIENCE, Bugs::none());
        held.answered(1, at(120), LEASE, PATIENCE, Bugs::none());
        assert!(held.holds(at(369)));
    }

    #[test]
    fn who_called_another_has_no_lease_any_more() {
        let mut held = Held::default();
        held.sent(1, at(0));
        held.end();
        held.sent(2, at(1));
        held.answered(2, at(2), LEASE, PATIENCE, Bugs::none());
        assert!(!held.holds(at(3)));
    }
}
