//! Units that a Pulp 2 kept: where they lie, how they come, and how what they have stored goes.

pub mod import;
mod line;
mod place;
mod removal;
mod storage;

pub use place::{Place, Refusal};
pub use removal::{Removal, remove_due};
pub use storage::{Fault, Storage};
