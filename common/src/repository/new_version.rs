//! Writing a version in batches, unseen.

use crate::content::ContentTypes;
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{ContentId, DomainId, RepositoryId, VersionId};
use crate::models::{
    Content, Membership, Repository, RepositoryContent, RepositoryVersion, VersionKept,
};
use crate::tasking::{Progress, TaskContext, TaskError};
use log::warn;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

/// Units of one transaction.
pub const BATCH: i64 = 2000;

/// A version that is being written by this run, and that nobody else can see. The run must hold the
/// repository exclusively.
#[derive(Clone, Debug)]
pub struct NewVersion {
    /// Its repository.
    pub repository: RepositoryId,
    /// Its domain.
    pub domain: DomainId,
    /// The type of its repository.
    pub pulp_type: String,
    /// Its id.
    pub id: VersionId,
    /// Its number.
    pub number: i32,
    /// The newest complete version.
    pub previous: Option<RepositoryVersion>,
    /// What it started from: the base version if one was given, else the newest one.
    pub start: Membership,
}

impl NewVersion {
    /// Opens a version, after removing what a dead run left in the repository. With a base version it
    /// then holds what that holds, else what the newest version does.
    ///
    /// # Errors
    /// A text for the client when the repository or the base version is gone; else as
    /// [`TaskContext::fenced`].
    pub async fn open(
        ctx: &TaskContext,
        repository: RepositoryId,
        base: Option<VersionId>,
    ) -> Result<Self, TaskError> {
        discard_stale(ctx, repository).await?;
        let (version, base) = ctx
            .fenced(async |conn| {
                let found = Repository::lock(conn, ctx.domain(), repository).await?;
                let row = found.ok_or(Error::NotFound { what: "Repository" })?;
                let base = match base {
                    None => None,
                    Some(id) => Some(RepositoryVersion::find(conn, id).await?.ok_or(
                        Error::NotFound {
                            what: "RepositoryVersion",
                        },
                    )?),
                };
                let previous = RepositoryVersion::latest(conn, repository).await?;
                let base_id = base.as_ref().map(|v| v.pulp_id);
                let mut version = Self::unwritten(&row, previous);
                let (number, claim) = (version.number, Some(ctx.claim()));
                version.id =
                    RepositoryVersion::insert(conn, repository, number, base_id, claim).await?;
                Ok((version, base))
            })
            .await?;
        match base {
            None => Ok(version),
            Some(base) => version.reset(ctx, &base).await,
        }
    }

    /// The next version of a repository, of which there is no row yet.
    pub(super) fn unwritten(row: &Repository, previous: Option<RepositoryVersion>) -> Self {
        let newest = Membership {
            repository: row.pulp_id,
            number: previous.as_ref().map_or(-1, |v| v.number),
        };
        Self {
            repository: row.pulp_id,
            domain: row.pulp_domain,
            pulp_type: row.pulp_type.clone(),
            id: VersionId::new(),
            number: row.next_version,
            previous,
            start: newest,
        }
    }

    /// What the version holds so far.
    #[must_use]
    pub fn membership(&self) -> Membership {
        Membership {
            repository: self.repository,
            number: self.number,
        }
    }

    /// What the newest complete version holds.
    #[must_use]
    pub fn newest(&self) -> Membership {
        Membership {
            repository: self.repository,
            number: self.previous.as_ref().map_or(-1, |v| v.number),
        }
    }

