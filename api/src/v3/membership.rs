//! Filters by repository version, and by being in none; and the short way to a page of a version.

use crate::auth::Access;
use crate::error::ApiResult;
use crate::listing::{Defaults, Filters, Kind, Listing};
use crate::v3::href::{self, Target};
use crate::v3::references;
use diesel::QueryResult;
use diesel::expression::{AppearsOnTable, Expression};
use diesel::pg::Pg;
use diesel::query_builder::QueryFragment;
use millrace_common::db::Conn;
use millrace_common::models::selection::{Bind, Page, Predicate};
use millrace_common::models::version_count::CountKind;
use millrace_common::models::{Content, RepositoryContent, RepositoryVersion, VersionCount};
use millrace_common::prn::Prn;
use millrace_common::schema::{artifact, content};
use uuid::Uuid;

/// The id of a version, given by address or PRN, or of the newest version of a repository.
pub enum VersionRef {
    /// By its own id.
    Id(Uuid),
    /// By repository and number.
    Numbered(Uuid, i32),
    /// The newest of a repository.
    Newest(Uuid),
}

impl VersionRef {
    /// Reads a reference to a version, or to a repository for its newest one.
    ///
    /// # Errors
    /// The message for the parameter.
    pub fn read(value: &str) -> Result<Self, String> {
        let invalid = || format!("URI not valid: {value}");
        match href::parse(value) {
            Some(Target::Version { repository, number }) => {
                let id = repository.uuid().ok_or_else(invalid)?;
                return Ok(Self::Numbered(id, number));
            }
            Some(Target::Object(prn)) => return Self::of_prn(&prn).ok_or_else(invalid),
            None => {}
        }
        let prn = Prn::parse(value).ok_or_else(invalid)?;
        Self::of_prn(&prn).ok_or_else(invalid)
    }

    fn of_prn(prn: &Prn) -> Option<Self> {
        if prn.model == "core.repositoryversion" {
            Some(Self::Id(prn.uuid()?))
        } else if prn.model.ends_with("repository") {
            Some(Self::Newest(prn.uuid()?))
        } else {
            None
        }
    }

    /// The version, where it exists and is complete.
    async fn find(&self, conn: &mut Conn) -> QueryResult<Option<RepositoryVersion>> {
        match *self {
            Self::Id(id) => RepositoryVersion::find(conn, id.into()).await,
            Self::Numbered(id, number) => {
                RepositoryVersion::numbered(conn, id.into(), number).await
            }
            Self::Newest(id) => RepositoryVersion::latest(conn, id.into()).await,
        }
    }

    /// Adds a condition on `v.pulp_id`.
    fn add_to<T>(self, condition: Predicate<T>) -> Predicate<T> {
        let (sql, id, number) = match self {
            Self::Id(id) => ("v.pulp_id = ", id, None),
            Self::Numbered(id, number) => ("v.repository_id = ", id, Some(number)),
            Self::Newest(id) => {
                let newest = "v.pulp_id = (SELECT n.pulp_id FROM repository_version n \
                     WHERE n.complete AND n.repository_id = ";
                let condition = condition.then(newest).bind(Bind::Uuid(id));
                return condition.then(" ORDER BY n.number DESC LIMIT 1)");
            }
        };
        let condition = condition.then(sql).bind(Bind::Uuid(id));
        match number {
            Some(n) => condition
                .then(" AND v.number = ")
                .bind(Bind::Integer(n.into())),
            None => condition,
        }
    }
}

/// A page of units. What a version holds, added or removed is listed by its memberships, and counted by what
/// the version stores: both are as fast at the first page of a million units as at the last.
///
/// # Errors
/// 400 for a regular expression.
pub async fn page(
    conn: &mut Conn,
    access: &Access,
    listing: &Listing<content::table>,
    pulp_type: Option<&str>,
) -> ApiResult<Page<Content>> {
    if let Some((name, value)) = &listing.only
        && let Some(kind) = kind_of(name)
        && let Ok(wanted) = VersionRef::read(value)
        && let Some(version) = wanted.find(conn).await?
        && references::sees_version(conn, access, version.repository_id).await?
    {
        let counts = VersionCount::get(conn, version.pulp_id, kind).await?;
        // Units of other types are told apart by looking at each.
        if pulp_type.is_none_or(|wanted| counts.keys().all(|other| other == wanted)) {
            let count = counts.values().sum();
            let selection = &listing.selection;
            let slice = (count, selection.limit, selection.offset);
            let ids = RepositoryContent::newest(conn, &version, kind, slice).await?;
            let rows = Content::find_many(conn, &ids).await?;
            return Ok(Page { count, rows });
        }
    }
    Content::page(conn, &listing.selection)
        .await
        .map_err(|error| listing.blame(error))
}

fn kind_of(filter: &str) -> Option<CountKind> {
    match filter {
        "repository_version" => Some(CountKind::Present),
        "repository_version_added" => Some(CountKind::Added),
        "repository_version_removed" => Some(CountKind::Removed),
        _ => None,
    }
}

