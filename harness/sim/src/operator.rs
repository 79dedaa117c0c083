//! Whoever runs the cluster: he replaces members, gives learners their vote, and asks for another leader.
//!
//! He knows what is committed, as somebody does who asks for the list of members, and has one request out at a time.
//! What he does follows from what he sees, not from what he did before; so an answer that is lost confuses nobody:
//! 1. who was removed is switched off, after a while: until then it goes about and disturbs;
//! 2. a number that was given away for a vacant seat gets a new machine there, with an empty disk; one that nobody
//!    waits for is removed again;
//! 3. a seat that [shall be emptied](Operator::empty) loses its member, and so does one whose disk is damaged for good:
//!    a node that lost its past comes back as another, under another number;
//! 4. learners become voters, one by one or all in one step.
//!
//! And if there is nothing to do, he may have a wish of his own: another leader, a voter that only learns for a while, a
//! member replaced in one step. Wishes come when everything is in order, faults or not.
//!
//! One thing he never asks for: a membership that could not decide anything with the disks that are sound. The leader
//! refuses that too, but it goes by who was heard of lately, and does not see what rots.

use std::collections::BTreeSet;

use bytes::Bytes;
use nemesis::NodeId as Seat;
use raft::{Change, Membership, NodeId};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use replica::{Call, CallId, Outcome};

use crate::node::Standing;
use crate::world::{World, place, seat};

/// The cluster that is run.
type Cluster = World<kv::Store>;

/// How often he looks.
pub(crate) const LOOK: u64 = 50_000_000;
/// How long he waits for an answer.
const PATIENCE: u64 = 2_000_000_000;
/// How long a change that nobody answered may still be under way.
const DOUBT: u64 = 10_000_000_000;
/// Names from here on are those of his calls.
const FIRST_CALL: u64 = 1 << 48;

/// Whoever runs the cluster.
pub(crate) struct Operator {
    dice: ChaCha8Rng,
    calls: u64,
    asked: Option<Asked>,
    /// Seats that shall be empty.
    emptied: BTreeSet<usize>,
    /// Since when each of these was seen to be removed and is still there, and when it is switched off.
    lingering: Vec<Option<u64>>,
    /// How often he wishes for something, in nanoseconds; and when he does next.
    wishes: Option<(u64, u64)>,
    /// Nothing is wished for any more, and nothing lingers.
    hurries: bool,
}

struct Asked {
    call: CallId,
    until: u64,
}

/// What is to be done.
enum Todo {
    Change(Vec<Change>),
    Transfer(Option<NodeId>),
}

impl Operator {
    /// One who wishes for something about so often, if ever.
    pub(crate) fn new(seats: usize, wishes: Option<u64>, dice: ChaCha8Rng) -> Operator {
        let wishes = wishes.map(|every| (every.max(LOOK), 0));
        Operator {
            dice,
            calls: FIRST_CALL,
            asked: None,
            emptied: BTreeSet::new(),
            lingering: vec![None; seats],
            wishes,
            hurries: false,
        }
    }

    /// From now on this seat shall be empty.
    pub(crate) fn empty(&mut self, seat: Seat) {
        self.emptied.insert(place(seat));
    }

    /// Somebody shall sit there again.
    pub(crate) fn fill(&mut self, seat: Seat) {
        self.emptied.remove(&place(seat));
    }

    /// Whether somebody is at work on this seat.
    pub(crate) fn is_at(&self, seat: Seat, world: &Cluster) -> bool {
        let vacant = world.nodes[place(seat)].standing == Standing::Vacant;
        vacant || self.emptied.contains(&place(seat)) || self.lingering[place(seat)].is_some()
    }

    /// From now on he only brings everything into order.
    pub(crate) fn hurry(&mut self) {
        self.hurries = true;
        self.emptied.clear();
    }

    /// How many things are out of order.
    pub(crate) fn undone(world: &Cluster) -> u64 {
        let members = &world.members.1;
        let out_of_order = |(at, node): (usize, &crate::node::Node<kv::Store>)| {
            let vacant = node.standing == Standing::Vacant;
            u64::from(!members.voters().contains(node.id)) + u64::from(vacant || Operator::is_lost(world, at))
        };
        let seats: u64 = world.nodes.iter().enumerate().map(out_of_order).sum();
        let strangers = members.nodes().into_iter().filter(|id| world.seat_of(*id).is_none()).count() as u64;
        seats + strangers + u64::from(members.is_joint())
    }

