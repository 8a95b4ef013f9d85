//! What a task is: a type with arguments, resources and a body.

use super::context::TaskContext;
use super::new_task::NewTask;
use super::registry::{Needs, Registry};
use super::resources::Resources;
use crate::db::{Conn, RetryCause};
use crate::error::{Error, is_transient};
use crate::prn::Prn;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// A kind of task. Its fields are the arguments, stored as JSON; derive `Deserialize` with
/// `#[serde(deny_unknown_fields)]`, so that an argument that does not fit is refused at dispatch.
pub trait Task: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The dotted name that clients see. A wire contract: never change it.
    const NAME: &'static str;
    /// Names of the arguments in the order in which they may be given by position.
    const ARGS: &'static [&'static str] = &[];
    /// The work class; fleets may be dedicated to a class.
    const CLASS: &'static str = "default";
    /// The component whose version a worker must have at least.
    const COMPONENT: &'static str = "core";
    /// True: may run again after its worker died at any instruction. Every effect outside the
    /// database must then be guarded.
    const RERUN_AFTER_LOSS: bool = false;
    /// What the second version's API shows of its tasks as tags, in their order.
    const TAGS: &'static [&'static str] = &[];
    /// Longest time that the body may take.
    const TIMEOUT: Option<Duration> = None;

    /// The class of this one, where the arguments decide: one that some task type has.
    fn class(&self) -> &'static str {
        Self::CLASS
    }

    /// What the task reserves unless its dispatcher says otherwise; the domain is added.
    fn resources(&self) -> Resources {
        Resources::default()
    }

    /// Units and artifacts that the body is going to look for by their ids: orphan clean-up spares them
    /// from the dispatch on until the task is final, however long it waits.
    fn uses(&self) -> Vec<Uuid> {
        Vec::new()
    }

    /// Checks the arguments beyond their types. Called at dispatch, before anything is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the argument's name.
    fn validate(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Checks the arguments and says what the task needs by them. A type whose arguments name what only
    /// the registry of the process knows overrides this; for all others the methods above are enough.
    ///
    /// # Errors
    /// As [`Task::validate`].
    fn needs(&self, _registry: &Registry) -> Result<Needs, Error> {
        self.validate()?;
        Ok(Needs::of(self))
    }

    /// The work. Its last write is returned as a [`Flip`]; everything written before that must be
    /// invisible until then, tagged with the claim id, and written through [`TaskContext::fenced`].
    fn run(self, ctx: TaskContext) -> impl Future<Output = Result<Outcome, TaskError>> + Send;
}

/// What a successful body hands to settle.
#[derive(Default)]
pub struct Outcome {
    pub(super) effects: Effects,
    pub(super) early: Option<Early>,
    pub(super) flip: Option<Flip>,
    pub(super) dispatches: Vec<NewTask>,
    /// See [`Outcome::brief`].
    pub(super) is_brief: bool,
}

/// The last write of a body: runs in the settle transaction, about 1,000 rows at most. May be called
/// again when that transaction is retried.
pub type Flip =
    Box<dyn for<'c> Fn(&'c mut Conn) -> BoxFuture<'c, Result<Effects, TaskError>> + Send + Sync>;

/// The part of a last write that may take time, or wait for rows: it runs in the settle transaction before the lanes are
/// locked, and gives the rest of the write. May be called again as that may. It shows no claim: the rest of the transaction
/// does. Nobody who has lanes locked may wait for a row that it locks.
pub type Early =
    Box<dyn for<'c> Fn(&'c mut Conn) -> BoxFuture<'c, Result<Flip, TaskError>> + Send + Sync>;

/// What clients see of a completed task.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// The task's `result`.
    pub result: Option<Value>,
    /// What it made, in order (contract 2.10).
    pub created: Vec<Prn>,
}

impl Outcome {
    /// True where settling is more than one statement.
    pub(super) fn has_effects(&self) -> bool {
        self.early.is_some()
            || self.flip.is_some()
            || !self.dispatches.is_empty()
            || !self.effects.created.is_empty()
    }

    /// An outcome with a result and no last write.
    #[must_use]
    pub fn result(result: Value) -> Self {
        Self {
            effects: Effects {
                result: Some(result),
                created: Vec::new(),
            },
            ..Self::default()
        }
    }

