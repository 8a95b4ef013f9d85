//! Tasks that nobody claimed in time.

use super::Janitor;
use crate::db::Conn;
use crate::error::Error;
use crate::ids::TaskId;
use crate::metrics::engine;
use crate::tasking::cancel::{DEADLINE_PASSED, expire};
use diesel::sql_types::{Array, Integer, Uuid as SqlUuid};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::RunQueryDsl;

/// Tasks ended between two looks for one whose request waits.
const BATCH: i32 = 100;

/// Tasks that may fail before a round ends: the next one begins with them.
const FAILURES: usize = 1000;

#[derive(QueryableByName)]
struct Overdue {
    #[diesel(sql_type = SqlUuid)]
    pulp_id: TaskId,
}

impl Janitor {
    /// Waits for the next pass that found a task overdue, and ends all that are. Apart from the other duties: a
    /// deadline that many tasks share takes its time, and an end waits for its lanes.
    pub async fn expire_overdue(&self) {
        self.overdue.notified().await;
        self.duty("expire", self.expire_all().await);
    }

    /// One that fails stands in nobody's way: it is left to the next round.
    async fn expire_all(&self) -> Result<(), Error> {
        let mut failed: Vec<TaskId> = Vec::new();
        while failed.len() < FAILURES {
            let mut conn = self.db.get().await?;
            let page = overdue(&mut conn, &failed).await?;
            if page.is_empty() {
                return Ok(());
            }
            for Overdue { pulp_id } in page {
                if let Err(error) = self.expire(&mut conn, pulp_id).await {
                    self.duty("expire", Err(error));
                    failed.push(pulp_id);
                }
            }
        }
        Ok(())
    }

    async fn expire(&self, conn: &mut Conn, id: TaskId) -> Result<(), Error> {
        if let Some((settled, reason)) = expire(conn, id).await? {
            if reason == DEADLINE_PASSED {
                engine().deadlines_passed.inc();
            }
            if settled.publish(&self.publisher, id) {
                self.resume(&|| {}).await?;
            }
        }
        Ok(())
    }
}

/// The next overdue tasks but these: first those whose requests wait, then the longest overdue.
async fn overdue(conn: &mut Conn, but: &[TaskId]) -> QueryResult<Vec<Overdue>> {
    sql_query("SELECT o AS pulp_id FROM millrace_overdue($1, $2) o")
        .bind::<Array<SqlUuid>, _>(but)
        .bind::<Integer, _>(BATCH)
        .load(conn)
        .await
}
