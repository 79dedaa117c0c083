//! Each kind's bite, both ways: what shows that it had an effect, and what does not.

use std::time::Duration;

use nemesis::{
    Birth, Bite, ClockReading, Death, DiskCounts, Evidence, Fault, Grudge, Joining, Link, LinkCounts, Loss,
    Met, NodeId, Nodes, Offsets, Pace, PacketCounts, ProcessState, Refusal, Removal, Rot, Sever, Shift, Skew,
    Span, Weather, bite, cluster,
};

fn partition() -> Fault {
    Fault::Partition { grudge: Grudge::apart(NodeId(1), &cluster(3)), sever: Sever::Hold }
}

fn kept(refused: u64, held: u64, bytes: u64) -> Evidence {
    let link = Link::new(NodeId(1), NodeId(2));
    let counts = LinkCounts { refused, held, bytes, strangers: 0 };
    Evidence { links: [(link, counts)].into(), ..Evidence::default() }
}

/// Five seconds in which so many ops were asked, and all of them outlived it.
fn met(ops: u64) -> Met {
    Met { ops, outlived: ops, lasted: Duration::from_secs(5) }
}

#[test]
fn a_partition_bit_when_something_was_refused_or_held_while_clients_were_active() {
    let none = Evidence::default();
    assert!(bite(&partition(), &none, &kept(0, 1, 12), met(5)).bit());
    assert!(bite(&partition(), &none, &kept(1, 0, 0), met(5)).bit());
    assert!(!bite(&partition(), &none, &kept(1, 0, 0), met(0)).bit(), "no client was there to see it");
    assert!(!bite(&partition(), &none, &kept(0, 3, 0), met(5)).bit(), "idle connections lost nothing");
    assert!(!bite(&partition(), &none, &none, met(5)).bit());
}

#[test]
fn a_cut_that_someone_of_unknown_origin_passed_did_not_bite() {
    let mut healed = kept(1, 2, 300);
    assert!(bite(&partition(), &Evidence::default(), &healed, met(5)).bit());
    healed.links.values_mut().for_each(|counts| counts.strangers = 1);
    assert!(!bite(&partition(), &Evidence::default(), &healed, met(5)).bit());
}

#[test]
fn a_kill_bit_when_the_signal_ended_the_process_and_another_took_its_place() {
    let kill = Fault::Kill { nodes: [NodeId(1)].into() };
    let died = |killed| {
        let death = Death { node: NodeId(1), pid: 40, status: "signal 9".to_owned(), killed };
        Evidence { deaths: vec![death], ..Evidence::default() }
    };
    let born =
        |node, pid| Evidence { births: vec![Birth { node: NodeId(node), pid }], ..Evidence::default() };
    assert!(bite(&kill, &died(true), &born(1, 41), met(5)).bit());
    assert!(!bite(&kill, &died(false), &born(1, 41), met(5)).bit(), "it had died of something else");
    assert!(!bite(&kill, &died(true), &born(2, 41), met(5)).bit(), "another node is not this one");
    assert!(!bite(&kill, &died(true), &born(1, 40), met(5)).bit(), "the same process never died");
    assert!(!bite(&kill, &died(true), &Evidence::default(), met(5)).bit());
}

#[test]
fn a_pause_bit_when_a_process_stood_still_to_its_end_and_went_on_and_an_op_outlived_it() {
    let pause = Fault::Pause { nodes: [NodeId(1)].into() };
    let seen = |pid, state| vec![ProcessState { node: NodeId(1), pid, state }];
    let stopped = |state| Evidence { states: seen(40, state), ..Evidence::default() };
    let healed = |found, pid, state| Evidence {
        found: seen(40, found),
        states: seen(pid, state),
        ..Evidence::default()
    };
    assert!(bite(&pause, &stopped('T'), &healed('T', 40, 'S'), met(5)).bit());
    let missed = |injected: Evidence, healed: Evidence, met| match bite(&pause, &injected, &healed, met) {
        Bite::Bit(because) => panic!("{because}"),
        Bite::Missed(because) => because,
    };
    let good = || (stopped('T'), healed('T', 40, 'S'));
    let unmet = |met| missed(good().0, good().1, met);
    assert_eq!(unmet(met(0)), "no client was active while it lasted");
    assert!(unmet(Met { outlived: 0, ..met(5) }).contains("was answered before it went on"));
    assert!(unmet(Met { lasted: Duration::from_millis(99), ..met(5) }).contains("too short"));
    assert_eq!(missed(stopped('S'), good().1, met(5)), "no process stood still");
    assert!(missed(good().0, healed('S', 40, 'S'), met(5)).contains("still stood still"));
    assert!(missed(good().0, healed('T', 40, 'T'), met(5)).contains("lived to go on"));
    assert!(missed(good().0, healed('T', 41, 'S'), met(5)).contains("lived to go on"));
    assert_eq!(missed(Evidence::default(), Evidence::default(), met(5)), "no process stood still");
}

