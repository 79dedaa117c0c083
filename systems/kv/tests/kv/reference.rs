//! The store against a reference that is too simple to be wrong: it keeps a full copy of the map for
//! every revision, and does everything by looking at all of it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::strategies::{Ask, ask};
use bytes::Bytes;
use kv::{
    Answer, Command, Comparison, Condition, Deleted, KeyValue, Keys, Kvs, LeaseId, Operand, Order, Put,
    Query, Range, Refusal, Replaced, Reply, Revision, SortBy, Step, Store, Txn, TxnAnswer, codec,
};
use proptest::prelude::*;
use raft::{Entry, EntryId, Payload, StateMachine, Wall};

type Map = BTreeMap<Bytes, KeyValue>;

/// `pasts[r]` is the map at revision r.
struct Reference {
    pasts: Vec<Map>,
    compacted: i64,
}

/// A set of changes under way: the map as it was, and as it is now.
struct Draft {
    before: Map,
    now: Map,
    changed: bool,
    revision: i64,
}

fn count(items: usize) -> i64 {
    i64::try_from(items).expect("a test holds few items")
}

fn within(keys: &Keys, key: &Bytes) -> bool {
    match keys {
        Keys::One(one) => key == one,
        Keys::Between(from, to) => from <= key && key < to,
        Keys::From(from) => from <= key,
    }
}

fn compares(comparison: Comparison, order: Ordering) -> bool {
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Greater => order.is_gt(),
        Comparison::Less => order.is_lt(),
    }
}

fn holds(map: &Map, condition: &Condition) -> bool {
    let mut found: Vec<KeyValue> =
        map.values().filter(|kv| within(&condition.keys, &kv.key)).cloned().collect();
    if found.is_empty() {
        if matches!(condition.operand, Operand::Value(_)) {
            return false;
        }
        found.push(KeyValue {
            key: Bytes::new(),
            value: Bytes::new(),
            create: Revision(0),
            modified: Revision(0),
            version: 0,
            lease: LeaseId(0),
        });
    }
    found.iter().all(|kv| {
        let order = match &condition.operand {
            Operand::Version(number) => kv.version.cmp(number),
            Operand::Create(revision) => kv.create.cmp(revision),
            Operand::Mod(revision) => kv.modified.cmp(revision),
            Operand::Lease(lease) => kv.lease.cmp(lease),
            Operand::Value(value) => kv.value.cmp(value),
        };
        compares(condition.comparison, order)
    })
}

impl Reference {
    fn new() -> Reference {
        Reference { pasts: vec![Map::new(), Map::new()], compacted: -1 }
    }

    fn revision(&self) -> i64 {
        count(self.pasts.len()) - 1
    }

    fn draft(&self) -> Draft {
        let now = self.pasts.last().expect("there is always a present").clone();
        Draft { before: now.clone(), now, changed: false, revision: self.revision() }
    }

    fn ask(&mut self, ask: &Ask) -> Reply {
        let result = match ask {
            Ask::Do(Command::Compact(revision)) => self.compact(revision.0).map(|()| Answer::Compacted),
            Ask::Do(Command::Put(put)) => self.run(&Step::Put(put.clone())),
            Ask::Do(Command::DeleteRange(delete)) => self.run(&Step::DeleteRange(delete.clone())),
            Ask::Do(Command::Txn(txn)) => self.run(&Step::Txn(txn.clone())),
            Ask::Look(Query::Range(range)) => self.run(&Step::Range(range.clone())),
            Ask::Look(Query::Txn(txn)) => self.run(&Step::Txn(txn.txn().clone())),
            Ask::Look(Query::Size | Query::Image) => unreachable!("the generator does not ask for it"),
        };
        Reply { revision: Revision(self.revision()), result }
    }

    fn run(&mut self, step: &Step) -> Result<Answer, Refusal> {
        let mut draft = self.draft();
        let answer = self.step(&mut draft, step)?;
        if draft.changed {
            self.pasts.push(draft.now);
        }
        Ok(answer)
    }

