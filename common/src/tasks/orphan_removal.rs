//! The removals of orphans that the second version's API offers (contract V2 1 and 2.4).

use crate::content::ContentTypes;
use crate::ids::DomainId;
use crate::prn;
use crate::tasking::{Outcome, Resources, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

/// The tag of all of them.
pub const ORPHANS_TAG: &str = "pulp:content_unit:orphans";
/// The tag that tells deletions of a list that a client sent.
pub const DELETE_TAG: &str = "pulp:action:delete_orphans";

/// What tells a unit apart for clients of the second version's API.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UnitName {
    /// The id of its type's definition.
    pub content_type_id: String,
    /// Its id: any text may be asked for.
    pub unit_id: String,
}

/// Deletes all orphan units.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteAllOrphans {
    /// Minutes; what was of interest more recently is kept.
    #[serde(default)]
    pub orphan_protection_time: u32,
}

/// Deletes the orphan units of a type. It fails where there is no such type.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteOrphansByType {
    /// The id of the type's definition.
    pub content_type_id: String,
    /// As with all.
    #[serde(default)]
    pub orphan_protection_time: u32,
}

/// Deletes those of these units that are orphans. It fails, and deletes nothing, where a type is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteOrphansById {
    /// The units.
    pub content_unit_list: Vec<UnitName>,
    /// As with all.
    #[serde(default)]
    pub orphan_protection_time: u32,
}

/// The same for a list that a client sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteOrphans {
    /// The units.
    pub content_unit_list: Vec<UnitName>,
    /// As with all.
    #[serde(default)]
    pub orphan_protection_time: u32,
}

macro_rules! removal {
    ($task:ty, $name:literal, $args:expr, $tags:expr) => {
        impl Task for $task {
            const NAME: &'static str = concat!("pulp.server.managers.content.orphan.", $name);
            const ARGS: &'static [&'static str] = $args;
            const RERUN_AFTER_LOSS: bool = true;
            const TAGS: &'static [&'static str] = $tags;

            fn resources(&self) -> Resources {
                Resources::exclusive(prn::orphans(DomainId::DEFAULT))
            }

            async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
                ctx.checkpoint()?;
                let _ = ContentTypes::of(ctx.registry())?;
                Err(TaskError::failed("not there yet"))
            }
        }
    };
}

removal!(
    DeleteAllOrphans,
    "delete_all_orphans",
    &["orphan_protection_time"],
    &[ORPHANS_TAG]
);
removal!(
    DeleteOrphansByType,
    "delete_orphans_by_type",
    &["content_type_id", "orphan_protection_time"],
    &[ORPHANS_TAG]
);
removal!(
    DeleteOrphansById,
    "delete_orphans_by_id",
    &["content_unit_list", "orphan_protection_time"],
    &[ORPHANS_TAG]
);
removal!(
    DeleteOrphans,
    "delete_orphans",
    &["content_unit_list", "orphan_protection_time"],
    &[DELETE_TAG, ORPHANS_TAG]
);
