//! The proxies, on real sockets.
#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nemesis::{Link, NodeId, Sever};
use nemesis_net::{Network, Port};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Long enough that only a hang exceeds it.
const DEADLINE: Duration = Duration::from_secs(20);

const FORTH: Link = Link { from: NodeId(1), to: NodeId(2) };
const BACK: Link = Link { from: NodeId(2), to: NodeId(1) };

/// Answers every byte with the same byte.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    address
}

async fn network() -> Network {
    Network::open([(FORTH, echo().await), (BACK, echo().await)]).await.unwrap()
}

async fn dial(network: &Network, link: Link) -> TcpStream {
    TcpStream::connect(network.entrance(link).unwrap()).await.unwrap()
}

async fn hears(stream: &mut TcpStream, expected: &[u8]) {
    let mut heard = vec![0; expected.len()];
    timeout(DEADLINE, stream.read_exact(&mut heard)).await.expect("an answer in time").unwrap();
    assert_eq!(heard, expected);
}

async fn answers(stream: &mut TcpStream, said: &[u8]) {
    stream.write_all(said).await.unwrap();
    hears(stream, said).await;
}

/// Nothing is there to be read now. Whoever calls it has seen the proxy take the bytes before.
fn silent(stream: &TcpStream) {
    let mut buffer = [0; 1];
    assert_eq!(stream.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
}

async fn is_reset(stream: &mut TcpStream) {
    let mut buffer = [0; 1];
    let read = timeout(DEADLINE, stream.read(&mut buffer)).await.expect("an end in time");
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

fn only(link: Link) -> BTreeSet<Link> {
    [link].into()
}

#[tokio::test]
async fn an_open_link_carries_bytes_and_the_end_of_the_stream() {
    let network = network().await;
    let mut stream = dial(&network, FORTH).await;
    answers(&mut stream, b"hello").await;
    let sent = vec![7; 3_000_000]; // more than all buffers on the way: pushing back must not deadlock
    let (mut from, mut to) = stream.split();
    let say = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let both = async { tokio::join!(say, from.read_to_end(&mut heard)) };
    timeout(DEADLINE, both).await.expect("all of it in time").1.unwrap();
    assert_eq!(heard, sent);
}

/// How long the long links of these tests are.
const LONG: Duration = Duration::from_millis(40);

#[tokio::test]
async fn a_long_link_delivers_everything_in_order_and_nothing_before_its_time() {
    let network = network().await;
    network.lengthen(LONG);
    let mut stream = dial(&network, FORTH).await;
    let began = Instant::now();
    answers(&mut stream, b"hello").await;
    assert!(began.elapsed() >= 2 * LONG, "there and back");
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let (mut from, mut to) = stream.split();
    let say = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let both = async { tokio::join!(say, from.read_to_end(&mut heard)) };
    timeout(DEADLINE, both).await.expect("all of it in time").1.unwrap();
    assert!(heard == sent, "{} bytes of {}", heard.len(), sent.len());
}

#[tokio::test]
async fn what_is_on_its_way_over_a_long_link_is_held_or_lost_with_it() {
    let network = network().await;
    network.lengthen(LONG);
    let mut stream = dial(&network, FORTH).await;
    stream.write_all(b"held").await.unwrap();
    network.sever(&only(FORTH), Sever::Hold).unwrap();
    let mut other = dial(&network, BACK).await;
    answers(&mut other, b"time passes").await;
    answers(&mut other, b"more than it takes").await;
    silent(&stream);
    network.mend(&only(FORTH)).unwrap();
    hears(&mut stream, b"held").await;
    stream.write_all(b"lost").await.unwrap();
    network.sever(&only(FORTH), Sever::Cut).unwrap();
    network.mend(&only(FORTH)).unwrap();
    is_reset(&mut stream).await;
}

/// Whoever dies has said what he said.
#[tokio::test]
async fn what_somebody_said_before_he_died_arrives_over_a_long_link() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let network = Network::open([(FORTH, listener.local_addr().unwrap())]).await.unwrap();
    network.lengthen(LONG);
    let mut near = dial(&network, FORTH).await;
    let (mut far, _) = timeout(DEADLINE, listener.accept()).await.expect("a connection in time").unwrap();
    near.write_all(b"last words").await.unwrap();
    SockRef::from(&near).set_linger(Some(Duration::ZERO)).unwrap();
    drop(near);
    hears(&mut far, b"last words").await;
    is_reset(&mut far).await;
}

#[tokio::test]
async fn a_held_link_delivers_after_the_heal_in_order_and_counts_what_it_held() {
    let network = network().await;
    let mut old = dial(&network, FORTH).await;
    answers(&mut old, b"before").await;
    network.sever(&only(FORTH), Sever::Hold).unwrap();

    old.write_all(b"first ").await.unwrap();
    let mut new = dial(&network, FORTH).await;
    new.write_all(b"elsewhere").await.unwrap();
    // Another link is open, and passes the time: its proxy shares this one's thread.
    let mut other = dial(&network, BACK).await;
    for _ in 0..50 {
        answers(&mut other, b"tick").await;
    }
    silent(&old);
    silent(&new);

    old.write_all(b"second").await.unwrap();
    let kept = network.mend(&only(FORTH)).unwrap()[&FORTH];
    assert_eq!((kept.refused, kept.held), (0, 2));
    assert_eq!(kept.bytes, 6, "the pump held what it had read; the rest waited in the kernel");
    hears(&mut old, b"first second").await;
    hears(&mut new, b"elsewhere").await;
    answers(&mut old, b"after").await;
}

#[tokio::test]
async fn an_end_that_comes_while_a_link_is_held_arrives_after_the_bytes() {
    let network = network().await;
    let mut stream = dial(&network, FORTH).await;
    answers(&mut stream, b"before").await;
    network.sever(&only(FORTH), Sever::Hold).unwrap();
    stream.write_all(b"last words").await.unwrap();
    stream.shutdown().await.unwrap();
    network.mend(&only(FORTH)).unwrap();
    let mut heard = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut heard)).await.expect("an end in time").unwrap();
    assert_eq!(heard, b"last words");
}

