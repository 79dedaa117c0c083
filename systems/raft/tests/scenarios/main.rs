//! Scenarios of the paper that are tables of many cases: what a story would have to tell ten times over.
//!
//! Each test is a promise in words; `docs/raft-scenarios.md` says which rows it keeps.
#![cfg(feature = "script")]
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod elections;
mod membership;
mod replication;
mod terms;

use raft::script::Cluster;
use raft::{Entry, EntryId, Envelope, HardState, Input, Message, NodeId, Payload, Raft, Term, Timer, Wall};

/// Five hundred milliseconds: nobody is bound by a leader that was heard before.
const LATER: std::time::Duration = std::time::Duration::from_millis(500);

/// A log whose entries are of these terms, one after the other.
fn entries(terms: &[u64]) -> Vec<Entry> {
    let numbered = terms.iter().zip(1..);
    let entry = |(term, index): (&u64, u64)| Entry {
        id: EntryId::new(index, *term),
        stamp: Wall(0),
        request: None,
        payload: Payload::Noop,
    };
    numbered.map(entry).collect()
}

/// Restarts a node with this term and this log on its disk.
fn begin_with(cluster: &mut Cluster, id: NodeId, term: u64, terms: &[u64]) {
    cluster.crash(id);
    let node = cluster.nodes.get_mut(&id).unwrap();
    node.hard = HardState { term: Term(term), vote: None };
    node.log = entries(terms);
    cluster.start(id);
}

/// The terms of a node's entries.
fn terms(cluster: &Cluster, id: NodeId) -> Vec<u64> {
    let log = running(cluster, id).log();
    log.between(log.base().index(), log.last().index).iter().map(|entry| entry.id.term.0).collect()
}

fn running(cluster: &Cluster, id: NodeId) -> &Raft {
    cluster.nodes[&id].raft.as_ref().unwrap()
}

/// Has a node's election timer run out after so long that nobody is bound to another leader, and lets everybody talk.
fn elect(cluster: &mut Cluster, id: NodeId) {
    cluster.advance(LATER);
    cluster.timeout(id, Timer::Election);
    cluster.settle();
}

fn beat(cluster: &mut Cluster, id: NodeId) {
    cluster.timeout(id, Timer::Heartbeat);
    cluster.settle();
}

fn said(from: u16, to: u16, term: u64, message: Message) -> Input {
    Input::Receive(Envelope { from: NodeId(from), to: NodeId(to), term: Term(term), message })
}
