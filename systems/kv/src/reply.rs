//! What is answered.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use raft::Membership;

use crate::codec::Malformed;
use crate::command::{LeaseId, Revision};
use crate::store::Store;

/// A key at one revision.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// What it holds.
    pub value: Bytes,
    /// When it was created.
    pub create: Revision,
    /// When it was last changed.
    pub modified: Revision,
    /// How often it was put since it was created.
    pub version: i64,
    /// The lease it hangs on.
    pub lease: LeaseId,
}

/// An answer, and the revision of the store when it was given.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reply {
    /// The store's revision, after what was asked was done.
    pub revision: Revision,
    /// What was done or found, or why not.
    pub result: Result<Answer, Refusal>,
}

/// What was done or found: one kind for each kind of question.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// To a range.
    Range(Kvs),
    /// To a put.
    Put(Replaced),
    /// To a delete.
    DeleteRange(Deleted),
    /// To a transaction.
    Txn(TxnAnswer),
    /// To a compaction.
    Compacted,
    /// To a change of the members: who belongs to the cluster now.
    Members(Arc<Membership>),
    /// How many bytes keys, values and their history take, nearly.
    Size(usize),
    /// The whole store.
    Image(Image),
}

/// A store that stands still. It shares what it holds with the one that goes on, so it costs little.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image(Arc<Store>);

impl Image {
    pub(crate) fn of(store: &Store) -> Image {
        Image(Arc::new(store.clone()))
    }

    /// The store as it was.
    pub fn store(&self) -> &Store {
        &self.0
    }
}

impl Hash for Image {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.revision().hash(state);
    }
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kvs {
    /// What was found, as far as it was asked for.
    pub kvs: Vec<KeyValue>,
    /// Whether the limit left some out.
    pub more: bool,
    /// How many keys there are, whatever the limit and the bounds on revisions.
    pub count: i64,
}

/// What a put replaced.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Replaced {
    /// What was there before, if there was something and it was asked for.
    pub previous: Option<KeyValue>,
}

/// What was deleted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Deleted {
    /// How many keys.
    pub count: i64,
    /// What was there before, if that was asked for.
    pub previous: Vec<KeyValue>,
}

/// What a transaction decided and did.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TxnAnswer {
    /// Whether all conditions held.
    pub succeeded: bool,
    /// The answer to each step taken, and the revision as that step saw it.
    pub answers: Vec<(Revision, Answer)>,
}

/// Why something was not done. The texts are etcd's, to the byte: its clients compare them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Refusal {
    /// No key may be empty.
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// It was asked to keep what is not there.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    /// More steps or conditions than [`MAX_OPS`](crate::check::MAX_OPS).
    #[error("etcdserver: too many operations in txn request")]
    TooManyOps,
    /// A transaction would write one key twice.
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    /// That past is forgotten.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// That future has not come yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    /// There is no such lease.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// The log holds bytes that are no command. All replicas pass over it alike.
    #[error("etcdserver: the command {0}")]
    Malformed(#[from] Malformed),
}
