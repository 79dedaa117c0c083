//! Processes and machines: how they start, end, stand still, lose their disks, and give their seats to others.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::ops::Range;

use raft::script::What;
use raft::{EntryId, Index, Membership, NodeId, SessionId, StateMachine, Window};
use rand::{Rng, RngExt};
use replica::{Config, Effects, Event, OpenError, Replica, Wanted};
use wal::Identity;

use super::{Happening, Strobe, World, seat};
use crate::disk::SimDisk;
use crate::ending::Breach;
use crate::executions::INTERVAL;
use crate::network::Arrivals;
use crate::node::{Node, Standing, Waking};

/// What waited for a process that stood still takes so long, in nanoseconds.
const LATE: Range<u64> = 1_000_000..300_000_000;
/// If the power goes again while a node recovers, then within so many calls to its disk.
const RECOVERY_CALLS: u64 = 12;

impl<M: StateMachine<Reply: Hash>> World<M> {
    /// Starts a process on what the disk kept, unless one runs already or the disk was found damaged. Whether
    /// it was started.
    pub(crate) fn start_again(&mut self, place: usize) -> bool {
        let node = &self.nodes[place];
        if !node.can_start() {
            return false;
        }
        self.coverage.restarts += u64::from(node.boot > 0);
        let mut effects = Effects::default();
        let opened = self.open(place, &mut effects);
        match opened {
            Ok(mut replica) => {
                replica.keep_journal(Wanted {
                    inputs: self.known.moves.is_some(),
                    state: self.kind.state,
                    every: INTERVAL,
                });
                self.coverage.torn_tails += u64::from(replica.torn().is_some());
                if let Err(breach) = self.known.restarted(self.now, replica.raft()) {
                    self.see(breach);
                }
                self.lasts[place] = replica.raft().log().last();
                self.kept[place] = (replica.status().snapshot, replica.status().base);
                let node = &mut self.nodes[place];
                node.standing = Standing::Up;
                node.replica = Some(replica);
                node.busy_until = self.now;
                self.tell_state(place, "starts as");
                self.carry_out(place, effects);
                for (link, Arrivals { first, again }) in self.network.process_starts(self.now, seat(place)) {
                    self.note_arrivals(link, first.into_iter().chain(again));
                }
                true
            }
            Err(error) => {
                self.refuses(place, &error);
                false
            }
        }
    }

    /// A process opens the disk of this node, and recovers what is on it. Where the power has gone before, it may
    /// go again meanwhile: then another process tries.
    fn open(
        &mut self,
        place: usize,
        effects: &mut Effects<M::Reply>,
    ) -> Result<Replica<M, SimDisk>, OpenError> {
        loop {
            let config = self.config(place);
            let relapse = self.relapse(place);
            let node = &mut self.nodes[place];
            let id = node.id;
            node.clock = node.clock.restarted(self.now);
            node.boot += 1;
            node.refused_at_start = node.disk.refused();
            let now = node.clock.read(self.now);
            let disk = node.disk.clone();
            if let Some(calls) = relapse {
                disk.cut_after(Some(disk.calls() + calls));
            }
            *effects = Effects::default();
            let opened = Replica::open(config, (self.kind.new)(), disk.clone(), now, effects);
            if relapse.is_none() {
                return opened;
            }
            disk.cut_after(None);
            if !disk.is_cut() {
                return opened;
            }
            let lost = disk.cut_power();
            self.coverage.relapses += 1;
            self.tell(|| {
                format!(
                    "{id} loses its power again as it starts, {} bytes and {} names",
                    lost.bytes, lost.names
                )
            });
        }
    }

    /// After how many calls to its disk the power of a node goes again, if it went before and will go again
    /// before recovery is done with so many.
    fn relapse(&mut self, place: usize) -> Option<u64> {
        // At some time it stays.
        let percent = u32::from(self.constitution.settings.relapse.min(90));
        let lost_power = std::mem::take(&mut self.nodes[place].lost_power);
        let again = lost_power && self.whims.random_ratio(percent, 100);
        self.nodes[place].lost_power = again;
        again.then(|| self.whims.random_range(0..RECOVERY_CALLS))
    }

