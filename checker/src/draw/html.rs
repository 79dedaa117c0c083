//! A history as a page for a browser: what was asked when, what was broken meanwhile, and what
//! contradicts what.
//!
//! The page is one file that asks nobody for anything: style, script and data are in it. It is of a
//! bounded size, however long the history is. Drawn one by one are the ops of the witness and those
//! around it, first of the same key, then of others; of a history without a witness, those at its start.
//! The rest appears as counts, in the strip that shows the whole; how much is left out is said.
//!
//! Lines that begin or end nothing that is drawn take no room. So near things stay near each other even
//! if other keys put a hundred thousand lines between them, and the distance says nothing of the time;
//! the axis does.
//!
//! For a contradiction, the page lists what forbids every order: pairs of needed ops, of which one had
//! ended before the other began. For a valid history, dots show the moments of the linearization.
//!
//! All text of a history is escaped: in the data as JSON without `<`, and the script only ever sets
//! text. Keys and values may say what they like.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use history::{Attempt, History, NemesisOp, NodeId, Operation, Process};
use serde_json::{Value, json};

use crate::draw::text::{label, shortened};
use crate::draw::words::{below, escaped, facts, foot, grouped, pairs, sentence};
use crate::explain::witness_op;
use crate::span::Span;
use crate::verdict::{Linearization, Verdict, Witness, WitnessOp};

const TEMPLATE: &str = include_str!("timeline.html");

/// How many ops are drawn one by one.
const MOST_DRAWN: usize = 1_200;

/// How many of them may be of other keys than the witness's.
const MOST_OTHERS: usize = 400;

/// How many lines around the witness are of interest.
const AROUND: u64 = 400;

/// How much of a value is drawn.
const VALUE: usize = 40;

/// How many columns the strip has.
const STRIP: usize = 280;

/// Draws a history and what was found of it.
pub fn page<O: Operation>(title: &str, history: &History<O, O::Ret>, verdict: &Verdict) -> String {
    let witness = match verdict {
        Verdict::Invalid { witness } => Some(&**witness),
        Verdict::Valid { .. } | Verdict::Unknown { .. } => None,
    };
    let drawn = choose(history, witness);
    let scene = scene(history, verdict, witness, &drawn).to_string();
    // No markup can begin in the data.
    let scene = scene.replace('<', r"\u003c");
    let parts = [
        ("{{title}}", escaped(title)),
        ("{{word}}", verdict.word().to_owned()),
        ("{{sentence}}", escaped(&sentence(verdict))),
        ("{{facts}}", escaped(&facts(history, verdict))),
        ("{{below}}", witness.map_or_else(String::new, below)),
        ("{{foot}}", escaped(&foot(history, witness, &drawn.ops))),
        ("{{scene}}", scene),
    ];
    filled(TEMPLATE, &parts)
}

/// Fills in each part where its name stands. What is filled in is not looked at again.
fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let mut out =
        String::with_capacity(template.len() + parts.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let part = parts.iter().find(|(name, _)| rest.starts_with(name));
        let (name, text) = part.expect("every part of the template has a name");
        out.push_str(text);
        rest = &rest[name.len()..];
    }
    out.push_str(rest);
    out
}

// --- what is drawn --------------------------------------------------------------------------------

/// The ops that are drawn, by their places, rising; and the lines between which they stand.
struct Drawn {
    ops: Vec<usize>,
    window: (u64, u64),
}

fn choose<O: Operation>(history: &History<O, O::Ret>, witness: Option<&Witness>) -> Drawn {
    let Some(witness) = witness.filter(|witness| !witness.ops.is_empty()) else {
        let ops: Vec<usize> = (0..history.attempts.len().min(MOST_DRAWN)).collect();
        let last = ops.last().map_or(0, |&op| history.attempts[op].invoked.index);
        return Drawn { ops, window: (0, last) };
    };
    let shown: BTreeSet<u64> = witness.ops.iter().map(|op| op.invoked).collect();
    let first = shown.first().copied().unwrap_or(0).saturating_sub(AROUND);
    let last = witness.prefix_ends.saturating_add(AROUND);
    // What is nearest to the end of the prefix comes first, in three ranks.
    let mut near: Vec<(u8, u64, usize)> = Vec::new();
    for (place, attempt) in history.attempts.iter().enumerate() {
        let from = attempt.invoked.index;
        let rank = if shown.contains(&from) { 0 } else { 1 + u8::from(attempt.key != witness.key) };
        let inside = from <= last && from >= first;
        if rank == 0 || inside {
            near.push((rank, from.abs_diff(witness.prefix_ends), place));
        }
    }
    near.sort_unstable();
    let others = near.partition_point(|&(rank, ..)| rank < 2);
    near.truncate(MOST_DRAWN.min(others + MOST_OTHERS));
    let mut ops: Vec<usize> = near.into_iter().map(|(_, _, place)| place).collect();
    ops.sort_unstable();
    let line = |op: Option<&usize>| op.map_or(0, |&op| history.attempts[op].invoked.index);
    let window = (line(ops.first()), line(ops.last()).max(witness.prefix_ends));
    Drawn { ops, window }
}

