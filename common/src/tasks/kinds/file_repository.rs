//! File repositories: what is their own.

use super::repository::{self, RepositoryType};
use super::{Data, Fields, Kind, object};
use crate::content::check_relative_path;
use crate::content::file::PULP_TYPE;
use crate::models::{Repository, RepositoryChange};
use crate::representation::FileRepository;
use serde_json::json;

pub(super) const KIND: Kind = repository::kind::<FileRepository>();

impl RepositoryType for FileRepository {
    const PULP_TYPE: &'static str = PULP_TYPE;
    const WHAT: &'static str = "FileRepository";
    const APP_LABEL: &'static str = "file";
    const SERIALIZER: &'static str = "FileRepositorySerializer";

    fn new(row: Repository, latest: Option<i32>) -> Self {
        Self::new(row, latest)
    }

    const FIELDS: &'static [&'static str] = &[
        "name",
        "description",
        "pulp_labels",
        "retain_repo_versions",
        "retain_checkpoints",
        "remote",
        "autopublish",
        "manifest",
    ];

    fn defaults() -> Data {
        object(json!({"autopublish": false, "manifest": "PULP_MANIFEST"}))
    }

    fn own_fields(fields: &mut Fields, change: &mut RepositoryChange) {
        change.autopublish = fields.boolean("autopublish");
        change.manifest = fields.nullable_text("manifest");
        if let Some(Some(path)) = &change.manifest
            && let Err(message) = check_relative_path(path)
        {
            fields.refuse("manifest", message);
        }
    }
}
