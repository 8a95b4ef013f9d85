//! Two hands that go over the same rows, a batch each: while one waits for the database or the disk, the other one works.

use crate::db::{Conn, Pooled, Work};
use crate::tasking::{TaskContext, TaskError};
use tokio::sync::{Mutex, MutexGuard};

/// One of them, with a session of its own.
pub struct Hand<'a> {
    ctx: &'a TaskContext,
    /// `None`: that of the run.
    session: Option<Pooled>,
}

impl<'a> Hand<'a> {
    /// The one that works on the session of the run.
    #[must_use]
    pub fn of_run(ctx: &'a TaskContext) -> Self {
        Self { ctx, session: None }
    }

    /// The other one. `None`: no session is free, and the first does it all.
    pub async fn beside(ctx: &'a TaskContext) -> Option<Self> {
        let session = Some(ctx.db().get().await.ok()?);
        Some(Self { ctx, session })
    }

    /// Writes a batch, as [`TaskContext::fenced`].
    ///
    /// # Errors
    /// As that.
    pub async fn fenced<'b, T, F>(&mut self, write: F) -> Result<T, TaskError>
    where
        for<'r> F: AsyncFn(&'r mut Conn) -> Result<T, TaskError>
            + Work<&'r mut Conn, Result<T, TaskError>, Fut: Send>
            + Send
            + Sync
            + 'b,
        T: Send + 'b,
    {
        match &mut self.session {
            Some(conn) => self.ctx.fenced_on(conn, write).await,
            None => self.ctx.fenced(write).await,
        }
    }
}

/// How far they have come, in the order of a key. `None`: to the end, or one of them has failed.
pub struct Cursor<K>(Mutex<Option<K>>);

/// Where a batch begins. The other hand looks for its own once this has been moved, or is dropped.
pub struct Place<'a, K> {
    behind: MutexGuard<'a, Option<K>>,
    begin: Option<K>,
    is_first: bool,
}

impl<K: Copy> Cursor<K> {
    /// In front of all rows.
    pub fn at(start: K) -> Self {
        Self(Mutex::new(Some(start)))
    }

    /// The place of the next batch; of the same one where it is tried again, which `begun` says: empty at first.
    pub async fn place(&self, begun: &Mutex<Option<K>>) -> Place<'_, K> {
        let behind = self.0.lock().await;
        let mut begun = begun.lock().await;
        let is_first = begun.is_none();
        let begin = begun.or(*behind);
        *begun = begin;
        Place {
            behind,
            begin,
            is_first,
        }
    }

    /// The other hand is to end, too, after its batch.
    pub async fn stop(&self) {
        *self.0.lock().await = None;
    }
}

impl<K: Copy> Place<'_, K> {
    /// Behind this row. `None`: nothing is left to do.
    #[must_use]
    pub fn begin(&self) -> Option<K> {
        self.begin
    }

    /// The batch reaches up to this row; `None`: nothing was left.
    pub fn moved(mut self, last: Option<K>) {
        // A batch that is tried again may find less than it did, and more.
        if self.is_first {
            *self.behind = last;
        }
    }
}
