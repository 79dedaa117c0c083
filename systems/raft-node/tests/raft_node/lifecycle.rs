//! Starting, stopping, dying, coming back, and refusing to start.

use std::net::TcpListener;
use std::process::Output;

use nix::sys::signal::Signal;
use wire::etcdserverpb as pb;

use crate::cluster::{Cluster, Node, eventually};

/// Runs a command that is expected to end by itself.
pub(crate) async fn run(node: &Node, change: impl FnOnce(&mut std::process::Command)) -> Output {
    let mut command = node.command();
    change(&mut command);
    let run = tokio::task::spawn_blocking(move || command.output().expect("the program starts"));
    run.await.expect("running it does not panic")
}

pub(crate) fn refusal(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(254), "{text}");
    text
}

pub(crate) fn put(key: &'static str, value: &'static str) -> pb::PutRequest {
    pb::PutRequest { key: key.into(), value: value.into(), ..pb::PutRequest::default() }
}

pub(crate) async fn value(node: &Node, key: &'static str) -> Option<Vec<u8>> {
    let request = pb::RangeRequest { key: key.into(), ..pb::RangeRequest::default() };
    let found = node.kv().range(request).await.ok()?.into_inner();
    found.kvs.first().map(|kv| kv.value.to_vec())
}

/// Writes until it succeeds. For a test that writes the same again and again, a retry is safe.
pub(crate) async fn put_at_last(node: &Node, key: &'static str, value: &'static str) {
    eventually("the write succeeds", || async { node.kv().put(put(key, value)).await.ok() }).await;
}

#[tokio::test]
async fn a_killed_node_comes_back_with_everything() {
    let mut cluster = Cluster::start(3).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    cluster.nodes[0].kill().await;
    put_at_last(&cluster.nodes[1], "b", "2").await;
    cluster.nodes[0].start();
    let back = || async { value(&cluster.nodes[0], "b").await };
    assert_eq!(eventually("it answers again", back).await, b"2", "what it missed");
    assert_eq!(value(&cluster.nodes[0], "a").await.unwrap(), b"1", "what it had");
}

#[tokio::test]
async fn a_cluster_that_lost_power_comes_back_with_everything() {
    let mut cluster = Cluster::start(3).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    for node in &mut cluster.nodes {
        node.kill().await;
    }
    for node in &mut cluster.nodes {
        node.start();
    }
    let back = || async { value(&cluster.nodes[2], "a").await };
    assert_eq!(eventually("it answers again", back).await, b"1");
}

/// Of a node whose unsynced writes die with it, a kill in the middle of a sync takes what was under way
/// and nothing that was acknowledged.
#[tokio::test]
async fn a_killed_node_on_a_lossy_disk_loses_what_it_had_not_synced_and_nothing_else() {
    let mut cluster = Cluster::new(1);
    let node = &mut cluster.nodes[0];
    node.give("--disk", "lossy");
    node.give("--sync-delay", "200");
    node.start();
    put_at_last(node, "a", "0").await;
    let unsynced = |node: &Node| wal::LossyDisk::unsynced_in(&node.data()).unwrap_or_default();
    let mut lost = false;
    for life in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        let mut kv = node.kv();
        let write = tokio::spawn(async move { kv.put(put("a", life)).await.is_ok() });
        eventually("its write is in memory", || async { (unsynced(node) > 0).then_some(()) }).await;
        node.kill().await;
        let acknowledged = write.await.unwrap();
        let died = unsynced(node);
        node.start();
        let found = eventually("it answers again", || async { value(node, "a").await }).await;
        assert!(!acknowledged || found == life.as_bytes(), "an acknowledged write is gone");
        if found != life.as_bytes() {
            assert!(died > 0, "something was lost, and nothing counted");
            lost = true;
            break;
        }
        put_at_last(node, "a", life).await;
    }
    assert!(lost, "every write was synced before its node died: nothing was tested");
    assert!(node.log().contains("what is not synced dies with this process"));
}

#[tokio::test]
async fn a_stopped_node_says_goodbye_with_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut cluster = Cluster::start(1).await;
        put_at_last(&cluster.nodes[0], "a", "1").await;
        cluster.nodes[0].signal(signal);
        assert_eq!(cluster.nodes[0].exit().await.code(), Some(0), "{}", cluster.nodes[0].log());
        cluster.nodes[0].start();
        let back = || async { value(&cluster.nodes[0], "a").await };
        assert_eq!(eventually("it answers again", back).await, b"1");
    }
}

#[tokio::test]
async fn a_data_folder_has_one_master() {
    let cluster = Cluster::start(1).await;
    let elsewhere = Cluster::new(1);
    let data = cluster.folder.path().join("n1");
    let output = run(&elsewhere.nodes[0], |command| {
        command.args(["--data-dir", &data.display().to_string()]);
    })
    .await;
    assert!(refusal(&output).contains(&data.display().to_string()), "{output:?}");
}

#[tokio::test]
async fn the_data_of_another_node_is_left_alone() {
    let mut cluster = Cluster::start(1).await;
    cluster.nodes[0].kill().await;
    let data = cluster.folder.path().join("n1");
    let other = Cluster::new(2);
    let output = run(&other.nodes[1], |command| {
        command.args(["--data-dir", &data.display().to_string()]);
    })
    .await;
    let text = refusal(&output);
    assert!(text.contains("n1") && text.contains("n2"), "both are named: {text}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    for flag in ["--listen-client-urls", "--listen-metrics-urls"] {
        let cluster = Cluster::new(1);
        let output = run(&cluster.nodes[0], |command| {
            command.args([flag, &url]);
        })
        .await;
        assert!(refusal(&output).contains(&url), "{flag}: {output:?}");
    }
    let cluster = Cluster::new(1);
    let list = format!("n1={url}");
    let output = run(&cluster.nodes[0], |command| {
        command.args(["--listen-peer-urls", &url, "--initial-cluster", &list]);
    })
    .await;
    assert!(refusal(&output).contains(&url), "{output:?}");
}

#[tokio::test]
async fn wrong_flags_are_named() {
    let cluster = Cluster::new(1);
    for (flags, word) in [(["--frobnicate", "1"], "--frobnicate"), (["--name", "n7"], "n7")] {
        let output = run(&cluster.nodes[0], |command| {
            command.args(flags);
        })
        .await;
        assert!(refusal(&output).contains(word), "{output:?}");
    }
}

#[tokio::test]
async fn help_is_a_page_of_the_manual() {
    let cluster = Cluster::new(1);
    let output = run(&cluster.nodes[0], |command| {
        command.arg("--help");
    })
    .await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for word in ["--initial-cluster", "a subset of etcd's", "ETCD_NAME", "Exit code: 0", "Example:"] {
        assert!(text.contains(word), "{word} is missing in:\n{text}");
    }
}
