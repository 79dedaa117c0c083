//! Exactly once (dissertation §6.3).
//!
//! A request may reach the log twice: a client asks again because it heard nothing, or the network
//! repeats a message. So each request has a name, a session and a number in it, and every node keeps
//! with the state which numbers it has executed and what the replies were. The decision rests on the
//! log alone, so all nodes decide alike.
//!
//! Number 1 opens a session. Each request carries its *floor*: all below has been answered, so those
//! replies may be forgotten, and a late copy from below the floor is not executed any more. In an
//! unknown session nothing is executed either. In both cases nobody can say any more whether the
//! request was executed before: the answer is *unknown*.
//!
//! There are at most [`LIMIT`] sessions. When one more is opened, the one whose last request has the
//! oldest stamp goes. Price: a copy of a session's very first request that arrives after the session
//! went opens it anew and is executed again. It must have been under way while 10,000 others began.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes};
use raft::machine::Unreadable;
use raft::{Request, RequestId, SessionId, Wall};

/// How many sessions are remembered.
pub const LIMIT: usize = 10_000;

/// How large a piece of the table grows before it is cut.
const PIECE: usize = 64 << 10;

/// What every node remembers of the requests it executed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sessions<R> {
    open: BTreeMap<SessionId, Session<R>>,
    limit: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Session<R> {
    /// Everything below is answered.
    floor: u64,
    /// When it was last used, by the log's time; then when it was opened, to break ties.
    used: (Wall, u64),
    /// Replies to executed requests at or above the floor; `None` for those that have no reply.
    replies: BTreeMap<u64, Option<R>>,
}

/// What is to be done with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<R> {
    /// It is new: execute it, and [`Sessions::record`] the reply.
    Execute,
    /// It was executed before, and this was the reply.
    Repeat(Option<R>),
    /// Do nothing: nobody remembers whether it was executed.
    Forgotten,
}

impl<R: Clone> Sessions<R> {
    /// No session yet, and never more than `limit`.
    pub fn new(limit: usize) -> Sessions<R> {
        Sessions { open: BTreeMap::new(), limit }
    }

    /// Judges a committed request; `stamp` and `index` are its entry's. Opens its session if it is
    /// the first of one.
    pub fn judge(&mut self, request: &Request, stamp: Wall, index: u64) -> Verdict<R> {
        let RequestId { session, seq } = request.id;
        if seq == 1 && !self.open.contains_key(&session) {
            self.make_room();
            let new = Session { floor: 1, used: (stamp, index), replies: BTreeMap::new() };
            self.open.insert(session, new);
        }
        let Some(session) = self.open.get_mut(&session) else { return Verdict::Forgotten };
        session.used = (stamp, index);
        if let Some(reply) = session.replies.get(&seq) {
            return Verdict::Repeat(reply.clone());
        }
        if seq < session.floor {
            return Verdict::Forgotten;
        }
        session.raise_floor(request.floor.min(seq));
        Verdict::Execute
    }

    /// Remembers the reply to an executed request.
    pub fn record(&mut self, id: RequestId, reply: Option<R>) {
        let session = self.open.get_mut(&id.session).expect("what was just judged has a session");
        session.replies.insert(id.seq, reply);
    }

    /// What no table should do: forgets that a request was executed (`Bug::ExecuteTwice`).
    pub(crate) fn forget(&mut self, id: RequestId) {
        if let Some(session) = self.open.get_mut(&id.session) {
            session.replies.remove(&id.seq);
        }
    }

    /// Whether this session is open.
    pub fn knows(&self, session: SessionId) -> bool {
        self.open.contains_key(&session)
    }

    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The table as bytes, cut into pieces between two sessions.
    pub fn pieces(&self, encode: impl Fn(&R, &mut Vec<u8>)) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let mut out = Vec::new();
        for (id, session) in &self.open {
            if out.len() >= PIECE {
                pieces.push(Bytes::from(std::mem::take(&mut out)));
            }
            for number in [id.0, session.floor, session.used.0.0, session.used.1] {
                out.put_u64_le(number);
            }
            out.put_u64_le(session.replies.len() as u64);
            for (seq, reply) in &session.replies {
                out.put_u64_le(*seq);
                out.put_u8(u8::from(reply.is_some()));
                if let Some(reply) = reply {
                    encode(reply, &mut out);
                }
            }
        }
        if !out.is_empty() {
            pieces.push(Bytes::from(out));
        }
        pieces
    }

    /// Adds what a piece holds.
    ///
    /// # Errors
    /// The bytes are no piece of a table.
    pub fn load(
        &mut self,
        mut piece: Bytes,
        decode: impl Fn(&mut Bytes) -> Result<R, Unreadable>,
    ) -> Result<(), Unreadable> {
        let short = |_| Unreadable("the session table ends too early".to_owned());
        while piece.has_remaining() {
            let mut number = || piece.try_get_u64_le().map_err(short);
            let (id, floor) = (SessionId(number()?), number()?);
            let used = (Wall(number()?), number()?);
            let count = number()?;
            let mut replies = BTreeMap::new();
            for _ in 0..count {
                let seq = piece.try_get_u64_le().map_err(short)?;
                let there = piece.try_get_u8().map_err(short)? == 1;
                replies.insert(seq, if there { Some(decode(&mut piece)?) } else { None });
            }
            self.open.insert(id, Session { floor, used, replies });
        }
        Ok(())
    }

    fn make_room(&mut self) {
        while self.open.len() >= self.limit {
            let oldest = self.open.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id);
            self.open.remove(&oldest.expect("a full table has an oldest session"));
        }
    }
}

