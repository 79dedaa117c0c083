//! The kinds of fault that can be asked for by name, and the list that a person types.

use std::fmt;
use std::str::FromStr;

use crate::ids;

/// A kind of fault, as it is named on the command line and in a schedule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Links between nodes are cut.
    Partition,
    /// Processes die without a warning.
    Kill,
    /// Processes stand still, and do not know it.
    Pause,
    /// Machines lose their power, and what was not synced.
    Power,
    /// Messages are delayed, lost, repeated, overtaken.
    Packets,
    /// Clocks are wrong.
    Clock,
    /// Disks are slow.
    SlowDisk,
    /// Disks are full.
    FullDisk,
    /// A disk fails to keep what it was asked to.
    FailedSync,
    /// A disk forgets one bit.
    BitFlip,
    /// A disk forgets everything.
    Wipe,
    /// Processes stop in good order.
    Restart,
    /// Members are replaced by new ones.
    Membership,
}

impl Kind {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Kind; 13] = [
        Kind::Partition,
        Kind::Kill,
        Kind::Pause,
        Kind::Power,
        Kind::Packets,
        Kind::Clock,
        Kind::SlowDisk,
        Kind::FullDisk,
        Kind::FailedSync,
        Kind::BitFlip,
        Kind::Wipe,
        Kind::Restart,
        Kind::Membership,
    ];

    /// Those that real processes can be given: what a signal, a proxy or a request can do.
    pub const REAL: [Kind; 5] = [Kind::Partition, Kind::Kill, Kind::Pause, Kind::Restart, Kind::Membership];

    /// Those that a simulator mixes when it is asked for `all`.
    pub const SIMULATED: [Kind; 12] = [
        Kind::Partition,
        Kind::Kill,
        Kind::Pause,
        Kind::Power,
        Kind::Packets,
        Kind::Clock,
        Kind::SlowDisk,
        Kind::FullDisk,
        Kind::FailedSync,
        Kind::BitFlip,
        Kind::Restart,
        Kind::Membership,
    ];

    /// Whether a system that keeps its promises must keep them under this kind. Those that it need not
    /// survive are no part of `all`: they happen to who asks for them by name.
    pub fn is_fair(self) -> bool {
        self != Kind::Wipe
    }

    /// The fewest nodes on which it can bite. One node has no links. And a rotten disk may keep its node
    /// down for good, so it happens only where the rest can do without that node; so must they while a member
    /// is replaced.
    pub fn needs_nodes(self) -> usize {
        match self {
            Kind::Partition | Kind::Packets => 2,
            Kind::BitFlip | Kind::Membership => 3,
            Kind::Kill
            | Kind::Pause
            | Kind::Power
            | Kind::Clock
            | Kind::SlowDisk
            | Kind::FullDisk
            | Kind::FailedSync
            | Kind::Wipe
            | Kind::Restart => 1,
        }
    }

    /// The name used on command lines, in schedules and as `f` in a history.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Partition => "partition",
            Kind::Kill => "kill",
            Kind::Pause => "pause",
            Kind::Power => "power",
            Kind::Packets => "packets",
            Kind::Clock => "clock",
            Kind::SlowDisk => "slow-disk",
            Kind::FullDisk => "full-disk",
            Kind::FailedSync => "failed-sync",
            Kind::BitFlip => "bit-flip",
            Kind::Wipe => "wipe",
            Kind::Restart => "restart",
            Kind::Membership => "membership",
        }
    }

    /// The `f` of its end in a history.
    pub fn heal_name(self) -> &'static str {
        match self {
            Kind::Partition => "heal-partition",
            Kind::Kill => "heal-kill",
            Kind::Pause => "heal-pause",
            Kind::Power => "heal-power",
            Kind::Packets => "heal-packets",
            Kind::Clock => "heal-clock",
            Kind::SlowDisk => "heal-slow-disk",
            Kind::FullDisk => "heal-full-disk",
            Kind::FailedSync => "heal-failed-sync",
            Kind::BitFlip => "heal-bit-flip",
            Kind::Wipe => "heal-wipe",
            Kind::Restart => "heal-restart",
            Kind::Membership => "heal-membership",
        }
    }

    /// What it does, in one sentence.
    pub fn story(self) -> &'static str {
        match self {
            Kind::Partition => "links between nodes are cut: what is sent over them is held back or refused",
            Kind::Kill => "nodes die by SIGKILL, and are started again on what their disks kept",
            Kind::Pause => "nodes stand still by SIGSTOP, and go on as if no time had passed",
            Kind::Power => "nodes lose their power, and whatever they had not synced",
            Kind::Packets => "messages are delayed, lost, repeated and overtaken",
            Kind::Clock => "clocks jump, run fast or slow, or jump to and fro",
            Kind::SlowDisk => "disks take long to sync, or get stuck",
            Kind::FullDisk => "disks have no room left, so that nodes must halt",
            Kind::FailedSync => {
                "one sync fails and what it should have kept is lost, so that nodes must halt"
            }
            Kind::BitFlip => "nodes die and one bit on their disks rots: who finds out must not start again",
            Kind::Wipe => {
                "nodes die and start again on empty disks; beyond what Raft promises, and in no mixture"
            }
            Kind::Restart => "nodes stop in good order when SIGTERM asks them to, and are started again",
            Kind::Membership => {
                "a member is taken out of the cluster, and a new one on an empty disk takes its place"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault that this world does not have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnknownFault {
    /// Nobody has it.
    #[error("unknown fault `{name}`; {}known: {}, all, none", guess(name), itertools::join(Kind::ALL, ", "))]
    NoSuchFault {
        /// What was asked for.
        name: String,
    },
    /// The name is right, the world is wrong.
    #[error("fault `{kind}` is not supported here; supported: {supported}, all, none")]
    Unsupported {
        /// What was asked for.
        kind: Kind,
        /// What there is.
        supported: Kinds,
    },
    /// It could never bite.
    #[error("fault `{kind}` cannot bite on {}: it needs {needs}", nodes_in_words(*.nodes), needs = .kind.needs_nodes())]
    TooFewNodes {
        /// What was asked for.
        kind: Kind,
        /// On how many nodes.
        nodes: usize,
    },
    /// `all` or `none` beside something else.
    #[error("`{name}` says it all: it cannot be mixed with other faults")]
    NotAlone {
        /// `all` or `none`.
        name: String,
    },
}

fn nodes_in_words(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}

/// "did you mean …" when one known name starts alike.
pub(crate) fn guess(name: &str) -> String {
    let alike = |kind: &Kind| {
        let both = kind.name().chars().zip(name.chars());
        both.take_while(|(known, typed)| typed.eq_ignore_ascii_case(known)).count() >= 2
    };
    Kind::ALL.into_iter().find(alike).map(|kind| format!("did you mean `{kind}`? ")).unwrap_or_default()
}

impl FromStr for Kind {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Kind, UnknownFault> {
        let found = Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| UnknownFault::NoSuchFault { name: text.to_owned() })
    }
}

/// The kinds that a run mixes, each once, in the order asked for. Shown as it is typed:
/// `partition,kill`, or `none`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Kinds(Vec<Kind>);

impl Kinds {
    /// These, each once.
    pub fn of(kinds: impl IntoIterator<Item = Kind>) -> Kinds {
        Kinds(itertools::Itertools::unique(kinds.into_iter()).collect())
    }

    /// Reads `partition,kill`, `none`, or `all`, which means all that this world supports and that is
    /// [fair](Kind::is_fair).
    pub fn parse(text: &str, supported: &[Kind]) -> Result<Kinds, UnknownFault> {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        match names.as_slice() {
            ["all"] => return Ok(Kinds::of(supported.iter().copied().filter(|kind| kind.is_fair()))),
            ["none"] => return Ok(Kinds::default()),
            _ => {}
        }
        if let Some(name) = names.iter().find(|name| matches!(**name, "all" | "none")) {
            return Err(UnknownFault::NotAlone { name: (*name).to_owned() });
        }
        let kinds = names.into_iter().map(str::parse).collect::<Result<Vec<Kind>, _>>()?;
        match kinds.iter().find(|kind| !supported.contains(kind)) {
            Some(&kind) => {
                let supported = Kinds::of(supported.iter().copied());
                Err(UnknownFault::Unsupported { kind, supported })
            }
            None => Ok(Kinds::of(kinds)),
        }
    }

    /// As [`parse`](Kinds::parse), for a cluster of so many nodes. What is asked for by name must be able to
    /// bite there; of `all`, what cannot is left out, and comes second.
    pub fn parse_for(text: &str, supported: &[Kind], nodes: usize) -> Result<(Kinds, Kinds), UnknownFault> {
        let (kinds, left_out) = Kinds::parse(text, supported)?.on(nodes);
        match left_out.as_slice().first() {
            Some(&kind) if text.trim() != "all" => Err(UnknownFault::TooFewNodes { kind, nodes }),
            _ => Ok((kinds, left_out)),
        }
    }

    /// Those that can bite on so many nodes, and those that cannot.
    pub fn on(self, nodes: usize) -> (Kinds, Kinds) {
        let (can, cannot) = self.0.into_iter().partition(|kind| kind.needs_nodes() <= nodes);
        (Kinds(can), Kinds(cannot))
    }

    /// Whether none was asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// They, in order.
    pub fn as_slice(&self) -> &[Kind] {
        &self.0
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&ids::list(&self.0).replace(' ', ","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_becomes_what_the_world_supports_and_says_so() {
        let real = Kinds::parse("all", &Kind::REAL).unwrap();
        assert_eq!(real.to_string(), "partition,kill,pause,restart,membership");
        assert_eq!(Kinds::parse("all", &[Kind::Kill]).unwrap().to_string(), "kill");
        assert_eq!(Kinds::parse("none", &Kind::ALL).unwrap().to_string(), "none");
        assert_eq!(Kinds::parse("kill, partition,kill", &Kind::ALL).unwrap().to_string(), "kill,partition");
    }

    #[test]
    fn what_no_system_need_survive_is_asked_for_by_name_or_not_at_all() {
        let all = Kinds::parse("all", &Kind::ALL).unwrap();
        assert_eq!(all, Kinds::of(Kind::ALL.into_iter().filter(|kind| *kind != Kind::Wipe)));
        assert!(Kind::SIMULATED.into_iter().all(|kind| all.as_slice().contains(&kind)));
        assert!(!all.as_slice().contains(&Kind::Wipe));
        assert_eq!(Kinds::parse("wipe,kill", &Kind::ALL).unwrap().to_string(), "wipe,kill");
        assert!(Kind::REAL.into_iter().all(|kind| all.as_slice().contains(&kind)));
    }

    #[test]
    fn what_cannot_bite_is_refused_by_name_and_left_out_of_all() {
        let of = |text: &str, nodes| Kinds::parse_for(text, &Kind::ALL, nodes);
        let (kinds, left_out) = of("all", 1).unwrap();
        assert_eq!(left_out.to_string(), "partition,packets,bit-flip,membership");
        assert_eq!(kinds.to_string(), "kill,pause,power,clock,slow-disk,full-disk,failed-sync,restart");
        assert_eq!(of("all", 2).unwrap().1.to_string(), "bit-flip,membership");
        assert_eq!(of("all", 3).unwrap().1, Kinds::default());
        assert_eq!(of("kill,wipe", 1).unwrap().1, Kinds::default());
        let said = |text: &str, nodes| of(text, nodes).unwrap_err().to_string();
        assert_eq!(said("kill,partition", 1), "fault `partition` cannot bite on 1 node: it needs 2");
        assert_eq!(said("bit-flip", 2), "fault `bit-flip` cannot bite on 2 nodes: it needs 3");
    }

    #[test]
    fn each_kind_is_read_by_its_name_and_ends_under_another() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(kind.heal_name(), format!("heal-{kind}"));
        }
    }

    #[test]
    fn an_unknown_fault_is_named_beside_the_known_ones() {
        let said = |text: &str, supported: &[Kind]| Kinds::parse(text, supported).unwrap_err().to_string();
        let known = itertools::join(Kind::ALL, ", ");
        assert_eq!(
            said("partitoin,kill", &Kind::ALL),
            format!("unknown fault `partitoin`; did you mean `partition`? known: {known}, all, none")
        );
        assert_eq!(said("", &Kind::ALL), format!("unknown fault ``; known: {known}, all, none"));
        assert_eq!(
            said("power", &Kind::REAL),
            "fault `power` is not supported here; supported: partition,kill,pause,restart,membership, all, none"
        );
        assert_eq!(said("all,kill", &Kind::ALL), "`all` says it all: it cannot be mixed with other faults");
    }
}
