//! Members that come and go, as their operators see it.

use std::collections::BTreeSet;

use bytes::Bytes;
use raft_node::saved;
use tonic::{Code, Status};
use wire::etcdserverpb as pb;

use crate::cluster::{Cluster, Node, eventually};
use crate::lifecycle::{put, put_at_last, refusal, run, value};

async fn list(node: &Node) -> Vec<pb::Member> {
    let ask = || async {
        let request = pb::MemberListRequest { linearizable: true };
        Some(node.members().member_list(request).await.ok()?.into_inner().members)
    };
    eventually("it lists the members", ask).await
}

async fn id_of(node: &Node) -> u64 {
    let members = list(node).await;
    members.iter().find(|member| member.name == node.name).expect("it is a member").id
}

async fn add(through: &Node, member: &Node, is_learner: bool) -> Result<pb::Member, Status> {
    let request = pb::MemberAddRequest { peer_urls: vec![member.peer_url.clone()], is_learner };
    let answer = through.members().member_add(request).await?.into_inner();
    Ok(answer.member.expect("an answer says who was added"))
}

async fn remove(through: &Node, id: u64) -> Result<Vec<pb::Member>, Status> {
    let removed = through.members().member_remove(pb::MemberRemoveRequest { id }).await;
    removed.map(|answer| answer.into_inner().members)
}

async fn promote(through: &Node, id: u64) -> Result<Vec<pb::Member>, Status> {
    let promoted = through.members().member_promote(pb::MemberPromoteRequest { id }).await;
    promoted.map(|answer| answer.into_inner().members)
}

async fn has_started(through: &Node, id: u64) {
    let started = || async {
        let members = list(through).await;
        members.iter().any(|member| member.id == id && !member.client_urls.is_empty()).then_some(())
    };
    eventually("the new member has told its name", started).await;
}

#[tokio::test]
async fn a_learner_joins_is_promoted_and_outlives_the_member_it_replaces() {
    let mut cluster = Cluster::start(3).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    let mut fourth = cluster.joiner("n4");
    let added = add(&cluster.nodes[0], &fourth, true).await.unwrap();
    assert_eq!((&added.name[..], added.is_learner), ("", true), "it has not started yet");
    assert_eq!(added.peer_urls, [&fourth.peer_url[..]]);

    fourth.start();
    has_started(&cluster.nodes[1], added.id).await;
    assert_eq!(value(&fourth, "a").await.unwrap(), b"1", "it learns what was before it");
    let promoted = || async { promote(&cluster.nodes[2], added.id).await.ok() };
    let members = eventually("it has caught up", promoted).await;
    assert!(members.iter().all(|member| !member.is_learner) && members.len() == 4);

    let first = id_of(&cluster.nodes[0]).await;
    let members = remove(&cluster.nodes[1], first).await.unwrap();
    assert_eq!(
        members.iter().map(|member| &member.name[..]).collect::<BTreeSet<_>>(),
        ["n2", "n3", "n4"].into()
    );
    assert_eq!(cluster.nodes[0].exit().await.code(), Some(0), "{}", cluster.nodes[0].log());
    assert!(cluster.nodes[0].log().contains("removed from the cluster"), "{}", cluster.nodes[0].log());
    put_at_last(&fourth, "b", "2").await;

    // Two of the three that are left decide; the new one is among them, on what its disk kept.
    fourth.kill().await;
    cluster.nodes[1].kill().await;
    fourth.start();
    put_at_last(&fourth, "c", "3").await;
    assert_eq!(value(&cluster.nodes[2], "c").await.unwrap(), b"3");
}

#[tokio::test]
async fn a_cluster_of_one_grows_and_goes_on_while_the_new_voter_is_not_there() {
    let cluster = Cluster::start(1).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    let mut second = cluster.joiner("n2");
    let added = add(&cluster.nodes[0], &second, false).await.unwrap();
    assert!(added.is_learner, "nobody waits for it");
    put_at_last(&cluster.nodes[0], "a", "2").await;
    second.start();
    has_started(&second, added.id).await;
    assert_eq!(value(&second, "a").await.unwrap(), b"2");
    let votes = || async {
        let members = list(&second).await;
        members.iter().any(|member| member.id == added.id && !member.is_learner).then_some(())
    };
    eventually("it has asked for its vote", votes).await;
}

