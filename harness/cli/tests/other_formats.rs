//! Histories of others are judged by what they mean, ours go over to others' tools, and what a run said of
//! itself is not forgotten when its history is judged again.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../histories/corpus");

fn harness(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The exit code, what was printed, and what was complained of.
fn said(arguments: &[&str]) -> (i32, String, String) {
    let output = harness(arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The one object that `check --json` says of one file.
fn judged(arguments: &[&str]) -> (i32, Value) {
    let (code, out, err) = said(&[&["check", "--json"], arguments].concat());
    let mut object: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    (code, object["files"][0].take())
}

#[test]
fn what_a_nil_and_a_refusal_mean_can_be_chosen_and_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.edn");
    let path = path.to_str().unwrap();
    let write = "[{:process 0 :type :invoke :f :write :value 1} {:process 0 :type :ok :f :write :value 1}";
    for doubtful in [
        ":read :value nil} {:process 0 :type :ok :f :read :value nil",
        ":cas :value [1 2]} {:process 0 :type :fail :f :cas :value [1 2]",
    ] {
        fs::write(path, format!("{write}\n {{:process 0 :type :invoke :f {doubtful}}}]\n")).unwrap();
        let (code, object) = judged(&[path]);
        assert_eq!((code, &object["format"], &object["reading"]), (0, &"edn".into(), &"knossos".into()));
        let (code, object) = judged(&[path, "--reading", "literal"]);
        assert_eq!((code, &object["reading"]), (1, &"literal".into()), "{object:#}");
        let (_, text, _) = said(&["check", path, "--reading", "literal"]);
        assert!(text.contains("4 lines of edn read as literal, held against cas-register"), "{text}");
    }
    // What the 2014 logs give away is given away by these rules alone.
    let log = format!("{CORPUS}/foreign/cas-should-have-won.log");
    assert_eq!(judged(&[&log]).0, 1);
    assert_eq!(judged(&[&log, "--reading", "knossos"]).0, 0);
}

#[test]
fn a_wrong_format_is_blamed_on_the_right_one_at_one_place_and_on_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let path = path.to_str().unwrap();
    let begun = r#"{"index":0,"time":1,"process":0,"type":"invoke","f":"write","key":"x","value":1}"#;
    for (text, expected) in [
        (
            "[{:process 0 :type :invoke\n  :f 3}]".to_owned(),
            "as edn: line 1 is not a line of edn: its f must be a keyword, found 3",
        ),
        (
            "{:process 0 :type}".to_owned(),
            "as edn: line 1, column 18 is not a line of edn: `}` was not expected there",
        ),
        (
            format!("{begun}\n{{\"index\":1,,}}\n{begun}\n"),
            "as jsonl: line 2, column 12 is not a line of a history: key must be a string",
        ),
    ] {
        fs::write(path, text).unwrap();
        let (code, out, err) = said(&["check", path]);
        assert_eq!((code, out.as_str()), (254, ""));
        assert_eq!(err, format!("harness: {path}: {expected}\n"));
    }
    // A model is spoken of where one was asked for.
    fs::write(path, format!("{begun}\n")).unwrap();
    let (code, _, err) = said(&["check", path, "--model", "kv"]);
    assert!(code == 254 && err.contains("as jsonl for the model kv: line 1 cannot be understood"), "{err}");
    fs::write(path, begun.replace("write", "enqueue")).unwrap();
    let (code, _, err) = said(&["check", path]);
    assert!(code == 254 && err.contains("asks `enqueue`, which no model knows"), "{err}");
}

#[test]
fn what_no_checker_judges_yet_is_read_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.edn");
    let path = path.to_str().unwrap();
    let txn = "{:type :invoke :value [[:append 8 1]]}\n{:type :ok :value [[:append 8 1]]}\n";
    fs::write(path, txn).unwrap();
    let (code, out, err) = said(&["check", path]);
    assert_eq!((code, out.as_str()), (254, ""));
    assert!(err.ends_with("1 ops of edn: no checker for transactions yet\n"), "{err}");
    fs::write(path, txn.replace(":ok :value [[:append 8 1]]", ":ok :value [[:append 8 2]]")).unwrap();
    let (code, _, err) = said(&["check", path]);
    assert!(code == 254 && err.contains("line 2 cannot be understood"), "{err}");
}

#[test]
fn a_history_in_which_nothing_was_answered_says_that_it_shows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.edn");
    let path = path.to_str().unwrap();
    fs::write(path, "[{:process :nemesis :type :info :f :start}]").unwrap();
    let (code, object) = judged(&[path]);
    assert_eq!((code, &object["verdict"], &object["ops"]), (0, &"valid".into(), &0.into()));
    assert_eq!(object["notes"][0], "nothing to judge: there is no op of any client");
    fs::write(path, "[{:process 0 :type :invoke :f :read} {:process 0 :type :fail :f :read}]").unwrap();
    let (code, object) = judged(&[path]);
    assert_eq!((code, &object["notes"][0]), (0, &"nothing to judge: no op was answered".into()));
    let good = format!("{CORPUS}/good/sequential.jsonl");
    assert_eq!(judged(&[&good]).1["notes"], Value::Array(Vec::new()));
}

/// A run's folder with this verdict and reason, and a history that can be explained.
fn run_folder(folder: &Path, results: &str) {
    fs::copy(format!("{CORPUS}/good/sequential.jsonl"), folder.join("history.jsonl")).unwrap();
    fs::write(folder.join("results.json"), results).unwrap();
}

