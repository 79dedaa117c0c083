//! Lengths of time, as schedules and histories write them: `40ms`, `+2.5s`, `~5s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::{Rng, RngExt};

use crate::ids::{Malformed, as_text, nanoseconds};

/// A length of time, in nanoseconds, written in the largest unit that it fills: `40ms`, `2.5s`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(pub u64);

/// The units, largest first.
const UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

const MILLISECOND: u64 = 1_000_000;

impl Span {
    /// So many milliseconds.
    pub const fn millis(millis: u64) -> Span {
        Span(millis.saturating_mul(MILLISECOND))
    }

    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Span {
        Span(seconds.saturating_mul(1000 * MILLISECOND))
    }

    /// Whether it is no time at all.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// As the standard library has it.
    pub fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = UNITS.into_iter().find(|(_, unit)| self.0 >= *unit);
        let Some((name, unit)) = fits else { return f.write_str("0s") };
        let (whole, rest) = (self.0 / unit, self.0 % unit);
        if rest == 0 {
            return write!(f, "{whole}{name}");
        }
        let width = unit.ilog10() as usize;
        let digits = format!("{rest:0width$}");
        write!(f, "{whole}.{}{name}", digits.trim_end_matches('0'))
    }
}

impl FromStr for Span {
    type Err = Malformed;

    /// `2s`, `2.5s`, `250ms`, `40us`, `7ns`.
    fn from_str(text: &str) -> Result<Span, Malformed> {
        let found = nanoseconds(text).map(Span);
        found.ok_or_else(|| Malformed::new(text, "a length of time such as \"2.5s\" or \"40ms\""))
    }
}

/// A length of time and a direction, in nanoseconds: `+2.5s` is ahead, `-300ms` behind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Shift(pub i64);

impl Shift {
    /// So many milliseconds ahead, or behind.
    pub const fn millis(millis: i64) -> Shift {
        Shift(millis.saturating_mul(1_000_000))
    }

    /// How far, in whichever direction.
    pub fn size(self) -> Span {
        Span(self.0.unsigned_abs())
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{}", self.size())
    }
}

impl FromStr for Shift {
    type Err = Malformed;

    /// `+2.5s`, `-300ms`; without a sign it is ahead.
    fn from_str(text: &str) -> Result<Shift, Malformed> {
        let malformed = || Malformed::new(text, "a shift in time such as \"+2.5s\" or \"-300ms\"");
        let (sign, size) = match text.strip_prefix('-') {
            Some(size) => (-1, size),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let size = nanoseconds(size).and_then(|size| i64::try_from(size).ok()).ok_or_else(malformed)?;
        Ok(Shift(sign * size))
    }
}

/// How long to wait: exactly so, or drawn around it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wait {
    /// So long, each time: `5s`.
    Exactly(Span),
    /// So long in the mean, each time drawn anew: `~5s`. As if whatever ends it could come at any
    /// moment: mostly shorter, at times much longer.
    About(Span),
}

impl Wait {
    /// Its length, or its mean.
    pub fn mean(self) -> Span {
        let (Wait::Exactly(mean) | Wait::About(mean)) = self;
        mean
    }

    /// How long it is this time: whole milliseconds if drawn, between a twentieth and five times the
    /// mean, and never nothing.
    pub fn draw(self, rng: &mut impl Rng) -> Span {
        match self {
            Wait::Exactly(span) => span,
            Wait::About(mean) => {
                let chance: f64 = rng.random();
                let factor = (-(1.0 - chance).ln()).clamp(0.05, 5.0);
                #[expect(clippy::cast_precision_loss, reason = "it is drawn by chance")]
                let millis = mean.0 as f64 * factor / 1_000_000.0;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a cast saturates"
                )]
                Span::millis((millis.round() as u64).max(1))
            }
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wait::Exactly(span) => span.fmt(f),
            Wait::About(span) => write!(f, "~{span}"),
        }
    }
}

impl FromStr for Wait {
    type Err = Malformed;

    /// `5s`, or `~5s`.
    fn from_str(text: &str) -> Result<Wait, Malformed> {
        let (kind, span): (fn(Span) -> Wait, &str) = match text.strip_prefix('~') {
            Some(span) => (Wait::About, span),
            None => (Wait::Exactly, text),
        };
        let found = span.parse::<Span>().ok().filter(|span| span.0 > 0).map(kind);
        found.ok_or_else(|| {
            Malformed::new(text, "a length of time such as \"5s\", or \"~5s\" for about so long")
        })
    }
}

as_text!(Span, Shift, Wait);

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn lengths_are_read_as_they_are_written() {
        let written = [
            (0, "0s"),
            (7, "7ns"),
            (40_000, "40us"),
            (40_000_000, "40ms"),
            (1_500_000, "1.5ms"),
            (2_500_000_000, "2.5s"),
            (2_000_000_001, "2.000000001s"),
        ];
        for (nanos, text) in written {
            assert_eq!(Span(nanos).to_string(), text);
            assert_eq!(text.parse(), Ok(Span(nanos)));
        }
        assert_eq!(Span(u64::MAX).to_string().parse(), Ok(Span(u64::MAX)));
        for (nanos, text) in
            [(-300_000_000, "-300ms"), (2_500_000_000, "+2.5s"), (i64::MAX, "+9223372036.854775807s")]
        {
            assert_eq!(Shift(nanos).to_string(), text);
            assert_eq!(text.parse(), Ok(Shift(nanos)));
        }
        assert_eq!("2s".parse(), Ok(Shift::millis(2000)));
        for text in ["5s", "~5s", "~40ms"] {
            assert_eq!(text.parse::<Wait>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_refused_with_an_example() {
        let said = |error: Malformed| error.to_string();
        assert!(said("5".parse::<Span>().unwrap_err()).contains("such as \"2.5s\""));
        assert!(said("--5s".parse::<Shift>().unwrap_err()).contains("such as \"+2.5s\""));
        assert!("9223372037s".parse::<Shift>().is_err(), "it does not fit");
        for text in ["~", "~~5s", "0s", "~0s", "-5s"] {
            assert!(said(text.parse::<Wait>().unwrap_err()).contains("about so long"), "{text}");
        }
    }

    #[test]
    fn about_five_seconds_are_five_seconds_in_the_mean_and_bounded() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let about = Wait::About(Span::seconds(5));
        let drawn: Vec<u64> = (0..10_000).map(|_| about.draw(&mut rng).0 / 1_000_000).collect();
        let mean = drawn.iter().sum::<u64>() / 10_000;
        assert!((4_800..5_200).contains(&mean), "{mean}");
        assert!(drawn.iter().all(|millis| (250..=25_000).contains(millis)));
        assert_eq!(Wait::Exactly(Span(7)).draw(&mut rng), Span(7));
    }
}
