//! The sweep over a whole history, and the order that explains it.

use rustc_hash::FxHashMap;

use super::configs::Config;
use super::events::{Event, Events};
use super::sweep::{Books, Moved, Open, Sweep, Took};
use crate::certificate::small;
use crate::engine::{MOST_STATES, Task};
use crate::meter::{Meter, Stop};
use crate::seam::Model;

/// How large a frontier may grow before somebody else has a try.
const LARGE: usize = 1 << 12;

/// What came of a sweep.
pub(crate) enum Swept<S> {
    /// An order: spans by their place in the input.
    Order(Vec<u32>),
    /// The frontier ran empty.
    Stuck {
        /// At the acknowledgement on this line.
        line: u64,
        /// States that it had before.
        states: Vec<S>,
    },
    /// The frontier grew too large.
    Large,
}

/// A place in the walk that it can be taken up from.
struct Checkpoint<const W: usize> {
    events: Events,
    open: Open<W>,
    configs: Vec<Config<W>>,
}

/// Sweeps over the history. Gives up where the frontier grows too large, if `wary`.
pub(crate) fn sweep<M: Model, const W: usize>(
    task: &Task<'_, M>,
    books: Books,
    wary: bool,
) -> Result<Swept<M::State>, Stop> {
    let most = if wary { LARGE } else { usize::MAX };
    let mut sweep = Sweep::<M, W>::new(task.model, task.meter, task.setup, task.turn, books, most);
    sweep.begin(task.initial)?;
    let mut events = Events::new();
    let every = (2 * task.spans.len()).isqrt().max(1);
    let mut checkpoints = Checkpoints { meter: task.meter, all: Vec::new(), charged: 0 };
    let mut seen = 0_usize;
    loop {
        // Nobody can follow what was spent twice.
        if seen.is_multiple_of(every) && books != Books::Generous {
            checkpoints.push(&sweep, &events)?;
        }
        seen += 1;
        let Some(event) = events.next(task.spans, task.setup.mutant) else { break };
        match play(&mut sweep, task, event)? {
            Moved::On => {}
            Moved::Large => return Ok(Swept::Large),
            Moved::Stuck => {
                let Event::Acknowledged(number) = event else {
                    unreachable!("invocations explain themselves")
                };
                let line = task.spans[number as usize].end();
                return Ok(Swept::Stuck { line, states: sweep.states(MOST_STATES) });
            }
        }
    }
    if books == Books::Generous {
        return Ok(Swept::Large);
    }
    order(sweep, task, &checkpoints.all).map(Swept::Order)
}

/// The places in a walk, with what they cost.
struct Checkpoints<'m, const W: usize> {
    meter: &'m Meter,
    all: Vec<Checkpoint<W>>,
    charged: usize,
}

impl<const W: usize> Checkpoints<'_, W> {
    fn push<M: Model>(&mut self, sweep: &Sweep<'_, M, W>, events: &Events) -> Result<(), Stop> {
        let bytes = sweep.now.live() * size_of::<Config<W>>() + sweep.open.bytes() + events.bytes();
        self.meter.charge(bytes)?;
        self.charged += bytes;
        let mut configs = Vec::with_capacity(sweep.now.live());
        configs.extend(sweep.now.iter());
        self.all.push(Checkpoint { events: events.clone(), open: sweep.open.clone(), configs });
        Ok(())
    }
}

impl<const W: usize> Drop for Checkpoints<'_, W> {
    fn drop(&mut self) {
        self.meter.release(self.charged);
    }
}

/// Moves the frontier.
fn play<M: Model, const W: usize>(
    sweep: &mut Sweep<'_, M, W>,
    task: &Task<'_, M>,
    event: Event,
) -> Result<Moved, Stop> {
    match event {
        Event::Invoked(number) => {
            sweep.invoke(number, &task.spans[number as usize])?;
            Ok(Moved::On)
        }
        Event::Acknowledged(number) => sweep.acknowledge(number),
    }
}

/// A configuration that explains the whole history, traced back to where it began, segment by segment.
fn order<M: Model, const W: usize>(
    mut sweep: Sweep<'_, M, W>,
    task: &Task<'_, M>,
    checkpoints: &[Checkpoint<W>],
) -> Result<Vec<u32>, Stop> {
    let mut took = Vec::new();
    let mut wanted: Option<Config<W>> = None;
    for (number, checkpoint) in checkpoints.iter().enumerate().rev() {
        let mut events = take_up(&mut sweep, checkpoint)?;
        let end = checkpoints.get(number + 1).map(|next| &next.events);
        while end.is_none_or(|end| events != *end) {
            let Some(event) = events.next(task.spans, task.setup.mutant) else { break };
            let moved = play(&mut sweep, task, event)?;
            assert_eq!(moved, Moved::On, "the second pass gets as far as the first");
        }
        let same = |config: &Config<W>| {
            wanted.is_none_or(|wanted| Config { node: config.node, ..wanted } == *config)
        };
        let mut node = sweep.now.iter().find(same).expect("both passes keep the same configurations").node;
        let nodes = sweep.nodes.take().expect("the second pass traces");
        while nodes[node as usize].1 != Took::Root {
            took.push(nodes[node as usize].1);
            node = nodes[node as usize].0;
        }
        wanted = Some(checkpoint.configs[node as usize]);
    }
    took.reverse();
    Ok(named(&took, &sweep.lost))
}

/// Sets a sweep to a checkpoint, every configuration the root of its own trace.
fn take_up<M: Model, const W: usize>(
    sweep: &mut Sweep<'_, M, W>,
    checkpoint: &Checkpoint<W>,
) -> Result<Events, Stop> {
    sweep.resume(checkpoint.open.clone());
    sweep.nodes = Some(checkpoint.configs.iter().map(|_| (0, Took::Root)).collect());
    for (number, config) in checkpoint.configs.iter().enumerate() {
        sweep.now.insert(Config { node: small(number), ..*config }, &sweep.ledger)?;
    }
    Ok(checkpoint.events.clone())
}

/// The spans that took effect. Of unanswered ops that ask the same, those invoked first were spent first.
fn named(took: &[Took], lost: &[Vec<u32>]) -> Vec<u32> {
    let mut spent: FxHashMap<u32, usize> = FxHashMap::default();
    let span = |took: &Took| match *took {
        Took::Root => unreachable!("a trace ends at its root"),
        Took::Span(span) => span,
        Took::Unanswered(class) => {
            let next = spent.entry(class).or_default();
            *next += 1;
            lost[class as usize][*next - 1]
        }
    };
    took.iter().map(span).collect()
}
