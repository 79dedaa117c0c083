//! Histories that were played are what they were planned to be, and are judged as that.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::fmt::Debug;
use std::time::Duration;

use checker::generate::{Plan, Planted, Values, WrongValue};
use checker::kv::{Kv, kv};
use checker::log::{Log, log};
use checker::register::{Register, cas_register, register};
use checker::{Budget, Checker, Model, RetOf, Verdict, verify_linearization};
use history::{History, Operation, Outcome, Reader, Writer};

type Of<M> = History<<M as Model>::Op, RetOf<M>>;

/// Plans of all kinds, none of which goes wrong.
fn plans() -> impl Iterator<Item = Plan> {
    let values = [Values::Unique, Values::Few(3)];
    let rates = [(0.0, 0.0), (2.0, 0.0), (0.0, 5.0), (3.0, 3.0)];
    (0..48_u64).map(move |seed| {
        let number = usize::try_from(seed).unwrap();
        let (info, fail) = rates[number % 4];
        let values = values[number / 4 % 2];
        Plan {
            ops: 120,
            clients: 1 + number % 5,
            keys: 1 + number % 3,
            values,
            info,
            fail,
            seed,
            ..Plan::default()
        }
    })
}

fn is_valid<M: Model>(checker: &dyn Checker<M::Op, RetOf<M>>, model: &M, history: &Of<M>, plan: &Plan) {
    match checker.check(history, &Budget::default()) {
        Verdict::Valid { linearization } => {
            verify_linearization(model, history, &linearization.unwrap()).unwrap();
        }
        other => panic!("{}: {} of {plan:?}", checker.name(), other.word()),
    }
}

#[test]
fn what_is_played_can_be_explained() {
    for plan in plans() {
        is_valid(&register(), &Register, &plan.register(), &plan);
        is_valid(&cas_register(), &Register, &plan.cas_register(), &plan);
        is_valid(&kv(), &Kv::plain(), &plan.kv(), &plan);
        if plan.values == Values::Unique {
            is_valid(&log(), &Log, &plan.log(), &plan);
        }
    }
}

fn planted() -> impl Iterator<Item = Planted> {
    let wrong = [WrongValue::NeverWritten, WrongValue::Old];
    let reads = wrong.into_iter().map(|value| Planted::WrongRead { at: 0.5, value });
    reads.chain([Planted::LostWrite { at: 0.5 }, Planted::StaleRead { at: 0.5 }])
}

#[test]
fn what_was_planted_is_found() {
    for planted in planted() {
        for seed in 0..20 {
            let plan = Plan { ops: 400, clients: 3, info: 1.0, planted, seed, ..Plan::default() };
            let all = [
                register().check(&plan.register(), &Budget::default()),
                cas_register().check(&plan.cas_register(), &Budget::default()),
                kv().check(&plan.kv(), &Budget::default()),
                log().check(&plan.log(), &Budget::default()),
            ];
            for (verdict, name) in all.iter().zip(["register", "cas-register", "kv", "log"]) {
                // Reads of a log begin near its end, so none has an occasion to show what was there long ago.
                let old_log =
                    name == "log" && matches!(planted, Planted::WrongRead { value: WrongValue::Old, .. });
                assert!(verdict.word() == "invalid" || old_log, "{name}: {} of {plan:?}", verdict.word());
            }
        }
    }
}

#[test]
fn a_plan_is_played_as_often_as_it_says_and_always_the_same_way() {
    for plan in plans() {
        let history = plan.register();
        assert_eq!(history.attempts.len(), plan.ops);
        assert_eq!(history, plan.register());
        assert_ne!(history, Plan { seed: plan.seed + 1000, ..plan.clone() }.register());
        let failed = history.attempts.iter().filter(|attempt| attempt.failed()).count();
        let open = history.attempts.iter().filter(|attempt| attempt.is_open()).count();
        assert!(failed == 0 || plan.fail > 0.0, "{failed} failed in {plan:?}");
        assert!(open == 0 || plan.info > 0.0, "{open} open in {plan:?}");
    }
}

/// Writes a history line by line, which refuses whatever clients cannot do, and reads it again.
fn there_and_back<O>(history: &History<O, O::Ret>) -> History<O, O::Ret>
where
    O: Operation<Ret: Debug> + Debug,
{
    let mut lines: Vec<_> = history.attempts.iter().map(|attempt| (attempt.invoked, attempt, true)).collect();
    lines.extend(history.attempts.iter().filter_map(|attempt| Some((attempt.completed?, attempt, false))));
    lines.sort_by_key(|&(at, ..)| at);
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    for (at, attempt, asks) in lines {
        assert_eq!(writer.next_index(), at.index);
        if asks {
            let (node, key) = (attempt.node, attempt.key.clone());
            writer.invoke(at.time, attempt.process, node, key, attempt.op.clone()).unwrap();
        } else {
            let outcome: Outcome<O::Ret> = attempt.outcome.clone();
            writer.complete(at.time, attempt.process, outcome).unwrap();
        }
    }
    drop(writer);
    Reader::<_, O>::new(&bytes[..]).read_all().unwrap()
}

#[test]
fn every_history_can_be_written_and_read() {
    for plan in plans() {
        let (registers, maps, logs) = (plan.cas_register(), plan.kv(), plan.log());
        assert_eq!(there_and_back(&registers), registers);
        assert_eq!(there_and_back(&maps), maps);
        assert_eq!(there_and_back(&logs), logs);
    }
}

#[test]
fn long_histories_of_one_key_need_memory_in_proportion() {
    let plan = Plan { ops: 100_000, info: 0.1, ..Plan::default() };
    let budget =
        |bytes| Budget { time: Duration::from_hours(1), memory: bytes * plan.ops, ..Budget::default() };
    assert_eq!(register().check(&plan.register(), &budget(96)).word(), "valid");
    assert_eq!(cas_register().check(&plan.cas_register(), &budget(256)).word(), "valid");
    assert_eq!(kv().check(&plan.kv(), &budget(256)).word(), "valid");
    assert_eq!(log().check(&plan.log(), &budget(128)).word(), "valid");
    assert_eq!(register().check(&plan.register(), &budget(16)).word(), "unknown");
}

#[test]
fn one_wrong_read_in_a_long_history_ends_the_shortest_bad_prefix() {
    let wrong = Planted::WrongRead { at: 0.9, value: WrongValue::NeverWritten };
    let history = Plan { ops: 50_000, planted: wrong, ..Plan::default() }.register();
    let Verdict::Invalid { witness } = register().check(&history, &Budget::default()) else {
        panic!("one read is wrong")
    };
    let never = |attempt: &&history::Attempt<_, _>| matches!(attempt.ret(), Some(checker::register::Ret::Value(Some(value))) if *value > 1 << 32);
    let wrong = history.attempts.iter().find(never).unwrap();
    assert!(witness.shortest);
    assert_eq!(Some(witness.prefix_ends), wrong.completed.map(|at| at.index));
}
