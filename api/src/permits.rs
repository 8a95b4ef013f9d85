//! How many requests may wait for a lane at a time.

use millrace_common::config::Database;
use millrace_common::error::Error;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Permits of requests that dispatch: they may wait for a lane, and then leave sessions to all others, where the pool has more
/// than two.
pub struct Permits {
    free: Semaphore,
    wait: Duration,
}

impl Permits {
    /// As many as the pool has sessions, but for one of dispatches that wait for nothing and one of whoever does not dispatch.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        let sessions = database.pool_size.saturating_sub(2).max(1);
        Self {
            free: Semaphore::new(sessions),
            wait: database.pool_wait_ms.get(),
        }
    }

    /// Waits for one, as long as for a session of the pool.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where none comes in time.
    pub async fn get(&self) -> Result<SemaphorePermit<'_>, Error> {
        timeout(self.wait, self.free.acquire())
            .await
            .map_err(|elapsed| Error::Unavailable {
                what: "database",
                source: elapsed.into(),
            })?
            .map_err(Error::internal)
    }

    /// One that is free now.
    #[must_use]
    pub fn get_now(&self) -> Option<SemaphorePermit<'_>> {
        self.free.try_acquire().ok()
    }
}
