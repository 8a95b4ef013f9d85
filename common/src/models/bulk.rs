//! Units, their files and where those can be fetched, a batch at a time.
//!
//! Rows come in the order of a key, so that two runs with the same units do not lock crosswise. Each look
//! goes through an index once a row: a subquery with `LIMIT` leaves the planner no other way, whatever it
//! knows of tables that grow within minutes.

use crate::db::{Conn, Prepare};
use crate::ids::{ArtifactId, ContentId, DomainId, RemoteId};
use crate::models::NewArtifact;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use std::collections::HashMap;
use uuid::Uuid;

/// A unit with one file, that is to be made or found.
#[derive(Clone, Debug)]
pub struct BulkUnit {
    /// What tells it apart in the domain.
    pub natural_key: Vec<u8>,
    /// What must be unique inside one version.
    pub repo_key: Vec<u8>,
    /// What is stored of it, as JSON text.
    pub fields: String,
    /// Where its file lies.
    pub relative_path: String,
    /// Its file, if it is stored.
    pub artifact: Option<ArtifactId>,
    /// Where its file can be fetched.
    pub url: String,
    /// Bytes of its file.
    pub size: i64,
    /// SHA-256 of its file.
    pub sha256: String,
}

#[derive(QueryableByName)]
struct Keyed {
    #[diesel(sql_type = SqlUuid)]
    pulp_id: ContentId,
    #[diesel(sql_type = Binary)]
    natural_key: Vec<u8>,
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = SqlUuid)]
    pulp_id: ArtifactId,
    #[diesel(sql_type = Text)]
    sha256: String,
}

#[derive(QueryableByName)]
struct Made {
    #[diesel(sql_type = SqlUuid)]
    pulp_id: ArtifactId,
    #[diesel(sql_type = Text)]
    storage_key: String,
}

/// New ids, in order.
fn new_ids(count: usize) -> Vec<Uuid> {
    std::iter::repeat_with(Uuid::now_v7).take(count).collect()
}

/// The artifacts of a domain with these digests, kept from being deleted until the transaction ends.
///
/// # Errors
/// As the session.
pub async fn keep_artifacts(
    conn: &mut Conn,
    domain: DomainId,
    sha256: &[&str],
) -> QueryResult<HashMap<String, ArtifactId>> {
    artifacts(conn, domain, sha256, "FOR KEY SHARE").await
}

/// The artifacts of a domain with these digests.
///
/// # Errors
/// As the session.
pub async fn stored_artifacts(
    conn: &mut Conn,
    domain: DomainId,
    sha256: &[&str],
) -> QueryResult<HashMap<String, ArtifactId>> {
    artifacts(conn, domain, sha256, "").await
}

async fn artifacts(
    conn: &mut Conn,
    domain: DomainId,
    sha256: &[&str],
    lock: &str,
) -> QueryResult<HashMap<String, ArtifactId>> {
    let mut sorted = sha256.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let found: Vec<Stored> = sql_query(format!(
        "SELECT a.pulp_id, a.sha256 FROM unnest($2) u (sha256) CROSS JOIN LATERAL \
           (SELECT pulp_id, sha256 FROM artifact \
             WHERE pulp_domain = $1 AND sha256 = u.sha256 LIMIT 1 {lock}) a"
    ))
    .bind::<SqlUuid, _>(domain)
    .bind::<Array<Text>, _>(sorted)
    .load(conn)
    .await?;
    Ok(found
        .into_iter()
        .map(|row| (row.sha256, row.pulp_id))
        .collect())
}

/// Inserts these artifacts but for those whose bytes the domain has already; gives the ids by key.
///
/// # Errors
/// As the session.
pub async fn insert_artifacts<'a>(
    conn: &mut Conn,
    domain: DomainId,
    rows: &'a [NewArtifact<'a>],
) -> QueryResult<HashMap<String, ArtifactId>> {
    type Column = for<'r> fn(&'r NewArtifact<'r>) -> Option<&'r str>;
    let texts = |of: Column| -> Vec<Option<&'a str>> { rows.iter().map(of).collect() };
    let made: Vec<Made> = sql_query(
        "INSERT INTO artifact (pulp_id, pulp_domain, storage_key, size, md5, sha1, sha224, sha256, sha384, sha512) \
         SELECT u.id, $1, u.key, u.size, u.md5, u.sha1, u.sha224, u.sha256, u.sha384, u.sha512 \
           FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10) \
                u (id, key, size, md5, sha1, sha224, sha256, sha384, sha512) \
          ORDER BY u.sha256 COLLATE \"C\" ON CONFLICT DO NOTHING RETURNING pulp_id, storage_key",
    )
    .bind::<SqlUuid, _>(domain)
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|row| row.pulp_id.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.storage_key.as_str()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.size).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(texts(|row| row.md5))
    .bind::<Array<Nullable<Text>>, _>(texts(|row| row.sha1))
    .bind::<Array<Nullable<Text>>, _>(texts(|row| row.sha224))
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.sha256).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(texts(|row| row.sha384))
    .bind::<Array<Nullable<Text>>, _>(texts(|row| row.sha512))
    .prepared()
    .load(conn)
    .await?;
    Ok(made
        .into_iter()
        .map(|row| (row.storage_key, row.pulp_id))
        .collect())
}

