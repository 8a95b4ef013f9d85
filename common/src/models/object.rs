//! Finding objects of any kind by id, many at once: what a task made is named by PRN only.

use crate::db::Conn;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use std::collections::HashMap;
use uuid::Uuid;

/// Where an object is: enough to make its address.
#[derive(Clone, Debug, QueryableByName)]
pub struct Located {
    /// Its id.
    #[diesel(sql_type = SqlUuid)]
    pub pulp_id: Uuid,
    /// `artifact`, `content`, `repository`, `version`, `remote`, `publication`, `distribution`,
    /// `upload`, `task`, `task_group`, `exporter` or `export`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// Type of objects of a table that holds several.
    #[diesel(sql_type = Nullable<Text>)]
    pub pulp_type: Option<String>,
    /// The repository of a version, the exporter of an export.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub owner: Option<Uuid>,
    /// The number of a version.
    #[diesel(sql_type = Nullable<Integer>)]
    pub number: Option<i32>,
}

/// Finds those of these objects that exist and are complete, in one statement.
///
/// # Errors
/// As the session.
pub async fn locate(conn: &mut Conn, ids: &[Uuid]) -> QueryResult<HashMap<Uuid, Located>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<Located> = sql_query(include_str!("object_locate.sql"))
        .bind::<Array<SqlUuid>, _>(ids)
        .load(conn)
        .await?;
    Ok(found.into_iter().map(|one| (one.pulp_id, one)).collect())
}

#[derive(QueryableByName)]
struct VersionKey {
    #[diesel(sql_type = SqlUuid)]
    repository_id: Uuid,
    #[diesel(sql_type = Integer)]
    number: i32,
    #[diesel(sql_type = SqlUuid)]
    pulp_id: Uuid,
}

/// Ids of complete repository versions by repository and number.
///
/// # Errors
/// As the session.
pub async fn version_ids(
    conn: &mut Conn,
    wanted: &[(Uuid, i32)],
) -> QueryResult<HashMap<(Uuid, i32), Uuid>> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let (repositories, numbers): (Vec<Uuid>, Vec<i32>) = wanted.iter().copied().unzip();
    let found: Vec<VersionKey> = sql_query(
        "SELECT v.repository_id, v.number, v.pulp_id FROM unnest($1, $2) w(repository, number) \
         JOIN repository_version v ON v.repository_id = w.repository AND v.number = w.number AND v.complete",
    )
    .bind::<Array<SqlUuid>, _>(repositories)
    .bind::<Array<Integer>, _>(numbers)
    .load(conn)
    .await?;
    Ok(found
        .into_iter()
        .map(|v| ((v.repository_id, v.number), v.pulp_id))
        .collect())
}
