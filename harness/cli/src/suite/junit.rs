//! A suite as `JUnit` XML, which most builds can show.

use std::fmt::Write as _;

use super::{Outcome, table};

/// A test case for each mistake, which fails if it was not found, and one for the code without mistakes.
pub(super) fn report(outcome: &Outcome) -> String {
    let mut cases = String::new();
    let mut failures = 0;
    for row in &outcome.rows {
        let seconds = row.took.as_secs_f64();
        let _ =
            write!(cases, "  <testcase classname=\"bugs-raft\" name=\"{}\" time=\"{seconds:.3}\"", row.bug);
        let became = escaped(&table::became(&row.hunt));
        if let Some(found) = &row.hunt.found {
            let sentence = escaped(&found.sentence);
            let _ = writeln!(cases, ">\n    <system-out>{became}: {sentence}</system-out>\n  </testcase>");
        } else {
            failures += 1;
            let _ = writeln!(cases, ">\n    <failure message=\"{became}\"/>\n  </testcase>");
        }
    }
    let seconds = outcome.control.took.as_secs_f64();
    let _ =
        write!(cases, "  <testcase classname=\"bugs-raft\" name=\"without a mistake\" time=\"{seconds:.3}\"");
    match &outcome.control.accused {
        None => cases.push_str("/>\n"),
        Some(found) => {
            failures += 1;
            let sentence = escaped(&found.sentence);
            let _ = writeln!(
                cases,
                ">\n    <failure message=\"seed {}: {sentence}\"/>\n  </testcase>",
                found.seed
            );
        }
    }
    let tests = outcome.rows.len() + 1;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuite name=\"bugs-raft\" tests=\"{tests}\" failures=\"{failures}\">\n{cases}</testsuite>\n"
    )
}

/// As XML takes it: what means something there is spelled out, what must not be there is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            control if control.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_xml_is_spelled_out() {
        assert_eq!(escaped("a<b> & \"c\"\u{1b}\nd"), "a&lt;b&gt; &amp; &quot;c&quot; d");
    }
}
