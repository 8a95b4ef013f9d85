//! `repositories/file/file/`: what is their own of file repositories (contract 4.7).

use crate::listing::Filters;
use crate::v3::repositories;
use crate::v3::repositories_of::RepositoryCalls;
use millrace_common::representation::FileRepository;
use millrace_common::schema::repository as table;
use serde_json::Value;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// A file repository that is to be.
#[derive(Debug, ToSchema)]
#[schema(as = file::FileRepository)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct FileRepositoryRequest {
    pub name: String,
    pub description: Option<String>,
    #[schema(required = false, value_type = Object)]
    pub pulp_labels: Value,
    #[schema(minimum = 1)]
    pub retain_repo_versions: Option<i64>,
    #[schema(minimum = 1)]
    pub retain_checkpoints: Option<i64>,
    pub remote: Option<String>,
    #[schema(required = false)]
    pub autopublish: bool,
    pub manifest: Option<String>,
}

/// The filters of `repositories/file/file/`.
static FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(|| {
    repositories::common_filters()
        .sortable("autopublish", table::autopublish)
        .sortable("manifest", table::manifest)
        .sortable("last_sync_details", table::last_sync_details)
});

impl RepositoryCalls for FileRepository {
    type Request = FileRepositoryRequest;

    fn filters() -> &'static Filters<table::table> {
        &FILTERS
    }
}
