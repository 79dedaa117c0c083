//! A bad life as a script: what its cores were given, without time, disks and clients.
//!
//! That is as far down as a finding can be carried before it is a sentence, and it stays true when the simulator
//! draws something else: [`raft::script`] plays it against the core alone.

use std::sync::atomic::{AtomicBool, Ordering};

use raft::Bug;
use raft::script::{Disks, Shape, Wrong, retell};

use crate::ending::{Breach, Ending};
use crate::life::{Frame, Life};
use crate::panics;

/// Why a life has no script.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoScript {
    /// What broke is no property of the core.
    #[error("what went wrong is not to be seen in the cores alone")]
    NotOfTheCore,
    /// The cores alone break nothing.
    #[error(
        "the cores alone, given the same, break nothing: a disk or what lies above them has a part in it, or a move has no words"
    )]
    Harmless,
    /// This build cannot start such a cluster.
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

/// The script of a life whose inputs were written down.
pub(crate) fn script(frame: &Frame, life: &Life, stop: &AtomicBool) -> Result<String, NoScript> {
    let Ending::Broken(Breach::Invariant(violation)) = &life.ending else {
        return Err(NoScript::NotOfTheCore);
    };
    let shape = Shape {
        nodes: frame.nodes,
        append: Some(frame.settings.append),
        window: Some(frame.settings.window),
        tail: frame.settings.snapshots.map(|(_, usual, ..)| usual),
        lease: frame.settings.lease,
        disks: Disks::Slow,
        bugs: Bug::ALL.into_iter().filter(|bug| frame.bugs.has(*bug)).collect(),
    };
    let told =
        panics::noted(|| retell(&shape, &life.moves, violation.property(), &|| stop.load(Ordering::Relaxed)));
    told?.ok_or(NoScript::Harmless)
}
