//! The state: all keys with their histories, and the order of their changes.

use std::sync::Arc;

use bytes::Bytes;
use raft::machine::Unreadable;
use raft::{Entry, Membership, StateMachine};

use crate::chunks::{Changes, Histories};
use crate::codec;
use crate::command::{Command, DeleteRange, Keys, LeaseId, Put, Query, Revision};
use crate::history::{KeyHistory, Live, Version};
use crate::reply::{Answer, Deleted, Image, KeyValue, Refusal, Replaced, Reply};
use crate::snapshot::{self, Frozen};

/// One change of one key: where to find it, and what compaction may have to clean up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The store's revision (the main revision).
    pub revision: Revision,
    /// Its place among the changes of that revision (the sub-revision), from 0.
    pub sub: u32,
    /// What changed.
    pub key: Bytes,
}

/// The replicated map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    pub(crate) keys: Histories,
    /// Every change that is not compacted, oldest first. It makes compaction cost what it frees,
    /// not what there is.
    pub(crate) changes: Changes,
    revision: Revision,
    compacted: Revision,
    bytes: usize,
}

impl Default for Store {
    fn default() -> Store {
        Store::new()
    }
}

impl Store {
    /// An empty store, at revision 1.
    pub fn new() -> Store {
        Store::at(Revision(1), Revision(-1))
    }

    /// An empty store at some revision.
    pub(crate) fn at(revision: Revision, compacted: Revision) -> Store {
        Store { keys: Histories::default(), changes: Changes::default(), revision, compacted, bytes: 0 }
    }

    /// Adds a version of a key, as a snapshot has it: in order.
    pub(crate) fn load_version(&mut self, key: &[u8], version: Version) {
        if let Some((_, history)) = self.keys.find_mut(key) {
            self.bytes += history.push(version);
            return;
        }
        let mut history = KeyHistory::default();
        self.bytes += key_weight(key) + history.push(version);
        self.keys.insert(Bytes::copy_from_slice(key), history);
    }

    /// Adds a change, as a snapshot has it: in order.
    pub(crate) fn load_change(&mut self, revision: Revision, sub: u32, key: &[u8]) {
        let kept = self.keys.find(key).cloned();
        let change = Change { revision, sub, key: kept.unwrap_or_else(|| Bytes::copy_from_slice(key)) };
        self.bytes += change.weight();
        self.changes.push(change);
    }

    /// The revision of the last change.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest revision that can still be read; -1 before the first compaction, so that revision 0 of
    /// a new store can be compacted, once, as with etcd.
    pub fn compacted(&self) -> Revision {
        self.compacted
    }

    /// How much memory keys, values and their history take, nearly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The changes after `revision`, oldest first, as far as they are not compacted.
    pub fn changes_after(&self, revision: Revision) -> impl Iterator<Item = &Change> {
        self.changes.after(revision)
    }

