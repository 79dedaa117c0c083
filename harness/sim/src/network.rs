//! What becomes of a message between two nodes.
//!
//! Every directed link has a weather of its own. In fair weather a message takes a little while, drawn
//! anew each time; some lives have links that keep the order, as a connection does, and some have links
//! that do not. A fault can make a link slow, lossy, repetitive or disorderly, or cut it. What meets a cut is
//! held until the heal, as bytes in a connection that retransmits, or is gone, as in one that broke.
//!
//! A cut counts when a message is sent and when it would arrive: what was under way when the link was
//! cut does not slip through.
//!
//! A process that dies takes its connections with it. Of what it had sent, nobody can say how far it came: some of
//! it is in buffers of its own machine, some on the wire, some in buffers of the receiver. Of what was under way *to*
//! it, some had reached its machine and is gone; the rest still waits in its senders' queues, together with what they
//! send while it is down, and goes to the next process as soon as there is one. So a node can be told what was meant
//! for the one that it was before it forgot something. The [fate](Fate) of both is drawn for each death.
//!
//! Links lead from seat to seat. Who sits there may change, as behind an address.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nemesis::{Link, NodeId, Sever, Weather};
use raft::Envelope;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How many messages a cut link holds. The oldest go first: a sender's buffer is not without end either.
const HELD: usize = 4096;

/// How long messages take in fair weather.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// What a cut did on a link, since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stopped {
    pub(crate) held: u64,
    pub(crate) refused: u64,
}

/// What a weather did on a link, since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Traffic {
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
    fates: ChaCha8Rng,
}

#[derive(Default)]
struct Wire {
    /// How many times as long as usual a message takes.
    slowness: Slowness,
    cut: Option<Sever>,
    stopped: Stopped,
    weather: Option<Weather>,
    traffic: Traffic,
    /// How many messages were sent, a repeated one being two.
    sent: u64,
    /// Those that will arrive, the oldest first.
    under_way: VecDeque<(u64, Envelope)>,
    /// Those that met a cut.
    held: BTreeMap<u64, Envelope>,
    /// When the last message that keeps the order arrives.
    last: u64,
    /// That nobody listens at its end, and whether the sender keeps what it sends meanwhile.
    down: Option<Keeps>,
    /// What waits at the sender until somebody listens.
    waiting: VecDeque<Envelope>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keeps {
    /// As much as there is room for.
    Everything,
    /// Whatever is sent meanwhile meets a connection that is not there.
    Nothing,
}

/// How many times as long as usual something takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slowness(pub(crate) u64);

impl Default for Slowness {
    fn default() -> Slowness {
        Slowness(1)
    }
}

/// A message that will arrive, unless something comes between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: u64,
    /// The how-manieth of its link it is.
    pub(crate) number: u64,
}

/// When a message arrives: not at all, once or twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) first: Option<Arrival>,
    pub(crate) again: Option<Arrival>,
}

/// What becomes of that which a process had sent when it died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It had left the machine: all of it arrives.
    Left,
    /// It had not: none of it does.
    Stayed,
    /// On each link the first few had.
    Parted,
}

impl Fate {
    /// One is as likely as another.
    fn draw(dice: &mut ChaCha8Rng) -> Fate {
        match dice.random_range(0..3) {
            0 => Fate::Left,
            1 => Fate::Stayed,
            _ => Fate::Parted,
        }
    }

    /// How many of so many messages on a link arrive.
    fn keeps(self, all: usize, dice: &mut ChaCha8Rng) -> usize {
        match self {
            Fate::Left => all,
            Fate::Stayed => 0,
            Fate::Parted => dice.random_range(0..=all),
        }
    }
}

impl Network {
    /// `dice` draw delays and weather, `fates` what the death of a process does.
    pub(crate) fn new(nodes: usize, pace: Pace, dice: ChaCha8Rng, fates: ChaCha8Rng) -> Network {
        let wires = (0..nodes * nodes).map(|_| Wire::default()).collect();
        Network { nodes, pace, wires, dice, fates }
    }

    /// A message leaves. If the link is cut, this is the last of it for now.
    pub(crate) fn send(&mut self, now: u64, link: Link, envelope: Envelope) -> Arrivals {
        let place = self.place(link);
        if let Some(keeps) = self.wires[place].down {
            if keeps == Keeps::Everything {
                self.wires[place].wait(envelope);
            }
            return Arrivals::default();
        }
        if self.wires[place].cut.is_some() {
            let number = self.wires[place].number();
            self.wires[place].stop(number, envelope);
            return Arrivals::default();
        }
        let fair = self.fair(place);
        let wire = &mut self.wires[place];
        let Some(weather) = wire.weather else {
            let at = wire.in_turn(now + fair, self.pace.ordered);
            return Arrivals { first: Some(wire.carry(at, envelope)), again: None };
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
        } else {
            at = wire.in_turn(at, self.pace.ordered);
        }
        wire.traffic.repeated += u64::from(repeated);
        let again = repeated.then(|| envelope.clone());
        let first = Some(wire.carry(at, envelope));
        let again = again.map(|again| wire.carry(at + up_to(100_000_000, &mut self.dice), again));
        Arrivals { first, again }
    }

