//! Other people's histories are held to the same rules as ours, and what is wrong with them is named.

use history::{
    Answered, Asked, Format, History, Key, Opening, Outcome, Plain, Process, ReadError, Reader, Reading,
};
use serde_json::{Value, json};

type Ops = History<Plain, Answered>;

fn read(format: Format, text: &str) -> Result<Ops, ReadError> {
    Reader::of(format, text.as_bytes()).read_all()
}

fn refusal(format: Format, text: &str) -> String {
    read(format, text).expect_err("this is no history").to_string()
}

/// Process, f, asked, and how it ended: the value and result, or why not.
fn ends(history: &Ops) -> Vec<(u64, &str, Value, Value)> {
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
            (attempt.process.0, f.as_str(), value.clone(), end(&attempt.outcome))
        })
        .collect()
}

const LOG: &str = "\
INFO  jepsen.util - 0\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:invoke\t:cas\t[0 3]

INFO  jepsen.util - 0\t:ok\t:read\tnil
INFO  jepsen.util - :nemesis\t:info\t:start\t\"Cut off {:n1 #{:n2}}\"
INFO  jepsen.util - 1   :fail   :cas    [0 3]
INFO  jepsen.util - 0\t:invoke\t:write\t2
INFO  jepsen.util - 1\t:invoke\t:cas\t[2 4]
INFO  jepsen.util - 2\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:ok\t:cas\t[2 4]
INFO  jepsen.util - 0\t:info\t:write\t:timed-out
INFO  jepsen.util - 2\t:fail\t:read\t:timed-out
INFO  jepsen.util - 1\t:invoke\t:cas\t[4 0]
INFO  jepsen.util - 1\t:fail\t:cas\t:timed-out
INFO  jepsen.util - 3\t:invoke\t:write\t1
";

#[test]
fn a_failed_cas_of_a_jepsen_log_that_repeats_its_value_is_an_answer() {
    let history = read(Format::JepsenLog, LOG).unwrap();
    assert_eq!(
        ends(&history),
        [
            (0, "read", Value::Null, json!({ "ok": null })),
            (1, "cas", json!([0, 3]), json!({ "ok": [0, 3], "result": false })),
            (0, "write", json!(2), json!({ "info": "timed-out" })),
            (1, "cas", json!([2, 4]), json!({ "ok": [2, 4], "result": true })),
            (2, "read", Value::Null, json!({ "fail": "timed-out" })),
            (1, "cas", json!([4, 0]), json!({ "fail": "timed-out" })),
            (3, "write", json!(1), json!({ "info": "still open where the history ends" })),
        ]
    );
    assert_eq!((history.lines, history.torn), (14, None));
    assert_eq!(history.nemesis[0].f, "start");
    assert_eq!(history.nemesis[0].index, 3);
}

/// Right for the logs of 2014, and for no others that we know: so it can be read otherwise.
#[test]
fn by_knossos_a_failed_cas_of_a_jepsen_log_is_no_answer_and_a_nil_says_nothing() {
    let reader = Reader::<_, Plain>::of(Format::JepsenLog, LOG.as_bytes()).by(Reading::Knossos);
    let history = reader.read_all().unwrap();
    let ends = ends(&history);
    assert_eq!(ends[0].3, json!({ "fail": "nil was read, which may be anything" }));
    assert_eq!(ends[1], (1, "cas", json!([0, 3]), json!({ "fail": "refused" })));
    assert_eq!(ends[3].3, json!({ "ok": [2, 4], "result": true }));
}

#[test]
fn without_times_the_order_of_the_lines_is_the_time() {
    let history = read(Format::JepsenLog, LOG).unwrap();
    let moments: Vec<_> = history.attempts.iter().map(|attempt| attempt.invoked).collect();
    assert!(moments.iter().all(|at| at.index == at.time));
    assert_eq!(moments.iter().map(|at| at.index).collect::<Vec<_>>(), [0, 1, 5, 6, 7, 11, 13]);
}

#[test]
fn a_last_line_of_a_jepsen_log_without_its_newline_is_torn_whatever_it_says() {
    let begun = "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n";
    // It may have been going to say 12.
    let history = read(Format::JepsenLog, &format!("{begun}INFO  jepsen.util - 0\t:ok\t:read\t1")).unwrap();
    assert_eq!(history.torn.map(|torn| torn.line), Some(2));
    assert!(history.attempts[0].is_open());
}