#[tokio::test]
async fn a_cut_link_breaks_its_connections_turns_new_ones_away_and_leaves_the_other_direction_alone() {
    let network = network().await;
    let (mut forth, mut back) = (dial(&network, FORTH).await, dial(&network, BACK).await);
    answers(&mut forth, b"hello").await;
    answers(&mut back, b"hello").await;
    network.sever(&only(FORTH), Sever::Cut).unwrap();

    is_reset(&mut forth).await;
    is_reset(&mut dial(&network, FORTH).await).await;
    answers(&mut back, b"still here").await;

    let kept = network.mend(&only(FORTH)).unwrap()[&FORTH];
    assert_eq!((kept.refused, kept.held, kept.bytes), (2, 0, 0));
    let mut again = dial(&network, FORTH).await;
    answers(&mut again, b"healed").await;
}

#[tokio::test]
async fn a_cut_that_is_mended_before_anyone_looked_still_broke_what_was_open() {
    let network = network().await;
    let mut stream = dial(&network, FORTH).await;
    answers(&mut stream, b"hello").await;
    network.sever(&only(FORTH), Sever::Cut).unwrap();
    network.mend(&only(FORTH)).unwrap();
    is_reset(&mut stream).await;
}

#[tokio::test]
async fn counts_start_anew_with_each_cut() {
    let network = network().await;
    let mut stream = dial(&network, FORTH).await;
    answers(&mut stream, b"hello").await;
    network.sever(&only(FORTH), Sever::Hold).unwrap();
    assert_eq!(network.mend(&only(FORTH)).unwrap()[&FORTH].held, 1);
    drop(stream);
    network.sever(&only(FORTH), Sever::Cut).unwrap();
    let kept = network.mend(&only(FORTH)).unwrap()[&FORTH];
    assert_eq!((kept.held, kept.bytes), (0, 0));
}

#[tokio::test]
async fn a_dead_far_end_resets_the_near_one() {
    let port = Port::reserve().unwrap();
    let network = Network::open([(FORTH, port.address())]).await.unwrap();
    is_reset(&mut dial(&network, FORTH).await).await;
}

#[tokio::test]
async fn an_unknown_link_is_named_and_nothing_is_severed() {
    let network = network().await;
    let stranger = Link::new(NodeId(1), NodeId(9));
    let said = network.sever(&[FORTH, stranger].into(), Sever::Cut).unwrap_err().to_string();
    assert_eq!(said, "there is no link n1→n9");
    answers(&mut dial(&network, FORTH).await, b"untouched").await;
}

// --- one entrance for all links to a node -----------------------------------------------------------

/// Not the number of any process.
const NOBODY: u32 = u32::MAX;
const CROSS: Link = Link { from: NodeId(3), to: NodeId(2) };

/// Three nodes behind one entrance each. This process may be announced as any of them.
async fn shared() -> Network {
    let mut nodes = std::collections::BTreeMap::new();
    for node in nemesis::cluster(3) {
        nodes.insert(node, echo().await);
    }
    Network::open_shared(&nodes).await.unwrap()
}

#[tokio::test]
async fn of_all_links_behind_one_entrance_a_cut_stops_only_the_one_it_names() {
    let network = shared().await;
    assert_eq!(network.entrance(FORTH), network.entrance(CROSS));
    assert_ne!(network.entrance(FORTH), network.entrance(BACK));
    network.owns(FORTH.from, std::process::id());
    let mut stream = dial(&network, FORTH).await;
    answers(&mut stream, b"hello").await;
    network.sever(&only(FORTH), Sever::Cut).unwrap();
    is_reset(&mut stream).await;
    is_reset(&mut dial(&network, FORTH).await).await;

    // A node that is started again has a new number; the old one may even be another node's.
    network.owns(FORTH.from, NOBODY);
    network.owns(CROSS.from, std::process::id());
    let mut other = dial(&network, CROSS).await;
    answers(&mut other, b"from elsewhere").await;

    let kept = network.mend(&[FORTH, CROSS].into()).unwrap();
    assert_eq!((kept[&FORTH].refused, kept[&CROSS].refused), (2, 0));
}

