//! The workloads of objects, driven in virtual time: an honest system is valid, and one that makes the
//! mistake that its workload is after is not.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use checker::unique_ids::{Generate, Id};
use checker::{Budget, bank, counter, set};
use history::{History, Key, Kind, Line, MicroOp, Pairing, Seen, Txn, TxnRead};
use support::{Run, drive, mostly};
use workload::{Banks, Counters, ListAppend, Name, Sets, UniqueIds, UnknownWorkload, Workload, until};

const SECOND: u64 = 1_000_000_000;

/// Two seconds of a workload against this system.
fn run<W: Workload<Op: Clone, Ret: Clone>>(
    workload: &W,
    seed: u64,
    mut execute: impl FnMut(Option<&Key>, &W::Op) -> W::Ret,
) -> Run<W::Op, W::Ret> {
    let mut generator = until(2 * SECOND, workload.generator(seed));
    drive(&mut generator, 6, seed, &mut |key, op, rng| mostly(rng, 4, 4, || execute(key, op)))
}

fn history<Op: Clone, Ret: Clone>(run: &Run<Op, Ret>) -> History<Op, Ret> {
    let mut pairing = Pairing::default();
    run.lines.iter().cloned().map(Line::Client).for_each(|line| pairing.push(line));
    pairing.finish()
}

fn verdict<W: Workload<Op: Clone, Ret: Clone>>(
    workload: &W,
    seed: u64,
    execute: impl FnMut(Option<&Key>, &W::Op) -> W::Ret,
) -> &'static str {
    let history = history(&run(workload, seed, execute));
    let [checker] = &workload.checkers()[..] else { panic!("one checker") };
    checker.check(&history, &Budget::default()).word()
}

/// Sets that lose every so many-th add.
fn sets(lossy: u64) -> impl FnMut(Option<&Key>, &set::Op) -> set::Ret {
    let mut sets: BTreeMap<Key, BTreeSet<u64>> = BTreeMap::new();
    move |key, op| {
        let set = sets.entry(key.unwrap().clone()).or_default();
        match *op {
            set::Op::Add(value) => {
                if value % lossy != 0 {
                    set.insert(value);
                }
                set::Ret::Added
            }
            set::Op::Read => set::Ret::Elements(Arc::new(set.clone())),
        }
    }
}

#[test]
fn a_set_that_loses_one_add_in_three_hundred_is_found() {
    for seed in 0..5 {
        assert_eq!(verdict(&Sets::default(), seed, sets(u64::MAX)), "valid", "{seed}");
        assert_eq!(verdict(&Sets::default(), seed, sets(300)), "invalid", "{seed}");
    }
}

/// Counters that carry every so many-th add out twice.
fn counters(eager: u64) -> impl FnMut(Option<&Key>, &counter::Op) -> counter::Ret {
    let mut sums: BTreeMap<Key, i64> = BTreeMap::new();
    let mut adds = 0;
    move |key, op| {
        let sum = sums.entry(key.unwrap().clone()).or_default();
        match *op {
            counter::Op::Add(delta) => {
                adds += 1;
                *sum += if adds % eager == 0 { 2 * delta } else { delta };
                counter::Ret::Added
            }
            counter::Op::Read => counter::Ret::Value(*sum),
        }
    }
}

#[test]
fn a_counter_that_adds_twice_now_and_then_is_found() {
    for seed in 0..5 {
        assert_eq!(verdict(&Counters::default(), seed, counters(u64::MAX)), "valid", "{seed}");
        assert_eq!(verdict(&Counters::default(), seed, counters(300)), "invalid", "{seed}");
    }
}

/// What a bank does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Robbery {
    None,
    /// One transfer in three hundred only takes.
    Takes,
    /// One read in three hundred shows what was there before the last transfer.
    Old,
}

fn banks(robbery: Robbery) -> impl FnMut(Option<&Key>, &bank::Op) -> bank::Ret {
    let mut banks: BTreeMap<Key, (Vec<i64>, Vec<i64>)> = BTreeMap::new();
    let mut ops = 0;
    move |key, op| {
        ops += 1;
        let now = |wanted| robbery == wanted && ops % 300 == 0;
        let (balances, old) = banks.entry(key.unwrap().clone()).or_insert((vec![10; 4], vec![10; 4]));
        match *op {
            bank::Op::Transfer { from, to, amount } => {
                let enough = balances[usize::from(from)] >= i64::from(amount);
                if enough {
                    old.clone_from(balances);
                    balances[usize::from(from)] -= i64::from(amount);
                    balances[usize::from(to)] += if now(Robbery::Takes) { 0 } else { i64::from(amount) };
                }
                bank::Ret::Moved(enough)
            }
            bank::Op::Read if now(Robbery::Old) => bank::Ret::Balances(old.as_slice().into()),
            bank::Op::Read => bank::Ret::Balances(balances.as_slice().into()),
        }
    }
}