    fn refuses(&mut self, place: usize, error: &OpenError) {
        if self.nodes[place].disk.is_cut() {
            return self.power_fails(place);
        }
        // That process is over; what it was refused is nothing to the next.
        self.nodes[place].disk.kill();
        let (id, said) = (self.nodes[place].id, error.to_string());
        self.tell(|| format!("{id} does not start: {said}"));
        let node = &mut self.nodes[place];
        let disk = matches!(error, OpenError::Log(wal::OpenError::Disk(_)));
        node.standing = if disk { Standing::Dead } else { Standing::Refused(said.clone()) };
        self.coverage.refusals += u64::from(!disk);
        if !disk && !node.damaged {
            self.breach.get_or_insert(Breach::Refused { node: id, why: said });
        }
    }

    fn config(&mut self, place: usize) -> Config {
        let id = self.nodes[place].id;
        let identity =
            Identity { cluster: "sim".into(), name: id.to_string(), node: id, members: Vec::new() };
        // Who joined later waits to be made a member.
        let first = (1..=self.constitution.nodes).map(NodeId);
        let members =
            if id.0 <= self.constitution.nodes { Membership::of(first) } else { Membership::default() };
        let mut config = Config::new(identity, members, SessionId(self.sessions.next_u64()));
        let settings = &self.constitution.settings;
        config.log.segment_size = settings.segment_size;
        config.log.zeros_ahead = settings.zeros_ahead;
        config.heartbeat = settings.heartbeat;
        config.election = settings.election;
        config.patience = settings.patience;
        config.append = (settings.append, Window { messages: settings.window, bytes: 4 << 20 });
        if let Some((entries, usual, most, piece)) = settings.snapshots {
            config.snapshots = replica::Rule { entries, piece, ..config.snapshots };
            config.tail = raft::Tail { usual, most };
        }
        config.lease = settings.lease.map(|drift| raft::Lease { drift });
        config.bugs = self.constitution.bugs;
        config
    }

    /// A process ends, for whatever reason. Its disk has to be told separately how.
    pub(crate) fn end(&mut self, place: usize, standing: Standing) {
        let node = &mut self.nodes[place];
        let id = node.id;
        let fetches = node.replica.as_ref().is_some_and(Replica::fetches);
        self.coverage.cut_fetches += u64::from(fetches);
        node.end(standing);
        let messages = self.network.process_ends(seat(place));
        if messages > 0 {
            self.tell(|| format!("with {id} end {messages} messages that were under way"));
        }
        self.known.note(self.now, id, What::Ended);
        self.ended.push(place);
        self.digest.mix(&[self.now, 5, u64::from(id.0)]);
    }

    /// Asks a process to stop in good order: it ends what it has begun to write. Whether it ran, and could.
    pub(crate) fn close(&mut self, place: usize) -> bool {
        if self.nodes[place].standing != Standing::Up {
            return false;
        }
        let Some(replica) = self.nodes[place].replica.take() else { return false };
        let closed = replica.close().is_ok();
        if self.nodes[place].disk.is_cut() {
            self.power_fails(place);
        } else {
            self.end(place, Standing::Dead);
            self.nodes[place].disk.kill();
        }
        closed
    }

    /// A process that stood still goes on.
    pub(crate) fn resume(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if node.standing == Standing::Paused {
            node.standing = Standing::Up;
            node.busy_until = self.now;
            node.wakes = Some(Waking::draw(&mut self.whims));
            self.comes_late(place);
            self.plan_turn(place, self.now);
        }
    }

