//! Every .proto and what is generated from it; nothing else.
//!
//! The generated code is in git, so that an ordinary build needs no compiler for .proto files, no
//! build script, and none of the crates that such a script would bring. After a change to a .proto:
//!
//! ```text
//! cargo run --manifest-path systems/wire/xtask/Cargo.toml             # writes src/generated anew
//! cargo run --manifest-path systems/wire/xtask/Cargo.toml -- --check  # says which file is out of date
//! ```
//!
//! Every `bytes` field is a [`bytes::Bytes`], a slice of the message that arrived: a value travels
//! from the socket into the store without being copied on the way.
#![forbid(unsafe_code)]

/// The etcd v3 API: `KV`, `Cluster`, `Maintenance` and one call of `Auth`, clients and servers.
pub mod etcdserverpb {
    #![expect(clippy::pedantic, missing_docs, unused_qualifications, reason = "generated code")]
    #![expect(clippy::allow_attributes_without_reason, reason = "generated code")]
    include!("generated/etcdserverpb.rs");
}

/// What a key holds in the etcd v3 API.
pub mod mvccpb {
    #![expect(clippy::pedantic, missing_docs, reason = "generated code")]
    include!("generated/mvccpb.rs");
}

/// The link between the nodes of one of our clusters.
pub mod peer {
    #![expect(clippy::pedantic, unused_qualifications, reason = "generated code")]
    #![expect(clippy::allow_attributes_without_reason, reason = "generated code")]
    include!("generated/cluster.peer.v1.rs");
}
