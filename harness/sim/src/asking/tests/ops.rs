//! Op by op: what is written into the store, and what is read out of it.

use std::sync::Arc;

use bytes::Bytes;
use checker::unique_ids::{Generate, Id};
use checker::{bank, counter, register, set};
use history::{Key, MicroOp, Outcome, Seen, Txn, TxnRead};
use kv::{Command, LeaseId, Put, Reply, Store};
use raft::StateMachine;
use workload::store::{Asked, Nonsense, OVERTAKEN};
use workload::{Banks, Counters, ListAppend, Registers, Sets, UniqueIds};

use crate::asking::{Asking, Call, answered, call};

fn key(name: &str) -> Key {
    Key::new(name)
}

fn execute(store: &mut Store, call: &Call) -> Reply {
    match call {
        Call::Write { command, .. } => store.execute(&kv::codec::decode(command.clone()).unwrap()),
        Call::Read(query) => store.query(query),
        Call::Stale(_) | Call::Change(_) | Call::Members | Call::Transfer(_) => {
            panic!("nobody asks for that")
        }
    }
}

/// Asks an op of a store to its end. `between` happens in front of every call but the first.
fn ask_while<W: Asking>(
    workload: &W,
    store: &mut Store,
    name: &str,
    op: &W::Op,
    mut between: impl FnMut(&mut Store),
) -> Result<Outcome<W::Ret>, Nonsense> {
    let key = key(name);
    let (mut request, mut open) = workload.begin(op, Some(&key));
    loop {
        let changes = request.changes();
        let reply = execute(store, &call(request));
        match answered(workload, op, Some(&key), open, changes, replica::Outcome::Done(reply))? {
            Asked::Over(outcome) => return Ok(outcome),
            Asked::Again(next, remembered) => (request, open) = (next, remembered),
        }
        between(store);
    }
}

fn ask<W: Asking>(workload: &W, store: &mut Store, name: &str, op: &W::Op) -> W::Ret {
    match ask_while(workload, store, name, op, |_| {}) {
        Ok(Outcome::Ok(ret)) => ret,
        other => panic!("{other:?}"),
    }
}

/// Puts what no client would, or what another client would.
fn put(store: &mut Store, key: &str, value: &str) {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    let key = Bytes::copy_from_slice(key.as_bytes());
    let put = Put { key, value, lease: Some(LeaseId::NONE), previous: false };
    store.execute(&Command::Put(put)).result.unwrap();
}

fn nonsense<W: Asking>(workload: &W, entry: (&str, &str), op: &W::Op) -> String {
    let mut store = Store::new();
    put(&mut store, entry.0, entry.1);
    match ask_while(workload, &mut store, "k1", op, |_| {}) {
        Err(Nonsense(text)) => text,
        Ok(outcome) => panic!("{outcome:?}"),
    }
}

#[test]
fn a_register_is_text_under_its_own_name_as_real_clients_have_it() {
    use register::{Op, Ret};
    let (registers, mut store) = (Registers::cas_register(), Store::new());
    assert_eq!(ask(&registers, &mut store, "k1", &Op::Read), Ret::Value(None));
    assert_eq!(ask(&registers, &mut store, "k1", &Op::Cas { from: 0, to: 1 }), Ret::Swapped(false));
    assert_eq!(ask(&registers, &mut store, "k1", &Op::Write(3)), Ret::Written);
    assert_eq!(ask(&registers, &mut store, "k1", &Op::Cas { from: 3, to: 40 }), Ret::Swapped(true));
    assert_eq!(ask(&registers, &mut store, "k1", &Op::Cas { from: 3, to: 5 }), Ret::Swapped(false));
    assert_eq!(ask(&registers, &mut store, "k1", &Op::Read), Ret::Value(Some(40)));
    assert_eq!(ask(&registers, &mut store, "k10", &Op::Read), Ret::Value(None));
    put(&mut store, "k2", "17");
    assert_eq!(ask(&registers, &mut store, "k2", &Op::Read), Ret::Value(Some(17)));
}

#[test]
fn a_set_shows_its_own_elements_and_no_others() {
    use set::{Op, Ret};
    let (sets, mut store) = (Sets::default(), Store::new());
    let elements = |all: &[u64]| Ret::Elements(Arc::new(all.iter().copied().collect()));
    assert_eq!(ask(&sets, &mut store, "k1", &Op::Read), elements(&[]));
    for (name, element) in [("k1", 7), ("k1", 12), ("k10", 1), ("k2", 2), ("k", 3), ("k0", 4)] {
        assert_eq!(ask(&sets, &mut store, name, &Op::Add(element)), Ret::Added);
    }
    assert_eq!(ask(&sets, &mut store, "k1", &Op::Read), elements(&[7, 12]));
    assert_eq!(ask(&sets, &mut store, "k", &Op::Read), elements(&[3]));
}

