//! Lives drawn by chance: days, nights, and what goes wrong in them.
//!
//! A tester who mixes all faults all the time tests one thing, over and over: a cluster that can do
//! nothing. What breaks systems is the rare company, a slow disk and *then* a power cut, with clocks
//! right and no packet lost. So each life differs in what it is made of, and not only in the order
//! (Groce and others call it swarm testing): which kinds it knows at all, how often each comes, how
//! dense its nights are and how long its days. By day everything is mended, so that a cluster that
//! does not recover shows it; by night several faults last at once, from 50 ms to several seconds,
//! most of them aimed at the leader.
//!
//! A fault takes nodes away, and with a majority gone nobody can promise anything, and nothing is
//! tested. So a storm keeps accounts: what lasts at one time takes away no more nodes than the rest can
//! do without, but for short blackouts, which come now and then, because a cluster must come back from
//! those too. What it cannot know is whom a role will mean when the time comes; the accounts assume the
//! worst, that no two faults take away the same node.
//!
//! Chance alone rarely makes two ends meet that must: a power cut finds everything synced in nineteen
//! cases of twenty. So where a life knows slow disks, most of its power cuts come upon one.
//!
//! Nor does chance often strike a leader that has led for no time at all, with everything that it took over
//! and nothing of its own in the logs of others. So now and then a dead leader draws others after it: whoever
//! leads next dies as soon as it is seen, up to three in a row.
//!
//! A rotten bit may keep a node down for good. It comes late in a life, and no more often than the rest
//! of the nodes can bear.

use std::collections::BTreeMap;

use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::aim::{Aim, Who};
use crate::chance::magnitude;
use crate::fault::{Harm, Pace, Weather};
use crate::ids::Time;
use crate::kind::{Kind, Kinds};
use crate::route::Route;
use crate::schedule::{Start, Step};
use crate::shape::Shape;
use crate::span::{Span, Wait};

/// How often each kind comes, next to the others. Those that are not named are drawn by chance.
pub type Weights = BTreeMap<Kind, u32>;

/// What lives are made of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Storm {
    /// The kinds that may come.
    pub kinds: Kinds,
    /// How often, if that is not left to chance. With 0 a kind does not come.
    pub weights: Weights,
    /// How long the calm stretches are; drawn for each life if not given.
    pub day: Option<Wait>,
    /// How long the stormy stretches are; drawn for each life if not given.
    pub night: Option<Wait>,
}

/// No fault is shorter.
const SHORTEST: u64 = 50;
/// Blackouts are no longer than this.
const LONGEST_BLACKOUT: u64 = 1_500;
/// How long whoever leads next may have been dead, at most, and how long to wait for it at least, in
/// milliseconds.
const PURSUIT: (u64, u64) = (700, 1_500);
/// What a node that was taken away needs to be of use again.
const RECOVERY: Span = Span::millis(300);

impl Storm {
    /// Of these kinds, and all else by chance.
    pub fn of(kinds: Kinds) -> Storm {
        Storm { kinds, ..Storm::default() }
    }

    /// Draws a life for so many nodes that is over by `limit`.
    pub fn draw(&self, seed: u64, nodes: usize, limit: Time) -> Vec<Step> {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let life = Life { rng, nodes, limit, steps: Vec::new(), taken: Vec::new() };
        life.live(self)
    }
}

/// A life being drawn.
struct Life {
    rng: ChaCha8Rng,
    nodes: usize,
    limit: Time,
    steps: Vec<Step>,
    taken: Vec<Taken>,
}

/// Nodes that cannot help the others for a while.
struct Taken {
    from: Time,
    until: Time,
    count: usize,
}

