//! A network of proxies: one for each direction between two nodes.
//!
//! Node a does not dial node b, but the entrance of the link a→b, and the proxy behind it dials b.
//! Peers speak over a connection of their own in each direction (a's messages travel on the
//! connection that a opened), so a cut link silences a towards b and leaves b→a alone; what flows
//! backwards on the same connection is only flow control, and stops with it.
//!
//! [`Network`] decides which links are open; the engine in [`engine`] moves the bytes and knows
//! nothing of nodes. Delays, limits and the other stages of a Toxiproxy would stand in the engine's
//! pump, between reading and writing, and need nothing of the policy here.
//!
//! Why this is safe to believe: [`Network::sever`] has taken effect when it returns. A pump writes
//! only while it holds the gate's read lock, and severing takes the write lock, so no byte passes
//! afterwards. [`Network::mend`] lets the held bytes go at once, in order, with no retransmission
//! timer in between: a heal does not wait for TCP's backoff.
//!
//! What it cannot do: lose a single packet, and refuse a connection in the kernel. A cut link accepts
//! and resets at once.

pub mod engine;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use nemesis::{Link, LinkCounts, Sever};

use crate::proxy::engine::Proxy;

/// The network could not be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot open a proxy for {link}: {source}")]
pub struct NetworkError {
    link: Link,
    source: io::Error,
}

/// All links of a cluster. Dropping it closes every connection.
#[derive(Debug)]
pub struct Network {
    links: BTreeMap<Link, Proxy>,
}

impl Network {
    /// Opens a proxy per link, each to the address where its far end really listens. Runs on the
    /// async runtime of the caller.
    pub async fn open(links: impl IntoIterator<Item = (Link, SocketAddr)>) -> Result<Network, NetworkError> {
        let mut open = BTreeMap::new();
        for (link, upstream) in links {
            let proxy = Proxy::open(upstream).await.map_err(|source| NetworkError { link, source })?;
            open.insert(link, proxy);
        }
        Ok(Network { links: open })
    }

    /// Where `link.from` must dial to reach `link.to`.
    pub fn entrance(&self, link: Link) -> Option<SocketAddr> {
        self.links.get(&link).map(Proxy::entrance)
    }

    /// Severs these links. None of them passes a byte after this returned.
    pub fn sever(&self, links: &BTreeSet<Link>, how: Sever) -> io::Result<()> {
        let found = links.iter().map(|link| self.proxy(*link)).collect::<io::Result<Vec<&Proxy>>>()?;
        for proxy in found {
            proxy.sever(how);
        }
        Ok(())
    }

    /// Mends these links, at once, and tells what each kept from arriving since it was severed.
    pub fn mend(&self, links: &BTreeSet<Link>) -> io::Result<BTreeMap<Link, LinkCounts>> {
        links.iter().map(|link| Ok((*link, self.proxy(*link)?.mend()))).collect()
    }

    fn proxy(&self, link: Link) -> io::Result<&Proxy> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("there is no link {link}"));
        self.links.get(&link).ok_or_else(unknown)
    }
}
