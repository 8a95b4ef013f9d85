//! `tasks/` (contract 4.3).

mod blockers;
mod change;
mod create;
mod events;
mod filters;
mod handlers;
mod requests;
mod response;

pub use blockers::{BlockersResponse, BusyEntry, ResourceEntry, Seen, blockers};
pub use change::{cancel, purge};
pub use create::create;
pub use events::{event_parameters, events};
pub use filters::{FILTERS, STATES};
pub use handlers::{list, read, remove};
pub use requests::{Purge, TaskCancel, TaskDispatch};
pub use response::{MinimalTaskResponse, ProgressReportResponse, TaskResponse, render};
