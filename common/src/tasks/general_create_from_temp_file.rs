//! Making a unit from a file that a request left (contract 3.5).

use super::general_create::{invalid, read_unit, to_map, unit};
use super::kinds::unit_data::UnitData;
use crate::content::{ContentTypes, UnitKind};
use crate::error::Error;
use crate::ids::TemporaryFileId;
use crate::tasking::{Needs, Outcome, Registry, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// As [`GeneralCreate`](super::GeneralCreate), of a temporary file, which is gone afterwards, however the
/// task ends: it became the unit's artifact, or was deleted. From its dispatch on it is this task's; one
/// that another task was given first is not found. Safe to run again after dying anywhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneralCreateFromTempFile {
    /// The component of the kind.
    pub app_label: String,
    /// The validator of the kind.
    pub serializer_name: String,
    /// The file.
    pub temp_file_pk: TemporaryFileId,
    /// The values by field, references as ids or PRNs; no other source of a file.
    #[serde(default)]
    pub data: Map<String, Value>,
    /// What the validator is told beside; nothing is used yet.
    #[serde(default)]
    pub context: Map<String, Value>,
}

impl GeneralCreateFromTempFile {
    /// Makes this unit of that file.
    ///
    /// # Errors
    /// [`Error::Internal`] only if the data cannot be written as JSON.
    pub fn unit(kind: &UnitKind, file: TemporaryFileId, data: &UnitData) -> Result<Self, Error> {
        Ok(Self {
            app_label: kind.app_label.into(),
            serializer_name: kind.serializer_name.into(),
            temp_file_pk: file,
            data: to_map(data)?,
            context: Map::new(),
        })
    }
}

impl Task for GeneralCreateFromTempFile {
    const NAME: &'static str = "pulpcore.app.tasks.base.general_create_from_temp_file";
    const ARGS: &'static [&'static str] = &[
        "app_label",
        "serializer_name",
        "temp_file_pk",
        "data",
        "context",
    ];
    const RERUN_AFTER_LOSS: bool = true;

    fn needs(&self, registry: &Registry) -> Result<Needs, Error> {
        let types = ContentTypes::of(registry)?;
        let kind = types.kind(&self.app_label, &self.serializer_name)?;
        let data = read_unit(kind, &self.data, true).map_err(|errors| invalid(&errors))?;
        Ok(unit::needs(types, kind, &data, Some(self.temp_file_pk)))
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let (label, name, file) = (&self.app_label, &self.serializer_name, self.temp_file_pk);
        general_create_from_temp_file(&ctx, label, name, file, self.data).await
    }
}

/// Makes a unit of the kind that these names stand for, of a temporary file that the task owns: one that its
/// `uses` named. The file becomes the artifact of the unit in the transaction that makes the unit; where
/// the task ends in another way, the file goes with it. The caller's task must reserve what [`GeneralCreateFromTempFile`]
/// would.
///
/// # Errors
/// As [`general_create`](super::general_create::general_create); [`TaskError::Failed`] where there is no
/// such file.
pub async fn general_create_from_temp_file(
    ctx: &TaskContext,
    app_label: &str,
    serializer_name: &str,
    temp_file_pk: TemporaryFileId,
    data: Map<String, Value>,
) -> Result<Outcome, TaskError> {
    let kind = ctx.content()?.kind(app_label, serializer_name)?;
    let data = read_unit(kind, &data, true).map_err(|e| TaskError::failed(e.to_string()))?;
    unit::make(ctx, kind, &data, Some(temp_file_pk)).await
}
