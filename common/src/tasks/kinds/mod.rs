//! Kinds of resources that the general tasks work on, by the names that the tasks are given: one file
//! a kind, and one line here. The REST layer validates with the same code.

mod fields;
pub mod file_content;
pub mod file_repository;

pub use fields::{FieldErrors, Fields, check_label};

use crate::db::Conn;
use crate::error::Error;
use crate::ids::DomainId;
use crate::prn::Prn;
use crate::tasking::TaskError;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use uuid::Uuid;

type Data = Map<String, Value>;

type Update = for<'c> fn(
    &'c mut Conn,
    DomainId,
    Uuid,
    &'c Data,
    bool,
) -> BoxFuture<'c, Result<Value, TaskError>>;

type Delete = for<'c> fn(&'c mut Conn, DomainId, Uuid) -> BoxFuture<'c, Result<(), TaskError>>;

/// A kind of resource that can be updated and deleted.
pub struct Kind {
    /// The component that it belongs to (`file`).
    pub app_label: &'static str,
    /// The name of its validator (`FileRepositorySerializer`).
    pub serializer_name: &'static str,
    /// What a task on one of them reserves.
    pub prn: fn(Uuid) -> Prn,
    /// Checks the data without looking at the database.
    pub check: fn(&Data, bool) -> Result<(), FieldErrors>,
    /// Validates and writes; gives what clients see then. Runs in the transaction of a settle.
    pub update: Update,
    /// Deletes one. Runs in the transaction of a settle.
    pub delete: Delete,
}

const KINDS: &[Kind] = &[file_repository::KIND];

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
