//! The commands in the book do what the book says.
//!
//! Every fenced block of the kind `console` in the README and in `docs/` is played: a line `$ cargo
//! harness …` is run with the program under test, in the repository's root, and the lines below it
//! must be found in its output, in that order. `…` in a line stands for any text, and a line `…` for
//! any number of lines. Where a verdict is shown, the exit code must agree with it. Run folders, and those of
//! bad lives, go to a temporary place, and the README's long run is shortened; nothing else is changed.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command of the book and what it should print.
struct Example {
    page: PathBuf,
    command: String,
    expected: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn examples() -> Vec<Example> {
    let mut pages = vec![root().join("README.md")];
    pages.extend(fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    pages.retain(|path| path.extension().is_some_and(|kind| kind == "md"));
    pages.sort();
    pages
        .into_iter()
        .flat_map(|page| {
            let text = fs::read_to_string(&page).unwrap();
            in_page(&page, &text)
        })
        .collect()
}

fn in_page(page: &Path, text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                let command = command.to_owned();
                examples.push(Example { page: page.to_owned(), command, expected: Vec::new() });
            } else if let Some(example) = examples.last_mut() {
                example.expected.push(line.to_owned());
            }
        }
    }
    examples
}

/// Whether `line` is what `pattern` says, `…` standing for any text.
fn fits(pattern: &str, line: &str) -> bool {
    let parts: Vec<&str> = pattern.split('…').collect();
    let Some(mut rest) = line.strip_prefix(parts[0]) else { return false };
    for (place, part) in parts.iter().enumerate().skip(1) {
        let last = place + 1 == parts.len();
        if last {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

/// The first expected line that is not found in order; `None` if all are.
fn missing<'a>(expected: &'a [String], output: &str) -> Option<&'a String> {
    let mut lines = output.lines();
    expected.iter().filter(|pattern| *pattern != "…").find(|pattern| !lines.any(|line| fits(pattern, line)))
}

fn play(example: &Example, out: &Path) -> Result<(), String> {
    let Some(arguments) = example.command.strip_prefix("cargo harness ") else {
        return Err(format!("`{}` is not a command of ours", example.command));
    };
    let mut arguments: Vec<&str> = arguments.split_whitespace().collect();
    let out = out.to_str().unwrap();
    // A life from a file is lived again, and leaves no folder.
    if matches!(arguments[0], "run" | "sim") && !arguments.contains(&"--life") {
        arguments.extend(["--out", out]);
    }
    if arguments[0] == "run" && !arguments.contains(&"--time-limit") {
        arguments.extend(["--time-limit", "12"]);
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_harness")).args(&arguments).current_dir(root()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let story = || format!("$ {}\n{printed}{}", example.command, String::from_utf8_lossy(&output.stderr));
    if let Some(line) = missing(&example.expected, &printed) {
        return Err(format!("{}: `{line}` is missing in\n{}", example.page.display(), story()));
    }
    let code = match example.expected.iter().rev().find_map(|line| line.strip_prefix("verdict: ")) {
        Some("invalid") => 1,
        Some("unknown") => 2,
        _ => 0,
    };
    if output.status.code() != Some(code) {
        return Err(format!("exit code {:?} in place of {code}\n{}", output.status.code(), story()));
    }
    Ok(())
}

#[test]
fn the_commands_in_the_book_do_what_it_says() {
    let out = tempfile::tempdir().unwrap();
    let examples = examples();
    assert!(examples.len() >= 3, "the book has examples");
    let wrong: Vec<String> = examples.iter().filter_map(|example| play(example, out.path()).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_wrong_book_is_noticed() {
    let out = tempfile::tempdir().unwrap();
    let page = "```console\n$ cargo harness list\n…\n  register  …\n```";
    let examples = in_page(Path::new("page"), page);
    assert_eq!(play(&examples[0], out.path()), Ok(()));
    for wrong in ["  no-such-workload  …", "verdict: invalid"] {
        let page = format!("```console\n$ cargo harness list\n{wrong}\n```");
        assert!(play(&in_page(Path::new("page"), &page)[0], out.path()).is_err(), "{wrong}");
    }
    assert!(fits("a … c", "a b c") && !fits("a … c", "a b d") && !fits("a", "a b"));
}
