//! Measurements of a system that misbehaves: figures only where there is something to measure.
#![expect(clippy::unwrap_used, reason = "in a test, what must not fail may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use runner::Error;
use runner::bench::{Bench, Contender, Failover, Kind, Row, Table, bench, failover};
use tempfile::TempDir;

/// The server of `examples/forgetful.rs`, which cargo builds beside the tests.
fn forgetful() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().join("examples/forgetful")
}

fn contender(bin: PathBuf, mood: &str) -> Contender {
    let settings = [("mood".to_owned(), mood.to_owned())].into();
    Contender { system: "raft".to_owned(), bin: Some(bin), settings }
}

/// A short turn of reads for each of them, all of one node.
fn plan(out: &TempDir, systems: Vec<Contender>) -> Bench {
    Bench {
        systems,
        nodes: 1,
        clients: vec![2],
        kinds: vec![Kind::Read],
        turn: Duration::from_millis(100),
        rounds: 1,
        keys: 100,
        patience: Duration::from_millis(200),
        out: out.path().to_owned(),
    }
}

async fn measured(moods: &[&str]) -> Table {
    let out = tempfile::tempdir().unwrap();
    let systems = moods.iter().map(|mood| contender(forgetful(), mood)).collect();
    bench(&plan(&out, systems), |_| {}).await.unwrap()
}

fn reasons(row: &Row) -> Vec<&str> {
    row.spoilt.iter().map(|spoilt| spoilt.why.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_systems_that_answer_have_figures_and_ratios() {
    let table = measured(&["even", "even"]).await;
    assert!(table.is_complete(), "{table}");
    let row = &table.rows[0];
    assert!(row.ratio.unwrap().throughput.is_some_and(|ratio| ratio > 0.0), "{table}");
    assert!(row.medians.iter().flatten().all(|sample| sample.memory > 10_000 && !sample.p99.is_zero()));
    assert_eq!(reasons(row), [""; 0]);
    assert_eq!(table.systems[1].settings["election-timeout"], "1000", "all have the same timers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_refuses_or_is_silent_or_has_no_steady_leader_gets_no_figures() {
    for (mood, words) in [
        ("sullen", " failed, the first with: not now"),
        ("mute", "2 requests failed, the first with: no answer within "),
        ("restless", "the lead passed from n1@t"),
    ] {
        let table = measured(&["even", mood]).await;
        let row = &table.rows[0];
        assert!(row.medians[0].is_some() && row.medians[1].is_none() && !table.is_complete(), "{table}");
        assert_eq!(row.ratio.unwrap().throughput, None, "{table}");
        assert!(reasons(row).len() > 1, "it was tried again: {table}");
        assert!(reasons(row).iter().all(|why| why.contains(words)), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_in_which_the_lead_passed_on_is_taken_again() {
    let table = measured(&["promoted"]).await;
    assert!(table.is_complete(), "{table}");
    assert_eq!(reasons(&table.rows[0]), ["the lead passed from n1@t1 to n1@t2"]);
    assert!(table.to_string().contains("turn 1 did not count: the lead passed"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_node_dies_the_measurement_ends_and_names_it() {
    let out = tempfile::tempdir().unwrap();
    let [script, end] = ["mortal", "end"].map(|name| out.path().join(name));
    let (node, signal) = (forgetful(), end.display());
    // Two of three nodes live on and would answer everything.
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *'--name n2 '*) ;; *) exec '{0}' \"$@\" ;; esac\n'{0}' \"$@\" &\n\
         until [ -e '{signal}' ]; do sleep 0.01; done\nkill -9 $!\necho 'out of luck' >&2\nexit 3\n",
        node.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let turns = Bench { nodes: 3, rounds: 100, ..plan(&out, vec![contender(script, "even")]) };
    let measuring = |line: &str| {
        if line.contains("read with") {
            fs::write(&end, "").unwrap();
        }
    };
    let error = bench(&turns, measuring).await.unwrap_err();
    assert!(matches!(error, Error::Died { .. }), "{error}");
    assert!(error.to_string().contains("n2 ended by itself (exit 3), saying: out of luck"), "{error}");
    assert_eq!(error.exit_code(), 255);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_measured_is_refused_before_anything_is_started() {
    let out = tempfile::tempdir().unwrap();
    let nothing = Contender { system: "nothing".to_owned(), ..contender(forgetful(), "even") };
    let unknown = plan(&out, vec![contender(forgetful(), "even"), nothing]);
    let empty = Bench { nodes: 0, ..plan(&out, vec![contender(forgetful(), "even")]) };
    for (wrong, words) in [(unknown, "unknown system `nothing`"), (empty, "0 nodes")] {
        let error = bench(&wrong, |line| panic!("{line}")).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.exit_code(), 254);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_leader_dies_once_in_a_round_and_the_time_until_somebody_is_served_is_told() {
    let out = tempfile::tempdir().unwrap();
    let systems = vec![contender(forgetful(), "even"), contender(forgetful(), "even")];
    let asked = Failover { systems, nodes: 3, kills: 2, out: out.path().to_owned() };
    let outages = failover(&asked, |_| {}).await.unwrap();
    assert_eq!(outages.systems.len(), 2);
    for outage in &outages.systems {
        assert_eq!(outage.millis.len(), 2);
        assert!(outage.median_ms > 0.0 && outage.median_ms <= outage.max_ms, "{outages}");
        assert!(!outage.system.settings.contains_key("election-timeout"), "as each system is by itself");
    }
}