    /// A message would arrive now, if nothing has come between.
    pub(crate) fn arrives(&mut self, link: Link, number: u64) -> Option<Envelope> {
        let place = self.place(link);
        let wire = &mut self.wires[place];
        let turn = wire.under_way.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        let (_, envelope) = wire.under_way.remove(turn)?;
        if wire.cut.is_some() {
            wire.stop(number, envelope);
            return None;
        }
        Some(envelope)
    }

    /// The process of a node ends. Of what was under way to it and from it some is gone, and what waits for others dies
    /// with it. Says how many messages that were.
    pub(crate) fn process_ends(&mut self, node: NodeId) -> u64 {
        let fate = Fate::draw(&mut self.fates);
        let mut lost = 0;
        for other in self.everybody() {
            let (to, from) = (self.place(Link::new(other, node)), self.place(Link::new(node, other)));
            let reached = Fate::draw(&mut self.fates);
            let gone = reached.keeps(self.wires[to].on_it(), &mut self.fates);
            lost += self.wires[to].nobody_listens(gone);
            self.wires[to].down =
                Some(if reached == Fate::Left { Keeps::Nothing } else { Keeps::Everything });
            let keeps = fate.keeps(self.wires[from].on_it(), &mut self.fates);
            lost += self.wires[from].lose_all_but(keeps);
            lost += std::mem::take(&mut self.wires[from].waiting).len() as u64;
        }
        lost
    }

    /// A node has a process again: what waited for one sets out, in its order.
    pub(crate) fn process_starts(&mut self, now: u64, node: NodeId) -> Vec<(Link, Arrivals)> {
        let mut under_way = Vec::new();
        for other in self.everybody() {
            let link = Link::new(other, node);
            let wire = self.wire(link);
            wire.down = None;
            for envelope in std::mem::take(&mut wire.waiting) {
                under_way.push((link, self.send(now, link, envelope)));
            }
        }
        under_way
    }

    /// Nothing that keeps the order comes to this node before `until`.
    pub(crate) fn holds_up(&mut self, node: NodeId, until: u64) {
        for other in self.everybody() {
            let wire = self.wire(Link::new(other, node));
            wire.last = wire.last.max(until);
        }
    }

    fn everybody(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=u16::try_from(self.nodes).expect("nodes are numbered in 16 bits")).map(NodeId)
    }

    /// Cuts these links.
    pub(crate) fn sever(&mut self, links: &BTreeSet<Link>, how: Sever) {
        for link in links {
            let wire = self.wire(*link);
            wire.cut = Some(how);
            wire.stopped = Stopped::default();
        }
    }

    /// Mends a link: what it held sets out again, in its order.
    pub(crate) fn mend(&mut self, now: u64, link: Link) -> (Vec<Arrival>, Stopped) {
        let ordered = self.pace.ordered;
        let wire = self.wire(link);
        wire.cut = None;
        let mut held = std::mem::take(&mut wire.held);
        if ordered && let Some((&first, _)) = held.first_key_value() {
            // A receiver is given nothing for which something earlier is still missing.
            let later = wire.under_way.partition_point(|(number, _)| *number < first);
            held.extend(wire.under_way.drain(later..));
        }
        let stopped = std::mem::take(&mut wire.stopped);
        let again = held.into_values().map(|envelope| {
            let at = now + self.fair(self.place(link));
            let wire = self.wire(link);
            let at = wire.in_turn(at, ordered);
            wire.carry(at, envelope)
        });
        (again.collect(), stopped)
    }

    /// Gives a link a weather, or takes it away, and says what the last one did.
    pub(crate) fn weather(&mut self, link: Link, weather: Option<Weather>) -> Traffic {
        let wire = self.wire(link);
        wire.weather = weather;
        std::mem::take(&mut wire.traffic)
    }

    /// From now on no link is slower than this: progress can be demanded only of a network that lets it happen.
    pub(crate) fn calm(&mut self, most: Pace) {
        self.pace.least = self.pace.least.min(most.least);
        self.pace.spread = self.pace.spread.min(most.spread);
        self.wires.iter_mut().for_each(|wire| wire.slowness = Slowness::default());
    }

    /// From now on this link is so slow.
    pub(crate) fn slow(&mut self, link: Link, slowness: Slowness) {
        self.wire(link).slowness = slowness;
    }

    /// A delay in fair weather.
    fn fair(&mut self, place: usize) -> u64 {
        let Pace { least, spread, .. } = self.pace;
        let drawn = self.dice.random::<u64>();
        let more = if spread == 0 { 0 } else { (drawn >> 8) % spread };
        let takes = least + if drawn.trailing_zeros() >= 6 { more * 8 } else { more };
        takes * self.wires[place].slowness.0
    }

    fn wire(&mut self, link: Link) -> &mut Wire {
        let place = self.place(link);
        &mut self.wires[place]
    }

    fn place(&self, link: Link) -> usize {
        (usize::from(link.from.0) - 1) * self.nodes + usize::from(link.to.0) - 1
    }
}

