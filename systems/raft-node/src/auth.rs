//! Everybody may do everything here, and whoever wants to say who they are is told so.
//!
//! A client that was given a name and a password asks for a token before anything else. etcd without
//! users answers that authentication is not enabled, and the client goes on without; another answer it
//! would take for a refusal. So this one call is served, in etcd's words.

use tonic::{Request, Response, Status};
use wire::etcdserverpb as pb;
use wire::etcdserverpb::auth_server::Auth;

use crate::door::Door;
use crate::refusal::Rejected;

#[tonic::async_trait]
impl Auth for Door {
    async fn authenticate(
        &self,
        _request: Request<pb::AuthenticateRequest>,
    ) -> Result<Response<pb::AuthenticateResponse>, Status> {
        Err(Rejected::NoUsers.into())
    }
}
