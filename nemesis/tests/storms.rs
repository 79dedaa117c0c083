//! Lives drawn by chance: what they are made of, and that something can be tested in them.

use std::collections::{BTreeMap, BTreeSet};

use nemesis::{
    Action, Aim, Deed, End, Fault, Kind, Kinds, Link, Nemesis, NodeId, Nodes, Pace, Schedule, Seen, Span,
    Start, Storm, Time, Wait, Who, cluster,
};
use proptest::prelude::*;

const MINUTE: Time = Time(60_000_000_000);

/// A life of a minute, played while the lead passes on every few seconds.
fn live(seed: u64, kinds: &Kinds, nodes: u16) -> Vec<Deed> {
    let schedule = Schedule::storm(seed, kinds, nodes.into(), MINUTE);
    let mut nemesis = Nemesis::new(schedule, cluster(nodes), seed, MINUTE);
    let mut now = Time::default();
    loop {
        let turn = now.0 / 4_000_000_000 % u64::from(nodes);
        let leader = cluster(nodes).into_iter().zip(0..).find(|(_, place)| *place == turn);
        let seen = Seen { leader: leader.map(|(node, _)| node), ..Seen::default() };
        match nemesis.next(now, &seen) {
            Action::Wait(until) => now = until,
            Action::Done => return nemesis.deeds().to_vec(),
            _ => {}
        }
    }
}

fn all() -> Kinds {
    Kinds::of(Kind::SIMULATED)
}

proptest! {
    #[test]
    fn all_of_a_storm_is_over_by_the_limit_and_nothing_is_too_short(
        seed: u64,
        nodes in 1_usize..8,
        limit in 0_u64..90_000,
    ) {
        let limit = Time(limit * 1_000_000);
        for step in Schedule::storm(seed, &Kinds::of(Kind::ALL), nodes, limit).steps {
            let (Start::At(at), End::Until(until)) = (step.start, step.end) else { panic!("{step:?}") };
            prop_assert!(until <= limit && until.since(at) >= Span::millis(50).duration(), "{step:?}");
            prop_assert!(until.since(at) <= Span::seconds(10).duration(), "{step:?}");
        }
    }
}

#[test]
fn the_same_seed_draws_the_same_life_and_another_seed_another() {
    let draw = |seed| Schedule::storm(seed, &all(), 3, MINUTE);
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    assert_eq!(Schedule::storm(7, &Kinds::default(), 3, MINUTE), Schedule::default());
}

/// A kind that a life knows must come in it, and each must be known to more than a third of the lives, since
/// not everything that comes bites.
#[test]
fn every_kind_comes_in_half_of_the_lives_and_is_missing_in_some() {
    const LIVES: u64 = 300;
    for nodes in [3, 5] {
        let mut lives: BTreeMap<Kind, u64> = BTreeMap::new();
        for seed in 0..LIVES {
            let kinds: BTreeSet<Kind> =
                live(seed, &all(), nodes).iter().map(|deed| deed.fault.kind()).collect();
            for kind in kinds {
                *lives.entry(kind).or_default() += 1;
            }
        }
        for kind in Kind::SIMULATED {
            let share = 100 * lives.get(&kind).copied().unwrap_or(0) / LIVES;
            assert!(
                (50..95).contains(&share),
                "{kind} came in {share}% of the lives of {nodes} nodes: {lives:?}"
            );
        }
    }
}

#[test]
fn a_kind_that_is_asked_for_alone_comes_in_every_life() {
    for kind in Kind::ALL {
        for seed in 0..40 {
            let life = live(seed, &Kinds::of([kind]), 3);
            assert!(!life.is_empty(), "{kind}, seed {seed}");
        }
    }
}

