//! What may not rot, since no log could tell.
//!
//! A log with a broken end was torn by a crash, or its last group rotted. Where nothing stands behind the end, only
//! the [mark](mod@wal::hard) tells the two apart, and it follows a sync after the log was idle for ten milliseconds. What
//! rots before that is cut in good faith, and a promise is broken that nobody could keep; a life that ended by it would
//! prove nothing. Everything else may rot: older groups have a group behind them, snapshots have checksums, and what
//! must not be forgotten stands in `hard` twice.

use wal::SegmentNumber;
use wal::hard::{self, Hard, Position};

use crate::disk::SimDisk;

/// Of this disk, as it is now: whether a byte of a file, had the last sync of that file made it certain, could be taken
/// for torn if it rotted.
pub fn looks_torn(disk: &SimDisk) -> impl Fn(&str, usize) -> bool + use<> {
    let hard = disk.certain(hard::FILE).and_then(|bytes| Hard::newest(&bytes).ok().flatten());
    let marked = hard.unwrap_or_default().mark.synced;
    move |file, at| {
        let segment = SegmentNumber::from_file_name(file);
        segment.is_some_and(|segment| Position { segment, offset: at as u64 } >= marked)
    }
}