#[tokio::test]
async fn a_node_that_nobody_added_has_no_place() {
    let cluster = Cluster::start(1).await;
    let stranger = cluster.joiner("n2");
    let said = refusal(&run(&stranger, |_| {}).await);
    assert!(said.contains(&stranger.peer_url) && said.contains("member add"), "{said}");
    let mut lonely = Cluster::new(1).joiner("n9");
    lonely.give("--initial-cluster-token", "another");
    let said = run(&lonely, |command| {
        let list = format!("n1={},n9={}", cluster.nodes[0].peer_url, lonely.peer_url);
        command.args(["--initial-cluster", &list]);
    })
    .await;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        text.contains("cannot join") && text.contains("\"another\""),
        "the other cluster is named: {text}"
    );
}

#[tokio::test]
async fn a_blank_node_does_not_take_the_place_of_one_that_has_lived() {
    let mut cluster = Cluster::start(3).await;
    let ids = list(&cluster.nodes[0]).await;
    for member in ids {
        has_started(&cluster.nodes[0], member.id).await;
    }
    cluster.nodes[2].kill().await;
    std::fs::remove_dir_all(cluster.nodes[2].data()).unwrap();
    put_at_last(&cluster.nodes[0], "a", "1").await;
    for state in ["new", "existing"] {
        let said = refusal(
            &run(&cluster.nodes[2], |command| {
                command.args(["--initial-cluster-state", state]);
            })
            .await,
        );
        assert!(said.contains("n3") && said.contains("remove that member"), "{state}: {said}");
    }
    // Nor when nobody leads: one that is left knows from its own log.
    cluster.nodes[0].kill().await;
    let lost = || async { (cluster.nodes[1].status().await?.leader == 0).then_some(()) };
    eventually("nobody leads", lost).await;
    let said = refusal(&run(&cluster.nodes[2], |_| {}).await);
    assert!(said.contains("n3") && said.contains("remove that member"), "{said}");
}

#[tokio::test]
async fn who_was_removed_does_not_begin_again_on_a_blank_folder() {
    let mut cluster = Cluster::start(3).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    let third = id_of(&cluster.nodes[2]).await;
    gone(&cluster.nodes[0], third).await;
    cluster.nodes[2].exit().await;
    std::fs::remove_dir_all(cluster.nodes[2].data()).unwrap();
    let said = refusal(&run(&cluster.nodes[2], |_| {}).await);
    assert!(said.contains("n3") && said.contains("no member of it (any more)"), "{said}");
}

#[tokio::test]
async fn a_learner_that_is_gone_gets_no_vote_even_from_a_cluster_of_one() {
    let cluster = Cluster::start(1).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    let mut second = cluster.joiner("n2");
    let added = add(&cluster.nodes[0], &second, true).await.unwrap();
    second.start();
    has_started(&cluster.nodes[0], added.id).await;
    second.kill().await;
    let noticed = || async { (cluster.nodes[0].metric("raft_heard").await? == "0").then_some(()) };
    eventually("its silence is noticed", noticed).await;
    let refused = promote(&cluster.nodes[0], added.id).await.unwrap_err();
    assert!(refused.message().contains("in sync with leader"), "{refused}");
    put_at_last(&cluster.nodes[0], "a", "2").await;
}

/// What a node says of itself and what an operator says of it go side by side; neither undoes the other.
#[tokio::test]
async fn an_update_and_what_a_member_says_of_itself_are_both_kept() {
    let mut cluster = Cluster::start(3).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    let third = id_of(&cluster.nodes[2]).await;
    has_started(&cluster.nodes[0], third).await;
    let old = cluster.nodes[2].peer_url.clone();
    for round in 1..4 {
        cluster.nodes[2].kill().await;
        let said = format!("http://127.0.0.1:{round}");
        cluster.nodes[2].give("--advertise-client-urls", &said);
        cluster.nodes[2].start();
        for second in 0..5 {
            // The first address stays, so that it is found; the second is what the operator says.
            let peer_urls = vec![old.clone(), format!("http://127.0.0.1:{round}{second}")];
            let request = pb::MemberUpdateRequest { id: third, peer_urls: peer_urls.clone() };
            let told = || async { cluster.nodes[0].members().member_update(request.clone()).await.ok() };
            eventually("the operator is heard", told).await;
            let kept = || async {
                let members = list(&cluster.nodes[0]).await;
                members.into_iter().find(|member| member.id == third && member.peer_urls == peer_urls)
            };
            eventually("what the operator said is there", kept).await;
        }
        let heard = || async {
            let members = list(&cluster.nodes[0]).await;
            members.into_iter().find(|member| member.id == third && member.client_urls.contains(&said))
        };
        let member = eventually("what the member said is there", heard).await;
        assert_eq!(member.peer_urls, [old.clone(), format!("http://127.0.0.1:{round}4")]);
    }
}