#[test]
fn a_counter_counts_equal_adds_apart_and_shows_one_that_is_carried_out_twice() {
    use counter::{Op, Ret};
    let (counters, mut store) = (Counters::default(), Store::new());
    assert_eq!(ask(&counters, &mut store, "k1", &Op::Read), Ret::Value(0));
    for number in [3, 3, 5, -2] {
        assert_eq!(ask(&counters, &mut store, "k1", &Op::Add(number)), Ret::Added);
    }
    assert_eq!(ask(&counters, &mut store, "k1", &Op::Read), Ret::Value(9));
    let (request, ()) = counters.begin(&Op::Add(100), Some(&key("k1")));
    let call = call(request);
    for sum in [109, 209] {
        execute(&mut store, &call).result.unwrap();
        assert_eq!(ask(&counters, &mut store, "k1", &Op::Read), Ret::Value(sum));
    }
    assert_eq!(ask(&counters, &mut store, "k10", &Op::Read), Ret::Value(0));
}

#[test]
fn an_id_is_the_revision_of_a_change_and_no_later_change_has_it() {
    let mut store = Store::new();
    assert_eq!(ask(&UniqueIds, &mut store, "k1", &Generate), Id(2));
    assert_eq!(ask(&UniqueIds, &mut store, "k2", &Generate), Id(3));
    put(&mut store, "other", "");
    assert_eq!(ask(&UniqueIds, &mut store, "k1", &Generate), Id(5));
}

fn balances(all: [i64; 4]) -> bank::Ret {
    bank::Ret::Balances(all.as_slice().into())
}

fn transfer(from: u16, to: u16, amount: u32) -> bank::Op {
    bank::Op::Transfer { from, to, amount }
}

#[test]
fn a_bank_nobody_touched_has_what_accounts_open_with_and_money_moves() {
    use bank::{Op, Ret};
    let (banks, mut store) = (Banks::default(), Store::new());
    assert_eq!(ask(&banks, &mut store, "k1", &Op::Read), balances([10; 4]));
    assert_eq!(ask(&banks, &mut store, "k1", &transfer(0, 3, 4)), Ret::Moved(true));
    assert_eq!(ask(&banks, &mut store, "k1", &transfer(3, 1, 14)), Ret::Moved(true));
    assert_eq!(ask(&banks, &mut store, "k1", &Op::Read), balances([6, 24, 10, 0]));
    assert_eq!(ask(&banks, &mut store, "k10", &Op::Read), balances([10; 4]));
}

#[test]
fn a_transfer_that_cannot_be_is_answered_at_the_look_as_its_model_says() {
    use bank::{Op, Ret};
    let (banks, mut store) = (Banks::default(), Store::new());
    assert_eq!(ask(&banks, &mut store, "k1", &transfer(0, 1, 11)), Ret::Moved(false));
    assert_eq!(ask(&banks, &mut store, "k1", &transfer(0, 4, 1)), Ret::Moved(false));
    assert_eq!(ask(&banks, &mut store, "k1", &transfer(4, 0, 1)), Ret::Moved(false));
    assert_eq!(ask(&banks, &mut store, "k1", &transfer(2, 2, 10)), Ret::Moved(true));
    assert_eq!(ask(&banks, &mut store, "k1", &transfer(2, 2, 11)), Ret::Moved(false));
    assert_eq!(store, Store::new(), "nothing was written");
    let bank = bank::Bank { overdraft: true, ..banks.bank };
    let generous = Banks { bank, ..banks };
    assert_eq!(ask(&generous, &mut store, "k1", &transfer(0, 1, 11)), Ret::Moved(true));
    assert_eq!(ask(&generous, &mut store, "k1", &Op::Read), balances([-1, 21, 10, 10]));
}

#[test]
fn a_transfer_fails_if_one_of_its_accounts_was_changed_meanwhile_and_does_nothing() {
    let banks = Banks::default();
    for (changed, overtaken) in [("k1/0", true), ("k1/1", true), ("k1/2", false), ("k10/0", false)] {
        let mut store = Store::new();
        let outcome =
            ask_while(&banks, &mut store, "k1", &transfer(0, 1, 4), |store| put(store, changed, "10"));
        if overtaken {
            assert_eq!(outcome, Ok(Outcome::Fail(OVERTAKEN.into())), "{changed}");
            assert_eq!(ask(&banks, &mut store, "k1", &bank::Op::Read), balances([10; 4]), "{changed}");
        } else {
            assert_eq!(outcome, Ok(Outcome::Ok(bank::Ret::Moved(true))), "{changed}");
            assert_eq!(
                ask(&banks, &mut store, "k1", &bank::Op::Read),
                balances([6, 14, 10, 10]),
                "{changed}"
            );
        }
    }
}

