//! etcd's KV, Cluster and Maintenance services, asked through different nodes.

use std::collections::{BTreeMap, BTreeSet};

use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use wire::etcdserverpb as pb;
use wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use wire::etcdserverpb::request_op::Request as Op;

use crate::cluster::{Cluster, Node, eventually};
use crate::raw;

fn put(key: &'static str, value: &'static str) -> pb::PutRequest {
    pb::PutRequest { key: key.into(), value: value.into(), ..pb::PutRequest::default() }
}

fn range(key: &'static str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.into(), ..pb::RangeRequest::default() }
}

fn op(request: Op) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

fn compare_and_set(key: &'static str, from: &'static str, to: &'static str) -> pb::TxnRequest {
    pb::TxnRequest {
        compare: vec![pb::Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Value.into(),
            key: key.into(),
            target_union: Some(TargetUnion::Value(from.into())),
            range_end: "".into(),
        }],
        success: vec![op(Op::RequestPut(put(key, to)))],
        failure: vec![op(Op::RequestRange(range(key)))],
    }
}

async fn read(node: &Node, key: &'static str) -> Option<String> {
    let mut found = node.kv().range(range(key)).await.expect("a healthy cluster answers").into_inner().kvs;
    found.pop().map(|kv| String::from_utf8(kv.value.to_vec()).expect("values here are text"))
}

fn revision(header: Option<pb::ResponseHeader>) -> i64 {
    header.expect("every answer has a head").revision
}

fn told<T>(result: Result<tonic::Response<T>, Status>) -> (Code, String) {
    let status = result.err().expect("this must be refused");
    (status.code(), status.message().to_owned())
}

#[tokio::test]
async fn what_one_node_writes_every_node_reads() {
    let cluster = Cluster::start(3).await;
    let [one, two, three] = &cluster.nodes[..] else { panic!("there are three") };

    let written = one.kv().put(put("a", "1")).await.unwrap().into_inner();
    assert_eq!(revision(written.header), 2);
    for node in [one, two, three] {
        assert_eq!(read(node, "a").await.as_deref(), Some("1"), "through {}", node.name);
    }

    let replaced = pb::PutRequest { prev_kv: true, ..put("a", "2") };
    let replaced = two.kv().put(replaced).await.unwrap().into_inner();
    let before = replaced.prev_kv.unwrap();
    assert_eq!((&before.value[..], before.create_revision, before.version), (&b"1"[..], 2, 1));

    let won = three.kv().txn(compare_and_set("a", "2", "3")).await.unwrap().into_inner();
    assert!(won.succeeded);
    let lost = one.kv().txn(compare_and_set("a", "2", "4")).await.unwrap().into_inner();
    assert!(!lost.succeeded);
    assert_eq!((revision(won.header), revision(lost.header)), (4, 4), "a lost one changes nothing");

    let delete = pb::DeleteRangeRequest { key: "a".into(), ..pb::DeleteRangeRequest::default() };
    let deleted = one.kv().delete_range(delete).await.unwrap().into_inner();
    assert_eq!((deleted.deleted, revision(deleted.header)), (1, 5));
    assert_eq!(read(three, "a").await, None);
}

