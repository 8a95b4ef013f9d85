//! Units on their way in: the lines of a file in a table of the session, and from there into their rows.

use crate::db::Conn;
use crate::ids::DomainId;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use uuid::Uuid;

/// A unit that is to come.
#[derive(Clone, Debug)]
pub struct ImportedUnit {
    /// Its line.
    pub line: i64,
    /// Its id; `None`: a new one.
    pub id: Option<Uuid>,
    /// What tells it apart in the domain.
    pub natural_key: Vec<u8>,
    /// What must be unique inside one version.
    pub repo_key: Option<Vec<u8>>,
    /// Its fields, as JSON text.
    pub fields: String,
    /// Where it lies.
    pub path: Option<String>,
}

/// A line that cannot come.
#[derive(Clone, Debug, QueryableByName)]
pub struct Clash {
    /// The line.
    #[diesel(sql_type = BigInt)]
    pub line: i64,
    /// The line that is in its way; `None`: a unit that is there already.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub other: Option<i64>,
    /// The fields of the line, as JSON text.
    #[diesel(sql_type = Text)]
    pub fields: String,
    /// The id of the line.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub id: Option<Uuid>,
}

/// Makes the table, in the transaction that it goes with.
///
/// # Errors
/// As the session.
pub async fn begin(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute(
        "CREATE TEMPORARY TABLE unit_import (line bigint PRIMARY KEY, id uuid, natural_key bytea NOT NULL, \
             repo_key bytea, fields jsonb NOT NULL, path text) ON COMMIT DROP",
    )
    .await
}

/// Adds lines.
///
/// # Errors
/// As the session.
pub async fn add(conn: &mut Conn, units: &[ImportedUnit]) -> QueryResult<()> {
    fn column<'u, T>(units: &'u [ImportedUnit], of: impl Fn(&'u ImportedUnit) -> T) -> Vec<T> {
        units.iter().map(of).collect()
    }
    sql_query(
        "INSERT INTO unit_import (line, id, natural_key, repo_key, fields, path) \
         SELECT line, id, natural_key, repo_key, fields::jsonb, path \
           FROM unnest($1, $2, $3, $4, $5, $6) u (line, id, natural_key, repo_key, fields, path)",
    )
    .bind::<Array<BigInt>, _>(column(units, |u| u.line))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(units, |u| u.id))
    .bind::<Array<Binary>, _>(column(units, |u| u.natural_key.as_slice()))
    .bind::<Array<Nullable<Binary>>, _>(column(units, |u| u.repo_key.as_deref()))
    .bind::<Array<Text>, _>(column(units, |u| u.fields.as_str()))
    .bind::<Array<Nullable<Text>>, _>(column(units, |u| u.path.as_deref()))
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the table ready to be looked at, once all lines are in it.
///
/// # Errors
/// As the session.
pub async fn index(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute(
        "CREATE INDEX ON pg_temp.unit_import (natural_key, line); \
         CREATE INDEX ON pg_temp.unit_import (id, line) WHERE id IS NOT NULL; \
         ANALYZE pg_temp.unit_import",
    )
    .await
}

/// The first lines whose key another line before them has.
///
/// # Errors
/// As the session.
pub async fn repeated_keys(conn: &mut Conn, limit: i64) -> QueryResult<Vec<Clash>> {
    let clashes = repeated("natural_key");
    sql_query(format!("{clashes} ORDER BY u.line LIMIT $1"))
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await
}

/// The first lines whose id another line before them has.
///
/// # Errors
/// As the session.
pub async fn repeated_ids(conn: &mut Conn, limit: i64) -> QueryResult<Vec<Clash>> {
    let clashes = repeated("id");
    sql_query(format!("{clashes} ORDER BY u.line LIMIT $1"))
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await
}

fn repeated(column: &str) -> String {
    format!(
        "SELECT u.line, o.line AS other, u.fields::text AS fields, u.id FROM unit_import u CROSS JOIN LATERAL \
           (SELECT line FROM unit_import WHERE {column} = u.{column} ORDER BY line LIMIT 1) o \
          WHERE o.line < u.line"
    )
}

/// The first lines whose key a unit of this type has.
///
/// # Errors
/// As the session.
pub async fn known_keys(
    conn: &mut Conn,
    domain: DomainId,
    row_type: &str,
    limit: i64,
) -> QueryResult<Vec<Clash>> {
    sql_query(
        "SELECT u.line, NULL::bigint AS other, u.fields::text AS fields, u.id FROM unit_import u \
           JOIN content c ON c.pulp_domain = $1 AND c.pulp_type = $2 AND c.natural_key = u.natural_key \
          ORDER BY u.line LIMIT $3",
    )
    .bind::<SqlUuid, _>(domain)
    .bind::<Text, _>(row_type)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await
}

/// The first lines whose id a unit has.
///
/// # Errors
/// As the session.
pub async fn known_ids(conn: &mut Conn, limit: i64) -> QueryResult<Vec<Clash>> {
    sql_query(
        "SELECT u.line, NULL::bigint AS other, u.fields::text AS fields, u.id FROM unit_import u \
           JOIN content c ON c.pulp_id = u.id ORDER BY u.line LIMIT $1",
    )
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await
}

/// Drops the lines whose key another line before them, or a unit of this type, has; gives how many.
///
/// # Errors
/// As the session.
pub async fn drop_known(conn: &mut Conn, domain: DomainId, row_type: &str) -> QueryResult<usize> {
    let repeated = sql_query(
        "DELETE FROM unit_import u WHERE EXISTS \
           (SELECT FROM unit_import o WHERE o.natural_key = u.natural_key AND o.line < u.line)",
    )
    .execute(conn)
    .await?;
    let known = sql_query(
        "DELETE FROM unit_import u USING content c \
          WHERE c.pulp_domain = $1 AND c.pulp_type = $2 AND c.natural_key = u.natural_key",
    )
    .bind::<SqlUuid, _>(domain)
    .bind::<Text, _>(row_type)
    .execute(conn)
    .await?;
    Ok(repeated + known)
}

/// Keeps what units that are gone have stored from being removed until the transaction ends: new units may lie there.
/// Waits for who is removing something.
///
/// # Errors
/// As the session.
pub async fn keep_stored(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute("SELECT pg_advisory_xact_lock(hashtextextended('unit storage', 7121))")
        .await
}

/// Makes the units of the next lines behind this one; gives how many, and the last of the lines.
///
/// # Errors
/// As the session; a unique violation where such a unit was made meanwhile.
pub async fn make_units(
    conn: &mut Conn,
    domain: DomainId,
    row_type: &str,
    behind: i64,
    limit: i64,
) -> QueryResult<(i64, Option<i64>)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        made: i64,
        #[diesel(sql_type = Nullable<BigInt>)]
        last: Option<i64>,
    }
    let row: Row = sql_query(include_str!("unit_import_make.sql"))
        .bind::<SqlUuid, _>(domain)
        .bind::<Text, _>(row_type)
        .bind::<BigInt, _>(behind)
        .bind::<BigInt, _>(limit)
        .get_result(conn)
        .await?;
    Ok((row.made, row.last))
}

/// Lets the server know that there are many more units than before.
///
/// # Errors
/// As the session.
pub async fn analyze(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute("ANALYZE content, unit_storage").await
}
