//! Lanes in which somebody is, who holds their resources, and who waits the longest.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::{ProcessId, TaskId};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{
    Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;

pub use view::lane;

/// The view, as a table.
#[expect(missing_docs, reason = "the migration documents the columns")]
mod view {
    diesel::table! {
        lane (resource) {
            resource -> Text,
            mode -> Text,
            holders -> BigInt,
            waiting -> BigInt,
            paused -> Bool,
            pause_reason -> Nullable<Text>,
        }
    }
}

/// Holders of a resource that are shown.
pub const SHOWN: i32 = 10;

/// A busy resource.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = lane, check_for_backend(diesel::pg::Pg))]
pub struct Lane {
    /// Its name.
    pub resource: String,
    /// `exclusive` or `shared` as it is held, `idle` where nobody holds it.
    pub mode: String,
    /// Tasks that hold it.
    pub holders: i64,
    /// Tasks that wait for it.
    pub waiting: i64,
    /// True while tasks that reserve it do not start.
    pub paused: bool,
    /// Why.
    pub pause_reason: Option<String>,
}

/// A task that holds a resource.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "named as the columns are")]
pub struct LaneHolder {
    #[diesel(sql_type = Text)]
    pub resource: String,
    #[diesel(sql_type = Bool)]
    pub exclusive: bool,
    #[diesel(sql_type = SqlUuid)]
    pub task: TaskId,
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Text)]
    pub state: String,
    /// Since when it runs.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub since: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub worker: Option<ProcessId>,
    #[diesel(sql_type = Nullable<Text>)]
    pub worker_name: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub created_by: Option<i32>,
    /// How many hold it in all.
    #[diesel(sql_type = BigInt)]
    pub holders: i64,
}

#[derive(QueryableByName)]
struct Oldest {
    #[diesel(sql_type = Text)]
    resource: String,
    #[diesel(sql_type = Timestamptz)]
    since: DateTime<Utc>,
}

impl Lane {
    /// A page of lanes.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<lane::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, lane::table, Self, selection)
    }

    /// Who holds these resources: of each the first [`SHOWN`].
    ///
    /// # Errors
    /// As the session.
    pub async fn holders(conn: &mut Conn, resources: &[&str]) -> QueryResult<Vec<LaneHolder>> {
        sql_query(include_str!("lane_holders.sql"))
            .bind::<Array<Text>, _>(resources)
            .bind::<Integer, _>(SHOWN)
            .load(conn)
            .await
    }

    /// Since when the first that waits for each of these resources has waited.
    ///
    /// # Errors
    /// As the session.
    pub async fn oldest_waits(
        conn: &mut Conn,
        resources: &[&str],
    ) -> QueryResult<Vec<(String, DateTime<Utc>)>> {
        let rows: Vec<Oldest> = sql_query(include_str!("lane_oldest.sql"))
            .bind::<Array<Text>, _>(resources)
            .load(conn)
            .await?;
        Ok(rows.into_iter().map(|r| (r.resource, r.since)).collect())
    }
}