    /// Adds units; what it holds already and what does not exist is ignored.
    ///
    /// # Errors
    /// A text for the client when a unit belongs to another domain or is of a type that the repository does
    /// not hold: then none of these is added. Else as [`TaskContext::fenced`].
    pub async fn add(&self, ctx: &TaskContext, units: &[ContentId]) -> Result<(), TaskError> {
        let mut kinds = Vec::new();
        for batch in chunks(units) {
            ctx.checkpoint()?;
            kinds.extend(Content::kinds(&mut *ctx.session().await, batch).await?);
        }
        check_kinds(ctx.content()?, self.domain, &self.pulp_type, kinds)?;
        for batch in chunks(units) {
            ctx.fenced(async |conn| {
                RepositoryContent::add(conn, self.membership(), self.domain, batch).await?;
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Takes back what was written, after a failure. What that leaves is removed by the next run on the
    /// repository, or by the janitor; nobody sees it.
    pub async fn give_up(&self, ctx: &TaskContext) {
        if let Err(error) = discard_stale(ctx, self.repository).await {
            warn!(task_id:% = ctx.task(), error:? = error; "a version is left to the janitor");
        }
    }

    /// Removes units; what it lacks is ignored.
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn remove(&self, ctx: &TaskContext, units: &[ContentId]) -> Result<(), TaskError> {
        for batch in chunks(units) {
            ctx.fenced(async |conn| {
                RepositoryContent::remove(conn, self.membership(), batch).await?;
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Removes all units of the newest complete version.
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn remove_newest(&self, ctx: &TaskContext) -> Result<(), TaskError> {
        let mut pages = Pages::of(self.newest());
        while let Some(units) = pages.next(ctx).await? {
            self.remove(ctx, &units).await?;
        }
        Ok(())
    }

    /// Removes every unit of the newest complete version that is not noted as one to keep
    /// ([`VersionKept`]), then the notes; counts those that went.
    ///
    /// # Errors
    /// As [`TaskContext::fenced`].
    pub async fn remove_unkept(
        &self,
        ctx: &TaskContext,
        report: &mut Progress,
    ) -> Result<(), TaskError> {
        let mut pages = Pages::of(self.newest());
        while let Some(units) = pages.next(ctx).await? {
            let kept = {
                let mut conn = ctx.session().await;
                VersionKept::of(&mut conn, self.id, &units).await?
            };
            let kept: HashSet<Uuid> = kept.iter().map(|unit| unit.0).collect();
            let spare: Vec<ContentId> = units
                .into_iter()
                .filter(|unit| !kept.contains(&unit.0))
                .collect();
            self.remove(ctx, &spare).await?;
            report.add(i64::try_from(spare.len()).unwrap_or(0)).await?;
        }
        loop {
            let gone = ctx
                .fenced(async |conn| Ok(VersionKept::forget(conn, self.id, BATCH).await?))
                .await?;
            if gone == 0 {
                return Ok(());
            }
        }
    }

    async fn reset(
        mut self,
        ctx: &TaskContext,
        base: &RepositoryVersion,
    ) -> Result<Self, TaskError> {
        let id = base.pulp_id;
        let base = Membership {
            repository: base.repository_id,
            number: base.number,
        };
        let mut pages = Pages::of(self.newest());
        while let Some(units) = pages.next(ctx).await? {
            let spare = lacking(ctx, base, &units).await?;
            self.remove(ctx, &spare).await?;
        }
        let mut pages = Pages::of(base);
        while let Some(units) = pages.next(ctx).await? {
            let missing = lacking(ctx, self.newest(), &units).await?;
            self.add(ctx, &missing).await?;
        }
        self.start = base;
        // Its repository may be another one, which this run does not hold: had the version been deleted
        // meanwhile, pages of it would be missing.
        let mut conn = ctx.session().await;
        let still_there = RepositoryVersion::find(&mut conn, id).await?;
        still_there.ok_or(Error::NotFound {
            what: "RepositoryVersion",
        })?;
        drop(conn);
        Ok(self)
    }
}

/// A repository holds units of its own domain, and of the types that say so: these are the domains and types of what it
/// is to hold.
///
/// # Errors
/// A text for the client.
pub(super) fn check_kinds(
    types: &ContentTypes,
    domain: DomainId,
    repository_type: &str,
    kinds: Vec<(DomainId, String)>,
) -> Result<(), TaskError> {
    let mut odd = BTreeSet::new();
    for (of, pulp_type) in kinds {
        if of != domain {
            let message = "Content units are not a part of the repository's domain";
            return Err(TaskError::failed(message));
        }
        if !types.holds(repository_type, &pulp_type) {
            odd.insert(pulp_type);
        }
    }
    if odd.is_empty() {
        return Ok(());
    }
    Err(unsupported(odd.iter().map(String::as_str)))
}

/// The refusal of units of these types in a repository that does not hold them.
pub(crate) fn unsupported<'a>(types: impl Iterator<Item = &'a str>) -> TaskError {
    let types: Vec<String> = types.map(|name| format!("'{name}'")).collect();
    TaskError::failed(format!(
        "Saw unsupported content types {{{}}}",
        types.join(", ")
    ))
}

/// Those of the units that a version lacks.
async fn lacking(
    ctx: &TaskContext,
    version: Membership,
    units: &[ContentId],
) -> Result<Vec<ContentId>, TaskError> {
    let mut conn = ctx.session().await;
    Ok(RepositoryContent::select(&mut conn, version, units, false).await?)
}

/// The units of a version, a batch at a time.
struct Pages {
    version: Membership,
    behind: ContentId,
}

impl Pages {
    fn of(version: Membership) -> Self {
        Self {
            version,
            behind: ContentId(Uuid::nil()),
        }
    }

    async fn next(&mut self, ctx: &TaskContext) -> Result<Option<Vec<ContentId>>, TaskError> {
        ctx.checkpoint()?;
        let mut conn = ctx.session().await;
        let page = RepositoryContent::page(&mut conn, self.version, self.behind, BATCH).await?;
        match page.last() {
            None => Ok(None),
            Some(last) => {
                self.behind = *last;
                Ok(Some(page))
            }
        }
    }
}

pub(super) fn chunks(units: &[ContentId]) -> std::slice::Chunks<'_, ContentId> {
    units.chunks(usize::try_from(BATCH).unwrap_or(1))
}

/// What the newest complete version of a repository holds.
pub(super) async fn newest_of(
    conn: &mut Conn,
    repository: RepositoryId,
) -> Result<Membership, Error> {
    let newest = RepositoryVersion::latest(conn, repository).await?;
    Ok(Membership {
        repository,
        number: newest.map_or(-1, |v| v.number),
    })
}

/// Removes a version that an earlier run left unfinished in this repository, or began to take away.
///
/// # Errors
/// As [`TaskContext::fenced`].
pub(super) async fn discard_stale(
    ctx: &TaskContext,
    repository: RepositoryId,
) -> Result<(), TaskError> {
    loop {
        let left = ctx
            .fenced(async |conn| {
                let Some(stale) = RepositoryVersion::lock_incomplete(conn, repository).await?
                else {
                    return Ok(false);
                };
                let newest = newest_of(conn, repository).await?;
                let notes = VersionKept::forget(conn, stale.pulp_id, BATCH).await?;
                if notes + RepositoryContent::discard(conn, newest, BATCH).await? == 0 {
                    RepositoryVersion::delete(conn, stale.pulp_id).await?;
                }
                Ok(true)
            })
            .await?;
        if !left {
            return Ok(());
        }
    }
}
