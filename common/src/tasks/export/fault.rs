//! Why a file of an export is not written.

use crate::error::Error;
use crate::tasking::TaskError;
use std::path::Path;

/// Why a file is not there.
#[derive(Debug)]
pub(super) enum Fault {
    /// The task is to stop.
    Stopped,
    /// The bytes are no longer where they were.
    Missing,
    /// For the client.
    Failed(String),
    /// Of ours.
    Internal(Error),
}

impl Fault {
    /// A stored file that has other bytes than its row says.
    pub fn size(whole: &Path, found: u64, expected: u64) -> Self {
        let whole = whole.display();
        let text = format!("The stored file of '{whole}' has {found} bytes instead of {expected}.");
        Self::Failed(text)
    }
}

impl From<Fault> for TaskError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Stopped => Self::Canceled,
            Fault::Missing => Self::failed(NOT_HERE),
            Fault::Failed(text) => Self::failed(text),
            Fault::Internal(error) => error.into(),
        }
    }
}

/// What the client reads where a file is neither in the store nor on this machine.
pub(super) const NOT_HERE: &str = "Cannot export artifacts that haven't been downloaded.";
