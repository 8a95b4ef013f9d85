//! `tasks/` (contract 4.3).

mod change;
mod create;
mod filters;
mod handlers;
mod requests;
mod response;

pub use change::{cancel, purge};
pub use create::create;
pub use filters::{FILTERS, STATES};
pub use handlers::{list, read, remove};
pub use requests::{Purge, TaskCancel, TaskDispatch};
pub use response::{MinimalTaskResponse, ProgressReportResponse, TaskResponse, render};
