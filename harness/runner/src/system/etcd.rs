//! etcd itself, as Debian packages it: the same test against somebody else's system.
//!
//! It answers the same clients and probes as `raft-node`, since that one speaks its protocol. Three
//! things are different.
//!
//! * *One address per member.* etcd derives the members' ids from `--initial-cluster`, so all of them
//!   must be given the same list: a member is known to all by the entrance of its proxy, and listens
//!   elsewhere. Links are then told apart by who dials ([`nemesis_net::proxy::origin`]).
//! * *Its timers are long* for a fault of five seconds: an election takes a second or two. So they are
//!   shortened to what `raft-node` uses, and `run.json` says so.
//! * *It has no planted mistakes.* It has real ones. Version 3.4.23 can answer a stale read after a
//!   pause (etcd's issue 20418), rarely; such a run is invalid, and rightly so.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nemesis::{Kind, NodeId};
use nemesis_net::Launch;

use crate::error::Error;
use crate::plan::{Disk, Plan};
use crate::system::{Links, Map, System, url};

/// The name of the program.
const PROGRAM: &str = "etcd";

/// etcd 3.4 or later, from the search path or wherever the plan says.
pub struct Etcd;

impl System for Etcd {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn story(&self) -> &'static str {
        "etcd itself, if it is installed here (apt-get install etcd-server)"
    }

    fn faults(&self) -> &'static [Kind] {
        &Kind::REAL
    }

    fn links(&self) -> Links {
        Links::PerDestination
    }

    /// An election timeout must be five heartbeats or more.
    fn settings(&self) -> BTreeMap<String, String> {
        let timers = [("heartbeat-interval", "50"), ("election-timeout", "300")];
        timers.map(|(flag, millis)| (flag.to_owned(), millis.to_owned())).into()
    }

    fn check(&self, plan: &Plan) -> Result<(), Error> {
        if let Some(bug) = plan.bugs.first() {
            return Err(Error::Plan(format!("etcd has no planted bugs, and so no `{bug}`")));
        }
        if plan.disk == Disk::Lossy {
            let why = "etcd writes its files itself, not through a disk of ours: it has no lossy one";
            return Err(Error::Plan(why.to_owned()));
        }
        if plan.bin.is_none() && find(PROGRAM).is_none() {
            let cure = "etcd is not installed: apt-get install etcd-server";
            return Err(Error::Plan(cure.to_owned()));
        }
        Ok(())
    }

    fn known_as(&self, node: NodeId, map: &Map) -> String {
        // Alone, it has no proxy: nobody dials it.
        let entrance = map.dial.iter().find(|(link, _)| link.to == node);
        url(entrance.map_or(map.nodes[&node].peer, |(_, entrance)| *entrance))
    }

    fn launch(&self, node: NodeId, map: &Map, plan: &Plan) -> Launch {
        let url = |address: SocketAddr| OsString::from(url(address));
        let members: Vec<String> =
            map.nodes.keys().map(|member| format!("{member}={}", self.known_as(*member, map))).collect();
        let doors = &map.nodes[&node];
        let mut flags: Vec<(String, OsString)> = vec![
            ("name".into(), node.to_string().into()),
            ("initial-cluster".into(), members.join(",").into()),
            ("initial-cluster-token".into(), map.token.clone().into()),
            ("initial-advertise-peer-urls".into(), self.known_as(node, map).into()),
            ("listen-peer-urls".into(), url(doors.peer)),
            ("listen-client-urls".into(), url(doors.client)),
            ("advertise-client-urls".into(), url(doors.client)),
            ("listen-metrics-urls".into(), url(doors.metrics)),
            ("data-dir".into(), doors.folder.join("data").into()),
            ("logger".into(), "zap".into()),
        ];
        flags.extend(plan.settings_of(node).into_iter().map(|(key, value)| (key.to_owned(), value.into())));
        let arguments = flags.into_iter().flat_map(|(flag, value)| [format!("--{flag}").into(), value]);
        let program = plan.bin.clone().or_else(|| find(PROGRAM)).unwrap_or_else(|| PROGRAM.into());
        let environment = unheard(env::vars_os().map(|(name, _)| name));
        Launch { program, arguments: arguments.collect(), environment, ..Launch::default() }
    }
}