    fn step(&self, draft: &mut Draft, step: &Step) -> Result<Answer, Refusal> {
        Ok(match step {
            Step::Range(range) => Answer::Range(self.range(draft, range)?),
            Step::Put(put) => Answer::Put(draft.put(put)?),
            Step::DeleteRange(delete) => {
                let gone: Vec<KeyValue> =
                    draft.now.values().filter(|kv| within(&delete.keys, &kv.key)).cloned().collect();
                draft.now.retain(|key, _| !within(&delete.keys, key));
                draft.changed |= !gone.is_empty();
                let count = count(gone.len());
                Answer::DeleteRange(Deleted { count, previous: if delete.previous { gone } else { vec![] } })
            }
            Step::Txn(txn) => Answer::Txn(self.txn(draft, txn)?),
        })
    }

    fn txn(&self, draft: &mut Draft, txn: &Txn) -> Result<TxnAnswer, Refusal> {
        let succeeded = txn.conditions.iter().all(|condition| holds(&draft.before, condition));
        let mut answers = Vec::new();
        for step in if succeeded { &txn.success } else { &txn.failure } {
            let answer = self.step(draft, step)?;
            answers.push((Revision(draft.revision + i64::from(draft.changed)), answer));
        }
        Ok(TxnAnswer { succeeded, answers })
    }

    fn range(&self, draft: &Draft, range: &Range) -> Result<Kvs, Refusal> {
        let map = match usize::try_from(range.revision.0) {
            Err(_) | Ok(0) => &draft.now,
            Ok(past) if past >= self.pasts.len() => return Err(Refusal::FutureRevision),
            Ok(_) if range.revision.0 < self.compacted => return Err(Refusal::Compacted),
            Ok(past) => &self.pasts[past],
        };
        let mut kvs: Vec<KeyValue> =
            map.values().filter(|kv| within(&range.keys, &kv.key)).cloned().collect();
        let count = count(kvs.len());
        if range.count_only {
            return Ok(Kvs { kvs: vec![], more: false, count });
        }
        for (bound, wrong) in [(range.min_mod, Ordering::Less), (range.max_mod, Ordering::Greater)] {
            kvs.retain(|kv| bound.0 == 0 || kv.modified.cmp(&bound) != wrong);
        }
        for (bound, wrong) in [(range.min_create, Ordering::Less), (range.max_create, Ordering::Greater)] {
            kvs.retain(|kv| bound.0 == 0 || kv.create.cmp(&bound) != wrong);
        }
        if let Some(sort) = range.sort {
            match sort.by {
                SortBy::Key => kvs.sort_by_key(|kv| kv.key.clone()),
                SortBy::Version => kvs.sort_by_key(|kv| kv.version),
                SortBy::Create => kvs.sort_by_key(|kv| kv.create),
                SortBy::Mod => kvs.sort_by_key(|kv| kv.modified),
                SortBy::Value => kvs.sort_by_key(|kv| kv.value.clone()),
            }
            if sort.order == Order::Descending {
                // Equals stay in the order of their keys: turn round, then turn each run of equals back.
                kvs.reverse();
                kvs.chunk_by_mut(|one, other| match sort.by {
                    SortBy::Key => false,
                    SortBy::Version => one.version == other.version,
                    SortBy::Create => one.create == other.create,
                    SortBy::Mod => one.modified == other.modified,
                    SortBy::Value => one.value == other.value,
                })
                .for_each(<[KeyValue]>::reverse);
            }
        }
        let limit = usize::try_from(range.limit).unwrap_or(0);
        let more = limit > 0 && kvs.len() > limit;
        if limit > 0 {
            kvs = kvs.into_iter().take(limit).collect();
        }
        if range.keys_only {
            kvs = kvs.into_iter().map(|kv| KeyValue { value: Bytes::new(), ..kv }).collect();
        }
        Ok(Kvs { kvs, more, count })
    }

    fn compact(&mut self, revision: i64) -> Result<(), Refusal> {
        if revision > self.revision() {
            return Err(Refusal::FutureRevision);
        }
        if revision <= self.compacted {
            return Err(Refusal::Compacted);
        }
        self.compacted = revision;
        Ok(())
    }
}

