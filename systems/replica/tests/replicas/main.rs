//! Three replicas in a box, each with a disk in memory. What clients are told is checked against what
//! happened, above all where the two could differ: crashes, lost leads, repeated messages.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod snapshots;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use raft::machine::Unreadable;
use raft::{
    Command, Entry, Envelope, Membership, Message, NodeId, Now, RequestId, Role, SessionId, StateMachine,
};
use replica::{Call, CallId, Config, Effects, Event, Failed, Halt, Outcome, Replica, Rule, Timer, Unknown};
use wal::{Identity, MemoryDisk, Operation};

/// Remembers all commands in order; a query asks for all of them.
#[derive(Default)]
struct Journal(Vec<String>);

impl StateMachine for Journal {
    type Query = ();
    type Reply = Vec<String>;
    type Frozen = std::vec::IntoIter<Bytes>;

    fn apply(&mut self, _: &Entry, command: &Command) -> Vec<String> {
        self.0.push(String::from_utf8(command.to_vec()).unwrap());
        self.0.clone()
    }

    fn membership(&mut self, _: &Entry, _: &Membership) -> Vec<String> {
        self.0.clone()
    }

    fn query(&self, (): &()) -> Vec<String> {
        self.0.clone()
    }

    fn freeze(&self) -> std::vec::IntoIter<Bytes> {
        // A piece may not be empty, and a line may.
        let pieces: Vec<Bytes> = self.0.iter().map(|line| Bytes::from(format!("{line}."))).collect();
        pieces.into_iter()
    }

    fn restore(&mut self, pieces: &mut dyn Iterator<Item = Bytes>) -> Result<(), Unreadable> {
        let line = |piece: Bytes| String::from_utf8(piece[..piece.len() - 1].to_vec()).unwrap();
        self.0 = pieces.map(line).collect();
        Ok(())
    }

    fn encode_reply(reply: &Vec<String>, out: &mut Vec<u8>) {
        let text = reply.join("\n");
        out.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        out.extend(text.as_bytes());
    }

    fn decode_reply(from: &mut Bytes) -> Result<Vec<String>, Unreadable> {
        let length = u32::from_le_bytes(from.split_to(4)[..].try_into().unwrap());
        let text = String::from_utf8(from.split_to(length as usize).to_vec()).unwrap();
        Ok(text.split_terminator('\n').map(str::to_owned).collect())
    }
}

struct Box3 {
    nodes: BTreeMap<NodeId, Option<Replica<Journal, MemoryDisk>>>,
    disks: BTreeMap<NodeId, MemoryDisk>,
    mail: VecDeque<Envelope>,
    /// All that was ever sent, delivered or not.
    sent: Vec<Envelope>,
    cut: BTreeSet<(NodeId, NodeId)>,
    now: Now,
    outcomes: BTreeMap<CallId, Outcome<Vec<String>>>,
    halts: Vec<(NodeId, Halt)>,
    /// Disks that do nothing until told otherwise.
    stuck: BTreeSet<NodeId>,
    next_call: u64,
    boots: u64,
    /// After how many entries a snapshot is taken.
    every: u64,
    segment: u64,
}

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

impl Box3 {
    fn new() -> Box3 {
        Box3::with_snapshots(u64::MAX)
    }

    fn with_snapshots(every: u64) -> Box3 {
        Box3::with_segments(every, 600)
    }

    fn with_segments(every: u64, segment: u64) -> Box3 {
        let ids = [N1, N2, N3];
        let mut world = Box3 {
            nodes: ids.iter().map(|id| (*id, None)).collect(),
            disks: ids.iter().map(|id| (*id, MemoryDisk::new())).collect(),
            mail: VecDeque::new(),
            sent: Vec::new(),
            cut: BTreeSet::new(),
            now: Now::default(),
            outcomes: BTreeMap::new(),
            halts: Vec::new(),
            stuck: BTreeSet::new(),
            next_call: 0,
            boots: 0,
            every,
            segment,
        };
        for id in ids {
            world.start(id);
        }
        world
    }

