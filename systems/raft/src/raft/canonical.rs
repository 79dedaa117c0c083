//! A node without what only counts: for whoever compares nodes, such as a model checker.
//!
//! Two nodes that will act alike for ever are one node to a model checker, and the more of them it
//! recognises, the further it sees. What sets them apart without a difference is taken away here:
//!
//! - **Numbers of writes.** They are only compared with each other. So all of them may be lowered by the same
//!   amount, until the oldest write under way is number 1. A candidacy whose own write is done keeps number 0:
//!   "not later than any write that will be reported".
//! - **Moments**, in a cluster whose `election_min` is zero: nobody is loyal for no time at all, so when
//!   somebody was heard decides nothing.
//! - **How often the log was written to**: a note for observers, and no part of the log.

use super::{Raft, Standing};
use crate::seam::PersistId;

impl Raft {
    /// Takes away what only counts. Returns by how much the numbers of the writes under way are lower now: who
    /// keeps such numbers lowers his by the same.
    pub fn forget_counts(&mut self) -> u64 {
        let oldest = self.writes.outstanding.front().map_or(self.writes.last.0 + 1, |(id, ..)| id.0);
        let lower = oldest - 1;
        for (id, ..) in &mut self.writes.outstanding {
            id.0 -= lower;
        }
        self.writes.last.0 -= lower;
        if let Standing::Candidate { own, .. } = &mut self.standing {
            *own = PersistId(own.0.saturating_sub(lower));
        }
        if self.config.election_min.is_zero() {
            self.heard = None;
            self.silent_until = None;
        }
        self.log.forget_writes();
        lower
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::{NodeId, Now};
    use crate::membership::Membership;
    use crate::raft::{Config, Restored};
    use crate::seam::{Input, Output, Timer};

    fn alone() -> Raft {
        let mut config = Config::new(NodeId(1));
        config.election_min = Duration::ZERO;
        Raft::restart(
            config,
            Restored::blank(Membership::of([NodeId(1)])),
            Now::default(),
            &mut Output::default(),
        )
    }

    fn step(node: &mut Raft, input: Input) -> Vec<PersistId> {
        let mut out = Output::default();
        node.step(Now::default(), input, &mut out);
        out.persist.iter().map(|write| write.id).collect()
    }

    #[test]
    fn a_node_that_forgot_its_counts_goes_on_as_before() {
        let mut whole = alone();
        let mut lowered = alone();
        let mut lower = 0;
        for round in 0..4 {
            let writes = step(&mut whole, Input::Timeout(Timer::Election));
            let same = step(&mut lowered, Input::Timeout(Timer::Election));
            assert_eq!(writes.len(), same.len(), "round {round}");
            for (id, low) in writes.into_iter().zip(same) {
                assert_eq!(id.0, low.0 + lower);
                step(&mut whole, Input::Persisted(id));
                step(&mut lowered, Input::Persisted(low));
                lower += lowered.forget_counts();
            }
            assert_eq!(whole.role(), lowered.role());
            assert_eq!(whole.commit(), lowered.commit());
        }
        assert!(lower > 0, "something was lowered");
    }

    #[test]
    fn nodes_that_differ_in_their_counts_alone_become_equal() {
        let elected = |times: usize| {
            let mut node = alone();
            for _ in 0..times {
                for id in step(&mut node, Input::Timeout(Timer::Election)) {
                    for next in step(&mut node, Input::Persisted(id)) {
                        step(&mut node, Input::Persisted(next));
                    }
                }
            }
            node
        };
        let mut once = elected(1);
        let mut again = Raft {
            writes: super::super::Writes { last: PersistId(9), ..once.writes.clone() },
            ..once.clone()
        };
        assert_ne!(once, again);
        once.forget_counts();
        again.forget_counts();
        assert_eq!(once, again);
    }
}
