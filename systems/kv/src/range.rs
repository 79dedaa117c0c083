//! Reading a run of keys.

use std::cmp::Ordering;

use crate::command::{Order, Range, Revision, Sort, SortBy};
use crate::reply::{KeyValue, Kvs, Refusal};
use crate::store::Store;

impl Store {
    /// Answers `range` for a reader to whom `now` is the present.
    pub(crate) fn range(&self, range: &Range, now: Revision) -> Result<Kvs, Refusal> {
        self.may_read(range.revision, now)?;
        let mut count: i64 = 0;
        let mut kvs = Vec::new();
        // In the order of keys the limit can cut while reading; one more than asked for tells that
        // there is more. A sort has to see everything first.
        let enough = limit(range).filter(|_| range.sort.is_none()).map_or(usize::MAX, |limit| limit + 1);
        for (key, history) in self.histories(&range.keys) {
            let past = range.revision > Revision(0);
            let found = if past { history.at(range.revision) } else { history.now() };
            let Some((modified, live)) = found else { continue };
            count += 1;
            if range.count_only || kvs.len() >= enough || !listed(range, live.create, modified) {
                continue;
            }
            kvs.push(live.show(key, modified));
        }
        let more = cut(range, &mut kvs);
        Ok(Kvs { kvs, more, count })
    }

    /// Whether a reader to whom `now` is the present may look at `revision`.
    pub(crate) fn may_read(&self, revision: Revision, now: Revision) -> Result<(), Refusal> {
        if revision <= Revision(0) {
            return Ok(());
        }
        if revision > now {
            return Err(Refusal::FutureRevision);
        }
        if revision < self.compacted() {
            return Err(Refusal::Compacted);
        }
        Ok(())
    }
}

fn limit(range: &Range) -> Option<usize> {
    usize::try_from(range.limit).ok().filter(|limit| *limit > 0)
}

/// Whether the bounds on revisions let it be listed.
fn listed(range: &Range, create: Revision, modified: Revision) -> bool {
    let none = Revision(0);
    let above = |min: Revision, value: Revision| min == none || value >= min;
    let below = |max: Revision, value: Revision| max == none || value <= max;
    above(range.min_mod, modified)
        && below(range.max_mod, modified)
        && above(range.min_create, create)
        && below(range.max_create, create)
}

/// Sorts, cuts at the limit, drops the values that nobody asked for. Returns whether it cut.
fn cut(range: &Range, kvs: &mut Vec<KeyValue>) -> bool {
    if let Some(sort) = range.sort {
        kvs.sort_by(|one, other| compare(sort, one, other));
    }
    let more = limit(range).is_some_and(|limit| kvs.len() > limit);
    if let Some(limit) = limit(range) {
        kvs.truncate(limit);
    }
    if range.keys_only {
        for kv in &mut *kvs {
            kv.value.clear();
        }
    }
    more
}

fn compare(sort: Sort, one: &KeyValue, other: &KeyValue) -> Ordering {
    let ascending = match sort.by {
        SortBy::Key => one.key.cmp(&other.key),
        SortBy::Version => one.version.cmp(&other.version),
        SortBy::Create => one.create.cmp(&other.create),
        SortBy::Mod => one.modified.cmp(&other.modified),
        SortBy::Value => one.value.cmp(&other.value),
    };
    match sort.order {
        Order::Ascending => ascending,
        Order::Descending => ascending.reverse(),
    }
}
