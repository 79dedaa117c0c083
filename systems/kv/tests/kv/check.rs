//! What a door refuses, against a search through everything a transaction could do.

use crate::strategies::{key, keys, put, txn};
use bytes::Bytes;
use kv::{
    Command, Comparison, Condition, DeleteRange, Keys, LeaseId, Operand, Put, Range, Refusal, Step, Txn,
    check,
};
use proptest::collection::vec;
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

fn expected(txn: &Txn) -> Result<(), Refusal> {
    let twice = ways(&txn.success).into_iter().chain(ways(&txn.failure)).any(|way| {
        way.iter().enumerate().any(|(place, one)| way[..place].iter().any(|other| collide(one, other)))
    });
    if twice { Err(Refusal::DuplicateKey) } else { Ok(()) }
}

/// Deletes of runs that nest, touch and overlap, and now and then a put.
fn write() -> impl Strategy<Value = Step> {
    let run = prop_oneof![
        8 => (key(), key()).prop_map(|(one, other)| Keys::Between(one.clone().min(other.clone()), one.max(other))),
        1 => keys(),
    ];
    prop_oneof![
        1 => put().prop_map(Step::Put),
        3 => run.prop_map(|keys| Step::DeleteRange(DeleteRange { keys, previous: false })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_branch_full_of_writes_is_refused_exactly_when_two_of_them_meet(steps in vec(write(), 2..6)) {
        let txn = Txn { success: steps, ..Txn::default() };
        prop_assert_eq!(check::command(&Command::Txn(txn.clone())), expected(&txn));
    }

    #[test]
    fn a_transaction_is_refused_exactly_when_some_way_through_it_writes_a_key_twice(txn in txn()) {
        prop_assert_eq!(check::command(&Command::Txn(txn.clone())), expected(&txn));
    }
}

fn put_of(key: &'static str) -> Step {
    Step::Put(Put { key: key.into(), value: Some(Bytes::new()), lease: Some(LeaseId::NONE), previous: false })
}

fn success(success: Vec<Step>) -> Command {
    Command::Txn(Txn { success, ..Txn::default() })
}

#[test]
fn an_empty_key_is_refused_wherever_it_hides() {
    let none = || Keys::One(Bytes::new());
    let hidden = [
        success(vec![put_of("")]),
        success(vec![Step::Range(Range::of(none()))]),
        success(vec![Step::DeleteRange(DeleteRange { keys: none(), previous: false })]),
        success(vec![Step::Txn(Txn { failure: vec![put_of("")], ..Txn::default() })]),
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
    assert_eq!(check::command(&success(vec![delete("a", "c"), put_of("c")])), Ok(()));
    assert_eq!(check::command(&success(vec![delete("a", "c"), put_of("b")])), Err(Refusal::DuplicateKey));
    assert_eq!(check::command(&success(vec![put_of("b"), delete("a", "c")])), Err(Refusal::DuplicateKey));
}
