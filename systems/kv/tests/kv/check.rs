//! What a door refuses, against a search through everything a transaction could do.

use crate::strategies::txn;
use bytes::Bytes;
use kv::{
    Command, Comparison, Condition, DeleteRange, Keys, LeaseId, Operand, Put, Range, Refusal, Step, Txn,
    check,
};
use proptest::prelude::*;

/// Every way through the steps of a branch: one list of writes for each choice of branches.
fn ways<'a>(branch: &'a [Step]) -> Vec<Vec<&'a Step>> {
    branch.iter().fold(vec![vec![]], |ways_so_far: Vec<Vec<&'a Step>>, step| {
        let next: Vec<Vec<&Step>> = match step {
            Step::Range(_) => vec![vec![]],
            Step::Put(_) | Step::DeleteRange(_) => vec![vec![step]],
            Step::Txn(inner) => ways(&inner.success).into_iter().chain(ways(&inner.failure)).collect(),
        };
        ways_so_far
            .iter()
            .flat_map(|way| next.iter().map(|more| [way.clone(), more.clone()].concat()))
            .collect()
    })
}

fn collide(one: &Step, other: &Step) -> bool {
    let hits = |put: &Put, keys: &Keys| match keys {
        Keys::One(key) => put.key == key,
        Keys::Between(from, to) => *from <= put.key && put.key < *to,
        Keys::From(from) => *from <= put.key,
    };
    match (one, other) {
        (Step::Put(one), Step::Put(other)) => one.key == other.key,
        (Step::Put(put), Step::DeleteRange(delete)) | (Step::DeleteRange(delete), Step::Put(put)) => {
            hits(put, &delete.keys)
        }
        _ => false,
    }
}

fn some_way_writes_a_key_twice(txn: &Txn) -> bool {
    ways(&txn.success).into_iter().chain(ways(&txn.failure)).any(|way| {
        way.iter().enumerate().any(|(place, one)| way[..place].iter().any(|other| collide(one, other)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_transaction_is_refused_exactly_when_some_way_through_it_writes_a_key_twice(txn in txn()) {
        let twice = some_way_writes_a_key_twice(&txn);
        let expected = if twice { Err(Refusal::DuplicateKey) } else { Ok(()) };
        prop_assert_eq!(check::command(&Command::Txn(txn)), expected);
    }
}

fn put(key: &'static str) -> Step {
    Step::Put(Put { key: key.into(), value: Some(Bytes::new()), lease: Some(LeaseId::NONE), previous: false })
}

fn success(success: Vec<Step>) -> Command {
    Command::Txn(Txn { success, ..Txn::default() })
}

#[test]
fn an_empty_key_is_refused_wherever_it_hides() {
    let none = || Keys::One(Bytes::new());
    let hidden = [
        success(vec![put("")]),
        success(vec![Step::Range(Range::of(none()))]),
        success(vec![Step::DeleteRange(DeleteRange { keys: none(), previous: false })]),
        success(vec![Step::Txn(Txn { failure: vec![put("")], ..Txn::default() })]),
        Command::Txn(Txn {
            conditions: vec![Condition {
                keys: none(),
                comparison: Comparison::Equal,
                operand: Operand::Version(0),
            }],
            ..Txn::default()
        }),
        Command::DeleteRange(DeleteRange { keys: Keys::From(Bytes::new()), previous: false }),
    ];
    for command in hidden {
        assert_eq!(check::command(&command), Err(Refusal::EmptyKey), "{command:?}");
    }
}

#[test]
fn a_transaction_has_at_most_128_ops_and_nested_ones_share_them() {
    let reads = |count| vec![Step::Range(Range::of(Keys::One(Bytes::from_static(b"a")))); count];
    assert_eq!(check::command(&success(reads(128))), Ok(()));
    assert_eq!(check::command(&success(reads(129))), Err(Refusal::TooManyOps));

    let nested = |outer: usize, inner: usize| {
        let mut steps = reads(outer - 1);
        steps.push(Step::Txn(Txn { failure: reads(inner), ..Txn::default() }));
        success(steps)
    };
    assert_eq!(check::command(&nested(64, 64)), Ok(()));
    assert_eq!(check::command(&nested(64, 65)), Err(Refusal::TooManyOps));
}

#[test]
fn deletes_may_overlap_but_a_put_may_not_stand_under_one() {
    let delete = |from: &'static str, to: &'static str| {
        Step::DeleteRange(DeleteRange { keys: Keys::Between(from.into(), to.into()), previous: false })
    };
    assert_eq!(check::command(&success(vec![delete("a", "c"), delete("b", "d")])), Ok(()));
    assert_eq!(check::command(&success(vec![delete("a", "c"), put("c")])), Ok(()));
    assert_eq!(check::command(&success(vec![delete("a", "c"), put("b")])), Err(Refusal::DuplicateKey));
    assert_eq!(check::command(&success(vec![put("b"), delete("a", "c")])), Err(Refusal::DuplicateKey));
}
