//! Whether all nodes hold the same, when all is over.
//!
//! Clients see one answer at a time, and a store that differs on one node may never be asked there again before the run
//! ends. But a replicated store has to be the same on all of its nodes at each of its revisions, and etcd's API tells a
//! hash of it. So the nodes are asked for theirs at one revision that all of them have reached. Who does not answer is
//! left out: whether nodes serve is asked elsewhere.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use nemesis::NodeId;
use tokio::time::timeout;
use wire::etcdserverpb::maintenance_client::MaintenanceClient;
use wire::etcdserverpb::{HashKvRequest, HashKvResponse};

use crate::etcd;

/// How long a node may take to look at all that it holds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where two nodes differ, in a sentence, if they do.
pub(crate) async fn disagreement(addresses: &BTreeMap<NodeId, SocketAddr>) -> Option<String> {
    let now = hashes(addresses, 0).await;
    let revisions = now.values().filter_map(|answer| Some(answer.header.as_ref()?.revision));
    let revision = revisions.min()?;
    differing(revision, &hashes(addresses, revision).await)
}

async fn hashes(addresses: &BTreeMap<NodeId, SocketAddr>, revision: i64) -> BTreeMap<NodeId, HashKvResponse> {
    let all = addresses.iter().map(async |(node, address)| {
        let mut maintenance = MaintenanceClient::new(etcd::channel(*address));
        let answer = timeout(PATIENCE, maintenance.hash_kv(HashKvRequest { revision })).await;
        Some((*node, answer.ok()?.ok()?.into_inner()))
    });
    join_all(all).await.into_iter().flatten().collect()
}

/// Stores that were compacted to different revisions hold different things by right.
fn differing(revision: i64, answers: &BTreeMap<NodeId, HashKvResponse>) -> Option<String> {
    let (first, one) = answers.first_key_value()?;
    let same =
        |other: &HashKvResponse| other.hash == one.hash || other.compact_revision != one.compact_revision;
    let (node, other) = answers.iter().find(|(_, answer)| !same(answer))?;
    let (one, other) = (one.hash, other.hash);
    Some(format!(
        "at revision {revision}, {first} and {node} hold different stores: their hashes are {one:08x} and {other:08x}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_differ_if_one_hash_is_another_at_the_same_revision() {
        let answer = |hash, compact_revision| HashKvResponse { hash, compact_revision, ..Default::default() };
        let of = |answers: [HashKvResponse; 3]| {
            differing(7, &nemesis::cluster(3).into_iter().zip(answers).collect())
        };
        assert_eq!(of([answer(1, -1), answer(1, -1), answer(1, -1)]), None);
        let said = of([answer(1, -1), answer(1, -1), answer(2, -1)]).unwrap();
        assert_eq!(
            said,
            "at revision 7, n1 and n3 hold different stores: their hashes are 00000001 and 00000002"
        );
        assert_eq!(of([answer(1, -1), answer(1, -1), answer(2, 5)]), None, "compacted further");
        assert_eq!(differing(7, &BTreeMap::new()), None);
    }
}
