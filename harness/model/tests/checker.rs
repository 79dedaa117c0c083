//! The checker itself: it looks at everything, finds the nearest, says the same twice, and its reductions hide nothing.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use model::{
    Bounds, Budget, CI, DEEP, Limit, Limits, Milestone, Outcome, Profile, RaftModel, Unknown, Verdict, check,
    search,
};
use raft::Bugs;
use stateright::{Checker as _, Model};

fn profile(name: &str) -> Profile {
    *CI.iter().chain(DEEP).find(|profile| profile.name == name).unwrap()
}

/// One with so few elections and writes that it is searched in a moment.
fn small(name: &str) -> Profile {
    let profile = profile(name);
    let budget = profile.budget;
    let budget = Budget {
        elections: budget.elections.min(1),
        writes: budget.writes.min(1 - budget.crashes),
        reads: budget.reads.min(1),
        heartbeats: 0,
        duplicates: 0,
        changes: budget.changes.min(1),
        snapshots: budget.snapshots.min(1),
        ..budget
    };
    Profile { budget, meets: &[], ..profile }
}

fn states(profile: Profile, bugs: Bugs, threads: usize) -> (Verdict, u64, u64) {
    let report = check(profile, bugs, Limits { threads, ..Limits::default() }, &|_| {});
    (report.verdict, report.figures.unique, report.figures.generated)
}

/// A counter that may go up by one or by two, and must not reach its end.
struct Counter {
    end: u32,
}

impl Model for Counter {
    type State = u32;
    type Action = u32;

    fn init_states(&self) -> Vec<u32> {
        vec![0]
    }

    fn actions(&self, state: &u32, actions: &mut Vec<u32>) {
        actions.extend([1, 2].into_iter().filter(|step| state + step <= 101));
    }

    fn next_state(&self, state: &u32, step: u32) -> Option<u32> {
        Some(state + step)
    }

    fn properties(&self) -> Vec<stateright::Property<Counter>> {
        vec![stateright::Property::always("below the end", |model: &Counter, state| *state != model.end)]
    }
}

#[test]
fn a_search_sees_every_state_and_takes_the_shortest_way() {
    let (outcome, figures) = search(&Counter { end: 200 }, Limits::default(), &|_| {});
    assert_eq!(outcome, Outcome::Exhausted);
    assert_eq!((figures.unique, figures.depth), (102, 51));
    let (outcome, _) = search(&Counter { end: 101 }, Limits::default(), &|_| {});
    let Outcome::Broken(path) = outcome else { panic!("{outcome:?}") };
    assert_eq!(path.len(), 51);
    assert_eq!(path.iter().sum::<u32>(), 101);
}

#[test]
fn what_is_broken_at_the_beginning_is_a_path_without_steps() {
    let (outcome, _) = search(&Counter { end: 0 }, Limits::default(), &|_| {});
    assert_eq!(outcome, Outcome::Broken(Vec::new()));
}

#[test]
fn a_search_that_is_stopped_says_why() {
    let asked = AtomicBool::new(true);
    for (limits, why) in [
        (Limits { states: Some(10), ..Limits::default() }, Limit::States),
        (Limits { time: Some(Duration::ZERO), ..Limits::default() }, Limit::Time),
        (Limits { stop: &asked, ..Limits::default() }, Limit::Asked),
    ] {
        let report = check(profile("elections"), Bugs::none(), limits, &|_| {});
        assert_eq!(report.verdict, Verdict::Unknown(Unknown::Stopped(why)));
    }
}

/// Another program's search finds the same states and the same steps between them.
#[test]
fn stateright_sees_the_same_states() {
    for name in [
        "elections",
        "crashing-elections",
        "crashing-writes",
        "register",
        "sent-on",
        "one-voter",
        "joint",
        "compaction",
        "crashing-install",
        "transfer",
        "leases",
    ] {
        let theirs = RaftModel::new(small(name), Bugs::none()).checker().spawn_bfs().join();
        assert!(theirs.is_done() && theirs.discoveries().is_empty(), "{name}");
        // Not through `check`, which may search twice.
        let (outcome, ours) = search(&RaftModel::new(small(name), Bugs::none()), Limits::default(), &|_| {});
        assert_eq!(outcome, Outcome::Exhausted, "{name}");
        assert_eq!(ours.unique, theirs.unique_state_count() as u64, "{name}");
        // Theirs counts the first state as a step.
        assert_eq!(ours.generated + 1, theirs.state_count() as u64, "{name}");
    }
}

#[test]
fn any_number_of_threads_finds_the_same() {
    let one = states(small("crashing-writes"), Bugs::none(), 1);
    assert_eq!(one, states(small("crashing-writes"), Bugs::none(), 4));
    assert_eq!(one.0, Verdict::Valid);
}

#[test]
fn bounds_that_are_too_narrow_are_not_valid() {
    let wide = Profile { meets: &[Milestone::Leader, Milestone::TwoLeaders], ..small("elections") };
    let (verdict, ..) = states(wide, Bugs::none(), 1);
    assert_eq!(verdict, Verdict::Unknown(Unknown::Missed(vec![Milestone::TwoLeaders])), "with one election");
}

