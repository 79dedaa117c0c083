//! One life of a cluster, from its first process to its verdict.
//!
//! ```text
//! start all nodes, wait until one leads
//! safety    clients work, faults come and go, invariants are checked after every step
//! heal      everything is mended, whoever can be started is
//! liveness  progress is demanded: every final read must be answered, every node must take a change in and catch up
//! judge     what clients saw is held against what they were promised; equal logs must be equal states
//! ```
//!
//! It is the shape of a run against real processes, and drives the same generators, schedules and checkers.
//! What differs is that time is a number, so that a minute takes as long as what happens in it, and that
//! the same seed is the same life.

mod faults;
mod members;

use std::fmt::Write as _;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use checker::Budget;
use history::Line;
use nemesis::{Deed, Nemesis, Schedule, Time, cluster};
use raft::Bugs;
use raft::script::Move;
use replica::{CallId, Replica, Sessions};

use self::faults::Lasting;
use self::members::Replacing;
use crate::asking::{Asking, a_change};
use crate::audience::Audience;
use crate::clients::{Alarm, Asks, Clients, Counts, Given, paired};
use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::digest::Digest;
use crate::ending::Ending;
use crate::node::{Node, Standing};
use crate::operator::Operator;
use crate::panics;
use crate::request::Heard;
use crate::settings::Settings;
use crate::world::{Constitution, Kind, Outside, World, place, seat};

/// The store that is simulated: what `raft-node` serves.
type Cluster = World<kv::Store>;

const SECOND: u64 = 1_000_000_000;
/// How long a new cluster may take until one leads.
const FIRST_ELECTION: u64 = 10 * SECOND;
/// How long a healed cluster may take until everything is answered that is asked. Clients rest up to half a
/// second and wait up to one, so that is a matter of seconds, or of never.
const RECOVERY: u64 = 60 * SECOND;
/// How long messages may still be under way that were sent before everything was healed.
const RESIDUE: u64 = 3 * SECOND;
/// How long a healed cluster may take until all its nodes follow one of them and have executed the same, from when
/// it was last closer to that than ever before: who has far to go, on a slow disk, is not stuck as long as he goes.
const CATCH_UP: u64 = 20 * SECOND;

/// Calls from here on ask whether a change is taken in.
const PROOF: CallId = CallId(1 << 52);

/// How often the members may change until then: each seat twice or so, with a learner and joint members between.
const MOST_CHANGES: u32 = 50;

/// All that a node has made of its log, as a number.
fn state_of(store: &kv::Store, sessions: &Sessions<kv::Reply>) -> u64 {
    let mut digest = Digest::default();
    sessions.hash(&mut digest);
    digest.mix(&[store.digest()]);
    digest.value()
}

/// How many steps the judge of a life may take: half a minute of a laptop, and the same on any other machine.
const JUDGE_STEPS: u64 = 50_000_000;
/// How much it may remember, in bytes. There may be as many judges as there are cores.
const JUDGE_MEMORY: usize = 256 << 20;
/// No life has more ops: all that clients saw is kept until it is judged, about two kilobytes for each op.
pub const MOST_OPS: u64 = 1_000_000;

/// Everything that fixes a life, but for the ops of its clients.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What it is drawn from.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u16,
    /// How many clients at once.
    pub concurrency: usize,
    /// How long clients and faults go on, in virtual time.
    pub time_limit: Duration,
    /// The circumstances.
    pub settings: Settings,
    /// What is broken, and when.
    pub schedule: Schedule,
    /// Mistakes to make.
    pub bugs: Bugs,
    /// Cut the power of a node after so many calls to its disk.
    pub cut: Option<Cut>,
}

/// Cut the power of a node at one call to its disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// Whose.
    pub node: u16,
    /// After how many calls.
    pub calls: u64,
}

/// A life that is over.
#[derive(Clone, Debug)]
pub struct Life {
    /// How it ended.
    pub ending: Ending,
    /// When, in virtual nanoseconds.
    pub lasted: u64,
    /// When clients and faults began.
    pub began: u64,
    /// How its ops ended.
    pub counts: Counts,
    /// What it met.
    pub coverage: Coverage,
    /// What happened when and to whom, to the content of each message, what every disk was told, what every
    /// machine came to, what clients saw and how it ended, as one number.
    pub digest: u64,
    /// The faults as they were carried out.
    pub faults: Vec<Deed>,
    /// How many calls each disk saw.
    pub disk_calls: Vec<u64>,
    /// What was happening, line by line, if that was asked for.
    pub trace: Option<String>,
    /// What each core was given, in order, if that was asked for.
    pub moves: Vec<Move>,
}

