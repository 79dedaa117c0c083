//! How many threads share the work.

use crate::exit::Refusal;

/// More threads than these only wait for each other.
const MOST: usize = 256;

/// From now on, so many; if nothing is said, one per core.
pub(crate) fn use_threads(threads: Option<usize>) -> Result<(), Refusal> {
    let Some(threads) = threads else { return Ok(()) };
    if !(1..=MOST).contains(&threads) {
        return Err(Refusal::wrong(format_args!("--threads {threads}: from 1 to {MOST}")));
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(Refusal::broken)
}

/// How many that is.
pub(crate) fn count() -> usize {
    rayon::current_num_threads()
}
