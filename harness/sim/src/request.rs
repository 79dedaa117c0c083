//! Asking again: what a client with a session does that does not know.
//!
//! A client of etcd asks once. If it hears nothing, it never learns whether its change was made, and may not ask
//! again: the change could be made twice. Our own protocol has a cure ([`replica::sessions`]): a client names its
//! changes, and one name is executed once, however often and wherever it is asked. So in a life with sessions
//! a client that does not know asks again, the next node, under the same name, until it knows or has no
//! patience left. That is the only way in which *exactly once* is put to the test by clients and not by links
//! alone: an op that was asked three times and answered must count once.
//!
//! What an attempt comes to, and what it means for the op:
//!
//! | heard of this attempt | all earlier ones did nothing | one may have been executed |
//! |---|---|---|
//! | a reply | that is the reply | that is the reply: of the one execution there was |
//! | it did nothing | nothing happened: *fail* | ask again |
//! | nothing, or that nobody knows | ask again | ask again |
//! | the session does not remember | nobody will ever know: *info* | the same |
//!
//! A name is used up by a reply. One under which nothing was ever executed is given to the next change; number 1
//! above all, since it opens the session. A process that is retired takes its session with it.
//!
//! Only changes have names. A look that is not answered did nothing, and is a *fail* as ever.

use history::Process;
use raft::{RequestId, SessionId};
use replica::{Call, Outcome, Unknown};

/// How long a client with a session waits for one node before it asks the next, in nanoseconds. Slow nodes on
/// slow links take longer now and then: then two attempts are under way, which is what sessions are for.
pub(crate) const SILENCE: u64 = 250_000_000;
/// How long it waits between two attempts of which it knows how they ended.
pub(crate) const PAUSE: u64 = 20_000_000;

/// The session of one process: the names of its changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Session {
    id: SessionId,
    seq: u64,
}

impl Session {
    /// A process has one session in its life, so its number is a name. Those of nodes are drawn from so many
    /// that none is as small.
    pub(crate) fn of(process: Process) -> Session {
        Session { id: SessionId(process.0), seq: 1 }
    }

    /// Whose it is.
    pub(crate) fn belongs_to(&self, process: Process) -> bool {
        self.id == SessionId(process.0)
    }

    /// Names a call, if it is one that has a name.
    pub(crate) fn name<Q>(&self, call: &mut Call<Q>) {
        if let Call::Write { request, .. } = call {
            *request = Some(RequestId { session: self.id, seq: self.seq });
        }
    }

    /// There was a reply: the next change has another name.
    pub(crate) fn replied(&mut self) {
        self.seq += 1;
    }
}

/// What a client hears of a call that it made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heard<R> {
    /// What the node says.
    Said(Outcome<R>),
    /// Nobody listened.
    Refused,
    /// Nothing, and nothing will come, for this reason.
    Nothing(&'static str),
}

impl<R> Heard<R> {
    /// Whether the call may have been executed, or still may be.
    fn is_doubtful(&self) -> bool {
        matches!(self, Heard::Said(Outcome::Unknown(_)) | Heard::Nothing(_))
    }

    /// Whether whoever asks again under the same name learns nothing more.
    fn is_final(&self) -> bool {
        matches!(self, Heard::Said(Outcome::Done(_) | Outcome::Unknown(Unknown::Forgotten)))
    }
}

/// A call under way, and what is known of its earlier attempts.
#[derive(Clone, Debug)]
pub(crate) struct Request<Q> {
    call: Call<Q>,
    doubt: bool,
    attempts: u64,
}

impl<Q: Clone> Request<Q> {
    /// It was not asked yet.
    pub(crate) fn new(call: Call<Q>) -> Request<Q> {
        Request { call, doubt: false, attempts: 0 }
    }

    /// Asks, or asks again.
    pub(crate) fn attempt(&mut self) -> Call<Q> {
        self.attempts += 1;
        self.call.clone()
    }

    /// What is asked.
    pub(crate) fn call(&self) -> &Call<Q> {
        &self.call
    }

    /// How often it was asked.
    pub(crate) fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Whether it has a name, so that it may be asked again.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self.call, Call::Write { request: Some(_), .. })
    }

    /// Whether it is to be asked again, having heard this of the last attempt.
    pub(crate) fn again<R>(&mut self, heard: &Heard<R>) -> bool {
        self.doubt |= heard.is_doubtful();
        self.is_named() && self.doubt && !heard.is_final()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use replica::Failed;

    use super::*;

    const NOTHING: Heard<u8> = Heard::Nothing("the connection broke");
    const REPLY: Heard<u8> = Heard::Said(Outcome::Done(7));
    const FAILED: Heard<u8> = Heard::Said(Outcome::Failed(Failed::Overwritten));
    const UNKNOWN: Heard<u8> = Heard::Said(Outcome::Unknown(Unknown::Timeout));
    const FORGOTTEN: Heard<u8> = Heard::Said(Outcome::Unknown(Unknown::Forgotten));

    fn change() -> Call<()> {
        Call::Write { request: None, command: Bytes::new() }
    }

    fn named() -> Request<()> {
        let mut call = change();
        Session::of(Process(3)).name(&mut call);
        Request::new(call)
    }

    #[test]
    fn who_does_not_know_asks_again_until_there_is_a_reply() {
        for doubtful in [NOTHING, UNKNOWN] {
            let mut request = named();
            assert!(request.again(&doubtful));
            for nothing_new in [FAILED, Heard::Refused, NOTHING, UNKNOWN] {
                assert!(request.again(&nothing_new), "{nothing_new:?} says nothing of the first attempt");
            }
            assert!(!request.again(&REPLY));
        }
    }

    #[test]
    fn what_certainly_did_nothing_is_not_asked_again_and_what_is_forgotten_is_not_either() {
        for known in [REPLY, FAILED, Heard::Refused, FORGOTTEN] {
            assert!(!named().again(&known), "{known:?}");
        }
        let mut request = named();
        assert!(request.again(&UNKNOWN) && !request.again(&FORGOTTEN));
    }

    #[test]
    fn without_a_name_nothing_is_asked_twice() {
        for heard in [REPLY, FAILED, UNKNOWN, NOTHING, Heard::Refused] {
            assert!(!Request::new(change()).again(&heard));
            let mut look = Call::Read(());
            Session::of(Process(3)).name(&mut look);
            assert!(!Request::new(look).again(&heard), "a look has no name");
        }
    }

    #[test]
    fn a_name_is_used_up_by_a_reply_and_by_nothing_else() {
        let mut session = Session::of(Process(3));
        let name = |session: &Session| {
            let mut call = change();
            session.name(&mut call);
            let Call::Write { request: Some(request), .. } = call else { panic!("it was named") };
            (request.session.0, request.seq)
        };
        assert_eq!((name(&session), name(&session)), ((3, 1), (3, 1)), "the first opens the session");
        session.replied();
        assert_eq!(name(&session), (3, 2));
        assert!(session.belongs_to(Process(3)) && !session.belongs_to(Process(13)));
    }
}
