//! The engine's SQL functions as a test calls them: no Rust of the engine in between.

use crate::{Sql, sql};
use serde_json::json;
use std::collections::BTreeSet;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

/// The default domain: every task shares it, unless it takes it alone.
pub const DOMAIN: &str = "prn:core.domain:00000000-0000-7000-8000-000000000001";
const DOMAIN_ID: &str = "00000000-0000-7000-8000-000000000001";

/// Lets tasks that are dispatched together wait for what is held for so long that a test can act meanwhile.
pub async fn lengthen_dispatch_wait(sql: &Sql) {
    let source = "pg_get_functiondef('millrace_dispatch_together'::regproc)";
    let source = sql.text(source).await;
    assert!(source.contains("'50ms'"), "{source}");
    sql.run(&source.replace("'50ms'", "'60s'")).await;
}

/// A task that is to be dispatched.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its id.
    pub id: Uuid,
    /// Its exclusive resources.
    pub exclusive: BTreeSet<String>,
    /// Its shared resources, with the domain.
    pub shared: BTreeSet<String>,
    /// False: where it cannot start at once, it is canceled.
    pub deferred: bool,
}

impl Wanted {
    /// One with these resources; the domain is added.
    pub fn new<S: ToString>(
        exclusive: impl IntoIterator<Item = S>,
        shared: impl IntoIterator<Item = S>,
    ) -> Self {
        let exclusive: BTreeSet<_> = exclusive.into_iter().map(|r| r.to_string()).collect();
        let mut shared: BTreeSet<_> = shared.into_iter().map(|r| r.to_string()).collect();
        shared.insert(DOMAIN.into());
        let shared = shared.difference(&exclusive).cloned().collect();
        Self {
            id: Uuid::now_v7(),
            exclusive,
            shared,
            deferred: true,
        }
    }

    /// The same, to start at once or never.
    #[must_use]
    pub fn at_once(self) -> Self {
        Self {
            deferred: false,
            ..self
        }
    }

    fn row(&self) -> serde_json::Value {
        json!({
            "id": self.id, "domain": DOMAIN_ID, "name": "test.task", "class": "default",
            "cid": "c", "enc_args": "-", "exclusive": self.exclusive, "shared": self.shared,
            "versions": {}, "immediate": false, "deferred": self.deferred, "rerun_after_loss": true,
        })
    }
}