    /// An outcome whose last write is this closure.
    pub fn flip<F>(flip: F) -> Self
    where
        F: for<'c> Fn(&'c mut Conn) -> BoxFuture<'c, Result<Effects, TaskError>>
            + Send
            + Sync
            + 'static,
    {
        Self {
            flip: Some(Box::new(flip)),
            ..Self::default()
        }
    }

    /// An outcome whose last write begins before the lanes are locked.
    pub fn early<F>(early: F) -> Self
    where
        F: for<'c> Fn(&'c mut Conn) -> BoxFuture<'c, Result<Flip, TaskError>>
            + Send
            + Sync
            + 'static,
    {
        Self {
            early: Some(Box::new(early)),
            ..Self::default()
        }
    }

    /// Says that the last write is few statements that find rows by their ids: settle plans them once a session, see
    /// [`brief_transaction`](crate::db::brief_transaction).
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.is_brief = true;
        self
    }

    /// Adds an object that the task made.
    #[must_use]
    pub fn created(mut self, prn: Prn) -> Self {
        self.effects.created.push(prn);
        self
    }

    /// The result, where it does not wait for the last write.
    #[must_use]
    pub fn shown(&self) -> Option<&Value> {
        self.effects.result.as_ref()
    }

    /// Leaves the result out.
    #[must_use]
    pub fn without_result(mut self) -> Self {
        self.effects.result = None;
        self.flip = self.flip.map(|flip| {
            let quiet: Flip = Box::new(move |conn| {
                let run = flip(conn);
                Box::pin(async move {
                    Ok(Effects {
                        result: None,
                        ..run.await?
                    })
                })
            });
            quiet
        });
        self
    }

    /// Adds a task that is dispatched if and only if this one completes.
    #[must_use]
    pub fn then_dispatch(mut self, task: NewTask) -> Self {
        self.dispatches.push(task);
        self
    }
}

/// Why a task ended without success; `Display` is what the client reads in `error.description`.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The body says what is wrong.
    #[error("{description}")]
    Failed {
        /// A code of the contract (`PLP0011`), put in front of the description.
        code: Option<&'static str>,
        /// For the client.
        description: String,
    },
    /// The body stopped because it was asked to.
    #[error("canceled")]
    Canceled,
    /// The run lost its claim: nothing that it writes counts any more.
    #[error("the claim is lost")]
    Fenced,
    /// A fault of ours; the cause is logged, not shown.
    #[error("An internal error occurred.")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl TaskError {
    /// A failure that the client may read.
    pub fn failed(description: impl Into<String>) -> Self {
        Self::Failed {
            code: None,
            description: description.into(),
        }
    }

    /// A failure with a code of the contract.
    pub fn coded(code: &'static str, description: impl Into<String>) -> Self {
        Self::Failed {
            code: Some(code),
            description: description.into(),
        }
    }

    /// A fault of ours.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// The `error` of the task (contract 2.9).
    #[must_use]
    pub fn to_json(&self) -> Value {
        let code = match self {
            Self::Failed { code, .. } => *code,
            _ => Some("PLP0000"),
        };
        // PostgreSQL stores no NUL in a text.
        let text = self.to_string().replace('\0', "\u{fffd}");
        match code {
            Some(code) => serde_json::json!({
                "description": format!("[{code}] {text}"), "traceback": null, "error_code": code,
            }),
            None => serde_json::json!({"description": text, "traceback": null}),
        }
    }
}

impl From<diesel::result::Error> for TaskError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<Error> for TaskError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { .. }
            | Error::Invalid { .. }
            | Error::Conflict(_)
            | Error::Full { .. } => Self::failed(error.to_string()),
            Error::Unavailable { .. } | Error::Internal(_) => Self::Internal(error.into()),
        }
    }
}

impl TaskError {
    /// True where the body may succeed later: something was away, or others were in the way.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let Self::Internal(cause) = self else {
            return false;
        };
        match cause.downcast_ref::<Error>() {
            Some(error) => error.is_transient(),
            None => self.diesel().is_some_and(is_transient),
        }
    }
}

impl RetryCause for TaskError {
    fn diesel(&self) -> Option<&diesel::result::Error> {
        match self {
            Self::Internal(cause) => cause
                .downcast_ref::<diesel::result::Error>()
                .or_else(|| cause.downcast_ref::<Error>().and_then(RetryCause::diesel)),
            _ => None,
        }
    }
}
