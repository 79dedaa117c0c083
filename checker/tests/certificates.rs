//! A linearization is believed only if it is one; and the search also serves models that leave a choice.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

use checker::register::{Op, Register, Ret};
use checker::{
    Budget, By, Checker, Interval, KeyOrder, Linearizable, Linearization, Model, NotALinearization, Verdict,
    verify_linearization,
};
use history::{
    Answered, Asked, History, Key, Line, Operation, Outcome, Pairing, Process, Reader, Unreadable, Writer,
};
use serde_json::json;
use smallvec::SmallVec;

/// write 1; then write 2 overlapping a read of 2; a write of 3 that failed, a write of 4 unanswered.
const HISTORY: &str = r#"
{"index":0,"time":0,"process":0,"type":"invoke","f":"write","key":"x","value":1}
{"index":1,"time":1,"process":0,"type":"ok","f":"write","key":"x","value":1}
{"index":2,"time":2,"process":0,"type":"invoke","f":"write","key":"x","value":2}
{"index":3,"time":3,"process":1,"type":"invoke","f":"read","key":"x","value":null}
{"index":4,"time":4,"process":0,"type":"ok","f":"write","key":"x","value":2}
{"index":5,"time":5,"process":1,"type":"ok","f":"read","key":"x","value":2}
{"index":6,"time":6,"process":0,"type":"invoke","f":"write","key":"x","value":3}
{"index":7,"time":7,"process":0,"type":"fail","f":"write","key":"x","value":3,"error":"refused"}
{"index":8,"time":8,"process":0,"type":"invoke","f":"write","key":"x","value":4}
"#;

fn history() -> History<Op, Ret> {
    Reader::<_, Op>::new(HISTORY.as_bytes()).read_all().unwrap()
}

fn verify(key: &str, order: &[u64]) -> Result<(), NotALinearization> {
    let by = By { engine: "hand".into(), since: "a person wrote it".into() };
    let keys = vec![KeyOrder { key: Some(Key::new(key)), by, order: order.to_vec() }];
    verify_linearization(&Register, &history(), &Linearization { keys })
}

#[test]
fn an_order_that_explains_everything_is_accepted_with_or_without_the_open_op() {
    assert_eq!(verify("x", &[0, 2, 3]), Ok(()));
    assert_eq!(verify("x", &[0, 2, 3, 8]), Ok(()));
}

#[test]
fn an_order_that_does_not_is_refused_and_says_why() {
    assert_eq!(verify("y", &[0, 2, 3]), Err(NotALinearization::Keys));
    assert_eq!(verify("x", &[0, 2]), Err(NotALinearization::Missing(3)));
    assert_eq!(verify("x", &[2, 0, 3]), Err(NotALinearization::OutOfOrder(0)));
    assert_eq!(verify("x", &[0, 3, 2]), Err(NotALinearization::WrongAnswer(3)));
    assert_eq!(verify("x", &[0, 2, 2, 3]), Err(NotALinearization::Unknown(2)));
    assert_eq!(verify("x", &[0, 2, 3, 6]), Err(NotALinearization::Unknown(6)), "it failed");
    assert_eq!(verify("x", &[0, 2, 3, 5]), Err(NotALinearization::Unknown(5)), "it invokes nothing");
    assert_eq!(verify("x", &[0, 2, 8, 3]), Err(NotALinearization::OutOfOrder(3)));
    let nothing = Linearization::default();
    assert_eq!(verify_linearization(&Register, &history(), &nothing), Err(NotALinearization::Keys));
}

/// A wheel: a spin leaves it at a number from 1 to 3, and nobody can know which before looking.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Wheel {
    Spin,
    Look,
}

impl Operation for Wheel {
    type Ret = u8;

    fn ask(&self) -> Asked {
        let f = if *self == Wheel::Spin { "spin" } else { "look" };
        Asked { f: f.to_owned(), value: serde_json::Value::Null }
    }

    fn read_ask(asked: &Asked) -> Result<Wheel, Unreadable> {
        Ok(if asked.f == "spin" { Wheel::Spin } else { Wheel::Look })
    }

    fn answer(&self, ret: &u8) -> Answered {
        Answered { value: json!(ret), result: None }
    }

    fn read_answer(&self, answered: &Answered) -> Result<u8, Unreadable> {
        Ok(u8::try_from(answered.value.as_u64().unwrap()).unwrap())
    }
}

struct Fair;

impl Model for Fair {
    type Op = Wheel;
    type State = u8;

    fn init(&self) -> u8 {
        0
    }

    fn step(&self, state: &u8, op: &Wheel, ret: Option<&u8>, _: Interval, next: &mut SmallVec<[u8; 1]>) {
        match op {
            Wheel::Spin => next.extend([1, 2, 3]),
            Wheel::Look if ret.is_none_or(|seen| seen == state) => next.push(*state),
            Wheel::Look => {}
        }
    }
}

/// Spins and looks one after the other; zero is a spin.
fn wheel(ops: &[u8]) -> Verdict {
    let mut writer = Writer::<_, Wheel>::new(std::io::sink());
    let mut pairing = Pairing::default();
    for &seen in ops {
        let op = if seen == 0 { Wheel::Spin } else { Wheel::Look };
        pairing.push(Line::Client(writer.invoke(0, Process(1), None, None, op).unwrap()));
        pairing.push(Line::Client(writer.complete(0, Process(1), Outcome::Ok(seen)).unwrap()));
    }
    Linearizable::new("wheel", Fair).check(&pairing.finish(), &Budget::default())
}

#[test]
fn a_model_may_leave_a_choice_that_later_answers_make() {
    for number in 1..=3 {
        assert_eq!(wheel(&[0, number, number]).word(), "valid", "{number}");
    }
    assert_eq!(wheel(&[0, 1, 0, 3]).word(), "valid");
    assert_eq!(wheel(&[0, 1, 2]).word(), "invalid");
    assert_eq!(wheel(&[0, 4]).word(), "invalid");
}

#[test]
fn a_model_without_words_of_its_own_still_names_two_ops() {
    let Verdict::Invalid { witness } = wheel(&[0, 1, 2]) else { panic!("it did not turn") };
    assert_eq!(
        witness.sentence,
        "process 1's look (index 5) was answered 2, but process 1's look (index 3) was answered 1, \
         and no order explains both"
    );
    assert_eq!(witness.states, ["1"]);
}
