//! Schedules: what dispatches tasks at their times. The arguments are encrypted, and no reader of a list has them.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::{DomainId, TaskId, TaskScheduleId};
use crate::schema::task_schedule;
use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;

/// A schedule without its arguments.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = task_schedule, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct TaskSchedule {
    pub pulp_id: TaskScheduleId,
    pub pulp_created: DateTime<Utc>,
    pub pulp_last_updated: DateTime<Utc>,
    pub name: String,
    pub next_dispatch: Option<DateTime<Utc>>,
    pub dispatch_interval: Option<i64>,
    pub task_name: String,
    pub deadline_seconds: Option<i32>,
    pub last_task: Option<TaskId>,
    pub last_error: Option<String>,
}

/// A schedule to be made; where `next_dispatch` is left out it is due at once.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = task_schedule)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct NewTaskSchedule {
    pub pulp_id: TaskScheduleId,
    pub pulp_domain: DomainId,
    pub name: String,
    pub next_dispatch: Option<Option<DateTime<Utc>>>,
    pub dispatch_interval: Option<i64>,
    pub task_name: String,
    pub enc_args: String,
    pub deadline_seconds: Option<i32>,
}

/// What changes about a schedule; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, AsChangeset)]
#[diesel(table_name = task_schedule)]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct TaskScheduleChange {
    pub name: Option<String>,
    pub next_dispatch: Option<Option<DateTime<Utc>>>,
    pub dispatch_interval: Option<Option<i64>>,
    pub task_name: Option<String>,
    pub enc_args: Option<String>,
    pub deadline_seconds: Option<Option<i32>>,
}

/// A schedule that is due, locked.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = task_schedule, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct DueSchedule {
    pub name: String,
    pub task_name: String,
    pub enc_args: String,
    pub deadline_seconds: Option<i32>,
}

/// What a change of a schedule goes by.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = task_schedule, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct StoredSchedule {
    pub name: String,
    pub task_name: String,
    pub enc_args: String,
    pub managed: bool,
}

/// A schedule that the settings ask for.
#[derive(Clone, Debug)]
pub struct ManagedSchedule<'a> {
    /// Its name.
    pub name: &'a str,
    /// The task type.
    pub task_name: &'a str,
    /// Encrypted arguments.
    pub enc_args: &'a str,
    /// Seconds between two dispatches.
    pub dispatch_interval: i64,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    pulp_id: TaskScheduleId,
}

