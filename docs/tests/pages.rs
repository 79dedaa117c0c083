//! Links lead somewhere, and quoted code stands where it is quoted from.
//!
//! A fenced block right below a line `<!-- quote: PATH -->` must stand in that file, line by line,
//! indentation aside; a line `…` stands for anything.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The chapters and the README, with their text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = vec![root().join("README.md")];
    let folder = fs::read_dir(root().join("docs")).unwrap().map(|file| file.unwrap().path());
    pages.extend(folder.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    pages.sort();
    pages.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for part in text.split("](").skip(1) {
        if let Some((target, _)) = part.split_once(')') {
            links.push(target.to_owned());
        }
    }
    links
}

/// A heading as it is addressed by a link.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn broken(page: &Path, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for link in links(text) {
        if link.contains("://") {
            continue;
        }
        let (path, place) = link.split_once('#').unwrap_or((&link, ""));
        let target = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
        if !target.exists() {
            broken.push(format!("{}: no file behind {link}", page.display()));
        } else if !place.is_empty() {
            let text = fs::read_to_string(&target).unwrap();
            let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
            let mut anchors = headings.map(|line| anchor(line.trim_start_matches('#')));
            if !anchors.any(|anchor| anchor == place) {
                broken.push(format!("{}: no heading behind {link}", page.display()));
            }
        }
    }
    broken
}

fn misquoted(page: &Path, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for part in text.split("<!-- quote: ").skip(1) {
        let (path, rest) = part.split_once(" -->").unwrap();
        let block = rest.trim_start().strip_prefix("```").expect("a quote is a fenced block");
        let (_, block) = block.split_once('\n').unwrap();
        let (block, _) = block.split_once("```").unwrap();
        match fs::read_to_string(root().join(path)) {
            Ok(source) if stands_in(block, &source) => {}
            Ok(_) => wrong.push(format!("{}: not what {path} says:\n{block}", page.display())),
            Err(error) => wrong.push(format!("{}: {path}: {error}", page.display())),
        }
    }
    wrong
}

/// Whether each run of lines between `…` stands in `source`, one run after the other.
fn stands_in(block: &str, source: &str) -> bool {
    let source: Vec<&str> = source.lines().map(str::trim).collect();
    let lines: Vec<&str> = block.lines().map(str::trim).collect();
    let mut from = 0;
    for run in lines.split(|line| *line == "…").filter(|run| !run.is_empty()) {
        match source[from..].windows(run.len()).position(|window| window == run) {
            Some(at) => from += at + run.len(),
            None => return false,
        }
    }
    true
}

#[test]
fn links_lead_somewhere() {
    let broken: Vec<String> = pages().iter().flat_map(|(page, text)| broken(page, text)).collect();
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn quotes_are_what_the_source_says() {
    let wrong: Vec<String> = pages().iter().flat_map(|(page, text)| misquoted(page, text)).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_dead_link_and_a_wrong_quote_are_noticed() {
    let page = root().join("README.md");
    assert_eq!(broken(&page, "[a](nowhere.md) [b](Cargo.toml) [c](https://example.com)").len(), 1);
    assert_eq!(broken(&page, "[a](#no-such-heading-anywhere)").len(), 1);
    let quote = |line: &str| format!("<!-- quote: Cargo.toml -->\n```toml\n{line}\n```\n");
    assert_eq!(misquoted(&page, &quote("resolver = \"3\"")).len(), 0);
    assert_eq!(misquoted(&page, &quote("resolver = \"1\"")).len(), 1);
    assert!(stands_in("a\n…\nc", "a\nb\nc"));
    assert!(!stands_in("c\n…\na", "a\nb\nc"));
}
