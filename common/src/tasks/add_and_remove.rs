//! Making a repository version by adding and removing units (contract 3.1).

use crate::content::ContentTypes;
use crate::error::Error;
use crate::ids::{ContentId, RepositoryId, VersionId};
use crate::models::repository_content::Overwrite;
use crate::models::{Membership, Repository, RepositoryContent, RepositoryVersion};
use crate::prn;
use crate::repository::{
    BATCH, Draft, NewVersion, SmallChange, WrittenVersion, require_reserved_with_last,
};
use crate::tasking::{
    Effects, Flip, Needs, Outcome, Registry, Resources, Task, TaskContext, TaskError,
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

/// Makes a new version: what the base version (or the newest one) holds, less `remove`, plus `add`.
/// Where nothing changes, no version is made. Safe to run again after dying at any instruction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddAndRemove {
    /// The repository.
    pub repository_pk: RepositoryId,
    /// Units to add; unknown ones are ignored.
    #[serde(default)]
    pub add_content_units: Vec<ContentId>,
    /// Units to remove, as ids; `*` stands for all of the newest version.
    #[serde(default)]
    pub remove_content_units: Vec<String>,
    /// Where to start, instead of the newest version.
    #[serde(default)]
    pub base_version_pk: Option<VersionId>,
    /// False: fail where an added unit would replace another one.
    #[serde(default = "yes")]
    pub overwrite: bool,
}

fn yes() -> bool {
    true
}

impl AddAndRemove {
    /// What the task reserves of a repository of this type.
    #[must_use]
    pub fn on(pulp_type: &str, repository: RepositoryId) -> Resources {
        Resources::exclusive(prn::repository(pulp_type, repository))
    }
}

/// Removes everything, in `remove_content_units`.
pub const ALL: &str = "*";

impl Task for AddAndRemove {
    const NAME: &'static str = "pulpcore.app.tasks.repository.add_and_remove";
    const ARGS: &'static [&'static str] = &[
        "repository_pk",
        "add_content_units",
        "remove_content_units",
        "base_version_pk",
        "overwrite",
    ];
    const RERUN_AFTER_LOSS: bool = true;

    fn uses(&self) -> Vec<Uuid> {
        self.add_content_units.iter().map(|unit| unit.0).collect()
    }

    fn validate(&self) -> Result<(), Error> {
        self.removals().map(|_| ())
    }

    /// The arguments do not name the repository's type: its name is one of these, and nobody else's, as
    /// ids are unique. Who knows the type reserves [`AddAndRemove::on`] alone.
    fn needs(&self, registry: &Registry) -> Result<Needs, Error> {
        self.validate()?;
        let types = ContentTypes::of(registry)?.repository_types();
        let all = types
            .into_iter()
            .map(|kind| Self::on(kind, self.repository_pk));
        Ok(Needs {
            resources: all.fold(Resources::default(), Resources::and),
            ..Needs::of(self)
        })
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        self.within(&ctx).await
    }
}

/// Makes a new version within the task that calls it (seed: `add_and_remove`); the outcome completes it, and
/// without a change there is none. A change of few units is all in the outcome: where it may not be, settle says so, not
/// this. In `remove_content_units`, [`ALL`] stands for all of the newest version. The
/// task must reserve [`AddAndRemove::on`], and use the added units ([`Task::uses`]), or a clean-up may take one.
///
/// # Errors
/// A text for the client where the version cannot be; no version stays then.
pub async fn add_and_remove(
    ctx: &TaskContext,
    repository_pk: RepositoryId,
    add_content_units: Vec<ContentId>,
    remove_content_units: Vec<String>,
    base_version_pk: Option<VersionId>,
) -> Result<Outcome, TaskError> {
    let change = AddAndRemove {
        repository_pk,
        add_content_units,
        remove_content_units,
        base_version_pk,
        overwrite: true,
    };
    change.within(ctx).await
}

/// Hands the version to settle, with the version as what the task made.
fn flip(draft: Draft) -> Outcome {
    Outcome::flip(move |conn| {
        let draft = draft.clone();
        Box::pin(async move {
            let done = draft.flip(conn).await?;
            Ok(Effects {
                created: done.created(),
                ..Effects::default()
            })
        })
    })
}

/// Hands the whole change to settle.
fn flip_whole(change: SmallChange) -> Outcome {
    let change = Arc::new(change);
    let early = Outcome::early(move |conn| {
        let change = Arc::clone(&change);
        Box::pin(async move { Ok(made_visible(change.write(conn).await?)) })
    });
    early.brief()
}

/// `None`: there is no new version.
fn made_visible(written: Option<WrittenVersion>) -> Flip {
    let written = Arc::new(written);
    Box::new(move |conn| {
        let written = Arc::clone(&written);
        Box::pin(async move {
            let created = match &*written {
                Some(version) => version.flip(conn).await?.created(),
                None => Vec::new(),
            };
            Ok(Effects {
                created,
                ..Effects::default()
            })
        })
    })
}

async fn write_version(
    ctx: &TaskContext,
    task: &AddAndRemove,
    all: bool,
    removals: &[ContentId],
) -> Result<Option<Draft>, TaskError> {
    let version = NewVersion::open(ctx, task.repository_pk, task.base_version_pk).await?;
    let change = async {
        if all {
            version.remove_newest(ctx).await?;
        }
        version.remove(ctx, removals).await?;
        version.add(ctx, &task.add_content_units).await
    };
    if let Err(error) = change.await {
        // A run that is to be repeated begins with that, one that is to stop has no time for it.
        if matches!(error, TaskError::Failed { .. }) {
            version.give_up(ctx).await;
        }
        return Err(error);
    }
    version.finish(ctx, &task.add_content_units).await
}

