//! EDN: Clojure's notation for data, in which Jepsen writes its histories.
//!
//! `nil`, `true`, `12`, `1.5`, `"text"`, `\c`, `:keyword`, `symbol`, `(lists)`, `[vectors]`, `#{sets}`,
//! `{:maps "of pairs"}` and `#tagged data`; a comma is a blank, `;` begins a comment, and `#_` leaves the
//! next datum out. [`Edn`] holds any of it; [`Edn::read_all`] reads it and [`Display`](fmt::Display)
//! writes it.
//!
//! Left out: exact decimals (`1.5M`), ratios (`1/2`), whole numbers beyond 128 bits, metadata and
//! namespaced maps. No history that we met has them, and what is left out is refused by name and place,
//! never skipped.

use std::fmt;

use serde_json::{Map, Number, Value};

use crate::edn_reader::Rest;

/// A datum.
#[derive(Clone, PartialEq, Debug)]
pub enum Edn {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// A number that need not be whole.
    Float(f64),
    /// Text between quotes.
    Text(String),
    /// A character.
    Char(char),
    /// A name that stands for itself, without its colon.
    Keyword(String),
    /// A name that stands for something else.
    Symbol(String),
    /// `(…)`
    List(Vec<Edn>),
    /// `[…]`
    Vector(Vec<Edn>),
    /// `#{…}`, in the order in which it stands there.
    Set(Vec<Edn>),
    /// `{…}`, pair by pair, in the order in which they stand there.
    Map(Vec<(Edn, Edn)>),
    /// `#tag datum`: the tag says what the datum is meant to be.
    Tagged(String, Box<Edn>),
}

/// Why text is not EDN, as far as we know it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotEdn {
    /// Something was begun and not ended.
    #[error("it ends too early")]
    Ends,
    /// Something that cannot stand where it stands.
    #[error("`{0}` was not expected there")]
    Unexpected(String),
    /// Vectors in vectors, and so on.
    #[error("it is nested more than {MOST_DEPTH} deep")]
    TooDeep,
}

/// Text that is not EDN, and where that shows.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("at byte {at}: {why}")]
pub struct EdnError {
    /// How many bytes stand before the place.
    pub at: usize,
    /// What is wrong there.
    pub why: NotEdn,
}

/// How deep data may be nested: deeper than any history, and shallow enough for any stack.
pub(crate) const MOST_DEPTH: usize = 32;

impl Edn {
    /// The data of a text, one after the other.
    pub fn read_all(text: &str) -> Result<Vec<Edn>, EdnError> {
        let mut rest = Rest::new(text);
        let mut all = Vec::new();
        loop {
            match rest.next() {
                Ok(Some(datum)) => all.push(datum),
                Ok(None) => return Ok(all),
                Err(why) => return Err(EdnError { at: rest.at(), why }),
            }
        }
    }

    /// The name of a keyword.
    pub fn keyword(&self) -> Option<&str> {
        match self {
            Edn::Keyword(name) => Some(name),
            _ => None,
        }
    }

    /// A name, whether it is written as a keyword or as a text.
    pub fn name(&self) -> Option<&str> {
        match self {
            Edn::Keyword(name) | Edn::Text(name) => Some(name),
            _ => None,
        }
    }

    /// Without the tags around it.
    #[must_use]
    pub fn untagged(self) -> Edn {
        match self {
            Edn::Tagged(_, inner) => inner.untagged(),
            other => other,
        }
    }

    /// The same as JSON, which has fewer kinds of data: keywords, symbols and characters become texts,
    /// lists and sets become arrays, tags are gone, and a number that JSON has not becomes its text.
    pub fn into_json(self) -> Value {
        let array = |all: Vec<Edn>| all.into_iter().map(Edn::into_json).collect();
        match self {
            Edn::Nil => Value::Null,
            Edn::Bool(bool) => Value::Bool(bool),
            Edn::Integer(number) => {
                Number::from_i128(number).map_or_else(|| number.to_string().into(), Value::Number)
            }
            Edn::Float(number) => {
                Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
            }
            Edn::Text(text) | Edn::Keyword(text) | Edn::Symbol(text) => Value::String(text),
            Edn::Char(char) => Value::String(char.to_string()),
            Edn::List(all) | Edn::Vector(all) | Edn::Set(all) => array(all),
            Edn::Map(pairs) => {
                let name = |key: Edn| key.name().map_or_else(|| key.to_string(), str::to_owned);
                Value::Object(pairs.into_iter().map(|(key, value)| (name(key), value.into_json())).collect())
            }
            Edn::Tagged(_, inner) => inner.into_json(),
        }
    }

    /// JSON as EDN. A name in an object becomes a keyword where it can be one.
    pub fn from_json(value: &Value) -> Edn {
        match value {
            Value::Null => Edn::Nil,
            Value::Bool(bool) => Edn::Bool(*bool),
            Value::Number(number) => match (number.as_i128(), number.as_f64()) {
                (Some(whole), _) => Edn::Integer(whole),
                (None, number) => Edn::Float(number.unwrap_or(f64::NAN)),
            },
            Value::String(text) => Edn::Text(text.clone()),
            Value::Array(all) => Edn::Vector(all.iter().map(Edn::from_json).collect()),
            Value::Object(pairs) => Edn::Map(pairs_of(pairs)),
        }
    }

