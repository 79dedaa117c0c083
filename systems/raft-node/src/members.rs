//! Who is in a cluster when it begins, and by what names and numbers.
//!
//! A member has a name, which its operator chose, and a [`NodeId`]: 1, 2, … by sorted name, so that all members
//! number alike without asking each other. Who joins later is given the next number by the cluster.

use std::collections::BTreeMap;

use raft::NodeId;

/// A member as all of them know it from the start.
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

    /// The cluster's name.
    pub fn token(&self) -> &str {
        &self.token
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
}
