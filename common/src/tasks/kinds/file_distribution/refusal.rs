//! What a distribution may not be, beside what is there (contract 4.13).

use super::super::FieldErrors;
use super::{NO_OBJECT, UNIQUE};
use crate::content::file::PULP_TYPE;
use crate::db::Conn;
use crate::models::distribution::InTheWay;
use crate::models::{Distribution, Publication, Repository, RepositoryVersion};
use diesel::result::Error as DieselError;
use std::fmt;

/// Why a distribution cannot be like that.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// These fields are wrong.
    Fields(FieldErrors),
    /// Its base path lies above or below that of this distribution.
    Overlap(InTheWay),
}

impl Refusal {
    /// What is said of the base path where it overlaps. `None`: with one of which the reader is not to know the name.
    #[must_use]
    pub fn overlap_text(name: Option<&str>) -> String {
        match name {
            Some(name) => format!("Overlaps with existing distribution '{name}'"),
            None => "Overlaps with another distribution".to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields(errors) => errors.fmt(f),
            // A task's error is read by who dispatched it, whatever he may see.
            Self::Overlap(_) => FieldErrors::one("base_path", Self::overlap_text(None)).fmt(f),
        }
    }
}

/// Checks what a distribution would be against what is there (contract 4.13); `row` is what it is now.
/// The request asks, and the task asks again.
///
/// # Errors
/// As the session.
pub async fn refusal(
    conn: &mut Conn,
    row: Option<&Distribution>,
    wanted: &Distribution,
) -> Result<Option<Refusal>, DieselError> {
    let (domain, but) = (wanted.pulp_domain, row.map(|row| row.pulp_id));
    let mut errors = FieldErrors::default();
    if Distribution::name_taken(conn, domain, &wanted.name, but).await? {
        errors.add("name", UNIQUE);
    }
    let in_the_way = Distribution::overlapping(conn, domain, &wanted.base_path, but).await?;
    if in_the_way
        .as_ref()
        .is_some_and(|other| other.base_path == wanted.base_path)
    {
        errors.add("base_path", UNIQUE);
    }
    for field in missing(conn, wanted).await? {
        errors.add(field, NO_OBJECT);
    }
    if errors.0.is_empty() {
        if let Some(other) = in_the_way {
            return Ok(Some(Refusal::Overlap(other)));
        }
        if let Some(message) = combination(wanted) {
            errors.add("non_field_errors", message);
        }
    }
    Ok((!errors.0.is_empty()).then_some(Refusal::Fields(errors)))
}

/// The references that lead to nothing in the domain.
async fn missing(conn: &mut Conn, wanted: &Distribution) -> Result<Vec<&'static str>, DieselError> {
    let domain = wanted.pulp_domain;
    let mut missing = Vec::new();
    if let Some(id) = wanted.publication_id {
        let found = Publication::find(conn, domain, id).await?;
        if found.is_none_or(|row| row.pulp_type != PULP_TYPE) {
            missing.push("publication");
        }
    }
    if let Some(id) = wanted.repository_id {
        let found = Repository::find(conn, domain, id).await?;
        if found.is_none_or(|row| row.pulp_type != PULP_TYPE) {
            missing.push("repository");
        }
    }
    if let Some(id) = wanted.repository_version_id
        && RepositoryVersion::find(conn, id).await?.is_none()
    {
        missing.push("repository_version");
    }
    Ok(missing)
}

fn combination(wanted: &Distribution) -> Option<String> {
    let one_of = |a: &str, b: &str| {
        Some(format!(
            "Only one of the attributes '{a}' and '{b}' may be used simultaneously."
        ))
    };
    let publication = wanted.publication_id.is_some();
    let version = wanted.repository_version_id.is_some();
    let repository = wanted.repository_id.is_some();
    if publication && version {
        one_of("publication", "repository_version")
    } else if repository && publication {
        one_of("repository", "publication")
    } else if repository && version {
        one_of("repository", "repository_version")
    } else if wanted.checkpoint && !repository {
        Some("The 'checkpoint' attribute may only be used with the 'repository' attribute.".into())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::merged;
    use super::*;
    use crate::ids::{DomainId, PublicationId, RepositoryId, VersionId};
    use crate::models::DistributionChange;

    #[test]
    fn only_one_thing_is_served() {
        let mut wanted = merged(None, &DistributionChange::default(), DomainId::DEFAULT);
        assert_eq!(combination(&wanted), None);
        wanted.checkpoint = true;
        assert!(combination(&wanted).unwrap().contains("'checkpoint'"));
        wanted.repository_id = Some(RepositoryId::new());
        assert_eq!(combination(&wanted), None);
        wanted.repository_version_id = Some(VersionId::new());
        assert!(combination(&wanted).unwrap().starts_with("Only one of"));
        wanted.publication_id = Some(PublicationId::new());
        assert!(
            combination(&wanted)
                .unwrap()
                .contains("'publication' and 'repository_version'")
        );
    }
}
