//! A mutex: whoever acquires it holds it until it is released.
//!
//! It does not matter who releases it: what a mutex promises is that between two acquires that were
//! granted there is a release. How the ops are written, [`MutexOp`] says.

use history::{MutexDone, MutexOp};
use smallvec::SmallVec;

use crate::linearizable::Linearizable;
use crate::seam::{Interval, Model};

/// The model of a mutex. It begins free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mutex;

impl Model for Mutex {
    type Op = MutexOp;
    /// Whether it is held.
    type State = bool;

    fn init(&self) -> bool {
        false
    }

    fn step(
        &self,
        held: &bool,
        op: &MutexOp,
        _: Option<&MutexDone>,
        _: Interval,
        next: &mut SmallVec<[bool; 1]>,
    ) {
        match op {
            MutexOp::Acquire if !held => next.push(true),
            MutexOp::Release if *held => next.push(false),
            MutexOp::Acquire | MutexOp::Release => {}
        }
    }

    fn show(&self, held: &bool) -> String {
        if *held { "held" } else { "free" }.to_owned()
    }
}

/// Judges a mutex.
pub fn mutex() -> Linearizable<Mutex> {
    Linearizable::new("mutex", Mutex)
}
