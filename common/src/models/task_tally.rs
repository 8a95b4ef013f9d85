//! What the runs of a task have counted.

use crate::db::{Conn, Prepare};
use crate::ids::TaskId;
use crate::schema::task_tally;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use std::collections::BTreeMap;

/// The counts of a task by key. They survive the run that made them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<String, i64>);

impl Tally {
    /// What the runs of a task have counted so far.
    ///
    /// # Errors
    /// As the session.
    pub async fn of(conn: &mut Conn, task: TaskId) -> QueryResult<Self> {
        let rows: Vec<(String, i64)> = task_tally::table
            .filter(task_tally::task_id.eq(task))
            .select((task_tally::key, task_tally::value))
            .load(conn)
            .await?;
        Ok(Self(rows.into_iter().collect()))
    }

    /// Adds to these counts, in the transaction that did what is counted.
    ///
    /// # Errors
    /// As the session.
    pub async fn add(
        conn: &mut Conn,
        task: TaskId,
        counts: impl IntoIterator<Item = (String, i64)>,
    ) -> QueryResult<()> {
        // One row a key: a statement cannot change a row twice.
        let mut sums = BTreeMap::new();
        for (key, value) in counts {
            *sums.entry(key).or_insert(0) += value;
        }
        let (keys, values): (Vec<String>, Vec<i64>) =
            sums.into_iter().filter(|(_, value)| *value != 0).unzip();
        if keys.is_empty() {
            return Ok(());
        }
        sql_query(
            "INSERT INTO task_tally (task_id, key, value) \
             SELECT $1, key, value FROM unnest($2, $3) AS counted (key, value) \
             ON CONFLICT (task_id, key) DO UPDATE SET value = task_tally.value + excluded.value",
        )
        .bind::<SqlUuid, _>(task)
        .bind::<Array<Text>, _>(keys)
        .bind::<Array<BigInt>, _>(values)
        .prepared()
        .execute(conn)
        .await?;
        Ok(())
    }

    /// Notes a figure that is taken once: that of the first run counts. Gives it.
    ///
    /// # Errors
    /// As the session.
    pub async fn note(conn: &mut Conn, task: TaskId, key: &str, value: i64) -> QueryResult<i64> {
        diesel::insert_into(task_tally::table)
            .values((
                task_tally::task_id.eq(task),
                task_tally::key.eq(key),
                task_tally::value.eq(value),
            ))
            .on_conflict((task_tally::task_id, task_tally::key))
            .do_update()
            .set(task_tally::value.eq(sql("task_tally.value")))
            .returning(task_tally::value)
            .get_result(conn)
            .await
    }

    /// A count; zero where nothing was counted.
    #[must_use]
    pub fn get(&self, key: &str) -> i64 {
        self.0.get(key).copied().unwrap_or(0)
    }

    /// A figure that was noted, if one was.
    #[must_use]
    pub fn noted(&self, key: &str) -> Option<i64> {
        self.0.get(key).copied()
    }

    /// The counts whose keys begin like this, without that beginning.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, i64)> {
        self.0
            .iter()
            .filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, *value)))
    }
}
