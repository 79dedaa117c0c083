//! Who is in the cluster, and by what names and numbers.
//!
//! A member has a name (its operator's choice), a [`NodeId`] (1, 2, … by sorted name, so that all
//! members number alike without asking each other) and, for etcd's clients, a 64-bit id: a hash of
//! the cluster's token and the node id.

use std::collections::BTreeMap;

use raft::NodeId;
use sha2::{Digest, Sha256};

/// A member as every member knows it from the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its number.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
}

/// All members of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Members {
    token: String,
    members: Vec<Member>,
}

/// Why a list of members cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadMembers {
    /// An item without a name or without an address.
    #[error("{0:?} is not of the form name=http://host:port")]
    Item(String),
    /// More than there are numbers for.
    #[error("{0} members are more than can be numbered")]
    TooMany(usize),
}

impl Members {
    /// Reads `n1=http://…,n2=http://…`. A name that stands there twice has two addresses.
    pub fn parse(token: &str, list: &str) -> Result<Members, BadMembers> {
        let mut urls: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for item in list.split(',').filter(|item| !item.is_empty()) {
            match item.split_once('=') {
                Some((name, url)) if !name.is_empty() && !url.is_empty() => {
                    urls.entry(name).or_default().push(url.to_owned());
                }
                _ => return Err(BadMembers::Item(item.to_owned())),
            }
        }
        let too_many = BadMembers::TooMany(urls.len());
        let members = (1..=u16::MAX).zip(&urls).map(|(number, (name, peer_urls))| Member {
            node: NodeId(number),
            name: (*name).to_owned(),
            peer_urls: peer_urls.clone(),
        });
        let members: Vec<Member> = members.collect();
        if members.len() < urls.len() {
            Err(too_many)
        } else {
            Ok(Members { token: token.to_owned(), members })
        }
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// The one of this name.
    pub fn named(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// The cluster's name, from which the ids are made.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The cluster's id, as etcd's clients see it.
    pub fn cluster_id(&self) -> u64 {
        self.hash(b"cluster", 0)
    }

    /// A member's id, as etcd's clients see it.
    pub fn member_id(&self, node: NodeId) -> u64 {
        self.hash(b"member", node.0)
    }

    fn hash(&self, kind: &[u8], number: u16) -> u64 {
        let digest = Sha256::new()
            .chain_update(kind)
            .chain_update(number.to_be_bytes())
            .chain_update(self.token.as_bytes())
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
    fn members_are_numbered_by_name_in_whatever_order_they_are_listed() {
        let one = Members::parse("t", "b=http://h:2,a=http://h:1,c=http://h:3").unwrap();
        let other = Members::parse("t", "c=http://h:3,b=http://h:2,a=http://h:1").unwrap();
        assert_eq!(one, other);
        assert_eq!(one.named("b").unwrap().node, NodeId(2));
        assert_eq!(one.named("d"), None);
    }

    #[test]
    fn a_name_that_stands_there_twice_has_two_addresses() {
        let members = Members::parse("t", "a=http://h:1,a=http://h:2").unwrap();
        assert_eq!(members.named("a").unwrap().peer_urls, ["http://h:1", "http://h:2"]);
        assert_eq!(members.iter().count(), 1);
    }

    #[test]
    fn what_has_no_name_or_no_address_is_named_in_the_error() {
        for bad in ["a", "=http://h:1", "a="] {
            let list = format!("b=http://h:2,{bad}");
            assert_eq!(Members::parse("t", &list), Err(BadMembers::Item(bad.to_owned())));
        }
    }

    #[test]
    fn ids_differ_between_members_and_between_clusters() {
        let members = |token| Members::parse(token, "a=http://h:1,b=http://h:2").unwrap();
        let (one, other) = (members("one"), members("other"));
        let ids = [
            one.cluster_id(),
            one.member_id(NodeId(1)),
            one.member_id(NodeId(2)),
            other.cluster_id(),
            other.member_id(NodeId(1)),
        ];
        let distinct: std::collections::BTreeSet<u64> = ids.into_iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert!(!distinct.contains(&0), "0 means nobody");
    }
}
