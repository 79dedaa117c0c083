//! One node: a replica, its disk, its clocks and its timers, and whether it lives.

use raft::{Mono, NodeId, StateMachine};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use replica::{Event, Replica, Timer, Wait};

use crate::clock::Clock;
use crate::disk::SimDisk;

/// Whether a node lives, and if not, why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Its process runs.
    Up,
    /// Its process stands still and does not know it.
    Paused,
    /// Its process was killed, or lost its power.
    Dead,
    /// It fenced itself.
    Halted(String),
    /// It found its log damaged, and does not start any more.
    Refused(String),
    /// It was removed from the cluster and switched off, and nobody has taken its seat yet.
    Vacant,
}

pub(crate) struct Node<M: StateMachine> {
    pub(crate) id: NodeId,
    /// While its process runs or stands still.
    pub(crate) replica: Option<Replica<M, SimDisk>>,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Clock,
    pub(crate) standing: Standing,
    /// Whether a bit on its disk rotted: then it may refuse to start.
    pub(crate) damaged: bool,
    /// How many syncs its disk had slowed down and how many requests refused when its trouble began.
    pub(crate) counted: (u64, u64),
    /// How often its wall clock began to jump to and fro, or ceased to.
    pub(crate) strobes: u64,
    /// How many entries it stamped as leader, with its wall clock.
    pub(crate) stamped: u64,
    /// How many timers ran out on its monotonic clock.
    pub(crate) ran_out: u64,
    /// Both, when its clocks were put out.
    pub(crate) clock_read: (u64, u64),
    /// Whether its last process lost its power.
    pub(crate) lost_power: bool,
    /// That it goes on after having stood still, and in which order.
    pub(crate) wakes: Option<Waking>,
    /// Counts its processes: what belongs to an earlier one is nothing to this one.
    pub(crate) boot: u32,
    /// What came in and was not looked at.
    pub(crate) inbox: Vec<Event<M::Query>>,
    pub(crate) timers: Timers,
    /// How long it is busy with a turn.
    pub(crate) turn: u64,
    /// How many requests its disk had refused when its process began.
    pub(crate) refused_at_start: u64,
    /// Before that it is busy with its last turn.
    pub(crate) busy_until: u64,
    /// When the next turn is noted for.
    pub(crate) turn_at: Option<u64>,
}

impl<M: StateMachine> Node<M> {
    /// A node that was never started.
    pub(crate) fn new(id: NodeId, disk: SimDisk, dice: ChaCha8Rng) -> Node<M> {
        Node {
            id,
            replica: None,
            disk,
            clock: Clock::starting(0, 0),
            standing: Standing::Dead,
            damaged: false,
            counted: (0, 0),
            strobes: 0,
            stamped: 0,
            ran_out: 0,
            clock_read: (0, 0),
            lost_power: false,
            wakes: None,
            boot: 0,
            inbox: Vec::new(),
            timers: Timers { deadlines: Vec::new(), dice },
            turn: 0,
            refused_at_start: 0,
            busy_until: 0,
            turn_at: None,
        }
    }

    /// Whether it has a process, be it one that stands still.
    pub(crate) fn lives(&self) -> bool {
        matches!(self.standing, Standing::Up | Standing::Paused)
    }

    /// Whether it could be started.
    pub(crate) fn can_start(&self) -> bool {
        matches!(self.standing, Standing::Dead | Standing::Halted(_))
    }

    /// Its process ends, and with it all that it had in memory.
    pub(crate) fn end(&mut self, standing: Standing) {
        self.replica = None;
        self.inbox.clear();
        self.timers.deadlines.clear();
        self.turn_at = None;
        self.wakes = None;
        self.standing = standing;
    }
}

/// What a process looks at first when it goes on after having stood still. What came in meanwhile waits in
/// sockets, and timers have run out: which of them its threads come to first is nobody's promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waking {
    /// All that came in, and then its timers.
    News,
    /// Its timers.
    Timers,
    /// So much of what came in, in 256ths, then its timers, and then the rest.
    Some(u8),
}

impl Waking {
    /// One is as likely as another.
    pub(crate) fn draw(dice: &mut ChaCha8Rng) -> Waking {
        match dice.random_range(0..3) {
            0 => Waking::News,
            1 => Waking::Timers,
            _ => Waking::Some(dice.random()),
        }
    }

    /// At how much of so much news it looks before its timers.
    pub(crate) fn looks_first_at(self, news: usize) -> usize {
        match self {
            Waking::News => news,
            Waking::Timers => 0,
            Waking::Some(share) => news * usize::from(share) / 256,
        }
    }
}

/// A node's timers, on its own monotonic clock. There are so few that looking through them is fastest.
pub(crate) struct Timers {
    deadlines: Vec<(Timer, Mono)>,
    dice: ChaCha8Rng,
}

impl Timers {
    /// Starts a timer, or starts it anew.
    pub(crate) fn arm(&mut self, timer: Timer, wait: Wait, now: Mono) {
        let wait = match wait {
            Wait::Exactly(wait) => wait,
            Wait::Between(least, most) if least < most => self.dice.random_range(least..most),
            Wait::Between(least, _) => least,
        };
        let deadline = now.after(wait);
        match self.deadlines.iter_mut().find(|(known, _)| *known == timer) {
            Some(known) => known.1 = deadline,
            None => self.deadlines.push((timer, deadline)),
        }
    }

    /// When the next one runs out.
    pub(crate) fn next(&self) -> Option<Mono> {
        self.deadlines.iter().map(|(_, deadline)| *deadline).min()
    }

    /// One that has run out, which stops with that; the first in the order of their names.
    pub(crate) fn due(&mut self, now: Mono) -> Option<Timer> {
        let due = self.deadlines.iter().enumerate().filter(|(_, (_, deadline))| *deadline <= now);
        let (place, _) = due.min_by_key(|(_, (timer, _))| *timer)?;
        Some(self.deadlines.swap_remove(place).0)
    }
}
