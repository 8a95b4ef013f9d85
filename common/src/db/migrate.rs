//! Applying the migrations.

use super::{Conn, MIGRATIONS, TextRow, connect};
use crate::config::Database;
use crate::error::Error;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Text};
use diesel::{OptionalExtension, QueryResult, QueryableByName, sql_query};
use diesel_async::{AsyncMigrationHarness, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::MigrationHarness;
use std::collections::HashSet;
use std::time::Duration;

/// Between two attempts to have the turn.
const PAUSE: Duration = Duration::from_millis(200);

/// A migration that is not applied yet.
struct Next {
    version: String,
    /// What it is called, without its number.
    title: String,
    in_transaction: bool,
}

/// The server ends what a program that is gone has begun within moments, and so rolls it back.
const SETUP: &str = "SET client_connection_check_interval = '300ms'";

/// Brings the database to this program's schema; processes that start together take turns, however long one
/// takes. May be run again after it died anywhere.
///
/// # Errors
/// [`Error::Unavailable`], or a migration that fails. It is rolled back, or, outside a transaction, tried anew by
/// the next run; those before it stay applied.
pub async fn migrate(settings: &Database) -> Result<Vec<String>, Error> {
    let mut conn = connect(settings, "millrace migrate", SETUP, None)
        .await?
        .conn;
    take_turn(&mut conn).await?;
    let mut done = Vec::new();
    loop {
        let mut harness = AsyncMigrationHarness::new(conn);
        let next = next(&mut harness)?;
        conn = harness.into_inner();
        let Some(next) = next else { return Ok(done) };
        prepare(&mut conn, &next).await?;
        let mut harness = AsyncMigrationHarness::new(conn);
        tokio::task::block_in_place(|| harness.run_next_migration(MIGRATIONS).map(drop))
            .map_err(Error::Internal)?;
        conn = harness.into_inner();
        done.push(next.version);
    }
}

/// A statement that waits for the turn would be waited for itself by an index that is built meanwhile: asked again
/// and again, nobody waits for the other.
async fn take_turn(conn: &mut Conn) -> Result<(), Error> {
    #[derive(QueryableByName)]
    struct Turn {
        #[diesel(sql_type = Bool)]
        mine: bool,
    }
    loop {
        let turn: Turn = sql_query("SELECT pg_try_advisory_lock(7114, 1) AS mine")
            .get_result(conn)
            .await?;
        if turn.mine {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn next(harness: &mut AsyncMigrationHarness<Conn>) -> Result<Option<Next>, Error> {
    let pending = tokio::task::block_in_place(|| harness.pending_migrations(MIGRATIONS))
        .map_err(Error::Internal)?;
    Ok(pending.into_iter().next().map(|migration| {
        let name = migration.name().to_string();
        Next {
            version: migration.name().version().to_string(),
            title: name
                .split_once('_')
                .map_or_else(String::new, |(_, title)| title.to_owned()),
            in_transaction: migration.metadata().run_in_transaction(),
        }
    }))
}

/// A migration in a transaction waits for no lock for long: others queue behind it. One outside builds or drops the
/// index that it is named after, which stops nobody and waits for whoever is at work; what is left of an attempt
/// that was interrupted goes first.
async fn prepare(conn: &mut Conn, next: &Next) -> Result<(), Error> {
    if next.in_transaction {
        return Ok(conn.batch_execute("SET lock_timeout = '60s'").await?);
    }
    conn.batch_execute("SET lock_timeout = 0").await?;
    let broken: Option<TextRow> = sql_query(
        "SELECT indexrelid::regclass::text AS value FROM pg_index \
          WHERE indexrelid = to_regclass(quote_ident($1)) AND NOT indisvalid",
    )
    .bind::<Text, _>(&next.title)
    .get_result(conn)
    .await
    .optional()?;
    if let Some(TextRow { value }) = broken {
        conn.batch_execute(&format!("DROP INDEX CONCURRENTLY {value}"))
            .await?;
    }
    Ok(())
}

/// True where the database has all migrations of this program. It may have more: those of a newer one, which
/// this program works with.
///
/// # Errors
/// As the session.
pub async fn is_migrated(conn: &mut Conn) -> QueryResult<bool> {
    Ok(lacking(conn).await?.is_empty())
}

/// The migrations of this program that the database lacks. Only reads: a role that may not make tables can ask.
///
/// # Errors
/// [`Error::Unavailable`] when the database cannot be reached.
pub async fn pending_migrations(settings: &Database) -> Result<Vec<String>, Error> {
    let mut conn = connect(settings, "millrace migrate", "", None).await?.conn;
    let notes: Option<TextRow> = sql_query(
        "SELECT n::text AS value FROM to_regclass('__diesel_schema_migrations') n WHERE n IS NOT NULL",
    )
    .get_result(&mut conn)
    .await
    .optional()?;
    if notes.is_none() {
        return Ok(names(|_| true)?);
    }
    Ok(lacking(&mut conn).await?)
}

async fn lacking(conn: &mut Conn) -> QueryResult<Vec<String>> {
    let applied: Vec<TextRow> =
        sql_query("SELECT version::text AS value FROM __diesel_schema_migrations")
            .load(conn)
            .await?;
    let applied: HashSet<String> = applied.into_iter().map(|row| row.value).collect();
    names(|version| !applied.contains(version))
}

/// Those of this program's migrations whose version is so, in their order.
fn names(is: impl Fn(&str) -> bool) -> QueryResult<Vec<String>> {
    let all = MigrationSource::<Pg>::migrations(&MIGRATIONS)
        .map_err(diesel::result::Error::DeserializationError)?;
    let wanted = all.iter().map(|migration| migration.name());
    let wanted = wanted.filter(|name| is(&name.version().to_string()));
    let mut names: Vec<String> = wanted.map(ToString::to_string).collect();
    names.sort_unstable();
    Ok(names)
}