    /// The keyword of that name, or the text where no keyword can be called so.
    pub(crate) fn keyword_or_text(name: &str) -> Edn {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.?!*".contains(c);
        let keyword = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain);
        if keyword { Edn::Keyword(name.to_owned()) } else { Edn::Text(name.to_owned()) }
    }
}

fn pairs_of(object: &Map<String, Value>) -> Vec<(Edn, Edn)> {
    object.iter().map(|(name, value)| (Edn::keyword_or_text(name), Edn::from_json(value))).collect()
}

impl fmt::Display for Edn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edn::Nil => f.write_str("nil"),
            Edn::Bool(bool) => write!(f, "{bool}"),
            Edn::Integer(number) if i64::try_from(*number).is_ok() => write!(f, "{number}"),
            // Clojure reads what is beyond 64 bits only with this letter.
            Edn::Integer(number) => write!(f, "{number}N"),
            Edn::Float(number) => write!(f, "{number:?}"),
            Edn::Text(text) => write_text(f, text),
            Edn::Char('\n') => f.write_str("\\newline"),
            Edn::Char(' ') => f.write_str("\\space"),
            Edn::Char('\t') => f.write_str("\\tab"),
            Edn::Char('\r') => f.write_str("\\return"),
            Edn::Char(char) => write!(f, "\\{char}"),
            Edn::Keyword(name) => write!(f, ":{name}"),
            Edn::Symbol(name) => f.write_str(name),
            Edn::List(all) => write_all(f, "(", all, ")"),
            Edn::Vector(all) => write_all(f, "[", all, "]"),
            Edn::Set(all) => write_all(f, "#{", all, "}"),
            Edn::Map(pairs) => {
                f.write_str("{")?;
                for (place, (key, value)) in pairs.iter().enumerate() {
                    let apart = if place == 0 { "" } else { ", " };
                    write!(f, "{apart}{key} {value}")?;
                }
                f.write_str("}")
            }
            Edn::Tagged(tag, inner) => write!(f, "#{tag} {inner}"),
        }
    }
}

fn write_all(f: &mut fmt::Formatter<'_>, open: &str, all: &[Edn], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (place, datum) in all.iter().enumerate() {
        let apart = if place == 0 { "" } else { " " };
        write!(f, "{apart}{datum}")?;
    }
    f.write_str(close)
}

/// Line ends are written as such signs, so that a datum keeps to one line.
fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for char in text.chars() {
        match char {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            plain => write!(f, "{plain}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_reads_as_it_is_shown() {
        let text = concat!(
            r#"{:process 9, :value [nil -3 true], :key "x \"0\" \\\n"} [] {} :timed-out false 1.5 -0.25 1e300 "#,
            r#"\c \é \newline symbol (1 (2)) #{:n1 :n2} #jepsen.history.Op {:index 0} 18446744073709551615N"#,
        );
        let all = Edn::read_all(text).unwrap();
        let shown: Vec<String> = all.iter().map(Edn::to_string).collect();
        assert_eq!(shown.join(" "), text);
        assert_eq!(all[0].clone().into_json()["key"], "x \"0\" \\\n");
        assert_eq!(all[0].clone().into_json()["value"].to_string(), "[null,-3,true]");
        assert_eq!(all.last().unwrap().clone().into_json(), Value::from(u64::MAX));
    }

    #[test]
    fn comments_commas_and_what_is_left_out_are_blanks() {
        let text = "; a history\n[1, ; one\n #_ {:two 2} #_#_ 3 4 5 #{} #_6]#_7 ;";
        let all = Edn::read_all(text).unwrap();
        assert_eq!(all.iter().map(Edn::to_string).collect::<Vec<_>>(), ["[1 5 #{}]"]);
    }

    #[test]
    fn what_is_no_data_is_named_with_its_place() {
        let refused = |text: &str| Edn::read_all(text).unwrap_err();
        for text in ["[1", "{:a 1", "{:a", "\"x", "\"x\\", "[", "#", "#tag", "#_", "\\", "#{1", "(1 2"] {
            assert_eq!(refused(text).why, NotEdn::Ends, "{text}");
        }
        for (text, what, at) in [
            ("1 ]", "]", 2),
            ("{:a}", "}", 3),
            ("[1 (2]", "]", 5),
            (": a", ":", 0),
            ("12 1/2", "1/2", 3),
            ("1.5M", "1.5M", 0),
            ("9999999999999999999999999999999999999999", "9999999999999999999999999999999999999999", 0),
            (r#""a\q""#, "\\q", 2),
            ("^{:a 1} b", "^", 0),
            ("#:a{:b 1}", "#:a", 0),
            ("#<Object>", "#<Object>", 0),
            ("\\word", "\\word", 0),
        ] {
            let expected = EdnError { at, why: NotEdn::Unexpected(what.to_owned()) };
            assert_eq!(refused(text), expected, "{text}");
        }
        assert_eq!(refused(&"[".repeat(100_000)).why, NotEdn::TooDeep);
        assert_eq!(refused(&"#a ".repeat(100_000)).why, NotEdn::TooDeep);
        assert_eq!(refused(&"#_".repeat(100_000)).why, NotEdn::TooDeep);
    }
}
