//! Nodes, links, disks and clocks, and the one loop that moves them.
//!
//! Everything that happens is a [`Happening`] on the [`Agenda`]: a message arrives, a disk is done, a call
//! comes in, a node takes its turn. A node is driven as its event loop drives it in a real process: what came in
//! is stepped, then the timers that are due, then it is flushed, and its effects are carried out. While it is busy
//! with a turn, what comes in waits and makes up the next one; so calls are batched and writes are merged here
//! too. The loop sorts what came in by where it came from, and takes so much of it at most; here it comes in the
//! order of its arrival, all of it.
//!
//! The world decides nothing. What is random is drawn from dice whose seed it was given, each purpose
//! having dice of its own, so that one more message on a link does not change what the disks do.
//!
//! A node sits in a *seat*: what has an address, and a disk. A member that was removed is switched off, and another
//! machine takes its seat, under the next number. Links, faults and clients know seats; the protocol knows numbers.
//!
//! After every step of a node the invariants are checked. The first thing that cannot be, be it a
//! broken invariant or a node that says so itself, is kept, and ends the life.

mod processes;
#[cfg(test)]
mod tests;

use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use nemesis::Link;
use raft::script::Move;
use raft::{Bugs, EntryId, Index, Membership, NodeId, Role, StateMachine, Term};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use replica::{Call, CallId, Effects, Event, Halt, Outcome, Replica, Sessions};
use wal::Ticket;

use crate::agenda::Agenda;
use crate::clock::Clock;
use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::digest::Digest;
use crate::disk::SimDisk;
use crate::ending::Breach;
use crate::network::{Arrival, Arrivals, Network, Slowness};
use crate::node::{Node, Standing};
use crate::settings::Settings;
use crate::watch::{Known, Watch};

const SECOND: u64 = 1_000_000_000;

/// How soon the power comes back that went in the middle of a call, in nanoseconds.
const POWER_BACK: u64 = 200_000_000;

/// So many things do not happen in a second of virtual time: nine nodes have two thousand.
const MOST_EVENTS: u64 = 1_000_000;

/// Whatever is slower than this, in nanoseconds, is not slowed down by being another node's, or link's: a cluster whose
/// heartbeats come later than its elections has nothing to show.
const SLOWEST_LINK: u64 = 20_000_000;
const SLOWEST_SYNC: u64 = 5_000_000;
const SLOWEST_TURN: u64 = 500_000;

/// How rarely a node is held up in a turn, where nodes are: once in so many.
const STALL_EVERY: u32 = 200;
/// For how long, in nanoseconds.
const STALL: Range<u64> = 1_000_000..50_000_000;

/// What happens.
pub(crate) enum Happening<M: StateMachine> {
    /// A message reaches its node, if the link lets it: which of those on the link.
    Arrives { link: Link, number: u64 },
    /// A node takes its turn.
    Turn { node: usize, boot: u32 },
    /// A disk is done with a change.
    Disk { node: usize, boot: u32, ticket: Ticket },
    /// A client's call reaches a node.
    Call { node: usize, id: CallId, call: Call<M::Query> },
    /// What waited for a process that stood still reaches it.
    Late { node: usize, boot: u32, event: Event<M::Query> },
    /// A wall clock that jumps to and fro jumps again, if that has not ended.
    Strobe { node: usize, strobe: Strobe },
    /// The power of a node comes back, and the node with it.
    PowerBack { node: usize, boot: u32 },
    /// Something for those outside of the cluster.
    Outside(Outside<M::Reply>),
}

/// A wall clock that jumps to and fro.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strobe {
    /// The how-manieth of its node: one that has ended does not go on within the next.
    turn: u64,
    /// How far it jumps next.
    by: i64,
    /// How soon after that it jumps back.
    every: u64,
}

/// What the world tells those outside of the cluster.
pub(crate) enum Outside<R> {
    /// A call's outcome reaches its client.
    Answer(CallId, Outcome<R>),
    /// Nobody listened where the call went: it was not even heard.
    Refused(CallId),
    /// The process of a node ended.
    Ended,
    /// The time that somebody asked to be woken at has come.
    Wake(u64),
}

