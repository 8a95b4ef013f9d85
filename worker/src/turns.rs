//! Whether the loops of the process still turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A loop that is looked at from outside.
pub(crate) struct Turn {
    start: Instant,
    /// Milliseconds from `start` to the last turn.
    last: AtomicU64,
}

impl Turn {
    fn new(start: Instant) -> Self {
        Self {
            start,
            last: AtomicU64::new(0),
        }
    }

    /// It turns.
    pub(crate) fn mark(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// How long ago that was.
    pub(crate) fn ago(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }
}

/// The loops without which a worker is of no use.
pub(crate) struct Turns {
    /// The beat, also while it looks for a session.
    pub beat: Turn,
    /// A beat was committed: the database answers.
    pub committed: Turn,
    /// The janitor, before each step.
    pub janitor: Turn,
    /// The look at the slots, while none of them is stuck.
    pub slots: Turn,
    patience: Duration,
}

impl Turns {
    /// Loops that begin now, and that are stuck after so many seconds without a turn.
    pub(crate) fn new(stuck_seconds: u64) -> Self {
        let start = Instant::now();
        Self {
            beat: Turn::new(start),
            committed: Turn::new(start),
            janitor: Turn::new(start),
            slots: Turn::new(start),
            patience: Duration::from_secs(stuck_seconds),
        }
    }

    /// After so long without a turn a loop is stuck.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// The loops that do not turn any more. While the database does not answer the beat, those that wait for it
    /// are excused: a new process would wait as well.
    pub(crate) fn stuck(&self) -> Vec<&'static str> {
        let excused = self.committed.ago() >= self.patience / 2;
        [
            ("beat", &self.beat, false),
            ("janitor", &self.janitor, excused),
            ("slots", &self.slots, excused),
        ]
        .into_iter()
        .filter(|(_, turn, excused)| !excused && turn.ago() >= self.patience)
        .map(|(name, ..)| name)
        .collect()
    }
}
