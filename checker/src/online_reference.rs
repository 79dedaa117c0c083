//! Judging line by line against judging it all, on the same random histories.

use std::collections::BTreeMap;

use history::{Attempt, History, Key, Kind, Line, Moment, Observation, Outcome, Process};
use proptest::prelude::*;

use crate::mutant::Mutant;
use crate::reference::{Values, explainable, histories, runner};
use crate::register::{Op, Ret, register};
use crate::seam::{Budget, Checker};
use crate::setup::Setup;
use crate::verdict::Verdict;

/// The lines that a history was put together from.
pub(crate) fn lines(history: &History<Op, Ret>) -> Vec<Line<Op, Ret>> {
    let mut lines = BTreeMap::new();
    for Attempt { process, node, key, op, invoked, completed, outcome } in &history.attempts {
        let mut line = |Moment { index, time }, kind| {
            let key = key.clone();
            let seen = Observation { index, time, process: *process, node: *node, key, kind };
            lines.insert(index, Line::Client(seen));
        };
        line(*invoked, Kind::Invoke(*op));
        if let Some(at) = completed {
            line(*at, outcome.clone().into());
        }
    }
    lines.into_values().collect()
}

/// The verdict of who judges line by line, and the lines that were judged.
fn watched(history: &History<Op, Ret>, setup: Setup) -> (Verdict, Vec<u64>) {
    let mut judged = Vec::new();
    let lines = &mut lines(history).into_iter();
    let verdict = register().with(setup).watch(lines, &Budget::default(), &mut |line| judged.push(line));
    (verdict, judged)
}

#[test]
fn judging_line_by_line_comes_to_the_same_verdict() {
    for values in [Values::Few, Values::Unique] {
        let outcome = runner(2_000).run(&histories(values), |history| {
            let whole = register().check(&history, &Budget::default());
            let (verdict, mut judged) = watched(&history, Setup::default());
            prop_assert_eq!(verdict.word(), whole.word());
            judged.sort_unstable();
            if let Verdict::Invalid { witness } = verdict {
                // By then it is wrong, whatever follows.
                let of_key = history.attempts.iter().filter(|attempt| attempt.key == witness.key);
                prop_assert!(!explainable(&of_key.collect::<Vec<_>>(), witness.prefix_ends), "{:?}", witness);
                prop_assert!(
                    witness.sentence.contains("all that was answered before"),
                    "{}",
                    witness.sentence
                );
            } else {
                prop_assert_eq!(judged, (0..history.lines).collect::<Vec<_>>());
            }
            Ok(())
        });
        outcome.unwrap();
    }
}

#[test]
fn whoever_judges_a_line_before_its_op_has_ended_is_found_out() {
    let setup = Setup { mutant: Mutant::JudgesTooSoon, ..Setup::default() };
    let outcome = runner(8_000).run(&histories(Values::Few), |history| {
        let whole = register().check(&history, &Budget::default());
        prop_assert_eq!(watched(&history, setup).0.word(), whole.word());
        Ok(())
    });
    assert!(outcome.is_err());
}

/// Ten clients, no two ops alike: what is remembered does not grow with the length.
#[test]
fn memory_does_not_grow_with_the_length() {
    let memory_for = |rounds: u64| {
        let mut index = 0;
        let mut line = |process, kind| {
            let seen = Observation {
                index,
                time: index,
                process: Process(process),
                node: None,
                key: Some(Key::new("x")),
                kind,
            };
            index += 1;
            Line::Client(seen)
        };
        let mut lines = Vec::new();
        for round in 0..rounds {
            lines.extend((0..10).map(|process| line(process, Kind::Invoke(Op::Write(10 * round + process)))));
            lines.extend((0..10).map(|process| line(process, Kind::Ok(Ret::Written))));
        }
        // The least budget that is enough, to a quarter.
        let enough = |memory| {
            let budget = Budget { memory, ..Budget::default() };
            register().watch(&mut lines.clone().into_iter(), &budget, &mut |_| {}).word() == "valid"
        };
        (16_usize..256)
            .map(|steps| (4 + steps % 4) << (steps / 4 + 10))
            .find(|&memory| enough(memory))
            .unwrap()
    };
    assert_eq!(memory_for(2_000), memory_for(500));
}

/// An op that never ends holds up its key, and no other; what waits is bounded.
#[test]
fn what_waits_for_an_op_that_never_ends_is_bounded() {
    let line = |index, process, key: &str, kind| {
        let key = Some(Key::new(key));
        Line::Client(Observation { index, time: index, process: Process(process), node: None, key, kind })
    };
    let endless = (1_u64..).map(|index| match index % 4 {
        0 => line(index, 1, "held", Kind::Invoke(Op::Write(index))),
        1 => line(index, 2, "free", Kind::Invoke(Op::Read)),
        2 => line(index, 1, "held", Kind::Ok(Ret::Written)),
        _ => line(index, 2, "free", Kind::Ok(Ret::Value(None))),
    });
    // Where the index is 2, process 1 has nothing open yet.
    let endless = endless.skip_while(|line| !matches!(line, Line::Client(seen) if seen.index == 3));
    let mut lines = std::iter::once(line(0, 0, "held", Kind::Invoke(Op::Read)))
        .chain(std::iter::once(line(1, 2, "free", Kind::Invoke(Op::Read))))
        .chain(endless)
        .take(200_000);
    let mut judged = 0_u64;
    let budget = Budget { memory: 1 << 20, ..Budget::default() };
    let verdict = register().watch(&mut lines, &budget, &mut |_| judged += 1);
    assert_eq!(verdict.word(), "unknown");
    assert!(judged > 199_990, "{judged} lines were done with, those given up among them");
}

/// What ends without having been asked is not this room's business: readers refuse it.
#[test]
fn an_end_without_an_invocation_is_passed_over() {
    let seen = Observation {
        index: 0,
        time: 0,
        process: Process(1),
        node: None,
        key: None,
        kind: Outcome::Ok(Ret::Written).into(),
    };
    let verdict = register().watch(&mut [Line::Client(seen)].into_iter(), &Budget::default(), &mut |_| {});
    assert_eq!(verdict.word(), "valid");
}
