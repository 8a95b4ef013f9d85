//! What stands in front of a task.

use crate::db::Conn;
use crate::ids::{DomainId, TaskId};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{
    Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::Value;

/// Resources of a task that are shown: those for which it waits first.
pub const RESOURCES: i32 = 100;
/// Nobody counts further than this.
pub const COUNTED: i64 = 10_000;
/// Earlier tasks that are shown.
pub const SHOWN: i64 = 10;

/// What a task waits with.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct WaitingTask {
    #[diesel(sql_type = SqlUuid)]
    pub pulp_id: TaskId,
    #[diesel(sql_type = SqlUuid)]
    pub pulp_domain: DomainId,
    #[diesel(sql_type = Timestamptz)]
    pub pulp_created: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Text)]
    pub class: String,
    #[diesel(sql_type = Jsonb)]
    pub versions: Value,
    #[diesel(sql_type = Array<Text>)]
    pub reserved_resources_record: Vec<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub unblocked_at: Option<DateTime<Utc>>,
    /// Null where it is held by a pause.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub not_before: Option<DateTime<Utc>>,
    /// True while `not_before` has not come, or it is held.
    #[diesel(sql_type = Bool)]
    pub is_deferred: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub announced_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub deadline: Option<DateTime<Utc>>,
    /// Tasks of its work class that run.
    #[diesel(sql_type = BigInt)]
    pub class_running: i64,
}

/// A resource that a task reserves, and what is in front of it there.
#[derive(Clone, Debug, QueryableByName)]
pub struct Blocker {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub resource: String,
    /// True where the task needs it for itself.
    #[diesel(sql_type = Bool)]
    pub exclusive: bool,
    /// True where an earlier task must end first.
    #[diesel(sql_type = Bool)]
    pub blocked: bool,
    /// Its place in the lane, from 1; not counted beyond [`COUNTED`].
    #[diesel(sql_type = BigInt)]
    pub position: i64,
    /// Earlier tasks that must end first; not counted beyond [`COUNTED`].
    #[diesel(sql_type = BigInt)]
    pub in_front: i64,
    /// The first of them.
    #[diesel(sql_type = Jsonb)]
    first: Value,
}

/// An earlier task.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "named as the columns are")]
pub struct Earlier {
    pub task: TaskId,
    pub name: String,
    pub state: String,
    pub exclusive: bool,
    /// Since when it runs, or waits.
    pub since: DateTime<Utc>,
    pub created_by: Option<i32>,
}

impl WaitingTask {
    /// The task with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: TaskId) -> QueryResult<Option<Self>> {
        sql_query(include_str!("blocker_task.sql"))
            .bind::<SqlUuid, _>(id)
            .get_result(conn)
            .await
            .optional()
    }
}

impl Blocker {
    /// What a task reserves: at most [`RESOURCES`], those for which it waits first. Nothing where it has ended.
    ///
    /// # Errors
    /// As the session.
    pub async fn of(conn: &mut Conn, task: TaskId) -> QueryResult<Vec<Self>> {
        sql_query(include_str!("blocker.sql"))
            .bind::<SqlUuid, _>(task)
            .bind::<Integer, _>(RESOURCES)
            .bind::<BigInt, _>(COUNTED)
            .bind::<BigInt, _>(SHOWN)
            .load(conn)
            .await
    }

    /// The first earlier tasks that must end first.
    ///
    /// # Errors
    /// Never, unless the statement and this differ.
    pub fn first(&self) -> Result<Vec<Earlier>, serde_json::Error> {
        Deserialize::deserialize(&self.first)
    }
}
