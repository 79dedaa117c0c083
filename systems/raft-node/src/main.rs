//! The program `raft-node`; all of it is in the library, so that `harness` can be it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    raft_node::main_from(std::env::args_os())
}
