//! Errors of the domain rules. No HTTP here: the API has the one table to status codes.

use crate::db::RetryCause;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why an operation could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object does not exist, or may not be seen.
    #[error("no {what} matches the given query")]
    NotFound {
        /// The kind of object, as people name it (`Task`).
        what: &'static str,
    },
    /// A value that the caller gave cannot be accepted.
    #[error("{field}: {message}")]
    Invalid {
        /// The field that holds the value, as the caller named it.
        field: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The object is in a state that forbids the operation.
    #[error("{0}")]
    Conflict(String),
    /// The database, the broker or the store cannot be used now; the same call may work later.
    #[error("{what} is not available")]
    Unavailable {
        /// Which part.
        what: &'static str,
        /// The cause, for the log.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no room for what was to be written: the same call fails until somebody makes some.
    #[error("There is no room left in the {what}.")]
    Full {
        /// Where.
        what: &'static str,
        /// The cause, for the log.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A fault of ours; the cause goes to the log only.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A value of this field cannot be accepted.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            message: message.into(),
        }
    }

    /// True where the same call may succeed later: something was away, or others were in the way.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. }) || self.diesel().is_some_and(is_transient)
    }

    /// What could not be written to this place: [`Error::Full`] where the system says so, else
    /// [`Error::Unavailable`].
    pub fn not_written(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        if is_full(source.as_ref()) {
            Self::Full { what, source }
        } else {
            Self::Unavailable { what, source }
        }
    }

    /// A fault of ours.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

/// True where a disk or a quota is at the root of an error.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::{Error, ErrorKind};
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain
        .filter_map(|error| error.downcast_ref::<Error>())
        .any(|error| {
            matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            )
        })
}

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        if is_connection_loss(&error) {
            return Self::Unavailable {
                what: "database",
                source: error.into(),
            };
        }
        Self::Internal(error.into())
    }
}

/// True where the session is gone, not the statement wrong.
#[must_use]
pub fn is_connection_loss(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, _)
        | DieselError::DatabaseError(DatabaseErrorKind::UnableToSendCommand, _)
        // The server has become a standby: the primary is elsewhere now.
        | DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _)
        | DieselError::BrokenTransactionManager => true,
        DieselError::DatabaseError(_, info) => {
            let text = info.message();
            // diesel-async maps the SQLSTATE classes 08 and 57P0x to `Unknown`.
            [
                "connection closed",
                "terminating connection",
                "shutting down",
                "starting up",
                "error communicating",
            ]
            .iter()
            .any(|sign| text.contains(sign))
        }
        _ => false,
    }
}

/// True for a deadlock, a serialisation failure or a lock that did not come in time: the transaction
/// was rolled back and may be tried again.
#[must_use]
pub fn is_retryable(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        DieselError::DatabaseError(_, info) => {
            let text = info.message();
            text.contains("deadlock detected") || text.contains("due to lock timeout")
        }
        _ => false,
    }
}

/// Level of the log for a transaction of several that failed: `Debug` where it may be tried again, as that is to be expected among
/// many; else `Warn`.
#[must_use]
pub fn failure_level(error: &DieselError) -> log::Level {
    if is_retryable(error) {
        log::Level::Debug
    } else {
        log::Level::Warn
    }
}

/// True where the same call may succeed later: the database was away, or others were in the way.
#[must_use]
pub fn is_transient(error: &DieselError) -> bool {
    is_connection_loss(error) || is_retryable(error) || is_out_of_locks(error)
}

/// True when the statement was ended by its own time limit.
#[must_use]
pub fn is_too_slow(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(_, info) if info.message().contains("due to statement timeout"))
}

/// True when the server's lock table is full (SQLSTATE 53200).
#[must_use]
pub fn is_out_of_locks(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(_, info) if info.message().contains("out of shared memory"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error as IoError, ErrorKind};

    #[test]
    fn a_full_disk_is_told_from_one_that_fails_however_deep_it_lies() {
        let wrapped = |kind| Error::internal(IoError::from(kind));
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            let error = Error::not_written("store", wrapped(kind));
            assert!(matches!(error, Error::Full { .. }), "{error:?}");
            assert!(!error.is_transient());
        }
        let error = Error::not_written("store", wrapped(ErrorKind::TimedOut));
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
}
