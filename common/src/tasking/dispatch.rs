//! Recording tasks with their reservations: in the caller's transaction, or those of several requests in one of their own.

use super::moves;
use super::new_task::NewTask;
use super::state::TaskState;
use crate::broker::{Announcement, Announcements, Publisher};
use crate::db::{Conn, Prepare};
use crate::error::Error;
use crate::ids::TaskId;
use crate::secrets::Keyring;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// A task that was recorded. Publish it after the commit; the janitor finds what was not published.
#[derive(Clone, Debug)]
#[must_use = "a task that is not announced waits for the janitor"]
pub struct Dispatched {
    /// The task.
    pub id: TaskId,
    /// The name of its type.
    pub name: &'static str,
    /// Its place in its lanes.
    pub ticket: i64,
    /// When it was recorded.
    pub created: DateTime<Utc>,
    /// `waiting`, or `canceled` for one that could not start at once and may not be deferred.
    pub state: TaskState,
    /// Present where nothing stands in front of it.
    pub announcement: Option<Announcement>,
    /// Its work class.
    pub class: &'static str,
    /// The correlation id of its request.
    pub cid: String,
    /// The resource that it waits for, where something stands in front of it.
    pub lane: Option<String>,
}

impl Dispatched {
    /// Publishes, after the commit, that it is there, and its announcement where it has one.
    pub fn publish(self, publisher: &Publisher) {
        moves::dispatched(&self);
        publisher.state_changed(self.id, self.name, self.state.as_str());
        publisher.announce(Announcements(self.announcement.into_iter().collect()));
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    pulp_id: TaskId,
    #[diesel(sql_type = Nullable<BigInt>)]
    ticket: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pulp_created: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    state: Option<String>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    announcement: Option<Value>,
    #[diesel(sql_type = Nullable<Text>)]
    lane: Option<String>,
}

/// The resource that a task waits for is asked for only where it waits.
const COLUMNS: &str = "d.pulp_id, d.ticket, d.pulp_created, d.state, d.announcement, \
    CASE WHEN d.announcement IS NULL AND d.state = 'waiting' THEN millrace_blocker(d.pulp_id) END AS lane";

/// Records a task. In a caller's own transaction this is the last act before the commit: it takes the
/// lane locks, and whoever holds them may wait for nothing else.
///
/// # Errors
/// [`Error::Invalid`] for a resource that cannot be reserved; the database's errors, also where the
/// transaction is not READ COMMITTED.
pub async fn dispatch(
    conn: &mut Conn,
    keyring: &Keyring,
    task: &NewTask,
) -> Result<Dispatched, Error> {
    let mut all = dispatch_many(conn, keyring, std::slice::from_ref(task)).await?;
    all.pop().ok_or_else(no_row)
}

/// Records tasks in the given order, as [`dispatch`] does, in one statement.
///
/// # Errors
/// See [`dispatch`]; nothing is recorded then.
pub async fn dispatch_many(
    conn: &mut Conn,
    keyring: &Keyring,
    tasks: &[NewTask],
) -> Result<Vec<Dispatched>, Error> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let (rows, users, objects) = written(keyring, tasks)?;
    let rows: Vec<Row> = if objects.is_empty() {
        sql_query(format!("SELECT {COLUMNS} FROM millrace_dispatch($1) d"))
            .bind::<Jsonb, _>(rows)
            .prepared()
            .load(conn)
            .await?
    } else {
        sql_query(format!(
            "SELECT {COLUMNS} FROM millrace_dispatch($1, $2, $3) d"
        ))
        .bind::<Jsonb, _>(rows)
        .bind::<Array<SqlUuid>, _>(users)
        .bind::<Array<SqlUuid>, _>(objects)
        .prepared()
        .load(conn)
        .await?
    };
    // A row a task, in the given order.
    rows.into_iter()
        .zip(tasks)
        .map(|(row, task)| row.dispatched(task)?.ok_or_else(no_row))
        .collect()
}

/// What is done about lanes that somebody has locked, where several requests have their tasks recorded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusyLanes {
    /// Their tasks are not recorded.
    Skip,
    /// They are waited for, 50 ms each.
    Wait,
}

/// What became of one of several tasks.
#[derive(Clone, Debug)]
pub enum Attempt {
    /// It was recorded.
    Dispatched(Box<Dispatched>),
    /// Somebody has locked one of its lanes.
    Busy,
    /// It is to be dispatched alone: it has more than 64 lanes, or one of its uses is locked by others or gone.
    LeftOut,
}

/// Records those of these tasks that nobody is in the way of, in one statement that is a transaction of its own: it locks lanes
/// until it commits. Of those that were recorded before under the same ids, it records none again, but fails.
///
/// # Errors
/// As [`dispatch_many`]; also where a lane that is waited for does not come in time.
pub async fn dispatch_together(
    conn: &mut Conn,
    keyring: &Keyring,
    tasks: &[NewTask],
    lanes: BusyLanes,
) -> Result<Vec<Attempt>, Error> {
    let (rows, users, objects) = written(keyring, tasks)?;
    let rows: Vec<Row> = sql_query(format!(
        "SELECT {COLUMNS} FROM millrace_dispatch_together($1, $2, $3, $4) d"
    ))
    .bind::<Jsonb, _>(rows)
    .bind::<Array<SqlUuid>, _>(users)
    .bind::<Array<SqlUuid>, _>(objects)
    .bind::<Bool, _>(lanes == BusyLanes::Wait)
    .prepared()
    .load(conn)
    .await?;
    let mut rows: HashMap<TaskId, Row> = rows.into_iter().map(|row| (row.pulp_id, row)).collect();
    let attempt = |task: &NewTask| {
        let Some(row) = rows.remove(&task.id) else {
            return Ok(Attempt::LeftOut);
        };
        Ok(match row.dispatched(task)? {
            Some(dispatched) => Attempt::Dispatched(Box::new(dispatched)),
            None => Attempt::Busy,
        })
    };
    tasks.iter().map(attempt).collect()
}

fn no_row() -> Error {
    Error::internal("dispatch returned no row")
}

/// The tasks as the engine's functions take them: rows, and pairs of a task and an object that it uses.
fn written(keyring: &Keyring, tasks: &[NewTask]) -> Result<(Value, Vec<TaskId>, Vec<Uuid>), Error> {
    let rows = tasks
        .iter()
        .map(|task| task.to_row(keyring))
        .collect::<Result<Vec<_>, _>>()?;
    let (users, objects) = tasks
        .iter()
        .flat_map(|task| task.uses().iter().map(|object| (task.id, *object)))
        .unzip();
    Ok((Value::Array(rows), users, objects))
}

impl Row {
    /// `None`: it was not recorded.
    fn dispatched(self, task: &NewTask) -> Result<Option<Dispatched>, Error> {
        let (Some(ticket), Some(created), Some(state)) =
            (self.ticket, self.pulp_created, self.state)
        else {
            return Ok(None);
        };
        Ok(Some(Dispatched {
            name: task.name,
            class: task.class,
            cid: task.cid.clone(),
            lane: self.lane,
            id: self.pulp_id,
            ticket,
            created,
            state: state.parse().map_err(Error::internal)?,
            announcement: self
                .announcement
                .map(serde_json::from_value)
                .transpose()
                .map_err(Error::internal)?,
        }))
    }
}
