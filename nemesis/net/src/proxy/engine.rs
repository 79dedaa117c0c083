//! Doors, valves, and a pump per direction of each connection.
//!
//! A [`Door`] is where connections come in, a [`Valve`] says whether they may carry anything. A door
//! leads to one valve, or to several and asks for each connection which: see [`Sorting`].
//!
//! A link may be *long*: then what comes in waits for its time before it goes out, in order, each way. Only bytes
//! that wait are held back by that, so a long link carries as much as a short one, up to the room that it has.
//!
//! Everything is bounded: a pump holds one buffer, and on a long link [`ON_THE_WAY`] of them; the kernel's own
//! buffers hold what comes after it and then push back on the sender, and a link carries only so many connections at
//! a time, so that one which is held cannot use up the room of another behind the same door.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use nemesis::{LinkCounts, Sever};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::proxy::origin::Dispatcher;

/// What a pump reads at once, and the most it ever holds.
const BUFFER: usize = 16 * 1024;

/// How many buffers are on their way over a long link, in each direction of a connection.
const ON_THE_WAY: usize = 64;

/// The most connections that one link carries or holds. Peers need a few.
const MOST_CONNECTIONS: u64 = 256;

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
    /// Connections there ever were.
    entered: AtomicU64,
    /// How long the link is, in nanoseconds.
    delay: AtomicU64,
}

impl Counters {
    fn read(&self) -> LinkCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (refused, held, bytes) = (get(&self.refused), get(&self.held), get(&self.bytes));
        LinkCounts { refused, held, bytes, strangers: 0 }
    }
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

/// Whether a link carries anything. Dropping it breaks every connection of that link.
#[derive(Debug)]
pub struct Valve {
    gate: watch::Sender<Gate>,
    counters: Arc<Counters>,
}

impl Valve {
    /// An open one.
    pub fn open() -> Valve {
        let (gate, _) = watch::channel(Gate { state: State::Open, cuts: 0 });
        Valve { gate, counters: Arc::default() }
    }

    /// The way through it, for a door.
    pub fn passage(&self) -> Passage {
        Passage { gate: self.gate.subscribe(), counters: Arc::clone(&self.counters) }
    }

    /// How many connections it ever let in, and how many of them are open now.
    pub fn visits(&self) -> (u64, u64) {
        let alive = self.counters.alive.load(Ordering::SeqCst);
        (self.counters.entered.load(Ordering::SeqCst), alive) // in this order: who is counted here has entered
    }

