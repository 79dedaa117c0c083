//! `raft-node recover`: a new cluster of one, out of what is left of an old one.
//!
//! For the day on which more than half of the voters are lost for good. What that means, and why the new cluster has
//! another name, stands in [`replica::recover`]. It runs offline: the folder that it reads must not be in use, and the one
//! that it writes must be blank. What it reads may also be a file that `etcdctl snapshot save` has written.
//!
//! The node of the new cluster has a number that no member of the old one had, as far as that is known: a saved file does
//! not say who they were. Since the name of the new cluster is drawn, that does no harm. Grow the cluster by adding members, each
//! with a blank folder.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args as Flags;
use kv::Store;
use node::About;
use prost::Message;
use raft::{Index, Membership, NodeId};
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
/// greatest term, and of those the greatest index: without --data-dir, that is shown and nothing written.
#[derive(Flags, Clone, Debug)]
pub struct Recover {
    /// A data folder, or a saved file
    #[arg(long, value_name = "PATH")]
    pub from: PathBuf,

    /// The new node's data folder; must not be there yet [default: only look at what is there]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

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
    /// The folder holds nothing.
    #[error("{0}: a node without a log: there is nothing to begin with")]
    Nothing(String),
    /// There is a folder already.
    #[error("--data-dir {0}: it is there already; a new cluster begins in a new folder")]
    NotBlank(String),
    /// No number is left.
    #[error("no number is left for a new member")]
    Full,
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
        !matches!(self, Unrecovered::Io { .. } | Unrecovered::Open { .. } | Unrecovered::Plant { .. })
    }
}

/// Recovers; says what it did.
///
/// # Errors
/// See [`Unrecovered`]. There is no new folder then.
pub fn recover(flags: &Recover) -> Result<String, Unrecovered> {
    for url in &flags.initial_advertise_peer_urls {
        host_and_port("initial-advertise-peer-urls", url)?;
    }
    if let Some(folder) = flags.data_dir.as_ref().filter(|folder| folder.exists()) {
        return Err(Unrecovered::NotBlank(folder.display().to_string()));
    }
    let (old, salvaged) = if flags.from.is_dir() { of_folder(&flags.from)? } else { of_file(&flags.from)? };
    let from = flags.from.display();
    let read = format!(
        "read            {from}: last entry {}, revision {}",
        salvaged.last,
        salvaged.machine.revision()
    );
    let Some(folder) = &flags.data_dir else { return Ok(read) };
    let node = NodeId(salvaged.members.last_id().0.checked_add(1).ok_or(Unrecovered::Full)?);
    let (name, cluster) = (flags.name.clone(), old.recovered(rand::random()));
    let identity = Identity { cluster, name, node, members: Vec::new() };
    plant(flags, &identity, &salvaged, folder)?;
    Ok(format!("{read}\n{}", story(flags, &identity, &salvaged, folder)))
}

/// Fills a draft of the folder, and gives it its name when it is whole: half a folder would look like a node that knows
/// nobody.
fn plant(
    flags: &Recover,
    identity: &Identity,
    salvaged: &Salvaged<Store>,
    folder: &Path,
) -> Result<(), Unrecovered> {
    let path = folder.display().to_string();
    let io = |source| Unrecovered::Io { path: path.clone(), source };
    let mut draft = folder.as_os_str().to_owned();
    draft.push(".draft");
    let draft = PathBuf::from(draft);
    if draft.exists() {
        std::fs::remove_dir_all(&draft).map_err(io)?;
    }
    let (name, peer_urls) = (flags.name.clone(), flags.initial_advertise_peer_urls.clone());
    let about = About { name, peer_urls, ..About::default() };
    let node = identity.node;
    let members = Membership::of([node]).described(node, Bytes::from(about.encode_to_vec()));
    let planted = salvaged.plant(identity, members, disk(&draft)?);
    planted.map_err(|source| Unrecovered::Plant { path: path.clone(), source })?;
    std::fs::rename(&draft, folder).map_err(io)?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(io)
}

fn story(flags: &Recover, identity: &Identity, salvaged: &Salvaged<Store>, folder: &Path) -> String {
    let (members, to) = (&salvaged.members, folder.display());
    let (name, token, urls) = (&flags.name, identity.token(), flags.initial_advertise_peer_urls.join(","));
    let before = if members.nodes().is_empty() {
        String::new()
    } else {
        format!(
            "\nmembers before  {members}; none of them can join as what it was: add new ones, on blank folders"
        )
    };
    format!(
        "written         {to}: {identity}{before}\n\
         start it with   raft-node --name {name} --initial-cluster-token {token} --initial-advertise-peer-urls {urls} \
         --data-dir {to} …"
    )
}

fn of_folder(folder: &Path) -> Result<(Identity, Salvaged<Store>), Unrecovered> {
    let path = folder.display().to_string();
    let old = identity_in(folder)?.ok_or_else(|| Unrecovered::NobodysFolder(path.clone()))?;
    let members = Members::parse(old.token(), &old.members.join(","))
        .map_err(|source| Unrecovered::Members { path: path.clone(), source })?;
    let salvaged = Salvaged::from_disk(old.clone(), first_membership(&members), Store::new(), disk(folder)?);
    let salvaged = salvaged.map_err(|source| Unrecovered::Open { path: path.clone(), source })?;
    if salvaged.last.index == Index(0) {
        return Err(Unrecovered::Nothing(path));
    }
    Ok((old, salvaged))
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
