//! Tasks that name a version only, and rely on a reservation of its repository.

use crate::error::Error;
use crate::ids::RepositoryId;
use crate::models::{Repository, RepositoryVersion};
use crate::tasking::{Resources, TaskContext, TaskError};
use futures_util::join;

/// The repository; fails unless the task has reserved what it needs of it. `needs` is given the repository's
/// type.
///
/// # Errors
/// A text for the client where something is not reserved, or the repository is not there; else as the
/// session.
pub async fn require_reserved(
    ctx: &TaskContext,
    id: RepositoryId,
    needs: impl FnOnce(&str) -> Resources,
) -> Result<Repository, TaskError> {
    let found = Repository::find(&*ctx.session().await, ctx.domain(), id).await?;
    check(ctx, found, needs)
}

/// As [`require_reserved`], with the repository's newest version, complete or not ([`RepositoryVersion::last`]).
///
/// # Errors
/// As [`require_reserved`].
pub async fn require_reserved_with_last(
    ctx: &TaskContext,
    id: RepositoryId,
    needs: impl FnOnce(&str) -> Resources,
) -> Result<(Repository, Option<RepositoryVersion>), TaskError> {
    let (found, last) = {
        let session = ctx.session().await;
        let conn = &*session;
        // In one round trip.
        join!(
            Repository::find(conn, ctx.domain(), id),
            RepositoryVersion::last(conn, id)
        )
    };
    Ok((check(ctx, found?, needs)?, last?))
}

fn check(
    ctx: &TaskContext,
    found: Option<Repository>,
    needs: impl FnOnce(&str) -> Resources,
) -> Result<Repository, TaskError> {
    let row = found.ok_or(Error::NotFound { what: "Repository" })?;
    ctx.require(&needs(&row.pulp_type))?;
    Ok(row)
}