    /// An answer, if it is to one of his calls.
    pub(crate) fn hear(&mut self, world: &mut Cluster, call: CallId, outcome: &Outcome<kv::Reply>) -> bool {
        if call.0 < FIRST_CALL {
            return false;
        }
        world.tell(|| format!("the operator hears {outcome:?}"));
        if self.asked.as_ref().is_some_and(|asked| asked.call == call) {
            self.asked = None;
            match outcome {
                Outcome::Unknown(_) => {}
                Outcome::Leads(_) => world.coverage.transfers += 1,
                _ => world.unsure_until = 0,
            }
        }
        true
    }

    /// Looks around, and does or asks for one thing.
    pub(crate) fn look(&mut self, world: &mut Cluster) {
        self.switch_off(world);
        Operator::seat_new_members(world);
        let now = world.now;
        if self.asked.take_if(|asked| asked.until <= now).is_some() {
            world.tell(|| "the operator hears nothing".to_owned());
        }
        if self.asked.is_none()
            && let Some(todo) = self.todo(world)
        {
            self.ask(world, todo);
        }
    }

    fn switch_off(&mut self, world: &mut Cluster) {
        for at in 0..world.nodes.len() {
            let node = &world.nodes[at];
            let left = node.standing != Standing::Vacant && world.members.1.removed(node.id);
            if !left {
                self.lingering[at] = None;
                continue;
            }
            // Now and then nobody hurries, and it goes about for a while.
            let until = *self.lingering[at].get_or_insert_with(|| {
                let stays = self.dice.random_ratio(1, 3);
                world.now + if stays { self.dice.random_range(0..3_000_000_000) } else { 0 }
            });
            if until <= world.now || self.hurries {
                self.lingering[at] = None;
                world.vacate(at);
            }
        }
    }

    fn seat_new_members(world: &mut Cluster) {
        let members = world.members.1.clone();
        for at in 0..world.nodes.len() {
            if world.nodes[at].standing == Standing::Vacant
                && let Some(id) = newcomer(&members, world, at)
            {
                world.take_seat(at, id);
            }
        }
    }

    /// Whether the disk there is damaged for good, and found out.
    fn is_lost(world: &Cluster, at: usize) -> bool {
        matches!(world.nodes[at].standing, Standing::Refused(_))
    }

    fn todo(&mut self, world: &Cluster) -> Option<Todo> {
        let members = &world.members.1;
        if members.is_joint() {
            return None; // its leader ends that
        }
        let duty = self.duty(world, members);
        let changes = match duty {
            Some(changes) => changes,
            None => match self.wish(world, members)? {
                Todo::Change(changes) => changes,
                transfer @ Todo::Transfer(_) => return Some(transfer),
            },
        };
        let next = members.change(&changes).ok()?;
        next.decide(&world.sound()).then_some(Todo::Change(changes))
    }

    /// What has to be done.
    fn duty(&mut self, world: &Cluster, members: &Membership) -> Option<Vec<Change>> {
        let waits_for = |at: usize| world.nodes[at].standing == Standing::Vacant;
        let stranger = members.nodes().into_iter().find(|id| {
            world.seat_of(*id).is_none() && !seats(world).any(|at| newcomer(members, world, at) == Some(*id))
        });
        if let Some(id) = stranger {
            return Some(vec![Change::Remove(id)]);
        }
        // Half of the seats have a voter at any time, and one more; who is lost is no loss.
        let enough = members.voters().len() > world.nodes.len() / 2 + 1;
        let leaves = |at: &usize| {
            let wanted = (enough && self.emptied.contains(at)) || Operator::is_lost(world, *at);
            wanted && !waits_for(*at) && members.contains(world.nodes[*at].id)
        };
        if let Some(at) = seats(world).find(leaves) {
            return Some(vec![Change::Remove(world.nodes[at].id)]);
        }
        if let Some(at) = seats(world).find(|at| waits_for(*at) && !self.emptied.contains(at)) {
            let context = name_of(at);
            let votes = self.dice.random_ratio(1, 8);
            return Some(vec![if votes {
                Change::AddVoter { context }
            } else {
                Change::AddLearner { context }
            }]);
        }
        let learners: Vec<Change> = members.learners().iter().map(|id| Change::Promote(*id)).collect();
        // A learner that is to vote again may learn for a while.
        let patient = !self.hurries && self.dice.random_ratio(3, 4);
        match learners.len() {
            0 => None,
            _ if patient => None,
            1 => Some(learners),
            _ if self.dice.random_ratio(1, 2) => Some(learners),
            _ => Some(learners[..1].to_vec()),
        }
    }

