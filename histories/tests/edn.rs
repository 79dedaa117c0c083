//! Histories in EDN mean what Jepsen, Knossos and Elle mean by them, and ours come back as they were.
#![expect(clippy::unwrap_used, reason = "the helpers are tests too")]

use history::{
    Answered, Asked, Format, History, Key, Line, MicroOp, MutexOp, Opening, Operation, Outcome, Plain,
    Process, ReadError, Reader, Reading, Seen, Torn, Txn, TxnRead, Writer,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read<O: Operation>(text: &str) -> Result<History<O, O::Ret>, ReadError> {
    Reader::of(Format::JepsenEdn, text.as_bytes()).read_all()
}

fn refusal(text: &str) -> String {
    read::<Plain>(text).expect_err("this is no history").to_string()
}

/// Process, key, f, asked, and how it ended.
fn ops(history: &History<Plain, Answered>) -> Vec<Value> {
    let end = |outcome: &Outcome<Answered>| match outcome {
        Outcome::Ok(Answered { value, result: None }) => json!({ "ok": value }),
        Outcome::Ok(Answered { value, result }) => json!({ "ok": value, "result": result }),
        Outcome::Fail(why) => json!({ "fail": why }),
        Outcome::Info(why) => json!({ "info": why }),
    };
    let attempts = history.attempts.iter();
    attempts
        .map(|attempt| {
            let Asked { f, value } = &attempt.op.0;
            json!([attempt.process, attempt.key, f, value, end(&attempt.outcome)])
        })
        .collect()
}

const KNOSSOS: &str = r#"; recorded by hand
[{:process 0, :type :invoke, :f :read, :value nil}
 {:process 1, :type :invoke, :f :write, :value 3}
 {:process 2, :type :invoke, :f :cas, :value [3 4]}   ; this one is refused
 {:process :nemesis, :type :info, :f :start, :value "Cut off #{:n1}"}
 {:process 0, :type :ok, :f :read, :value nil} {:process 2, :type :fail, :f :cas, :value [3 4]}
 {:process 1, :type :info, :f :write, :value 3, :error [:timeout "5 s"]}
 #_{:process 9, :type :invoke, :f :read, :value nil}
 {:process 2, :type :invoke, :f :cas, :value [4 5]}
 {:process 2, :type :ok, :f :cas, :value [4 5]}]
"#;

#[test]
fn knossos_drops_what_was_refused_and_takes_a_nil_for_anything() {
    let history = read::<Plain>(KNOSSOS).unwrap();
    assert_eq!(
        ops(&history),
        [
            json!([0, null, "read", null, { "fail": "nil was read, which may be anything" }]),
            json!([1, null, "write", 3, { "info": "[:timeout \"5 s\"]" }]),
            json!([2, null, "cas", [3, 4], { "fail": "refused" }]),
            json!([2, null, "cas", [4, 5], { "ok": [4, 5], "result": true }]),
        ]
    );
    assert_eq!((history.lines, history.nemesis[0].index, history.torn), (9, 3, None));
}

#[test]
fn read_literally_a_refusal_and_a_nil_are_answers() {
    let reader = Reader::<_, Plain>::of(Format::JepsenEdn, KNOSSOS.as_bytes()).by(Reading::Literal);
    let ops = ops(&reader.read_all().unwrap());
    assert_eq!(ops[0], json!([0, null, "read", null, { "ok": null }]));
    assert_eq!(ops[2], json!([2, null, "cas", [3, 4], { "ok": [3, 4], "result": false }]));
}

#[test]
fn a_refusal_with_a_reason_is_no_answer_however_it_is_read() {
    let text = "{:process 0 :type :invoke :f :cas :value [1 2]}
                {:process 0 :type :fail :f :cas :value [1 2] :error :no-leader}";
    let reader = Reader::<_, Plain>::of(Format::JepsenEdn, text.as_bytes()).by(Reading::Literal);
    assert_eq!(ops(&reader.read_all().unwrap())[0][4], json!({ "fail": "no-leader" }));
}

#[test]
fn tags_texts_and_gaps_make_no_difference() {
    let tagged = "#jepsen.history.Op{:index 4, :time 70, :type :invoke, :process 1, :f :write, :value 1}
        #jepsen.history.Op {:index 9, :time 60, :type :ok, :process 1, :f :write, :value 1, :extra #{{:a [()]}}}";
    let texts = r#"{"time" 70 "type" "invoke" "process" 1 "f" "write" "value" 1}
        {"time" 90 "type" "ok" "process" 1 "f" "write" "value" 1} {"type" "info" "process" "nemesis" "f" "stop"}"#;
    for (text, lines, end) in [(tagged, 2, 70), (texts, 3, 90)] {
        let history = read::<Plain>(text).unwrap();
        assert_eq!(ops(&history), [json!([1, null, "write", 1, { "ok": 1 }])], "{text}");
        assert_eq!(history.lines, lines);
        let attempt = &history.attempts[0];
        assert_eq!((attempt.invoked.index, attempt.invoked.time), (0, 70));
        // Times that go back are lifted: the file's order is what counts.
        assert_eq!(attempt.completed.map(|at| (at.index, at.time)), Some((1, end)));
    }
}

#[test]
fn independent_keys_are_tuples_where_nothing_else_fits() {
    let text = "{:process 0 :type :invoke :f :read :value [7 nil]}
        {:process 1 :type :invoke :f :cas :value [:x [1 2]]}
        {:process 2 :type :invoke :f :cas :value [1 2]}
        {:process 3 :type :invoke :f :add :value [1 2]}
        {:process 4 :type :invoke :f :txn :value [7 [[:r 1 nil]]]}
        {:process 5 :type :invoke :f :read :value [7 nil] :key nil}
        {:process 6 :type :invoke :f :read :value nil :key 8}
        {:process 7 :type :invoke :f :read :value nil}
        {:process 7 :type :ok :f :read :value [7 3]}
        {:process 0 :type :ok :f :read :value [7 3]}
        {:process 1 :type :info :f :cas :value [:x [1 2]]}
        {:process 4 :type :ok :f :txn :value [7 [[:r 1 2]]]}";
    let open = json!({ "info": "still open where the history ends" });
    assert_eq!(
        ops(&read(text).unwrap()),
        [
            json!([0, "7", "read", null, { "ok": 3 }]),
            json!([1, "x", "cas", [1, 2], { "info": "no reason given" }]),
            json!([2, null, "cas", [1, 2], open]),
            json!([3, null, "add", [1, 2], open]),
            json!([4, "7", "txn", [["r", 1, null]], { "ok": [["r", 1, 2]] }]),
            json!([5, null, "read", null, open]),
            json!([6, "8", "read", null, open]),
            json!([7, null, "read", null, { "ok": [7, 3] }]),
        ]
    );
    let other =
        "{:process 0 :type :invoke :f :read :value [7 nil]} {:process 0 :type :ok :f :read :value [8 3]}";
    assert_eq!(
        refusal(other),
        "line 1, column 52 says its key is 8, but the op that it ends (index 0) has 7"
    );
}

#[test]
fn mutexes_and_transactions_are_read_as_what_they_are() {
    let mutex =
        "[{:type :invoke, :f :acquire, :process 3} {:type :info, :f :acquire, :process 3, :error :timeout}]";
    let history = read::<MutexOp>(mutex).unwrap();
    assert_eq!(history.attempts[0].op, MutexOp::Acquire);
    assert!(history.attempts[0].is_open());

    // Elle's way: neither process nor f.
    let txn = "{:type :invoke :value [[:append 8 1] [:r 9 nil] [:w :x 2] [:r 7 nil] [:r 6 nil]]}
               {:type :ok     :value [[:append 8 1] [:r 9 [1 2]] [:w :x 2] [:r 7 5] [:r 6 nil]]}";
    let history = read::<Txn>(txn).unwrap();
    let key = |name: &str| Key::new(name);
    let expected = vec![
        MicroOp::Append(key("8"), 1),
        MicroOp::Read(key("9")),
        MicroOp::Write(key("x"), 2),
        MicroOp::Read(key("7")),
        MicroOp::Read(key("6")),
    ];
    let attempt = &history.attempts[0];
    assert_eq!((&attempt.op, attempt.process), (&Txn(expected), Process(0)));
    let seen = vec![Seen::List(vec![1, 2]), Seen::Value(5), Seen::Nothing];
    assert_eq!(attempt.ret(), Some(&TxnRead(seen)));
    let answered = attempt.op.answer(attempt.ret().unwrap());
    assert_eq!(
        answered.value.to_string(),
        r#"[["append",8,1],["r",9,[1,2]],["w","x",2],["r",7,5],["r",6,null]]"#
    );

    for (what, with) in [("[:append 8 1] [:r 9 [1 2]]", "[:append 8 2] [:r 9 [1 2]]"), ("[:r 9 [1 2]] ", "")]
    {
        let wrong = txn.replace(what, with);
        assert_ne!(wrong, txn);
        let why = read::<Txn>(&wrong).unwrap_err().to_string();
        assert!(
            why.starts_with("line 2, column 16 cannot be understood: the value of `txn` must be "),
            "{why}"
        );
    }
}

#[test]
fn what_edn_must_not_say_is_named_with_its_place() {
    let begun = "{:process 0, :type :invoke, :f :write, :value 1}";
    let after = |map: &str| refusal(&format!("[{begun}\n{map}]"));
    let is = "is not a line of edn:";
    for (map, why) in [
        ("7", "it is not a map"),
        ("{:process 1, :f :read}", "its type is missing"),
        ("{:process 1, :type :invoke}", "its f is missing"),
        (
            "{:process 1, :type :ready, :f :read}",
            "its type must be :invoke, :ok, :fail or :info, found :ready",
        ),
        (
            "{:process :nobody, :type :ok, :f :read}",
            "its process must be a number from 0, or :nemesis, found :nobody",
        ),
        ("{:process 1, :process 2, :type :ok, :f :read}", "its process stands there twice"),
        ("{:process 1, :type :ok, :f 7}", "its f must be a keyword, found 7"),
        ("{:process 1, :type :ok, :f :read, :time \"3\"}", "its time must be a whole number, found \"3\""),
    ] {
        assert_eq!(after(map), format!("line 2 {is} {why}"));
    }
    assert_eq!(
        after("{:process 1, :type 1/2}"),
        format!("line 2, column 20 {is} `1/2` was not expected there")
    );
    assert_eq!(
        after("{:process 1\n{:process 2}"),
        format!("line 3, column 13 {is} `]` was not expected there")
    );
    assert_eq!(
        after("{:process 1, :type :ok, :f :read}"),
        "line 2 ends an op of process 1, which has none open"
    );
    assert_eq!(
        after("{:process 1, :type :invoke, :f :read, :index 3} {:process 1, :type :ok, :f :read, :index 3}"),
        format!("line 2, column 49 {is} its index must be a number greater than the one before, found 3")
    );
}

#[test]
fn a_history_cut_at_any_byte_gives_its_whole_ops_and_reports_the_torn_end() {
    for cut in 0..KNOSSOS.len() {
        let history = read::<Plain>(&KNOSSOS[..cut]).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let whole = KNOSSOS[..cut].matches("}\n").count() as u64;
        assert!(history.lines + 2 >= whole, "cut at {cut}: {} lines", history.lines);
        assert_eq!(history.torn.is_some(), (20..KNOSSOS.trim_end().len()).contains(&cut), "cut at {cut}");
    }
    let torn = read::<Plain>("{:process 1, :type :invoke, :f :read}\n{:process 1, :ty").unwrap().torn;
    assert_eq!(torn, Some(Torn { line: 2, bytes: 16 }));
}

#[test]
fn an_opening_of_edn_loses_nothing() {
    let nemesis = "{:process :nemesis, :type :info, :f :start, :value nil} ".repeat(2_000);
    for text in [format!("[{nemesis}{}", &KNOSSOS[20..]), format!("{nemesis}\n; and\n{}", &KNOSSOS[20..])] {
        let opening = Opening::read(text.as_bytes(), None).unwrap();
        assert_eq!((opening.format(), opening.first_f()), (Some(Format::JepsenEdn), Some("read")));
        let text = text.trim_end().trim_end_matches(']');
        let opening = Opening::read(text.as_bytes(), None).unwrap();
        assert_eq!(opening.into_reader::<Plain>(Format::JepsenEdn).read_all().unwrap().lines, 2_009);
    }
}

#[test]
fn what_we_write_is_what_others_expect() {
    let mut writer = Writer::<_, Plain>::edn(Vec::new());
    let ask = |f: &str, value| Plain(Asked { f: f.to_owned(), value });
    let key = Some(Key::new("x"));
    writer.invoke(5, Process(0), Some(history::NodeId(2)), key.clone(), ask("read", Value::Null)).unwrap();
    writer.invoke(6, Process(1), None, key, ask("cas", json!([1, 2]))).unwrap();
    writer.complete(7, Process(0), Outcome::Ok(Answered { value: Value::Null, result: None })).unwrap();
    let refused = Answered { value: json!([1, 2]), result: Some(json!(false)) };
    writer.complete(8, Process(1), Outcome::Ok(refused)).unwrap();
    writer.nemesis(9, "partition", json!({ "blocks": [[1], [2, 3]] }), None).unwrap();
    writer.invoke(9, Process(1), None, None, ask("txn", json!([["append", 9, 1]]))).unwrap();
    writer.complete(9, Process(1), Outcome::Info("no answer within 1s".to_owned())).unwrap();
    let text = String::from_utf8(writer.into_inner()).unwrap();
    let expected = r#"{:index 0, :time 5, :process 0, :type :invoke, :f :read, :key "x", :value nil, :node "n2"}
{:index 1, :time 6, :process 1, :type :invoke, :f :cas, :key "x", :value [1 2]}
{:index 2, :time 7, :process 0, :type :ok, :f :read, :key "x", :value nil, :absent true, :node "n2"}
{:index 3, :time 8, :process 1, :type :fail, :f :cas, :key "x", :value [1 2], :result false}
{:index 4, :time 9, :process :nemesis, :type :info, :f :partition, :value {:blocks [[1] [2 3]]}}
{:index 5, :time 9, :process 1, :type :invoke, :f :txn, :value [[:append 9 1]]}
{:index 6, :time 9, :process 1, :type :info, :f :txn, :value [[:append 9 1]], :error "no answer within 1s"}
"#;
    assert_eq!(text, expected);
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["read", "write", "cas", "txn", "acquire", "get", "nil", "1", ""])
            .prop_map(str::to_owned),
        1 => "\\PC{0,6}",
        1 => "[ -~\n\t\r\\\\\"]{0,6}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<i32>().prop_map(|number| json!(f64::from(number) / 8.0)),
        2 => (0..5_u64).prop_map(Value::from),
        1 => name().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name(), inner), 0..3)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

