//! How often, and how soon, a settle is tried again.

use millrace_common::db::RetryCause;
use millrace_common::error::{Error, is_out_of_locks};
use std::time::Duration;

/// A verdict that was refused so often is given up: once may have been an operator who canceled the
/// statement, or a disk that was full for a moment.
const REFUSALS: u32 = 3;

/// So many attempts may meet a lost session or a lock that does not come. Each had a new session: a last write
/// that takes longer than the engine lets it stand still ends here.
const DISTURBANCES: u32 = 20;

/// Attempts to settle that failed.
#[derive(Default)]
pub(crate) struct Tries {
    refused: u32,
    disturbed: u32,
    crowded: u32,
}

impl Tries {
    /// Counts one that failed so. True: no further one will do.
    pub(crate) fn are_used_up(&mut self, error: &Error) -> bool {
        if error.diesel().is_some_and(is_out_of_locks) {
            // No fault of this task: it goes on as soon as there is room.
            self.crowded += 1;
        } else if error.is_transient() {
            self.disturbed += 1;
        } else {
            self.refused += 1;
        }
        self.refused >= REFUSALS || self.disturbed >= DISTURBANCES
    }

    /// How long to wait before the next one.
    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(100) * 2u32.pow(self.crowded.min(4))
    }
}
