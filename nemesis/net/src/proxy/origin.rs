//! Who dialled: the kernel knows.
//!
//! When all links to a node share one entrance, a connection does not say where it comes from; on
//! loopback every source address is the same. But the other end of it is a socket of this machine,
//! and the kernel says whose: its table of TCP sockets leads from the dialler's port to an inode
//! (`/proc/net/tcp`), and the open files of a process show which inodes it holds (`/proc/PID/fd`).
//! Nothing of what is said on the connection is looked at, so it works for any protocol.
//!
//! Four things can be in between.
//!
//! * *The process is not announced yet.* A node may dial before whoever started it has learnt its
//!   number. So a connection of nobody's is looked at again for a while, and carries nothing until
//!   then. After that its dialler is a stranger: a person with a tool, say. Strangers always pass, and
//!   the evidence of a cut counts them: see [`LinkCounts::strangers`](nemesis::LinkCounts::strangers).
//! * *The dialler is gone*: it closed, or was killed, before it was looked at. Nobody waits for an
//!   answer, and which link it belonged to cannot be known any more. It is turned away, because what
//!   it sent might otherwise pass a cut.
//! * *The kernel does not say*: the open files of a node may not be read, say. Then the connection may be
//!   that node's, and is turned away, too.
//! * *The node was started again* under a new number. Each start is announced, and replaces the old.
//!
//! Left out: children. A socket counts as a node's only if the announced process holds it itself, so a
//! node that is started by a script needs `exec` there. And both ends are to be on this machine, in one
//! network namespace.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nemesis::NodeId;
use tokio::net::TcpStream;

use crate::proxy::engine::Passage;

/// How long a process may take to be announced before what it dials counts as a stranger's.
const ANNOUNCEMENT: Duration = Duration::from_secs(1);

/// How long a socket may be missing from the kernel's table, which is not read in one piece.
const READING: Duration = Duration::from_millis(50);

/// How often to look again.
const GLANCE: Duration = Duration::from_millis(10);

/// Where the kernel tells.
const PROC: &str = "/proc";

/// Which process is which node. Clones share one table.
#[derive(Clone, Debug, Default)]
pub struct Owners(Arc<Mutex<BTreeMap<NodeId, u32>>>);

impl Owners {
    /// This process is this node, and the one before it is not.
    pub fn insert(&self, node: NodeId, pid: u32) {
        self.lock().insert(node, pid);
    }

    /// A panic elsewhere leaves no half-written entry.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    /// This node.
    Node(NodeId),
    /// A process that is no node, as far as is known now.
    Stranger,
    /// Nobody any more.
    Gone,
}

/// Finds the link of each connection that comes in at one node's entrance.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    owners: Owners,
    passages: Arc<BTreeMap<NodeId, Passage>>,
    strangers: Passage,
}

impl Dispatcher {
    /// Sends each node through its own passage, and everybody else through the one for strangers.
    pub fn new(owners: Owners, passages: BTreeMap<NodeId, Passage>, strangers: Passage) -> Dispatcher {
        Dispatcher { owners, passages: Arc::new(passages), strangers }
    }

    /// How many links it tells apart, with that of all strangers.
    pub(crate) fn links(&self) -> u64 {
        self.passages.len() as u64 + 1
    }

