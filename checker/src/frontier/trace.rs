//! The sweep over a whole history, and the order that explains it.

use rustc_hash::FxHashMap;

use super::configs::Config;
use super::events::{Event, Events};
use super::sweep::{Books, Nodes, Open, Sweep, Took};
use crate::certificate::small;
use crate::engine::{MOST_STATES, Task};
use crate::meter::Stop;
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
    let mut sweep = Sweep::<M, W>::new(task.model, task.meter, task.setup, task.turn, books);
    sweep.begin(task.initial)?;
    let mut events = Events::new();
    let every = (2 * task.spans.len()).isqrt().max(1);
    let mut checkpoints = Vec::new();
    let mut seen = 0_usize;
    loop {
        if seen.is_multiple_of(every) {
            let configs = sweep.now.iter().collect();
            checkpoints.push(Checkpoint { events: events.clone(), open: sweep.open.clone(), configs });
        }
        seen += 1;
        let Some(event) = events.next(task.spans, task.setup.mutant) else { break };
        if let Some(line) = play(&mut sweep, task, event)? {
            return Ok(Swept::Stuck { line, states: sweep.states(MOST_STATES) });
        }
        if wary && sweep.now.live() > LARGE {
            return Ok(Swept::Large);
        }
    }
    if books == Books::Generous {
        // Nobody could follow what was spent twice.
        return Ok(Swept::Large);
    }
    order(sweep, task, &checkpoints).map(Swept::Order)
}

/// Moves the frontier. The line of the event if it cannot be explained.
fn play<M: Model, const W: usize>(
    sweep: &mut Sweep<'_, M, W>,
    task: &Task<'_, M>,
    event: Event,
) -> Result<Option<u64>, Stop> {
    match event {
        Event::Invoked(number) => sweep.invoke(number, &task.spans[number as usize])?,
        Event::Acknowledged(number) => {
            if !sweep.acknowledge(number)? {
                return Ok(task.spans[number as usize].to());
            }
        }
    }
    Ok(None)
}

/// A configuration that explains the whole history, traced back to where it began, segment by segment.
fn order<M: Model, const W: usize>(
    mut sweep: Sweep<'_, M, W>,
    task: &Task<'_, M>,
    checkpoints: &[Checkpoint<W>],
) -> Result<Vec<u32>, Stop> {
    let all = sweep.open.clone();
    let mut took = Vec::new();
    let mut wanted: Option<Config<W>> = None;
    for (number, checkpoint) in checkpoints.iter().enumerate().rev() {
        let mut events = take_up(&mut sweep, checkpoint)?;
        let end = checkpoints.get(number + 1).map(|next| &next.events);
        let mut charged = 0;
        while end.is_none_or(|end| events != *end) {
            let Some(event) = events.next(task.spans, task.setup.mutant) else { break };
            let stuck = play(&mut sweep, task, event)?;
            assert_eq!(stuck, None, "the second pass gets as far as the first");
            let held = sweep.nodes.as_ref().map_or(0, Nodes::capacity) * size_of::<(u32, Took)>();
            task.meter.charge(held - charged)?;
            charged = held;
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
        drop(nodes);
        task.meter.release(charged);
    }
    took.reverse();
    Ok(named(&took, &all))
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
fn named<const W: usize>(took: &[Took], open: &Open<W>) -> Vec<u32> {
    let mut spent: FxHashMap<u32, usize> = FxHashMap::default();
    let span = |took: &Took| match *took {
        Took::Root => unreachable!("a trace ends at its root"),
        Took::Span(span) => span,
        Took::Unanswered(class) => {
            let next = spent.entry(class).or_default();
            *next += 1;
            open.unanswered(class)[*next - 1]
        }
    };
    took.iter().map(span).collect()
}
