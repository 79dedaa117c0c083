//! Invocations and acknowledgements of one key's ops, in the order of their lines.
//!
//! Spans stand in the order of their invocations. Only the ends of those open at the moment have to be
//! kept in order, so a walk needs as much memory as there is concurrency, and it can be copied and
//! taken up again.

use history::Operation;

use crate::mutant::Mutant;
use crate::span::Span;

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// This span's op is invoked.
    Invoked(u32),
    /// This span's op is acknowledged.
    Acknowledged(u32),
}

/// A walk along the events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Events {
    /// The next span to be invoked.
    next: u32,
    /// Ends of the spans open now, the earliest last.
    ends: Vec<(u64, u32)>,
}

impl Events {
    pub(crate) fn new() -> Events {
        Events { next: 0, ends: Vec::new() }
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Events>() + self.ends.len() * size_of::<(u64, u32)>()
    }

    pub(crate) fn next<O: Operation>(&mut self, spans: &[Span<'_, O>], mutant: Mutant) -> Option<Event> {
        let invoked = spans.get(self.next as usize);
        let ended = self.ends.last().filter(|&&(end, _)| {
            invoked.is_none_or(|span| end < span.from() && mutant != Mutant::DropsRealTime)
        });
        if let Some(&(_, number)) = ended {
            self.ends.pop();
            return Some(Event::Acknowledged(number));
        }
        let (span, number) = (invoked?, self.next);
        self.next += 1;
        if let Some(end) = span.to() {
            let place = self.ends.partition_point(|&(other, _)| other > end);
            self.ends.insert(place, (end, number));
        }
        Some(Event::Invoked(number))
    }
}
