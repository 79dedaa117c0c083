//! What can be broken, and the sentence that says how.

use std::fmt;

use crate::ids::{EntryId, Index, NodeId, RequestId, Term};

/// A promise of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Property {
    /// At most one leader in a term (§5.2).
    ElectionSafety,
    /// A leader never overwrites or drops an entry of its own log (§5.3).
    LeaderAppendOnly,
    /// Two logs that hold the same entry hold the same entries before it (§5.3).
    LogMatching,
    /// Whoever leads a later term has everything that was committed before (§5.4).
    LeaderCompleteness,
    /// No two nodes execute different entries in one place (§5.4.3).
    StateMachineSafety,
    /// What is committed is in the logs of a quorum, for good (§5.3).
    QuorumHolds,
    /// A node's term never falls, its vote in a term never changes, its commit index never goes back
    /// (Figure 2).
    NoWayBack,
    /// A node executes each entry once, without gaps (§5.3).
    AppliedInOrder,
    /// What a node said to others it still knows after a restart (Figure 2, "persistent state").
    PromisesKept,
    /// A read is answered from a state no older than the moment it was asked (dissertation §6.4).
    ReadsAreCurrent,
    /// A node opens a term only after a quorum said that it would win (dissertation §9.6).
    TermsAreGranted,
    /// At most one change of the members is undecided (dissertation §4.1).
    OneChange,
}

impl Property {
    /// All of them.
    pub const ALL: [Property; 12] = [
        Property::ElectionSafety,
        Property::LeaderAppendOnly,
        Property::LogMatching,
        Property::LeaderCompleteness,
        Property::StateMachineSafety,
        Property::QuorumHolds,
        Property::NoWayBack,
        Property::AppliedInOrder,
        Property::PromisesKept,
        Property::ReadsAreCurrent,
        Property::TermsAreGranted,
        Property::OneChange,
    ];

