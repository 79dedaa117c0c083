//! What nodes make of the entries that they execute: all of them the same, and of each request one thing once.
//!
//! A log that is the same everywhere is worth nothing if one node executes it otherwise: skips an entry, answers
//! a repeated request anew, lets its own clock or the order of a hash map decide. Clients would learn it late,
//! or never, if the node is not asked. So what the first node to come to a place of the log has there, every
//! other must have, and so must that node itself when it comes by again after a restart.
//!
//! * After each entry: a *chain*, a hash of the chain before, the entry with all its content, and its fate, with
//!   the reply. It costs no more than the entry is long. Two nodes with one chain executed the same entries
//!   and answered the same.
//! * After every [`INTERVAL`] entries, whenever a snapshot is taken, and in the end: a hash of the machine and the sessions as they are. A
//!   state can be wrong before any reply shows it.
//! * A request that a machine executed is never executed by another entry.
//!
//! What it cannot see: a mistake that all nodes make alike, which is what a history is judged for; and a session
//! that made room and came again may rightly execute its first request twice, but no life has so many.

use std::collections::BTreeMap;
use std::hash::Hash;

use raft::{Entry, EntryId, Index, NodeId, RequestId};
use replica::Fate;

use crate::digest::Digest;
use crate::ending::Breach;

/// How often whole states are compared, in entries.
pub(crate) const INTERVAL: u64 = 64;

/// What was executed by anybody so far.
#[derive(Default)]
pub(crate) struct Executions {
    /// What each place came to, and who was there first.
    places: Vec<(Digest, NodeId)>,
    states: BTreeMap<Index, (u64, NodeId)>,
    /// What each node's own execution has come to.
    chains: BTreeMap<NodeId, (Index, Digest)>,
    requests: BTreeMap<RequestId, EntryId>,
}

impl Executions {
    /// The node begins again behind the entry at `base`: with the first one, or with the state of a snapshot. What
    /// that came to is known, since somebody executed it once.
    pub(crate) fn restarted(&mut self, node: NodeId, base: Index) {
        let place = base.0.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        match place.and_then(|place| self.places.get(place)) {
            Some((chain, _)) => self.chains.insert(node, (base, *chain)),
            None => self.chains.remove(&node),
        };
    }

    /// `node` has executed `entry`, and this became of it. Which entry is its turn is for others to say.
    pub(crate) fn executed<R: Hash>(
        &mut self,
        node: NodeId,
        entry: &Entry,
        fate: &Fate<R>,
    ) -> Result<(), Breach> {
        let (at, chain) = self.chains.entry(node).or_default();
        entry.hash(chain);
        fate.hash(chain);
        let (place, chain) = (usize::try_from(at.0).expect("what is in memory is countable"), *chain);
        *at = at.next();
        match self.places.get(place) {
            None => self.places.push((chain, node)),
            Some((known, _)) if *known == chain => {}
            Some((_, first)) => {
                return Err(Breach::OtherFate { node, first: *first, entry: entry.id });
            }
        }
        if let (Some(request), Fate::Done(_)) = (&entry.request, fate) {
            let first = *self.requests.entry(request.id).or_insert(entry.id);
            if first != entry.id {
                return Err(Breach::Twice { node, request: request.id, first, again: entry.id });
            }
        }
        Ok(())
    }

    /// `node` has executed all up to `upto`, and its whole state is this.
    pub(crate) fn reached(&mut self, node: NodeId, upto: Index, state: u64) -> Result<(), Breach> {
        let (known, first) = *self.states.entry(upto).or_insert((state, node));
        if known == state { Ok(()) } else { Err(Breach::OtherState { node, first, upto }) }
    }
}

#[cfg(test)]
mod tests {
    use raft::{Payload, Request, SessionId, Wall};

    use super::*;

    const ONE: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);

    fn entry(index: u64, seq: u64) -> Entry {
        let id = RequestId { session: SessionId(7), seq };
        Entry {
            id: EntryId::new(index, 1),
            stamp: Wall(index),
            request: Some(Request { id, floor: 1 }),
            payload: Payload::Command("x".into()),
        }
    }

    #[test]
    fn nodes_that_execute_the_same_agree_and_so_does_one_that_begins_again() {
        let mut executions = Executions::default();
        for node in [ONE, OTHER, ONE] {
            executions.restarted(node, Index(0));
            for index in 1..=3 {
                assert_eq!(executions.executed(node, &entry(index, index), &Fate::Done(index)), Ok(()));
            }
            assert_eq!(executions.reached(node, Index(3), 99), Ok(()));
        }
    }

    #[test]
    fn a_node_that_takes_on_a_snapshot_goes_on_where_that_ends() {
        let mut executions = Executions::default();
        for index in 1..=5 {
            assert_eq!(executions.executed(ONE, &entry(index, index), &Fate::Done(index)), Ok(()));
        }
        executions.restarted(OTHER, Index(3));
        assert_eq!(executions.executed(OTHER, &entry(4, 4), &Fate::Done(4)), Ok(()));
        executions.restarted(OTHER, Index(3));
        assert!(executions.executed(OTHER, &entry(5, 5), &Fate::Done(5)).is_err(), "one was left out");
        executions.restarted(OTHER, Index(3));
        assert!(executions.executed(OTHER, &entry(3, 3), &Fate::Done(3)).is_err(), "one is executed twice");
    }

    #[test]
    fn another_reply_another_fate_and_another_content_are_noticed() {
        let mut executions = Executions::default();
        assert_eq!(executions.executed(ONE, &entry(1, 1), &Fate::Done(1)), Ok(()));
        let noticed = Err(Breach::OtherFate { node: OTHER, first: ONE, entry: EntryId::new(1, 1) });
        let other = Entry { payload: Payload::Command("y".into()), ..entry(1, 1) };
        for (entry, fate) in [
            (entry(1, 1), Fate::Done(2)),
            (entry(1, 1), Fate::Repeated(Some(1))),
            (entry(1, 1), Fate::Forgotten),
            (other, Fate::Done(1)),
        ] {
            executions.restarted(OTHER, Index(0));
            assert_eq!(executions.executed(OTHER, &entry, &fate), noticed);
        }
    }

    #[test]
    fn a_state_that_no_reply_showed_yet_is_noticed() {
        let mut executions = Executions::default();
        assert_eq!(executions.reached(ONE, Index(64), 1), Ok(()));
        let noticed = Breach::OtherState { node: OTHER, first: ONE, upto: Index(64) };
        assert_eq!(executions.reached(OTHER, Index(64), 2), Err(noticed));
    }

    #[test]
    fn a_request_that_is_executed_a_second_time_is_noticed() {
        let mut executions = Executions::default();
        assert_eq!(executions.executed(ONE, &entry(1, 5), &Fate::Done(1)), Ok(()));
        assert_eq!(executions.executed(ONE, &entry(2, 5), &Fate::Repeated(Some(1))), Ok(()));
        let (first, again) = (EntryId::new(1, 1), EntryId::new(3, 1));
        let request = RequestId { session: SessionId(7), seq: 5 };
        let noticed = Breach::Twice { node: ONE, request, first, again };
        assert_eq!(executions.executed(ONE, &entry(3, 5), &Fate::Done(2)), Err(noticed));
    }
}
