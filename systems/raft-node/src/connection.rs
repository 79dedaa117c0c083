//! A client's connection, between the socket and the HTTP library.
//!
//! Two things can only be done here, where bytes are bytes. Names of hosts that the library would refuse
//! are mended ([`Cure`]). And a client that no longer takes what it asked for is let go ([`Unsent`]):
//! HTTP/2 lets it keep us waiting for as long as it answers pings, one window per answer, and nothing
//! above the connection is even told that nothing moves.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use crate::authority::Cure;
use crate::outgoing::Unsent;

/// How long a client may take for [`LEAST`] of what lies ready for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a client must take in that time, in bytes; or all there is, if it is less.
const LEAST: usize = 1 << 20;
/// How much is read at once from a client whose requests are looked at.
const CHUNK: usize = 8 << 10;

/// A connection of a client. What it says is mended, what it does not take ends it.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    socket: S,
    cure: Cure,
    unsent: Arc<Unsent>,
    watch: Option<Watch>,
}

/// A look at what a client takes, and the time of the next one.
#[derive(Debug)]
struct Watch {
    next: Pin<Box<Sleep>>,
    taken: usize,
    due: usize,
}

impl Watch {
    fn begin(unsent: &Unsent) -> Watch {
        let due = unsent.waiting().min(LEAST);
        Watch { next: Box::pin(tokio::time::sleep(PATIENCE)), taken: unsent.taken(), due }
    }
}

impl<S> Connection<S> {
    pub(crate) fn new(socket: S) -> Connection<S> {
        Connection { socket, cure: Cure::new(), unsent: Arc::default(), watch: None }
    }

    /// Whether the client has stopped taking what it asked for. If not, the task is woken for the next
    /// look.
    fn is_stuck(&mut self, context: &mut Context<'_>) -> bool {
        loop {
            if self.watch.is_none() && self.unsent.waiting() == 0 {
                return false;
            }
            let watch = self.watch.get_or_insert_with(|| Watch::begin(&self.unsent));
            if watch.next.as_mut().poll(context).is_pending() {
                return false;
            }
            if self.unsent.taken().wrapping_sub(watch.taken) < watch.due {
                return true;
            }
            self.watch = None;
        }
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// Reads what has been looked at. Apart, since it is for beginnings and reading is for ever.
    #[cold]
    fn poll_cured(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while !self.cure.is_done() {
            let given = self.cure.give(into.remaining());
            if !given.is_empty() {
                into.put_slice(&given);
                return Poll::Ready(Ok(()));
            }
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.socket).poll_read(context, &mut chunk))?;
            self.cure.take(chunk.filled());
        }
        Pin::new(&mut self.socket).poll_read(context, into)
    }
}

impl<S> Connected for Connection<S> {
    type ConnectInfo = Arc<Unsent>;

    fn connect_info(&self) -> Arc<Unsent> {
        Arc::clone(&self.unsent)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.is_stuck(context) {
            tracing::info!(waiting = this.unsent.waiting(), "a client takes no answers; let go");
            let text = "the client does not take its answers";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        if this.cure.is_done() {
            Pin::new(&mut this.socket).poll_read(context, into)
        } else {
            this.poll_cured(context, into)
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper_util::rt::TokioIo;
    use prost::Message as _;
    use tokio::io::DuplexStream;
    use tokio::time::Instant;
    use tonic::body::Body;
    use tonic::codegen::Service as _;
    use tonic::transport::{Channel, Endpoint, Server, Uri};
    use tonic::{Request, Response, Status};
    use wire::etcdserverpb as pb;
    use wire::etcdserverpb::auth_server::{Auth, AuthServer};

    use super::*;
    use crate::outgoing::{self, Budget};

    /// Answers every question at length.
    struct Talker(Budget);

    #[tonic::async_trait]
    impl Auth for Talker {
        async fn authenticate(
            &self,
            request: Request<pb::AuthenticateRequest>,
        ) -> Result<Response<pb::AuthenticateResponse>, Status> {
            let token = "x".repeat(LONG);
            let answer = pb::AuthenticateResponse { token, ..pb::AuthenticateResponse::default() };
            self.0.answer(&Unsent::of(request.extensions()), answer)
        }
    }

    /// How long an answer is here.
    const LONG: usize = 4 << 20;
    /// A client takes no more than this until it reads.
    const WINDOW: u32 = 64 << 10;

    fn serve(budget: Budget, socket: DuplexStream) {
        let served = Server::builder()
            .layer(tower::util::MapResponseLayer::new(outgoing::hold))
            .add_service(AuthServer::new(Talker(budget)))
            .serve_with_incoming(futures_util::stream::iter([Ok::<_, io::Error>(Connection::new(socket))]));
        tokio::spawn(served);
    }

    /// A client behind a connection of its own. It answers pings, and gives window only for what is read.
    async fn client(budget: &Budget) -> Channel {
        let (near, far) = tokio::io::duplex(1 << 16);
        serve(budget.clone(), far);
        let mut near = Some(near);
        let connect = tower::service_fn(move |_: Uri| {
            let near = near.take().ok_or_else(|| io::Error::other("it connects once"));
            async move { near.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://talker:1")
            .initial_stream_window_size(WINDOW)
            .http2_keep_alive_interval(Duration::from_secs(1))
            .keep_alive_while_idle(true);
        endpoint.connect_with_connector(connect).await.expect("it connects")
    }

    /// Asks, and gives back an answer of which nothing has been read.
    async fn ask(client: &mut Channel) -> http::Response<Body> {
        let mut body = vec![0; 5];
        pb::AuthenticateRequest::default().encode(&mut body).expect("there is room");
        let body = Body::new(http_body_util::Full::new(body.into()).map_err(|never| match never {}));
        let request = http::Request::post("http://talker:1/etcdserverpb.Auth/Authenticate")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body)
            .expect("it is a request");
        std::future::poll_fn(|context| client.poll_ready(context)).await.expect("the connection lives");
        client.call(request).await.expect("an answer begins")
    }

    fn is_refused(answer: &http::Response<Body>) -> bool {
        answer.headers().contains_key(Status::GRPC_STATUS)
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_let_go_and_others_have_room_again() {
        let budget = Budget::of(LONG + LONG / 2);
        let (mut stalling, mut other) = (client(&budget).await, client(&budget).await);
        let first = ask(&mut stalling).await;
        assert!(!is_refused(&first));
        assert!(is_refused(&ask(&mut other).await), "the budget is held");
        tokio::time::sleep(2 * PATIENCE).await;
        let answer = ask(&mut other).await;
        assert!(!is_refused(&answer), "it is free again");
        assert!(first.into_body().collect().await.is_err(), "and the first was let go");
        let whole = answer.into_body().collect().await.expect("whoever reads gets everything");
        assert!(whole.to_bytes().len() > LONG);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_but_takes_what_is_due_gets_everything() {
        let budget = Budget::of(2 * LONG);
        let mut slow = client(&budget).await;
        let mut body = ask(&mut slow).await.into_body();
        let (begin, mut got) = (Instant::now(), 0);
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame.expect("it is not let go").into_data() {
                got += bytes.len();
                tokio::time::sleep(PATIENCE * u32::try_from(bytes.len()).unwrap() / (2 * 1024 * 1024)).await;
            }
        }
        assert!(got > LONG);
        assert!(begin.elapsed() > PATIENCE, "it took long: {:?}", begin.elapsed());
    }
}
