//! A task that is to be dispatched.

use super::IMMEDIATE_CLASS;
use super::registry::{Needs, Registry, TaskType, version_satisfies};
use super::resources::Resources;
use super::task::Task;
use crate::error::Error;
use crate::ids::{DomainId, TaskGroupId, TaskId};
use crate::secrets::Keyring;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A task that is to be dispatched. Built from a typed value or by name; the setters add what the
/// caller knows.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// The id that it will have.
    pub id: TaskId,
    pub(super) name: &'static str,
    pub(super) class: &'static str,
    arguments: Value,
    resources: Resources,
    uses: Vec<Uuid>,
    domain: DomainId,
    pub(super) cid: String,
    created_by: Option<i32>,
    parent: Option<TaskId>,
    group: Option<TaskGroupId>,
    versions: BTreeMap<String, String>,
    immediate: bool,
    deferred: bool,
    rerun_after_loss: bool,
    deadline: Option<DateTime<Utc>>,
}

impl NewTask {
    /// A task from its typed arguments, with the resources of its type.
    ///
    /// # Errors
    /// What [`Task::needs`] refuses, or arguments that cannot be written as JSON.
    pub fn new<T: Task>(registry: &Registry, task: &T) -> Result<Self, Error> {
        let needs = task.needs(registry)?;
        let arguments = serde_json::to_value(task).map_err(Error::internal)?;
        let kind = registry
            .get(T::NAME)
            .ok_or(Error::NotFound { what: "task type" })?;
        Ok(Self::bound(registry, kind, arguments, needs))
    }

    /// A task by name, its arguments given by position and by name.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `name`, `args` or `kwargs`.
    pub fn named(
        registry: &Registry,
        name: &str,
        args: Vec<Value>,
        kwargs: Map<String, Value>,
    ) -> Result<Self, Error> {
        let kind = registry
            .get(name)
            .ok_or_else(|| Error::invalid("name", format!("`{name}` is not a registered task")))?;
        let (arguments, needs) = kind.bind(registry, args, kwargs)?;
        Ok(Self::bound(registry, kind, arguments, needs))
    }

    fn bound(registry: &Registry, kind: &TaskType, arguments: Value, needs: Needs) -> Self {
        let versions = registry
            .version(kind.component)
            .map(|version| (kind.component.to_owned(), version.to_owned()))
            .into_iter()
            .collect();
        Self {
            id: TaskId::new(),
            name: kind.name,
            class: needs.class,
            arguments,
            resources: needs.resources,
            uses: needs.uses,
            domain: DomainId::DEFAULT,
            cid: Uuid::now_v7().simple().to_string(),
            created_by: None,
            parent: None,
            group: None,
            versions,
            immediate: false,
            deferred: true,
            rerun_after_loss: kind.rerun_after_loss,
            deadline: None,
        }
    }

    /// Replaces the resources of the type.
    #[must_use]
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// Adds resources to those of the type.
    #[must_use]
    pub fn and_resources(mut self, resources: Resources) -> Self {
        self.resources = self.resources.and(resources);
        self
    }

    /// Sets the correlation id (32 hex digits) of the request.
    #[must_use]
    pub fn cid(mut self, cid: impl Into<String>) -> Self {
        self.cid = cid.into();
        self
    }

    /// Sets the account that dispatches.
    #[must_use]
    pub fn created_by(mut self, account: Option<i32>) -> Self {
        self.created_by = account;
        self
    }

    /// Sets the task that dispatches.
    #[must_use]
    pub fn parent(mut self, parent: TaskId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Makes it a child of this task, of the same request and dispatcher.
    pub(super) fn child_of(self, parent: TaskId, cid: &str, created_by: Option<i32>) -> Self {
        let created_by = self.created_by.or(created_by);
        self.parent(parent).cid(cid).created_by(created_by)
    }

    /// Joins a group.
    #[must_use]
    pub fn group(mut self, group: Option<TaskGroupId>) -> Self {
        self.group = group;
        self
    }

    /// Sets the moment by which it must be over: until then it has been claimed and has ended, or it is ended.
    #[must_use]
    pub fn deadline(mut self, moment: Option<DateTime<Utc>>) -> Self {
        self.deadline = moment;
        self
    }

    /// True where it must be over by some moment.
    #[must_use]
    pub fn has_deadline(&self) -> bool {
        self.deadline.is_some()
    }

    /// Asks for component versions beyond the default.
    ///
    /// # Errors
    /// [`Error::Invalid`] on a label that no component has.
    pub fn versions(
        mut self,
        registry: &Registry,
        versions: BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        for (label, version) in versions {
            if registry.version(&label).is_none() {
                return Err(Error::invalid(
                    "versions",
                    format!("`{label}` is not a component"),
                ));
            }
            let asked = self
                .versions
                .entry(label)
                .or_insert_with(|| version.clone());
            if !version_satisfies(asked, &version) {
                *asked = version;
            }
        }
        Ok(self)
    }

    /// Makes it an immediate task (contract 2.6): it goes to slots that are kept free for such. With
    /// `deferred` false it is canceled where it cannot start at once.
    #[must_use]
    pub fn immediate(mut self, deferred: bool) -> Self {
        self.immediate = true;
        self.deferred = deferred;
        self.class = IMMEDIATE_CLASS;
        self
    }

    /// True for an immediate task.
    #[must_use]
    pub fn is_immediate(&self) -> bool {
        self.immediate
    }

    /// What clean-up must spare until it has ended: units and artifacts, by their ids.
    #[must_use]
    pub fn uses(&self) -> &[Uuid] {
        &self.uses
    }

    /// Bytes of its arguments.
    #[must_use]
    pub fn arguments_len(&self) -> usize {
        self.arguments.to_string().len()
    }

    /// The resource that it is most likely to wait for: the first of those that it takes alone.
    #[must_use]
    pub fn likely_lane(&self) -> Option<&str> {
        self.resources.exclusive_names().next()
    }

    /// The name of its type.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Refuses what cannot be reserved, as [`dispatch`](super::dispatch) does.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check_resources(&self) -> Result<(), Error> {
        self.lanes().validate()
    }

    pub(super) fn lanes(&self) -> Resources {
        if self
            .resources
            .exclusive_names()
            .any(|name| name == crate::prn::Prn::from(self.domain).to_string())
        {
            return self.resources.clone();
        }
        self.resources.clone().in_domain(self.domain)
    }

    /// As `millrace_dispatch` takes it.
    pub(super) fn to_row(&self, keyring: &Keyring) -> Result<Value, Error> {
        let lanes = self.lanes();
        lanes.validate()?;
        let arguments = keyring
            .encrypt(&self.arguments.to_string())
            .map_err(Error::internal)?;
        Ok(json!({
            "id": self.id, "domain": self.domain, "name": self.name, "class": self.class, "cid": self.cid,
            "created_by": self.created_by, "enc_args": arguments, "parent_task": self.parent,
            "task_group": self.group, "exclusive": lanes.exclusive_names().collect::<Vec<_>>(),
            "shared": lanes.shared_names().collect::<Vec<_>>(), "versions": self.versions,
            "immediate": self.immediate, "deferred": self.deferred,
            "rerun_after_loss": self.rerun_after_loss, "deadline": self.deadline,
        }))
    }
}
