//! Who waits for what, and the decision between *failed* and *unknown*.
//!
//! A write is proposed once by this node and never again. Where it went decides what can be said
//! when it does not come back:
//!
//! | Where it is | It is surely not executed when |
//! |---|---|
//! | still here | its time is up |
//! | refused by this node, which knew no leader or was full | at once |
//! | in this node's own log, as leader | another entry is committed in its place |
//! | forwarded | never: a copy may be under way, whatever the other side said |
//!
//! In every other case the answer is unknown. A read changes nothing, so it may always be called failed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use raft::{Bug, Bugs, Entry, EntryId, Index, Mono, Refusal, RequestId};

use crate::seam::{CallId, Failed, Outcome, Unknown};

/// Calls that have no answer yet.
#[derive(Debug)]
pub(crate) struct Waiting<Q> {
    writes: BTreeMap<RequestId, Write>,
    /// Writes in this node's own log, by their place in it.
    placed: BTreeMap<Index, (EntryId, RequestId)>,
    reads: BTreeMap<RequestId, Read<Q>>,
    /// Who wants another leader. The core answers each in bounded time.
    transfers: BTreeMap<RequestId, CallId>,
    /// Reads that wait for the state to reach an index.
    due: BTreeSet<(Index, RequestId)>,
    /// All calls in the order in which their time is up. Those answered since are skipped.
    deadlines: VecDeque<(Mono, RequestId)>,
    /// How many calls there are, all together.
    count: usize,
    bugs: Bugs,
}

#[derive(Debug)]
struct Write {
    /// More than one if a client asked again under the same name.
    calls: Vec<CallId>,
    place: Place,
    /// Its own, since an earlier write of the same name may have left one behind.
    deadline: Mono,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Here,
    Own,
    Forwarded,
}

#[derive(Debug)]
struct Read<Q> {
    call: CallId,
    /// `None` asks who belongs to the cluster.
    query: Option<Q>,
    /// How much must be applied first, once a leader has said so.
    at: Option<Index>,
}

/// Answers, as the replica hands them out.
type Replies<R> = Vec<(CallId, Outcome<R>)>;

