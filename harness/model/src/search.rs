//! Breadth first, level by level: all states that take n steps, then all that take one more.
//!
//! `stateright` has searches of its own, and one of them serves the explorer. This one is there for three
//! things that theirs do not give (0.31):
//!
//! - *The shortest path, always the same.* With several threads theirs runs ahead in places, and what it finds
//!   first need not be nearest. Here all states of a level are looked at before any of the next, by as
//!   many threads as there are, and of several ways to a state the one is kept whose last state has the smallest
//!   fingerprint.
//! - *Memory.* Theirs keeps a path with each state that waits. Here a state that was looked at costs sixteen
//!   bytes: its fingerprint, and most of that of the state before it, which is enough to find the path again.
//! - *Budgets that are told.* A search that stops early says why, and is not valid.
//!
//! It takes any `stateright::Model`, so the two can be compared, and a test does.
//!
//! Two states that share a fingerprint are taken for one. It has 64 bits: among a hundred million states, one in
//! four thousand searches meets such a pair.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use stateright::{Expectation, Model};

use crate::mark::Mixer;

/// When to stop early.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// How many threads share the work.
    pub threads: usize,
    /// How long it may take.
    pub time: Option<Duration>,
    /// How many different states may be found.
    pub states: Option<u64>,
    /// Raised by whoever wants it to end.
    pub stop: &'a AtomicBool,
}

/// Nobody wants it to end.
pub static GO_ON: AtomicBool = AtomicBool::new(false);

impl Default for Limits<'_> {
    fn default() -> Self {
        Limits { threads: 1, time: None, states: None, stop: &GO_ON }
    }
}

/// How far a search has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Different states.
    pub unique: u64,
    /// Steps that were tried and led somewhere.
    pub generated: u64,
    /// Steps from the first state to the last level that was looked at.
    pub depth: usize,
    /// The most states that waited at a time.
    pub widest: usize,
}

/// Why a search ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome<A> {
    /// There are no more states.
    Exhausted,
    /// A property does not hold after these steps; there is no shorter way to break one.
    Broken(Vec<A>),
    /// A limit was reached.
    Stopped(Limit),
}

/// What ended a search early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// The time.
    Time,
    /// The number of states.
    States,
    /// Somebody from outside.
    Asked,
}

/// For maps whose keys are fingerprints already.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("fingerprints are numbers");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

fn fingerprint(state: &impl Hash) -> u64 {
    let mut mixer = Mixer::default();
    state.hash(&mut mixer);
    mixer.finish()
}

/// The last bits of the number of a state's level.
const LEVEL: u64 = 0xff;

/// Where a state was first reached from: the fingerprint of the state before it without its last bits, and in
/// their place those of its own level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct From(u64);

impl From {
    fn new(before: u64, level: usize) -> From {
        assert!(level as u64 <= LEVEL, "budgets keep stories short");
        From(before & !LEVEL | level as u64)
    }

    fn level(self) -> u64 {
        self.0 & LEVEL
    }
}

const SHARDS: usize = 256;

/// All states that were found.
struct Visited(Vec<Mutex<HashMap<u64, From, BuildHasherDefault<Plain>>>>);