impl Wire {
    /// The number of the next message.
    fn number(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// A message is under way from now on.
    fn carry(&mut self, at: u64, envelope: Envelope) -> Arrival {
        let number = self.number();
        self.under_way.push_back((number, envelope));
        Arrival { at, number }
    }

    /// When a message arrives that could be there at `at`: not before the last one, on a link that keeps the
    /// order.
    fn in_turn(&mut self, at: u64, ordered: bool) -> u64 {
        let at = if ordered { at.max(self.last) } else { at };
        self.last = at;
        at
    }

    /// A message meets the cut, and goes no further.
    fn stop(&mut self, number: u64, envelope: Envelope) {
        if self.cut == Some(Sever::Cut) {
            self.stopped.refused += 1;
            return;
        }
        self.stopped.held += 1;
        self.held.insert(number, envelope);
        if self.held.len() > HELD {
            self.held.pop_first();
        }
    }

    /// A message waits at the sender. The oldest goes if there are too many.
    fn wait(&mut self, envelope: Envelope) {
        self.waiting.push_back(envelope);
        if self.waiting.len() > HELD {
            self.waiting.pop_front();
        }
    }

    /// Nobody listens any more. Of what is under way or held, the first few are gone, and the rest waits at the
    /// sender. Says how many are gone.
    fn nobody_listens(&mut self, gone: usize) -> u64 {
        self.last = 0;
        let mut all: BTreeMap<u64, Envelope> = std::mem::take(&mut self.held);
        all.extend(self.under_way.drain(..));
        let gone = gone.min(all.len());
        all.into_values().skip(gone).for_each(|envelope| self.wait(envelope));
        gone as u64
    }

    /// How many messages are under way or held.
    fn on_it(&self) -> usize {
        self.under_way.len() + self.held.len()
    }

    /// The connection breaks: of what it carries or holds, the first few arrive. The next one need not wait
    /// for them. Says how many do not arrive.
    fn lose_all_but(&mut self, keeps: usize) -> u64 {
        self.last = 0;
        let all = self.on_it();
        if keeps < all {
            let under_way = self.under_way.iter().map(|(number, _)| *number);
            let mut numbers: Vec<u64> = under_way.chain(self.held.keys().copied()).collect();
            numbers.sort_unstable();
            let first_lost = numbers[keeps];
            self.under_way.retain(|(number, _)| *number < first_lost);
            self.held.split_off(&first_lost);
        }
        (all - self.on_it()) as u64
    }
}

fn up_to(most: u64, dice: &mut ChaCha8Rng) -> u64 {
    if most == 0 { 0 } else { dice.random_range(0..most) }
}

#[cfg(test)]
mod tests {
    use raft::{Message, NodeId as Member, Term};
    use rand::SeedableRng;

    use super::*;

