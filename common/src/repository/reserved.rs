//! Tasks that name a version only, and rely on a reservation of its repository.

use crate::error::Error;
use crate::ids::RepositoryId;
use crate::models::Repository;
use crate::tasking::{Resources, TaskContext, TaskError};

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
    let found = Repository::find(&mut *ctx.session().await, ctx.domain(), id).await?;
    let row = found.ok_or(Error::NotFound { what: "Repository" })?;
    ctx.require(&needs(&row.pulp_type))?;
    Ok(row)
}
