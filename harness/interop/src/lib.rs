//! Servers for strangers' clients: ours, and the ones they were written for.
//!
//! Each is a cluster of one node or more, in a temporary folder, on free loopback ports. It ends with
//! the value that stands for it, and with this process, however that one ends.
//!
//! The tools that are compared with must be there where a test says so by `CI=true`: a gate that skips
//! in silence guards nothing. Elsewhere, or with `INTEROP_MAY_SKIP=true`, a test may say why it does not
//! run, and pass.

use std::env;
use std::ffi::OsString;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nemesis_net::{Launch, Port, Process, Supervisor};
use tempfile::TempDir;

/// How long a server may take to open.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster that answers etcd's API.
pub struct Cluster {
    nodes: Vec<Node>,
    _folder: TempDir,
}

struct Node {
    _process: Process,
    client: Port,
    _peer: Port,
}

impl Cluster {
    /// Our own.
    ///
    /// # Panics
    /// If it is not built, or does not open.
    #[must_use]
    pub fn raft_node(size: usize) -> Cluster {
        let program = raft_node();
        assert!(program.exists(), "{} is missing: cargo build --package raft-node", program.display());
        Cluster::start(&program, size)
    }

    /// The real one.
    ///
    /// # Panics
    /// If it is not installed, or does not open.
    #[must_use]
    pub fn etcd(size: usize) -> Cluster {
        Cluster::start(&find("etcd").expect("whoever asks for etcd has looked whether it is there"), size)
    }

    /// Both take etcd's flags.
    fn start(program: &Path, size: usize) -> Cluster {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let supervisor = Supervisor::start().expect("a thread can be started");
        let ports = || (0..size).map(|_| Port::reserve().expect("the machine has a free port"));
        let doors: Vec<(Port, Port)> = ports().zip(ports()).collect();
        let members: Vec<String> =
            (1..).zip(&doors).map(|(number, (_, peer))| format!("n{number}={}", url(peer))).collect();
        let start = |(number, (client, peer)): (usize, (Port, Port))| {
            let flags = [
                ("name", format!("n{number}")),
                ("initial-cluster", members.join(",")),
                ("initial-advertise-peer-urls", url(&peer)),
                ("listen-peer-urls", url(&peer)),
                ("listen-client-urls", url(&client)),
                ("advertise-client-urls", url(&client)),
                ("data-dir", folder.path().join(format!("n{number}")).display().to_string()),
            ];
            let arguments =
                flags.into_iter().flat_map(|(flag, value)| [format!("--{flag}").into(), value.into()]);
            let launch = Launch {
                program: program.to_owned(),
                arguments: arguments.collect(),
                environment: unheard(),
                stdout: folder.path().join(format!("n{number}.out")),
                stderr: folder.path().join(format!("n{number}.err")),
                ..Launch::default()
            };
            let process = supervisor.spawn(launch).expect("a program that is there starts");
            Node { _process: process, client, _peer: peer }
        };
        let nodes = (1..).zip(doors).map(start).collect();
        let cluster = Cluster { nodes, _folder: folder };
        cluster.await_open();
        cluster
    }

    /// Where clients find its nodes, as `127.0.0.1:2379`, separated by commas.
    #[must_use]
    pub fn endpoints(&self) -> String {
        let all: Vec<String> = self.nodes.iter().map(|node| node.client.address().to_string()).collect();
        all.join(",")
    }

    /// The same as URLs, `http://127.0.0.1:2379`.
    #[must_use]
    pub fn urls(&self) -> String {
        let all: Vec<String> = self.nodes.iter().map(|node| url(&node.client)).collect();
        all.join(",")
    }

    /// How many nodes it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    fn await_open(&self) {
        let deadline = Instant::now() + PATIENCE;
        for node in &self.nodes {
            while TcpStream::connect(node.client.address()).is_err() {
                assert!(Instant::now() < deadline, "{} does not open", node.client.address());
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn url(port: &Port) -> String {
    format!("http://{}", port.address())
}

/// Where our program is: `RAFT_NODE`, or what `cargo build --package raft-node` leaves.
fn raft_node() -> PathBuf {
    env::var_os("RAFT_NODE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debug/raft-node"),
        PathBuf::from,
    )
}

/// etcd reads flags from variables too. Emptied, they say nothing to it.
fn unheard() -> Vec<(OsString, OsString)> {
    let names = env::vars_os().map(|(name, _)| name);
    let etcds = names.filter(|name| name.as_encoded_bytes().starts_with(b"ETCD_"));
    etcds.filter(|name| name != "ETCD_UNSUPPORTED_ARCH").map(|name| (name, OsString::new())).collect()
}

/// What is missing of these programs, in a sentence.
fn missing(programs: &[&str]) -> Option<String> {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
}

/// Whether a test can run that needs these programs. If not, and that is allowed, says so.
///
/// # Panics
/// If they are missing where they must not be.
#[must_use]
pub fn are_there(programs: &[&str]) -> bool {
    let says = |variable: &str| env::var(variable).is_ok_and(|value| value == "true");
    match missing(programs) {
        None => true,
        Some(why) => {
            assert!(may_skip(says("CI"), says("INTEROP_MAY_SKIP")), "{why}, and in CI nothing is skipped");
            println!("skipped: {why}");
            false
        }
    }
}

fn may_skip(in_ci: bool, allowed: bool) -> bool {
    allowed || !in_ci
}

/// Where the search path has a program that can be started.
fn find(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let mut files = env::split_paths(&folders).map(|folder| folder.join(program));
    files.find(|file| {
        let starts = Command::new(file).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        starts.is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_in_ci_never_skipped() {
        assert_eq!(missing(&["sh", "no-such-program"]), Some("not installed: no-such-program".to_owned()));
        assert_eq!(missing(&["sh"]), None);
        assert!(!may_skip(true, false));
        assert!(may_skip(true, true) && may_skip(false, false));
    }
}