impl Life {
    fn live(mut self, storm: &Storm) -> Vec<Step> {
        let weights = self.weights(storm);
        if weights.is_empty() {
            return self.steps;
        }
        let about =
            |least, most, rng: &mut ChaCha8Rng| Wait::About(Span::millis(magnitude(least, most, rng)));
        let day = storm.day.unwrap_or_else(|| about(1_000, 6_000, &mut self.rng));
        let night = storm.night.unwrap_or_else(|| about(4_000, 16_000, &mut self.rng));
        let gap = about(100, 1_000, &mut self.rng);
        // Each kind once, before weights decide: a short life shall have met what it is made of.
        let mut first: Vec<Kind> = weights.iter().map(|(kind, _)| *kind).collect();
        first.shuffle(&mut self.rng);
        let mut dawn = Time::default();
        while dawn < self.limit {
            let dusk = dawn.after(day.draw(&mut self.rng).duration());
            dawn = dusk.after(night.draw(&mut self.rng).duration()).min(self.limit);
            let mut now = dusk;
            while now < dawn {
                // Nothing is drawn for earlier any more. In a long life, looking through what is over took hours.
                self.taken.retain(|taken| taken.until > now);
                let ready = first.iter().rposition(|kind| self.may_come(*kind, now));
                let kind = match ready {
                    Some(turn) => first.remove(turn),
                    None => {
                        weights.choose_weighted(&mut self.rng, |(_, weight)| *weight).expect("some weigh").0
                    }
                };
                if self.may_come(kind, now) {
                    let slow = kind == Kind::Power && weights.iter().any(|(kind, _)| *kind == Kind::SlowDisk);
                    let at = if slow { self.slow_down(now, dawn) } else { now };
                    self.strike(kind, at, dawn);
                }
                now = now.after(gap.draw(&mut self.rng).duration());
            }
        }
        self.steps.sort_by_key(|step| match step.start {
            Start::At(at) => at,
            Start::After(_) | Start::When(_) => Time::default(),
        });
        self.steps
    }

    /// Slows all disks a little, mostly, and says when the power may go. Most power cuts find everything
    /// synced, and are no more than kills; this one finds something under way.
    fn slow_down(&mut self, now: Time, dawn: Time) -> Time {
        let [sync, wait, length] = [(20, 90), (100, 500), (600, 1_200)]
            .map(|(least, most)| Span::millis(self.rng.random_range(least..=most)));
        let until = now.after(length.duration());
        if until > dawn || self.rng.random_ratio(1, 8) {
            return now;
        }
        let harm = Harm::SlowDisk(Pace::Sync(sync));
        self.steps.push(Step::at(now, until, Aim::Harm { who: Who::All, harm }));
        now.after(wait.duration())
    }

    /// The kinds of this life, and how often they come.
    fn weights(&mut self, storm: &Storm) -> Vec<(Kind, u32)> {
        let mut left_out = Vec::new();
        let mut weights = Vec::new();
        for kind in storm.kinds.as_slice() {
            let lives_in_ten = if *kind == Kind::Power { 9 } else { 7 };
            let (present, weight) = (self.rng.random_ratio(lives_in_ten, 10), self.rng.random_range(1..=6));
            match storm.weights.get(kind) {
                Some(0) => {}
                Some(weight) => weights.push((*kind, *weight)),
                None if present => weights.push((*kind, weight)),
                None => left_out.push((*kind, weight)),
            }
        }
        if weights.is_empty() {
            weights.extend(left_out.choose(&mut self.rng).copied());
        }
        weights
    }

    /// What may end a node for good waits for the second half.
    fn may_come(&self, kind: Kind, now: Time) -> bool {
        kind != Kind::BitFlip || now.0 >= self.limit.0 / 2
    }

    /// A fault of this kind, as long as the night allows, unless it would take away too much.
    fn strike(&mut self, kind: Kind, at: Time, dawn: Time) {
        let aim = self.aim(kind);
        let count = taken_by(&aim, self.nodes);
        let (least, most) = lengths(kind);
        let mut length = magnitude(least, most, &mut self.rng);
        let for_good = kind == Kind::BitFlip;
        let blackout = self.rng.random_ratio(1, 8);
        let end = |length| at.after(Span::millis(length).duration()).min(dawn);
        if count > 0 && count + self.taken_in(at, end(length)) > self.nodes.saturating_sub(1) / 2 {
            if !blackout || for_good {
                return;
            }
            length = length.min(LONGEST_BLACKOUT);
        }
        let until = end(length);
        if until < at.after(Span::millis(SHORTEST).duration()) {
            return;
        }
        let free = if for_good { Time(u64::MAX) } else { until.after(RECOVERY.duration()) };
        self.taken.push(Taken { from: at, until: free, count });
        if let Aim::Harm { who: Who::Leader, harm: harm @ (Harm::Kill | Harm::Power) } = aim
            && self.rng.random_ratio(1, 4)
        {
            self.pursue(harm, at, dawn);
        }
        self.steps.push(Step::at(at, until, aim));
    }