    fn dice(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    fn network(seed: u64) -> Network {
        Network::new(3, Pace { least: 1_000, spread: 1_000_000, ordered: true }, dice(seed), dice(seed + 1))
    }

    /// The term tells one message from another.
    fn message(from: u16, to: u16, term: u64) -> Envelope {
        Envelope {
            from: Member(from),
            to: Member(to),
            term: Term(term),
            message: Message::Vote { granted: true },
        }
    }

    fn link(from: u16, to: u16) -> Link {
        Link::new(NodeId(from), NodeId(to))
    }

    /// Sends so many over a link, and says when they will arrive.
    fn send(network: &mut Network, from: u16, to: u16, count: u64) -> Vec<Arrival> {
        let terms = 0..count;
        terms
            .map(|term| network.send(10 * term, link(from, to), message(from, to, term)).first.unwrap())
            .collect()
    }

    /// The terms of those that arrive, in the order of their times.
    fn arriving(network: &mut Network, from: u16, to: u16, mut under_way: Vec<Arrival>) -> Vec<u64> {
        under_way.sort_by_key(|arrival| arrival.at);
        let numbers = under_way.into_iter().map(|arrival| arrival.number);
        let arrived = numbers.filter_map(|number| network.arrives(link(from, to), number));
        arrived.map(|envelope| envelope.term.0).collect()
    }

    #[test]
    fn a_process_that_dies_may_take_with_it_what_it_sent_last_or_all_or_nothing() {
        let mut kept = BTreeMap::new();
        for seed in 0..300 {
            let mut network = network(seed);
            let sent = send(&mut network, 1, 2, 4);
            network.process_ends(NodeId(1));
            let arrived = arriving(&mut network, 1, 2, sent);
            assert_eq!(arrived, (0..arrived.len() as u64).collect::<Vec<_>>(), "the last are lost first");
            *kept.entry(arrived.len()).or_insert(0) += 1;
        }
        assert!(kept[&0] > 100 && kept[&4] > 100, "all or nothing, mostly: {kept:?}");
        assert!((1..4).all(|some| kept[&some] > 5), "and at times some: {kept:?}");
    }

    #[test]
    fn what_had_not_reached_a_process_that_died_may_reach_the_next_one_and_what_is_sent_meanwhile_too() {
        let mut reached = BTreeMap::new();
        for seed in 0..300 {
            let mut network = network(seed);
            let (to_it, others) = (send(&mut network, 2, 1, 3), send(&mut network, 2, 3, 3));
            network.process_ends(NodeId(1));
            assert!(arriving(&mut network, 2, 1, to_it).is_empty(), "there is nobody");
            for term in 3..5 {
                assert_eq!(network.send(50, link(2, 1), message(2, 1, term)), Arrivals::default());
            }
            assert_eq!(arriving(&mut network, 2, 3, others), [0, 1, 2], "others lose nothing");
            let waited = network.process_starts(100, NodeId(1));
            assert!(waited.iter().all(|(over, _)| *over == link(2, 1)));
            let waited = waited.into_iter().map(|(_, arrivals)| arrivals.first.unwrap()).collect();
            let arrived = arriving(&mut network, 2, 1, waited);
            let last = 5 - arrived.len() as u64..5;
            assert_eq!(arrived, last.collect::<Vec<_>>(), "the first are lost first");
            *reached.entry(arrived.len()).or_insert(0) += 1;
            let next = send(&mut network, 2, 1, 2);
            assert_eq!(arriving(&mut network, 2, 1, next), [0, 1]);
        }
        assert!(reached[&0] > 70 && reached[&5] > 70, "all or nothing, mostly: {reached:?}");
        assert!((2..5).all(|some| reached[&some] > 5) && !reached.contains_key(&1), "{reached:?}");
    }

    #[test]
    fn what_waits_for_another_process_dies_with_its_sender_and_meets_a_cut() {
        for seed in 0..50 {
            let mut network = network(seed);
            network.process_ends(NodeId(1));
            for (from, term) in [(2, 0), (3, 1)] {
                network.send(0, link(from, 1), message(from, 1, term));
            }
            network.process_ends(NodeId(2));
            network.sever(&[link(3, 1)].into(), Sever::Hold);
            let waited = network.process_starts(100, NodeId(1));
            assert!(waited.iter().all(|(over, arrivals)| *over == link(3, 1) && arrivals.first.is_none()));
            let (released, stopped) = network.mend(200, link(3, 1));
            assert_eq!(released.len() as u64, stopped.held);
            assert_eq!(stopped.held, waited.len() as u64);
        }
    }

    #[test]
    fn what_a_cut_held_keeps_its_order_and_later_messages_come_later() {
        for seed in 0..50 {
            let mut network = network(seed);
            let mut under_way = send(&mut network, 1, 2, 2);
            network.sever(&[link(1, 2)].into(), Sever::Hold);
            assert_eq!(network.arrives(link(1, 2), under_way[0].number), None, "it meets the cut");
            for term in 2..6 {
                assert_eq!(network.send(50, link(1, 2), message(1, 2, term)), Arrivals::default());
            }
            let (released, stopped) = network.mend(60, link(1, 2));
            assert_eq!(stopped, Stopped { held: 5, refused: 0 });
            under_way.extend(released);
            under_way.push(network.send(61, link(1, 2), message(1, 2, 6)).first.unwrap());
            assert_eq!(arriving(&mut network, 1, 2, under_way), [0, 1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn a_cut_and_a_weather_on_one_link_count_each_its_own() {
        let mut network = network(1);
        let weather = Weather { loss: 100, ..Weather::default() };
        network.weather(link(1, 2), Some(weather));
        network.send(0, link(1, 2), message(1, 2, 0));
        network.sever(&[link(1, 2)].into(), Sever::Cut);
        network.send(0, link(1, 2), message(1, 2, 1));
        assert_eq!(network.mend(0, link(1, 2)).1, Stopped { held: 0, refused: 1 });
        assert_eq!(network.weather(link(1, 2), None), Traffic { lost: 1, ..Traffic::default() });
    }
}
