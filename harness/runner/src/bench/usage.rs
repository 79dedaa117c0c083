//! What processes have used, as the kernel counts it.

use std::fs;
use std::io;
use std::time::Duration;

/// CPU time and memory of some processes together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Usage {
    /// In user and kernel mode, all threads.
    pub(super) cpu: Duration,
    /// Memory of their own, in bytes: heaps and stacks that are resident. Pages of files are not in it,
    /// since the kernel may drop them and read them again.
    pub(super) memory: u64,
}

/// A clock tick of `/proc`: every Linux that matters counts a hundred a second.
const TICK: Duration = Duration::from_millis(10);

impl Usage {
    /// So far. An error if one of them is gone: its share would be missing, and look like thrift.
    pub(super) fn of(pids: &[u32]) -> io::Result<Usage> {
        let mut sum = Usage::default();
        for pid in pids {
            sum.cpu += read(*pid, "stat", cpu)?;
            sum.memory += read(*pid, "status", memory)?;
        }
        Ok(sum)
    }
}

fn read<T>(pid: u32, file: &str, figure: impl Fn(&str) -> Option<T>) -> io::Result<T> {
    let path = format!("/proc/{pid}/{file}");
    let error = |source: io::Error| io::Error::new(source.kind(), format!("{path}: {source}"));
    let text = fs::read_to_string(&path).map_err(error)?;
    // One that has died and was not waited for yet still has a file, with less in it.
    figure(&text).ok_or_else(|| error(io::ErrorKind::UnexpectedEof.into()))
}

/// Fields 14 and 15, counted behind the program's name, which may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let kernel: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + kernel))
}

fn memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_name_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 3 0 100 0 0";
        assert_eq!(cpu(stat), Some(12 * TICK));
        assert_eq!(cpu("no process"), None);
    }

    #[test]
    fn only_memory_of_its_own_counts() {
        let status = "Name:\tx\nVmRSS:\t  900 kB\nRssAnon:\t  300 kB\nRssFile:\t  600 kB\n";
        assert_eq!(memory(status), Some(300 << 10));
        assert_eq!(memory("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn this_process_uses_memory_and_of_a_dead_one_there_are_no_figures() {
        let this = std::process::id();
        assert!(Usage::of(&[this]).unwrap().memory > 10_000);
        let error = Usage::of(&[this, u32::MAX]).unwrap_err();
        assert!(error.to_string().contains(&u32::MAX.to_string()), "{error}");
    }
}
