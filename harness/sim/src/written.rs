//! Lengths of time in a file of a life, written as schedules write them: `"200us"`, `"50ms"`, `"2.5s"`.
//!
//! The rooms that live count nanoseconds, or take what the standard library has; neither is what a person
//! wants to read or type. Each module here is for one such type, as serde's `with` has it.

/// A number of nanoseconds.
pub(crate) mod nanoseconds {
    use nemesis::Span;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(crate) fn serialize<S: Serializer>(time: &u64, to: S) -> Result<S::Ok, S::Error> {
        Span(*time).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        Ok(Span::deserialize(from)?.0)
    }
}

/// A duration.
pub(crate) mod duration {
    use std::time::Duration;

    use serde::{Deserializer, Serializer};

    use super::nanoseconds;

    pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        nanoseconds::serialize(&u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_nanos(nanoseconds::deserialize(from)?))
    }
}

/// The shortest and the longest of something: `["300ms", "600ms"]`.
pub(crate) mod durations {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Written(#[serde(with = "super::duration")] Duration);

    pub(crate) fn serialize<S: Serializer>(times: &(Duration, Duration), to: S) -> Result<S::Ok, S::Error> {
        [Written(times.0), Written(times.1)].serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<(Duration, Duration), D::Error> {
        let [Written(least), Written(most)] = Deserialize::deserialize(from)?;
        Ok((least, most))
    }
}