fn append(list: &str, element: i64) -> MicroOp {
    MicroOp::Append(key(list), element)
}

fn read(list: &str) -> MicroOp {
    MicroOp::Read(key(list))
}

fn seen(list: &[i64]) -> Seen {
    if list.is_empty() { Seen::Nothing } else { Seen::List(list.to_vec()) }
}

#[test]
fn a_transaction_reads_its_own_appends_as_far_as_it_has_come() {
    let (lists, mut store) = (ListAppend::default(), Store::new());
    let first = Txn(vec![append("k1", 1), append("k2", -7)]);
    assert_eq!(ask(&lists, &mut store, "", &first), TxnRead(vec![]));
    let steps = [
        read("k1"),
        append("k1", 2),
        read("k1"),
        read("k2"),
        append("k1", 3),
        read("k1"),
        read("k3"),
        read("k2"),
    ];
    let read_back = [&[1][..], &[1, 2], &[-7], &[1, 2, 3], &[], &[-7]].map(seen);
    assert_eq!(ask(&lists, &mut store, "", &Txn(steps.into())), TxnRead(read_back.into()));
    let only_reads = Txn(vec![read("k1"), read("k3"), read("k1")]);
    let before = store.clone();
    let read_back = [&[1, 2, 3][..], &[], &[1, 2, 3]].map(seen);
    assert_eq!(ask(&lists, &mut store, "", &only_reads), TxnRead(read_back.into()));
    assert_eq!(ask(&lists, &mut store, "", &Txn(vec![])), TxnRead(vec![]));
    assert_eq!(store, before, "who only reads writes nothing");
}

#[test]
fn a_transaction_fails_if_a_list_it_appends_to_was_changed_meanwhile_and_sees_the_change_of_others() {
    let lists = ListAppend::default();
    let txn = Txn(vec![append("k1", 1), read("k2"), append("k3", 1)]);
    for (changed, overtaken) in [("k1", true), ("k3", true), ("k2", false)] {
        let mut store = Store::new();
        let outcome = ask_while(&lists, &mut store, "", &txn, |store| put(store, changed, "9 8"));
        let mut after = |list| ask(&lists, &mut store, "", &Txn(vec![read(list)])).0.remove(0);
        if overtaken {
            assert_eq!(outcome, Ok(Outcome::Fail(OVERTAKEN.into())), "{changed}");
            assert_eq!(after(changed), seen(&[9, 8]));
        } else {
            assert_eq!(outcome, Ok(Outcome::Ok(TxnRead(vec![seen(&[9, 8])]))), "{changed}");
            assert_eq!(after("k1"), seen(&[1]));
        }
    }
}

#[test]
fn what_no_client_wrote_is_nonsense_and_quoted() {
    let read_register = |value| nonsense(&Registers::register(), ("k1", value), &register::Op::Read);
    assert_eq!(read_register("x\n"), "a value that no client wrote: `x\\n`");
    assert_eq!(read_register("-1"), "a value that no client wrote: `-1`");
    assert_eq!(read_register(""), "a value that no client wrote: ``");
    let in_set = nonsense(&Sets::default(), ("k1/seven", ""), &set::Op::Read);
    assert_eq!(in_set, "a key that no client wrote: `k1/seven`");
    let in_counter = nonsense(&Counters::default(), ("k1/", ""), &counter::Op::Read);
    assert_eq!(in_counter, "a key that no client wrote: `k1/`");
    let in_bank = |entry, op| nonsense(&Banks::default(), entry, &op);
    assert_eq!(in_bank(("k1/4", "10"), bank::Op::Read), "there is no account 4");
    assert_eq!(in_bank(("k1/3", "ten"), transfer(0, 1, 1)), "a value that no client wrote: `ten`");
    let in_list = |value, step| nonsense(&ListAppend::default(), ("k1", value), &Txn(vec![step]));
    assert_eq!(in_list("", read("k1")), "a value that no client wrote: ``");
    assert_eq!(in_list("1  2", append("k1", 3)), "a value that no client wrote: `1  2`");
}

#[test]
fn the_answer_to_another_question_is_nonsense() {
    let registers = Registers::register();
    let mut store = Store::new();
    put(&mut store, "k2", "1");
    let (request, ()) = registers.begin(&register::Op::Read, Some(&key("k2")));
    let reply = execute(&mut store, &call(request));
    let understood = |op, reply| {
        answered(&registers, &op, Some(&key("k1")), (), true, replica::Outcome::Done(reply))
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(understood(register::Op::Read, reply.clone()), "asked for `k1`, got `k2`");
    assert!(understood(register::Op::Write(1), reply.clone()).starts_with("a put was asked for"));
    assert!(
        understood(register::Op::Cas { from: 1, to: 2 }, reply).starts_with("a transaction was asked for")
    );
}
