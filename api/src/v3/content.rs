//! `content/`: units of all types (contract 4.9).

use crate::app::App;
use crate::auth::{Action, Actor, Object, authorize};
use crate::error::ApiResult;
use crate::listing::{Defaults, Filters, Kind, Listing, Types};
use crate::v3::{href, membership, time};
use actix_web::HttpRequest;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use diesel::expression::{AppearsOnTable, Expression};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::Text;
use millrace_common::ids::ContentId;
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::models::{Content, ContentArtifact};
use millrace_common::prn;
use millrace_common::schema::content as table;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;
use utoipa::ToSchema;

/// The expression that the index on paths of file units is over.
#[derive(Clone, Copy, Debug, QueryId)]
pub struct RelativePath;

impl Expression for RelativePath {
    type SqlType = Text;
}

impl AppearsOnTable<table::table> for RelativePath {}

impl QueryFragment<Pg> for RelativePath {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("(content.fields ->> 'relative_path')");
        Ok(())
    }
}

/// A text among the fields of a unit, as the expression that indexes are over.
#[derive(Clone, Copy, Debug)]
pub struct Field(pub &'static str);

impl QueryId for Field {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Expression for Field {
    type SqlType = Text;
}

impl AppearsOnTable<table::table> for Field {}

impl QueryFragment<Pg> for Field {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("(content.fields ->> '");
        out.push_sql(self.0);
        out.push_sql("')");
        Ok(())
    }
}

/// A unit of any type, with its files.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct MultipleArtifactContentResponse {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_created: DateTime<Utc>,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_last_updated: DateTime<Utc>,
    #[schema(value_type = Object)]
    pub pulp_labels: Value,
    pub vuln_report: Option<String>,
    /// Artifacts by relative path; null where the file is not stored.
    #[schema(value_type = Object)]
    pub artifacts: BTreeMap<String, Option<String>>,
}

/// The filters that lists of units of any type share.
#[must_use]
pub fn common_filters() -> Filters<table::table> {
    Filters::newest_id_first(table::pulp_created, table::pulp_id)
        .in_domain(table::pulp_domain)
        .sortable("pulp_last_updated", table::pulp_last_updated)
        .sortable("pulp_type", table::pulp_type)
        .sortable("pulp_labels", table::pulp_labels)
        .sortable("timestamp_of_interest", table::timestamp_of_interest)
        .identities(table::pulp_id)
        .labels(table::pulp_labels)
}

/// Adds `orphaned_for`.
#[must_use]
pub fn orphaned(filters: Filters<table::table>) -> Filters<table::table> {
    membership::orphaned(
        filters,
        Content::unneeded(),
        "content.timestamp_of_interest",
    )
}

/// Adds `pulp_type` and `pulp_type__in`.
#[must_use]
pub fn by_type<T: 'static>(filters: Filters<T>, column: &'static str, types: Types) -> Filters<T> {
    let check = move |word: &str, defaults: Defaults<'_>| {
        if types.names(defaults.types).contains(word) {
            Ok(word.to_owned())
        } else {
            Err(format!(
                "Select a valid choice. {word} is not one of the available choices."
            ))
        }
    };
    filters
        .filter_by_settings(
            "pulp_type",
            Kind::Type(types),
            "of this type",
            move |v, defaults| {
                let word = check(v, defaults)?;
                Ok(Predicate::sql(column).then(" = ").bind(Bind::Text(word)))
            },
        )
        .filter_by_settings(
            "pulp_type__in",
            Kind::TypeList(types),
            "of these types",
            move |v, defaults| {
                let words = v.split(',').map(|word| check(word, defaults));
                let words = words.collect::<Result<_, _>>()?;
                Ok(Predicate::sql(column)
                    .then(" = ANY (")
                    .bind(Bind::Texts(words))
                    .then(")"))
            },
        )
}

/// The filters of `content/`.
pub static FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(|| {
    let filters = by_type(common_filters(), "content.pulp_type", Types::Units);
    orphaned(membership::by_version(filters, table::pulp_id))
});

/// A page of units. What stands for the metadata of publications is no unit that anybody made, or may put
/// anywhere: it is not listed. Nor are units of types that only the second version's API knows: they have no
/// address here, and no repository holds them.
///
/// # Errors
/// 400 for a filter.
pub async fn list(app: Data<App>, actor: Actor, request: HttpRequest) -> ApiResult {
    let access = authorize(&app, &actor, Action::View, Object::Content).await?;
    let mut listing = Listing::from_request(&app, &access, &request, &FILTERS)?;
    let units =
        Predicate::sql("content.publication IS NULL AND content.pulp_type NOT LIKE 'pulp2.%'")
            .and(access.units(&app.catalog.content));
    listing.narrow(units);
    let mut conn = app.db.get().await?;
    let page = membership::page(&mut conn, &access, &listing, None).await?;
    let ids: Vec<ContentId> = page.rows.iter().map(|row| row.pulp_id).collect();
    let mut files: HashMap<ContentId, BTreeMap<String, Option<String>>> = HashMap::new();
    for link in ContentArtifact::of(&mut conn, &ids).await? {
        let artifact = link.artifact_id.map(href::artifact);
        files
            .entry(link.content_id)
            .or_default()
            .insert(link.relative_path, artifact);
    }
    let results: Vec<_> = page
        .rows
        .iter()
        .map(|row| show(row, files.remove(&row.pulp_id).unwrap_or_default()))
        .collect();
    listing.answer(page.count, &results)
}

fn show(
    row: &Content,
    artifacts: BTreeMap<String, Option<String>>,
) -> MultipleArtifactContentResponse {
    MultipleArtifactContentResponse {
        pulp_href: href::content(&row.pulp_type, row.pulp_id),
        prn: prn::content(&row.pulp_type, row.pulp_id).to_string(),
        pulp_created: row.pulp_created,
        pulp_last_updated: row.pulp_last_updated,
        pulp_labels: row.pulp_labels.clone(),
        vuln_report: None,
        artifacts,
    }
}
