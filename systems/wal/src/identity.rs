//! Whose data this is.
//!
//! A folder mounted on the wrong machine, or a node started with its neighbour's folder, would bring a
//! stranger's votes and entries into a cluster. So the first start writes down who the folder belongs to,
//! and every later start compares. The file is text, for the operator who wonders.
//!
//! The members are part of it, as the first start was told of them. The log goes on from there, so a node that is
//! restarted with another list would count another majority: alone on its list it would lead, and acknowledge what the
//! others never hear of. Who has joined later was told of none, and learns them from the log.

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;

use raft::NodeId;
use sha2::{Digest, Sha256};

/// Between the name of a cluster and the count of its recoveries.
const RECOVERED: char = '#';

/// Who writes this log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster's name or token: the same for all its nodes. A cluster that was recovered from the loss of its quorum
    /// goes by another name, as [`recovered`](Identity::recovered) gives it: what is left of the old one is to have no say in it.
    pub cluster: String,
    /// The node's name in the member list.
    pub name: String,
    /// The node's number.
    pub node: NodeId,
    /// All members in order, as the first start was told of them; none, if it joined a cluster that ran already.
    pub members: Vec<String>,
}

impl Identity {
    /// The file's name.
    pub const FILE: &'static str = "identity";
    /// The name it has while it is being written.
    pub(crate) const DRAFT: &'static str = "identity.draft";

    /// The name that the cluster was given, without what recoveries added to it.
    pub fn token(&self) -> &str {
        self.cluster.rsplit_once(RECOVERED).map_or(&self.cluster, |(token, _)| token)
    }

    /// How often the cluster was recovered from the loss of its quorum.
    pub fn epoch(&self) -> u64 {
        let (_, behind) = self.cluster.rsplit_once(RECOVERED).unwrap_or_default();
        let epoch = behind.split_once('-').map_or(behind, |(epoch, _)| epoch);
        epoch.parse().unwrap_or(0)
    }

    /// The cluster's name after one more recovery: `name#1-1f2e3d4c`. The last part is drawn by whoever recovers, for a
    /// cluster can be recovered twice from the same remains, and what comes of it are two clusters.
    pub fn recovered(&self, drawn: u32) -> String {
        format!("{}{RECOVERED}{}-{drawn:08x}", self.token(), self.epoch() + 1)
    }

    /// Whether a cluster may be called so: a name must not look as if it was recovered already.
    pub fn is_token(name: &str) -> bool {
        !name.contains(RECOVERED)
    }

    /// Whose folder this is; `None` if nobody's yet. It may be somebody's who runs.
    ///
    /// # Errors
    /// The file cannot be read, or is none of ours.
    pub fn in_folder(folder: &Path) -> io::Result<Option<Identity>> {
        let path = folder.join(Identity::FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()));
        Identity::from_text(&text).map(Some).ok_or_else(damaged)
    }

    /// The cluster as a number that fits a header.
    pub fn cluster_hash(&self) -> [u8; 16] {
        let digest = Sha256::digest(self.cluster.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        short
    }

    /// The file's content. Names are quoted as Rust quotes them, so that any name fits on a line.
    pub(crate) fn to_text(&self) -> String {
        let Identity { cluster, name, node, members } = self;
        let mut body = format!("cluster {cluster:?}\nname {name:?}\nnode {}\n", node.0);
        for member in members {
            let _ = writeln!(body, "member {member:?}");
        }
        format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()))
    }

    /// Reads what [`to_text`](Identity::to_text) wrote; nothing else.
    pub(crate) fn from_text(text: &str) -> Option<Identity> {
        let mut lines = text.lines();
        let cluster = unquote(lines.next()?.strip_prefix("cluster ")?)?;
        let name = unquote(lines.next()?.strip_prefix("name ")?)?;
        let node = NodeId(lines.next()?.strip_prefix("node ")?.parse().ok()?);
        let members = lines.map_while(|line| unquote(line.strip_prefix("member ")?)).collect();
        let identity = Identity { cluster, name, node, members };
        (identity.to_text() == text).then_some(identity)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { cluster, name, node, members } = self;
        write!(f, "{node} ({name:?}) of cluster {cluster:?}")?;
        if members.is_empty() { Ok(()) } else { write!(f, " with members {}", members.join(", ")) }
    }
}

/// Undoes `{:?}` of a string. Escapes other than those that `{:?}` writes give nothing.
fn unquote(quoted: &str) -> Option<String> {
    let mut rest = quoted.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut plain = String::new();
    while let Some(next) = rest.next() {
        if next != '\\' {
            plain.push(next);
            continue;
        }
        plain.push(match rest.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            same @ ('\\' | '"' | '\'') => same,
            'u' => {
                let code: String = rest.by_ref().skip(1).take_while(|&c| c != '}').collect();
                char::from_u32(u32::from_str_radix(&code, 16).ok()?)?
            }
            _ => return None,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_comes_back_as_it_was() {
        for name in ["n1", "", "two words", "quote\" back\\slash", "line\nbreak\u{7f}\u{0}", "müller ☃"] {
            let identity = Identity {
                cluster: name.into(),
                name: name.into(),
                node: NodeId(7),
                members: vec![name.into(); 2],
            };
            assert_eq!(Identity::from_text(&identity.to_text()), Some(identity));
        }
    }

    #[test]
    fn a_recovered_cluster_has_another_name_each_time() {
        let mut identity =
            Identity { cluster: "c-1".into(), name: "n".into(), node: NodeId(1), members: Vec::new() };
        assert_eq!((identity.token(), identity.epoch()), ("c-1", 0));
        assert_ne!(identity.recovered(7), identity.recovered(8));
        for epoch in 1..4 {
            identity.cluster = identity.recovered(0xabcd);
            assert_eq!(identity.cluster, format!("c-1#{epoch}-0000abcd"));
            assert_eq!((identity.token(), identity.epoch()), ("c-1", epoch));
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let identity =
            Identity { cluster: "c".into(), name: "n".into(), node: NodeId(1), members: Vec::new() };
        let changed = identity.to_text().replace("node 1", "node 2");
        assert_eq!(Identity::from_text(&changed), None);
    }
}
