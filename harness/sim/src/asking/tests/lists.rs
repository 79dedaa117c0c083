//! What must hold of lists whatever their transactions are judged by: until there is a checker.

use std::collections::BTreeMap;

use history::{History, Key, MicroOp, Outcome, Seen, Txn, TxnRead};

/// One read of one list.
struct Read<'a> {
    list: &'a [i64],
    invoked: u64,
}

/// Every list that was read is the beginning of the longest one; what stands in it was appended once, by
/// someone who did not fail; and what was acknowledged before a read began is in it.
pub(super) fn judge(history: &History<Txn, TxnRead>) -> Result<(), String> {
    let reads = reads(history);
    let empty: &[i64] = &[];
    let mut longest: BTreeMap<&Key, &[i64]> = BTreeMap::new();
    for (key, reads) in &reads {
        let list = reads.iter().map(|read| read.list).max_by_key(|list| list.len()).unwrap_or(empty);
        longest.insert(key, list);
        for read in reads {
            if !list.starts_with(read.list) {
                return Err(format!("{key} was {:?} and {list:?}", read.list));
            }
        }
    }
    for attempt in &history.attempts {
        for (key, element) in appends(&attempt.op) {
            let list = longest.get(key).copied().unwrap_or(empty);
            let times = list.iter().filter(|&&there| there == element).count();
            let expected = match attempt.outcome {
                Outcome::Ok(_) => times == 1,
                Outcome::Fail(_) => times == 0,
                Outcome::Info(_) => times <= 1,
            };
            if !expected {
                return Err(format!("{element} is {times} times in {key}: {:?}", attempt.outcome));
            }
            let (Outcome::Ok(_), Some(completed)) = (&attempt.outcome, attempt.completed) else { continue };
            let later = reads[key].iter().filter(|read| read.invoked > completed.index);
            for read in later {
                if !read.list.contains(&element) {
                    return Err(format!("{element} was in {key}, and is not in {:?}", read.list));
                }
            }
        }
    }
    let known: usize = history.attempts.iter().map(|attempt| appends(&attempt.op).count()).sum();
    let shown: usize = longest.values().map(|list| list.len()).sum();
    if shown > known { Err(format!("{shown} elements of {known} appends")) } else { Ok(()) }
}

fn appends(txn: &Txn) -> impl Iterator<Item = (&Key, i64)> {
    txn.0.iter().filter_map(|step| match step {
        MicroOp::Append(key, element) => Some((key, *element)),
        MicroOp::Write(..) | MicroOp::Read(_) => None,
    })
}

fn reads(history: &History<Txn, TxnRead>) -> BTreeMap<&Key, Vec<Read<'_>>> {
    let mut reads: BTreeMap<&Key, Vec<Read<'_>>> = BTreeMap::new();
    for attempt in &history.attempts {
        let Some(TxnRead(seen)) = attempt.ret() else { continue };
        let mut seen = seen.iter();
        for step in &attempt.op.0 {
            let MicroOp::Read(key) = step else { continue };
            let list: &[i64] = match seen.next() {
                Some(Seen::List(list)) => list,
                Some(Seen::Nothing) => &[],
                other => panic!("{other:?} is no list"),
            };
            reads.entry(key).or_default().push(Read { list, invoked: attempt.invoked.index });
        }
        assert_eq!(seen.next(), None, "one answer for each read");
    }
    reads
}
