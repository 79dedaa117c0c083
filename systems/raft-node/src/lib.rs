//! The door of kv: the etcd v3 API, and the program raft-node.
