//! How much memory and processor time a stretch of work needs, as the kernel counts it.
//!
//! The kernel keeps the most that a process ever had in memory. Before the work begins, that mark is set
//! back to what is there now; what it has grown by when the work is done is the work's. It counts pages, so
//! that below some hundred kilobytes it says little; and what was freed before and is taken again is not in
//! it. So each row is measured in a process of its own, and its history stays where it is.

use std::fs;
use std::time::Duration;

/// Where memory stood when the work began.
#[derive(Debug)]
pub(crate) struct Mark {
    bytes: u64,
}

impl Mark {
    /// Now. None where the kernel does not say.
    pub(crate) fn set() -> Option<Mark> {
        // What 5 means: set the mark back. Where that is not allowed, what came before counts too, and
        // the growth is too small rather than too large.
        let reset = fs::write("/proc/self/clear_refs", "5").is_ok();
        Some(Mark { bytes: status(if reset { "VmRSS:" } else { "VmHWM:" })? })
    }

    /// By how many bytes it has grown since, at most.
    pub(crate) fn growth(&self) -> Option<u64> {
        Some(status("VmHWM:")?.saturating_sub(self.bytes))
    }
}

fn status(field: &str) -> Option<u64> {
    in_status(&fs::read_to_string("/proc/self/status").ok()?, field)
}

/// In bytes. The file says `VmHWM:     1234 kB`.
fn in_status(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The time that processors have spent on the threads of this process; nothing where the kernel does not say.
pub(super) fn processor_time() -> Duration {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let spent = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_work_needs_is_seen() {
        let mark = Mark::set().expect("this kernel says");
        let pages = vec![1_u8; 64 << 20];
        let grown = mark.growth().expect("this kernel says");
        assert!(grown >= 60 << 20, "{grown} of {}", pages.len());
    }

    #[test]
    fn the_kernels_lines_are_understood() {
        let text = "Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!(in_status(text, "VmHWM:"), Some(2 << 20));
        assert_eq!(in_status(text, "VmSwap:"), None);
    }
}