#[test]
fn names_are_names_and_every_profile_can_begin() {
    let all: Vec<&Profile> = Bounds::ALL.iter().flat_map(|bounds| bounds.profiles).collect();
    for (place, profile) in all.iter().enumerate() {
        assert!(all[..place].iter().all(|other| other.name != profile.name), "{} twice", profile.name);
        assert!(!profile.meets.is_empty(), "{} is there for nothing", profile.name);
        let model = RaftModel::new(**profile, Bugs::none());
        let first = model.init_states().remove(0);
        assert_eq!(model.end(&first), None, "{} begins with something wrong", profile.name);
        let mut moves = Vec::new();
        model.actions(&first, &mut moves);
        assert!(!moves.is_empty(), "{} ends where it begins", profile.name);
    }
}

#[cfg(feature = "bugs")]
mod with_bugs {
    use super::*;
    use raft::Bug;

    /// What is found with dead messages taken away is found without, and the other way round.
    #[test]
    fn burials_hide_nothing() {
        let mut hidden = 0;
        for name in ["elections", "takeover"] {
            let profile = Profile {
                budget: Budget { heartbeats: 0, ..profile(name).budget },
                meets: &[],
                ..profile(name)
            };
            for bug in [Bug::VoteTwice, Bug::VoteForAnyLog, Bug::KeepConflict, Bug::TrustLeaderCommit] {
                let limits = Limits { threads: 2, states: Some(300_000), ..Limits::default() };
                let with = search(&RaftModel::new(profile, Bugs::of([bug])), limits, &|_| {});
                let without =
                    search(&RaftModel::new(profile, Bugs::of([bug])).without_burials(), limits, &|_| {});
                let steps = |outcome: &Outcome<_>| match outcome {
                    Outcome::Broken(path) => Some(path.len()),
                    Outcome::Exhausted | Outcome::Stopped(_) => None,
                };
                let (with_steps, without_steps) = (steps(&with.0), steps(&without.0));
                let ran_out = |outcome: &Outcome<_>| matches!(outcome, Outcome::Stopped(_));
                if ran_out(&with.0) || ran_out(&without.0) {
                    continue;
                }
                assert_eq!(with_steps, without_steps, "{bug} in {name}");
                hidden += usize::from(with.1.unique < without.1.unique);
            }
        }
        assert!(hidden > 0, "something was taken away");
    }

    /// A core that counts old answers makes something of a message that was taken away. That is noticed.
    #[test]
    fn a_burial_of_what_is_not_dead_is_noticed() {
        let profile = Profile { remember_messages: false, ..profile("elections") };
        let limits = Limits { threads: 2, ..Limits::default() };
        let sound = RaftModel::new(profile, Bugs::none());
        assert_eq!(search(&sound, limits, &|_| {}).0, Outcome::Exhausted);
        assert!(sound.buries() && sound.burials_hold());
        let model = RaftModel::new(profile, Bugs::of([Bug::CountOldAnswers]));
        assert_eq!(
            search(&model, limits, &|_| {}).0,
            Outcome::Exhausted,
            "what gives it away was taken away"
        );
        assert!(!model.burials_hold());
        let report = check(profile, Bugs::of([Bug::CountOldAnswers]), limits, &|_| {});
        assert!(!report.buried, "so the search was done again with all messages");
    }

    /// Nodes that begin in any order, and not in that of their names, show no more.
    #[test]
    fn the_order_of_the_names_hides_nothing() {
        // An opening without any effect, after which no node is renamed.
        let awake = |profile: Profile| Profile { opening: "drop 1", ..profile };
        for bugs in [
            vec![],
            vec![Bug::VoteTwice],
            vec![Bug::VoteForAnyLog],
            vec![Bug::KeepConflict],
            vec![Bug::CountHalf],
        ] {
            let bugs = Bugs::of(bugs);
            let profile = Profile { in_order: true, ..profile("elections") };
            let (renamed, fewer, _) = states(profile, bugs, 2);
            let (any, more, _) = states(awake(profile), bugs, 2);
            let steps = |verdict: &Verdict| match verdict {
                Verdict::Invalid { path, .. } => Some(path.len()),
                Verdict::Valid | Verdict::Unknown(_) => None,
            };
            assert_eq!(steps(&renamed), steps(&any));
            assert!(fewer < more, "{fewer} and {more}");
        }
    }

    /// The player of scripts has a network, disks and invariants of its own, and comes to the same end.
    #[test]
    fn a_finding_is_a_script_that_ends_as_badly() {
        for (bug, name) in [
            (Bug::VoteTwice, "elections"),
            (Bug::ForgetVote, "crashing-elections"),
            (Bug::AckBeforeSync, "crashing-writes"),
            (Bug::TrustLeaderCommit, "takeover"),
            (Bug::ReuseReadRound, "reads"),
            (Bug::SkipTermCheck, "rivals"),
            (Bug::CommitOldTerm, "figure-8"),
            (Bug::ChangeBeforeOwnCommit, "rival-changes"),
            (Bug::CountNewOnly, "joint"),
            (Bug::CountLearners, "learner"),
            (Bug::InstallOverNewer, "install"),
            (Bug::WrongSnapshotTerm, "compaction"),
            (Bug::TrustClocks, "leases"),
            (Bug::LeaseFromAnswer, "leases"),
        ] {
            let limits = Limits { threads: 2, ..Limits::default() };
            let report = check(profile(name), Bugs::of([bug]), limits, &|_| {});
            let Verdict::Invalid { path, .. } = &report.verdict else {
                panic!("{bug}: {:?}", report.verdict)
            };
            assert_eq!(report.model.story(path).len(), path.len());
            let script = report.model.script(path);
            let played = raft::script::play(&script).unwrap();
            assert!(played.violation.is_some(), "{bug} does no harm in\n{}", played.text);
        }
    }
}
