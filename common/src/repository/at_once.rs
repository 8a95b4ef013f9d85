//! Writing a version of few units in one transaction, unseen as any other.

use super::finish::{Draft, refuse_duplicates};
use super::new_version::{BATCH, NewVersion, check_kinds, discard_stale};
use crate::db::Conn;
use crate::error::Error;
use crate::ids::ContentId;
use crate::models::{Changes, Content, Repository, RepositoryContent, RepositoryVersion};
use crate::tasking::{TaskContext, TaskError};

/// What came of an attempt.
enum Written {
    Version(Box<NewVersion>, Changes),
    Nothing,
    /// Something that an earlier run left is in the way.
    Stale,
}

impl NewVersion {
    /// True where so many units may be written at once.
    #[must_use]
    pub fn may_be_written_at_once(units: usize) -> bool {
        i64::try_from(units).is_ok_and(|units| units <= BATCH)
    }

    /// Writes what the newest version holds, less some units, plus others, by the rules of contract 1.8: as
    /// [`NewVersion::open`], [`NewVersion::remove`], [`NewVersion::add`] and [`NewVersion::finish`] do it one after
    /// another, but whole or not at all. `None`: nothing changes.
    ///
    /// # Errors
    /// As those; nothing is left of it then.
    pub async fn write_at_once(
        ctx: &TaskContext,
        row: &Repository,
        add: &[ContentId],
        remove: &[ContentId],
    ) -> Result<Option<Draft>, TaskError> {
        loop {
            let attempt =
                ctx.fenced_briefly(async |conn| attempt(ctx, conn, row, add, remove).await);
            match attempt.await? {
                Written::Version(version, changes) => {
                    return version.draft(ctx, row, changes).await.map(Some);
                }
                Written::Nothing => return Ok(None),
                Written::Stale => discard_stale(ctx, row.pulp_id).await?,
            }
        }
    }
}

async fn attempt(
    ctx: &TaskContext,
    conn: &mut Conn,
    row: &Repository,
    add: &[ContentId],
    remove: &[ContentId],
) -> Result<Written, TaskError> {
    let (id, domain) = (row.pulp_id, row.pulp_domain);
    if !add.is_empty() {
        let kinds = Content::kinds(conn, add).await?;
        check_kinds(ctx, domain, &row.pulp_type, kinds)?;
    }
    let row = Repository::lock(conn, domain, id).await?;
    let row = row.ok_or(Error::NotFound { what: "Repository" })?;
    let previous = RepositoryVersion::last(conn, id).await?;
    if previous.as_ref().is_some_and(|last| !last.complete) {
        return Ok(Written::Stale);
    }
    let mut version = NewVersion::unwritten(&row, previous);
    let (place, claim) = (version.membership(), Some(ctx.claim()));
    version.id = RepositoryVersion::insert(conn, id, place.number, None, claim).await?;
    let mut changed = [add, remove].concat();
    if remove.is_empty() {
        RepositoryContent::insert(conn, place, domain, add).await?;
    } else {
        RepositoryContent::remove(conn, place, remove).await?;
        RepositoryContent::add(conn, place, domain, add).await?;
    }
    if !add.is_empty() {
        changed.extend(replace(ctx, conn, &version, add).await?);
        let types = ctx.content()?;
        types.validate_version(conn, &version, add).await?;
    }
    let changes = RepositoryContent::count_of(conn, place, &changed).await?;
    if changes.is_empty() {
        RepositoryVersion::delete(conn, version.id).await?;
        return Ok(Written::Nothing);
    }
    Ok(Written::Version(Box::new(version), changes))
}

/// Removes what added units replace; gives those.
async fn replace(
    ctx: &TaskContext,
    conn: &mut Conn,
    version: &NewVersion,
    add: &[ContentId],
) -> Result<Vec<ContentId>, TaskError> {
    let Some(old) = version.replaced_by(conn, add).await? else {
        return Ok(Vec::new());
    };
    RepositoryContent::remove(conn, version.membership(), &old).await?;
    let left = RepositoryContent::rivals(conn, version.repository, add, true).await?;
    refuse_duplicates(left.len(), ctx.cid())?;
    Ok(old)
}
