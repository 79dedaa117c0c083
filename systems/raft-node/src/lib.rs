//! The door of kv: the etcd v3 API, and the program raft-node.
//!
//! Everything that decides is elsewhere: [`raft`] agrees, [`kv`] executes, [`replica`] keeps, and
//! [`node`] moves the bytes. This room speaks etcd's language: its flags ([`args`]), its messages
//! ([`mapping`]), its errors ([`refusal`]), its services ([`door`]). So `etcdctl` and every etcd
//! client work on it unmodified, and one harness adapter tests it and etcd alike.
//!
//! Served are all of KV and of Cluster, of Maintenance `Status`, `Hash`, `HashKV`, `Snapshot` and `MoveLeader`, and gRPC health; `Auth.Authenticate`
//! says that nobody needs to. Whatever else etcd has is answered "unimplemented", with its name.
//!
//! [`recover`] works offline, on the folder of a node that does not run.
//!
//! Left out: TLS.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Parser;
use node::End;

use crate::args::{Args, CommandLine, LogFormat, Offline};
use crate::place::Misplaced;
use crate::serve::ServeError;

pub mod args;
mod auth;
mod authority;
mod cluster;
mod connection;
pub mod door;
pub mod ids;
mod maintenance;
pub mod mapping;
pub mod members;
mod outgoing;
pub mod place;
pub mod recover;
pub mod refusal;
pub mod request_id;
pub mod saved;
pub mod serve;
mod unserved;

pub use maintenance::VERSION;

/// What the user gave is wrong: flags, a port in use, a folder that is not ours.
const WRONG: u8 = 254;
/// This node must not take part: it knows that something it may have promised is lost.
const FENCED: u8 = 3;
/// Anything else.
const ELSE: u8 = 1;

/// The whole program: arguments (the program's name first) in, exit code out. Blocks while the node runs.
pub fn main_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match CommandLine::try_parse_from(arguments) {
        Ok(CommandLine { command: Some(Offline::Recover(flags)), .. }) => {
            ExitCode::from(recover_from(&flags))
        }
        Ok(CommandLine { args, .. }) => ExitCode::from(run(&args)),
        Err(told) => {
            // Help goes to standard output, complaints to standard error. If neither can be written,
            // there is nobody to tell.
            let _ = told.print();
            ExitCode::from(if told.use_stderr() { WRONG } else { 0 })
        }
    }
}

/// Says on standard output what was recovered.
#[expect(clippy::print_stdout, reason = "the answer of a command goes to its standard output")]
fn recover_from(flags: &recover::Recover) -> u8 {
    match recover::recover(flags) {
        Ok(story) => {
            println!("{story}");
            0
        }
        Err(why) => complain(&why, if why.is_users() { WRONG } else { ELSE }),
    }
}

fn run(args: &Args) -> u8 {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(why) => return complain(&why, WRONG),
    };
    let format = match args.log_format {
        LogFormat::Text => node::logs::Format::Text,
        LogFormat::Json => node::logs::Format::Json,
    };
    node::logs::start(&args.log_level, format);
    // One thread: handing a request from one to another costs more than serving it.
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::System)
        .and_then(|runtime| runtime.block_on(serve::serve(plan)));
    match ended {
        Ok(end @ End::Stopped) => end.exit_code(),
        Ok(end) => complain(&end, end.exit_code()),
        Err(why) => complain(&why, exit_code(&why)),
    }
}

fn exit_code(why: &ServeError) -> u8 {
    use node::StartError;
    use replica::OpenError;
    use wal::FolderError;
    match why {
        ServeError::Place(Misplaced::Silence(silence)) if !silence.strangers => ELSE,
        ServeError::Place(Misplaced::Folder { source, .. }) if source.kind() == ErrorKind::InvalidData => {
            FENCED
        }
        ServeError::Place(Misplaced::Folder { .. }) => ELSE,
        ServeError::Place(_) | ServeError::Listen { .. } | ServeError::Folder(FolderError::InUse(_)) => WRONG,
        ServeError::Start { source, .. } => match source {
            StartError::Replica(OpenError::Log(wal::OpenError::WrongIdentity { .. })) => WRONG,
            StartError::Replica(
                OpenError::Log(wal::OpenError::Corrupt(_)) | OpenError::Disorder | OpenError::Snapshot(_),
            ) => FENCED,
            _ => ELSE,
        },
        ServeError::Folder(_) | ServeError::System(_) | ServeError::Door(_) => ELSE,
    }
}

/// Says on standard error why the program ends, whatever the logs were told.
#[expect(clippy::print_stderr, reason = "the last words of a program go where its user looks")]
fn complain(why: &dyn std::fmt::Display, code: u8) -> u8 {
    eprintln!("raft-node: {why}");
    code
}
