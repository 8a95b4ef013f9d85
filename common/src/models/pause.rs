//! Pauses: what is not to start for now, and the tasks that were held because of it.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::PauseId;
use crate::schema::{account, pause};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde_json::Value;

/// What a pause names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseKind {
    /// A resource, by the name under which it is reserved.
    Resource,
    /// A task type, by its name.
    Task,
}

impl PauseKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Resource, Self::Task];

    /// The word in rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Task => "task",
        }
    }
}

/// A pause.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = pause, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct Pause {
    pub pulp_id: PauseId,
    pub kind: String,
    pub name: String,
    pub reason: String,
    pub paused_by: Option<String>,
    pub since: DateTime<Utc>,
}

/// A pause to be made.
#[derive(Clone, Debug)]
pub struct NewPause {
    /// What `name` is.
    pub kind: PauseKind,
    /// The resource, or the task type.
    pub name: String,
    /// Why, for people.
    pub reason: String,
}

/// Tasks that a pause held and that may start now.
#[derive(Debug, QueryableByName)]
pub struct Released {
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub tasks: i64,
    /// What to publish, as JSON that the broker's `Announcements` reads.
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub announcements: Option<Value>,
}

impl Pause {
    /// The pause with this id.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(conn: &mut Conn, id: PauseId) -> QueryResult<Option<Self>> {
        pause::table
            .find(id)
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of pauses.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<pause::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, pause::table, Self, selection)
    }

    /// The pause of this resource or task type.
    ///
    /// # Errors
    /// As the session.
    pub async fn of(conn: &mut Conn, kind: PauseKind, name: &str) -> QueryResult<Option<Self>> {
        pause::table
            .filter(pause::kind.eq(kind.as_str()))
            .filter(pause::name.eq(name))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// The pauses that keep a task of this type with these resources from starting, the oldest first.
    ///
    /// # Errors
    /// As the session.
    pub async fn on(conn: &mut Conn, task: &str, resources: &[&str]) -> QueryResult<Vec<Self>> {
        let by_name = pause::kind
            .eq(PauseKind::Task.as_str())
            .and(pause::name.eq(task));
        let by_resource = pause::kind
            .eq(PauseKind::Resource.as_str())
            .and(pause::name.eq_any(resources));
        pause::table
            .filter(by_name.or(by_resource))
            .order_by((pause::since, pause::pulp_id))
            .select(Self::as_select())
            .load(conn)
            .await
    }

    /// Makes a pause in the name of this account. `None`: there is one already.
    ///
    /// # Errors
    /// As the session.
    pub async fn create(
        conn: &mut Conn,
        new: &NewPause,
        account: Option<i32>,
    ) -> QueryResult<Option<Self>> {
        diesel::insert_into(pause::table)
            .values((
                pause::pulp_id.eq(PauseId::new()),
                pause::kind.eq(new.kind.as_str()),
                pause::name.eq(&new.name),
                pause::reason.eq(&new.reason),
                pause::paused_by.eq(account::table
                    .filter(account::id.nullable().eq(account))
                    .select(account::username)
                    .single_value()),
            ))
            .on_conflict_do_nothing()
            .returning(Self::as_returning())
            .get_result(conn)
            .await
            .optional()
    }

    /// Ends a pause. Claims that found it have been committed when this returns; [`Pause::release`] is next.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(conn: &mut Conn, id: PauseId) -> QueryResult<Option<Self>> {
        diesel::delete(pause::table.find(id))
            .returning(Self::as_returning())
            .get_result(conn)
            .await
            .optional()
    }

    /// Lets so many of the tasks start that a pause held which has ended. They keep their places in their lanes.
    ///
    /// # Errors
    /// As the session.
    pub async fn release(conn: &mut Conn, id: PauseId, limit: i64) -> QueryResult<Released> {
        sql_query(include_str!("pause_release.sql"))
            .bind::<SqlUuid, _>(id)
            .bind::<BigInt, _>(limit)
            .get_result(conn)
            .await
    }

    /// Pauses that have ended and still hold tasks: whoever ended them died before the release.
    ///
    /// # Errors
    /// As the session.
    pub async fn unreleased(conn: &mut Conn) -> QueryResult<Vec<PauseId>> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Array<SqlUuid>)]
            ended: Vec<PauseId>,
        }
        let row: Row = sql_query(include_str!("pause_unreleased.sql"))
            .get_result(conn)
            .await?;
        Ok(row.ended)
    }
}
