//! Updating an object of any kind (contract 3.6, 4.1).

use super::kinds::{self, Scope};
use crate::error::Error;
use crate::tasking::{Effects, Outcome, Resources, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Changes an object; its result is the object as clients see it then. One write: safe to run again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneralUpdate {
    /// The object.
    pub instance_id: Uuid,
    /// The component of its kind.
    pub app_label: String,
    /// The validator of its kind.
    pub serializer_name: String,
    /// New values by field.
    pub data: Map<String, Value>,
    /// True: fields that are not named keep their values.
    #[serde(default)]
    pub partial: bool,
}

impl Task for GeneralUpdate {
    const NAME: &'static str = "pulpcore.app.tasks.base.ageneral_update";
    const ARGS: &'static [&'static str] = &[
        "instance_id",
        "app_label",
        "serializer_name",
        "data",
        "partial",
    ];
    const RERUN_AFTER_LOSS: bool = true;

    fn resources(&self) -> Resources {
        match kinds::find(&self.app_label, &self.serializer_name) {
            Ok(kind) => (kind.lanes)(Some(&self.data)).and_exclusive((kind.prn)(self.instance_id)),
            Err(_) => Resources::default(),
        }
    }

    fn validate(&self) -> Result<(), Error> {
        let kind = kinds::find(&self.app_label, &self.serializer_name)?;
        (kind.check)(&self.data, self.partial).map_err(|e| Error::invalid("data", e.to_string()))
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        self.outcome(&ctx, true)
    }
}

impl GeneralUpdate {
    fn outcome(self, ctx: &TaskContext, shows: bool) -> Result<Outcome, TaskError> {
        let kind = kinds::find(&self.app_label, &self.serializer_name)?;
        let scope = Scope::of(ctx);
        Ok(Outcome::flip(move |conn| {
            let (task, scope) = (self.clone(), scope.clone());
            Box::pin(async move {
                let shown =
                    (kind.update)(conn, &scope, task.instance_id, &task.data, task.partial).await?;
                Ok(Effects {
                    result: shows.then_some(shown),
                    ..Effects::default()
                })
            })
        }))
    }
}

/// The same under its older name, without a result.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlainGeneralUpdate(GeneralUpdate);

impl Task for PlainGeneralUpdate {
    const NAME: &'static str = "pulpcore.app.tasks.base.general_update";
    const ARGS: &'static [&'static str] = GeneralUpdate::ARGS;
    const RERUN_AFTER_LOSS: bool = GeneralUpdate::RERUN_AFTER_LOSS;

    fn resources(&self) -> Resources {
        self.0.resources()
    }

    fn validate(&self) -> Result<(), Error> {
        self.0.validate()
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        self.0.outcome(&ctx, false)
    }
}
