//! Whole runs in a small world, and op by op what is asked and what is understood.

mod lists;
mod ops;
mod world;

use checker::Budget;
use history::Outcome;
use kv::{Answer, Refusal, Reply, Revision};
use replica::{Failed, Unknown};
use workload::store::Asked;
use workload::{ListAppend, Name, Visitor};

use super::{Asking, Call, answered, changes};
use world::{Mistake, Sent, play, play_and_watch};

const OPS: usize = 1500;

/// What the workload's own checkers say of a run.
struct Judge {
    seed: u64,
    mistake: Mistake,
}

impl Visitor for Judge {
    type Out = &'static str;

    fn visit<W: Asking>(self, workload: W) -> &'static str {
        let history = play(&workload, self.seed, self.mistake, OPS);
        let [checker] = &workload.checkers()[..] else { panic!("one checker") };
        checker.check(&history, &Budget::default()).word()
    }
}

fn verdict(name: Name, seed: u64, mistake: Mistake) -> &'static str {
    if name != Name::ListAppend {
        return name.visit(Judge { seed, mistake });
    }
    let judged = lists::judge(&play(&ListAppend::default(), seed, mistake, OPS));
    if judged.is_ok() { "valid" } else { "invalid" }
}

#[test]
fn a_store_without_mistakes_is_valid_by_every_workload_however_calls_meet_and_answers_get_lost() {
    for name in Name::ALL {
        for seed in 0..10 {
            assert_eq!(verdict(name, seed, Mistake::None), "valid", "{name}, seed {seed}");
        }
    }
}

/// What each workload catches; the rest of the mistakes it cannot see.
fn catches(name: Name) -> &'static [Mistake] {
    match name {
        // Elements, money and lists are guarded, or the same for being there twice; ids are drawn anew.
        Name::Set | Name::Bank | Name::ListAppend => &[Mistake::OldReads, Mistake::LostWrites],
        // Nobody reads.
        Name::UniqueIds => &[Mistake::LostWrites],
        Name::Register | Name::CasRegister | Name::Counter => {
            &[Mistake::OldReads, Mistake::LostWrites, Mistake::Twins]
        }
    }
}

#[test]
fn every_mistake_is_caught_by_the_workloads_that_can_see_it_and_by_no_other() {
    for name in Name::ALL {
        for mistake in [Mistake::OldReads, Mistake::LostWrites, Mistake::Twins] {
            let expected = if catches(name).contains(&mistake) { "invalid" } else { "valid" };
            for seed in 0..2 {
                assert_eq!(verdict(name, seed, mistake), expected, "{name}, {mistake:?}, seed {seed}");
            }
        }
    }
}

/// What must hold of every call of every op.
struct Laws;

impl Visitor for Laws {
    type Out = ();

    fn visit<W: Asking>(self, workload: W) {
        let mut calls = 0;
        play_and_watch(&workload, 1, Mistake::None, 300, &mut |sent| {
            refusals_fail_and_silence_is_info_only_of_a_change(&sent);
            what_is_no_answer_is_nonsense(&sent);
            calls += 1;
        });
        assert!(calls >= 300);
    }
}

fn understood<W: Asking>(sent: &Sent<'_, W>, outcome: replica::Outcome<Reply>) -> Option<Outcome<W::Ret>> {
    let changes = changes(sent.call);
    match answered(sent.workload, sent.op, sent.key, sent.open.clone(), changes, outcome) {
        Ok(Asked::Over(outcome)) => Some(outcome),
        Ok(Asked::Again(..)) => panic!("nothing to go on with"),
        Err(_) => None,
    }
}

fn refusals_fail_and_silence_is_info_only_of_a_change<W: Asking>(sent: &Sent<'_, W>) {
    let refused = understood(sent, replica::Outcome::Failed(Failed::Overwritten));
    assert!(matches!(refused, Some(Outcome::Fail(_))), "{refused:?}");
    let writes = matches!(sent.call, Call::Write { .. });
    for silence in [Unknown::LeaderChanged, Unknown::Timeout, Unknown::Halted] {
        match understood(sent, replica::Outcome::Unknown(silence)) {
            Some(Outcome::Info(_)) => assert!(writes, "{:?} changes nothing", sent.call),
            Some(Outcome::Fail(_)) => assert!(!writes, "{:?} may have happened", sent.call),
            other => panic!("{other:?}"),
        }
    }
}

fn what_is_no_answer_is_nonsense<W: Asking>(sent: &Sent<'_, W>) {
    for result in [Ok(Answer::Compacted), Ok(Answer::Size(1)), Err(Refusal::EmptyKey)] {
        let reply = Reply { revision: Revision(7), result };
        assert!(understood(sent, replica::Outcome::Done(reply)).is_none(), "{:?}", sent.call);
    }
}

#[test]
fn every_call_fails_when_refused_is_open_when_a_change_is_unanswered_and_knows_nonsense() {
    for name in Name::ALL {
        name.visit(Laws);
    }
}

/// How many of a hundred ops come through.
struct ComeThrough;

impl Visitor for ComeThrough {
    type Out = usize;

    fn visit<W: Asking>(self, workload: W) -> usize {
        let history = play(&workload, 1, Mistake::None, OPS);
        let ok = history.attempts.iter().filter(|attempt| attempt.ret().is_some()).count();
        100 * ok / history.attempts.len()
    }
}

#[test]
fn most_ops_come_through_though_some_are_overtaken() {
    for name in Name::ALL {
        let blind = !matches!(name, Name::Bank | Name::ListAppend);
        let least = if blind { 90 } else { 60 };
        let come_through = name.visit(ComeThrough);
        assert!(come_through >= least, "{name}: {come_through} of 100");
    }
}

/// By what one knows a workload: its type, and whether it compares and sets.
struct OfWhom;

impl Visitor for OfWhom {
    type Out = (&'static str, bool);

    fn visit<W: Asking>(self, workload: W) -> (&'static str, bool) {
        let history = play(&workload, 1, Mistake::None, 100);
        let swaps = history.attempts.iter().any(|attempt| format!("{:?}", attempt.op).starts_with("Cas"));
        (std::any::type_name::<W>().rsplit("::").next().unwrap_or_default(), swaps)
    }
}

#[test]
fn a_name_leads_to_its_workload() {
    let found = Name::ALL.map(|name| name.visit(OfWhom));
    let others = ["Sets", "Counters", "UniqueIds", "Banks", "ListAppend"].map(|name| (name, false));
    let registers = [("Registers", false), ("Registers", true)];
    assert_eq!(found[..], [&registers[..], &others].concat());
}
