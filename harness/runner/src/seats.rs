//! Who sits in which seat: a member is taken out of a running cluster, and a new one takes its place.
//!
//! A node of a run is a seat: a name, its ports, its proxies. The member that sits there can go, and the next one comes
//! to the same address with an empty folder and another number. So clients, links and roles know all seats from the
//! start, and a schedule that replaced a member can be repeated.
//!
//! *Removing* can fail for good reasons: no quorum, a change under way, a member that the others cannot do without.
//! Then nothing is done to the node. But a request that was refused or lost may have left one behind that is carried out
//! later. So the seat is in doubt: whoever is to fill it looks first, and a node that finds out that it was removed and
//! ends in good order is not called dead of something else.
//!
//! *Joining* is done as an operator does it: the member is added as a learner, so that a quorum never has to wait for
//! somebody who knows nothing; its process starts; and it gets its vote once the leader says that it has caught up. A
//! new member may stop while it joins, because it asks before the others have heard of it. Then it is started again.
//! If it does not get its vote in time, that is the system's doing: the run goes on and its verdict carries the doubt.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nemesis::{Birth, Death, Joining, NodeId, Removal, Span};
use nemesis_net::process::describe;

use crate::cluster::Cluster;
use crate::members::{Changed, Council, number};

/// How long to try to remove a member. etcd does not touch a cluster that was whole for less than five seconds.
const REMOVE: Duration = Duration::from_secs(8);
/// How long a new member may take until it has its vote.
const JOIN: Duration = Duration::from_secs(30);
/// How long a member that stopped while it joined is left alone.
const REST: Duration = Duration::from_millis(500);

/// The seats that are not as they were at the start.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    /// Nobody sits there.
    empty: BTreeSet<NodeId>,
    /// A removal was asked for, and may be carried out yet.
    doubtful: BTreeSet<NodeId>,
    /// What people should know who read the verdict.
    doubts: Vec<String>,
}

impl Seats {
    /// Whether nobody sits there, so that nobody can be started.
    pub(crate) fn is_empty(&self, node: NodeId) -> bool {
        self.empty.contains(&node)
    }

    /// Whether the member there may have been removed, and may end of that.
    pub(crate) fn is_doubtful(&self, node: NodeId) -> bool {
        self.doubtful.contains(&node)
    }

    /// Those that stayed empty, or whose member never got its vote, each with the reason.
    pub(crate) fn doubts(&self) -> &[String] {
        &self.doubts
    }
}

impl Cluster {
    /// As [`Target::remove`](nemesis::Target::remove).
    pub(crate) fn remove_member(&mut self, node: NodeId) -> io::Result<(Removal, Vec<Death>)> {
        let began = Instant::now();
        let leader = self.wait_for(self.probes().sighting()).map(|seen| seen.leader);
        let removal = |member: String, refused| Removal {
            member,
            led: leader == Some(node),
            took: since(began),
            refused,
        };
        if let Some(other) = self.seats.empty.first() {
            return Ok((removal(String::new(), Some(format!("the seat of {other} is empty"))), Vec::new()));
        }
        let url = self.known_as(node)?;
        let mut council = self.council(node, leader);
        let deadline = began + REMOVE;
        let found = loop {
            match self.wait_for(council.at(&url)) {
                Some(Some(member)) => break Ok(member),
                Some(None) => break Err("it is no member".to_owned()),
                None if Instant::now() >= deadline => break Err("nobody says who the members are".to_owned()),
                None => {}
            }
        };
        let member = match found {
            Ok(member) => member,
            Err(why) => return Ok((removal(String::new(), Some(why)), Vec::new())),
        };
        let named = number(member.id);
        match self.wait_for(council.remove(&member, deadline)) {
            Changed::Done(_) => {}
            Changed::Refused(why) => {
                self.seats.doubtful.insert(node);
                return Ok((removal(named, Some(why)), Vec::new()));
            }
            Changed::Unknown(why) => {
                self.seats.doubtful.insert(node);
                let why = format!("and nobody knows whether it was removed: {why}");
                return Ok((removal(named, Some(why)), Vec::new()));
            }
        }
        let removal = removal(named, None);
        Ok((removal, self.clear_seat(node)?))
    }

    /// As [`Target::join`](nemesis::Target::join).
    pub(crate) fn join_member(&mut self, node: NodeId) -> io::Result<(Option<Joining>, Vec<Birth>)> {
        let url = self.known_as(node)?;
        let leader = self.wait_for(self.probes().sighting()).map(|seen| seen.leader);
        let mut council = self.council(node, leader);
        let began = Instant::now();
        let deadline = began + JOIN;
        while self.seats.doubtful.contains(&node) {
            match self.wait_for(council.at(&url)) {
                None if Instant::now() < deadline => continue,
                None => self.seats.doubts.push(format!("nobody says whether {node} is a member")),
                Some(Some(_)) => {}
                Some(None) => drop(self.clear_seat(node)?),
            }
            self.seats.doubtful.remove(&node);
        }
        if !self.seats.is_empty(node) {
            return Ok((None, Vec::new()));
        }
        let member = match self.wait_for(council.add(&url, deadline)) {
            Changed::Done(member) => member,
            Changed::Refused(why) | Changed::Unknown(why) => {
                let doubt = format!("the seat of {node} stayed empty for {} s: {why}", JOIN.as_secs());
                self.seats.doubts.push(doubt);
                return Ok((None, Vec::new()));
            }
        };
        let (added, took) = (Instant::now(), since(began));
        self.seats.empty.remove(&node);
        let mut births = vec![Birth { node, pid: self.seat(node)? }];
        let (runtime, mut may_start) = (self.runtime.clone(), Instant::now());
        let watch = || {
            if Instant::now() >= may_start && self.has_ended(node)? {
                may_start = Instant::now() + REST;
                births.push(Birth { node, pid: self.spawn(node)? });
            }
            Ok(())
        };
        let promoted = runtime.block_on(council.promote(member.id, deadline, watch))?;
        let votes = matches!(promoted, Changed::Done(_));
        if let Changed::Refused(why) | Changed::Unknown(why) = promoted {
            let (named, seconds) = (number(member.id), JOIN.as_secs());
            let doubt = format!("member {named} on {node} did not get its vote within {seconds} s: {why}");
            self.seats.doubts.push(doubt);
        }
        let learned = Some(since(added));
        let joining = Joining { member: number(member.id), took, learned, votes };
        Ok((Some(joining), births))
    }

    /// All others, whoever leads first.
    fn council(&self, without: NodeId, leader: Option<NodeId>) -> Council {
        let mut others: Vec<_> = self.addresses().into_iter().filter(|(node, _)| *node != without).collect();
        others.sort_by_key(|(node, _)| Some(*node) != leader);
        Council::of(others.into_iter().map(|(_, address)| address))
    }

    /// Ends the process of one that is no member any more, and forgets what it knew.
    fn clear_seat(&mut self, node: NodeId) -> io::Result<Vec<Death>> {
        self.seats.empty.insert(node);
        let mut deaths = Vec::new();
        if let Some(mut process) = self.take(node)? {
            let ending = process.kill()?;
            // One that found out before we came has ended in good order.
            let (pid, status) = (process.pid(), describe(ending.status));
            deaths.push(Death { node, pid, status, killed: ending.killed() });
        }
        forget(&self.data(node)?)?;
        Ok(deaths)
    }
}

fn since(moment: Instant) -> Span {
    Span::millis(u64::try_from(moment.elapsed().as_millis()).unwrap_or(u64::MAX))
}

fn forget(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
