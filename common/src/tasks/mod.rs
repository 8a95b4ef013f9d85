//! The built-in tasks: one file each, and one line here.

pub mod add_and_remove;
pub mod delete_version;
pub mod diagnostics;
pub mod disposal;
pub mod export;
pub mod file_url;
pub mod general_create;
pub mod general_create_from_temp_file;
pub mod general_delete;
pub mod general_multi_delete;
pub mod general_update;
mod hands;
pub mod kinds;
pub mod orphan_cleanup;
pub mod orphan_removal;
pub mod publish;
pub mod purge;
pub mod reclaim_space;
pub mod repair_version;
pub mod schedules;
pub mod synchronize;
pub mod tmpfile_cleanup;
pub mod upload_cleanup;
pub mod upload_commit;

pub use add_and_remove::{AddAndRemove, add_and_remove};
pub use delete_version::DeleteVersion;
pub use export::{
    FsPublicationExport, FsRepoVersionExport, fs_publication_export, fs_repo_version_export,
};
pub use general_create::{GeneralCreate, general_create};
pub use general_create_from_temp_file::{GeneralCreateFromTempFile, general_create_from_temp_file};
pub use general_delete::{GeneralDelete, PlainGeneralDelete, general_delete};
pub use general_multi_delete::{GeneralMultiDelete, general_multi_delete};
pub use general_update::{GeneralUpdate, PlainGeneralUpdate, general_update};
pub use orphan_cleanup::{OrphanCleanup, orphan_cleanup};
pub use orphan_removal::{
    DeleteAllOrphans, DeleteOrphans, DeleteOrphansById, DeleteOrphansByType, UnitName,
};
pub use publish::Publish;
pub use purge::Purge;
pub use reclaim_space::{ReclaimSpace, reclaim_space};
pub use repair_version::RepairVersion;
pub use synchronize::Synchronize;
pub use tmpfile_cleanup::TmpfileCleanup;
pub use upload_cleanup::UploadCleanup;
pub use upload_commit::UploadCommit;

use crate::tasking::Registry;

/// Registers the built-in tasks; with `diagnostics`, the test tasks too.
pub fn register_all(registry: &mut Registry, diagnostics: bool) {
    registry.register::<AddAndRemove>();
    registry.register::<DeleteVersion>();
    registry.register::<FsPublicationExport>();
    registry.register::<FsRepoVersionExport>();
    registry.register::<GeneralCreate>();
    registry.register::<GeneralCreateFromTempFile>();
    registry.register::<GeneralUpdate>();
    registry.register::<PlainGeneralUpdate>();
    registry.register::<GeneralDelete>();
    registry.register::<PlainGeneralDelete>();
    registry.register::<GeneralMultiDelete>();
    registry.register::<OrphanCleanup>();
    registry.register::<DeleteAllOrphans>();
    registry.register::<DeleteOrphansByType>();
    registry.register::<DeleteOrphansById>();
    registry.register::<DeleteOrphans>();
    registry.register::<Publish>();
    registry.register::<Purge>();
    registry.register::<ReclaimSpace>();
    registry.register::<RepairVersion>();
    registry.register::<TmpfileCleanup>();
    registry.register::<UploadCleanup>();
    registry.register::<UploadCommit>();
    registry.register::<Synchronize>();
    registry.chore("clear exports", export::remove_leftovers);
    registry.chore("remove what units have stored", |db, settings| {
        Box::pin(crate::units::remove_due(db, settings))
    });
    if diagnostics {
        diagnostics::register_all(registry);
    }
}
