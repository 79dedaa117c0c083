//! Weather: what a network does to messages that it does not stop.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// How a link treats messages. What is not said is fine weather.
///
/// Each share is in percent of the messages, and each message meets its own luck.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weather {
    /// Every message takes so much longer.
    #[serde(skip_serializing_if = "Span::is_zero")]
    pub delay: Span,
    /// And up to so much more, each message its own: those that left later may arrive first.
    #[serde(skip_serializing_if = "Span::is_zero")]
    pub jitter: Span,
    /// So many never arrive.
    #[serde(skip_serializing_if = "is_none")]
    pub loss: u8,
    /// So many arrive twice.
    #[serde(skip_serializing_if = "is_none")]
    pub duplicate: u8,
    /// So many are overtaken by those that left after them.
    #[serde(skip_serializing_if = "is_none")]
    pub reorder: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_none(share: &u8) -> bool {
    *share == 0
}

impl Weather {
    /// Whether it does nothing to any message.
    pub fn is_fine(&self) -> bool {
        *self == Weather::default()
    }
}

impl fmt::Display for Weather {
    /// `delay 40ms, jitter 10ms, loss 5%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans = [("delay", self.delay), ("jitter", self.jitter)];
        let spans = spans.into_iter().filter(|(_, span)| !span.is_zero());
        let shares = [("loss", self.loss), ("duplicate", self.duplicate), ("reorder", self.reorder)];
        let shares = shares.into_iter().filter(|(_, share)| *share > 0);
        let words: Vec<String> = spans
            .map(|(name, span)| format!("{name} {span}"))
            .chain(shares.map(|(name, share)| format!("{name} {share}%")))
            .collect();
        f.write_str(if words.is_empty() { "fine weather" } else { "" })?;
        f.write_str(&words.join(", "))
    }
}
