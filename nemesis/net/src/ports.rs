//! Ports that stay ours while nobody listens on them.
//!
//! A node is told its port before it starts, and must find it free again after each kill. Asking the
//! kernel for a free port and letting go of it leaves a gap in which another run, or any outgoing
//! connection of this machine, may be given the same one.
//!
//! So the port is kept *bound* for the whole run by a socket that never listens. The kernel gives
//! nobody a bound port by itself: neither to a bind to port 0 nor to an outgoing connection. But
//! Linux lets a second socket bind it by number if both have set `SO_REUSEADDR` and neither listens
//! yet, and servers set that flag as a matter of course (the standard library, tokio, Go and Redis
//! do). While no node listens, a connection to the port is refused, as it should be.
//!
//! Left out: a program that asks for our very number with the same flag gets it, too. Nothing but a
//! person who types it does that.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port on loopback, ours until dropped.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    /// Bound, never listening.
    _bound: Socket,
}

impl Port {
    /// Takes a free port.
    pub fn reserve() -> io::Result<Port> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket();
        let address = address.ok_or_else(|| io::Error::other("an IPv4 socket has no IPv4 address"))?;
        Ok(Port { address, _bound: socket })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_reserved_port_refuses_until_its_node_listens_and_again_after_it_died() {
        let port = Port::reserve().unwrap();
        for _ in 0..3 {
            let refused = TcpStream::connect(port.address()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let node = TcpListener::bind(port.address()).expect("the node may have it");
            let client = TcpStream::connect(port.address()).unwrap();
            let (server, _) = node.accept().unwrap();
            drop(server); // the server closes first: its side lingers in TIME_WAIT
            drop(client);
        }
    }

    #[test]
    fn nobody_else_is_given_a_reserved_port() {
        let ours: Vec<Port> = (0..50).map(|_| Port::reserve().unwrap()).collect();
        let numbers: BTreeSet<SocketAddr> = ours.iter().map(Port::address).collect();
        assert_eq!(numbers.len(), ours.len());
        let others: Vec<TcpListener> = (0..200).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        assert!(others.iter().all(|other| !numbers.contains(&other.local_addr().unwrap())));
    }
}
