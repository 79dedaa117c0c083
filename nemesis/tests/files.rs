//! Schedules as files: read as written, and every complaint with its line and its cure.

use nemesis::{
    Deed, Harm, Kind, Kinds, Nemesis, NodeId, Rhythm, Schedule, Seen, Start, Step, Storm, Time, Wait,
    Weights, cluster,
};
use proptest::prelude::*;

/// Plays to the end under virtual time.
fn play(schedule: Schedule, nodes: u16, seed: u64) -> Schedule {
    let mut nemesis = Nemesis::new(schedule, cluster(nodes), seed, Time::seconds(200));
    let seen = Seen { leader: Some(NodeId(1)), ..Seen::default() };
    let mut now = Time::default();
    loop {
        match nemesis.next(now, &seen) {
            nemesis::Action::Wait(until) => now = until,
            nemesis::Action::Done => return nemesis.record(),
            _ => {}
        }
    }
}

fn reads_as_written(schedule: &Schedule, nodes: u16) -> Result<(), TestCaseError> {
    let text = schedule.to_toml();
    let read = Schedule::parse(&text, &cluster(nodes));
    prop_assert_eq!(read.as_ref(), Ok(schedule), "{}", text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_schedule_is_read_as_it_was_written_both_as_asked_and_as_done(seed: u64, nodes in 2_u16..7) {
        let limit = Time(200_123_456_789);
        let (kinds, _) = Kinds::of(Kind::ALL).on(nodes.into());
        let drawn = Schedule::draw(seed, &kinds, nodes.into(), Rhythm::default(), limit);
        let storm = Schedule::storm(seed, &kinds, nodes.into(), limit);
        for asked in [drawn, storm] {
            reads_as_written(&asked, nodes)?;
            let done = play(asked, nodes, seed);
            prop_assert!(done.deeds().is_some(), "what was done leaves nothing open");
            reads_as_written(&done, nodes)?;
        }
    }

    #[test]
    fn triggers_repetitions_and_storms_are_read_as_they_were_written(
        seed: u64,
        ops: u32,
        every in 10_u64..9_000,
        weight in 0_u32..9,
        known: bool,
    ) {
        let wait = |span| if known { Wait::Exactly(span) } else { Wait::About(span) };
        let every = wait(nemesis::Span::millis(every));
        let mut steps = Schedule::storm(seed, &Kinds::of(Kind::ALL), 3, Time::seconds(20)).steps;
        let starts = [Start::After(ops.into()), Start::When(nemesis::Happening::LeaderChanged)];
        for (step, start) in steps.iter_mut().zip(starts) {
            *step = Step { start, every: known.then_some(every), end: nemesis::End::Lasting(every), ..step.clone() };
        }
        let weights: Weights = [(Kind::Clock, weight)].into();
        let storm = Storm { weights, day: known.then_some(every), ..Storm::of(Kinds::of([Kind::Clock, Kind::Wipe])) };
        let until = known.then_some(Time(seed));
        reads_as_written(&Schedule { steps, random: Some(storm), until }, 3)?;
    }
}

/// The examples of the module's documentation, each as a file.
fn examples() -> Vec<String> {
    let text = include_str!("../src/file.rs");
    let lines = text.lines().filter_map(|line| line.strip_prefix("//!")).map(str::trim_start);
    let text = itertools::join(lines, "\n");
    let examples = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    examples.map(str::to_owned).collect()
}

#[test]
fn the_examples_in_the_documentation_are_read() {
    let examples = examples();
    let steps = Schedule::parse(&examples[0], &cluster(3)).unwrap().steps;
    let said: Vec<String> = steps.iter().map(|step| format!("{}: {}", step.start, step.aim)).collect();
    let expected = [
        "at 2s: partition n1 | n2 n3 (hold)",
        "when leader-changed: kill leader",
        "after 400 ops: packets leader (delay 40ms, jitter 10ms, loss 5%, duplicate 1%, reorder 2%)",
        "at 20s: clock minority (jump +2.5s)",
        "at 22s: slow-disk one (stuck)",
        "at 25s: membership leader",
    ];
    assert_eq!(said, expected);
    let schedule = Schedule::parse(&examples[1], &cluster(3)).unwrap();
    assert_eq!(schedule.kinds().to_string(), "kill,partition");
    let storm = schedule.random.unwrap();
    assert_eq!((storm.weights[&Kind::Kill], storm.night.unwrap().to_string()), (3, "~5s".to_owned()));
}

#[test]
fn the_example_in_the_book_is_read() {
    let page = include_str!("../../docs/faults.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let schedule = Schedule::parse(example.unwrap_or_default(), &cluster(3)).unwrap();
    let said: Vec<String> =
        schedule.steps.iter().map(|step| format!("{}: {}", step.start, step.aim)).collect();
    let expected = [
        "at 2s: partition isolate-leader (hold)",
        "when leader-changed: pause leader",
        "after 100 ops: kill one",
    ];
    assert_eq!(said, expected);
}

#[test]
fn every_kind_is_read_by_what_it_needs_and_nothing_else() {
    for kind in Kind::ALL {
        let fields = match kind {
            Kind::Partition => "shape = \"ring\"\nsever = \"cut\"",
            Kind::Packets => "links = \"one-link\"\nweather = { reorder = 7 }",
            Kind::Clock => "nodes = \"all\"\nskew = { drift = -50 }",
            Kind::SlowDisk => "nodes = \"all\"\npace = \"40ms\"",
            Kind::Membership => "nodes = \"leader\"",
            _ => "nodes = \"all\"",
        };
        let text = format!("[[step]]\nat = \"2s\"\nuntil = \"7s\"\nfault = \"{kind}\"\n{fields}\n");
        let schedule = Schedule::parse(&text, &cluster(3)).unwrap();
        assert_eq!(schedule.kinds(), Kinds::of([kind]));
        assert!(schedule.to_toml().ends_with(&text), "{}", schedule.to_toml());
    }
}

/// What is said about a step of this kind, with these lines from line 5 on.
fn complaint(kind: Kind, lines: &str) -> String {
    let text = format!("[[step]]\nat = \"2s\"\nuntil = \"7s\"\nfault = \"{kind}\"\n{lines}\n");
    match Schedule::parse(&text, &cluster(3)) {
        Ok(schedule) => panic!("{lines} was read as {schedule:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_fault_to_nodes_that_cannot_be_names_the_line_and_the_cure() {
    let cases = [
        ("nodes = \"leader", "line 5: "),
        ("node = \"leader\"", "line 5: unknown field `node`"),
        ("nodes = 3", "line 5: expected a role such as \"leader\" or a list such as [\"n1\"]"),
        ("nodes = \"boss\"", "line 5: unknown role `boss`; known: leader, one, minority, majority, all, or"),
        ("nodes = [\"n9\"]", "line 5: there is no n9; the nodes are n1 n2 n3"),
        ("nodes = [\"two\"]", "line 5: `two` is not a node such as \"n2\""),
        ("nodes = []", "line 5: no node is meant"),
        ("", "line 1: a KIND needs `nodes`"),
        ("nodes = \"all\"\nsever = \"cut\"", "line 6: a KIND has no `sever`; it has `nodes`"),
        ("nodes = \"all\"\nweather = {}", "line 6: a KIND has no `weather`; it has `nodes`"),
    ];
    let links = [Kind::Partition, Kind::Packets];
    let plain = Kind::ALL.into_iter().filter(|kind| !links.contains(kind));
    for (kind, (lines, expected)) in itertools::iproduct!(plain, cases) {
        let rest = match kind {
            Kind::Clock => "\nskew = { jump = \"1s\" }",
            Kind::SlowDisk => "\npace = \"stuck\"",
            _ => "",
        };
        let said = complaint(kind, &(lines.to_owned() + rest));
        assert!(said.starts_with(&expected.replace("KIND", kind.name())), "{lines}: {said}");
    }
}

#[test]
fn one_member_is_replaced_at_a_time_and_only_where_the_others_can_do_without_it() {
    let membership = |nodes: &str, there| {
        let text =
            format!("[[step]]\nat = \"2s\"\nuntil = \"7s\"\nfault = \"membership\"\nnodes = {nodes}\n");
        let schedule = Schedule::parse(&text, &cluster(there));
        schedule.map(|schedule| schedule.steps[0].aim.to_string()).map_err(|error| error.to_string())
    };
    let one = "line 5: one member is replaced at a time: ";
    assert_eq!(membership("\"leader\"", 3), Ok("membership leader".to_owned()));
    assert_eq!(membership("[\"n2\"]", 3), Ok("membership n2".to_owned()));
    assert_eq!(membership("[\"n1\", \"n2\"]", 3), Err(format!("{one}name one node")));
    let roles = "not minority, but leader, one, or a list of one";
    assert_eq!(membership("\"minority\"", 5), Err(format!("{one}{roles}")));
    let few = "line 5: a membership needs 3 nodes, and there are 2";
    assert_eq!(membership("\"one\"", 2), Err(few.to_owned()));
}

#[test]
fn links_that_cannot_be_cut_name_the_line_and_the_cure() {
    let cases = [
        ("shape = \"circle\"", "line 5: unknown shape `circle`"),
        ("blocks = [[\"n1\"], [\"n1\", \"n2\"]]", "line 5: a node stands in two blocks"),
        ("blocks = [[\"n1\"]]", "line 5: this cuts nothing"),
        ("links = [\"n1\"]", "line 5: `n1` is not a link"),
        ("links = []", "line 5: no link is meant"),
        ("links = \"all\"", "line 5: the links of a partition are a list"),
        ("links = []\nshape = \"one\"", "line 1: a partition needs exactly one of"),
        ("", "line 1: a partition needs exactly one of"),
        ("shape = \"one\"\nsever = \"burn\"", "line 6: unknown sever `burn`; known: hold, cut"),
        ("shape = \"one\"\nnodes = \"all\"", "line 6: a partition has no `nodes`; it has `shape`, `blocks`,"),
    ];
    for (lines, expected) in cases {
        let said = complaint(Kind::Partition, lines);
        assert!(said.starts_with(expected), "{lines}: {said}");
    }
}

#[test]
fn weather_clocks_and_disks_that_cannot_be_name_the_line_and_the_cure() {
    let cases = [
        (Kind::Packets, "links = \"all\"", "line 1: a packets needs `weather`"),
        (Kind::Packets, "weather = { loss = 5 }", "line 1: a packets needs `links`"),
        (
            Kind::Packets,
            "links = \"some\"\nweather = { loss = 5 }",
            "line 5: unknown links `some`; known: all,",
        ),
        (Kind::Packets, "links = [\"n1→n9\"]\nweather = { loss = 5 }", "line 5: there is no n9"),
        (Kind::Packets, "links = \"all\"\nweather = {}", "line 6: this weather is fine: say some of `delay`"),
        (Kind::Packets, "links = \"all\"\nweather = { loss = 0 }", "line 6: this weather is fine"),
        (
            Kind::Packets,
            "links = \"all\"\nweather = { loss = 101 }",
            "line 6: loss 101: percent, from 0 to 100",
        ),
        (Kind::Packets, "links = \"all\"\nweather = { loss = -1 }", "line 6: loss -1: percent"),
        (Kind::Packets, "links = \"all\"\nweather = { rain = 1 }", "line 6: unknown field `rain`"),
        (
            Kind::Packets,
            "links = \"all\"\nweather = { delay = \"40\" }",
            "line 6: `40` is not a length of time",
        ),
        (Kind::Packets, "links = \"all\"\nweather = { delay = 40 }", "line 6: invalid type: integer"),
        (Kind::Clock, "nodes = \"all\"", "line 1: a clock needs `skew`"),
        (Kind::Clock, "nodes = \"all\"\nskew = {}", "line 6: a skew is exactly one of { jump"),
        (
            Kind::Clock,
            "nodes = \"all\"\nskew = { jump = \"1s\", drift = 3 }",
            "line 6: a skew is exactly one of",
        ),
        (
            Kind::Clock,
            "nodes = \"all\"\nskew = { jump = \"1s\", every = \"1s\" }",
            "line 6: a skew is exactly",
        ),
        (
            Kind::Clock,
            "nodes = \"all\"\nskew = { jump = \"soon\" }",
            "line 6: `soon` is not a shift in time such",
        ),
        (
            Kind::Clock,
            "nodes = \"all\"\nskew = { jump = \"0s\" }",
            "line 6: a clock that moves by nothing is right",
        ),
        (Kind::Clock, "nodes = \"all\"\nskew = { drift = 51 }", "line 6: drift 51: percent, from -50 to 50"),
        (Kind::Clock, "nodes = \"all\"\nskew = { drift = 0 }", "line 6: a drift of 0 is none"),
        (
            Kind::Clock,
            "nodes = \"all\"\nskew = { strobe = \"1s\" }",
            "line 6: a strobe needs `every` beside it",
        ),
        (
            Kind::Clock,
            "nodes = \"all\"\nskew = { strobe = \"1s\", every = \"9us\" }",
            "line 6: every 9us is too often: at least 1ms",
        ),
        (Kind::SlowDisk, "nodes = \"all\"", "line 1: a slow-disk needs `pace`"),
        (
            Kind::SlowDisk,
            "nodes = \"all\"\npace = \"slow\"",
            "line 6: `slow` is not a pace: \"stuck\", or what each",
        ),
        (Kind::SlowDisk, "nodes = \"all\"\npace = \"0ms\"", "line 6: `0ms` is not a pace"),
    ];
    for (kind, lines, expected) in cases {
        let said = complaint(kind, lines);
        assert!(said.starts_with(expected), "{lines}: {said}");
    }
}

#[test]
fn a_step_that_cannot_be_timed_names_the_line_and_the_cure() {
    let cases = [
        ("until = \"7s\"", "line 1: a step needs exactly one of `at`, `after` and `when`"),
        ("at = \"1s\"\nafter = 3\nlasting = \"1s\"", "line 1: a step needs exactly one of `at`,"),
        ("at = \"1s\"", "line 1: a step needs either `until` or `lasting`"),
        ("at = \"1s\"\nuntil = \"2s\"\nlasting = \"1s\"", "line 1: a step needs either `until` or `lasting`"),
        ("at = \"7s\"\nuntil = \"7s\"", "line 3: ends at 7s, and begins at 7s"),
        ("at = \"soon\"\nuntil = \"7s\"", "line 2: `soon` is not a time such as \"2.5s\""),
        ("after = 3\nuntil = \"7s\"", "line 3: `until` is for a step with `at`: say how long"),
        ("after = -3\nlasting = \"7s\"", "line 2: "),
        (
            "when = \"it-rains\"\nlasting = \"7s\"",
            "line 2: nobody can see `it-rains` happen; known: leader-changed",
        ),
        (
            "at = \"1s\"\nevery = \"2s\"\nuntil = \"7s\"",
            "line 4: a step that comes again has `lasting`, and no",
        ),
        ("at = \"1s\"\nevery = \"9ms\"\nlasting = \"7s\"", "line 3: 9ms is too short: at least 10ms"),
        (
            "at = \"1s\"\nevery = \"~0s\"\nlasting = \"7s\"",
            "line 3: `~0s` is not a length of time such as \"5s\", or",
        ),
        ("at = \"1s\"\nlasting = \"0s\"", "line 3: `0s` is not a length of time"),
    ];
    for (lines, expected) in cases {
        let text = format!("[[step]]\n{lines}\nfault = \"kill\"\nnodes = \"one\"\n");
        let said = Schedule::parse(&text, &cluster(3)).unwrap_err().to_string();
        assert!(said.starts_with(expected), "{lines}: {said}");
    }
    let said = Schedule::parse("[[step]]\nat = \"1s\"\nuntil = \"2s\"\nfault = \"kil\"", &cluster(3));
    let said = said.unwrap_err().to_string();
    assert!(said.starts_with("line 4: unknown fault `kil`; did you mean `kill`?"), "{said}");
}

#[test]
fn chance_that_cannot_be_names_the_line_and_the_cure() {
    let cases = [
        ("[random]", "line 1: missing field `kinds`"),
        ("[random]\nkinds = \"kil\"", "line 2: unknown fault `kil`; did you mean `kill`?"),
        ("[random]\nkinds = \"kill\"\nday = \"5\"", "line 3: `5` is not a length of time"),
        ("[random]\nkinds = \"kill\"\nnight = \"1ns\"", "line 3: 1ns is too short: at least 10ms"),
        ("[weights]\nkill = 3", "line 1: weights are for what is drawn: there is no [random]"),
        ("[random]\nkinds = \"kill\"\n[weights]\nkil = 3", "line 4: unknown fault `kil`"),
        ("[random]\nkinds = \"kill\"\n[weights]\npause = 3", "line 4: `pause` has a weight and is not among"),
        ("[random]\nkinds = \"kill\"\n[weights]\nkill = -3", "line 4: "),
        ("until = \"later\"", "line 1: `later` is not a time"),
    ];
    for (text, expected) in cases {
        let said = Schedule::parse(text, &cluster(3)).unwrap_err().to_string();
        assert!(said.starts_with(expected), "{text}: {said}");
    }
}

#[test]
fn only_faults_that_are_known_to_meet_are_refused() {
    let step =
        |at, until, fault: &str| format!("[[step]]\nat = \"{at}s\"\nuntil = \"{until}s\"\nfault = {fault}\n");
    let read = |steps: &[String]| {
        let schedule = Schedule::parse(&steps.concat(), &cluster(3));
        schedule.map(|schedule| schedule.steps.len()).map_err(|error| error.to_string())
    };
    let kill = |nodes: &str| format!("\"kill\"\nnodes = {nodes}");
    let pause = "\"pause\"\nnodes = [\"n1\", \"n3\"]";
    let partition = "\"partition\"\nblocks = [[\"n1\"], [\"n2\"]]";
    let n1 = || step(2, 7, &kill("[\"n1\"]"));
    assert_eq!(read(&[n1(), step(3, 9, partition)]), Ok(2), "different things");
    assert_eq!(read(&[n1(), step(3, 9, &kill("[\"n2\"]"))]), Ok(2), "different nodes");
    assert_eq!(read(&[n1(), step(3, 9, &kill("\"one\""))]), Ok(2), "nobody knows yet");
    assert_eq!(read(&[n1(), step(7, 9, &kill("[\"n1\"]"))]), Ok(2), "one after the other");
    let meets =
        |line, kind| Err(format!("line {line}: this {kind} meets the kill of 2s on the same node or link"));
    assert_eq!(read(&[n1(), step(6, 9, &kill("[\"n1\"]"))]), meets(6, "kill"));
    assert_eq!(read(&[step(6, 9, pause), n1()]), meets(1, "pause"), "in whichever order");
}

#[test]
fn when_a_file_is_over_is_known_or_is_not() {
    let last = |text: &str| Schedule::parse(text, &cluster(3)).unwrap().last();
    let step = |timing: &str| format!("[[step]]\n{timing}\nfault = \"kill\"\nnodes = \"one\"\n");
    assert_eq!(last(&step("at = \"1s\"\nuntil = \"7s\"")), Some(Time::seconds(7)));
    assert_eq!(last(&step("at = \"1s\"\nlasting = \"7s\"")), Some(Time::seconds(8)));
    assert_eq!(last(&step("at = \"1s\"\nlasting = \"~7s\"")), None);
    assert_eq!(last(&step("at = \"1s\"\nlasting = \"7s\"\nevery = \"9s\"")), None);
    assert_eq!(last(&step("after = 1\nlasting = \"7s\"")), None);
    assert_eq!(
        last(&format!("until = \"9s\"\n{}", step("after = 1\nlasting = \"7s\""))),
        Some(Time::seconds(9))
    );
    assert_eq!(last("[random]\nkinds = \"kill\""), None);
}

#[test]
fn a_shrinker_takes_a_record_apart_and_puts_it_together_again() {
    let done = play(Schedule::storm(3, &Kinds::of(Kind::SIMULATED), 3, Time::seconds(20)), 3, 3);
    let mut deeds = done.deeds().unwrap();
    let all = deeds.len();
    deeds.remove(0);
    deeds[0].until = Time(deeds[0].at.0 + 1);
    let weaker = deeds.iter().flat_map(|deed| deed.fault.weaker()).next().unwrap();
    let last = deeds.pop().unwrap();
    deeds.push(Deed { fault: weaker, ..last });
    let shrunk: Schedule = deeds.clone().into_iter().collect();
    assert_eq!(shrunk.deeds().as_ref(), Some(&deeds));
    assert_eq!(shrunk.steps.len(), all - 1);
    assert_eq!(Schedule::parse("[random]\nkinds = \"kill\"", &cluster(3)).unwrap().deeds(), None);
    let role = Step::at(Time(1), Time(2), nemesis::Aim::Harm { who: nemesis::Who::One, harm: Harm::Kill });
    assert_eq!(Schedule::from(vec![role]).deeds(), None, "a role is open");
}
