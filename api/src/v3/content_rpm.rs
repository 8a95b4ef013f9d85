//! `content/rpm/packages/`: what is their own of packages (contract 4.9).

use crate::listing::{Filters, Kind};
use crate::v3::content::{self, Field};
use crate::v3::membership;
use crate::v3::units_of::UnitCalls;
use diesel::QueryResult;
use millrace_common::content::rpm::Rpm;
use millrace_common::db::Conn;
use millrace_common::models::Content;
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::representation::RpmPackage;
use millrace_common::schema::content as table;
use serde_json::Value;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// What a package is made from.
#[derive(Debug, ToSchema)]
#[schema(as = rpm::Package)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct RpmPackageRequest {
    pub relative_path: Option<String>,
    #[schema(value_type = Option<String>, format = Binary)]
    pub file: Option<Vec<u8>>,
    pub artifact: Option<String>,
    pub upload: Option<String>,
    pub file_url: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub downloader_config: Option<Value>,
    pub repository: Option<String>,
    #[schema(required = false)]
    pub overwrite: bool,
    #[schema(required = false, value_type = Object)]
    pub pulp_labels: Value,
}

/// Words by which packages are found, and where they are stored.
const WORDS: [(&str, &str, Field); 6] = [
    ("epoch", "epoch__ne", Field("epoch")),
    ("version", "version__ne", Field("version")),
    ("release", "release__ne", Field("release")),
    ("arch", "arch__ne", Field("arch")),
    ("pkgId", "pkgId__ne", Field("checksum")),
    ("checksum_type", "checksum_type__ne", Field("checksumtype")),
];

/// The filters of `content/rpm/packages/`.
static FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(|| {
    let unlike = |filters: Filters<table::table>, name, ne, field: Field| {
        filters.filter(ne, Kind::Text, format!("{name} is not"), move |v| {
            Ok(Predicate::on(field)
                .then(" <> ")
                .bind(Bind::Text(v.to_owned())))
        })
    };
    let name = Field("name");
    let filters = content::common_filters()
        .sortable("name", name)
        .names("name", name)
        .exact("sha256", Field("checksum"));
    let filters = unlike(filters, "name", "name__ne", name);
    let filters = WORDS.iter().fold(filters, |filters, (name, ne, field)| {
        let filters = filters.sortable(name, *field);
        let filters = filters.exact(name, *field).one_of(name, *field);
        unlike(filters, *name, *ne, *field)
    });
    content::orphaned(membership::by_version(filters, table::pulp_id))
});

impl UnitCalls for RpmPackage {
    type Unit = Rpm;
    type Request = RpmPackageRequest;
    const WHAT: &'static str = "Package";
    const JUDGES_FILES: bool = true;
    const OF_TYPE: &'static str = "content.pulp_type = 'rpm.package'";

    fn filters() -> &'static Filters<table::table> {
        &FILTERS
    }

    async fn load_many(conn: &mut Conn, rows: Vec<Content>) -> QueryResult<Vec<Self>> {
        Self::load_many(conn, rows).await
    }
}
