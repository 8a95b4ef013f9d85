//! What a dispatcher may name as a resource.

use crate::ids::{DomainId, RepositoryId};
use crate::models::task::Task;
use crate::models::task_group::TaskGroup;
use crate::models::{
    Artifact, Content, Distribution, Exporter, Publication, Remote, Repository, RepositoryVersion,
    Upload,
};
use crate::prn::{self, Prn};
use serde_json::Value;

/// What can be reserved: a name, an address of the API, or an object, which stands for its PRN.
pub trait Resource: Sync {
    /// The name; `None` reserves nothing.
    ///
    /// # Errors
    /// What is wrong, for something that cannot be reserved.
    fn resource(&self) -> Result<Option<String>, String>;
}

impl Resource for str {
    fn resource(&self) -> Result<Option<String>, String> {
        Ok(Some(self.to_owned()))
    }
}

impl Resource for &str {
    fn resource(&self) -> Result<Option<String>, String> {
        (**self).resource()
    }
}

impl Resource for String {
    fn resource(&self) -> Result<Option<String>, String> {
        self.as_str().resource()
    }
}

impl<T: Resource> Resource for Option<T> {
    fn resource(&self) -> Result<Option<String>, String> {
        self.as_ref().map_or(Ok(None), Resource::resource)
    }
}

/// As it comes in a request: a text, or null.
impl Resource for Value {
    fn resource(&self) -> Result<Option<String>, String> {
        match self {
            Self::Null => Ok(None),
            Self::String(name) => name.resource(),
            other => Err(format!("{other}: Must be (str|Model)")),
        }
    }
}

macro_rules! objects {
    ($($object:ty => |$row:ident| $prn:expr),+ $(,)?) => {$(
        impl Resource for $object {
            fn resource(&self) -> Result<Option<String>, String> {
                let $row = self;
                Ok(Some($prn.to_string()))
            }
        }
    )+};
}

objects! {
    Prn => |prn| prn,
    DomainId => |id| Prn::from(*id),
    Artifact => |row| Prn::from(row.pulp_id),
    Content => |row| prn::content(&row.pulp_type, row.pulp_id),
    Distribution => |row| prn::distribution(&row.pulp_type, row.pulp_id),
    Exporter => |row| Prn::from(row.pulp_id),
    Publication => |row| prn::publication(&row.pulp_type, row.pulp_id),
    Remote => |row| prn::remote(&row.pulp_type, row.pulp_id),
    Repository => |row| prn::repository(&row.pulp_type, RepositoryId(row.pulp_id.0)),
    RepositoryVersion => |row| Prn::from(row.pulp_id),
    Task => |row| Prn::from(row.pulp_id),
    TaskGroup => |row| Prn::from(row.pulp_id),
    Upload => |row| Prn::from(row.pulp_id),
}

#[cfg(test)]
mod tests {
    use super::super::Resources;
    use super::*;
    use crate::error::Error;
    use serde_json::json;
    use uuid::Uuid;

    const ID: &str = "0199e6a0-0000-7000-8000-000000000001";

    fn names(resources: &Resources) -> (Vec<&str>, Vec<&str>) {
        (
            resources.exclusive_names().collect(),
            resources.shared_names().collect(),
        )
    }

    #[test]
    fn names_addresses_and_objects_become_names() {
        let remote = prn::remote("file.file", Uuid::parse_str(ID).unwrap().into());
        let href = format!("https://host/pulp/api/v3/repositories/file/file/{ID}/");
        let (nothing, domain) = (None::<String>, DomainId::DEFAULT);
        let resources = Resources::of(
            &[&"free", &href, &nothing, &Value::Null],
            &[
                &remote,
                &domain,
                &json!("/api/v3/orphans/cleanup/"),
                &"free",
            ],
        );
        let resources = resources.unwrap();
        let (exclusive, shared) = names(&resources);
        assert_eq!(
            exclusive,
            ["free", &format!("prn:file.filerepository:{ID}")]
        );
        let domain = Prn::from(domain).to_string();
        let orphans = prn::orphans(DomainId::DEFAULT);
        let remote = remote.to_string();
        assert_eq!(shared, [orphans.as_str(), domain.as_str(), remote.as_str()]);
    }

    #[test]
    fn what_cannot_be_reserved_is_an_error_that_names_the_list() {
        let version = format!("/pulp/api/v3/repositories/file/file/{ID}/versions/1/");
        for bad in [
            json!(3),
            json!(["a"]),
            json!({"a": 1}),
            json!(true),
            json!(""),
            json!(version),
        ] {
            for (exclusive, field) in [(true, "exclusive_resources"), (false, "shared_resources")] {
                let list: [&dyn Resource; 1] = [&bad];
                let result = if exclusive {
                    Resources::of(&list, &[])
                } else {
                    Resources::of(&[], &list)
                };
                assert!(
                    matches!(&result, Err(Error::Invalid { field: f, .. }) if f == field),
                    "{bad}: {result:?}"
                );
            }
        }
    }
}
