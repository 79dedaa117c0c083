//! How a check is carried out: by which engine, with which reductions.
//!
//! The verdict never depends on it; time and memory do. It is for benches, which take one reduction away
//! to see what it is worth, and for tests, which compare every engine with the plainest.

use crate::mutant::Mutant;
use crate::verdict::By;

/// How a check is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Setup {
    /// Who judges.
    pub engine: Choice,
    /// What the frontier engine leaves out because it makes no difference.
    pub reductions: Reductions,
    /// An invalid history gets the bare verdict: nobody looks for the shortest prefix or the few ops that
    /// contradict each other. What finding them costs is the difference.
    pub bare: bool,
    pub(crate) mutant: Mutant,
}

impl Setup {
    /// Judged by this engine.
    pub fn by(engine: Choice) -> Setup {
        Setup { engine, ..Setup::default() }
    }
}

/// Who judges a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Choice {
    /// The first rule of the data type whose assumptions hold, or else the frontier.
    #[default]
    Auto,
    /// The frontier, whatever the data type knows.
    Frontier,
    /// The plain search, which is the reference.
    Wgl,
}

impl Choice {
    /// Who searches, if no rule decides.
    pub(crate) fn by(self) -> By {
        let (engine, since) = match self {
            Choice::Auto | Choice::Frontier => ("frontier", "no rule applies"),
            Choice::Wgl => ("wgl", "it was asked for"),
        };
        By { engine: engine.into(), since: since.into() }
    }
}

/// The reductions of the frontier engine; all are on unless somebody wants to know what one is worth.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reductions {
    /// Unanswered ops that ask the same are one class, of which only the number matters.
    pub classes: bool,
    /// Who got to the same place with fewer unanswered ops spent has all the futures of who spent more.
    pub dominance: bool,
    /// An op that changes nothing takes effect as soon as its answer fits.
    pub greedy: bool,
    /// An unanswered op takes effect only directly before an answer that needs it.
    pub lazy: bool,
    /// A depth-first search goes ahead, for the easy yes.
    pub race: bool,
}

impl Reductions {
    /// None at all.
    pub const NONE: Reductions =
        Reductions { classes: false, dominance: false, greedy: false, lazy: false, race: false };
}

impl Default for Reductions {
    fn default() -> Reductions {
        Reductions { classes: true, dominance: true, greedy: true, lazy: true, race: true }
    }
}
