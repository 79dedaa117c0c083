//! The names of things: nodes, links between them, moments of a run.
//!
//! One notation serves schedules, histories and messages to people: `n2`, `n1→n2`, `2.5s`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A node of the cluster under test, written `n2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub u16);

/// A set of nodes, in order, so that two lists of the same nodes are the same value.
pub type Nodes = BTreeSet<NodeId>;

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// Not written as we write it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct Malformed {
    text: String,
    expected: &'static str,
}

impl Malformed {
    pub(crate) fn new(text: &str, expected: &'static str) -> Malformed {
        Malformed { text: text.to_owned(), expected }
    }
}

impl FromStr for NodeId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<NodeId, Malformed> {
        text.strip_prefix('n')
            .and_then(|number| number.parse().ok())
            .map(NodeId)
            .ok_or_else(|| Malformed::new(text, "a node such as \"n2\""))
    }
}

/// One direction between two nodes, written `n1→n2`: what `from` says and `to` hears.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Link {
    /// Who speaks.
    pub from: NodeId,
    /// Who hears it.
    pub to: NodeId,
}

impl Link {
    /// The link from `from` to `to`.
    pub fn new(from: NodeId, to: NodeId) -> Link {
        Link { from, to }
    }

    /// The other direction.
    #[must_use]
    pub fn reverse(self) -> Link {
        Link { from: self.to, to: self.from }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}→{}", self.from, self.to)
    }
}

impl FromStr for Link {
    type Err = Malformed;

    /// `n1→n2`, or `n1->n2` from a keyboard without arrows.
    fn from_str(text: &str) -> Result<Link, Malformed> {
        let malformed = || Malformed::new(text, "a link such as \"n1→n2\"");
        let (from, to) = text.split_once('→').or_else(|| text.split_once("->")).ok_or_else(malformed)?;
        let end = |end: &str| end.trim().parse::<NodeId>().map_err(|_| malformed());
        let link = Link::new(end(from)?, end(to)?);
        if link.from == link.to { Err(malformed()) } else { Ok(link) }
    }
}

/// A moment of a run: nanoseconds since it started. Written in seconds, `2.5s`, exact to the last one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

const SECOND: u64 = 1_000_000_000;

impl Time {
    /// So many whole seconds after the start.
    pub fn seconds(seconds: u64) -> Time {
        Time(seconds.saturating_mul(SECOND))
    }

    /// The moment `wait` later; the end of time if there is none.
    #[must_use]
    pub fn after(self, wait: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; nothing if it is not.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / SECOND, self.0 % SECOND);
        if rest == 0 {
            return write!(f, "{whole}s");
        }
        let digits = format!("{rest:09}");
        write!(f, "{whole}.{}s", digits.trim_end_matches('0'))
    }
}

impl FromStr for Time {
    type Err = Malformed;

    /// `2s`, `2.5s`, `250ms`, `40us`, `7ns`. Digits finer than a nanosecond are refused, not rounded.
    fn from_str(text: &str) -> Result<Time, Malformed> {
        let found = nanoseconds(text).map(Time);
        found.ok_or_else(|| Malformed::new(text, "a time such as \"2.5s\" or \"250ms\""))
    }
}

/// How many nanoseconds `2.5s` or `250ms` are.
pub(crate) fn nanoseconds(text: &str) -> Option<u64> {
    let units = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", SECOND)];
    let (number, unit) =
        units.into_iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))?;
    exact(number, unit)
}

/// `number` times `unit`, if that is a whole number that fits.
fn exact(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = fraction.parse::<u64>().ok()?.checked_mul(unit)?;
    let rest = fraction.checked_div(scale).filter(|_| fraction % scale == 0)?;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(rest)
}

/// Written by `Display`, read by `FromStr`: people see the same names everywhere.
macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
pub(crate) use as_text;

as_text!(NodeId, Link, Time);

/// The first `count` nodes: n1, n2, …
pub fn cluster(count: u16) -> Nodes {
    (1..=count).map(NodeId).collect()
}

/// Nodes as people read them: `n1 n2 n3`.
pub(crate) fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    itertools::join(items, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let link = Link::new(NodeId(1), NodeId(12));
        assert_eq!(link.to_string(), "n1→n12");
        assert_eq!("n1→n12".parse(), Ok(link));
        assert_eq!("n1 -> n12".parse(), Ok(link));
        for nanos in [0, 1, 40_000, 250_000_000, 2_500_000_000, u64::MAX] {
            assert_eq!(Time(nanos).to_string().parse(), Ok(Time(nanos)));
        }
        assert_eq!("250ms".parse(), Ok(Time(250_000_000)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_named() {
        for text in ["n", "2", "n-1", "n70000", ""] {
            assert!(text.parse::<NodeId>().is_err(), "{text}");
        }
        for text in ["n1", "n1→n1", "n1→", "1→2"] {
            assert!(text.parse::<Link>().is_err(), "{text}");
        }
        for text in ["2", "s", "-1s", "1.s", ".5s", "0.1234567891s", "1.5ns", "99999999999s", "1e3s"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
        let said = "n1→n1".parse::<Link>().unwrap_err().to_string();
        assert_eq!(said, "`n1→n1` is not a link such as \"n1→n2\"");
    }
}