#[tokio::test]
async fn the_past_can_be_read_until_it_is_compacted() {
    let cluster = Cluster::start(1).await;
    let mut kv = cluster.nodes[0].kv();
    for value in ["1", "2", "3"] {
        kv.put(put("a", value)).await.unwrap();
    }
    let at = |revision| pb::RangeRequest { revision, ..range("a") };
    let old = kv.range(at(2)).await.unwrap().into_inner();
    assert_eq!((&old.kvs[0].value[..], revision(old.header)), (&b"1"[..], 4));

    kv.compact(pb::CompactionRequest { revision: 3, physical: true }).await.unwrap();
    let compacted = "etcdserver: mvcc: required revision has been compacted".to_owned();
    assert_eq!(told(kv.range(at(2)).await), (Code::OutOfRange, compacted.clone()));
    let again = kv.compact(pb::CompactionRequest { revision: 3, physical: false }).await;
    assert_eq!(told(again), (Code::OutOfRange, compacted));
    let future = "etcdserver: mvcc: required revision is a future revision".to_owned();
    assert_eq!(told(kv.range(at(9)).await), (Code::OutOfRange, future));
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_in_the_words_of_etcd() {
    let cluster = Cluster::start(1).await;
    let mut kv = cluster.nodes[0].kv();
    let invalid = |text: &str| (Code::InvalidArgument, format!("etcdserver: {text}"));

    assert_eq!(told(kv.put(put("", "1")).await), invalid("key is not provided"));
    assert_eq!(told(kv.range(range("")).await), invalid("key is not provided"));
    let keep = pb::PutRequest { ignore_value: true, ..put("a", "") };
    assert_eq!(told(kv.put(keep).await), invalid("key not found"));
    let keep = pb::PutRequest { ignore_value: true, ..put("a", "1") };
    assert_eq!(told(kv.put(keep).await), invalid("value is provided"));
    let leased = pb::PutRequest { lease: 7, ..put("a", "1") };
    let lease = (Code::NotFound, "etcdserver: requested lease not found".to_owned());
    assert_eq!(told(kv.put(leased).await), lease);

    let twice = vec![op(Op::RequestPut(put("a", "1"))); 2];
    let txn = |success| pb::TxnRequest { success, ..pb::TxnRequest::default() };
    assert_eq!(told(kv.txn(txn(twice)).await), invalid("duplicate key given in txn request"));
    let many = vec![op(Op::RequestRange(range("a"))); 129];
    assert_eq!(told(kv.txn(txn(many)).await), invalid("too many operations in txn request"));

    let large = pb::PutRequest { value: vec![0; 1536 * 1024].into(), ..put("a", "") };
    assert_eq!(told(kv.put(large).await), invalid("request is too large"));
    let just = pb::PutRequest { value: vec![0; 1536 * 1024 - 100].into(), ..put("a", "") };
    let stored = kv.put(just).await.unwrap().into_inner();
    assert_eq!(revision(stored.header), 2, "none of the others changed anything");
}

#[tokio::test]
async fn a_request_with_a_name_is_executed_once() {
    let cluster = Cluster::start(3).await;
    let named = |name: &'static str, value: &'static str| {
        let mut request = Request::new(put("a", value));
        request.metadata_mut().insert("request-id", name.parse().unwrap());
        request
    };
    let first = cluster.nodes[0].kv().put(named("5f-1", "1")).await.unwrap().into_inner();
    let again = cluster.nodes[1].kv().put(named("5f-1", "1")).await.unwrap().into_inner();
    assert_eq!(
        (revision(first.header), revision(again.header)),
        (2, 2),
        "the second was answered, not executed"
    );
    let next = cluster.nodes[2].kv().put(named("5f-2", "2")).await.unwrap().into_inner();
    assert_eq!(revision(next.header), 3);

    let unknown = cluster.nodes[0].kv().put(named("77-5", "3")).await;
    assert_eq!(told(unknown).0, Code::Unknown, "a session nobody opened: nothing is executed");
    let malformed = cluster.nodes[0].kv().put(named("five", "4")).await;
    assert_eq!(told(malformed).0, Code::InvalidArgument);
    assert_eq!(read(&cluster.nodes[0], "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn all_nodes_agree_on_who_they_are_and_who_leads() {
    let cluster = Cluster::start(3).await;
    let mut lists = Vec::new();
    for node in &cluster.nodes {
        let request = pb::MemberListRequest { linearizable: false };
        let list = node.members().member_list(request).await.unwrap().into_inner();
        let own = list.members.iter().find(|member| member.name == node.name).unwrap();
        assert_eq!(list.header.unwrap().member_id, own.id, "the head names who answers");
        assert!(list.members.is_sorted_by_key(|member| member.id));
        lists.push(list.members.into_iter().map(|member| (member.id, member.name)).collect::<BTreeSet<_>>());
    }
    assert_eq!(lists[0].len(), 3);
    assert!(lists.iter().all(|list| *list == lists[0]));

    let leaders = || async {
        let mut seen = BTreeSet::new();
        for node in &cluster.nodes {
            let status = node.status().await?;
            seen.insert((status.leader, status.raft_term));
        }
        seen.pop_first().filter(|(leader, _)| *leader != 0 && seen.is_empty())
    };
    let (leader, _) = eventually("all nodes name one leader", leaders).await;
    assert!(lists[0].iter().any(|(id, _)| *id == leader));
}

#[tokio::test]
async fn every_node_knows_where_clients_find_every_other() {
    let mut cluster = Cluster::start(3).await;
    all_know_all(&cluster).await;
    cluster.nodes[1].kill().await;
    cluster.nodes[1].start();
    cluster.nodes[1].leader().await;
    all_know_all(&cluster).await;
}

/// Waits until each node lists the client URL of each.
async fn all_know_all(cluster: &Cluster) {
    let expected: Vec<(&str, &str)> =
        cluster.nodes.iter().map(|node| (&node.name[..], &node.client_url[..])).collect();
    let ask = || async {
        for node in &cluster.nodes {
            let request = pb::MemberListRequest { linearizable: false };
            let list = node.members().member_list(request).await.ok()?.into_inner();
            let known = list.members.iter().map(|member| (&member.name[..], member.client_urls.join(",")));
            let known: BTreeMap<&str, String> = known.collect();
            let known = known.iter().map(|(name, url)| (*name, &url[..]));
            if !known.eq(expected.iter().copied()) {
                return None;
            }
        }
        Some(())
    };
    eventually("every node lists every client URL", ask).await;
}

#[tokio::test]
async fn a_follower_left_alone_refuses_writes_in_words_and_stale_reads_go_on() {
    let mut cluster = Cluster::start(3).await;
    cluster.nodes[0].kv().put(put("a", "1")).await.unwrap();
    let leader = cluster.leader().await;
    let (last, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let up_to_date = || async {
        let stale = pb::RangeRequest { serializable: true, ..range("a") };
        cluster.nodes[last].kv().range(stale).await.ok().filter(|found| found.get_ref().count == 1)
    };
    eventually("the write has reached the survivor", up_to_date).await;
    cluster.nodes[leader].kill().await;
    cluster.nodes[other].kill().await;

    let survivor = &cluster.nodes[last];
    let refused = || async {
        let status = survivor.kv().put(put("a", "2")).await.err()?;
        assert_eq!(status.code(), Code::Unavailable);
        (status.message() == "etcdserver: no leader").then_some(())
    };
    eventually("it knows that nobody leads", refused).await;
    let stale = pb::RangeRequest { serializable: true, ..range("a") };
    let found = survivor.kv().range(stale).await.unwrap().into_inner();
    assert_eq!(&found.kvs[0].value[..], b"1");
    assert_eq!(told(survivor.kv().range(range("a")).await).0, Code::Unavailable);
}

#[tokio::test]
async fn what_is_not_served_is_said_to_be_unimplemented() {
    let cluster = Cluster::start(1).await;
    for method in
        ["etcdserverpb.Lease/LeaseGrant", "etcdserverpb.Maintenance/Defragment", "nothing", "%20/%20"]
    {
        let mut raw = tonic::client::Grpc::new(cluster.nodes[0].channel());
        raw.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<pb::StatusRequest, pb::StatusResponse>::default();
        let path = PathAndQuery::try_from(format!("/{method}")).unwrap();
        let answer = raw.unary(Request::new(pb::StatusRequest {}), path, codec).await;
        assert_eq!(told(answer), (Code::Unimplemented, format!("raft-node does not serve {method}")));
    }
}

/// As etcdctl 3.4 does, for some commands, when it is given `http://127.0.0.1:2379`.
#[tokio::test]
async fn a_url_may_stand_where_the_host_belongs() {
    let cluster = Cluster::start(1).await;
    for host in ["http://127.0.0.1:2379", "http://localhost:2379", "http://[::1]:2379"] {
        let first = raw::first_answer(&cluster.nodes[0].client_url, host).await;
        assert_eq!(first, "200", "from {host}");
    }
}

#[tokio::test]
async fn health_is_served_as_grpc_wants_it() {
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let cluster = Cluster::start(1).await;
    let mut health = HealthClient::new(cluster.nodes[0].channel());
    let answer = health.check(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
}

/// How many messages a follower gets while its leader is asked a hundred times.
async fn messages_for_a_hundred_reads(lease: bool) -> u64 {
    let mut cluster = Cluster::new(3);
    for node in &mut cluster.nodes {
        if lease {
            node.give("--read-lease", "50");
        }
        // So that most of what is sent is for the reads.
        node.give("--heartbeat-interval", "200");
        node.start();
    }
    let leader = cluster.leader().await;
    let (leader, follower) = (&cluster.nodes[leader], &cluster.nodes[(leader + 1) % 3]);
    eventually("it is written", || async { leader.kv().put(put("a", "1")).await.ok() }).await;
    let received = || async { follower.metric("peer_received_total").await?.parse::<u64>().ok() };
    let before = eventually("it counts", received).await;
    let mut client = leader.kv();
    for _ in 0..100 {
        let answer = client.range(range("a")).await.expect("a leader answers");
        assert_eq!(answer.into_inner().count, 1);
    }
    eventually("it counts", received).await - before
}

#[tokio::test]
async fn with_a_lease_a_leader_asks_nobody_for_a_read() {
    let (with, without) =
        (messages_for_a_hundred_reads(true).await, messages_for_a_hundred_reads(false).await);
    assert!(without >= 100, "each read alone takes a round: {without}");
    assert!(with < without / 2, "only the heartbeats that there are anyway: {with}, without {without}");
}
