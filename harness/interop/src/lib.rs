//! Servers for strangers' clients: ours, and the ones they were written for.
//!
//! Each is one process with one member, in a temporary folder, on free loopback ports, and ends with
//! the value that stands for it.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server that answers etcd's API.
pub struct Server {
    process: Child,
    port: u16,
    _folder: TempDir,
}

/// Where our program is: `RAFT_NODE`, or what `cargo build -p raft-node` leaves.
fn raft_node() -> PathBuf {
    std::env::var_os("RAFT_NODE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debug/raft-node"),
        PathBuf::from,
    )
}

impl Server {
    /// Our own.
    ///
    /// # Panics
    /// If it is not built, or does not answer within ten seconds.
    #[must_use]
    pub fn raft_node() -> Server {
        let program = raft_node();
        assert!(program.exists(), "{} is missing: cargo build -p raft-node", program.display());
        Server::start(&program).expect("raft-node starts")
    }

    /// The real one, or why there is none.
    ///
    /// # Errors
    /// That it is not installed.
    ///
    /// # Panics
    /// If it is there and does not answer within ten seconds.
    pub fn etcd() -> Result<Server, String> {
        let found = Command::new("etcd").arg("--version").stdout(Stdio::null()).status();
        found.map_err(|error| format!("etcd cannot be started: {error}"))?;
        Ok(Server::start(Path::new("etcd")).expect("etcd starts"))
    }

    /// Both take etcd's flags.
    fn start(program: &Path) -> io::Result<Server> {
        let folder = tempfile::tempdir()?;
        let (port, peer) = free_ports()?;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let process = Command::new(program)
            .args(["--name", "n1", "--initial-cluster", &format!("n1={}", url(peer))])
            .args(["--listen-client-urls", &url(port), "--advertise-client-urls", &url(port)])
            .args(["--listen-peer-urls", &url(peer), "--initial-advertise-peer-urls", &url(peer)])
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Server { process, port, _folder: folder };
        server.await_open();
        Ok(server)
    }

    /// Where clients find it, as etcdctl wants it: `127.0.0.1:2379`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn await_open(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(self.endpoint()).is_err() {
            assert!(Instant::now() < deadline, "{} does not open", self.endpoint());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Two ports that were free a moment ago.
fn free_ports() -> io::Result<(u16, u16)> {
    let (one, two) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((one.local_addr()?.port(), two.local_addr()?.port()))
}
