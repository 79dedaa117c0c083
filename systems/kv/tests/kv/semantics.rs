//! etcd's semantics, one promise each.

use bytes::Bytes;
use kv::{
    Answer, Command, Comparison, Condition, DeleteRange, Deleted, KeyValue, Keys, Kvs, LeaseId, Operand,
    Order, Put, Query, Range, ReadOnly, Refusal, Revision, Sort, SortBy, Step, Store, Txn, TxnAnswer, codec,
};
use raft::{Entry, EntryId, Payload, StateMachine, Wall};

fn put_of(key: &'static str, value: &'static str) -> Put {
    Put { key: key.into(), value: Some(value.into()), lease: Some(LeaseId::NONE), previous: false }
}

fn put(store: &mut Store, key: &'static str, value: &'static str) -> i64 {
    let reply = store.execute(&Command::Put(put_of(key, value)));
    assert!(reply.result.is_ok());
    reply.revision.0
}

fn delete_of(keys: Keys) -> DeleteRange {
    DeleteRange { keys, previous: false }
}

fn delete(store: &mut Store, key: &'static str) -> i64 {
    let reply = store.execute(&Command::DeleteRange(delete_of(Keys::One(key.into()))));
    reply.revision.0
}

fn compact(store: &mut Store, revision: i64) -> Result<Answer, Refusal> {
    store.execute(&Command::Compact(Revision(revision))).result
}

fn all() -> Range {
    Range::of(Keys::From(Bytes::from_static(b"\0")))
}

fn read(store: &Store, range: Range) -> Result<Kvs, Refusal> {
    store.query(&Query::Range(range)).result.map(|answer| match answer {
        Answer::Range(kvs) => kvs,
        other => panic!("a range is answered with keys, not {other:?}"),
    })
}

fn get(store: &Store, key: &'static str) -> Option<KeyValue> {
    get_at(store, key, 0).expect("the present can always be read")
}

fn get_at(store: &Store, key: &'static str, revision: i64) -> Result<Option<KeyValue>, Refusal> {
    let range = Range { revision: Revision(revision), ..Range::of(Keys::One(key.into())) };
    read(store, range).map(|mut kvs| kvs.kvs.pop())
}

fn names(kvs: &Kvs) -> Vec<&str> {
    kvs.kvs.iter().map(|kv| std::str::from_utf8(&kv.key).expect("keys here are text")).collect()
}

fn run(store: &mut Store, txn: Txn) -> Result<TxnAnswer, Refusal> {
    store.execute(&Command::Txn(txn)).result.map(|answer| match answer {
        Answer::Txn(answer) => answer,
        other => panic!("a transaction is answered as one, not with {other:?}"),
    })
}

fn condition(key: &'static str, comparison: Comparison, operand: Operand) -> Condition {
    Condition { keys: Keys::One(key.into()), comparison, operand }
}

fn holds(store: &mut Store, condition: Condition) -> bool {
    let txn = Txn { conditions: vec![condition], ..Txn::default() };
    run(store, txn).expect("nothing here can be refused").succeeded
}

#[test]
fn a_new_store_is_at_revision_1_and_every_change_counts_one() {
    let mut store = Store::new();
    assert_eq!(store.revision(), Revision(1));
    assert_eq!(put(&mut store, "a", "1"), 2);
    assert_eq!(put(&mut store, "a", "1"), 3);
    assert_eq!(delete(&mut store, "a"), 4);
}

#[test]
fn what_changes_nothing_does_not_count() {
    let mut store = Store::new();
    assert_eq!(delete(&mut store, "a"), 1);
    let read_only = Txn { success: vec![Step::Range(all())], ..Txn::default() };
    run(&mut store, read_only).unwrap();
    assert_eq!(store.revision(), Revision(1));
}