/// Makes or finds these units, which are kept from being deleted until the transaction ends; gives
/// their ids in the order given. Those that exist keep their labels.
///
/// # Errors
/// As the session.
pub async fn ensure_units(
    conn: &mut Conn,
    domain: DomainId,
    pulp_type: &str,
    units: &[BulkUnit],
) -> QueryResult<Vec<ContentId>> {
    let mut found: HashMap<Vec<u8>, ContentId> = HashMap::new();
    loop {
        let mut missing: Vec<&BulkUnit> = units.iter().collect();
        missing.retain(|unit| !found.contains_key(&unit.natural_key));
        if missing.is_empty() {
            break;
        }
        // Found first: an insert that conflicts costs more than a look, and most runs bring little new. What others have
        // made may be deleted before it is found: then once more.
        let mut keys: Vec<&[u8]> = missing.iter().map(|u| u.natural_key.as_slice()).collect();
        keys.sort_unstable();
        found.extend(find_units(conn, domain, pulp_type, &keys).await?);
        missing.retain(|unit| !found.contains_key(&unit.natural_key));
        if !missing.is_empty() {
            found.extend(insert_units(conn, domain, pulp_type, &missing).await?);
        }
    }
    Ok(units
        .iter()
        .filter_map(|unit| found.get(&unit.natural_key).copied())
        .collect())
}

