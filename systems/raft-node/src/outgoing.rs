//! Answers that nobody takes.
//!
//! An answer is encoded whole before its first byte leaves. A client that asks for much and then stops
//! reading leaves it lying here: twenty such clients with forty megabytes each would cost the node a
//! gigabyte, for the twenty seconds until their connections are given up. So large answers share a
//! budget. What does not fit any more is refused, as certainly as if it had never been asked; so only
//! answers to reads are counted, since what a write has done cannot be refused any more.
//!
//! The bytes themselves hold their part of the budget and give it back when the last of them is
//! dropped: after they were sent, or with the connection. The transport keeps them longer than it
//! keeps the response they came in, so nothing else would do.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::{Response, Status};

use crate::refusal;

/// Answers up to this size are not counted: there are at most as many as there are streams.
const SMALL: usize = 64 << 10;
/// What large answers may take up together, in bytes.
const BUDGET: usize = 512 << 20;
/// The budget is counted in pieces of this size.
const PIECE: usize = 1 << 10;

/// What large answers may still take up.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Semaphore>);

/// A part of the budget, as long as any clone of it lives.
#[derive(Clone, Debug)]
struct Hold {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Budget {
    pub(crate) fn new() -> Budget {
        Budget::of(BUDGET)
    }

    fn of(bytes: usize) -> Budget {
        Budget(Arc::new(Semaphore::new(bytes / PIECE)))
    }

    /// An answer that has its part of the budget, or the refusal.
    pub(crate) fn answer<M: Message>(&self, message: M) -> Result<Response<M>, Status> {
        let size = message.encoded_len();
        let mut response = Response::new(message);
        if size > SMALL {
            let pieces = u32::try_from(size.div_ceil(PIECE)).unwrap_or(u32::MAX);
            let permit = Arc::clone(&self.0).try_acquire_many_owned(pieces);
            let permit = permit.map_err(|_| refusal::failed(replica::Failed::Busy))?;
            response.extensions_mut().insert(Hold { _permit: Arc::new(permit) });
        }
        Ok(response)
    }
}

/// Ties an answer's part of the budget to its bytes.
pub(crate) fn hold(mut response: http::Response<Body>) -> http::Response<Body> {
    match response.extensions_mut().remove::<Hold>() {
        None => response,
        Some(hold) => response.map(|body| Body::new(Held { body, hold })),
    }
}

/// A body whose bytes hold their part of the budget.
struct Held {
    body: Body,
    hold: Hold,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Held>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let hold = || self.hold.clone();
        frame.map_ok(|frame| frame.map_data(|bytes| Bytes::from_owner(HeldBytes { bytes, _hold: hold() })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

struct HeldBytes {
    bytes: Bytes,
    _hold: Hold,
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

    #[test]
    fn what_does_not_fit_is_refused_until_something_is_gone() {
        let budget = Budget::of(1 << 20);
        let first = budget.answer(message(600 << 10)).unwrap();
        let refused = budget.answer(message(600 << 10)).unwrap_err();
        assert_eq!(refused.message(), "etcdserver: too many requests");
        assert!(budget.answer(message(100)).is_ok(), "small answers are not counted");
        drop(first);
        assert!(budget.answer(message(600 << 10)).is_ok());
    }

    #[tokio::test]
    async fn the_bytes_hold_their_part_after_the_body_is_gone() {
        let budget = Budget::of(1 << 20);
        let (_, _, extensions) = budget.answer(message(600 << 10)).unwrap().into_parts();
        let whole = Body::new(http_body_util::Full::new(Bytes::from_static(b"sent")));
        let mut response = http::Response::new(whole);
        *response.extensions_mut() = extensions;
        let mut response = hold(response);
        let frame = std::future::poll_fn(|context| Pin::new(response.body_mut()).poll_frame(context)).await;
        let bytes = frame.unwrap().unwrap().into_data().unwrap();
        drop(response);
        assert_eq!(&bytes[..], b"sent");
        assert!(budget.answer(message(600 << 10)).is_err(), "they are still on their way");
        drop(bytes);
        assert!(budget.answer(message(600 << 10)).is_ok());
    }
}
