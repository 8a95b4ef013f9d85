//! Completing a version: its rules, its counts, and the step that makes it visible.

use super::added::Added;
use super::delete_version::{Recounts, retain};
use super::new_version::{NewVersion, discard_stale};
use super::publishing::PublicationDraft;
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{ClaimId, ContentId, VersionId};
use crate::models::{Changes, Publication, Repository, RepositoryContent, RepositoryVersion};
use crate::prn::{self, Prn};
use crate::tasking::{TaskContext, TaskError};

/// A version that passed its rules and is ready to be made visible.
#[derive(Clone, Debug)]
pub struct Draft {
    version: NewVersion,
    claim: ClaimId,
    changes: Changes,
    /// For the versions that it supersedes.
    recounts: Recounts,
    /// Where the repository publishes every version.
    publication: Option<PublicationDraft>,
}

/// A version that was made visible.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its id.
    pub id: VersionId,
    /// Its number.
    pub number: i32,
    /// True where its repository is not shown to users: then it is no created resource.
    pub hidden: bool,
    /// What its repository published it as.
    pub publication: Option<Publication>,
}

impl Finished {
    /// What the task that made it shows as made (contract 2.10).
    #[must_use]
    pub fn created(&self) -> Vec<Prn> {
        let published = self.publication.as_ref();
        let published = published.map(|row| prn::publication(&row.pulp_type, row.pulp_id));
        let version = (!self.hidden).then(|| Prn::from(self.id));
        version.into_iter().chain(published).collect()
    }
}

impl NewVersion {
    /// Applies the rules of contract 1.8 to what was asked to be added; [`NewVersion::add`] has looked at
    /// domains and types. `None`: nothing differs from the newest version, and nothing is left of this one.
    ///
    /// # Errors
    /// What the client may read when a rule is broken; what was written is taken back, or left to
    /// the next run on the repository and the janitor.
    pub async fn finish(
        self,
        ctx: &TaskContext,
        added: &[ContentId],
    ) -> Result<Option<Draft>, TaskError> {
        self.complete(ctx, Added::Listed(added)).await
    }

    /// The same for everything that this version added, however much that is.
    ///
    /// # Errors
    /// As [`NewVersion::finish`].
    pub async fn finish_all(self, ctx: &TaskContext) -> Result<Option<Draft>, TaskError> {
        self.complete(ctx, Added::All).await
    }

    async fn complete(
        self,
        ctx: &TaskContext,
        added: Added<'_>,
    ) -> Result<Option<Draft>, TaskError> {
        if let Err(error) = self.check(ctx, added).await {
            self.give_up(ctx).await;
            return Err(error);
        }
        let changes = {
            let (from, to) = (self.newest().number, self.number);
            let mut conn = ctx.session().await;
            RepositoryContent::count_changes(&mut conn, self.repository, from, to).await?
        };
        if changes.is_empty() {
            discard_stale(ctx, self.repository).await?;
            return Ok(None);
        }
        let row = {
            let conn = ctx.session().await;
            Repository::find(&conn, self.domain, self.repository).await?
        };
        let row = row.ok_or(Error::NotFound { what: "Repository" })?;
        self.draft(ctx, &row, changes).await.map(Some)
    }

    /// All that is to be known before the version is made visible.
    pub(super) async fn draft(
        self,
        ctx: &TaskContext,
        row: &Repository,
        changes: Changes,
    ) -> Result<Draft, TaskError> {
        let publication = self.publication(ctx, row).await?;
        let recounts = match row.retain_repo_versions {
            Some(keep) => Recounts::foresee(ctx, &self, keep).await?,
            None => Recounts::default(),
        };
        Ok(Draft {
            claim: ctx.claim(),
            version: self,
            changes,
            recounts,
            publication,
        })
    }

    /// The publication that comes with every version of a repository that says so.
    async fn publication(
        &self,
        ctx: &TaskContext,
        row: &Repository,
    ) -> Result<Option<PublicationDraft>, TaskError> {
        if !row.autopublish {
            return Ok(None);
        }
        let manifest = row.manifest.as_deref();
        let draft = PublicationDraft::write(ctx, self.id, self.membership(), manifest, false);
        match draft.await {
            Ok(draft) => Ok(Some(draft)),
            Err(error) => {
                self.give_up(ctx).await;
                Err(error)
            }
        }
    }