/// What fixes a world.
#[derive(Clone, Debug)]
pub(crate) struct Constitution {
    pub(crate) nodes: u16,
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    pub(crate) bugs: Bugs,
}

/// What is replicated.
pub(crate) struct Kind<M: StateMachine> {
    /// A machine in its first state.
    pub(crate) new: fn() -> M,
    /// All that a node has made of its log, as a number.
    pub(crate) state: fn(&M, &Sessions<M::Reply>) -> u64,
}

pub(crate) struct World<M: StateMachine> {
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node<M>>,
    pub(crate) network: Network,
    pub(crate) coverage: Coverage,
    /// What cannot be, and yet is.
    pub(crate) breach: Option<Breach>,
    /// Nobody looks into the nodes.
    pub(crate) outside: bool,
    /// The seats whose process ended since somebody last looked: their clients' connections break.
    pub(crate) ended: Vec<usize>,
    /// Who belongs to the cluster, as far as anybody knows that it is committed; and since which entry.
    pub(crate) members: (Index, Arc<Membership>),
    /// Until then nobody knows what becomes of a change of the members that somebody asked for.
    pub(crate) unsure_until: u64,
    /// What is happening, line by line, for those who want to read it.
    pub(crate) trace: Option<Vec<(u64, String)>>,
    /// How much had happened when this second of virtual time began.
    before_this_second: u64,
    constitution: Constitution,
    kind: Kind<M>,
    agenda: Agenda<Happening<M>>,
    known: Known,
    sessions: ChaCha8Rng,
    clients: ChaCha8Rng,
    stalls: ChaCha8Rng,
    /// For small decisions, each of them rare.
    pub(crate) whims: ChaCha8Rng,
    digest: Digest,
    /// The last entry of each node's log, to see when one is cut.
    lasts: Vec<EntryId>,
    /// How far each node's latest snapshot came, and how much of its log it gave up, when it was last looked at.
    kept: Vec<(Index, Index)>,
    /// The last term that had a leader, and who it was.
    led: (Term, Option<NodeId>),
}

impl<M: StateMachine<Reply: Hash>> World<M> {
    /// A cluster of nodes that were never started.
    pub(crate) fn new(constitution: Constitution, kind: Kind<M>) -> World<M> {
        let seed = constitution.seed;
        let ids = (1..=constitution.nodes).map(NodeId);
        let mut wall = Dice::Wall.of(seed);
        let mut uneven = Uneven { dice: Dice::Uneven.of(seed), is: constitution.settings.uneven };
        let nodes = ids.clone().map(|id| {
            let disk = SimDisk::new(Dice::Disk(id.0).of(seed).next_u64());
            let sync = constitution.settings.sync;
            let disk = disk.slower(Duration::from_nanos(sync * uneven.slowness(sync, SLOWEST_SYNC).0));
            let mut node = Node::new(id, disk, Dice::Timers(id.0).of(seed));
            let turn = constitution.settings.turn;
            node.turn = turn * uneven.slowness(turn, SLOWEST_TURN).0;
            // Real clocks are never quite right. Where leases allow for that, they are as wrong as allowed.
            let offset = i64::from(wall.next_u32() % 100_000_000) - 50_000_000;
            node.clock = Clock::starting(0, offset).running(constitution.settings.usual_drift(&mut wall));
            node
        });
        let nodes: Vec<Node<M>> = nodes.collect();
        let pace = constitution.settings.pace;
        let mut network = Network::new(nodes.len(), pace, Dice::Network.of(seed), Dice::Deaths.of(seed));
        for (from, to) in (0..nodes.len()).flat_map(|from| (0..nodes.len()).map(move |to| (from, to))) {
            let slowness = uneven.slowness(pace.least + pace.spread, SLOWEST_LINK);
            network.slow(Link::new(seat(from), seat(to)), slowness);
        }
        World {
            now: 0,
            network,
            coverage: Coverage::default(),
            breach: None,
            outside: false,
            ended: Vec::new(),
            members: (Index(0), Arc::new(Membership::of(ids))),
            unsure_until: 0,
            trace: None,
            before_this_second: 0,
            kind,
            agenda: Agenda::new(),
            known: Known::default(),
            sessions: Dice::Sessions.of(seed),
            clients: Dice::Clients.of(seed),
            stalls: Dice::Stalls.of(seed),
            whims: Dice::Whims.of(seed),
            digest: Digest::default(),
            lasts: vec![EntryId::default(); nodes.len()],
            kept: vec![(Index(0), Index(0)); nodes.len()],
            led: (Term::default(), None),
            nodes,
            constitution,
        }
    }

