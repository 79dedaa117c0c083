//! A row in a process of its own, so that the memory of one is not counted for another.

use std::env;
use std::io::{self, Read as _};
use std::process::{Command, Stdio};
use std::thread;

use super::report::RowReport;

/// Has the row measured by this program, called with these arguments. Why not, if it could not.
pub(super) fn measure(arguments: &[String]) -> Result<RowReport, String> {
    let program = env::current_exe().map_err(|error| format!("this program's own file: {error}"))?;
    let child = Command::new(program)
        .args(["bench", "checker"])
        .args(arguments)
        // It is held open until we are gone; see `live_with_parent`.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("could not be started: {error}"))?;
    let output = wait(child).map_err(|error| format!("could not be waited for: {error}"))?;
    if !output.status.success() {
        return Err(format!("the process that measured it ended with {}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("said what nobody understands: {error}"))
}

/// `wait_with_output` would close the child's input.
fn wait(mut child: std::process::Child) -> io::Result<std::process::Output> {
    let input = child.stdin.take();
    let output = child.wait_with_output();
    drop(input);
    output
}

/// Ends this process when the one that started it is gone, however it went.
pub(super) fn live_with_parent() {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(i32::from(crate::exit::BROKEN));
    });
}