    async fn check(&self, ctx: &TaskContext, added: Added<'_>) -> Result<(), TaskError> {
        // Where no unit had a rival, none is left: the second walk is saved.
        let duplicates = if self.replace(ctx, added).await? {
            self.count_duplicates(ctx, added).await?
        } else {
            0
        };
        refuse_duplicates(duplicates, ctx.cid())?;
        let mut batches = added.batches();
        while let Some(batch) = batches.next(self, ctx).await? {
            let mut conn = ctx.session().await;
            ctx.content()?
                .validate_version(&mut conn, self, batch)
                .await?;
        }
        Ok(())
    }

    /// Removes what added units replace. True where one of them had the key of another unit, replaced or not.
    async fn replace(&self, ctx: &TaskContext, added: Added<'_>) -> Result<bool, TaskError> {
        let mut had_rivals = false;
        let mut batches = added.batches();
        while let Some(batch) = batches.next(self, ctx).await? {
            let mut conn = ctx.session().await;
            let rivals = RepositoryContent::rivals(&conn, self.repository, batch, false).await?;
            let replaced = self.replaced_by(&mut conn, &rivals).await?;
            drop(conn);
            if let Some(old) = replaced {
                had_rivals = true;
                self.remove(ctx, &old).await?;
            }
        }
        Ok(had_rivals)
    }

    /// What `rivals` replace: added units that have the key of another one. `None`: there are none.
    pub(super) async fn replaced_by(
        &self,
        conn: &mut Conn,
        rivals: &[ContentId],
    ) -> Result<Option<Vec<ContentId>>, TaskError> {
        if rivals.is_empty() {
            return Ok(None);
        }
        let old = RepositoryContent::replaced(conn, self.repository, self.start, rivals).await?;
        Ok(Some(old))
    }

    async fn count_duplicates(
        &self,
        ctx: &TaskContext,
        added: Added<'_>,
    ) -> Result<usize, TaskError> {
        let mut duplicates = 0;
        let mut batches = added.batches();
        while let Some(batch) = batches.next(self, ctx).await? {
            let conn = ctx.session().await;
            let later = RepositoryContent::rivals(&conn, self.repository, batch, true).await?;
            duplicates += later.len();
        }
        Ok(duplicates)
    }
}

/// Fails where units of a version share a key.
pub(super) fn refuse_duplicates(count: usize, cid: &str) -> Result<(), TaskError> {
    if count == 0 {
        return Ok(());
    }
    let text = format!(
        "Found {count} duplicate contents in repository version(see the logs (cid={cid}) for details)."
    );
    Err(TaskError::coded("PLP0022", text))
}

impl Draft {
    /// Makes the version visible, in the transaction that settles its task: its number is taken, its
    /// counts are written, it is published where its repository says so, versions beyond those that the
    /// repository retains are deleted. May be called again when that transaction is retried.
    ///
    /// # Errors
    /// [`TaskError::Fenced`] when the version is not this run's any more.
    pub async fn flip(&self, conn: &mut Conn) -> Result<Finished, TaskError> {
        let version = &self.version;
        let row = Repository::lock(conn, version.domain, version.repository).await?;
        let repository = row.ok_or_else(|| TaskError::failed("the repository was deleted"))?;
        let previous = version.previous.as_ref().map(|version| version.pulp_id);
        let (id, changes) = (version.id, &self.changes);
        if !RepositoryVersion::complete(conn, id, self.claim, previous, changes).await? {
            return Err(TaskError::Fenced);
        }
        // Before what is superseded goes: a version that is served because it was the newest published one
        // is not any more.
        let publication = match &self.publication {
            Some(draft) => Some(draft.flip(conn).await?),
            None => None,
        };
        if let Some(keep) = repository.retain_repo_versions {
            retain(conn, version.repository, keep, &self.recounts).await?;
        }
        Ok(Finished {
            id: version.id,
            number: version.number,
            hidden: repository.user_hidden,
            publication,
        })
    }
}
