//! Repositories and their versions: rules over several tables.
//!
//! A version is written under the next number of its repository, in batches, while it is incomplete
//! and invisible; it becomes visible in one step. What a dead run left is removed by the next run on
//! that repository, or by [`remove_abandoned`], as is what deletions leave.

mod abandoned;
mod added;
mod at_once;
mod create;
mod delete_version;
mod finish;
mod new_version;
mod publishing;
mod reserved;

pub use abandoned::remove_abandoned;
pub use at_once::{SmallChange, WrittenVersion};
pub use create::create;
pub use delete_version::{PROTECTED, Recounts, delete_newest, delete_older, retain};
pub use finish::{Draft, Finished};
pub(crate) use new_version::unsupported;
pub use new_version::{BATCH, NewVersion};
pub use publishing::PublicationDraft;
pub use reserved::{require_reserved, require_reserved_with_last};
