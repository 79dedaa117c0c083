//! A history as the operations that Porcupine judges, as JSON.
//!
//! ```text
//! [
//! {"ClientId":0,"Input":{"f":"write","key":"x","value":3},"Call":1023045,"Output":{"value":3},"Return":2310409},
//! {"ClientId":1,"Input":{"f":"read","key":"x","value":null},"Call":1980022,"Output":null,"Return":6023050}
//! ]
//! ```
//!
//! The names are those of the fields of Porcupine's `Operation`, so that Go's `json.Unmarshal` fills a
//! `[]porcupine.Operation` without any help.
//!
//! - **`Output` null**: nobody knows how the op ended. It returns behind the end of the history, so that it
//!   may take effect at any time; a model must allow whatever it may have answered. It may also never have
//!   taken effect, and the end of the history is where no other op can tell.
//! - **Failed ops are left out**: they did not happen.
//! - **Times** are those of the lines in nanoseconds, but no two are equal: where they would be, the later
//!   line gets the next nanosecond. Porcupine takes ops that meet in one moment for concurrent, and the
//!   order of the lines says that they are not.
//! - The lines of the nemesis are left out.

use std::io;

use serde_json::{Map, Value, json};

use crate::attempt::{Attempt, History};
use crate::observation::Outcome;
use crate::operation::{Answered, Asked, Operation};

/// Writes a history so.
pub fn write_porcupine<O: Operation>(
    out: &mut impl io::Write,
    history: &History<O, O::Ret>,
) -> io::Result<()> {
    let times = Times::of(history);
    let mut apart = "[\n";
    for attempt in history.attempts.iter().filter(|attempt| !attempt.failed()) {
        write!(out, "{apart}{}", operation(attempt, &times))?;
        apart = ",\n";
    }
    out.write_all(if apart == "[\n" { b"[]\n" } else { b"\n]\n" })
}

fn operation<O: Operation>(attempt: &Attempt<O, O::Ret>, times: &Times) -> Value {
    let Asked { f, value } = attempt.op.ask();
    let mut input = Map::new();
    input.insert("f".to_owned(), f.into());
    if let Some(key) = &attempt.key {
        input.insert("key".to_owned(), key.as_str().into());
    }
    input.insert("value".to_owned(), value);
    let (output, end) = match (&attempt.outcome, attempt.completed) {
        (Outcome::Ok(ret), Some(at)) => {
            let Answered { value, result } = attempt.op.answer(ret);
            let mut output = Map::from_iter([("value".to_owned(), value)]);
            output.extend(result.map(|result| ("result".to_owned(), result)));
            (Value::Object(output), times.of_line(at.index))
        }
        _ => (Value::Null, times.end),
    };
    let call = times.of_line(attempt.invoked.index);
    json!({ "ClientId": attempt.process.0, "Input": input, "Call": call, "Output": output, "Return": end })
}

/// The time of every line that begins or ends an op, no two the same.
struct Times {
    /// By index.
    lines: Vec<(u64, u64)>,
    /// Behind the last.
    end: u64,
}

impl Times {
    fn of<Op, Ret>(history: &History<Op, Ret>) -> Times {
        let attempts = history.attempts.iter();
        let moments = attempts.flat_map(|attempt| std::iter::once(attempt.invoked).chain(attempt.completed));
        let mut lines: Vec<(u64, u64)> = moments.map(|at| (at.index, at.time)).collect();
        lines.sort_unstable();
        let mut next = 0;
        for (_, time) in &mut lines {
            *time = next.max(*time);
            next = time.saturating_add(1);
        }
        Times { lines, end: next }
    }

    fn of_line(&self, index: u64) -> u64 {
        let place = self.lines.binary_search_by_key(&index, |(line, _)| *line);
        self.lines[place.expect("every op's lines are among them")].1
    }
}
