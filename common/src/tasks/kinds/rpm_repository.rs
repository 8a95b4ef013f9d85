//! Repositories of packages: plain containers.

use super::Kind;
use super::repository::{self, RepositoryType};
use crate::content::rpm::REPOSITORY;
use crate::models::Repository;
use crate::representation::RpmRepository;

pub(super) const KIND: Kind = repository::kind::<RpmRepository>();

impl RepositoryType for RpmRepository {
    const PULP_TYPE: &'static str = REPOSITORY;
    const WHAT: &'static str = "RpmRepository";
    const APP_LABEL: &'static str = "rpm";
    const SERIALIZER: &'static str = "RpmRepositorySerializer";

    fn new(row: Repository, latest: Option<i32>) -> Self {
        Self::new(row, latest)
    }
}