#[test]
fn what_a_jepsen_log_must_not_say_is_named() {
    let begun = "INFO  jepsen.util - 0\t:invoke\t:cas\t[0 1]\n";
    let after = |line: &str| refusal(Format::JepsenLog, &format!("{begun}INFO  jepsen.util - {line}\n"));
    let is = "line 2 is not a line of jepsen-log: ";
    assert_eq!(
        after("1 :invoke :read nil nil"),
        format!("{is}it must have a process, a type, an f and a value, found 5 columns")
    );
    assert_eq!(
        after("1 :invoke :read"),
        format!("{is}it must have a process, a type, an f and a value, found 3 columns")
    );
    assert_eq!(after("1 :invoke"), format!("{is}its f is missing"));
    assert_eq!(
        after("-1 :invoke :read nil"),
        format!("{is}its process must be a number from 0, or :nemesis, found -1")
    );
    assert_eq!(
        after("1 :okay :read nil"),
        format!("{is}its type must be :invoke, :ok, :fail or :info, found :okay")
    );
    assert_eq!(after("1 :invoke 7 nil"), format!("{is}its f must be a keyword, found 7"));
    assert_eq!(after("1 :invoke :write 4/1"), format!("{is}`4/1` was not expected there"));
    assert_eq!(after("1 :invoke :cas [0 1"), format!("{is}it ends too early"));
    assert_eq!(
        after("0 :fail :cas nil"),
        format!("{is}its value must be what the cas asked, or a keyword, found nil")
    );
    assert_eq!(
        after("0 :invoke :read nil"),
        "line 2 invokes an op of process 0, whose op of index 0 is still open"
    );
    assert_eq!(after("1 :ok :read 1"), "line 2 ends an op of process 1, which has none open");
    assert_eq!(
        after("0 :ok :read 1"),
        "line 2 says its f is read, but the op that it ends (index 0) has cas"
    );
    assert_eq!(
        after("0 :info :cas :timed-out\nINFO  jepsen.util - 0 :invoke :read nil"),
        "line 3 speaks of process 0, which was retired by the info of index 1"
    );
    assert_eq!(
        after(":nemesis :ok :start nil"),
        "line 2 is of the nemesis, whose lines are all of type `info`"
    );
    assert_eq!(
        refusal(Format::JepsenLog, &format!("{begun}INFO  jepsen.core - Run complete, writing\n")),
        format!("{is}it does not begin with `INFO jepsen.util -`")
    );
}

#[test]
fn a_jepsen_log_that_is_not_text_is_refused() {
    let mut reader = Reader::<_, Plain>::of(Format::JepsenLog, &b"INFO \xff\n"[..]);
    let error = reader.next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "line 1 is not a line of jepsen-log: it is not UTF-8");
}

const KV: &str = r#"{:process 0, :type :invoke, :f :append, :key "0", :value "x 0 0 y"}
{:process 1 :type :invoke :f :get :key "0" :value nil :link {:no [:of :ours]}}
{:process 2, :type :invoke, :f :put, :key "1", :value "\"q\""}
{:process 1, :type :ok, :f :get, :key "0", :value "x 0 0 y"}
{:process 0, :type :ok, :f :append, :key "0", :value "x 0 0 y"}
{:process 2, :type :info, :f :put, :key "1", :value "\"q\"", :error :timeout}
"#;

#[test]
fn the_ops_of_a_porcupine_history_are_those_of_its_lines() {
    let history = read(Format::PorcupineKv, KV).unwrap();
    assert_eq!(
        ends(&history),
        [
            (0, "append", json!("x 0 0 y"), json!({ "ok": "x 0 0 y" })),
            (1, "get", Value::Null, json!({ "ok": "x 0 0 y" })),
            (2, "put", json!("\"q\""), json!({ "info": "timeout" })),
        ]
    );
    let keys: Vec<_> = history.attempts.iter().map(|attempt| attempt.key.clone()).collect();
    assert_eq!(keys, ["0", "0", "1"].map(|key| Some(Key::new(key))));
    assert_eq!(history.attempts[0].process, Process(0));
}

#[test]
fn a_porcupine_history_cut_at_any_byte_gives_its_whole_lines() {
    // One closing brace a line, to count lines by.
    let text = KV.replace(" :link {:no [:of :ours]}", "");
    for cut in 0..=text.len() {
        let history =
            read(Format::PorcupineKv, &text[..cut]).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let whole = text[..cut].matches('}').count() as u64;
        assert_eq!(history.lines, whole, "cut at byte {cut}");
        assert_eq!(
            history.torn.is_some(),
            !text[..cut].ends_with(['}', '\n']) && cut > 0,
            "cut at byte {cut}"
        );
    }
}

