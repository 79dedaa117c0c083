//! What may not rot, since no log could tell.
//!
//! A log with a broken end was torn by a crash, or its last group rotted. Where nothing stands behind the end, only
//! the [mark](mod@wal::hard) tells the two apart, and it follows a sync after the log was idle for ten milliseconds. What
//! rots before that is cut in good faith, and a promise is broken that nobody could keep; a life that ended by it would
//! prove nothing. Everything else may rot: older groups have a group behind them, snapshots have checksums, and what
//! must not be forgotten stands in `hard` twice. The mark stands there once, and without it the log believes the one
//! before: after a first damage that only the mark proves, the mark has to last.

use wal::SegmentNumber;
use wal::hard::{self, Hard, Position};

use crate::disk::SimDisk;

/// Of this disk, as it is now: whether a byte of a file must not rot, if the last sync of that file made it certain. On
/// a disk that has `rotted` before, that is the newest mark as well.
pub fn spared(disk: &SimDisk, rotted: bool) -> impl Fn(&str, usize) -> bool + use<> {
    let hard = disk.certain(hard::FILE).and_then(|bytes| Hard::newest(&bytes).ok().flatten());
    let marked = hard.unwrap_or_default().mark.synced;
    move |file, at| match SegmentNumber::from_file_name(file) {
        Some(segment) => Position { segment, offset: at as u64 } >= marked,
        None => rotted && file == hard::FILE,
    }
}
