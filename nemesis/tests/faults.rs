//! Every fault, on a world of assignments.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use nemesis::{
    Birth, ClockReading, Death, DiskCounts, Fault, Grudge, Joining, Kind, Link, LinkCounts, Loss, NodeId,
    Nodes, Pace, PacketCounts, ProcessState, Refusal, Removal, Rot, Sever, Shift, Skew, Span, Target,
    Trouble, Weather, cluster,
};

/// A world of assignments. What is lost on a disk stays lost, so disks are no part of what is mended.
#[derive(PartialEq, Default)]
struct World {
    cut: BTreeSet<Link>,
    dead: Nodes,
    still: Nodes,
    empty: Nodes,
    weather: BTreeMap<Link, Weather>,
    skewed: BTreeMap<NodeId, Skew>,
    troubled: BTreeSet<(NodeId, String)>,
}

/// The dead among these refuse to open once a bit has rotted.
#[derive(Default)]
struct Disks {
    rotten: Nodes,
    wiped: Nodes,
    dark: Nodes,
}

#[derive(Default)]
struct Lab {
    world: World,
    disks: Disks,
    calls: Vec<&'static str>,
}

impl Target for Lab {
    fn sever(&mut self, links: &BTreeSet<Link>, _how: Sever) -> io::Result<()> {
        self.world.cut.extend(links);
        Ok(())
    }
    fn mend(&mut self, links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, LinkCounts>> {
        self.world.cut.retain(|link| !links.contains(link));
        Ok(links.iter().map(|link| (*link, LinkCounts::default())).collect())
    }
    fn kill(&mut self, nodes: &Nodes) -> io::Result<Vec<Death>> {
        self.calls.push("kill");
        self.world.dead.extend(nodes);
        let death =
            |node: &NodeId| Death { node: *node, pid: 1, status: "signal 9".to_owned(), killed: true };
        Ok(nodes.iter().map(death).collect())
    }
    fn restart(&mut self, nodes: &Nodes) -> io::Result<Vec<Birth>> {
        self.calls.push("restart");
        self.world.dead.retain(|node| !nodes.contains(node));
        Ok(nodes.difference(&self.disks.rotten).map(|node| Birth { node: *node, pid: 2 }).collect())
    }
    fn refusals(&mut self, nodes: &Nodes) -> io::Result<Vec<Refusal>> {
        let refusal = |node: &NodeId| Refusal { node: *node, words: "a checksum does not match".to_owned() };
        Ok(nodes.intersection(&self.disks.rotten).map(refusal).collect())
    }
    fn stop(&mut self, nodes: &Nodes) -> io::Result<Vec<Death>> {
        self.calls.push("stop");
        self.world.dead.extend(nodes);
        let death = |node: &NodeId| Death { node: *node, pid: 1, status: "exit 0".to_owned(), killed: true };
        Ok(nodes.iter().map(death).collect())
    }
    fn remove(&mut self, node: NodeId) -> io::Result<(Removal, Vec<Death>)> {
        self.calls.push("remove");
        self.world.empty.insert(node);
        let removal = Removal { member: "1".to_owned(), led: true, took: Span::millis(3), refused: None };
        Ok((removal, Vec::new()))
    }
    fn join(&mut self, node: NodeId) -> io::Result<(Option<Joining>, Vec<Birth>)> {
        self.calls.push("join");
        let joining = Joining { member: "4".to_owned(), took: Span::millis(5), learned: None, votes: true };
        Ok((self.world.empty.remove(&node).then_some(joining), vec![Birth { node, pid: 2 }]))
    }
    fn pause(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        self.world.still.extend(nodes);
        Ok(Vec::new())
    }
    fn states(&mut self, _nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        self.calls.push("states");
        Ok(Vec::new())
    }
    fn resume(&mut self, nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        self.calls.push("resume");
        self.world.still.retain(|node| !nodes.contains(node));
        Ok(Vec::new())
    }
    fn cut_power(&mut self, nodes: &Nodes) -> io::Result<(Vec<Death>, BTreeMap<NodeId, Loss>)> {
        self.disks.dark.extend(nodes);
        let lost = nodes.iter().map(|node| (*node, Loss { bytes: 7, names: 0 })).collect();
        Ok((self.kill(nodes)?, lost))
    }
    fn rot(&mut self, nodes: &Nodes) -> io::Result<BTreeMap<NodeId, Rot>> {
        self.calls.push("rot");
        self.disks.rotten.extend(nodes);
        let rot = Rot { file: "wal".to_owned(), byte: 3, bit: 1 };
        Ok(nodes.iter().map(|node| (*node, rot.clone())).collect())
    }
    fn rot_read(&mut self, nodes: &Nodes) -> io::Result<BTreeMap<NodeId, Rot>> {
        let rot = Rot { file: "wal".to_owned(), byte: 3, bit: 1 };
        Ok(nodes.intersection(&self.disks.rotten).map(|node| (*node, rot.clone())).collect())
    }
    fn wipe(&mut self, nodes: &Nodes) -> io::Result<BTreeMap<NodeId, Loss>> {
        self.calls.push("wipe");
        self.disks.wiped.extend(nodes);
        Ok(nodes.iter().map(|node| (*node, Loss { bytes: 7, names: 1 })).collect())
    }
    fn weather(&mut self, links: &BTreeSet<Link>, weather: Weather) -> io::Result<()> {
        self.world.weather.extend(links.iter().map(|link| (*link, weather)));
        Ok(())
    }
    fn clear_up(&mut self, links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, PacketCounts>> {
        self.world.weather.retain(|link, _| !links.contains(link));
        Ok(links.iter().map(|link| (*link, PacketCounts { lost: 1, ..PacketCounts::default() })).collect())
    }
    fn skew(&mut self, nodes: &Nodes, skew: Skew) -> io::Result<BTreeMap<NodeId, ClockReading>> {
        self.world.skewed.extend(nodes.iter().map(|node| (*node, skew)));
        Ok(nodes.iter().map(|node| (*node, ClockReading::default())).collect())
    }
    fn set_right(&mut self, nodes: &Nodes) -> io::Result<BTreeMap<NodeId, ClockReading>> {
        self.world.skewed.retain(|node, _| !nodes.contains(node));
        Ok(nodes.iter().map(|node| (*node, ClockReading { jumps: 2, ..ClockReading::default() })).collect())
    }
    fn trouble(&mut self, nodes: &Nodes, trouble: Trouble) -> io::Result<()> {
        self.world.troubled.extend(nodes.iter().map(|node| (*node, format!("{trouble:?}"))));
        Ok(())
    }
    fn relieve(&mut self, nodes: &Nodes, trouble: Trouble) -> io::Result<BTreeMap<NodeId, DiskCounts>> {
        self.calls.push("relieve");
        let trouble = format!("{trouble:?}");
        self.world.troubled.retain(|(node, other)| !nodes.contains(node) || *other != trouble);
        Ok(nodes.iter().map(|node| (*node, DiskCounts { errors: 1, ..DiskCounts::default() })).collect())
    }
}

fn n(node: u16) -> Nodes {
    [NodeId(node)].into()
}

fn links() -> BTreeSet<Link> {
    [Link::new(NodeId(1), NodeId(2))].into()
}

/// One or two of each kind, and how it reads in a history.
fn faults() -> Vec<(Fault, &'static str)> {
    let bridge = Grudge::Blocks(vec![[NodeId(1), NodeId(2)].into(), [NodeId(4), NodeId(5)].into()]);
    let weather = Weather { delay: Span::millis(40), loss: 5, ..Weather::default() };
    let strobe = Skew::Strobe { by: Shift::millis(-200), every: Span::millis(20) };
    vec![
        (
            Fault::Partition { grudge: bridge, sever: Sever::Hold },
            r#"{"fault":"partition","blocks":[["n1","n2"],["n4","n5"]],"sever":"hold"}"#,
        ),
        (
            Fault::Partition { grudge: Grudge::Links(links()), sever: Sever::Cut },
            r#"{"fault":"partition","links":["n1→n2"],"sever":"cut"}"#,
        ),
        (Fault::Kill { nodes: n(2) }, r#"{"fault":"kill","nodes":["n2"]}"#),
        (Fault::Pause { nodes: n(3) }, r#"{"fault":"pause","nodes":["n3"]}"#),
        (Fault::Power { nodes: n(1) }, r#"{"fault":"power","nodes":["n1"]}"#),
        (
            Fault::Packets { links: links(), weather },
            r#"{"fault":"packets","links":["n1→n2"],"weather":{"delay":"40ms","loss":5}}"#,
        ),
        (
            Fault::Clock { nodes: n(1), skew: Skew::Jump { by: Shift::millis(2_500) } },
            r#"{"fault":"clock","nodes":["n1"],"skew":{"jump":"+2.5s"}}"#,
        ),
        (
            Fault::Clock { nodes: n(1), skew: Skew::Drift { percent: -20 } },
            r#"{"fault":"clock","nodes":["n1"],"skew":{"drift":-20}}"#,
        ),
        (
            Fault::Clock { nodes: n(1), skew: strobe },
            r#"{"fault":"clock","nodes":["n1"],"skew":{"strobe":"-200ms","every":"20ms"}}"#,
        ),
        (
            Fault::SlowDisk { nodes: n(1), pace: Pace::Sync(Span::millis(40)) },
            r#"{"fault":"slow-disk","nodes":["n1"],"pace":"40ms"}"#,
        ),
        (
            Fault::SlowDisk { nodes: n(1), pace: Pace::Stuck },
            r#"{"fault":"slow-disk","nodes":["n1"],"pace":"stuck"}"#,
        ),
        (Fault::FullDisk { nodes: n(1) }, r#"{"fault":"full-disk","nodes":["n1"]}"#),
        (Fault::FailedSync { nodes: n(1) }, r#"{"fault":"failed-sync","nodes":["n1"]}"#),
        (Fault::BitFlip { nodes: n(1) }, r#"{"fault":"bit-flip","nodes":["n1"]}"#),
        (Fault::Wipe { nodes: n(1) }, r#"{"fault":"wipe","nodes":["n1"]}"#),
        (Fault::Restart { nodes: n(1) }, r#"{"fault":"restart","nodes":["n1"]}"#),
        (Fault::Membership { node: NodeId(2) }, r#"{"fault":"membership","node":"n2"}"#),
    ]
}

#[test]
fn there_is_a_fault_of_every_kind_and_it_is_called_like_its_kind() {
    let kinds: BTreeSet<Kind> = faults().iter().map(|(fault, _)| fault.kind()).collect();
    assert_eq!(kinds, Kind::ALL.into());
    for (fault, json) in faults() {
        assert!(json.contains(&format!("\"fault\":\"{}\"", fault.kind())), "{json}");
        assert!(fault.to_string().starts_with(fault.kind().name()), "{fault}");
    }
}

#[test]
fn a_healed_world_is_as_it_was() {
    let mut lab = Lab::default();
    for (fault, _) in faults() {
        fault.inject(&mut lab).unwrap();
        assert!(lab.world != World::default(), "{fault} changed nothing");
        fault.heal(&mut lab).unwrap();
        assert!(lab.world == World::default(), "{fault} left something behind");
    }
}

#[test]
fn a_fault_reads_in_a_history_as_it_is_said() {
    for (fault, expected) in faults() {
        let json = serde_json::to_string(&fault).unwrap();
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
    }
}

#[test]
fn a_disk_is_changed_only_while_its_node_is_dead() {
    for (fault, change) in [(Fault::BitFlip { nodes: n(1) }, "rot"), (Fault::Wipe { nodes: n(1) }, "wipe")] {
        let mut lab = Lab::default();
        let injected = fault.inject(&mut lab).unwrap();
        fault.heal(&mut lab).unwrap();
        assert_eq!(lab.calls, ["kill", change, "restart"], "{fault}");
        assert!(injected.deaths[0].killed);
    }
}

#[test]
fn a_node_that_halted_of_its_disk_is_started_again_once_the_disk_is_well() {
    for fault in [Fault::FullDisk { nodes: n(1) }, Fault::FailedSync { nodes: n(1) }] {
        let mut lab = Lab::default();
        fault.inject(&mut lab).unwrap();
        let healed = fault.heal(&mut lab).unwrap();
        assert_eq!(lab.calls, ["relieve", "restart"], "{fault}");
        assert_eq!((healed.disks[&NodeId(1)].errors, healed.births.len()), (1, 1));
    }
    let mut lab = Lab::default();
    let slow = Fault::SlowDisk { nodes: n(1), pace: Pace::Stuck };
    slow.inject(&mut lab).unwrap();
    slow.heal(&mut lab).unwrap();
    assert_eq!(lab.calls, ["relieve"], "a slow disk ends nobody");
}

#[test]
fn who_finds_a_rotten_bit_is_evidence_in_its_own_words() {
    let mut lab = Lab::default();
    let flip = Fault::BitFlip { nodes: cluster(2) };
    let injected = flip.inject(&mut lab).unwrap();
    let healed = flip.heal(&mut lab).unwrap();
    assert_eq!(injected.rotten.len(), 2);
    assert!(healed.births.is_empty());
    assert_eq!(healed.refusals[0].words, "a checksum does not match");
    let json = serde_json::to_value(&healed).unwrap();
    assert_eq!(json["refusals"][1]["node"], "n2");
    assert_eq!(serde_json::from_value::<nemesis::Evidence>(json).unwrap(), healed);
}

#[test]
fn who_stops_in_good_order_is_started_again_on_its_disk() {
    let mut lab = Lab::default();
    let restart = Fault::Restart { nodes: n(1) };
    assert_eq!(restart.inject(&mut lab).unwrap().deaths[0].status, "exit 0");
    assert_eq!(restart.heal(&mut lab).unwrap().births.len(), 1);
    assert_eq!(lab.calls, ["stop", "restart"]);
}

#[test]
fn a_seat_that_was_emptied_is_taken_again_and_both_members_are_named() {
    let mut lab = Lab::default();
    let membership = Fault::Membership { node: NodeId(1) };
    let removal = membership.inject(&mut lab).unwrap();
    let joining = membership.heal(&mut lab).unwrap();
    assert_eq!(lab.calls, ["remove", "join"]);
    let json = serde_json::to_value(&removal).unwrap();
    assert_eq!(json["removals"]["n1"], serde_json::json!({ "member": "1", "led": true, "took": "3ms" }));
    assert_eq!(serde_json::from_value::<nemesis::Evidence>(json).unwrap(), removal);
    let json = serde_json::to_value(&joining).unwrap();
    assert_eq!(json["joinings"]["n1"], serde_json::json!({ "member": "4", "took": "5ms", "votes": true }));
    assert_eq!(serde_json::from_value::<nemesis::Evidence>(json).unwrap(), joining);
    // Whom nobody removed keeps his seat.
    assert_eq!(membership.heal(&mut lab).unwrap().joinings, [].into());
}

#[test]
fn a_pause_asks_whether_it_lasted_before_it_ends_it() {
    let mut lab = Lab::default();
    let pause = Fault::Pause { nodes: n(1) };
    pause.inject(&mut lab).unwrap();
    pause.heal(&mut lab).unwrap();
    assert_eq!(lab.calls, ["states", "resume"]);
}

/// Real processes have signals and proxies.
struct Bare;

impl Target for Bare {
    fn sever(&mut self, _links: &BTreeSet<Link>, _how: Sever) -> io::Result<()> {
        Ok(())
    }
    fn mend(&mut self, _links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, LinkCounts>> {
        Ok(BTreeMap::new())
    }
    fn kill(&mut self, _nodes: &Nodes) -> io::Result<Vec<Death>> {
        Ok(Vec::new())
    }
    fn restart(&mut self, _nodes: &Nodes) -> io::Result<Vec<Birth>> {
        Ok(Vec::new())
    }
    fn pause(&mut self, _nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        Ok(Vec::new())
    }
    fn states(&mut self, _nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        Ok(Vec::new())
    }
    fn resume(&mut self, _nodes: &Nodes) -> io::Result<Vec<ProcessState>> {
        Ok(Vec::new())
    }
}

#[test]
fn a_world_that_cannot_do_a_fault_says_so_and_does_not_look_as_if_it_had() {
    for (fault, _) in faults() {
        let refused = fault.inject(&mut Bare).err().map(|error| error.kind());
        let basic = [Kind::Partition, Kind::Kill, Kind::Pause].contains(&fault.kind());
        let expected = (!basic).then_some(io::ErrorKind::Unsupported);
        assert_eq!(refused, expected, "{fault}");
    }
}