#[test]
fn what_a_porcupine_history_must_not_say_is_named() {
    let begun = r#"{:process 0, :type :invoke, :f :append, :key "0", :value "x"}"#;
    let after = |line: &str| refusal(Format::PorcupineKv, &format!("{begun}\n{line}\n"));
    let is = "line 2 is not a line of porcupine-kv: ";
    for (line, why) in [
        (":process 1", "it is not a map"),
        ("{:process 1} {:process 2}", "it is not a map"),
        ("{:process 1", "it ends too early"),
        (r#"{:type :ok, :f :get, :key "0"}"#, "its process is missing"),
        (
            r#"{:process "1", :type :ok, :f :get, :key "0"}"#,
            "its process must be a number from 0, or :nemesis, found \"1\"",
        ),
        (r#"{:process 1, :f :get, :key "0"}"#, "its type is missing"),
        (
            r#"{:process 1, :type "ok", :f :get, :key "0"}"#,
            "its type must be :invoke, :ok, :fail or :info, found \"ok\"",
        ),
        (r#"{:process 1, :type :invoke, :key "0"}"#, "its f is missing"),
        ("{:process 1, :type :invoke, :f :get}", "its key is missing"),
        ("{:process 1, :type :invoke, :f :get, :key 0}", "its key must be a text, found 0"),
        (r#"{:process 1, :process 2, :type :invoke, :f :get, :key "0"}"#, "its process stands there twice"),
    ] {
        assert_eq!(after(line), format!("{is}{why}"), "{line}");
    }
    assert_eq!(
        after(r#"{:process 0, :type :ok, :f :append, :key "1", :value "x"}"#),
        "line 2 says its key is 1, but the op that it ends (index 0) has 0"
    );
    assert_eq!(
        after(r#"{:process 1, :type :ok, :f :get, :key "0", :value "x"}"#),
        "line 2 ends an op of process 1, which has none open"
    );
}

#[test]
fn an_opening_tells_how_a_history_is_written_and_loses_no_line_of_it() {
    let ours = concat!(
        r#"{"index":0,"time":1,"process":"nemesis","type":"info","f":"kill","value":null}"#,
        "\n",
        r#"{"index":1,"time":2,"process":0,"type":"invoke","f":"bump","value":1}"#,
    );
    for (text, format, f, lines) in [
        (ours, Format::JsonLines, "bump", 2),
        (LOG, Format::JepsenLog, "read", 14),
        (KV, Format::PorcupineKv, "append", 6),
    ] {
        let text = format!("\n  \n{text}");
        let opening = Opening::read(text.as_bytes(), None).unwrap();
        assert_eq!((opening.format(), opening.first_f()), (Some(format), Some(f)));
        assert_eq!(opening.into_reader::<Plain>(format).read_all().unwrap().lines, lines);
    }
}

#[test]
fn an_opening_knows_what_it_does_not_know() {
    let opening = |text: &'static str| Opening::read(text.as_bytes(), None).unwrap();
    assert_eq!(opening("").format(), None);
    for (text, format) in [
        ("{:index 0, :type :invoke, :process 0, :f :read, :value nil}\n", "edn"),
        ("{ :process 0\n  :type :invoke :f :read}", "edn"),
        ("[{:process 0, :type :invoke, :f :read, :value nil}\n {", "edn"),
        ("[\n{", "edn"),
        ("#jepsen.history.Op{:process 0, :type :invoke, :f :read, :value nil}\n", "edn"),
        ("; recorded on a Monday\n{:process 0, :type :invoke, :f :read}\n", "edn"),
        (r#"{"process" 0, "type" "invoke", "f" "read"}"#, "edn"),
        (r#"{:time 3, :process 0, :type :invoke, :f :get, :key "0", :value nil}"#, "edn"),
        ("{:process 0, :type :invoke, :f :get, :key 0, :value nil}", "edn"),
        (r#"{:process 0, :type :invoke, :f :get, :key "0", :value nil}"#, "porcupine-kv"),
        (r#"{"pro\"cess" : 0, "type": "invoke"}"#, "jsonl"),
        (r#"{"pro"#, "jsonl"),
        ("{", "jsonl"),
    ] {
        assert_eq!(
            opening(text).format().map(|format| format.to_string()).as_deref(),
            Some(format),
            "{text}"
        );
    }
    assert_eq!(opening("[package]\n").format(), None);
    assert_eq!(opening("\n \n").begins(), None);
    let table = opening("\nprocess,type,f,value and so on and so forth\n1,2\n");
    assert_eq!((table.format(), table.first_f()), (None, None));
    assert_eq!(table.begins().as_deref(), Some("process,type,f,value and"));
    let wrong = opening("INFO  jepsen.core - Run complete\nINFO  jepsen.util - 0\t:invoke\t:read\tnil\n");
    assert_eq!((wrong.format(), wrong.first_f()), (Some(Format::JepsenLog), None));
    assert!(wrong.into_reader::<Plain>(Format::JepsenLog).read_all().is_err(), "and the reader says why");
}
