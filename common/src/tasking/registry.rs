//! The task types that a process knows: name to body.

use super::context::TaskContext;
use super::resources::Resources;
use super::task::{Outcome, Task, TaskError};
use crate::config::Settings;
use crate::db::Db;
use crate::error::Error;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A part of the system with a version of its own (contract 4.2).
#[derive(Clone, Debug, serde::Serialize)]
pub struct Component {
    /// Short label (`core`, `file`).
    pub component: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The package that clients know it by.
    pub package: &'static str,
    /// The module that clients know it by.
    pub module: &'static str,
}

/// What a task needs by its arguments, unless its dispatcher says otherwise.
#[derive(Clone, Debug)]
pub struct Needs {
    /// See [`Task::resources`].
    pub resources: Resources,
    /// See [`Task::uses`].
    pub uses: Vec<Uuid>,
    /// See [`Task::class`].
    pub class: &'static str,
}

impl Needs {
    /// The needs of this task.
    pub fn of<T: Task>(task: &T) -> Self {
        Self {
            resources: task.resources(),
            uses: task.uses(),
            class: task.class(),
        }
    }
}

/// A registered task type.
pub struct TaskType {
    /// See [`Task::NAME`].
    pub name: &'static str,
    /// See [`Task::ARGS`].
    pub args: &'static [&'static str],
    /// See [`Task::CLASS`].
    pub class: &'static str,
    /// See [`Task::COMPONENT`].
    pub component: &'static str,
    /// See [`Task::RERUN_AFTER_LOSS`].
    pub rerun_after_loss: bool,
    /// See [`Task::TAGS`].
    pub tags: &'static [&'static str],
    /// See [`Task::TIMEOUT`].
    pub timeout: Option<Duration>,
    check: fn(&Registry, &Value) -> Result<Needs, Error>,
    run: fn(Value, TaskContext) -> BoxFuture<'static, Result<Outcome, TaskError>>,
}

impl TaskType {
    fn of<T: Task>() -> Self {
        Self {
            name: T::NAME,
            args: T::ARGS,
            class: T::CLASS,
            component: T::COMPONENT,
            rerun_after_loss: T::RERUN_AFTER_LOSS,
            tags: T::TAGS,
            timeout: T::TIMEOUT,
            check: |registry, arguments| decode::<T>(arguments)?.needs(registry),
            run: |arguments, ctx| {
                Box::pin(async move {
                    let task: T = serde_json::from_value(arguments).map_err(TaskError::internal)?;
                    task.run(ctx).await
                })
            },
        }
    }

    /// Folds positional and named arguments into one object and checks it against the type.
    /// Gives the object and what the task needs.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `args` or `kwargs`: too many, one given twice, unknown, or unfitting.
    pub fn bind(
        &self,
        registry: &Registry,
        args: Vec<Value>,
        kwargs: Map<String, Value>,
    ) -> Result<(Value, Needs), Error> {
        if args.len() > self.args.len() {
            return Err(Error::invalid(
                "args",
                format!(
                    "{} takes at most {} positional arguments",
                    self.name,
                    self.args.len()
                ),
            ));
        }
        let mut bound = kwargs;
        for (name, value) in self.args.iter().zip(args) {
            if bound.insert((*name).to_owned(), value).is_some() {
                return Err(Error::invalid(
                    "kwargs",
                    format!("`{name}` is given twice: in args and in kwargs"),
                ));
            }
        }
        let bound = Value::Object(bound);
        let needs = (self.check)(registry, &bound)?;
        Ok((bound, needs))
    }

    pub(super) fn run(
        &self,
        arguments: Value,
        ctx: TaskContext,
    ) -> BoxFuture<'static, Result<Outcome, TaskError>> {
        (self.run)(arguments, ctx)
    }
}

fn decode<T: Task>(arguments: &Value) -> Result<T, Error> {
    T::deserialize(arguments)
        .map_err(|e| Error::invalid("kwargs", format!("do not fit {}: {e}", T::NAME)))
}

/// What the slow round does for tasks beside its own duties.
pub type Chore = for<'a> fn(&'a Db, &'a Settings) -> BoxFuture<'a, Result<(), Error>>;