    fn start(&mut self, id: NodeId) {
        self.boots += 1;
        let identity =
            Identity { cluster: "box".into(), name: id.to_string(), node: id, members: Vec::new() };
        let mut config = Config::new(identity, Membership::of([N1, N2, N3]), SessionId(self.boots << 32));
        config.log.segment_size = self.segment;
        config.snapshots =
            Rule { entries: self.every, bytes: u64::MAX, small: u64::MAX, large: u64::MAX, piece: 40 };
        config.tail = raft::Tail { usual: 2, most: 5 };
        let mut effects = Effects::default();
        let disk = self.disks[&id].clone();
        let replica = Replica::open(config, Journal::default(), disk, self.now, &mut effects).unwrap();
        self.nodes.insert(id, Some(replica));
        self.carry_out(id, effects);
    }

    /// The power goes: what was not synced is gone.
    fn crash(&mut self, id: NodeId) {
        self.nodes.insert(id, None);
        self.disks[&id].cut_power(|| false);
    }

    fn advance(&mut self, by: Duration) {
        self.now.mono = self.now.mono.after(by);
    }

    fn step(&mut self, id: NodeId, event: Event<()>) {
        let Some(replica) = self.nodes.get_mut(&id).unwrap() else { return };
        let mut effects = Effects::default();
        replica.step(self.now, event, &mut effects);
        replica.flush(self.now, &mut effects);
        self.carry_out(id, effects);
    }

    fn carry_out(&mut self, id: NodeId, effects: Effects<Vec<String>>) {
        self.sent.extend(effects.send.iter().cloned());
        self.mail.extend(effects.send);
        for (call, outcome) in effects.reply {
            assert!(self.outcomes.insert(call, outcome).is_none(), "{call:?} is answered twice");
        }
        self.halts.extend(effects.halt.map(|halt| (id, halt)));
    }

    /// Delivers messages and lets disks work until nothing moves any more.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for id in [N1, N2, N3] {
                if self.stuck.contains(&id) || self.nodes[&id].is_none() {
                    continue;
                }
                if let Some((ticket, result)) = self.disks[&id].run_one() {
                    self.step(id, Event::Disk(ticket, result));
                    moved = true;
                }
            }
            if let Some(envelope) = self.mail.pop_front() {
                moved = true;
                if !self.cut.contains(&(envelope.from, envelope.to)) {
                    self.step(envelope.to, Event::Peer(envelope));
                }
            }
            if !moved {
                return;
            }
        }
        panic!("the box never falls silent");
    }

    fn elect(&mut self, id: NodeId) {
        self.advance(Duration::from_millis(600));
        self.step(id, Event::Timer(Timer::Raft(raft::Timer::Election)));
        self.settle();
        assert_eq!(self.replica(id).status().role, Role::Leader);
        self.heartbeat(id);
    }

    fn heartbeat(&mut self, id: NodeId) {
        self.step(id, Event::Timer(Timer::Raft(raft::Timer::Heartbeat)));
        self.settle();
    }

    fn replica(&self, id: NodeId) -> &Replica<Journal, MemoryDisk> {
        self.nodes[&id].as_ref().unwrap()
    }

    fn isolate(&mut self, id: NodeId) {
        for other in [N1, N2, N3].into_iter().filter(|other| *other != id) {
            self.cut.insert((id, other));
            self.cut.insert((other, id));
        }
    }

    fn call(&mut self, id: NodeId, call: Call<()>) -> CallId {
        self.next_call += 1;
        let name = CallId(self.next_call);
        self.step(id, Event::Call(name, call));
        name
    }

    fn write(&mut self, id: NodeId, text: &str) -> CallId {
        self.write_as(id, None, text)
    }

    fn write_as(&mut self, id: NodeId, request: Option<RequestId>, text: &str) -> CallId {
        self.call(id, Call::Write { request, command: Bytes::copy_from_slice(text.as_bytes()) })
    }

    /// So much time passes on a node that its calls have waited long enough.
    fn out_of_patience(&mut self, id: NodeId) {
        for _ in 0..50 {
            self.advance(Duration::from_millis(100));
            self.step(id, Event::Timer(Timer::Calls));
        }
    }

    /// Whether a command was in a message, or is in the log of a node.
    fn left(&self, text: &str) -> bool {
        let command = format!("{:?}", Bytes::copy_from_slice(text.as_bytes()));
        let log = |id: &NodeId| format!("{:?}", self.replica(*id).raft().log());
        self.sent.iter().any(|envelope| format!("{envelope:?}").contains(&command))
            || self.nodes.keys().any(|id| log(id).contains(&command))
    }

    fn outcome(&self, call: CallId) -> Option<&Outcome<Vec<String>>> {
        self.outcomes.get(&call)
    }

    fn journal(&self, id: NodeId) -> Vec<&str> {
        self.replica(id).machine().0.iter().map(String::as_str).collect()
    }
}

