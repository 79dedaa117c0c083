//! How a simulated client asks: what its workload [asks of a store](workload::store), as calls to a replica of
//! [`kv`], and what becomes of them.
//!
//! A real client speaks the store's protocol over a socket. A simulated one speaks to the replica itself: it
//! makes a [`Call`], and gets an [`Outcome`](replica::Outcome). In both worlds the replies mean the same to the
//! workload; how a call fails is each world's own:
//! * the replica knows that it did nothing: the op *failed*;
//! * the replica does not know: *info* if the call could change something, else *failed*;
//! * it refuses what is well formed, or answers with what nobody can ask for: [`Nonsense`], since no door
//!   stands between them that could have garbled it.
//!
//! Who has a session asks again under the same name what nobody knows. That happens [behind all
//! this](crate::request), and comes back with one outcome.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use history::{Key, Outcome};
use kv::{Command, Comparison, LeaseId, Operand, Query, Range, ReadOnly};
use workload::store::{
    Answer, Asked, Condition, Expected, KeyValue, Keys, Nonsense, Put, Reply, Request, Revision, Step, Txn,
    TxnAnswer, unanswered,
};

pub(crate) use workload::store::Asking;

/// What a client wants of a replica.
pub(crate) type Call = replica::Call<Query>;

/// What a request is to a replica. What could change something goes through the log.
pub(crate) fn call(request: Request) -> Call {
    match request {
        Request::Range(keys) => Call::Read(Query::Range(Range::of(run(keys)))),
        Request::Put(change) => write(&Command::Put(put(change))),
        Request::Txn(asked) => match ReadOnly::new(txn(asked)) {
            Ok(look) => Call::Read(Query::Txn(look)),
            Err(change) => write(&Command::Txn(change)),
        },
    }
}

/// A change that no workload asks for, and that none of them sees.
pub(crate) fn a_change() -> Call {
    call(Request::Put(Put { key: Bytes::from_static(b"\0proof"), value: Bytes::new() }))
}

/// Whether a call could change something.
pub(crate) fn changes(call: &Call) -> bool {
    !matches!(call, Call::Read(_))
}

/// What the outcome of a call means, which [could change something](changes) or could not.
pub(crate) fn answered<W: Asking>(
    workload: &W,
    op: &W::Op,
    key: Option<&Key>,
    open: W::Open,
    changes: bool,
    outcome: replica::Outcome<kv::Reply>,
) -> Result<Asked<W>, Nonsense> {
    Ok(Asked::Over(match outcome {
        replica::Outcome::Done(said) => return workload.replied(op, key, open, reply(said)?),
        // No workload asks for another leader, or who the members are.
        replica::Outcome::Leads(node) => Outcome::Fail(format!("{node} leads")),
        replica::Outcome::Members(members) => Outcome::Fail(members.now.to_string()),
        replica::Outcome::Failed(why) => Outcome::Fail(why.to_string()),
        replica::Outcome::Unknown(why) => unanswered(changes, why.to_string()),
    }))
}

fn write(command: &Command) -> Call {
    Call::Write { request: None, command: kv::codec::encode(command) }
}

fn run(keys: Keys) -> kv::Keys {
    match keys {
        Keys::One(key) => kv::Keys::One(key),
        Keys::Between(from, to) => kv::Keys::Between(from, to),
    }
}

/// No lease is said aloud: not to say so would keep the one that is there, and there is no such key at first.
fn put(Put { key, value }: Put) -> kv::Put {
    kv::Put { key, value: Some(value), lease: Some(LeaseId::NONE), previous: false }
}

fn txn(Txn { conditions, steps }: Txn) -> kv::Txn {
    let step = |step| match step {
        Step::Range(keys) => kv::Step::Range(Range::of(run(keys))),
        Step::Put(change) => kv::Step::Put(put(change)),
    };
    kv::Txn {
        conditions: conditions.into_iter().map(condition).collect(),
        success: steps.into_iter().map(step).collect(),
        failure: Vec::new(),
    }
}

fn condition(Condition { key, expected }: Condition) -> kv::Condition {
    let operand = match expected {
        Expected::Value(value) => Operand::Value(value),
        Expected::Modified(Revision(revision)) => Operand::Mod(kv::Revision(revision)),
    };
    kv::Condition { keys: kv::Keys::One(key), comparison: Comparison::Equal, operand }
}

fn reply(reply: kv::Reply) -> Result<Reply, Nonsense> {
    let refused = |refusal| Nonsense(format!("refused what is well formed: {refusal}"));
    let answer = answer(reply.result.map_err(refused)?)?;
    Ok(Reply { revision: Revision(reply.revision.0), answer })
}

fn answer(said: kv::Answer) -> Result<Answer, Nonsense> {
    Ok(match said {
        kv::Answer::Range(found) => Answer::Range(found.kvs.into_iter().map(key_value).collect()),
        kv::Answer::Put(_) => Answer::Put,
        kv::Answer::Txn(txn) => {
            let answers = txn.answers.into_iter().map(|(_, said)| answer(said));
            Answer::Txn(TxnAnswer { succeeded: txn.succeeded, answers: answers.collect::<Result<_, _>>()? })
        }
        other => return Err(Nonsense(format!("an answer to what nobody asked: {other:?}"))),
    })
}

fn key_value(found: kv::KeyValue) -> KeyValue {
    let kv::KeyValue { key, value, modified, version, .. } = found;
    KeyValue { key, value, modified: Revision(modified.0), version }
}
