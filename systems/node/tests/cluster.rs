//! Three nodes in one process, on real sockets and real disks.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nemesis_net::Port;
use node::{Config, Doors, End, Handle};
use raft::machine::Unreadable;
use raft::{
    Command, Entry, Envelope, Index, Membership, Message, NodeId, RequestId, Role, SessionId, StateMachine,
    Term,
};
use replica::Outcome;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Uri;
use wal::Identity;
use wire::peer::Frames;
use wire::peer::peer_client::PeerClient;

/// Remembers all commands in order; a query asks for all of them.
#[derive(Default)]
struct Journal(Vec<String>);

impl StateMachine for Journal {
    type Query = ();
    type Reply = Vec<String>;
    type Frozen = std::vec::IntoIter<Bytes>;

    fn apply(&mut self, _: &Entry, command: &Command) -> Vec<String> {
        self.0.push(String::from_utf8(command.to_vec()).unwrap());
        self.0.clone()
    }

    fn membership(&mut self, _: &Entry, _: &Membership) -> Vec<String> {
        self.0.clone()
    }

    fn query(&self, (): &()) -> Vec<String> {
        self.0.clone()
    }

    fn freeze(&self) -> std::vec::IntoIter<Bytes> {
        // A piece may not be empty, and a line may.
        let pieces: Vec<Bytes> = self.0.iter().map(|line| Bytes::from(format!("{line}."))).collect();
        pieces.into_iter()
    }

    fn restore(&mut self, pieces: &mut dyn Iterator<Item = Bytes>) -> Result<(), Unreadable> {
        let line = |piece: Bytes| String::from_utf8(piece[..piece.len() - 1].to_vec()).unwrap();
        self.0 = pieces.map(line).collect();
        Ok(())
    }

    fn encode_reply(reply: &Vec<String>, out: &mut Vec<u8>) {
        let text = reply.join("\n");
        out.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        out.extend(text.as_bytes());
    }

    fn decode_reply(from: &mut Bytes) -> Result<Vec<String>, Unreadable> {
        let length = u32::from_le_bytes(from.split_to(4)[..].try_into().unwrap());
        let text = String::from_utf8(from.split_to(length as usize).to_vec()).unwrap();
        Ok(text.split_terminator('\n').map(str::to_owned).collect())
    }
}

const MEMBERS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// Folders and addresses outlive the nodes that use them.
struct Cluster {
    folder: TempDir,
    addresses: BTreeMap<NodeId, std::net::SocketAddr>,
    /// Held for as long as the cluster is there, so that nobody else is given a port while no node listens.
    _ports: Vec<Port>,
    nodes: BTreeMap<NodeId, Handle<Journal>>,
    dial: BTreeMap<NodeId, BTreeMap<NodeId, Uri>>,
    boots: u64,
}

impl Cluster {
    fn new() -> Cluster {
        let ports: Vec<Port> = MEMBERS.iter().map(|_| Port::reserve().unwrap()).collect();
        let addresses = MEMBERS.into_iter().zip(ports.iter().map(Port::address)).collect();
        let folder = tempfile::tempdir().unwrap();
        let (nodes, dial) = (BTreeMap::new(), BTreeMap::new());
        Cluster { folder, addresses, _ports: ports, nodes, dial, boots: 0 }
    }

    async fn started() -> Cluster {
        let mut cluster = Cluster::new();
        for id in MEMBERS {
            cluster.start(id, "test", None).await;
        }
        cluster
    }

    fn config(&mut self, id: NodeId, name: &str) -> Config {
        self.boots += 1;
        let identity = Identity { cluster: name.into(), name: id.to_string(), node: id, members: Vec::new() };
        let boot = SessionId(self.boots << 32);
        let mut replica = replica::Config::new(identity, Membership::of(MEMBERS), boot);
        replica.log.segment_size = 1 << 20;
        let url = |peer: &NodeId| format!("http://{}", self.addresses[peer]);
        let peers = self.addresses.keys().map(|peer| (*peer, url(peer))).collect();
        let mut config = Config::new(replica, self.folder.path().join(id.to_string()), peers);
        let detours = self.dial.get(&id).into_iter().flatten();
        config.detours = detours.map(|(peer, uri)| (url(peer), uri.clone())).collect();
        config
    }