// --- the data of the page -------------------------------------------------------------------------

fn scene<O: Operation>(
    history: &History<O, O::Ret>,
    verdict: &Verdict,
    witness: Option<&Witness>,
    drawn: &Drawn,
) -> Value {
    let lanes = Lanes::of(history, drawn);
    let shown: BTreeMap<u64, &WitnessOp> =
        witness.into_iter().flat_map(|witness| &witness.ops).map(|op| (op.invoked, op)).collect();
    let orders = match verdict {
        Verdict::Valid { linearization: Some(linearization), .. } => orders(linearization, history, drawn),
        _ => BTreeMap::new(),
    };
    let culprit = witness.map(|witness| witness.prefix_ends);
    let ops = drawn.ops.iter().map(|&place| {
        let attempt = &history.attempts[place];
        let (span, from) = (span(attempt), attempt.invoked.index);
        let known = shown.get(&from);
        let needed = known.is_some_and(|op| op.needed);
        json!({
            "lane": lanes.of[&attempt.process],
            "key": attempt.key,
            "from": from,
            "began": attempt.invoked.time,
            "to": attempt.completed.map(|at| at.index),
            "ended": attempt.completed.map(|at| at.time),
            "outcome": if span.to().is_some() { 0 } else if attempt.failed() { 1 } else { 2 },
            "label": label(&witness_op(&span, false, false), VALUE),
            "tip": tip(attempt),
            "needed": needed,
            "named": known.is_some_and(|op| op.named),
            "culprit": needed && span.to().is_some() && span.to() == culprit,
            "other": witness.is_some_and(|witness| attempt.key != witness.key),
            "order": orders.get(&from),
        })
    });
    let lines = history.lines;
    json!({
        "ops": ops.collect::<Vec<Value>>(),
        "lanes": lanes.names,
        "faults": faults(&history.nemesis),
        "pairs": witness.map_or_else(Vec::new, |witness| {
            pairs(witness).into_iter().map(|(one, two)| (one.invoked, two.invoked)).collect::<Vec<_>>()
        }),
        "needs": witness.is_some_and(|witness| witness.ops.iter().any(|op| op.needed)),
        "since": witness.and_then(|witness| witness.since),
        "ends": culprit,
        "lines": lines,
        "window": [drawn.window.0, drawn.window.1],
        "density": density(history),
        "caption": format!(
            "The whole history: {} ops in {} lines. Framed is what is drawn below.",
            grouped(history.attempts.len() as u64),
            grouped(lines)
        ),
    })
}

fn span<O: Operation>(attempt: &Attempt<O, O::Ret>) -> Span<'_, O> {
    Span::new(attempt, attempt.ret().and(attempt.completed).map(|at| at.index))
}

/// One lane for each process that has something to show, those of a node beside each other.
struct Lanes {
    of: BTreeMap<Process, usize>,
    names: Vec<String>,
}

impl Lanes {
    fn of<O: Operation>(history: &History<O, O::Ret>, drawn: &Drawn) -> Lanes {
        let ops = drawn.ops.iter().map(|&place| &history.attempts[place]);
        let all: BTreeMap<Process, Option<NodeId>> = ops.map(|op| (op.process, op.node)).collect();
        let mut sorted: Vec<(Option<NodeId>, Process)> =
            all.into_iter().map(|(process, node)| (node, process)).collect();
        sorted.sort_unstable();
        let name = |(node, process): &(Option<NodeId>, Process)| match node {
            Some(node) => format!("{node} · p{process}"),
            None => format!("process {process}"),
        };
        Lanes {
            names: sorted.iter().map(name).collect(),
            of: sorted.iter().enumerate().map(|(lane, &(_, process))| (process, lane)).collect(),
        }
    }
}

/// The places in their key's order of the ops that are drawn, by the lines that invoke them.
fn orders<O: Operation>(
    linearization: &Linearization,
    history: &History<O, O::Ret>,
    drawn: &Drawn,
) -> BTreeMap<u64, usize> {
    let drawn: BTreeSet<u64> = drawn.ops.iter().map(|&op| history.attempts[op].invoked.index).collect();
    let all = linearization.keys.iter().flat_map(|key| key.order.iter().enumerate());
    all.filter(|(_, from)| drawn.contains(from)).map(|(place, &from)| (from, place)).collect()
}

