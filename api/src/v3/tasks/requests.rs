//! What clients send about tasks.

use crate::body::{Any, Field, Fields, FromFields, RawText, Text, Wrong};
use chrono::{DateTime, Utc};
use millrace_common::tasking::TaskState;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A request to cancel.
#[derive(Clone, Debug, ToSchema)]
#[schema(as = PatchedTaskCancel)]
pub struct TaskCancel {
    /// `canceled`.
    #[schema(value_type = String, required = false)]
    pub state: Canceled,
}

/// The only word that a request to cancel may say.
#[derive(Clone, Copy, Debug)]
pub struct Canceled;

impl FromFields for TaskCancel {
    fn read(fields: &mut Fields) -> Option<Self> {
        let RawText(state) = fields.required("state")?;
        if state != TaskState::Canceled.as_str() {
            return fields.refuse(
                "state",
                "The only acceptable value for 'state' is 'canceled'.",
            );
        }
        Some(Self { state: Canceled })
    }
}

/// Which tasks to forget.
#[derive(Clone, Debug, ToSchema)]
pub struct Purge {
    /// Tasks that ended before; by default so many days ago as `tasks.purge_after_days` says.
    #[schema(required = false, value_type = DateTime<Utc>)]
    pub finished_before: Option<DateTime<Utc>>,
    /// Final states; by default `completed`.
    #[schema(required = false, value_type = Vec<FinalState>)]
    pub states: Option<FinalStates>,
}

/// A state that a task never leaves.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(rename_all = "lowercase", as = StatesEnum)]
#[expect(dead_code, reason = "only its words count, in the document")]
pub enum FinalState {
    Skipped,
    Completed,
    Failed,
    Canceled,
}

/// Final states, by their words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalStates(pub Vec<TaskState>);

