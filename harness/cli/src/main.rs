//! The program `harness`: finds out whether distributed systems keep their promises.
//!
//! One file carries everything. Called `harness`, it runs tests and judges histories; called by the
//! name of a server (its first argument's file name, as the runner does), it is that server. So a run
//! needs nothing but this one program, and tests exactly what was built with it.
//!
//! A panic anywhere is a failure of the harness, not a verdict: it ends with its own exit code.
#![forbid(unsafe_code)]

mod args;
mod bench;
mod check;
mod common;
mod convert;
mod exit;
mod list;
mod live;
mod model;
mod online;
mod render;
mod run;
mod script;
mod sim;
mod source;
mod suite;
mod threads;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use args::{Command, Harness};
use exit::Exit;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let called = arguments.first().map(Path::new).and_then(Path::file_name);
    if called.is_some_and(|name| name == "raft-node") {
        return raft_node::main_from(arguments);
    }
    match std::panic::catch_unwind(|| harness(arguments)) {
        Ok(exit) => exit.into(),
        Err(_) => Exit::Broken.into(),
    }
}

fn harness(arguments: Vec<OsString>) -> Exit {
    let words = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let result = match Harness::try_parse_from(arguments) {
        Err(error) => return exit::of_clap(&error),
        Ok(Harness { command: Command::Run(args) }) => run::run(args, words),
        Ok(Harness { command: Command::Check(args) }) => check::check(&args),
        Ok(Harness { command: Command::Convert(args) }) => convert::convert(&args),
        Ok(Harness { command: Command::Bench(args) }) => bench::bench(args),
        Ok(Harness { command: Command::Sim(args) }) => sim::sim(&args),
        Ok(Harness { command: Command::Script(args) }) => script::script(&args),
        Ok(Harness { command: Command::Model(args) }) => model::model(&args),
        Ok(Harness { command: Command::Suite(args) }) => suite::suite(&args),
        Ok(Harness { command: Command::List(args) }) => list::list(&args),
    };
    result.unwrap_or_else(exit::Refusal::tell)
}
