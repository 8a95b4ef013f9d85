//! Writing a version of few units whole: in one transaction, unseen as any other, or in the one that ends its task.

use super::finish::{Draft, Finished, refuse_duplicates};
use super::new_version::{BATCH, NewVersion, check_kinds, discard_stale};
use crate::content::ContentTypes;
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{ContentId, DomainId};
use crate::models::{Changes, Content, Repository, RepositoryContent, RepositoryVersion};
use crate::tasking::{Registry, TaskContext, TaskError};
use futures_util::join;
use std::sync::Arc;

/// So few units are written with the end of their task.
const FEW: usize = 100;

/// What is asked of the newest version, and what says whether that may be.
struct Change {
    add: Vec<ContentId>,
    remove: Vec<ContentId>,
    registry: Arc<Registry>,
    cid: String,
}

/// A change of few units that is written whole by the last write of its task. The run must hold the repository
/// exclusively.
pub struct SmallChange {
    row: Repository,
    previous: Option<RepositoryVersion>,
    change: Change,
}

/// A version whose memberships are written, in the transaction that is to make it visible.
#[derive(Clone, Debug)]
pub struct WrittenVersion {
    version: NewVersion,
    changes: Changes,
}

/// What came of an attempt.
enum Written {
    Version(Box<NewVersion>, Changes),
    Nothing,
    /// Something that an earlier run left is in the way.
    Stale,
}

impl SmallChange {
    /// The newest version less some units, plus others. `last`: [`RepositoryVersion::last`], as this run has read it. `None`: that
    /// is too much for a last write, or the repository publishes its versions or retains few of them, which takes looks at the
    /// new one before.
    ///
    /// # Errors
    /// As [`TaskContext::fenced`]: what an earlier run left in the repository is removed first.
    pub async fn prepare(
        ctx: &TaskContext,
        row: &Repository,
        mut last: Option<RepositoryVersion>,
        add: &[ContentId],
        remove: &[ContentId],
    ) -> Result<Option<Self>, TaskError> {
        let is_plain = !row.autopublish && row.retain_repo_versions.is_none();
        if !is_plain || add.len() + remove.len() > FEW {
            return Ok(None);
        }
        while last.as_ref().is_some_and(|last| !last.complete) {
            discard_stale(ctx, row.pulp_id).await?;
            last = RepositoryVersion::last(&*ctx.session().await, row.pulp_id).await?;
        }
        Ok(Some(Self {
            row: row.clone(),
            previous: last,
            change: Change::new(ctx, add, remove),
        }))
    }

    /// Writes the memberships by the rules of contract 1.8, in the transaction that settles the task, before its lanes are
    /// locked: rules may take time, and a unit that a clean-up is deleting is waited for. `None`: nothing changes. May be
    /// called again in another transaction.
    ///
    /// # Errors
    /// What the client may read where a rule is broken.
    pub async fn write(&self, conn: &mut Conn) -> Result<Option<WrittenVersion>, TaskError> {
        let version = NewVersion::unwritten(&self.row, self.previous.clone());
        let changes = self.change.write(conn, &version).await?;
        Ok((!changes.is_empty()).then_some(WrittenVersion { version, changes }))
    }
}

