//! As much of EDN as the histories of others are written in.
//!
//! EDN is Clojure's notation for data: `nil`, `true`, `12`, `"text"`, `:keyword`, `[vectors]` and
//! `{:maps "of pairs"}`; a comma is a blank. Left out: symbols, characters, sets, lists, tags, and
//! numbers that are not whole. No history that is read here has them, and what is left out is refused by
//! name, never skipped.

use std::fmt;

use serde_json::Value;

/// A datum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Edn {
    Nil,
    Bool(bool),
    Number(i64),
    Text(String),
    Keyword(String),
    Vector(Vec<Edn>),
    Map(Vec<(Edn, Edn)>),
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

/// How deep data may be nested: deeper than any history, and shallow enough for any stack.
const MOST_DEPTH: usize = 32;

impl Edn {
    /// The data of a text, one after the other.
    pub(crate) fn read_all(text: &str) -> Result<Vec<Edn>, NotEdn> {
        let mut rest = Rest(text);
        let mut all = Vec::new();
        while !rest.at_end() {
            all.push(rest.datum(0)?);
        }
        Ok(all)
    }

    /// The name of a keyword.
    pub(crate) fn keyword(&self) -> Option<&str> {
        match self {
            Edn::Keyword(name) => Some(name),
            _ => None,
        }
    }

    /// The same as JSON; a keyword becomes its name.
    pub(crate) fn into_json(self) -> Value {
        match self {
            Edn::Nil => Value::Null,
            Edn::Bool(bool) => Value::Bool(bool),
            Edn::Number(number) => Value::from(number),
            Edn::Text(text) | Edn::Keyword(text) => Value::String(text),
            Edn::Vector(all) => all.into_iter().map(Edn::into_json).collect(),
            Edn::Map(pairs) => {
                let name = |key: Edn| key.keyword().map_or_else(|| key.to_string(), str::to_owned);
                Value::Object(pairs.into_iter().map(|(key, value)| (name(key), value.into_json())).collect())
            }
        }
    }
}

impl fmt::Display for Edn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edn::Nil => f.write_str("nil"),
            Edn::Bool(bool) => write!(f, "{bool}"),
            Edn::Number(number) => write!(f, "{number}"),
            Edn::Text(text) => write!(f, "{text:?}"),
            Edn::Keyword(name) => write!(f, ":{name}"),
            Edn::Vector(all) => {
                let all: Vec<String> = all.iter().map(Edn::to_string).collect();
                write!(f, "[{}]", all.join(" "))
            }
            Edn::Map(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key} {value}")).collect();
                write!(f, "{{{}}}", pairs.join(", "))
            }
        }
    }
}

/// The text not read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    }

    fn at_end(&mut self) -> bool {
        self.skip_blanks();
        self.0.is_empty()
    }

    /// Steps over `mark`, if it is next.
    fn skip(&mut self, mark: char) -> bool {
        self.skip_blanks();
        let rest = self.0.strip_prefix(mark);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn datum(&mut self, depth: usize) -> Result<Edn, NotEdn> {
        if depth > MOST_DEPTH {
            return Err(NotEdn::TooDeep);
        }
        if self.skip('"') {
            return self.text();
        }
        if self.skip('[') {
            let mut all = Vec::new();
            while !self.skip(']') {
                all.push(self.datum(depth + 1)?);
            }
            return Ok(Edn::Vector(all));
        }
        if self.skip('{') {
            let mut pairs = Vec::new();
            while !self.skip('}') {
                pairs.push((self.datum(depth + 1)?, self.datum(depth + 1)?));
            }
            return Ok(Edn::Map(pairs));
        }
        if self.at_end() {
            return Err(NotEdn::Ends);
        }
        let word = self.word();
        let unexpected = || NotEdn::Unexpected(word.to_owned());
        match word {
            "nil" => Ok(Edn::Nil),
            "true" => Ok(Edn::Bool(true)),
            "false" => Ok(Edn::Bool(false)),
            _ => match word.strip_prefix(':') {
                Some("") => Err(unexpected()),
                Some(name) => Ok(Edn::Keyword(name.to_owned())),
                None => word.parse().map(Edn::Number).map_err(|_| unexpected()),
            },
        }
    }

    /// Up to the next blank or bracket; a bracket alone if that is next.
    fn word(&mut self) -> &'a str {
        let ends = |c: char| c.is_whitespace() || ",[]{}()\"".contains(c);
        let first = self.0.chars().next().map_or(0, char::len_utf8);
        let end = self.0.find(ends).unwrap_or(self.0.len()).max(first);
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    /// What follows an opening quote.
    fn text(&mut self) -> Result<Edn, NotEdn> {
        let mut text = String::new();
        let mut chars = self.0.chars();
        loop {
            match chars.next().ok_or(NotEdn::Ends)? {
                '"' => break,
                '\\' => text.push(match chars.next().ok_or(NotEdn::Ends)? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    plain @ ('"' | '\\') => plain,
                    other => return Err(NotEdn::Unexpected(format!("\\{other}"))),
                }),
                plain => text.push(plain),
            }
        }
        self.0 = chars.as_str();
        Ok(Edn::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_reads_as_it_is_shown() {
        let text = r#"{:process 9, :value [nil -3 true], :key "x \"0\" \\"} [] {} :timed-out false"#;
        let all = Edn::read_all(text).unwrap();
        let shown: Vec<String> = all.iter().map(Edn::to_string).collect();
        assert_eq!(shown.join(" "), text);
        assert_eq!(all[0].clone().into_json()["key"], "x \"0\" \\");
        assert_eq!(all[0].clone().into_json()["value"].to_string(), "[null,-3,true]");
    }

    #[test]
    fn what_is_no_data_is_named() {
        let refused = |text: &str| Edn::read_all(text).unwrap_err();
        for text in ["[1", "{:a 1", "{:a", "\"x", "\"x\\", "["] {
            assert_eq!(refused(text), NotEdn::Ends, "{text}");
        }
        for (text, what) in [
            ("1 ]", "]"),
            ("{:a}", "}"),
            ("#{1}", "#"),
            ("(1)", "("),
            (": a", ":"),
            ("1.5", "1.5"),
            ("99999999999999999999", "99999999999999999999"),
            ("symbol", "symbol"),
            (r#""\q""#, "\\q"),
        ] {
            assert_eq!(refused(text), NotEdn::Unexpected(what.to_owned()), "{text}");
        }
        assert_eq!(refused(&"[".repeat(100_000)), NotEdn::TooDeep);
    }
}
