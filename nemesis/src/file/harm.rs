//! Reading what is done to nodes and messages: weathers, wrong clocks, slow disks.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::reader::Reader;
use super::{BadSchedule, Entry};
use crate::aim::{Aim, Who};
use crate::fault::{Fault, Harm, Pace, Skew, Weather};
use crate::kind::Kind;
use crate::span::{Shift, Span};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WeatherEntry {
    delay: Option<Spanned<String>>,
    jitter: Option<Spanned<String>>,
    loss: Option<Spanned<i64>>,
    duplicate: Option<Spanned<i64>>,
    reorder: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SkewEntry {
    jump: Option<Spanned<String>>,
    drift: Option<Spanned<i64>>,
    strobe: Option<Spanned<String>>,
    every: Option<Spanned<String>>,
}

impl Reader<'_> {
    pub(super) fn harm(&self, entry: &Spanned<Entry>, kind: Kind) -> Result<Aim, BadSchedule> {
        let who = self.whom(entry, kind)?;
        let Entry { skew, pace, .. } = entry.get_ref();
        let harm = match kind {
            Kind::Clock => {
                let skew = skew.as_ref().ok_or_else(|| self.missing(entry, kind, "skew"))?;
                Harm::Clock(self.skew(skew)?)
            }
            Kind::SlowDisk => {
                let pace = pace.as_ref().ok_or_else(|| self.missing(entry, kind, "pace"))?;
                Harm::SlowDisk(self.read::<Pace>(pace)?)
            }
            Kind::Pause => Harm::Pause,
            Kind::Power => Harm::Power,
            Kind::FullDisk => Harm::FullDisk,
            Kind::FailedSync => Harm::FailedSync,
            Kind::BitFlip => Harm::BitFlip,
            Kind::Wipe => Harm::Wipe,
            Kind::Restart => Harm::Restart,
            Kind::Kill | Kind::Partition | Kind::Packets | Kind::Membership => Harm::Kill,
        };
        Ok(match who {
            Who::These(nodes) => Aim::Exactly(harm.on(nodes)),
            who => Aim::Harm { who, harm },
        })
    }

    /// One member at a time.
    pub(super) fn membership(&self, entry: &Spanned<Entry>) -> Result<Aim, BadSchedule> {
        let kind = Kind::Membership;
        let who = self.whom(entry, kind)?;
        let place = entry.get_ref().nodes.as_ref().map_or_else(|| entry.span(), Spanned::span);
        let (needs, there) = (kind.needs_nodes(), self.nodes.len());
        if there < needs {
            return Err(self.bad(&place, format!("a {kind} needs {needs} nodes, and there are {there}")));
        }
        match who {
            Who::These(nodes) => match (nodes.first(), nodes.len()) {
                (Some(node), 1) => Ok(Aim::Exactly(Fault::Membership { node: *node })),
                _ => Err(self.bad(&place, "one member is replaced at a time: name one node")),
            },
            who if Aim::REPLACEABLE.contains(&who) => Ok(Aim::Membership { who }),
            who => {
                let roles = itertools::join(Aim::REPLACEABLE, ", ");
                let said =
                    format!("one member is replaced at a time: not {who}, but {roles}, or a list of one");
                Err(self.bad(&place, said))
            }
        }
    }

    pub(super) fn weather(&self, spanned: &Spanned<WeatherEntry>) -> Result<Weather, BadSchedule> {
        let WeatherEntry { delay, jitter, loss, duplicate, reorder } = spanned.get_ref();
        let span = |field: &Option<Spanned<String>>| match field {
            Some(field) => self.read::<Span>(field),
            None => Ok(Span::default()),
        };
        let share = |name: &str, field: &Option<Spanned<i64>>| match field {
            Some(field) => self.percent(name, field, 0..=100).map(i64::unsigned_abs),
            None => Ok(0),
        };
        let share = |name, field| Ok(u8::try_from(share(name, field)?).unwrap_or(100));
        let weather = Weather {
            delay: span(delay)?,
            jitter: span(jitter)?,
            loss: share("loss", loss)?,
            duplicate: share("duplicate", duplicate)?,
            reorder: share("reorder", reorder)?,
        };
        if weather.is_fine() {
            let said =
                "this weather is fine: say some of `delay`, `jitter`, `loss`, `duplicate` and `reorder`";
            return Err(self.bad(&spanned.span(), said));
        }
        Ok(weather)
    }

    fn skew(&self, spanned: &Spanned<SkewEntry>) -> Result<Skew, BadSchedule> {
        let SkewEntry { jump, drift, strobe, every } = spanned.get_ref();
        let place = spanned.span();
        match (jump, drift, strobe, every) {
            (Some(by), None, None, None) => Ok(Skew::Jump { by: self.shift(by)? }),
            (None, Some(percent), None, None) => {
                let most = i64::from(Skew::MOST_DRIFT);
                let percent = self.percent("drift", percent, -most..=most)?;
                match i8::try_from(percent) {
                    Ok(percent) if percent != 0 => Ok(Skew::Drift { percent }),
                    _ => Err(self.bad(&place, "a drift of 0 is none")),
                }
            }
            (None, None, Some(by), Some(every)) => {
                let period = self.read::<Span>(every)?;
                if period < Span::millis(1) {
                    return Err(self.bad(&every.span(), format!("every {period} is too often: at least 1ms")));
                }
                Ok(Skew::Strobe { by: self.shift(by)?, every: period })
            }
            (None, None, Some(_), None) => Err(self.bad(&place, "a strobe needs `every` beside it")),
            _ => {
                let said =
                    "a skew is exactly one of { jump = … }, { drift = … } and { strobe = …, every = … }";
                Err(self.bad(&place, said))
            }
        }
    }

    fn shift(&self, field: &Spanned<String>) -> Result<Shift, BadSchedule> {
        match self.read::<Shift>(field)? {
            Shift(0) => Err(self.bad(&field.span(), "a clock that moves by nothing is right")),
            by => Ok(by),
        }
    }

    fn percent(
        &self,
        name: &str,
        field: &Spanned<i64>,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<i64, BadSchedule> {
        let (percent, place): (i64, Range<usize>) = (*field.get_ref(), field.span());
        if range.contains(&percent) {
            return Ok(percent);
        }
        let (least, most) = (range.start(), range.end());
        Err(self.bad(&place, format!("{name} {percent}: percent, from {least} to {most}")))
    }
}
