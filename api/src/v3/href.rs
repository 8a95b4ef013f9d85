//! Addresses and names of objects: href ↔ PRN, both ways, without asking the database where possible.

use millrace_common::db::Conn;
use millrace_common::ids::{PauseId, ProcessId, RoleId, TaskGroupId, TaskScheduleId, UploadId};
use millrace_common::models::object::{self, Located};
use millrace_common::prn::Prn;
use std::collections::HashMap;
use std::fmt::Display;
use uuid::Uuid;

pub use millrace_common::href::{
    ROOT, Target, legacy_resource, of_object, parse, reference_id, reference_number,
};
pub use millrace_common::representation::{
    artifact_href as artifact, content_collection, filesystem_export_href as filesystem_export,
    filesystem_exporter_href as filesystem_exporter, task_href as task,
};

/// What stands for an object that is gone or not complete.
pub const UNAVAILABLE: &str = "<unavailable>";

/// The href of a group of tasks.
#[must_use]
pub fn task_group(id: TaskGroupId) -> String {
    format!("{ROOT}task-groups/{id}/")
}

/// The href of a schedule.
#[must_use]
pub fn task_schedule(id: TaskScheduleId) -> String {
    format!("{ROOT}task-schedules/{id}/")
}

/// The href of a worker.
#[must_use]
pub fn worker(id: ProcessId) -> String {
    format!("{ROOT}workers/{id}/")
}

/// The href of a pause.
#[must_use]
pub fn pause(id: PauseId) -> String {
    format!("{ROOT}pauses/{id}/")
}

/// The href of an account.
#[must_use]
pub fn user(id: i32) -> String {
    format!("{ROOT}users/{id}/")
}

/// The href of a group of accounts.
#[must_use]
pub fn group(id: i32) -> String {
    format!("{ROOT}groups/{id}/")
}

/// The href of a role.
#[must_use]
pub fn role(id: RoleId) -> String {
    format!("{ROOT}roles/{id}/")
}

/// The href of a repository of this type (`file.file`).
#[must_use]
pub fn repository(pulp_type: &str, id: impl Display) -> String {
    format!("{ROOT}repositories/{}/{id}/", pulp_type.replace('.', "/"))
}

/// The href of a `remote`, `publication` or `distribution` of this type.
#[must_use]
pub fn detail(kind: &str, pulp_type: &str, id: impl Display) -> String {
    format!("{ROOT}{kind}s/{}/{id}/", pulp_type.replace('.', "/"))
}

/// The href of an upload.
#[must_use]
pub fn upload(id: UploadId) -> String {
    format!("{ROOT}uploads/{id}/")
}

/// The href of a version of a repository.
#[must_use]
pub fn version(pulp_type: &str, repository_id: impl Display, number: i32) -> String {
    format!("{}versions/{number}/", repository(pulp_type, repository_id))
}

/// The href of a content unit of this type.
#[must_use]
pub fn content(pulp_type: &str, id: impl Display) -> String {
    format!("{}{id}/", content_collection(pulp_type))
}

/// The href of a found object.
#[must_use]
pub fn of_located(found: &Located) -> Option<String> {
    let pulp_type = || found.pulp_type.as_deref();
    Some(match found.kind.as_str() {
        "artifact" => artifact(found.pulp_id.into()),
        "content" => content(pulp_type()?, found.pulp_id),
        "repository" => repository(pulp_type()?, found.pulp_id),
        "version" => version(pulp_type()?, found.owner?, found.number?),
        "remote" | "publication" | "distribution" => {
            detail(&found.kind, pulp_type()?, found.pulp_id)
        }
        "upload" => upload(found.pulp_id.into()),
        "task" => task(found.pulp_id.into()),
        "task_group" => task_group(found.pulp_id.into()),
        "exporter" => filesystem_exporter(found.pulp_id.into()),
        "export" => filesystem_export(found.owner?.into(), found.pulp_id.into()),
        _ => return None,
    })
}

/// The hrefs of these PRNs; what is gone or not complete is missing. One statement, however many.
///
/// # Errors
/// As the session.
pub async fn of_prns<'p>(
    conn: &mut Conn,
    prns: impl Iterator<Item = &'p str>,
) -> diesel::QueryResult<HashMap<String, String>> {
    let ids: HashMap<&str, Uuid> = prns
        .filter_map(|text| Some((text, Prn::parse(text)?.uuid()?)))
        .collect();
    let wanted: Vec<Uuid> = ids.values().copied().collect();
    let found = object::locate(conn, &wanted).await?;
    Ok(ids
        .into_iter()
        .filter_map(|(text, id)| Some((text.to_owned(), of_located(found.get(&id)?)?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199e6a0-0000-7000-8000-000000000001";

    #[test]
    fn what_is_written_reads_back() {
        let id: Uuid = ID.parse().unwrap();
        assert_eq!(reference_id(&task(id.into())), Some(id));
        assert_eq!(reference_id(&content("file.file", id)), Some(id));
        assert_eq!(reference_id(&repository("file.file", id)), Some(id));
        assert_eq!(reference_id(&format!("prn:core.task:{ID}")), Some(id));
    }
}
