//! What can be judged without the state: refused at the door, before it costs an entry in the log.
//!
//! The subtle one is the rule that a transaction writes no key twice. Two steps collide if one puts
//! a key that the other puts or deletes, and both could be carried out: steps on the two branches of
//! one transaction never are. (Two deletes never collide; the second finds nothing.) A transaction
//! may hold tens of thousands of steps in its nested ones, so nothing here compares all with all:
//! [`Effects`] keeps what is written so far in order, and each step costs a look-up.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, DeleteRange, Keys, Put, Query, Range, Step, Txn};
use crate::reply::Refusal;

/// How many conditions, or steps on a branch, a transaction may have. Along a nesting they add up,
/// which bounds its depth as well.
pub const MAX_OPS: usize = 128;

/// Whether a command is well formed.
pub fn command(command: &Command) -> Result<(), Refusal> {
    match command {
        Command::Put(put) => self::put(put),
        Command::DeleteRange(delete) => self::delete(delete),
        Command::Txn(txn) => self::txn(txn),
        Command::Compact(_) => Ok(()),
    }
}

/// Whether a query is well formed.
pub fn query(query: &Query) -> Result<(), Refusal> {
    match query {
        Query::Range(range) => self::range(range),
        Query::Txn(txn) => self::txn(txn.txn()),
        Query::Size | Query::Image => Ok(()),
    }
}

fn range(range: &Range) -> Result<(), Refusal> {
    keys(&range.keys)
}

fn put(put: &Put) -> Result<(), Refusal> {
    if put.key.is_empty() { Err(Refusal::EmptyKey) } else { Ok(()) }
}

fn delete(delete: &DeleteRange) -> Result<(), Refusal> {
    keys(&delete.keys)
}

fn keys(keys: &Keys) -> Result<(), Refusal> {
    if keys.first().is_empty() { Err(Refusal::EmptyKey) } else { Ok(()) }
}

fn txn(txn: &Txn) -> Result<(), Refusal> {
    shape(txn, MAX_OPS)?;
    effects(&txn.success)?;
    effects(&txn.failure)?;
    Ok(())
}

/// Keys are there, and there are not too many ops; `left` is what the outer ones left over.
fn shape(txn: &Txn, left: usize) -> Result<(), Refusal> {
    let ops = txn.conditions.len().max(txn.success.len()).max(txn.failure.len());
    let left = left.checked_sub(ops).ok_or(Refusal::TooManyOps)?;
    txn.conditions.iter().try_for_each(|condition| keys(&condition.keys))?;
    txn.success.iter().chain(&txn.failure).try_for_each(|step| match step {
        Step::Range(range) => self::range(range),
        Step::Put(put) => self::put(put),
        Step::DeleteRange(delete) => self::delete(delete),
        Step::Txn(inner) => shape(inner, left),
    })
}

/// What a branch may write, all its nested branches together.
fn effects(branch: &[Step]) -> Result<Effects<'_>, Refusal> {
    let mut all = Effects::default();
    for step in branch {
        match step {
            Step::Range(_) => {}
            Step::Put(put) => all.join(Effects::of_put(put))?,
            Step::DeleteRange(delete) => all.join(Effects::of_delete(&delete.keys))?,
            Step::Txn(inner) => {
                let mut either = effects(&inner.success)?;
                either.add(effects(&inner.failure)?);
                all.join(either)?;
            }
        }
    }
    Ok(all)
}

#[derive(Default)]
struct Effects<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletes: BTreeSet<&'a [u8]>,
    ranges: Ranges<'a>,
}

impl<'a> Effects<'a> {
    fn of_put(put: &'a Put) -> Effects<'a> {
        Effects { puts: BTreeSet::from([&put.key[..]]), ..Effects::default() }
    }

    fn of_delete(keys: &'a Keys) -> Effects<'a> {
        let mut effects = Effects::default();
        match keys {
            Keys::One(key) => {
                effects.deletes.insert(key);
            }
            Keys::Between(from, to) if from < to => effects.ranges.add(from, Some(to)),
            Keys::Between(..) => {}
            Keys::From(from) => effects.ranges.add(from, None),
        }
        effects
    }

    /// Adds what may be carried out together with all this.
    fn join(&mut self, other: Effects<'a>) -> Result<(), Refusal> {
        // Walk the smaller side: a long branch of single puts then costs one look-up each.
        let (few, many) = if self.size() < other.size() { (&*self, &other) } else { (&other, &*self) };
        if few.collides(many) {
            return Err(Refusal::DuplicateKey);
        }
        self.add(other);
        Ok(())
    }

    fn collides(&self, other: &Effects<'a>) -> bool {
        self.puts.iter().any(|key| other.writes(key))
            || self.deletes.iter().any(|key| other.puts.contains(key))
            || self.ranges.iter().any(|(from, to)| other.puts_within(from, to))
    }

    fn writes(&self, key: &[u8]) -> bool {
        self.puts.contains(key) || self.deletes.contains(key) || self.ranges.cover(key)
    }

    fn puts_within(&self, from: &[u8], to: Option<&[u8]>) -> bool {
        let first = self.puts.range(from..).next();
        first.is_some_and(|key| to.is_none_or(|to| *key < to))
    }

    /// Adds what may be carried out instead of some of this, or was found not to collide.
    fn add(&mut self, other: Effects<'a>) {
        let (mut small, mut large) = (other, std::mem::take(self));
        if small.size() > large.size() {
            std::mem::swap(&mut small, &mut large);
        }
        large.puts.extend(small.puts);
        large.deletes.extend(small.deletes);
        for (from, to) in small.ranges.iter() {
            large.ranges.add(from, to);
        }
        *self = large;
    }

    fn size(&self) -> usize {
        self.puts.len() + self.deletes.len() + self.ranges.0.len()
    }
}

/// Runs of keys, none touching another: where each begins and, unless it is open, ends.
#[derive(Default)]
struct Ranges<'a>(BTreeMap<&'a [u8], Option<&'a [u8]>>);

impl<'a> Ranges<'a> {
    fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        self.0.iter().map(|(from, to)| (*from, *to))
    }

    fn cover(&self, key: &[u8]) -> bool {
        let before = self.0.range(..=key).next_back();
        before.is_some_and(|(_, to)| to.is_none_or(|to| key < to))
    }

    /// Adds a run, and makes one of all that it touches.
    fn add(&mut self, from: &'a [u8], to: Option<&'a [u8]>) {
        let before = self.0.range(..=from).next_back().filter(|(_, end)| end.is_none_or(|end| from <= end));
        let from = before.map_or(from, |(start, _)| *start);
        let mut to = to;
        while let Some((start, end)) = self.0.range(from..).next().map(|(start, end)| (*start, *end))
            && to.is_none_or(|to| start <= to)
        {
            to = later(to, end);
            self.0.remove(start);
        }
        self.0.insert(from, to);
    }
}

fn later<'a>(one: Option<&'a [u8]>, other: Option<&'a [u8]>) -> Option<&'a [u8]> {
    Some(one?.max(other?))
}
