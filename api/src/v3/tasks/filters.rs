//! The filters of `tasks/`.

use crate::listing::{Filters, Kind};
use crate::v3::href::{self, Target};
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::prn::Prn;
use millrace_common::schema::task;
use std::sync::LazyLock;

/// Words for states.
pub const STATES: &[&str] = &[
    "waiting",
    "running",
    "completed",
    "failed",
    "canceled",
    "canceling",
    "skipped",
];

type Tasks = Predicate<task::table>;

/// The filters of `tasks/`.
pub static FILTERS: LazyLock<Filters<task::table>> = LazyLock::new(|| {
    let filters = Filters::newest_first(task::pulp_created, task::pulp_id)
        .with_minimal()
        .sortable("pulp_last_updated", task::pulp_last_updated)
        .sortable("state", task::state)
        .sortable("name", task::name)
        .sortable("logging_cid", task::logging_cid)
        .sortable("unblocked_at", task::unblocked_at)
        .sortable("started_at", task::started_at)
        .sortable("finished_at", task::finished_at)
        .identities(task::pulp_id)
        .choice("state", task::state, STATES)
        .exact("name", task::name)
        .contains("name", task::name)
        .one_of("name", task::name)
        .not_equal("name", task::name)
        .exact("logging_cid", task::logging_cid)
        .contains("logging_cid", task::logging_cid)
        .dates("pulp_created", task::pulp_created)
        .dates("started_at", task::started_at)
        .dates("finished_at", task::finished_at)
        .dates("unblocked_at", task::unblocked_at)
        .reference("parent_task", task::parent_task)
        .reference("task_group", task::task_group)
        .filter(
            "child_tasks",
            Kind::Reference,
            "dispatched this task",
            child,
        )
        .filter(
            "created_resources",
            Kind::Reference,
            "made this object",
            created,
        )
        // Which process runs a task is no part of the contract: any value finds nothing.
        .filter("worker", Kind::Text, "finds nothing", |_| {
            Ok(Predicate::never())
        })
        .filter("worker__in", Kind::Texts, "finds nothing", |_| {
            Ok(Predicate::never())
        });
    resources(filters)
});

fn child(value: &str) -> Result<Tasks, String> {
    let id = href::reference_id(value).ok_or_else(|| format!("URI not valid: {value}"))?;
    Ok(Predicate::on(task::pulp_id)
        .then(" = (SELECT c.parent_task FROM task c WHERE c.pulp_id = ")
        .bind(Bind::Uuid(id))
        .then(")"))
}

fn created(value: &str) -> Result<Tasks, String> {
    let made = Predicate::on(task::pulp_id)
        .then(" IN (SELECT c.task_id FROM created_resource c WHERE c.prn = ");
    if let Some(prn) = Prn::parse(value) {
        return Ok(made.bind(Bind::Text(prn.to_string())).then(")"));
    }
    match href::parse(value) {
        Some(Target::Object(prn)) => Ok(made.bind(Bind::Text(prn.to_string())).then(")")),
        Some(Target::Version { repository, number }) => {
            let repository = repository.uuid().ok_or("URI not valid")?;
            Ok(made
                .then("(SELECT 'prn:core.repositoryversion:' || v.pulp_id FROM repository_version v WHERE v.repository_id = ")
                .bind(Bind::Uuid(repository))
                .then(" AND v.number = ")
                .bind(Bind::Integer(number.into()))
                .then("))"))
        }
        None => Err(format!("URI not valid: {value}")),
    }
}

/// The name under which a resource is reserved: an href that we know becomes its PRN.
fn resource_name(value: &str) -> String {
    if let Some(name) = href::legacy_resource(value) {
        return name;
    }
    match href::parse(value) {
        Some(Target::Object(prn)) => prn.to_string(),
        _ => value.to_owned(),
    }
}

fn reserved(record: Vec<String>) -> Tasks {
    Predicate::on(task::reserved_resources_record)
        .then(" @> ")
        .bind(Bind::Texts(record))
}

fn either(name: &str) -> Tasks {
    reserved(vec![name.to_owned()]).or(reserved(vec![format!("shared:{name}")]))
}

fn names(value: &str) -> impl Iterator<Item = String> + '_ {
    value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(resource_name)
}

fn resources(filters: Filters<task::table>) -> Filters<task::table> {
    filters
        .filter(
            "reserved_resources",
            Kind::Text,
            "reserves this in either way",
            |v| Ok(either(&resource_name(v))),
        )
        .filter(
            "reserved_resources__in",
            Kind::Texts,
            "reserves all of these in either way",
            |v| Ok(names(v).fold(Predicate::always(), |all, name| all.and(either(&name)))),
        )
        .filter(
            "exclusive_resources",
            Kind::Text,
            "reserves this exclusively",
            |v| Ok(reserved(vec![resource_name(v)])),
        )
        .filter(
            "exclusive_resources__in",
            Kind::Texts,
            "reserves all of these exclusively",
            |v| Ok(reserved(names(v).collect())),
        )
        .filter(
            "shared_resources",
            Kind::Text,
            "reserves this shared",
            |v| Ok(reserved(vec![format!("shared:{}", resource_name(v))])),
        )
        .filter(
            "shared_resources__in",
            Kind::Texts,
            "reserves all of these shared",
            |v| {
                Ok(reserved(
                    names(v).map(|name| format!("shared:{name}")).collect(),
                ))
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_found_by_href_prn_old_path_or_name() {
        let id = "0199e6a0-0000-7000-8000-000000000001";
        let prn = format!("prn:file.filerepository:{id}");
        assert_eq!(
            resource_name(&format!("/pulp/api/v3/repositories/file/file/{id}/")),
            prn
        );
        assert_eq!(resource_name(&prn), prn);
        assert!(resource_name("/api/v3/orphans/cleanup/").ends_with(":orphans"));
        assert_eq!(resource_name("anything"), "anything");
    }

    #[test]
    fn all_filters_that_the_command_line_client_passes_are_there() {
        let names: Vec<&str> = FILTERS.iter().map(|f| f.name.as_str()).collect();
        for wanted in [
            "created_resources",
            "exclusive_resources",
            "exclusive_resources__in",
            "finished_at__gte",
            "finished_at__lte",
            "name",
            "name__contains",
            "parent_task",
            "reserved_resources",
            "reserved_resources__in",
            "shared_resources",
            "shared_resources__in",
            "started_at__gte",
            "started_at__lte",
            "state",
            "state__in",
            "worker",
            "pulp_href__in",
            "prn__in",
        ] {
            assert!(names.contains(&wanted), "{wanted}");
        }
    }
}