#[test]
fn all_writes_of_a_transaction_share_a_revision_and_have_an_order_in_it() {
    let mut store = Store::new();
    put(&mut store, "c", "old");
    let writes = vec![
        Step::Put(put_of("b", "1")),
        Step::DeleteRange(delete_of(Keys::One("c".into()))),
        Step::Put(put_of("a", "1")),
    ];
    run(&mut store, Txn { success: writes, ..Txn::default() }).unwrap();
    assert_eq!(store.revision(), Revision(3));
    let changes: Vec<_> = store
        .changes_after(Revision(2))
        .map(|change| (change.revision.0, change.sub, &change.key[..]))
        .collect();
    assert_eq!(changes, [(3, 0, &b"b"[..]), (3, 1, b"c"), (3, 2, b"a")]);
}

#[test]
fn versions_count_from_creation_and_a_delete_starts_anew() {
    let mut store = Store::new();
    put(&mut store, "a", "1");
    put(&mut store, "a", "2");
    let before = get(&store, "a").unwrap();
    assert_eq!((before.create, before.modified, before.version), (Revision(2), Revision(3), 2));
    delete(&mut store, "a");
    assert_eq!(get(&store, "a"), None);
    put(&mut store, "a", "3");
    let after = get(&store, "a").unwrap();
    assert_eq!((after.create, after.modified, after.version), (Revision(5), Revision(5), 1));
}

#[test]
fn a_range_is_one_key_a_run_or_all_from_a_key_on() {
    let mut store = Store::new();
    for key in ["a", "aa", "b", "c"] {
        put(&mut store, key, "");
    }
    let found = |key: &'static str, end: &'static str| {
        let kvs = read(&store, Range::of(Keys::new(key.into(), end.into()))).unwrap();
        names(&kvs).join(" ")
    };
    assert_eq!(found("a", ""), "a");
    assert_eq!(found("a", "b"), "a aa", "the prefix a");
    assert_eq!(found("aa", "\0"), "aa b c");
    assert_eq!(found("\0", "\0"), "a aa b c");
    assert_eq!(found("c", "a"), "", "the wrong way round is empty, and no panic");
    assert_eq!(found("b", "b"), "");
}

#[test]
fn a_limit_cuts_but_the_count_does_not_mind() {
    let mut store = Store::new();
    for key in ["a", "b", "c"] {
        put(&mut store, key, "");
    }
    let cut = read(&store, Range { limit: 2, ..all() }).unwrap();
    assert_eq!((names(&cut), cut.more, cut.count), (vec!["a", "b"], true, 3));
    let whole = read(&store, Range { limit: 3, ..all() }).unwrap();
    assert_eq!((whole.kvs.len(), whole.more, whole.count), (3, false, 3));
    let count = read(&store, Range { count_only: true, limit: 1, ..all() }).unwrap();
    assert_eq!((count.kvs.len(), count.more, count.count), (0, false, 3));
}

#[test]
fn keys_only_leaves_the_values_out_after_sorting_by_them() {
    let mut store = Store::new();
    put(&mut store, "a", "2");
    put(&mut store, "b", "1");
    let sort = Some(Sort { by: SortBy::Value, order: Order::Ascending });
    let found = read(&store, Range { keys_only: true, sort, ..all() }).unwrap();
    assert_eq!(names(&found), ["b", "a"]);
    assert!(found.kvs.iter().all(|kv| kv.value.is_empty()));
}

#[test]
fn a_sort_comes_before_the_limit() {
    let mut store = Store::new();
    put(&mut store, "a", "");
    put(&mut store, "b", "");
    put(&mut store, "a", "");
    let sort = Some(Sort { by: SortBy::Mod, order: Order::Descending });
    let newest = read(&store, Range { sort, limit: 1, ..all() }).unwrap();
    assert_eq!((names(&newest), newest.more), (vec!["a"], true));
}

#[test]
fn the_past_can_be_read_and_the_future_cannot() {
    let mut store = Store::new();
    put(&mut store, "a", "1");
    put(&mut store, "a", "2");
    delete(&mut store, "a");
    assert_eq!(get_at(&store, "a", 1).unwrap(), None);
    assert_eq!(get_at(&store, "a", 2).unwrap().unwrap().value, "1");
    assert_eq!(get_at(&store, "a", 3).unwrap().unwrap().value, "2");
    assert_eq!(get_at(&store, "a", 4).unwrap(), None);
    assert_eq!(get_at(&store, "a", 5), Err(Refusal::FutureRevision));
}

