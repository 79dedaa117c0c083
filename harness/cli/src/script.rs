//! `harness script`: plays a script against the core alone, and prints what happens.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use raft::script::play;

use crate::exit::{Exit, Refusal};
use crate::render;

/// Play a script of a cluster, and print it with what happens.
///
/// A script is a story without time, disks and clients: sentences, commands, and what each came to. What it
/// recorded is not looked at; what really happens is printed in its place. A bad life of `harness sim` writes one to
/// script.txt where it can.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit code: 0 no property broke, 1 one did, or a node said that this cannot be, 254 wrong arguments,
           255 the harness itself failed.
Example:   harness script systems/raft/tests/scripts/figure_8.txt"
)]
pub(crate) struct ScriptArgs {
    /// The script
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Plays it.
pub(crate) fn script(args: &ScriptArgs) -> Result<Exit, Refusal> {
    let name = args.file.display();
    let text =
        fs::read_to_string(&args.file).map_err(|error| Refusal::wrong(format_args!("{name}: {error}")))?;
    let played = play(&text).map_err(|error| Refusal::wrong(format_args!("{name}: {error}")))?;
    let verdict = match (&played.violation, &played.halted) {
        (None, None) => "valid",
        _ => "invalid",
    };
    render::text(&format!("{}\nverdict: {verdict}\n", played.text))?;
    Ok(Exit::of_verdict(verdict))
}