    /// Whoever leads next dies too, as soon as it is seen to: a fault that is meant for the leader waits until
    /// there is one.
    fn pursue(&mut self, harm: Harm, at: Time, dawn: Time) {
        let at = at.after(Span::millis(1).duration());
        for _ in 0..self.rng.random_range(1..=3) {
            let length = self.rng.random_range(PURSUIT.0..=PURSUIT.1);
            let until = at.after(Span::millis(length).duration()).min(dawn);
            if until < at.after(Span::millis(PURSUIT.0).duration()) {
                return;
            }
            self.taken.push(Taken { from: at, until: until.after(RECOVERY.duration()), count: 1 });
            self.steps.push(Step::at(at, until, Aim::Harm { who: Who::Leader, harm }));
        }
    }

    /// At most so many nodes are away at some moment of this time.
    fn taken_in(&self, from: Time, until: Time) -> usize {
        let meanwhile = self.taken.iter().filter(|taken| taken.from < until && from < taken.until);
        meanwhile.map(|taken| taken.count).sum()
    }

    /// Mostly at the leader.
    fn aim(&mut self, kind: Kind) -> Aim {
        let rng = &mut self.rng;
        let to_leader = rng.random_ratio(1, 2);
        match Aim::random(kind, self.nodes, rng) {
            Aim::Partition { sever, .. } if to_leader && self.nodes > 1 => {
                Aim::Partition { shape: Shape::IsolateLeader, sever }
            }
            Aim::Packets { weather, route } => {
                Aim::Packets { route: if to_leader { Route::Leader } else { route }, weather }
            }
            Aim::Harm { harm, .. } if to_leader => Aim::Harm { who: Who::Leader, harm },
            Aim::Harm { harm, .. } => {
                let several = rng.random_ratio(1, 4);
                let who = if several { [Who::Minority, Who::Majority, Who::All].choose(rng) } else { None };
                Aim::Harm { who: who.cloned().unwrap_or(Who::One), harm }
            }
            Aim::Membership { .. } if to_leader => Aim::Membership { who: Who::Leader },
            aim => aim,
        }
    }
}

/// How long a fault of this kind lasts, in milliseconds: long enough to be met, short enough not to be all
/// there is.
fn lengths(kind: Kind) -> (u64, u64) {
    match kind {
        Kind::Kill | Kind::Power | Kind::BitFlip | Kind::Wipe | Kind::Restart => (SHORTEST, 3_000),
        Kind::Pause => (120, 3_000),
        Kind::Partition | Kind::SlowDisk => (200, 5_000),
        Kind::FullDisk | Kind::FailedSync | Kind::Membership => (300, 3_000),
        Kind::Packets | Kind::Clock => (500, 8_000),
    }
}

/// How many nodes it takes from the others, at worst.
fn taken_by(aim: &Aim, nodes: usize) -> usize {
    let minority = nodes.saturating_sub(1) / 2;
    match aim {
        Aim::Partition { shape, .. } => match shape {
            Shape::IsolateLeader | Shape::One | Shape::OneWay | Shape::Ring | Shape::Bridge => 1,
            Shape::Majority => minority,
            Shape::Halves => nodes / 2,
        },
        Aim::Packets { route, weather } if is_harsh(weather) => match route {
            Route::All => nodes,
            Route::Leader | Route::OneNode => 1,
            Route::OneLink => 0,
        },
        Aim::Harm { harm: Harm::Clock(_), .. } | Aim::Packets { .. } => 0,
        Aim::Harm { harm: Harm::SlowDisk(Pace::Sync(span)), .. } if *span < Span::millis(100) => 0,
        Aim::Membership { .. } => 1,
        Aim::Harm { who, .. } => match who {
            Who::Leader | Who::One => 1,
            Who::Minority => minority.max(1),
            Who::Majority => minority + 1,
            Who::All => nodes,
            Who::These(these) => these.len(),
        },
        Aim::Exactly(fault) => fault.nodes().len(),
    }
}

/// Whether it may look like silence to who waits for a heartbeat.
fn is_harsh(weather: &Weather) -> bool {
    weather.loss > 25 || weather.delay.0.saturating_add(weather.jitter.0) > Span::millis(150).0
}