/// Who could vote in a majority of nodes that hear each other, both ways, and do their work.
fn able(nodes: &Nodes, faults: &[&Fault]) -> bool {
    let mut well = nodes.clone();
    let mut cut: BTreeSet<Link> = BTreeSet::new();
    for fault in faults {
        match fault {
            Fault::Partition { grudge, .. } => cut.extend(grudge.links()),
            Fault::Packets { links, weather } if weather.loss > 25 || weather.delay > Span::millis(150) => {
                cut.extend(links);
            }
            Fault::SlowDisk { pace: Pace::Sync(span), .. } if *span < Span::millis(100) => {}
            Fault::Packets { .. } | Fault::Clock { .. } => {}
            other => well = &well - &other.nodes(),
        }
    }
    let hears = |node: &NodeId, other: &NodeId| {
        node == other || !(cut.contains(&Link::new(*node, *other)) || cut.contains(&Link::new(*other, *node)))
    };
    // Somebody must be able to lead a majority.
    let followers = |node: &NodeId| well.iter().filter(|other| hears(node, other)).count();
    well.iter().any(|node| followers(node) > nodes.len() / 2)
}

#[test]
fn most_of_the_time_a_majority_can_work_and_now_and_then_it_cannot() {
    for nodes in [3, 5] {
        let (mut moments, mut able_in, mut stormy, mut blackouts) = (0_u32, 0_u32, 0_u32, 0_u32);
        for seed in 0..100 {
            let life = live(seed, &all(), nodes);
            let for_good = |deed: &&Deed| deed.fault.kind() == Kind::BitFlip;
            let rotten: Vec<(Time, Nodes)> =
                life.iter().filter(for_good).map(|deed| (deed.at, deed.fault.nodes())).collect();
            for moment in (0..600).map(|tenth| Time(tenth * 100_000_000)) {
                let lasts = |deed: &&Deed| deed.at <= moment && moment < deed.until;
                let mut faults: Vec<&Fault> = life.iter().filter(lasts).map(|deed| &deed.fault).collect();
                stormy += u32::from(!faults.is_empty());
                let down: Vec<Fault> = rotten
                    .iter()
                    .filter(|(at, _)| *at <= moment)
                    .map(|(_, nodes)| Fault::BitFlip { nodes: nodes.clone() })
                    .collect();
                faults.extend(&down);
                let able = able(&cluster(nodes), &faults);
                moments += 1;
                able_in += u32::from(able);
                blackouts += u32::from(!able);
            }
        }
        let share = |count: u32| 100 * count / moments;
        println!("{nodes} nodes: stormy {}%, able {}%", share(stormy), share(able_in));
        assert!(share(able_in) >= 85, "{nodes} nodes can work in {}% of the time", share(able_in));
        assert!(share(stormy) >= 35, "{nodes} nodes meet something in {}% of the time", share(stormy));
        assert!(blackouts > 0, "a cluster must come back from having no majority, too");
    }
}

#[test]
fn several_kinds_meet_in_a_night_and_days_are_calm() {
    let (mut company, mut longest_calm) = (BTreeSet::new(), Vec::new());
    for seed in 0..100 {
        let life = live(seed, &all(), 5);
        for (turn, deed) in life.iter().enumerate() {
            let meets = |other: &&Deed| other.at < deed.until && deed.at < other.until;
            let others = life[turn + 1..].iter().filter(meets).map(|other| other.fault.kind());
            company.extend(others.map(|other| (deed.fault.kind().min(other), deed.fault.kind().max(other))));
        }
        let mut calm_since = Time::default();
        let mut calm = Vec::new();
        for deed in &life {
            calm.push(deed.at.since(calm_since));
            calm_since = calm_since.max(deed.until);
        }
        longest_calm.push(calm.into_iter().max().unwrap_or_default());
    }
    assert!(company.len() >= 45, "of 55 pairs, {} met: {company:?}", company.len());
    longest_calm.sort();
    assert!(longest_calm[50] >= Span::seconds(1).duration(), "{:?}", longest_calm[50]);
}

