//! What processes have used, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// CPU time and memory of some processes together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Usage {
    /// In user and kernel mode, all threads.
    pub(super) cpu: Duration,
    /// Resident, in bytes; shared pages count in each process.
    pub(super) memory: u64,
}

/// A clock tick of `/proc`: every Linux that matters counts a hundred a second.
const TICK: Duration = Duration::from_millis(10);

impl Usage {
    /// So far. A process that is gone counts nothing.
    pub(super) fn of(pids: &[u32]) -> Usage {
        let each = pids.iter().map(|pid| Usage { cpu: cpu(*pid), memory: memory(*pid) });
        each.fold(Usage::default(), |sum, one| Usage {
            cpu: sum.cpu + one.cpu,
            memory: sum.memory + one.memory,
        })
    }
}

fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ticks(&stat).map_or(Duration::ZERO, |ticks| TICK * ticks)
}

/// Fields 14 and 15, counted behind the program's name, which may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let kernel: u32 = fields.next()?.parse().ok()?;
    Some(user + kernel)
}

fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_name_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 3 0 100 0 0";
        assert_eq!(ticks(stat), Some(12));
        assert_eq!(ticks("no process"), None);
    }

    #[test]
    fn this_process_uses_memory_and_a_dead_one_nothing() {
        assert!(Usage::of(&[std::process::id()]).memory > 100_000);
        assert_eq!(Usage::of(&[u32::MAX]), Usage::default());
    }
}
