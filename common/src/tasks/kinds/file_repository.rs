//! File repositories: what is their own.

use super::repository::{self, RepositoryType};
use super::{Fields, Kind};
use crate::content::check_relative_path;
use crate::content::file::PULP_TYPE;
use crate::models::{Repository, RepositoryChange};
use crate::representation::FileRepository;

pub(super) const KIND: Kind = repository::kind::<FileRepository>();

impl RepositoryType for FileRepository {
    const PULP_TYPE: &'static str = PULP_TYPE;
    const WHAT: &'static str = "FileRepository";
    const APP_LABEL: &'static str = "file";
    const SERIALIZER: &'static str = "FileRepositorySerializer";

    fn new(row: Repository, latest: Option<i32>) -> Self {
        Self::new(row, latest)
    }

    fn own_fields(fields: &mut Fields, change: &mut RepositoryChange, partial: bool) {
        let (publishes, has_manifest) = (fields.has("autopublish"), fields.has("manifest"));
        change.autopublish = fields.boolean("autopublish");
        change.manifest = fields.nullable_text("manifest");
        if let Some(Some(path)) = &change.manifest
            && let Err(message) = check_relative_path(path)
        {
            fields.refuse("manifest", message);
        }
        if !partial && !publishes {
            change.autopublish = Some(false);
        }
        if !partial && !has_manifest {
            change.manifest = Some(Some("PULP_MANIFEST".into()));
        }
    }
}
