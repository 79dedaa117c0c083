//! A node opens a term only after a quorum said that it would win (dissertation §9.6).
//!
//! Not safety, but what keeps a working leader from being deposed for nothing: whoever cannot reach a quorum
//! cannot count its term up, and so does not come back with a term that everybody has to follow. A
//! cluster that breaks this loses no data and serves its clients worse, which no history shows.
//! Only whom the leader itself calls need ask nobody.

use std::collections::{BTreeMap, BTreeSet};

use super::{Brief, Violation};
use crate::ids::{NodeId, Term};
use crate::membership::Membership;
use crate::message::{Envelope, Message};

/// How many terms are remembered of each candidate. A consent may arrive late, and be for a term that its
/// candidate had left and, after a crash, does not know of any more.
const REMEMBERED: usize = 16;

/// Who told whom that it would win.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Consents {
    /// Whether any message was ever seen: who does not tell of messages is not judged by them.
    told: bool,
    said: BTreeMap<NodeId, BTreeMap<Term, BTreeSet<NodeId>>>,
    /// Who was called to lead the term after this one.
    called: BTreeSet<(Term, NodeId)>,
}

impl Consents {
    /// `envelope` leaves.
    pub(super) fn sent(&mut self, envelope: &Envelope) {
        self.told = true;
        if envelope.message == Message::TimeoutNow {
            self.called.insert((envelope.term.next(), envelope.to));
            if self.called.len() > REMEMBERED {
                self.called.pop_first();
            }
        }
        if envelope.message != (Message::PreVote { granted: true }) {
            return;
        }
        let said = self.said.entry(envelope.to).or_default();
        said.entry(envelope.term.next()).or_default().insert(envelope.from);
        if said.len() > REMEMBERED {
            said.pop_first();
        }
    }

    /// `node` took a step.
    pub(super) fn check(
        &self,
        members: &Membership,
        node: NodeId,
        before: Brief,
        now: Brief,
    ) -> Result<(), Violation> {
        let term = now.hard.term;
        let opens = term > before.hard.term && now.hard.vote == Some(node);
        if !opens || !self.told || self.called.contains(&(term, node)) {
            return Ok(());
        }
        let mut consent = BTreeSet::from([node]);
        consent.extend(self.said.get(&node).and_then(|said| said.get(&term)).into_iter().flatten());
        if members.decide(&consent) {
            return Ok(());
        }
        Err(Violation::TermNotGranted {
            node,
            term,
            consented: consent.len(),
            quorum: members.voters().quorum(),
        })
    }
}