/// Dispatches in one transaction; gives the tickets.
///
/// # Errors
/// The database's.
pub async fn dispatch(sql: &Sql, tasks: &[Wanted]) -> Result<Vec<i64>, tokio_postgres::Error> {
    let rows = serde_json::Value::from(tasks.iter().map(Wanted::row).collect::<Vec<_>>());
    let statement = "SELECT ticket FROM millrace_dispatch($1::text::jsonb) ORDER BY ticket";
    let rows = sql.query(statement, &[&rows.to_string()]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Dispatches those that nobody is in the way of, in one transaction; gives their ids and tickets.
///
/// # Errors
/// The database's.
pub async fn dispatch_free(
    sql: &Sql,
    tasks: &[Wanted],
) -> Result<Vec<(Uuid, i64)>, tokio_postgres::Error> {
    let tried = dispatch_together(sql, tasks, &[], false).await?;
    let recorded = |(id, ticket): (Uuid, Option<i64>)| Some((id, ticket?));
    Ok(tried.into_iter().filter_map(recorded).collect())
}

/// As [`dispatch_free`], with objects that tasks use; waits a moment for lanes that somebody has locked, or for nothing. Those
/// of which somebody has locked one come last, without a ticket.
///
/// # Errors
/// The database's.
pub async fn dispatch_together(
    sql: &Sql,
    tasks: &[Wanted],
    uses: &[(Uuid, Uuid)],
    waits: bool,
) -> Result<Vec<(Uuid, Option<i64>)>, tokio_postgres::Error> {
    let rows = serde_json::Value::from(tasks.iter().map(Wanted::row).collect::<Vec<_>>());
    let list = |ids: Vec<String>| format!("{{{}}}", ids.join(","));
    let users = list(uses.iter().map(|(task, _)| task.to_string()).collect());
    let objects = list(uses.iter().map(|(_, object)| object.to_string()).collect());
    let statement = "SELECT pulp_id::text, ticket
        FROM millrace_dispatch_together($1::text::jsonb, $2::text::uuid[], $3::text::uuid[], $4) ORDER BY ticket";
    let rows = sql
        .query(statement, &[&rows.to_string(), &users, &objects, &waits])
        .await?;
    let of = |row: &tokio_postgres::Row| {
        let id = row.get::<_, &str>(0).parse().unwrap_or_default();
        (id, row.get(1))
    };
    Ok(rows.iter().map(of).collect())
}

/// Claims a task for this session; gives the outcome.
///
/// # Errors
/// The database's.
pub async fn claim(sql: &Sql, id: Uuid, claim: Uuid) -> Result<String, tokio_postgres::Error> {
    let statement = "SELECT outcome FROM millrace_claim($1::text::uuid, 'test.task', $2::text::uuid, gen_random_uuid())";
    let row = sql
        .query_one(statement, &[&id.to_string(), &claim.to_string()])
        .await?;
    Ok(row.get(0))
}

/// Takes the locks of a task for this session; gives the outcome.
///
/// # Errors
/// The database's.
pub async fn lock(sql: &Sql, id: Uuid) -> Result<String, tokio_postgres::Error> {
    let statement = "SELECT outcome FROM millrace_lock_task($1::text::uuid, 'test.task')";
    let row = sql.query_one(statement, &[&id.to_string()]).await?;
    Ok(row.get(0))
}

/// Claims tasks whose locks are held, in one transaction, each under a token; gives the claims that were made.
///
/// # Errors
/// The database's.
pub async fn claim_together(
    sql: &Sql,
    claims: &[(Uuid, Uuid)],
) -> Result<Vec<(Uuid, Uuid)>, tokio_postgres::Error> {
    let list = |ids: Vec<String>| format!("{{{}}}", ids.join(","));
    let tasks = list(claims.iter().map(|(task, _)| task.to_string()).collect());
    let tokens = list(claims.iter().map(|(_, token)| token.to_string()).collect());
    let statement = "SELECT claim::text
        FROM millrace_claim_together($1::text::uuid[], $2::text::uuid[], gen_random_uuid())";
    let rows = sql.query(statement, &[&tasks, &tokens]).await?;
    let made: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let is_made = |(_, token): &&(Uuid, Uuid)| made.contains(&token.to_string());
    Ok(claims.iter().filter(is_made).copied().collect())
}

/// Ends a running task and frees its locks; gives whether successors were left to a continuation.
/// Like the engine, tries again when it was a deadlock's victim, and counts that.
///
/// # Errors
/// The database's.
pub async fn finish(
    sql: &Sql,
    id: Uuid,
    batch: i32,
) -> Result<(Option<String>, u32), tokio_postgres::Error> {
    let outcome = end(sql, id, "{running,canceling}", "completed", batch).await?;
    sql.batch_execute("SELECT pg_advisory_unlock_all()").await?;
    Ok(outcome)
}

/// As [`finish`], the way of a run with a last write: what it needs is held first, in the same transaction.
///
/// # Errors
/// The database's.
pub async fn finish_with_write(
    sql: &Sql,
    id: Uuid,
) -> Result<(Option<String>, u32), tokio_postgres::Error> {
    let hold = format!(
        "SELECT millrace_hold(pulp_id, claim_id, '{{}}', '{{}}') FROM task WHERE pulp_id = '{id}'"
    );
    let end = format!(
        "SELECT final_state FROM millrace_settle('[{{\"task\": \"{id}\", \"to\": \"completed\", \"created\": []}}]',
            '{{running,canceling}}', is_held => true) WHERE task_id IS NOT NULL"
    );
    let mut deadlocks = 0;
    let state = loop {
        sql.batch_execute("BEGIN").await?;
        let ended = async {
            sql.query_one(&hold, &[]).await?;
            let row = sql.query_opt(&end, &[]).await?;
            sql.batch_execute("COMMIT").await?;
            Ok(row.map(|row| row.get(0)))
        };
        match ended.await {
            Ok(state) => break state,
            Err(e) if sql::is_retryable(&e) && deadlocks < 8 => deadlocks += 1,
            Err(e) => return Err(e),
        }
        sql.batch_execute("ROLLBACK").await?;
    };
    sql.batch_execute("SELECT pg_advisory_unlock_all()").await?;
    Ok((state, deadlocks))
}

/// Cancels a waiting task; nothing when it does not wait.
///
/// # Errors
/// The database's.
pub async fn cancel(
    sql: &Sql,
    id: Uuid,
    batch: i32,
) -> Result<(Option<String>, u32), tokio_postgres::Error> {
    end(sql, id, "{waiting}", "canceled", batch).await
}

async fn end(
    sql: &Sql,
    id: Uuid,
    from: &str,
    to: &str,
    batch: i32,
) -> Result<(Option<String>, u32), tokio_postgres::Error> {
    let statement = "SELECT final_state FROM millrace_settle(
        jsonb_build_array(jsonb_build_object('task', $1::text, 'to', $3::text)), $2::text::text[], $4)
        WHERE task_id IS NOT NULL";
    let mut deadlocks = 0;
    loop {
        match sql
            .query_opt(statement, &[&id.to_string(), &from, &to, &batch])
            .await
        {
            Ok(row) => return Ok((row.map(|row| row.get(0)), deadlocks)),
            Err(e) if sql::is_retryable(&e) && deadlocks < 8 => deadlocks += 1,
            Err(e) => return Err(e),
        }
    }
}

