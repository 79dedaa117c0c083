//! Answers that nobody takes.
//!
//! An answer is encoded whole before its first byte leaves. A client that asks for much and then stops
//! reading leaves it lying here: twenty such clients with forty megabytes each would cost the node a
//! gigabyte. So answers share a budget, all but the smallest. What does not fit any more is refused, as
//! certainly as if it had never been asked; so only answers to reads are refused, since what a write
//! has done cannot be any more. And a client that takes too little for too long is let go with all that
//! lies here for it ([`Connection`](crate::connection::Connection)), so that nobody holds the budget for
//! ever. The price: whoever takes less than a megabyte in ten seconds cannot read more than that.
//!
//! The bytes themselves hold their part of the budget and give it back when the last of them is
//! dropped: after they were sent, or with the connection. The transport keeps them longer than it
//! keeps the response they came in, so nothing else would do. A long answer goes to the transport in
//! pieces, each with its own part.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::codegen::http::Extensions;
use tonic::{Response, Status};

use crate::refusal;

/// Answers up to this size are not counted. A connection has a thousand streams, and so two megabytes
/// of them at most.
const SMALL: usize = 2 << 10;
/// What all other answers may take up together, in bytes.
const BUDGET: usize = 512 << 20;
/// The budget is counted in units of this size.
const UNIT: usize = 1 << 10;
/// How much of an answer goes to the transport at once.
const PIECE: usize = 256 << 10;