    /// What is asked for without need, now and then, if everything is in order.
    fn wish(&mut self, world: &Cluster, members: &Membership) -> Option<Todo> {
        let (every, next) = self.wishes.as_mut().filter(|_| !self.hurries)?;
        if world.now < *next {
            return None;
        }
        *next = world.now + self.dice.random_range(*every / 2..*every * 2);
        let in_order = Operator::undone(world) == 0 && self.emptied.is_empty();
        let mut voters: Vec<NodeId> = members.voters().iter().collect();
        let dice = &mut self.dice;
        let one = *voters.choose(dice)?;
        let kind = dice.random_range(0..10);
        if kind < 5 || !in_order || voters.len() < 3 {
            return Some(Todo::Transfer(dice.random_ratio(7, 8).then_some(one)));
        }
        let context = name_of(world.seat_of(one)?);
        voters.retain(|voter| *voter != one);
        let other = *voters.choose(dice)?;
        Some(Todo::Change(match kind {
            5 | 6 => vec![Change::Demote(one)],
            7 if voters.len() > 2 => vec![Change::Demote(one), Change::Demote(other)],
            7 | 8 => vec![Change::Remove(one), Change::AddVoter { context }],
            _ => vec![Change::Remove(one), Change::AddLearner { context }],
        }))
    }

    fn ask(&mut self, world: &mut Cluster, todo: Todo) {
        let leader = world.leader();
        let alive: Vec<usize> = seats(world).filter(|at| world.nodes[*at].lives()).collect();
        let anybody = alive.choose(&mut self.dice).copied();
        let (at, call) = match todo {
            Todo::Transfer(to) => (leader, Call::Transfer(to)),
            Todo::Change(changes) => {
                let at = if self.dice.random_ratio(1, 2) { leader.or(anybody) } else { anybody };
                world.unsure_until = world.now + DOUBT;
                (at, Call::Change(changes))
            }
        };
        let Some(at) = at else { return };
        self.calls += 1;
        let name = CallId(self.calls);
        world.tell(|| format!("the operator asks {} for {call:?}", world_name(at)));
        world.call(at, name, call);
        self.asked = Some(Asked { call: name, until: world.now + PATIENCE });
    }

    /// Nobody listened there.
    pub(crate) fn refused(&mut self, call: CallId) -> bool {
        let his = call.0 >= FIRST_CALL;
        if his {
            self.asked = self.asked.take_if(|asked| asked.call != call);
        }
        his
    }

    /// How soon he looks again.
    pub(crate) fn rests(&mut self) -> u64 {
        LOOK + u64::from(self.dice.next_u32() % 20_000_000)
    }
}

fn seats(world: &Cluster) -> std::ops::Range<usize> {
    0..world.nodes.len()
}

fn world_name(at: usize) -> String {
    format!("whoever sits at {}", seat(at))
}

/// What members are told of a seat: where it is.
fn name_of(at: usize) -> Bytes {
    Bytes::from(seat(at).to_string())
}

/// The member that was added for this seat and has not taken it: the latest, if there are several.
fn newcomer(members: &Membership, world: &Cluster, at: usize) -> Option<NodeId> {
    if world.nodes[at].standing != Standing::Vacant {
        return None;
    }
    let name = name_of(at);
    let added = |id: &NodeId| world.seat_of(*id).is_none() && members.context(*id) == Some(&name);
    members.nodes().into_iter().rfind(added)
}