impl<Q> Waiting<Q> {
    pub(crate) fn new(bugs: Bugs) -> Waiting<Q> {
        Waiting {
            writes: BTreeMap::new(),
            placed: BTreeMap::new(),
            reads: BTreeMap::new(),
            transfers: BTreeMap::new(),
            due: BTreeSet::new(),
            deadlines: VecDeque::new(),
            count: 0,
            bugs,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A write waits. Whether it is new: if not, it joins one of the same name, and is not proposed again.
    pub(crate) fn add_write(&mut self, id: RequestId, call: CallId, deadline: Mono) -> bool {
        self.note_deadline(deadline, id);
        let new = Write { calls: Vec::new(), place: Place::Here, deadline };
        let write = self.writes.entry(id).or_insert(new);
        write.calls.push(call);
        write.calls.len() == 1
    }

    pub(crate) fn add_read(&mut self, id: RequestId, call: CallId, query: Option<Q>, deadline: Mono) {
        self.note_deadline(deadline, id);
        self.reads.insert(id, Read { call, query, at: None });
    }

    pub(crate) fn add_transfer(&mut self, id: RequestId, call: CallId) {
        self.count += 1;
        self.transfers.insert(id, call);
    }

    /// Somebody who wanted another leader has his answer.
    pub(crate) fn transferred<R>(&mut self, id: RequestId, outcome: Outcome<R>, replies: &mut Replies<R>) {
        if let Some(call) = self.transfers.remove(&id) {
            self.count -= 1;
            replies.push((call, outcome));
        }
    }

    /// While nobody waits nobody looks for those whose time is up, so what they left behind goes here.
    fn note_deadline(&mut self, deadline: Mono, id: RequestId) {
        if self.count == 0 {
            self.deadlines.clear();
        }
        self.deadlines.push_back((deadline, id));
        self.count += 1;
    }

    /// A write is in this node's own log.
    pub(crate) fn accepted(&mut self, id: RequestId, entry: EntryId) {
        if let Some(write) = self.writes.get_mut(&id) {
            write.place = Place::Own;
            self.placed.insert(entry.index, (entry, id));
        }
    }

    /// A write left for the leader.
    pub(crate) fn forwarded(&mut self, id: RequestId) {
        if let Some(write) = self.writes.get_mut(&id) {
            write.place = Place::Forwarded;
        }
    }

    /// A call was not taken, because of `why`.
    pub(crate) fn refused<R: Clone>(&mut self, id: RequestId, refusal: Refusal, replies: &mut Replies<R>) {
        let why = Failed::from(refusal);
        self.transferred(id, Outcome::Failed(why), replies);
        if let Some(read) = self.take_read(id) {
            replies.push((read.call, Outcome::Failed(why)));
        }
        let outcome = match self.writes.get(&id).map(|write| write.place) {
            Some(Place::Here) => Outcome::Failed(why),
            Some(Place::Forwarded) => self.in_doubt(Unknown::Refused(refusal)),
            Some(Place::Own) | None => return,
        };
        self.settle(id, &outcome, replies);
    }

    /// A write may have happened.
    fn in_doubt<R>(&self, why: Unknown) -> Outcome<R> {
        if self.bugs.has(Bug::FailInDoubt) {
            return Outcome::Failed(Failed::LeaderChanged);
        }
        Outcome::Unknown(why)
    }

    /// A write has its answer.
    pub(crate) fn settle<R: Clone>(&mut self, id: RequestId, outcome: &Outcome<R>, replies: &mut Replies<R>) {
        if let Some(write) = self.writes.remove(&id) {
            self.count -= write.calls.len();
            replies.extend(write.calls.into_iter().map(|call| (call, outcome.clone())));
        }
    }

    /// An entry was committed. Whoever waits for another entry in that place waits in vain: this node
    /// proposed it once, for that place, and only one entry is ever committed there.
    pub(crate) fn committed<R: Clone>(&mut self, entry: &Entry, replies: &mut Replies<R>) {
        if let Some((expected, id)) = self.placed.remove(&entry.id.index)
            && expected != entry.id
        {
            self.settle(id, &Outcome::Failed(Failed::Overwritten), replies);
        }
    }

    /// A read may be answered once `index` is applied.
    pub(crate) fn read_at(&mut self, id: RequestId, index: Index) {
        if let Some(read) = self.reads.get_mut(&id)
            && read.at.is_none()
        {
            read.at = Some(index);
            self.due.insert((index, id));
        }
    }

    /// The reads that may be answered now that `applied` is.
    pub(crate) fn due(&mut self, applied: Index) -> Vec<(CallId, Option<Q>)> {
        let mut ready = Vec::new();
        while let Some((index, id)) = self.due.first().copied() {
            if index > applied {
                break;
            }
            self.due.pop_first();
            ready.extend(self.take_read(id).map(|read| (read.call, read.query)));
        }
        ready
    }

    /// Another leader, or none: what the old one had is in doubt, and reads it had not answered fail.
    pub(crate) fn leader_changed<R: Clone>(&mut self, replies: &mut Replies<R>) {
        let doubtful: Vec<RequestId> =
            self.writes.iter().filter(|(_, write)| write.place != Place::Here).map(|(id, _)| *id).collect();
        for id in doubtful {
            self.settle(id, &self.in_doubt(Unknown::LeaderChanged), replies);
        }
        self.placed.clear();
        let stranded: Vec<RequestId> =
            self.reads.iter().filter(|(_, read)| read.at.is_none()).map(|(id, _)| *id).collect();
        for id in stranded {
            replies
                .extend(self.take_read(id).map(|read| (read.call, Outcome::Failed(Failed::LeaderChanged))));
        }
    }

    /// Time is up for some.
    pub(crate) fn expire<R: Clone>(&mut self, now: Mono, replies: &mut Replies<R>) {
        while let Some((deadline, id)) = self.deadlines.front().copied() {
            let answered = !self.writes.contains_key(&id) && !self.reads.contains_key(&id);
            if deadline > now && !answered {
                break;
            }
            self.deadlines.pop_front();
            if let Some(read) = self.take_read(id) {
                replies.push((read.call, Outcome::Failed(Failed::ReadTimeout)));
            }
            let due = self.writes.get(&id).filter(|write| write.deadline <= now);
            let outcome = match due.map(|write| write.place) {
                Some(Place::Here) => Outcome::Failed(Failed::NotSent),
                Some(_) => self.in_doubt(Unknown::Timeout),
                None => continue,
            };
            self.settle(id, &outcome, replies);
        }
    }

    /// This node stops: everything is answered, nothing is known.
    pub(crate) fn abandon<R: Clone>(&mut self, replies: &mut Replies<R>) {
        for id in self.writes.keys().copied().collect::<Vec<_>>() {
            self.settle(id, &Outcome::Unknown(Unknown::Halted), replies);
        }
        for id in self.reads.keys().copied().collect::<Vec<_>>() {
            replies.extend(self.take_read(id).map(|read| (read.call, Outcome::Failed(Failed::Halted))));
        }
        for id in self.transfers.keys().copied().collect::<Vec<_>>() {
            self.transferred(id, Outcome::Unknown(Unknown::Halted), replies);
        }
    }

    /// Whether a write still waits, and has not left this place.
    pub(crate) fn is_here(&self, id: RequestId) -> bool {
        self.writes.get(&id).is_some_and(|write| write.place == Place::Here)
    }

    /// The lowest number of a session that still waits: everything below has its answer.
    pub(crate) fn floor(&self, session: raft::SessionId) -> Option<u64> {
        let from = RequestId { session, seq: 0 };
        let to = RequestId { session, seq: u64::MAX };
        self.writes.range(from..=to).next().map(|(id, _)| id.seq)
    }

    fn take_read(&mut self, id: RequestId) -> Option<Read<Q>> {
        let read = self.reads.remove(&id)?;
        self.count -= 1;
        if let Some(index) = read.at {
            self.due.remove(&(index, id));
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::SessionId;

    const ID: RequestId = RequestId { session: SessionId(1), seq: 1 };

    #[test]
    fn calls_that_are_answered_one_by_one_leave_nothing_behind() {
        let mut waiting: Waiting<()> = Waiting::new(Bugs::none());
        let mut replies: Replies<()> = Vec::new();
        for seq in 0..100 {
            let id = RequestId { seq, ..ID };
            waiting.add_write(id, CallId(seq), Mono(seq));
            waiting.settle(id, &Outcome::Done(()), &mut replies);
        }
        assert!(waiting.deadlines.len() <= 1, "{} deadlines of nobody", waiting.deadlines.len());
    }

    #[test]
    fn the_deadline_of_an_earlier_attempt_does_not_end_the_next() {
        let mut waiting: Waiting<()> = Waiting::new(Bugs::none());
        let mut replies: Replies<()> = Vec::new();
        waiting.add_write(RequestId { seq: 9, ..ID }, CallId(9), Mono(50));
        waiting.add_write(ID, CallId(1), Mono(50));
        waiting.settle(ID, &Outcome::Done(()), &mut replies);
        waiting.add_write(ID, CallId(2), Mono(90));
        replies.clear();
        waiting.expire(Mono(50), &mut replies);
        assert_eq!(replies, [(CallId(9), Outcome::Failed(Failed::NotSent))]);
        waiting.expire(Mono(90), &mut replies);
        assert_eq!(replies.len(), 2);
    }
}