/// How many ops that ended so were invoked in each part of the history: ok, fail, nobody knows.
fn density<O: Operation>(history: &History<O, O::Ret>) -> Vec<[u32; 3]> {
    let mut parts = vec![[0; 3]; STRIP];
    let lines = u128::from(history.lines.max(1));
    for attempt in &history.attempts {
        let part = u128::from(attempt.invoked.index) * STRIP as u128 / lines;
        let part = usize::try_from(part).map_or(STRIP - 1, |part| part.min(STRIP - 1));
        let outcome = if attempt.failed() { 1 } else { usize::from(attempt.is_open()) * 2 };
        parts[part][outcome] += 1;
    }
    parts
}

/// What stands beside the mouse.
fn tip<O: Operation>(attempt: &Attempt<O, O::Ret>) -> String {
    let shown = witness_op(&span(attempt), false, false);
    let node = attempt.node.map_or_else(String::new, |node| format!(" at {node}"));
    let key = attempt.key.as_ref().map_or_else(String::new, |key| format!(", key {key}"));
    let mut tip = format!("{}\nprocess {}{node}{key}\n", label(&shown, 200), attempt.process);
    let began = attempt.invoked;
    let _ = match attempt.completed {
        Some(ended) => write!(
            tip,
            "index {} to {}\n{} to {}, {} µs",
            began.index,
            ended.index,
            seconds(began.time),
            seconds(ended.time),
            grouped(ended.time.saturating_sub(began.time) / 1_000)
        ),
        None => write!(tip, "index {}, never answered\nfrom {}", began.index, seconds(began.time)),
    };
    match &attempt.outcome {
        history::Outcome::Ok(_) => {}
        history::Outcome::Fail(why) => {
            let _ = write!(tip, "\nfailed: {}", shortened(why, 160));
        }
        history::Outcome::Info(why) => {
            let _ = write!(tip, "\nnobody knows: {}", shortened(why, 160));
        }
    }
    tip
}

fn seconds(nanoseconds: u64) -> String {
    format!("{}.{:06} s", nanoseconds / 1_000_000_000, nanoseconds / 1_000 % 1_000_000)
}

// --- faults ---------------------------------------------------------------------------------------

/// From a fault's first line to the last line of its healing.
fn faults(nemesis: &[NemesisOp]) -> Vec<Value> {
    struct Band<'a> {
        f: &'a str,
        on: Value,
        from: u64,
        lines: u32,
        to: Option<u64>,
        error: Option<&'a str>,
    }
    let mut bands: Vec<Band<'_>> = Vec::new();
    for op in nemesis {
        let (f, heals) = match op.f.strip_prefix("heal-") {
            Some(f) => (f, true),
            None => (op.f.as_str(), false),
        };
        let mut on = op.value.clone();
        if let Value::Object(fields) = &mut on {
            fields.remove("evidence");
        }
        let waits = f.starts_with("await");
        let known = bands.iter_mut().rfind(|band| band.f == f && (waits || band.on == on));
        match known {
            Some(band) if heals || waits => band.to = Some(op.index),
            Some(band) if band.lines == 1 && band.to.is_none() => {
                band.lines = 2;
                band.error = op.error.as_deref();
            }
            _ if heals => {}
            _ => bands.push(Band { f, on, from: op.index, lines: 1, to: None, error: op.error.as_deref() }),
        }
    }
    let drawn = bands.iter().map(|band| {
        let name = format!("{}{}", band.f, on_whom(&band.on));
        let until = band.to.map_or("to the end".to_owned(), |to| format!("to {to}"));
        let error = band.error.map_or_else(String::new, |error| format!("\n{}", shortened(error, 160)));
        json!({
            "tip": format!("{name}\nindex {} {until}{error}", band.from),
            "name": shortened(&name, 60),
            "from": band.from,
            "to": band.to,
        })
    });
    drawn.collect()
}

/// " n4 | n1 n2 n3 n5", " n2": whom a fault concerns.
fn on_whom(on: &Value) -> String {
    let names = |value: &Value| {
        let names = value
            .as_array()
            .map(|all| all.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)));
        names.map(|names| names.collect::<Vec<String>>().join(" "))
    };
    let blocks =
        || Some(on.get("blocks")?.as_array()?.iter().filter_map(names).collect::<Vec<_>>().join(" | "));
    let nodes = || names(on.get("nodes")?);
    match blocks().or_else(nodes) {
        Some(named) => format!(" {named}"),
        None if on.is_null() => String::new(),
        None => format!(" {on}"),
    }
}

#[cfg(test)]
mod tests {
    use history::{Key, Line, Outcome, Pairing, Writer};

    use super::*;
    use crate::register::{Op, Ret, register};
    use crate::seam::{Budget, Checker};

