//! Nodes as processes, in folders that vanish with the test.

use std::fs::File;
use std::future::Future;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use wire::etcdserverpb as pb;
use wire::etcdserverpb::cluster_client::ClusterClient;
use wire::etcdserverpb::kv_client::KvClient;
use wire::etcdserverpb::maintenance_client::MaintenanceClient;

/// Long enough for any machine. Nothing is measured by it: who waits so long has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks again and again until the answer is there.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A port that nobody uses at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the machine has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// One node: its flags, and its process while it runs.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) client_url: String,
    flags: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Node {
    fn new(name: &str, initial_cluster: &str, peer_port: u16, folder: &Path) -> Node {
        let client_url = format!("http://127.0.0.1:{}", free_port());
        let data = folder.join(name);
        let flags = [
            ("--name", name.to_owned()),
            ("--initial-cluster", initial_cluster.to_owned()),
            ("--initial-cluster-token", "test".to_owned()),
            ("--listen-client-urls", client_url.clone()),
            ("--listen-peer-urls", format!("http://127.0.0.1:{peer_port}")),
            ("--data-dir", data.display().to_string()),
            // Tests run side by side on small machines; what they test is not how fast a leader is missed.
            ("--election-timeout", "1000".to_owned()),
        ];
        let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        let log = folder.join(format!("{name}.log"));
        Node { name: name.to_owned(), client_url, flags, log, child: None }
    }

    /// Its command line, to start it, or something very like it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft-node"));
        command.args(&self.flags);
        command
    }

    /// From its next start on, it has this flag too.
    pub(crate) fn give(&mut self, flag: &str, value: &str) {
        self.flags.extend([flag.to_owned(), value.to_owned()]);
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.log.with_extension("")
    }

    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).expect("a log can be written");
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("the program starts"));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = i32::try_from(child.id()).expect("a process id fits");
        kill(Pid::from_raw(pid), signal).expect("its process is there");
    }

    /// Waits for its end.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let wait = tokio::task::spawn_blocking(move || child.wait().expect("it can be waited for"));
        wait.await.expect("waiting does not panic")
    }

    /// Kills it as a power cut would, but for the disk.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.exit().await;
    }

    pub(crate) fn channel(&self) -> Channel {
        Endpoint::from_shared(self.client_url.clone()).expect("it is a URL").connect_lazy()
    }

    pub(crate) fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel())
    }

    pub(crate) fn members(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel())
    }

    pub(crate) async fn status(&self) -> Option<pb::StatusResponse> {
        let mut client = MaintenanceClient::new(self.channel());
        client.status(pb::StatusRequest {}).await.ok().map(tonic::Response::into_inner)
    }

    /// Waits until it answers and knows a leader; returns the leader's member id.
    pub(crate) async fn leader(&self) -> u64 {
        let ask = || async { self.status().await.map(|status| status.leader).filter(|leader| *leader != 0) };
        eventually("it knows a leader", ask).await
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Node {
    #[expect(clippy::print_stderr, reason = "a failed test shows what its nodes said")]
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.name, self.log());
        }
    }
}

/// Some nodes that form a cluster, and the folder they live in.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) folder: TempDir,
}

impl Cluster {
    /// Describes a cluster; nothing runs yet.
    pub(crate) fn new(size: usize) -> Cluster {
        let folder = TempDir::new().expect("a folder can be made");
        let peers: Vec<(String, u16)> =
            (1..=size).map(|number| (format!("n{number}"), free_port())).collect();
        let items: Vec<String> =
            peers.iter().map(|(name, port)| format!("{name}=http://127.0.0.1:{port}")).collect();
        let list = items.join(",");
        let nodes = peers.iter().map(|(name, port)| Node::new(name, &list, *port, folder.path())).collect();
        Cluster { nodes, folder }
    }

    /// Starts a cluster and waits until every node knows a leader.
    pub(crate) async fn start(size: usize) -> Cluster {
        let mut cluster = Cluster::new(size);
        for node in &mut cluster.nodes {
            node.start();
        }
        for node in &cluster.nodes {
            node.leader().await;
        }
        cluster
    }

    /// Which of them leads.
    pub(crate) async fn leader(&self) -> usize {
        let ask = || async {
            for (place, node) in self.nodes.iter().enumerate() {
                let status = node.status().await?;
                if status.header.is_some_and(|header| header.member_id == status.leader) {
                    return Some(place);
                }
            }
            None
        };
        eventually("a node says that it leads", ask).await
    }
}