type Step = (u64, u8, u64, (String, Option<String>, Value, Option<Value>));

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let said = (name(), prop::option::of(name()), value(), prop::option::of(value()));
    prop::collection::vec((0_u64..4, 0_u8..7, 0_u64..3, said), 0..40)
}

/// Does what a careless recorder may try; gives what was let through, and what was written.
fn record<W: std::io::Write>(
    mut writer: Writer<W, Plain>,
    steps: &[Step],
) -> (Vec<Line<Plain, Answered>>, W) {
    let (mut written, mut time) = (Vec::new(), 0);
    for (process, what, wait, (f, key, value, result)) in steps.iter().cloned() {
        time += wait;
        let process = Process(process);
        let line = match what {
            0..=2 => {
                let node = (what == 2).then_some(history::NodeId(3));
                writer.invoke(time, process, node, key.map(Key::new), Plain(Asked { f, value }))
            }
            3 | 4 => writer.complete(time, process, Outcome::Ok(Answered { value, result })),
            5 => writer.complete(time, process, Outcome::Fail(f)),
            _ if process.0 > 0 => writer.complete(time, process, Outcome::Info(f)),
            _ => {
                written.push(Line::Nemesis(writer.nemesis(time, f, value, key).unwrap()));
                continue;
            }
        };
        written.extend(line.ok().map(Line::Client));
    }
    (written, writer.into_inner())
}