#[test]
fn a_run_that_was_unknown_stays_so_however_often_its_history_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let doubt = r#"{"verdict":"unknown","reason":"no fault had an effect","checks":[{"name":"register","verdict":"valid"}]}"#;
    run_folder(folder.path(), doubt);
    let run = folder.path().to_str().unwrap();
    let (code, text, _) = said(&["check", run]);
    assert_eq!(code, 2);
    let expected = "the run itself was unknown: no fault had an effect; by its history alone it is valid\nverdict: unknown\n";
    assert!(text.ends_with(expected), "{text}");
    let (code, object) = judged(&[run]);
    assert_eq!((code, &object["verdict"], &object["history"]), (2, &"unknown".into(), &"valid".into()));

    // Who names the history asks of the history; the doubt is told.
    let history = format!("{run}/history.jsonl");
    let (code, text, _) = said(&["check", &history]);
    assert!(
        code == 0 && text.contains("the run itself was unknown") && text.ends_with("verdict: valid\n"),
        "{text}"
    );

    // A search that ran out of time may find more of it today.
    run_folder(
        folder.path(),
        &doubt.replace("\"valid\"", "\"unknown\"").replace("no fault had an effect", "no time"),
    );
    let (code, text, _) = said(&["check", run]);
    assert!(code == 0 && text.contains("the run itself was unknown: no time"), "{text}");

    run_folder(folder.path(), &doubt.replace("unknown", "valid"));
    let (code, text, _) = said(&["check", run]);
    assert!(code == 0 && !text.contains("the run itself"), "{text}");

    fs::remove_file(folder.path().join("results.json")).unwrap();
    let (code, text, _) = said(&["check", run]);
    assert!(code == 2 && text.contains("it did not come to its end"), "{text}");
    assert_eq!(said(&["check", &history]).0, 0);
}

#[test]
fn a_history_goes_to_edn_and_back_and_is_judged_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (edn, back) = (folder.path().join("history.edn"), folder.path().join("back.jsonl"));
    let (edn, back) = (edn.to_str().unwrap(), back.to_str().unwrap());
    let mut files = 0;
    for part in ["good", "bad"] {
        for file in fs::read_dir(format!("{CORPUS}/{part}")).unwrap() {
            let path = file.unwrap().path();
            let path = path.to_str().unwrap();
            fs::write(edn, harness(&["convert", path, "--to", "edn"]).stdout).unwrap();
            fs::write(back, harness(&["convert", edn, "--to", "jsonl"]).stdout).unwrap();
            assert_eq!(fs::read_to_string(back).unwrap(), fs::read_to_string(path).unwrap(), "{path}");
            assert_eq!(judged(&[edn]).0, judged(&[path]).0, "{path}");
            files += 1;
        }
    }
    assert!(files > 15);
}

#[test]
fn a_history_becomes_the_operations_of_porcupine() {
    let history = r#"{"index":0,"time":5,"process":0,"type":"invoke","f":"write","key":"x","value":1}
{"index":1,"time":5,"process":1,"type":"invoke","f":"cas","key":"x","value":[1,2]}
{"index":2,"time":5,"process":2,"type":"invoke","f":"read","value":null}
{"index":3,"time":7,"process":1,"type":"ok","f":"cas","key":"x","value":[1,2],"result":false}
{"index":4,"time":8,"process":2,"type":"fail","f":"read","value":null,"error":"refused"}
{"index":5,"time":8,"process":0,"type":"info","f":"write","value":1,"error":"no answer"}
{"index":6,"time":9,"process":"nemesis","type":"info","f":"kill","value":null}
"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    fs::write(&path, history).unwrap();
    let (code, text, _) = said(&["convert", path.to_str().unwrap(), "--to", "porcupine-json"]);
    assert_eq!(code, 0);
    let expected = r#"[
{"ClientId":0,"Input":{"f":"write","key":"x","value":1},"Call":5,"Output":null,"Return":11},
{"ClientId":1,"Input":{"f":"cas","key":"x","value":[1,2]},"Call":6,"Output":{"value":[1,2],"result":false},"Return":8}
]
"#;
    assert_eq!(text, expected);
    assert_eq!(said(&["convert", "/dev/null", "--to", "porcupine-json"]).1, "[]\n");
    let (code, out, err) =
        said(&["convert", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "--to", "edn"]);
    assert!(code == 254 && out.is_empty() && err.contains("begins with `[package]`"), "{code} {out} {err}");
}

/// Where real histories of others are laid beside the repository, with an index of what others found, nothing
/// in them may be unreadable, and what can be judged must be judged so.
#[test]
fn the_histories_that_others_recorded_mean_what_others_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/histories");
    let index = match fs::read_to_string(folder.join("INDEX.tsv")) {
        Ok(index) => index,
        Err(error) => return eprintln!("skipped: {}: {error}", folder.display()),
    };
    let mut wrong = Vec::new();
    for line in index.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let path = folder.join(columns[0]);
        let path = path.to_str().unwrap();
        let (code, out, err) = said(&["check", path]);
        let expected = match columns[4] {
            _ if columns[2].starts_with("txn") => 254,
            "linearizable" => 0,
            "not-linearizable" => 1,
            other => panic!("{other}"),
        };
        let ops = if code == 254 { err.contains("no checker for") } else { out.contains(" ops in ") };
        if code != expected || !ops {
            wrong.push(format!("{path}: {code} in place of {expected}: {out}{err}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
