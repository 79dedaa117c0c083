//! One proxy: a door, a gate, and a pump per direction of each connection.
//!
//! Everything is bounded: a pump holds one buffer, the kernel's own buffers hold what comes after it
//! and then push back on the sender, and a door lets in only so many connections at a time.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nemesis::{LinkCounts, Sever};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// What a pump reads at once, and the most it ever holds.
const BUFFER: usize = 16 * 1024;

/// The most connections that one link carries or holds. Peers need one.
const MOST_CONNECTIONS: usize = 256;

/// Rest after a failed accept: the machine is out of descriptors, and asking faster gives none.
const REST: Duration = Duration::from_millis(20);

/// Whether bytes may pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    Severed(Sever),
}

/// The state of a link, and how often it was cut: a connection that was born before the latest cut
/// is broken, even if the link was mended before anyone looked.
#[derive(Clone, Copy, Debug)]
struct Gate {
    state: State,
    cuts: u64,
}

/// Counts since the link was severed.
#[derive(Debug, Default)]
struct Counters {
    refused: AtomicU64,
    held: AtomicU64,
    bytes: AtomicU64,
    /// Connections there are now.
    alive: AtomicU64,
}

impl Counters {
    fn read(&self) -> LinkCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkCounts { refused: get(&self.refused), held: get(&self.held), bytes: get(&self.bytes) }
    }
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

/// A proxy in front of one address. Dropping it closes the door and every connection.
#[derive(Debug)]
pub struct Proxy {
    entrance: SocketAddr,
    gate: watch::Sender<Gate>,
    counters: Arc<Counters>,
    _door: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Opens one on a free port of loopback.
    pub async fn open(upstream: SocketAddr) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let entrance = listener.local_addr()?;
        let (gate, watcher) = watch::channel(Gate { state: State::Open, cuts: 0 });
        let counters = Arc::new(Counters::default());
        let door = door(listener, upstream, watcher, Arc::clone(&counters));
        let door = AbortOnDropHandle::new(tokio::spawn(door));
        Ok(Proxy { entrance, gate, counters, _door: door })
    }

    /// Where to dial.
    pub fn entrance(&self) -> SocketAddr {
        self.entrance
    }

    /// Lets nothing pass from now on.
    pub fn sever(&self, how: Sever) {
        self.gate.send_modify(|gate| {
            let alive = self.counters.alive.load(Ordering::Relaxed);
            let (refused, held) = match how {
                Sever::Hold => (0, alive),
                Sever::Cut => (alive, 0),
            };
            self.counters.refused.store(refused, Ordering::Relaxed);
            self.counters.held.store(held, Ordering::Relaxed);
            self.counters.bytes.store(0, Ordering::Relaxed);
            gate.cuts += u64::from(how == Sever::Cut);
            gate.state = State::Severed(how);
        });
    }

    /// Lets everything pass from now on; what was held goes first. Tells what was kept back.
    pub fn mend(&self) -> LinkCounts {
        let mut counts = LinkCounts::default();
        self.gate.send_modify(|gate| {
            counts = self.counters.read();
            gate.state = State::Open;
        });
        counts
    }
}

/// Lets connections in, each into a task of its own.
async fn door(
    listener: TcpListener,
    upstream: SocketAddr,
    gate: watch::Receiver<Gate>,
    counters: Arc<Counters>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) if connections.len() >= MOST_CONNECTIONS => {
                    tracing::warn!(%upstream, "more than {MOST_CONNECTIONS} connections: one is turned away");
                    reset(&client);
                }
                Ok((client, _)) => {
                    if let Some((visit, alive)) = admit(&client, &gate, &counters) {
                        connections.spawn(visit.carry(client, upstream, alive));
                    }
                }
                Err(error) => {
                    tracing::warn!(%upstream, %error, "a connection could not be accepted");
                    tokio::time::sleep(REST).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Closes with RST instead of FIN: whatever was under way is gone, and the other side is told so.
fn reset(stream: &TcpStream) {
    if let Err(error) = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "a connection ends without a reset");
    }
}

/// The connection is to end with a reset: it was cut, or one of its ends failed.
struct Broken;

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Broken {
        Broken // the other end learns of it by the reset; there is nobody else to tell
    }
}

