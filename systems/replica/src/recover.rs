//! Starting over when a quorum is lost for good.
//!
//! A cluster that has lost more than half of its voters, with their disks, decides nothing any more: whatever it
//! did, it could not know what the lost ones had promised. To go on, somebody outside has to say: *this is the state now,
//! and whatever else was promised does not count.* That is a new cluster, which happens to begin with the state of the old
//! one. It has another name, so that no node of the old one can have a say in it, should one come back.
//!
//! The state is that of one survivor, with all entries of its log. Those at the end may never have been committed; but
//! one that was, and was acknowledged, may look just like them, for a follower hears of a commit later than
//! of the entry. So all of them count: what was acknowledged is kept as far as the survivor has it, and what was in
//! doubt may have happened. An operator who has several survivors takes the one whose last entry has the greatest
//! name: term first, then index.
//!
//! ```text
//! the old folder ──salvage──► state, sessions, last entry ──plant──► a blank folder: identity, one snapshot
//! ```
//!
//! The old folder is only read, but for what every start does to it (a torn tail is cut). The new one is of use when
//! [`Salvaged::plant`] has returned, and not before: whoever plants gives the folder its name then.

use std::sync::Arc;

use raft::{Checkpoint, Entry, EntryId, Membership, Now, SessionId, StateMachine, Wall};
use wal::{Completion, Disk, Identity, Source, Wal};

use crate::replica::{Config, OpenError, Replica};
use crate::seam::Effects;
use crate::sessions::{self, Sessions};
use crate::snapshots::with_count;

/// What is left of a cluster.
pub struct Salvaged<M: StateMachine> {
    /// The state.
    pub machine: M,
    /// The last entry that made it.
    pub last: EntryId,
    /// When that was written.
    pub stamp: Wall,
    /// Who belonged to the cluster then.
    pub members: Arc<Membership>,
    sessions: Sessions<M::Reply>,
}

/// Why nothing is planted.
#[derive(Debug, thiserror::Error)]
pub enum PlantError {
    /// The disk is not blank, or does not do what it is told.
    #[error(transparent)]
    Log(#[from] wal::OpenError),
    /// Somebody lives there.
    #[error("it holds data already: {0}")]
    NotBlank(Identity),
    /// The snapshot cannot be written.
    #[error("the snapshot cannot be written: {0}")]
    Unwritten(String),
}

impl<M: StateMachine> Salvaged<M> {
    /// Reads what a node has left, and executes all of its log. `membership` is where that log begins: see
    /// [`Config::membership`].
    ///
    /// # Errors
    /// As [`Replica::open`].
    pub fn from_disk<D: Disk>(
        identity: Identity,
        membership: Membership,
        machine: M,
        disk: D,
    ) -> Result<Salvaged<M>, OpenError> {
        let config = Config::new(identity, membership, SessionId(0));
        // Nothing is sent, and nobody waits: what it would do is not done.
        let mut effects = Effects::default();
        let mut replica = Replica::open(config, machine, disk, Now::default(), &mut effects)?;
        let log = replica.raft.log();
        let (last, stamp, members) = (log.last(), log.last_stamp(), Arc::clone(log.membership()));
        let entries: Vec<Entry> = log.between(replica.applied, last.index).to_vec();
        for entry in &entries {
            replica.apply(entry, &mut effects);
        }
        Ok(Salvaged { machine: replica.machine, last, stamp, members, sessions: replica.sessions })
    }

    /// A state whose origin nobody knows: saved by a client, say.
    pub fn from_state(machine: M) -> Salvaged<M> {
        let (last, members) = (EntryId::new(1, 1), Arc::default());
        Salvaged { machine, last, stamp: Wall(0), members, sessions: Sessions::new(sessions::LIMIT) }
    }

    /// Makes a blank disk the folder of `identity`, whose log begins behind this state, with these members.
    ///
    /// # Errors
    /// The disk is not blank, or a write failed.
    pub fn plant<D: Disk>(
        &self,
        identity: &Identity,
        members: Membership,
        disk: D,
    ) -> Result<(), PlantError> {
        let (mut wal, found) = Wal::open(disk, identity, wal::Options::default())?;
        if found.snapshot.is_some() || !found.entries.is_empty() {
            return Err(PlantError::NotBlank(identity.clone()));
        }
        let failed = |why: &dyn std::fmt::Display| PlantError::Unwritten(why.to_string());
        // An empty log has nothing to begin behind; its first entry stands for the state that it has.
        let id = self.last.max(EntryId::new(1, 1));
        let checkpoint = Checkpoint { id, stamp: self.stamp, membership: Arc::new(members), since: id.index };
        wal.begin_draft(Source::Taken, &checkpoint).map_err(|why| failed(&why))?;
        let state =
            with_count(self.sessions.pieces(M::encode_reply)).into_iter().chain(self.machine.freeze());
        for piece in state {
            written(&mut wal)?;
            wal.add_state(&piece);
        }
        wal.finish_draft(Source::Taken).map_err(|why| failed(&why))?;
        while !written(&mut wal)? {}
        wal.close().map(drop).map_err(|why| failed(&why))
    }
}

/// Waits until the draft is written as far as it was given; whether it has its name.
fn written<D: Disk>(wal: &mut Wal<D>) -> Result<bool, PlantError> {
    match wal.settle_draft(Source::Taken) {
        Some(Completion::Snapshot(..)) => Ok(true),
        Some(Completion::GivenUp(_, why) | Completion::Failed(why)) => {
            Err(PlantError::Unwritten(why.to_string()))
        }
        Some(Completion::Written(_) | Completion::Durable(_)) => Ok(false),
        None => Err(PlantError::Unwritten("the disk says nothing".to_owned())),
    }
}