#[test]
fn leaders_are_struck_more_often_than_others() {
    let steps = (0..50).flat_map(|seed| Schedule::storm(seed, &all(), 5, MINUTE).steps);
    // What goes before a power cut slows all disks a little, and strikes nobody.
    let harm = steps.filter_map(|step| match step.aim {
        Aim::Harm { who, harm } if harm.kind() != Kind::SlowDisk => Some(who),
        _ => None,
    });
    let whose: Vec<Who> = harm.collect();
    let leaders = whose.iter().filter(|who| **who == Who::Leader).count();
    assert!(2 * leaders > whose.len() && leaders < whose.len() * 9 / 10, "{leaders} of {}", whose.len());
}

#[test]
fn weights_decide_how_often_a_kind_comes_and_none_keeps_it_out() {
    let kinds = Kinds::of([Kind::Clock, Kind::Packets, Kind::Kill]);
    let weights = [(Kind::Clock, 20), (Kind::Packets, 1), (Kind::Kill, 0)].into();
    let storm = Storm { weights, ..Storm::of(kinds) };
    let steps: Vec<_> = (0..30).flat_map(|seed| storm.draw(seed, 3, MINUTE)).collect();
    let count = |kind| steps.iter().filter(|step| step.aim.kind() == kind).count();
    assert!(count(Kind::Clock) > 5 * count(Kind::Packets) && count(Kind::Packets) > 0);
    assert_eq!(count(Kind::Kill), 0);
}

#[test]
fn days_and_nights_are_as_long_as_a_schedule_says() {
    let known = |millis| Some(Wait::Exactly(Span::millis(millis)));
    let storm = Storm { day: known(4_000), night: known(6_000), ..Storm::of(all()) };
    for seed in 0..20 {
        for step in storm.draw(seed, 3, MINUTE) {
            let (Start::At(at), Some(until)) = (step.start, step.until()) else { panic!("{step:?}") };
            let (began, ended) = (at.0 / 1_000_000 % 10_000, (until.0 / 1_000_000 - 1) % 10_000);
            assert!(began >= 4_000 && ended >= 4_000, "{step:?} is no matter of the day");
        }
    }
}

/// What is lost with the power is what was not synced, so it goes while something is being synced.
#[test]
fn where_disks_may_be_slow_most_power_cuts_come_upon_slow_ones() {
    let (mut cuts, mut upon_slow) = (0, 0);
    for seed in 0..60 {
        let life = live(seed, &Kinds::of([Kind::Power, Kind::SlowDisk]), 3);
        let slow = |deed: &Deed| matches!(deed.fault, Fault::SlowDisk { .. });
        if !life.iter().any(slow) {
            continue;
        }
        for cut in life.iter().filter(|deed| deed.fault.kind() == Kind::Power) {
            let lasts = |other: &&Deed| slow(other) && other.at < cut.at && cut.at < other.until;
            let slow = life.iter().filter(lasts).flat_map(|other| other.fault.nodes()).collect::<Nodes>();
            cuts += 1;
            upon_slow += u32::from(!slow.is_disjoint(&cut.fault.nodes()));
        }
    }
    assert!(cuts > 100 && upon_slow * 10 > cuts * 6, "{upon_slow} of {cuts}");
}

/// A rotten bit may keep a node down for ever, so it is late, and leaves a majority.
#[test]
fn bits_rot_late_and_on_few_nodes() {
    for (seed, nodes) in (0..200).flat_map(|seed| [(seed, 3_u16), (seed, 5)]) {
        let flips = live(seed, &Kinds::of([Kind::BitFlip, Kind::Kill]), nodes);
        let flips = flips.iter().filter(|deed| deed.fault.kind() == Kind::BitFlip);
        let mut rotten = Nodes::new();
        for deed in flips {
            assert!(deed.at.0 >= MINUTE.0 / 2);
            rotten.extend(deed.fault.nodes());
        }
        assert!(rotten.len() <= usize::from(nodes - 1) / 2, "seed {seed}: {rotten:?} of {nodes}");
    }
}
