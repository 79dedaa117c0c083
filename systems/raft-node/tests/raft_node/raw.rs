//! HTTP/2 by hand, for what no library would say.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATH: &str = "/etcdserverpb.Maintenance/Status";
/// Kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;

/// Asks for the status with this `:authority`, and says how the answer begins.
pub(crate) async fn first_answer(url: &str, authority: &str) -> String {
    let headers = [
        vec![0x83, 0x86], // POST, http
        text(&[0x44], PATH),
        text(&[0x41], authority),
        text(&[0x5f], "application/grpc"),
        text(&[0x40, 2, b't', b'e'], "trailers"),
    ];
    let said = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &[]),
        frame(HEADERS, 4, 1, &headers.concat()),
        frame(DATA, 1, 1, &[0; 5]),
    ];
    let address = url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.expect("the node listens");
    socket.write_all(&said.concat()).await.expect("the node reads");
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await.expect("the node answers");
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        socket.read_exact(&mut payload).await.expect("the node answers in whole frames");
        match (head[3], payload.first()) {
            (HEADERS, Some(0x88)) => return "200".to_owned(), // the known header `:status: 200`
            (HEADERS, _) => return "another status".to_owned(),
            (RESET, _) => return format!("reset because of {payload:?}"),
            _ => {}
        }
    }
}

/// A header in plain letters, after what says which one it is.
fn text(name: &[u8], value: &str) -> Vec<u8> {
    [name, &[length(value.as_bytes())], value.as_bytes()].concat()
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, length(payload), kind, flags, 0, 0, 0, stream], payload].concat()
}

fn length(bytes: &[u8]) -> u8 {
    u8::try_from(bytes.len()).expect("all that is said here is short")
}