/// What answers may still take up.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(crate) fn new() -> Budget {
        Budget::of(BUDGET)
    }

    pub(crate) fn of(bytes: usize) -> Budget {
        Budget(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    /// An answer that has its part of the budget, or the refusal.
    pub(crate) fn answer<M: Message>(&self, unsent: &Arc<Unsent>, message: M) -> Result<Response<M>, Status> {
        let size = message.encoded_len();
        if size <= SMALL {
            return Ok(Response::new(message));
        }
        let permit = self.reserve(size).ok_or_else(|| refusal::failed(replica::Failed::Busy))?;
        Ok(held(message, Part::new(Some(permit), size, Arc::clone(unsent))))
    }

    /// The answer to what was executed. It must not be called refused, however little is left.
    pub(crate) fn answer_always<M: Message>(&self, unsent: &Arc<Unsent>, message: M) -> Response<M> {
        let size = message.encoded_len();
        if size <= SMALL {
            return Response::new(message);
        }
        held(message, Part::new(self.reserve(size), size, Arc::clone(unsent)))
    }

    fn reserve(&self, size: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(size.div_ceil(UNIT)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(units).ok()
    }
}

fn held<M>(message: M, part: Part) -> Response<M> {
    let mut response = Response::new(message);
    response.extensions_mut().insert(Hold(Arc::new(Mutex::new(part))));
    response
}

/// What lies ready for one client, and what it took since it came, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    waiting: AtomicUsize,
    taken: AtomicUsize,
}

impl Unsent {
    /// Of the connection that a request came on. Asked for early, and the rest of what came with the
    /// request let go: kept until the answer, it would have to be fetched from memory again.
    pub(crate) fn of(request: &Extensions) -> Arc<Unsent> {
        request.get::<Arc<Unsent>>().cloned().unwrap_or_default()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Starts anew when it is too large for a number.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// A part of the budget, for as many bytes. An answer that was not refused for lack of budget has none.
#[derive(Debug)]
struct Part {
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
    unsent: Arc<Unsent>,
}

impl Part {
    fn new(permit: Option<OwnedSemaphorePermit>, bytes: usize, unsent: Arc<Unsent>) -> Part {
        unsent.waiting.fetch_add(bytes, Ordering::Relaxed);
        Part { permit, bytes, unsent }
    }

    /// Parts with what these bytes need, or with all there is.
    fn split(&mut self, bytes: usize) -> Part {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        let permit = self.permit.as_mut().and_then(|permit| {
            let units = if self.bytes == 0 { permit.num_permits() } else { bytes / UNIT };
            permit.split(units)
        });
        Part { permit, bytes, unsent: Arc::clone(&self.unsent) }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.unsent.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
        self.unsent.taken.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// The part of a response that is not yet its bytes'.
#[derive(Clone, Debug)]
struct Hold(Arc<Mutex<Part>>);

impl Hold {
    fn split(&self, bytes: usize) -> Part {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).split(bytes)
    }
}

/// Ties an answer's part of the budget to its bytes.
pub(crate) fn hold(mut response: http::Response<Body>) -> http::Response<Body> {
    match response.extensions_mut().remove::<Hold>() {
        None => response,
        Some(hold) => response.map(|body| Body::new(Held { body, hold, rest: Bytes::new() })),
    }
}

/// A body whose bytes hold their part of the budget.
struct Held {
    body: Body,
    hold: Hold,
    /// What was encoded and is not yet with the transport.
    rest: Bytes,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Held>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => self.rest = bytes,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return Poll::Ready(other),
            }
        }
        let most = self.rest.len().min(PIECE);
        let bytes = self.rest.split_to(most);
        let part = self.hold.split(bytes.len());
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(HeldBytes { bytes, _part: part })))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

struct HeldBytes {
    bytes: Bytes,
    _part: Part,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use wire::etcdserverpb::PutRequest;

    fn message(size: usize) -> PutRequest {
        PutRequest { value: vec![0; size].into(), ..PutRequest::default() }
    }

    fn is_refused(budget: &Budget, size: usize) -> bool {
        budget.answer(&Arc::default(), message(size)).is_err()
    }

    #[test]
    fn what_does_not_fit_is_refused_until_something_is_gone() {
        let (budget, unsent) = (Budget::of(1 << 20), Arc::default());
        let first = budget.answer(&unsent, message(600 << 10)).unwrap();
        assert!(unsent.waiting() > 600 << 10);
        let refused = budget.answer(&unsent, message(600 << 10)).unwrap_err();
        assert_eq!(refused.message(), "etcdserver: too many requests");
        assert!(budget.answer(&unsent, message(100)).is_ok(), "small answers are not counted");
        drop(first);
        assert_eq!(unsent.waiting(), 0);
        assert!(budget.answer(&unsent, message(600 << 10)).is_ok());
    }

    #[test]
    fn many_small_answers_do_not_slip_through() {
        let (budget, unsent) = (Budget::of(1 << 20), Arc::default());
        let answers: Vec<_> =
            (0..1024).map_while(|_| budget.answer(&unsent, message(16 << 10)).ok()).collect();
        assert!(answers.len() < 64, "{} answers of 16 KiB in a budget of 1 MiB", answers.len());
    }

    #[test]
    fn what_was_executed_is_answered_and_counted_but_never_refused() {
        let (budget, unsent) = (Budget::of(1 << 20), Arc::default());
        let answers: Vec<_> = (0..3).map(|_| budget.answer_always(&unsent, message(600 << 10))).collect();
        assert!(unsent.waiting() > 1800 << 10);
        assert!(is_refused(&budget, 600 << 10), "it took what there was");
        drop(answers);
        assert_eq!(unsent.waiting(), 0);
        assert!(!is_refused(&budget, 1000 << 10));
    }

    /// A response whose body is `size` bytes long, as the library makes one of an answer.
    fn response(budget: &Budget, unsent: &Arc<Unsent>, size: usize) -> http::Response<Body> {
        let (_, _, extensions) = budget.answer(unsent, message(size)).unwrap().into_parts();
        let whole = Body::new(http_body_util::Full::new(Bytes::from(vec![7; size])));
        let mut response = http::Response::new(whole);
        *response.extensions_mut() = extensions;
        hold(response)
    }

    async fn piece(response: &mut http::Response<Body>) -> Bytes {
        let frame = std::future::poll_fn(|context| Pin::new(response.body_mut()).poll_frame(context)).await;
        frame.unwrap().unwrap().into_data().unwrap()
    }

    #[tokio::test]
    async fn the_bytes_hold_their_part_after_the_body_is_gone() {
        let (budget, unsent) = (Budget::of(1 << 20), Arc::default());
        let mut response = response(&budget, &unsent, PIECE);
        let bytes = piece(&mut response).await;
        drop(response);
        assert_eq!(bytes.len(), PIECE);
        assert!(is_refused(&budget, 900 << 10), "they are still on their way");
        drop(bytes);
        assert!(!is_refused(&budget, 900 << 10));
    }

    #[tokio::test]
    async fn a_long_answer_gives_back_piece_by_piece() {
        let (budget, unsent) = (Budget::of(1 << 20), Arc::default());
        let mut response = response(&budget, &unsent, 3 * PIECE + 1);
        for taken in 0..3 {
            assert_eq!(unsent.taken(), taken * PIECE);
            assert_eq!(piece(&mut response).await.len(), PIECE);
        }
        assert!(!is_refused(&budget, 3 * PIECE), "three pieces are gone");
        assert!(!response.body().is_end_stream());
        assert_eq!(piece(&mut response).await.len(), 1);
        assert!(response.body().is_end_stream());
        drop(response);
        assert_eq!(unsent.waiting(), 0);
        assert!(!is_refused(&budget, (1 << 20) - 64));
    }
}
