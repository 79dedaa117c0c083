//! Schedules, played under virtual time.

use nemesis::{
    Action, Aim, Deed, End, Fault, GivenUp, Happening, Harm, Impossible, Kind, Kinds, Nemesis, NodeId, Nodes,
    Pace, Rhythm, Schedule, Seen, Span, Start, Step, Storm, Time, Wait, Who, cluster,
};
use proptest::prelude::*;

const LIMIT: Time = Time(60_000_000_000);

fn drawn() -> Schedule {
    Schedule::draw(7, &Kinds::of(Kind::REAL), 3, Rhythm::default(), Time::seconds(40))
}

fn nemesis(schedule: impl Into<Schedule>) -> Nemesis {
    Nemesis::new(schedule.into(), cluster(3), 7, LIMIT)
}

fn led_by(node: u16) -> impl Fn(Time) -> Seen {
    move |_| Seen { leader: Some(NodeId(node)), ..Seen::default() }
}

/// Plays to the end under virtual time; returns what was done, and when.
fn play(nemesis: &mut Nemesis, seen: impl Fn(Time) -> Seen) -> Vec<(Time, Action)> {
    let (mut now, mut done) = (Time::default(), Vec::new());
    loop {
        match nemesis.next(now, &seen(now)) {
            Action::Done => return done,
            Action::Wait(until) => {
                assert!(until > now, "waiting goes forward");
                if now >= LIMIT {
                    return done; // somebody waits for what never happens
                }
                now = until;
            }
            action => done.push((now, action)),
        }
    }
}

/// What was injected, and when, in milliseconds.
fn injected(done: &[(Time, Action)]) -> Vec<(u64, String)> {
    let faults = done.iter().filter_map(|(at, action)| match action {
        Action::Inject(fault) => Some((at.0 / 1_000_000, fault.to_string())),
        _ => None,
    });
    faults.collect()
}

fn kill(node: u16) -> Aim {
    Aim::Exactly(Fault::Kill { nodes: [NodeId(node)].into() })
}

fn lasting(start: Start, millis: u64, aim: Aim) -> Step {
    Step { start, every: None, end: End::Lasting(Wait::Exactly(Span::millis(millis))), aim }
}

#[test]
fn every_injected_fault_is_healed_and_the_record_repeats_the_run() {
    let mut nemesis = nemesis(drawn());
    let first = play(&mut nemesis, led_by(2));
    assert_eq!((injected(&first).len(), first.len()), (4, 8));
    assert_eq!(injected(&first)[0], (2_000, "partition n2 | n1 n3 (hold)".to_owned()));
    let mut again = Nemesis::new(nemesis.record(), cluster(3), 99, LIMIT);
    let again = play(&mut again, |_| Seen::default());
    assert_eq!(first, again, "neither another seed nor another leader changes what is written down");
}

#[test]
fn a_fault_waits_for_its_leader_and_keeps_its_end() {
    let late = |now| Seen { leader: (now >= Time::seconds(4)).then_some(NodeId(1)), ..Seen::default() };
    let done = play(&mut nemesis(drawn()), late);
    assert_eq!((done[0].0, done[1].0), (Time::seconds(4), Time::seconds(7)));
}

#[test]
fn a_fault_whose_leader_never_came_is_given_up_aloud() {
    let done = play(&mut nemesis(drawn()), |_| Seen::default());
    let why = GivenUp::Impossible(Impossible::NoLeader);
    assert_eq!(done[0], (Time::seconds(7), Action::Skip(Aim::telling(Kind::Partition), why.clone())));
    assert_eq!(why.to_string(), "no leader is known");
}

#[test]
fn stopping_hands_back_all_that_is_broken_and_ends_it() {
    let mut nemesis = nemesis(drawn());
    let seen = led_by(1)(Time::default());
    let Action::Inject(fault) = nemesis.next(Time::seconds(3), &seen) else { panic!("a fault was due") };
    let waiting: Vec<String> = nemesis.waiting().map(|step| step.start.to_string()).collect();
    assert_eq!(waiting, ["at 12s", "at 22s", "at 32s"]);
    assert_eq!(nemesis.stop(Time::seconds(4)), vec![fault]);
    assert_eq!(nemesis.waiting().count(), 0);
    assert_eq!(nemesis.next(Time::seconds(30), &seen), Action::Done);
    let deeds = nemesis.deeds();
    assert_eq!((deeds[0].at, deeds[0].until), (Time::seconds(3), Time::seconds(4)));
}