    // --- for those outside --------------------------------------------------------------------

    /// Lets things happen, up to the next that those outside must know of. `None` when it is `limit` and
    /// nothing of the kind has come, or when something cannot be.
    pub(crate) fn advance(&mut self, limit: u64) -> Option<Outside<M::Reply>> {
        while self.breach.is_none() {
            let Some((time, happening)) = self.agenda.next(limit) else {
                self.now = self.now.max(limit);
                return None;
            };
            if time / SECOND > self.now / SECOND {
                self.before_this_second = self.coverage.events;
            }
            self.now = time;
            self.coverage.events += 1;
            let events = self.coverage.events - self.before_this_second;
            if events > MOST_EVENTS {
                self.breach = Some(Breach::Runaway { events });
                return None;
            }
            match happening {
                Happening::Outside(news) => return Some(news),
                Happening::Arrives { link, number } => self.arrives(link, number),
                Happening::Turn { node, boot } => self.on_turn(node, boot),
                Happening::Disk { node, boot, ticket } => self.on_disk(node, boot, ticket),
                Happening::Late { node, boot, event } => {
                    if self.nodes[node].boot == boot && self.nodes[node].lives() {
                        self.comes_in(node, event);
                    }
                }
                Happening::Strobe { node, strobe } => self.on_strobe(node, strobe),
                Happening::PowerBack { node, boot } => {
                    if self.nodes[node].boot == boot {
                        self.start_again(node);
                    }
                }
                Happening::Call { node, id, call } => {
                    if self.nodes[node].lives() {
                        if matches!(call, Call::Read(_)) {
                            self.known.reads.insert(id, self.known.invariants.committed());
                        }
                        self.comes_in(node, Event::Call(id, call));
                    } else {
                        return Some(Outside::Refused(id));
                    }
                }
            }
            if !self.ended.is_empty() {
                return Some(Outside::Ended);
            }
        }
        None
    }

    /// Asks to be woken.
    pub(crate) fn wake_at(&mut self, time: u64, name: u64) {
        self.agenda.note(time.max(self.now), Happening::Outside(Outside::Wake(name)));
    }

    /// Asks to be woken when everything else of that moment has happened. Who acts then acts on the same news as who
    /// was waiting for one of them.
    pub(crate) fn wake_last_at(&mut self, time: u64, name: u64) {
        self.agenda.note_last(time.max(self.now), Happening::Outside(Outside::Wake(name)));
    }

    /// A client sends a call to the node in this seat.
    pub(crate) fn call(&mut self, node: usize, id: CallId, call: Call<M::Query>) {
        let at = self.now + self.client_delay();
        self.agenda.note(at, Happening::Call { node, id, call });
    }

