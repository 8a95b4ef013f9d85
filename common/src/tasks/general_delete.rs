//! Deleting an object of any kind (contract 3.6).

use super::kinds::{self, Scope};
use crate::error::Error;
use crate::tasking::{Effects, Outcome, Resources, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Deletes an object with all that belongs to it. One write: safe to run again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneralDelete {
    /// The object.
    pub instance_id: Uuid,
    /// The component of its kind.
    pub app_label: String,
    /// The validator of its kind.
    pub serializer_name: String,
}

impl Task for GeneralDelete {
    const NAME: &'static str = "pulpcore.app.tasks.base.ageneral_delete";
    const ARGS: &'static [&'static str] = &["instance_id", "app_label", "serializer_name"];
    const RERUN_AFTER_LOSS: bool = true;

    fn resources(&self) -> Resources {
        match kinds::find(&self.app_label, &self.serializer_name) {
            Ok(kind) => (kind.lanes)(None).and_exclusive((kind.prn)(self.instance_id)),
            Err(_) => Resources::default(),
        }
    }

    fn validate(&self) -> Result<(), Error> {
        kinds::find(&self.app_label, &self.serializer_name).map(|_| ())
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        general_delete(
            &ctx,
            self.instance_id,
            &self.app_label,
            &self.serializer_name,
        )
    }
}

/// Deletes an object with all that belongs to it, as the last write of the task that calls it (seed:
/// `general_delete`). The task must hold the object, and what its kind reserves for a deletion.
///
/// # Errors
/// A text for the client where there is no such kind; where there is no such object, the task fails.
pub fn general_delete(
    ctx: &TaskContext,
    instance_id: Uuid,
    app_label: &str,
    serializer_name: &str,
) -> Result<Outcome, TaskError> {
    let kind = kinds::find(app_label, serializer_name)?;
    let scope = Scope::of(ctx);
    Ok(Outcome::flip(move |conn| {
        let scope = scope.clone();
        Box::pin(async move {
            (kind.delete)(conn, &scope, instance_id).await?;
            Ok(Effects::default())
        })
    }))
}

/// The same under its older name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlainGeneralDelete(GeneralDelete);

impl Task for PlainGeneralDelete {
    const NAME: &'static str = "pulpcore.app.tasks.base.general_delete";
    const ARGS: &'static [&'static str] = GeneralDelete::ARGS;
    const RERUN_AFTER_LOSS: bool = GeneralDelete::RERUN_AFTER_LOSS;

    fn resources(&self) -> Resources {
        self.0.resources()
    }

    fn validate(&self) -> Result<(), Error> {
        self.0.validate()
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        self.0.run(ctx).await
    }
}
