//! The one statement that an idle fleet costs.

use crate::config::Worker;
use crate::db::{Conn, Prepare};
use crate::error::Error;
use crate::ids::{ClaimId, TaskId};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use serde_json::Value;

/// A held task whose lock is free.
#[derive(Debug, Deserialize)]
pub(super) struct Lost {
    pub task: TaskId,
    pub claim: ClaimId,
    pub worker_gone: bool,
}

/// What needs care.
#[derive(Debug)]
pub(super) struct Found {
    pub lost: Vec<Lost>,
    pub overdue: bool,
    pub unconfirmed: bool,
    pub announced: Vec<String>,
    pub resume: bool,
    pub tombstones: bool,
    pub sweep_due: bool,
    pub sweep_after: String,
    pub schedules: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Jsonb)]
    lost: Value,
    #[diesel(sql_type = Bool)]
    overdue: bool,
    #[diesel(sql_type = Bool)]
    unconfirmed: bool,
    #[diesel(sql_type = Array<Text>)]
    announced: Vec<String>,
    #[diesel(sql_type = Bool)]
    resume: bool,
    #[diesel(sql_type = Bool)]
    tombstones: bool,
    #[diesel(sql_type = Bool)]
    sweep_due: bool,
    #[diesel(sql_type = Text)]
    sweep_after: String,
    #[diesel(sql_type = Bool)]
    schedules: bool,
}

pub(super) async fn look(conn: &mut Conn, settings: &Worker) -> Result<Option<Found>, Error> {
    // A little less than the period, so that timers that fire early do not skip a pass.
    let pass = settings.janitor_ms.0.saturating_mul(9) / 10;
    let row: Option<Row> = sql_query(
        "SELECT lost, overdue, unconfirmed, announced, resume, tombstones, sweep_due, sweep_after, schedules \
           FROM millrace_survey(make_interval(secs => $1::double precision / 1000), \
                                       make_interval(secs => $2::double precision))",
    )
    .bind::<BigInt, _>(i64::try_from(pass).unwrap_or(i64::MAX))
    .bind::<BigInt, _>(i64::try_from(settings.sweep_seconds).unwrap_or(i64::MAX))
    .prepared()
    .get_result(conn)
    .await
    .optional()?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Found {
        lost: serde_json::from_value(row.lost).map_err(Error::internal)?,
        overdue: row.overdue,
        unconfirmed: row.unconfirmed,
        announced: row.announced,
        resume: row.resume,
        tombstones: row.tombstones,
        sweep_due: row.sweep_due,
        sweep_after: row.sweep_after,
        schedules: row.schedules,
    }))
}