impl Visited {
    fn new() -> Visited {
        Visited((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    fn shard(&self, state: u64) -> &Mutex<HashMap<u64, From, BuildHasherDefault<Plain>>> {
        &self.0[(state >> 32) as usize % SHARDS]
    }

    /// Whether this state is new. If it was found in this level before, the smaller way to it is kept.
    fn enter(&self, state: u64, from: From) -> bool {
        let mut shard = self.shard(state).lock().unwrap_or_else(PoisonError::into_inner);
        match shard.entry(state) {
            Entry::Vacant(free) => {
                free.insert(from);
                true
            }
            Entry::Occupied(mut known) => {
                if known.get().level() == from.level() && from < *known.get() {
                    known.insert(from);
                }
                false
            }
        }
    }

    fn from(&self, state: u64) -> Option<From> {
        self.shard(state).lock().unwrap_or_else(PoisonError::into_inner).get(&state).copied()
    }
}

/// A search under way.
struct Search<'a, M: Model> {
    model: &'a M,
    limits: Limits<'a>,
    started: Instant,
    visited: Visited,
    unique: AtomicU64,
    generated: AtomicU64,
    depth: AtomicUsize,
    widest: AtomicUsize,
}

/// What one thread found on one level.
struct Share<S> {
    next: Vec<S>,
    /// The fingerprints of those in which a property does not hold.
    broken: Vec<u64>,
}

/// How many states a thread takes at a time.
const PORTION: usize = 256;

/// Looks at every state of `model`, and tells now and then how far it is.
pub fn search<M>(
    model: &M,
    limits: Limits<'_>,
    progress: &(dyn Fn(Figures) + Sync),
) -> (Outcome<M::Action>, Figures)
where
    M: Model + Sync,
    M::State: Clone + Hash + Send + Sync,
    M::Action: Clone,
{
    let search = Search {
        model,
        limits,
        started: Instant::now(),
        visited: Visited::new(),
        unique: AtomicU64::new(0),
        generated: AtomicU64::new(0),
        depth: AtomicUsize::new(0),
        widest: AtomicUsize::new(0),
    };
    let outcome = search.run(progress);
    (outcome, search.figures())
}

impl<M> Search<'_, M>
where
    M: Model + Sync,
    M::State: Clone + Hash + Send + Sync,
    M::Action: Clone,
{
    fn figures(&self) -> Figures {
        Figures {
            unique: self.unique.load(Ordering::Relaxed),
            generated: self.generated.load(Ordering::Relaxed),
            depth: self.depth.load(Ordering::Relaxed),
            widest: self.widest.load(Ordering::Relaxed),
        }
    }

    fn run(&self, progress: &(dyn Fn(Figures) + Sync)) -> Outcome<M::Action> {
        let mut frontier = Vec::new();
        let mut broken = Vec::new();
        for state in self.model.init_states() {
            let print = fingerprint(&state);
            if self.visited.enter(print, From::new(0, 0)) {
                self.unique.fetch_add(1, Ordering::Relaxed);
                self.look(&state, print, &mut broken);
                frontier.push(state);
            }
        }
        while broken.is_empty() && !frontier.is_empty() {
            self.widest.fetch_max(frontier.len(), Ordering::Relaxed);
            let shares = self.level(&frontier, progress);
            let enough = self.reached();
            frontier.clear();
            for share in shares {
                frontier.extend(share.next);
                broken.extend(share.broken);
            }
            if !frontier.is_empty() {
                self.depth.fetch_add(1, Ordering::Relaxed);
            }
            // What was found is true, even if the level was not looked at to its end.
            if let (Some(limit), true) = (enough, broken.is_empty()) {
                return Outcome::Stopped(limit);
            }
        }
        match broken.into_iter().min() {
            Some(state) => Outcome::Broken(self.path(state)),
            None => Outcome::Exhausted,
        }
    }

    /// Looks at all states that follow those of one level.
    fn level(&self, frontier: &[M::State], progress: &(dyn Fn(Figures) + Sync)) -> Vec<Share<M::State>> {
        let next = AtomicUsize::new(0);
        let work = |first: bool| {
            let mut share = Share { next: Vec::new(), broken: Vec::new() };
            loop {
                let from = next.fetch_add(PORTION, Ordering::Relaxed);
                if from >= frontier.len() || self.reached().is_some() {
                    return share;
                }
                for state in &frontier[from..frontier.len().min(from + PORTION)] {
                    self.expand(state, &mut share);
                }
                if first {
                    progress(self.figures());
                }
            }
        };
        let threads = self.limits.threads.min(frontier.len().div_ceil(PORTION));
        if threads <= 1 {
            return vec![work(true)];
        }
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| work(false))).collect();
            let own = work(true);
            let join = |other: thread::ScopedJoinHandle<'_, _>| {
                other.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
            };
            std::iter::once(own).chain(others.into_iter().map(join)).collect()
        })
    }

    fn expand(&self, state: &M::State, share: &mut Share<M::State>) {
        let before = fingerprint(state);
        let level = self.depth.load(Ordering::Relaxed) + 1;
        let mut actions = Vec::new();
        self.model.actions(state, &mut actions);
        let mut generated = 0;
        for action in actions {
            let Some(next) = self.model.next_state(state, action) else { continue };
            if !self.model.within_boundary(&next) {
                continue;
            }
            generated += 1;
            let print = fingerprint(&next);
            if self.visited.enter(print, From::new(before, level)) {
                self.unique.fetch_add(1, Ordering::Relaxed);
                self.look(&next, print, &mut share.broken);
                share.next.push(next);
            }
        }
        self.generated.fetch_add(generated, Ordering::Relaxed);
    }

    /// Notes a state in which something does not hold.
    fn look(&self, state: &M::State, print: u64, broken: &mut Vec<u64>) {
        let always = |property: &stateright::Property<M>| matches!(property.expectation, Expectation::Always);
        let holds = |property: &stateright::Property<M>| (property.condition)(self.model, state);
        if self.model.properties().iter().filter(|property| always(property)).any(|property| !holds(property))
        {
            broken.push(print);
        }
    }

    fn reached(&self) -> Option<Limit> {
        let Limits { time, states, stop, .. } = self.limits;
        if stop.load(Ordering::Relaxed) {
            return Some(Limit::Asked);
        }
        if states.is_some_and(|most| self.unique.load(Ordering::Relaxed) >= most) {
            return Some(Limit::States);
        }
        time.is_some_and(|most| self.started.elapsed() >= most).then_some(Limit::Time)
    }

    /// The steps that lead to a state: from each state back to the one before it, and then forward again.
    fn path(&self, end: u64) -> Vec<M::Action> {
        let mut prints = vec![end];
        while let Some(before) = self.before(prints[prints.len() - 1]) {
            prints.push(before);
        }
        prints.reverse();
        let states = self.model.init_states();
        let first = states.into_iter().find(|state| fingerprint(state) == prints[0]);
        let mut state = first.expect("a path begins with a first state");
        let mut path = Vec::new();
        for print in &prints[1..] {
            let mut actions = Vec::new();
            self.model.actions(&state, &mut actions);
            let step = actions.into_iter().find_map(|action| {
                let next = self.model.next_state(&state, action.clone())?;
                (fingerprint(&next) == *print).then_some((action, next))
            });
            let (action, next) = step.expect("each state of a path follows from the one before");
            path.push(action);
            state = next;
        }
        path
    }

    /// The state before this one. The last bits of its fingerprint are not known, but there is only one such state in
    /// the level before.
    fn before(&self, print: u64) -> Option<u64> {
        let from = self.visited.from(print).expect("only states that were found have a path");
        let level = from.level().checked_sub(1)?;
        let candidates = (0..=LEVEL).map(|last| from.0 & !LEVEL | last);
        let of_level =
            |candidate: &u64| self.visited.from(*candidate).is_some_and(|found| found.level() == level);
        candidates.into_iter().find(of_level)
    }
}
