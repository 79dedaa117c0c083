//! Writing a schedule as it is read.

use std::fmt::Write as _;

use crate::aim::Aim;
use crate::fault::{Fault, Grudge, Harm, Sever, Skew, Weather};
use crate::schedule::{End, Schedule, Start, Step};
use crate::storm::Storm;

impl Schedule {
    /// Writes it so that [`Schedule::parse`] reads the same.
    pub fn to_toml(&self) -> String {
        let mut text = String::from("# What was broken, and when. Repeat it: harness run --schedule FILE\n");
        let mut line = |line: String| text.write_str(&(line + "\n")).expect("writing to a string succeeds");
        if let Some(until) = self.until {
            line(format!("until = \"{until}\""));
        }
        if let Some(storm) = &self.random {
            line(random(storm));
        }
        for step in &self.steps {
            let timing = timing(step);
            line(format!("\n[[step]]\n{timing}\nfault = \"{}\"\n{}", step.aim.kind(), fields(&step.aim)));
        }
        text
    }
}

fn random(Storm { kinds, weights, day, night }: &Storm) -> String {
    let mut text = format!("\n[random]\nkinds = \"{kinds}\"");
    for (name, wait) in [("day", day), ("night", night)] {
        if let Some(wait) = wait {
            let _ = write!(text, "\n{name} = \"{wait}\"");
        }
    }
    if !weights.is_empty() {
        text += "\n\n[weights]";
    }
    for (kind, weight) in weights {
        let _ = write!(text, "\n{kind} = {weight}");
    }
    text
}

fn timing(step: &Step) -> String {
    let start = match step.start {
        Start::At(at) => format!("at = \"{at}\""),
        Start::After(ops) => format!("after = {ops}"),
        Start::When(happening) => format!("when = \"{}\"", happening.name()),
    };
    let every = step.every.map(|every| format!("\nevery = \"{every}\"")).unwrap_or_default();
    let end = match step.end {
        End::Until(until) => format!("until = \"{until}\""),
        End::Lasting(wait) => format!("lasting = \"{wait}\""),
    };
    format!("{start}{every}\n{end}")
}

fn fields(aim: &Aim) -> String {
    match aim {
        Aim::Partition { shape, sever } => severed(&format!("shape = \"{shape}\""), *sever),
        Aim::Packets { route, weather } => format!("links = \"{route}\"\n{}", inline(weather)),
        Aim::Membership { who } => format!("nodes = \"{who}\""),
        Aim::Harm { who, harm } => harmed(&format!("nodes = \"{who}\""), *harm),
        Aim::Exactly(fault) => exactly(fault),
    }
}

fn exactly(fault: &Fault) -> String {
    match fault {
        Fault::Partition { grudge: Grudge::Blocks(blocks), sever } => {
            severed(&format!("blocks = [{}]", itertools::join(blocks.iter().map(quoted), ", ")), *sever)
        }
        Fault::Partition { grudge: Grudge::Links(links), sever } => {
            severed(&format!("links = {}", quoted(links)), *sever)
        }
        Fault::Membership { node } => format!("nodes = {}", quoted([node])),
        Fault::Packets { links, weather } => format!("links = {}\n{}", quoted(links), inline(weather)),
        _ => {
            let harm = fault.harm().map(|(harm, nodes)| harmed(&format!("nodes = {}", quoted(nodes)), harm));
            harm.unwrap_or_default()
        }
    }
}

fn severed(cut: &str, sever: Sever) -> String {
    format!("{cut}\nsever = \"{sever}\"")
}

fn harmed(nodes: &str, harm: Harm) -> String {
    match harm {
        Harm::Clock(Skew::Jump { by }) => format!("{nodes}\nskew = {{ jump = \"{by}\" }}"),
        Harm::Clock(Skew::Drift { percent }) => format!("{nodes}\nskew = {{ drift = {percent} }}"),
        Harm::Clock(Skew::Strobe { by, every }) => {
            format!("{nodes}\nskew = {{ strobe = \"{by}\", every = \"{every}\" }}")
        }
        Harm::SlowDisk(pace) => format!("{nodes}\npace = \"{pace}\""),
        Harm::Kill
        | Harm::Pause
        | Harm::Power
        | Harm::FullDisk
        | Harm::FailedSync
        | Harm::BitFlip
        | Harm::Wipe
        | Harm::Restart => nodes.to_owned(),
    }
}

fn inline(weather: &Weather) -> String {
    let spans = [("delay", weather.delay), ("jitter", weather.jitter)];
    let spans = spans.into_iter().filter(|(_, span)| !span.is_zero());
    let shares = [("loss", weather.loss), ("duplicate", weather.duplicate), ("reorder", weather.reorder)];
    let shares = shares.into_iter().filter(|(_, share)| *share > 0);
    let said = spans.map(|(name, span)| format!("{name} = \"{span}\""));
    let said = said.chain(shares.map(|(name, share)| format!("{name} = {share}")));
    format!("weather = {{ {} }}", itertools::join(said, ", "))
}

fn quoted<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    format!("[{}]", itertools::join(items.into_iter().map(|item| format!("\"{item}\"")), ", "))
}