    /// A number that is the same on two replicas if their states are, and almost certainly not if
    /// they are not.
    pub fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        digest.number(self.revision.0.cast_unsigned());
        digest.number(self.compacted.0.cast_unsigned());
        for (key, history) in self.keys.iter() {
            digest.bytes(key);
            history.digest(&mut digest);
        }
        for change in self.changes.iter() {
            digest.number(change.revision.0.cast_unsigned());
            digest.number(u64::from(change.sub));
            digest.bytes(&change.key);
        }
        digest.0
    }

    /// A number over what the store was at `revision` (0 or less: now), as far as it is not compacted. Two replicas that
    /// have compacted alike have the same, however much further one of them is.
    ///
    /// # Errors
    /// That revision is compacted, or yet to come.
    pub fn hash(&self, revision: Revision) -> Result<u32, Refusal> {
        let at = if revision.0 <= 0 { self.revision } else { revision };
        if at > self.revision {
            return Err(Refusal::FutureRevision);
        }
        if at < self.compacted {
            return Err(Refusal::Compacted);
        }
        let mut digest = Digest::new();
        digest.number(at.0.cast_unsigned());
        digest.number(self.compacted.0.cast_unsigned());
        for (key, history) in self.keys.iter() {
            history.digest_until(key, at, &mut digest);
        }
        let (high, low) = (digest.0 >> 32, digest.0 & u64::from(u32::MAX));
        Ok(u32::try_from(high ^ low).expect("both are halves"))
    }

    /// Does what is asked, or nothing.
    pub fn execute(&mut self, command: &Command) -> Reply {
        let result = match command {
            Command::Put(put) => self.put(put).map(Answer::Put),
            Command::DeleteRange(delete) => Ok(Answer::DeleteRange(self.delete(delete))),
            Command::Txn(txn) => self.txn(txn).map(Answer::Txn),
            Command::Compact(revision) => self.compact(*revision).map(|()| Answer::Compacted),
        };
        Reply { revision: self.revision, result }
    }

    fn put(&mut self, put: &Put) -> Result<Replaced, Refusal> {
        self.may_put(put)?;
        let mut write = self.write();
        let replaced = write.put(put);
        write.finish();
        Ok(replaced)
    }

    fn delete(&mut self, delete: &DeleteRange) -> Deleted {
        let mut write = self.write();
        let deleted = write.delete(delete);
        write.finish();
        deleted
    }

    /// Whether a put could be done now: what it would keep must be there, and so must its lease.
    pub(crate) fn may_put(&self, put: &Put) -> Result<(), Refusal> {
        if put.lease.is_some_and(|lease| lease != LeaseId::NONE) {
            return Err(Refusal::LeaseNotFound); // none was ever granted
        }
        let keeps = put.value.is_none() || put.lease.is_none();
        if keeps && self.get(&put.key).is_none() {
            return Err(Refusal::KeyNotFound);
        }
        Ok(())
    }

    fn compact(&mut self, revision: Revision) -> Result<(), Refusal> {
        if revision <= self.compacted {
            return Err(Refusal::Compacted);
        }
        if revision > self.revision {
            return Err(Refusal::FutureRevision);
        }
        self.compacted = revision;
        while self.changes.first().is_some_and(|change| change.revision <= revision) {
            let change = self.changes.pop_first().expect("there is a first one, we just looked at it");
            self.bytes -= change.weight();
            self.forget(&change.key, revision);
        }
        Ok(())
    }

    fn forget(&mut self, key: &[u8], revision: Revision) {
        // Another change of the same key may have cleaned up before, and left nothing.
        let Some((_, history)) = self.keys.find_mut(key) else { return };
        self.bytes -= history.compact(revision);
        if history.is_empty() {
            self.keys.remove(key);
            self.bytes -= key_weight(key);
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<(Revision, &Live)> {
        self.keys.get(key).and_then(KeyHistory::now)
    }

    /// All histories of `keys`, in order, those of deleted keys too.
    pub(crate) fn histories<'a>(
        &'a self,
        keys: &'a Keys,
    ) -> impl Iterator<Item = (&'a Bytes, &'a KeyHistory)> {
        keys.bounds().into_iter().flat_map(|bounds| self.keys.range(bounds))
    }

    /// The living keys among `keys`, as they are now.
    pub(crate) fn living<'a>(&'a self, keys: &'a Keys) -> impl Iterator<Item = KeyValue> + 'a {
        self.histories(keys)
            .filter_map(|(key, history)| history.now().map(|(modified, live)| live.show(key, modified)))
    }

    /// Begins a set of changes that share one revision.
    pub(crate) fn write(&mut self) -> Write<'_> {
        Write { store: self, changes: 0 }
    }
}

/// A set of changes that share one revision. It takes effect as it goes, so that its reads see its
/// writes; nobody else looks before [`Write::finish`].
pub(crate) struct Write<'a> {
    pub(crate) store: &'a mut Store,
    changes: u32,
}