    /// Makes the link so long: what enters it from now on takes so much longer to arrive, each way. Connections
    /// that it carries already stay as short as they are.
    pub fn lengthen(&self, delay: Duration) {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.counters.delay.store(nanos, Ordering::Relaxed);
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

/// How a door tells which link a connection belongs to.
#[derive(Clone, Debug)]
pub enum Sorting {
    /// There is only this one.
    One(Passage),
    /// By who dialled.
    ByDialler(Dispatcher),
}

impl Sorting {
    /// The most connections that may be behind such a door: those of all links, and as many again
    /// whose link is not known yet.
    fn most(&self) -> u64 {
        let links = match self {
            Sorting::One(_) => 1,
            Sorting::ByDialler(dispatcher) => dispatcher.links(),
        };
        (links + 1) * MOST_CONNECTIONS
    }
}

/// Where connections to one address come in. Dropping it closes it, and every connection.
#[derive(Debug)]
pub struct Door {
    entrance: SocketAddr,
    _keeper: AbortOnDropHandle<()>,
}

impl Door {
    /// Opens one on a free port of loopback.
    pub async fn open(upstream: SocketAddr, sorting: Sorting) -> io::Result<Door> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let entrance = listener.local_addr()?;
        let keeper = AbortOnDropHandle::new(tokio::spawn(keep(listener, upstream, sorting)));
        Ok(Door { entrance, _keeper: keeper })
    }

    /// Where to dial.
    pub fn entrance(&self) -> SocketAddr {
        self.entrance
    }
}

/// Lets connections in, each into a task of its own.
async fn keep(listener: TcpListener, upstream: SocketAddr, sorting: Sorting) {
    let most = sorting.most();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) if connections.len() as u64 >= most => {
                    tracing::warn!(%upstream, "more than {most} connections: one is turned away");
                    reset(&client);
                }
                Ok((client, _)) => {
                    connections.spawn(enter(client, upstream, sorting.clone()));
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

/// Finds the link that a connection belongs to. Until then nothing is read from it.
async fn enter(client: TcpStream, upstream: SocketAddr, sorting: Sorting) {
    let passage = match sorting {
        Sorting::One(passage) => passage,
        Sorting::ByDialler(dispatcher) => match dispatcher.passage(&client).await {
            Some(passage) => passage,
            None => return reset(&client),
        },
    };
    if let Some((visit, alive)) = passage.admit(&client) {
        visit.carry(client, upstream, alive).await;
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

/// What is on its way over a long link: bytes, or no bytes, which is an end in good order, or another end.
type Passenger = Result<Vec<u8>, Broken>;

/// Counts a connection among the living for as long as it lives.
struct Alive(Arc<Counters>);

impl Alive {
    fn new(counters: Arc<Counters>) -> Alive {
        counters.entered.fetch_add(1, Ordering::SeqCst);
        counters.alive.fetch_add(1, Ordering::SeqCst);
        Alive(counters)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The way through a valve.
#[derive(Clone, Debug)]
pub struct Passage {
    gate: watch::Receiver<Gate>,
    counters: Arc<Counters>,
}

impl Passage {
    /// Lets a connection in, unless the link is cut or full; then it is turned away at once.
    fn admit(&self, client: &TcpStream) -> Option<(Visit, Alive)> {
        let gate = self.gate.borrow(); // while it is borrowed, nobody severs or mends
        if gate.state == State::Severed(Sever::Cut) {
            count(&self.counters.refused, 1);
            reset(client);
            return None;
        }
        if self.counters.alive.load(Ordering::Relaxed) >= MOST_CONNECTIONS {
            tracing::warn!("more than {MOST_CONNECTIONS} connections on one link: one is turned away");
            reset(client);
            return None;
        }
        if gate.state == State::Severed(Sever::Hold) {
            count(&self.counters.held, 1);
        }
        let visit = Visit { gate: self.gate.clone(), born: gate.cuts, counters: Arc::clone(&self.counters) };
        Some((visit, Alive::new(Arc::clone(&self.counters))))
    }
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
            self.part(client, server).await;
        }
    }

    /// Breaks both ends: at once if they were cut, else when the link is open. That one end failed is
    /// news for the other, and waits like any other.
    async fn part(&mut self, client: TcpStream, server: TcpStream) {
        loop {
            let was_cut = self.open().await.is_err();
            let gate = self.gate.borrow(); // while it is borrowed, nobody severs
            if was_cut || self.passable(&gate) {
                reset(&client);
                reset(&server);
                drop((client, server)); // now, and not when the gate is let go
                return;
            }
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
        let delay = Duration::from_nanos(self.counters.delay.load(Ordering::Relaxed));
        if delay.is_zero() {
            let forth = self.clone().pump(from_client, to_server);
            let back = self.clone().pump(from_server, to_client);
            tokio::try_join!(forth, back).map(|_| ())
        } else {
            let forth = pin!(self.clone().haul(delay, from_client, to_server));
            let back = pin!(self.clone().haul(delay, from_server, to_client));
            match select(forth, back).await {
                Either::Left((Ok(()), other)) | Either::Right((Ok(()), other)) => other.await,
                // What one end had sent before it failed is on its way, and arrives.
                Either::Left((broken, other)) | Either::Right((broken, other)) => {
                    let _late_or_broken = timeout(delay, other).await;
                    broken
                }
            }
        }
    }

    /// Carries one direction to its end, and the end too: what was held is delivered before it.
    async fn pump(mut self, mut from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), Broken> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = tokio::select! {
                biased;
                () = self.cut() => return Err(Broken),
                read = from.read(&mut buffer) => read,
            };
            match read {
                Ok(0) => return self.finish(&to).await,
                Ok(length) => self.deliver(&buffer[..length], &to).await?,
                Err(_) => return Err(Broken),
            }
        }
    }

    /// As [`pump`](Visit::pump), over a long way: all that enters leaves it so much later.
    async fn haul(self, delay: Duration, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), Broken> {
        let (entrance, exit) = mpsc::channel(ON_THE_WAY);
        tokio::try_join!(self.clone().enter_way(delay, from, entrance), self.leave_way(exit, to)).map(|_| ())
    }

    /// Puts what comes in on its way, with the time at which it may leave; last, how it ended.
    async fn enter_way(
        mut self,
        delay: Duration,
        mut from: ReadHalf<'_>,
        entrance: mpsc::Sender<(Instant, Passenger)>,
    ) -> Result<(), Broken> {
        let mut over = false;
        while !over {
            let mut buffer = vec![0; BUFFER];
            let read = tokio::select! {
                biased;
                () = self.cut() => return Err(Broken),
                read = from.read(&mut buffer) => read,
            };
            over = !matches!(read, Ok(1..));
            let passenger = read.map_err(Broken::from).map(|length| {
                buffer.truncate(length);
                buffer
            });
            entrance.send((Instant::now() + delay, passenger)).await.map_err(|_| Broken)?;
        }
        Ok(())
    }

    /// Takes from the way what may leave it.
    async fn leave_way(
        mut self,
        mut exit: mpsc::Receiver<(Instant, Passenger)>,
        to: WriteHalf<'_>,
    ) -> Result<(), Broken> {
        while let Some((due, passenger)) = exit.recv().await {
            tokio::select! {
                biased;
                () = self.cut() => return Err(Broken),
                () = tokio::time::sleep_until(due) => {}
            }
            let bytes = passenger?;
            if bytes.is_empty() {
                return self.finish(&to).await;
            }
            self.deliver(&bytes, &to).await?;
        }
        Err(Broken)
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
        if !self.passable(&gate) {
            return Ok(0);
        }
        match to.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// Delivers the end of the stream, when the link is open.
    async fn finish(&mut self, to: &WriteHalf<'_>) -> Result<(), Broken> {
        loop {
            self.open().await?;
            if self.close(to.as_ref())? {
                return Ok(());
            }
        }
    }

    /// Says that nothing more will come, if the link is open; says nothing otherwise. Tells which.
    fn close(&self, to: &TcpStream) -> io::Result<bool> {
        let gate = self.gate.borrow(); // while it is borrowed, nobody severs
        let passable = self.passable(&gate);
        if passable {
            socket2::SockRef::from(to).shutdown(Shutdown::Write)?;
        }
        Ok(passable)
    }

    /// Whether this connection may carry anything now.
    fn passable(&self, gate: &Gate) -> bool {
        gate.state == State::Open && gate.cuts == self.born
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(dialled, listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    async fn visit(valve: &Valve) -> Visit {
        let (client, _far) = pair().await;
        valve.passage().admit(&client).expect("an open valve lets it in").0
    }

    #[tokio::test]
    async fn neither_bytes_nor_their_end_pass_once_a_link_is_held_however_late_it_is() {
        let valve = Valve::open();
        let visit = visit(&valve).await;
        let (mut near, far) = pair().await;
        // A pump has just seen that the link is open, and the hold comes before it acts.
        valve.sever(Sever::Hold);
        assert!(!visit.close(&near).unwrap());
        assert_eq!(visit.pass(b"bytes", &near.split().1).unwrap(), 0);
        let nothing = far.try_read(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);

        valve.mend();
        assert!(visit.close(&near).unwrap());
        far.readable().await.unwrap();
        assert_eq!(far.try_read(&mut [0]).unwrap(), 0);
    }

    #[tokio::test]
    async fn that_one_end_failed_is_news_which_a_hold_keeps_back() {
        let valve = Valve::open();
        let mut visit = visit(&valve).await;
        let ((near, _dialler), (server, far)) = (pair().await, pair().await);
        valve.sever(Sever::Hold);
        let parting = tokio::spawn(async move { visit.part(near, server).await });
        tokio::task::yield_now().await;
        assert_eq!(far.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        valve.mend();
        parting.await.unwrap();
        far.readable().await.unwrap();
        assert_eq!(far.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
