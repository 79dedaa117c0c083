//! Nodes as processes, in folders that vanish with the test.

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nemesis_net::Port;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
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

/// A port that nobody else is given as long as it is held.
fn reserved() -> Port {
    Port::reserve().expect("the machine has a free port")
}

fn url(port: &Port) -> String {
    format!("http://{}", port.address())
}

/// One node: its flags, and its process while it runs.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) client_url: String,
    pub(crate) peer_url: String,
    /// Held, so that they are free when the node wants them.
    ports: [Port; 3],
    flags: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Node {
    fn new(name: &str, initial_cluster: &str, peers: Port, folder: &Path) -> Node {
        let (clients, metrics) = (reserved(), reserved());
        let (client_url, peer_url) = (url(&clients), url(&peers));
        let data = folder.join(name);
        let flags = [
            ("--name", name.to_owned()),
            ("--initial-cluster", initial_cluster.to_owned()),
            ("--initial-cluster-token", "test".to_owned()),
            ("--listen-client-urls", client_url.clone()),
            ("--listen-peer-urls", peer_url.clone()),
            ("--listen-metrics-urls", url(&metrics)),
            ("--data-dir", data.display().to_string()),
            // Tests run side by side on small machines; what they test is not how fast a leader is missed.
            ("--election-timeout", "1000".to_owned()),
        ];
        let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        let log = folder.join(format!("{name}.log"));
        let ports = [clients, peers, metrics];
        Node { name: name.to_owned(), client_url, peer_url, ports, flags, log, child: None }
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

    pub(crate) fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel())
    }

    pub(crate) async fn status(&self) -> Option<pb::StatusResponse> {
        self.maintenance().status(pb::StatusRequest {}).await.ok().map(tonic::Response::into_inner)
    }

    /// Waits until it answers and knows a leader; returns the leader's member id.
    pub(crate) async fn leader(&self) -> u64 {
        let ask = || async { self.status().await.map(|status| status.leader).filter(|leader| *leader != 0) };
        eventually("it knows a leader", ask).await
    }

    /// What its metrics say, if it answers.
    pub(crate) async fn metric(&self, name: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.ports[2].address()).await.ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: n\r\nconnection: close\r\n\r\n").await.ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await.ok()?;
        let mut lines = page.lines().filter_map(|line| line.split_once(' '));
        lines.find_map(|(known, value)| (known == name).then(|| value.to_owned()))
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
        let peers: Vec<(String, Port)> =
            (1..=size).map(|number| (format!("n{number}"), reserved())).collect();
        let items: Vec<String> = peers.iter().map(|(name, port)| format!("{name}={}", url(port))).collect();
        let list = items.join(",");
        let nodes =
            peers.into_iter().map(|(name, port)| Node::new(&name, &list, port, folder.path())).collect();
        Cluster { nodes, folder }
    }

    /// Describes one more node, which is to join those there are; it is told of all of them. Nothing runs yet, and
    /// nobody has added it.
    pub(crate) fn joiner(&self, name: &str) -> Node {
        let port = reserved();
        let others = self.nodes.iter().map(|node| format!("{}={}", node.name, node.peer_url));
        let list: Vec<String> = others.chain([format!("{name}={}", url(&port))]).collect();
        let mut node = Node::new(name, &list.join(","), port, self.folder.path());
        node.give("--initial-cluster-state", "existing");
        node
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
