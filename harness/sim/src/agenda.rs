//! What is going to happen, in order.
//!
//! Virtual time stands still while something happens and then jumps to the next thing, so an idle minute
//! costs nothing. Two things at the same nanosecond happen in the order in which they were noted: the
//! order is a function of the life so far, and of nothing else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Turns from here on come after all others of their time.
const LAST: u64 = 1 << 63;

/// Things to come, the nearest first.
pub(crate) struct Agenda<H> {
    /// When, noted how late, and where it is kept: the heap moves small things only.
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    kept: Vec<Option<H>>,
    free: Vec<u32>,
    noted: u64,
}

impl<H> Agenda<H> {
    pub(crate) fn new() -> Agenda<H> {
        Agenda { heap: BinaryHeap::new(), kept: Vec::new(), free: Vec::new(), noted: 0 }
    }

    /// Notes that this happens at `time`, in nanoseconds.
    pub(crate) fn note(&mut self, time: u64, happening: H) {
        self.noted += 1;
        self.keep((time, self.noted), happening);
    }

    /// The same, but after everything else that happens at that time.
    pub(crate) fn note_last(&mut self, time: u64, happening: H) {
        self.noted += 1;
        self.keep((time, LAST | self.noted), happening);
    }

    fn keep(&mut self, (time, turn): (u64, u64), happening: H) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.kept.push(None);
            u32::try_from(self.kept.len() - 1)
                .expect("memory ends before four thousand million things to come")
        });
        self.kept[place as usize] = Some(happening);
        self.heap.push(Reverse((time, turn, place)));
    }

    /// The next thing, if it happens by `limit`.
    pub(crate) fn next(&mut self, limit: u64) -> Option<(u64, H)> {
        let Reverse((time, _, place)) = *self.heap.peek()?;
        if time > limit {
            return None;
        }
        self.heap.pop();
        self.free.push(place);
        let happening = self.kept[place as usize].take().expect("what the heap names is kept");
        Some((time, happening))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_happen_in_the_order_of_their_times_and_equals_in_the_order_in_which_they_were_noted() {
        let mut agenda = Agenda::new();
        for (time, what) in [(5, 'd'), (1, 'a'), (5, 'e'), (3, 'b'), (3, 'c')] {
            agenda.note(time, what);
        }
        assert_eq!(agenda.next(0), None, "nothing happens before its time");
        let mut seen = String::new();
        while let Some((_, what)) = agenda.next(4) {
            seen.push(what);
        }
        agenda.note_last(5, 'g');
        agenda.note(5, 'f');
        while let Some((_, what)) = agenda.next(u64::MAX) {
            seen.push(what);
        }
        assert_eq!(seen, "abcdefg");
    }
}