impl WrittenVersion {
    /// Makes the version visible. Settle has shown the claim by now: nobody else writes to the repository.
    ///
    /// # Errors
    /// Where the repository is not as it was when the task began.
    pub async fn flip(&self, conn: &mut Conn) -> Result<Finished, TaskError> {
        let Self { version, changes } = self;
        let (id, place) = (version.id, version.membership());
        let previous = version.previous.as_ref().map(|version| version.pulp_id);
        let made = RepositoryVersion::insert_complete(conn, id, place, previous, changes).await?;
        if let Some(hidden) = made {
            return Ok(Finished {
                id,
                number: version.number,
                hidden,
                publication: None,
            });
        }
        match Repository::find(conn, version.domain, version.repository).await? {
            None => Err(TaskError::failed("the repository was deleted")),
            Some(_) => {
                let text = "the repository has changed under its reservation";
                Err(Error::internal(text).into())
            }
        }
    }
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
        let change = Change::new(ctx, add, remove);
        loop {
            let attempt = ctx.fenced_briefly(async |conn| change.attempt(ctx, conn, row).await);
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

impl Change {
    fn new(ctx: &TaskContext, add: &[ContentId], remove: &[ContentId]) -> Self {
        Self {
            add: add.to_vec(),
            remove: remove.to_vec(),
            registry: Arc::clone(ctx.registry()),
            cid: ctx.cid().to_owned(),
        }
    }

    fn types(&self) -> Result<&ContentTypes, TaskError> {
        Ok(ContentTypes::of(&self.registry)?)
    }

    async fn attempt(
        &self,
        ctx: &TaskContext,
        conn: &mut Conn,
        row: &Repository,
    ) -> Result<Written, TaskError> {
        let id = row.pulp_id;
        let row = Repository::lock(conn, row.pulp_domain, id).await?;
        let row = row.ok_or(Error::NotFound { what: "Repository" })?;
        let previous = RepositoryVersion::last(conn, id).await?;
        if previous.as_ref().is_some_and(|last| !last.complete) {
            return Ok(Written::Stale);
        }
        let mut version = NewVersion::unwritten(&row, previous);
        let claim = Some(ctx.claim());
        version.id = RepositoryVersion::insert(conn, id, version.number, None, claim).await?;
        let changes = self.write(conn, &version).await?;
        if changes.is_empty() {
            RepositoryVersion::delete(conn, version.id).await?;
            return Ok(Written::Nothing);
        }
        Ok(Written::Version(Box::new(version), changes))
    }

    /// Writes the memberships of a version that has none yet.
    async fn write(&self, conn: &mut Conn, version: &NewVersion) -> Result<Changes, TaskError> {
        let (place, domain) = (version.membership(), version.domain);
        let (add, remove) = (&self.add, &self.remove);
        if add.is_empty() {
            RepositoryContent::remove(conn, place, remove).await?;
            return Ok(RepositoryContent::count_of(conn, place, remove).await?);
        }
        if remove.is_empty() {
            // Sent together: the server looks for rivals once the memberships are there.
            let (kinds, rivals) = join!(
                RepositoryContent::add_first(conn, place, domain, add),
                RepositoryContent::rivals(conn, version.repository, add, false)
            );
            let (kinds, rivals) = (kinds?, rivals?);
            let named = kinds.iter().map(|k| (k.pulp_domain, k.pulp_type.clone()));
            self.check_kinds(version, named.collect())?;
            let replaced = self.obey_rules(conn, version, &rivals).await?;
            if replaced.is_empty() {
                return Ok(Changes::additions(kinds));
            }
            let changed = [add.as_slice(), &replaced].concat();
            return Ok(RepositoryContent::count_of(conn, place, &changed).await?);
        }
        RepositoryContent::remove(conn, place, remove).await?;
        self.check_kinds(version, Content::kinds(conn, add).await?)?;
        RepositoryContent::add(conn, place, domain, add).await?;
        let rivals = RepositoryContent::rivals(conn, version.repository, add, false).await?;
        let replaced = self.obey_rules(conn, version, &rivals).await?;
        let changed = [add.as_slice(), remove, &replaced].concat();
        Ok(RepositoryContent::count_of(conn, place, &changed).await?)
    }

    fn check_kinds(
        &self,
        version: &NewVersion,
        kinds: Vec<(DomainId, String)>,
    ) -> Result<(), TaskError> {
        check_kinds(self.types()?, version.domain, &version.pulp_type, kinds)
    }

    /// Applies the rules of contract 1.8 to what was added; `rivals`: those of it that have the key of another unit. Gives what
    /// they replaced.
    async fn obey_rules(
        &self,
        conn: &mut Conn,
        version: &NewVersion,
        rivals: &[ContentId],
    ) -> Result<Vec<ContentId>, TaskError> {
        let replaced = self.replace(conn, version, rivals).await?;
        self.types()?
            .validate_version(conn, version, &self.add)
            .await?;
        Ok(replaced)
    }

    /// Removes what these added units replace; gives those.
    async fn replace(
        &self,
        conn: &mut Conn,
        version: &NewVersion,
        rivals: &[ContentId],
    ) -> Result<Vec<ContentId>, TaskError> {
        let Some(old) = version.replaced_by(conn, rivals).await? else {
            return Ok(Vec::new());
        };
        RepositoryContent::remove(conn, version.membership(), &old).await?;
        let left = RepositoryContent::rivals(conn, version.repository, &self.add, true).await?;
        refuse_duplicates(left.len(), &self.cid)?;
        Ok(old)
    }
}