    /// Its name in the paper, where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Property::ElectionSafety => "election safety",
            Property::LeaderAppendOnly => "leader append-only",
            Property::LogMatching => "log matching",
            Property::LeaderCompleteness => "leader completeness",
            Property::StateMachineSafety => "state machine safety",
            Property::QuorumHolds => "quorum holds",
            Property::NoWayBack => "no way back",
            Property::AppliedInOrder => "applied in order",
            Property::PromisesKept => "promises kept",
            Property::ReadsAreCurrent => "reads are current",
            Property::TermsAreGranted => "terms are granted",
            Property::OneChange => "one change at a time",
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A property that does not hold, and where it was seen.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Violation {
    /// Against [`Property::ElectionSafety`].
    #[error("{first} and {second} both lead {term}")]
    TwoLeaders {
        /// The term.
        term: Term,
        /// Who led it first.
        first: NodeId,
        /// Who leads it, too.
        second: NodeId,
    },
    /// Against [`Property::LeaderAppendOnly`].
    #[error("{leader}@{term} leads, and no longer has its entry {lost}")]
    LeaderRewrote {
        /// Who.
        leader: NodeId,
        /// In which term it leads.
        term: Term,
        /// The first entry that is gone.
        lost: EntryId,
    },
    /// Against [`Property::LogMatching`]: one name, two contents.
    #[error("{node} has another {entry} than {first} had")]
    OneNameTwoEntries {
        /// The name.
        entry: EntryId,
        /// Who had it first.
        first: NodeId,
        /// Who has another.
        node: NodeId,
    },
    /// Against [`Property::LogMatching`]: one entry, two pasts.
    #[error("{node} has {entry} behind {before}, and {first} had it behind {other}")]
    TwoPasts {
        /// The entry that they share.
        entry: EntryId,
        /// Who had it first.
        first: NodeId,
        /// What it stood behind there.
        other: EntryId,
        /// Who has another past.
        node: NodeId,
        /// What it stands behind here.
        before: EntryId,
    },
    /// Against [`Property::LogMatching`]: an entry that does not stand where its name says.
    #[error("{node} has {entry} in place {place}")]
    OutOfPlace {
        /// Whose log it is.
        node: NodeId,
        /// What is there.
        entry: EntryId,
        /// Where.
        place: Index,
    },
    /// Against [`Property::LeaderCompleteness`].
    #[error("{leader}@{term} leads without {entry}, which was committed in {committed}")]
    LeaderLacks {
        /// Who.
        leader: NodeId,
        /// In which term it leads.
        term: Term,
        /// What it lacks.
        entry: EntryId,
        /// In which term, at the latest, that was committed.
        committed: Term,
    },
    /// Against [`Property::StateMachineSafety`].
    #[error("{node} holds {entry} to be committed, and {first} held {other} to be")]
    TwoCommitted {
        /// Who came second.
        node: NodeId,
        /// What it has there.
        entry: EntryId,
        /// Who came first.
        first: NodeId,
        /// What that one had there.
        other: EntryId,
    },
    /// Against [`Property::StateMachineSafety`].
    #[error("{node} executes {entry}, and {} is committed there", Place(*.committed))]
    ExecutedOther {
        /// Who.
        node: NodeId,
        /// What.
        entry: EntryId,
        /// What should be executed in that place, if anything yet. The same name: another content.
        committed: Option<EntryId>,
    },
    /// Against [`Property::StateMachineSafety`]: a log stands on what nobody committed.
    #[error("{node} stands on a snapshot at {base}, and {} is committed there", Place(*.committed))]
    OtherBase {
        /// Who.
        node: NodeId,
        /// The end of its snapshot.
        base: EntryId,
        /// What is committed there, if anything yet.
        committed: Option<EntryId>,
    },
    /// Against [`Property::OneChange`].
    #[error("{node} has {count} changes of the members behind {committed}, up to where the log is committed")]
    ManyChanges {
        /// Who.
        node: NodeId,
        /// How many.
        count: usize,
        /// How far the log is committed, as far as anybody knows.
        committed: Index,
    },
    /// Against [`Property::StateMachineSafety`]: the entry is gone from a log that held it.
    #[error("{node} drops {entry}, which is committed")]
    CommittedDropped {
        /// Who.
        node: NodeId,
        /// What.
        entry: EntryId,
    },
    /// Against [`Property::QuorumHolds`].
    #[error("{entry} is committed, as {node} knows, and only {holders} of the {quorum} nodes needed have it")]
    NoQuorum {
        /// What.
        entry: EntryId,
        /// Who called it committed, or lost it.
        node: NodeId,
        /// How many have it.
        holders: usize,
        /// How many should.
        quorum: usize,
    },
    /// Against [`Property::NoWayBack`].
    #[error("{node} went back from {from} to {to}")]
    TermFell {
        /// Who.
        node: NodeId,
        /// Its term before.
        from: Term,
        /// Its term now.
        to: Term,
    },
    /// Against [`Property::NoWayBack`].
    #[error("{node}@{term} had voted for {first}, and now has {}", Vote(*.second))]
    VoteChanged {
        /// Who.
        node: NodeId,
        /// In which term.
        term: Term,
        /// Its vote before.
        first: NodeId,
        /// Its vote now.
        second: Option<NodeId>,
    },
    /// Against [`Property::NoWayBack`].
    #[error("the commit index of {node} went back from {from} to {to}")]
    CommitFell {
        /// Who.
        node: NodeId,
        /// Before.
        from: Index,
        /// Now.
        to: Index,
    },
    /// Against [`Property::NoWayBack`].
    #[error("{node} has committed up to {commit}, and its log ends with {last}")]
    CommitBeyondLog {
        /// Who.
        node: NodeId,
        /// How far it calls its log committed.
        commit: Index,
        /// What is there.
        last: EntryId,
    },
    /// Against [`Property::AppliedInOrder`].
    #[error("{node} executes {entry} when it is the turn of {due}")]
    OutOfTurn {
        /// Who.
        node: NodeId,
        /// What.
        entry: EntryId,
        /// What should have come.
        due: Index,
    },
    /// Against [`Property::PromisesKept`].
    #[error("{node} gave its vote in {term} to {first}, and gives it to {second}")]
    VotedTwice {
        /// Who.
        node: NodeId,
        /// In which term.
        term: Term,
        /// Who got it first.
        first: NodeId,
        /// Who got it, too.
        second: NodeId,
    },
    /// Against [`Property::PromisesKept`].
    #[error("{node} gave its vote in {term} to {candidate}, and has {} after its restart", Vote(*.found))]
    VoteForgotten {
        /// Who.
        node: NodeId,
        /// In which term.
        term: Term,
        /// Who got it.
        candidate: NodeId,
        /// What it remembers.
        found: Option<NodeId>,
    },
    /// Against [`Property::PromisesKept`].
    #[error("{node} spoke in {promised}, and is in {found} after its restart")]
    TermForgotten {
        /// Who.
        node: NodeId,
        /// The greatest term it answered for.
        promised: Term,
        /// The term it remembers.
        found: Term,
    },
    /// Against [`Property::PromisesKept`].
    #[error("{node} acknowledged {entry}, and does not have it after its restart")]
    EntryForgotten {
        /// Who.
        node: NodeId,
        /// The last entry it acknowledged.
        entry: EntryId,
    },
    /// Against [`Property::PromisesKept`].
    #[error("{node} acknowledges {upto}, and its log ends with {last}")]
    AcknowledgedMissing {
        /// Who.
        node: NodeId,
        /// What it says it has.
        upto: Index,
        /// What it has.
        last: EntryId,
    },
    /// Against [`Property::TermsAreGranted`].
    #[error("{node} opens {term}, and only {consented} of the {quorum} nodes needed said that it would win")]
    TermNotGranted {
        /// Who.
        node: NodeId,
        /// The term.
        term: Term,
        /// How many said so, itself among them.
        consented: usize,
        /// How many must.
        quorum: usize,
    },
    /// Against [`Property::ReadsAreCurrent`].
    #[error(
        "{node} lets read {read} be answered at {index}, and {committed} was committed before it was asked"
    )]
    ReadTooOld {
        /// Who.
        node: NodeId,
        /// Which.
        read: RequestId,
        /// How much of the log it is to see.
        index: Index,
        /// How much it should see.
        committed: Index,
    },
}

