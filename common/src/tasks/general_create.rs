//! Making an object of any kind from validated data (contract 3.5): a unit of a type that the registry of
//! content types knows, or a kind of `kinds` that says itself how.

pub(super) mod unit;

use super::kinds::unit_data::{self, UnitData};
use super::kinds::{self, Creation, FieldErrors, Kind, Scope};
use crate::content::{ContentTypes, UnitKind};
use crate::error::Error;
use crate::tasking::{Needs, Outcome, Registry, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Makes an object; its result is the object as clients see it. A unit with the natural key of another
/// one is that one; it is added to a repository if one is named. Safe to run again after dying anywhere:
/// a unit that was made before is found, and other kinds are one write.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneralCreate {
    /// The component of its kind.
    pub app_label: String,
    /// The validator of its kind.
    pub serializer_name: String,
    /// Its values by field, references as ids or PRNs.
    pub data: Map<String, Value>,
    /// What the validator is told beside; nothing is used yet.
    #[serde(default)]
    pub context: Map<String, Value>,
}

impl GeneralCreate {
    /// Makes this unit.
    ///
    /// # Errors
    /// [`Error::Internal`] only if the data cannot be written as JSON.
    pub fn unit(kind: &UnitKind, data: &UnitData) -> Result<Self, Error> {
        Ok(Self {
            app_label: kind.app_label.into(),
            serializer_name: kind.serializer_name.into(),
            data: to_map(data)?,
            context: Map::new(),
        })
    }

    /// Makes an object of this kind.
    #[must_use]
    pub fn of(kind: &Kind, data: Map<String, Value>) -> Self {
        Self {
            app_label: kind.app_label.into(),
            serializer_name: kind.serializer_name.into(),
            data,
            context: Map::new(),
        }
    }
}

/// A unit's data as arguments of a task.
pub(super) fn to_map(data: &UnitData) -> Result<Map<String, Value>, Error> {
    match serde_json::to_value(data).map_err(Error::internal)? {
        Value::Object(map) => Ok(map),
        other => Err(Error::internal(format!("{other} is no object"))),
    }
}

/// The kind of these names that is no unit, and how one is made.
fn creation(app_label: &str, serializer_name: &str) -> Option<(&'static Kind, &'static Creation)> {
    let kind = kinds::find(app_label, serializer_name).ok()?;
    Some((kind, kind.create.as_ref()?))
}

/// What a unit is made from, as a task is given it: what is null there was not given.
pub(super) fn read_unit(
    kind: &UnitKind,
    data: &Map<String, Value>,
    has_file: bool,
) -> Result<UnitData, FieldErrors> {
    let given = data.iter().filter(|(_, value)| !value.is_null());
    let given = given.map(|(name, value)| (name.clone(), value.clone()));
    unit_data::read(kind, &given.collect(), has_file)
}

/// What is wrong with the arguments of a dispatch.
pub(super) fn invalid(errors: &FieldErrors) -> Error {
    Error::invalid("data", errors.to_string())
}

impl Task for GeneralCreate {
    const NAME: &'static str = "pulpcore.app.tasks.base.general_create";
    const ARGS: &'static [&'static str] = &["app_label", "serializer_name", "data", "context"];
    const RERUN_AFTER_LOSS: bool = true;

    fn needs(&self, registry: &Registry) -> Result<Needs, Error> {
        if let Some((kind, _)) = creation(&self.app_label, &self.serializer_name) {
            (kind.check)(&self.data, false).map_err(|errors| invalid(&errors))?;
            return Ok(Needs {
                resources: (kind.lanes)(Some(&self.data)),
                ..Needs::of(self)
            });
        }
        let types = ContentTypes::of(registry)?;
        let kind = types.kind(&self.app_label, &self.serializer_name)?;
        let data = read_unit(kind, &self.data, false).map_err(|errors| invalid(&errors))?;
        Ok(unit::needs(types, kind, &data, None))
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        general_create(&ctx, &self.app_label, &self.serializer_name, self.data).await
    }
}

/// Makes an object of the kind that these names stand for, from its values by field. It is made by the
/// outcome's last write, so nothing is there before the task has completed; a unit that comes with a
/// version is the exception, and is found by the next run. The caller's task must reserve what
/// [`GeneralCreate`] would.
///
/// # Errors
/// [`TaskError::Failed`] for names that stand for nothing, for values that do not fit, by field, and for a
/// file that is no such unit.
pub async fn general_create(
    ctx: &TaskContext,
    app_label: &str,
    serializer_name: &str,
    data: Map<String, Value>,
) -> Result<Outcome, TaskError> {
    if let Some((_, creation)) = creation(app_label, serializer_name) {
        let scope = Scope::of(ctx);
        return Ok(Outcome::flip(move |conn| {
            let (scope, data) = (scope.clone(), data.clone());
            Box::pin(async move { (creation.run)(conn, &scope, &data).await })
        }));
    }
    let kind = ctx.content()?.kind(app_label, serializer_name)?;
    let data = read_unit(kind, &data, false).map_err(|e| TaskError::failed(e.to_string()))?;
    unit::make(ctx, kind, &data, None).await
}
