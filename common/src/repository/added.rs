//! What a version that is being written adds: units that somebody listed, or all that it has.

use super::new_version::{BATCH, NewVersion, chunks};
use crate::ids::ContentId;
use crate::models::RepositoryContent;
use crate::tasking::{TaskContext, TaskError};
use uuid::Uuid;

/// The units that the rules of a version are applied to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Added<'a> {
    /// These.
    Listed(&'a [ContentId]),
    /// All that the version added, read from its rows: as many as there are.
    All,
}

impl<'a> Added<'a> {
    /// The units, a batch at a time.
    pub(super) fn batches(self) -> Batches<'a> {
        match self {
            Self::Listed(units) => Batches::Listed(chunks(units)),
            Self::All => Batches::All(ContentId(Uuid::nil()), Vec::new()),
        }
    }
}

/// A walk over added units.
pub(super) enum Batches<'a> {
    Listed(std::slice::Chunks<'a, ContentId>),
    All(ContentId, Vec<ContentId>),
}

impl Batches<'_> {
    /// The next batch; none at the end.
    pub(super) async fn next(
        &mut self,
        version: &NewVersion,
        ctx: &TaskContext,
    ) -> Result<Option<&[ContentId]>, TaskError> {
        ctx.checkpoint()?;
        match self {
            Self::Listed(chunks) => Ok(chunks.next()),
            Self::All(behind, page) => {
                let mut conn = ctx.session().await;
                let place = version.membership();
                *page = RepositoryContent::added(&mut conn, place, *behind, BATCH).await?;
                drop(conn);
                let Some(last) = page.last() else {
                    return Ok(None);
                };
                *behind = *last;
                Ok(Some(page))
            }
        }
    }
}
