//! Two hands that go over the same rows, a batch each: while one waits for the database or the disk, the other one works.

use super::disposal::BATCH;
use crate::db::{Conn, Session, Work};
use crate::tasking::{TaskContext, TaskError};
use diesel_async::SimpleAsyncConnection;
use log::debug;
use tokio::sync::{Mutex, MutexGuard};

/// A transaction that its worker forgets, as it is stopped, ends: a rescue waits for that.
const IDLE: &str = "SET idle_in_transaction_session_timeout = '30s'";

/// The hands of a run.
pub struct Hands<'a> {
    /// The one that works on the session of the run.
    pub one: Hand<'a>,
    /// The other one. `None`: the first does it all.
    pub other: Option<Hand<'a>>,
}

/// One of them.
pub struct Hand<'a> {
    ctx: &'a TaskContext,
    /// `None`: that of the run.
    session: Option<Session>,
}

impl<'a> Hands<'a> {
    /// One hand.
    #[must_use]
    pub fn one(ctx: &'a TaskContext) -> Self {
        let one = Hand::with(ctx, None);
        Self { one, other: None }
    }

    /// Two hands where there are more rows than one batch takes, and a second session can be opened.
    pub async fn of(ctx: &'a TaskContext, rows: i64) -> Self {
        let mut hands = Self::one(ctx);
        if rows > BATCH {
            match Hand::beside(ctx).await {
                Ok(other) => hands.other = Some(other),
                Err(error) => debug!(task_id:% = ctx.task(); "one hand does it all: {error}"),
            }
        }
        hands
    }
}

impl<'a> Hand<'a> {
    fn with(ctx: &'a TaskContext, session: Option<Session>) -> Self {
        Self { ctx, session }
    }

    /// Not of the pool: a batch may take longer than what a request may, and where the run is given up inside of one, the line
    /// is closed, and the server ends the statement within half a second. The row of the task is free then.
    async fn beside(ctx: &'a TaskContext) -> Result<Self, TaskError> {
        let mut session = ctx.db().session("second hand").await?;
        session.conn.batch_execute(IDLE).await?;
        Ok(Self::with(ctx, Some(session)))
    }

    /// Writes a batch, as [`TaskContext::fenced`].
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
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
            Some(session) => self.ctx.fenced_on(&mut session.conn, write).await,
            None => self.ctx.fenced(write).await,
        }
    }
}

/// How far they have come, in the order of a key. `None`: to the end, or one of them has failed.
pub struct Cursor<K>(Mutex<Option<K>>);

/// Where a batch begins. The other hand looks for its own once this has been moved, or is dropped.
pub struct Start<'a, K> {
    behind: MutexGuard<'a, Option<K>>,
    from: K,
}

impl<K: Copy> Cursor<K> {
    /// In front of all rows.
    pub fn at(start: K) -> Self {
        Self(Mutex::new(Some(start)))
    }

    /// Where the next batch begins; `None`: nothing is left to do. To be asked for outside of a transaction, as the other hand
    /// may take long to find its rows.
    pub async fn start(&self) -> Option<Start<'_, K>> {
        let behind = self.0.lock().await;
        let from = (*behind)?;
        Some(Start { behind, from })
    }

    /// The other hand is to end, too, after its batch.
    pub async fn stop(&self) {
        *self.0.lock().await = None;
    }
}

impl<K: Copy> Start<'_, K> {
    /// The batch is behind this row.
    #[must_use]
    pub fn from(&self) -> K {
        self.from
    }

    /// The batch reaches up to this row; `None`: no row was left. Once a batch, however often its transaction is tried.
    pub fn moved(mut self, last: Option<K>) {
        *self.behind = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_batch_begins_where_the_one_before_ends_and_not_before_that_is_known() {
        let cursor = Cursor::at(0);
        let first = cursor.start().await.unwrap();
        let second = timeout(Duration::from_millis(5), cursor.start()).await;
        assert!(second.is_err());
        first.moved(Some(7));
        assert_eq!(cursor.start().await.unwrap().from(), 7);
        // That one was dropped: it is begun again.
        let again = cursor.start().await.unwrap();
        assert_eq!(again.from(), 7);
        again.moved(None);
        assert!(cursor.start().await.is_none());
    }

    #[tokio::test]
    async fn a_hand_that_fails_stops_the_other() {
        let cursor = Cursor::at(0);
        cursor.stop().await;
        assert!(cursor.start().await.is_none());
    }
}
