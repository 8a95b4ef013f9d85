//! Making repositories.

use crate::db::Conn;
use crate::models::{Repository, RepositoryVersion};
use diesel::prelude::*;

/// Inserts a repository with its empty version 0. Call it in a transaction.
///
/// # Errors
/// A unique violation when the domain has a repository of this name.
pub async fn create(conn: &mut Conn, repository: &Repository) -> QueryResult<()> {
    let row = Repository {
        next_version: 1,
        ..repository.clone()
    };
    row.insert(conn).await?;
    RepositoryVersion::insert(conn, repository.pulp_id, 0, None, None).await?;
    Ok(())
}
