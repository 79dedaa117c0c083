//! Lines round-trip, torn ends are tolerated, and everything else that is wrong is named.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

use history::{
    Answered, Asked, Breach, Flaw, Key, Line, NodeId, Observation, Operation, Outcome, Process, ReadError,
    Reader, Unreadable, WriteError, Writer,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A workload as small as one can be: bump a counter by an amount and hear the new total, if any.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Bump(u64);

impl Operation for Bump {
    type Ret = Option<u64>;

    fn ask(&self) -> Asked {
        Asked { f: "bump".into(), value: json!(self.0) }
    }

    fn read_ask(asked: &Asked) -> Result<Bump, Unreadable> {
        if asked.f != "bump" {
            return Err(Unreadable::UnknownF { f: asked.f.clone(), known: "bump" });
        }
        asked.value.as_u64().map(Bump).ok_or_else(|| Unreadable::BadValue {
            field: "value",
            f: asked.f.clone(),
            expected: "a number",
            found: asked.value.to_string(),
        })
    }

    fn answer(&self, ret: &Option<u64>) -> Answered {
        Answered { value: json!(self.0), result: ret.map(Value::from) }
    }

    fn read_answer(&self, answered: &Answered) -> Result<Option<u64>, Unreadable> {
        Ok(answered.result.as_ref().and_then(Value::as_u64))
    }
}

type Read = Result<Vec<Line<Bump, Option<u64>>>, ReadError>;

fn read(text: &str) -> Read {
    Reader::new(text.as_bytes()).collect()
}

fn refusal(text: &str) -> String {
    read(text).expect_err("this is no history").to_string()
}

const P0: Process = Process(0);
const P1: Process = Process(1);

fn sample() -> (Vec<u8>, Vec<Line<Bump, Option<u64>>>) {
    let mut writer = Writer::<_, Bump>::new(Vec::new());
    let lines = vec![
        Line::Client(writer.invoke(5, P0, Some(NodeId(1)), Some(Key::new("x")), Bump(3)).unwrap()),
        Line::Nemesis(writer.nemesis(6, "partition", json!({"blocks": [[1], [2, 3]]}), None).unwrap()),
        Line::Client(writer.invoke(6, P1, None, None, Bump(4)).unwrap()),
        Line::Client(writer.complete(9, P0, Outcome::Ok(Some(3))).unwrap()),
        Line::Client(writer.invoke(9, P0, Some(NodeId(1)), Some(Key::new("y")), Bump(1)).unwrap()),
        Line::Client(writer.complete(11, P0, Outcome::Fail("not the leader".into())).unwrap()),
        Line::Client(writer.complete(12, P1, Outcome::Info("no answer within 1s".into())).unwrap()),
        Line::Nemesis(writer.nemesis(13, "heal", Value::Null, Some("no such link".into())).unwrap()),
    ];
    (writer.into_inner(), lines)
}

#[test]
fn what_was_written_is_what_is_read() {
    let (bytes, lines) = sample();
    assert_eq!(read(std::str::from_utf8(&bytes).unwrap()).unwrap(), lines);
}

#[test]
fn lines_read_without_tools() {
    let (bytes, _) = sample();
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        r#"{"index":0,"time":5,"process":0,"type":"invoke","f":"bump","key":"x","value":3,"node":"n1"}"#
    );
    assert_eq!(
        lines[1],
        r#"{"index":1,"time":6,"process":"nemesis","type":"info","f":"partition","value":{"blocks":[[1],[2,3]]}}"#
    );
    assert_eq!(
        lines[3],
        r#"{"index":3,"time":9,"process":0,"type":"ok","f":"bump","key":"x","value":3,"result":3,"node":"n1"}"#
    );
    assert_eq!(
        lines[6],
        r#"{"index":6,"time":12,"process":1,"type":"info","f":"bump","value":4,"error":"no answer within 1s"}"#
    );
}

#[test]
fn a_history_cut_at_any_byte_gives_its_whole_lines_and_reports_the_torn_one() {
    let (bytes, lines) = sample();
    for cut in 0..=bytes.len() {
        let whole = bytes[..cut].split(|&byte| byte == b'\n').count() - 1;
        let tail = cut - bytes[..cut].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let mut reader = Reader::<_, Bump>::new(&bytes[..cut]);
        let read: Vec<_> = reader.by_ref().collect::<Result<_, _>>().unwrap();
        // A line that lacks nothing but its newline is whole.
        let whole = whole + usize::from(tail > 0 && reader.torn().is_none());
        assert_eq!(read, lines[..whole], "cut at byte {cut}");
        if let Some(torn) = reader.torn() {
            assert_eq!((torn.line, torn.bytes), (whole as u64 + 1, tail), "cut at byte {cut}");
        }
    }
}