/// Removes a member for sure, however often that takes.
async fn gone(through: &Node, id: u64) {
    let removed = || async {
        match remove(through, id).await {
            Ok(_) => Some(()),
            Err(status) => (status.code() == Code::NotFound).then_some(()),
        }
    };
    eventually("it is removed", removed).await;
}

#[tokio::test]
async fn a_joiner_that_nobody_calls_hears_that_it_was_removed() {
    let cluster = Cluster::start(1).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    let mut second = cluster.joiner("n2");
    let added = add(&cluster.nodes[0], &second, true).await.unwrap();
    // It listens elsewhere than where it is called, so it hears of nobody; but it calls.
    let elsewhere = cluster.joiner("n3");
    second.give("--listen-peer-urls", &elsewhere.peer_url);
    second.start();
    let called =
        || async { cluster.nodes[0].log().contains("peer has linked node=n1 peer=n2").then_some(()) };
    eventually("it calls", called).await;
    gone(&cluster.nodes[0], added.id).await;
    assert_eq!(second.exit().await.code(), Some(0), "{}", second.log());
}

#[tokio::test]
async fn who_was_removed_while_he_was_away_hears_of_it_when_he_comes_back() {
    let mut cluster = Cluster::start(3).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    let third = id_of(&cluster.nodes[2]).await;
    cluster.nodes[2].kill().await;
    gone(&cluster.nodes[0], third).await;
    cluster.nodes[2].start();
    assert_eq!(cluster.nodes[2].exit().await.code(), Some(0), "{}", cluster.nodes[2].log());
    assert!(cluster.nodes[2].log().contains("removed"), "{}", cluster.nodes[2].log());
    put_at_last(&cluster.nodes[1], "a", "2").await;
}