impl Write<'_> {
    /// The store's revision as this sees it: the next one as soon as something was changed.
    pub(crate) fn revision(&self) -> Revision {
        if self.changes == 0 { self.store.revision } else { self.store.revision.next() }
    }

    /// Writes one key; [`Store::may_put`] must have agreed. Key and value are copied: kept as they
    /// came, a small value would keep alive the whole message in which it travelled.
    pub(crate) fn put(&mut self, put: &Put) -> Replaced {
        let before = self.store.get(&put.key);
        let value = match (&put.value, before) {
            (Some(value), _) => Bytes::copy_from_slice(value),
            (None, Some((_, live))) => live.value.clone(),
            (None, None) => Bytes::new(),
        };
        let kept = || before.map_or(LeaseId::NONE, |(_, live)| live.lease);
        let lease = put.lease.unwrap_or_else(kept);
        let shown = before.filter(|_| put.previous).map(|(modified, live)| live.show(&put.key, modified));
        self.change(&put.key, |history, at| history.put(at, value, lease));
        Replaced { previous: shown }
    }

    /// Deletes whatever there is of some keys.
    pub(crate) fn delete(&mut self, delete: &DeleteRange) -> Deleted {
        let gone: Vec<KeyValue> = self.store.living(&delete.keys).collect();
        for kv in &gone {
            self.change(&kv.key, KeyHistory::delete);
        }
        let count = i64::try_from(gone.len()).expect("memory holds fewer keys than that");
        Deleted { count, previous: if delete.previous { gone } else { Vec::new() } }
    }

    fn change(&mut self, key: &[u8], change: impl FnOnce(&mut KeyHistory, Revision) -> usize) {
        let at = self.store.revision.next();
        let (key, weight) = if let Some((key, history)) = self.store.keys.find_mut(key) {
            (key.clone(), change(history, at))
        } else {
            let (key, mut history) = (Bytes::copy_from_slice(key), KeyHistory::default());
            let weight = key_weight(&key) + change(&mut history, at);
            self.store.keys.insert(key.clone(), history);
            (key, weight)
        };
        let change = Change { revision: at, sub: self.changes, key };
        self.store.bytes += weight + change.weight();
        self.store.changes.push(change);
        self.changes += 1;
    }

    /// Ends it. The revision counts up if anything was changed.
    pub(crate) fn finish(self) {
        self.store.revision = self.revision();
    }
}

impl Change {
    /// The key itself is shared with the map.
    fn weight(&self) -> usize {
        size_of_val(self)
    }
}

fn key_weight(key: &[u8]) -> usize {
    key.len() + size_of::<(Bytes, KeyHistory)>()
}

impl StateMachine for Store {
    type Query = Query;
    type Reply = Reply;
    type Frozen = Frozen;

    fn apply(&mut self, _entry: &Entry, command: &Bytes) -> Reply {
        match codec::decode(command.clone()) {
            Ok(command) => self.execute(&command),
            Err(malformed) => Reply { revision: self.revision, result: Err(malformed.into()) },
        }
    }

    fn membership(&mut self, _entry: &Entry, membership: &Membership) -> Reply {
        Reply { revision: self.revision, result: Ok(Answer::Members(Arc::new(membership.clone()))) }
    }

    fn query(&self, query: &Query) -> Reply {
        let result = match query {
            Query::Range(range) => self.range(range, self.revision).map(Answer::Range),
            Query::Txn(txn) => self.read_txn(txn).map(Answer::Txn),
            Query::Size => Ok(Answer::Size(self.bytes)),
            Query::Image => Ok(Answer::Image(Image::of(self))),
        };
        Reply { revision: self.revision, result }
    }

    fn freeze(&self) -> Frozen {
        Frozen::new(self)
    }

    fn restore(&mut self, pieces: &mut dyn Iterator<Item = Bytes>) -> Result<(), Unreadable> {
        *self = snapshot::thaw(pieces)?;
        Ok(())
    }

    fn encode_reply(reply: &Reply, out: &mut Vec<u8>) {
        snapshot::put_reply(reply, out);
    }

    fn decode_reply(from: &mut Bytes) -> Result<Reply, Unreadable> {
        snapshot::get_reply(from).map_err(|malformed| Unreadable(format!("a reply {malformed}")))
    }
}

/// FNV-1a, 64 bits: short, the same everywhere, and good enough against accidents.
pub(crate) struct Digest(u64);

impl Digest {
    fn new() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.feed(&number.to_le_bytes());
    }

    /// The length goes first, so that two strings never read as one.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.feed(bytes);
    }

    fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
