//! The built-in tasks: one file each, and one line here.

pub mod add_and_remove;
pub mod delete_version;
pub mod diagnostics;
pub mod file_url;
pub mod general_create;
pub mod general_delete;
pub mod general_update;
pub mod kinds;
pub mod orphan_cleanup;
pub mod publish;
pub mod purge;
pub mod repair_version;
pub mod schedules;
pub mod synchronize;
pub mod upload_commit;

pub use add_and_remove::AddAndRemove;
pub use delete_version::DeleteVersion;
pub use general_create::GeneralCreate;
pub use general_delete::{GeneralDelete, PlainGeneralDelete};
pub use general_update::{GeneralUpdate, PlainGeneralUpdate};
pub use orphan_cleanup::OrphanCleanup;
pub use publish::Publish;
pub use purge::Purge;
pub use repair_version::RepairVersion;
pub use synchronize::Synchronize;
pub use upload_commit::UploadCommit;

use crate::tasking::Registry;

/// Registers the built-in tasks; with `diagnostics`, the test tasks too.
pub fn register_all(registry: &mut Registry, diagnostics: bool) {
    registry.register::<AddAndRemove>();
    registry.register::<DeleteVersion>();
    registry.register::<GeneralCreate>();
    registry.register::<GeneralUpdate>();
    registry.register::<PlainGeneralUpdate>();
    registry.register::<GeneralDelete>();
    registry.register::<PlainGeneralDelete>();
    registry.register::<OrphanCleanup>();
    registry.register::<Publish>();
    registry.register::<Purge>();
    registry.register::<RepairVersion>();
    registry.register::<UploadCommit>();
    registry.register::<Synchronize>();
    if diagnostics {
        diagnostics::register_all(registry);
    }
}
