//! What a task body works with: its session, its claim, the store, its wish to stop.

use super::progress::Progress;
use super::registry::Registry;
use super::resources::Resources;
use super::task::TaskError;
use crate::config::Settings;
use crate::db::{Conn, Db, Patience, Prepare, Work};
use crate::ids::{ClaimId, DomainId, TaskGroupId, TaskId};
use crate::secrets::Keyring;
use crate::storage::Storage;
use diesel::prelude::*;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The session of a slot: it holds the locks of the run, and the run's writes go through it.
pub type TaskSession = Arc<Mutex<Conn>>;

/// Handed to every task body; cheap to clone.
#[derive(Clone)]
pub struct TaskContext {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub task: TaskId,
    pub claim: ClaimId,
    pub attempt: i32,
    pub domain: DomainId,
    pub cid: String,
    pub created_by: Option<i32>,
    pub group: Option<TaskGroupId>,
    pub reserved: Resources,
    pub session: TaskSession,
    pub db: Db,
    pub storage: Storage,
    pub registry: Arc<Registry>,
    pub keyring: Keyring,
    pub settings: Arc<Settings>,
    pub stop: CancellationToken,
    pub blocking: TaskTracker,
}

impl TaskContext {
    /// The task.
    #[must_use]
    pub fn task(&self) -> TaskId {
        self.inner.task
    }

    /// The token of this run. What a run leaves unfinished is tagged with it.
    #[must_use]
    pub fn claim(&self) -> ClaimId {
        self.inner.claim
    }

