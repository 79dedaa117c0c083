//! The little that a fault must know of a world.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::evidence::{
    Birth, ClockReading, Death, DiskCounts, Joining, LinkCounts, Loss, PacketCounts, ProcessState, Refusal,
    Removal, Rot,
};
use crate::fault::{Pace, Sever, Skew, Weather};
use crate::ids::{Link, NodeId, Nodes};

/// What ails a disk that goes on in its own way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Trouble {
    /// It is slow.
    Slow(Pace),
    /// It takes no more bytes: every write that needs room is refused.
    Full,
    /// The next sync fails, once, and what it should have made safe is lost.
    FailedSync,
}

/// What a fault must be able to do to a world.
///
/// Each call has taken effect when it returns. An error means that the world could not be brought
/// into the wanted state: a failure of the harness, which ends the run. A world without disks, clocks
/// or weather of its own leaves the methods about them as they are; it must then not be asked for
/// those faults ([`Kinds::parse`](crate::Kinds::parse) sees to that).
pub trait Target {
    /// Cuts these links. None of them is cut by another fault.
    fn sever(&mut self, links: &BTreeSet<Link>, how: Sever) -> io::Result<()>;
    /// Mends these links, at once, and tells what the cut kept from arriving.
    fn mend(&mut self, links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, LinkCounts>>;
    /// Kills these nodes, all before any is waited for. One that had died before is reported as it died.
    fn kill(&mut self, nodes: &Nodes) -> io::Result<Vec<Death>>;
    /// Starts those of these nodes again that are not running, on what their disks kept.
    fn restart(&mut self, nodes: &Nodes) -> io::Result<Vec<Birth>>;
    /// Stops these nodes, all before any is waited for. The dead are passed over.
    fn pause(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>>;
    /// What these nodes are doing. The dead are passed over.
    fn states(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>>;
    /// Lets these nodes go on. One that died meanwhile is passed over.
    fn resume(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>>;

    /// Those of these nodes that would not open their disk when they were started last, and why.
    fn refusals(&mut self, _nodes: &Nodes) -> io::Result<Vec<Refusal>> {
        Ok(Vec::new())
    }
    /// Asks these nodes to stop in good order, all before any is waited for. One that does not within its
    /// time is killed; then it did not die of this fault. One that had died before is reported as it died.
    fn stop(&mut self, _nodes: &Nodes) -> io::Result<Vec<Death>> {
        unsupported("restart")
    }
    /// Has the others take the member in this seat out of the cluster. If they do, its process ends and its
    /// disk is emptied; if they refuse, or cannot be asked within a bounded time, nothing is done to it, and
    /// the removal says why. An outcome that nobody told is looked up.
    fn remove(&mut self, _node: NodeId) -> io::Result<(Removal, Vec<Death>)> {
        unsupported("membership")
    }
    /// Puts a new member into this seat, on an empty disk and at the same address, and makes it a voter.
    /// Nothing is done, and none returned, if the seat was never emptied.
    fn join(&mut self, _node: NodeId) -> io::Result<(Option<Joining>, Vec<Birth>)> {
        unsupported("membership")
    }
    /// Cuts the power of these nodes: they die, and of what was not synced any part is lost. A node that
    /// was dead before has nothing to lose.
    fn cut_power(&mut self, _nodes: &Nodes) -> io::Result<(Vec<Death>, BTreeMap<NodeId, Loss>)> {
        unsupported("power")
    }
    /// Lets one bit rot on the disk of each of these nodes, which are dead. A disk that holds nothing
    /// is passed over.
    fn rot(&mut self, _nodes: &Nodes) -> io::Result<BTreeMap<NodeId, Rot>> {
        unsupported("bit-flip")
    }
    /// The rotten bits of these nodes that somebody has read since they rotted.
    fn rot_read(&mut self, _nodes: &Nodes) -> io::Result<BTreeMap<NodeId, Rot>> {
        unsupported("bit-flip")
    }
    /// Empties the disks of these nodes, which are dead.
    fn wipe(&mut self, _nodes: &Nodes) -> io::Result<BTreeMap<NodeId, Loss>> {
        unsupported("wipe")
    }
    /// Makes this weather on these links, on which no other fault makes any.
    fn weather(&mut self, _links: &BTreeSet<Link>, _weather: Weather) -> io::Result<()> {
        unsupported("packets")
    }
    /// Ends the weather on these links, and tells what became of messages since it began.
    fn clear_up(&mut self, _links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, PacketCounts>> {
        unsupported("packets")
    }
    /// Puts the clocks of these nodes out, on which no other fault works, and reads them before and after.
    /// It outlives the process.
    fn skew(&mut self, _nodes: &Nodes, _skew: Skew) -> io::Result<BTreeMap<NodeId, ClockReading>> {
        unsupported("clock")
    }
    /// Sets the wall clocks of these nodes right, lets all their clocks run as time does, and reads them
    /// before and after. What a monotonic clock is ahead or behind by then stays: it never jumps.
    fn set_right(&mut self, _nodes: &Nodes) -> io::Result<BTreeMap<NodeId, ClockReading>> {
        unsupported("clock")
    }
    /// Brings this trouble upon the disks of these nodes. It outlives the process. Troubles of different
    /// kinds may meet on one disk, two of one kind do not.
    fn trouble(&mut self, _nodes: &Nodes, _trouble: Trouble) -> io::Result<()> {
        unsupported("trouble with disks")
    }
    /// Ends this trouble, and tells what it did.
    fn relieve(&mut self, _nodes: &Nodes, _trouble: Trouble) -> io::Result<BTreeMap<NodeId, DiskCounts>> {
        unsupported("trouble with disks")
    }
}

fn unsupported<T>(what: &str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("this world cannot do `{what}`")))
}