#[test]
fn a_bank_that_loses_money_or_shows_old_balances_is_found() {
    for seed in 0..5 {
        assert_eq!(verdict(&Banks::default(), seed, banks(Robbery::None)), "valid", "{seed}");
        assert_eq!(verdict(&Banks::default(), seed, banks(Robbery::Takes)), "invalid", "{seed}");
        assert_eq!(verdict(&Banks::default(), seed, banks(Robbery::Old)), "invalid", "{seed}");
    }
}

#[test]
fn transfers_are_between_two_accounts_and_reach_all_of_them() {
    let run = run(&Banks::default(), 1, banks(Robbery::None));
    let mut pairs = BTreeSet::new();
    for line in run.lines {
        if let Kind::Invoke(bank::Op::Transfer { from, to, amount }) = line.kind {
            assert!(from != to && (1..=5).contains(&amount));
            pairs.insert((from, to));
        }
    }
    assert_eq!(pairs.len(), 12);
}

/// Ids are counted, from the start again after so many.
fn ids(restart: u64) -> impl FnMut(Option<&Key>, &Generate) -> Id {
    let mut last = 0;
    move |_, Generate| {
        last += 1;
        Id(last % restart)
    }
}

#[test]
fn ids_that_start_over_are_found() {
    for seed in 0..5 {
        assert_eq!(verdict(&UniqueIds, seed, ids(u64::MAX)), "valid", "{seed}");
        assert_eq!(verdict(&UniqueIds, seed, ids(1000)), "invalid", "{seed}");
    }
}

/// Lists, as they should be.
fn lists() -> impl FnMut(Option<&Key>, &Txn) -> TxnRead {
    let mut lists: BTreeMap<Key, Vec<i64>> = BTreeMap::new();
    move |_, txn| {
        let step = |step: &MicroOp| match step {
            MicroOp::Append(key, value) => {
                lists.entry(key.clone()).or_default().push(*value);
                None
            }
            MicroOp::Read(key) => Some(lists.get(key).cloned().map_or(Seen::Nothing, Seen::List)),
            MicroOp::Write(..) => panic!("lists are not written"),
        };
        TxnRead(txn.0.iter().filter_map(step).collect())
    }
}

#[test]
fn transactions_append_each_value_once_and_no_list_gets_more_than_its_share() {
    let plan = ListAppend::default();
    let run = run(&plan, 3, lists());
    let mut appended: BTreeMap<Key, u32> = BTreeMap::new();
    let (mut values, mut used, mut read) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in &run.lines {
        let Kind::Invoke(txn) = &line.kind else { continue };
        assert!((1..=plan.longest).contains(&txn.0.len()));
        for step in &txn.0 {
            match step {
                MicroOp::Append(key, value) => {
                    assert!(values.insert(*value), "{value} was appended before");
                    *appended.entry(key.clone()).or_default() += 1;
                    used.insert(key.clone());
                }
                MicroOp::Read(key) if line.index >= run.concluded_at => {
                    read.insert(key.clone());
                }
                MicroOp::Read(key) => {
                    used.insert(key.clone());
                }
                MicroOp::Write(..) => panic!("lists are not written"),
            }
        }
    }
    assert_eq!(appended.values().max(), Some(&plan.share.ops));
    assert_eq!(read, used, "in the end, all are read");
    assert!(plan.checkers().is_empty(), "nobody claims to have judged it");
}

#[test]
fn the_same_seed_and_the_same_answers_give_the_same_ops() {
    let lines = |seed| {
        let sets = run(&Sets::default(), seed, sets(u64::MAX)).lines;
        let counters = run(&Counters::default(), seed, counters(u64::MAX)).lines;
        let banks = run(&Banks::default(), seed, banks(Robbery::None)).lines;
        let ids = run(&UniqueIds, seed, ids(u64::MAX)).lines;
        (sets, counters, banks, ids, run(&ListAppend::default(), seed, lists()).lines)
    };
    assert_eq!(lines(7), lines(7));
    assert_ne!(lines(7), lines(8));
}

#[test]
fn a_workload_is_found_by_its_name_and_another_name_is_told_which_there_are() {
    for name in Name::ALL {
        assert_eq!(name.to_string().parse(), Ok(name));
        assert!(!name.description().is_empty());
    }
    let error = "banks".parse::<Name>().unwrap_err();
    assert_eq!(error, UnknownWorkload { asked: "banks".into() });
    assert_eq!(
        error.to_string(),
        "unknown workload `banks`: there is register, cas-register, set, counter, unique-ids, bank, list-append"
    );
}