/// Inserts these units but for those that the domain has already; gives the ids by key.
async fn insert_units(
    conn: &mut Conn,
    domain: DomainId,
    pulp_type: &str,
    units: &[&BulkUnit],
) -> QueryResult<HashMap<Vec<u8>, ContentId>> {
    let made: Vec<Keyed> = sql_query(
        "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields) \
         SELECT u.id, $1, $2, u.natural_key, u.repo_key, u.fields::jsonb \
           FROM unnest($3, $4, $5, $6) u (id, natural_key, repo_key, fields) \
          ORDER BY u.natural_key ON CONFLICT DO NOTHING RETURNING pulp_id, natural_key",
    )
    .bind::<SqlUuid, _>(domain)
    .bind::<Text, _>(pulp_type)
    .bind::<Array<SqlUuid>, _>(new_ids(units.len()))
    .bind::<Array<Binary>, _>(
        units
            .iter()
            .map(|u| u.natural_key.as_slice())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Binary>, _>(
        units
            .iter()
            .map(|u| u.repo_key.as_slice())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Text>, _>(units.iter().map(|u| u.fields.as_str()).collect::<Vec<_>>())
    .load(conn)
    .await?;
    Ok(by_key(made))
}

fn by_key(units: Vec<Keyed>) -> HashMap<Vec<u8>, ContentId> {
    units
        .into_iter()
        .map(|row| (row.natural_key, row.pulp_id))
        .collect()
}

async fn find_units(
    conn: &mut Conn,
    domain: DomainId,
    pulp_type: &str,
    keys: &[&[u8]],
) -> QueryResult<HashMap<Vec<u8>, ContentId>> {
    let found: Vec<Keyed> = sql_query(
        "SELECT c.pulp_id, c.natural_key FROM unnest($3) u (natural_key) CROSS JOIN LATERAL \
           (SELECT pulp_id, natural_key FROM content WHERE pulp_domain = $1 AND pulp_type = $2 \
               AND natural_key = u.natural_key LIMIT 1 FOR KEY SHARE) c",
    )
    .bind::<SqlUuid, _>(domain)
    .bind::<Text, _>(pulp_type)
    .bind::<Array<Binary>, _>(keys)
    .load(conn)
    .await?;
    Ok(by_key(found))
}

/// Gives units their files; a unit that lacks its file gets it, one that has it keeps it.
///
/// # Errors
/// As the session; a foreign key violation where an artifact has just been deleted.
pub async fn attach_files(
    conn: &mut Conn,
    ids: &[ContentId],
    units: &[BulkUnit],
) -> QueryResult<()> {
    // A conflict locks the row, though nothing is changed: rows that are right do not get that far.
    let artifacts: Vec<Option<Uuid>> = units.iter().map(|u| u.artifact.map(|id| id.0)).collect();
    sql_query(
        "INSERT INTO content_artifact AS have (pulp_id, content_id, artifact_id, relative_path) \
         SELECT u.id, u.content, u.artifact, u.path \
           FROM unnest($1, $2, $3, $4) u (id, content, artifact, path) \
           LEFT JOIN LATERAL (SELECT artifact_id, true AS there FROM content_artifact \
                WHERE content_id = u.content AND relative_path = u.path LIMIT 1) f ON true \
          WHERE f.there IS NULL OR (f.artifact_id IS NULL AND u.artifact IS NOT NULL) \
          ORDER BY u.content \
             ON CONFLICT (content_id, relative_path) DO UPDATE SET artifact_id = excluded.artifact_id \
          WHERE have.artifact_id IS NULL AND excluded.artifact_id IS NOT NULL",
    )
    .bind::<Array<SqlUuid>, _>(new_ids(units.len()))
    .bind::<Array<SqlUuid>, _>(ids.iter().map(|id| id.0).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(artifacts)
    .bind::<Array<Text>, _>(units.iter().map(|u| u.relative_path.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes where a remote has the files of units. What is noted already is left alone.
///
/// # Errors
/// As the session.
pub async fn note_sources(
    conn: &mut Conn,
    remote: RemoteId,
    ids: &[ContentId],
    units: &[BulkUnit],
) -> QueryResult<()> {
    // `IS NOT DISTINCT` keeps the planner from the index of a remote, which grows with every file.
    sql_query(
        "INSERT INTO remote_artifact AS have \
                (pulp_id, content_artifact_id, remote_id, url, size, sha256) \
         SELECT u.id, f.pulp_id, $1, u.url, u.size, u.sha256 \
           FROM unnest($2, $3, $4, $5, $6, $7) u (id, content, path, url, size, sha256) \
          CROSS JOIN LATERAL (SELECT pulp_id FROM content_artifact \
                               WHERE content_id = u.content AND relative_path = u.path LIMIT 1) f \
           LEFT JOIN LATERAL (SELECT url, size, sha256 FROM remote_artifact \
                WHERE content_artifact_id = f.pulp_id AND remote_id IS NOT DISTINCT FROM $1 \
                LIMIT 1) s ON true \
          WHERE (s.url, s.size, s.sha256) IS DISTINCT FROM (u.url, u.size, u.sha256) \
          ORDER BY f.pulp_id \
             ON CONFLICT (content_artifact_id, remote_id) DO UPDATE \
            SET url = excluded.url, size = excluded.size, sha256 = excluded.sha256, failed_at = NULL \
          WHERE (have.url, have.size, have.sha256) \
                IS DISTINCT FROM (excluded.url, excluded.size, excluded.sha256)",
    )
    .bind::<SqlUuid, _>(remote)
    .bind::<Array<SqlUuid>, _>(new_ids(units.len()))
    .bind::<Array<SqlUuid>, _>(ids.iter().map(|id| id.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(units.iter().map(|u| u.relative_path.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(units.iter().map(|u| u.url.as_str()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(units.iter().map(|u| u.size).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(units.iter().map(|u| u.sha256.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// True where one of these units lacks a file.
///
/// # Errors
/// As the session.
pub async fn any_without_file(conn: &mut Conn, ids: &[ContentId]) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        lacks: bool,
    }
    let row: Row = sql_query(
        "SELECT EXISTS (SELECT FROM unnest($1) u (id) CROSS JOIN LATERAL \
           (SELECT true FROM content_artifact \
             WHERE content_id = u.id AND artifact_id IS NULL LIMIT 1) f) AS lacks",
    )
    .bind::<Array<SqlUuid>, _>(ids.iter().map(|id| id.0).collect::<Vec<_>>())
    .get_result(conn)
    .await?;
    Ok(row.lacks)
}