/// Counts a connection among the living for as long as it lives.
struct Alive(Arc<Counters>);

impl Alive {
    fn new(counters: Arc<Counters>) -> Alive {
        count(&counters.alive, 1);
        Alive(counters)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets a connection in, unless the link is cut; then it is turned away at once.
fn admit(
    client: &TcpStream,
    watcher: &watch::Receiver<Gate>,
    counters: &Arc<Counters>,
) -> Option<(Visit, Alive)> {
    let gate = watcher.borrow(); // while it is borrowed, nobody severs or mends
    match gate.state {
        State::Severed(Sever::Cut) => {
            count(&counters.refused, 1);
            reset(client);
            return None;
        }
        State::Severed(Sever::Hold) => count(&counters.held, 1),
        State::Open => {}
    }
    let visit = Visit { gate: watcher.clone(), born: gate.cuts, counters: Arc::clone(counters) };
    Some((visit, Alive::new(Arc::clone(counters))))
}

/// One connection's view of the gate.
#[derive(Clone)]
struct Visit {
    gate: watch::Receiver<Gate>,
    /// How many cuts there had been when it was let in.
    born: u64,
    counters: Arc<Counters>,
}

impl Visit {
    /// Connects both ends and carries bytes until both are through, or one breaks.
    async fn carry(mut self, mut client: TcpStream, upstream: SocketAddr, _alive: Alive) {
        let Ok(mut server) = self.dial(upstream).await else { return reset(&client) };
        if self.exchange(&mut client, &mut server).await.is_err() {
            reset(&client);
            reset(&server);
        }
    }

    async fn dial(&mut self, upstream: SocketAddr) -> Result<TcpStream, Broken> {
        self.open().await?;
        tokio::select! {
            biased;
            () = self.cut() => Err(Broken),
            dialled = TcpStream::connect(upstream) => Ok(dialled?),
        }
    }

    async fn exchange(&self, client: &mut TcpStream, server: &mut TcpStream) -> Result<(), Broken> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let forth = self.clone().pump(from_client, to_server);
        let back = self.clone().pump(from_server, to_client);
        tokio::try_join!(forth, back).map(|_| ())
    }

    /// Carries one direction to its end, and the end too: what was held is delivered before it.
    async fn pump(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Broken> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = tokio::select! {
                biased;
                () = self.cut() => return Err(Broken),
                read = from.read(&mut buffer) => read,
            };
            match read {
                Ok(0) => {
                    self.open().await?;
                    return Ok(to.shutdown().await?);
                }
                Ok(length) => self.deliver(&buffer[..length], &to).await?,
                Err(_) => {
                    self.open().await?; // that one end failed is news as well, and waits like any other
                    return Err(Broken);
                }
            }
        }
    }

    async fn deliver(&mut self, mut bytes: &[u8], to: &WriteHalf<'_>) -> Result<(), Broken> {
        while !bytes.is_empty() {
            if self.gate.borrow().state != State::Open {
                count(&self.counters.bytes, bytes.len());
            }
            self.open().await?;
            tokio::select! {
                biased;
                changed = self.gate.changed() => changed.map_err(|_| Broken)?,
                ready = to.writable() => {
                    ready?;
                    let written = self.pass(bytes, to)?;
                    bytes = &bytes[written..];
                }
            }
        }
        Ok(())
    }

    /// Writes what fits, if the link is open; none otherwise.
    fn pass(&self, bytes: &[u8], to: &WriteHalf<'_>) -> io::Result<usize> {
        let gate = self.gate.borrow(); // while it is borrowed, nobody severs
        if gate.state != State::Open || gate.cuts != self.born {
            return Ok(0);
        }
        match to.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// Waits until the link is open.
    async fn open(&mut self) -> Result<(), Broken> {
        let born = self.born;
        let passable = |gate: &Gate| gate.cuts != born || gate.state == State::Open;
        let gate = self.gate.wait_for(passable).await.map_err(|_| Broken)?;
        if gate.cuts == born { Ok(()) } else { Err(Broken) }
    }

    /// Returns when this connection has been cut.
    async fn cut(&mut self) {
        let born = self.born;
        // A gate that is gone takes its connections with it.
        let _gone_or_cut = self.gate.wait_for(|gate| gate.cuts != born).await;
    }
}
