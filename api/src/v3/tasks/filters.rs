//! The filters of `tasks/`.

use crate::auth::Access;
use crate::error::{ApiError, ApiResult};
use crate::listing::{Defaults, Filters, Kind};
use crate::v3::href::{self, Target};
use crate::v3::references;
use millrace_common::content::ContentTypes;
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
        .filter_by_settings(
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

fn created(value: &str, defaults: Defaults<'_>) -> Result<Tasks, String> {
    let made = Predicate::on(task::pulp_id)
        .then(" IN (SELECT c.task_id FROM created_resource c WHERE c.prn = ");
    if let Some(prn) = Prn::parse(value) {
        return Ok(made.bind(Bind::Text(prn.to_string())).then(")"));
    }
    match href::parse(value) {
        Some(Target::Object(prn)) => Ok(made.bind(Bind::Text(prn.to_string())).then(")")),
        Some(Target::Version { repository, number }) => {
            let repository = repository.uuid().ok_or("URI not valid")?;
            Ok(version_prn(made, defaults, (repository, number)).then(")"))
        }
        None => Err(format!("URI not valid: {value}")),
    }
}

/// Refuses a value of `created_resources` that leads to nothing that may be seen (contract 4.3): that takes a look at
/// the database.
///
/// # Errors
/// 400 for the parameter.
pub async fn check_created(
    conn: &mut Conn,
    access: &Access,
    types: &ContentTypes,
    value: &str,
) -> ApiResult<()> {
    let id = match (Prn::parse(value), href::parse(value)) {
        (None, Some(Target::Version { repository, number })) => {
            let key = (repository.uuid().unwrap_or_default(), number);
            version_ids(conn, &[key]).await?.get(&key).copied()
        }
        (Some(prn), _) | (None, Some(Target::Object(prn))) => prn.uuid(),
        (None, None) => None,
    };
    let id = id.unwrap_or_default();
    if let Some(found) = locate(conn, &[id]).await?.remove(&id)
        && references::is_seen(conn, access, types, &found).await?
    {
        return Ok(());
    }
    let message = format!("URI not valid: {value}");
    Err(ApiError::field("created_resources", message))
}

/// Adds the PRN of a version, which only the database knows; null where there is none that may be seen.
fn version_prn(
    condition: Tasks,
    defaults: Defaults<'_>,
    (repository, number): (Uuid, i32),
) -> Tasks {
    condition
        .then("(SELECT 'prn:core.repositoryversion:' || v.pulp_id FROM repository_version v WHERE v.complete AND v.repository_id = ")
        .bind(Bind::Uuid(repository))
        .then(" AND v.number = ")
        .bind(Bind::Integer(number.into()))
        .then(" AND ")
        .column(defaults.of_repositories::<task::table>("v.repository_id"))
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
    fn recorded(&self, defaults: Defaults<'_>, prefix: &'static str) -> Tasks {
        let record = Predicate::on(task::reserved_resources_record).then(" @> ");
        match self {
            Self::Named(name) => record.bind(Bind::Texts(vec![format!("{prefix}{name}")])),
            Self::Version(repository, number) => {
                let record = record
                    .then("ARRAY[")
                    .bind(Bind::Text(prefix.to_owned()))
                    .then(" || ");
                version_prn(record, defaults, (*repository, *number)).then("]")
            }
        }
    }

    fn exclusive(&self, defaults: Defaults<'_>) -> Tasks {
        self.recorded(defaults, "")
    }

    fn shared(&self, defaults: Defaults<'_>) -> Tasks {
        self.recorded(defaults, "shared:")
    }

    fn either(&self, defaults: Defaults<'_>) -> Tasks {
        self.exclusive(defaults).or(self.shared(defaults))
    }
}

type Way = fn(&Resource, Defaults<'_>) -> Tasks;

/// The tasks that reserve all of these, in this way.
fn all(value: &str, defaults: Defaults<'_>, way: Way) -> Result<Tasks, String> {
    let names = value.split(',').map(str::trim).filter(|n| !n.is_empty());
    let names: BTreeSet<Resource> = names.map(Resource::read).collect();
    if names.len() > NAMES {
        return Err(format!("More than {NAMES} resources."));
    }
    Ok(names.iter().fold(Predicate::always(), |all, name| {
        all.and(way(name, defaults))
    }))
}

fn resources(filters: Filters<task::table>) -> Filters<task::table> {
    filters
        .filter_by_settings(
            "reserved_resources",
            Kind::Text,
            "reserves this in either way",
            |v, defaults| Ok(Resource::read(v).either(defaults)),
        )
        .filter_by_settings(
            "reserved_resources__in",
            Kind::Texts,
            "reserves all of these in either way",
            |v, defaults| all(v, defaults, Resource::either),
        )
        .filter_by_settings(
            "exclusive_resources",
            Kind::Text,
            "reserves this exclusively",
            |v, defaults| Ok(Resource::read(v).exclusive(defaults)),
        )
        .filter_by_settings(
            "exclusive_resources__in",
            Kind::Texts,
            "reserves all of these exclusively",
            |v, defaults| all(v, defaults, Resource::exclusive),
        )
        .filter_by_settings(
            "shared_resources",
            Kind::Text,
            "reserves this shared",
            |v, defaults| Ok(Resource::read(v).shared(defaults)),
        )
        .filter_by_settings(
            "shared_resources__in",
            Kind::Texts,
            "reserves all of these shared",
            |v, defaults| all(v, defaults, Resource::shared),
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
        let defaults = Defaults {
            page_limit: 1000,
            orphan_protection_time: 0,
            types: &ContentTypes::default(),
            access: &Access::UNLIMITED,
        };
        let many: Vec<String> = (0..=NAMES).map(|n| n.to_string()).collect();
        assert!(all(&many.join(","), defaults, Resource::either).is_err());
        assert!(all(&many[1..].join(","), defaults, Resource::either).is_ok());
        assert!(all(&"a,".repeat(32_000), defaults, Resource::either).is_ok());
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
