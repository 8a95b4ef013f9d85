//! `repositories/rpm/rpm/`: what is their own of repositories of packages (contract 4.7).

use crate::listing::Filters;
use crate::v3::repositories;
use crate::v3::repositories_of::RepositoryCalls;
use millrace_common::representation::RpmRepository;
use millrace_common::schema::repository as table;
use serde_json::Value;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// A repository of packages that is to be.
#[derive(Debug, ToSchema)]
#[schema(as = rpm::RpmRepository)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct RpmRepositoryRequest {
    pub name: String,
    pub description: Option<String>,
    #[schema(required = false, value_type = Object)]
    pub pulp_labels: Value,
    #[schema(minimum = 1)]
    pub retain_repo_versions: Option<i64>,
    #[schema(minimum = 1)]
    pub retain_checkpoints: Option<i64>,
    pub remote: Option<String>,
}

/// The filters of `repositories/rpm/rpm/`.
static FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(repositories::common_filters);

impl RepositoryCalls for RpmRepository {
    type Request = RpmRepositoryRequest;

    fn filters() -> &'static Filters<table::table> {
        &FILTERS
    }
}
