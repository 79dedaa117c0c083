//! Where a fault becomes a few assignments.
//!
//! Each method does in a simulated world what signals, proxies and disks of the runner do in the real one, and
//! leaves the same evidence. Process numbers are made of the node's number and how often it was started.
//!
//! One thing is the world's own: it never lets more nodes find their disks damaged than the others can do
//! without. A node with a hole in its log refuses to start, and rightly so; if a majority did, no cluster
//! could go on, and nothing would be learned from that.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::io;

use nemesis::evidence::{
    Birth, ClockReading, Death, DiskCounts, LinkCounts, Loss, Offsets, PacketCounts, ProcessState, Refusal,
    Rot,
};
use nemesis::fault::Trouble;
use nemesis::{Link, NodeId, Nodes, Pace, Sever, Skew, Target, Weather};
use raft::StateMachine;
use rand::RngExt;

use crate::disk::Failing;
use crate::node::{Node, Standing};
use crate::rot;
use crate::world::{World, place};

/// A message in the simulator has no size; what a cut held is counted as if each had this one.
const MESSAGE: u64 = 64;

/// The how-manieth bit of which file.
fn as_rot((file, bit): (String, u64)) -> Rot {
    Rot { file, byte: bit / 8, bit: u8::try_from(bit % 8).expect("a byte has eight bits") }
}

impl<M: StateMachine<Reply: Hash>> World<M> {
    fn node(&self, id: NodeId) -> &Node<M> {
        &self.nodes[place(id)]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<M> {
        &mut self.nodes[place(id)]
    }

    pub(crate) fn pid(&self, id: NodeId) -> u32 {
        u32::from(id.0) * 100_000 + self.node(id).boot
    }

    fn strike(&mut self, id: NodeId, status: &str) -> Death {
        let (pid, node) = (self.pid(id), self.node(id));
        let killed = node.lives();
        let status = match &node.standing {
            Standing::Halted(_) => "exit 3",
            Standing::Refused(_) => "exit 1",
            _ => status,
        };
        if killed {
            self.end(place(id), Standing::Dead);
        }
        Death { node: id, pid, status: status.to_owned(), killed }
    }

    fn offsets(&self, id: NodeId) -> Offsets {
        let clock = &self.node(id).clock;
        Offsets { wall: clock.offset(), mono: clock.ahead(self.now) }
    }

    /// Changes the clocks of these nodes, and reads them before and after.
    fn read_around(
        &mut self,
        nodes: &Nodes,
        mut change: impl FnMut(&mut World<M>, NodeId),
    ) -> BTreeMap<NodeId, ClockReading> {
        let read = |id: &NodeId| {
            let before = self.offsets(*id);
            let node = self.node(*id);
            let (jumps, since) = (node.clock.jumps(), node.clock_read);
            let (stamps, timers) = (node.stamped - since.0, node.ran_out - since.1);
            change(self, *id);
            (*id, ClockReading { before, after: self.offsets(*id), jumps, stamps, timers })
        };
        nodes.iter().map(read).collect()
    }

    /// Whether one more node may find its disk damaged, or is one of those that may already.
    fn may_rot(&self, id: NodeId) -> bool {
        let damaged = |(at, node): (usize, &Node<M>)| node.damaged && at != place(id);
        let others = self.nodes.iter().enumerate().filter(|node| damaged(*node)).count();
        others < (self.nodes.len() - 1) / 2 && self.can_spare(place(id))
    }

    /// Starts whoever is not running and may, lets go on whoever stands still, and makes links quick: the end of
    /// all faults, and of circumstances that are as good as one.
    pub(crate) fn mend_all(&mut self) {
        self.calm();
        for place in 0..self.nodes.len() {
            self.resume(place);
            self.start_again(place);
        }
    }
}

impl<M: StateMachine<Reply: Hash>> Target for World<M> {
    fn sever(&mut self, links: &BTreeSet<Link>, how: Sever) -> io::Result<()> {
        self.network.sever(links, how);
        Ok(())
    }

