//! Snapshots: taken, given, fetched, installed.
//!
//! # Taken
//! Now and then ([`Rule`]) the state machine is frozen between two entries, and the session table with it: whoever
//! takes on the state must know which requests made it. The frozen state is written piece by piece, the next when the
//! one before is on its way to the disk, so that what the log has to write waits for one piece at most. When the file
//! survives a crash the core is told, and the log gives up what the core gives up: its memory at once, its files before
//! the next write. The snapshot before is removed, unless somebody fetches it.
//!
//! # Given and fetched
//! A follower that is offered a snapshot asks for it piece by piece, each with the byte it begins with, and has never
//! more than one question out. A piece that is not the answer to it is ignored, so nothing depends on the order in
//! which they arrive, and one that was lost is asked for again after a while ([`AGAIN`]). The file is written as a
//! draft, looked at as a whole, and named; then the core is told, and begins anew behind it.
//!
//! Another offer replaces a fetch under way only if that is stuck, or is not to be had any more. Otherwise a state
//! that takes long to fetch would never arrive, since there is always a newer one. An *older* offer replaces a stuck
//! fetch as well: who had the newer one may be gone for good, and who leads now never had it.
//!
//! # Rot
//! A node looks at a piece before it gives it away. If its snapshot has rotted on the disk, it takes another at once, of
//! the state it has in memory; otherwise a follower would fetch the same damage again and again. Who finds its own
//! snapshot rotten when it starts has no such state, and does not start.
//!
//! # When the disk is full
//! A draft that cannot be written is given up, and the node lives on. A snapshot of its own is tried again after as
//! many entries as usual; one that it was offered, when it is offered again. Until then the log grows.
//!
//! # Left out
//! A state is installed in one go: a node that takes on a large one answers nobody meanwhile. A fetch that a restart
//! interrupts begins again.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use raft::machine::Unreadable;
use raft::{Bug, Checkpoint, EntryId, Envelope, Index, Input, Message, NodeId, Now, Offer, StateMachine};
use wal::{Disk, Source};

use crate::replica::Replica;
use crate::seam::{Effects, Halt, Members, Noted, Timer, Wait};
use crate::sessions::{self, Sessions};

/// When a snapshot is taken, and in pieces of which size one is given.
///
/// A snapshot writes the whole state, however little of it has changed. So a large one waits until the entries since
/// the last have as many bytes as that had: then all snapshots together write no more than the log does. But it does
/// not wait for ever: the log is in memory too, and is executed anew at each start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// After so many entries.
    pub entries: u64,
    /// Or when they have so many bytes.
    pub bytes: u64,
    /// A state of up to so many bytes is small, and waits for nothing else.
    pub small: u64,
    /// And however large it is, it waits for no more than so many bytes.
    pub large: u64,
    /// How much is given at once to a peer that fetches one.
    pub piece: usize,
}

impl Default for Rule {
    /// 10,000 entries, 64 MiB; small is 4 MiB, and large 256 MiB; pieces of 256 KiB.
    fn default() -> Rule {
        Rule { entries: 10_000, bytes: 64 << 20, small: 4 << 20, large: 256 << 20, piece: 256 << 10 }
    }
}

impl Rule {
    /// Whether it is time, when the last try was so many entries of so many bytes ago, and the last snapshot, which
    /// had `last` bytes, `since` bytes.
    fn is_due(&self, entries: u64, bytes: u64, since: u64, last: u64) -> bool {
        let grown = entries >= self.entries || (entries > 0 && bytes >= self.bytes);
        grown && (last <= self.small || since >= last.min(self.large))
    }
}

/// How long to wait for a piece before it is asked for again.
const AGAIN: Duration = Duration::from_millis(200);
/// How often it is asked for in vain before the fetch is stuck: another offer may replace it.
const STUCK: u32 = 5;

/// What is under way.
pub(crate) struct Snapshots<F> {
    /// How far the state was when the latest was taken or installed, or given up.
    since: Index,
    /// How many bytes of entries were executed since.
    bytes: u64,
    /// And how many since the latest that is on disk.
    since_last: u64,
    taking: Option<Taking<F>>,
    fetching: Option<Fetching>,
    /// Those of which a piece was asked for since the last one came to disk.
    asked: BTreeSet<EntryId>,
    /// The latest that the core knows of.
    told: Index,
}

struct Taking<F> {
    sessions: VecDeque<Bytes>,
    machine: F,
}

impl<F: Iterator<Item = Bytes>> Iterator for Taking<F> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.sessions.pop_front().or_else(|| self.machine.next())
    }
}