    /// Which run of the task this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> i32 {
        self.inner.attempt
    }

    /// The domain that the task works in.
    #[must_use]
    pub fn domain(&self) -> DomainId {
        self.inner.domain
    }

    /// Correlation id of the request that dispatched it; children inherit it.
    #[must_use]
    pub fn cid(&self) -> &str {
        &self.inner.cid
    }

    /// The account that dispatched it.
    #[must_use]
    pub fn created_by(&self) -> Option<i32> {
        self.inner.created_by
    }

    /// The group that it belongs to.
    #[must_use]
    pub fn group(&self) -> Option<TaskGroupId> {
        self.inner.group
    }

    /// Pooled sessions, for reads that need no token.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.inner.db
    }

    /// The artifact store.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    /// The task types that this worker knows.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.inner.registry
    }

    /// Encrypts what is secret.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.inner.keyring
    }

    /// The settings of the worker.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.inner.settings
    }

    /// Returns [`TaskError::Canceled`] once the task has been asked to stop. Call it at every batch.
    ///
    /// # Errors
    /// [`TaskError::Canceled`].
    pub fn checkpoint(&self) -> Result<(), TaskError> {
        if self.inner.stop.is_cancelled() {
            Err(TaskError::Canceled)
        } else {
            Ok(())
        }
    }

    /// Ends when the task has been asked to stop: for use in `select!`.
    pub async fn stopped(&self) {
        self.inner.stop.cancelled().await;
    }

    /// Waits for others, until the task is asked to stop: then the work is dropped where it stands.
    ///
    /// # Errors
    /// [`TaskError::Canceled`], or what the work fails with.
    pub async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, TaskError>>,
    ) -> Result<T, TaskError> {
        tokio::select! {
            () = self.stopped() => Err(TaskError::Canceled),
            done = work => done,
        }
    }

    /// The session that holds the locks of this run. Reads need no more; writes go through
    /// [`TaskContext::fenced`]. Leave it as it was: no transaction opened by a statement, no setting.
    pub async fn session(&self) -> MutexGuard<'_, Conn> {
        self.inner.session.lock().await
    }

    /// Runs one batch of writes in a transaction that first shows the claim: what a run writes after
    /// it lost its claim is refused. Tried again on a deadlock.
    ///
    /// # Errors
    /// [`TaskError::Canceled`] when asked to stop, [`TaskError::Fenced`] when the claim is lost, else
    /// what `write` fails with; nothing is written then.
    pub async fn fenced<'a, T, F>(&self, write: F) -> Result<T, TaskError>
    where
        for<'r> F: AsyncFn(&'r mut Conn) -> Result<T, TaskError>
            + Work<&'r mut Conn, Result<T, TaskError>, Fut: Send>
            + Send
            + Sync
            + 'a,
        T: Send + 'a,
    {
        self.checkpoint()?;
        self.fenced_on(&mut *self.session().await, write).await
    }

    /// As [`TaskContext::fenced`], on another session than that of the run: for work that goes on beside its other writes. Whoever
    /// is to take the claim away waits for both.
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn fenced_on<'a, T, F>(&self, conn: &mut Conn, write: F) -> Result<T, TaskError>
    where
        for<'r> F: AsyncFn(&'r mut Conn) -> Result<T, TaskError>
            + Work<&'r mut Conn, Result<T, TaskError>, Fut: Send>
            + Send
            + Sync
            + 'a,
        T: Send + 'a,
    {
        self.checkpoint()?;
        crate::db::transaction(conn, async |conn| self.shown(conn, &write).await).await
    }

    /// As [`TaskContext::fenced`], for few statements that find rows by their ids: see
    /// [`brief_transaction`](crate::db::brief_transaction).
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn fenced_briefly<'a, T, F>(&self, write: F) -> Result<T, TaskError>
    where
        for<'r> F: AsyncFn(&'r mut Conn) -> Result<T, TaskError>
            + Work<&'r mut Conn, Result<T, TaskError>, Fut: Send>
            + Send
            + Sync
            + 'a,
        T: Send + 'a,
    {
        self.checkpoint()?;
        let mut session = self.session().await;
        crate::db::brief_transaction(&mut session, Patience::OfSession, async |conn| {
            self.shown(conn, &write).await
        })
        .await
    }

    /// Fails unless the task has reserved these resources: for bodies whose arguments do not name what
    /// they rely on, as whoever dispatches by name may leave it out.
    ///
    /// # Errors
    /// A text for the client that names what is missing.
    pub fn require(&self, needed: &Resources) -> Result<(), TaskError> {
        let lacking = self.inner.reserved.lacking(needed);
        if lacking.is_empty() {
            return Ok(());
        }
        let names = lacking.join(", ");
        Err(TaskError::failed(format!(
            "The task must be dispatched with a reservation of {names}."
        )))
    }

    /// What a fenced transaction does.
    async fn shown<T, F>(&self, conn: &mut Conn, write: &F) -> Result<T, TaskError>
    where
        for<'r> F: AsyncFn(&'r mut Conn) -> Result<T, TaskError>
            + Work<&'r mut Conn, Result<T, TaskError>, Fut: Send>
            + Sync,
    {
        self.show_claim(conn).await?;
        write(conn).await
    }

    async fn show_claim(&self, conn: &mut Conn) -> Result<(), TaskError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            state: String,
        }
        // FOR SHARE: a rescue that would take the claim away waits for this transaction, and the
        // other way round. FOR KEY SHARE and plain reads let a zombie through.
        let row: Option<Row> =
            sql_query("SELECT state FROM task WHERE pulp_id = $1 AND claim_id = $2 FOR SHARE")
                .bind::<SqlUuid, _>(self.inner.task)
                .bind::<SqlUuid, _>(self.inner.claim)
                .prepared()
                .get_result(conn)
                .await
                .optional()?;
        match row.as_ref().map(|row| row.state.as_str()) {
            Some("running") => Ok(()),
            Some("canceling") => Err(TaskError::Canceled),
            _ => Err(TaskError::Fenced),
        }
    }

    /// Opens a progress report (contract 2.10).
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn progress(
        &self,
        message: &str,
        code: &str,
        total: Option<i64>,
    ) -> Result<Progress, TaskError> {
        Progress::open(self.clone(), message, code, total).await
    }

    /// Runs blocking work off the async threads. The run is not given up before it has ended.
    ///
    /// # Errors
    /// [`TaskError::Internal`] when the work panics.
    pub async fn blocking<T, F>(&self, work: F) -> Result<T, TaskError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.inner
            .blocking
            .spawn_blocking(work)
            .await
            .map_err(TaskError::internal)
    }
}
