//! Random lives: one thing after another happens to a cluster, drawn from numbers.

use std::time::Duration;

use raft::script::Cluster;
use raft::{Change, NodeId, Timer};

/// One thing that happens. Numbers are taken modulo what there is to choose from.
#[derive(Clone, Copy, Debug)]
pub enum Happening {
    Deliver(usize),
    /// The oldest message.
    Next,
    Lose(usize),
    Repeat(usize),
    Election(u16),
    Heartbeat(u16),
    Propose(u16),
    Read(u16),
    Complete(u16),
    Crash(u16),
    Cut(u16, u16),
    Isolate(u16),
    /// Whoever leads is cut off.
    Depose,
    Heal,
    Wait,
    /// Somebody wants other members.
    Change(u16, u16),
    Transfer(u16, u16),
    /// The time for a transfer is over.
    Abandon(u16),
    Snapshot(u16),
    Fetch(u16),
}

/// The most nodes that a life ever has.
const CROWD: u16 = 7;

/// How often each kind of thing happens in a life. Lives differ in it: what is rare in all of them
/// together is common in some (swarm testing).
#[derive(Clone, Debug)]
pub struct Temper([u64; 20]);

impl Temper {
    const USUAL: [u64; 20] = [20, 40, 2, 2, 4, 4, 6, 4, 40, 1, 1, 1, 1, 6, 3, 2, 1, 1, 2, 4];
    /// What a life cannot do without.
    const NEEDED: [usize; 6] = [0, 1, 4, 6, 8, 13];

    /// The temper that a number stands for: each thing at its usual rate, or rarer, or far more often,
    /// or never.
    pub fn of(number: u64) -> Temper {
        let mut weights = Temper::USUAL;
        for (place, weight) in weights.iter_mut().enumerate() {
            *weight = match (number >> (place * 2)) & 3 {
                0 if Temper::NEEDED.contains(&place) => weight.div_ceil(3),
                0 => 0,
                1 => weight.div_ceil(2),
                2 => *weight,
                _ => *weight * 4,
            };
        }
        Temper(weights)
    }

    /// The happening that a number stands for.
    pub fn happening(&self, number: u64) -> Happening {
        let [a, b, c, d, ..] = number.to_be_bytes();
        let (any, one, other) = (usize::from(u16::from_be_bytes([a, b])), u16::from(c), u16::from(d));
        let mut rest = (number & 0xffff_ffff) % self.0.iter().sum::<u64>();
        let mut kind = 0;
        while rest >= self.0[kind] {
            rest -= self.0[kind];
            kind += 1;
        }
        match kind {
            0 => Happening::Deliver(any),
            1 => Happening::Next,
            2 => Happening::Lose(any),
            3 => Happening::Repeat(any),
            4 => Happening::Election(one),
            5 => Happening::Heartbeat(one),
            6 => Happening::Propose(one),
            7 => Happening::Read(one),
            8 => Happening::Complete(one),
            9 => Happening::Crash(one),
            10 => Happening::Cut(one, other),
            11 => Happening::Isolate(one),
            12 => Happening::Depose,
            13 => Happening::Heal,
            14 => Happening::Wait,
            15 => Happening::Change(one, other),
            16 => Happening::Transfer(one, other),
            17 => Happening::Abandon(one),
            18 => Happening::Snapshot(one),
            _ => Happening::Fetch(one),
        }
    }
}

/// A cluster that lives on chance.
pub trait Lives {
    fn happen(&mut self, happening: Happening);
    /// Mends everything and lets time pass until a leader commits something new everywhere. Whether
    /// that happened.
    fn recover(&mut self) -> bool;
}

impl Lives for Cluster {
    fn happen(&mut self, happening: Happening) {
        let nodes = u16::try_from(self.nodes.len()).unwrap();
        let node = |number: u16| NodeId(number % nodes + 1);
        let mail = self.mail.len().max(1);
        match happening {
            Happening::Deliver(at) => {
                if let Some(envelope) = self.mail.remove(at % mail) {
                    self.deliver(envelope);
                }
            }
            Happening::Next => match self.mail.pop_front() {
                Some(envelope) => self.deliver(envelope),
                None => pass_time(self),
            },
            Happening::Lose(at) => {
                self.mail.remove(at % mail);
            }
            Happening::Repeat(at) => {
                let again = self.mail.get(at % mail).cloned();
                self.mail.extend(again);
            }
            Happening::Election(number) => {
                self.advance(Duration::from_millis(300));
                self.timeout(node(number), Timer::Election);
            }
            Happening::Heartbeat(number) => self.timeout(node(number), Timer::Heartbeat),
            Happening::Propose(number) => {
                self.propose(node(number), "x");
            }
            Happening::Read(number) => {
                self.read(node(number));
            }
            Happening::Complete(number) => {
                let busy: Vec<NodeId> =
                    self.nodes.keys().copied().filter(|id| self.writing(*id) > 0).collect();
                if let Some(id) = busy.get(usize::from(number) % busy.len().max(1)) {
                    self.complete(*id);
                }
            }
            Happening::Crash(number) => {
                self.crash(node(number));
                self.start(node(number));
            }
            Happening::Cut(from, to) => {
                self.cut.insert((node(from), node(to)));
            }
            Happening::Isolate(number) => self.isolate(node(number)),
            Happening::Depose => {
                if let Some(leader) = self.leader() {
                    self.isolate(leader);
                }
            }
            Happening::Heal => self.cut.clear(),
            Happening::Wait => self.advance(Duration::from_millis(50)),
            Happening::Change(asked, which) => change_somehow(self, node(asked), which),
            Happening::Transfer(asked, to) => {
                self.transfer(node(asked), (to % 4 > 0).then(|| node(to)));
            }
            Happening::Abandon(number) => self.timeout(node(number), Timer::Transfer),
            Happening::Snapshot(number) => self.snapshot(node(number)),
            Happening::Fetch(number) => self.fetch(node(number)),
        }
        start_those_who_are_named(self);
    }