fn done(journal: &[&str]) -> Outcome<Vec<String>> {
    Outcome::Done(journal.iter().map(ToString::to_string).collect())
}

#[test]
fn a_write_and_a_read_are_answered_wherever_they_are_asked() {
    let mut world = Box3::new();
    world.elect(N1);
    for (id, text) in [(N1, "a"), (N2, "b"), (N3, "c")] {
        world.write(id, text);
        world.settle();
    }
    let read = world.call(N2, Call::Read(()));
    world.settle();
    assert_eq!(world.outcome(read), Some(&done(&["a", "b", "c"])));
    assert_eq!(world.outcome(CallId(2)), Some(&done(&["a", "b"])));
}

#[test]
fn nothing_is_acknowledged_before_a_quorum_has_it_on_disk() {
    let mut world = Box3::new();
    world.elect(N1);
    world.write(N1, "first");
    world.settle();
    world.stuck.extend([N2, N3]);
    let write = world.write(N1, "second");
    world.settle();
    assert_eq!(world.outcome(write), None, "only the leader's own disk has it");
    world.stuck.remove(&N2);
    world.settle();
    assert_eq!(world.outcome(write), Some(&done(&["first", "second"])));
}

#[test]
fn a_leader_with_a_stuck_disk_commits_through_its_followers() {
    let mut world = Box3::new();
    world.elect(N1);
    world.write(N1, "first");
    world.settle();
    world.stuck.insert(N1);
    let write = world.write(N1, "second");
    world.settle();
    assert_eq!(world.outcome(write), Some(&done(&["first", "second"])));
}