#[test]
fn a_step_may_start_after_so_many_ops() {
    let mut nemesis = nemesis(vec![lasting(Start::After(1_200), 500, kill(1))]);
    let seen = |now: Time| Seen { ops: now.0 / 1_000_000, ..Seen::default() };
    let done = play(&mut nemesis, seen);
    assert_eq!(injected(&done), [(1_200, "kill n1".to_owned())]);
    assert_eq!(done[1].0, Time(1_700_000_000), "and lasts from there on");
}

#[test]
fn a_step_may_start_when_the_leader_changes_after_the_step_before_it_began() {
    let changed = Start::When(Happening::LeaderChanged);
    let first = lasting(Start::At(Time::seconds(5)), 100, kill(1));
    let seen = |now: Time| Seen { leader_changes: 3 + now.0 / 2_000_000_000, ..Seen::default() };
    let both = vec![first, lasting(changed, 100, kill(2))];
    let done = play(&mut nemesis(both), seen);
    let expected = [(5_000, "kill n1".to_owned()), (6_000, "kill n2".to_owned())];
    assert_eq!(injected(&done), expected, "what changed before second 5 does not count");
    let alone = vec![lasting(changed, 100, kill(2))];
    assert_eq!(injected(&play(&mut nemesis(alone), seen)), [(2_000, "kill n2".to_owned())]);
    let never = vec![lasting(changed, 100, kill(2))];
    let mut never = nemesis(never);
    assert_eq!(play(&mut never, |_| Seen { leader_changes: 3, ..Seen::default() }), []);
    let waiting: Vec<String> = never.waiting().map(|step| step.start.to_string()).collect();
    assert_eq!(waiting, ["when leader-changed"], "and who asks is told");
}

#[test]
fn a_step_that_comes_again_does_so_until_the_end() {
    let every = Some(Wait::Exactly(Span::seconds(2)));
    let step = Step { every, ..lasting(Start::At(Time::seconds(1)), 500, kill(1)) };
    let schedule = Schedule { until: Some(Time::seconds(8)), ..Schedule::from(vec![step.clone()]) };
    let times = |done: &[(Time, Action)]| injected(done).iter().map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!(times(&play(&mut nemesis(schedule), led_by(1))), [1_000, 3_000, 5_000, 7_000]);
    let done = play(&mut nemesis(vec![step.clone()]), led_by(1));
    assert_eq!(times(&done).len(), 30, "or of the run");

    let about = Step { every: Some(Wait::About(Span::seconds(2))), ..step };
    let done = play(&mut nemesis(vec![about.clone()]), led_by(1));
    let first = times(&done);
    assert!((15..50).contains(&first.len()), "about every two seconds of sixty: {first:?}");
    let gaps: std::collections::BTreeSet<u64> = first.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() > 5, "{gaps:?}");
    assert_eq!(times(&play(&mut nemesis(vec![about]), led_by(1))), first, "and the seed says when");
}

#[test]
fn what_works_on_the_same_node_is_put_off_until_it_is_free() {
    let long = lasting(Start::At(Time::seconds(1)), 3_000, kill(1));
    let pause = Aim::Harm { who: Who::These([NodeId(1)].into()), harm: Harm::Pause };
    let step = Step::at(Time::seconds(2), Time::seconds(9), pause.clone());
    let done = play(&mut nemesis(vec![long.clone(), step]), led_by(2));
    assert_eq!(injected(&done), [(1_000, "kill n1".to_owned()), (4_000, "pause n1".to_owned())]);

    let hasty = Step::at(Time::seconds(2), Time::seconds(3), pause.clone());
    let done = play(&mut nemesis(vec![long, hasty]), led_by(2));
    let Action::Skip(aim, why) = &done[1].1 else { panic!("{done:?}") };
    assert_eq!((done[1].0, aim), (Time::seconds(3), &pause), "or given up when its time has passed");
    assert_eq!(why.to_string(), "it would have met `kill n1` on the same node or link");
}

#[test]
fn a_role_that_others_can_fill_is_filled_by_another() {
    let one = Aim::Harm { who: Who::One, harm: Harm::Kill };
    let steps: Vec<Step> =
        (1..=3).map(|at| Step::at(Time::seconds(at), Time::seconds(9), one.clone())).collect();
    let done = play(&mut nemesis(steps), led_by(1));
    let struck: Nodes = done
        .iter()
        .filter_map(|(_, action)| match action {
            Action::Inject(fault) => fault.nodes().into_iter().next(),
            _ => None,
        })
        .collect();
    assert_eq!(struck, cluster(3), "{done:?}");
}

