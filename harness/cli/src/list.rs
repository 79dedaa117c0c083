//! `harness list`: what there is.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use workload::Name;

use crate::args::{ListArgs, Model};
use crate::exit::{Exit, Refusal};
use crate::render;

/// A heading, and names with a line each.
type Section = (&'static str, Vec<(String, String)>);

fn sections() -> Vec<Section> {
    let systems = runner::system::SYSTEMS.map(|system| (system.name().to_owned(), system.story().to_owned()));
    let workloads = Name::ALL.map(|name| (name.to_string(), name.description().to_owned()));
    let faults =
        nemesis::Kind::ALL.map(|kind| (kind.to_string(), format!("{}: {}", worlds(kind), kind.story())));
    let models = Model::ALL.map(|model| (model.name().to_owned(), model.story().to_owned()));
    vec![
        ("systems", systems.into()),
        ("workloads", workloads.into()),
        ("faults", faults.into()),
        ("models", models.into()),
        ("bugs", bugs()),
        ("suites", crate::suite::SUITES.map(|(name, story)| (name.to_owned(), story.to_owned())).into()),
    ]
}

/// Where a fault can be had.
fn worlds(kind: nemesis::Kind) -> &'static str {
    let real = runner::system::SYSTEMS.iter().any(|system| system.faults().contains(&kind));
    let simulated = nemesis::Kind::SIMULATED.contains(&kind) || !kind.is_fair();
    match (real, simulated) {
        (true, true) => "run, sim",
        (true, false) => "run",
        (false, _) => "sim",
    }
}

fn bugs() -> Vec<(String, String)> {
    if !cfg!(feature = "bugs") {
        return Vec::new();
    }
    let story = |bug: raft::Bug| match bug.number() {
        Some(number) => format!("raft: {} (also called {number})", bug.story()),
        None => format!("raft: {}", bug.story()),
    };
    raft::Bug::ALL.into_iter().map(|bug| (bug.to_string(), story(bug))).collect()
}

/// Prints the catalogue.
pub(crate) fn list(args: &ListArgs) -> Result<Exit, Refusal> {
    let sections = sections();
    if args.json {
        let object: Map<String, Value> = sections
            .into_iter()
            .map(|(heading, rows)| {
                let rows = rows.into_iter().map(|(name, story)| json!({ "name": name, "story": story }));
                (heading.to_owned(), rows.collect())
            })
            .collect();
        render::json(&object)?;
        return Ok(Exit::Valid);
    }
    let mut text = String::new();
    for (heading, rows) in sections {
        text.push_str(heading);
        text.push('\n');
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, story) in &rows {
            let _ = writeln!(text, "  {name:width$}  {story}");
        }
        if rows.is_empty() {
            text.push_str("  none in this build\n");
        }
    }
    render::text(&text)?;
    Ok(Exit::Valid)
}
