//! Whether a node serves, and who leads.
//!
//! The nemesis aims at leaders, so somebody must know who leads. All nodes are asked, over and over,
//! because the one that was cut off will go on naming itself: the answer of the highest term counts.
//! It is a sighting, not a fact, and may be old when it is used; what was aimed at is written down by
//! name, so that nothing rests on it afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use nemesis::NodeId;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::transport::Channel;
use wire::etcdserverpb::kv_client::KvClient;
use wire::etcdserverpb::maintenance_client::MaintenanceClient;
use wire::etcdserverpb::{RangeRequest, StatusRequest};

use crate::etcd;

/// How often all nodes are asked who leads.
const ROUND: Duration = Duration::from_millis(100);
/// How long one of them may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Who was seen leading.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sighting {
    /// In which term.
    pub term: u64,
    /// Who.
    pub leader: NodeId,
}

impl fmt::Display for Sighting {
    /// `n2@t3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@t{}", self.leader, self.term)
    }
}

/// What a node says of itself.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its number in the protocol.
    member: u64,
    /// Its term.
    term: u64,
    /// Whom it believes to lead, by number; 0 is nobody.
    leader: u64,
    /// The version of its program.
    pub version: String,
}

/// Asks one node.
#[derive(Clone, Debug)]
pub struct Probe {
    maintenance: MaintenanceClient<Channel>,
    kv: KvClient<Channel>,
}

impl Probe {
    /// Asks the node whose clients connect there.
    pub fn new(address: SocketAddr) -> Probe {
        let channel = etcd::channel(address);
        Probe { maintenance: MaintenanceClient::new(channel.clone()), kv: KvClient::new(channel) }
    }

    /// What it says of itself, if it says anything.
    pub async fn status(&self) -> Option<Said> {
        let mut maintenance = self.maintenance.clone();
        let answer = timeout(PATIENCE, maintenance.status(StatusRequest {})).await.ok()?.ok()?.into_inner();
        let member = answer.header.map_or(0, |header| header.member_id);
        Some(Said { member, term: answer.raft_term, leader: answer.leader, version: answer.version })
    }

    /// Whether it answers a linearizable read: it has found a leader, and the leader a quorum.
    pub async fn serves(&self) -> bool {
        let request = RangeRequest { key: "health".into(), ..RangeRequest::default() };
        matches!(timeout(PATIENCE, self.kv.clone().range(request)).await, Ok(Ok(_)))
    }
}

/// Asks all nodes.
#[derive(Clone, Debug)]
pub struct Probes(BTreeMap<NodeId, Probe>);

impl Probes {
    /// Asks the nodes whose clients connect there.
    pub fn new(addresses: impl IntoIterator<Item = (NodeId, SocketAddr)>) -> Probes {
        Probes(addresses.into_iter().map(|(node, address)| (node, Probe::new(address))).collect())
    }

    /// One of them.
    pub fn of(&self, node: NodeId) -> &Probe {
        &self.0[&node]
    }

    /// What all that answer say, by node.
    pub async fn statuses(&self) -> BTreeMap<NodeId, Said> {
        let all = self.0.iter().map(async |(node, probe)| Some((*node, probe.status().await?)));
        join_all(all).await.into_iter().flatten().collect()
    }

    /// Who leads, as far as can be seen now.
    pub async fn sighting(&self) -> Option<Sighting> {
        sight(&self.statuses().await)
    }

    /// Those who do not serve, now.
    pub async fn missing(&self) -> Vec<NodeId> {
        let all = self.0.iter().map(async |(node, probe)| (!probe.serves().await).then_some(*node));
        join_all(all).await.into_iter().flatten().collect()
    }

    /// Watches for leaders, and tells what it sees, until nobody listens any more.
    pub async fn watch(self, told: watch::Sender<Leadership>) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !told.is_closed() {
            round.tick().await;
            let seen = self.sighting().await;
            told.send_if_modified(|known| known.update(seen));
        }
    }
}

/// Who leads, as far as can be seen, and how often that changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Leadership {
    /// Now.
    pub leader: Option<NodeId>,
    /// How often another node, or the same in a later term, took over.
    pub changes: u64,
    /// The latest that was seen at any time.
    latest: Option<Sighting>,
}

impl Leadership {
    /// Takes in what was seen. An earlier term than one seen before is a node that has not heard the
    /// news; then nobody is known to lead. Tells whether anything changed.
    fn update(&mut self, seen: Option<Sighting>) -> bool {
        let before = *self;
        self.leader = seen.filter(|seen| Some(*seen) >= self.latest).map(|seen| seen.leader);
        if seen > self.latest {
            self.changes += u64::from(self.latest.is_some());
            self.latest = seen;
        }
        *self != before
    }
}

/// The leader that the highest term names, if it is one of those who answered or are known.
fn sight(said: &BTreeMap<NodeId, Said>) -> Option<Sighting> {
    let named = said.values().filter(|said| said.leader != 0).max_by_key(|said| said.term)?;
    let leader = said.iter().find(|(_, other)| other.member == named.leader).map(|(node, _)| *node)?;
    Some(Sighting { term: named.term, leader })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(member: u64, term: u64, leader: u64) -> (NodeId, Said) {
        let node = NodeId(u16::try_from(member - 100).unwrap());
        (node, Said { member, term, leader, version: String::new() })
    }

    #[test]
    fn of_two_who_claim_to_lead_the_later_term_is_believed() {
        let cut_off = [said(101, 3, 101), said(102, 4, 103), said(103, 4, 103)].into();
        assert_eq!(sight(&cut_off), Some(Sighting { term: 4, leader: NodeId(3) }));
    }

    #[test]
    fn each_later_term_is_a_change_and_an_earlier_one_is_not_believed() {
        let sighting = |term, node| Some(Sighting { term, leader: NodeId(node) });
        let mut leadership = Leadership::default();
        let mut after = |seen| {
            leadership.update(seen);
            (leadership.leader.map(|node| node.0), leadership.changes)
        };
        assert_eq!(after(None), (None, 0));
        assert_eq!(after(sighting(2, 1)), (Some(1), 0));
        assert_eq!(after(None), (None, 0));
        assert_eq!(after(sighting(3, 2)), (Some(2), 1));
        assert_eq!(after(sighting(2, 1)), (None, 1));
        assert_eq!(after(sighting(3, 2)), (Some(2), 1));
        assert_eq!(after(sighting(4, 2)), (Some(2), 2));
    }

    #[test]
    fn nobody_is_named_while_nobody_leads_or_the_leader_is_gone() {
        let election = [said(101, 5, 0), said(102, 5, 0)].into();
        assert_eq!(sight(&election), None);
        let dead_leader = [said(101, 5, 103), said(102, 5, 103)].into();
        assert_eq!(sight(&dead_leader), None);
    }
}