    async fn start(&mut self, id: NodeId, name: &str, admin: Option<TcpListener>) {
        let config = self.config(id, name);
        let peers = TcpListener::bind(self.addresses[&id]).unwrap();
        let handle = node::start(config, Doors { peers, admin }, Journal::default()).await.unwrap();
        self.nodes.insert(id, handle);
    }

    async fn stop(&mut self, id: NodeId) -> End {
        self.nodes.remove(&id).unwrap().stop().await
    }

    /// Asks until it is so.
    async fn until(&self, what: impl Fn(&BTreeMap<NodeId, Handle<Journal>>) -> bool) {
        in_time(async {
            while !what(&self.nodes) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    async fn leader(&self) -> NodeId {
        self.until(|nodes| nodes.values().any(leads)).await;
        *self.nodes.iter().find(|(_, node)| leads(node)).unwrap().0
    }

    async fn write(&self, id: NodeId, text: &str) -> Vec<String> {
        write(&self.nodes[&id], text).await
    }

    async fn read(&self, id: NodeId) -> Vec<String> {
        in_time(async {
            loop {
                match self.nodes[&id].read(()).await {
                    Outcome::Done(reply) => return reply,
                    Outcome::Failed(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                    Outcome::Unknown(why) => panic!("a read is never unknown: {why}"),
                    Outcome::Leads(_) | Outcome::Members(_) => panic!("that was not the question"),
                }
            }
        })
        .await
    }
}

/// Writes under a name of its own, so that asking again until there is an answer executes it once.
async fn write(node: &Handle<Journal>, text: &str) -> Vec<String> {
    static SESSIONS: AtomicU64 = AtomicU64::new(1);
    let id = RequestId { session: SessionId(SESSIONS.fetch_add(1, Ordering::Relaxed)), seq: 1 };
    in_time(async {
        loop {
            match node.write(Bytes::copy_from_slice(text.as_bytes()), Some(id)).await {
                Outcome::Done(reply) => return reply,
                Outcome::Failed(_) | Outcome::Unknown(_) | Outcome::Leads(_) | Outcome::Members(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    })
    .await
}

/// So that a promise that is not kept fails a test instead of stopping it. Nothing here takes a second.
async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("what was promised comes within a minute")
}

fn leads(node: &Handle<Journal>) -> bool {
    node.status().replica.role == Role::Leader
}

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_write_is_readable_on_all_nodes() {
    let cluster = Cluster::started().await;
    cluster.leader().await;
    for (number, id) in MEMBERS.into_iter().enumerate() {
        let reply = cluster.write(id, &format!("through {id}")).await;
        assert_eq!(reply.len(), number + 1);
    }
    for id in MEMBERS {
        assert_eq!(cluster.read(id).await, ["through n1", "through n2", "through n3"]);
    }
}

#[tokio::test]
async fn many_calls_at_once_share_turns() {
    let cluster = Cluster::started().await;
    let leader = cluster.leader().await;
    cluster.write(leader, "first").await;
    let calls = (0..500).map(|n| {
        let node = cluster.nodes[&leader].clone();
        tokio::spawn(async move { write(&node, &n.to_string()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let mut all = cluster.read(leader).await;
    assert_eq!(all.len(), 501);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 501, "each was executed once");
}

#[tokio::test]
async fn a_node_that_comes_back_on_its_folder_catches_up() {
    let mut cluster = Cluster::started().await;
    let leader = cluster.leader().await;
    cluster.write(leader, "one").await;
    let away = MEMBERS.into_iter().find(|id| *id != leader).unwrap();
    assert_eq!(cluster.stop(away).await, End::Stopped);
    cluster.write(leader, "two").await;
    cluster.start(away, "test", None).await;
    let last = cluster.nodes[&leader].status().replica.applied;
    cluster.until(|nodes| nodes[&away].status().replica.applied >= last).await;
    let Outcome::Done(state) = cluster.nodes[&away].stale(()).await else { panic!("a stale read answers") };
    assert_eq!(state, ["one", "two"]);
    assert_eq!(cluster.read(away).await, ["one", "two"]);
}

#[tokio::test]
async fn a_whole_cluster_remembers_after_a_stop_and_outlives_its_leader() {
    let mut cluster = Cluster::started().await;
    let leader = cluster.leader().await;
    cluster.write(leader, "kept").await;
    assert_eq!(cluster.stop(leader).await, End::Stopped);
    let survivor = cluster.leader().await;
    assert_eq!(cluster.write(survivor, "on").await, ["kept", "on"]);
    for id in cluster.nodes.keys().copied().collect::<Vec<_>>() {
        cluster.stop(id).await;
    }
    for id in MEMBERS {
        cluster.start(id, "test", None).await;
    }
    assert_eq!(cluster.read(NodeId(1)).await, ["kept", "on"]);
}

#[tokio::test]
async fn a_peer_of_another_cluster_is_refused() {
    let mut cluster = Cluster::new();
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = admin.local_addr().unwrap();
    cluster.start(NodeId(1), "ours", Some(admin)).await;
    cluster.start(NodeId(2), "ours", None).await;
    cluster.start(NodeId(3), "theirs", None).await;
    let leader = cluster.leader().await;
    assert_ne!(leader, NodeId(3), "it has nobody's vote but its own");
    cluster.write(leader, "ours").await;
    let refused = async || {
        let metrics = get(address, "/metrics").await;
        let count = metrics.lines().find_map(|line| line.strip_prefix("peer_refused_links_total "));
        count.is_some_and(|count| count != "0")
    };
    in_time(async {
        while !refused().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let stranger = cluster.nodes[&NodeId(3)].status();
    assert_eq!(stranger.replica.commit, Index(0));
    assert!(stranger.reachable.is_empty());
}

#[tokio::test]
async fn a_dial_override_is_where_the_bytes_go() {
    let mut cluster = Cluster::new();
    let detour = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri: Uri = format!("http://{}", detour.local_addr().unwrap()).parse().unwrap();
    cluster.dial.insert(NodeId(1), BTreeMap::from([(NodeId(2), uri)]));
    cluster.start(NodeId(1), "test", None).await;
    detour.set_nonblocking(true).unwrap();
    let detour = tokio::net::TcpListener::from_std(detour).unwrap();
    // What connects here is a link that will never get an answer: it must not hold up the others.
    let held = detour.accept().await.unwrap();
    cluster.start(NodeId(2), "test", None).await;
    cluster.start(NodeId(3), "test", None).await;
    cluster.leader().await;
    cluster.write(NodeId(3), "around").await;
    assert!(!cluster.nodes[&NodeId(1)].status().reachable.contains(&NodeId(2)));
    drop(held);
}

#[tokio::test]
async fn health_and_metrics_tell_where_a_node_stands() {
    let mut cluster = Cluster::new();
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = admin.local_addr().unwrap();
    cluster.start(NodeId(1), "test", Some(admin)).await;
    let alone = get(address, "/health").await;
    assert!(alone.starts_with("HTTP/1.1 503") && alone.contains(r#""reason":"RAFT NO LEADER""#), "{alone}");
    cluster.start(NodeId(2), "test", None).await;
    cluster.start(NodeId(3), "test", None).await;
    cluster.write(NodeId(1), "x").await;
    let well = get(address, "/health").await;
    assert!(well.starts_with("HTTP/1.1 200") && well.ends_with(r#"{"health":"true"}"#), "{well}");
    let metrics = get(address, "/metrics").await;
    for name in ["raft_term ", "raft_commit_index ", "node_writes_total ", "peer_dropped_total{peer=\"n2\"} "]
    {
        assert!(metrics.contains(name), "{name} is missing in {metrics}");
    }
}

#[tokio::test]
async fn a_second_node_on_one_folder_and_a_folder_of_another_are_refused() {
    let mut cluster = Cluster::new();
    cluster.start(NodeId(1), "test", None).await;
    let door = || Doors { peers: TcpListener::bind("127.0.0.1:0").unwrap(), admin: None };
    let config = cluster.config(NodeId(1), "test");
    let twice = node::start(config, door(), Journal::default()).await.err().unwrap();
    assert!(twice.to_string().contains("in use"), "{twice}");
    assert_eq!(cluster.stop(NodeId(1)).await, End::Stopped);
    let mut config = cluster.config(NodeId(2), "test");
    config.folder = cluster.folder.path().join("n1");
    let stranger = node::start(config, door(), Journal::default()).await.err().unwrap();
    assert!(stranger.to_string().contains("n1") && stranger.to_string().contains("n2"), "{stranger}");
}

#[tokio::test]
async fn a_node_that_has_stopped_answers_nothing_more() {
    let mut cluster = Cluster::new();
    cluster.start(NodeId(1), "test", None).await;
    let handle = cluster.nodes[&NodeId(1)].clone();
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.read(()).await }
    });
    assert_eq!(handle.stop().await.exit_code(), 0);
    assert!(matches!(waiting.await.unwrap(), Outcome::Failed(_)));
    assert!(matches!(handle.write(Bytes::from_static(b"late"), None).await, Outcome::Failed(_)));
    assert!(tokio::net::TcpStream::connect(cluster.addresses[&NodeId(1)]).await.is_err(), "its door is shut");
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let mut cluster = Cluster::new();
    let mut config = cluster.config(NodeId(1), "test");
    config.queue = 2;
    let peers = TcpListener::bind(cluster.addresses[&NodeId(1)]).unwrap();
    let handle = node::start(config, Doors { peers, admin: None }, Journal::default()).await.unwrap();
    // All of these ask before the node's loop, on the same thread, gets a turn.
    let calls = (0..10).map(|_| handle.stale(()));
    let outcomes = futures_util::future::join_all(calls).await;
    let refused =
        outcomes.iter().filter(|outcome| **outcome == Outcome::Failed(replica::Failed::Busy)).count();
    assert_eq!(refused, 8, "{outcomes:?}");
    handle.stop().await;
}

fn frame(from: NodeId, to: NodeId, envelope: Vec<Bytes>) -> Frames {
    let (cluster, from, to) = ("test".into(), u32::from(from.0), u32::from(to.0));
    Frames { cluster, from, boot: 1, envelope, peer_urls: Vec::new(), to }
}

/// "I lead in term 9."
fn claim(from: NodeId, to: NodeId) -> Bytes {
    let message = Message::Heartbeat { round: 1, commit: Index(0) };
    raft::codec::encode_envelope(&Envelope { from, to, term: Term(9), message })
}

/// Speaks to a node as one of its peers, for as long as the link is held.
async fn speak_as(
    from: NodeId,
    (node, address): (NodeId, std::net::SocketAddr),
    envelopes: Vec<Bytes>,
) -> tokio::sync::mpsc::Sender<Frames> {
    let (link, frames) = tokio::sync::mpsc::channel(1);
    link.send(frame(from, node, envelopes)).await.unwrap();
    let mut client = PeerClient::connect(format!("http://{address}")).await.unwrap();
    client.link(ReceiverStream::new(frames)).await.unwrap();
    link
}

#[tokio::test]
async fn a_node_that_sees_what_cannot_be_halts_with_code_3() {
    let mut cluster = Cluster::new();
    cluster.start(NodeId(1), "test", None).await;
    let to = (NodeId(1), cluster.addresses[&NodeId(1)]);
    let handle = cluster.nodes[&NodeId(1)].clone();
    // Two leaders in one term: no correct cluster does that. Both keep at it, so that no election comes between.
    let (one, other) = (claim(NodeId(2), NodeId(1)), claim(NodeId(3), NodeId(1)));
    let links = [speak_as(NodeId(2), to, vec![one]).await, speak_as(NodeId(3), to, vec![other]).await];
    let again = async {
        loop {
            for (link, from) in links.iter().zip([NodeId(2), NodeId(3)]) {
                // The link ends when the node does.
                let _ = link.send(frame(from, NodeId(1), vec![claim(from, NodeId(1))])).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let end = in_time(async {
        tokio::select! {
            end = handle.ended() => end,
            () = again => unreachable!("it goes on for ever"),
        }
    })
    .await;
    assert_eq!(end.exit_code(), 3, "{end}");
    assert!(end.to_string().contains("n2") && end.to_string().contains("n3"), "{end}");
    assert!(handle.status().halted.is_some());
    assert!(matches!(handle.stale(()).await, Outcome::Failed(_)), "it answers nothing more");
}

#[tokio::test]
async fn a_peer_that_talks_nonsense_or_in_anothers_name_loses_its_link_and_no_more() {
    let mut cluster = Cluster::started().await;
    let leader = cluster.leader().await;
    let victim = cluster.addresses[&leader];
    let peer = MEMBERS.into_iter().find(|id| *id != leader).unwrap();
    let before = cluster.nodes[&leader].status().replica.term;
    assert!(before < Term(9), "the forged message would depose it");
    for envelope in [Bytes::from_static(b"nonsense"), claim(leader, leader)] {
        let link = speak_as(peer, (leader, victim), vec![envelope]).await;
        in_time(link.closed()).await;
    }
    cluster.write(leader, "still here").await;
    assert!(cluster.nodes[&leader].status().replica.term < Term(9));
    assert_eq!(cluster.stop(leader).await, End::Stopped);
}
