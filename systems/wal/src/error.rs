//! What can be wrong with a log, each said with the name of the file it is about.

use std::fmt;
use std::io;

use raft::Index;

use crate::identity::Identity;

/// Why a log does not open. In every case, nothing on the disk has been changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder was made for somebody else.
    #[error("the data folder belongs to {found}, but this is {wanted}")]
    WrongIdentity {
        /// Whose data it is.
        found: Box<Identity>,
        /// Who wants to open it.
        wanted: Box<Identity>,
    },
    /// Something that was once synced is damaged or gone.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The disk does not do what it was asked.
    #[error(transparent)]
    Disk(#[from] Failure),
}

/// Damage to something that may have been acknowledged. This node must not vote or count towards a
/// quorum with such a log. Until a leader can repair it, the node stays down.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("corrupt: {file} at byte {offset}{}: {reason}", At(*.entry))]
pub struct Corrupt {
    /// Which file.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// Which entry should be there, if it is known.
    pub entry: Option<Index>,
    /// What is wrong.
    pub reason: Reason,
}

struct At(Option<Index>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |index| write!(f, ", where entry {index} should be"))
    }
}

/// What is wrong with a place on the disk.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    /// Zeros where something should be.
    #[error("nothing is written there")]
    Blank,
    /// Bytes that make no record, or whose checksum does not agree.
    #[error("the record is damaged")]
    Damaged,
    /// A record from before a truncation.
    #[error("the record is left over from before a truncation")]
    Leftover,
    /// A record that is sound in itself and does not continue the one before.
    #[error("the record does not continue the log")]
    Discontinuous,
    /// A sound record whose entry cannot be read.
    #[error("the entry cannot be read: {0}")]
    Entry(#[from] raft::codec::Malformed),
    /// A segment whose header cannot be read.
    #[error("the segment's header is damaged")]
    Header,
    /// A segment of another cluster.
    #[error("the segment belongs to another cluster")]
    ForeignSegment,
    /// A layout from another time.
    #[error("the layout has version {0}, which this build does not read")]
    Version(u16),
    /// A segment that does not continue the log before it.
    #[error("the segment does not continue the one before it")]
    DetachedSegment,
    /// The file is not there.
    #[error("the file is missing")]
    Missing,
    /// A snapshot that is not as it was written.
    #[error("the snapshot is damaged")]
    Snapshot,
    /// A snapshot of another cluster.
    #[error("the snapshot belongs to another cluster")]
    ForeignSnapshot,
    /// Neither copy of the term and the vote can be read.
    #[error("no copy of the term and the vote is sound")]
    HardState,
    /// The log holds an entry of a term that the term file has never heard of.
    #[error("the log is ahead of the term on disk: the term, and perhaps a vote, was lost")]
    TermBehindLog,
    /// The identity file is not one.
    #[error("it does not name a cluster and a node")]
    Identity,
}

/// The disk refused. What was asked for may have happened, in full, in part or not at all.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}: {error}")]
pub struct Failure {
    /// What was being done, and to which file.
    pub what: String,
    /// What the disk said.
    pub error: String,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>, error: &io::Error) -> Failure {
        Failure { what: what.into(), error: error.to_string() }
    }
}
