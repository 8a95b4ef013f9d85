//! Who holds a role: everywhere, in a domain, or on one object.

use super::selection::{Page, Selection};
use crate::db::Conn;
use crate::ids::{AssignmentId, DomainId, RoleId};
use crate::prn::Prn;
use crate::schema::{role, role_assignment};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use std::collections::HashMap;
use uuid::Uuid;

/// A role that an account or a group holds.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = role_assignment, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the migration documents the columns")]
pub struct RoleAssignment {
    pub pulp_id: AssignmentId,
    pub pulp_created: DateTime<Utc>,
    pub role_id: RoleId,
    pub account_id: Option<i32>,
    pub group_id: Option<i32>,
    pub pulp_domain: Option<DomainId>,
    pub object_model: Option<String>,
    pub object_id: Option<Uuid>,
}

/// Who holds a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// An account.
    Account(i32),
    /// All members of a group.
    Group(i32),
}

impl Holder {
    fn account(self) -> Option<i32> {
        match self {
            Self::Account(id) => Some(id),
            Self::Group(_) => None,
        }
    }

    fn group(self) -> Option<i32> {
        match self {
            Self::Group(id) => Some(id),
            Self::Account(_) => None,
        }
    }
}

/// Where a role counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    Everywhere,
    /// On everything in a domain.
    Domain(DomainId),
    /// On one object.
    Object {
        /// Its model, as in names of resources: `file.filerepository`.
        model: String,
        /// Its id; that of a group is `account_group.object_id`.
        id: Uuid,
    },
}

impl RoleAssignment {
    /// Gives somebody a role. `None`: he holds it there already. That the object stays is the caller's to see to:
    /// [`keep_object`] in the same transaction.
    ///
    /// # Errors
    /// A foreign key violation where role or holder have gone; else as the session.
    pub async fn add(
        conn: &mut Conn,
        holder: Holder,
        role: RoleId,
        scope: &Scope,
    ) -> QueryResult<Option<Self>> {
        let (domain, object) = match scope {
            Scope::Everywhere => (None, None),
            Scope::Domain(domain) => (Some(*domain), None),
            Scope::Object { model, id } => (None, Some((model.as_str(), *id))),
        };
        diesel::insert_into(role_assignment::table)
            .values((
                role_assignment::pulp_id.eq(AssignmentId::new()),
                role_assignment::role_id.eq(role),
                role_assignment::account_id.eq(holder.account()),
                role_assignment::group_id.eq(holder.group()),
                role_assignment::pulp_domain.eq(domain),
                role_assignment::object_model.eq(object.map(|(model, _)| model)),
                role_assignment::object_id.eq(object.map(|(_, id)| id)),
            ))
            .on_conflict_do_nothing()
            .returning(Self::as_returning())
            .get_result(conn)
            .await
            .optional()
    }

    /// The assignment of this holder with this id, and the role.
    ///
    /// # Errors
    /// As the session.
    pub async fn find(
        conn: &mut Conn,
        holder: Holder,
        id: AssignmentId,
    ) -> QueryResult<Option<Self>> {
        role_assignment::table
            .find(id)
            .filter(role_assignment::account_id.is_not_distinct_from(holder.account()))
            .filter(role_assignment::group_id.is_not_distinct_from(holder.group()))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()
    }

    /// A page of assignments.
    ///
    /// # Errors
    /// As the session.
    pub async fn page(
        conn: &mut Conn,
        selection: &Selection<role_assignment::table>,
    ) -> QueryResult<Page<Self>> {
        crate::page!(conn, role_assignment::table, Self, selection)
    }

    /// Takes a role away; false: it was not there.
    ///
    /// # Errors
    /// As the session.
    pub async fn delete(conn: &mut Conn, id: AssignmentId) -> QueryResult<bool> {
        let deleted = diesel::delete(role_assignment::table.find(id));
        Ok(deleted.execute(conn).await? > 0)
    }

    /// Names, descriptions and permissions of the roles of assignments, by id.
    ///
    /// # Errors
    /// As the session.
    pub async fn roles(
        conn: &mut Conn,
        rows: &[Self],
    ) -> QueryResult<HashMap<RoleId, super::Role>> {
        let ids: Vec<RoleId> = rows.iter().map(|row| row.role_id).collect();
        let found: Vec<super::Role> = role::table
            .filter(role::pulp_id.eq_any(ids))
            .select(super::Role::as_select())
            .load(conn)
            .await?;
        Ok(found.into_iter().map(|role| (role.pulp_id, role)).collect())
    }
}

/// Up to so many names.
const NAMES: i64 = 100;

/// What holders of roles lose with a role or a group, by name: the first of them.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Lost {
    /// Accounts: holders of the role, members of the group.
    #[diesel(sql_type = Array<Text>)]
    pub users: Vec<String>,
    /// Groups that hold the role.
    #[diesel(sql_type = Array<Text>)]
    pub groups: Vec<String>,
    /// Roles that the group holds.
    #[diesel(sql_type = Array<Text>)]
    pub roles: Vec<String>,
    /// Assignments that go.
    #[diesel(sql_type = BigInt)]
    pub assignments: i64,
}

