//! A line as JSON: the names and their order.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::names::{Key, NodeId, Process};

/// A line before anyone asked what it means. Fields that are not ours are skipped on reading.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Raw {
    pub(crate) index: u64,
    pub(crate) time: u64,
    pub(crate) process: Who,
    #[serde(rename = "type")]
    pub(crate) kind: Type,
    pub(crate) f: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<Key>,
    #[serde(default)]
    pub(crate) value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<NodeId>,
}

/// Jepsen's four.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Type {
    Invoke,
    Ok,
    Fail,
    Info,
}

impl Type {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Type::Invoke => "invoke",
            Type::Ok => "ok",
            Type::Fail => "fail",
            Type::Info => "info",
        }
    }
}

/// Whose line: a process's number, or `"nemesis"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    Client(Process),
    Nemesis,
}

const NEMESIS: &str = "nemesis";

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Who::Client(process) => process.serialize(to),
            Who::Nemesis => to.serialize_str(NEMESIS),
        }
    }
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Who, D::Error> {
        struct Expecting;
        impl Visitor<'_> for Expecting {
            type Value = Who;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a process number or \"nemesis\"")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Who, E> {
                Ok(Who::Client(Process(number)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Who, E> {
                if text == NEMESIS {
                    Ok(Who::Nemesis)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }
        }
        from.deserialize_any(Expecting)
    }
}