impl AddAndRemove {
    /// The change, as a part of a task.
    async fn within(&self, ctx: &TaskContext) -> Result<Outcome, TaskError> {
        let repository = self.repository_pk;
        let needs = |kind: &str| Self::on(kind, repository);
        let (row, last) = require_reserved_with_last(ctx, repository, needs).await?;
        let (all, removals) = self.removals()?;
        if !self.overwrite && !self.add_content_units.is_empty() {
            self.refuse_overwrites(ctx, all, &removals).await?;
        }
        let add = &self.add_content_units;
        let changes_newest = !all && self.base_version_pk.is_none();
        if changes_newest
            && let Some(change) = SmallChange::prepare(ctx, &row, last, add, &removals).await?
        {
            return Ok(flip_whole(change));
        }
        let fits_one_batch = NewVersion::may_be_written_at_once(add.len() + removals.len());
        let draft = if changes_newest && fits_one_batch {
            NewVersion::write_at_once(ctx, &row, add, &removals).await?
        } else {
            write_version(ctx, self, all, &removals).await?
        };
        Ok(draft.map_or_else(Outcome::default, flip))
    }

    /// Whether everything goes, and else which units.
    fn removals(&self) -> Result<(bool, Vec<ContentId>), Error> {
        if self.remove_content_units.iter().any(|unit| unit == ALL) {
            return Ok((true, Vec::new()));
        }
        let ids: Result<Vec<ContentId>, _> = self
            .remove_content_units
            .iter()
            .map(|u| u.parse())
            .collect();
        let ids = ids.map_err(|e| Error::invalid("remove_content_units", e.to_string()))?;
        Ok((false, ids))
    }

    async fn refuse_overwrites(
        &self,
        ctx: &TaskContext,
        all: bool,
        removals: &[ContentId],
    ) -> Result<(), TaskError> {
        let start = self.start(ctx).await?;
        // Without a base version, `*` takes away all that could be overwritten.
        let Some(start) = start.filter(|_| !all || self.base_version_pk.is_some()) else {
            return Ok(());
        };
        let mut found = Vec::new();
        for batch in self
            .add_content_units
            .chunks(usize::try_from(BATCH).unwrap_or(1))
        {
            ctx.checkpoint()?;
            let mut conn = ctx.session().await;
            found.extend(RepositoryContent::overwrites(&mut conn, start, batch, removals).await?);
        }
        if all {
            found = self.outside_newest(ctx, found).await?;
        }
        refusal(&found).map_or(Ok(()), Err)
    }

    async fn start(&self, ctx: &TaskContext) -> Result<Option<Membership>, TaskError> {
        let mut conn = ctx.session().await;
        let repository = Repository::find(&conn, ctx.domain(), self.repository_pk).await?;
        repository.ok_or(Error::NotFound { what: "Repository" })?;
        let version = match self.base_version_pk {
            Some(id) => RepositoryVersion::find(&mut conn, id).await?,
            None => RepositoryVersion::latest(&mut conn, self.repository_pk).await?,
        };
        Ok(version.map(|v| Membership {
            repository: v.repository_id,
            number: v.number,
        }))
    }

    /// Those pairs whose existing unit `*` leaves: it takes only what the newest version holds.
    async fn outside_newest(
        &self,
        ctx: &TaskContext,
        found: Vec<Overwrite>,
    ) -> Result<Vec<Overwrite>, TaskError> {
        let mut conn = ctx.session().await;
        let Some(newest) = RepositoryVersion::latest(&mut conn, self.repository_pk).await? else {
            return Ok(found);
        };
        let place = Membership {
            repository: self.repository_pk,
            number: newest.number,
        };
        let existing: Vec<ContentId> = found.iter().map(|pair| pair.existing).collect();
        let left = RepositoryContent::select(&mut conn, place, &existing, false).await?;
        let left: HashSet<Uuid> = left.into_iter().map(|id| id.0).collect();
        Ok(found
            .into_iter()
            .filter(|pair| left.contains(&pair.existing.0))
            .collect())
    }
}

/// The refusal that names the first of these pairs, if there are any.
pub(super) fn refusal(found: &[Overwrite]) -> Option<TaskError> {
    const NAMED: usize = 100;
    let first = found.first()?;
    let existing: HashSet<Uuid> = found.iter().map(|pair| pair.existing.0).collect();
    let pairs: Vec<String> = found
        .iter()
        .take(NAMED)
        .map(|pair| format!("{}->{}", pair.incoming, pair.existing))
        .collect();
    Some(TaskError::coded(
        "PLP0023",
        format!(
            "Content overwrite rejected: new content of type '{}' would overwrite {} existing \
             content unit(s) in the repository with the same unique key. Conflicting content \
             (incoming->existing): [{}]",
            first.pulp_type,
            existing.len(),
            pairs.join(", ")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(remove: &[&str]) -> AddAndRemove {
        AddAndRemove {
            repository_pk: RepositoryId::new(),
            add_content_units: Vec::new(),
            remove_content_units: remove.iter().map(ToString::to_string).collect(),
            base_version_pk: None,
            overwrite: true,
        }
    }

    #[test]
    fn a_star_removes_everything_whatever_else_is_named() {
        let id = ContentId::new().to_string();
        assert_eq!(task(&[&id, ALL]).removals().unwrap(), (true, vec![]));
        let (all, ids) = task(&[&id]).removals().unwrap();
        assert!(!all && ids.len() == 1);
    }

    #[test]
    fn what_is_no_id_is_refused_at_dispatch() {
        assert!(task(&["x"]).validate().is_err());
    }
}
