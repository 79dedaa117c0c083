//! The ops of a history as Jepsen, Knossos and Elle keep them: EDN maps.
//!
//! ```text
//! {:index 0, :time 341187643, :process 1, :type :invoke, :f :read, :value nil}
//! #jepsen.history.Op{:index 1, :time 342667129, :process 1, :type :ok, :f :read, :value 3}
//! [{:process :nemesis, :type :info, :f :start, :value "Cut off [:n1]"}
//!  {:type :invoke, :f :txn, :process 7, :value [[:append 9 1] [:r 9 nil]]}]
//! ```
//!
//! One after the other or in one vector, on lines of their own or not, tagged or not; names are keywords
//! or texts. Fields that are not ours are skipped, but none of ours may stand there twice.
//!
//! Where the format leaves a choice, this is how it is read:
//! - **The order is that of the file.** `:time` may go back by what Jepsen's threads differ in; then it is
//!   lifted to the time before it. Without a time, the order is all there is to know. `:index` may have
//!   gaps, where a history was filtered, but may not go back; lines are numbered anew from 0.
//! - **`:key`, or a tuple.** Jepsen's independent keys stand in the value: `[k v]`. A value is taken for such
//!   a tuple where it cannot be anything else: a read, write, acquire or release of two data; a `cas` or
//!   `txn` whose second datum is what such an op asks. A register that holds pairs would be misread; the
//!   field `:key`, even if nil, says that there is no tuple.
//! - **A read asks nothing.** Knossos fills in what a read will answer where it is invoked; that is left out.
//! - **Refused compare-and-sets and nils** are for [`Reading`] to say; here, [`Reading::Knossos`] is usual.
//! - Without `:process`, all lines are of one process. Without `:f`, what is a vector of vectors is a `txn`.
//!
//! We write one map a line. So that other tools judge our histories rightly, an op that answered *false*
//! is a `:fail` there, as Jepsen's clients do it; `:result false` tells ourselves apart from them. In the
//! same way `:absent true` says that a `nil` that was read is an answer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::edn::Edn;
use crate::edn_fields::Fields;
use crate::foreign::{Found, NotALine, who};
use crate::json::{Raw, Type, Who};
use crate::names::{Key, Process};
use crate::reading::{self, Reading};

/// What must be remembered from one map to the next.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The time of the last.
    time: u64,
    /// Its index, if it said one.
    index: Option<i128>,
    /// The keys of open ops that are written as tuples.
    tuples: BTreeMap<Process, Key>,
}

impl Decoder {
    /// The fields of a line, which has this index whatever it says itself.
    pub(crate) fn read(&mut self, datum: Edn, index: u64, reading: Reading) -> Result<Raw, NotALine> {
        let Edn::Map(pairs) = datum.untagged() else { return Err(NotALine::NoMap) };
        let mut fields = Fields(pairs);
        self.check_index(fields.take("index")?)?;
        let time = self.lift(fields.take("time")?, index)?;
        let node = fields.take("node")?.and_then(|node| node.name()?.parse().ok());
        let found = self.read_op(fields, reading)?;
        Ok(Raw { time, node, ..found.at(index) })
    }

    fn check_index(&mut self, said: Option<Edn>) -> Result<(), NotALine> {
        match said {
            None | Some(Edn::Nil) => Ok(()),
            Some(Edn::Integer(index)) if self.index.is_none_or(|last| last < index) => {
                self.index = Some(index);
                Ok(())
            }
            Some(other) => Err(NotALine::wrong("index", "a number greater than the one before", &other)),
        }
    }

    /// The time of this line: what it says, but not before the last.
    fn lift(&mut self, said: Option<Edn>, index: u64) -> Result<u64, NotALine> {
        let said = match said {
            None | Some(Edn::Nil) => index,
            Some(Edn::Integer(time)) => u64::try_from(time.max(0)).unwrap_or(u64::MAX),
            Some(other) => return Err(NotALine::wrong("time", "a whole number", &other)),
        };
        self.time = self.time.max(said);
        Ok(self.time)
    }

    fn read_op(&mut self, mut fields: Fields, reading: Reading) -> Result<Found, NotALine> {
        let process = match fields.take("process")? {
            None | Some(Edn::Nil) => Some(Process(0)),
            Some(process) => who(&as_keyword(process))?,
        };
        let kind = Type::from_edn(&as_keyword(fields.need("type")?))?;
        let value = fields.take("value")?.unwrap_or(Edn::Nil);
        let f = match fields.take("f")? {
            None if is_txn(&value) => "txn".to_owned(),
            None => return Err(NotALine::Missing { field: "f" }),
            Some(f) => f.name().ok_or_else(|| NotALine::wrong("f", "a keyword", &f))?.to_owned(),
        };
        let error = fields.error()?;
        let Some(process) = process else {
            return Ok(Found { error, ..Found::of_nemesis(kind, f, value.into_json()) });
        };
        let (key, value) = self.key(process, kind, &f, fields.take("key")?, value);
        let result = fields.take("result")?.map(Edn::into_json);
        let absent = fields.take("absent")?.is_some_and(|absent| absent == Edn::Bool(true));
        let found =
            Found { key, value: value.into_json(), result, error, ..Found::of_client(process, kind, f) };
        Ok(meant(found, absent, reading))
    }

