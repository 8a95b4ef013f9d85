//! A task that is put together from the functions that Millrace offers to plug-ins.

use millrace_common::ids::{ContentId, DomainId, RepositoryId};
use millrace_common::models::Repository;
use millrace_common::prn;
use millrace_common::tasking::{
    NewTask, Outcome, Resource, Resources, Task, TaskContext, TaskError, add_and_remove,
    general_delete, general_multi_delete, general_update, orphan_cleanup, reclaim_space,
};
use millrace_common::tasks::OrphanCleanup;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

/// What the keeper does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "act", deny_unknown_fields, rename_all = "snake_case")]
pub enum Keeper {
    /// Puts a unit into a repository, and has orphans cleaned up by another task if that worked.
    Take {
        repository: RepositoryId,
        unit: ContentId,
    },
    /// Makes room: orphans and reclaimable files, in one task.
    Tidy { repository: RepositoryId },
    /// Renames a remote.
    Rename { remote: Uuid, name: String },
    /// Deletes a remote, by the function for one or for several.
    Drop { remote: Uuid, several: bool },
}

const REMOTE: (&str, &str) = ("file", "FileRemoteSerializer");

impl Task for Keeper {
    const NAME: &'static str = "plugin.tasks.keeper";
    const COMPONENT: &'static str = "plugin";
    const RERUN_AFTER_LOSS: bool = true;

    fn resources(&self) -> Resources {
        let domain = DomainId::DEFAULT;
        match self {
            Self::Take { repository, .. } => {
                Resources::exclusive(prn::repository("file.file", *repository))
            }
            Self::Tidy { repository } => Resources::exclusive(prn::orphans(domain))
                .and_exclusive(prn::reclaim_space(domain))
                .and_shared(prn::repository("file.file", *repository)),
            Self::Rename { remote, .. } | Self::Drop { remote, .. } => {
                Resources::exclusive(prn::remote("file.file", (*remote).into()))
            }
        }
    }

    fn uses(&self) -> Vec<Uuid> {
        match self {
            Self::Take { unit, .. } => vec![unit.0],
            _ => Vec::new(),
        }
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let (label, serializer) = REMOTE;
        match self {
            Self::Take { repository, unit } => {
                let row = Repository::find(&*ctx.session().await, ctx.domain(), repository).await?;
                let next = OrphanCleanup::default();
                let next = NewTask::new(ctx.registry(), &next)?;
                // By its row, as the seed has it: the clean-up waits for this task.
                let resources: &[&dyn Resource] = &[&row];
                let next = next.and_resources(Resources::of(&[], resources)?);
                let made = add_and_remove(&ctx, repository, vec![unit], vec![], None).await?;
                Ok(made.then_dispatch(next))
            }
            Self::Tidy { repository } => {
                let orphans = orphan_cleanup(&ctx, None, 0).await?;
                let files = reclaim_space(&ctx, &[repository], None, true).await?;
                let both = json!({"orphans": orphans.shown(), "files": files.shown()});
                Ok(Outcome::result(both))
            }
            Self::Rename { remote, name } => {
                let data = json!({ "name": name });
                let data = data.as_object().cloned().unwrap_or_default();
                general_update(&ctx, remote, label, serializer, data, true)
            }
            Self::Drop { remote, several } => {
                if several {
                    let one = (remote, label.to_owned(), serializer.to_owned());
                    return general_multi_delete(&ctx, &[one]);
                }
                general_delete(&ctx, remote, label, serializer)
            }
        }
    }
}
