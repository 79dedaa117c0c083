//! Snapshots and lost quorums, as operators meet them.

use std::path::{Path, PathBuf};
use std::process::Output;

use bytes::Bytes;
use wire::etcdserverpb as pb;

use crate::cluster::{Cluster, Node, eventually};
use crate::lifecycle::{put, put_at_last, refusal, value};

/// Snapshots every 50 entries, and a tail of 10 behind them.
async fn with_small_snapshots(size: usize) -> Cluster {
    let mut cluster = Cluster::new(size);
    for node in &mut cluster.nodes {
        node.give("--snapshot-count", "50");
        node.give("--snapshot-catchup-entries", "10");
        node.start();
    }
    for node in &cluster.nodes {
        node.leader().await;
    }
    cluster
}

async fn number(node: &Node, metric: &str) -> u64 {
    let ask = || async { node.metric(metric).await?.parse().ok() };
    eventually("its metrics are there", ask).await
}

#[tokio::test]
async fn a_node_that_was_away_too_long_comes_back_by_snapshot_while_writes_go_on() {
    let mut cluster = with_small_snapshots(3).await;
    put_at_last(&cluster.nodes[0], "before", "1").await;
    cluster.nodes[2].kill().await;
    let had = number(&cluster.nodes[0], "raft_last_index").await;
    // For one that is missing only just now, a leader keeps more than usual. So it goes on until what that one lacks is
    // in nobody's log any more.
    let gone = async || {
        let [one, other] = [0, 1].map(|node| number(&cluster.nodes[node], "raft_base_index"));
        one.await.min(other.await) > had
    };
    while !gone().await {
        for _ in 0..20 {
            put_at_last(&cluster.nodes[0], "away", "2").await;
        }
    }
    cluster.nodes[2].start();
    let back = || async { value(&cluster.nodes[2], "meanwhile").await };
    let writes = async {
        loop {
            put_at_last(&cluster.nodes[1], "meanwhile", "3").await;
        }
    };
    tokio::select! {
        () = writes => {}
        _ = eventually("it is back", back) => {}
    }
    assert!(number(&cluster.nodes[2], "raft_base_index").await > had, "its log begins behind a snapshot");
    assert_eq!(value(&cluster.nodes[2], "before").await.unwrap(), b"1");
    assert_eq!(value(&cluster.nodes[2], "away").await.unwrap(), b"2");

    // And what it took on is on its disk.
    cluster.nodes[2].kill().await;
    cluster.nodes[2].start();
    let again = || async { value(&cluster.nodes[2], "before").await };
    assert_eq!(eventually("it is back again", again).await, b"1");
}

/// The snapshot in a node's folder.
fn snapshot_of(node: &Node) -> PathBuf {
    let files = std::fs::read_dir(node.data()).into_iter().flatten().flatten().map(|file| file.path());
    let mut found: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|kind| kind == "snap")).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[tokio::test]
async fn a_node_whose_snapshot_is_damaged_fences_itself_and_names_it() {
    let mut cluster = with_small_snapshots(1).await;
    for _ in 0..60 {
        put_at_last(&cluster.nodes[0], "a", "1").await;
    }
    let taken = || async { (number(&cluster.nodes[0], "raft_snapshot_index").await > 0).then_some(()) };
    eventually("there is a snapshot", taken).await;
    cluster.nodes[0].kill().await;
    let file = snapshot_of(&cluster.nodes[0]);
    let good = std::fs::read(&file).unwrap();
    for place in [0, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 0x10;
        std::fs::write(&file, &bad).unwrap();
        cluster.nodes[0].start();
        assert_eq!(cluster.nodes[0].exit().await.code(), Some(3), "byte {place}: {}", cluster.nodes[0].log());
    }
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(cluster.nodes[0].log().contains(&name), "{}", cluster.nodes[0].log());
    std::fs::write(&file, &good).unwrap();
    cluster.nodes[0].start();
    let back = || async { value(&cluster.nodes[0], "a").await };
    assert_eq!(eventually("nothing was lost", back).await, b"1");
}

/// Runs `raft-node recover`.
fn recover(flags: &[(&str, &str)]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_raft-node"));
    command.arg("recover");
    for (flag, value) in flags {
        command.args([flag, value]);
    }
    command.output().expect("the program starts")
}

async fn cluster_id(node: &Node) -> u64 {
    let head = || async { node.status().await?.header };
    eventually("it says which cluster it is of", head).await.cluster_id
}