#[test]
fn a_vote_leaves_only_after_it_is_on_disk() {
    let mut world = Box3::new();
    world.stuck.insert(N2);
    world.isolate(N3);
    world.advance(Duration::from_millis(600));
    world.step(N1, Event::Timer(Timer::Raft(raft::Timer::Election)));
    world.settle();
    assert_eq!(world.replica(N1).status().role, Role::Candidate);
    world.crash(N2);
    world.start(N2);
    assert_eq!(world.replica(N2).raft().hard().vote, None, "it forgot, and nobody was told");
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_power_everywhere() {
    let mut world = Box3::new();
    world.elect(N1);
    let write = world.write(N1, "kept");
    world.settle();
    assert!(world.outcome(write).is_some());
    for id in [N1, N2, N3] {
        world.crash(id);
    }
    world.mail.clear();
    for id in [N1, N2, N3] {
        world.start(id);
    }
    world.elect(N2);
    let read = world.call(N3, Call::Read(()));
    world.settle();
    assert_eq!(world.outcome(read), Some(&done(&["kept"])));
}

/// The test above can fail: with disks that report a sync done and do nothing, the write is gone.
#[test]
fn disks_that_lie_about_sync_lose_what_was_acknowledged() {
    let mut world = Box3::new();
    world.elect(N1);
    world.disks.values().for_each(MemoryDisk::lie_about_sync);
    let write = world.write(N1, "lost");
    world.settle();
    assert_eq!(world.outcome(write), Some(&done(&["lost"])));
    for id in [N1, N2, N3] {
        world.crash(id);
    }
    world.mail.clear();
    for id in [N1, N2, N3] {
        world.start(id);
    }
    world.elect(N2);
    assert!(world.journal(N2).is_empty());
}

#[test]
fn without_a_leader_a_call_fails_at_once() {
    let mut world = Box3::new();
    let write = world.write(N1, "x");
    let read = world.call(N1, Call::Read(()));
    assert_eq!(world.outcome(write), Some(&Outcome::Failed(Failed::NoLeader)));
    assert_eq!(world.outcome(read), Some(&Outcome::Failed(Failed::NoLeader)));
}

#[test]
fn a_write_whose_leader_is_deposed_ends_unknown() {
    let mut world = Box3::new();
    world.elect(N1);
    world.write(N1, "first");
    world.settle();
    world.isolate(N1);
    let write = world.write(N1, "doubtful");
    world.settle();
    world.elect(N2);
    world.cut.clear();
    world.heartbeat(N2);
    assert_eq!(world.outcome(write), Some(&Outcome::Unknown(Unknown::LeaderChanged)));
    assert_eq!(world.journal(N1), ["first"]);
}

#[test]
fn a_forwarded_write_that_is_never_answered_ends_unknown() {
    let mut world = Box3::new();
    world.elect(N1);
    world.write(N2, "first");
    world.settle();
    world.isolate(N2);
    let write = world.write(N2, "sent into the void");
    let read = world.call(N2, Call::Read(()));
    world.settle();
    world.advance(Duration::from_secs(5));
    world.step(N2, Event::Timer(Timer::Calls));
    assert_eq!(world.outcome(write), Some(&Outcome::Unknown(Unknown::Timeout)));
    assert_eq!(world.outcome(read), Some(&Outcome::Failed(Failed::ReadTimeout)));
}

/// Of all calls whose time is up, only those are said not to have been sent that are in no message and in no
/// log, then and ever after.
#[test]
fn not_sent_is_said_of_what_never_left_and_of_nothing_else() {
    const NOT_SENT: Outcome<Vec<String>> = Outcome::Failed(Failed::NotSent);
    const TIMEOUT: Outcome<Vec<String>> = Outcome::Unknown(Unknown::Timeout);
    // n2 hears its leader and is not heard, so it has no session: what is asked of it waits there.
    let mut world = Box3::new();
    world.cut.insert((N2, N1));
    world.elect(N1);
    let waited = world.write(N2, "waited");
    world.settle();
    assert_eq!(world.outcome(waited), None);
    world.out_of_patience(N2);
    assert_eq!(world.outcome(waited), Some(&NOT_SENT));
    assert!(!world.left("waited"));
    // Under a client's own name it needs no session, and leaves at once, and is long under way.
    let request = Some(RequestId { session: SessionId(77), seq: 1 });
    let forwarded = world.write_as(N2, request, "forwarded");
    world.out_of_patience(N2);
    assert_eq!(world.outcome(forwarded), Some(&TIMEOUT));
    assert!(world.left("forwarded"));
    // The leader's own log is not *here* either.
    world.isolate(N1);
    let own = world.write_as(N1, Some(RequestId { session: SessionId(78), seq: 1 }), "own");
    world.out_of_patience(N1);
    assert_eq!(world.outcome(own), Some(&TIMEOUT));
    assert!(world.left("own"));
    // When all can talk again, those come to be executed of which nobody knew; the first is still nowhere.
    world.cut.clear();
    world.heartbeat(N1);
    let later = world.write(N2, "later");
    world.step(N2, Event::Timer(Timer::Calls)); // its session is asked for again
    world.settle();
    assert_eq!(world.outcome(later), Some(&done(&["own", "forwarded", "later"])));
    assert!(!world.left("waited"), "what was said not to have left has not");
}

#[test]
fn a_repeated_message_executes_nothing_twice() {
    let mut world = Box3::new();
    world.elect(N1);
    world.write(N2, "first");
    world.settle();
    let write = world.write(N2, "second");
    let forward = world.mail.iter().find(|envelope| matches!(envelope.message, Message::Forward { .. }));
    let again = forward.unwrap().clone();
    world.mail.push_back(again);
    world.settle();
    assert_eq!(world.outcome(write), Some(&done(&["first", "second"])));
    assert_eq!(world.journal(N1), ["first", "second"]);
}

#[test]
fn a_client_that_asks_again_under_the_same_name_gets_the_same_answer() {
    let mut world = Box3::new();
    world.elect(N1);
    let request = Some(RequestId { session: SessionId(77), seq: 1 });
    let first = world.write_as(N1, request, "once");
    world.settle();
    let again = world.write_as(N2, request, "once");
    world.settle();
    assert_eq!(world.outcome(first), Some(&done(&["once"])));
    assert_eq!(world.outcome(again), Some(&done(&["once"])));
    assert_eq!(world.journal(N3).len(), 1);
    let unopened = Some(RequestId { session: SessionId(78), seq: 2 });
    let unknown = world.write_as(N1, unopened, "never");
    world.settle();
    assert_eq!(world.outcome(unknown), Some(&Outcome::Unknown(Unknown::Forgotten)));
}

#[test]
fn a_read_during_a_change_of_leader_fails_instead_of_lying() {
    let mut world = Box3::new();
    world.elect(N1);
    world.write(N1, "old");
    world.settle();
    world.isolate(N1);
    world.elect(N2);
    world.write(N2, "new");
    world.settle();
    let read = world.call(N1, Call::Read(()));
    world.settle();
    assert_eq!(world.outcome(read), None, "a deposed leader does not answer");
    world.cut.clear();
    world.heartbeat(N2);
    assert_eq!(world.outcome(read), Some(&Outcome::Failed(Failed::LeaderChanged)));
}

#[test]
fn a_stale_read_is_answered_at_once_by_anyone() {
    let mut world = Box3::new();
    let read = world.call(N3, Call::Stale(()));
    assert_eq!(world.outcome(read), Some(&done(&[])));
}

#[test]
fn a_failed_sync_stops_the_node_and_leaves_its_calls_unknown() {
    let mut world = Box3::new();
    world.elect(N1);
    world.write(N1, "first");
    world.settle();
    world.disks[&N1].fail(Operation::Sync, 0, std::io::ErrorKind::Other);
    world.isolate(N1);
    let write = world.write(N1, "doubtful");
    world.settle();
    assert!(matches!(world.halts.as_slice(), [(N1, Halt::Disk(_))]), "{:?}", world.halts);
    assert_eq!(world.outcome(write), Some(&Outcome::Unknown(Unknown::Halted)));
    let later = world.write(N1, "too late");
    assert_eq!(world.outcome(later), Some(&Outcome::Failed(Failed::Halted)));
}

#[test]
fn too_many_waiting_calls_are_refused() {
    let mut world = Box3::new();
    world.elect(N1);
    world.write(N1, "first");
    world.settle();
    world.isolate(N1);
    let calls: Vec<CallId> = (0..8193).map(|_| world.call(N1, Call::Read(()))).collect();
    assert_eq!(world.outcome(calls[8191]), None);
    assert_eq!(world.outcome(calls[8192]), Some(&Outcome::Failed(Failed::Busy)));
}

/// A client asks again under one name, and what arrives in the same turn is the refusal of its first
/// attempt. Whatever it is told then, failed means that nothing is executed.
#[test]
fn a_write_that_is_refused_in_its_own_turn_is_not_proposed_after_all() {
    let mut world = Box3::new();
    world.elect(N1);
    let request = RequestId { session: SessionId(77), seq: 1 };
    let call = Call::Write { request: Some(request), command: Bytes::from_static(b"again") };
    let refusal = Message::Refused { ids: vec![request], why: raft::Refusal::NotLeader };
    let refusal = Envelope { from: N2, to: N1, term: world.replica(N1).status().term, message: refusal };
    let (now, mut effects) = (world.now, Effects::default());
    let leader = world.nodes.get_mut(&N1).unwrap().as_mut().unwrap();
    leader.step(now, Event::Call(CallId(1), call), &mut effects);
    leader.step(now, Event::Peer(refusal), &mut effects);
    leader.flush(now, &mut effects);
    world.carry_out(N1, effects);
    world.settle();
    assert_eq!(world.outcome(CallId(1)), Some(&Outcome::Failed(Failed::LeaderChanged)));
    assert!(world.journal(N1).is_empty());
}

/// The old leader has restarted and leads no more; n2 does not know it yet. It must not do nothing but
/// ask, be refused, and ask again.
#[test]
fn a_session_that_is_not_opened_is_asked_for_again_in_good_time_only() {
    let mut world = Box3::new();
    world.cut.insert((N2, N1));
    world.elect(N1);
    world.crash(N1);
    world.start(N1);
    world.cut.clear();
    let write = world.write(N2, "patient");
    world.step(N2, Event::Timer(Timer::Calls));
    world.settle();
    assert_eq!(world.outcome(write), None);
    world.elect(N3);
    let later = world.write(N2, "later");
    world.settle();
    assert_eq!(world.outcome(later), Some(&done(&["later"])));
}

/// A leader that gives the lead away takes nothing in, which is over soon. What it refuses made no log longer.
#[test]
fn a_session_whose_opening_was_refused_is_asked_for_as_soon_as_before() {
    let mut world = Box3::new();
    world.cut.insert((N2, N1));
    world.elect(N1);
    world.cut.clear();
    world.stuck.insert(N3);
    world.cut.insert((N1, N3));
    world.write(N1, "what N3 lacks");
    world.settle();
    world.call(N1, Call::Transfer(Some(N3)));
    let mut write = world.write(N2, "patient");
    for tenth in 0..48 {
        if tenth % 20 == 0 {
            write = world.write(N2, "patient");
        }
        world.advance(Duration::from_millis(100));
        world.step(N2, Event::Timer(Timer::Calls));
        world.settle();
    }
    assert_eq!(world.outcome(write), None, "nobody may open a session meanwhile");
    world.step(N1, Event::Timer(Timer::Raft(raft::Timer::Transfer)));
    for _ in 0..2 {
        world.advance(Duration::from_millis(100));
        world.step(N2, Event::Timer(Timer::Calls));
        world.settle();
        world.heartbeat(N1);
    }
    assert!(matches!(world.outcome(write), Some(Outcome::Done(_))), "{:?}", world.outcome(write));
}

/// Each opening of a session is an entry of the log. The leader has n2's, and nothing of its log can be committed,
/// since only n2 has a disk that works. To ask ten times a second would make the log longer, and nothing else.
#[test]
fn a_session_that_the_leader_cannot_open_yet_is_asked_for_less_and_less_often() {
    let mut world = Box3::new();
    world.cut.insert((N2, N1));
    world.elect(N1);
    world.cut.clear();
    world.stuck.extend([N1, N3]);
    let last = |world: &Box3| world.replica(N1).status().last.index.0;
    let before = last(&world);
    let mut asked = Vec::new();
    for tenth in 0..600 {
        if tenth % 40 == 0 {
            world.write(N2, "patient");
        }
        world.advance(Duration::from_millis(100));
        world.step(N2, Event::Timer(Timer::Calls));
        world.settle();
        asked.push(last(&world) - before);
    }
    assert!(asked[9] >= 2, "what was lost on its way is asked for again: {} in the first second", asked[9]);
    assert!(asked[599] <= 60, "{} entries that open one session", asked[599]);
    world.stuck.clear();
    world.settle();
    world.heartbeat(N1);
    let write = world.write(N2, "open");
    world.settle();
    assert_eq!(world.replica(N1).machine().0.last().map(String::as_str), Some("open"));
    assert!(matches!(world.outcome(write), Some(Outcome::Done(_))));
}