/// Every flag of etcd can also be set by a variable. Those that happen to stand in the environment of the
/// harness must not change what is tested, and are emptied, which is to etcd as if they were not there.
/// One stays: without it, etcd does not start at all on some machines.
fn unheard(environment: impl Iterator<Item = OsString>) -> Vec<(OsString, OsString)> {
    let is_etcds = |name: &OsString| name.as_encoded_bytes().starts_with(b"ETCD_");
    let unheard = environment.filter(is_etcds).filter(|name| name != "ETCD_UNSUPPORTED_ARCH");
    unheard.map(|name| (name, OsString::new())).collect()
}

/// Where the search path has a program of this name.
fn find(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use nemesis::Link;
    use nemesis::ids::cluster;

    use super::*;
    use crate::system::Doors;

    fn map(nodes: u16) -> Map {
        let door = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let doors = |node: NodeId| Doors {
            client: door(1000 + node.0),
            peer: door(2000 + node.0),
            metrics: door(3000 + node.0),
            folder: PathBuf::from(format!("run/{node}")),
        };
        let links = [(1, 2), (2, 1)].map(|(from, to)| Link::new(NodeId(from), NodeId(to)));
        let dial = links.into_iter().zip([door(4002), door(4001)]).filter(|_| nodes > 1);
        Map {
            token: "t".to_owned(),
            nodes: cluster(nodes).into_iter().map(|node| (node, doors(node))).collect(),
            dial: dial.collect(),
        }
    }

    fn said(map: &Map) -> String {
        let plan = Plan { bin: Some("/opt/etcd".into()), settings: Etcd.settings(), ..Plan::default() };
        let arguments = Etcd.launch(NodeId(1), map, &plan).arguments;
        arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_member_is_known_by_its_proxy_and_listens_elsewhere() {
        assert_eq!(
            said(&map(2)),
            "--name n1 --initial-cluster n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002 \
             --initial-cluster-token t --initial-advertise-peer-urls http://127.0.0.1:4001 \
             --listen-peer-urls http://127.0.0.1:2001 --listen-client-urls http://127.0.0.1:1001 \
             --advertise-client-urls http://127.0.0.1:1001 --listen-metrics-urls http://127.0.0.1:3001 \
             --data-dir run/n1/data --logger zap --election-timeout 300 --heartbeat-interval 50"
        );
        assert!(said(&map(1)).contains("--initial-cluster n1=http://127.0.0.1:2001 "), "{}", said(&map(1)));
    }

    #[test]
    fn what_etcd_does_not_have_is_refused_as_the_users_doing() {
        let plan = Plan { bugs: vec!["skip-read-quorum".to_owned()], ..Plan::default() };
        let error = Etcd.check(&plan).unwrap_err();
        assert_eq!(error.to_string(), "etcd has no planted bugs, and so no `skip-read-quorum`");
        assert_eq!(error.exit_code(), 254);
        let error = Etcd.check(&Plan { disk: Disk::Lossy, ..Plan::default() }).unwrap_err();
        assert_eq!(error.exit_code(), 254);
        assert!(error.to_string().contains("it has no lossy one"), "{error}");
    }

    #[test]
    fn what_the_environment_says_to_etcd_is_not_heard() {
        let names = ["PATH", "ETCD_QUOTA_BACKEND_BYTES", "MY_ETCD_NAME", "ETCD_UNSUPPORTED_ARCH"];
        let unheard = unheard(names.into_iter().map(OsString::from));
        assert_eq!(unheard, [("ETCD_QUOTA_BACKEND_BYTES".into(), OsString::new())]);
    }

    #[test]
    fn a_program_is_found_on_the_search_path_or_not_at_all() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}