#[test]
fn compaction_forgets_what_is_below_it_and_nothing_else() {
    let mut store = Store::new();
    put(&mut store, "a", "1");
    put(&mut store, "a", "2");
    put(&mut store, "b", "1");
    delete(&mut store, "b");
    let before = store.bytes();
    assert_eq!(compact(&mut store, 4), Ok(Answer::Compacted));
    assert!(store.bytes() < before);
    assert_eq!(get_at(&store, "a", 3), Err(Refusal::Compacted));
    assert_eq!(get_at(&store, "a", 4).unwrap().unwrap().value, "2");
    assert_eq!(get_at(&store, "b", 4).unwrap().unwrap().value, "1");
    assert_eq!(store.revision(), Revision(5), "compaction is no change");
}

#[test]
fn compaction_goes_neither_back_nor_into_the_future() {
    let mut store = Store::new();
    put(&mut store, "a", "1");
    assert_eq!(compact(&mut store, 3), Err(Refusal::FutureRevision));
    assert_eq!(compact(&mut store, 2), Ok(Answer::Compacted));
    assert_eq!(compact(&mut store, 2), Err(Refusal::Compacted));
    assert_eq!(compact(&mut store, 1), Err(Refusal::Compacted));
}

#[test]
fn put_and_delete_tell_what_was_there_if_asked() {
    let mut store = Store::new();
    put(&mut store, "a", "1");
    let Ok(Answer::Put(replaced)) =
        store.execute(&Command::Put(Put { previous: true, ..put_of("a", "2") })).result
    else {
        panic!("a put is answered as one")
    };
    assert_eq!(replaced.previous.unwrap().value, "1");
    let delete = DeleteRange { keys: Keys::From("a".into()), previous: true };
    let Ok(Answer::DeleteRange(Deleted { count, previous })) =
        store.execute(&Command::DeleteRange(delete)).result
    else {
        panic!("a delete is answered as one")
    };
    assert_eq!((count, &previous[0].value[..]), (1, &b"2"[..]));
}

#[test]
fn a_value_can_be_kept_only_where_there_is_one() {
    let mut store = Store::new();
    let keep = |key| Command::Put(Put { value: None, ..put_of(key, "") });
    assert_eq!(store.execute(&keep("a")).result, Err(Refusal::KeyNotFound));
    assert_eq!(store.revision(), Revision(1), "a refusal changes nothing");
    put(&mut store, "a", "1");
    assert!(store.execute(&keep("a")).result.is_ok());
    let kept = get(&store, "a").unwrap();
    assert_eq!((&kept.value[..], kept.version), (&b"1"[..], 2));
}

#[test]
fn a_lease_that_was_never_granted_is_not_found() {
    let mut store = Store::new();
    let leased = Put { lease: Some(LeaseId(7)), ..put_of("a", "1") };
    assert_eq!(store.execute(&Command::Put(leased)).result, Err(Refusal::LeaseNotFound));
}

#[test]
fn compare_and_set_takes_the_branch_that_the_state_says() {
    let mut store = Store::new();
    put(&mut store, "a", "1");
    let cas = |from: &'static str, to: &'static str| Txn {
        conditions: vec![condition("a", Comparison::Equal, Operand::Value(from.into()))],
        success: vec![Step::Put(put_of("a", to))],
        failure: vec![Step::Range(Range::of(Keys::One("a".into())))],
    };
    assert!(run(&mut store, cas("1", "2")).unwrap().succeeded);
    let lost = run(&mut store, cas("1", "3")).unwrap();
    assert!(!lost.succeeded);
    let (revision, Answer::Range(found)) = &lost.answers[0] else { panic!("the failure branch reads") };
    assert_eq!((revision.0, &found.kvs[0].value[..]), (3, &b"2"[..]));
}

