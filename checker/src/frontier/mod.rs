//! The frontier: all that may be true by now, event by event (after Lowe's just-in-time linearization).
//!
//! The plain search asks which op came first, second, third, and undoes its guesses. This engine never
//! guesses. It walks along the history once and keeps *all* configurations that may be true: a
//! configuration is the state, and which of the ops that are open right now have taken effect already.
//! What lies behind needs no memory, so the frontier is as large as the concurrency makes it, and not
//! as long as the history.
//!
//! - An **invocation** opens an op: it gets a bit. Nothing else changes, since it need not take effect yet.
//! - An **acknowledgement** asks for the op: configurations in which it has taken effect stay, and its
//!   bit is free again. From the others, open ops take effect in all orders until it has. A
//!   configuration from which it cannot be reached is gone.
//! - When none is left, that acknowledgement cannot be explained.
//!
//! Ops without an answer are open for ever. As bits they would double the frontier one by one; this is
//! where such searches die. So ([`Reductions`](crate::Reductions), each with a switch):
//!
//! 1. *Classes.* Unanswered ops that ask the same are interchangeable as soon as they are invoked. Only
//!    how many of each class are spent is kept: a product of small numbers instead of a power of two.
//! 2. *Dominance.* Of two configurations with the same state and bits, the one that spent fewer of every
//!    class has all the futures of the other. Only the thriftiest stay.
//! 3. *Greed.* An op that changes nothing takes effect as soon as its answer fits: it commutes with all
//!    that follows. If nobody heard its answer it is left out.
//! 4. *Laziness.* An unanswered op takes effect only directly before an op whose answer is known, or
//!    before another unanswered one that does; anywhere else it could be put off. And only if the op
//!    then leaves another state than it would have left without: else it was spent for nothing. It is
//!    *not* enough to take those that enable an answer by themselves: from 0, unanswered cas(0,1) and
//!    cas(1,2) enable a read of 2 only together.
//! 5. *A race.* Where ops are unanswered, what may have been spent is a product again, of all that could
//!    have been spent instead. Two cheap sweeps go ahead: one that keeps only a few configurations of the
//!    same bits and state, whose *yes* is one; and one that takes unanswered ops as often as it likes,
//!    whose *no* is one. Most histories are decided by these. When the frontier grows large all the same,
//!    somebody looks whether an answer fits no state at all, and the depth-first search has a try.
//!
//! A *yes* needs an order. The sweep keeps the frontier of every √n-th event, and a second pass, segment
//! by segment from the end, remembers who came from whom and traces one configuration back to the
//! beginning. So memory grows with √n.
//!
//! Left out: an op that is open and not yet answered when its answer will be known later is held to that
//! answer. That is right for the verdict, but the prefix that ends where the frontier ran empty may
//! still be explained by an answer that never came; who wants the shortest bad prefix searches again
//! with that cut.

mod book;
mod configs;
mod events;
mod ledger;
mod reach;
mod routes;

mod sweep;
mod trace;

use self::events::{Event, Events};
pub(crate) use self::sweep::{Books, Moved, Sweep};
use self::trace::{Swept, sweep};
use crate::engine::{self, Found, Task};
use crate::meter::Stop;
use crate::seam::Model;
use crate::setup::{Choice, Setup};
use crate::span::Span;
use crate::verdict::Why;
use crate::wgl;

/// How many configurations of the same bits and state a cheap sweep keeps.
const FEW: usize = 2;

/// Carries out a task.
pub(crate) fn search<M: Model>(task: &Task<'_, M>) -> Result<Found<M::State>, Stop> {
    match most_open(task) {
        0..=64 => search_in::<M, 1>(task),
        65..=256 => search_in::<M, 4>(task),
        257..=1024 => search_in::<M, 16>(task),
        // So many cannot be kept apart anyway.
        _ => wgl::search(task),
    }
}

/// How many ops are open at once, of those that are acknowledged.
fn most_open<M: Model>(task: &Task<'_, M>) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let mut events = Events::new();
    while let Some(event) = events.next(task.spans, task.setup.mutant) {
        match event {
            Event::Invoked(number) if task.spans[number as usize].is_open() => {}
            Event::Invoked(_) => open += 1,
            Event::Acknowledged(_) => open -= 1,
        }
        most = most.max(open);
    }
    most
}

/// Carries out a task with so many words of bits.
fn search_in<M: Model, const W: usize>(task: &Task<'_, M>) -> Result<Found<M::State>, Stop> {
    let race = task.setup.reductions.race;
    // Where the cheap sweeps have got to: up to the first line there is an order, to the second there is none.
    let (mut good, mut bad) = (0, None);
    if race && task.spans.iter().any(Span::is_open) {
        match cheap::<M, W>(task, Books::Few(FEW))? {
            Swept::Order(order) => return Ok(Found::Order(order)),
            Swept::Stuck { line, states } => {
                good = line;
                if let Swept::Stuck { line, .. } = cheap::<M, W>(task, Books::Generous)? {
                    if line == good {
                        return Ok(nothing(task, line, line, states));
                    }
                    bad = Some(line);
                }
            }
            Swept::Large => {}
        }
    }
    let swept = match sweep::<M, W>(task, Books::Exact, race) {
        // To remember less, it may be enough to guess.
        Ok(Swept::Large) | Err(Stop::Budget(Why::OutOfMemory)) if race => {
            if let Some(line) = reach::impossible(task)? {
                return Ok(nothing(task, good, line, Vec::new()));
            }
            let setup = Setup { engine: Choice::Wgl, ..task.setup };
            let lent = task.meter.lend(8)?;
            if let Ok(found) = engine::search(&Task { meter: lent.meter(), setup, ..*task }) {
                return Ok(found);
            }
            drop(lent);
            sweep::<M, W>(task, Books::Exact, false)
        }
        swept => swept,
    };
    match (swept, bad) {
        (Ok(Swept::Order(order)), _) => Ok(Found::Order(order)),
        (Ok(Swept::Stuck { line, states }), _) => Ok(nothing(task, line, line, states)),
        (Err(Stop::Budget(_)), Some(line)) => Ok(nothing(task, good, line, Vec::new())),
        (Err(stop), _) => Err(stop),
        (Ok(Swept::Large), _) => unreachable!("who is not wary goes on"),
    }
}

/// A sweep that may not take much: if it is not decided soon, it is no help.
fn cheap<M: Model, const W: usize>(task: &Task<'_, M>, books: Books) -> Result<Swept<M::State>, Stop> {
    let lent = task.meter.lend(4)?;
    match sweep::<M, W>(&Task { meter: lent.meter(), ..*task }, books, true) {
        Err(Stop::Budget(_)) => Ok(Swept::Large),
        swept => swept,
    }
}

/// There is no order past `stuck`, or at the latest past `empty`, where a frontier ran empty. Ops open there
/// were held to what they answered later.
fn nothing<M: Model>(task: &Task<'_, M>, stuck: u64, empty: u64, states: Vec<M::State>) -> Found<M::State> {
    let open = task.spans.iter().take_while(|span| span.from() < empty);
    let bad = open.filter_map(Span::to).max().expect("the one that could not be explained is among them");
    Found::Nothing { stuck, bad, states }
}
