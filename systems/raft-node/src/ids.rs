//! The numbers by which etcd's clients know clusters and members.
//!
//! A member has a name (its operator's choice), a [`NodeId`] and, for etcd's clients, a 64-bit id: a hash of the
//! cluster's name and the node id. A cluster that was recovered from the loss of its quorum has another name, and so all
//! its ids are others: nobody can take it for what it was.

use raft::{Membership, NodeId};
use sha2::{Digest, Sha256};

/// The ids of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ids {
    cluster: String,
}

impl Ids {
    /// Those of the cluster of this name.
    pub fn of(cluster: impl Into<String>) -> Ids {
        Ids { cluster: cluster.into() }
    }

    /// The cluster's name, with what recoveries added to it.
    pub fn name(&self) -> &str {
        &self.cluster
    }

    /// The cluster's id.
    pub fn cluster(&self) -> u64 {
        self.hash(b"cluster", 0)
    }

    /// A member's id.
    pub fn member(&self, node: NodeId) -> u64 {
        self.hash(b"member", node.0)
    }

    /// The member of this id.
    pub fn node(&self, id: u64, members: &Membership) -> Option<NodeId> {
        members.nodes().into_iter().find(|node| self.member(*node) == id)
    }

    fn hash(&self, kind: &[u8], number: u16) -> u64 {
        let digest = Sha256::new()
            .chain_update(kind)
            .chain_update(number.to_be_bytes())
            .chain_update(self.cluster.as_bytes())
            .finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_between_members_and_between_clusters() {
        let (one, other) = (Ids::of("one"), Ids::of("other"));
        let ids = [
            one.cluster(),
            one.member(NodeId(1)),
            one.member(NodeId(2)),
            other.cluster(),
            other.member(NodeId(1)),
        ];
        let distinct: std::collections::BTreeSet<u64> = ids.into_iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert!(!distinct.contains(&0), "0 means nobody");
        assert_eq!(one.node(ids[2], &Membership::of([1, 2, 3].map(NodeId))), Some(NodeId(2)));
        assert_eq!(one.node(ids[4], &Membership::of([1, 2, 3].map(NodeId))), None);
    }
}
