//! A log that survives a crash, and the one seam to the disk.
//!
//! # The problem
//! A node answers "I have it" only when the power may fail in the next instant without making it a
//! liar. Disks make that hard. What was written but not synced may be kept, lost, or kept in part, in
//! any order. A sync that failed once may succeed when repeated although the data is gone (the page
//! cache forgets what it could not write), so a failed sync is final here. And bits rot.
//!
//! # The idea
//! Records are appended to *segments*. All that is asked for while one sync is under way becomes the
//! next [`Group`]: one write, one sync ([`Wal::append`], [`Wal::completed`]). At most one group is
//! unsynced at any time. So after a crash, whatever is broken and has nothing of a *later* group behind
//! it can only be the group that nobody was told of: it is **torn**, and is cut. Anything else that is
//! broken was once synced and has been acknowledged: it is **corrupt**, and a node with a hole in its
//! memory must not vote as if it had none. [`recovery`] tells the two apart.
//!
//! The term and the vote stand in a small file of their own ([`hard`]), together with a *mark*: up to
//! here the log was synced. It catches damage in the last group, which has nothing behind it.
//!
//! A log does not grow for ever. What a [`snapshot`] holds need not be kept: segments that end before it go
//! ([`Wal::forget`]), and a node that fetched a snapshot has its log begin anew behind it.
//!
//! # What is left out
//! A voter that finds corruption could ask a leader to fill the hole. It refuses to open
//! ([`OpenError::Corrupt`]) and touches nothing; it can come back as a new member.
#![forbid(unsafe_code)]

pub mod disk;
mod error;
mod folder;
mod group;
pub mod hard;
mod identity;
mod log;
pub mod lossy;
mod memory;
pub mod record;
pub mod recovery;
pub mod segment;
pub mod snapshot;

pub use disk::{Disk, FileId, Ticket};
pub use error::{Corrupt, Failure, OpenError, Reason};
pub use folder::{FolderDisk, FolderError, SyncTimes};
pub use group::Group;
pub use hard::Mark;
pub use identity::Identity;
pub use log::{Completion, GroupNumber, Options, Wal};
pub use lossy::LossyDisk;
pub use memory::{MemoryDisk, Operation};
pub use recovery::Recovered;
pub use segment::{Chain, SegmentNumber};
pub use snapshot::{Pieces, Source};
