//! What a client is told when it is not told what it asked: gRPC codes and texts.
//!
//! The texts are etcd's, to the byte: its clients compare them, and decide by them whether to try
//! again. They also decide what a history may claim. A text either says that the request certainly
//! did nothing, or it leaves that open, and the two never share a text:
//!
//! | Text | Code | The request |
//! |---|---|---|
//! | `etcdserver: no leader` | `Unavailable` | certainly did nothing: no leader had it, or its place in the log went to another |
//! | `etcdserver: too many requests` | `ResourceExhausted` | certainly did nothing: too much is waiting already |
//! | `etcdserver: re-configuration failed …`, `… can only promote a learner member …` and the other texts of [`raft::Unchanged`] | `FailedPrecondition`, `Unavailable` | certainly did nothing: the leader did not take the change |
//! | every text of [`Rejected`] and of [`kv::Refusal`] | `InvalidArgument`, `OutOfRange`, `NotFound`, `FailedPrecondition` | certainly did nothing: it cannot be done, and no state was changed |
//! | `etcdserver: leader changed` | `Unavailable` | may have been executed, or may still be: it had left for a leader that leads no more |
//! | `etcdserver: request timed out` | `Unavailable` | may have been executed, or may still be (a read changed nothing in any case) |
//! | `etcdserver: server stopped` | `Unavailable` | may have been executed, or may still be: this node stopped while it waited |
//! | `etcdserver: request timed out, leader transfer took too long` | `Unavailable` | the lead has not moved; it still may |
//! | `request-id: not remembered …` | `Unknown` | may have been executed: its session no longer tells |
//!
//! What stands in no line above, a broken connection say, leaves it open as well.

use raft::{Refusal, Unchanged, Unfit};
use replica::{Failed, Unknown};
use tonic::{Code, Status};

/// Largest command that is let into the log, in bytes: 1.5 MiB, as in etcd.
pub const MAX_REQUEST: usize = 1536 * 1024;

/// Why a request is turned away at the door. It certainly did nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejected {
    /// It says "keep the value" and gives one.
    #[error("etcdserver: value is provided")]
    ValueProvided,
    /// It says "keep the lease" and gives one.
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    /// It asks for an order that does not exist.
    #[error("etcdserver: invalid sort option")]
    InvalidSort,
    /// It asks for a comparison that does not exist. etcd lets it pass as true.
    #[error("etcdserver: invalid compare")]
    InvalidCompare,
    /// A step that is nothing. The text is etcd's.
    #[error("etcdserver: key not found")]
    EmptyStep,
    /// More than [`MAX_REQUEST`].
    #[error("etcdserver: request is too large")]
    TooLarge,
    /// A member without an address, or with one that is none.
    #[error("etcdserver: given member URLs are invalid")]
    BadUrls,
    /// Another member is found there.
    #[error("etcdserver: Peer URLs already exists")]
    UrlTaken,
    /// There is no such member.
    #[error("etcdserver: member not found")]
    NoMember,
    /// Only the leader can do that.
    #[error("etcdserver: not leader")]
    NotLeader,
    /// That member cannot lead.
    #[error("etcdserver: bad leader transferee")]
    BadTransferee,
    /// It asks who may do what, and there are no users here.
    #[error("etcdserver: authentication is not enabled")]
    NoUsers,
    /// The `request-id` that came with it cannot be read.
    #[error("request-id: {0:?} is not of the form <session, hexadecimal>-<number, from 1>")]
    RequestId(String),
}

impl From<Rejected> for Status {
    fn from(why: Rejected) -> Status {
        use Rejected as R;
        let code = match why {
            R::NoUsers | R::UrlTaken | R::NotLeader | R::BadTransferee => Code::FailedPrecondition,
            R::NoMember => Code::NotFound,
            _ => Code::InvalidArgument,
        };
        Status::new(code, why.to_string())
    }
}

/// The store refuses. It did so on every node alike, and changed nothing.
pub fn refused(why: &kv::Refusal) -> Status {
    use kv::Refusal as R;
    let code = match why {
        R::EmptyKey | R::KeyNotFound | R::TooManyOps | R::DuplicateKey => Code::InvalidArgument,
        R::Compacted | R::FutureRevision => Code::OutOfRange,
        R::LeaseNotFound => Code::NotFound,
        R::Malformed(_) => Code::Internal,
    };
    Status::new(code, why.to_string())
}

