//! What makes a sequence of lines a history.
//!
//! A verdict is only as good as the record it is drawn from. So the same rules are kept where lines
//! are written and checked again where they are read:
//! - indexes are dense from 0, and time never goes back;
//! - a process has at most one op open, and only what is open can end;
//! - an op ends as what it began: same `f`, same key, same node;
//! - after `info` a process is never heard of again, since its op may still take effect, and a later
//!   op of the same process would wrongly be ordered after it.

use std::collections::BTreeMap;

use crate::names::Process;

/// How a line breaks the rules.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Breach {
    /// A line is missing, repeated or misplaced.
    #[error("has index {found} where {expected} must follow: lines are missing or out of order")]
    IndexGap {
        /// What must follow.
        expected: u64,
        /// What stood there.
        found: u64,
    },
    /// Earlier than the line before it.
    #[error("has time {found}, but the line before has {last}: time never goes back")]
    TimeWentBack {
        /// The time of the line before.
        last: u64,
        /// This line's.
        found: u64,
    },
    /// A second open op.
    #[error("invokes an op of process {process}, whose op of index {since} is still open")]
    AlreadyOpen {
        /// Whose.
        process: Process,
        /// The line that invoked the open one.
        since: u64,
    },
    /// An end without a beginning.
    #[error("ends an op of process {process}, which has none open")]
    NothingOpen {
        /// Whose.
        process: Process,
    },
    /// A process that ended with `info`.
    #[error("speaks of process {process}, which was retired by the info of index {since}")]
    Retired {
        /// Whose number was used again.
        process: Process,
        /// The line that retired it.
        since: u64,
    },
    /// The end of another op than the one that is open.
    #[error("says its {field} is {found}, but the op that it ends (index {since}) has {expected}")]
    OtherOp {
        /// Which field differs: `f`, `key` or `node`.
        field: &'static str,
        /// What the open op has.
        expected: String,
        /// What the line says.
        found: String,
        /// The line that invoked the open op.
        since: u64,
    },
}

/// Where a history stands: enough to say whether a further line fits.
#[derive(Clone, Debug)]
pub(crate) struct Rules<T> {
    next: u64,
    time: u64,
    open: BTreeMap<Process, Open<T>>,
    retired: BTreeMap<Process, u64>,
}

/// An op that has begun and not ended.
#[derive(Clone, Debug)]
pub(crate) struct Open<T> {
    /// The line that invoked it.
    pub(crate) index: u64,
    /// What the owner of these rules wants to know of it.
    pub(crate) what: T,
}

impl<T> Rules<T> {
    pub(crate) fn new() -> Rules<T> {
        Rules { next: 0, time: 0, open: BTreeMap::new(), retired: BTreeMap::new() }
    }

    /// The index that must follow.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// May a line of this index follow?
    pub(crate) fn check_index(&self, found: u64) -> Result<(), Breach> {
        if found == self.next { Ok(()) } else { Err(Breach::IndexGap { expected: self.next, found }) }
    }

    /// May a line of this time follow?
    pub(crate) fn check_time(&self, found: u64) -> Result<(), Breach> {
        if found >= self.time { Ok(()) } else { Err(Breach::TimeWentBack { last: self.time, found }) }
    }

    /// May this process begin an op?
    pub(crate) fn check_invoke(&self, process: Process) -> Result<(), Breach> {
        self.check_alive(process)?;
        match self.open.get(&process) {
            None => Ok(()),
            Some(open) => Err(Breach::AlreadyOpen { process, since: open.index }),
        }
    }

    /// The op that this process may end.
    pub(crate) fn check_end(&self, process: Process) -> Result<&Open<T>, Breach> {
        self.check_alive(process)?;
        self.open.get(&process).ok_or(Breach::NothingOpen { process })
    }

    fn check_alive(&self, process: Process) -> Result<(), Breach> {
        match self.retired.get(&process) {
            None => Ok(()),
            Some(&since) => Err(Breach::Retired { process, since }),
        }
    }

    /// A line was added, whatever it says.
    pub(crate) fn added(&mut self, time: u64) {
        self.next += 1;
        self.time = time;
    }

    /// The line being added invokes `what`.
    pub(crate) fn began(&mut self, process: Process, what: T) {
        self.open.insert(process, Open { index: self.next, what });
    }

    /// The line being added ends the open op of that process; with `info`, the process too.
    pub(crate) fn ended(&mut self, process: Process, info: bool) {
        self.open.remove(&process);
        if info {
            self.retired.insert(process, self.next);
        }
    }
}