#[tokio::test]
async fn what_dials_before_it_is_announced_cannot_slip_through_a_cut() {
    let network = shared().await;
    network.sever(&only(FORTH), Sever::Cut).unwrap();
    let mut stream = dial(&network, FORTH).await;
    stream.write_all(b"too early").await.unwrap();
    // Time passes, and the proxy looks whose it is: nobody's, so far.
    let elsewhere = self::network().await;
    let mut other = dial(&elsewhere, FORTH).await;
    for _ in 0..200 {
        answers(&mut other, b"tick").await;
    }
    network.owns(FORTH.from, std::process::id());
    is_reset(&mut stream).await;
    assert_eq!(network.mend(&only(FORTH)).unwrap()[&FORTH].refused, 1);
}

#[tokio::test]
async fn strangers_pass_whatever_is_cut() {
    let network = shared().await;
    for node in nemesis::cluster(3) {
        network.owns(node, NOBODY);
    }
    network.sever(&[FORTH, BACK, CROSS].into(), Sever::Cut).unwrap();
    answers(&mut dial(&network, FORTH).await, b"a person with a tool").await;
}

#[tokio::test]
async fn strangers_that_were_there_during_a_cut_are_counted_with_it_and_those_before_are_not() {
    let network = shared().await;
    for node in nemesis::cluster(3) {
        network.owns(node, NOBODY);
    }
    let mut before = dial(&network, FORTH).await;
    answers(&mut before, b"before").await;
    before.shutdown().await.unwrap();
    before.read_to_end(&mut Vec::new()).await.unwrap();
    drop(before);
    let counted = |links: &BTreeSet<Link>| {
        let kept = network.mend(links).unwrap();
        links.iter().map(|link| kept[link].strangers).collect::<Vec<u64>>()
    };
    let both: BTreeSet<Link> = [FORTH, BACK].into();
    // Whoever has heard the end of his stream is not forgotten at that very moment.
    let forgotten = async {
        loop {
            network.sever(&both, Sever::Hold).unwrap();
            if counted(&both) == [0, 0] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, forgotten).await.expect("he is gone");

    let mut stays = dial(&network, FORTH).await;
    answers(&mut stays, b"he stays").await;
    network.sever(&both, Sever::Hold).unwrap();
    answers(&mut dial(&network, FORTH).await, b"he comes").await;
    assert_eq!(counted(&both), [2, 0], "nobody came to n1");
}

#[tokio::test]
async fn what_was_sent_by_someone_who_is_gone_before_he_was_looked_at_does_not_arrive() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nodes = [(FORTH.from, listener.local_addr().unwrap()), (FORTH.to, listener.local_addr().unwrap())];
    let network = Network::open_shared(&nodes.into()).await.unwrap();
    network.owns(FORTH.from, std::process::id());
    network.sever(&only(FORTH), Sever::Hold).unwrap();
    // No task runs between these lines: the proxy sees the connection when it is over.
    let mut gone = std::net::TcpStream::connect(network.entrance(FORTH).unwrap()).unwrap();
    std::io::Write::write_all(&mut gone, b"last words").unwrap();
    drop(gone);
    // A stranger takes longer to be recognised, so whatever passes has passed when he has.
    network.owns(FORTH.from, NOBODY);
    let mut stranger = dial(&network, FORTH).await;
    stranger.write_all(b"stranger").await.unwrap();
    let (mut arrived, _) = timeout(DEADLINE, listener.accept()).await.expect("someone in time").unwrap();
    hears(&mut arrived, b"stranger").await;
}

#[tokio::test]
async fn a_held_link_that_is_full_leaves_room_for_the_others_behind_its_door() {
    let network = shared().await;
    network.owns(FORTH.from, std::process::id());
    network.sever(&only(FORTH), Sever::Hold).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..257 {
        waiting.push(dial(&network, FORTH).await);
    }
    let turned_away = |stream: &TcpStream| {
        let read = stream.try_read(&mut [0]);
        read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
    };
    let one_is = async {
        loop {
            if let Some(at) = waiting.iter().position(turned_away) {
                return at;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let at = timeout(DEADLINE, one_is).await.expect("one too many");
    waiting.remove(at);

    network.owns(FORTH.from, NOBODY);
    network.owns(CROSS.from, std::process::id());
    answers(&mut dial(&network, CROSS).await, b"there is room").await;
    assert_eq!(network.mend(&only(FORTH)).unwrap()[&FORTH].held, 256);
    for stream in &mut waiting {
        answers(stream, b"let in").await;
    }
}
