//! A bit that rots may cost a node its place, and nobody a promise.

use history::Key;
use sim::{Audience, LifeFile, WrittenAsk};

/// A follower is sent old entries one by one, and is asked for its vote meanwhile. Its disk takes its time; then the
/// leader dies, and a bit rots on that follower's disk, which is so small that it is often one of its vote.
///
/// As long as a vote stood in one slot only, the slot before took its place when it rotted, as if it had been torn, and
/// the node forgot what it had said.
#[test]
fn whoever_gave_a_vote_knows_it_whichever_bit_rots() {
    let mut file = LifeFile::parse(include_str!("rot.json")).unwrap();
    let write = |number: u64| WrittenAsk {
        time: 150_000_000 + number * 20_000_000,
        seat: number % 6,
        key: Some(Key::new(format!("k{}", number / 40))),
        f: "write".to_owned(),
        value: number.into(),
        last: false,
    };
    file.asks = (0..90).map(write).collect();
    let mut noticed = 0;
    for seed in 0..200 {
        file.seed = seed;
        let life = file.live(Audience::nobody()).unwrap().life;
        assert!(!life.ending.is_bad(), "seed {seed}: {}", life.ending);
        noticed += u64::from(life.coverage.refusals > 0);
    }
    assert!(noticed > 20, "damage was found in {noticed} lives");
}
