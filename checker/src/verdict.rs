//! What a checker says: valid with a proof, invalid with evidence, or unknown with a reason.

use std::borrow::Cow;

use history::{Key, NodeId, Process};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer to "did the system keep its promise?".
///
/// Ordered by weight: together, the worst one wins, and *invalid* is worse than *unknown*, since one
/// broken promise stays broken however little is known of the rest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// It kept it.
    Valid {
        /// An order of the ops, key by key, that explains every answer. None if the checker has no such proof.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        linearization: Option<Linearization>,
    },
    /// Nobody knows: the search had to stop.
    Unknown {
        /// Why.
        why: Why,
    },
    /// It broke it.
    Invalid {
        /// The evidence.
        witness: Box<Witness>,
    },
}

impl Verdict {
    /// The word for it: `valid`, `unknown` or `invalid`.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Valid { .. } => "valid",
            Verdict::Unknown { .. } => "unknown",
            Verdict::Invalid { .. } => "invalid",
        }
    }

    /// The worse of both; of two equally bad ones, the first.
    #[must_use]
    pub fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Valid { linearization: one }, Verdict::Valid { linearization: two }) => {
                Verdict::Valid { linearization: one.or(two) }
            }
            (one, two) => {
                if two.weight() > one.weight() {
                    two
                } else {
                    one
                }
            }
        }
    }

    fn weight(&self) -> u8 {
        match self {
            Verdict::Valid { .. } => 0,
            Verdict::Unknown { .. } => 1,
            Verdict::Invalid { .. } => 2,
        }
    }
}

/// Why a search had to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The time that it was given ran out, or the steps.
    OutOfTime,
    /// The memory that it was given ran out.
    OutOfMemory,
}

/// For every key, an order of its ops that explains every answer: the certificate of a *valid*.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Linearization {
    /// Key by key, in the order of the keys.
    pub keys: Vec<KeyOrder>,
}

/// Who judged, and why it was up to him.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct By {
    /// The name of the rule or of the engine.
    pub engine: Cow<'static, str>,
    /// Why it was chosen, as the end of a sentence: "every value is written once".
    pub since: Cow<'static, str>,
}

/// The order of one key's ops.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyOrder {
    /// The key; none in workloads without keys.
    pub key: Option<Key>,
    /// Who found it.
    pub by: By,
    /// The indexes of the lines that invoke the ops, in the order in which they took effect. An op
    /// that nobody knows the end of may be missing: then it never took effect.
    pub order: Vec<u64>,
}

/// The evidence that a promise was broken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Witness {
    /// The contradiction in one sentence.
    pub sentence: String,
    /// The key it happened to.
    pub key: Option<Key>,
    /// Who found it out.
    pub by: By,
    /// The last line of a prefix that is already wrong: the answer on it cannot be explained.
    pub prefix_ends: u64,
    /// Whether that prefix is the shortest: up to the line before, there is an explanation. If not,
    /// the budget ran out while looking for a shorter one.
    pub shortest: bool,
    /// The ops that contradict each other by themselves ([`WitnessOp::needed`]), and those that the
    /// sentence speaks of, in the order of their invocations. If no few of them were found before the
    /// budget ended, none is marked as needed, and these are the ones near the end of the prefix.
    pub ops: Vec<WitnessOp>,
    /// Whether none of the needed ops can be spared: if the answer of any one of them had not been
    /// heard, there would be an explanation. If not, the budget ran out while looking for fewer.
    #[serde(default)]
    pub minimal: bool,
    /// If the contradiction needs nothing of what came before some line: that line. Ops that ended
    /// before it do not count, those in flight there may have happened or not, and it may have held
    /// there whatever any op could have left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// How many other ops of that key and prefix there are. The needed ones contradict each other,
    /// whatever those did.
    pub others: usize,
    /// The states that the key may have had where the search got no further; not all of them if they
    /// are many.
    pub states: Vec<String>,
}

/// An op in a witness, with the lines of the history where it stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WitnessOp {
    /// Who asked.
    pub process: Process,
    /// Whom it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The op's name.
    pub f: String,
    /// Its argument, or what it read.
    pub value: Value,
    /// Its answer, where that is not the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// The line that invokes it.
    pub invoked: u64,
    /// The line that ends it; none if it never ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<u64>,
    /// What was known of it where the prefix ends.
    pub standing: Standing,
    /// Whether it is one of the ops that contradict each other by themselves.
    #[serde(default)]
    pub needed: bool,
    /// Whether the sentence speaks of it.
    #[serde(default)]
    pub named: bool,
}

/// What is known of an op where a prefix ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It happened.
    Acknowledged,
    /// It may have happened.
    Open,
    /// It turned out not to have happened.
    Failed,
}
