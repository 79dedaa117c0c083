//! The `etcd-client` crate, as people use it, against `raft-node`.

use etcd_client::{
    Client, CompactionOptions, Compare, CompareOp, DeleteOptions, GetOptions, PutOptions, SortOrder,
    SortTarget, Txn, TxnOp,
};
use interop::Cluster;

async fn client(server: &Cluster) -> Client {
    Client::connect([server.endpoints()], None).await.expect("the client connects")
}

/// The server may still be electing itself.
async fn ready(server: &Cluster) -> Client {
    let mut client = client(server).await;
    for _ in 0..100 {
        if client.get("ready", None).await.is_ok() {
            return client;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the server never served");
}

#[tokio::test]
async fn put_get_and_delete() {
    let server = Cluster::raft_node(1);
    let mut client = ready(&server).await;
    client.put("foo", "bar", None).await.unwrap();
    let old = client.put("foo", "baz", Some(PutOptions::new().with_prev_key())).await.unwrap();
    assert_eq!(old.prev_key().unwrap().value_str().unwrap(), "bar");
    let got = client.get("foo", None).await.unwrap();
    assert_eq!((got.count(), got.kvs()[0].value_str().unwrap(), got.kvs()[0].version()), (1, "baz", 2));
    let gone = client.delete("foo", Some(DeleteOptions::new().with_prev_key())).await.unwrap();
    assert_eq!((gone.deleted(), gone.prev_kvs()[0].value_str().unwrap()), (1, "baz"));
    assert_eq!(client.get("foo", None).await.unwrap().count(), 0);
}

#[tokio::test]
async fn ranges_with_options() {
    let server = Cluster::raft_node(1);
    let mut client = ready(&server).await;
    for (key, value) in [("k1", "c"), ("k2", "b"), ("k3", "a"), ("other", "x")] {
        client.put(key, value, None).await.unwrap();
    }
    let options =
        GetOptions::new().with_prefix().with_limit(2).with_sort(SortTarget::Value, SortOrder::Ascend);
    let got = client.get("k", Some(options)).await.unwrap();
    let keys: Vec<&str> = got.kvs().iter().map(|kv| kv.key_str().unwrap()).collect();
    assert_eq!((keys, got.more(), got.count()), (vec!["k3", "k2"], true, 3));
    let all = client.get("", Some(GetOptions::new().with_all_keys().with_count_only())).await.unwrap();
    assert_eq!((all.count(), all.kvs().len()), (4, 0));
    let past = client.get("k", Some(GetOptions::new().with_prefix().with_revision(3))).await.unwrap();
    assert_eq!(past.kvs().len(), 2);
    let local = client.get("k1", Some(GetOptions::new().with_serializable())).await.unwrap();
    assert_eq!(local.count(), 1);
}

#[tokio::test]
async fn a_transaction_compares_and_then_acts() {
    let server = Cluster::raft_node(1);
    let mut client = ready(&server).await;
    client.put("balance", "10", None).await.unwrap();
    let spend = || {
        Txn::new()
            .when(vec![Compare::value("balance", CompareOp::Equal, "10")])
            .and_then(vec![TxnOp::put("balance", "7", None), TxnOp::put("spent", "3", None)])
            .or_else(vec![TxnOp::get("balance", None)])
    };
    assert!(client.txn(spend()).await.unwrap().succeeded());
    let again = client.txn(spend()).await.unwrap();
    assert!(!again.succeeded());
    assert_eq!(again.op_responses().len(), 1);
}

#[tokio::test]
async fn compaction_forgets_the_past() {
    let server = Cluster::raft_node(1);
    let mut client = ready(&server).await;
    client.put("a", "1", None).await.unwrap();
    let revision = client.put("a", "2", None).await.unwrap().header().unwrap().revision();
    client.compact(revision, Some(CompactionOptions::new().with_physical())).await.unwrap();
    let past = client.get("a", Some(GetOptions::new().with_revision(revision - 1))).await;
    let error = past.expect_err("it is forgotten").to_string();
    assert!(error.contains("mvcc: required revision has been compacted"), "{error}");
}

#[tokio::test]
async fn members_and_status() {
    let server = Cluster::raft_node(1);
    let mut client = ready(&server).await;
    let members = client.member_list().await.unwrap();
    assert_eq!(members.members().len(), 1);
    assert_eq!(members.members()[0].name(), "n1");
    let status = client.status().await.unwrap();
    assert_eq!(status.leader(), members.members()[0].id());
    assert!(status.raft_index() > 0);
}
