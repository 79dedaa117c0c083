//! Which links a weather is meant for, before it is known who stands where.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use itertools::Itertools as _;
use rand::Rng;
use rand::seq::IteratorRandom as _;

use crate::ids::{Link, NodeId, Nodes};
use crate::shape::Impossible;

/// Links by role.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Route {
    /// All of them.
    All,
    /// To and from whoever leads then.
    Leader,
    /// To and from any one node.
    OneNode,
    /// Any one of them, in one direction.
    OneLink,
}

impl Route {
    /// All of them.
    pub const ALL: [Route; 4] = [Route::All, Route::Leader, Route::OneNode, Route::OneLink];

    /// The name used in schedules.
    pub fn name(self) -> &'static str {
        match self {
            Route::All => "all",
            Route::Leader => "leader",
            Route::OneNode => "one-node",
            Route::OneLink => "one-link",
        }
    }

    /// The links that are meant, now.
    pub fn links(
        self,
        nodes: &Nodes,
        leader: Option<NodeId>,
        rng: &mut impl Rng,
    ) -> Result<BTreeSet<Link>, Impossible> {
        let all = nodes.iter().copied().permutations(2).map(|pair| Link::new(pair[0], pair[1]));
        let of =
            |node: NodeId| all.clone().filter(move |link| link.from == node || link.to == node).collect();
        if nodes.len() < 2 {
            return Err(Impossible::NoLinks);
        }
        Ok(match self {
            Route::All => all.collect(),
            Route::Leader => {
                let leader = leader.filter(|leader| nodes.contains(leader));
                of(leader.ok_or(Impossible::NoLeader)?)
            }
            Route::OneNode => of(*nodes.iter().choose(rng).expect("there are two nodes or more")),
            Route::OneLink => all.choose(rng).into_iter().collect(),
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No links of that name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown links `{0}`; known: {known}, or a list of links", known = itertools::join(Route::ALL, ", "))]
pub struct UnknownRoute(String);

impl FromStr for Route {
    type Err = UnknownRoute;

    fn from_str(text: &str) -> Result<Route, UnknownRoute> {
        let found = Route::ALL.into_iter().find(|route| route.name() == text);
        found.ok_or_else(|| UnknownRoute(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::ids::cluster;

    #[test]
    fn each_route_holds_as_many_links_as_its_name_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut links = |route: Route| route.links(&cluster(4), Some(NodeId(2)), &mut rng).unwrap();
        assert_eq!(links(Route::All).len(), 12);
        assert_eq!(links(Route::OneLink).len(), 1);
        assert_eq!(links(Route::OneNode).len(), 6);
        let leaders = links(Route::Leader);
        assert_eq!(leaders.len(), 6);
        assert!(leaders.iter().all(|link| link.from == NodeId(2) || link.to == NodeId(2)));
    }

    #[test]
    fn where_there_is_no_leader_or_no_link_that_is_said() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let said = |route: Route, count, rng: &mut ChaCha8Rng| {
            route.links(&cluster(count), None, rng).unwrap_err().to_string()
        };
        assert_eq!(said(Route::Leader, 3, &mut rng), "no leader is known");
        assert_eq!(said(Route::All, 1, &mut rng), "one node has no links");
        assert!("some".parse::<Route>().unwrap_err().to_string().contains("one-link, or a list"));
    }
}
