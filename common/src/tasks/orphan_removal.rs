//! The removals of orphans that the second version's API offers (contract V2 1 and 2.4).

use super::disposal::{BATCH, Disposal};
use super::orphan_cleanup::delete_orphans;
use crate::content::ContentTypes;
use crate::ids::DomainId;
use crate::models::Orphans;
use crate::prn;
use crate::tasking::{Outcome, Resources, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

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

            /// As all clean-ups of orphans.
            fn resources(&self) -> Resources {
                Resources::exclusive(prn::orphans(DomainId::DEFAULT))
            }

            async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
                let disposal = self.remove(&ctx).await?;
                counts(&ctx, &disposal)
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

impl DeleteAllOrphans {
    async fn remove(self, ctx: &TaskContext) -> Result<Disposal, TaskError> {
        delete_orphans(ctx, Orphans::All, self.orphan_protection_time).await
    }
}

impl DeleteOrphansByType {
    async fn remove(self, ctx: &TaskContext) -> Result<Disposal, TaskError> {
        let row_type = row_type(ctx.content()?, &self.content_type_id)?;
        delete_orphans(ctx, Orphans::Type(&row_type), self.orphan_protection_time).await
    }
}

impl DeleteOrphansById {
    async fn remove(self, ctx: &TaskContext) -> Result<Disposal, TaskError> {
        remove_named(ctx, &self.content_unit_list, self.orphan_protection_time).await
    }
}

impl DeleteOrphans {
    async fn remove(self, ctx: &TaskContext) -> Result<Disposal, TaskError> {
        remove_named(ctx, &self.content_unit_list, self.orphan_protection_time).await
    }
}

/// Deletes those of the units that are there, and orphans. All types are looked at before.
async fn remove_named(
    ctx: &TaskContext,
    names: &[UnitName],
    protection_time: u32,
) -> Result<Disposal, TaskError> {
    let types = ctx.content()?;
    let mut row_types = BTreeMap::new();
    for name in names {
        let id = name.content_type_id.as_str();
        if !row_types.contains_key(id) {
            row_types.insert(id, row_type(types, id)?);
        }
    }
    let named: BTreeSet<(&str, Uuid)> = names
        .iter()
        .filter_map(|name| {
            Some((
                row_types.get(name.content_type_id.as_str())?.as_ref(),
                name.id()?,
            ))
        })
        .collect();
    let named = Vec::from_iter(named);
    let mut units = Vec::new();
    for piece in named.chunks(usize::try_from(BATCH).unwrap_or(1)) {
        ctx.checkpoint()?;
        let mut conn = ctx.session().await;
        units.extend(Orphans::named(&mut conn, ctx.domain(), piece).await?);
    }
    // The order in which everybody locks them.
    units.sort_unstable();
    delete_orphans(ctx, Orphans::Units(&units), protection_time).await
}

impl UnitName {
    /// The id, where it is one that a unit may have: nobody knows a unit by another spelling.
    fn id(&self) -> Option<Uuid> {
        let id: Uuid = self.unit_id.parse().ok()?;
        (id.to_string() == self.unit_id).then_some(id)
    }
}

fn row_type<'t>(types: &'t ContentTypes, id: &str) -> Result<Cow<'t, str>, TaskError> {
    let definition = types.by_id(id).ok_or_else(|| {
        let text = format!("Missing resource(s): content_type_id={id}");
        TaskError::coded("PLP0009", text)
    })?;
    Ok(definition.row_type())
}

/// How many units of each type went, by the ids that clients know types by.
fn counts(ctx: &TaskContext, disposal: &Disposal) -> Result<Outcome, TaskError> {
    let types = ctx.content()?;
    let counts: Map<String, Value> = disposal
        .by_type
        .iter()
        .filter(|(_, figures)| figures.units > 0)
        .map(|(row_type, figures)| {
            let known = types.by_row_type(row_type);
            let id = known.map_or(row_type.as_str(), |definition| &definition.id);
            (id.to_owned(), figures.units.into())
        })
        .collect();
    Ok(Outcome::result(Value::Object(counts)))
}