    /// One write and two reads after the other, again and again, on keys of this name; one read is wrong.
    fn history(name: &str, rounds: u64, wrong_at: Option<u64>) -> History<Op, Ret> {
        let mut writer = Writer::new(std::io::sink());
        let mut pairing = Pairing::default();
        for round in 0..rounds {
            let key = Key::new(format!("{name}{}", round % 7));
            let stale = if wrong_at == Some(round) { round - 7 } else { round };
            let told = [
                (Op::Write(round), Ret::Written),
                (Op::Read, Ret::Value(Some(round))),
                (Op::Read, Ret::Value(Some(stale))),
            ];
            for (process, (op, ret)) in (0..).zip(told) {
                let time = writer.next_index();
                let key = Some(key.clone());
                let seen = writer.invoke(time, Process(process), Some(NodeId(1)), key, op).unwrap();
                pairing.push(Line::Client(seen));
                let seen = writer.complete(time + 1, Process(process), Outcome::Ok(ret)).unwrap();
                pairing.push(Line::Client(seen));
            }
        }
        pairing.finish()
    }

    fn drawn(history: &History<Op, Ret>) -> String {
        page("a run", history, &register().check(history, &Budget::default()))
    }

    /// What the script of a page is given.
    fn scene_of(page: &str) -> Value {
        let (_, rest) = page.split_once("type=\"application/json\">").unwrap();
        serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
    }

    #[test]
    fn nothing_in_a_history_becomes_markup_or_script() {
        let name = "</script><script>alert(1)</script>{{sentence}}&\"'";
        let mut history = history(name, 20, Some(11));
        history.nemesis.push(NemesisOp {
            index: 1,
            time: 1,
            f: name.to_owned(),
            value: json!({ "nodes": [name] }),
            error: Some(name.to_owned()),
        });
        let page = drawn(&history);
        assert_eq!(page.matches("<script").count(), 2, "the data and the script");
        assert_eq!(page.matches("</script>").count(), 2);
        let scene = scene_of(&page);
        let key = scene["ops"][0]["key"].as_str().unwrap();
        assert!(key.starts_with(name), "and yet it says what was there");
        assert!(scene["faults"][0]["name"].as_str().unwrap().contains("alert(1)"));
    }

    #[test]
    fn a_page_asks_nobody_for_anything() {
        let page = drawn(&history("k", 20, Some(11)));
        let addresses = page.matches("http").count();
        assert_eq!(
            addresses,
            page.matches("http://www.w3.org/2000/svg").count(),
            "a name, which nobody loads"
        );
        assert!(!page.contains("@import") && !page.contains("src="));
    }

    #[test]
    fn a_long_history_makes_no_long_page_and_the_witness_is_on_it() {
        for wrong_at in [None, Some(19_000)] {
            let history = history("k", 20_000, wrong_at);
            let page = drawn(&history);
            assert!(page.len() < 700_000, "{} bytes", page.len());
            assert!(page.contains("of 60,000 ops are drawn"));
            let scene = scene_of(&page);
            let ops = scene["ops"].as_array().unwrap();
            let needed = ops.iter().filter(|op| op["needed"] == true).count();
            assert_eq!(needed, if wrong_at.is_some() { 3 } else { 0 });
            let counted = scene["density"].as_array().unwrap().iter().map(|part| part[0].as_u64().unwrap());
            assert_eq!(counted.sum::<u64>(), 60_000);
        }
    }

    #[test]
    fn what_forbids_every_order_is_listed_without_what_follows_from_it() {
        let page = drawn(&history("k", 20, Some(11)));
        let scene = scene_of(&page);
        assert_eq!(scene["pairs"].as_array().unwrap().len(), 2);
        assert_eq!(page.matches("<li>").count(), 2);
        assert!(
            page.contains("<li>process 0’s write 4 at n1 ended at index 25, before process 0’s write 11")
        );
    }

    #[test]
    fn a_fault_lasts_from_its_first_line_to_the_last_of_its_healing() {
        let line = |index, f: &str, nodes: &[&str], evidence: bool| NemesisOp {
            index,
            time: index,
            f: f.to_owned(),
            value: if evidence {
                json!({ "nodes": nodes, "evidence": {} })
            } else {
                json!({ "nodes": nodes })
            },
            error: None,
        };
        let nemesis = [
            line(1, "kill", &["n1"], false),
            line(2, "kill", &["n1"], true),
            line(3, "pause", &["n2", "n3"], false),
            line(4, "heal-kill", &["n1"], false),
            line(6, "heal-kill", &["n1"], true),
            line(7, "kill", &["n1"], false),
        ];
        let seen = faults(&nemesis);
        let bands: Vec<_> = seen.iter().map(|band| (&band["name"], &band["from"], &band["to"])).collect();
        assert_eq!(
            bands,
            [
                (&json!("kill n1"), &json!(1), &json!(6)),
                (&json!("pause n2 n3"), &json!(3), &Value::Null),
                (&json!("kill n1"), &json!(7), &Value::Null),
            ]
        );
    }
}
