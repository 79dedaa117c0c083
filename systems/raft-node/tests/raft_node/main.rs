//! The program as its users meet it: processes, ports, signals, exit codes, and etcd's API spoken
//! with our own stubs.

mod api;
mod cluster;
mod lifecycle;
mod membership;
mod raw;
mod recovery;
