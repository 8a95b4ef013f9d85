//! Running the body of a claimed task: arguments, time limit, requests to stop, panics.

use super::claim::Claimed;
use super::context::{Inner, TaskContext, TaskSession};
use super::registry::{Registry, TaskType};
use super::task::{Outcome, TaskError};
use crate::config::Settings;
use crate::db::Db;
use crate::secrets::Keyring;
use crate::storage::Storage;
use log::error;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every body of a process works with.
#[derive(Clone)]
#[expect(missing_docs, reason = "the types say what each is")]
pub struct Execution {
    pub db: Db,
    pub storage: Storage,
    pub registry: Arc<Registry>,
    pub keyring: Keyring,
    pub settings: Arc<Settings>,
}

/// How a body ended. In every case it and its blocking threads have ended.
pub enum Ended {
    /// By itself.
    Finished(Result<Outcome, TaskError>),
    /// It panicked: its session is as it was at that moment.
    Panicked(TaskError),
    /// It did not stop when asked and was dropped: its session may be inside a statement.
    Aborted,
    /// It took longer than its type allows and was dropped, as above.
    TimedOut(Duration),
}

impl Execution {
    /// Runs a body to its end. Once `stop` is canceled the body has `grace` to end by itself.
    pub async fn run(
        &self,
        kind: &TaskType,
        claimed: &Claimed,
        session: TaskSession,
        limit: Option<Duration>,
        stop: &CancellationToken,
        grace: Duration,
    ) -> Ended {
        let blocking = TaskTracker::new();
        let arguments = match self.arguments(claimed) {
            Ok(arguments) => arguments,
            Err(error) => return Ended::Finished(Err(error)),
        };
        let ctx = self.context(claimed, session, stop.clone(), blocking.clone());
        let mut body = tokio::spawn(kind.run(arguments, ctx));
        let ended = tokio::select! {
            joined = &mut body => joined.into(),
            () = stop.cancelled() => match tokio::time::timeout(grace, &mut body).await {
                Ok(joined) => joined.into(),
                Err(_) => abort(body).await.unwrap_or(Ended::Aborted),
            },
            () = elapsed(limit) => {
                abort(body).await.unwrap_or(Ended::TimedOut(limit.unwrap_or_default()))
            }
        };
        blocking.close();
        blocking.wait().await;
        ended
    }

    fn arguments(&self, claimed: &Claimed) -> Result<Value, TaskError> {
        let text = self.keyring.decrypt(&claimed.enc_args).map_err(|error| {
            TaskError::failed(format!("the arguments of the task cannot be read: {error}"))
        })?;
        serde_json::from_str(&text).map_err(TaskError::internal)
    }

    fn context(
        &self,
        claimed: &Claimed,
        session: TaskSession,
        stop: CancellationToken,
        blocking: TaskTracker,
    ) -> TaskContext {
        TaskContext {
            inner: Arc::new(Inner {
                task: claimed.claim.task,
                claim: claimed.claim.id,
                attempt: claimed.attempt,
                domain: claimed.domain,
                cid: claimed.cid.clone(),
                created_by: claimed.created_by,
                group: claimed.group,
                reserved: claimed.reserved.clone(),
                session,
                db: self.db.clone(),
                storage: self.storage.clone(),
                registry: Arc::clone(&self.registry),
                keyring: self.keyring.clone(),
                settings: Arc::clone(&self.settings),
                stop,
                blocking,
            }),
        }
    }
}

type Joined = Result<Result<Outcome, TaskError>, JoinError>;

impl From<Joined> for Ended {
    fn from(joined: Joined) -> Self {
        joined.map_or_else(
            |error| {
                error!(error:% = error; "the body of a task panicked: {error}");
                Self::Panicked(TaskError::internal(error))
            },
            Self::Finished,
        )
    }
}

/// Drops a body at its next await; `Some` when it had ended by itself before that.
async fn abort(body: JoinHandle<Result<Outcome, TaskError>>) -> Option<Ended> {
    body.abort();
    match body.await {
        Err(error) if error.is_cancelled() => None,
        joined => Some(joined.into()),
    }
}

async fn elapsed(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}