/// A life, and what its clients saw.
pub(crate) struct Told<W: Asking> {
    pub(crate) life: Life,
    pub(crate) lines: Vec<Line<W::Op, W::Ret>>,
    /// The line from which on there are only final reads.
    pub(crate) concluded: usize,
}

/// Lives it.
pub(crate) fn live<W: Asking + Clone>(
    frame: &Frame,
    workload: &W,
    asks: Asks<W>,
    audience: Audience<'_>,
) -> Told<W> {
    let mut living = Living::new(frame, workload.clone(), asks, audience);
    // A life that ends in a panic is over: nothing of it is used again but what it wrote down.
    let lived = catch_unwind(AssertUnwindSafe(|| panics::noted(|| living.live())));
    let ending = match lived {
        Ok(ending) => ending,
        Err(_) => Ending::Panicked(panics::last()),
    };
    living.over(ending)
}

/// A life that goes on.
struct Living<'a, W: Asking> {
    frame: &'a Frame,
    audience: Audience<'a>,
    workload: W,
    world: Cluster,
    clients: Clients<W>,
    nemesis: Nemesis,
    lasting: Vec<Lasting>,
    /// Who changes members and asks for leaders, in lives in which anybody does.
    operator: Option<Operator>,
    replacing: Vec<Replacing>,
    /// The last change that was asked for to see whether one is taken in; and whether it was made.
    proof: (CallId, bool),
    /// Time 0 of the history and of the schedule, on the world's clock.
    start: u64,
    /// When we will be woken.
    look: Option<u64>,
    /// The line from which on there are only final reads.
    concluded: usize,
}