struct Place(Option<EntryId>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(entry) => write!(f, "{entry}"),
            None => f.write_str("nothing"),
        }
    }
}

struct Vote(Option<NodeId>);

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(node) => write!(f, "a vote for {node}"),
            None => f.write_str("no vote"),
        }
    }
}

impl Violation {
    /// Which property does not hold.
    pub fn property(&self) -> Property {
        match self {
            Violation::TwoLeaders { .. } => Property::ElectionSafety,
            Violation::LeaderRewrote { .. } => Property::LeaderAppendOnly,
            Violation::OneNameTwoEntries { .. }
            | Violation::TwoPasts { .. }
            | Violation::OutOfPlace { .. } => Property::LogMatching,
            Violation::LeaderLacks { .. } => Property::LeaderCompleteness,
            Violation::TwoCommitted { .. }
            | Violation::ExecutedOther { .. }
            | Violation::OtherBase { .. }
            | Violation::CommittedDropped { .. } => Property::StateMachineSafety,
            Violation::NoQuorum { .. } => Property::QuorumHolds,
            Violation::TermFell { .. }
            | Violation::VoteChanged { .. }
            | Violation::CommitFell { .. }
            | Violation::CommitBeyondLog { .. } => Property::NoWayBack,
            Violation::OutOfTurn { .. } => Property::AppliedInOrder,
            Violation::VotedTwice { .. }
            | Violation::VoteForgotten { .. }
            | Violation::TermForgotten { .. }
            | Violation::EntryForgotten { .. }
            | Violation::AcknowledgedMissing { .. } => Property::PromisesKept,
            Violation::ReadTooOld { .. } => Property::ReadsAreCurrent,
            Violation::TermNotGranted { .. } => Property::TermsAreGranted,
            Violation::ManyChanges { .. } => Property::OneChange,
        }
    }
}
