//! A store alone, and clients whose calls reach it in any order.
//!
//! A call is asked, carried out and answered at different times, and others come between. Some are refused;
//! of some the answer is lost, and then the call was carried out, or will be, or never is. In the end all is
//! calm, and the final reads are answered.

use std::collections::BTreeSet;

use history::{History, Key, Kind, Line, Observation, Outcome, Pairing, Process};
use kv::{Command, Reply, Store};
use raft::StateMachine;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use replica::{Failed, Unknown};
use workload::store::{Asked, Request};
use workload::{Generator, Next, Now};

use crate::asking::{Asking, Call, answered, call, changes};

/// What the store does wrong, now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mistake {
    None,
    /// It answers from a state that it had some time ago.
    OldReads,
    /// It acknowledges what it forgets.
    LostWrites,
    /// It carries out once more, later, what it has carried out.
    Twins,
}

const CONCURRENCY: u64 = 6;

struct World {
    store: Store,
    /// What the store was like some time ago.
    old: Store,
    mistake: Mistake,
    /// What is still to be carried out, though nobody waits for it.
    late: Vec<Command>,
    /// Whether every call is answered.
    calm: bool,
    rng: ChaCha8Rng,
}

impl World {
    fn chance(&mut self, one_in: u32) -> bool {
        self.rng.random_ratio(1, one_in)
    }

    fn makes(&mut self, mistake: Mistake, one_in: u32) -> bool {
        self.mistake == mistake && self.chance(one_in)
    }

    /// What becomes of a call that reaches the store, or does not.
    fn outcome(&mut self, call: &Call) -> replica::Outcome<Reply> {
        if self.calm {
            return replica::Outcome::Done(self.carry_out(call));
        }
        match self.rng.random_range(0..100) {
            0..3 => return replica::Outcome::Failed(Failed::Busy),
            3..6 => {}
            _ => return replica::Outcome::Done(self.carry_out(call)),
        }
        if let Call::Write { command, .. } = call {
            match self.rng.random_range(0..3) {
                0 => {}
                1 => drop(self.carry_out(call)),
                _ => self.late.push(kv::codec::decode(command.clone()).unwrap()),
            }
        }
        replica::Outcome::Unknown(Unknown::Timeout)
    }

    fn carry_out(&mut self, call: &Call) -> Reply {
        match call {
            Call::Read(query) => {
                assert_eq!(kv::check::query(query), Ok(()), "the door lets it in");
                if self.makes(Mistake::OldReads, 20) {
                    self.old.query(query)
                } else {
                    self.store.query(query)
                }
            }
            Call::Write { request, command } => {
                assert_eq!(*request, None, "only the replica names requests");
                let command = kv::codec::decode(command.clone()).unwrap();
                assert_eq!(kv::check::command(&command), Ok(()), "the door lets it in");
                if self.chance(50) {
                    self.old = self.store.clone();
                }
                if self.makes(Mistake::LostWrites, 20) {
                    return self.store.clone().execute(&command);
                }
                if self.makes(Mistake::Twins, 10) {
                    self.late.push(command.clone());
                }
                self.store.execute(&command)
            }
            Call::Stale(_) | Call::Change(_) | Call::Members | Call::Transfer(_) => {
                panic!("nobody asks for that")
            }
        }
    }

    /// Now and then, something arrives late.
    fn straggle(&mut self) {
        if !self.late.is_empty() && self.chance(20) {
            let first = self.late.remove(0);
            drop(self.store.execute(&first));
        }
    }
}

/// An op under way.
struct Underway<W: Asking> {
    process: Process,
    key: Option<Key>,
    op: W::Op,
    open: W::Open,
    stage: Stage,
}

enum Stage {
    Sent(Call),
    Ended { changes: bool, outcome: replica::Outcome<Reply> },
}

impl Stage {
    fn sent(request: Request) -> Stage {
        let could = request.changes();
        let call = call(request);
        assert_eq!(changes(&call), could, "what can change something goes through the log, and nothing else");
        Stage::Sent(call)
    }
}

/// A call that is about to be made, for whom, and what is remembered meanwhile.
pub(super) struct Sent<'a, W: Asking> {
    pub workload: &'a W,
    pub op: &'a W::Op,
    pub key: Option<&'a Key>,
    pub call: &'a Call,
    pub open: &'a W::Open,
}