/// What goes without saying in EDN: a compare-and-set that is `ok` has set, and a read asks nothing.
fn as_edn_has_it(line: &Line<Plain, Answered>, f: &str) -> Line<Plain, Answered> {
    let mut line = line.clone();
    if let Line::Client(seen) = &mut line
        && let history::Kind::Ok(answered) = &mut seen.kind
        && f == "cas"
        && answered.result.is_none()
    {
        answered.result = Some(json!(true));
    }
    if let Line::Client(seen) = &mut line
        && let history::Kind::Invoke(op) = &mut seen.kind
        && f == "read"
    {
        op.0.value = Value::Null;
    }
    line
}

proptest! {
    /// Whatever we record comes back from EDN as it was, read either way.
    #[test]
    fn our_histories_come_back_from_edn(steps in steps()) {
        let (written, bytes) = record(Writer::edn(Vec::new()), &steps);
        for reading in [Reading::Knossos, Reading::Literal] {
            let reader = Reader::<_, Plain>::of(Format::JepsenEdn, bytes.as_slice()).by(reading);
            let lines: Vec<_> = reader.collect::<Result<_, _>>().unwrap();
            let mut open = std::collections::BTreeMap::new();
            let expected: Vec<_> = written
                .iter()
                .map(|line| {
                    let Line::Client(seen) = line else { return line.clone() };
                    if let history::Kind::Invoke(op) = &seen.kind {
                        open.insert(seen.process, op.0.f.clone());
                    }
                    as_edn_has_it(line, &open[&seen.process])
                })
                .collect();
            prop_assert_eq!(&lines, &expected, "{}", String::from_utf8_lossy(&bytes));
        }
    }

    /// A history that was converted and converted back is the same to the byte.
    #[test]
    fn a_detour_by_edn_changes_nothing(steps in steps()) {
        let detour = |bytes: &[u8], format, mut writer: Writer<Vec<u8>, Plain>| {
            for line in Reader::<_, Plain>::of(format, bytes) {
                writer.line(line.unwrap()).unwrap();
            }
            writer.into_inner()
        };
        let (_, first) = record(Writer::new(Vec::new()), &steps);
        let edn = detour(&first, Format::JsonLines, Writer::edn(Vec::new()));
        let ours = detour(&edn, Format::JepsenEdn, Writer::new(Vec::new()));
        let again = detour(&ours, Format::JsonLines, Writer::edn(Vec::new()));
        prop_assert_eq!(String::from_utf8_lossy(&edn), String::from_utf8_lossy(&again));
    }
}