impl<R> Session<R> {
    fn raise_floor(&mut self, floor: u64) {
        if floor > self.floor {
            self.floor = floor;
            self.replies = self.replies.split_off(&floor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(session: u64, seq: u64, floor: u64) -> Request {
        Request { id: RequestId { session: SessionId(session), seq }, floor }
    }

    fn execute(table: &mut Sessions<u64>, request: &Request, stamp: u64) {
        assert_eq!(table.judge(request, Wall(stamp), stamp), Verdict::Execute, "{request:?}");
        table.record(request.id, Some(request.id.seq * 10));
    }

    #[test]
    fn a_request_is_executed_once_and_answered_as_often_as_asked() {
        let mut table = Sessions::new(LIMIT);
        let first = request(1, 1, 1);
        execute(&mut table, &first, 1);
        assert_eq!(table.judge(&first, Wall(2), 2), Verdict::Repeat(Some(10)));
    }

    #[test]
    fn a_table_comes_back_from_its_pieces() {
        let mut table = Sessions::new(LIMIT);
        for session in 1..3000 {
            execute(&mut table, &request(session, 1, 1), session);
            execute(&mut table, &request(session, 2 + session % 3, 1 + session % 2), session);
        }
        let id = RequestId { session: SessionId(5), seq: 1 };
        table.record(id, None);
        let pieces = table.pieces(|reply, out| out.put_u64_le(*reply));
        assert!(pieces.len() > 2, "one piece would prove nothing");
        let mut loaded = Sessions::new(LIMIT);
        let decode = |from: &mut Bytes| from.try_get_u64_le().map_err(|_| Unreadable("short".to_owned()));
        for piece in &pieces {
            loaded.load(piece.clone(), decode).unwrap();
        }
        assert_eq!(loaded, table);
        assert!(loaded.load(pieces[0].slice(..pieces[0].len() - 1), decode).is_err());
    }

    #[test]
    fn requests_of_one_session_may_arrive_out_of_order() {
        let mut table = Sessions::new(LIMIT);
        execute(&mut table, &request(1, 1, 1), 1);
        execute(&mut table, &request(1, 3, 1), 2);
        execute(&mut table, &request(1, 2, 1), 3);
        assert_eq!(table.judge(&request(1, 3, 1), Wall(4), 4), Verdict::Repeat(Some(30)));
    }

    #[test]
    fn below_the_floor_nothing_is_executed() {
        let mut table = Sessions::new(LIMIT);
        execute(&mut table, &request(1, 1, 1), 1);
        execute(&mut table, &request(1, 4, 4), 2);
        assert_eq!(table.judge(&request(1, 3, 1), Wall(3), 3), Verdict::Forgotten);
        assert_eq!(table.judge(&request(1, 1, 1), Wall(4), 4), Verdict::Forgotten);
    }

    #[test]
    fn an_unknown_session_executes_nothing() {
        let mut table: Sessions<u64> = Sessions::new(LIMIT);
        assert_eq!(table.judge(&request(1, 2, 1), Wall(1), 1), Verdict::Forgotten);
    }

    #[test]
    fn the_session_unused_for_longest_makes_room() {
        let mut table = Sessions::new(2);
        execute(&mut table, &request(1, 1, 1), 1);
        execute(&mut table, &request(2, 1, 1), 2);
        execute(&mut table, &request(1, 2, 1), 3);
        execute(&mut table, &request(3, 1, 1), 4);
        assert_eq!(table.len(), 2);
        assert_eq!(table.judge(&request(2, 2, 1), Wall(5), 5), Verdict::Forgotten);
        execute(&mut table, &request(1, 3, 1), 6);
    }
}
