//! Updating an object of any kind (contract 3.6, 4.1).

use super::kinds::{self, Kind, Scope};
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
    /// True: fields that are not named keep their values. False: they become null, and one that may not be
    /// is refused by name.
    #[serde(default)]
    pub partial: bool,
}

impl GeneralUpdate {
    /// What a request asks for: where its body is a whole one, a field that it does not name gets its default or
    /// keeps its value (contract 4.1), other than the task by itself has it.
    #[must_use]
    pub fn requested(kind: &Kind, id: Uuid, data: &Map<String, Value>, partial: bool) -> Self {
        let data = if partial {
            data.clone()
        } else {
            kind.with_defaults(data)
        };
        Self {
            instance_id: id,
            app_label: kind.app_label.into(),
            serializer_name: kind.serializer_name.into(),
            data,
            partial: true,
        }
    }

    async fn change(self, ctx: &TaskContext) -> Result<Outcome, TaskError> {
        let (label, name) = (&self.app_label, &self.serializer_name);
        general_update(ctx, self.instance_id, label, name, self.data, self.partial)
    }
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
            Ok(kind) => {
                let data = named(kind, &self.data, self.partial);
                (kind.lanes)(Some(&data)).and_exclusive((kind.prn)(self.instance_id))
            }
            Err(_) => Resources::default(),
        }
    }

    fn validate(&self) -> Result<(), Error> {
        let kind = kinds::find(&self.app_label, &self.serializer_name)?;
        let data = named(kind, &self.data, self.partial);
        (kind.check)(&data, true).map_err(|e| Error::invalid("data", e.to_string()))
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        self.change(&ctx).await
    }
}

/// The values that are written.
fn named(kind: &Kind, data: &Map<String, Value>, partial: bool) -> Map<String, Value> {
    if partial {
        data.clone()
    } else {
        kind.with_nulls(data)
    }
}

/// Changes an object as the last write of the task that calls it (seed: `general_update`); its result is the
/// object as clients see it then. With `partial` false, fields that are not named become null. The task must
/// hold the object, and what its kind reserves for these values.
///
/// # Errors
/// A text for the client with the fields that are wrong, or that there is no such kind; where there is no such
/// object, the task fails.
pub fn general_update(
    ctx: &TaskContext,
    instance_id: Uuid,
    app_label: &str,
    serializer_name: &str,
    data: Map<String, Value>,
    partial: bool,
) -> Result<Outcome, TaskError> {
    let kind = kinds::find(app_label, serializer_name)?;
    let data = named(kind, &data, partial);
    (kind.check)(&data, true).map_err(|errors| TaskError::failed(errors.to_string()))?;
    let scope = Scope::of(ctx);
    Ok(Outcome::flip(move |conn| {
        let (data, scope) = (data.clone(), scope.clone());
        Box::pin(async move {
            let shown = (kind.update)(conn, &scope, instance_id, &data).await?;
            Ok(Effects {
                result: Some(shown),
                ..Effects::default()
            })
        })
    }))
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
        Ok(self.0.change(&ctx).await?.without_result())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::kinds::file_remote;
    use serde_json::json;

    fn task(data: Value, partial: bool) -> GeneralUpdate {
        GeneralUpdate {
            instance_id: Uuid::nil(),
            app_label: "file".into(),
            serializer_name: file_remote::SERIALIZER.into(),
            data: data.as_object().cloned().unwrap(),
            partial,
        }
    }

    #[test]
    fn a_whole_update_refuses_by_name_what_it_does_not_name_and_may_not_be_null() {
        task(json!({"name": "a"}), true).validate().unwrap();
        let refusal = task(json!({"name": "a"}), false).validate().unwrap_err();
        let refusal = refusal.to_string();
        for field in ["url", "policy", "tls_validation"] {
            assert!(refusal.contains(field), "{refusal}");
        }
        for field in ["name", "proxy_url", "rate_limit"] {
            assert!(!refusal.contains(&format!("\"{field}\"")), "{refusal}");
        }
    }

    #[test]
    fn a_whole_request_gives_defaults_and_leaves_the_rest() {
        let kind = kinds::find("file", file_remote::SERIALIZER).unwrap();
        let data = json!({"name": "a", "url": "http://a/"});
        let data = data.as_object().unwrap();
        let task = GeneralUpdate::requested(kind, Uuid::nil(), data, false);
        assert_eq!(
            json!(task.data),
            json!({"name": "a", "url": "http://a/", "policy": "immediate", "tls_validation": true})
        );
        assert!(task.partial);
    }
}