    fn mend(&mut self, links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, LinkCounts>> {
        let mut counts = BTreeMap::new();
        for link in links {
            let (arrivals, stopped) = self.network.mend(self.now, *link);
            self.note_arrivals(*link, arrivals);
            let bytes = stopped.held * MESSAGE;
            let kept = LinkCounts {
                refused: stopped.refused,
                held: u64::from(bytes > 0),
                bytes,
                ..LinkCounts::default()
            };
            counts.insert(*link, kept);
        }
        Ok(counts)
    }

    fn kill(&mut self, nodes: &Nodes) -> io::Result<Vec<Death>> {
        Ok(nodes
            .iter()
            .map(|id| {
                let death = self.strike(*id, "signal 9");
                if death.killed {
                    self.node(*id).disk.kill();
                }
                death
            })
            .collect())
    }

    fn restart(&mut self, nodes: &Nodes) -> io::Result<Vec<Birth>> {
        let started: Vec<NodeId> = nodes.iter().copied().filter(|id| self.start_again(place(*id))).collect();
        Ok(started.into_iter().map(|node| Birth { node, pid: self.pid(node) }).collect())
    }

    fn stop(&mut self, nodes: &Nodes) -> io::Result<Vec<Death>> {
        let stop = |id: &NodeId| {
            let pid = self.pid(*id);
            if self.close(place(*id)) {
                return Death { node: *id, pid, status: "exit 0".to_owned(), killed: true };
            }
            self.strike(*id, "exit 1")
        };
        Ok(nodes.iter().map(stop).collect())
    }

    fn pause(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        for id in nodes {
            let node = self.node_mut(*id);
            if node.standing == Standing::Up {
                node.standing = Standing::Paused;
            }
        }
        self.states(nodes)
    }

    fn states(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        let state = |id: &NodeId| {
            let state = match self.node(*id).standing {
                Standing::Up => 'S',
                Standing::Paused => ProcessState::STOPPED,
                Standing::Dead | Standing::Halted(_) | Standing::Refused(_) | Standing::Vacant => {
                    return None;
                }
            };
            Some(ProcessState { node: *id, pid: self.pid(*id), state })
        };
        Ok(nodes.iter().filter_map(state).collect())
    }

    fn resume(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        for id in nodes {
            World::resume(self, place(*id));
        }
        self.states(nodes)
    }

    fn refusals(&mut self, nodes: &Nodes) -> io::Result<Vec<Refusal>> {
        let said = |id: &NodeId| match &self.node(*id).standing {
            Standing::Refused(words) => Some(Refusal { node: *id, words: words.clone() }),
            _ => None,
        };
        Ok(nodes.iter().filter_map(said).collect())
    }

    fn cut_power(&mut self, nodes: &Nodes) -> io::Result<(Vec<Death>, BTreeMap<NodeId, Loss>)> {
        let (mut deaths, mut losses) = (Vec::new(), BTreeMap::new());
        for id in nodes {
            let death = self.strike(*id, "power cut");
            if death.killed {
                let lost = self.node(*id).disk.cut_power();
                self.node_mut(*id).lost_power = true;
                losses.insert(*id, Loss { bytes: lost.bytes, names: lost.names });
            }
            deaths.push(death);
        }
        Ok((deaths, losses))
    }

    fn rot(&mut self, nodes: &Nodes) -> io::Result<BTreeMap<NodeId, Rot>> {
        let mut rotten = BTreeMap::new();
        for id in nodes {
            if !self.may_rot(*id) {
                continue;
            }
            let node = self.node(*id);
            if let Some(rotten_bit) = node.disk.flip_bit(rot::spared(&node.disk, node.damaged)) {
                self.node_mut(*id).damaged = true;
                rotten.insert(*id, as_rot(rotten_bit));
            }
        }
        Ok(rotten)
    }

    fn rot_read(&mut self, nodes: &Nodes) -> io::Result<BTreeMap<NodeId, Rot>> {
        let read = |id: &NodeId| Some((*id, as_rot(self.node(*id).disk.rot_read()?)));
        Ok(nodes.iter().filter_map(read).collect())
    }

    fn wipe(&mut self, nodes: &Nodes) -> io::Result<BTreeMap<NodeId, Loss>> {
        let mut losses = BTreeMap::new();
        for id in nodes {
            let image = self.node(*id).disk.image();
            let bytes = image.values().map(|file| file.len() as u64).sum();
            losses.insert(*id, Loss { bytes, names: image.len() as u64 });
            self.node(*id).disk.wipe();
            self.lost_disk(place(*id));
        }
        Ok(losses)
    }

    fn weather(&mut self, links: &BTreeSet<Link>, weather: Weather) -> io::Result<()> {
        for link in links {
            self.network.weather(*link, Some(weather));
        }
        Ok(())
    }

    fn clear_up(&mut self, links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, PacketCounts>> {
        let counts = links.iter().map(|link| {
            let traffic = self.network.weather(*link, None);
            let counts = PacketCounts {
                lost: traffic.lost,
                duplicated: traffic.repeated,
                delayed: traffic.delayed,
                overtaken: traffic.overtaken,
            };
            (*link, counts)
        });
        Ok(counts.collect())
    }

    fn skew(&mut self, nodes: &Nodes, skew: Skew) -> io::Result<BTreeMap<NodeId, ClockReading>> {
        for id in nodes {
            let node = self.node_mut(*id);
            node.clock_read = (node.stamped, node.ran_out);
        }
        Ok(self.read_around(nodes, |world, id| match skew {
            Skew::Jump { by } => world.node_mut(id).clock.jump(by.0),
            Skew::Drift { percent } => world.drift(place(id), percent),
            Skew::Strobe { by, every } => world.strobe(place(id), by.0, every.0),
        }))
    }

    fn set_right(&mut self, nodes: &Nodes) -> io::Result<BTreeMap<NodeId, ClockReading>> {
        Ok(self.read_around(nodes, |world, id| {
            let usual = world.node(id).clock.usual_drift();
            world.drift(place(id), usual);
            world.end_strobe(place(id));
            world.node_mut(id).clock.set_right();
        }))
    }

    fn trouble(&mut self, nodes: &Nodes, trouble: Trouble) -> io::Result<()> {
        for id in nodes {
            // Folders are changed rarely, so they fail in one case of three.
            let folder = trouble == Trouble::FailedSync && self.whims.random_ratio(1, 3);
            let failing = if folder { Failing::Folder } else { Failing::File };
            let node = self.node_mut(*id);
            node.counted = (node.disk.slowed(), node.disk.refused());
            match trouble {
                Trouble::Slow(Pace::Sync(span)) => node.disk.slow(Some(span.duration())),
                Trouble::Slow(Pace::Stuck) => node.disk.stick(),
                Trouble::Full => node.disk.fill(true),
                Trouble::FailedSync => node.disk.fail_next(Some(failing)),
            }
        }
        Ok(())
    }

    fn relieve(&mut self, nodes: &Nodes, trouble: Trouble) -> io::Result<BTreeMap<NodeId, DiskCounts>> {
        let mut counts = BTreeMap::new();
        for id in nodes {
            let now = self.now;
            let node = self.node_mut(*id);
            match trouble {
                Trouble::Slow(Pace::Sync(_)) => node.disk.slow(None),
                Trouble::Slow(Pace::Stuck) => {
                    let done = node.disk.release(now);
                    self.note_disk(place(*id), done);
                }
                Trouble::Full => node.disk.fill(false),
                Trouble::FailedSync => node.disk.fail_next(None),
            }
            let node = self.node(*id);
            let (slowed, refused) =
                (node.disk.slowed() - node.counted.0, node.disk.refused() - node.counted.1);
            let counted = match trouble {
                Trouble::Slow(_) => DiskCounts { slowed, ..DiskCounts::default() },
                Trouble::Full | Trouble::FailedSync => {
                    DiskCounts { errors: refused, ..DiskCounts::default() }
                }
            };
            counts.insert(*id, counted);
        }
        Ok(counts)
    }
}