/// All task types of a process, and the versions of the components that own them.
#[derive(Default)]
pub struct Registry {
    types: BTreeMap<&'static str, TaskType>,
    components: Vec<Component>,
    chores: Vec<(&'static str, Chore)>,
    provided: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Registry {
    /// Adds what task types look up beside each other, by its type: the engine knows nothing of it.
    pub fn provide<P: Send + Sync + 'static>(&mut self, value: P) {
        self.provided.insert(TypeId::of::<P>(), Arc::new(value));
    }

    /// What was provided of this type.
    #[must_use]
    pub fn provided<P: Send + Sync + 'static>(&self) -> Option<&P> {
        self.provided.get(&TypeId::of::<P>())?.downcast_ref()
    }

    /// Adds a task type.
    ///
    /// # Panics
    /// On a name that is already there: two bodies for one name is a programming error, found at start.
    pub fn register<T: Task>(&mut self) {
        let earlier = self.types.insert(T::NAME, TaskType::of::<T>());
        assert!(earlier.is_none(), "task {} is registered twice", T::NAME);
    }

    /// Adds a chore by its name. It does a bounded piece at a time, and several processes may do it at once.
    pub fn chore(&mut self, name: &'static str, chore: Chore) {
        self.chores.push((name, chore));
    }

    /// All chores with their names.
    #[must_use]
    pub fn chores(&self) -> &[(&'static str, Chore)] {
        &self.chores
    }

    /// Adds a component.
    pub fn component(&mut self, component: Component) {
        self.components
            .retain(|c| c.component != component.component);
        self.components.push(component);
    }

    /// The type of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&TaskType> {
        self.types.get(name)
    }

    /// All types, by name.
    pub fn types(&self) -> impl Iterator<Item = &TaskType> {
        self.types.values()
    }

    /// The tags of the type of this name; none where it is not known.
    #[must_use]
    pub fn tags(&self, name: &str) -> &'static [&'static str] {
        self.get(name).map_or(&[], |task| task.tags)
    }

    /// The names of the types that have this tag.
    pub fn tagged(&self, tag: &str) -> impl Iterator<Item = &'static str> {
        let tagged = self.types().filter(move |task| task.tags.contains(&tag));
        tagged.map(|task| task.name)
    }

    /// All components.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The version of a component, if it is known.
    #[must_use]
    pub fn version(&self, component: &str) -> Option<&'static str> {
        self.components
            .iter()
            .find(|c| c.component == component)
            .map(|c| c.version)
    }

    /// Label to version, as workers announce it.
    #[must_use]
    pub fn versions(&self) -> BTreeMap<String, String> {
        self.components
            .iter()
            .map(|c| (c.component.to_owned(), c.version.to_owned()))
            .collect()
    }

    /// True if this process knows the type and every component at the version asked for, or later.
    #[must_use]
    pub fn can_run(&self, name: &str, versions: &BTreeMap<String, String>) -> bool {
        self.types.contains_key(name)
            && versions.iter().all(|(label, wanted)| {
                self.version(label)
                    .is_some_and(|have| version_satisfies(have, wanted))
            })
    }
}

/// True if version `have` is `wanted` or later. Numbers compare as numbers; a pre-release mark
/// (`3.1.0.dev`) sorts before its release.
#[must_use]
pub fn version_satisfies(have: &str, wanted: &str) -> bool {
    fn parts(version: &str) -> Vec<i64> {
        version
            .split(['.', '-', '+'])
            .map(|part| part.parse().unwrap_or(-1))
            .collect()
    }
    let (mut have, mut wanted) = (parts(have), parts(wanted));
    let length = have.len().max(wanted.len());
    have.resize(length, 0);
    wanted.resize(length, 0);
    have >= wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version_satisfies("3.10.0", "3.9.9"));
        assert!(version_satisfies("3.10", "3.10.0"));
        assert!(!version_satisfies("3.9.9", "3.10"));
        assert!(!version_satisfies("3.10.0.dev", "3.10.0"));
    }
}