#[test]
fn what_works_on_different_things_may_meet_on_one_node() {
    let slow = Aim::Harm { who: Who::Leader, harm: Harm::SlowDisk(Pace::Stuck) };
    let power = Aim::Harm { who: Who::Leader, harm: Harm::Power };
    let steps: Vec<Step> = [slow, power].map(|aim| Step::at(Time::seconds(1), Time::seconds(3), aim)).into();
    let done = play(&mut nemesis(steps), led_by(1));
    assert_eq!(injected(&done), [(1_000, "slow-disk n1 (stuck)".into()), (1_000, "power n1".into())]);
}

#[test]
fn one_that_comes_again_before_it_could_begin_gives_up_the_time_before() {
    let long = lasting(Start::At(Time::seconds(1)), 10_000, kill(1));
    let again = Step {
        every: Some(Wait::Exactly(Span::seconds(4))),
        end: End::Lasting(Wait::Exactly(Span::seconds(6))),
        ..lasting(Start::At(Time::seconds(2)), 0, kill(1))
    };
    let schedule = Schedule { until: Some(Time::seconds(20)), ..Schedule::from(vec![long, again]) };
    let done = play(&mut nemesis(schedule), led_by(1));
    let skipped = done.iter().filter(|(_, action)| matches!(action, Action::Skip(..))).count();
    assert_eq!((injected(&done)[1].0, skipped), (11_000, 3), "{done:?}");
}

#[test]
fn who_asks_late_is_told_what_was_missed() {
    let mut nemesis = nemesis(vec![Step::at(Time::seconds(1), Time::seconds(2), kill(1))]);
    let Action::Skip(_, why) = nemesis.next(Time::seconds(5), &Seen::default()) else { panic!("it is over") };
    assert_eq!(why, GivenUp::Late);
    assert_eq!(nemesis.next(Time::seconds(5), &Seen::default()), Action::Done);
}

/// Any steps at all, with roles, triggers and repetitions.
fn any_step() -> impl Strategy<Value = Step> {
    let start = prop_oneof![
        (0_u64..20_000).prop_map(|at| Start::At(Time(at * 1_000_000))),
        (0_u64..20_000).prop_map(Start::After),
        Just(Start::When(Happening::LeaderChanged)),
    ];
    let wait = |least: u64| {
        let span = (least..4_000).prop_map(Span::millis);
        prop_oneof![span.clone().prop_map(Wait::Exactly), span.prop_map(Wait::About)]
    };
    let kind = proptest::sample::select(Kind::ALL.to_vec());
    let aim = (kind, any::<u64>()).prop_map(|(kind, seed)| {
        use rand::SeedableRng as _;
        Aim::random(kind, 3, &mut rand_chacha::ChaCha8Rng::seed_from_u64(seed))
    });
    (start, proptest::option::of(wait(500)), wait(1), aim).prop_map(|(start, every, wait, aim)| Step {
        start,
        every,
        end: End::Lasting(wait),
        aim,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_asked_for_no_two_faults_work_on_the_same_and_the_record_repeats_it(
        steps in proptest::collection::vec(any_step(), 1..12),
        seed: u64,
    ) {
        let seen = |now: Time| Seen {
            leader: Some(NodeId(1 + u16::try_from(now.0 / 3_000_000_000 % 3).unwrap())),
            ops: now.0 / 1_000_000,
            leader_changes: now.0 / 3_000_000_000,
        };
        let random = Some(Storm::of(Kinds::of([Kind::Kill, Kind::Clock])));
        let schedule = Schedule { steps, random, until: Some(Time::seconds(30)) };
        let mut nemesis = Nemesis::new(schedule, cluster(3), seed, LIMIT);
        let first = play(&mut nemesis, seen);
        let deeds = nemesis.deeds().to_vec();
        for (turn, deed) in deeds.iter().enumerate() {
            prop_assert!(deed.at < deed.until && deed.until <= Time::seconds(30), "{deed:?}");
            let clash = deeds[turn + 1..].iter().find(|other| deed.clashes_with(other));
            prop_assert_eq!(clash, None, "meets {:?}", deed);
        }
        let done = |action: &Action| matches!(action, Action::Inject(_) | Action::Heal(_));
        let first: Vec<_> = first.into_iter().filter(|(_, action)| done(action)).collect();
        let record = nemesis.record();
        let expected: Option<Vec<Deed>> = Some(deeds);
        prop_assert_eq!(record.deeds(), expected);
        let again = play(&mut Nemesis::new(record, cluster(3), !seed, LIMIT), |_| Seen::default());
        prop_assert_eq!(first, again);
    }
}