const PRESENT: &str = "m.version_added <= v.number \
     AND (m.version_removed IS NULL OR m.version_removed > v.number)";

const PREVIOUS: &str = "CROSS JOIN LATERAL (SELECT coalesce(max(p.number), -1) AS number \
     FROM repository_version p WHERE p.repository_id = v.repository_id AND p.complete \
     AND p.number < v.number) before";

/// The units of a version. One that may not be seen has none, as one that is not there.
fn version<T: 'static, C>(
    (value, defaults): (&str, Defaults<'_>),
    unit: C,
    join: &'static str,
    on: &'static str,
) -> Result<Predicate<T>, String>
where
    C: Expression + AppearsOnTable<T> + QueryFragment<Pg> + Copy + Send + Sync + 'static,
{
    let wanted = VersionRef::read(value)?;
    let condition = Predicate::on(unit)
        .then(" IN (SELECT m.content_id FROM repository_version v ")
        .then(join)
        .then(" JOIN repository_content m ON m.repository_id = v.repository_id AND ")
        .then(on)
        .then(" WHERE v.complete AND ")
        .column(defaults.of_repositories::<T>("v.repository_id"))
        .then(" AND ");
    Ok(wanted.add_to(condition).then(")"))
}

/// Adds `repository_version`, `repository_version_added` and `repository_version_removed` on a column
/// that holds the id of a unit.
#[must_use]
pub fn by_version<T: 'static, C>(filters: Filters<T>, unit: C) -> Filters<T>
where
    C: Expression + AppearsOnTable<T> + QueryFragment<Pg> + Copy + Send + Sync + 'static,
{
    filters
        .filter_by_settings(
            "repository_version",
            Kind::Reference,
            "in this version, or in the newest one of this repository",
            move |v, defaults| version((v, defaults), unit, "", PRESENT),
        )
        .filter_by_settings(
            "repository_version_added",
            Kind::Reference,
            "added by this version",
            move |v, defaults| {
                // Between two versions that were no neighbours once, units may have gone and come again.
                let on = "m.version_added > before.number AND m.version_added <= v.number \
                     AND (m.version_removed IS NULL OR m.version_removed > v.number) \
                     AND (v.number = before.number + 1 OR NOT EXISTS (SELECT FROM repository_content o \
                          WHERE o.repository_id = v.repository_id AND o.content_id = m.content_id \
                            AND o.version_added <= before.number AND o.version_removed > before.number))";
                version((v, defaults), unit, PREVIOUS, on)
            },
        )
        .filter_by_settings(
            "repository_version_removed",
            Kind::Reference,
            "removed by this version",
            move |v, defaults| {
                let on = "m.version_removed > before.number AND m.version_removed <= v.number \
                     AND m.version_added <= before.number \
                     AND (v.number = before.number + 1 OR NOT EXISTS (SELECT FROM repository_content o \
                          WHERE o.repository_id = v.repository_id AND o.content_id = m.content_id \
                            AND o.version_added > before.number AND o.version_added <= v.number \
                            AND (o.version_removed IS NULL OR o.version_removed > v.number)))";
                version((v, defaults), unit, PREVIOUS, on)
            },
        )
}

/// Adds `repository_version` to a list of artifacts: those of the units of a version.
#[must_use]
pub fn by_artifact(filters: Filters<artifact::table>) -> Filters<artifact::table> {
    filters.filter(
        "repository_version",
        Kind::Reference,
        "of a unit in this version, or in the newest one of this repository",
        |v| {
            let wanted = VersionRef::read(v)?;
            let condition = Predicate::on(artifact::pulp_id)
                .then(
                    " IN (SELECT ca.artifact_id FROM repository_version v \
                     JOIN repository_content m ON m.repository_id = v.repository_id AND ",
                )
                .then(PRESENT)
                .then(
                    " JOIN content_artifact ca ON ca.content_id = m.content_id \
                     WHERE v.complete AND ca.artifact_id IS NOT NULL AND ",
                );
            Ok(wanted.add_to(condition).then(")"))
        },
    )
}

/// Adds `orphaned_for`: needed by nothing, and of no interest for so many minutes; -1 stands for the
/// setting.
#[must_use]
pub fn orphaned<T: 'static>(
    filters: Filters<T>,
    unneeded: Predicate<T>,
    interest: &'static str,
) -> Filters<T> {
    filters.filter_by_settings(
        "orphaned_for",
        Kind::Number,
        "an orphan for so many minutes; -1: as long as the settings protect one",
        move |v, defaults| {
            let given = v
                .trim()
                .parse()
                .ok()
                .filter(|minutes: &f64| minutes.is_finite());
            let minutes = match given.ok_or("Enter a number.")? {
                minutes if minutes < 0.0 => f64::from(defaults.orphan_protection_time),
                minutes => minutes,
            };
            // More than this is before all time.
            let span = format!("{:.0} seconds", minutes.min(1e9) * 60.0);
            let long_ago = Predicate::sql(interest)
                .then(" < now() - ")
                .bind(Bind::Text(span))
                .then("::interval");
            Ok(unneeded.clone().and(long_ago))
        },
    )
}
