//! Kinds of resources that the general tasks work on, by the names that the tasks are given: one file
//! a kind, and one line here. The REST layer validates with the same code.

mod fields;
pub mod file_distribution;
pub mod file_remote;
pub mod file_repository;
pub mod filesystem_exporter;
pub mod repository;
pub mod rpm_repository;
pub mod unit_data;

pub use fields::{FieldErrors, Fields, check_label};

use crate::config::Settings;
use crate::db::{Conn, Db};
use crate::error::Error;
use crate::ids::DomainId;
use crate::prn::Prn;
use crate::secrets::Keyring;
use crate::tasking::{Effects, Resources, TaskContext, TaskError};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;

type Data = Map<String, Value>;

/// What a kind works with beside a session.
#[derive(Clone)]
pub struct Scope {
    /// The domain.
    pub domain: DomainId,
    /// Encrypts what is secret.
    pub keyring: Keyring,
    /// The settings of the worker.
    pub settings: Arc<Settings>,
    /// Pooled sessions, for what must not wait for this transaction.
    pub db: Db,
}

impl Scope {
    /// That of a run.
    #[must_use]
    pub fn of(ctx: &TaskContext) -> Self {
        Self {
            domain: ctx.domain(),
            keyring: ctx.keyring().clone(),
            settings: Arc::clone(ctx.settings()),
            db: ctx.db().clone(),
        }
    }
}

type Update =
    for<'c> fn(&'c mut Conn, &'c Scope, Uuid, &'c Data) -> BoxFuture<'c, Result<Value, TaskError>>;

type Delete = for<'c> fn(&'c mut Conn, &'c Scope, Uuid) -> BoxFuture<'c, Result<(), TaskError>>;

type Create =
    for<'c> fn(&'c mut Conn, &'c Scope, &'c Data) -> BoxFuture<'c, Result<Effects, TaskError>>;

/// How an object of a kind is made by a task.
pub struct Creation {
    /// Validates and writes; gives what the task made, and as its result what clients see of it. Runs in
    /// the transaction of a settle.
    pub run: Create,
}

/// A kind of resource that can be updated and deleted, and perhaps made by a task.
pub struct Kind {
    /// The component that it belongs to (`file`).
    pub app_label: &'static str,
    /// The name of its validator (`FileRepositorySerializer`).
    pub serializer_name: &'static str,
    /// What a task on one of them reserves.
    pub prn: fn(Uuid) -> Prn,
    /// The fields that can be written.
    pub fields: &'static [&'static str],
    /// What fields are that a new object is not given: those that declare it.
    pub defaults: fn() -> Data,
    /// Checks the data without looking at the database. References in it are PRNs. `true`: it need not name
    /// what has no default, and nothing gets its default.
    pub check: fn(&Data, bool) -> Result<(), FieldErrors>,
    /// What a task reserves beside the object: `Some` data is written, `None` is for a deletion.
    pub lanes: fn(Option<&Data>) -> Resources,
    /// How one is made; `None`: by no task.
    pub create: Option<Creation>,
    /// Validates the fields that are named, and writes them; gives what clients see then. Runs in the transaction
    /// of a settle.
    pub update: Update,
    /// Deletes one. Runs in the transaction of a settle.
    pub delete: Delete,
}

impl Kind {
    /// A whole body as clients of REST mean it: what it does not name gets its default, or keeps its value
    /// where it has none (contract 4.1).
    #[must_use]
    pub fn with_defaults(&self, data: &Data) -> Data {
        completed(data, (self.defaults)())
    }

    /// A whole body as tasks mean it: what it does not name becomes null (seed: `general_update`).
    #[must_use]
    pub fn with_nulls(&self, data: &Data) -> Data {
        let nulls = self
            .fields
            .iter()
            .map(|field| ((*field).to_owned(), Value::Null));
        completed(data, nulls.collect())
    }
}

/// The data, and of the others what it does not name.
pub(super) fn completed(data: &Data, others: Data) -> Data {
    let mut all = data.clone();
    for (field, value) in others {
        all.entry(field).or_insert(value);
    }
    all
}

/// The fields of an object that is written as JSON.
pub(super) fn object(value: Value) -> Data {
    match value {
        Value::Object(fields) => fields,
        _ => Data::new(),
    }
}

const KINDS: &[Kind] = &[
    file_distribution::KIND,
    file_remote::KIND,
    file_repository::KIND,
    filesystem_exporter::KIND,
    rpm_repository::KIND,
];

/// The kind of these names.
///
/// # Errors
/// [`Error::Invalid`] on `serializer_name`.
pub fn find(app_label: &str, serializer_name: &str) -> Result<&'static Kind, Error> {
    KINDS
        .iter()
        .find(|k| k.app_label == app_label && k.serializer_name == serializer_name)
        .ok_or_else(|| {
            let message = format!("there is no `{serializer_name}` in `{app_label}`");
            Error::invalid("serializer_name", message)
        })
}