    /// Where the leader sits, as the newest of those who think that they lead says.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leaders = self.nodes.iter().enumerate().filter(|(_, node)| node.standing == Standing::Up);
        let leaders = leaders.filter_map(|(place, node)| Some((place, node.replica.as_ref()?.raft())));
        let leaders = leaders.filter(|(_, raft)| raft.role() == Role::Leader);
        leaders.max_by_key(|(_, raft)| raft.term()).map(|(place, _)| place)
    }

    /// Where the member of this number sits, if it does.
    pub(crate) fn seat_of(&self, id: NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id && node.standing != Standing::Vacant)
    }

    /// What happened so far, to the content of each message, what every disk was told, and what every machine
    /// came to: two lives with the same are the same.
    pub(crate) fn digest(&self) -> Digest {
        let mut digest = self.digest;
        for node in &self.nodes {
            let state = node.replica.as_ref().map(|replica| self.state(replica));
            digest.mix(&[node.disk.digest(), state.unwrap_or_default()]);
        }
        digest
    }

    /// Whether all that live are where another one was before, and in the same state. To be asked when everybody
    /// has executed everything.
    pub(crate) fn compare(&mut self) -> Result<(), Breach> {
        for node in &self.nodes {
            let Some(replica) = &node.replica else { continue };
            let (upto, state) = (replica.status().applied, self.state(replica));
            self.known.executions.reached(node.id, upto, state)?;
        }
        Ok(())
    }

    fn state(&self, replica: &Replica<M, SimDisk>) -> u64 {
        (self.kind.state)(replica.machine(), replica.sessions())
    }

    /// From now on notes what each core is given.
    pub(crate) fn note_inputs(&mut self) {
        self.known.moves = Some(Vec::new());
    }

    /// What each core was given, if that was to be noted.
    pub(crate) fn take_moves(&mut self) -> Vec<Move> {
        self.known.moves.take().unwrap_or_default()
    }

    /// A line for those who read along.
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push((self.now, line()));
        }
    }

    /// From now on links are quick and alike, and nobody is held up: progress can be demanded.
    pub(crate) fn calm(&mut self) {
        self.network.calm(Settings::plain().pace);
        self.constitution.settings.stalls = false;
    }

    /// Half of the way between a client and its node.
    fn client_delay(&mut self) -> u64 {
        100_000 + u64::from(self.clients.next_u32() & 0x1_ffff)
    }

    // --- what happens -------------------------------------------------------------------------

    fn arrives(&mut self, link: Link, number: u64) {
        let Some(envelope) = self.network.arrives(link, number) else { return };
        let to = place(link.to);
        // What was meant for a member that sat there before, its successor does not take.
        if self.nodes[to].id == envelope.to && self.nodes[to].lives() {
            self.digest.mix(&[self.now, 1]);
            envelope.hash(&mut self.digest);
            self.tell(|| envelope.to_string());
            self.comes_in(to, Event::Peer(envelope));
        }
    }

    fn on_disk(&mut self, node: usize, boot: u32, ticket: Ticket) {
        if self.nodes[node].boot != boot || !self.nodes[node].lives() {
            return;
        }
        let result = self.nodes[node].disk.finish(ticket);
        self.digest.mix(&[self.now, 2, node as u64, ticket.0, u64::from(result.is_ok())]);
        if self.nodes[node].disk.is_cut() {
            return self.power_fails(node);
        }
        self.comes_in(node, Event::Disk(ticket, result));
    }

    /// The power of a node went in the middle of a call to its disk, as the disk was told to let it. It comes
    /// back soon.
    pub(crate) fn power_fails(&mut self, place: usize) {
        self.end(place, Standing::Dead);
        let node = &mut self.nodes[place];
        let lost = node.disk.cut_power();
        node.lost_power = true;
        let (id, boot) = (node.id, node.boot);
        self.tell(|| format!("{id} loses its power, {} bytes and {} names", lost.bytes, lost.names));
        self.agenda.note(self.now + POWER_BACK, Happening::PowerBack { node: place, boot });
    }

    /// Something for a node. It looks at it now, or when it is done with what it is busy with.
    fn comes_in(&mut self, node: usize, event: Event<M::Query>) {
        let known = &mut self.nodes[node];
        known.inbox.push(event);
        if known.standing != Standing::Up {
            return;
        }
        if known.busy_until <= self.now {
            self.take_turn(node);
        } else {
            let free = known.busy_until;
            self.plan_turn(node, free);
        }
    }

    fn plan_turn(&mut self, node: usize, at: u64) {
        let known = &mut self.nodes[node];
        if known.turn_at.is_none_or(|planned| at < planned) {
            known.turn_at = Some(at);
            let boot = known.boot;
            self.agenda.note(at, Happening::Turn { node, boot });
        }
    }

    fn on_turn(&mut self, node: usize, boot: u32) {
        let known = &mut self.nodes[node];
        if known.boot != boot || known.turn_at != Some(self.now) {
            return; // another turn came first, and planned anew
        }
        known.turn_at = None;
        if known.standing == Standing::Up {
            if known.busy_until > self.now {
                let free = known.busy_until;
                self.plan_turn(node, free);
            } else {
                self.take_turn(node);
            }
        }
    }

    /// One turn of a node's event loop.
    fn take_turn(&mut self, place: usize) {
        let mut effects = Effects::default();
        let node = &mut self.nodes[place];
        let now = node.clock.read(self.now);
        let Some(replica) = &mut node.replica else { return };
        let mut watch = Watch::of(&mut self.known, self.now);
        let mut inbox = std::mem::take(&mut node.inbox);
        let mut stepped = !inbox.is_empty();
        let first = node.wakes.take().map_or(inbox.len(), |waking| waking.looks_first_at(inbox.len()));
        for event in inbox.drain(..first) {
            replica.step(now, event, &mut effects);
            watch.look(replica, &effects);
        }
        for (timer, wait) in std::mem::take(&mut effects.arm) {
            node.timers.arm(timer, wait, now.mono);
        }
        while let Some(timer) = node.timers.due(now.mono) {
            stepped = true;
            node.ran_out += 1;
            self.digest.mix(&[self.now, 3, place as u64]);
            replica.step(now, Event::Timer(timer), &mut effects);
            watch.look(replica, &effects);
        }
        for event in inbox.drain(..) {
            replica.step(now, event, &mut effects);
            watch.look(replica, &effects);
        }
        node.inbox = inbox;
        if stepped {
            replica.flush(now, &mut effects);
            watch.look(replica, &effects);
            node.busy_until = self.now + node.turn;
            if self.constitution.settings.stalls && self.stalls.random_ratio(1, STALL_EVERY) {
                node.busy_until += self.stalls.random_range(STALL);
            }
        }
        let joined = self.nodes[place].id.0 > self.constitution.nodes && self.kept[place].1 == Index(0);
        self.coverage.joined_by_snapshot += u64::from(joined && watch.installs() > 0);
        self.coverage.installs += watch.installs();
        self.coverage.lease_reads += watch.lease_reads();
        if let Some(breach) = watch.seen() {
            self.see(breach);
        }
        self.look_at(place);
        self.carry_out(place, effects);
    }

    /// What is worth counting about a node after its turn.
    fn look_at(&mut self, place: usize) {
        let Some(replica) = &self.nodes[place].replica else { return };
        let raft = replica.raft();
        let status = replica.status();
        let kept = std::mem::replace(&mut self.kept[place], (status.snapshot, status.base));
        self.coverage.snapshots += u64::from(status.snapshot > kept.0);
        self.coverage.compactions += u64::from(status.base > kept.1);
        let (since, members) = (raft.log().membership_since(), raft.log().membership());
        if since > self.members.0 && since <= raft.commit() {
            self.coverage.members_changed(&self.members.1, members);
            self.members = (since, members.clone());
        }
        let last = raft.log().last();
        let before = self.lasts[place];
        let mut stamped = 0;
        if last != before {
            let dropped = before.index > raft.log().base().index() && !raft.log().has(before);
            self.coverage.truncations += u64::from(dropped);
            self.lasts[place] = last;
            if raft.role() == Role::Leader {
                stamped = last.index.0.saturating_sub(before.index.0).max(1);
            }
        }
        if raft.role() == Role::Leader && raft.term() > self.led.0 {
            let id = raft.id();
            self.coverage.elections += 1;
            self.coverage.leader_changes += u64::from(self.led.1.is_some_and(|before| before != id));
            self.led = (raft.term(), Some(id));
            self.tell_state(place, "is now");
        }
        self.nodes[place].stamped += stamped;
    }

    fn tell_state(&mut self, place: usize, what: &str) {
        if self.trace.is_some() {
            let node = &self.nodes[place];
            let state = node.replica.as_ref().map(|replica| replica.raft().to_string());
            let line = format!("{} {what} {}", node.id, state.unwrap_or_default());
            self.tell(|| line);
        }
    }

    /// Something cannot be, for those who look into the nodes.
    fn see(&mut self, breach: Breach) {
        if !self.outside {
            self.breach.get_or_insert(breach);
        }
    }

    /// Carries out what a replica owes.
    fn carry_out(&mut self, place: usize, effects: Effects<M::Reply>) {
        let Effects { send, reply, arm, halt } = effects;
        for envelope in send {
            if let Err(violation) = self.known.invariants.sent(&envelope) {
                self.see(Breach::Invariant(violation));
            }
            // Nobody listens at the address of a member that is switched off, or not there yet.
            let Some(to) = self.seat_of(envelope.to) else { continue };
            let link = Link::new(seat(place), seat(to));
            let Arrivals { first, again } = self.network.send(self.now, link, envelope);
            self.note_arrivals(link, first.into_iter().chain(again));
        }
        for (call, outcome) in reply {
            let at = self.now + self.client_delay();
            self.digest.mix(&[self.now, 4, call.0]);
            outcome.hash(&mut self.digest);
            self.agenda.note(at, Happening::Outside(Outside::Answer(call, outcome)));
        }
        let node = &mut self.nodes[place];
        let mono = node.clock.read(self.now).mono;
        for (timer, wait) in arm {
            node.timers.arm(timer, wait, mono);
        }
        let boot = node.boot;
        while let Some((ticket, at)) = node.disk.begin_next(self.now) {
            if at != u64::MAX {
                self.agenda.note(at, Happening::Disk { node: place, boot, ticket });
            }
        }
        if let Some(halt) = halt {
            return self.halts(place, &halt);
        }
        self.plan_timers(place);
    }

    /// A node looks at its timers again when the next one runs out.
    fn plan_timers(&mut self, place: usize) {
        let node = &self.nodes[place];
        if let Some(next) = node.timers.next() {
            let when = node.clock.when(next).max(node.busy_until).max(self.now);
            self.plan_turn(place, when);
        }
    }

    /// A node says that it must not go on. A failing disk is a reason; anything else cannot be.
    fn halts(&mut self, place: usize, why: &Halt) {
        let id = self.nodes[place].id;
        self.tell(|| format!("{id} halts: {why}"));
        let node = &self.nodes[place];
        let wrong = match why {
            Halt::Diverged(_) => true,
            Halt::Removed => !self.members.1.removed(id),
            Halt::Disk(_) => node.disk.refused() == node.refused_at_start,
            Halt::Snapshot(_) => !node.damaged,
        };
        if wrong {
            self.breach.get_or_insert(Breach::Diverged { node: id, why: why.to_string() });
        }
        self.coverage.halts += 1;
        self.nodes[place].disk.kill();
        self.end(place, Standing::Halted(why.to_string()));
    }

    /// What a stuck disk owes is done at these times.
    pub(crate) fn note_disk(&mut self, place: usize, done: Vec<(Ticket, u64)>) {
        let boot = self.nodes[place].boot;
        for (ticket, at) in done {
            self.agenda.note(at, Happening::Disk { node: place, boot, ticket });
        }
    }

    /// These messages are under way on a link.
    pub(crate) fn note_arrivals(&mut self, link: Link, arrivals: impl IntoIterator<Item = Arrival>) {
        for Arrival { at, number } in arrivals {
            self.agenda.note(at, Happening::Arrives { link, number });
        }
    }
}

/// Machines and links of one life that are not all alike.
struct Uneven {
    dice: ChaCha8Rng,
    is: bool,
}

impl Uneven {
    /// How slow the next one is that takes `usual`: one of four is five times as slow, if that leaves it of use.
    fn slowness(&mut self, usual: u64, most: u64) -> Slowness {
        Slowness(if self.is && usual <= most && self.dice.random_ratio(1, 4) { 5 } else { 1 })
    }
}

/// Where a seat stands among the seats.
pub(crate) fn place(seat: nemesis::NodeId) -> usize {
    usize::from(seat.0) - 1
}

/// The seat that stands there.
pub(crate) fn seat(place: usize) -> nemesis::NodeId {
    nemesis::NodeId(u16::try_from(place + 1).expect("seats are numbered in 16 bits"))
}