/// A run: so many ops, then the final reads.
pub(super) fn play<W: Asking>(
    workload: &W,
    seed: u64,
    mistake: Mistake,
    ops: usize,
) -> History<W::Op, W::Ret> {
    play_and_watch(workload, seed, mistake, ops, &mut |_| {})
}

/// The same, and `watch` is shown every call.
pub(super) fn play_and_watch<W: Asking>(
    workload: &W,
    seed: u64,
    mistake: Mistake,
    ops: usize,
    watch: &mut dyn FnMut(Sent<'_, W>),
) -> History<W::Op, W::Ret> {
    let rng = ChaCha8Rng::seed_from_u64(seed);
    let world = World { store: Store::new(), old: Store::new(), mistake, late: Vec::new(), calm: false, rng };
    let free = (0..CONCURRENCY).map(Process).collect();
    let generator = workload.generator(seed);
    let mut run = Run { workload, generator, world, free, lines: 0, pairing: Pairing::default() };
    run.phase(ops, watch);
    run.world.calm = true;
    run.generator.conclude();
    run.phase(usize::MAX, watch);
    assert_eq!(run.generator.given_up(), 0, "every final read was answered");
    run.pairing.finish()
}

struct Run<'a, W: Asking> {
    workload: &'a W,
    generator: Box<dyn Generator<Op = W::Op, Ret = W::Ret>>,
    world: World,
    free: BTreeSet<Process>,
    lines: u64,
    pairing: Pairing<W::Op, W::Ret>,
}

impl<W: Asking> Run<'_, W> {
    fn phase(&mut self, ops: usize, watch: &mut dyn FnMut(Sent<'_, W>)) {
        let mut asked = 0;
        let mut underway: Vec<Underway<W>> = Vec::new();
        loop {
            self.world.straggle();
            let idle = underway.is_empty();
            if asked < ops && (idle || self.world.chance(2)) {
                let free: Vec<Process> = self.free.iter().copied().collect();
                match self.generator.next(Now { time: self.lines, free: &free }) {
                    Next::Invoke { process, key, op } => {
                        asked += 1;
                        underway.push(self.begin(process, key, op));
                    }
                    Next::Wait { .. } => assert!(!idle, "someone has something to wait for"),
                    Next::Done => asked = ops,
                }
            }
            if underway.is_empty() && asked == ops {
                return;
            }
            let Some(last) = underway.len().checked_sub(1) else { continue };
            let next = underway.swap_remove(self.world.rng.random_range(0..=last));
            underway.extend(self.advance(next, watch));
        }
    }

    fn begin(&mut self, process: Process, key: Option<Key>, op: W::Op) -> Underway<W> {
        assert!(self.free.remove(&process), "process {process} was free");
        self.push(process, key.clone(), Kind::Invoke(op.clone()));
        let (request, open) = self.workload.begin(&op, key.as_ref());
        Underway { process, key, op, open, stage: Stage::sent(request) }
    }

    fn advance(&mut self, ours: Underway<W>, watch: &mut dyn FnMut(Sent<'_, W>)) -> Option<Underway<W>> {
        let Underway { process, key, op, open, stage } = ours;
        let outcome = match stage {
            Stage::Sent(call) => {
                let (key, op, call, open) = (key.as_ref(), &op, &call, &open);
                watch(Sent { workload: self.workload, op, key, call, open });
                Stage::Ended { changes: changes(call), outcome: self.world.outcome(call) }
            }
            Stage::Ended { changes, outcome } => {
                match answered(self.workload, &op, key.as_ref(), open, changes, outcome).unwrap() {
                    Asked::Over(outcome) => {
                        let retired = matches!(outcome, Outcome::Info(_));
                        self.free.insert(if retired { Process(process.0 + CONCURRENCY) } else { process });
                        self.push(process, key, outcome.into());
                        return None;
                    }
                    Asked::Again(request, open) => {
                        return Some(Underway { process, key, op, open, stage: Stage::sent(request) });
                    }
                }
            }
        };
        Some(Underway { process, key, op, open, stage: outcome })
    }

    fn push(&mut self, process: Process, key: Option<Key>, kind: Kind<W::Op, W::Ret>) {
        let seen = Observation { index: self.lines, time: self.lines, process, node: None, key, kind };
        self.lines += 1;
        self.generator.observe(&seen);
        self.pairing.push(Line::Client(seen));
    }
}