struct Fetching {
    from: NodeId,
    checkpoint: Checkpoint,
    /// How much of it was handed to the disk.
    received: u64,
    /// Whether the last piece is on its way to the disk: nothing is asked for meanwhile.
    writing: bool,
    /// How long it is, once somebody has said so.
    total: Option<u64>,
    /// How often the next piece was asked for.
    tries: u32,
}

impl<F> Snapshots<F> {
    pub(crate) fn new(since: Index) -> Snapshots<F> {
        Snapshots {
            since,
            bytes: 0,
            since_last: 0,
            taking: None,
            fetching: None,
            asked: BTreeSet::new(),
            told: since,
        }
    }

    /// An entry of this weight was executed.
    pub(crate) fn executed(&mut self, weight: usize) {
        self.bytes += weight as u64;
        self.since_last += weight as u64;
    }

    fn begin_counting(&mut self, from: Index) {
        self.since = from;
        self.bytes = 0;
    }
}

/// The session table's pieces, their number first: the machine's follow.
pub(crate) fn with_count(sessions: Vec<Bytes>) -> VecDeque<Bytes> {
    let mut count = Vec::new();
    count.put_u64_le(sessions.len() as u64);
    std::iter::once(Bytes::from(count)).chain(sessions).collect()
}

/// Takes on what a snapshot holds: the session table, then the machine.
pub(crate) fn restore<M: StateMachine>(
    machine: &mut M,
    pieces: &mut dyn Iterator<Item = Bytes>,
) -> Result<Sessions<M::Reply>, Unreadable> {
    let short = || Unreadable("the snapshot ends too early".to_owned());
    let count = pieces.next().ok_or_else(short)?.try_get_u64_le().map_err(|_| short())?;
    let mut sessions = Sessions::new(sessions::LIMIT);
    for _ in 0..count {
        sessions.load(pieces.next().ok_or_else(short)?, M::decode_reply)?;
    }
    machine.restore(pieces)?;
    Ok(sessions)
}

impl<M: StateMachine, D: Disk> Replica<M, D> {
    // --- taking -------------------------------------------------------------------------------

    /// Begins to take a snapshot, if it is time.
    pub(crate) fn take_snapshot(&mut self) {
        let entries = self.applied.0.saturating_sub(self.snapshots.since.0);
        let rotten = self.wal.snapshot_rotten();
        let (rule, last) = (self.config.snapshots, self.wal.snapshot_size());
        let due = rotten || rule.is_due(entries, self.snapshots.bytes, self.snapshots.since_last, last);
        if !due || self.snapshots.taking.is_some() || self.wal.draft(Source::Taken).is_some() {
            return;
        }
        let upto = self.claimed();
        let ahead = if rotten { upto.next() } else { upto };
        let newer = self.wal.snapshot().is_some_and(|latest| latest.index() >= ahead);
        let Some(checkpoint) = self.raft.log().checkpoint(upto).filter(|_| !newer) else { return };
        self.snapshots.begin_counting(self.applied);
        if self.wal.begin_draft(Source::Taken, &checkpoint).is_ok() {
            let sessions = with_count(self.claimed_sessions().pieces(M::encode_reply));
            self.snapshots.taking = Some(Taking { sessions, machine: self.machine.freeze() });
            if let Some(journal) = &mut self.journal {
                let state = (journal.wanted.state)(&self.machine, &self.sessions);
                journal.noted.push(Noted::Reached(self.applied, state));
            }
        }
    }

    /// How far a snapshot that is taken now says that it reaches: as far as the state does, but for
    /// `Bug::ExecuteTwice`.
    fn claimed(&self) -> Index {
        if self.config.bugs.has(Bug::ExecuteTwice) { self.applied.previous() } else { self.applied }
    }

