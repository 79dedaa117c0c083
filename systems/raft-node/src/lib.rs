//! The door of kv: the etcd v3 API, and the program raft-node.
#![forbid(unsafe_code)]

pub mod args;
pub mod mapping;
pub mod members;
pub mod refusal;
pub mod request_id;
