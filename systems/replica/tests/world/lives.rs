//! Random lives: one thing after another happens to the world, drawn from numbers.

use super::{World, node};

/// One thing that happens. Numbers are taken modulo what there is to choose from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    Deliver(usize),
    Lose(usize),
    /// A message arrives again, any time after it was sent.
    Repeat(usize),
    Disk(usize),
    /// Whatever was armed first runs out.
    Time(usize),
    Write(usize),
    /// A client with a session writes, under a new name or again under its last one.
    Ask(usize, usize),
    Read(usize),
    /// The power goes; the number decides what the disk keeps.
    Crash(usize, u64),
    /// The process dies; what the disk has done stays.
    Kill(usize),
    Cut(usize, usize),
    Heal,
    /// The turn ends here; until then its events only gather.
    Gather(usize),
}

impl Happening {
    /// The happening that a number stands for.
    pub(crate) fn of(number: u64) -> Happening {
        let [a, b, c, d, ..] = number.to_be_bytes();
        let (any, one, other) = (usize::from(u16::from_be_bytes([a, b])), usize::from(c), usize::from(d));
        match number % 134 {
            0..60 => Happening::Deliver(any),
            60..62 => Happening::Lose(any),
            62..67 => Happening::Repeat(any),
            67..97 => Happening::Disk(one),
            97..109 => Happening::Time(one),
            109..115 => Happening::Write(one),
            115..123 => Happening::Ask(one, other),
            123..127 => Happening::Read(one),
            127 => Happening::Crash(one, number >> 8),
            128 => Happening::Kill(one),
            129 => Happening::Cut(one, other),
            130 => Happening::Heal,
            _ => Happening::Gather(one),
        }
    }
}

/// Numbers without end, the same for the same seed.
pub(crate) fn dice(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

impl World {
    pub(crate) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver(at) => self.deliver(at),
            Happening::Lose(at) => self.lose(at),
            Happening::Repeat(at) => self.repeat(at),
            Happening::Disk(at) => self.disk(node(at)),
            Happening::Time(at) => self.time(node(at)),
            Happening::Write(at) => self.write(node(at)),
            Happening::Ask(client, at) => self.ask(client % 3, node(at)),
            Happening::Read(at) => self.read(node(at)),
            Happening::Crash(at, keep) => self.crash(node(at), keep),
            Happening::Kill(at) => self.kill(node(at)),
            Happening::Cut(from, to) => self.cut(node(from), node(to)),
            Happening::Heal => self.heal(),
            Happening::Gather(at) => self.gather(node(at)),
        }
    }
}
