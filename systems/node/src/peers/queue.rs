//! Envelopes that wait for a peer.

use std::collections::VecDeque;

use bytes::Bytes;

/// How many envelopes may wait.
const MOST: usize = 4096;
/// How many bytes they may have, all together. A single one may have more.
const MOST_BYTES: usize = 8 << 20;
/// How many bytes go into one frame, nearly.
const FRAME_BYTES: usize = 1 << 20;

/// A queue that gives up its oldest when it is full.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    envelopes: VecDeque<Bytes>,
    bytes: usize,
    dropped: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, envelope: Bytes) {
        self.bytes += envelope.len();
        self.envelopes.push_back(envelope);
        while self.envelopes.len() > MOST || (self.bytes > MOST_BYTES && self.envelopes.len() > 1) {
            self.pop();
            self.dropped += 1;
        }
    }

    /// What the next frame shall carry, oldest first.
    pub(crate) fn take_frame(&mut self) -> Vec<Bytes> {
        let mut frame = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.envelopes.front()
            && (frame.is_empty() || bytes + next.len() <= FRAME_BYTES)
        {
            bytes += next.len();
            frame.extend(self.pop());
        }
        frame
    }

    /// How many were given up.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn pop(&mut self) -> Option<Bytes> {
        let oldest = self.envelopes.pop_front()?;
        self.bytes -= oldest.len();
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: usize, size: usize) -> Bytes {
        let mut bytes = vec![0; size.max(8)];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Bytes::from(bytes)
    }

    fn number(envelope: &Bytes) -> usize {
        usize::from_le_bytes(envelope[..8].try_into().unwrap())
    }

    fn drain(queue: &mut Queue) -> Vec<usize> {
        let mut all = Vec::new();
        loop {
            let frame = queue.take_frame();
            if frame.is_empty() {
                return all;
            }
            all.extend(frame.iter().map(number));
        }
    }

    #[test]
    fn a_full_queue_drops_its_oldest_and_counts() {
        let mut queue = Queue::default();
        for n in 0..MOST + 10 {
            queue.push(numbered(n, 8));
        }
        assert_eq!(queue.dropped(), 10);
        assert_eq!(drain(&mut queue), (10..MOST + 10).collect::<Vec<_>>());
    }

    #[test]
    fn bytes_fill_a_queue_too() {
        let mut queue = Queue::default();
        for n in 0..20 {
            queue.push(numbered(n, 1 << 20));
        }
        assert_eq!(queue.dropped(), 12);
        assert_eq!(drain(&mut queue), (12..20).collect::<Vec<_>>());
    }

    #[test]
    fn an_envelope_larger_than_the_queue_still_goes() {
        let mut queue = Queue::default();
        queue.push(numbered(1, 8));
        queue.push(numbered(2, 9 << 20));
        assert_eq!(queue.dropped(), 1);
        assert_eq!(drain(&mut queue), vec![2]);
        queue.push(numbered(3, 8));
        assert_eq!(drain(&mut queue), vec![3], "its weight went with it");
    }

    #[test]
    fn a_frame_carries_many_but_not_too_many() {
        let mut queue = Queue::default();
        for n in 0..100 {
            queue.push(numbered(n, 100 << 10));
        }
        let frame = queue.take_frame();
        assert_eq!(frame.len(), 10);
    }
}