    /// The passage for this connection; none if nobody is at its other end.
    pub(crate) async fn passage(&self, client: &TcpStream) -> Option<Passage> {
        let (dialler, entrance) = (client.peer_addr().ok()?, client.local_addr().ok()?);
        let began = Instant::now();
        loop {
            let owners = self.owners.lock().clone();
            let look = move || origin(Path::new(PROC), dialler, entrance, &owners);
            let origin = tokio::task::spawn_blocking(look).await.ok()?;
            let patience = match origin {
                Ok(Origin::Node(node)) => {
                    return Some(self.passages.get(&node).unwrap_or(&self.strangers).clone());
                }
                Ok(Origin::Stranger) => ANNOUNCEMENT,
                Ok(Origin::Gone) => READING,
                Err(error) => {
                    tracing::warn!(%dialler, %error, "the kernel does not say who dialled: turned away");
                    return None;
                }
            };
            if began.elapsed() >= patience {
                return (origin.ok()? == Origin::Stranger).then(|| self.strangers.clone());
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
}

/// Who holds the socket that is bound to `dialler` and connected to `entrance`. `proc` is where the
/// kernel tells.
///
/// An error is not an answer: a process whose files cannot be read may be the one.
fn origin(
    proc: &Path,
    dialler: SocketAddr,
    entrance: SocketAddr,
    owners: &BTreeMap<NodeId, u32>,
) -> io::Result<Origin> {
    let mut inode = inode(&fs::read_to_string(proc.join("net/tcp"))?, dialler, entrance);
    if inode.is_none() {
        // A machine without IPv6 has no such file.
        let sockets = unless_missing(fs::read_to_string(proc.join("net/tcp6")))?.unwrap_or_default();
        inode = self::inode(&sockets, dialler, entrance);
    }
    let Some(inode) = inode else { return Ok(Origin::Gone) };
    let socket = format!("socket:[{inode}]");
    let mut silent = None;
    for (node, pid) in owners {
        match holds(&proc.join(pid.to_string()), &socket) {
            Ok(true) => return Ok(Origin::Node(*node)),
            Ok(false) => {}
            Err(error) => silent = Some(error),
        }
    }
    silent.map_or(Ok(Origin::Stranger), Err)
}

/// Whether a process has this file open. One that has ended has none.
fn holds(process: &Path, file: &str) -> io::Result<bool> {
    let open = match unless_missing(fs::read_dir(process.join("fd"))) {
        Ok(Some(open)) => open,
        Ok(None) => return Ok(false),
        // Of one that has died and was not waited for yet, the kernel shows nothing to ordinary users.
        Err(_) if is_dead(process) => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in open {
        let Some(entry) = unless_missing(entry)? else { return Ok(false) };
        if unless_missing(fs::read_link(entry.path()))?.is_some_and(|link| link == Path::new(file)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_dead(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// None of what is not there, or has gone while it was looked at.
fn unless_missing<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound || is_gone(&error) => Ok(None),
        other => other.map(Some),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32)
}

/// The inode of the socket with these two ends, in a table as the kernel prints it. None if there is
/// no such socket, or no process holds it any more.
fn inode(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    table.lines().find_map(|line| {
        // number, local, remote, state, queues, timer, retransmissions, user, timeout, inode
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (from, to) = (fields.next()?, fields.next()?);
        if endpoint(from)? != local || endpoint(to)? != remote {
            return None;
        }
        fields.nth(6)?.parse().ok().filter(|inode| *inode != 0)
    })
}

/// `0100007F:1F90` is 127.0.0.1:8080: each word of the address is printed as this machine holds it in
/// memory, the port as a number. An IPv4 address in IPv6 clothes is an IPv4 address.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_table_of_sockets_leads_from_two_ends_to_an_inode() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 100 1 0 100 0 0 10 0\n   \
            1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000 0 4711 1 0 20 4 30 10 -1\n   \
            2: 0100007F:C351 0100007F:1F90 05 00000000:00000000 00:00000000 00000000  1000 0 0 1 0 20 4 30 10 -1\n   \
            3: 0000000000000000FFFF00000100007F:C352 0000000000000000FFFF00000100007F:1F90 01 \
               00000000:00000000 00:00000000 00000000  1000 0 4712 1 0 20 4 30 10 -1\n";
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert_eq!(inode(table, at(50_000), at(8080)), Some(4711));
        assert_eq!(inode(table, at(50_001), at(8080)), None, "it was closed: no process holds it");
        assert_eq!(inode(table, at(50_002), at(8080)), Some(4712), "IPv4 through an IPv6 socket");
        assert_eq!(inode(table, at(8080), at(50_000)), None, "the other end is another socket");
    }

    #[test]
    fn the_kernel_says_whose_a_connection_is_until_it_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let entrance = listener.local_addr().unwrap();
        let stream = TcpStream::connect(entrance).unwrap();
        let dialler = stream.local_addr().unwrap();
        let (_accepted, _) = listener.accept().unwrap();
        let ours = [(NodeId(2), std::process::id())].into();
        let nobodys = BTreeMap::new();
        let origin = |owners| origin(Path::new(PROC), dialler, entrance, owners).unwrap();
        assert_eq!(origin(&ours), Origin::Node(NodeId(2)));
        assert_eq!(origin(&nobodys), Origin::Stranger);
        drop(stream);
        assert_eq!(origin(&ours), Origin::Gone);
    }

    /// What a kernel would tell of one connection, 4711, and two processes.
    struct Told {
        proc: tempfile::TempDir,
    }

    impl Told {
        fn new() -> Told {
            let told = Told { proc: tempfile::tempdir().unwrap() };
            let socket = "0: 0100007F:C350 0100007F:1F90 01 0:0 00:0 0 1000 0 4711 1";
            told.write("net/tcp", socket);
            told
        }

        fn write(&self, file: &str, content: &str) {
            let path = self.proc.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn open(&self, file: &str, what: &str) {
            let path = self.proc.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(what, path).unwrap();
        }

        fn origin(&self) -> io::Result<Origin> {
            let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let owners = [(NodeId(1), 11), (NodeId(2), 12)].into();
            origin(self.proc.path(), at(50_000), at(8080), &owners)
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_node_whose_files_cannot_be_read_is_no_stranger() {
        let told = Told::new();
        told.open("12/fd/3", "pipe:[9]");
        assert_eq!(told.origin().unwrap(), Origin::Stranger, "both can be looked at; one has ended");
        told.write("11/fd", "this cannot be listed");
        assert!(told.origin().is_err(), "it may be that one's");
        told.open("12/fd/4", "socket:[4711]");
        assert_eq!(told.origin().unwrap(), Origin::Node(NodeId(2)), "another one has it");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_dead_process_that_nobody_waited_for_has_dialled_nothing() {
        let told = Told::new();
        told.write("11/fd", "this cannot be listed");
        told.write("11/stat", "11 (a node) Z 1 11 11 0");
        assert_eq!(told.origin().unwrap(), Origin::Stranger);
        told.write("11/stat", "11 (a node) S 1 11 11 0");
        assert!(told.origin().is_err());
    }
}