fn n1() -> Nodes {
    [NodeId(1)].into()
}

fn died() -> Evidence {
    let death = Death { node: NodeId(1), pid: 40, status: "signal 9".to_owned(), killed: true };
    Evidence { deaths: vec![death], ..Evidence::default() }
}

fn born() -> Evidence {
    Evidence { births: vec![Birth { node: NodeId(1), pid: 41 }], ..Evidence::default() }
}

fn refused() -> Evidence {
    let refusal = Refusal { node: NodeId(1), words: "record 7 does not match its checksum".to_owned() };
    Evidence { refusals: vec![refusal], ..Evidence::default() }
}

fn because(bite: &Bite) -> &str {
    let (Bite::Bit(because) | Bite::Missed(because)) = bite;
    because
}

/// What is said of a fault, and that it bit; with nobody there to see it, it never did.
fn bit(fault: &Fault, injected: &Evidence, healed: &Evidence) -> String {
    let judged = bite(fault, injected, healed, met(5));
    assert!(judged.bit(), "{fault}: {}", because(&judged));
    assert!(!bite(fault, injected, healed, met(0)).bit(), "{fault} bit nobody");
    because(&judged).to_owned()
}

fn missed(fault: &Fault, injected: &Evidence, healed: &Evidence) -> String {
    let judged = bite(fault, injected, healed, met(5));
    assert!(!judged.bit(), "{fault}: {}", because(&judged));
    because(&judged).to_owned()
}

#[test]
fn who_dies_and_refuses_to_come_back_was_bitten() {
    let said = bit(&Fault::Kill { nodes: n1() }, &died(), &refused());
    assert_eq!(
        said,
        "n1 (process 40) ended by signal 9, and would not start again: record 7 does not match its checksum"
    );
}

#[test]
fn a_restart_bit_when_a_node_stopped_as_it_was_asked_to_and_came_back() {
    let restart = Fault::Restart { nodes: n1() };
    let stopped = |killed| {
        let death = Death { node: NodeId(1), pid: 40, status: "exit 0".to_owned(), killed };
        Evidence { deaths: vec![death], ..Evidence::default() }
    };
    assert_eq!(bit(&restart, &stopped(true), &born()), "n1 (process 40) stopped when asked to (exit 0)");
    bit(&restart, &stopped(true), &refused());
    assert_eq!(missed(&restart, &stopped(false), &born()), "no process stopped when it was asked to");
    assert_eq!(
        missed(&restart, &stopped(true), &Evidence::default()),
        "no killed node came back as a new process"
    );
}

#[test]
fn a_membership_bit_when_one_member_went_and_another_got_its_vote() {
    let membership = Fault::Membership { node: NodeId(1) };
    let removed = |led, refused: Option<&str>| {
        let refused = refused.map(str::to_owned);
        let removal = Removal { member: "1f".to_owned(), led, took: Span::millis(9), refused };
        Evidence { removals: [(NodeId(1), removal)].into(), ..Evidence::default() }
    };
    let joined = |learned, votes| {
        let joining = Joining { member: "2e".to_owned(), took: Span::millis(9), learned, votes };
        Evidence { joinings: [(NodeId(1), joining)].into(), ..born() }
    };
    let said = bit(&membership, &removed(true, None), &joined(Some(Span::millis(250)), true));
    assert_eq!(
        said,
        "member 1f, which led, was removed from n1, and member 2e got its vote after 250ms as a learner"
    );
    let said = bit(&membership, &removed(false, None), &joined(None, true));
    assert_eq!(said, "member 1f was removed from n1, and member 2e got its vote");
    let learner = joined(Some(Span::millis(250)), false);
    let said = missed(&membership, &removed(true, None), &learner);
    assert_eq!(said, "member 2e took the seat of n1 and never got a vote");
    let said = missed(&membership, &removed(true, None), &born());
    assert_eq!(said, "nobody took the seat of member 1f on n1");
    let said = missed(&membership, &removed(true, Some("no leader")), &born());
    assert_eq!(said, "n1 stayed a member: no leader");
    let said = missed(&membership, &Evidence::default(), &joined(None, true));
    assert_eq!(said, "nobody was asked to remove n1");
}

