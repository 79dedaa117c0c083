//! A life as one number.
//!
//! Two lives of one seed must be the same to the byte. Comparing what everybody said and did is for those
//! who look for the difference; to notice that there is one, this running hash is enough, and so
//! cheap that every life has it.

/// A running hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Digest(u64);

impl Default for Digest {
    fn default() -> Digest {
        Digest(0x9e37_79b9_7f4a_7c15)
    }
}

impl Digest {
    /// Takes these in, in this order.
    pub(crate) fn mix(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.0 = (self.0 ^ number).wrapping_mul(0xff51_afd7_ed55_8ccd);
            self.0 ^= self.0 >> 32;
        }
    }

    /// What it has come to.
    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_every_number_count() {
        let of = |numbers: &[u64]| {
            let mut digest = Digest::default();
            digest.mix(numbers);
            digest.value()
        };
        assert_eq!(of(&[1, 2]), of(&[1, 2]));
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[1, 2]), of(&[1, 2, 0]));
        assert_ne!(of(&[1]), of(&[1 << 63 | 1]));
    }
}
