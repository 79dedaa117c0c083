//! What is not served is said with its name.
//!
//! The gRPC library answers a call of a service or a method that is not there with a code and no words.
//! Its users then read "Unimplemented" and nothing else, and look for the fault on their side. Here the
//! sentence is added.

use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::{self, Join, Map, Ready};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::HeaderValue;
use tonic::codegen::http::uri::PathAndQuery;
use tower::Layer;

/// Puts [`Named`] around the services of a door.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names;

impl<S> Layer<S> for Names {
    type Service = Named<S>;

    fn layer(&self, services: S) -> Named<S> {
        Named(services)
    }
}

/// Services, and words for those that are none.
#[derive(Clone, Debug)]
pub(crate) struct Named<S>(S);

type Response = http::Response<Body>;
type Path = Option<PathAndQuery>;

/// An answer to come, and what was asked for: side by side, since a box for each call would be felt.
type Asked<F, E> = Map<Join<F, Ready<Path>>, fn((Result<Response, E>, Path)) -> Result<Response, E>>;

impl<S> Service<http::Request<Body>> for Named<S>
where
    S: Service<http::Request<Body>, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Asked<S::Future, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = future::ready(request.uri().path_and_query().cloned());
        future::join(self.0.call(request), path).map(|(answer, path)| Ok(named(path.as_ref(), answer?)))
    }
}

/// The answer, with a sentence if it is the library's for what is not there.
fn named(path: Option<&PathAndQuery>, response: Response) -> Response {
    let headers = response.headers();
    let is_unserved = headers.get(Status::GRPC_STATUS).is_some_and(|code| code == "12")
        && headers.get(Status::GRPC_MESSAGE).is_none_or(HeaderValue::is_empty);
    match path {
        Some(path) if is_unserved => {
            let method = path.path().trim_start_matches('/');
            Status::unimplemented(format!("raft-node does not serve {method}")).into_http()
        }
        _ => response,
    }
}