    fn recover(&mut self) -> bool {
        let nodes = u16::try_from(self.nodes.len()).unwrap();
        self.cut.clear();
        self.slow_disks = false;
        for id in (1..=nodes).map(NodeId) {
            while self.writing(id) > 0 {
                self.complete(id);
            }
            self.timeout(id, Timer::Transfer);
        }
        self.settle();
        for round in 0..40 {
            start_those_who_are_named(self);
            let nodes = u16::try_from(self.nodes.len()).unwrap();
            if let Some(leader) = self.leader() {
                for _ in 0..8 {
                    self.timeout(leader, Timer::Heartbeat);
                    self.settle();
                    for id in (1..=nodes).map(NodeId) {
                        self.fetch(id);
                    }
                    self.settle();
                }
                // Heartbeats alone bring everybody up: nobody waits for the next write.
                if self.leader() == Some(leader) && !everybody_has_everything(self, leader) {
                    return false;
                }
            }
            if let Some(leader) = self.leader() {
                self.propose(leader, "last words");
                self.settle();
                if everybody_has_everything(self, leader) {
                    return true;
                }
            }
            self.advance(Duration::from_millis(300));
            self.timeout(NodeId(round % nodes + 1), Timer::Election);
            self.settle();
        }
        false
    }
}

/// Whether all members have executed everything that their leader has in its log.
fn everybody_has_everything(cluster: &Cluster, leader: NodeId) -> bool {
    let log = cluster.nodes[&leader].raft.as_ref().unwrap().log();
    let last = log.last().index.0;
    log.membership().nodes().iter().all(|id| cluster.nodes[id].applied.len() as u64 == last)
}

fn change_somehow(cluster: &mut Cluster, asked: NodeId, which: u16) {
    let nodes = u16::try_from(cluster.nodes.len()).unwrap();
    let node = NodeId(which / 8 % nodes + 1);
    let context = || "there".into();
    let add = |change| if nodes < CROWD { vec![change] } else { vec![Change::Remove(node)] };
    let changes = match which % 8 {
        0 => add(Change::AddVoter { context: context() }),
        1 => add(Change::AddLearner { context: context() }),
        2 | 3 => vec![Change::Promote(node)],
        4 => vec![Change::Demote(node)],
        5 => vec![Change::Remove(node)],
        // Joint: one goes while another comes, or while a learner becomes a voter.
        6 => [add(Change::AddVoter { context: context() }), vec![Change::Demote(node)]].concat(),
        _ => vec![Change::Promote(NodeId(nodes)), Change::Remove(node)],
    };
    let leader = cluster.leader().filter(|_| !which.is_multiple_of(3));
    cluster.change(leader.unwrap_or(asked), changes);
}

/// Whoever a log names is a node that runs.
fn start_those_who_are_named(cluster: &mut Cluster) {
    let known = u16::try_from(cluster.nodes.len()).unwrap();
    let running = cluster.nodes.values().filter_map(|node| node.raft.as_ref());
    let last = running.map(|raft| raft.membership().last_id()).max().unwrap_or_default();
    for id in (known + 1..=last.0).map(NodeId) {
        cluster.join(id);
    }
}

/// Nothing is under way: the leader shows that it is there, or somebody misses one.
fn pass_time(cluster: &mut Cluster) {
    if let Some(leader) = cluster.leader() {
        cluster.timeout(leader, Timer::Heartbeat);
    } else {
        cluster.advance(Duration::from_millis(300));
        let next = cluster
            .nodes
            .keys()
            .copied()
            .min_by_key(|id| cluster.nodes[id].raft.as_ref().map(raft::Raft::term));
        cluster.timeout(next.unwrap(), Timer::Election);
    }
}
