//! When accounts last changed, as this process has heard: what is remembered of them from before counts no more.

use moka::future::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A lookup may take so long after it has begun.
const LOOKUP: Duration = Duration::from_secs(120);

/// A clock that ticks at each change, and the last tick of each account.
#[derive(Clone)]
pub struct Changes {
    clock: Arc<AtomicU64>,
    /// What is from before this moment counts no more, whoever it is about.
    floor: Arc<AtomicU64>,
    changed: Cache<i32, u64>,
}

impl Changes {
    /// For what is remembered for so long.
    #[must_use]
    pub fn new(remembered: Duration) -> Self {
        Self {
            clock: Arc::default(),
            floor: Arc::default(),
            changed: Cache::builder().time_to_live(remembered + LOOKUP).build(),
        }
    }

    /// This moment. Taken before the database is asked.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// An account has changed; called after the commit.
    pub async fn note(&self, account: i32) {
        let tick = self.tick();
        // Of two changes at once the later tick is kept.
        self.changed
            .entry(account)
            .and_upsert_with(|old| {
                let latest = old.map_or(tick, |old| old.into_value().max(tick));
                std::future::ready(latest)
            })
            .await;
    }

    /// Any account may have changed.
    pub fn note_all(&self) {
        self.floor.fetch_max(self.tick(), Ordering::SeqCst);
    }

    /// True where what was asked since this moment still counts.
    pub async fn is_current(&self, account: i32, since: u64) -> bool {
        let is_changed = self.changed.get(&account).await;
        since >= self.floor.load(Ordering::SeqCst) && is_changed.is_none_or(|at| since >= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_asked_before_a_change_counts_no_more() {
        let changes = Changes::new(Duration::from_secs(60));
        let before = changes.now();
        assert!(changes.is_current(1, before).await);
        changes.note(1).await;
        assert!(!changes.is_current(1, before).await);
        assert!(changes.is_current(2, before).await, "another account");
        let behind = changes.now();
        assert!(changes.is_current(1, behind).await);
        changes.note_all();
        assert!(!changes.is_current(1, behind).await);
        assert!(!changes.is_current(2, before).await);
        assert!(changes.is_current(2, changes.now()).await);
    }
}
