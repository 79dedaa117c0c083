//! What clients asked of one register, and whether what they were told can be true.
//!
//! A handful of ops, each a number and two facts: what came of it, and which ops had been answered before it
//! was asked. That is all that linearizability asks of a history (Herlihy and Wing): an order of the ops
//! that puts no op before one that was answered before it was asked, and in which every read finds the last
//! write. Writes that nobody heard of again may stand anywhere, or nowhere. With so few ops, all orders are
//! tried.
//!
//! It is as small as it can be, since it is a part of every state: two histories that only differ in what
//! happened when, and not in what was before what, are one.

use std::fmt;

use smallvec::SmallVec;

/// What is written by the op of that number; 0 is there before any.
pub(crate) type Value = u8;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    /// Its value is its own number, counted from 1: no two are alike.
    Write,
    Read,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Op {
    kind: Kind,
    /// The ops that had been answered when this one was asked, a bit each.
    before: u8,
    /// What a read found, or a write wrote, once it is answered.
    answer: Option<Value>,
}

/// All ops so far, by the order in which they were asked.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Ops(SmallVec<[Op; 4]>);

/// No more: `before` has a bit for each.
pub(crate) const MOST: usize = 8;

impl Ops {
    /// How many were asked.
    pub(crate) fn len(&self) -> u8 {
        u8::try_from(self.0.len()).expect("they are few")
    }

    /// A client asks for a write, of the value that is returned.
    pub(crate) fn write(&mut self) -> Value {
        self.ask(Kind::Write)
    }

    /// A client asks to read.
    pub(crate) fn read(&mut self) {
        self.ask(Kind::Read);
    }

    fn ask(&mut self, kind: Kind) -> Value {
        assert!(self.0.len() < MOST, "a profile has few ops");
        let answered = self.0.iter().enumerate().filter(|(_, op)| op.answer.is_some());
        let before = answered.fold(0, |mask, (place, _)| mask | 1 << place);
        self.0.push(Op { kind, before, answer: None });
        self.len()
    }

    /// The op of that number, counted from 1, is answered: a read with what it found. Whether that can be true.
    pub(crate) fn answered(&mut self, number: u64, found: Value) -> bool {
        let place = usize::try_from(number - 1).expect("ops are few");
        let op = &mut self.0[place];
        op.answer = Some(found);
        self.possible(0, 0)
    }

    /// Whether those that are not `placed` yet can follow, in a register that holds `value`.
    fn possible(&self, placed: u8, value: Value) -> bool {
        let done = |(place, op): (usize, &Op)| op.answer.is_none() || placed >> place & 1 == 1;
        if self.0.iter().enumerate().all(done) {
            return true;
        }
        self.0.iter().enumerate().any(|(place, op)| {
            let free = placed >> place & 1 == 0 && op.before & !placed == 0;
            let next = match (op.kind, op.answer) {
                (Kind::Write, _) => Some(Value::try_from(place + 1).expect("ops are few")),
                (Kind::Read, Some(found)) => (found == value).then_some(value),
                (Kind::Read, None) => None,
            };
            free && next.is_some_and(|next| self.possible(placed | 1 << place, next))
        })
    }
}

impl fmt::Display for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, op) in self.0.iter().enumerate() {
            let number = place + 1;
            let gap = if place == 0 { "" } else { ", " };
            match (op.kind, op.answer) {
                (Kind::Write, None) => write!(f, "{gap}write {number} (no answer)")?,
                (Kind::Write, Some(_)) => write!(f, "{gap}write {number}")?,
                (Kind::Read, None) => write!(f, "{gap}read (no answer)")?,
                (Kind::Read, Some(found)) => write!(f, "{gap}read found {found}")?,
            }
            let before: Vec<String> =
                (0..MOST).filter(|bit| op.before >> bit & 1 == 1).map(|bit| (bit + 1).to_string()).collect();
            if !before.is_empty() {
                write!(f, " after {}", before.join(" and "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_finds_what_was_written_before_it() {
        let mut ops = Ops::default();
        let one = ops.write();
        assert!(ops.answered(1, one));
        let two = ops.write();
        assert!(ops.answered(2, two));
        ops.read();
        assert!(ops.clone().answered(3, two));
        assert!(!ops.clone().answered(3, one), "it was overwritten before the read was asked");
        assert!(!ops.answered(3, 0));
    }

    #[test]
    fn a_write_without_an_answer_may_have_happened_or_not() {
        let mut ops = Ops::default();
        ops.write();
        ops.read();
        assert!(ops.clone().answered(2, 1));
        assert!(ops.answered(2, 0));
        ops.read();
        assert!(ops.clone().answered(3, 1));
        assert!(ops.answered(3, 0));
    }

    #[test]
    fn what_was_seen_cannot_be_unseen() {
        let mut ops = Ops::default();
        ops.write();
        ops.read();
        assert!(ops.answered(2, 1));
        ops.read();
        assert!(!ops.answered(3, 0), "a read after a read that found the write");
        assert_eq!(ops.to_string(), "write 1 (no answer), read found 1, read found 0 after 2");
    }

    #[test]
    fn ops_at_one_time_may_stand_in_any_order() {
        let mut ops = Ops::default();
        ops.write();
        ops.write();
        ops.read();
        ops.read();
        assert!(ops.answered(1, 1) && ops.answered(2, 2));
        assert!(ops.answered(3, 2) && ops.answered(4, 1), "2 was written first, and read first");
    }
}