impl Lost {
    /// What goes with a role.
    ///
    /// # Errors
    /// As the session.
    pub async fn with_role(conn: &mut Conn, role: RoleId) -> QueryResult<Self> {
        sql_query(
            "SELECT ARRAY(SELECT DISTINCT u.username FROM role_assignment a JOIN account u ON u.id = a.account_id \
                           WHERE a.role_id = $1 ORDER BY 1 LIMIT $2) AS users, \
                    ARRAY(SELECT DISTINCT g.name FROM role_assignment a JOIN account_group g ON g.id = a.group_id \
                           WHERE a.role_id = $1 ORDER BY 1 LIMIT $2) AS groups, '{}'::text[] AS roles, \
                    (SELECT count(*) FROM role_assignment WHERE role_id = $1) AS assignments",
        )
        .bind::<SqlUuid, _>(role)
        .bind::<BigInt, _>(NAMES)
        .get_result(conn)
        .await
    }

    /// What goes with a group.
    ///
    /// # Errors
    /// As the session.
    pub async fn with_group(conn: &mut Conn, group: i32) -> QueryResult<Self> {
        sql_query(
            "SELECT ARRAY(SELECT u.username FROM account_group_member m JOIN account u ON u.id = m.account_id \
                           WHERE m.group_id = $1 ORDER BY 1 LIMIT $2) AS users, '{}'::text[] AS groups, \
                    ARRAY(SELECT DISTINCT r.name FROM role_assignment a JOIN role r ON r.pulp_id = a.role_id \
                           WHERE a.group_id = $1 ORDER BY 1 LIMIT $2) AS roles, \
                    (SELECT count(*) FROM role_assignment WHERE group_id = $1) AS assignments",
        )
        .bind::<Integer, _>(group)
        .bind::<BigInt, _>(NAMES)
        .get_result(conn)
        .await
    }
}

/// The name of an object on which roles are held, as clients know it.
///
/// # Errors
/// As the session.
pub async fn shown_name(conn: &mut Conn, model: &str, id: Uuid) -> QueryResult<Prn> {
    if model == "core.group" {
        let found = super::AccountGroup::by_objects(conn, &[id]).await?;
        if let Some(number) = found.get(&id) {
            return Ok(Prn::new(model, number));
        }
    }
    Ok(Prn::new(model, id))
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Bool)]
    kept: bool,
}

/// Keeps an object, on which roles are held, from being deleted until the transaction ends. False: there is none, or
/// roles are not held on objects of its model.
///
/// # Errors
/// As the session.
pub async fn keep_object(conn: &mut Conn, model: &str, id: Uuid) -> QueryResult<bool> {
    let Some((statement, pulp_type)) = keeping(model) else {
        return Ok(false);
    };
    let kept: Option<Kept> = sql_query(statement)
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(pulp_type)
        .get_result(conn)
        .await
        .optional()?;
    Ok(kept.is_some_and(|row| row.kept))
}

/// The statement that keeps an object of this model, and the type that its row must have.
fn keeping(model: &str) -> Option<(&'static str, String)> {
    let plain = |statement| Some((statement, String::new()));
    match model {
        "core.task" => {
            return plain("SELECT $2 = '' AS kept FROM task WHERE pulp_id = $1 FOR KEY SHARE");
        }
        "core.taskschedule" => {
            return plain(
                "SELECT $2 = '' AS kept FROM task_schedule WHERE pulp_id = $1 FOR KEY SHARE",
            );
        }
        "core.upload" => {
            return plain("SELECT $2 = '' AS kept FROM upload WHERE pulp_id = $1 FOR KEY SHARE");
        }
        "core.domain" => {
            return plain("SELECT $2 = '' AS kept FROM domain WHERE pulp_id = $1 FOR KEY SHARE");
        }
        "core.group" => {
            return plain(
                "SELECT $2 = '' AS kept FROM account_group WHERE object_id = $1 FOR KEY SHARE",
            );
        }
        _ => {}
    }
    let (app, name) = model.split_once('.')?;
    let (statement, kind) = [
        (
            "SELECT pulp_type = $2 AS kept FROM repository WHERE pulp_id = $1 FOR KEY SHARE",
            "repository",
        ),
        (
            "SELECT pulp_type = $2 AS kept FROM remote WHERE pulp_id = $1 FOR KEY SHARE",
            "remote",
        ),
        (
            "SELECT pulp_type = $2 AS kept FROM publication WHERE pulp_id = $1 FOR KEY SHARE",
            "publication",
        ),
        (
            "SELECT pulp_type = $2 AS kept FROM distribution WHERE pulp_id = $1 FOR KEY SHARE",
            "distribution",
        ),
    ]
    .into_iter()
    .find(|(_, kind)| name.ends_with(kind))?;
    Some((statement, format!("{app}.{}", name.strip_suffix(kind)?)))
}

/// True for models on whose objects roles are held.
#[must_use]
pub fn has_assignments(model: &str) -> bool {
    keeping(model).is_some()
}

impl Scope {
    /// The scope of an object with this name. `None`: its id is none.
    #[must_use]
    pub fn of(prn: &Prn) -> Option<Self> {
        Some(Self::Object {
            model: prn.model.clone(),
            id: prn.uuid()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_with_roles_can_be_kept() {
        for model in [
            "core.task",
            "core.group",
            "file.filerepository",
            "rpm.rpmrepository",
        ] {
            assert!(has_assignments(model), "{model}");
        }
        let (_, pulp_type) = keeping("file.fileremote").unwrap();
        assert_eq!(pulp_type, "file.file");
        for model in ["core.artifact", "auth.user", "file.filecontent", "x"] {
            assert!(!has_assignments(model), "{model}");
        }
    }
}
