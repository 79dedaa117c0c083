//! In which circumstances a life was lived, as far as there is something to say about them.
//!
//! A life that was made small has few ops and faults, or none. What is left then is the rest of it: an operator who
//! changes the members, snapshots after a handful of entries, links on which messages overtake each other. Whatever is
//! as plain as can be goes without saying, since it does not matter.

use std::fmt::Write as _;

use nemesis::Span;
use sim::{Pace, Settings};

use crate::common::count;

/// A line, if anything is not plain.
pub(super) fn told(settings: &Settings) -> String {
    let remarks = remarks(settings);
    let mut out = String::new();
    if !remarks.is_empty() {
        let _ = writeln!(out, "  where {}", remarks.join("; "));
    }
    out
}

fn remarks(settings: &Settings) -> Vec<String> {
    let plain = Settings::plain();
    let mut said = Vec::new();
    if let Some(every) = settings.wishes {
        said.push(format!("an operator asks for other members or another leader, about every {every}"));
    }
    if let Some((entries, usual, most, piece)) = settings.snapshots {
        let kept = if most > usual { format!("{usual} to {most}") } else { usual.to_string() };
        said.push(format!(
            "snapshots are taken after {}, keep {kept} behind them and travel by {piece} bytes",
            count(entries, "entry").replace("entrys", "entries")
        ));
    }
    if let Some(wrong) = settings.lease {
        said.push(format!("leaders read by a lease, and clocks are wrong by up to {wrong} in a thousand"));
    }
    if settings.sessions {
        said.push("clients ask again under the same name".to_owned());
    }
    if settings.pace != plain.pace {
        said.push(links(settings.pace));
    }
    if settings.sync != plain.sync {
        said.push(format!("a sync takes {} more", Span(settings.sync)));
    }
    if settings.turn != plain.turn {
        said.push(format!("a node takes {} for a turn", Span(settings.turn)));
    }
    if settings.uneven {
        said.push("some nodes and links are five times as slow as others".to_owned());
    }
    if settings.stalls {
        said.push("nodes are held up now and then".to_owned());
    }
    if settings.append != plain.append {
        let size = match settings.append {
            1 => "one entry".to_owned(),
            bytes => format!("{bytes} bytes"),
        };
        said.push(format!("an append holds {size}"));
    }
    if settings.window != plain.window {
        said.push(format!("a follower is sent {} at once", count(settings.window as u64, "append")));
    }
    if settings.crowd != plain.crowd {
        said.push(format!("clients talk to the first {}", count(settings.crowd.into(), "node")));
    }
    if settings.relapse != plain.relapse {
        said.push(format!("in {} of 100 recoveries the power goes again", settings.relapse));
    }
    if (settings.segment_size, settings.zeros_ahead) != (plain.segment_size, plain.zeros_ahead) {
        let (size, ahead) = (settings.segment_size, settings.zeros_ahead);
        said.push(format!("segments have {size} bytes, {ahead} of them written ahead"));
    }
    if settings.patience != plain.patience {
        said.push(format!("a node lets a call wait for {:?}", settings.patience));
    }
    if (settings.heartbeat, settings.election) != (plain.heartbeat, plain.election) {
        let (least, most) = settings.election;
        said.push(format!(
            "a leader is heard every {:?} and missed after {least:?} to {most:?}",
            settings.heartbeat
        ));
    }
    said
}

fn links(Pace { least, spread, ordered }: Pace) -> String {
    let takes = if spread == 0 {
        Span(least).to_string()
    } else {
        format!("{} to {}, or longer", Span(least), Span(least.saturating_add(spread)))
    };
    format!("a message takes {takes}{}", if ordered { "" } else { ", and may be overtaken" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_goes_without_saying_and_the_rest_is_said() {
        assert_eq!(told(&Settings::plain()), "");
        let odd = Settings {
            wishes: Some(Span::millis(700)),
            snapshots: Some((1, 0, 3, 400)),
            pace: Pace { least: 50_000, spread: 1_000_000, ordered: false },
            append: 1,
            ..Settings::plain()
        };
        assert_eq!(
            told(&odd),
            "  where an operator asks for other members or another leader, about every 700ms; snapshots are taken \
             after 1 entry, keep 0 to 3 behind them and travel by 400 bytes; a message takes 50us to 1.05ms, or \
             longer, and may be overtaken; an append holds one entry\n"
        );
    }

    /// Whoever adds a circumstance has to say what it is called: a drawn life differs from a plain one in them all.
    #[test]
    fn every_circumstance_has_words() {
        let plain = serde_json::to_value(Settings::plain()).unwrap();
        let odd: Settings = serde_json::from_value(serde_json::json!({
            "pace": { "least": "1ms", "spread": "2ms", "ordered": false },
            "turn": "1ms", "sync": "1ms", "segment_size": 4096, "zeros_ahead": 512, "append": 300, "window": 4,
            "relapse": 60, "crowd": 2, "patience": "300ms", "heartbeat": "60ms", "election": ["301ms", "601ms"],
            "snapshots": [15, 0, 5, 400], "lease": 50, "wishes": "3s", "sessions": true,
            "uneven": true, "stalls": true,
        }))
        .unwrap();
        let whole = serde_json::to_value(&odd).unwrap();
        let fields = whole.as_object().unwrap();
        assert!(fields.iter().all(|(name, value)| plain.get(name) != Some(value)), "{fields:?}");
        // Two pairs share a remark.
        assert_eq!(remarks(&odd).len(), fields.len() - 2, "{:#?}", remarks(&odd));
    }
}
