//! One profile, from its first state to a verdict.

use std::time::{Duration, Instant};

use raft::Bugs;
use stateright::Model as _;

use crate::raft_model::milestone::Milestone;
use crate::raft_model::profile::Profile;
use crate::raft_model::{End, Move, RaftModel};
use crate::search::{Figures, Limit, Limits, Outcome, search};

/// What came of a search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing goes wrong in any state within the bounds, and what the bounds are there for was met.
    Valid,
    /// Something goes wrong.
    Invalid {
        /// What.
        end: End,
        /// The shortest way there.
        path: Vec<Move>,
    },
    /// Nothing was found, and that says little.
    Unknown(Unknown),
}

/// Why finding nothing says little.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// The search did not come to its end.
    Stopped(Limit),
    /// It did, and some of what it is there for never happened.
    Missed(Vec<Milestone>),
}

/// A search and its result.
pub struct Report {
    /// The bounds.
    pub profile: Profile,
    /// What was found.
    pub verdict: Verdict,
    /// How much was looked at.
    pub figures: Figures,
    /// How long it took.
    pub took: Duration,
    /// Whether dead messages were taken away; see the chapter on reductions.
    pub buried: bool,
    /// The clusters, to tell a path with.
    pub model: RaftModel,
}

/// Looks at everything that clusters of `profile` can do whose nodes make these mistakes.
pub fn check(
    profile: Profile,
    bugs: Bugs,
    limits: Limits<'_>,
    progress: &(dyn Fn(Figures) + Sync),
) -> Report {
    let report = search_once(RaftModel::new(profile, bugs), limits, progress);
    // What was found is a story that can happen, whatever was buried.
    if matches!(report.verdict, Verdict::Invalid { .. }) || report.model.burials_hold() {
        return report;
    }
    let first = report.took;
    let limits = Limits { time: limits.time.map(|time| time.saturating_sub(first)), ..limits };
    let again = search_once(RaftModel::new(profile, bugs).without_burials(), limits, progress);
    Report { took: first + again.took, ..again }
}

fn search_once(model: RaftModel, limits: Limits<'_>, progress: &(dyn Fn(Figures) + Sync)) -> Report {
    let started = Instant::now();
    let (outcome, figures) = search(&model, limits, progress);
    let took = started.elapsed();
    let verdict = match outcome {
        Outcome::Broken(path) => Verdict::Invalid { end: end_of(&model, &path), path },
        Outcome::Stopped(limit) => Verdict::Unknown(Unknown::Stopped(limit)),
        Outcome::Exhausted => match model.missed() {
            missed if missed.is_empty() => Verdict::Valid,
            missed => Verdict::Unknown(Unknown::Missed(missed)),
        },
    };
    Report { profile: *model.profile(), verdict, figures, took, buried: model.buries(), model }
}

/// What goes wrong at the end of a path that leads there.
fn end_of(model: &RaftModel, path: &[Move]) -> End {
    let first = model.init_states().into_iter().next().expect("a profile has a first state");
    let step =
        |state, step: &Move| model.next_state(&state, *step).expect("a path that was found can be walked");
    let last = path.iter().fold(first, step);
    (*model.end(&last).expect("something goes wrong at its end")).clone()
}