    /// The sessions as a snapshot holds them: all, but for `Bug::SnapshotWithoutSessions`, and but for what
    /// `Bug::ExecuteTwice` executed already.
    fn claimed_sessions(&self) -> Cow<'_, Sessions<M::Reply>> {
        let mut sessions = Cow::Borrowed(&self.sessions);
        if self.config.bugs.has(Bug::SnapshotWithoutSessions) {
            sessions = Cow::Owned(Sessions::new(sessions::LIMIT));
        }
        let beyond = self.raft.log().between(self.claimed(), self.applied);
        for request in beyond.iter().filter_map(|entry| entry.request) {
            sessions.to_mut().forget(request.id);
        }
        sessions
    }

    /// A draft is written as far as it was given: on with it.
    pub(crate) fn on_draft_written(&mut self, source: Source, effects: &mut Effects<M::Reply>) {
        match source {
            Source::Taken => self.write_state(),
            Source::Fetched => self.go_on_fetching(effects),
        }
    }

    fn write_state(&mut self) {
        let Some(taking) = &mut self.snapshots.taking else { return };
        if let Some(piece) = taking.next() {
            self.wal.add_state(&piece);
        } else {
            self.snapshots.taking = None;
            // What this node wrote itself is what it wanted to write.
            let _ = self.wal.finish_draft(Source::Taken);
        }
    }

    /// A draft cannot be written; nothing else is lost.
    pub(crate) fn on_draft_given_up(&mut self, source: Source) {
        match source {
            Source::Taken => self.snapshots.taking = None,
            Source::Fetched => self.snapshots.fetching = None,
        }
    }

    /// A snapshot survives a crash.
    pub(crate) fn on_snapshot(
        &mut self,
        now: Now,
        source: Source,
        checkpoint: Checkpoint,
        effects: &mut Effects<M::Reply>,
    ) {
        if source == Source::Fetched {
            self.snapshots.fetching = None;
            self.drive(now, Input::Fetched(checkpoint), effects);
        }
        self.tell_of_snapshot(now, effects);
    }

    /// Tells the core of the latest snapshot, as soon as the state has come so far: one that was fetched may be ahead
    /// of it, if the log came faster. What the core offers to others is on disk; what it does not offer any more goes,
    /// unless somebody still fetches it.
    pub(crate) fn tell_of_snapshot(&mut self, now: Now, effects: &mut Effects<M::Reply>) {
        let latest = self.wal.snapshot().map_or(Index(0), Checkpoint::index);
        if latest <= self.snapshots.told || latest > self.applied {
            return;
        }
        self.snapshots.told = latest;
        // What was executed while it was written is not in it.
        self.snapshots.since_last = self.snapshots.bytes;
        self.drive(now, Input::Snapshotted(latest), effects);
        let asked = std::mem::take(&mut self.snapshots.asked);
        self.wal.drop_snapshots(|id| asked.contains(&id));
    }

    // --- giving -------------------------------------------------------------------------------

    /// A peer asks for a piece.
    pub(crate) fn give_piece(
        &mut self,
        to: NodeId,
        id: EntryId,
        offset: u64,
        effects: &mut Effects<M::Reply>,
    ) {
        self.snapshots.asked.insert(id);
        match self.wal.read_snapshot(id, offset, self.config.snapshots.piece) {
            Ok(found) => {
                let (total, bytes) = found.unwrap_or_default();
                self.send_beside(to, Message::Piece { id, offset, total, bytes }, effects);
            }
            Err(failure) => self.halt(failure.into(), effects),
        }
    }

    /// Sends something that the core knows nothing of.
    fn send_beside(&self, to: NodeId, message: Message, effects: &mut Effects<M::Reply>) {
        let (from, term) = (self.raft.id(), self.raft.term());
        effects.send.push(Envelope { from, to, term, message });
    }

    // --- fetching -----------------------------------------------------------------------------

    /// The core wants a snapshot that a peer has.
    pub(crate) fn on_offer(&mut self, offer: Offer, effects: &mut Effects<M::Reply>) {
        let Offer { from, checkpoint } = offer;
        if let Some(fetching) = &mut self.snapshots.fetching {
            if fetching.checkpoint.id == checkpoint.id {
                fetching.from = from;
                return;
            }
            if fetching.tries < STUCK {
                return;
            }
            self.stop_fetching();
        }
        let newer = self.wal.snapshot().is_some_and(|ours| ours.index() >= checkpoint.index());
        if newer || self.wal.draft(Source::Fetched).is_some() {
            return;
        }
        if self.wal.begin_draft(Source::Fetched, &checkpoint).is_ok() {
            let (received, writing, total, tries) = (0, false, None, 0);
            self.snapshots.fetching = Some(Fetching { from, checkpoint, received, writing, total, tries });
            self.ask_for_piece(effects);
        }
    }

    fn stop_fetching(&mut self) {
        self.snapshots.fetching = None;
        self.wal.give_up_draft(Source::Fetched);
    }

    /// Asks for the piece that comes next, and again after a while.
    pub(crate) fn ask_for_piece(&mut self, effects: &mut Effects<M::Reply>) {
        let Some(fetching) = &mut self.snapshots.fetching else { return };
        effects.arm.insert(Timer::Fetch, Wait::Exactly(AGAIN));
        if fetching.writing || fetching.total == Some(fetching.received) {
            return;
        }
        fetching.tries = fetching.tries.saturating_add(1);
        let (to, id, offset) = (fetching.from, fetching.checkpoint.id, fetching.received);
        self.send_beside(to, Message::Fetch { id, offset }, effects);
    }

    /// A peer sends a piece, perhaps the one that was asked for.
    pub(crate) fn on_piece(&mut self, id: EntryId, offset: u64, total: u64, bytes: Bytes) {
        let Some(fetching) = &mut self.snapshots.fetching else { return };
        let known = fetching.total.unwrap_or(total);
        let expected = fetching.checkpoint.id == id && fetching.received == offset && !fetching.writing;
        if !expected || fetching.total == Some(offset) {
            return;
        }
        let end = offset + bytes.len() as u64;
        // Whoever has it not, or another of that name, cannot help; the leader will offer what it has.
        if bytes.is_empty() || known != total || end > total {
            self.stop_fetching();
            return;
        }
        (fetching.total, fetching.tries, fetching.writing) = (Some(total), 0, true);
        fetching.received = self.wal.add_bytes(bytes);
    }

    fn go_on_fetching(&mut self, effects: &mut Effects<M::Reply>) {
        let Some(fetching) = &mut self.snapshots.fetching else { return };
        // The first report only says that the draft is empty; the question is out already.
        if !std::mem::take(&mut fetching.writing) {
            return;
        }
        if fetching.total != Some(fetching.received) {
            self.ask_for_piece(effects);
        } else if self.wal.finish_draft(Source::Fetched).is_err() {
            self.snapshots.fetching = None;
        }
    }

    // --- installing ---------------------------------------------------------------------------

    /// The state gives way to that of a snapshot, which is on disk.
    pub(crate) fn install(&mut self, checkpoint: &Checkpoint, effects: &mut Effects<M::Reply>) {
        assert_eq!(self.wal.snapshot(), Some(checkpoint), "what was fetched is the latest snapshot");
        match read(&self.wal, &mut self.machine) {
            Ok(sessions) => self.sessions = sessions,
            Err(why) => return self.halt(why, effects),
        }
        self.applied = checkpoint.index();
        self.members = Members { now: checkpoint.membership.clone(), since: checkpoint.since };
        self.snapshots.begin_counting(self.applied);
        self.snapshots.since_last = 0;
        // A snapshot of an earlier state is of no use any more.
        self.snapshots.taking = None;
        self.wal.give_up_draft(Source::Taken);
        self.own.look(self.sessions.knows(self.own.id));
        if let Some(journal) = &mut self.journal {
            let state = (journal.wanted.state)(&self.machine, &self.sessions);
            journal.noted.push(Noted::Installed(checkpoint.clone(), state));
        }
    }
}

