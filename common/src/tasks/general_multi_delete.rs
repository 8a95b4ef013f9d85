//! Deleting several objects of any kinds: all of them, or none (contract 3.6).

use super::kinds::{self, Kind, Scope};
use crate::error::Error;
use crate::tasking::{Effects, Outcome, Resources, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use uuid::Uuid;

/// Objects of one task: they are one write, with what goes with each.
const MOST: usize = 100;

/// Deletes objects with all that belongs to them, in the given order and in one transaction: where one is not
/// there, nothing is deleted. One write: safe to run again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneralMultiDelete {
    /// The objects: the id, the component of its kind, and the validator of its kind.
    pub instance_ids: Vec<(Uuid, String, String)>,
}

impl GeneralMultiDelete {
    /// The objects with their kinds.
    fn objects(&self) -> Result<Vec<(Uuid, &'static Kind)>, Error> {
        self.instance_ids
            .iter()
            .map(|(id, app_label, serializer)| Ok((*id, kinds::find(app_label, serializer)?)))
            .collect()
    }
}

impl Task for GeneralMultiDelete {
    const NAME: &'static str = "pulpcore.app.tasks.base.general_multi_delete";
    const ARGS: &'static [&'static str] = &["instance_ids"];
    const RERUN_AFTER_LOSS: bool = true;

    fn resources(&self) -> Resources {
        let of = |(id, kind): (Uuid, &Kind)| (kind.lanes)(None).and_exclusive((kind.prn)(id));
        let all = self.objects().into_iter().flatten();
        all.map(of).fold(Resources::default(), Resources::and)
    }

    fn validate(&self) -> Result<(), Error> {
        self.objects()?;
        let refuse = |message: String| Err(Error::invalid("instance_ids", message));
        if self.instance_ids.len() > MOST {
            return refuse(format!("at most {MOST} objects go at once"));
        }
        let mut seen = HashSet::new();
        match self.instance_ids.iter().find(|one| !seen.insert(one.0)) {
            Some((id, ..)) => refuse(format!("{id} is named twice")),
            None => Ok(()),
        }
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        general_multi_delete(&ctx, &self.instance_ids)
    }
}

/// Deletes objects, all or none, as the last write of the task that calls it (seed: `general_multi_delete`). The
/// task must hold the objects, and what their kinds reserve for a deletion.
///
/// # Errors
/// A text for the client where a kind is not known; where an object is not there, the task fails.
pub fn general_multi_delete(
    ctx: &TaskContext,
    instance_ids: &[(Uuid, String, String)],
) -> Result<Outcome, TaskError> {
    let task = GeneralMultiDelete {
        instance_ids: instance_ids.to_vec(),
    };
    let (objects, scope) = (task.objects()?, Scope::of(ctx));
    Ok(Outcome::flip(move |conn| {
        let (objects, scope) = (objects.clone(), scope.clone());
        Box::pin(async move {
            for (id, kind) in objects {
                (kind.delete)(conn, &scope, id).await?;
            }
            Ok(Effects::default())
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::kinds::{file_distribution, file_remote};

    fn task(objects: &[(Uuid, &str, &str)]) -> GeneralMultiDelete {
        let instance_ids = objects
            .iter()
            .map(|(id, app, serializer)| (*id, (*app).to_owned(), (*serializer).to_owned()))
            .collect();
        GeneralMultiDelete { instance_ids }
    }

    #[test]
    fn it_reserves_every_object_and_what_their_kinds_need() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let task = task(&[
            (one, "file", file_remote::SERIALIZER),
            (other, "file", file_distribution::SERIALIZER),
        ]);
        task.validate().unwrap();
        let resources = task.resources();
        let exclusive: Vec<&str> = resources.exclusive_names().collect();
        assert_eq!(exclusive.len(), 2, "{exclusive:?}");
        assert_eq!(resources.shared_names().len(), 1);
    }

    #[test]
    fn an_unknown_kind_a_double_and_too_many_are_refused() {
        let id = Uuid::from_u128(1);
        for (objects, field) in [
            (vec![(id, "file", "NoSerializer")], "serializer_name"),
            (
                vec![(id, "file", file_remote::SERIALIZER); 2],
                "instance_ids",
            ),
            (
                (0..=MOST as u128)
                    .map(|n| (Uuid::from_u128(n), "file", file_remote::SERIALIZER))
                    .collect(),
                "instance_ids",
            ),
        ] {
            let refusal = task(&objects).validate().unwrap_err().to_string();
            assert!(refusal.starts_with(field), "{refusal}");
        }
    }
}