/// Ends running tasks of this session in one transaction, and those of which a lane was busy each alone, and frees their
/// locks; gives how many had a transaction of their own.
///
/// # Errors
/// The database's.
pub async fn finish_together(sql: &Sql, ids: &[Uuid]) -> Result<usize, tokio_postgres::Error> {
    let mut alone = ids.to_vec();
    match settle(sql, ids).await {
        Ok(ended) => alone.retain(|id| !ended.contains(&(*id, Some("completed".to_owned())))),
        // Somebody held a row of one of them, or it was a deadlock's victim.
        Err(error) if sql::is_retryable(&error) => {}
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {}
        Err(error) => return Err(error),
    }
    for id in &alone {
        end(sql, *id, "{running,canceling}", "completed", 500).await?;
    }
    sql.batch_execute("SELECT pg_advisory_unlock_all()").await?;
    Ok(alone.len())
}

/// Completes running tasks in one transaction; gives what became of each that was found: its state, or nothing where
/// a lane of it was busy.
///
/// # Errors
/// The database's.
pub async fn settle(
    sql: &Sql,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, Option<String>)>, tokio_postgres::Error> {
    let endings: Vec<_> = ids
        .iter()
        .map(|id| json!({"task": id, "to": "completed"}))
        .collect();
    let statement = "SELECT task_id::text, final_state FROM millrace_settle($1::text::jsonb, '{running,canceling}')
        WHERE task_id IS NOT NULL";
    let endings = serde_json::Value::from(endings).to_string();
    let rows = sql.query(statement, &[&endings]).await?;
    let of = |row: &tokio_postgres::Row| {
        (
            row.get::<_, &str>(0).parse().unwrap_or_default(),
            row.get(1),
        )
    };
    Ok(rows.iter().map(of).collect())
}

/// Gives a running task back to its place and frees its locks.
///
/// # Errors
/// The database's.
pub async fn hand_back(sql: &Sql, id: Uuid, claim: Uuid) -> Result<bool, tokio_postgres::Error> {
    let statement = "SELECT millrace_hand_back($1::text::uuid, $2::text::uuid, 'shutdown')";
    let row = sql
        .query_one(statement, &[&id.to_string(), &claim.to_string()])
        .await?;
    sql.batch_execute("SELECT pg_advisory_unlock_all()").await?;
    Ok(row.get(0))
}

/// Goes on with continuations until there are none; gives how many steps that took.
///
/// # Errors
/// The database's.
pub async fn resume_all(sql: &Sql, batch: i32) -> Result<u32, tokio_postgres::Error> {
    let mut steps = 0;
    loop {
        let statement = "SELECT 1 FROM millrace_resume($1)";
        match sql.query_opt(statement, &[&batch]).await {
            Ok(Some(_)) => steps += 1,
            Ok(None) => return Ok(steps),
            Err(e) if sql::is_retryable(&e) => {}
            Err(e) => return Err(e),
        }
    }
}

/// A task as the rows show it.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// The task.
    pub id: Uuid,
    /// Its state.
    pub state: String,
    /// Unblocked, by its own row.
    pub unblocked: bool,
    /// All of its reservations agree with that.
    pub consistent: bool,
}

/// The incomplete tasks in the order of their tickets.
pub async fn incomplete(sql: &Sql) -> Vec<Seen> {
    let statement = "SELECT t.pulp_id::text, t.state, t.unblocked_at IS NOT NULL,
               bool_and(r.granted = (t.unblocked_at IS NOT NULL)) AND count(*) = max(cardinality(t.reserved_resources_record))
          FROM task t JOIN reservation r ON r.task_id = t.pulp_id
         WHERE t.state IN ('waiting', 'running', 'canceling') GROUP BY t.pulp_id ORDER BY t.ticket";
    let rows = sql.query(statement, &[]).await.unwrap();
    rows.iter()
        .map(|row| Seen {
            id: row.get::<_, &str>(0).parse().unwrap(),
            state: row.get(1),
            unblocked: row.get(2),
            consistent: row.get(3),
        })
        .collect()
}

/// Sweeps all lanes as the janitor does; gives the repairs, which must be none.
pub async fn repairs(sql: &Sql) -> i64 {
    let mut after = String::new();
    let mut repaired = 0;
    loop {
        let statement = "SELECT last, repaired FROM millrace_sweep($1, 1000)";
        let row = sql.query_one(statement, &[&after]).await.unwrap();
        repaired += row.get::<_, i64>(1);
        match row.get::<_, Option<String>>(0) {
            Some(last) => after = last,
            None => return repaired,
        }
    }
}
