//! The filters of both lists.

use crate::listing::{Filters, Kind, Types, truth};
use crate::v3::{content, references};
use millrace_common::content::file::PULP_TYPE;
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::schema::distribution as table;
use std::sync::LazyLock;
use uuid::Uuid;

fn common_filters() -> Filters<table::table> {
    Filters::newest_first(table::pulp_created, table::pulp_id)
        .in_domain(table::pulp_domain)
        .sortable("pulp_last_updated", table::pulp_last_updated)
        .sortable("pulp_type", table::pulp_type)
        .sortable("pulp_labels", table::pulp_labels)
        .sortable("name", table::name)
        .sortable("base_path", table::base_path)
        .sortable("hidden", table::hidden)
        .sortable("checkpoint", table::checkpoint)
        .identities(table::pulp_id)
        .names("name", table::name)
        .labels(table::pulp_labels)
        .exact("base_path", table::base_path)
        .one_of("base_path", table::base_path)
        .contains("base_path", table::base_path)
        .contains_in_any_case("base_path", table::base_path)
        .filter(
            "repository",
            Kind::Reference,
            "serves this repository",
            |v| {
                if v.is_empty() || v == "null" {
                    return Ok(Predicate::on(table::repository_id).then(" IS NULL"));
                }
                of_repositories(vec![reference(v, "repository")?])
            },
        )
        .also_empty()
        .filter(
            "repository__in",
            Kind::Texts,
            "serves one of these repositories",
            |v| {
                let ids = v.split(',').map(|one| reference(one.trim(), "repository"));
                of_repositories(ids.collect::<Result<_, _>>()?)
            },
        )
        .filter("checkpoint", Kind::Boolean, "serves checkpoints", |v| {
            Ok(if truth(v)? {
                Predicate::sql("distribution.checkpoint")
            } else {
                Predicate::sql("NOT distribution.checkpoint")
            })
        })
        .filter_by_settings(
            "with_content",
            Kind::Reference,
            "serves this unit",
            |v, defaults| {
                let unit = reference(v, "content")?;
                let serving = Predicate::sql(include_str!("with_content.sql"));
                Ok(serving
                    .bind(Bind::Uuid(unit))
                    .then(" AND ")
                    .column(defaults.of_units::<table::table>("m.content_id"))
                    .then(")"))
            },
        )
}

fn reference(value: &str, model: &str) -> Result<Uuid, String> {
    references::object_id("", value, model).map_err(|_fault| format!("URI not valid: {value}"))
}

fn of_repositories(ids: Vec<Uuid>) -> Result<Predicate<table::table>, String> {
    Ok(Predicate::on(table::repository_id)
        .then(" = ANY (")
        .bind(Bind::Uuids(ids))
        .then(")"))
}

/// The filters of `distributions/`.
pub static FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(|| {
    content::by_type(
        common_filters(),
        "distribution.pulp_type",
        Types::Named(&[PULP_TYPE]),
    )
});

/// The filters of `distributions/file/file/`.
pub static FILE_FILTERS: LazyLock<Filters<table::table>> = LazyLock::new(common_filters);
