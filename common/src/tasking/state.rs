//! The states of a task, and the moves between them that the engine makes.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a task is in its life (contract 2.5). `skipped` exists for clients; nothing sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the module of the engine draws the states")]
pub enum TaskState {
    Waiting,
    Running,
    Completed,
    Failed,
    Canceled,
    Canceling,
    Skipped,
}

impl TaskState {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
        Self::Canceling,
        Self::Skipped,
    ];

    /// The states that a task never leaves.
    pub const FINAL: [Self; 4] = [Self::Completed, Self::Failed, Self::Canceled, Self::Skipped];

    /// True where the task never changes again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Canceled | Self::Skipped
        )
    }

    /// True if a task may go from `self` to `next`. The statements of the engine make these moves and no
    /// others; tests compare.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use TaskState::{Canceled, Canceling, Completed, Failed, Running, Waiting};
        matches!(
            (self, next),
            (Waiting, Running | Canceled | Failed)
                | (Running, Waiting | Completed | Failed | Canceling | Canceled)
                | (Canceling, Canceled | Failed)
        )
    }

    /// The word in rows, messages and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Canceling => "canceling",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no state.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no task state")]
pub struct UnknownState(String);

impl FromStr for TaskState {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_states_have_no_way_out_and_all_others_have_one() {
        for from in TaskState::ALL {
            let leaves = TaskState::ALL.into_iter().any(|to| from.may_become(to));
            assert_eq!(leaves, !from.is_final(), "{from}");
        }
    }
}
