//! A network of proxies between nodes.
//!
//! Node a does not dial node b, but the entrance of the link a→b, and the proxy behind it dials b.
//! Our own nodes can be told a different address for each peer, so that each link has an entrance of
//! its own ([`Network::open`]). Other programs cannot: etcd wants the same list of addresses on every
//! member. Then all links to a node share one entrance ([`Network::open_shared`]), and the proxy finds
//! out which of them a connection belongs to: see [`origin`].
//!
//! What a link means is up to the peers. Ours speak over a connection of their own in each direction (a's messages travel on the
//! connection that a opened), so a cut link silences a towards b and leaves b→a alone; what flows
//! backwards on the same connection is only flow control, and stops with it. For others, a link a→b is
//! *the connections that a dialled to b*, whichever way the messages go. In etcd the dialler of a
//! stream is the receiver of its messages, and what a stream does not take is posted over a connection
//! of the sender. A cut of both directions silences both all the same; a cut of one direction is only
//! as much as the protocol makes of it.
//!
//! [`Network`] decides which links are open; the engine in [`engine`] moves the bytes and knows
//! nothing of nodes. Limits and the other stages of a Toxiproxy would stand in the engine's pump, where delays do,
//! between reading and writing, and need nothing of the policy here.
//!
//! Why this is safe to believe: [`Network::sever`] has taken effect when it returns. A pump writes
//! only while it holds the gate's read lock, and severing takes the write lock, so no byte passes
//! afterwards. [`Network::mend`] lets the held bytes go at once, in order, with no retransmission
//! timer in between: a heal does not wait for TCP's backoff.
//!
//! What it cannot do: lose a single packet, and refuse a connection in the kernel. A cut link accepts
//! and resets at once.

pub mod engine;
pub mod origin;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nemesis::{Link, LinkCounts, NodeId, Sever};

use crate::proxy::engine::{Door, Sorting, Valve};
use crate::proxy::origin::{Dispatcher, Owners};

/// The network could not be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot open a proxy for {what}: {source}")]
pub struct NetworkError {
    /// A link, or a node that many link to.
    what: String,
    source: io::Error,
}

/// All links of a cluster. Dropping it closes every connection.
#[derive(Debug)]
pub struct Network {
    valves: BTreeMap<Link, Valve>,
    entrances: BTreeMap<Link, SocketAddr>,
    owners: Owners,
    /// For those who dial a node and are none, by that node. Never severed.
    strangers: BTreeMap<NodeId, Valve>,
    /// Per severed link, how many strangers had come and gone by then at the node where it ends.
    gone: Mutex<BTreeMap<Link, u64>>,
    doors: Vec<Door>,
}

impl Network {
    /// Opens an entrance per link, each to the address where its far end really listens. Runs on the
    /// async runtime of the caller.
    pub async fn open(links: impl IntoIterator<Item = (Link, SocketAddr)>) -> Result<Network, NetworkError> {
        let mut network = Network::empty();
        for (link, upstream) in links {
            let valve = Valve::open();
            let door = door(&link, upstream, Sorting::One(valve.passage())).await?;
            network.entrances.insert(link, door.entrance());
            network.valves.insert(link, valve);
            network.doors.push(door);
        }
        Ok(network)
    }

    /// Opens an entrance per node, to the address where it really listens, for all links to it. They
    /// are told apart by who dials, so each process has to be announced with [`Network::owns`].
    pub async fn open_shared(nodes: &BTreeMap<NodeId, SocketAddr>) -> Result<Network, NetworkError> {
        let mut network = Network::empty();
        for (to, upstream) in nodes {
            let mut passages = BTreeMap::new();
            let others = nodes.keys().filter(|from| *from != to);
            let links: Vec<Link> = others.map(|from| Link::new(*from, *to)).collect();
            for link in &links {
                let valve = Valve::open();
                passages.insert(link.from, valve.passage());
                network.valves.insert(*link, valve);
            }
            let strangers = Valve::open();
            let dispatcher = Dispatcher::new(network.owners.clone(), passages, strangers.passage());
            network.strangers.insert(*to, strangers);
            let door = door(to, *upstream, Sorting::ByDialler(dispatcher)).await?;
            network.entrances.extend(links.into_iter().map(|link| (link, door.entrance())));
            network.doors.push(door);
        }
        Ok(network)
    }

    fn empty() -> Network {
        Network {
            valves: BTreeMap::new(),
            entrances: BTreeMap::new(),
            owners: Owners::default(),
            strangers: BTreeMap::new(),
            gone: Mutex::default(),
            doors: Vec::new(),
        }
    }

    /// Where `link.from` must dial to reach `link.to`.
    pub fn entrance(&self, link: Link) -> Option<SocketAddr> {
        self.entrances.get(&link).copied()
    }

    /// From now on, what this process dials, this node dials.
    pub fn owns(&self, node: NodeId, pid: u32) {
        self.owners.insert(node, pid);
    }

    /// Makes every link so long: each byte takes so much longer from node to node. To be said before anybody dials.
    pub fn lengthen(&self, delay: Duration) {
        for valve in self.valves.values().chain(self.strangers.values()) {
            valve.lengthen(delay);
        }
    }

    /// Severs these links. None of them passes a byte after this returned.
    pub fn sever(&self, links: &BTreeSet<Link>, how: Sever) -> io::Result<()> {
        let found = links.iter().map(|link| Ok((*link, self.valve(*link)?)));
        for (link, valve) in found.collect::<io::Result<Vec<(Link, &Valve)>>>()? {
            valve.sever(how);
            let (entered, alive) = self.strangers(link);
            self.gone().insert(link, entered - alive);
        }
        Ok(())
    }

    /// Mends these links, at once, and tells what each kept from arriving since it was severed.
    pub fn mend(&self, links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, LinkCounts>> {
        let mend = |link: &Link| {
            let counts = self.valve(*link)?.mend();
            let (entered, _) = self.strangers(*link);
            let gone = self.gone().remove(link).unwrap_or(entered);
            Ok((*link, LinkCounts { strangers: entered - gone, ..counts }))
        };
        links.iter().map(mend).collect()
    }

    /// How many strangers ever came to the node where this link ends, and how many are there now.
    fn strangers(&self, link: Link) -> (u64, u64) {
        self.strangers.get(&link.to).map_or((0, 0), Valve::visits)
    }

    /// A panic elsewhere leaves no half-written entry.
    fn gone(&self) -> MutexGuard<'_, BTreeMap<Link, u64>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn valve(&self, link: Link) -> io::Result<&Valve> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("there is no link {link}"));
        self.valves.get(&link).ok_or_else(unknown)
    }
}

async fn door(what: &impl ToString, upstream: SocketAddr, sorting: Sorting) -> Result<Door, NetworkError> {
    let open = Door::open(upstream, sorting).await;
    open.map_err(|source| NetworkError { what: what.to_string(), source })
}
