//! `tasks/` (contract 2, 2.2 to 2.6).

mod change;
mod list;
mod response;
mod search;

pub use change::{cancel, purge};
pub use list::{list, read};
pub use search::{search, search_by_body};