#[tokio::test]
async fn what_a_survivor_has_begins_a_new_cluster_in_which_the_old_one_has_no_say() {
    let mut cluster = with_small_snapshots(3).await;
    for key in ["a", "b", "c"] {
        for _ in 0..30 {
            put_at_last(&cluster.nodes[0], key, "1").await;
        }
    }
    value(&cluster.nodes[1], "c").await.unwrap();
    let old_id = cluster_id(&cluster.nodes[0]).await;
    let in_use = recover(&[
        ("--from", &cluster.nodes[1].data().display().to_string()),
        ("--data-dir", &cluster.folder.path().join("new").display().to_string()),
    ]);
    assert!(refusal(&in_use).contains("in use"));
    for node in &mut cluster.nodes {
        node.kill().await;
    }

    // Of three disks one is left.
    let survivor = cluster.nodes[1].data().display().to_string();
    // The new node is found where n3 was, so that those of the old cluster call it.
    let mut alone = cluster.joiner("n9");
    alone.peer_url.clone_from(&cluster.nodes[2].peer_url);
    alone.give("--listen-peer-urls", &alone.peer_url.clone());
    alone.give("--initial-cluster", &format!("n9={}", alone.peer_url));
    alone.give("--initial-cluster-state", "new");
    let new = alone.data().display().to_string();
    let output = recover(&[
        ("--from", &survivor),
        ("--data-dir", &new),
        ("--name", "n9"),
        ("--initial-advertise-peer-urls", &alone.peer_url),
    ]);
    let story = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(story.contains("n4 (\"n9\") of cluster \"test#1-") && story.contains("n1 n2 n3"), "{story}");
    alone.start();
    for key in ["a", "b", "c"] {
        let found = eventually("it leads itself", || async { value(&alone, key).await }).await;
        assert_eq!(found, b"1");
    }
    assert_ne!(cluster_id(&alone).await, old_id);

    // One that comes back from the old cluster is turned away. A new member is not.
    cluster.nodes[0].start();
    let turned_away =
        || async { alone.metric("peer_refused_links_total").await.filter(|count| count != "0") };
    eventually("the old one has called", turned_away).await;
    let log = alone.log();
    assert!(log.contains("n1 of cluster") && log.contains("calls n4 of cluster"), "{log}");
    let mut second = cluster.joiner("n10");
    let list = format!("n9={},n10={}", alone.peer_url, second.peer_url);
    second.give("--initial-cluster", &list);
    let request = pb::MemberAddRequest { peer_urls: vec![second.peer_url.clone()], is_learner: false };
    alone.members().member_add(request).await.unwrap();
    second.start();
    eventually("the new member has everything", || async { value(&second, "c").await }).await;
    put_at_last(&alone, "d", "2").await;
    assert_eq!(
        cluster.nodes[0].status().await.map_or(0, |status| status.leader),
        0,
        "one of three leads nobody"
    );
}

#[tokio::test]
async fn a_saved_store_begins_a_new_cluster() {
    let mut cluster = Cluster::start(1).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    let mut pieces =
        cluster.nodes[0].maintenance().snapshot(pb::SnapshotRequest {}).await.unwrap().into_inner();
    let mut saved = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        saved.extend_from_slice(&piece.blob);
    }
    let file = cluster.folder.path().join("saved");
    std::fs::write(&file, &saved).unwrap();
    put_at_last(&cluster.nodes[0], "a", "2").await;
    cluster.nodes[0].kill().await;

    let mut alone = cluster.joiner("n9");
    let (from, new) = (file.display().to_string(), alone.data().display().to_string());
    let flags = [
        ("--from", &from[..]),
        ("--data-dir", &new),
        ("--name", "n9"),
        ("--initial-advertise-peer-urls", &alone.peer_url),
    ];
    let look = recover(&flags[..1]);
    assert!(String::from_utf8_lossy(&look.stdout).contains("last entry"), "{look:?}");
    // What is left of an attempt that was cut short is no folder of a node.
    std::fs::create_dir(format!("{new}.draft")).unwrap();
    std::fs::write(format!("{new}.draft/identity"), "half").unwrap();
    assert_eq!(recover(&flags).status.code(), Some(0));
    let again = [flags[0], ("--data-dir", &format!("{new}-again"))];
    assert_eq!(recover(&again).status.code(), Some(0));
    let cluster_in = |folder: &str| wal::Identity::in_folder(Path::new(folder)).unwrap().unwrap().cluster;
    assert_ne!(cluster_in(&new), cluster_in(&format!("{new}-again")), "two recoveries, two clusters");
    assert!(refusal(&recover(&flags)).contains("is there already"), "not twice");
    alone.start();
    assert_eq!(
        eventually("it leads itself", || async { value(&alone, "a").await }).await,
        b"1",
        "as it was saved"
    );
    let revision = alone.kv().put(put("a", "3")).await.unwrap().into_inner().header.unwrap().revision;
    assert_eq!(revision, 3, "its history goes on");
}

#[tokio::test]
async fn what_cannot_be_recovered_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let refused = |from: &str| {
        let output = recover(&[("--from", &path(from)), ("--data-dir", &path("new"))]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some_and(|code| code == 254 || code == 1), "{text}");
        assert!(text.contains(from), "{text}");
        text
    };
    std::fs::create_dir(path("blank")).unwrap();
    // A node that never heard of anybody.
    let joined =
        wal::Identity { cluster: "c".into(), name: "n4".into(), node: raft::NodeId(4), members: Vec::new() };
    let disk = wal::FolderDisk::open(path("unheard"), |_, _| {}).unwrap();
    drop(wal::Wal::open(disk, &joined, wal::Options::default()).unwrap());
    assert!(refused("unheard").contains("nothing to begin with"));
    assert!(refused("blank").contains("no data of a node"));
    assert!(refused("nowhere").contains("No such file"));
    std::fs::write(path("foreign"), "something else").unwrap();
    assert!(refused("foreign").contains("not a file that"));
    let cut = raft_node::saved::Image::new("c", &kv::Store::new())
        .map(|piece| piece.blob)
        .collect::<Vec<Bytes>>()
        .concat();
    std::fs::write(path("cut"), &cut[..cut.len() - 1]).unwrap();
    assert!(refused("cut").contains("damaged"));
    assert!(!folder.path().join("new").exists(), "nothing was written");
}