/// The replica says that it did not happen. A read whose time is up did nothing either, but its text
/// is etcd's, which says less.
pub fn failed(why: Failed) -> Status {
    match why {
        Failed::NoLeader | Failed::LeaderChanged | Failed::Overwritten | Failed::NotSent | Failed::Halted => {
            Status::unavailable("etcdserver: no leader")
        }
        Failed::Refused(why) => not_taken(why),
        Failed::Busy => Status::resource_exhausted("etcdserver: too many requests"),
        Failed::ReadTimeout => Status::unavailable("etcdserver: request timed out"),
    }
}

/// The replica cannot tell whether it happened.
pub fn unknown(why: Unknown) -> Status {
    match why {
        Unknown::Refused(why @ (Refusal::TooLarge | Refusal::Change(_) | Refusal::BadTransferee(_))) => {
            not_taken(why)
        }
        Unknown::LeaderChanged | Unknown::Refused(_) => Status::unavailable("etcdserver: leader changed"),
        Unknown::Timeout => Status::unavailable("etcdserver: request timed out"),
        Unknown::Halted => stopped(),
        Unknown::Forgotten => Status::unknown(
            "request-id: not remembered; the request may have been executed before, its session no longer tells",
        ),
    }
}

/// The core says why it does not take something in.
fn not_taken(why: Refusal) -> Status {
    match why {
        Refusal::TooLarge => Status::invalid_argument("etcdserver: request is too large"),
        Refusal::Full => Status::resource_exhausted("etcdserver: too many requests"),
        Refusal::BadTransferee(_) => Rejected::BadTransferee.into(),
        Refusal::Change(why) => unchanged(why),
        // The target may still lead, later.
        Refusal::Untransferred => {
            Status::unavailable("etcdserver: request timed out, leader transfer took too long")
        }
        Refusal::NoLeader | Refusal::NotLeader | Refusal::Transferring => {
            Status::unavailable("etcdserver: no leader")
        }
    }
}

/// Why the members stay as they are, in etcd's words where it has some.
fn unchanged(why: Unchanged) -> Status {
    let precondition = |text: &str| Status::failed_precondition(format!("etcdserver: {text}"));
    match why {
        Unchanged::Unfit(Unfit::Stranger(_)) => Rejected::NoMember.into(),
        Unchanged::Unfit(Unfit::NoLearner(_)) => precondition("can only promote a learner member"),
        Unchanged::Behind(_) => {
            precondition("can only promote a learner member which is in sync with leader")
        }
        Unchanged::NoQuorum { .. } | Unchanged::Unfit(Unfit::LastVoter) => {
            precondition("re-configuration failed due to not enough started members")
        }
        Unchanged::Early | Unchanged::Pending | Unchanged::Outdated | Unchanged::Unfit(Unfit::Joint) => {
            Status::unavailable(format!("etcdserver: {why}"))
        }
        Unchanged::Unfit(why) => precondition(&why.to_string()),
    }
}

/// This node stopped while the request waited.
pub fn stopped() -> Status {
    Status::unavailable("etcdserver: server stopped")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: [Failed; 7] = [
        Failed::NoLeader,
        Failed::LeaderChanged,
        Failed::Overwritten,
        Failed::Busy,
        Failed::NotSent,
        Failed::ReadTimeout,
        Failed::Halted,
    ];
    const UNKNOWN: [Unknown; 5] = [
        Unknown::LeaderChanged,
        Unknown::Refused(Refusal::NotLeader),
        Unknown::Timeout,
        Unknown::Forgotten,
        Unknown::Halted,
    ];

    #[test]
    fn a_text_that_promises_that_nothing_happened_is_never_used_in_doubt() {
        let definite = ["etcdserver: no leader", "etcdserver: too many requests"];
        for why in UNKNOWN {
            assert!(!definite.contains(&unknown(why).message()), "{why}");
        }
        for why in FAILED {
            let read_only = why == Failed::ReadTimeout;
            assert_eq!(definite.contains(&failed(why).message()), !read_only, "{why}");
        }
    }

    #[test]
    fn codes_are_those_that_etcd_clients_expect() {
        let codes = [
            (refused(&kv::Refusal::EmptyKey), Code::InvalidArgument),
            (refused(&kv::Refusal::Compacted), Code::OutOfRange),
            (refused(&kv::Refusal::FutureRevision), Code::OutOfRange),
            (refused(&kv::Refusal::LeaseNotFound), Code::NotFound),
            (Rejected::TooLarge.into(), Code::InvalidArgument),
            (Rejected::NoUsers.into(), Code::FailedPrecondition),
            (failed(Failed::NoLeader), Code::Unavailable),
            (failed(Failed::Busy), Code::ResourceExhausted),
            (unknown(Unknown::Timeout), Code::Unavailable),
        ];
        for (status, code) in codes {
            assert_eq!(status.code(), code, "{}", status.message());
        }
    }
}