impl FinalStates {
    fn check(words: Vec<String>) -> Result<Self, Wrong> {
        words
            .into_iter()
            .map(|word| match word.parse::<TaskState>() {
                Ok(state) if state.is_final() => Ok(state),
                _ => Err(Wrong(json!([format!("\"{word}\" is not a valid choice.")]))),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Field for FinalStates {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        Self::check(texts(Vec::from_json(value)?))
    }

    fn from_form(values: &[String]) -> Result<Self, Wrong> {
        Self::check(texts(Vec::from_form(values)?))
    }
}

fn texts(list: Vec<RawText>) -> Vec<String> {
    list.into_iter().map(|text| text.0).collect()
}

impl FromFields for Purge {
    fn read(fields: &mut Fields) -> Option<Self> {
        let finished_before = fields.optional("finished_before");
        let states = fields.optional("states");
        Some(Self {
            finished_before: finished_before?,
            states: states?,
        })
    }
}

/// Any registered task, to be dispatched.
#[derive(Clone, Debug, ToSchema)]
pub struct TaskDispatch {
    /// The dotted name of the type.
    pub name: String,
    /// Arguments by position.
    #[schema(required = false)]
    pub args: Vec<Value>,
    /// Arguments by name.
    #[schema(required = false, value_type = Object)]
    pub kwargs: Map<String, Value>,
    /// What it needs for itself: names, hrefs or PRNs. Added to what its type reserves.
    #[schema(required = false)]
    pub exclusive_resources: Vec<String>,
    /// What it needs and others may need too.
    #[schema(required = false)]
    pub shared_resources: Vec<String>,
    /// The group to join.
    pub task_group: Option<String>,
    /// To be run at once; the request waits for it.
    #[schema(required = false)]
    pub immediate: bool,
    /// May start later.
    #[schema(required = false)]
    pub deferred: bool,
    /// Components and the versions that a worker must have at least.
    #[schema(required = false)]
    pub versions: BTreeMap<String, String>,
    /// By when it is to be over.
    pub deadline: Option<DateTime<Utc>>,
}

fn list(values: Option<Vec<RawText>>) -> Vec<String> {
    texts(values.unwrap_or_default())
}

fn read_versions(fields: &mut Fields) -> Option<BTreeMap<String, String>> {
    let given: Option<Map<String, Value>> = fields.optional("versions")?;
    let mut versions = BTreeMap::new();
    for (label, version) in given.unwrap_or_default() {
        let Value::String(version) = version else {
            return fields.refuse(
                "versions",
                format!("The version of `{label}` is not a valid string."),
            );
        };
        versions.insert(label, version);
    }
    Some(versions)
}

impl FromFields for TaskDispatch {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.required::<Text>("name");
        let args = fields.optional::<Vec<Any>>("args");
        let kwargs = fields.optional::<Map<String, Value>>("kwargs");
        let exclusive = fields.optional::<Vec<RawText>>("exclusive_resources");
        let shared = fields.optional::<Vec<RawText>>("shared_resources");
        let group = fields.nullable::<Text>("task_group");
        let immediate = fields.optional::<bool>("immediate");
        let deferred = fields.optional::<bool>("deferred");
        let versions = read_versions(fields);
        let deadline = fields.nullable::<DateTime<Utc>>("deadline");
        if let (Some(immediate), Some(deferred)) = (&immediate, &deferred)
            && !immediate.unwrap_or(false)
            && !deferred.unwrap_or(true)
        {
            return fields.refuse(
                "deferred",
                "A task that is not immediate must be deferrable.",
            );
        }
        Some(Self {
            name: name?.0,
            args: args?.unwrap_or_default().into_iter().map(|a| a.0).collect(),
            kwargs: kwargs?.unwrap_or_default(),
            exclusive_resources: list(exclusive?),
            shared_resources: list(shared?),
            task_group: group?.flatten().map(|text| text.0),
            immediate: immediate?.unwrap_or(false),
            deferred: deferred?.unwrap_or(true),
            versions: versions?,
            deadline: deadline?.flatten(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;

    fn read<T: FromFields>(body: Value) -> Result<T, String> {
        let Value::Object(object) = body else {
            unreachable!()
        };
        Fields::from_json(object)
            .finish()
            .map(|Body(value)| value)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn a_cancel_says_canceled_and_nothing_else() {
        assert!(read::<TaskCancel>(json!({"state": "canceled"})).is_ok());
        let bad = |body| read::<TaskCancel>(body).unwrap_err();
        assert!(bad(json!({"state": "running"})).contains("only acceptable value"));
        assert!(bad(json!({})).contains("required"));
        assert!(bad(json!({"state": "canceled", "x": 1})).contains("Unexpected field"));
    }

    #[test]
    fn a_purge_takes_final_states_only() {
        let purge: Purge =
            read(json!({"states": ["failed"], "finished_before": "2026-01-01"})).unwrap();
        assert_eq!(purge.states, Some(FinalStates(vec![TaskState::Failed])));
        for bad in ["running", "BAD STATE"] {
            let error = read::<Purge>(json!({"states": [bad]})).unwrap_err();
            assert!(error.contains("is not a valid choice"), "{error}");
        }
        assert!(read::<Purge>(json!({"states": "failed"})).is_err());
        assert!(read::<Purge>(json!({"finished_before": "x"})).is_err());
    }

    #[test]
    fn a_dispatch_names_each_field_that_is_wrong() {
        let error = read::<TaskDispatch>(json!({
            "args": {}, "kwargs": [], "exclusive_resources": [5], "shared_resources": null, "immediate": "maybe",
            "versions": {"core": 3}, "task_group": 7, "deadline": "soon", "foo": 1,
        }))
        .unwrap_err();
        for field in [
            "name",
            "args",
            "kwargs",
            "exclusive_resources",
            "shared_resources",
            "immediate",
            "versions",
            "task_group",
            "deadline",
            "foo",
        ] {
            assert!(
                error.contains(&format!("\"{field}\":")),
                "{field} in {error}"
            );
        }
        let neither = json!({"name": "x", "immediate": false, "deferred": false});
        assert!(
            read::<TaskDispatch>(neither)
                .unwrap_err()
                .contains("\"deferred\":")
        );
        assert!(read::<TaskDispatch>(json!({"name": "x", "args": [null, 1.5]})).is_ok());
    }
}