/// Reads the latest snapshot into a machine.
pub(crate) fn read<M: StateMachine, D: Disk>(
    wal: &wal::Wal<D>,
    machine: &mut M,
) -> Result<Sessions<M::Reply>, Halt> {
    let mut trouble = None;
    let mut pieces = wal.pieces().map_while(|piece| piece.map_err(|error| trouble = Some(error)).ok());
    let restored = restore(machine, &mut pieces);
    match trouble {
        Some(error) => Err(Halt::Snapshot(error.to_string())),
        None => restored.map_err(|unreadable| Halt::Snapshot(unreadable.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_state_is_written_by_count_and_a_large_one_no_more_often_than_the_log_grows_by_as_much() {
        let rule = Rule { entries: 10, bytes: 500, small: 100, large: 1_000, piece: 1 };
        let due = |entries, bytes, last| rule.is_due(entries, bytes, bytes, last);
        assert!(!due(9, 499, 0));
        assert!(due(10, 1, 0) && due(1, 500, 0), "the first");
        assert!(!due(0, 500, 0), "nothing has changed");
        assert!(due(10, 1, 100), "the state is small");
        assert!(!due(10, 100, 101) && !due(900, 800, 801), "the state is large");
        assert!(due(10, 101, 101) && due(900, 801, 801));
        assert!(!due(9, 101, 101), "and still it is by count");
        assert!(!due(900, 999, u64::MAX) && due(900, 1_000, u64::MAX), "nothing waits for ever");
        assert!(
            rule.is_due(10, 1, 101, 101),
            "one that could not be written is tried again after as many entries"
        );
        assert!(!rule.is_due(9, 1, 101, 101));
    }
}
