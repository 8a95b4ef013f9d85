//! Whether sessions lead to the server itself.

use super::{Conn, TextRow};
use crate::error::Error;
use diesel::sql_types::{Bool, Integer};
use diesel::{QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

#[derive(QueryableByName)]
struct Unlocked {
    #[diesel(sql_type = Bool)]
    unlocked: bool,
}

#[derive(QueryableByName)]
struct Pid {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

/// See [`super::Db::require_direct_sessions`].
pub(super) async fn require(probe: &mut Conn, other: &mut Conn) -> Result<(), Error> {
    let pid = "SELECT pg_backend_pid() AS pid";
    let first: Pid = sql_query(pid).get_result(probe).await?;
    sql_query("SELECT pg_advisory_lock(7115, pg_backend_pid())")
        .execute(probe)
        .await?;
    // An idle pooler would give the same server session again, were it not taken meanwhile.
    other.batch_execute("BEGIN; SELECT 1").await?;
    let second: Pid = sql_query(pid).get_result(probe).await?;
    let Unlocked { unlocked } =
        sql_query("SELECT pg_advisory_unlock(7115, pg_backend_pid()) AS unlocked")
            .get_result(probe)
            .await?;
    other.batch_execute("ROLLBACK").await?;
    if first.pid != second.pid || !unlocked {
        return Err(Error::invalid(
            "database.url",
            "leads to a pooler in transaction mode; session locks need a direct connection",
        ));
    }
    let messages: TextRow = sql_query("SELECT current_setting('lc_messages') AS value")
        .get_result(probe)
        .await?;
    let language = messages.value.to_lowercase();
    let english = ["", "c", "posix", "en"];
    if !language
        .split(['.', '_'])
        .next()
        .is_some_and(|first| english.contains(&first))
    {
        return Err(Error::Conflict(format!(
            "PostgreSQL speaks `{}`: set lc_messages = 'C' for this database",
            messages.value
        )));
    }
    Ok(())
}
