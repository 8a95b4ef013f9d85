//! The filters of `tasks/`.

use crate::error::{ApiError, ApiResult};
use crate::listing::{Filters, Kind};
use crate::v3::href::{self, Target};
use millrace_common::db::Conn;
use millrace_common::models::object::{locate, version_ids};
use millrace_common::models::selection::{Bind, Predicate};
use millrace_common::prn::Prn;
use millrace_common::schema::task;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use uuid::Uuid;

/// Resources that one list may name: each is a condition of its own.
const NAMES: usize = 100;

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
        .in_domain(task::pulp_domain)
        .sortable("pulp_last_updated", task::pulp_last_updated)
        .sortable("state", task::state)
        .sortable("name", task::name)
        .sortable("logging_cid", task::logging_cid)
        .sortable("unblocked_at", task::unblocked_at)
        .sortable("started_at", task::started_at)
        .sortable("finished_at", task::finished_at)
        .sortable("deadline", task::deadline)
        .sortable("error", task::error)
        .sortable("result", task::result)
        .sortable("reserved_resources_record", task::reserved_resources_record)
        .sortable("versions", task::versions)
        .sortable("immediate", task::immediate)
        .sortable("deferred", task::deferred)
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
            Ok(version_prn(made, repository, number).then(")"))
        }
        None => Err(format!("URI not valid: {value}")),
    }
}

/// Refuses a value of `created_resources` that leads to nothing (contract 4.3): that takes a look at the
/// database.
///
/// # Errors
/// 400 for the parameter.
pub async fn check_created(conn: &mut Conn, value: &str) -> ApiResult<()> {
    let is_there = match (Prn::parse(value), href::parse(value)) {
        (None, Some(Target::Version { repository, number })) => {
            let key = (repository.uuid().unwrap_or_default(), number);
            version_ids(conn, &[key]).await?.contains_key(&key)
        }
        (Some(prn), _) | (None, Some(Target::Object(prn))) => {
            let id = prn.uuid().unwrap_or_default();
            locate(conn, &[id]).await?.contains_key(&id)
        }
        (None, None) => false,
    };
    if is_there {
        return Ok(());
    }
    let message = format!("URI not valid: {value}");
    Err(ApiError::field("created_resources", message))
}

/// Adds the PRN of a version, which only the database knows; null where there is no such version.
fn version_prn(condition: Tasks, repository: Uuid, number: i32) -> Tasks {
    condition
        .then("(SELECT 'prn:core.repositoryversion:' || v.pulp_id FROM repository_version v WHERE v.complete AND v.repository_id = ")
        .bind(Bind::Uuid(repository))
        .then(" AND v.number = ")
        .bind(Bind::Integer(number.into()))
        .then(")")
}

/// A resource as a filter names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Resource {
    /// By the name under which it is reserved.
    Named(String),
    /// A version, by repository and number.
    Version(Uuid, i32),
}

impl Resource {
    /// An href that we know stands for its PRN.
    fn read(value: &str) -> Self {
        if let Some(name) = href::legacy_resource(value) {
            return Self::Named(name);
        }
        match href::parse(value) {
            Some(Target::Object(prn)) => Self::Named(prn.to_string()),
            Some(Target::Version { repository, number }) => match repository.uuid() {
                Some(id) => Self::Version(id, number),
                None => Self::Named(value.to_owned()),
            },
            None => Self::Named(value.to_owned()),
        }
    }

    /// The tasks whose record holds it behind this prefix.
    fn recorded(&self, prefix: &'static str) -> Tasks {
        let record = Predicate::on(task::reserved_resources_record).then(" @> ");
        match self {
            Self::Named(name) => record.bind(Bind::Texts(vec![format!("{prefix}{name}")])),
            Self::Version(repository, number) => {
                let record = record
                    .then("ARRAY[")
                    .bind(Bind::Text(prefix.to_owned()))
                    .then(" || ");
                version_prn(record, *repository, *number).then("]")
            }
        }
    }

    fn exclusive(&self) -> Tasks {
        self.recorded("")
    }

    fn shared(&self) -> Tasks {
        self.recorded("shared:")
    }

    fn either(&self) -> Tasks {
        self.exclusive().or(self.shared())
    }
}

/// The tasks that reserve all of these, in this way.
fn all(value: &str, way: fn(&Resource) -> Tasks) -> Result<Tasks, String> {
    let names = value.split(',').map(str::trim).filter(|n| !n.is_empty());
    let names: BTreeSet<Resource> = names.map(Resource::read).collect();
    if names.len() > NAMES {
        return Err(format!("More than {NAMES} resources."));
    }
    Ok(names
        .iter()
        .fold(Predicate::always(), |all, name| all.and(way(name))))
}

fn resources(filters: Filters<task::table>) -> Filters<task::table> {
    filters
        .filter(
            "reserved_resources",
            Kind::Text,
            "reserves this in either way",
            |v| Ok(Resource::read(v).either()),
        )
        .filter(
            "reserved_resources__in",
            Kind::Texts,
            "reserves all of these in either way",
            |v| all(v, Resource::either),
        )
        .filter(
            "exclusive_resources",
            Kind::Text,
            "reserves this exclusively",
            |v| Ok(Resource::read(v).exclusive()),
        )
        .filter(
            "exclusive_resources__in",
            Kind::Texts,
            "reserves all of these exclusively",
            |v| all(v, Resource::exclusive),
        )
        .filter(
            "shared_resources",
            Kind::Text,
            "reserves this shared",
            |v| Ok(Resource::read(v).shared()),
        )
        .filter(
            "shared_resources__in",
            Kind::Texts,
            "reserves all of these shared",
            |v| all(v, Resource::shared),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_found_by_href_prn_old_path_or_name() {
        let id = "0199e6a0-0000-7000-8000-000000000001";
        let href = format!("/pulp/api/v3/repositories/file/file/{id}/");
        let named = |name: &str| Resource::Named(name.to_owned());
        let prn = format!("prn:file.filerepository:{id}");
        assert_eq!(Resource::read(&href), named(&prn));
        assert_eq!(Resource::read(&prn), named(&prn));
        assert_eq!(
            Resource::read(&format!("{href}versions/3/")),
            Resource::Version(id.parse().unwrap(), 3)
        );
        assert!(matches!(
            Resource::read("/api/v3/orphans/cleanup/"),
            Resource::Named(name) if name.ends_with(":orphans")
        ));
        assert_eq!(Resource::read("anything"), named("anything"));
    }

    #[test]
    fn many_resources_are_refused_and_the_same_one_counts_once() {
        let many: Vec<String> = (0..=NAMES).map(|n| n.to_string()).collect();
        assert!(all(&many.join(","), Resource::either).is_err());
        assert!(all(&many[1..].join(","), Resource::either).is_ok());
        assert!(all(&"a,".repeat(32_000), Resource::either).is_ok());
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