    /// Takes the tuple apart, if the op was invoked with one.
    fn key(
        &mut self,
        process: Process,
        kind: Type,
        f: &str,
        key: Option<Edn>,
        value: Edn,
    ) -> (Option<Key>, Edn) {
        if let Some(key) = key {
            return (Some(key).filter(|key| *key != Edn::Nil).map(|key| named(&key)), value);
        }
        if kind == Type::Invoke {
            if !is_tuple(f, &value) {
                self.tuples.remove(&process);
                return (None, value);
            }
        } else if self.tuples.remove(&process).is_none() {
            return (None, value);
        }
        match value {
            Edn::Vector(pair) => match <[Edn; 2]>::try_from(pair) {
                Ok([key, value]) => {
                    let key = named(&key);
                    if kind == Type::Invoke {
                        self.tuples.insert(process, key.clone());
                    }
                    (Some(key), value)
                }
                Err(other) => (None, Edn::Vector(other)),
            },
            other => (None, other),
        }
    }
}

/// What an op's end says, by the way it is read.
fn meant(found: Found, absent: bool, reading: Reading) -> Found {
    let refused = found.result == Some(Value::Bool(false));
    match found.kind {
        Type::Invoke if found.f == "read" => Found { value: Value::Null, ..found },
        Type::Fail if refused => Found { kind: Type::Ok, ..found },
        Type::Fail if found.f == "cas" && found.error.is_none() && found.value.is_array() => {
            reading::refused_cas(found, reading)
        }
        Type::Ok if found.f == "cas" && found.result.is_none() => {
            Found { result: Some(Value::Bool(true)), ..found }
        }
        Type::Ok if found.f == "read" && found.value.is_null() && !absent => {
            reading::read_nil(found, reading)
        }
        _ => found,
    }
}

/// Some write `"ok"` where others write `:ok`.
fn as_keyword(datum: Edn) -> Edn {
    match datum {
        Edn::Text(name) => Edn::Keyword(name),
        other => other,
    }
}

fn named(key: &Edn) -> Key {
    Key::new(key.name().map_or_else(|| key.to_string(), str::to_owned))
}

fn is_txn(value: &Edn) -> bool {
    matches!(value, Edn::Vector(all) if !all.is_empty() && all.iter().all(|one| matches!(one, Edn::Vector(_))))
}

/// Whether an op asks with a key and what is asked of it.
fn is_tuple(f: &str, value: &Edn) -> bool {
    let Edn::Vector(pair) = value else { return false };
    let [key, asked] = pair.as_slice() else { return false };
    let name = matches!(key, Edn::Integer(_) | Edn::Text(_) | Edn::Keyword(_) | Edn::Symbol(_));
    name && match f {
        "read" | "write" | "acquire" | "release" => true,
        "cas" => matches!(asked, Edn::Vector(both) | Edn::List(both) if both.len() == 2),
        "txn" => is_txn(asked),
        _ => false,
    }
}

/// A line as one map, with its newline.
pub(crate) fn write(raw: &Raw) -> Vec<u8> {
    let refused = raw.kind == Type::Ok && raw.result == Some(Value::Bool(false));
    let kind = if refused { Type::Fail } else { raw.kind };
    let value = match raw.f.as_str() {
        "read" if raw.kind != Type::Ok && raw.process != Who::Nemesis => Edn::Nil,
        "txn" => micro_ops(&raw.value),
        _ => Edn::from_json(&raw.value),
    };
    let absent = raw.kind == Type::Ok && raw.f == "read" && raw.value.is_null();
    let process = match raw.process {
        Who::Client(process) => Edn::Integer(process.0.into()),
        Who::Nemesis => Edn::Keyword("nemesis".to_owned()),
    };
    // What a successful compare-and-set answered goes without saying.
    let result = raw.result.as_ref().filter(|result| raw.f != "cas" || **result != Value::Bool(true));
    let key = match &raw.key {
        Some(key) => Some(Edn::Text(key.as_str().to_owned())),
        None => is_tuple(&raw.f, &value).then_some(Edn::Nil),
    };
    let fields = [
        ("index", Some(Edn::Integer(raw.index.into()))),
        ("time", Some(Edn::Integer(raw.time.into()))),
        ("process", Some(process)),
        ("type", Some(Edn::Keyword(kind.name().to_owned()))),
        ("f", Some(Edn::keyword_or_text(&raw.f))),
        ("key", key),
        ("value", Some(value)),
        ("absent", absent.then_some(Edn::Bool(true))),
        ("result", result.map(Edn::from_json)),
        ("error", raw.error.clone().map(Edn::Text)),
        ("node", raw.node.map(|node| Edn::Text(node.to_string()))),
    ];
    let pairs = fields.into_iter().filter_map(|(name, datum)| Some((Edn::Keyword(name.to_owned()), datum?)));
    let mut line = Edn::Map(pairs.collect()).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// `["append", 1, 2]` as `[:append 1 2]`, which is what Elle looks for.
fn micro_ops(value: &Value) -> Edn {
    let mut value = Edn::from_json(value);
    if let Edn::Vector(all) = &mut value {
        for micro_op in all {
            if let Edn::Vector(parts) = micro_op
                && let Some(Edn::Text(name)) = parts.first()
            {
                parts[0] = Edn::keyword_or_text(name);
            }
        }
    }
    value
}