impl TaskSchedule {
    /// The schedule with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        conn: &mut Conn,
        domain: DomainId,
        id: TaskScheduleId,
    ) -> QueryResult<Option<Self>> {
        task_schedule::table
            .find(id)
            .filter(task_schedule::pulp_domain.eq(domain))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of schedules.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<task_schedule::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, task_schedule::table, Self, selection)
    }

    /// Makes a schedule.
    ///
    /// # Errors
    /// A unique violation where the name is taken; else as the session.
    pub async fn create(conn: &mut Conn, new: &NewTaskSchedule) -> QueryResult<Self> {
        diesel::insert_into(task_schedule::table)
            .values(new)
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// What a change of a schedule goes by; it is locked until the transaction ends. Waits for who
    /// dispatches it at this moment.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(
        conn: &mut Conn,
        domain: DomainId,
        id: TaskScheduleId,
    ) -> QueryResult<Option<StoredSchedule>> {
        task_schedule::table
            .find(id)
            .filter(task_schedule::pulp_domain.eq(domain))
            .select(StoredSchedule::as_select())
            .for_update()
            .first(conn)
            .await
            .optional()
    }

    /// Changes a schedule; what was wrong with it is forgotten, and it is due at its time again.
    ///
    /// # Errors
    /// A unique violation where the name is taken; not found; else as the session.
    pub async fn change(
        conn: &mut Conn,
        id: TaskScheduleId,
        change: &TaskScheduleChange,
    ) -> QueryResult<Self> {
        diesel::update(task_schedule::table.find(id))
            .set((
                change,
                task_schedule::last_error.eq(None::<String>),
                task_schedule::not_before.eq(None::<DateTime<Utc>>),
                task_schedule::pulp_last_updated.eq(sql::<Timestamptz>("clock_timestamp()")),
            ))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
    }

    /// Deletes a schedule; its tasks stay. False: there is none.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(
        conn: &mut Conn,
        domain: DomainId,
        id: TaskScheduleId,
    ) -> QueryResult<bool> {
        let schedule = task_schedule::table
            .find(id)
            .filter(task_schedule::pulp_domain.eq(domain));
        Ok(diesel::delete(schedule).execute(conn).await? > 0)
    }

    /// Schedules that are due and whose last task has ended, the longest due first.
    ///
    /// # Errors
    /// As the session.
    pub async fn due(conn: &mut Conn, limit: i32) -> QueryResult<Vec<TaskScheduleId>> {
        let due: Vec<Id> = sql_query("SELECT d AS pulp_id FROM millrace_due_schedules($1) d")
            .bind::<Integer, _>(limit)
            .load(conn)
            .await?;
        Ok(due.into_iter().map(|row| row.pulp_id).collect())
    }

    /// Locks a schedule that is still due. `None`: it is not, or somebody else has it.
    ///
    /// # Errors
    /// As the session.
    pub async fn lock_due(conn: &mut Conn, id: TaskScheduleId) -> QueryResult<Option<DueSchedule>> {
        let locked: Option<TaskScheduleId> = task_schedule::table
            .find(id)
            .select(task_schedule::pulp_id)
            .for_update()
            .skip_locked()
            .first(conn)
            .await
            .optional()?;
        if locked.is_none() {
            return Ok(None);
        }
        // A later statement: whoever had it before has committed.
        task_schedule::table
            .find(id)
            .filter(task_schedule::next_dispatch.is_not_null())
            .filter(sql::<Bool>(
                "greatest(next_dispatch, not_before) <= clock_timestamp() \
                 AND NOT EXISTS (SELECT FROM task t WHERE t.pulp_id = task_schedule.last_task \
                                    AND t.state IN ('waiting', 'running', 'canceling'))",
            ))
            .select(DueSchedule::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// Moves a schedule on to its next time, which is not in the past: what was missed is one run. Its last
    /// task may be inserted later in the same transaction.
    ///
    /// # Errors
    /// As the session.
    pub async fn advance(conn: &mut Conn, id: TaskScheduleId, task: TaskId) -> QueryResult<()> {
        sql_query(include_str!("task_schedule_advance.sql"))
            .bind::<SqlUuid, _>(id)
            .bind::<SqlUuid, _>(task)
            .execute(conn)
            .await
            .map(drop)
    }

    /// Notes why a schedule could not be dispatched, and leaves it alone for so many seconds.
    ///
    /// # Errors
    /// As the session.
    pub async fn put_off(
        conn: &mut Conn,
        id: TaskScheduleId,
        reason: &str,
        seconds: i64,
    ) -> QueryResult<()> {
        sql_query(
            "UPDATE task_schedule SET last_error = $2, not_before = clock_timestamp() + make_interval(secs => $3) \
              WHERE pulp_id = $1",
        )
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(reason)
        .bind::<BigInt, _>(seconds)
        .execute(conn)
        .await
        .map(drop)
    }

    /// Makes the schedule of this name as the settings ask for it; one that is there keeps its next time, or that
    /// it has none, unless the interval is another one. False: there is one that somebody else made, which stays as
    /// it is. Any number of processes may do so at once.
    ///
    /// # Errors
    /// As the session.
    pub async fn manage(
        conn: &mut Conn,
        domain: DomainId,
        wanted: &ManagedSchedule<'_>,
    ) -> QueryResult<bool> {
        let written = sql_query(include_str!("task_schedule_manage.sql"))
            .bind::<SqlUuid, _>(TaskScheduleId::new())
            .bind::<SqlUuid, _>(domain)
            .bind::<Text, _>(wanted.name)
            .bind::<Text, _>(wanted.task_name)
            .bind::<Text, _>(wanted.enc_args)
            .bind::<BigInt, _>(wanted.dispatch_interval)
            .execute(conn)
            .await?;
        Ok(written > 0)
    }

    /// Removes the schedule of this name, where the settings had asked for it.
    ///
    /// # Errors
    /// As the session.
    pub async fn remove_named(conn: &mut Conn, domain: DomainId, name: &str) -> QueryResult<()> {
        let named = task_schedule::table
            .filter(task_schedule::pulp_domain.eq(domain))
            .filter(task_schedule::name.eq(name))
            .filter(task_schedule::managed);
        diesel::delete(named).execute(conn).await.map(drop)
    }
}