impl Draft {
    fn put(&mut self, put: &Put) -> Result<Replaced, Refusal> {
        let old = self.now.get(&put.key).cloned();
        if put.lease.is_some_and(|lease| lease.0 != 0) {
            return Err(Refusal::LeaseNotFound);
        }
        let (value, lease) = match (&old, put.value.clone(), put.lease) {
            (_, Some(value), Some(lease)) => (value, lease),
            (Some(old), value, lease) => {
                (value.unwrap_or_else(|| old.value.clone()), lease.unwrap_or(old.lease))
            }
            (None, ..) => return Err(Refusal::KeyNotFound),
        };
        let next = Revision(self.revision + 1);
        let new = KeyValue {
            key: put.key.clone(),
            value,
            create: old.as_ref().map_or(next, |old| old.create),
            modified: next,
            version: old.as_ref().map_or(0, |old| old.version) + 1,
            lease,
        };
        self.now.insert(put.key.clone(), new);
        self.changed = true;
        Ok(Replaced { previous: old.filter(|_| put.previous) })
    }
}

/// A command as the log would carry it.
fn entry(index: u64, command: &Command) -> (Entry, Bytes) {
    let bytes = codec::encode(command);
    let payload = Payload::Command(bytes.clone());
    (Entry { id: EntryId::new(index, 1), stamp: Wall(index), request: None, payload }, bytes)
}

fn everything(revision: i64) -> Range {
    Range { revision: Revision(revision), ..Range::of(Keys::From(Bytes::from_static(b"\0"))) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn the_store_answers_as_the_reference_does_and_remembers_every_revision(
        asks in proptest::collection::vec(ask(), 1..40)
    ) {
        let (mut store, mut reference) = (Store::new(), Reference::new());
        for (index, ask) in asks.iter().enumerate() {
            let expected = reference.ask(ask);
            let actual = match ask {
                Ask::Do(command) => {
                    let (entry, bytes) = entry(index as u64 + 1, command);
                    store.apply(&entry, &bytes)
                }
                Ask::Look(query) => store.query(query),
            };
            prop_assert_eq!(actual, expected, "to {:?}", ask);
        }
        for revision in 1..=reference.revision() {
            let ask = Ask::Look(Query::Range(everything(revision)));
            let expected = reference.ask(&ask);
            let actual = store.query(&Query::Range(everything(revision)));
            prop_assert_eq!(actual, expected, "at {}", revision);
        }
    }

    #[test]
    fn replicas_agree_in_their_digests_exactly_when_they_agree(
        asks in proptest::collection::vec(ask(), 1..20),
        dropped in any::<prop::sample::Index>(),
    ) {
        let dropped = dropped.index(asks.len());
        let (mut one, mut same, mut other) = (Store::new(), Store::new(), Store::new());
        for (place, ask) in asks.iter().enumerate() {
            let Ask::Do(command) = ask else { continue };
            one.execute(command);
            same.execute(command);
            if place != dropped {
                other.execute(command);
            }
        }
        prop_assert_eq!(one.digest(), same.digest());
        prop_assert_eq!(one.digest() == other.digest(), one == other);
    }

    #[test]
    fn compacting_all_leaves_only_what_lives_and_its_memory(
        asks in proptest::collection::vec(ask(), 1..40)
    ) {
        let mut store = Store::new();
        for ask in &asks {
            if let Ask::Do(command) = ask {
                store.execute(command);
            }
        }
        let living = store.query(&Query::Range(everything(0))).result;
        if store.compacted() < store.revision() {
            store.execute(&Command::Compact(store.revision()));
        }
        prop_assert_eq!(store.query(&Query::Range(everything(0))).result, living);
        prop_assert_eq!(store.changes_after(Revision(0)).count(), 0);
        let everything_there_is =
            kv::DeleteRange { keys: Keys::From(Bytes::from_static(b"\0")), previous: false };
        store.execute(&Command::DeleteRange(everything_there_is));
        store.execute(&Command::Compact(store.revision()));
        prop_assert_eq!(store.bytes(), 0);
    }
}