#[test]
fn a_power_cut_bit_when_something_was_lost_that_had_not_been_synced() {
    let power = Fault::Power { nodes: n1() };
    let dark = |bytes, names| Evidence { lost: [(NodeId(1), Loss { bytes, names })].into(), ..died() };
    assert_eq!(bit(&power, &dark(120, 0), &born()), "n1 ended by power cut, 120 bytes and 0 names were lost");
    bit(&power, &dark(0, 1), &born());
    bit(&power, &dark(1, 0), &refused());
    let said = missed(&power, &dark(0, 0), &born());
    assert_eq!(said, "all that was written was synced, so nothing was lost", "it was no more than a kill");
    assert_eq!(missed(&power, &Evidence::default(), &born()), "no process died of it");
    assert_eq!(
        missed(&power, &dark(5, 0), &Evidence::default()),
        "no killed node came back as a new process"
    );
}

#[test]
fn a_wipe_bit_when_there_was_something_to_forget() {
    let wipe = Fault::Wipe { nodes: n1() };
    let emptied = |bytes| Evidence { lost: [(NodeId(1), Loss { bytes, names: 0 })].into(), ..died() };
    assert!(bit(&wipe, &emptied(7), &born()).contains("7 bytes"));
    missed(&wipe, &emptied(0), &born());
    missed(&wipe, &Evidence { deaths: Vec::new(), ..emptied(7) }, &born());
}

#[test]
fn a_bit_flip_bit_when_the_node_found_out_or_read_what_had_rotted() {
    let flip = Fault::BitFlip { nodes: n1() };
    let rot = Rot { file: "000001.wal".to_owned(), byte: 77, bit: 3 };
    let rotten = || Evidence { rotten: [(NodeId(1), rot.clone())].into(), ..died() };
    let said = bit(&flip, &rotten(), &refused());
    assert!(
        said.starts_with("bit 3 of byte 77 of `000001.wal` on n1 rotted, and it found that out"),
        "{said}"
    );
    let read = Evidence { rotten: rotten().rotten, ..born() };
    assert!(bit(&flip, &rotten(), &read).ends_with("it was read, and the node started all the same"));
    assert_eq!(missed(&flip, &rotten(), &born()), "a bit rotted where nobody read");
    assert_eq!(missed(&flip, &died(), &born()), "no disk held anything that could rot");
    missed(&flip, &rotten(), &Evidence::default());
}

#[test]
fn weather_bit_when_it_touched_a_message() {
    let link = Link::new(NodeId(1), NodeId(2));
    let weather = Weather { loss: 5, ..Weather::default() };
    let packets = Fault::Packets { links: [link].into(), weather };
    let none = Evidence::default();
    let met = |counts| Evidence { packets: [(link, counts)].into(), ..Evidence::default() };
    let some = PacketCounts { lost: 3, overtaken: 1, ..PacketCounts::default() };
    assert_eq!(bit(&packets, &none, &met(some)), "of the messages, 3 lost, 1 overtaken");
    for one in [
        PacketCounts { lost: 1, ..PacketCounts::default() },
        PacketCounts { duplicated: 1, ..PacketCounts::default() },
        PacketCounts { delayed: 1, ..PacketCounts::default() },
        PacketCounts { overtaken: 1, ..PacketCounts::default() },
    ] {
        bit(&packets, &none, &met(one));
    }
    assert_eq!(missed(&packets, &none, &met(PacketCounts::default())), "no message met the weather");
    missed(&packets, &none, &none);
}

fn read(before: Offsets, after: Offsets, jumps: u64) -> Evidence {
    let reading = ClockReading { before, after, jumps, ..ClockReading::default() };
    Evidence { clocks: [(NodeId(1), reading)].into(), ..Evidence::default() }
}

