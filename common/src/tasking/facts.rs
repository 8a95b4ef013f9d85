//! What log lines and metrics say of a task.

use crate::db::{Conn, Prepare};
use crate::ids::{ProcessId, TaskId};
use diesel::prelude::*;
use diesel::sql_types::{Double, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;

/// What is known of a task: nothing of its arguments.
#[derive(Clone, Debug, QueryableByName)]
pub struct Facts {
    /// The name of its type.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Its work class.
    #[diesel(sql_type = Text)]
    pub class: String,
    /// Correlation id of its request.
    #[diesel(sql_type = Text)]
    pub cid: String,
    /// How often it has been claimed.
    #[diesel(sql_type = Integer)]
    pub attempt: i32,
    /// The worker that has it, or had it to the end.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub worker: Option<ProcessId>,
    /// Seconds until it was unblocked.
    #[diesel(sql_type = Nullable<Double>)]
    pub blocked: Option<f64>,
    /// Seconds from then until that worker claimed it.
    #[diesel(sql_type = Nullable<Double>)]
    pub waited: Option<f64>,
    /// Seconds from then until now, or to its end.
    #[diesel(sql_type = Nullable<Double>)]
    pub ran: Option<f64>,
}

impl Facts {
    /// Reads them; `None` where there is no such task.
    ///
    /// # Errors
    /// As the session.
    pub async fn of(conn: &mut Conn, task: TaskId) -> QueryResult<Option<Self>> {
        sql_query("SELECT name, class, cid, attempt, worker, blocked, waited, ran FROM millrace_facts($1)")
            .bind::<SqlUuid, _>(task)
            .prepared()
            .get_result(conn)
            .await
            .optional()
    }
}
