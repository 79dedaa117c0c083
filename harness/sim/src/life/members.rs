//! A member is replaced: a fault that takes its time.
//!
//! Other faults are there at once, and gone at once. This one is a wish that the [operator](crate::operator) has to bring
//! about by asking the cluster, while clients and other faults go on. So its evidence comes later: that a member went,
//! perhaps after a while, perhaps not at all before the heal; and that another got its vote, perhaps long after the
//! heal was asked for. Whether it bit is known only then.

use nemesis::evidence::{Joining, Removal};
use nemesis::{Birth, Evidence, Fault, NodeId, Span, bite};

use super::Living;
use super::faults::{Lasting, said};
use crate::asking::Asking;
use crate::world::place;

/// A member that is being replaced.
pub(super) struct Replacing {
    seat: NodeId,
    member: raft::NodeId,
    led: bool,
    lasting: Lasting,
    /// When it had been removed.
    gone: Option<u64>,
    healed: Option<Healed>,
}

/// The end of it was asked for.
struct Healed {
    at: u64,
    met: nemesis::Met,
    /// Who came instead, and when.
    successor: Option<(raft::NodeId, u64)>,
}

impl<W: Asking + Clone> Living<'_, W> {
    /// The member in this seat shall go. Whether anybody was asked for that: not if somebody is at work there.
    pub(super) fn begin_replacing(&mut self, seat: NodeId, lasting: Lasting) {
        let node = &self.world.nodes[place(seat)];
        let (member, led) = (node.id, self.world.leader() == Some(place(seat)));
        let free = self.operator.as_ref().is_some_and(|operator| !operator.is_at(seat, &self.world));
        if free && let Some(operator) = &mut self.operator {
            operator.empty(seat);
            self.replacing.push(Replacing { seat, member, led, lasting, gone: None, healed: None });
        } else {
            let why = "somebody is at work there already";
            self.stays(&Replacing { seat, member, led, lasting, gone: None, healed: None }, why);
        }
    }

    /// Another shall take the seat.
    pub(super) fn heal_replacing(&mut self, seat: NodeId) {
        if let Some(operator) = &mut self.operator {
            operator.fill(seat);
        }
        let Some(at) = self.replacing.iter().position(|it| it.seat == seat && it.healed.is_none()) else {
            return;
        };
        if self.replacing[at].gone.is_none() {
            let replacing = self.replacing.remove(at);
            return self.stays(&replacing, "it was not done in time");
        }
        let met = self.met(&self.replacing[at].lasting);
        self.clients.nemesis(
            self.world.now,
            "heal-membership",
            said(&self.replacing[at].lasting.fault, None),
        );
        self.replacing[at].healed = Some(Healed { at: self.world.now, met, successor: None });
    }

    /// The member stays what it is: the fault had no effect.
    fn stays(&mut self, replacing: &Replacing, why: &str) {
        let evidence = replacing.removal(self.world.now, Some(why.to_owned()));
        let fault = &replacing.lasting.fault;
        self.clients.nemesis(self.world.now, fault.kind().name(), said(fault, Some(&evidence)));
        self.world.coverage.fault(fault.kind(), false);
    }

    /// Looks how far those are that are being replaced.
    pub(super) fn look_at_members(&mut self) {
        let mut going = std::mem::take(&mut self.replacing);
        going.retain_mut(|replacing| !self.is_replaced(replacing));
        self.replacing = going;
    }

    fn is_replaced(&mut self, replacing: &mut Replacing) -> bool {
        let now = self.world.now;
        let members = self.world.members.1.clone();
        let fault = replacing.lasting.fault.clone();
        if replacing.gone.is_none() && members.removed(replacing.member) {
            replacing.gone = Some(now);
            replacing.lasting.evidence = replacing.removal(now, None);
            let evidence = &replacing.lasting.evidence;
            self.clients.nemesis(now, fault.kind().name(), said(&fault, Some(evidence)));
        }
        let sits = self.world.nodes[place(replacing.seat)].id;
        let Some(healed) = &mut replacing.healed else { return false };
        if sits == replacing.member || !members.contains(sits) {
            return false;
        }
        let (successor, since) = *healed.successor.get_or_insert((sits, now));
        if !members.voters().contains(successor) {
            return false;
        }
        let joining = Joining {
            member: successor.to_string(),
            took: Span(since - healed.at),
            learned: (now > since).then_some(Span(now - since)),
            votes: true,
        };
        let pid = self.world.pid(replacing.seat);
        let evidence = Evidence {
            joinings: [(replacing.seat, joining)].into(),
            births: vec![Birth { node: replacing.seat, pid }],
            ..Evidence::default()
        };
        self.clients.nemesis(now, fault.kind().heal_name(), said(&fault, Some(&evidence)));
        let bite = bite(&fault, &replacing.lasting.evidence, &evidence, healed.met);
        self.world.coverage.fault(fault.kind(), bite.bit());
        true
    }
}

impl Replacing {
    fn removal(&self, now: u64, refused: Option<String>) -> Evidence {
        let (member, led) = (self.member.to_string(), self.led);
        let took = Span(now - self.lasting.began);
        let removal = Removal { member, led, took, refused };
        Evidence { removals: [(self.seat, removal)].into(), ..Evidence::default() }
    }
}

/// Whether a fault is one that takes its time, and whose seat it empties.
pub(super) fn seat_of(fault: &Fault) -> Option<NodeId> {
    match fault {
        Fault::Membership { node } => Some(*node),
        _ => None,
    }
}