/// The same at the heal, of a node that used its clocks.
fn used(stamps: u64, timers: u64, mut read: Evidence) -> Evidence {
    for reading in read.clocks.values_mut() {
        (reading.stamps, reading.timers) = (stamps, timers);
    }
    read
}

fn wall(millis: i64) -> Offsets {
    Offsets { wall: millis * 1_000_000, mono: 0 }
}

fn mono(millis: i64) -> Offsets {
    Offsets { wall: 0, mono: millis * 1_000_000 }
}

#[test]
fn a_clock_bit_when_it_moved_as_it_was_meant_to_and_its_node_used_it() {
    let clock = |skew| Fault::Clock { nodes: n1(), skew };
    let none = Evidence::default();
    let jump = clock(Skew::Jump { by: Shift::millis(-300) });
    let healed = |stamps, timers| used(stamps, timers, read(wall(-280), wall(20), 1));
    let said = bit(&jump, &read(wall(20), wall(-280), 0), &healed(3, 0));
    assert_eq!(said, "n1 stamped 3 times after its wall clock had jumped by -300 ms");
    let said = missed(&jump, &read(wall(20), wall(-280), 0), &healed(0, 9));
    assert_eq!(said, "no node used a clock that moved as it was meant to");
    missed(&jump, &read(wall(0), wall(0), 0), &healed(3, 9)); // not at all
    missed(&jump, &read(wall(0), wall(300), 0), &healed(3, 9)); // the wrong way
    missed(&jump, &read(wall(0), wall(-100), 0), &healed(3, 9)); // not far enough
    missed(&jump, &read(mono(0), mono(-300), 0), &healed(3, 9)); // the wrong clock
    missed(&jump, &none, &none);

    // Five seconds, a tenth slower: half a second behind.
    let drift = clock(Skew::Drift { percent: -10 });
    let begun = || read(mono(0), mono(0), 0);
    let ended = |millis, timers| used(3, timers, read(mono(millis), mono(millis), 0));
    let said = bit(&drift, &begun(), &ended(-490, 7));
    assert_eq!(said, "7 timers ran out on n1, whose clock drifted by -490 ms");
    missed(&drift, &begun(), &ended(-490, 0)); // dead all the while
    missed(&drift, &begun(), &ended(-100, 7));
    missed(&drift, &begun(), &ended(490, 7));
    missed(&drift, &begun(), &none);

    let strobe = clock(Skew::Strobe { by: Shift::millis(200), every: Span::millis(20) });
    let ended = |jumps, stamps| used(stamps, 7, read(wall(0), wall(0), jumps));
    let said = bit(&strobe, &begun(), &ended(17, 4));
    assert_eq!(said, "n1 stamped 4 times while its wall clock jumped 17 times");
    missed(&strobe, &begun(), &ended(17, 0));
    missed(&strobe, &begun(), &ended(0, 4));
}

#[test]
fn a_disk_bit_when_somebody_met_its_trouble() {
    let none = Evidence::default();
    let counted = |slowed, errors| {
        let counts = DiskCounts { slowed, errors, lost: 0 };
        Evidence { disks: [(NodeId(1), counts)].into(), ..born() }
    };
    let slow = Fault::SlowDisk { nodes: n1(), pace: Pace::Stuck };
    let full = Fault::FullDisk { nodes: n1() };
    let failed = Fault::FailedSync { nodes: n1() };
    assert_eq!(
        bit(&slow, &none, &counted(3, 0)),
        "3 requests to the disk of n1 waited longer than they had to"
    );
    assert_eq!(bit(&full, &none, &counted(0, 1)), "1 request to the disk of n1 was refused for want of room");
    assert_eq!(bit(&failed, &none, &counted(0, 1)), "1 request to the disk of n1 failed");
    assert_eq!(missed(&slow, &none, &counted(0, 9)), "no sync took any longer");
    assert_eq!(missed(&full, &none, &counted(9, 0)), "nothing was refused for want of room");
    assert_eq!(missed(&failed, &none, &counted(9, 0)), "no sync was asked for, so none failed");
    let stays_down = Evidence { refusals: refused().refusals, ..counted(0, 1) };
    assert!(bit(&failed, &none, &stays_down).contains("and would not start again: record 7"));
}
