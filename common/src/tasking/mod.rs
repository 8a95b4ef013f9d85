//! The tasking engine, and the namespace that a plug-in author imports from.
//!
//! ```text
//! waiting ──► running ──► completed | failed | canceled        waiting ──► canceled
//!    ▲           │ └────► canceling ──► canceled
//!    └───────────┘ lost worker or hand-back, of a type that may run again
//! ```
//!
//! Promises:
//! - Of two tasks that conflict on a resource, the one dispatched first starts first, and they never
//!   overlap. Readers (shared) run together.
//! - A task that was accepted reaches a final state; what it did and the record of it are one commit.
//! - A run that lost its claim writes nothing more: every write shows the claim id.
//!
//! PostgreSQL is the truth; a message says "this task may be ready" and may be lost or doubled.

mod cancel;
mod claim;
mod claim_together;
mod context;
mod dispatch;
mod ending;
mod execute;
mod facts;
pub mod janitor;
mod lanes;
mod moves;
mod new_task;
pub mod pause;
mod progress;
mod registry;
mod reserved;
mod resources;
pub mod schedule;
mod settle;
mod state;
mod task;
pub mod why;

pub use crate::broker::{Announcement, Announcements};
pub use crate::tasks::{
    add_and_remove, fs_publication_export, fs_repo_version_export, general_create,
    general_create_from_temp_file, general_delete, general_multi_delete, general_update,
    orphan_cleanup, reclaim_space,
};
pub use cancel::{CANCEL_CHANNEL, CancelOutcome, DEADLINE_PASSED, cancel, expire};
pub use claim::{Claim, ClaimOutcome, Claimed, claim, defer, release};
pub use claim_together::{Locked, Locking, claim_together, lock};
pub use context::{TaskContext, TaskSession};
pub use dispatch::{Attempt, BusyLanes, Dispatched, dispatch, dispatch_many, dispatch_together};
pub use ending::{Ending, Successors, Together, settle_together};
pub use execute::{Ended, Execution};
pub use facts::Facts;
pub use janitor::Janitor;
pub use lanes::{Sweep, resume_promotions, sweep_lanes};
pub use moves::{claimed, handed_back};
pub use new_task::NewTask;
pub use progress::Progress;
pub use registry::{Chore, Component, Needs, Registry, TaskType, version_satisfies};
pub use reserved::Resource;
pub use resources::{RESOURCE_BYTES, Resources};
pub use settle::{HandBack, Settled, hand_back, settle, settle_alone};
pub use state::TaskState;
pub use task::{Effects, Flip, Outcome, Task, TaskError};

/// The work class whose slots every worker keeps for short tasks that a request waits for.
pub const IMMEDIATE_CLASS: &str = "immediate";

/// Longest time that the body of an immediate task may take (contract 2.6).
pub const IMMEDIATE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