#[test]
fn ops_are_paired_with_their_ends_and_the_unanswered_stay_open() {
    let (mut bytes, _) = sample();
    bytes.extend_from_slice(br#"{"index":8,"time":14,"process":2,"type":"invoke","f":"bump","value":9}"#);
    bytes.extend_from_slice(b"\n{\"index\":9,\"ti");
    let history = Reader::<_, Bump>::new(bytes.as_slice()).read_all().unwrap();
    assert_eq!(history.torn.map(|torn| torn.line), Some(10));
    assert_eq!(history.lines, 9);
    assert_eq!(history.nemesis.len(), 2);
    let ends: Vec<_> = history
        .attempts
        .iter()
        .map(|attempt| (attempt.op.0, attempt.invoked.index, attempt.completed.map(|at| at.index)))
        .collect();
    assert_eq!(ends, [(3, 0, Some(3)), (4, 2, Some(6)), (1, 4, Some(5)), (9, 8, None)]);
    assert_eq!(history.attempts[0].ret(), Some(&Some(3)));
    assert!(history.attempts[1].is_open());
    assert!(history.attempts[2].failed());
    assert!(history.attempts[3].is_open());
}

#[test]
fn a_malformed_line_that_is_not_the_last_is_an_error() {
    let invoke = r#"{"index":0,"time":5,"process":0,"type":"invoke","f":"bump","value":3}"#;
    let why = refusal(&format!("{invoke}\n{{\"index\":1,\"ti\n{invoke}\n"));
    // One place, and the right one.
    let expected = "line 2, column 14 is not a line of a history: EOF while parsing a string";
    assert_eq!(why, expected);
    let why = refusal(&format!("{invoke}\n{}\n", invoke.replace("invoke", "okay")));
    let expected = "line 2, column 45 is not a line of a history: unknown variant `okay`, expected one of ";
    assert!(why.starts_with(expected) && !why.contains("at line"), "{why}");
}

#[test]
fn every_breach_of_the_rules_is_refused_and_named() {
    let begin =
        r#"{"index":0,"time":5,"process":0,"type":"invoke","f":"bump","key":"x","value":3,"node":"n1"}"#;
    let after = |line: &str| refusal(&format!("{begin}\n{line}\n"));
    let gap = after(r#"{"index":2,"time":5,"process":1,"type":"invoke","f":"bump","value":3}"#);
    assert_eq!(gap, "line 2 has index 2 where 1 must follow: lines are missing or out of order");
    let back = after(r#"{"index":1,"time":4,"process":1,"type":"invoke","f":"bump","value":3}"#);
    assert_eq!(back, "line 2 has time 4, but the line before has 5: time never goes back");
    let two = after(r#"{"index":1,"time":5,"process":0,"type":"invoke","f":"bump","value":3}"#);
    assert_eq!(two, "line 2 invokes an op of process 0, whose op of index 0 is still open");
    let orphan = after(r#"{"index":1,"time":5,"process":1,"type":"ok","f":"bump","value":3}"#);
    assert_eq!(orphan, "line 2 ends an op of process 1, which has none open");
    let other = after(r#"{"index":1,"time":5,"process":0,"type":"ok","f":"drop","value":3}"#);
    assert_eq!(other, "line 2 says its f is drop, but the op that it ends (index 0) has bump");
    let key = after(r#"{"index":1,"time":5,"process":0,"type":"ok","f":"bump","key":"y","value":3}"#);
    assert_eq!(key, "line 2 says its key is y, but the op that it ends (index 0) has x");
    let node = after(r#"{"index":1,"time":5,"process":0,"type":"ok","f":"bump","value":3,"node":"n2"}"#);
    assert_eq!(node, "line 2 says its node is n2, but the op that it ends (index 0) has n1");
    let f = after(r#"{"index":1,"time":5,"process":1,"type":"invoke","f":"drop","value":3}"#);
    assert_eq!(f, "line 2 cannot be understood: unknown f `drop`: this model knows bump");
    let value = after(r#"{"index":1,"time":5,"process":1,"type":"invoke","f":"bump","value":"three"}"#);
    assert_eq!(value, "line 2 cannot be understood: the value of `bump` must be a number, found \"three\"");
    let nemesis = after(r#"{"index":1,"time":5,"process":"nemesis","type":"ok","f":"kill","value":3}"#);
    assert_eq!(nemesis, "line 2 is of the nemesis, whose lines are all of type `info`");
    let who = after(r#"{"index":1,"time":5,"process":"nemisis","type":"info","f":"kill","value":3}"#);
    assert!(who.contains("expected a process number or \"nemesis\""), "{who}");
    let retired = after(concat!(
        r#"{"index":1,"time":5,"process":0,"type":"info","f":"bump","value":3}"#,
        "\n",
        r#"{"index":2,"time":5,"process":0,"type":"invoke","f":"bump","value":3}"#,
    ));
    assert_eq!(retired, "line 3 speaks of process 0, which was retired by the info of index 1");
}

#[test]
fn a_reader_stops_at_its_first_error() {
    let mut reader = Reader::<_, Bump>::new("nonsense\nmore nonsense\n".as_bytes());
    assert!(matches!(reader.next(), Some(Err(ReadError { line: 1, what: Flaw::Malformed(_), .. }))));
    assert!(reader.next().is_none());
}

#[test]
fn a_writer_refuses_what_a_reader_would() {
    let mut writer = Writer::<_, Bump>::new(Vec::new());
    writer.invoke(5, P0, None, None, Bump(1)).unwrap();
    let breach = |result: Result<Observation<Bump, Option<u64>>, WriteError>| match result {
        Err(WriteError::Breach(breach)) => breach,
        other => panic!("expected a breach, got {other:?}"),
    };
    assert_eq!(
        breach(writer.invoke(6, P0, None, None, Bump(2))),
        Breach::AlreadyOpen { process: P0, since: 0 }
    );
    assert_eq!(breach(writer.complete(6, P1, Outcome::Ok(None))), Breach::NothingOpen { process: P1 });
    assert_eq!(breach(writer.invoke(4, P1, None, None, Bump(2))), Breach::TimeWentBack { last: 5, found: 4 });
    writer.complete(7, P0, Outcome::Info("gone".into())).unwrap();
    assert_eq!(breach(writer.invoke(8, P0, None, None, Bump(2))), Breach::Retired { process: P0, since: 1 });
    assert_eq!(writer.next_index(), 2, "refused lines take no index");
    assert_eq!(read(std::str::from_utf8(&writer.into_inner()).unwrap()).unwrap().len(), 2);
}

/// A disk with so much room and no more.
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        let fits = bytes.len().min(self.0);
        self.0 -= fits;
        Ok(fits)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_line_that_could_not_be_written_nothing_is() {
    let mut writer = Writer::<_, Bump>::new(Full(100));
    writer.invoke(1, P0, None, None, Bump(1)).unwrap();
    assert!(matches!(writer.complete(2, P0, Outcome::Ok(None)), Err(WriteError::Io(_))));
    assert!(matches!(writer.invoke(3, P1, None, None, Bump(1)), Err(WriteError::Ended)));
}

proptest! {
    /// Whatever a careless recorder tries, what the writer let through reads back the same.
    #[test]
    fn any_sequence_that_the_writer_lets_through_reads_back(
        tries in proptest::collection::vec((0_u64..4, 0_u8..5, 0_u64..3, 0_u64..9), 0..60)
    ) {
        let mut writer = Writer::<_, Bump>::new(Vec::new());
        let mut written = Vec::new();
        let mut time = 0;
        for (process, what, wait, amount) in tries {
            time += wait;
            let process = Process(process);
            let line = match what {
                0 => writer.invoke(time, process, Some(NodeId(2)), Some(Key::new("ключ \"1\"\n")), Bump(amount)),
                1 => writer.invoke(time, process, None, None, Bump(amount)),
                2 => writer.complete(time, process, Outcome::Ok(Some(amount))),
                3 => writer.complete(time, process, Outcome::Fail("no".into())),
                _ => writer.complete(time, process, Outcome::Info("who knows".into())),
            };
            if let Ok(line) = line {
                written.push(Line::Client(line));
            }
        }
        let bytes = writer.into_inner();
        let lines: Vec<_> = Reader::<_, Bump>::new(bytes.as_slice()).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(lines, written);
    }
}
