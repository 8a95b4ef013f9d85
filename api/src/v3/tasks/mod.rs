//! `tasks/` (contract 4.3).

mod filters;
mod handlers;
mod response;

pub use filters::{FILTERS, STATES};
pub use handlers::{list, read, remove};
pub use response::{MINIMAL, MinimalTaskResponse, ProgressReportResponse, TaskResponse, render};