impl<'a, W: Asking + Clone> Living<'a, W> {
    fn new(frame: &'a Frame, workload: W, asks: Asks<W>, audience: Audience<'a>) -> Living<'a, W> {
        let constitution = Constitution {
            nodes: frame.nodes,
            seed: frame.seed,
            settings: frame.settings.clone(),
            bugs: frame.bugs,
        };
        let mut world = World::new(constitution, Kind { new: kv::Store::new, state: state_of });
        world.outside = audience.outside;
        world.trace = audience.trace.then(Vec::new);
        if audience.inputs {
            world.note_inputs();
        }
        if let Some(Cut { node, calls }) = frame.cut {
            world.nodes[usize::from(node) - 1].disk.cut_after(Some(calls));
        }
        let crowd = frame.settings.crowd.min(frame.nodes);
        let clients = Clients::new(workload.clone(), asks, crowd, frame.concurrency, frame.settings.sessions);
        let nemesis_seed = rand::Rng::next_u64(&mut Dice::Nemesis.of(frame.seed));
        let limit = Time::default().after(frame.time_limit);
        let nemesis = Nemesis::new(frame.schedule.clone(), cluster(frame.nodes), nemesis_seed, limit);
        let wishes = frame.settings.wishes.map(|every| every.0);
        let replaces = frame.schedule.kinds().as_slice().contains(&nemesis::Kind::Membership);
        let operator = (replaces || wishes.is_some())
            .then(|| Operator::new(usize::from(frame.nodes), wishes, Dice::Operator.of(frame.seed)));
        Living {
            frame,
            audience,
            workload,
            world,
            clients,
            nemesis,
            lasting: Vec::new(),
            operator,
            replacing: Vec::new(),
            proof: (PROOF, false),
            start: 0,
            look: None,
            concluded: usize::MAX,
        }
    }

    fn live(&mut self) -> Ending {
        self.birth();
        let limit = self.start + nanoseconds(self.frame.time_limit);
        let good = self.safety(limit) && self.heal() && self.liveness();
        if let Some(breach) = self.world.breach.take() {
            return Ending::Broken(breach);
        }
        if self.audience.has_left() {
            return Ending::Stopped;
        }
        // What clients saw is judged even if the cluster is stuck: a broken promise says more than a missed one.
        match self.judge() {
            bad if bad.is_bad() => bad,
            _ if !good => Ending::Stuck(self.what_hangs()),
            judged => match self.compare() {
                Ending::Good if self.full() && !judged.is_bad() => Ending::Unknown(format!(
                    "it ended after {MOST_OPS} ops, of which no life has more: fewer clients, a rate or less time \
                     keep it below"
                )),
                Ending::Good => judged,
                differing => differing,
            },
        }
    }

    fn birth(&mut self) {
        for id in cluster(self.frame.nodes) {
            self.world.start_again(place(id));
        }
        while self.world.leader().is_none() && self.world.now < FIRST_ELECTION {
            self.world.wake_at(self.world.now + 10_000_000, Alarm::Look.name());
            if !self.wait(FIRST_ELECTION) {
                break;
            }
        }
        self.start = self.world.now;
        self.clients.begin_history(self.start);
        self.operate();
    }

    /// The operator looks around, and will again.
    fn operate(&mut self) {
        let Some(operator) = &mut self.operator else { return };
        operator.look(&mut self.world);
        self.world.wake_at(self.world.now + operator.rests(), Alarm::Operator.name());
        self.look_at_members();
    }

    /// Clients work and faults come and go. Whether nothing that cannot be has happened.
    fn safety(&mut self, limit: u64) -> bool {
        loop {
            self.play(limit);
            if let Given::Until(Some(until)) = self.clients.hand_out(&mut self.world) {
                self.look_at(until);
            }
            if self.world.now >= limit || self.full() || !self.wait(limit) {
                return self.world.breach.is_none();
            }
        }
    }

    /// Whether clients asked as much as anybody keeps.
    fn full(&self) -> bool {
        self.clients.invoked() >= MOST_OPS
    }

    /// Mends everything, and lets what is open end.
    fn heal(&mut self) -> bool {
        for fault in self.nemesis.stop(Time(self.world.now - self.start)) {
            self.heal_fault(&fault);
        }
        if let Some(operator) = &mut self.operator {
            operator.hurry();
        }
        self.world.mend_all();
        let limit = self.world.now + 10 * SECOND;
        while !self.clients.idle() {
            if !self.wait(limit) {
                return false;
            }
        }
        // What slow links still carry arrives, and then everything must be well, and stay so.
        self.catch_up() && self.idle(RESIDUE) && self.catch_up()
    }

    /// Lets time pass.
    fn idle(&mut self, time: u64) -> bool {
        let limit = self.world.now + time;
        while self.wait(limit) {}
        self.world.breach.is_none()
    }

    /// Demands progress.
    fn liveness(&mut self) -> bool {
        self.concluded = self.clients.lines().len();
        let up = self.world.nodes.iter().enumerate().filter(|(_, node)| node.replica.is_some());
        let up = up.map(|(place, _)| seat(place)).collect();
        self.clients.conclude(up);
        let limit = self.world.now + RECOVERY;
        while let Given::Until(until) = self.clients.hand_out(&mut self.world) {
            if let Some(until) = until {
                self.look_at(until);
            }
            if !self.wait(limit) {
                return false;
            }
        }
        self.clients.given_up() == 0 && self.everybody_changes() && self.catch_up()
    }

    /// Whether each node has a change made, if it is asked again and again: nothing that was begun before holds it up
    /// for ever.
    fn everybody_changes(&mut self) -> bool {
        let limit = self.world.now + RECOVERY;
        (0..self.world.nodes.len())
            .all(|at| self.world.nodes[at].replica.is_none() || self.changes(at, limit))
    }

    fn changes(&mut self, at: usize, limit: u64) -> bool {
        while self.world.now < limit {
            self.proof = (CallId(self.proof.0.0 + 1), false);
            self.world.call(at, self.proof.0, a_change());
            let patience = self.world.now + SECOND;
            self.world.wake_at(patience, Alarm::Look.name());
            while !self.proof.1 && self.world.now < patience {
                if !self.wait(limit) {
                    return false;
                }
            }
            if self.proof.1 {
                return true;
            }
        }
        false
    }

    /// Whether all nodes that live come to follow one of them, and to have executed the same.
    fn catch_up(&mut self) -> bool {
        let (mut limit, mut closest) = (self.world.now, u64::MAX);
        // Whoever comes as a new member has everything before him, and that is no step back.
        let (mut members, mut changes) = (self.who_is_there(), 0);
        while !(self.complete() && self.agreed() && self.level()) {
            if members != self.who_is_there() && changes < MOST_CHANGES {
                (members, changes, closest) = (self.who_is_there(), changes + 1, u64::MAX);
            }
            let behind = self.behind();
            if behind < closest {
                (limit, closest) = (self.world.now + CATCH_UP, behind);
            }
            self.world.mend_all();
            self.world.wake_at(self.world.now + 50_000_000, Alarm::Look.name());
            if !self.wait(limit) {
                return false;
            }
        }
        true
    }

    fn agreed(&self) -> bool {
        let mut leaders = self.replicas().map(|replica| replica.status().leader);
        let first = leaders.next().flatten();
        first.is_some() && leaders.all(|other| other == first)
    }

    /// Since when the members are those that they are, and who sits where.
    fn who_is_there(&self) -> (raft::Index, Vec<raft::NodeId>) {
        (self.world.members.0, self.world.nodes.iter().map(|node| node.id).collect())
    }

    /// How much the operator has left to do.
    fn undone(&self) -> u64 {
        if self.operator.is_some() { Operator::undone(&self.world) } else { 0 }
    }

    /// Whether everybody lives but those who found their disks damaged. Where somebody replaces members, those are
    /// replaced, too.
    fn complete(&self) -> bool {
        if self.undone() > 0 {
            return false;
        }
        let excused = |node: &Node<kv::Store>| node.damaged && matches!(node.standing, Standing::Refused(_));
        self.world.nodes.iter().all(|node| node.replica.is_some() || excused(node))
    }

    /// Whether everybody has executed all that there is, and nothing waits to be committed.
    fn level(&self) -> bool {
        let mut states = self.replicas().map(Replica::status).map(|status| (status.last, status.applied));
        let Some((last, applied)) = states.next() else { return false };
        last.index == applied && states.all(|other| other == (last, applied))
    }

    /// How many entries there are that somebody has not executed, each counted once for everybody who has not, and
    /// once more for whoever has not even got it: what a new leader found uncommitted is executed by nobody before a
    /// quorum has all of it.
    fn behind(&self) -> u64 {
        let last = self.replicas().map(|replica| replica.status().last.index.0).max().unwrap_or(0);
        let lacks = |replica: &Replica<_, _>| {
            let status = replica.status();
            2 * last - status.last.index.0.min(last) - status.applied.0.min(last)
        };
        self.replicas().map(lacks).sum()
    }

    fn replicas(&self) -> impl Iterator<Item = &Replica<kv::Store, crate::disk::SimDisk>> {
        self.world.nodes.iter().filter_map(|node| node.replica.as_ref())
    }

    /// One thing happens that concerns us. Not when it is `limit`, when something cannot be, or when nobody
    /// wants to know any more.
    fn wait(&mut self, limit: u64) -> bool {
        self.break_connections();
        let Some(news) = self.next_news(limit) else { return false };
        self.break_connections();
        let world = &mut self.world;
        match news {
            Outside::Answer(call, outcome) if call >= PROOF => {
                self.proof.1 |= call == self.proof.0 && matches!(outcome, replica::Outcome::Done(_));
            }
            Outside::Answer(call, outcome) => {
                let his = self.operator.as_mut().is_some_and(|operator| operator.hear(world, call, &outcome));
                if !his {
                    self.clients.hear(world, call, Heard::Said(outcome));
                }
            }
            Outside::Refused(call) => {
                if !self.operator.as_mut().is_some_and(|operator| operator.refused(call)) {
                    self.clients.hear(world, call, Heard::Refused);
                }
            }
            Outside::Ended => {}
            Outside::Wake(name) => match Alarm::named(name) {
                Alarm::Look => self.look = self.look.filter(|at| *at > self.world.now),
                Alarm::Patience(op) => self.clients.out_of_patience(world, op),
                Alarm::Silence(call) => self.clients.hear(world, call, Heard::Nothing("no answer for long")),
                Alarm::Again(call) => self.clients.ask_again(world, call),
                Alarm::Broken(node) => self.clients.disconnected(world, node),
                Alarm::Operator => self.operate(),
            },
        }
        true
    }

    /// The clients of processes that have ended will notice.
    fn break_connections(&mut self) {
        for node in std::mem::take(&mut self.world.ended) {
            // What is under way to its clients arrives first.
            self.world.wake_at(self.world.now + 500_000, Alarm::Broken(seat(node)).name());
        }
    }

    /// The next thing that concerns us. In between somebody may lose patience, even if nothing concerns us for long.
    fn next_news(&mut self, limit: u64) -> Option<Outside<kv::Reply>> {
        while !self.audience.has_left() {
            let soon = limit.min(self.world.now.saturating_add(10 * SECOND));
            let news = self.world.advance(soon);
            if news.is_some() || soon == limit || self.world.breach.is_some() {
                return news;
            }
        }
        None
    }

    fn look_at(&mut self, time: u64) {
        if self.look.is_none_or(|look| time < look) {
            self.look = Some(time);
            self.world.wake_last_at(time, Alarm::Look.name());
        }
    }

    // --- the end ------------------------------------------------------------------------------

    fn judge(&self) -> Ending {
        if let Some(said) = self.clients.nonsense() {
            return Ending::Nonsense(said.to_owned());
        }
        let history = paired(self.clients.lines());
        let budget = Budget { time: Duration::MAX, memory: JUDGE_MEMORY, steps: JUDGE_STEPS };
        let checkers = self.workload.checkers();
        if checkers.is_empty() {
            return Ending::Unknown("nobody judges this workload yet".to_owned());
        }
        let verdicts = checkers.iter().map(|checker| checker.check(&history, &budget));
        verdicts.reduce(checker::Verdict::and).map_or(Ending::Good, Ending::judged)
    }

    /// Whoever executed the same must be in the same state.
    fn compare(&mut self) -> Ending {
        if self.replicas().next().is_none() {
            return Ending::Stuck("no node lives".to_owned());
        }
        self.world.compare().map_or_else(Ending::Broken, |()| Ending::Good)
    }

    /// What a person would look at first when nothing goes on.
    fn what_hangs(&self) -> String {
        let unread = self.clients.given_up();
        let nodes = self.world.nodes.iter().map(|node| match (&node.replica, &node.standing) {
            (Some(replica), _) => format!("{} applied={}", replica.raft(), replica.status().applied),
            (None, Standing::Refused(why)) => format!("{} refused to start: {why}", node.id),
            (None, Standing::Halted(why)) => format!("{} halted: {why}", node.id),
            (None, _) => format!("{} is down", node.id),
        });
        let nodes: Vec<String> = nodes.collect();
        let open = if self.clients.idle() { "" } else { "ops are open; " };
        let unread = if unread > 0 { format!("{unread} final reads were given up; ") } else { String::new() };
        format!("{open}{unread}{}", nodes.join("; "))
    }

    /// What happened, what clients saw of it and how it ended. Not in which words: a witness is made as small as
    /// there is time for.
    fn digest(&self, ending: &Ending) -> u64 {
        let mut digest = self.world.digest();
        for line in self.clients.lines() {
            write!(digest, "{line:?}").expect("a hash takes any text");
        }
        ending.sort().hash(&mut digest);
        if let Ending::Broken(breach) = ending {
            write!(digest, "{breach}").expect("a hash takes any text");
        }
        digest.value()
    }

    fn over(mut self, ending: Ending) -> Told<W> {
        let digest = self.digest(&ending);
        let moves = self.world.take_moves();
        let life = Life {
            moves,
            ending,
            lasted: self.world.now,
            began: self.start,
            counts: self.clients.counts(),
            coverage: self.world.coverage.clone(),
            digest,
            faults: self.nemesis.deeds().to_vec(),
            disk_calls: self.world.nodes.iter().map(|node| node.disk.calls()).collect(),
            trace: self.world.trace.map(|lines| as_text(&lines, self.start)),
        };
        Told { life, lines: self.clients.into_lines(), concluded: self.concluded }
    }
}

/// A line each, with the time since clients and faults began, to the microsecond.
fn as_text(lines: &[(u64, String)], start: u64) -> String {
    let mut text = String::new();
    for (time, line) in lines {
        let sign = if *time < start { "-" } else { "" };
        let micros = time.abs_diff(start) / 1000;
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        writeln!(text, "{sign}{seconds}.{rest:06}s {line}").expect("writing to a string succeeds");
    }
    text
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