    /// Of what came to a process while it stood still, its sockets hold so much. The rest waits where it was sent, and
    /// takes a while once there is room again. So a node may wake up in a world that it alone still believes in.
    fn comes_late(&mut self, place: usize) {
        if self.whims.random_bool(0.5) {
            return;
        }
        let node = &mut self.nodes[place];
        let kept = self.whims.random_range(0..=node.inbox.len());
        let at = self.now + self.whims.random_range(LATE);
        // Its disk is its own: what that has to say is there.
        let (own, late): (Vec<_>, Vec<_>) =
            node.inbox.split_off(kept).into_iter().partition(|event| matches!(event, Event::Disk(..)));
        node.inbox.extend(own);
        let boot = node.boot;
        for event in late {
            self.agenda.note(at, Happening::Late { node: place, boot, event });
        }
        self.network.holds_up(seat(place), at);
    }

    /// The disk of a node is gone, with all that the node ever promised.
    pub(crate) fn lost_disk(&mut self, place: usize) {
        self.known.invariants.lost_disk(self.nodes[place].id);
        self.forget_disk(place, Standing::Dead);
    }

    fn forget_disk(&mut self, place: usize, standing: Standing) {
        self.lasts[place] = EntryId::default();
        self.kept[place] = (Index(0), Index(0));
        let node = &mut self.nodes[place];
        node.damaged = false;
        node.lost_power = false;
        node.standing = standing;
    }

    /// The machine in this seat is switched off for good, with its disk. Its number belongs to nobody else, so what it
    /// promised binds nobody.
    pub(crate) fn vacate(&mut self, place: usize) {
        if self.nodes[place].lives() {
            self.end(place, Standing::Dead);
        }
        self.nodes[place].disk.kill();
        self.nodes[place].disk.wipe();
        self.forget_disk(place, Standing::Vacant);
        let id = self.nodes[place].id;
        self.tell(|| format!("{id} is switched off for good"));
    }

    /// A new machine, with an empty disk, takes a vacant seat under the number that the cluster has given it.
    pub(crate) fn take_seat(&mut self, place: usize, id: NodeId) {
        let before = std::mem::replace(&mut self.nodes[place].id, id);
        self.tell(|| format!("{id} takes the seat of {before}"));
        self.nodes[place].standing = Standing::Dead;
        self.start_again(place);
    }

    /// The members that are there or will come back: whose disks are sound, as far as anybody knows.
    pub(crate) fn sound(&self) -> BTreeSet<NodeId> {
        let gone = |node: &&Node<M>| matches!(node.standing, Standing::Vacant | Standing::Refused(_));
        self.nodes.iter().filter(|node| !gone(node) && !node.damaged).map(|node| node.id).collect()
    }

    /// Whether the cluster can decide anything without the node in this seat, whichever members count.
    pub(crate) fn can_spare(&self, place: usize) -> bool {
        let mut rest = self.sound();
        rest.remove(&self.nodes[place].id);
        let believed = self.nodes.iter().filter_map(|node| node.replica.as_ref());
        let mut believed = believed.map(|replica| replica.raft().membership());
        let sure = self.now >= self.unsure_until;
        sure && self.members.1.decide(&rest) && believed.all(|members| members.decide(&rest))
    }

    /// From now on, the clocks of a node run so many percent too fast.
    pub(crate) fn drift(&mut self, place: usize, percent: i8) {
        self.nodes[place].clock.drift(self.now, percent);
        self.plan_timers(place);
    }

    /// From now on, and until it is set right, the wall clock of a node jumps to and fro.
    pub(crate) fn strobe(&mut self, place: usize, by: i64, every: u64) {
        self.end_strobe(place);
        let node = &mut self.nodes[place];
        node.clock.jump(by);
        let strobe = Strobe { turn: node.strobes, by: -by, every: every.max(1) };
        self.agenda.note(self.now + strobe.every, Happening::Strobe { node: place, strobe });
    }

    /// It jumps no more.
    pub(crate) fn end_strobe(&mut self, place: usize) {
        self.nodes[place].strobes += 1;
    }

    pub(super) fn on_strobe(&mut self, node: usize, strobe: Strobe) {
        let known = &mut self.nodes[node];
        if known.strobes == strobe.turn {
            known.clock.jump(strobe.by);
            let next = Strobe { by: -strobe.by, ..strobe };
            self.agenda.note(self.now + strobe.every, Happening::Strobe { node, strobe: next });
        }
    }
}
