//! Dispatching what schedules say, at its time (contract 2.12).

use super::dispatch::{Dispatched, dispatch};
use super::new_task::NewTask;
use super::registry::Registry;
use crate::db::{self, Conn};
use crate::error::Error;
use crate::ids::TaskScheduleId;
use crate::models::task_schedule::{DueSchedule, TaskSchedule};
use crate::secrets::{Keyring, SecretError};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Another worker may know the type, or another version of this one may: it is asked soon.
const UNKNOWN_PAUSE: i64 = 5;
/// What is broken stays so until somebody mends it.
pub(super) const BROKEN_PAUSE: i64 = 60;

/// The arguments of a schedule, as its author gave them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ScheduleArguments {
    /// By position.
    pub args: Vec<Value>,
    /// By name.
    pub kwargs: Map<String, Value>,
}

impl ScheduleArguments {
    /// Encrypts them for the row.
    ///
    /// # Errors
    /// As the keyring.
    pub fn encrypt(&self, keyring: &Keyring) -> Result<String, Error> {
        let text = serde_json::to_string(self).map_err(Error::internal)?;
        keyring.encrypt(&text).map_err(Error::internal)
    }

    /// Reads them from the row.
    ///
    /// # Errors
    /// The key that wrote them is not there, or they were tampered with.
    pub fn decrypt(keyring: &Keyring, token: &str) -> Result<Self, SecretError> {
        let text = keyring.decrypt(token)?;
        serde_json::from_str(&text).map_err(|_reason| SecretError::Damaged)
    }

    /// The task that a schedule of this type dispatches with them.
    ///
    /// # Errors
    /// [`Error::Invalid`], as [`NewTask::named`].
    pub fn task(self, registry: &Registry, task_name: &str) -> Result<NewTask, Error> {
        let task = NewTask::named(registry, task_name, self.args, self.kwargs)?;
        task.check_resources()?;
        Ok(task)
    }
}

/// What became of a schedule that was due.
#[derive(Debug)]
pub(super) enum Turn {
    /// Its task was recorded, and it was moved on.
    Dispatched(String, Box<Dispatched>),
    /// It cannot be dispatched as it is: that was noted.
    PutOff(String, &'static str),
    /// It is not due any more, or somebody else has it.
    Missed,
}

/// Dispatches one schedule if it is due, in one transaction with its next time: exactly once, whoever does it
/// and whenever he dies. What the client reads of a fault holds no argument.
pub(super) async fn dispatch_due(
    conn: &mut Conn,
    registry: &Registry,
    keyring: &Keyring,
    id: TaskScheduleId,
) -> Result<Turn, Error> {
    db::transaction(conn, async |conn| {
        let Some(due) = TaskSchedule::lock_due(conn, id).await? else {
            return Ok(Turn::Missed);
        };
        let task = match task_of(registry, keyring, &due) {
            Ok(task) => task,
            Err((reason, pause)) => {
                TaskSchedule::put_off(conn, id, reason, pause).await?;
                return Ok(Turn::PutOff(due.name, reason));
            }
        };
        let task = match due.deadline_seconds {
            Some(seconds) => {
                let now = db::now(conn).await?;
                task.deadline(now.checked_add_signed(TimeDelta::seconds(seconds.into())))
            }
            None => task,
        };
        TaskSchedule::advance(conn, id, task.id).await?;
        Ok(Turn::Dispatched(
            due.name,
            Box::new(dispatch(conn, keyring, &task).await?),
        ))
    })
    .await
}

/// The task of a schedule, or what is wrong with it and how long that is left alone.
fn task_of(
    registry: &Registry,
    keyring: &Keyring,
    due: &DueSchedule,
) -> Result<NewTask, (&'static str, i64)> {
    if registry.get(&due.task_name).is_none() {
        return Err(("The task type is not registered.", UNKNOWN_PAUSE));
    }
    let arguments = ScheduleArguments::decrypt(keyring, &due.enc_args)
        .map_err(|_reason| ("The arguments cannot be decrypted.", BROKEN_PAUSE))?;
    arguments
        .task(registry, &due.task_name)
        .map_err(|_reason| ("The arguments do not fit the task type.", BROKEN_PAUSE))
}