#[test]
fn of_a_missing_key_all_numbers_are_0_and_no_value_compares() {
    let mut store = Store::new();
    let equal = |operand| condition("a", Comparison::Equal, operand);
    assert!(holds(&mut store, equal(Operand::Version(0))));
    assert!(holds(&mut store, equal(Operand::Create(Revision(0)))));
    assert!(holds(&mut store, equal(Operand::Mod(Revision(0)))));
    assert!(holds(&mut store, equal(Operand::Lease(LeaseId(0)))));
    for comparison in [Comparison::Equal, Comparison::NotEqual, Comparison::Greater, Comparison::Less] {
        assert!(!holds(&mut store, condition("a", comparison, Operand::Value(Bytes::new()))));
    }
}

#[test]
fn a_condition_on_a_run_must_hold_for_each_key_of_it() {
    let mut store = Store::new();
    put(&mut store, "a", "1");
    put(&mut store, "b", "1");
    let both = |value: &'static str| Condition {
        keys: Keys::Between("a".into(), "c".into()),
        comparison: Comparison::Equal,
        operand: Operand::Value(value.into()),
    };
    assert!(holds(&mut store, both("1")));
    put(&mut store, "b", "2");
    assert!(!holds(&mut store, both("1")));
    assert!(!holds(&mut store, both("2")));
}

#[test]
fn steps_see_earlier_steps_but_decisions_do_not() {
    let mut store = Store::new();
    let nested = Txn {
        conditions: vec![condition("a", Comparison::Equal, Operand::Version(0))],
        success: vec![Step::Range(Range::of(Keys::One("a".into())))],
        failure: vec![],
    };
    let outer = Txn { success: vec![Step::Put(put_of("a", "1")), Step::Txn(nested)], ..Txn::default() };
    let answer = run(&mut store, outer).unwrap();
    let (Revision(2), Answer::Txn(inner)) = &answer.answers[1] else { panic!("the second step decides") };
    assert!(inner.succeeded, "the decision was made before the put");
    let (_, Answer::Range(found)) = &inner.answers[0] else { panic!("it reads") };
    assert_eq!(found.kvs[0].value, "1", "the read was made after it");
}

#[test]
fn a_transaction_with_one_impossible_step_does_nothing_at_all() {
    let mut store = Store::new();
    put(&mut store, "x", "1");
    let before = store.clone();
    let future = Range { revision: Revision(9), ..all() };
    let impossible = [
        (Step::Put(Put { value: None, ..put_of("b", "") }), Refusal::KeyNotFound),
        (Step::Range(future), Refusal::FutureRevision),
    ];
    for (step, refusal) in impossible {
        let txn = Txn { success: vec![Step::Put(put_of("a", "1")), step], ..Txn::default() };
        assert_eq!(run(&mut store, txn), Err(refusal));
        assert_eq!(store, before);
    }
}

#[test]
fn a_transaction_that_could_write_is_no_query() {
    let writes = Txn {
        failure: vec![Step::Txn(Txn { success: vec![Step::Put(put_of("a", ""))], ..Txn::default() })],
        ..Txn::default()
    };
    assert!(ReadOnly::new(writes).is_err());
    assert!(ReadOnly::new(Txn { success: vec![Step::Range(all())], ..Txn::default() }).is_ok());
}

#[test]
fn an_entry_that_is_no_command_is_answered_and_passed_over() {
    let mut store = Store::new();
    let noise = Bytes::from_static(b"\x01\x63noise");
    let entry = Entry {
        id: EntryId::new(1, 1),
        stamp: Wall(1),
        request: None,
        payload: Payload::Command(noise.clone()),
    };
    let reply = store.apply(&entry, &noise);
    let kind = codec::Malformed::Kind { what: "command", kind: 0x63 };
    assert_eq!((reply.revision, reply.result), (Revision(1), Err(Refusal::Malformed(kind))));
    assert_eq!(store, Store::new());
}

#[test]
fn a_small_value_does_not_keep_its_message_alive() {
    let mut store = Store::new();
    let message = Bytes::from(vec![b'v'; 1 << 20]);
    let put = Put { value: Some(message.slice(..1)), ..put_of("a", "") };
    store.execute(&Command::Put(put));
    assert!(message.is_unique(), "the store holds a copy, not a part of the message");
}
