//! `raft-node recover`: a new cluster of one, out of what is left of an old one.
//!
//! For the day on which more than half of the voters are lost for good. What that means, and why the new cluster has
//! another name, stands in [`replica::recover`]. It runs offline: the folder that it reads must not be in use, and the one
//! that it writes must be blank. What it reads may also be a file that `etcdctl snapshot save` has written.
//!
//! The node of the new cluster has a number that no member of the old one had. Grow the cluster by adding members, each
//! with a blank folder.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args as Flags;
use kv::Store;
use node::About;
use prost::Message;
use raft::{Membership, NodeId};
use replica::Salvaged;
use wal::{FolderDisk, FolderError, Identity};

use crate::args::{BadArgs, host_and_port};
use crate::members::{BadMembers, Members};
use crate::place::first_membership;
use crate::saved::{self, Unsaved};

/// Begin a new cluster of one node with what a node of an old one has left
///
/// For a cluster that has lost more than half of its voters for good. Reads the data folder of a survivor, which must not
/// run, or a file that `etcdctl snapshot save` has written. Of several survivors, take the one whose last entry has the
/// greatest term, and of those the greatest index; each is shown.
#[derive(Flags, Clone, Debug)]
pub struct Recover {
    /// A data folder, or a saved file
    #[arg(long, value_name = "PATH")]
    pub from: PathBuf,

    /// The new node's data folder; must be blank
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,

    /// The new node's name
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub name: String,

    /// Where the nodes that will be added find it
    #[arg(long, value_name = "URL,…", value_delimiter = ',', default_value = "http://127.0.0.1:2380")]
    pub initial_advertise_peer_urls: Vec<String>,
}

/// Why nothing is recovered.
#[derive(Debug, thiserror::Error)]
pub enum Unrecovered {
    /// The flags are wrong.
    #[error(transparent)]
    Args(#[from] BadArgs),
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// What.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No node has lived there.
    #[error("{0}: no data of a node is there")]
    NobodysFolder(String),
    /// The saved file cannot be used.
    #[error("{path}: {source}")]
    Unsaved {
        /// Which.
        path: String,
        /// Why.
        source: Unsaved,
    },
    /// A folder cannot be had.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its members cannot be read.
    #[error("{path}: the members of its first start: {source}")]
    Members {
        /// Which folder.
        path: String,
        /// Why.
        source: BadMembers,
    },
    /// The old data cannot be used.
    #[error("{path}: {source}")]
    Open {
        /// Which folder.
        path: String,
        /// Why.
        source: replica::OpenError,
    },
    /// Somebody lives in the new folder.
    #[error("--data-dir {0}: it holds data already; a new cluster begins in a blank folder")]
    NotBlank(String),
    /// The new data cannot be written.
    #[error("--data-dir {path}: {source}")]
    Plant {
        /// Which folder.
        path: String,
        /// Why.
        source: replica::recover::PlantError,
    },
}

impl Unrecovered {
    /// Whether what was given is wrong.
    pub fn is_users(&self) -> bool {
        !matches!(self, Unrecovered::Io { .. } | Unrecovered::Plant { .. })
    }
}

/// Recovers; says what it did.
///
/// # Errors
/// See [`Unrecovered`]. The new folder is of no use then, unless it held data before: that is left alone.
pub fn recover(flags: &Recover) -> Result<String, Unrecovered> {
    for url in &flags.initial_advertise_peer_urls {
        host_and_port("initial-advertise-peer-urls", url)?;
    }
    let target = flags.data_dir.display().to_string();
    if identity_in(&flags.data_dir)?.is_some() {
        return Err(Unrecovered::NotBlank(target));
    }
    let (old, salvaged) = if flags.from.is_dir() { of_folder(&flags.from)? } else { of_file(&flags.from)? };
    let node = NodeId(salvaged.members.last_id().0.saturating_add(1));
    let cluster = old.recovered();
    let identity = Identity { cluster, name: flags.name.clone(), node, members: Vec::new() };
    let (name, peer_urls) = (flags.name.clone(), flags.initial_advertise_peer_urls.clone());
    let about = About { name, peer_urls, ..About::default() };
    let members = Membership::of([node]).described(node, Bytes::from(about.encode_to_vec()));
    salvaged
        .plant(&identity, members, disk(&flags.data_dir)?)
        .map_err(|source| Unrecovered::Plant { path: target.clone(), source })?;
    Ok(story(flags, &identity, &salvaged))
}

fn story(flags: &Recover, identity: &Identity, salvaged: &Salvaged<Store>) -> String {
    let Salvaged { machine, last, members, .. } = salvaged;
    let (from, to) = (flags.from.display(), flags.data_dir.display());
    let (name, token, urls) = (&flags.name, identity.token(), flags.initial_advertise_peer_urls.join(","));
    let before = if members.nodes().is_empty() {
        String::new()
    } else {
        format!(
            "\nmembers before  {members}; none of them can join as what it was: add new ones, on blank folders"
        )
    };
    format!(
        "read            {from}: last entry {last}, revision {}\nwritten         {to}: {identity}{before}\n\
         start it with   raft-node --name {name} --initial-cluster-token {token} --initial-advertise-peer-urls {urls} \
         --data-dir {to} …",
        machine.revision(),
    )
}

fn of_folder(folder: &Path) -> Result<(Identity, Salvaged<Store>), Unrecovered> {
    let path = folder.display().to_string();
    let old = identity_in(folder)?.ok_or_else(|| Unrecovered::NobodysFolder(path.clone()))?;
    let members = Members::parse(old.token(), &old.members.join(","))
        .map_err(|source| Unrecovered::Members { path: path.clone(), source })?;
    let salvaged = Salvaged::from_disk(old.clone(), first_membership(&members), Store::new(), disk(folder)?);
    Ok((old, salvaged.map_err(|source| Unrecovered::Open { path, source })?))
}

fn of_file(file: &Path) -> Result<(Identity, Salvaged<Store>), Unrecovered> {
    let path = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|source| Unrecovered::Io { path: path.clone(), source })?;
    let read = saved::read(&Bytes::from(bytes));
    let (cluster, store) = read.map_err(|source| Unrecovered::Unsaved { path, source })?;
    let nobody = Identity { cluster, name: String::new(), node: NodeId(0), members: Vec::new() };
    Ok((nobody, Salvaged::from_state(store)))
}

fn identity_in(folder: &Path) -> Result<Option<Identity>, Unrecovered> {
    let path = folder.display().to_string();
    Identity::in_folder(folder).map_err(|source| Unrecovered::Io { path, source })
}

/// A disk that is waited for, and so need not report.
fn disk(folder: &Path) -> Result<FolderDisk, FolderError> {
    FolderDisk::open(folder, |_, _| {})
}