#[tokio::test]
async fn what_would_cost_the_quorum_is_refused_and_changes_nothing() {
    let mut cluster = Cluster::start(3).await;
    put_at_last(&cluster.nodes[0], "a", "0").await;
    let leader = cluster.leader().await;
    let (gone, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let other_id = id_of(&cluster.nodes[other]).await;
    cluster.nodes[gone].kill().await;
    // As long as its silence is not noticed, it counts as there.
    let noticed = || async { (cluster.nodes[leader].metric("raft_heard").await? == "1").then_some(()) };
    eventually("its silence is noticed", noticed).await;
    let before = list(&cluster.nodes[leader]).await.len();
    let status = remove(&cluster.nodes[leader], other_id).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    assert_eq!(status.message(), "etcdserver: re-configuration failed due to not enough started members");
    assert_eq!(list(&cluster.nodes[leader]).await.len(), before);
    put_at_last(&cluster.nodes[leader], "a", "2").await;
}

#[tokio::test]
async fn changes_that_make_no_sense_are_refused_in_the_words_of_etcd() {
    let cluster = Cluster::start(3).await;
    let node = &cluster.nodes[0];
    put_at_last(node, "a", "1").await;
    let own = id_of(node).await;
    let said = |status: Status| (status.code(), status.message().to_owned());
    let is = |code: Code, text: &str| (code, format!("etcdserver: {text}"));

    let taken = add(node, &cluster.nodes[1], true).await.unwrap_err();
    assert_eq!(said(taken), is(Code::FailedPrecondition, "Peer URLs already exists"));
    for urls in [vec![], vec!["n9".to_owned()], vec!["https://127.0.0.1:1".to_owned()]] {
        let request = pb::MemberAddRequest { peer_urls: urls, is_learner: false };
        let bad = node.members().member_add(request).await.unwrap_err();
        assert_eq!(said(bad), is(Code::InvalidArgument, "given member URLs are invalid"));
    }
    assert_eq!(said(remove(node, 1).await.unwrap_err()), is(Code::NotFound, "member not found"));
    let voter = promote(node, own).await.unwrap_err();
    assert_eq!(said(voter), is(Code::FailedPrecondition, "can only promote a learner member"));

    // A learner that never starts has not caught up.
    let absent = cluster.joiner("n4");
    let added = add(node, &absent, true).await.unwrap();
    let behind = promote(node, added.id).await.unwrap_err();
    let text = "can only promote a learner member which is in sync with leader";
    assert_eq!(said(behind), is(Code::FailedPrecondition, text));
    assert_eq!(remove(node, added.id).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_member_that_moves_is_found_at_its_new_address() {
    let mut cluster = Cluster::start(3).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    let third = id_of(&cluster.nodes[2]).await;
    has_started(&cluster.nodes[0], third).await;
    cluster.nodes[2].kill().await;
    let elsewhere = cluster.joiner("n9");
    let request = pb::MemberUpdateRequest { id: third, peer_urls: vec![elsewhere.peer_url.clone()] };
    let moved = || async {
        let answer = cluster.nodes[0].members().member_update(request.clone()).await.ok()?;
        answer.into_inner().members.into_iter().find(|member| member.id == third)
    };
    let member = eventually("the cluster knows", moved).await;
    assert_eq!((&member.name[..], member.peer_urls), ("n3", vec![elsewhere.peer_url.clone()]));
    cluster.nodes[2].give("--listen-peer-urls", &elsewhere.peer_url);
    cluster.nodes[2].start();
    put_at_last(&cluster.nodes[0], "a", "2").await;
    let caught_up = || async { value(&cluster.nodes[2], "a").await.filter(|found| found == b"2") };
    eventually("it hears from the others", caught_up).await;
}

#[tokio::test]
async fn the_lead_is_moved_to_the_one_that_is_named() {
    let cluster = Cluster::start(3).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    let leader = cluster.leader().await;
    let (next, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let target_id = id_of(&cluster.nodes[next]).await;
    let ask = |node: &Node, target_id| {
        let mut client = node.maintenance();
        async move { client.move_leader(pb::MoveLeaderRequest { target_id }).await }
    };
    let nobody = ask(&cluster.nodes[leader], 1).await.unwrap_err();
    assert_eq!(nobody.message(), "etcdserver: bad leader transferee");
    let not_here = ask(&cluster.nodes[other], target_id).await.unwrap_err();
    assert_eq!((not_here.code(), not_here.message()), (Code::FailedPrecondition, "etcdserver: not leader"));
    ask(&cluster.nodes[leader], target_id).await.unwrap();
    let leads = || async {
        let status = cluster.nodes[next].status().await?;
        (status.leader == target_id).then_some(())
    };
    eventually("it leads", leads).await;
    put_at_last(&cluster.nodes[other], "a", "2").await;
}

#[tokio::test]
async fn members_hash_alike_and_a_saved_store_is_the_store() {
    let cluster = Cluster::start(3).await;
    for key in ["a", "b", "a"] {
        put_at_last(&cluster.nodes[0], key, "1").await;
    }
    let revision =
        cluster.nodes[0].kv().put(put("c", "2")).await.unwrap().into_inner().header.unwrap().revision;
    let mut hashes = BTreeSet::new();
    for node in &cluster.nodes {
        // A read that is up to date brings the node there.
        value(node, "c").await.unwrap();
        let answer = node.maintenance().hash_kv(pb::HashKvRequest { revision }).await.unwrap().into_inner();
        assert_eq!(answer.hash_revision, revision);
        hashes.insert(answer.hash);
    }
    assert_eq!(hashes.len(), 1);
    put_at_last(&cluster.nodes[0], "d", "3").await;
    let again =
        cluster.nodes[0].maintenance().hash_kv(pb::HashKvRequest { revision }).await.unwrap().into_inner();
    assert!(hashes.contains(&again.hash), "of the past");
    let now = cluster.nodes[0].maintenance().hash_kv(pb::HashKvRequest { revision: 0 }).await.unwrap();
    assert!(!hashes.contains(&now.into_inner().hash), "another state, another hash");
    let future = pb::HashKvRequest { revision: revision + 99 };
    assert_eq!(cluster.nodes[0].maintenance().hash_kv(future).await.unwrap_err().code(), Code::OutOfRange);

    let mut pieces =
        cluster.nodes[0].maintenance().snapshot(pb::SnapshotRequest {}).await.unwrap().into_inner();
    let mut file = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        file.extend(piece.blob);
    }
    let (name, store) = saved::read(&Bytes::from(file)).unwrap();
    assert_eq!((&name[..], store.revision().0), ("test", revision + 1));
}

#[tokio::test]
async fn who_has_data_goes_by_it_and_not_by_the_list() {
    let mut cluster = Cluster::start(3).await;
    put_at_last(&cluster.nodes[0], "a", "1").await;
    cluster.nodes[0].kill().await;
    let alone = format!("n1={}", cluster.nodes[0].peer_url);
    cluster.nodes[0].give("--initial-cluster", &alone);
    cluster.nodes[0].start();
    assert_eq!(list(&cluster.nodes[0]).await.len(), 3);
    put_at_last(&cluster.nodes[0], "a", "2").await;
    assert_eq!(value(&cluster.nodes[1], "a").await.unwrap(), b"2");
}
