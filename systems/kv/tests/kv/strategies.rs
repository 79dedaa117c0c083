//! Random commands and queries over a handful of keys, so that they meet.

use bytes::Bytes;
use kv::{
    Command, Comparison, Condition, DeleteRange, Keys, LeaseId, Operand, Order, Put, Query, Range, ReadOnly,
    Revision, Sort, SortBy, Step, Txn, check,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Something to ask of a store.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// A command.
    Do(Command),
    /// A query.
    Look(Query),
}

/// Short keys, some of them prefixes of others.
pub(crate) fn key() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["a", "aa", "b", "b\0", "c", "d"])
        .prop_map(|key| Bytes::from_static(key.as_bytes()))
}

/// Single keys, runs (some the wrong way round), and open ends.
pub(crate) fn keys() -> impl Strategy<Value = Keys> {
    prop_oneof![
        3 => key().prop_map(Keys::One),
        2 => (key(), key()).prop_map(|(from, to)| Keys::Between(from, to)),
        1 => key().prop_map(Keys::From),
    ]
}

fn value() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["", "1", "2", "3"]).prop_map(|value| Bytes::from_static(value.as_bytes()))
}

fn revision() -> impl Strategy<Value = Revision> {
    prop_oneof![4 => Just(0), 6 => 1..20_i64, 1 => Just(-1)].prop_map(Revision)
}

fn lease() -> impl Strategy<Value = Option<LeaseId>> {
    prop_oneof![20 => Just(Some(LeaseId::NONE)), 4 => Just(None), 1 => Just(Some(LeaseId(7)))]
}

/// Puts, a few of which keep something or name a lease.
pub(crate) fn put() -> impl Strategy<Value = Put> {
    (key(), prop_oneof![6 => value().prop_map(Some), 1 => Just(None)], lease(), any::<bool>())
        .prop_map(|(key, value, lease, previous)| Put { key, value, lease, previous })
}

/// Deletes.
fn delete() -> impl Strategy<Value = DeleteRange> {
    (keys(), any::<bool>()).prop_map(|(keys, previous)| DeleteRange { keys, previous })
}

fn sort() -> impl Strategy<Value = Sort> {
    let by =
        prop::sample::select(vec![SortBy::Key, SortBy::Version, SortBy::Create, SortBy::Mod, SortBy::Value]);
    (by, prop::sample::select(vec![Order::Ascending, Order::Descending]))
        .prop_map(|(by, order)| Sort { by, order })
}

/// Ranges with every option.
pub(crate) fn range() -> impl Strategy<Value = Range> {
    let bound = || prop_oneof![4 => Just(0), 1 => 1..12_i64, 1 => Just(-1)].prop_map(Revision);
    (
        (keys(), revision(), -1..4_i64, option::of(sort())),
        (any::<bool>(), prop::bool::weighted(0.2)),
        (bound(), bound(), bound(), bound()),
    )
        .prop_map(|((keys, revision, limit, sort), (keys_only, count_only), bounds)| Range {
            keys,
            revision,
            limit,
            sort,
            keys_only,
            count_only,
            min_mod: bounds.0,
            max_mod: bounds.1,
            min_create: bounds.2,
            max_create: bounds.3,
        })
}

fn condition() -> impl Strategy<Value = Condition> {
    let comparison = prop::sample::select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Greater,
        Comparison::Less,
    ]);
    let operand = prop_oneof![
        (0..4_i64).prop_map(Operand::Version),
        (0..12_i64).prop_map(|number| Operand::Create(Revision(number))),
        (0..12_i64).prop_map(|number| Operand::Mod(Revision(number))),
        value().prop_map(Operand::Value),
        (0..2_i64).prop_map(|number| Operand::Lease(LeaseId(number))),
    ];
    (keys(), comparison, operand).prop_map(|(keys, comparison, operand)| Condition {
        keys,
        comparison,
        operand,
    })
}

/// Transactions up to three deep, well formed or not.
pub(crate) fn txn() -> impl Strategy<Value = Txn> {
    let step = prop_oneof![
        range().prop_map(Step::Range),
        put().prop_map(Step::Put),
        delete().prop_map(Step::DeleteRange),
    ];
    let step = step.prop_recursive(2, 12, 3, |step| {
        (vec(condition(), 0..2), vec(step.clone(), 0..3), vec(step, 0..3))
            .prop_map(|(conditions, success, failure)| Step::Txn(Txn { conditions, success, failure }))
    });
    (vec(condition(), 0..3), vec(step.clone(), 0..4), vec(step, 0..4))
        .prop_map(|(conditions, success, failure)| Txn { conditions, success, failure })
}

/// Commands, well formed or not.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        8 => put().prop_map(Command::Put),
        4 => delete().prop_map(Command::DeleteRange),
        6 => txn().prop_map(Command::Txn),
        1 => (0..20_i64).prop_map(|revision| Command::Compact(Revision(revision))),
    ]
}

/// What a door would let through.
pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    let look = prop_oneof![
        3 => range().prop_map(|range| Some(Query::Range(range))),
        1 => txn().prop_map(|txn| ReadOnly::new(txn).ok().map(Query::Txn)),
    ];
    prop_oneof![
        2 => command().prop_filter_map("a door refuses it", |command| {
            check::command(&command).is_ok().then_some(Ask::Do(command))
        }),
        1 => look.prop_filter_map("it writes, or a door refuses it", |query| {
            query.filter(|query| check::query(query).is_ok()).map(Ask::Look)
        }),
    ]
}
