//! What becomes of a message between two nodes.
//!
//! Every directed link has a weather of its own. In fair weather a message takes a little while, drawn
//! anew each time; some lives have links that keep the order, as a connection does, and some have links
//! that do not. A fault can make a link slow, lossy, repetitive or disorderly, or cut it. What meets a cut is
//! held until the heal, as bytes in a connection that retransmits, or is gone, as in one that broke.
//!
//! A cut counts when a message is sent and when it would arrive: what was under way when the link was
//! cut does not slip through.

use std::collections::{BTreeSet, VecDeque};

use nemesis::{Link, Sever, Weather};
use raft::{Envelope, NodeId};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How many messages a cut link holds. The oldest go first: a sender's buffer is not without end either.
const HELD: usize = 4096;

/// How long messages take in fair weather.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pace {
    /// At least this, in nanoseconds.
    #[serde(with = "crate::written::nanoseconds")]
    pub least: u64,
    /// Mostly at most so much more; one in 64 takes up to eight times as much.
    #[serde(with = "crate::written::nanoseconds")]
    pub spread: u64,
    /// Whether a link delivers in the order in which it was given.
    pub ordered: bool,
}

/// What happened on a link, since it was last asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) held: u64,
    pub(crate) refused: u64,
    pub(crate) lost: u64,
    pub(crate) delayed: u64,
    pub(crate) repeated: u64,
    pub(crate) overtaken: u64,
}

/// All links of a cluster.
pub(crate) struct Network {
    nodes: usize,
    pace: Pace,
    wires: Vec<Wire>,
    dice: ChaCha8Rng,
}

#[derive(Default)]
struct Wire {
    cut: Option<Sever>,
    weather: Option<Weather>,
    held: VecDeque<Envelope>,
    /// When the last message that keeps the order arrives.
    last: u64,
    traffic: Traffic,
}

/// When a message arrives: not at all, once or twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) first: Option<u64>,
    pub(crate) again: Option<u64>,
}

impl Network {
    pub(crate) fn new(nodes: usize, pace: Pace, dice: ChaCha8Rng) -> Network {
        let wires = (0..nodes * nodes).map(|_| Wire::default()).collect();
        Network { nodes, pace, wires, dice }
    }

    /// A message leaves. If the link is cut, this is the last of it for now.
    pub(crate) fn send(&mut self, now: u64, envelope: &Envelope) -> Arrivals {
        let place = self.place(envelope.from, envelope.to);
        if self.stop(place, envelope) {
            return Arrivals::default();
        }
        let fair = self.fair();
        let wire = &mut self.wires[place];
        let Some(weather) = wire.weather else {
            let at = if self.pace.ordered { (now + fair).max(wire.last) } else { now + fair };
            wire.last = at;
            return Arrivals { first: Some(at), again: None };
        };
        let mut percent = |share: u8| share > 0 && self.dice.random_range(0..100) < share;
        if percent(weather.loss) {
            wire.traffic.lost += 1;
            return Arrivals::default();
        }
        let overtaken = percent(weather.reorder);
        let repeated = percent(weather.duplicate);
        let slow = weather.delay.0 + up_to(weather.jitter.0, &mut self.dice);
        wire.traffic.delayed += u64::from(slow > 0);
        let mut at = now + fair + slow;
        if overtaken {
            // Late enough that what is sent next comes first.
            at += 5_000_000 + up_to(20_000_000, &mut self.dice);
            wire.traffic.overtaken += 1;
        } else if self.pace.ordered {
            at = at.max(wire.last);
            wire.last = at;
        }
        wire.traffic.repeated += u64::from(repeated);
        let again = repeated.then(|| at + up_to(100_000_000, &mut self.dice));
        Arrivals { first: Some(at), again }
    }

    /// A message would arrive now: whether it does.
    pub(crate) fn arrives(&mut self, envelope: &Envelope) -> bool {
        let place = self.place(envelope.from, envelope.to);
        !self.stop(place, envelope)
    }

    /// What meets a cut goes no further.
    fn stop(&mut self, place: usize, envelope: &Envelope) -> bool {
        let wire = &mut self.wires[place];
        match wire.cut {
            None => return false,
            Some(Sever::Cut) => wire.traffic.refused += 1,
            Some(Sever::Hold) => {
                wire.traffic.held += 1;
                wire.held.push_back(envelope.clone());
                if wire.held.len() > HELD {
                    wire.held.pop_front();
                }
            }
        }
        true
    }

    /// Cuts these links.
    pub(crate) fn sever(&mut self, links: &BTreeSet<Link>, how: Sever) {
        for link in links {
            let wire = self.wire(*link);
            wire.cut = Some(how);
            wire.traffic = Traffic::default();
        }
    }

    /// Mends a link: what it held, and what happened on it meanwhile.
    pub(crate) fn mend(&mut self, link: Link) -> (VecDeque<Envelope>, Traffic) {
        let wire = self.wire(link);
        wire.cut = None;
        (std::mem::take(&mut wire.held), std::mem::take(&mut wire.traffic))
    }

    /// Gives these links a weather, or takes it away.
    pub(crate) fn weather(&mut self, link: Link, weather: Option<Weather>) -> Traffic {
        let wire = self.wire(link);
        wire.weather = weather;
        std::mem::take(&mut wire.traffic)
    }

    /// From now on no link is slower than this: progress can be demanded only of a network that lets it happen.
    pub(crate) fn calm(&mut self, most: Pace) {
        self.pace.least = self.pace.least.min(most.least);
        self.pace.spread = self.pace.spread.min(most.spread);
    }

    /// A delay in fair weather.
    pub(crate) fn fair(&mut self) -> u64 {
        let Pace { least, spread, .. } = self.pace;
        let drawn = self.dice.random::<u64>();
        let more = if spread == 0 { 0 } else { (drawn >> 8) % spread };
        least + if drawn.trailing_zeros() >= 6 { more * 8 } else { more }
    }

    fn wire(&mut self, link: Link) -> &mut Wire {
        let place = self.place(NodeId(link.from.0), NodeId(link.to.0));
        &mut self.wires[place]
    }

    fn place(&self, from: NodeId, to: NodeId) -> usize {
        (usize::from(from.0) - 1) * self.nodes + usize::from(to.0) - 1
    }
}

fn up_to(most: u64, dice: &mut ChaCha8Rng) -> u64 {
    if most == 0 { 0 } else { dice.random_range(0..most) }
}
