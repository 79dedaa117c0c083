//! Lines that Jepsen's logger wrote in 2014, when etcd was first put to the test.
//!
//! ```text
//! INFO  jepsen.util - 0 :invoke :cas [0 3]
//! INFO  jepsen.util - 2 :ok :read nil
//! INFO  jepsen.util - 0 :fail :cas [0 3]
//! INFO  jepsen.util - 4 :info :write :timed-out
//! ```
//!
//! One register without a name: process, type, `f` and value, apart by tabs or blanks. There are no
//! times; the order of the lines is the order in which they were seen.
//!
//! Where the format leaves a choice, this is how it is read:
//! - **A failed compare-and-set that repeats its value is an answer.** `:fail :cas [0 3]` says that the
//!   register did *not* hold 0 at some moment in between, so it is `ok` with the result false, and is
//!   judged. Whoever drops it, as Knossos does, misses what hides there. *This is right for these logs
//!   alone*, of which it is known that the client failed a compare-and-set for no other reason; whoever
//!   writes such lines for another one reads them by [`Reading::Knossos`].
//! - A `:fail` with a keyword, such as `:timed-out`, is a failure: the op certainly did not happen. In
//!   these logs only reads end so, and a read changes nothing.
//! - `:info` means that nobody knows; the op stays open to the end.
//! - A `nil` that was read says that the register was absent, not that anything may have been read; by
//!   [`Reading::Knossos`], it says nothing.
//! - **A last line without its newline is torn**, whatever it says: `:read 1` may have been the start of
//!   `:read 12`. To leave it out is safe, since an op without an end is open.
//!
//! A full log holds lines of other loggers too. They are refused, not skipped: whoever picks the lines
//! (by `grep jepsen.util`) should know that they picked them.

use serde_json::Value;

use crate::edn::Edn;
use crate::foreign::{Found, NotALine, who};
use crate::json::Type;
use crate::reading::{self, Reading};

/// What each line begins with, apart by blanks.
const LOGGER: [&str; 3] = ["INFO", "jepsen.util", "-"];

/// How a line of such a log begins.
pub(crate) const BEGINS: &str = LOGGER[0];

pub(crate) fn read(line: &str, reading: Reading) -> Result<Found, NotALine> {
    let line = line.strip_suffix('\n').ok_or(NotALine::Torn)?;
    let mut rest = line;
    for expected in LOGGER {
        if next_word(&mut rest) != expected {
            return Err(NotALine::Logger { expected: LOGGER.join(" ") });
        }
    }
    let process = who(&column(&mut rest, "process")?)?;
    let kind = Type::from_edn(&column(&mut rest, "type")?)?;
    let f = column(&mut rest, "f")?;
    let f = f.keyword().ok_or_else(|| NotALine::wrong("f", "a keyword", &f))?.to_owned();
    let Some(process) = process else {
        return Ok(Found::of_nemesis(kind, f, Value::from(rest.trim())));
    };
    let value = match Edn::read_all(rest).map_err(|error| error.why)?.as_slice() {
        [value] => value.clone(),
        values => return Err(NotALine::Columns { found: 3 + values.len() }),
    };
    let found = Found::of_client(process, kind, f);
    Ok(match (kind, value) {
        (Type::Fail | Type::Info, Edn::Keyword(why)) => Found { error: Some(why), ..found },
        (Type::Fail, value @ Edn::Vector(_)) if found.f == "cas" => {
            reading::refused_cas(Found { value: value.into_json(), ..found }, reading)
        }
        (Type::Ok, Edn::Nil) if found.f == "read" => reading::read_nil(found, reading),
        (Type::Fail, value) if found.f == "cas" => {
            return Err(NotALine::wrong("value", "what the cas asked, or a keyword", &value));
        }
        (Type::Ok, value) if found.f == "cas" => {
            Found { value: value.into_json(), result: Some(Value::Bool(true)), ..found }
        }
        (_, value) => Found { value: value.into_json(), ..found },
    })
}

fn next_word<'a>(rest: &mut &'a str) -> &'a str {
    let trimmed = rest.trim_start();
    let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
    let (word, after) = trimmed.split_at(end);
    *rest = after;
    word
}

fn column(rest: &mut &str, field: &'static str) -> Result<Edn, NotALine> {
    let word = next_word(rest);
    match <[Edn; 1]>::try_from(Edn::read_all(word).map_err(|error| error.why)?) {
        Ok([datum]) => Ok(datum),
        Err(_) => Err(NotALine::Missing { field }),
    }
}
